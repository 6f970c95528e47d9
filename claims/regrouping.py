"""What a person decides about who is whom: joining cases, taking one apart, saying that two are strangers; and undoing.

A decision is a row that the rules of identity obey (`claims.identity`), never a change to the contacts themselves. So
undoing one is taking the row out of force, and everything goes back to where the other evidence puts it. Use cases
take `tx` and never commit.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from claims import casebook
from claims.casebook import Entry, write_journal
from claims.cases import Held, hold, plain
from claims.grouping import Kind
from claims.joining import Moved, regroup
from foundation.actors import Actor
from foundation.database import Driver, Tx, driver
from foundation.errors import Conflict, Fault, Invalid, NotFound


@dataclass(frozen=True, slots=True)
class Regrouped:
    """What a decision did. `numbers`: the live cases of everybody it names, the oldest first."""

    decision_id: int
    numbers: Sequence[str]
    moves: Sequence[Moved]


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision as the desk shows it. `numbers`: the live cases of those on side one, and on side two."""

    id: int
    kind: Kind
    actor: str
    reason: str
    made_at: datetime
    undone_at: datetime | None
    undone_by: str | None
    undone_because: str | None
    numbers: tuple[Sequence[str], Sequence[str]]


async def merge(tx: Tx, actor: Actor, number: str, other: str, reason: str) -> Regrouped:
    """Two cases are one person's. Raises `NotFound`, and `Conflict` when they are one or about two incidents."""
    connection = await driver(tx)
    one, two = await _hold_both(tx, number, other)
    sides = [await _one_of(connection, one)], [await _one_of(connection, two)]
    return await _decide(_Desk(connection, actor, one.incident_id), "merged", sides, reason, [one.id, two.id])


async def split(tx: Tx, actor: Actor, number: str, contact_ids: Collection[int], reason: str) -> Regrouped:
    """These contacts of a case are another person's than the rest; the customer stays with the rest.

    Raises `NotFound`, and `Invalid` when they are none or all of the case's contacts, or not in it.
    """
    connection = await driver(tx)
    await _lock(connection, number)
    case = await hold(tx, number)
    inside, taken = set(await _contacts_in(connection, [case.id])), set(contact_ids)
    if not taken or not taken <= inside or (taken == inside and case.customer_id is None):
        fault = Fault("contacts", "Choose some contacts of this case, but not all of them.")
        raise Invalid("The case cannot be split like that.", [fault], code="cannot_split")
    rest = [_Who(contact, None) for contact in sorted(inside - taken)]
    if case.customer_id is not None:
        rest.append(_Who(None, case.customer_id))
    sides = [_Who(contact, None) for contact in sorted(taken)], rest
    return await _decide(_Desk(connection, actor, case.incident_id), "split", sides, reason, [case.id])


async def cannot_link(tx: Tx, actor: Actor, number: str, other: str, reason: str) -> Regrouped:
    """Two cases are two persons', whatever else comes in. Raises `NotFound`, and `Conflict` when they are one case."""
    connection = await driver(tx)
    one, two = await _hold_both(tx, number, other)
    sides = await _all_of(connection, one), await _all_of(connection, two)
    return await _decide(_Desk(connection, actor, one.incident_id), "different", sides, reason, [one.id, two.id])


async def undo(tx: Tx, actor: Actor, decision_id: int, reason: str) -> Regrouped:
    """Take a decision back. Raises `NotFound`, and `Conflict` when it was undone before."""
    connection = await driver(tx)
    _need(reason)
    found = await connection.fetchrow("SELECT incident_id FROM identity_decisions WHERE id = $1", decision_id)
    if found is None:
        raise NotFound("There is no such decision.", code="no_such_decision")
    await casebook.lock_incident(connection, found["incident_id"])
    undone = await connection.fetchval(
        """
        UPDATE identity_decisions SET undone_at = now(), undone_by = $2, undone_because = $3
         WHERE id = $1 AND undone_at IS NULL RETURNING id
        """,
        decision_id,
        str(actor),
        plain(reason),
    )
    if undone is None:
        raise Conflict("This decision was undone before.", code="already_undone")
    cases = [row[0] for row in await connection.fetch(_CASES_OF, decision_id)]
    desk = _Desk(connection, actor, found["incident_id"])
    await _tell(desk, cases, "decision_undone", decision_id, reason)
    return await _put_right(desk, decision_id, cases)


