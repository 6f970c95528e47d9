"""Keeps the links between contacts what comparing them gives: finds who shares a key, compares, writes what resembles.

Set-based: a handful of statements a batch. It holds no rule: `claims.identity` says which keys have force,
`claims.resemblance` what two contacts have in common. The incident must be locked.
"""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from claims.identity import MOST_USERS, Decision, Key, Use, has_force
from claims.profiles import Profile
from claims.resemblance import Resemblance, resemblance
from foundation.database import Driver

_decode = msgspec.msgpack.Decoder(Profile).decode
_encode = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True, slots=True)
class Read:
    """A contact that has been read and held against the directory. `mark`: its fingerprint."""

    id: int
    surname: str
    decision: Decision
    profile: Profile = field(default_factory=Profile)
    keys: tuple[Key, ...] = ()
    mark: bytes = b""


Found = Mapping[tuple[int, int], Resemblance]


class Linked(NamedTuple):
    """What changed. `touched`: contacts whose links are new, gone or both; `found`: the new links, by pair of ids."""

    touched: set[int]
    found: Found


@dataclass(slots=True)
class _Known:
    """Contacts that links are made among: what they say, and whom the directory takes them for."""

    profiles: dict[int, Profile] = field(default_factory=dict)
    customers: dict[int, int | None] = field(default_factory=dict)


@dataclass(slots=True)
class _Batch:
    """The contacts of a batch that have keys. `twins`: those who say nothing that another does not: contact → that one.

    Only the first of several that say the same stands for them at the keys, so that somebody who sends one text a
    thousand times costs no more than two, and closes no meeting point.
    """

    first: dict[int, Read]
    twins: dict[int, int]
    uses: dict[Key, Use]


async def link(connection: Driver, incident_id: str, batch: Sequence[Read]) -> Linked:
    """Compare the contacts of a batch with all that share a key with them, and keep what comes of it.

    Where the batch takes a key's force, all who used it are compared again, without it.
    """
    keyed = [one for one in batch if one.keys]
    if not keyed:
        return Linked(set(), {})
    arrived = await _sort_out(connection, incident_id, keyed)
    uses = arrived.uses
    closed = {key for key, use in uses.items() if not has_force(key, use)}
    known = _Known()
    for one in keyed:
        known.profiles[one.id], known.customers[one.id] = one.profile, one.decision.customer_id
    for one in arrived.first.values():
        for key in one.keys:
            uses[key].add(one.id, one.decision.customer_id, one.surname)
    await _write_profiles(connection, keyed)
    await _write_keys(connection, incident_id, arrived.first.values(), closed)
    lost = [key for key, use in uses.items() if key not in closed and not has_force(key, use)]
    again = {contact for key in lost for contact in uses[key].contacts} - arrived.first.keys()
    keys_of: dict[int, Sequence[Key]] = {one.id: one.keys for one in arrived.first.values()}
    parted: set[tuple[int, int]] = set()
    if again:
        keys_of.update(await _keys_of(connection, again))
        more = {key for contact in again for key in keys_of[contact]} - uses.keys()
        uses.update(await _uses(connection, incident_id, more))
        parted = await _unlink(connection, again)
    pairs = _pairs(keys_of, uses) | {_ordered(*pair) for pair in arrived.twins.items()}
    await _load(connection, known, {contact for pair in (*pairs, *parted) for contact in pair})
    pairs |= {pair for pair in parted if known.profiles[pair[0]] == known.profiles[pair[1]]}
    shared = {key for key, use in uses.items() if not has_force(key, use)}
    found = dict(_compared(known, pairs, shared))
    await _write_links(connection, found)
    return Linked({*keys_of, *arrived.twins, *(contact for pair in parted for contact in pair)}, found)


async def _sort_out(connection: Driver, incident_id: str, keyed: Sequence[Read]) -> _Batch:
    """Who of the batch says something new, and who has used their keys so far."""
    selves = {one.id: _self(one) for one in keyed}
    uses = await _uses(connection, incident_id, {*selves.values(), *(key for one in keyed for key in one.keys)})
    standing = {key: next(iter(uses[key].contacts)) for key in selves.values() if key in uses}
    first: dict[int, Read] = {}
    twins: dict[int, int] = {}
    for one in sorted(keyed, key=lambda each: each.id):
        itself = selves[one.id]
        if itself in standing:
            twins[one.id] = standing[itself]
        else:
            standing[itself] = one.id
            first[one.id] = Read(one.id, one.surname, one.decision, one.profile, (*one.keys, itself), one.mark)
    for one in first.values():
        for key in one.keys:
            uses.setdefault(key, Use())
    return _Batch(first, twins, uses)


async def shared_by(connection: Driver, incident_id: str, keys: Collection[Key]) -> set[Key]:
    """Those of `keys` that have lost their force."""
    uses = await _uses(connection, incident_id, keys)
    return {key for key, use in uses.items() if not has_force(key, use)}


def _self(one: Read) -> Key:
    """The key of all that say the same."""
    told = _encode((one.profile, one.keys, one.decision.customer_id))
    return Key("by self", hashlib.blake2b(told, digest_size=12).hexdigest())


