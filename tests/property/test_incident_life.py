"""Phases, promises and impact of an incident, whatever updates come, however late, and whoever chases meanwhile."""

import asyncio
import itertools
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from foundation.database import Database
from foundation.errors import Conflict
from incidents import Component, define_components
from incidents.chasing import lapse
from incidents.leading import reopen
from incidents.lifecycle import MOVES, PHASES, PROMISING, Phase
from incidents.promises import promises_of
from incidents.records import find_incident
from incidents.roll_up import impact_of, worst_impact
from tests.support.incidents import BOSS, NOW, a_draft, declared, say

STATUSES = ("operational", "degraded_performance", "partial_outage", "major_outage")
_SERIAL = itertools.count()
LATER = st.integers(0, 40).map(lambda minutes: timedelta(minutes=minutes))


class Life(RuleBasedStateMachine):
    """One incident over two components, with a model of it in plain Python beside."""

    database: Database
    loop: asyncio.AbstractEventLoop

    def run(self, made: Any) -> Any:
        return self.loop.run_until_complete(made)

    @initialize()
    def begin(self) -> None:
        async def made() -> str:
            async with self.database.transaction() as tx:
                # Of its own: another example's incident would hold it down.
                component = f"check-in {next(_SERIAL)}"
                await define_components(tx, [Component(component, "Check-in")])
                return await declared(tx, impact=None, components=[component], now=NOW)

        self.now: datetime = NOW
        self.incident = self.run(made())
        self.phase: Phase = "investigating"
        self.reopening = False
        self.impacts: list[str] = []
        self.status = "operational"
        self.promised: list[tuple[datetime, str]] = []  # due, and how it went

    @rule(later=LATER)
    def time_passes(self, later: timedelta) -> None:
        self.now += later

    @rule()
    def somebody_chases(self) -> None:
        async def chased() -> None:
            async with self.database.transaction() as tx:
                await lapse(tx, now=self.now, most=10)

        self.run(chased())
        self._late("missed")

    @rule(phase=st.sampled_from(PHASES), status=st.sampled_from(STATUSES), promise=st.integers(1, 60))
    def something_is_said(self, phase: Phase, status: str, promise: int) -> None:
        over = phase == "resolved"
        due = None if over else self.now + timedelta(minutes=promise)
        draft = a_draft(phase=phase, component_status=None if over else status, next_update_at=due)

        async def said() -> None:
            async with self.database.transaction() as tx:
                await say(tx, self.incident, draft, now=self.now)

        allowed = phase in MOVES[self.phase] or (self.reopening and phase in PROMISING)
        if not allowed:
            with pytest.raises(Conflict):
                self.run(said())
            return
        self.run(said())
        self._late("missed")
        self.promised = [(at, "kept" if how == "standing" else how) for at, how in self.promised]
        if due is not None:
            self.promised.append((due, "standing"))
        self.reopening = self.reopening and phase not in PROMISING
        self.phase = phase
        self.status = "operational" if over else status
        self.impacts.append(impact_of([self.status]))  # type: ignore[list-item]  # one of the statuses

    @precondition(lambda self: self.phase == "resolved")
    @rule()
    def somebody_reopens(self) -> None:
        async def done() -> None:
            async with self.database.transaction() as tx:
                await reopen(tx, BOSS, self.incident, reason="It was not over.", now=self.now)

        self.run(done())
        self.reopening = True

    @invariant()
    def the_database_says_the_same(self) -> None:
        async def read() -> tuple[Any, Any]:
            async with self.database.transaction() as tx:
                return await find_incident(tx, self.incident), await promises_of(tx, self.incident)

        if not hasattr(self, "incident"):
            return
        incident, promises = self.run(read())
        over = self.phase == "resolved"
        assert (incident.phase, incident.over, incident.reopening) == (self.phase, over, self.reopening)
        expected = worst_impact(self.impacts if over else self.impacts[-1:])  # type: ignore[arg-type]  # impacts
        assert incident.impact == expected
        assert sorted((one.due_at, one.state) for one in promises) == sorted(self.promised)
        assert sum(one.state == "standing" for one in promises) <= 1

    def _late(self, how: str) -> None:
        self.promised = [(at, how if state == "standing" and at < self.now else state) for at, state in self.promised]


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


def test_an_incident_lives_as_its_rules_say(database_url: str, loop: asyncio.AbstractEventLoop) -> None:
    class Here(Life):
        def __init__(self) -> None:
            super().__init__()
            self.loop = loop
            self.database = Database(database_url, pool=1)

        def teardown(self) -> None:
            self.loop.run_until_complete(self.database.close())

    quick = settings(max_examples=8, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(Here, settings=quick)