async def decisions_about(tx: Tx, number: str) -> list[Decided]:
    """What people decided about those in this case, undone or not, the oldest first."""
    rows = await (await driver(tx)).fetch(_ABOUT, plain(number).strip().upper())
    return [
        Decided(**{name: row[name] for name in _DECIDED}, numbers=(row["one"] or [], row["other"] or []))
        for row in rows
    ]


@dataclass(frozen=True, slots=True)
class _Who:
    """Somebody on a side of a decision: a contact or a customer."""

    contact_id: int | None
    customer_id: int | None


@dataclass(frozen=True, slots=True)
class _Desk:
    """Who decides, in which incident (locked)."""

    connection: Driver
    actor: Actor
    incident_id: str


_Sides = tuple[Sequence[_Who], Sequence[_Who]]

_DECIDED = ("id", "kind", "actor", "reason", "made_at", "undone_at", "undone_by", "undone_because")

# Where a decision's people are now: the live cases of its contacts and of its customers.
_CASES_OF = """
SELECT k.case_id FROM identity_sides s JOIN contacts k ON k.id = s.contact_id WHERE s.decision_id = $1
 UNION
SELECT coalesce(c.merged_into, c.id) FROM identity_sides s JOIN identity_decisions d ON d.id = s.decision_id
  JOIN cases c ON c.incident_id = d.incident_id AND c.customer_id = s.customer_id
 WHERE s.decision_id = $1
"""

_ABOUT = """
WITH live AS (
    SELECT coalesce(merged_into, id) AS id FROM cases WHERE number = $1
), about AS (
    SELECT s.decision_id FROM live JOIN contacts k ON k.case_id = live.id JOIN identity_sides s ON s.contact_id = k.id
     UNION
    SELECT s.decision_id FROM live JOIN cases c ON c.id = live.id OR c.merged_into = live.id
      JOIN identity_sides s ON s.customer_id = c.customer_id
      JOIN identity_decisions d ON d.id = s.decision_id AND d.incident_id = c.incident_id
), homes AS (
    SELECT s.decision_id, s.side, array_agg(DISTINCT c.number ORDER BY c.number) AS numbers
      FROM about JOIN identity_sides s USING (decision_id) JOIN identity_decisions d ON d.id = s.decision_id
      LEFT JOIN contacts k ON k.id = s.contact_id
      JOIN cases c ON c.id = k.case_id
                   OR (c.incident_id = d.incident_id AND c.customer_id = s.customer_id AND c.merged_into IS NULL)
     GROUP BY s.decision_id, s.side
)
SELECT d.id, d.kind, d.actor, d.reason, d.made_at, d.undone_at, d.undone_by, d.undone_because,
       one.numbers AS one, other.numbers AS other
  FROM about JOIN identity_decisions d ON d.id = about.decision_id
  LEFT JOIN homes one ON one.decision_id = d.id AND one.side = 1
  LEFT JOIN homes other ON other.decision_id = d.id AND other.side = 2
 ORDER BY d.id
"""


async def _lock(connection: Driver, number: str) -> str:
    """Lock the incident of a case; before the case itself, as the resolver does."""
    incident: str | None = await connection.fetchval(
        "SELECT incident_id FROM cases WHERE number = $1", plain(number).strip().upper()
    )
    if incident is None:
        raise NotFound("There is no such case.", code="no_such_case")
    await casebook.lock_incident(connection, incident)
    return incident


