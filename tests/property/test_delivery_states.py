"""Whatever happens in whatever order, each customer's delivery follows the rule book and ends; on real PostgreSQL.

Publish, correct, pause, go on, release, call off, crash, be reported on, lose an address, opt out: any interleaving. No
older news after newer, nothing for who wants none, corrections for exactly those who may have got the wrong one, and
counts that add up at every step.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import attrgetter
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
from sqlalchemy import Select, func, literal, select, text, true

from foundation.database import Database, Tx, driver
from foundation.errors import Conflict, NotFound
from notify import MessageText, delivery_summary, enqueue, told_of
from notify.channels import Accepted, Deferred, Refused, Result, Unclear, Unsent
from notify.delivery import FINAL, STORED, TRANSITIONS, State, outcome
from notify.opt_outs import ALL_NEWS
from notify.outbox import Claimed, Done, begin, claim, record
from notify.reports import Kind, Report, take_reports, waiting_step
from notify.steering import cancel, pause, release, resume
from notify.tables import addresses, customers, deliveries, dispatches
from notify.upkeep import upkeep_step
from tests.support.directory import a_customer

T = TypeVar("T")
TOPIC = "incident:t"
LEASE = timedelta(seconds=60)
NO_LEASE = timedelta(0)
CUSTOMERS = 4  # the last two cannot be reached
ALL_USABLE = """UPDATE addresses SET consent = true, health = 'usable', suppressed_because = NULL
                 WHERE value LIKE 'c%'"""
# What has not ended, and whether a worker has it.
LIVE = """SELECT d.customer_id, p.number, EXISTS (SELECT FROM batches b
                  WHERE d.id = ANY (b.delivery_ids) AND b.lease_until IS NOT NULL) AS out
            FROM deliveries d JOIN dispatches p ON p.id = d.dispatch_id WHERE d.final_at IS NULL"""
_results: st.SearchStrategy[Result] = st.sampled_from(
    [Accepted(250, "ok"), Deferred("busy", 450), Refused("no", 550), Unclear("lost"), Unsent()]
)


class Deliveries(RuleBasedStateMachine):
    """Publications, workers and upkeep over one topic and four customers."""

    runner: asyncio.Runner
    database: Database
    moves: Counter[tuple[State, State]]  # of all runs together

    out = Bundle("batches that a worker holds")

    def __init__(self) -> None:
        super().__init__()
        self.audiences: dict[int, int] = {}
        self.newest_claimed: dict[str, int] = {}
        self.seen: dict[int, tuple[State, int]] = {}
        self.left: set[str] = set()
        self._run(self._empty())

    @initialize()
    def begin_with_news_for_all(self) -> None:
        self.publish(1, {1, 2, 3, 4}, 1)

    @rule(
        number=st.integers(1, 8),
        # The first customer is in most of them: what can go wrong goes wrong between two updates to one person.
        people=st.sampled_from([{1}, {1, 2}, {2, 3}, {1, 2, 3, 4}]),
        urgency=st.integers(0, 1),
        hold=st.booleans(),
    )
    def publish(self, number: int, people: set[int], urgency: int, hold: bool = False) -> None:
        planned = self._run(self._enqueue(number, _numbers(people), urgency=urgency, hold=hold))
        assert planned is (number not in self.audiences)
        self.audiences.setdefault(number, len(people))

    @rule(wrong=st.integers(1, 8))
    def correct(self, wrong: int) -> None:
        """The newest number corrects `wrong`, and goes to exactly those who have it or may have it."""
        number = max(self.audiences) + 1
        if wrong not in self.audiences or number > 12:
            return
        told = self._run(self._may_have(wrong))
        self._run(self._enqueue(number, told_of(f"t:{wrong}"), corrects=f"t:{wrong}"))
        assert self._run(self._planned_for(number)) == told
        self.audiences[number] = len(told)
        unsent = f"SELECT count(*) FROM ({LIVE}) d WHERE d.number = {wrong} AND NOT d.out"
        assert self._run(self._count(unsent)) == 0, "wrong news still waits to be sent"

    @rule(number=st.integers(1, 8), what=st.sampled_from([pause, resume, release, cancel]))
    def steer(self, number: int, what: Callable[[Tx, str], Coroutine[Any, Any, None]]) -> None:
        self._run(self._steer(number, what))

    @rule(target=out, count=st.integers(1, 4))
    def claim(self, count: int) -> object:
        return multiple(*self._run(self._claim(count)))

    @rule(batch=consumes(out), results=st.lists(_results, min_size=4, max_size=4), lost=st.booleans())
    def record(self, batch: list[Claimed], results: list[Result], lost: bool) -> None:
        """With `lost`, the answer to the commit is lost and the same is recorded again, or comes much too late."""
        done = _outcomes(batch, results)
        self._run(self._record(batch, done))
        if lost:
            before = self._run(self._rows())
            self._run(self._record(batch, done))
            assert self._run(self._rows()) == before, "a result counted twice"

    @rule(count=st.integers(1, 4), results=st.lists(_results, min_size=4, max_size=4))
    def send(self, count: int, results: list[Result]) -> None:
        """A worker whose work goes well: what it claims it also records, and the first of it was accepted."""
        for batch in self._run(self._claim(count)):
            self._run(self._record(batch, _outcomes(batch, [Accepted(250), *results])))

    @rule(
        place=st.integers(0, 40),
        sent=st.booleans(),
        kinds=st.lists(
            st.sampled_from(["delivered", "soft_bounce", "hard_bounce", "complaint", "delayed"]), min_size=1, max_size=3
        ),
    )
    def reports_come(self, place: int, sent: bool, kinds: list[Kind]) -> None:
        """About any delivery, early, late, repeated or absurd; with `sent`, about one that may have arrived."""
        rows = self._run(self._rows())
        some = [row for row in rows if row[1] in ("accepted", "delivered", "unknown")] if sent else rows
        if not some:
            return
        for kind in kinds:
            self._run(self._report(some[place % len(some)][0], kind))
            self.every_move_is_in_the_rule_book()

    @rule()
    def every_worker_dies(self) -> None:
        self._run(self._sql("UPDATE batches SET lease_until = now() - interval '1 h' WHERE lease_until IS NOT NULL"))
        self._run(self._upkeep())

    @rule()
    def pauses_end(self) -> None:
        self._run(self._sql("UPDATE batches SET due_at = now() WHERE waits = 'time'"))
        self._run(self._upkeep())

    @rule(number=st.integers(1, 8))
    def a_message_loses_its_use(self, number: int) -> None:
        self._run(self._sql(f"UPDATE dispatches SET not_after = now() - interval '1 s' WHERE number = {number}"))
        self._run(self._upkeep())

    @rule(
        address=st.sampled_from(["c1@example.org", "c2@example.org", "c2@example.net"]),
        how=st.sampled_from(["consent = false", "health = 'suppressed', suppressed_because = 'bounced'"]),
    )
    def an_address_is_lost(self, address: str, how: str) -> None:
        self._run(self._sql(f"UPDATE addresses SET {how} WHERE value = '{address}'"))

    @rule(who=st.integers(1, 2), everything=st.booleans())
    def somebody_opts_out(self, who: int, everything: bool) -> None:
        wanted_less = ALL_NEWS if everything else TOPIC
        self._run(
            self._sql(
                f"INSERT INTO opt_outs (customer_id, topic, how) SELECT id, '{wanted_less}', 'page' "
                f"FROM customers WHERE number = 'C{who}' ON CONFLICT DO NOTHING"
            )
        )
        self.left.add(f"C{who}")

    @rule()
    def everybody_comes_back(self) -> None:
        self._run(self._sql("DELETE FROM opt_outs"))
        self.left.clear()

    @rule()
    def addresses_come_back(self) -> None:
        self._run(self._sql(ALL_USABLE))

    @invariant()
    def every_move_is_in_the_rule_book(self) -> None:
        rows = self._run(self._rows())
        for delivery_id, state, doubtful in rows:
            before, doubtful_before = self.seen.get(delivery_id, (state, 0))
            assert state in STORED
            self.moves[before, state] += before != state
            # Two moves in one step: it may come back from a worker and end, or be claimed and end.
            assert (
                state == before
                or state in TRANSITIONS[before]
                or any(state in TRANSITIONS[between] for between in TRANSITIONS[before])
            ), f"{before} → {state}"
            assert before not in FINAL or state == before or state in ("delivered", "bounced")
            assert doubtful_before <= doubtful <= 2
        assert self.seen.keys() <= {row[0] for row in rows}
        self.seen = {row[0]: (row[1], row[2]) for row in rows}

    @invariant()
    def counts_add_up_to_the_audience(self) -> None:
        for number, size in self.audiences.items():
            assert sum(self._run(self._summary(number)).values()) == size

    @invariant()
    def what_has_not_ended_is_in_exactly_one_batch(self) -> None:
        """Nobody is forgotten, and nobody is in two hands."""
        lost = """SELECT count(*) FROM deliveries d
                   WHERE d.final_at IS NULL
                     AND (SELECT count(*) FROM batches b WHERE d.id = ANY (b.delivery_ids)) <> 1"""
        assert self._run(self._count(lost)) == 0

    @invariant()
    def nobody_waits_for_old_news_or_gets_two_at_once(self) -> None:
        older = f"""SELECT count(*) FROM ({LIVE}) o JOIN ({LIVE}) n ON n.customer_id = o.customer_id
                     WHERE n.number > o.number AND (o.out AND n.out OR NOT o.out)"""
        assert self._run(self._count(older)) == 0

    def teardown(self) -> None:
        """Whatever was left: upkeep and one worker bring every delivery to its end."""
        for number in self.audiences:
            for what in (release, resume):
                self._run(self._steer(number, what))
        self.every_worker_dies()
        for _ in range(100):
            self.pauses_end()
            batches = self._run(self._claim(10))
            if not batches and not self._run(self._count("SELECT count(*) FROM batches")):
                break
            for batch in batches:
                self._run(self._record(batch, _outcomes(batch, [Accepted(250)] * len(batch))))
        assert self._run(self._count("SELECT count(*) FROM deliveries WHERE final_at IS NULL")) == 0
        self.corrections_reached_those_who_got_it()

    def corrections_reached_those_who_got_it(self) -> None:
        """Once all has ended: nobody was sent a correction of what never reached them."""
        needless = """SELECT count(*) FROM deliveries c JOIN dispatches p ON p.id = c.dispatch_id
                       WHERE p.corrects_id IS NOT NULL AND c.state = 'accepted'
                         AND NOT EXISTS (SELECT FROM deliveries w
                                          WHERE w.dispatch_id = p.corrects_id AND w.customer_id = c.customer_id
                                            AND w.state IN ('accepted', 'delivered', 'unknown', 'bounced'))"""
        assert self._run(self._count(needless)) == 0

    async def _empty(self) -> None:
        await self._sql(
            "TRUNCATE deliveries, messages, dispatches, batches, delivery_attempts, reports, opt_outs RESTART IDENTITY"
        )
        await self._sql(ALL_USABLE)

    async def _sql(self, statement: str) -> None:
        async with self.database.transaction() as tx:
            await (await driver(tx)).execute(statement)

    async def _enqueue(self, number: int, audience: Select[Any], **more: Any) -> bool:
        texts = [MessageText("mail", "en", "News", "There is news.")]
        async with self.database.transaction() as tx:
            return await enqueue(
                tx, key=f"t:{number}", topic=TOPIC, number=number, messages=texts, audience=audience, **more
            )

    async def _may_have(self, number: int) -> set[int]:
        async with self.database.transaction() as tx:
            found = await tx.execute(
                text(
                    "SELECT d.customer_id FROM deliveries d JOIN dispatches p ON p.id = d.dispatch_id "
                    f"WHERE p.number = {number} AND (d.state IN ('accepted', 'delivered', 'unknown') OR EXISTS "
                    "(SELECT FROM batches b WHERE d.id = ANY (b.delivery_ids) AND b.lease_until IS NOT NULL "
                    "AND d.final_at IS NULL))"
                )
            )
            return set(found.scalars())

    async def _planned_for(self, number: int) -> set[int]:
        async with self.database.transaction() as tx:
            found = await tx.execute(
                select(deliveries.c.customer_id)
                .join(dispatches, dispatches.c.id == deliveries.c.dispatch_id)
                .where(dispatches.c.number == number)
            )
            return set(found.scalars())

    async def _steer(self, number: int, what: Callable[[Tx, str], Coroutine[Any, Any, None]]) -> None:
        with suppress(NotFound, Conflict):
            async with self.database.transaction() as tx:
                await what(tx, f"t:{number}")

    async def _claim(self, count: int) -> list[list[Claimed]]:
        """One list of deliveries for each batch claimed."""
        async with self.database.transaction() as tx:
            _, claimed = await claim(await begin(tx), "mail", count, LEASE)
            rows = await tx.execute(
                text("SELECT d.id, p.number, p.status FROM deliveries d JOIN dispatches p ON p.id = dispatch_id")
            )
            dispatched: dict[int, tuple[int, str]] = {row[0]: (row[1], row[2]) for row in rows}
            usable = set(await tx.scalars(select(addresses.c.value).filter_by(consent=True, health="usable")))
        assert {one.address for one in claimed} <= usable
        assert not self.left & {one.customer_number for one in claimed}, "sent to who opted out"
        for one in claimed:
            number, status = dispatched[one.id]
            assert status == "running"
            assert number >= self.newest_claimed.get(one.customer_number, 0), "older news after newer"
            self.newest_claimed[one.customer_number] = number
        return [list(members) for _, members in groupby(claimed, attrgetter("batch_id"))]

    async def _record(self, batch: list[Claimed], done: list[Done]) -> None:
        async with self.database.transaction() as tx:
            await record(await begin(tx), [batch[0].batch_id], done)

    async def _upkeep(self) -> None:
        await upkeep_step(self.database, lease=NO_LEASE)
        await waiting_step(self.database)

    async def _report(self, delivery_id: int, kind: Kind) -> None:
        report = Report(
            source="mail",
            key=f"{delivery_id}:{kind}",
            raw=b"From a mail server",
            delivery_id=delivery_id,
            kind=kind,
            status=None,
            text="",
            received_at=datetime.now(UTC),
        )
        async with self.database.transaction() as tx:
            await take_reports(tx, [report])

    async def _rows(self) -> Sequence[tuple[int, State, int]]:
        async with self.database.transaction() as tx:
            rows = await tx.execute(text("SELECT id, state, doubtful FROM deliveries ORDER BY id"))
            return [(row[0], row[1], row[2]) for row in rows]

    async def _summary(self, number: int) -> dict[str, int]:
        async with self.database.transaction() as tx:
            return await delivery_summary(tx, f"t:{number}")

    async def _count(self, query: str) -> int:
        async with self.database.transaction() as tx:
            count = await tx.scalar(text(query))
            assert isinstance(count, int)
            return count

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)


def _numbers(people: set[int]) -> Select[Any]:
    # Everybody is in it twice: an audience that is careless must not tell anybody twice.
    twice = func.generate_series(1, 2).alias("twice")
    return (
        select(customers.c.id.label("customer_id"), literal(datetime.now(UTC)).label("needed_at"))
        .select_from(customers.join(twice, true()))
        .where(customers.c.number.in_([f"C{one}" for one in people]))
    )


def _outcomes(batch: Sequence[Claimed], results: Sequence[Result]) -> list[Done]:
    now, not_after = datetime.now(UTC), datetime.now(UTC) + timedelta(days=1)
    return [
        Done(one.id, one.batch_id, outcome(result, attempt=one.attempt, now=now, not_after=not_after, chance=0))
        for one, result in zip(batch, results, strict=False)
    ]


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
        Deliveries.moves = Counter()
        Deliveries.database = Database(database_url, pool=2)
        try:
            runner.run(_directory(Deliveries.database))
            run_state_machine_as_test(
                Deliveries,
                settings=settings(
                    max_examples=20,
                    stateful_step_count=30,
                    deadline=None,
                    suppress_health_check=list(HealthCheck),
                    # Shrinking against a database outlasts anybody's patience; the steps are readable as they are.
                    phases=[Phase.explicit, Phase.generate],
                ),
            )
        finally:
            runner.run(Deliveries.database.close())
    reported = [
        moves for (before, _), moves in Deliveries.moves.items() if before in ("accepted", "delivered", "unknown")
    ]
    assert sum(reported) > 0, "reports had their say"
