"""Planned work: begun and ended by itself, once, across restarts, with its components; moved, called off, told."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

import notify
from app.templates import render
from foundation.actors import SYSTEM
from foundation.database import Database
from foundation.errors import Conflict, Invalid
from incidents import Component, MaintenanceWords, PlannedWork, define_components
from incidents.audience import dispatch_key
from incidents.journal import timeline
from incidents.maintenance import Plan, begin, call_off, reschedule, schedule
from incidents.publishing import tell
from incidents.records import Incident, Update, find_incident, updates_of
from incidents.snapshot import read_snapshot
from tests.support.incidents import BOSS, COMPOSER, NOW, WRITER, a_customer, a_draft, declared, say

HOUR = timedelta(hours=1)
WORDS = MaintenanceWords(render, "Europe/Amsterdam")
TITLE = {"en": "New switches", "nl": "Nieuwe switches"}


async def told(tx: Any, moved: Incident, said: Update, *, now: datetime) -> None:
    await tell(tx, moved, said, COMPOSER.messages, now=now, compose_webhook=COMPOSER.webhook)


def work(database: Database, at: datetime) -> PlannedWork:
    return PlannedWork(database=database, words=WORDS, tell=told, clock=lambda: at)


async def planned(database: Database, **changes: Any) -> str:
    values: dict[str, Any] = {"scheduled_for": NOW + HOUR, "scheduled_until": NOW + 3 * HOUR}
    async with database.transaction() as tx:
        plan = Plan(title=TITLE, components=["check-in"], **{**values, **changes})
        return (await schedule(tx, WRITER, plan, now=NOW)).id


async def found(database: Database, incident_id: str) -> tuple[Incident, str]:
    async with database.transaction() as tx:
        incident = await find_incident(tx, incident_id)
        status = await tx.scalar(text("SELECT status FROM components WHERE key = 'check-in'"))
    return incident, status


@pytest.fixture(autouse=True)
async def check_in(database: Database) -> None:
    async with database.transaction() as tx:
        await define_components(tx, [Component("check-in", "Check-in")])
    await a_customer(database, "C1", ("check-in", "R1", None))


async def test_work_begins_and_ends_by_itself_and_its_components_with_it(database: Database) -> None:
    key = await planned(database)
    assert not await work(database, NOW).step()
    assert (await found(database, key))[0].phase == "scheduled"
    assert await work(database, NOW + HOUR).step()
    incident, status = await found(database, key)
    assert (incident.phase, incident.started_at, status) == ("in_progress", NOW + HOUR, "under_maintenance")
    assert not await work(database, NOW + 2 * HOUR).step()
    assert await work(database, NOW + 3 * HOUR).step()
    incident, status = await found(database, key)
    assert (incident.phase, incident.resolved_at, status) == ("completed", NOW + 3 * HOUR, "operational")
    assert not await work(database, NOW + 4 * HOUR).step()
    async with database.transaction() as tx:
        said = await updates_of(tx, key)
        snapshot = await read_snapshot(tx, at=NOW, closed=[key])
        assert await tx.scalar(text("SELECT count(*) FROM deliveries")) == 0, "people are told only when asked for"
    assert [(one.number, one.phase, one.published_by) for one in said] == [
        (1, "in_progress", str(SYSTEM)),
        (2, "completed", str(SYSTEM)),
    ]
    assert said[0].texts["de"].title == "Geplante Arbeiten haben begonnen: New switches"
    assert [one.phase for one in snapshot.maintenances] == ["completed"]
    assert snapshot.open == snapshot.closed == ()


async def test_workers_that_were_away_for_all_of_it_do_both_and_several_do_it_once(database: Database) -> None:
    key = await planned(database)
    late = NOW + 9 * HOUR

    async def one() -> int:
        steps = 0
        while await work(database, late).step():
            steps += 1
        return steps

    for _ in range(3):  # whoever finds it locked passes it over, and comes again a second later
        await asyncio.gather(*(one() for _ in range(4)))
    incident, status = await found(database, key)
    async with database.transaction() as tx:
        assert [said.phase for said in await updates_of(tx, key)] == ["in_progress", "completed"]
    assert (incident.phase, status) == ("completed", "operational")


async def test_what_an_incident_holds_down_stays_down_when_the_work_is_done(database: Database) -> None:
    await planned(database)
    await work(database, NOW + HOUR).step()
    async with database.transaction() as tx:
        outage = await declared(tx)
        await say(tx, outage, a_draft(component_status="partial_outage"))
    await work(database, NOW + 3 * HOUR).step()
    async with database.transaction() as tx:
        assert await tx.scalar(text("SELECT status FROM components")) == "partial_outage"


async def test_what_breaks_while_work_goes_on_goes_back_to_maintenance(database: Database) -> None:
    await planned(database)
    await work(database, NOW + HOUR).step()
    async with database.transaction() as tx:
        outage = await declared(tx)
        await say(tx, outage, a_draft(component_status="major_outage"))
        await say(tx, outage, a_draft(phase="resolved", next_update_at=None, component_status=None))
        assert await tx.scalar(text("SELECT status FROM components")) == "under_maintenance"


async def test_work_that_tells_reaches_everyone_concerned_when_it_begins(database: Database) -> None:
    key = await planned(database, tells_by_itself=True)
    await work(database, NOW + HOUR).step()
    async with database.transaction() as tx:
        (said,) = await updates_of(tx, key)
        counts = await notify.delivery_summary(tx, dispatch_key(said.id))
    assert counts["planned"] == 1


async def test_work_waits_for_somebody_where_that_was_asked_for(database: Database) -> None:
    key = await planned(database, starts_itself=False, ends_itself=False)
    assert not await work(database, NOW + 9 * HOUR).step()
    async with database.transaction() as tx:
        await begin(tx, BOSS, key, WORDS, tell=None, now=NOW + HOUR)
    assert not await work(database, NOW + 9 * HOUR).step()
    assert (await found(database, key))[1] == "under_maintenance"


async def test_work_is_moved_extended_and_called_off(database: Database) -> None:
    key, other = await planned(database), await planned(database)
    async with database.transaction() as tx:
        times = {"scheduled_for": NOW + 2 * HOUR, "scheduled_until": NOW + 4 * HOUR}
        await reschedule(tx, BOSS, key, **times, now=NOW)
        await call_off(tx, BOSS, other, WORDS, tell=None, now=NOW)
    assert not await work(database, NOW + HOUR).step()
    assert await work(database, NOW + 2 * HOUR).step()
    async with database.transaction() as tx:
        await reschedule(tx, BOSS, key, scheduled_until=NOW + 6 * HOUR, now=NOW + 2 * HOUR)
    assert not await work(database, NOW + 5 * HOUR).step()
    with pytest.raises(Conflict):
        async with database.transaction() as tx:
            await reschedule(tx, BOSS, key, scheduled_for=NOW + 5 * HOUR, now=NOW + 2 * HOUR)
    with pytest.raises(Conflict):
        async with database.transaction() as tx:
            await begin(tx, BOSS, other, WORDS, tell=None, now=NOW)
    assert await work(database, NOW + 6 * HOUR).step()
    async with database.transaction() as tx:
        events = [one.event for one in await timeline(tx, key)]
        called_off = await find_incident(tx, other)
        snapshot = await read_snapshot(tx, at=NOW, closed=[other])
    assert [event for event in events if event in ("scheduled", "rescheduled", "extended")] == [
        "scheduled",
        "rescheduled",
        "extended",
    ]
    assert (called_off.phase, called_off.over) == ("cancelled", True)
    assert [one.phase for one in snapshot.maintenances if one.id == other] == ["cancelled"]


async def test_work_in_the_past_or_backwards_is_refused_with_every_fault(database: Database) -> None:
    with pytest.raises(Invalid) as refused:
        await planned(database, scheduled_for=NOW - HOUR, scheduled_until=NOW - 2 * HOUR)
    assert {fault.field for fault in refused.value.faults} == {"scheduled_for", "scheduled_until"}
