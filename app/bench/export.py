"""Bench: deliveries exported in each format, against PostgreSQL's own COPY as CSV of the same rows and columns.

Every export runs in a process of its own, at a tenth of the rows and at all of them, so that its peak memory shows
whether it grows with the rows.
"""

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import asyncpg
import uvloop

from app.bench.machine import machine
from app.bench.scratch import bench_database

_ROOT = Path(__file__).resolve().parent.parent.parent
# The incidents that the deliveries belong to, by the share of them that each has.
HUNDREDTH, TENTH, REST = "benchbench01", "benchbench10", "benchbench90"
# Each format at two sizes, ten times apart. A workbook is for people to look at: of all rows nobody would make one.
SIZES: dict[str, tuple[str | None, str | None]] = {
    "csv": (TENTH, None),
    "ndjson": (TENTH, None),
    "parquet": (TENTH, None),
    "xlsx": (HUNDREDTH, TENTH),
}
_PEOPLE = """
INSERT INTO customers (number, name, name_key, language, time_zone)
SELECT 'C' || n, 'N', 'n', 'nl', 'UTC' FROM generate_series(1, $1::bigint) n
"""
_ADDRESSES = """
INSERT INTO addresses (customer_id, channel, value) SELECT id, 'mail', number || '@example.org' FROM customers
"""
_ROWS = """
WITH sent AS (
    INSERT INTO dispatches (key, topic, number, not_after)
    SELECT $1 || ':' || n, 'incident:' || $1, n, now() + interval '1 day' FROM generate_series(1, $2::integer) n
    RETURNING id
), said AS (
    INSERT INTO messages (dispatch_id, channel, language, subject, body) SELECT id, 'mail', 'nl', 's', 'b' FROM sent
    RETURNING id, dispatch_id
)
INSERT INTO deliveries (dispatch_id, message_id, customer_id, address_id, channel, state, urgency, attempt, reply_code,
                        needed_at, final_at)
SELECT m.dispatch_id, m.id, a.customer_id, a.id, 'mail', 'accepted', 1, 1, 250, now(), now()
  FROM said m CROSS JOIN addresses a WHERE a.id % $3 = 0
"""


def bench_export(rows: int) -> dict[str, object]:
    """Rows a second and peak memory of each format, with `rows` deliveries; the ratio is that of CSV."""
    people = max(10, rows // 10)
    with bench_database() as url:
        made = asyncio.run(_fill(url, people))
        before = uvloop.run(_copy(url))
        found = {"csv": _measure(url, "csv", SIZES["csv"])}
        # Once on each side of ours: what else the machine does meets both.
        baseline = (before + uvloop.run(_copy(url))) / 2
        found |= {form: _measure(url, form, sizes) for form, sizes in SIZES.items() if form != "csv"}
    seconds = found["csv"]["seconds"]
    return {
        "bench": "export",
        "n": made,
        "seconds": round(seconds, 2),
        "per_second": round(made / seconds),
        "baseline": {"name": "COPY … TO STDOUT (FORMAT csv)", "per_second": round(made / baseline)},
        "ratio": round(baseline / seconds, 3),
        "formats": found,
        "machine": machine(),
    }


def _measure(url: str, form: str, sizes: tuple[str | None, str | None]) -> dict[str, Any]:
    small, whole = (_export(url, form, one or "") for one in sizes)
    return {
        "rows": whole["rows"],
        "seconds": round(whole["seconds"], 2),
        "per_second": round(whole["rows"] / whole["seconds"]),
        "bytes": whole["bytes"],
        "peak_memory_mib": {str(one["rows"]): one["peak_memory_mib"] for one in (small, whole)},
    }


def _export(url: str, form: str, incident: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "app.bench.export_worker", form, incident]
    done = subprocess.run(command, cwd=_ROOT, input=url.encode(), stdout=subprocess.PIPE, check=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


async def _fill(url: str, people: int) -> int:
    """The deliveries; how many there are."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(_PEOPLE, people)
        await connection.execute(_ADDRESSES)
        for incident, dispatches, every in ((HUNDREDTH, 1, 10), (TENTH, 1, 1), (REST, 9, 1)):
            await connection.execute(_ROWS, incident, dispatches, every)
        await connection.execute("VACUUM ANALYZE")
        made: int = await connection.fetchval("SELECT count(*) FROM deliveries")
        return made
    finally:
        await connection.close()


async def _copy(url: str) -> float:
    connection = await asyncpg.connect(url)

    async def forget(_: bytes) -> None:
        pass

    try:
        began = time.perf_counter()
        await connection.copy_from_query("SELECT * FROM delivery_facts", output=forget, format="csv", header=True)
        return time.perf_counter() - began
    finally:
        await connection.close()
