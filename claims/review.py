"""The grey pairs: contacts that resemble each other too much to be strangers for sure, and too little to be joined.

A person looks at them side by side. What they say becomes a decision (`claims.regrouping`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from claims.explaining import Explanation, explain
from claims.regrouping import Regrouped, cannot_link, merge
from foundation.actors import Actor
from foundation.database import Tx, driver
from foundation.errors import NotFound


@dataclass(frozen=True, slots=True)
class GreyPair:
    """Two contacts in two live cases, and how they compare."""

    one_id: int
    other_id: int
    one_number: str
    other_number: str
    incident_id: str
    weight: float
    explanation: Explanation


# A pair whose contacts are in two live cases, unless somebody said they are two persons. Of the pairs between the same
# two cases, the strongest. Pairs that would join but for a second candidate wait here too.
_PAIRS = """
SELECT DISTINCT ON (least(a.case_id, b.case_id), greatest(a.case_id, b.case_id))
       l.one_id, l.other_id, ca.number AS one_number, cb.number AS other_number, a.incident_id, l.weight
  FROM contact_links l
  JOIN contacts a ON a.id = l.one_id
  JOIN contacts b ON b.id = l.other_id
  JOIN cases ca ON ca.id = a.case_id
  JOIN cases cb ON cb.id = b.case_id
 WHERE a.case_id <> b.case_id AND ($1::text IS NULL OR a.incident_id = $1)
   AND ($2::text IS NULL OR $2 IN (ca.number, cb.number))
   AND NOT EXISTS (
        SELECT FROM identity_sides x JOIN identity_sides y ON y.decision_id = x.decision_id AND y.side <> x.side
          JOIN identity_decisions d ON d.id = x.decision_id
         WHERE d.undone_at IS NULL AND d.kind <> 'merged'
           AND (x.contact_id = l.one_id OR x.customer_id = ca.customer_id)
           AND (y.contact_id = l.other_id OR y.customer_id = cb.customer_id))
 ORDER BY least(a.case_id, b.case_id), greatest(a.case_id, b.case_id), l.weight DESC, l.one_id, l.other_id
"""


async def grey_pairs(
    tx: Tx,
    *,
    incident_id: str | None = None,
    number: str | None = None,
    after: tuple[int, int] = (0, 0),
    limit: int = 50,
) -> Sequence[GreyPair]:
    """Pairs that wait for a person, in order of their ids: one of each two cases, none that somebody has decided.

    `number`: only those with a contact of this live case.
    """
    rows = await (await driver(tx)).fetch(
        f"SELECT * FROM ({_PAIRS}) pairs WHERE (one_id, other_id) > ($3::bigint, $4::bigint)"  # noqa: S608 (our own text)
        " ORDER BY one_id, other_id LIMIT $5",
        incident_id,
        number,
        *after,
        limit,
    )
    return [GreyPair(**row, explanation=await explain(tx, row["one_id"], row["other_id"])) for row in rows]


async def count_grey_pairs(tx: Tx, *, incident_id: str | None = None) -> int:
    """How many wait."""
    found: int = await (await driver(tx)).fetchval(
        f"SELECT count(*) FROM ({_PAIRS}) pairs",  # noqa: S608 (our own text)
        incident_id,
        None,
    )
    return found


async def answer(tx: Tx, actor: Actor, one_id: int, other_id: int, *, same: bool, reason: str) -> Regrouped:
    """What a person says of a pair: merge, or cannot-link. Raises `NotFound` and `Conflict` as these do."""
    rows = await (await driver(tx)).fetch(
        "SELECT k.id, c.number FROM contacts k JOIN cases c ON c.id = k.case_id WHERE k.id = ANY ($1::bigint[])",
        [one_id, other_id],
    )
    numbers = {row["id"]: row["number"] for row in rows}
    if one_id not in numbers or other_id not in numbers:
        raise NotFound("There is no such contact with a case.", code="no_such_contact")
    decide = merge if same else cannot_link
    return await decide(tx, actor, numbers[one_id], numbers[other_id], reason)
