"""Pays what was granted: a run is prepared by one person, let go by another, and what becomes of each payment is kept.

Nobody is paid twice: one live payment for what is granted once, of exactly its amount (the database's), and one for a
passenger on a component in a case, whatever bookings and joins brought them there (worked out here, under the lock that
whoever joins cases takes too). Use cases take `tx` and never commit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from claims.casebook import Entry, lock_incident, write_journal
from claims.cases import plain
from foundation.actors import Actor
from foundation.database import Driver, Tx, driver
from foundation.errors import Conflict, Fault, Invalid, NotFound

MOST_PAYMENTS = 50_000  # in one run; the rest waits for the next


@dataclass(frozen=True, slots=True)
class Run:
    """A payment run. `state`: prepared, approved, paid or cancelled; `minor`: the total."""

    id: int
    incident_id: str
    pays: str
    currency: str
    state: str
    payments: int
    minor: int
    made_by: str
    made_at: datetime
    approved_by: str | None
    approved_at: datetime | None
    ended_by: str | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Payment:
    """One payment of a run."""

    id: int
    entitlement_id: int
    case_number: str
    scheme: str
    payee: str
    iban: str
    reference: str
    minor: int
    currency: str
    state: str
    returned_because: str


@dataclass(frozen=True, slots=True)
class Due:
    """What waits to be paid in an incident, one way and in one currency; what lacks an account, and what is held.

    `held`: the same passenger on the same component in one case, entitled by two bookings; one of them is paid.
    """

    incident_id: str
    pays: str
    currency: str
    payable: int
    minor: int
    no_account: int
    held: int


# Everything granted and not in a run. A passenger who is paid for already, or stands here twice, comes once.
_WAITING = """
WITH granted AS (
    SELECT e.*, coalesce(o.merged_into, o.id) AS home,
           EXISTS (SELECT FROM payments p WHERE p.entitlement_id = e.id AND p.state <> 'returned') AS taken
      FROM entitlements e LEFT JOIN contacts k ON k.id = e.contact_id
      LEFT JOIN cases o ON o.id = coalesce(e.case_id, k.case_id)
     WHERE e.state = 'granted'
), waiting AS (
    SELECT g.*, g.pays = 'account' AND g.iban = '' AS no_account,
           g.passenger_key <> '' AND EXISTS (
               SELECT FROM granted other
                WHERE other.incident_id = g.incident_id AND other.scheme = g.scheme AND other.home = g.home
                  AND other.component_key = g.component_key AND other.passenger_key = g.passenger_key
                  AND other.id <> g.id AND (other.taken OR other.id < g.id)) AS held
      FROM granted g WHERE NOT g.taken
)
"""


async def due(tx: Tx) -> list[Due]:
    """What waits to be paid, by incident, way and currency."""
    rows = await (await driver(tx)).fetch(
        _WAITING  # noqa: S608 (both halves are ours)
        + """
        SELECT incident_id, pays, currency, count(*) FILTER (WHERE NOT held AND NOT no_account),
               coalesce(sum(minor) FILTER (WHERE NOT held AND NOT no_account), 0)::bigint,
               count(*) FILTER (WHERE no_account AND NOT held), count(*) FILTER (WHERE held)
          FROM waiting GROUP BY incident_id, pays, currency ORDER BY 1, 2, 3
        """
    )
    return [Due(*row) for row in rows]


async def prepare(tx: Tx, actor: Actor, incident_id: str, pays: str, currency: str, *, now: datetime) -> int:
    """Put all that is payable into a new run; its id. Raises Conflict when there is nothing."""
    connection = await driver(tx)
    await lock_incident(connection, incident_id)
    rows = await connection.fetch(
        _WAITING  # noqa: S608 (both halves are ours)
        + """
        SELECT id, minor, currency, CASE WHEN account_name <> '' THEN account_name ELSE passenger END AS payee, iban,
               reference
          FROM waiting
         WHERE incident_id = $1 AND pays = $2 AND currency = $3 AND NOT held AND NOT no_account ORDER BY id LIMIT $4
        """,
        incident_id,
        pays,
        currency,
        MOST_PAYMENTS,
    )
    if not rows:
        raise Conflict("There is nothing to pay here now.", code="nothing_to_pay")
    run: int = await connection.fetchval(
        """
        INSERT INTO payment_runs (incident_id, pays, currency, payments, minor, made_by, made_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id
        """,
        incident_id,
        pays,
        currency,
        len(rows),
        sum(row["minor"] for row in rows),
        str(actor),
        now,
    )
    await connection.executemany(
        """
        INSERT INTO payments (run_id, entitlement_id, minor, currency, payee, iban, reference)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        """,
        [(run, *row) for row in rows],
    )
    return run


async def approve(tx: Tx, actor: Actor, run_id: int, *, now: datetime) -> None:
    """Let a run go. Raises Conflict for whoever prepared it: nobody pays alone."""
    connection = await driver(tx)
    run = await _locked(connection, run_id)
    if run.made_by == str(actor):
        raise Conflict("You prepared this run. Somebody else must let it go.", code="four_eyes")
    await _move(connection, run, "prepared", "approved_by = $3, approved_at = $4, state = 'approved'", by=(actor, now))


async def cancel(tx: Tx, actor: Actor, run_id: int, *, now: datetime) -> None:
    """Call a run off before it is paid; what was in it waits again."""
    connection = await driver(tx)
    run = await _locked(connection, run_id)
    if run.state not in ("prepared", "approved"):
        raise Conflict("This run was paid or called off before.", code="run_ended")
    await _move(connection, run, run.state, "ended_by = $3, ended_at = $4, state = 'cancelled'", by=(actor, now))
    await connection.execute(
        "UPDATE payments SET state = 'returned', returned_at = $2, returned_because = 'called off' WHERE run_id = $1",
        run_id,
        now,
    )


async def note_paid(tx: Tx, actor: Actor, run_id: int, *, now: datetime) -> None:
    """The bank, or whoever pays, took the file: everything in it is paid. Only of a run that was let go."""
    connection = await driver(tx)
    run = await _locked(connection, run_id)
    await _move(connection, run, "approved", "ended_by = $3, ended_at = $4, state = 'paid'", by=(actor, now))
    await connection.execute(
        "UPDATE payments SET state = 'paid', paid_at = $2 WHERE run_id = $1 AND state = 'planned'", run_id, now
    )
    # In the journal of every case that it was paid in, as the customer may ask about it there.
    rows = await connection.fetch(_CASES, run_id)
    entries = [Entry(row["home"], "paid", {"payment": row["id"], "minor": row["minor"]}) for row in rows]
    await write_journal(connection, str(actor), entries)


async def note_returned(tx: Tx, actor: Actor, payment_id: int, because: str, *, now: datetime) -> None:
    """A payment came back: it may be paid again, in another run, to another account."""
    if not because.strip():
        raise Invalid("Say why it came back.", [Fault("why", "Say why it came back.")], code="no_reason")
    connection = await driver(tx)
    done = await connection.fetchrow(
        """
        UPDATE payments SET state = 'returned', returned_at = $2, returned_because = $3
         WHERE id = $1 AND state = 'paid' RETURNING run_id, id
        """,
        payment_id,
        now,
        plain(because)[:500],
    )
    if done is None:
        raise Conflict("This payment was not made, or came back before.", code="not_paid")
    rows = await connection.fetch(_CASES + " AND p.id = $2", done["run_id"], payment_id)
    await write_journal(
        connection, str(actor), [Entry(row["home"], "payment_returned", {"payment": row["id"]}) for row in rows]
    )


async def runs(tx: Tx) -> list[Run]:
    """The newest runs."""
    return [Run(*row) for row in await (await driver(tx)).fetch(_RUN + " ORDER BY id DESC LIMIT 100")]


async def run_of(tx: Tx, run_id: int) -> tuple[Run, Sequence[Payment]]:
    """A run and all that is in it. Raises NotFound."""
    connection = await driver(tx)
    row = await connection.fetchrow(_RUN + " WHERE id = $1", run_id)
    if row is None:
        raise NotFound("There is no such payment run.", code="no_such_run")
    return Run(*row), [Payment(*one) for one in await connection.fetch(_PAYMENTS, run_id)]


_RUN = """
SELECT id, incident_id, pays, currency, state, payments, minor, made_by, made_at, approved_by, approved_at, ended_by,
       ended_at
  FROM payment_runs
"""
_PAYMENTS = """
SELECT p.id, p.entitlement_id, coalesce(s.number, ''), e.scheme, p.payee, p.iban, p.reference, p.minor, p.currency,
       p.state, p.returned_because
  FROM payments p JOIN entitlements e ON e.id = p.entitlement_id LEFT JOIN contacts k ON k.id = e.contact_id
  LEFT JOIN cases o ON o.id = coalesce(e.case_id, k.case_id) LEFT JOIN cases s ON s.id = coalesce(o.merged_into, o.id)
 WHERE p.run_id = $1 ORDER BY p.id
"""
_CASES = """
SELECT p.id, p.minor, coalesce(o.merged_into, o.id) AS home
  FROM payments p JOIN entitlements e ON e.id = p.entitlement_id LEFT JOIN contacts k ON k.id = e.contact_id
  JOIN cases o ON o.id = coalesce(e.case_id, k.case_id)
 WHERE p.run_id = $1
"""


async def _locked(connection: Driver, run_id: int) -> Run:
    row: asyncpg.Record | None = await connection.fetchrow(_RUN + " WHERE id = $1 FOR UPDATE", run_id)
    if row is None:
        raise NotFound("There is no such payment run.", code="no_such_run")
    return Run(*row)


async def _move(connection: Driver, run: Run, expected: str, change: str, *, by: tuple[Actor, datetime]) -> None:
    moved = await connection.fetchval(
        f"UPDATE payment_runs SET {change} WHERE id = $1 AND state = $2 RETURNING id",  # noqa: S608 (ours)
        run.id,
        expected,
        str(by[0]),
        by[1],
    )
    if moved is None:
        raise Conflict(f"This run is {run.state}, so that cannot be done with it.", code="run_state")
