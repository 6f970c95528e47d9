"""The files of contacts: which there are, what became of each, and who may have them. All SQL on them stands here.

A file that cannot be kept as one is set aside, with its reason, and stays in the mail it came in. Files are handed out
once the scanner, where there is one, has called it clean.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from claims.file_kinds import LARGEST_CASE, WhyNot
from claims.file_store import Kept
from foundation.database import Driver, Tx, driver


@dataclass(frozen=True, slots=True)
class SetAside:
    """A file that was sent and is not kept as one, and why."""

    shown_name: str
    why: WhyNot


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file of a contact, as it is shown. `state`: waiting (for the scanner), clean, refused, or set_aside (`why`)."""

    id: int
    contact_id: int
    shown_name: str
    state: str
    why: str | None
    kind: str | None
    size: int | None
    name: str | None


class Held(NamedTuple):
    """The files of the contact with this receipt; they are its first, or the ones from place `first` on."""

    receipt: str
    files: Sequence[Kept | SetAside]
    first: int = 0


async def attach(connection: Driver, held: Sequence[Held]) -> None:
    """Write the files of contacts down, in the transaction that stores these contacts."""
    kept = {one.sha256: one for each in held for one in each.files if isinstance(one, Kept)}
    ordered = [kept[sha256] for sha256 in sorted(kept)]  # two writers that meet wait for each other in one order
    await connection.execute(
        """
        INSERT INTO files (sha256, name, size, kind)
        SELECT * FROM unnest($1::bytea[], $2::text[], $3::integer[], $4::text[])
            ON CONFLICT (sha256) DO UPDATE SET name = excluded.name
        """,
        [one.sha256 for one in ordered],
        [one.name for one in ordered],
        [one.size for one in ordered],
        [one.kind for one in ordered],
    )
    rows = [(each.receipt, place, one) for each in held for place, one in enumerate(each.files, each.first)]
    await connection.execute(
        """
        INSERT INTO attachments (contact_id, place, shown_name, file_id, why)
        SELECT k.id, new.place, new.shown_name, f.id, new.why
          FROM unnest($1::text[], $2::smallint[], $3::text[], $4::bytea[], $5::text[])
            AS new (receipt, place, shown_name, sha256, why)
          JOIN contacts k ON k.receipt = new.receipt
          LEFT JOIN files f ON f.sha256 = new.sha256
            ON CONFLICT DO NOTHING
        """,
        [receipt for receipt, _, _ in rows],
        [place for _, place, _ in rows],
        [_storable(one.shown_name) for _, _, one in rows],
        [one.sha256 if isinstance(one, Kept) else None for _, _, one in rows],
        [one.why if isinstance(one, SetAside) else None for _, _, one in rows],
    )


_SELECT = """
SELECT a.id, a.contact_id, a.shown_name, CASE WHEN a.why IS NULL THEN f.state ELSE 'set_aside' END, a.why, f.kind,
       f.size, f.name
  FROM attachments a LEFT JOIN files f ON f.id = a.file_id
"""


async def attachments_of(tx: Tx, contact_ids: Collection[int]) -> Mapping[int, list[Attachment]]:
    """Contact id → its files, in the order they were sent."""
    rows = await (await driver(tx)).fetch(
        f"{_SELECT} WHERE a.contact_id = ANY ($1::bigint[]) ORDER BY a.contact_id, a.place", list(contact_ids)
    )
    found: dict[int, list[Attachment]] = {}
    for row in rows:
        found.setdefault(row[1], []).append(Attachment(*row))
    return found


async def attachment(tx: Tx, attachment_id: int, contact_ids: Collection[int] | None = None) -> Attachment | None:
    """One file; with `contact_ids` only if it belongs to one of these contacts."""
    row = await (await driver(tx)).fetchrow(
        f"{_SELECT} WHERE a.id = $1 AND ($2::bigint[] IS NULL OR a.contact_id = ANY ($2))",
        attachment_id,
        None if contact_ids is None else list(contact_ids),
    )
    return None if row is None else Attachment(*row)


