"""Why two contacts are one person's, or are not, in words for agent and customer. Read only.

It compares them by the rules of `claims.resemblance` as the resolver does, and decides nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import asyncpg

from claims.evidence import clues_in, profile_in
from claims.identity import Key
from claims.linking import shared_by
from claims.profiles import Profile, meeting_points
from claims.resemblance import Outcome, resemblance
from claims.submissions import NOTHING_SAID, stored_submission
from foundation.database import Tx, driver
from foundation.errors import NotFound


@dataclass(frozen=True, slots=True)
class Compared:
    """One thing that both contacts say. `level`: how well it agrees; `weight`: how much that says, in bits, signed."""

    field: str
    level: str
    weight: float
    one: str
    other: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why two contacts resemble each other, or not. `missing`: what either left out that would have told more."""

    outcome: Outcome
    weight: float
    compared: Sequence[Compared]
    missing: Sequence[str]
    decided_by: str | None  # the person whose decision outweighs all this


# What would have told more, had both said it.
_TELLING = ("name", "mail", "phone", "reference", "customer_number", "birth_date", "postcode")

_CONTACTS = """
SELECT k.id, k.channel, k.raw, k.incident_id, k.customer_id, k.case_id, c.number AS customer_number
  FROM contacts k LEFT JOIN customers c ON c.id = k.customer_id WHERE k.id = ANY ($1::bigint[])
"""

_JUDGED = """
SELECT d.kind, d.actor
  FROM identity_decisions d
  JOIN identity_sides a ON a.decision_id = d.id AND (a.contact_id = $1 OR a.customer_id = $3)
  JOIN identity_sides b ON b.decision_id = d.id AND (b.contact_id = $2 OR b.customer_id = $4)
 WHERE d.undone_at IS NULL AND ((d.kind = 'merged') OR (d.kind = 'split' AND a.side = b.side) OR a.side <> b.side)
 ORDER BY d.id DESC LIMIT 1
"""


async def explain(tx: Tx, one_id: int, other_id: int) -> Explanation:
    """Why two contacts are or are not one person's. Raises `NotFound`."""
    connection = await driver(tx)
    rows = {row["id"]: row for row in await connection.fetch(_CONTACTS, [one_id, other_id])}
    if rows.keys() != {one_id, other_id}:
        raise NotFound("There is no such contact.", code="no_such_contact")
    one, other = _profile(rows[one_id]), _profile(rows[other_id])
    keys = [*_keys(one), *_keys(other)]
    shared = await shared_by(connection, rows[one_id]["incident_id"] or "", keys)
    found = resemblance(one, other, shared)
    compared = [
        Compared(each.field, each.level, each.weight, _value(one, each.field), _value(other, each.field))
        for each in found.agreed
    ]
    numbers = [rows[contact]["customer_number"] for contact in (one_id, other_id)]
    outcome: Outcome = found.outcome
    if None not in numbers:
        same = numbers[0] == numbers[1]
        outcome = "join" if same else "apart"
        compared.insert(0, Compared("directory", "same" if same else "other", 0.0, *numbers))
    customers = [rows[contact]["customer_id"] for contact in (one_id, other_id)]
    judged = await connection.fetchrow(_JUDGED, one_id, other_id, *customers)
    if judged is not None:
        joined = rows[one_id]["case_id"] == rows[other_id]["case_id"]
        outcome = "join" if joined else "apart"
    missing = [field for field in _TELLING if not (_value(one, field) and _value(other, field))]
    return Explanation(outcome, found.weight, compared, missing, None if judged is None else judged["actor"])


def _profile(row: asyncpg.Record) -> Profile:
    said = stored_submission(row["channel"], row["raw"]) or NOTHING_SAID
    return profile_in(said, clues_in(said))


def _keys(profile: Profile) -> Iterator[Key]:
    yield from meeting_points(profile)
    yield from (Key("mail", mail) for mail in profile.mails)


def _value(profile: Profile, field: str) -> str:
    """What a contact says in a field, for a person to read beside the other."""
    values = {
        "name": f"{profile.given} {profile.surname}".strip(),
        "mail": ", ".join(profile.mails),
        "reference": ", ".join(profile.references),
        "customer_number": ", ".join(profile.numbers),
    }
    return values[field] if field in values else str(getattr(profile, field))
