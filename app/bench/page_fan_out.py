"""Bench: the page while 300,000 deliveries are planned: how long readers wait, and how soon they see what is new.

One web process does what `stormdesk serve` does then: it answers readers (wrk), publishes, and writes the page.
"""

import asyncio
import multiprocessing
import re
import tempfile
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path

import uvloop
from starlette.applications import Starlette

from app.bench import mail, outbox
from app.bench.page_storm import say, status_page, storm
from app.bench.ports import free_port, wait_until_open
from app.bench.scratch import bench_database
from app.public_page import PageStore, PublicPage
from app.setting_values import Bind
from app.web import public_server, run_until
from foundation.database import Database
from incidents import StatusPage

DELIVERIES = 300_000
CONNECTIONS = 64
UPDATES = 3
_SECONDS = re.compile(r"99%\s+([0-9.]+)(us|ms|s)")
_IN_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


def fan_out(generator: str, headers: Mapping[str, str]) -> dict[str, object]:
    """The figures; `generator`: the path of wrk; `headers`: what its readers send."""
    with bench_database() as url, tempfile.TemporaryDirectory() as folder:
        asyncio.run(outbox.load_directory(url, DELIVERIES))
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(
            target=_web_process, args=(theirs, url, Path(folder), generator, dict(headers))
        )
        process.start()
        try:
            theirs.close()
            found: dict[str, object] = ours.recv()
        finally:
            process.join()
    return found


def _web_process(answer: Connection, url: str, folder: Path, generator: str, headers: Mapping[str, str]) -> None:
    answer.send(uvloop.run(_serve_and_publish(url, folder, generator, headers)))


async def _serve_and_publish(url: str, folder: Path, generator: str, headers: Mapping[str, str]) -> dict[str, object]:
    database, page, stop, port = Database(url), status_page(folder), asyncio.Event(), free_port()
    incident = await storm(database)
    await say(database, incident, "Before")
    await page.refresh(database)
    async with public_server(PublicPage(PageStore(folder), Starlette()), Bind("127.0.0.1", port), stop) as server:
        running = asyncio.create_task(run_until(stop, [server]))
        await asyncio.to_thread(wait_until_open, port)
        quiet = await _slowest(generator, headers, port, 3)
        planning = asyncio.create_task(_plan(database))
        readers = asyncio.create_task(_slowest(generator, headers, port, 10))
        visible, during = [], 0
        for number in range(UPDATES):
            await asyncio.sleep(0.5)
            visible.append(await _seconds_until_seen(database, port, page, incident, f"Update {number} is there"))
            during += not planning.done()
        found = {
            "deliveries": DELIVERIES,
            "planning_seconds": round(await planning, 2),
            "p99_ms": round(await readers * 1000, 2),
            "p99_ms_quiet": round(quiet * 1000, 2),
            # From the call that publishes to the first answer over HTTP that shows it.
            "visible_seconds": [round(one, 3) for one in visible],
            "published_during_planning": during,
        }
        stop.set()
        await running
    await database.close()
    return found


async def _plan(database: Database) -> float:
    began = time.perf_counter()
    await mail.publish(database, 0)
    return time.perf_counter() - began


async def _seconds_until_seen(database: Database, port: int, page: StatusPage, incident: str, title: str) -> float:
    began = time.perf_counter()
    await say(database, incident, title)
    writing = asyncio.create_task(page.refresh(database))
    while title.encode() not in await _first_page(port):  # noqa: ASYNC110 (it asks as a reader does)
        await asyncio.sleep(0.01)
    seen = time.perf_counter() - began
    await writing
    return seen


async def _first_page(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    try:
        return await reader.read()
    finally:
        writer.close()


async def _slowest(generator: str, headers: Mapping[str, str], port: int, seconds: int) -> float:
    """What 99 of 100 readers waited at most, in seconds."""
    sent = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    command = [generator, "--latency", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", *sent, f"http://127.0.0.1:{port}/"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    said = (await process.communicate())[0].decode()
    if "Non-2xx" in said or (found := _SECONDS.search(said)) is None:
        raise RuntimeError(f"Not every request was answered:\n{said}")
    return float(found[1]) * _IN_SECONDS[found[2]]
