"""Planned work: announced, begun and ended by itself or by hand, moved, called off. Use cases; none commits.

It is an incident of its own kind: what it concerns, what is said of it and who is told work as for any other. What it
says by itself (that it began, that it is over) is written by `words` and stands in the numbers of its updates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import func, insert, select, update

import notify
from foundation.actors import Actor
from foundation.database import Tx
from foundation.errors import Conflict, Fault, Invalid
from incidents.identifiers import new_id
from incidents.journal import note
from incidents.lifecycle import ComponentStatus, Phase, tidy_title, title_faults
from incidents.moving import move, restate
from incidents.publishing import check_scope, widen
from incidents.records import Incident, Update, find_incident, find_update, stored_texts
from incidents.tables import incidents, updates
from incidents.wording import UpdateText

LONGEST = timedelta(days=30)
FARTHEST = timedelta(days=366)


class Words(Protocol):
    """Writes what planned work says by itself: language → text, for the phase it is in then."""

    def __call__(self, incident: Incident, phase: Phase) -> Mapping[str, UpdateText]: ...


class Tell(Protocol):
    """Plans the deliveries of an update that planned work published by itself; see `publishing.tell`."""

    async def __call__(self, tx: Tx, moved: Incident, said: Update, *, now: datetime) -> None: ...


@dataclass(frozen=True, slots=True)
class Plan:
    """Work that is to be done: what it is called, when, and what it concerns.

    `starts_itself`, `ends_itself`: at those times, whether somebody looks or not. `tells_by_itself`: everyone concerned
    is told then; else the page says it, and people are told what somebody writes to them.
    """

    title: Mapping[str, str]
    scheduled_for: datetime
    scheduled_until: datetime
    components: Sequence[str] = ()
    groups: Sequence[str] = ()
    starts_itself: bool = True
    ends_itself: bool = True
    tells_by_itself: bool = False
    exercise: bool = False


async def schedule(tx: Tx, actor: Actor, plan: Plan, *, now: datetime) -> Incident:
    """Plan work. It becomes public with the first update about it, or when it begins. Raises Invalid, every fault."""
    title = tidy_title(plan.title)
    faults = [*title_faults(title), *_time_faults(plan.scheduled_for, plan.scheduled_until, now)]
    if not plan.components and not plan.groups:
        faults.append(Fault("components", "Name at least one component or group that is worked on."))
    if faults:
        raise Invalid("This work cannot be planned like this.", faults)
    await check_scope(tx, plan.components, plan.groups)
    incident_id = new_id()
    await tx.execute(
        insert(incidents).values(
            id=incident_id,
            kind="maintenance",
            title=title,
            phase="scheduled",
            impact="none",
            exercise=plan.exercise,
            started_at=plan.scheduled_for,
            aware_at=now,
            scheduled_for=plan.scheduled_for,
            scheduled_until=plan.scheduled_until,
            starts_itself=plan.starts_itself,
            ends_itself=plan.ends_itself,
            tells_by_itself=plan.tells_by_itself,
            created_by=str(actor),
            created_at=now,
            updated_at=now,
        )
    )
    await widen(tx, incident_id, plan.components, plan.groups)
    if plan.exercise:
        await notify.rehearse(tx, incident_id)
    times = _times(plan.scheduled_for, plan.scheduled_until)
    await note(tx, incident_id, actor, "scheduled", {**times, "exercise": plan.exercise}, now=now)
    return await find_incident(tx, incident_id)


async def reschedule(
    tx: Tx,
    actor: Actor,
    incident_id: str,
    *,
    scheduled_for: datetime | None = None,
    scheduled_until: datetime | None = None,
    now: datetime,
) -> Incident:
    """Move work that has not begun, or let work take longer or shorter that has. What is left out stays.

    Nobody is told by this: write an update. Raises Conflict when it is over, or its beginning is past; Invalid.
    """
    incident = await _planned(tx, incident_id)
    if incident.phase != "scheduled" and scheduled_for is not None:
        raise Conflict("This work has begun: only its end can still be moved.", code="has_begun")
    begins, ends = scheduled_for or incident.scheduled_for, scheduled_until or incident.scheduled_until
    assert begins is not None
    assert ends is not None
    if faults := list(_time_faults(begins, ends, now, begun=incident.phase != "scheduled")):
        raise Invalid("This work cannot be moved like this.", faults)
    if (begins, ends) == (incident.scheduled_for, incident.scheduled_until):
        return incident
    changed: dict[str, Any] = {"scheduled_for": begins, "scheduled_until": ends, "updated_at": now}
    if incident.phase == "scheduled":
        changed["started_at"] = begins
    await tx.execute(update(incidents).where(incidents.c.id == incident.id).values(**changed))
    longer = incident.scheduled_until is not None and ends > incident.scheduled_until
    event = "extended" if longer and begins == incident.scheduled_for else "rescheduled"
    await note(tx, incident.id, actor, event, _times(begins, ends), now=now)
    return await find_incident(tx, incident.id)


async def begin(tx: Tx, actor: Actor, incident_id: str, words: Words, *, tell: Tell | None, now: datetime) -> Update:
    """Begin work now. Raises Conflict unless it is scheduled."""
    incident = await _planned(tx, incident_id)
    if incident.phase != "scheduled":
        raise Conflict("This work has begun already.", code="has_begun")
    return await _say(tx, actor, incident, "in_progress", words, tell=tell, now=now)


async def end(tx: Tx, actor: Actor, incident_id: str, words: Words, *, tell: Tell | None, now: datetime) -> Update:
    """End work now. Raises Conflict unless it is under way."""
    incident = await _planned(tx, incident_id)
    if incident.phase == "scheduled":
        raise Conflict("This work has not begun. Call it off instead.", code="not_begun")
    return await _say(tx, actor, incident, "completed", words, tell=tell, now=now)


async def call_off(tx: Tx, actor: Actor, incident_id: str, words: Words, *, tell: Tell | None, now: datetime) -> Update:
    """Call work off that has not begun. Raises Conflict otherwise."""
    incident = await _planned(tx, incident_id)
    if incident.phase != "scheduled":
        raise Conflict("This work has begun: end it instead.", code="has_begun")
    return await _say(tx, actor, incident, "cancelled", words, tell=tell, now=now)


async def due(tx: Tx, *, now: datetime) -> tuple[str, Phase] | None:
    """One piece of work whose time to begin or to end has come, locked, with its phase; None when there is none.

    What another worker is about to move is passed over. Work that should have begun and ended while nobody worked
    begins first.
    """
    c = incidents.c
    begins = c.starts_itself & (c.phase == "scheduled") & (c.scheduled_for <= now)
    ends = c.ends_itself & c.phase.in_(("in_progress", "verifying")) & (c.scheduled_until <= now)
    query = select(c.id, c.phase).where(c.kind == "maintenance", c.resolved_at.is_(None), begins | ends)
    query = query.order_by(c.scheduled_for, c.id).limit(1).with_for_update(skip_locked=True, key_share=True)
    row = (await tx.execute(query)).one_or_none()
    return None if row is None else (row.id, row.phase)


async def _planned(tx: Tx, incident_id: str) -> Incident:
    incident = await find_incident(tx, incident_id, lock=True)
    if incident.kind != "maintenance":
        raise Conflict("This is no planned work but an incident.", code="no_maintenance")
    if incident.over:
        raise Conflict("This work is over, or was called off.", code="over")
    return incident


_LEAVES: dict[Phase, ComponentStatus | None] = {
    "in_progress": "under_maintenance",
    "completed": "operational",
    "cancelled": None,
}


async def _say(
    tx: Tx, actor: Actor, incident: Incident, phase: Phase, words: Words, *, tell: Tell | None, now: datetime
) -> Update:
    """Publish what the work says by itself. Whoever planned it has vouched for that: the words are fixed."""
    update_id = new_id()
    texts = words(incident, phase)
    by = {"created_by": incident.created_by, "written_by": incident.created_by, "approved_by": incident.created_by}
    at = {"created_at": now, "written_at": now, "approved_at": now}
    row = {"id": update_id, "incident_id": incident.id, "phase": phase, "texts": stored_texts(texts), **by, **at}
    row |= {"component_status": _LEAVES[phase], "state": "approved"}
    await tx.execute(insert(updates).values(**row))
    said = await find_update(tx, update_id)
    await restate(tx, incident, said, now=now)
    last = select(func.coalesce(func.max(updates.c.number), 0) + 1).where(updates.c.incident_id == incident.id)
    published = {"state": "published", "published_by": str(actor), "published_at": now}
    numbered = update(updates).where(updates.c.id == update_id)
    await tx.execute(numbered.values(number=last.scalar_subquery(), **published))
    await move(tx, actor, incident, said, now=now)
    said = await find_update(tx, update_id)
    if incident.tells_by_itself and tell is not None:
        await tell(tx, await find_incident(tx, incident.id), said, now=now)
    return said


def _time_faults(begins: datetime, ends: datetime, now: datetime, *, begun: bool = False) -> Sequence[Fault]:
    faults = []
    if not begun and begins <= now:
        faults.append(Fault("scheduled_for", "Work is planned for a time that is still ahead."))
    if begins > now + FARTHEST:
        faults.append(Fault("scheduled_for", "Plan work within a year."))
    if ends <= begins or ends <= now:
        faults.append(Fault("scheduled_until", "Work ends after it begins, at a time that is still ahead."))
    elif ends - begins > LONGEST:
        faults.append(Fault("scheduled_until", "Work takes thirty days at most."))
    return faults


def _times(begins: datetime, ends: datetime) -> dict[str, str]:
    return {"scheduled_for": begins.isoformat(), "scheduled_until": ends.isoformat()}
