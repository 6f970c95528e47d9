"""Reports in any order, in any batches, repeated and early: a delivery ends where all of them together say, and never
moves against the rule book on the way."""

import asyncio
from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from foundation.database import Database
from notify import Report, take_reports
from notify.delivery import TRANSITIONS
from notify.reports import Kind, apply_waiting
from tests.support.reports import a_report, told

_KINDS: list[Kind] = ["delivered", "delayed", "soft_bounce", "hard_bounce", "complaint", "auto_reply", "unreadable"]
_RESET = """UPDATE deliveries SET state = 'planned', reason = NULL, final_at = NULL;
            UPDATE addresses SET health = 'usable', suppressed_because = NULL, soft_bounces = 0,
                   soft_bounces_since = NULL, last_bounce_at = NULL;
            TRUNCATE reports"""


class Story:
    """One delivery, what is reported about it, and when it is recorded."""

    def __init__(self, database: Database, delivery: int) -> None:
        self._database, self._delivery = database, delivery
        self._state = "planned"

    async def tell(self, batches: Sequence[Sequence[Report]], recorded_before: int, recorded: str) -> None:
        for place, batch in enumerate(batches):
            if place == recorded_before:
                await self._record(recorded)
            async with self._database.transaction() as tx:
                await take_reports(tx, batch)
            await self._look()
        if recorded_before >= len(batches):
            await self._record(recorded)
        async with self._database.transaction() as tx:
            await apply_waiting(tx, 100)
        await self._look()

    async def end(self) -> tuple[str, str | None, bool, int, int]:
        """State, its reason, whether the address is given up, soft bounces counted, reports that still wait."""
        async with self._database.transaction() as tx:
            row = (
                await tx.execute(
                    text(
                        "SELECT d.state, d.reason, a.health = 'suppressed', a.soft_bounces,"
                        " (SELECT count(*) FROM reports WHERE outcome IS NULL)"
                        " FROM deliveries d JOIN addresses a ON a.id = d.address_id"
                    )
                )
            ).one()
            return row[0], row[1], row[2], row[3], row[4]

    async def _record(self, state: str) -> None:
        async with self._database.transaction() as tx:
            await tx.execute(text("UPDATE deliveries SET state = :state, final_at = now()"), {"state": state})
        self._state = state

    async def _look(self) -> None:
        state, *_ = await self.end()
        assert state == self._state or state in TRANSITIONS[self._state], f"{self._state} → {state}"  # type: ignore[index]  # a state, from the database
        self._state = state


def test_whatever_comes_in_whatever_order_ends_in_the_same_state(database_url: str) -> None:
    with asyncio.Runner() as runner:
        database = Database(database_url, pool=2)

        async def begin() -> int:
            async with database.transaction() as tx:
                return (await told(tx, ("C1", "anna@example.org"), state="planned"))["C1"]

        delivery = runner.run(begin())

        @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
        @given(
            st.lists(st.lists(st.tuples(st.sampled_from(_KINDS), st.integers(0, 5)), max_size=4), max_size=5),
            st.integers(0, 5),
            st.sampled_from(["accepted", "unknown", "rejected", "superseded"]),
        )
        def hold(batches: list[list[tuple[Kind, int]]], recorded_before: int, recorded: str) -> None:
            said = [[a_report(delivery, kind, key=f"{kind} {n}", days=n) for kind, n in batch] for batch in batches]
            kinds = {kind for batch in batches for kind, _ in batch}

            async def tell() -> tuple[str, str | None, bool, int, int]:
                async with database.transaction() as tx:
                    for statement in _RESET.split(";"):
                        await tx.execute(text(statement))
                story = Story(database, delivery)
                await story.tell(said, recorded_before, recorded)
                return await story.end()

            state, _, given_up, soft, waiting = runner.run(tell())
            bounced = kinds & {"soft_bounce", "hard_bounce"}
            expected = "bounced" if bounced else "delivered" if kinds & {"delivered", "complaint"} else recorded
            assert state == (expected if recorded in ("accepted", "unknown") else recorded)
            assert given_up is bool(kinds & {"hard_bounce", "complaint"})
            assert soft <= 1
            assert waiting == 0

        try:
            hold()
        finally:
            runner.run(database.close())
