"""No interleaving of publications and workers sends a person older news after newer: real transactions, side by side.

Over every channel: a third of the people are mailed, and texted where mail fails or takes too long; a third prefer
texts; a third are machines. Hypothesis draws who does what and where each pauses; PostgreSQL decides the rest. Whoever
holds a row meanwhile makes the others wait or pass over, exactly as between machines.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundation.database import Database, driver
from notify import MessageText, enqueue
from notify.channels import Accepted, Deferred, Refused, Result, Unclear, Unsent
from notify.delivery import outcome
from notify.messages import ChannelName
from notify.outbox import Done, begin, claim, record
from notify.upkeep import upkeep_step
from tests.support.people import everyone, people

PEOPLE = 60
CHANNELS: tuple[ChannelName, ...] = ("mail", "sms", "webhook")
_results: st.SearchStrategy[Result] = st.sampled_from(
    [Accepted(250, "ok"), Accepted(250, "ok"), Deferred("busy", 450), Refused("no", 550), Unclear("lost"), Unsent()]
)


# How much they claim at once, what becomes of each turn's messages, and which channels they take turns at.
Worker = tuple[int, list[Result], list[ChannelName]]


@dataclass
class Sent:
    """Somebody's message on its way: from the commit of its claim until its result is to be recorded."""

    number: int
    begun: int
    ended: int = 0


class World:
    """What happens, in the order it happens: a counter for a clock."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.moments = 0
        self.sent: dict[str, list[Sent]] = {}
        self.numbers: dict[int, int] = {}
        self.channels: set[str] = set()  # over which anything went

    def now(self) -> int:
        self.moments += 1
        return self.moments

    async def publish(self, number: int, pauses: Sequence[int]) -> None:
        async with self.database.transaction() as tx:
            await pause(pauses[0])
            texts = [MessageText(channel, "en", "News", "{{}}") for channel in CHANNELS]
            await enqueue(
                tx,
                key=f"k{number}",
                topic="t",
                number=number,
                messages=texts,
                audience=everyone(),
                fallback_after=timedelta(milliseconds=1),
            )
            await pause(pauses[1])  # planned, and not committed yet

    async def work(self, most: int, results: Sequence[Result], pauses: Sequence[int], channels: Sequence[str]) -> None:
        for turn, result in enumerate(results):
            channel = channels[turn % len(channels)]
            async with self.database.transaction() as tx:
                connection = await begin(tx)
                _, claimed = await claim(connection, channel, most, timedelta(seconds=60))
                ids = [one.id for one in claimed]
                await pause(pauses[turn % len(pauses)])
                rows = await connection.fetch(
                    "SELECT d.id, p.number FROM deliveries d JOIN dispatches p ON p.id = d.dispatch_id"
                    " WHERE d.id = ANY ($1::bigint[])",
                    ids,
                )
            self.numbers |= {row[0]: row[1] for row in rows}
            out = {one.id: Sent(self.numbers[one.id], self.now()) for one in claimed}
            self.channels |= {channel} if claimed else set()
            for one in claimed:
                self.sent.setdefault(one.customer_number, []).append(out[one.id])
            await pause(pauses[(turn + 1) % len(pauses)])
            for sent in out.values():
                sent.ended = self.now()
            now, later = datetime.now(UTC), datetime.now(UTC) + timedelta(hours=1)
            done = [
                Done(one.id, one.batch_id, outcome(result, attempt=1, now=now, not_after=later, chance=0))
                for one in claimed
            ]
            async with self.database.transaction() as tx:
                await record(await begin(tx), sorted({one.batch_id for one in claimed}), done)

    async def keep_up(self, rounds: int) -> None:
        for _ in range(rounds):
            async with self.database.transaction() as tx:
                await (await driver(tx)).execute("UPDATE batches SET due_at = now() WHERE waits = 'time'")
            await upkeep_step(self.database, lease=timedelta(days=1))


_OTHER_CHANNELS = (
    """
    INSERT INTO addresses (customer_id, channel, value)
    SELECT id, 'sms', '+3161' || lpad(id::text, 7, '0') FROM customers WHERE id % 3 < 2
    """,
    """
    WITH machines AS (
        UPDATE addresses SET channel = 'webhook', value = 'https://h' || customer_id || '.example.com/'
         WHERE customer_id % 3 = 2
    )
    UPDATE customers SET prefers = 'sms' WHERE id % 3 = 1
    """,
)


async def pause(milliseconds: int) -> None:
    """Let the others go on for a while: long enough, at times, for a whole publication while a message is out."""
    await asyncio.sleep(milliseconds / 1000)


@given(
    numbers=st.permutations([1, 2, 3]),
    pauses=st.lists(st.sampled_from([0, 0, 1, 20, 60]), min_size=6, max_size=6),
    workers=st.lists(
        st.tuples(
            st.sampled_from([25, 60]),
            st.lists(_results, min_size=2, max_size=5),
            st.lists(st.sampled_from(CHANNELS), min_size=1, max_size=3),
        ),
        min_size=2,
        max_size=3,
    ),
)
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
def test_nobody_hears_the_older_after_the_newer(
    database_url: str, numbers: list[int], pauses: list[int], workers: list[Worker]
) -> None:
    asyncio.run(_side_by_side(database_url, numbers, pauses, workers))


async def _side_by_side(url: str, numbers: Sequence[int], pauses: Sequence[int], workers: Sequence[Worker]) -> None:
    database = Database(url, pool=10)
    try:
        await _emptied(database)
        world = World(database)
        await world.publish(numbers[0], pauses[:2])
        await asyncio.gather(
            *(
                world.work(most, results, pauses[place:], channels)
                for place, (most, results, channels) in enumerate(workers)
            ),
            *(world.publish(number, pauses[place : place + 2]) for place, number in enumerate(numbers[1:], 1)),
            world.keep_up(3),
        )
        await world.keep_up(1)
        await world.work(60, [Accepted(250)] * 9, [0], CHANNELS)
        assert world.channels >= {"mail", "sms", "webhook"}
        for person, sent in world.sent.items():
            for older in sent:
                for newer in sent:
                    if newer.number > older.number:
                        assert older.ended < newer.begun, f"{person}: {older} overlaps or follows {newer}"
    finally:
        await database.close()


async def _emptied(database: Database) -> None:
    async with database.transaction() as tx:
        connection = await driver(tx)
        await connection.execute(
            "TRUNCATE deliveries, messages, dispatches, batches, delivery_attempts, paces RESTART IDENTITY CASCADE"
        )
        known = await connection.fetchval("SELECT count(*) FROM customers")
    if not known:
        await people(database, PEOPLE)
        async with database.transaction() as tx:
            await (await driver(tx)).execute(_OTHER_CHANNELS[0])
            await (await driver(tx)).execute(_OTHER_CHANNELS[1])
