"""What the benches of sending share: the directory, a publication, the sending processes, and the last result."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import asyncpg
from sqlalchemy import select, text

import notify
from foundation.database import Database

ROOT = Path(__file__).resolve().parent.parent.parent
_ADDRESSES = {
    "mail": """
        INSERT INTO addresses (customer_id, channel, value)
        SELECT id, 'mail', 'p' || id || '@example.org' FROM customers
    """,
    "sms": """
        INSERT INTO addresses (customer_id, channel, value)
        SELECT id, 'sms', '+3161' || lpad(number, 7, '0') FROM customers
    """,
}
# What waits or is under way stands in batches: counting everybody over and over would be a load of its own.
_LIVE = "SELECT 1 FROM batches LIMIT 1"


async def load_directory(url: str, recipients: int, channel: Literal["mail", "sms"] = "mail") -> None:
    """Fill the directory with as many customers, each with an address of `channel` and an exposure."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("INSERT INTO components (key, name) VALUES ('bench', 'Bench')")
        await connection.execute(
            """
            INSERT INTO customers (number, name, name_key, language, time_zone)
            SELECT n, 'Passenger ' || n, 'passenger' || n, CASE n % 2 WHEN 0 THEN 'nl' ELSE 'en' END, 'UTC'
              FROM generate_series(1, $1::integer) n
            """,
            recipients,
        )
        await connection.execute(_ADDRESSES[channel])
        await connection.execute(
            """
            INSERT INTO exposures (customer_id, component_key, needed_at)
            SELECT id, 'bench', now() + make_interval(secs => id % 86400) FROM customers
            """
        )
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()


async def publish(database: Database, number: int, messages: Sequence[notify.MessageText]) -> str:
    """Tell everybody in the directory; the dispatch's key."""
    key = f"bench:{number}"
    audience = select(notify.exposures.c.customer_id, notify.exposures.c.needed_at).where(
        notify.exposures.c.component_key == "bench"
    )
    async with database.transaction() as tx:
        await notify.enqueue(
            tx, key=key, topic=f"incident:bench-{number}", number=1, messages=messages, audience=audience
        )
    return key


async def everything_recorded(database: Database, key: str, recipients: int) -> None:
    """Return once nothing waits or is under way; raises RuntimeError when not everything was accepted."""
    while True:
        async with database.transaction() as tx:
            if not (await tx.execute(text(_LIVE))).all():
                counts = await notify.delivery_summary(tx, key)
                break
        await asyncio.sleep(0.02)
    if counts["accepted"] != recipients:
        raise RuntimeError(f"Not everything was accepted: {json.dumps(counts)}")


@asynccontextmanager
async def senders(url: str, module: str, *arguments: object, count: int) -> AsyncIterator[list[int]]:
    """`count` processes of `module`, waiting for work, as `stormdesk work` is. Yields their ids.

    Each is told the database's URL on its input and says "ready".
    """
    pipe = asyncio.subprocess.PIPE
    command = [sys.executable, "-m", module, *map(str, arguments)]
    workers = [await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe) for _ in range(count)]
    try:
        for worker in workers:
            assert worker.stdin is not None
            assert worker.stdout is not None
            worker.stdin.write(f"{url}\n".encode())
            if await worker.stdout.readline() != b"ready\n":
                raise RuntimeError("A worker of the bench did not start; its error stands above.")
        yield [worker.pid for worker in workers]
    finally:
        for worker in workers:
            if worker.returncode is None:
                worker.terminate()
            await worker.wait()
