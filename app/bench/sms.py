"""Bench: texts from publication to the last recorded result, against a bare `smpp34` client and the same SMS centre.

It uses the real outbox, sender and SMPP on a database of its own with every durability setting on. Both sides send the
same text over as many binds with the same window, each from one process.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import uvloop
from sqlalchemy import select, text

import notify
from app.bench.machine import machine
from app.bench.ports import free_port, wait_until_open
from app.bench.scratch import bench_database
from app.bench.sms_text import TEXT
from foundation.database import Database

ROUNDS = 2
CONNECTIONS = 2
WINDOW = 50
DEPTH = 25
_ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True, slots=True)
class _Took:
    """One round of one side. `cpu`: of the sending process; `planning`: seconds until the deliveries existed."""

    seconds: float
    cpu: float
    planning: float = 0.0


def bench_sms(recipients: int) -> dict[str, object]:
    """Send a text to `recipients` phones and give the figures: the best of some rounds, ours and the baseline's.

    `seconds` runs from the start of publication to the last result on disk, planning included.
    """
    ours: list[_Took] = []
    bare: list[_Took] = []
    with _centre() as port, bench_database() as url:
        asyncio.run(_load_directory(url, recipients))
        for number in range(ROUNDS):
            bare.append(_baseline(port, recipients))
            ours.append(uvloop.run(_ours(url, port, recipients, number)))
    best, baseline = min(ours, key=lambda one: one.seconds), min(bare, key=lambda one: one.seconds)
    return {
        "bench": "sms",
        "n": recipients,
        "seconds": round(best.seconds, 2),
        "per_second": round(recipients / best.seconds),
        "planning_seconds": round(best.planning, 2),
        "cpu_seconds_per_1000": round(min(one.cpu for one in ours) / recipients * 1000, 3),
        "baseline": {
            "name": "smpp34 client",
            "per_second": round(recipients / baseline.seconds),
            "cpu_seconds_per_1000": round(min(one.cpu for one in bare) / recipients * 1000, 3),
        },
        "ratio": round(baseline.seconds / best.seconds, 3),
        # Far apart: the machine was busy.
        "rounds": {
            "ours": [round(recipients / one.seconds) for one in ours],
            "baseline": [round(recipients / one.seconds) for one in bare],
        },
        "segments": 1,
        "connections": CONNECTIONS,
        "window": WINDOW,
        "depth": DEPTH,
        "machine": machine(),
    }


@contextmanager
def _centre() -> Iterator[int]:
    """An SMS centre that takes everything, in a process of its own; yields its port."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "app.demo.sms_centre", str(port)], stdout=subprocess.DEVNULL, cwd=_ROOT
    )
    try:
        wait_until_open(port)
        yield port
    finally:
        process.terminate()
        process.wait()


def _baseline(port: int, texts: int) -> _Took:
    numbers = [str(one) for one in (port, texts, CONNECTIONS, WINDOW)]
    done = subprocess.run(
        [sys.executable, "-m", "app.bench.sms_client", *numbers], cwd=_ROOT, stdout=subprocess.PIPE, check=True
    )
    found = json.loads(done.stdout)
    return _Took(found["seconds"], found["cpu_seconds"])


async def _load_directory(url: str, recipients: int) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("INSERT INTO components (key, name) VALUES ('bench', 'Bench')")
        await connection.execute(
            """
            INSERT INTO customers (number, name, name_key, language, time_zone)
            SELECT n, 'Passenger ' || n, 'passenger' || n, 'en', 'UTC' FROM generate_series(1, $1::integer) n
            """,
            recipients,
        )
        await connection.execute(
            "INSERT INTO addresses (customer_id, channel, value)"
            " SELECT id, 'sms', '+3161' || lpad(number, 7, '0') FROM customers"
        )
        await connection.execute(
            "INSERT INTO exposures (customer_id, component_key, needed_at)"
            " SELECT id, 'bench', now() + make_interval(secs => id % 86400) FROM customers"
        )
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()


async def _ours(url: str, port: int, recipients: int, number: int) -> _Took:
    database = Database(url, pool=2)
    spent: list[float] = []
    try:
        async with _worker(url, port, spent):
            began = time.perf_counter()
            key = await _publish(database, number)
            planning = time.perf_counter() - began
            await _everything_recorded(database, key, recipients)
            seconds = time.perf_counter() - began
        return _Took(seconds, spent[0], planning)
    finally:
        await database.close()


async def _publish(database: Database, number: int) -> str:
    key = f"bench:{number}"
    audience = select(notify.exposures.c.customer_id, notify.exposures.c.needed_at).where(
        notify.exposures.c.component_key == "bench"
    )
    async with database.transaction() as tx:
        await notify.enqueue(
            tx,
            key=key,
            topic=f"incident:bench-{number}",
            number=1,
            messages=[notify.MessageText("sms", "en", "", TEXT)],
            audience=audience,
        )
    return key


async def _everything_recorded(database: Database, key: str, recipients: int) -> None:
    """Wait until nothing waits or is under way any more."""
    while True:
        async with database.transaction() as tx:
            if not (await tx.execute(text("SELECT 1 FROM batches LIMIT 1"))).all():
                counts = await notify.delivery_summary(tx, key)
                break
        await asyncio.sleep(0.02)
    if counts["accepted"] != recipients:
        raise RuntimeError(f"Not everything was accepted: {json.dumps(counts)}")


@asynccontextmanager
async def _worker(url: str, port: int, spent: list[float]) -> AsyncIterator[None]:
    """The sender, started and waiting for work, in a process of its own; at the end its CPU seconds go to `spent`."""
    numbers = [str(one) for one in (port, CONNECTIONS, WINDOW, DEPTH)]
    pipe = asyncio.subprocess.PIPE
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app.bench.sms_worker", *numbers, cwd=_ROOT, stdin=pipe, stdout=pipe
    )
    assert worker.stdin is not None
    assert worker.stdout is not None
    try:
        worker.stdin.write(f"{url}\n".encode())
        if await worker.stdout.readline() != b"ready\n":
            raise RuntimeError("The worker of the bench did not start; its error stands above.")
        yield
        worker.terminate()
        spent.append(float(await worker.stdout.readline()))
    finally:
        if worker.returncode is None:
            worker.terminate()
        await worker.wait()