async def _hold_both(tx: Tx, number: str, other: str) -> tuple[Held, Held]:
    connection = await driver(tx)
    one_incident = await connection.fetchval(
        "SELECT incident_id FROM cases WHERE number = $1", plain(other).strip().upper()
    )
    if one_incident is not None and one_incident != await _lock(connection, number):
        raise Conflict("These cases are about two incidents.", code="two_incidents")
    one, two = await hold(tx, number), await hold(tx, other)
    if one.id == two.id:
        raise Conflict(f"Both numbers are of case {one.number}.", code="one_case")
    return one, two


async def _contacts_in(connection: Driver, cases: Collection[int]) -> list[int]:
    rows = await connection.fetch("SELECT id FROM contacts WHERE case_id = ANY ($1::bigint[]) ORDER BY id", list(cases))
    return [row[0] for row in rows]


async def _one_of(connection: Driver, case: Held) -> _Who:
    """Who stands for a case: its customer, else its first contact. The others are there for reasons of their own."""
    if case.customer_id is not None:
        return _Who(None, case.customer_id)
    return _Who((await _contacts_in(connection, [case.id]))[0], None)


async def _all_of(connection: Driver, case: Held) -> list[_Who]:
    who = [_Who(contact, None) for contact in await _contacts_in(connection, [case.id])]
    return who if case.customer_id is None else [*who, _Who(None, case.customer_id)]


def _need(reason: str) -> None:
    if not reason.strip():
        raise Invalid("Say why.", [Fault("reason", "Say why: the next person must understand it.")], code="no_reason")


async def _decide(desk: _Desk, kind: Kind, sides: _Sides, reason: str, cases: Collection[int]) -> Regrouped:
    _need(reason)
    decision: int = await desk.connection.fetchval(
        "INSERT INTO identity_decisions (incident_id, kind, actor, reason) VALUES ($1, $2, $3, $4) RETURNING id",
        desk.incident_id,
        kind,
        str(desk.actor),
        plain(reason),
    )
    rows = [(side, who) for side, people in enumerate(sides, start=1) for who in people]
    await desk.connection.execute(
        """
        INSERT INTO identity_sides (decision_id, side, contact_id, customer_id)
        SELECT $1, * FROM unnest($2::smallint[], $3::bigint[], $4::bigint[])
        """,
        decision,
        [side for side, _ in rows],
        [who.contact_id for _, who in rows],
        [who.customer_id for _, who in rows],
    )
    await _tell(desk, cases, {"different": "kept_apart"}.get(kind, f"{kind}_by_hand"), decision, reason)
    return await _put_right(desk, decision, cases)


async def _tell(desk: _Desk, cases: Iterable[int], event: str, decision: int, reason: str) -> None:
    detail = {"decision": decision, "reason": plain(reason)}
    await write_journal(desk.connection, str(desk.actor), [Entry(case, event, detail) for case in sorted(cases)])


async def _put_right(desk: _Desk, decision: int, cases: Collection[int]) -> Regrouped:
    connection = desk.connection
    contacts = await _contacts_in(connection, cases)
    customers = await connection.fetch(
        "SELECT DISTINCT customer_id FROM cases WHERE (id = ANY ($1::bigint[]) OR merged_into = ANY ($1::bigint[]))"
        " AND customer_id IS NOT NULL",
        list(cases),
    )
    moves = await regroup(connection, desk.incident_id, desk.actor, contacts, [row[0] for row in customers])
    numbers = await connection.fetch(
        """
        SELECT DISTINCT c.number, c.id FROM cases c
         WHERE c.merged_into IS NULL AND (c.id IN (SELECT case_id FROM contacts WHERE id = ANY ($1::bigint[]))
                                          OR (c.incident_id = $3 AND c.customer_id = ANY ($2::bigint[])))
         ORDER BY c.id
        """,
        contacts,
        [row[0] for row in customers],
        desk.incident_id,
    )
    return Regrouped(decision, [row[0] for row in numbers], moves)
