"""Promises of a next update: kept or missed, measured once, and impact and phases as updates move them."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from foundation.database import Database
from foundation.errors import Conflict
from incidents import Component, define_components
from incidents.journal import timeline
from incidents.leading import reopen
from incidents.promises import promise_record, promises_due, promises_of
from incidents.publishing import amend
from incidents.records import find_incident
from tests.support.incidents import BOSS, NOW, WRITER, a_draft, declared, say

SOON = timedelta(minutes=20)


@pytest.fixture
async def check_in(database: Database) -> str:
    async with database.transaction() as tx:
        await define_components(tx, [Component("check-in", "Check-in"), Component("bags", "Bags")])
        return await declared(tx, impact=None)


async def test_an_update_in_time_keeps_the_promise_of_the_one_before(database: Database, check_in: str) -> None:
    async with database.transaction() as tx:
        await say(tx, check_in, a_draft(), now=NOW)
        await say(tx, check_in, a_draft(next_update_at=NOW + 3 * SOON), now=NOW + SOON)
        first, second = await promises_of(tx, check_in)
    assert (first.state, first.followed_at, first.settled_at) == ("kept", NOW + SOON, NOW + SOON)
    assert (second.state, second.due_at) == ("standing", NOW + 3 * SOON)


async def test_an_update_too_late_leaves_the_promise_missed_for_ever(database: Database, check_in: str) -> None:
    late = NOW + SOON + timedelta(seconds=1)
    async with database.transaction() as tx:
        await say(tx, check_in, a_draft(), now=NOW)
        await say(tx, check_in, a_draft(next_update_at=NOW + 3 * SOON), now=late)
        await say(tx, check_in, a_draft(phase="resolved", next_update_at=None, component_status=None), now=late)
        first, second = await promises_of(tx, check_in)
        record = await promise_record(tx, since=NOW, now=late)
        assert await promises_due(tx) == []
    assert (first.state, first.followed_at, second.state) == ("missed", late, "kept")
    assert (record.kept, record.missed, record.overdue) == (1, 1, 0)
    assert record.worst_lateness == timedelta(seconds=1)


async def test_impact_follows_the_components_until_somebody_sets_it(database: Database, check_in: str) -> None:
    async def impact() -> tuple[str, str | None]:
        async with database.transaction() as tx:
            found = await find_incident(tx, check_in)
        return found.impact, found.impact_set

    assert await impact() == ("none", None)
    async with database.transaction() as tx:
        await say(tx, check_in, a_draft(component_status="major_outage"))
    assert await impact() == ("critical", None)
    async with database.transaction() as tx:
        await say(tx, check_in, a_draft(component_status="degraded_performance"))
    assert await impact() == ("minor", None)
    async with database.transaction() as tx:
        await amend(tx, WRITER, check_in, impact="major", now=NOW)
    assert await impact() == ("major", "major")
    async with database.transaction() as tx:
        await say(tx, check_in, a_draft(component_status="partial_outage"))
        assert (await find_incident(tx, check_in)).impact == "major"
        await amend(tx, WRITER, check_in, impact="computed", now=NOW)
    assert await impact() == ("major", None)
    async with database.transaction() as tx:
        await say(tx, check_in, a_draft(phase="resolved", next_update_at=None, component_status=None))
    assert await impact() == ("critical", None), "of what is over, the worst there was"


async def test_impact_counts_how_many_of_its_components_are_down(database: Database) -> None:
    async with database.transaction() as tx:
        await define_components(tx, [Component("check-in", "Check-in"), Component("bags", "Bags")])
        one = await declared(tx, impact=None, components=["check-in"])
        both = await declared(tx, impact=None, components=["check-in", "bags"])
        await say(tx, one, a_draft(component_status="major_outage"))
        await say(tx, both, a_draft(component_status=None))
        assert (await find_incident(tx, both)).impact == "major", "one of two, held down by the other incident"


async def test_what_is_resolved_opens_again_only_when_somebody_reopens_it(database: Database, check_in: str) -> None:
    async with database.transaction() as tx:
        await say(tx, check_in, a_draft())
        await say(tx, check_in, a_draft(phase="resolved", next_update_at=None, component_status=None))
    with pytest.raises(Conflict):
        async with database.transaction() as tx:
            await say(tx, check_in, a_draft())
    async with database.transaction() as tx:
        await reopen(tx, BOSS, check_in, reason="The queue grew again.", now=NOW)
        assert (await find_incident(tx, check_in)).phase == "resolved", "people are told before anything moves"
        await say(tx, check_in, a_draft(phase="identified"))
        again = await find_incident(tx, check_in)
    assert (again.phase, again.resolved_at, again.reopening) == ("identified", None, False)
    async with database.transaction() as tx:
        told = [one.event for one in await timeline(tx, check_in)]
        status = await tx.scalar(text("SELECT status FROM components WHERE key = 'check-in'"))
    assert told.count("update_published") == 3
    assert told.index("reopening") < told.index("reopened")
    assert status == "major_outage"
