"""Whatever happens in whatever order, each customer's delivery follows the rule book and ends; on real PostgreSQL."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import func, literal, select, text, true

from foundation.database import Database, driver
from notify import MessageText, delivery_summary, enqueue
from notify.channels import Accepted, Deferred, Refused, Result, Unclear, Unsent
from notify.delivery import FINAL, TRANSITIONS, Outcome, State, outcome
from notify.outbox import Claimed, expire, promote, record_and_claim, rescue
from notify.tables import addresses, customers, deliveries
from tests.support.directory import a_customer

T = TypeVar("T")
LEASE = timedelta(seconds=60)
NO_LEASE = timedelta(0)
CUSTOMERS = 4  # the last two cannot be reached
ALL_USABLE = """UPDATE addresses SET consent = true, health = 'usable', suppressed_because = NULL
                 WHERE value LIKE 'c%'"""
_results: st.SearchStrategy[Result] = st.sampled_from(
    [Accepted(250, "ok"), Deferred("busy", 450), Refused("no", 550), Unclear("lost"), Unsent()]
)


class Deliveries(RuleBasedStateMachine):
    """Publications, workers and upkeep over one topic and four customers."""

    runner: asyncio.Runner
    database: Database

    out = Bundle("claims that a worker holds")

    def __init__(self) -> None:
        super().__init__()
        self.audiences: dict[int, int] = {}
        self.newest_claimed: dict[str, int] = {}
        self.seen: dict[int, tuple[State, int]] = {}
        self._run(self._empty())

    @initialize()
    def begin_with_news_for_all(self) -> None:
        self.publish(1, {1, 2, 3, 4}, 1)

    @rule(
        number=st.integers(1, 8),
        # The first customer is in most of them: what can go wrong goes wrong between two updates to one person.
        people=st.sampled_from([{1}, {1, 2}, {2, 3}, {1, 2, 3, 4}]),
        urgency=st.integers(0, 1),
    )
    def publish(self, number: int, people: set[int], urgency: int) -> None:
        planned = self._run(self._enqueue(number, people, urgency))
        assert planned is (number not in self.audiences)
        self.audiences.setdefault(number, len(people))

    @rule(target=out, count=st.integers(2, 4))
    def claim(self, count: int) -> object:
        return multiple(*self._run(self._turn({}, count)))

    @rule(target=out, batch=st.lists(consumes(out), max_size=4), results=st.lists(_results, min_size=4, max_size=4))
    def record_and_claim_more(self, batch: list[Claimed], results: list[Result]) -> object:
        return multiple(*self._run(self._turn(_outcomes(batch, results), 2)))

    @rule(one=out, result=_results)
    def record_and_have_the_answer_lost(self, one: Claimed, result: Result) -> None:
        """The row stays in the bundle, so the same or another result may come again, late."""
        before = self._run(self._attempt_and_state(one.id))
        self._run(self._turn(_outcomes([one], [result]), 0))
        if before != (one.attempt, "sending"):
            assert self._run(self._attempt_and_state(one.id)) == before, "a result of an earlier attempt counted"

    @rule()
    def every_worker_dies(self) -> None:
        self._run(self._sql("UPDATE deliveries SET lease_until = now() - interval '1 h' WHERE state = 'sending'"))
        self._run(self._step(rescue, NO_LEASE))

    @rule()
    def pauses_end(self) -> None:
        self._run(self._sql("UPDATE deliveries SET next_at = now() WHERE state = 'deferred'"))
        self._run(self._step(promote))

    @rule(number=st.integers(1, 8))
    def a_message_loses_its_use(self, number: int) -> None:
        self._run(self._sql(f"UPDATE dispatches SET not_after = now() - interval '1 s' WHERE number = {number}"))
        self._run(self._step(expire))

    @rule(
        address=st.sampled_from(["c1@example.org", "c2@example.org", "c2@example.net"]),
        how=st.sampled_from(["consent = false", "health = 'suppressed', suppressed_because = 'bounced'"]),
    )
    def an_address_is_lost(self, address: str, how: str) -> None:
        self._run(self._sql(f"UPDATE addresses SET {how} WHERE value = '{address}'"))

    @rule()
    def addresses_come_back(self) -> None:
        self._run(self._sql(ALL_USABLE))

    @invariant()
    def every_move_is_in_the_rule_book(self) -> None:
        rows = self._run(self._rows())
        for delivery_id, state, doubtful in rows:
            before, doubtful_before = self.seen.get(delivery_id, (state, 0))
            # Two moves in one step: a row may be planned in it and then claimed.
            assert (
                state == before
                or state in TRANSITIONS[before]
                or any(state in TRANSITIONS[between] for between in TRANSITIONS[before])
            ), f"{before} → {state}"
            assert before not in FINAL or state == before
            assert doubtful_before <= doubtful <= 2
        assert self.seen.keys() <= {row[0] for row in rows}
        self.seen = {row[0]: (row[1], row[2]) for row in rows}

    @invariant()
    def counts_add_up_to_the_audience(self) -> None:
        for number, size in self.audiences.items():
            assert sum(self._run(self._summary(number)).values()) == size

    @invariant()
    def nobody_waits_for_old_news_or_gets_two_at_once(self) -> None:
        older = """SELECT count(*)
                     FROM deliveries o JOIN dispatches po ON po.id = o.dispatch_id
                     JOIN deliveries n ON n.customer_id = o.customer_id
                     JOIN dispatches pn ON pn.id = n.dispatch_id AND pn.number > po.number
                    WHERE o.state IN ('planned', 'deferred') OR (o.state = 'sending' AND n.state = 'sending')"""
        assert self._run(self._count(older)) == 0

    def teardown(self) -> None:
        """Whatever was left: upkeep and one worker bring every delivery to its end."""
        self.every_worker_dies()
        for _ in range(100):
            self.pauses_end()
            batch = self._run(self._turn({}, 10))
            if not batch and not self._run(self._count("SELECT count(*) FROM deliveries WHERE state = 'planned'")):
                break
            self._run(self._turn(_outcomes(batch, [Accepted(250)] * len(batch)), 0))
        assert self._run(self._count("SELECT count(*) FROM deliveries WHERE final_at IS NULL")) == 0

    async def _empty(self) -> None:
        await self._sql("TRUNCATE deliveries, messages, dispatches RESTART IDENTITY")
        await self._sql(ALL_USABLE)

    async def _sql(self, statement: str) -> None:
        async with self.database.transaction() as tx:
            await (await driver(tx)).execute(statement)

    async def _enqueue(self, number: int, people: set[int], urgency: int) -> bool:
        # Everybody is in it twice: an audience that is careless must not tell anybody twice.
        twice = func.generate_series(1, 2).alias("twice")
        audience = (
            select(customers.c.id.label("customer_id"), literal(datetime.now(UTC)).label("needed_at"))
            .select_from(customers.join(twice, true()))
            .where(customers.c.number.in_([f"C{one}" for one in people]))
        )
        texts = [MessageText("mail", "en", "News", "There is news.")]
        async with self.database.transaction() as tx:
            return await enqueue(
                tx, key=f"t:{number}", topic="t", number=number, messages=texts, audience=audience, urgency=urgency
            )

    async def _turn(self, done: dict[tuple[int, int], Outcome], count: int) -> list[Claimed]:
        async with self.database.transaction() as tx:
            _, claimed = await record_and_claim(tx, done, "mail", count, LEASE)
            rows = await tx.execute(
                text("SELECT d.id, p.number FROM deliveries d JOIN dispatches p ON p.id = dispatch_id")
            )
            numbers: dict[int, int] = {row[0]: row[1] for row in rows}
            usable = set(await tx.scalars(select(addresses.c.value).filter_by(consent=True, health="usable")))
        assert {one.address for one in claimed} <= usable
        for one in claimed:
            newest = self.newest_claimed.get(one.customer_number, 0)
            assert numbers[one.id] >= newest, "older news after newer"
            self.newest_claimed[one.customer_number] = numbers[one.id]
        return claimed

    async def _step(self, step: Callable[..., Coroutine[Any, Any, int]], *more: timedelta) -> None:
        async with self.database.transaction() as tx:
            await step(tx, 100, *more)

    async def _rows(self) -> Sequence[tuple[int, State, int]]:
        async with self.database.transaction() as tx:
            rows = await tx.execute(text("SELECT id, state, doubtful FROM deliveries"))
            return [(row[0], row[1], row[2]) for row in rows]

    async def _summary(self, number: int) -> dict[str, int]:
        async with self.database.transaction() as tx:
            return await delivery_summary(tx, f"t:{number}")

    async def _count(self, query: str) -> int:
        async with self.database.transaction() as tx:
            count = await tx.scalar(text(query))
            assert isinstance(count, int)
            return count

    async def _attempt_and_state(self, delivery_id: int) -> tuple[int, str]:
        async with self.database.transaction() as tx:
            row = (await tx.execute(select(deliveries.c.attempt, deliveries.c.state).filter_by(id=delivery_id))).one()
            return row[0], row[1]

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)


def _outcomes(batch: Sequence[Claimed], results: Sequence[Result]) -> dict[tuple[int, int], Outcome]:
    now = datetime.now(UTC)
    return {
        (one.id, one.attempt): outcome(result, attempt=one.attempt, now=now, not_after=one.not_after, chance=0)
        for one, result in zip(batch, results, strict=False)
    }


async def _directory(database: Database) -> None:
    async with database.transaction() as tx:
        for one in range(1, CUSTOMERS - 1):
            await a_customer(tx, f"C{one}", f"c{one}@example.org", *(["c2@example.net"] if one == 2 else []))
        await a_customer(tx, f"C{CUSTOMERS - 1}")
        await a_customer(tx, f"C{CUSTOMERS}", "gone@example.org", suppressed="bounced")
        assert await tx.scalar(select(func.count()).select_from(customers)) == CUSTOMERS


def test_deliveries_keep_to_the_rule_book(database_url: str) -> None:
    with asyncio.Runner() as runner:
        Deliveries.runner = runner
        Deliveries.database = Database(database_url, pool=2)
        try:
            runner.run(_directory(Deliveries.database))
            run_state_machine_as_test(
                Deliveries,
                settings=settings(
                    max_examples=40,
                    stateful_step_count=30,
                    deadline=None,
                    suppress_health_check=list(HealthCheck),
                    # Shrinking against a database outlasts anybody's patience; the steps are readable as they are.
                    phases=[Phase.explicit, Phase.generate],
                ),
            )
        finally:
            runner.run(Deliveries.database.close())
