"""A worker is killed in mid fan-out: nobody is lost, and at most connections × depth people are told twice."""

import asyncio
import signal
from collections import Counter
from datetime import timedelta
from pathlib import Path

from sqlalchemy import text

from foundation.database import Database
from foundation.tokens import Tokens
from notify.references import delivery_reference
from tests.support.people import counts_of, people, publish, until_told
from tests.support.relays import needs_smtp_sink, smtp_sink
from tests.support.sending_worker import KEY, command

PEOPLE = 20_000
CONNECTIONS, DEPTH = 4, 25
LEASE = timedelta(seconds=2)
ROOT = Path(__file__).resolve().parent.parent.parent


@needs_smtp_sink
async def test_killing_a_worker_loses_nobody_and_repeats_no_more_than_stated(
    database: Database, database_url: str
) -> None:
    await people(database, PEOPLE)
    key = await publish(database)
    with smtp_sink() as sink:
        worker = command(database_url, sink.port, connections=CONNECTIONS, depth=DEPTH, lease=LEASE.total_seconds())
        first = await asyncio.create_subprocess_exec(*worker, cwd=ROOT)
        await until_told(database, key, PEOPLE // 4)
        first.send_signal(signal.SIGKILL)
        assert await first.wait() == -signal.SIGKILL
        after_death = await counts_of(database, key)
        assert sum(after_death.values()) == PEOPLE
        assert 0 < after_death["sending"] <= CONNECTIONS * DEPTH

        second = await asyncio.create_subprocess_exec(*worker, cwd=ROOT)
        await until_told(database, key, PEOPLE)
        second.terminate()
        assert await second.wait() == 0
        copies = sink.copies()

    assert await counts_of(database, key) == {**dict.fromkeys(after_death, 0), "accepted": PEOPLE}
    tokens = Tokens([KEY])
    async with database.transaction() as tx:
        rows = (await tx.execute(text("SELECT id, attempt, doubtful FROM deliveries"))).all()
    names = {row.id: f"{delivery_reference(tokens, row.id)}@example.com" for row in rows}
    assert copies.keys() == set(names.values()), "everybody has it"
    twice = {row.id for row in rows if copies[names[row.id]] > 1}
    doubtful = {row.id for row in rows if row.doubtful}
    assert twice <= doubtful, "every repeat is visible"
    assert len(doubtful) == after_death["sending"] <= CONNECTIONS * DEPTH
    assert Counter(copies.values()).keys() <= {1, 2}
    assert all(row.attempt == 1 + row.doubtful for row in rows)
