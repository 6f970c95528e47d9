"""Bench: contacts over HTTP, on disk before each 202, against bare inserts of the same row into the same database.

The server is a process of its own as `stormdesk serve` runs it, PostgreSQL keeps all its durability settings, and both
share this machine with the load. It measures; it decides nothing.
"""

import asyncio
import hashlib
import os
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import asyncpg
import msgspec
import uvloop

from app.bench.identity import an_incident
from app.bench.machine import machine
from app.bench.ports import HOST, free_port, wait_until_open
from app.migrations import migrate
from app.postgres import embedded_postgres
from claims.intake import fingerprint
from claims.receipts import new_receipt
from foundation.database import Database

BASELINE_CONNECTIONS = 16
SENDERS = 128
_READY_SECONDS = 30.0
_INSERT = """
INSERT INTO contacts (receipt, idempotency_key, fingerprint, channel, language, raw) VALUES ($1, $2, $3, $4, $5, $6)
"""


def bench_intake(contacts: int = 30_000) -> dict[str, object]:
    """Send `contacts` contacts over HTTP and give the figures. `seconds`: from the first request to the last 202."""
    with tempfile.TemporaryDirectory(prefix="stormdesk-bench-") as folder:
        Path(folder).chmod(0o755)  # the database's own account passes through; what is inside is private
        with embedded_postgres(Path(folder)) as url:
            migrate(url)
            return uvloop.run(_measure(url, Path(folder), contacts))


