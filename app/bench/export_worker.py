"""One export of the export bench: `python -m app.bench.export_worker FORMAT [INCIDENT]`; its input is the database URL.

It prints rows, seconds, bytes and its own peak memory.
"""

import json
import resource
import sys
import time
from contextlib import aclosing

import uvloop
from sqlalchemy import func, select

import metrics.streaming  # noqa: F401 (Arrow is loaded before the clock starts, as the driver is for COPY)
from foundation.database import Database
from metrics import Question, export


async def measure(url: str, form: str, incident: str) -> dict[str, object]:
    """The export's figures."""
    database = Database(url, pool=1)
    question = Question("deliveries", incident=incident or None)
    try:
        async with database.snapshot() as tx:
            rows = (await tx.execute(select(func.count()).select_from(question.rows().subquery()))).scalar_one()
            began, size = time.perf_counter(), 0
            async with aclosing(export(tx, question, form)) as chunks:
                async for chunk in chunks:
                    size += len(chunk)
            seconds = time.perf_counter() - began
    finally:
        await database.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"rows": rows, "seconds": seconds, "bytes": size, "peak_memory_mib": round(peak, 1)}


if __name__ == "__main__":
    given = sys.stdin.readline().strip()
    print(json.dumps(uvloop.run(measure(given, sys.argv[1], "".join(sys.argv[2:3])))))
