"""Bench: mail from publication to the last recorded result, against Postfix's smtp-source and the same smtp-sink.

It uses the real outbox, senders and SMTP on a database of its own with every durability setting on; the directory is
the least that planning needs.
"""

import asyncio
import json
import multiprocessing
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path

import asyncpg
import uvloop
from sqlalchemy import select, text

import notify
from app.bench.machine import machine
from app.loops import stop_on_signals
from app.migrations import migrate
from app.postgres import embedded_postgres
from foundation.database import Database
from foundation.tokens import Tokens
from notify.channels.email import MailChannel
from notify.messages import MailFactory
from notify.sender import Sender

# What smtp-source sends by -l; ours carries more headers on top, as real mail does.
BODY_BYTES = 4096
BASELINE_CONNECTIONS = 10
WORKERS = 2
CONNECTIONS = 5
DEPTH = 50
# One look at each partial index: counting everybody over and over would be a load of its own.
_LIVE = """
(SELECT 1 FROM deliveries WHERE state = 'planned' LIMIT 1) UNION ALL
(SELECT 1 FROM deliveries WHERE state = 'sending' LIMIT 1) UNION ALL
(SELECT 1 FROM deliveries WHERE state = 'deferred' LIMIT 1)
"""
_LEASE = timedelta(seconds=60)
_SBIN = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/local/sbin"])


def bench_mail(recipients: int) -> dict[str, object]:
    """Send one update to `recipients` people and give the figures. Needs smtp-sink, of Debian's package postfix.

    `seconds` runs from the start of publication to the last result on disk, planning included.
    """
    sink, source = shutil.which("smtp-sink", path=_SBIN), shutil.which("smtp-source", path=_SBIN)
    if sink is None:
        return {"bench": "mail", "n": recipients, "error": "smtp-sink is not installed (Debian: package postfix)."}
    with _sink(sink) as port, _database() as url:
        baseline = _baseline(source, port, recipients) if source else None
        planning, seconds = uvloop.run(_ours(url, port, recipients))
    per_second = recipients / seconds
    return {
        "bench": "mail",
        "n": recipients,
        "seconds": round(seconds, 2),
        "per_second": round(per_second),
        "planning_seconds": round(planning, 2),
        "per_second_after_planning": round(recipients / (seconds - planning)),
        "baseline": {"name": "smtp-source", "per_second": round(baseline)} if baseline else None,
        "ratio": round(per_second / baseline, 3) if baseline else None,
        **({} if baseline else {"note": "smtp-source is not installed (Debian: package postfix)."}),
        "body_bytes": BODY_BYTES,
        "workers": WORKERS,
        "connections": CONNECTIONS,
        "depth": DEPTH,
        "machine": machine(),
    }


# The other side


@contextmanager
def _sink(program: str) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    process = subprocess.Popen([program, *user, f"127.0.0.1:{port}", "1000"], stdout=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield port
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def _baseline(program: str, port: int, messages: int) -> float:
    sessions = str(BASELINE_CONNECTIONS)
    command = [program, "-s", sessions, "-m", str(messages), "-l", str(BODY_BYTES), "-d", f"127.0.0.1:{port}"]
    began = time.perf_counter()
    subprocess.run(command, check=True)
    return messages / (time.perf_counter() - began)


# Ours


@contextmanager
def _database() -> Iterator[str]:
    """A fresh database on the configured server, or on an embedded one of its own with its usual settings."""
    configured = os.environ.get("STORMDESK_DATABASE_URL")
    if configured:
        with _database_on(configured) as url:
            yield url
        return
    with tempfile.TemporaryDirectory(prefix="stormdesk-bench-") as folder:
        Path(folder).chmod(0o755)
        with embedded_postgres(Path(folder)) as server, _database_on(server) as url:
            yield url


@contextmanager
def _database_on(server: str) -> Iterator[str]:
    name = f"stormdesk_bench_{secrets.token_hex(4)}"
    head, _, query = server.partition("?")
    url = f"{head.rpartition('/')[0]}/{name}?{query}"
    asyncio.run(_execute(server, f"CREATE DATABASE {name}"))
    try:
        migrate(url)
        yield url
    finally:
        asyncio.run(_execute(server, f"DROP DATABASE {name} WITH (FORCE)"))


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _ours(url: str, port: int, recipients: int) -> tuple[float, float]:
    """Seconds of planning, and seconds in all."""
    await _load_directory(url, recipients)
    async with _workers(url, port):
        database = Database(url, pool=2)
        try:
            began = time.perf_counter()
            await _publish(database)
            planned = time.perf_counter()
            await _everything_recorded(database, recipients)
            return planned - began, time.perf_counter() - began
        finally:
            await database.close()


async def _load_directory(url: str, recipients: int) -> None:
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
        await connection.execute(
            """
            INSERT INTO addresses (customer_id, channel, value)
            SELECT id, 'mail', 'p' || id || '@example.org' FROM customers
            """
        )
        await connection.execute(
            """
            INSERT INTO exposures (customer_id, component_key, needed_at)
            SELECT id, 'bench', now() + make_interval(secs => id % 86400) FROM customers
            """
        )
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()


async def _publish(database: Database) -> None:
    audience = select(notify.exposures.c.customer_id, notify.exposures.c.needed_at).where(
        notify.exposures.c.component_key == "bench"
    )
    line = "What you read here fills the mail up to the size that the baseline sends as well.\n"
    filler = (line * (BODY_BYTES // len(line) + 1))[: BODY_BYTES - 20]
    async with database.transaction() as tx:
        await notify.enqueue(
            tx,
            key="bench",
            topic="incident:bench",
            number=1,
            messages=[
                notify.MessageText("mail", language, "Update 1", f"{{name}},\n{filler}") for language in ("en", "nl")
            ],
            audience=audience,
        )


async def _everything_recorded(database: Database, recipients: int) -> None:
    while True:
        async with database.transaction() as tx:
            if not (await tx.execute(text(_LIVE))).all():
                counts = await notify.delivery_summary(tx, "bench")
                break
        await asyncio.sleep(0.02)
    if counts["accepted"] != recipients:
        raise RuntimeError(f"Not everything was accepted: {json.dumps(counts)}")


@asynccontextmanager
async def _workers(url: str, port: int) -> AsyncIterator[None]:
    """The senders, started and waiting for work. They are real processes, as `stormdesk work` would be."""
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(WORKERS + 1)
    processes = [context.Process(target=_work, args=(url, port, ready), daemon=True) for _ in range(WORKERS)]
    for process in processes:
        process.start()
    try:
        await asyncio.to_thread(ready.wait, 30)
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            await asyncio.to_thread(process.join, 30)


def _work(url: str, port: int, ready: "multiprocessing.synchronize.Barrier") -> None:
    uvloop.run(_send(url, port, ready))


async def _send(url: str, port: int, ready: "multiprocessing.synchronize.Barrier") -> None:
    database = Database(url, pool=CONNECTIONS)
    factory = MailFactory("updates@stormdesk.example", Tokens([b"a key that only the bench uses: it signs nothing"]))
    channel = MailChannel([f"smtp://127.0.0.1:{port}"], factory)
    sender = Sender(database, channel, connections=CONNECTIONS, depth=DEPTH, lease=_LEASE)
    stop = stop_on_signals()
    await asyncio.to_thread(ready.wait, 30)
    try:
        await sender.run(stop)
    finally:
        await database.close()
