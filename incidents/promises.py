"""Promises: every update says when the next one comes, and whether that was true is measured and kept.

A promise is settled once, by the update that follows or by its time running out, whichever is first; a missed one stays
missed. Use cases and reads; who is warned and alarmed is `chasing`'s.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import case, func, insert, select, text, update

from foundation.database import Tx
from incidents.tables import promises, updates

PromiseState = Literal["standing", "kept", "missed"]


@dataclass(frozen=True, slots=True)
class Promise:
    """That the update after `update_id` comes by `due_at`. `followed_at`: when it did, also too late."""

    update_id: str
    incident_id: str
    due_at: datetime
    state: PromiseState
    settled_at: datetime | None
    followed_at: datetime | None
    warned_at: datetime | None
    alarmed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Record:
    """How well promises are kept. `median_lateness`, `worst_lateness`: of the missed ones that were followed."""

    kept: int
    missed: int
    standing: int
    overdue: int
    median_lateness: timedelta | None
    worst_lateness: timedelta | None


async def settle_and_promise(tx: Tx, update_id: str, *, at: datetime) -> None:
    """What publishing an update at `at` means for promises: it keeps the standing one, or comes too late for it, and
    makes its own. The incident's row must be locked."""
    said = (
        await tx.execute(select(updates.c.incident_id, updates.c.next_update_at).where(updates.c.id == update_id))
    ).one()
    await settle(tx, said.incident_id, at=at)
    if said.next_update_at is not None:
        values = {"update_id": update_id, "incident_id": said.incident_id, "due_at": said.next_update_at}
        await tx.execute(insert(promises).values(**values))


async def settle(tx: Tx, incident_id: str, *, at: datetime) -> None:
    """Something was said about the incident at `at`: what was promised before is kept, or missed and now followed."""
    in_time = case((promises.c.due_at >= at, "kept"), else_="missed")
    await tx.execute(
        update(promises)
        .where(promises.c.incident_id == incident_id, promises.c.followed_at.is_(None))
        .values(
            state=case((promises.c.state == "standing", in_time), else_=promises.c.state),
            settled_at=func.coalesce(promises.c.settled_at, at),
            followed_at=at,
        )
    )


async def promises_of(tx: Tx, incident_id: str) -> list[Promise]:
    """Every promise of an incident, in the order in which they were due."""
    query = select(promises).where(promises.c.incident_id == incident_id)
    rows = await tx.execute(query.order_by(promises.c.due_at, promises.c.update_id))
    return [Promise(**row._mapping) for row in rows]


async def promises_due(tx: Tx, *, limit: int = 100) -> list[Promise]:
    """What is promised now or was missed and is still waited for, the most urgent first; drills are among them."""
    waited_for = promises.c.followed_at.is_(None)
    rows = await tx.execute(select(promises).where(waited_for).order_by(promises.c.due_at).limit(limit))
    return [Promise(**row._mapping) for row in rows]


async def promise_record(tx: Tx, *, since: datetime, now: datetime, incident_id: str | None = None) -> Record:
    """How promises that were due since `since` went, of one incident or of all real ones (drills count alone)."""
    row = (await tx.execute(_RECORD, {"since": since, "now": now, "incident_id": incident_id})).one()
    return Record(**row._mapping)


_RECORD = text("""
SELECT count(*) FILTER (WHERE p.state = 'kept') AS kept,
       count(*) FILTER (WHERE p.state = 'missed') AS missed,
       count(*) FILTER (WHERE p.state = 'standing') AS standing,
       count(*) FILTER (WHERE p.followed_at IS NULL AND p.due_at < :now) AS overdue,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY p.followed_at - p.due_at)
           FILTER (WHERE p.state = 'missed' AND p.followed_at IS NOT NULL) AS median_lateness,
       max(p.followed_at - p.due_at) FILTER (WHERE p.state = 'missed') AS worst_lateness
  FROM promises p JOIN incidents i ON i.id = p.incident_id
 WHERE p.due_at >= :since
   AND CASE WHEN CAST(:incident_id AS text) IS NULL THEN NOT i.exercise ELSE i.id = :incident_id END
""")