async def room_in_case(tx: Tx, contact_id: int) -> int:
    """How many bytes of files the case of this contact still takes; that stays true until `tx` ends.

    Who adds to a case at the same moment waits, else each would be let in for the room that is there once.
    """
    connection = await driver(tx)
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended('files ' || coalesce('of ' || case_id, id::text), 0))"
        " FROM contacts WHERE id = $1",
        contact_id,
    )
    used = await connection.fetchval(
        """
        SELECT coalesce(sum(f.size), 0)
          FROM contacts own JOIN contacts k ON k.id = own.id OR k.case_id = own.case_id
          JOIN attachments a ON a.contact_id = k.id JOIN files f ON f.id = a.file_id
         WHERE own.id = $1
        """,
        contact_id,
    )
    return int(LARGEST_CASE - used)


async def add(tx: Tx, contact_id: int, files: Sequence[Kept]) -> None:
    """Add files to a contact that is there already. The same file again is nothing new."""
    connection = await driver(tx)
    receipt = await connection.fetchval("SELECT receipt FROM contacts WHERE id = $1 FOR UPDATE", contact_id)
    known = await connection.fetch(
        "SELECT a.place, f.sha256 FROM attachments a LEFT JOIN files f ON f.id = a.file_id WHERE a.contact_id = $1",
        contact_id,
    )
    seen = {row["sha256"] for row in known}
    first = max((row["place"] for row in known), default=-1) + 1
    fresh = [one for one in files if one.sha256 not in seen]
    if fresh:
        await attach(connection, [Held(receipt, fresh, first)])


# --- mail: the parts are taken out of what was stored


class Packed(NamedTuple):
    """A mail whose files have not been taken out yet."""

    id: int
    receipt: str
    raw: bytes


async def packed_mail(tx: Tx, most: int = 20) -> list[Packed]:
    """Mail whose files wait to be taken out, oldest first."""
    rows = await (await driver(tx)).fetch(
        "SELECT id, receipt, raw FROM contacts WHERE channel = 'mail' AND unpacked_at IS NULL ORDER BY id LIMIT $1",
        most,
    )
    return [Packed(*row) for row in rows]


async def unpacked(tx: Tx, mail: Packed, files: Sequence[Kept | SetAside], now: datetime) -> None:
    """The files of a mail are on disk: write them down. Done twice it changes nothing."""
    connection = await driver(tx)
    if files:
        await attach(connection, [Held(mail.receipt, files)])
    await connection.execute("UPDATE contacts SET unpacked_at = $2 WHERE id = $1 AND unpacked_at IS NULL", mail.id, now)


# --- scanning and sweeping


class Unscanned(NamedTuple):
    """A file that no scanner has looked at yet."""

    id: int
    name: str


async def claim_unscanned(tx: Tx, now: datetime) -> Unscanned | None:
    """The oldest file that waits, for this worker alone during five minutes."""
    row = await (await driver(tx)).fetchrow(
        """
        UPDATE files SET scan_after = $1::timestamptz + interval '5 minutes'
         WHERE id = (SELECT id FROM files WHERE state = 'waiting' AND (scan_after IS NULL OR scan_after <= $1)
                      ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
        RETURNING id, name
        """,
        now,
    )
    return None if row is None else Unscanned(*row)


async def scanned(tx: Tx, file_id: int, state: str, verdict: str, now: datetime) -> None:
    """What the scanner said: clean or refused. A verdict stands."""
    await (await driver(tx)).execute(
        "UPDATE files SET state = $2, verdict = $3, scanned_at = $4 WHERE id = $1 AND state = 'waiting'",
        file_id,
        state,
        _storable(verdict)[:500],
        now,
    )


async def known_files(tx: Tx, names: Collection[str]) -> set[str]:
    """Those of `names` that a row knows."""
    rows = await (await driver(tx)).fetch("SELECT name FROM files WHERE name = ANY ($1::text[])", list(names))
    return {row[0] for row in rows}


def _storable(text: str) -> str:
    return text.replace("\x00", "").encode("utf-8", "replace").decode()
