"""Loads what a change can touch in an incident: contacts, what joins them, and who said what about them.

It follows joining links, proofs and decisions from where something changed until nothing new turns up. Contacts that
the directory knows are its edge: what joins them to others says nothing about their customer. It decides nothing.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from claims.collapse import Person
from claims.grouping import Item, Judged, Kind, Link, a_contact, a_customer
from claims.linking import Read
from claims.profiles import Profile
from claims.resemblance import is_named
from foundation.database import Driver

_decode = msgspec.msgpack.Decoder(Profile).decode


@dataclass(slots=True)
class Region:
    """`placed`: contact → (its case, why it is there), of those that have one. `decisions`: the newest first."""

    items: dict[int, Item] = field(default_factory=dict)
    placed: dict[int, tuple[int, str]] = field(default_factory=dict)
    links: dict[tuple[int, int], Link] = field(default_factory=dict)
    proofs: set[tuple[int, int]] = field(default_factory=set)
    decisions: dict[int, Judged] = field(default_factory=dict)


async def region_of(
    connection: Driver,
    incident_id: str,
    batch: Sequence[Read],
    touched: Collection[int],
    customers: Collection[int] = (),
) -> Region:
    """All that `batch` (contacts without a case yet), `touched` contacts and `customers` have to do with."""
    region = Region()
    for one in batch:
        region.items[one.id] = Item(one.decision.customer_id, is_named(one.profile), one.mark)
    judged = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM identity_decisions WHERE incident_id = $1 AND undone_at IS NULL)", incident_id
    )
    frontier = {*touched, *region.items}
    named = {*customers, *(one.decision.customer_id for one in batch if one.decision.customer_id is not None)}
    seen: set[int] = set()
    asked: set[int] = set()
    while frontier or named:
        await _load(connection, incident_id, region, frontier - region.items.keys())
        frontier &= region.items.keys()
        seen |= frontier
        asked |= named
        reached = await _proofs(connection, region, frontier)
        leading = {one for one in frontier if region.items[one].customer_id is None or one in touched}
        reached |= await _links(connection, region, {*leading, *(one.id for one in batch)} & frontier)
        named = {customer for one in frontier if (customer := region.items[one].customer_id) is not None} | named
        if judged:
            more, customers_too = await _decisions(connection, incident_id, region, frontier, named)
            reached |= more
            named |= customers_too
        else:
            named = set()
        named -= asked
        frontier = reached - seen
    return region


async def _load(connection: Driver, incident_id: str, region: Region, contacts: Collection[int]) -> None:
    if not contacts:
        return
    for row in await connection.fetch(
        """
        SELECT k.id, CASE WHEN k.continues_id IS NULL THEN k.customer_id END AS customer_id, k.fingerprint, k.case_id,
               k.matched_by, p.profile
          FROM contacts k LEFT JOIN contact_profiles p ON p.contact_id = k.id
         WHERE k.id = ANY ($1::bigint[]) AND k.case_id IS NOT NULL AND k.incident_id = $2
        """,
        list(contacts),
        incident_id,
    ):
        named = row["profile"] is not None and is_named(_decode(row["profile"]))
        region.items[row["id"]] = Item(row["customer_id"], named, row["fingerprint"])
        region.placed[row["id"]] = (row["case_id"], row["matched_by"])


async def _links(connection: Driver, region: Region, contacts: Collection[int]) -> set[int]:
    """The joining links of `contacts`; whom they lead to."""
    if not contacts:
        return set()
    rows = await connection.fetch(
        """
        SELECT one_id, other_id, weight FROM contact_links WHERE outcome = 'join' AND one_id = ANY ($1::bigint[])
         UNION ALL
        SELECT one_id, other_id, weight FROM contact_links WHERE outcome = 'join' AND other_id = ANY ($1::bigint[])
        """,
        list(contacts),
    )
    for row in rows:
        region.links[row[0], row[1]] = Link(*row)
    return {contact for row in rows for contact in (row[0], row[1])}


async def _proofs(connection: Driver, region: Region, contacts: Collection[int]) -> set[int]:
    """Contacts that came in by the link of one of `contacts`, or whose link one of these came in by."""
    if not contacts:
        return set()
    rows = await connection.fetch(
        """
        SELECT id, continues_id FROM contacts WHERE continues_id = ANY ($1::bigint[]) AND case_id IS NOT NULL
         UNION ALL
        SELECT id, continues_id FROM contacts WHERE id = ANY ($1::bigint[]) AND continues_id IS NOT NULL
        """,
        list(contacts),
    )
    region.proofs |= {(row[0], row[1]) for row in rows}
    return {contact for row in rows for contact in (row[0], row[1])}


_DECISIONS = """
WITH touched AS (
    SELECT decision_id FROM identity_sides WHERE contact_id = ANY ($2::bigint[])
     UNION
    SELECT decision_id FROM identity_sides WHERE customer_id = ANY ($3::bigint[])
)
SELECT d.id, d.kind, s.side, s.contact_id, s.customer_id
  FROM touched t
  JOIN identity_decisions d ON d.id = t.decision_id AND d.undone_at IS NULL AND d.incident_id = $1
  JOIN identity_sides s ON s.decision_id = d.id
 ORDER BY d.id, s.id
"""

# Numbers and customers go with cases as a whole, so all that is in them comes along.
_IN_CASES = """
WITH homes AS (
    SELECT case_id FROM contacts WHERE id = ANY ($2::bigint[])
     UNION
    SELECT id FROM cases WHERE incident_id = $1 AND customer_id = ANY ($3::bigint[]) AND merged_into IS NULL
)
SELECT k.id FROM homes JOIN contacts k ON k.case_id = homes.case_id
"""


async def _decisions(
    connection: Driver, incident_id: str, region: Region, contacts: Collection[int], customers: Collection[int]
) -> tuple[set[int], set[int]]:
    """The decisions about these; (contacts, customers) they lead to."""
    rows = await connection.fetch(_DECISIONS, incident_id, list(contacts), list(customers))
    sides: dict[int, tuple[Kind, tuple[list[Person], list[Person]]]] = {}
    for decision, kind, side, contact, customer in rows:
        _, both = sides.setdefault(decision, (kind, ([], [])))
        both[side - 1].append(a_contact(contact) if contact is not None else a_customer(customer))
    fresh = {decision: Judged(kind, *both) for decision, (kind, both) in sides.items()}
    region.decisions.update(fresh)
    who = [one for judged in fresh.values() for side in (judged.one, judged.other) for one in side]
    if not who:
        return set(), set()
    found_contacts = {one.id for one in who if one.kind == "contact"}
    found_customers = {one.id for one in who if one.kind == "customer"}
    rest = await connection.fetch(_IN_CASES, incident_id, list(found_contacts), list(found_customers))
    return found_contacts | {row[0] for row in rest}, found_customers


def newest_first(decisions: Mapping[int, Judged]) -> list[Judged]:
    """Decisions in the order in which they outweigh each other."""
    return [decisions[number] for number in sorted(decisions, reverse=True)]
