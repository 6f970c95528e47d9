"""A case as something that is worked on: found under any of its numbers, held by one writer at a time, closed, opened.

Every change at the desk goes through `hold`: it locks the live case, tells a second writer that somebody was quicker,
and counts the change. Use cases take `tx` and never commit.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from claims.casebook import Entry, write_journal
from foundation.actors import SYSTEM, Actor
from foundation.database import Driver, Tx, driver
from foundation.errors import Conflict, NotFound


@dataclass(frozen=True, slots=True)
class Held:
    """A live case, locked until the transaction ends."""

    id: int
    number: str
    incident_id: str
    customer_id: int | None
    state: str
    agent: str | None
    version: int


_FIND = """
SELECT c.id, c.number, c.incident_id, c.customer_id, c.state, c.agent, c.version, c.merged_into
  FROM cases c WHERE c.number = $1
"""
_LOCK = """
SELECT id, number, incident_id, customer_id, state, agent, version, merged_into FROM cases WHERE id = $1 FOR UPDATE
"""
_COUNT = "UPDATE cases SET version = version + 1 WHERE id = $1"


async def hold(tx: Tx, number: str, *, version: int | None = None) -> Held:
    """The live case behind a number, old ones too, locked; its version counts one on.

    `version`: the one the writer has seen. Raises `NotFound`, and `Conflict` when somebody changed the case since.
    """
    connection = await driver(tx)
    row = await connection.fetchrow(_FIND, plain(number).strip().upper())
    while row is not None:
        row = await connection.fetchrow(_LOCK, row["merged_into"] or row["id"])
        if row is not None and row["merged_into"] is None:
            break
    if row is None:
        raise NotFound("There is no such case.", code="no_such_case")
    if version is not None and version != row["version"]:
        raise Conflict(await _who_was_quicker(connection, row), code="case_changed")
    await connection.execute(_COUNT, row["id"])
    return Held(
        id=row["id"],
        number=row["number"],
        incident_id=row["incident_id"],
        customer_id=row["customer_id"],
        state=row["state"],
        agent=row["agent"],
        version=row["version"] + 1,
    )


async def _who_was_quicker(connection: Driver, row: asyncpg.Record) -> str:
    last = await connection.fetchrow(
        "SELECT actor, event FROM case_journal WHERE case_id = $1 ORDER BY id DESC LIMIT 1", row["id"]
    )
    who = "Somebody" if last is None else shown_actor(last["actor"])
    return (
        f"{who} changed case {row['number']} while you had it open. Nothing of yours was saved: look, then repeat it."
    )


def shown_actor(actor: str) -> str:
    """The name in `kind:name`, for people."""
    kind, _, name = actor.partition(":")
    return "Stormdesk" if kind == "system" else name or actor


async def live_version(tx: Tx, number: str) -> tuple[int, int]:
    """The id of the live case behind a number, and its version. Raises `NotFound`."""
    row = await (await driver(tx)).fetchrow(
        "SELECT id, version FROM cases WHERE id = (SELECT coalesce(merged_into, id) FROM cases WHERE number = $1)",
        plain(number).strip().upper(),
    )
    if row is None:
        raise NotFound("There is no such case.", code="no_such_case")
    return row["id"], row["version"]


async def journal(tx: Tx, actor: Actor, case_id: int, event: str, **detail: object) -> None:
    """A line in the journal of a case."""
    await write_journal(await driver(tx), str(actor), [Entry(case_id, event, detail)])


@dataclass(frozen=True, slots=True)
class LiveClaim:
    """A claim in the live case it is in now. `decision_id`: its newest; `appeal_id`: an open appeal against that."""

    id: int
    contact_id: int | None
    kind: str
    state: str
    decision_id: int | None
    appeal_id: int | None


# Wherever joining and parting have taken the contact that asked, or the case that nobody asked in.
_CLAIMS = """
SELECT l.id, l.contact_id, l.kind, l.state, d.id, a.id
  FROM (SELECT l.* FROM claims l JOIN contacts k ON k.id = l.contact_id WHERE k.case_id = $1
         UNION ALL
        SELECT l.* FROM claims l JOIN cases c ON c.id = l.case_id
         WHERE (c.id = $1 AND c.merged_into IS NULL) OR c.merged_into = $1) l
  LEFT JOIN LATERAL (SELECT o.id FROM decisions o JOIN cases c ON c.id = o.case_id
                      WHERE o.claim_id = l.id AND coalesce(c.merged_into, c.id) = $1
                      ORDER BY o.id DESC LIMIT 1) d ON true
  LEFT JOIN appeals a ON a.decision_id = d.id AND a.state = 'open'
 ORDER BY l.id
"""


async def claims_in(connection: Driver, case_id: int) -> list[LiveClaim]:
    """All that the live case `case_id` asks."""
    return [LiveClaim(*row) for row in await connection.fetch(_CLAIMS, case_id)]


_OPEN = """
SELECT (SELECT count(*) FROM contacts WHERE case_id = $1 AND answered_at IS NULL AND answer_by IS NOT NULL),
       (SELECT count(*) FROM appointments m JOIN contacts k ON k.id = m.contact_id
         WHERE k.case_id = $1 AND m.state = 'promised')
"""


async def unfinished(connection: Driver, case_id: int) -> dict[str, int]:
    """What of the live case `case_id` still waits for us, and how many of it. Closing would break these promises."""
    asked = await claims_in(connection, case_id)
    counts = await connection.fetchrow(_OPEN, case_id)
    assert counts is not None  # of counts there is always a row
    found = {
        "contacts without an answer": counts[0],
        "claims without a decision": sum(one.state == "open" for one in asked),
        "appeals without a decision": sum(one.appeal_id is not None for one in asked),
        "appointments to come": counts[1],
    }
    return {what: number for what, number in found.items() if number}


async def close(tx: Tx, actor: Actor, case: Held, *, now: datetime) -> None:
    """Close a case. Raises `Conflict` while anybody in it still waits for something that was promised."""
    connection = await driver(tx)
    if left := await unfinished(connection, case.id):
        said = ", ".join(f"{number} {what}" for what, number in left.items())
        raise Conflict(f"This case still has {said}. Finish these first.", code="case_unfinished")
    if case.state == "closed":
        return
    await connection.execute("UPDATE cases SET state = 'closed', closed_at = $2 WHERE id = $1", case.id, now)
    await journal(tx, actor, case.id, "closed")


async def reopen(connection: Driver, case_ids: Collection[int], because: Mapping[str, object]) -> None:
    """Open closed cases again; what they were stays in them, and how often they were opened is counted."""
    rows = await connection.fetch(
        """
        UPDATE cases SET state = 'open', closed_at = NULL, reopened = reopened + 1, reopened_at = now(),
                         version = version + 1
         WHERE id = ANY ($1::bigint[]) AND state = 'closed' AND merged_into IS NULL
        RETURNING id
        """,
        list(case_ids),
    )
    await write_journal(connection, str(SYSTEM), [Entry(row[0], "reopened", because) for row in rows])


def plain(text: str | None) -> str:
    """`text` as PostgreSQL can hold it: its text has no NUL, and no lone surrogate."""
    return (text or "").replace("\0", "\ufffd").encode("utf-8", "replace").decode()
