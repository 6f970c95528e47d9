"""Bench: how long a publication plans for audiences of growing size, against a bare INSERT … SELECT of as many rows."""

import asyncio
import time

import asyncpg

from app.bench.machine import machine
from app.bench.mail import publish
from app.bench.outbox import load_directory
from app.bench.scratch import bench_database
from foundation.database import Database

SIZES = (10_000, 100_000, 1_000_000)
_BARE = """
INSERT INTO bare SELECT customer_id, value, needed_at FROM exposures JOIN addresses USING (customer_id)
"""


def bench_planning() -> dict[str, object]:
    """Seconds per size, from the call that publishes to its commit, and what bare rows take in the same database."""
    found = [_measure(size) for size in SIZES]
    ours, bare = found[-1]
    return {
        "bench": "planning",
        "n": SIZES[-1],
        "seconds": round(ours, 2),
        "per_second": round(SIZES[-1] / ours),
        "baseline": {"name": "bare INSERT … SELECT", "per_second": round(SIZES[-1] / bare)},
        "ratio": round(bare / ours, 3),
        "seconds_by_size": {str(size): round(one, 2) for size, (one, _) in zip(SIZES, found, strict=True)},
        "baseline_seconds_by_size": {str(size): round(one, 2) for size, (_, one) in zip(SIZES, found, strict=True)},
        "machine": machine(),
    }


def _measure(size: int) -> tuple[float, float]:
    with bench_database() as url:
        asyncio.run(load_directory(url, size))
        return asyncio.run(_planning(url)), asyncio.run(_bare(url))


async def _planning(url: str) -> float:
    database = Database(url, pool=2)
    try:
        began = time.perf_counter()
        await publish(database, 0)
        return time.perf_counter() - began
    finally:
        await database.close()


async def _bare(url: str) -> float:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("CREATE TABLE bare (customer_id bigint, value text, needed_at timestamptz)")
        began = time.perf_counter()
        await connection.execute(_BARE)
        return time.perf_counter() - began
    finally:
        await connection.close()
