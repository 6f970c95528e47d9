"""Two workers keep to one destination's pace together: two processes and a mail domain, two senders and a host."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import func, literal, select, text

from foundation.database import Database
from foundation.tokens import Tokens
from notify import MessageText, delivery_progress, enqueue
from notify.channels.webhook import WebhookChannel
from notify.sender import Sender
from notify.tables import BATCH, customers
from tests.support.followers import NEAR, OUTSIDE, Machine, a_subscriber, reply, resolver
from tests.support.people import counts_of, people, publish, until_told
from tests.support.relays import MoodyRelay, Temper
from tests.support.sending_worker import command

ROOT = Path(__file__).resolve().parent.parent.parent
MAILS, RATE, CONCURRENCY = 60, 30.0, 3


async def test_two_worker_processes_keep_to_the_limits_of_one_domain_together(
    database: Database, database_url: str
) -> None:
    await people(database, MAILS)
    async with database.transaction() as tx:
        values = {"rate": RATE, "concurrency": CONCURRENCY}
        await tx.execute(
            text(
                "INSERT INTO paces (channel, domain, rate, concurrency, ceiling_rate, ceiling_concurrency, tokens)"
                " VALUES ('mail', 'example.org', :rate, :concurrency, :rate, :concurrency, 0)"
            ),
            values,
        )
    relay = MoodyRelay(temper=Temper(thinks=0.02))
    async with relay.running() as one_port, relay.running() as other_port:
        workers = [command(database_url, port, connections=4, depth=25, lease=60) for port in (one_port, other_port)]
        processes = [await asyncio.create_subprocess_exec(*worker, cwd=ROOT) for worker in workers]
        try:
            for number in (1, 2, 3):
                key = await publish(database, number)
                await until_told(database, key, MAILS)
                if len(relay.ports) == 2:
                    break
        finally:
            for one in processes:
                one.terminate()
            assert [await one.wait() for one in processes] == [0, 0]
    assert relay.ports.keys() == {one_port, other_port}, "both had a hand in it"
    assert {len(copies) for copies in relay.mails.values()} == {number}
    assert len(relay.mails) == MAILS
    assert relay.most_under_way <= CONCURRENCY
    assert most_above(relay.taken_at) <= RATE + CONCURRENCY, "the bucket holds a second's worth, and some are under way"


def most_above(moments: Sequence[float]) -> float:
    """How many more than the rate permits there were, in the worst stretch of time."""
    return max(
        last - first + 1 - RATE * (moments[last] - moments[first])
        for first in range(len(moments))
        for last in range(first, len(moments))
    )


@asynccontextmanager
async def two_workers(database: Database, tokens: Tokens) -> AsyncIterator[None]:
    """Two senders, each with a channel of its own, as two processes have."""
    stop = asyncio.Event()

    def sender() -> Sender:
        channel = WebhookChannel(
            tokens, public_url="https://status.example.com", reach=NEAR, resolve=resolver([OUTSIDE])
        )
        return Sender(database, channel, connections=1, depth=5, idle_seconds=0.02)

    tasks = [asyncio.create_task(sender().run(stop)) for _ in range(2)]
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*tasks)


async def machines(database: Database, *urls: str) -> None:
    async with database.transaction() as tx:
        for number, url in enumerate(urls):
            await a_subscriber(tx, f"S-{number}", url, None, channel="webhook")


async def tell_machines(database: Database) -> str:
    everybody = select(customers.c.id.label("customer_id"), literal(None).cast(func.now().type).label("needed_at"))
    async with database.transaction() as tx:
        message = MessageText("webhook", "en", "", "{{}}")
        await enqueue(tx, key="w", topic="incident:w", number=1, messages=[message], audience=everybody)
    return "w"


async def test_a_host_that_asks_for_quiet_gets_it_from_every_worker_and_others_are_told(
    database: Database, tokens: Tokens
) -> None:
    """What each had in hand when it said so is a batch; the rest waits, whichever worker comes to it."""
    busy, calm = Machine(lambda _: reply("429 Slow down", Retry_After="600")), Machine()
    async with busy.running() as port, calm.running() as other:
        await machines(
            database,
            *(f"http://busy.example.com:{port}/{number}" for number in range(200)),
            *(f"http://calm.example.com:{other}/{number}" for number in range(5)),
        )
        async with two_workers(database, tokens):
            key = await tell_machines(database)
            await until_told(database, key, 5)
            async with asyncio.timeout(20):
                while (await counts_of(database, key))["sending"]:  # noqa: ASYNC110 (the database says it)
                    await asyncio.sleep(0.02)
    assert len(calm.calls) == 5
    assert 0 < len(busy.calls) <= 2 * BATCH
    counts = await counts_of(database, key)
    assert (counts["accepted"], counts["deferred"] + counts["planned"]) == (5, 200)
    async with database.transaction() as tx:
        statement = "SELECT domain, extract(epoch FROM stopped_until - now()) FROM paces WHERE channel = 'webhook'"
        [(domain, seconds)] = (await tx.execute(text(statement))).all()
        progress = await delivery_progress(tx, key)
    assert domain == "busy.example.com"
    assert 570 < seconds <= 600
    assert [(one.name, one.total, one.because) for one in progress.domains] == [
        ("busy.example.com", 200, "stopped"),
        ("calm.example.com", 5, "done"),
    ]


async def test_the_first_burst_to_a_host_is_slow_for_all_workers_together_and_one_follower_waits_for_nobody(
    database: Database, tokens: Tokens
) -> None:
    """The host never complained: it has forty followers, and that is reason enough."""
    crowded, calm = Machine(), Machine()
    async with crowded.running() as port, calm.running() as other:
        await machines(
            database,
            *(f"http://crowded.example.com:{port}/{number}" for number in range(40)),
            f"http://calm.example.com:{other}/1",
        )
        async with two_workers(database, tokens):
            began = asyncio.get_running_loop().time()
            key = await tell_machines(database)
            await until_told(database, key, 30)
            took = asyncio.get_running_loop().time() - began
    assert len(calm.calls) == 1
    assert took > 1.5, "ten a second from an empty bucket, of thirty at least twenty-nine to the crowded host"
    async with database.transaction() as tx:
        rows = (await tx.execute(text("SELECT domain, rate, concurrency FROM paces WHERE channel = 'webhook'"))).all()
    assert rows == [("crowded.example.com", 10.0, 10)]
