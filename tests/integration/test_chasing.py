"""Promises are chased: who leads is warned before and called after, once each, whoever works and whenever they died."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from app.templates import render
from foundation.database import Database, Tx
from incidents import Chaser, Component, define_components
from incidents.chasing import lapse
from incidents.leading import assign
from incidents.promises import promises_of
from incidents.records import find_incident
from notify import Colleague, note_colleague, set_seeds
from tests.support.incidents import BOSS, NOW, a_draft, declared, say

DUE = NOW + timedelta(minutes=20)


@dataclass(frozen=True)
class Everybody:
    async def works_here(self, tx: Tx, name: str) -> bool:
        return True


def chaser(database: Database, at: datetime, *, texts: bool = True) -> Chaser:
    return Chaser(
        database=database,
        render=render,
        page_name="Northwind Air",
        desk_url="https://desk.example.com",
        zone="Europe/Amsterdam",
        clock=lambda: at,
        texts=texts,
    )


async def called(database: Database) -> list[tuple[str, str, str, str]]:
    """(which call, whom, channel, state) of every delivery to colleagues."""
    query = """
        SELECT split_part(p.key, ':', 3), c.number, d.channel, d.state
          FROM deliveries d JOIN dispatches p ON p.id = d.dispatch_id JOIN customers c ON c.id = d.customer_id
         WHERE p.key LIKE 'promise:%' ORDER BY p.number, c.number
    """
    async with database.transaction() as tx:
        return [tuple(row) for row in await tx.execute(text(query))]


async def leads(tx: Tx, incident_id: str) -> None:
    await assign(tx, BOSS, incident_id, "commander", holder="ann", staff=Everybody(), now=NOW)
    await assign(tx, BOSS, incident_id, "writer", holder="bob", staff=Everybody(), now=NOW)


@pytest.fixture
async def outage(database: Database) -> str:
    """An incident that ann commands and bob writes for, with an update promised by DUE."""
    async with database.transaction() as tx:
        await define_components(tx, [Component("check-in", "Check-in")])
        await note_colleague(tx, Colleague("ann", "ann@example.com", "+31612345678", "nl", "Europe/Amsterdam"))
        await note_colleague(tx, Colleague("bob", "bob@example.com", None, "en", "Europe/Amsterdam"))
        key = await declared(tx)
        await leads(tx, key)
        await say(tx, key, a_draft(next_update_at=DUE))
    return key


async def test_a_warning_before_and_an_alarm_after_once_each(database: Database, outage: str) -> None:
    early, warned, late = DUE - timedelta(minutes=6), DUE - timedelta(minutes=4), DUE + timedelta(seconds=1)
    for at in (early, warned, warned, DUE, late, late + timedelta(hours=1)):
        await asyncio.gather(*(chaser(database, at).step() for _ in range(3)))
        await chaser(database, at).step()  # what the others held just now
        if at == early:
            assert await called(database) == []
    assert [(call, who, channel) for call, who, channel, _ in await called(database)] == [
        ("warning", "staff:ann", "mail"),
        ("warning", "staff:bob", "mail"),
        ("alarm", "staff:ann", "sms"),
        ("alarm", "staff:bob", "mail"),
    ]
    async with database.transaction() as tx:
        (promise,) = await promises_of(tx, outage)
        subject = """
            SELECT m.subject FROM messages m JOIN dispatches p ON p.id = m.dispatch_id
             WHERE m.language = 'nl' AND p.number = 1 AND p.key LIKE 'promise:%'
        """
        said = await tx.scalar(text(subject))
    assert (promise.state, promise.warned_at, promise.alarmed_at) == ("missed", warned, late)
    assert str(said) == "De volgende update moet er zijn op 8 feb 2026, 15:30 CET: Inchecken lukt niet"


async def test_an_alarm_overtakes_a_warning_that_has_not_gone_out(database: Database, outage: str) -> None:
    await chaser(database, DUE - timedelta(minutes=1)).step()
    await chaser(database, DUE + timedelta(minutes=1)).step()
    assert {state for call, _, _, state in await called(database) if call == "warning"} == {"superseded"}


async def test_an_update_or_the_end_of_it_leaves_nothing_to_chase(database: Database, outage: str) -> None:
    async with database.transaction() as tx:
        resolved = a_draft(phase="resolved", next_update_at=None, component_status=None)
        await say(tx, outage, resolved, now=DUE - timedelta(minutes=10))
    for at in (DUE - timedelta(minutes=1), DUE + timedelta(hours=1)):
        await chaser(database, at).step()
    assert await called(database) == []
    async with database.transaction() as tx:
        assert [one.state for one in await promises_of(tx, outage)] == ["kept"]


async def test_an_update_too_late_needs_no_alarm_any_more(database: Database, outage: str) -> None:
    late = DUE + timedelta(minutes=1)
    async with database.transaction() as tx:
        await say(tx, outage, a_draft(next_update_at=DUE + timedelta(hours=1)), now=late)
    await chaser(database, late).step()
    assert await called(database) == []
    async with database.transaction() as tx:
        assert [one.state for one in await promises_of(tx, outage)] == ["missed", "standing"]


async def test_a_promise_that_lapsed_while_nobody_worked_is_called_all_the_same(
    database: Database, outage: str
) -> None:
    await chaser(database, DUE + timedelta(hours=3)).step()
    assert {call for call, *_ in await called(database)} == {"alarm"}


async def test_what_is_being_published_is_not_called_missed(database: Database, outage: str) -> None:
    async with database.transaction() as tx:
        await find_incident(tx, outage, lock=True)  # as a publication does first
        async with database.transaction() as other:
            assert await lapse(other, now=DUE + timedelta(seconds=1), most=10) == 0
    async with database.transaction() as tx:
        assert await lapse(tx, now=DUE + timedelta(seconds=1), most=10) == 1


async def test_while_nobody_leads_whoever_published_it_is_called(database: Database) -> None:
    async with database.transaction() as tx:
        await define_components(tx, [Component("check-in", "Check-in")])
        await note_colleague(tx, Colleague("boss", "boss@example.com", None, "en", "Europe/Amsterdam"))
        key = await declared(tx)
        await say(tx, key, a_draft(next_update_at=DUE))
    await chaser(database, DUE + timedelta(minutes=1), texts=False).step()
    assert [who for _, who, *_ in await called(database)] == ["staff:boss"]


async def test_a_drill_calls_those_on_the_seed_list_only(database: Database) -> None:
    async with database.transaction() as tx:
        await define_components(tx, [Component("check-in", "Check-in")])
        for name in ("ann", "bob"):
            await note_colleague(tx, Colleague(name, f"{name}@example.com", None, "en", "Europe/Amsterdam"))
        await set_seeds(tx, ["staff:bob"])
        key = await declared(tx, exercise=True)
        await leads(tx, key)
        await say(tx, key, a_draft(next_update_at=DUE))
    await chaser(database, DUE + timedelta(minutes=1)).step()
    assert [who for _, who, *_ in await called(database)] == ["staff:bob"]
