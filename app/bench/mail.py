"""Bench: mail from publication to the last recorded result, against Postfix's smtp-source and the same smtp-sink.

It uses the real outbox, senders and SMTP on a database of its own with every durability setting on; the directory is
the least that planning needs.
"""

import asyncio
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg
import uvloop
from sqlalchemy import select, text

import notify
from app.bench.machine import machine
from app.bench.ports import free_port, wait_until_open
from app.migrations import migrate, with_database
from app.postgres import embedded_postgres
from foundation.database import Database

# What smtp-source sends by -l; ours carries more headers on top, as real mail does.
BODY_BYTES = 4096
BASELINE_CONNECTIONS = 10
ROUNDS = 2
WORKERS = 2
CONNECTIONS = 5
DEPTH = 50
# What waits or is under way stands in batches: counting everybody over and over would be a load of its own.
_LIVE = "SELECT 1 FROM batches LIMIT 1"
_ROOT = Path(__file__).resolve().parent.parent.parent
_SBIN = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/local/sbin"])


def bench_mail(recipients: int) -> dict[str, object]:
    """Send an update to `recipients` people and give the figures: the best of some rounds, ours and the baseline's.

    `seconds` runs from the start of publication to the last result on disk, planning included. Without Debian's
    package postfix there is no baseline, and the demo's mailbox receives.
    """
    sink, source = shutil.which("smtp-sink", path=_SBIN), shutil.which("smtp-source", path=_SBIN)
    rates: list[float] = []
    took: list[tuple[float, float]] = []
    with _sink(sink) as port, _database() as url:
        asyncio.run(_load_directory(url, recipients))
        for number in range(ROUNDS):
            if sink and source:
                rates.append(_baseline(source, port, recipients))
            took.append(uvloop.run(_ours(url, port, recipients, number)))
    seconds, planning = min(took)
    baseline = max(rates, default=None)
    return {
        "bench": "mail",
        "n": recipients,
        "seconds": round(seconds, 2),
        "per_second": round(recipients / seconds),
        "planning_seconds": round(planning, 2),
        "per_second_after_planning": round(recipients / (seconds - planning)),
        "baseline": {"name": "smtp-source", "per_second": round(baseline)} if baseline else None,
        "ratio": round(recipients / seconds / baseline, 3) if baseline else None,
        # Far apart: the machine was busy.
        "rounds": {"ours": [round(recipients / one) for one, _ in took], "baseline": [round(rate) for rate in rates]},
        **({} if baseline else {"note": "No baseline: smtp-source and smtp-sink (Debian: postfix) are not installed."}),
        "body_bytes": BODY_BYTES,
        "workers": WORKERS,
        "connections": CONNECTIONS,
        "depth": DEPTH,
        "machine": machine(),
    }


# The other side


@contextmanager
def _sink(smtp_sink: str | None) -> Iterator[int]:
    """Something that takes mail and throws it away; yields its port."""
    with tempfile.TemporaryDirectory(prefix="stormdesk-bench-") as folder:
        port = free_port()
        if smtp_sink:
            user = ["-u", "nobody"] if os.geteuid() == 0 else []
            command = [smtp_sink, *user, f"127.0.0.1:{port}", "1000"]
        else:
            command = [sys.executable, "-m", "app.demo.mailbox", folder, str(port)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=_ROOT)
        try:
            wait_until_open(port)
            yield port
        finally:
            process.terminate()
            process.wait()


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
    url = with_database(server, name)
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


async def _ours(url: str, port: int, recipients: int, number: int) -> tuple[float, float]:
    """Seconds in all, and seconds of planning."""
    async with _workers(url, port):
        database = Database(url, pool=2)
        try:
            began = time.perf_counter()
            key = await _publish(database, number)
            planned = time.perf_counter()
            await _everything_recorded(database, key, recipients)
            return time.perf_counter() - began, planned - began
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


async def _publish(database: Database, number: int) -> str:
    audience = select(notify.exposures.c.customer_id, notify.exposures.c.needed_at).where(
        notify.exposures.c.component_key == "bench"
    )
    line = "What you read here fills the mail up to the size that the baseline sends as well.\n"
    filler = (line * (BODY_BYTES // len(line) + 1))[: BODY_BYTES - 20]
    async with database.transaction() as tx:
        await notify.enqueue(
            tx,
            key=f"bench:{number}",
            topic=f"incident:bench-{number}",
            number=1,
            messages=[
                notify.MessageText("mail", language, "Update 1", f"{{name}},\n{filler}") for language in ("en", "nl")
            ],
            audience=audience,
        )
    return f"bench:{number}"


async def _everything_recorded(database: Database, key: str, recipients: int) -> None:
    while True:
        async with database.transaction() as tx:
            if not (await tx.execute(text(_LIVE))).all():
                counts = await notify.delivery_summary(tx, key)
                break
        await asyncio.sleep(0.02)
    if counts["accepted"] != recipients:
        raise RuntimeError(f"Not everything was accepted: {json.dumps(counts)}")


@asynccontextmanager
async def _workers(url: str, port: int) -> AsyncIterator[None]:
    """The senders, started and waiting for work. They are processes of their own, as `stormdesk work` is."""
    command = [sys.executable, "-m", "app.bench.mail_worker", str(port), str(CONNECTIONS), str(DEPTH)]
    pipe = asyncio.subprocess.PIPE
    workers = [
        await asyncio.create_subprocess_exec(*command, cwd=_ROOT, stdin=pipe, stdout=pipe) for _ in range(WORKERS)
    ]
    try:
        for worker in workers:
            assert worker.stdin is not None
            assert worker.stdout is not None
            worker.stdin.write(f"{url}\n".encode())
            if await worker.stdout.readline() != b"ready\n":
                raise RuntimeError("A worker of the bench did not start; its error stands above.")
        yield
    finally:
        for worker in workers:
            if worker.returncode is None:
                worker.terminate()
            await worker.wait()