async def _measure(url: str, folder: Path, contacts: int) -> dict[str, object]:
    warm_up = max(contacts // 10, 1000)
    await _baseline(url, _bodies(warm_up))
    baseline = contacts / await _baseline(url, _bodies(contacts))
    await _empty(url)
    async with _server(url, folder) as port:
        await _send(port, _bodies(1) * warm_up)
        before = await _stored(url)
        async with _worker(url):
            await _until_resolved(url)
            started = time.perf_counter()
            seconds, waits = await _send(port, _bodies(contacts))
            stored = await _stored(url) - before
            await _until_resolved(url)
            resolved_seconds = time.perf_counter() - started
        cases = await _cases(url)  # the warm-up was the first of them, many times
    if stored != contacts:
        raise RuntimeError(f"{contacts} contacts were acknowledged, and {stored} are in the database.")
    if cases != people(contacts):
        raise RuntimeError(f"{people(contacts)} people wrote, and have {cases} cases.")
    per_second = contacts / seconds
    cuts = statistics.quantiles(waits, n=100)
    return {
        "bench": "intake",
        "n": contacts,
        "seconds": round(seconds, 2),
        "per_second": round(per_second),
        "p50_ms": round(cuts[49] * 1000, 1),
        "p99_ms": round(cuts[98] * 1000, 1),
        "baseline": {
            "name": f"{BASELINE_CONNECTIONS} asyncpg connections, a row a commit",
            "per_second": round(baseline),
        },
        "ratio": round(per_second / baseline, 3),
        "durable_at_202": stored,
        "resolved_per_second": round(contacts / resolved_seconds),
        "resolved_ratio": round(contacts / resolved_seconds / baseline, 3),
        "people": people(contacts),
        "cases": cases,
        "senders": SENDERS,
        "body_bytes": len(_bodies(1)[0]),
        "machine": machine(),
    }


def people(contacts: int) -> int:
    """How many write that many times: two of three contacts are somebody's first."""
    return max(1, contacts * 2 // 3)


def _bodies(count: int) -> list[bytes]:
    text = "My flight was cancelled and nobody at the desk could tell me when the next one leaves. " * 3
    return [
        msgspec.json.encode(
            {
                "name": f"{_word(person, 7)} {_word(person, 9)}",
                "reference": f"{person:06X}",
                "email": f"{_word(person, 12)}@postbus.example",
                "phone": f"+3161{person:07d}",
                "message": text,
                "asks_for": "rebooking",
                "language": "nl",
            }
        )
        for person in (place % people(count) for place in range(count))
    ]


def _word(person: int, length: int) -> str:
    """Letters that somebody else's are nothing like, the same for the same person."""
    digest = hashlib.blake2b(f"{person} {length}".encode(), digest_size=length).digest()
    return "".join(chr(97 + one % 26) for one in digest)


async def _baseline(url: str, bodies: Sequence[bytes]) -> float:
    """Seconds to insert one row for each of `bodies`, each committed alone."""
    waiting = iter(bodies)
    connections = await asyncio.gather(*(asyncpg.connect(url) for _ in range(BASELINE_CONNECTIONS)))

    async def insert(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        for raw in waiting:
            await connection.execute(_INSERT, new_receipt(), secrets.token_hex(16), fingerprint(raw), "api", "nl", raw)

    started = time.perf_counter()
    await asyncio.gather(*(insert(connection) for connection in connections))
    seconds = time.perf_counter() - started
    await asyncio.gather(*(connection.close() for connection in connections))
    return seconds


@asynccontextmanager
async def _server(url: str, folder: Path) -> AsyncIterator[int]:
    """A web process on a free port of this machine, ready to take contacts in."""
    port = free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("STORMDESK_")},
        "STORMDESK_DATABASE_URL": url,
        "STORMDESK_DATA_DIR": str(folder / "data"),
        "STORMDESK_SECRET_KEY": secrets.token_hex(32),
        "STORMDESK_BIND": f"{HOST}:{port}",
        "STORMDESK_PUBLIC_URL": f"http://{HOST}:{port}",
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "app.cli", "serve", env=environment)
    try:
        await asyncio.to_thread(wait_until_open, port, seconds=_READY_SECONDS)
        yield port
    finally:
        process.terminate()
        await process.wait()


async def _send(port: int, bodies: Sequence[bytes]) -> tuple[float, list[float]]:
    """Send every body over `SENDERS` kept connections, each waiting for its answer; (seconds, each one's wait)."""
    loop = asyncio.get_running_loop()
    requests = _requests(bodies)
    waits: list[float] = []
    started = time.perf_counter()
    senders = []
    for _ in range(SENDERS):
        _, sender = await loop.create_connection(lambda: _Sender(requests, waits, loop.create_future()), HOST, port)
        senders.append(sender)
    await asyncio.gather(*(sender.done for sender in senders))
    return time.perf_counter() - started, waits


def _requests(bodies: Sequence[bytes]) -> Iterator[bytes]:
    for raw in bodies:
        yield (
            b"POST /api/v1/contacts HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
            b"Idempotency-Key: %b\r\nContent-Length: %d\r\n\r\n%b" % (secrets.token_hex(16).encode(), len(raw), raw)
        )


class _Sender(asyncio.Protocol):
    """One sender on one connection: the next request when the answer is complete. Cheap, for it shares the cores."""

    def __init__(self, requests: Iterator[bytes], waits: list[float], done: "asyncio.Future[None]") -> None:
        self._requests = requests
        self._waits = waits
        self.done = done
        self._answer = b""
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        self._next()

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, blank, body = self._answer.partition(b"\r\n\r\n")
        if not blank or len(body) < _content_length(head):
            return
        if not head.startswith(b"HTTP/1.1 202"):
            self.done.set_exception(RuntimeError(f"The server answered {self._answer[:500]!r}"))
            self._transport.close()
            return
        self._waits.append(time.perf_counter() - self._sent)
        self._answer = b""
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("The server hung up."))

    def _next(self) -> None:
        request = next(self._requests, None)
        if request is None:
            if not self.done.done():
                self.done.set_result(None)
            self._transport.close()
            return
        self._sent = time.perf_counter()
        self._transport.write(request)


def _content_length(head: bytes) -> int:
    _, _, rest = head.lower().partition(b"content-length:")
    return int(rest.partition(b"\r\n")[0] or 0)


@asynccontextmanager
async def _worker(url: str) -> AsyncIterator[None]:
    """A worker process that resolves during the block."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "app.bench.intake_worker", url)
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def _until_resolved(url: str) -> None:
    while await _count(url, "SELECT count(*) FROM (SELECT FROM contacts WHERE state = 'received' LIMIT 1) one"):  # noqa: ASYNC110 (another process does it)
        await asyncio.sleep(0.1)


async def _cases(url: str) -> int:
    return await _count(url, "SELECT count(*) FROM cases WHERE merged_into IS NULL")


async def _stored(url: str) -> int:
    return await _count(url, "SELECT count(*) FROM contacts")


async def _count(url: str, query: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        count: int = await connection.fetchval(query)
        return count
    finally:
        await connection.close()


async def _empty(url: str) -> None:
    """Take the baseline's rows away, and have something for contacts to be about."""
    connection, database = await asyncpg.connect(url), Database(url)
    try:
        await connection.execute("TRUNCATE contacts CASCADE")
        await an_incident(database)
    finally:
        await connection.close()
        await database.close()