def _ordered(one: int, other: int) -> tuple[int, int]:
    return (one, other) if one < other else (other, one)


def _pairs(keys_of: Mapping[int, Sequence[Key]], uses: Mapping[Key, Use]) -> set[tuple[int, int]]:
    pairs = set()
    for contact, keys in keys_of.items():
        for key in keys:
            use = uses[key]
            if len(use.contacts) > 1 and has_force(key, use):
                pairs |= {_ordered(contact, other) for other in use.contacts if other != contact}
    return pairs


def _compared(
    known: _Known, pairs: Iterable[tuple[int, int]], shared: set[Key]
) -> Iterable[tuple[tuple[int, int], Resemblance]]:
    for one, other in pairs:
        if known.customers[one] is not None and known.customers[other] is not None:
            continue  # the directory has settled it
        found = resemblance(known.profiles[one], known.profiles[other], shared)
        if found.outcome != "apart":
            yield (one, other), found


async def _uses(connection: Driver, incident_id: str, keys: Collection[Key]) -> dict[Key, Use]:
    uses: dict[Key, Use] = defaultdict(Use)
    rows = await connection.fetch(
        """
        SELECT asked.kind, asked.value, found.contact_id, found.customer_id, found.surname
          FROM unnest($2::text[], $3::text[]) AS asked (kind, value)
         CROSS JOIN LATERAL (
            SELECT contact_id, customer_id, surname FROM contact_keys k
             WHERE k.incident_id = $1 AND k.kind = asked.kind AND k.value = asked.value
             LIMIT $4
         ) found
        """,
        incident_id,
        [key.kind for key in keys],
        [key.value for key in keys],
        MOST_USERS + 1,  # enough to see that it has lost its force
    )
    for kind, value, contact, customer, surname in rows:
        uses[Key(kind, value)].add(contact, customer, surname)
    return dict(uses)


async def _keys_of(connection: Driver, contacts: Collection[int]) -> dict[int, list[Key]]:
    found: dict[int, list[Key]] = {contact: [] for contact in contacts}
    for contact, kind, value in await connection.fetch(
        "SELECT contact_id, kind, value FROM contact_keys WHERE contact_id = ANY ($1::bigint[])", list(contacts)
    ):
        found[contact].append(Key(kind, value))
    return found


async def _load(connection: Driver, known: _Known, contacts: set[int]) -> None:
    missing = contacts - known.profiles.keys()
    if not missing:
        return
    for contact, customer, profile in await connection.fetch(
        """
        SELECT p.contact_id, k.customer_id, p.profile FROM contact_profiles p JOIN contacts k ON k.id = p.contact_id
         WHERE p.contact_id = ANY ($1::bigint[])
        """,
        list(missing),
    ):
        known.profiles[contact], known.customers[contact] = _decode(profile), customer


async def _write_profiles(connection: Driver, batch: Sequence[Read]) -> None:
    await connection.execute(
        """
        INSERT INTO contact_profiles (contact_id, profile) SELECT * FROM unnest($1::bigint[], $2::bytea[])
            ON CONFLICT (contact_id) DO UPDATE SET profile = excluded.profile
        """,
        [one.id for one in batch],
        [_encode(one.profile) for one in batch],
    )


async def _write_keys(connection: Driver, incident_id: str, batch: Iterable[Read], closed: Collection[Key]) -> None:
    """Remember what new contacts use. A key without force needs no more users: it never gets it back."""
    rows = [(key, one) for one in batch for key in dict.fromkeys(one.keys) if key not in closed]
    await connection.execute(
        """
        INSERT INTO contact_keys (incident_id, kind, value, contact_id, customer_id, surname)
        SELECT $1, * FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::text[])
        """,
        incident_id,
        [key.kind for key, _ in rows],
        [key.value for key, _ in rows],
        [one.id for _, one in rows],
        [one.decision.customer_id for _, one in rows],
        [one.surname for _, one in rows],
    )


async def _unlink(connection: Driver, contacts: Collection[int]) -> set[tuple[int, int]]:
    """Take away the links of these; which pairs they were."""
    rows = await connection.fetch(
        """
        WITH gone AS (
            DELETE FROM contact_links WHERE one_id = ANY ($1::bigint[]) RETURNING one_id, other_id
        ), more AS (
            DELETE FROM contact_links WHERE other_id = ANY ($1::bigint[]) AND one_id <> ALL ($1::bigint[])
         RETURNING one_id, other_id
        )
        SELECT one_id, other_id FROM gone UNION ALL SELECT one_id, other_id FROM more
        """,
        list(contacts),
    )
    return {(row[0], row[1]) for row in rows}


async def _write_links(connection: Driver, found: Found) -> None:
    if found:
        await connection.execute(
            """
            INSERT INTO contact_links (one_id, other_id, weight, outcome)
            SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::real[], $4::text[])
            """,
            [one for one, _ in found],
            [other for _, other in found],
            [resembles.weight for resembles in found.values()],
            [resembles.outcome for resembles in found.values()],
        )
