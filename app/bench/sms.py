"""Bench: texts from publication to the last recorded result, against a bare `smpp34` client and the same SMS centre.

It uses the real outbox, sender and SMPP on a database of its own with every durability setting on. Both sides send the
same text over as many binds with the same window, each from one process.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvloop

import notify
from app.bench import outbox
from app.bench.machine import machine
from app.bench.ports import free_port, wait_until_open
from app.bench.processes import cpu_seconds
from app.bench.scratch import bench_database
from app.bench.sms_text import TEXT
from app.texts import DEPTH
from foundation.database import Database

ROUNDS = 2
CONNECTIONS = 2
WINDOW = 50


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
        asyncio.run(outbox.load_directory(url, recipients, "sms"))
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
        [sys.executable, "-m", "app.demo.sms_centre", str(port)], stdout=subprocess.DEVNULL, cwd=outbox.ROOT
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
        [sys.executable, "-m", "app.bench.sms_client", *numbers], cwd=outbox.ROOT, stdout=subprocess.PIPE, check=True
    )
    found = json.loads(done.stdout)
    return _Took(found["seconds"], found["cpu_seconds"])


async def _ours(url: str, port: int, recipients: int, number: int) -> _Took:
    database = Database(url, pool=2)
    try:
        arguments = (port, CONNECTIONS, WINDOW, DEPTH)
        async with outbox.senders(url, "app.bench.sms_worker", *arguments, count=1) as senders:
            used, began = cpu_seconds(senders), time.perf_counter()
            key = await outbox.publish(database, number, [notify.MessageText("sms", "en", "", TEXT)])
            planning = time.perf_counter() - began
            await outbox.everything_recorded(database, key, recipients)
            return _Took(time.perf_counter() - began, cpu_seconds(senders) - used, planning)
    finally:
        await database.close()
