"""Sets the demo up: a folder, a fresh database, the flights, and the processes on ports of their own.

Everything is local and made anew each time; nothing of an installation is read but where to keep data and listen.
"""

import asyncio
import fcntl
import os
import secrets
import shutil
import socket
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from app.demo.flights import flights
from app.demo.http_client import Connection
from app.demo.processes import Processes, reserve_port
from app.demo.story import PAGE_NAME
from app.migrations import migrate, with_database
from app.postgres import application_url, embedded_postgres
from foundation.database import Database
from incidents import Component, Party, define_components, define_parties

DATABASE = "demo"
_START_SECONDS = 60
# Made up: nobody has arranged a sender anywhere.
_PRICES = "country,price_minor,currency,sender_id\n*,7.5,EUR,NY flights\nUS,1.2,EUR,+12025550100\n"
WORKERS = 2

# What somebody may want to vary in a demo; the rest of an installation's settings has no say here.
_TUNABLE = ("STORMDESK_SENDER_CONNECTIONS", "STORMDESK_SENDER_DEPTH")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the demo lives and listens. `folder` holds all of it; `held`: its ports, until its processes take them."""

    folder: Path
    host: str
    port: int
    operations_port: int
    worker_ports: tuple[int, ...]
    held: tuple[socket.socket, ...]

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def mail(self) -> Path:
        return self.folder / "mail"

    @property
    def texts(self) -> Path:
        """What the SMS centre has counted."""
        return self.folder / "texts.json"

    def release(self) -> None:
        """Let go of the ports."""
        for one in self.held:
            one.close()


class NotReady(Exception):
    """A process is running but does not answer; the message says which."""


class PlaceTaken(Exception):
    """Another demo is at work in the same folder; the message says what to do."""


@contextmanager
def taken_place(environment: Mapping[str, str]) -> Iterator[Place]:
    """A folder `demo` in the data folder, and port 8080 or any free one, unless STORMDESK_BIND says which.

    The folder is ours alone for the block, and what an earlier demo left there is gone. Raises `PlaceTaken`.
    """
    folder = Path(environment.get("STORMDESK_DATA_DIR") or "var") / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PlaceTaken(
                f"Another demo is running in {folder}. End it first, or set STORMDESK_DATA_DIR to another folder."
            ) from None
        for old in ("mail", "status", "logs"):
            shutil.rmtree(folder / old, ignore_errors=True)
        (folder / "texts.json").unlink(missing_ok=True)
        place = _place(folder, environment)
        try:
            yield place
        finally:
            place.release()


def _place(folder: Path, environment: Mapping[str, str]) -> Place:
    held = [reserve_port(8081 + number) for number in range(WORKERS + 1)]
    operations, *workers = (one.getsockname()[1] for one in held)
    host, _, given = environment.get("STORMDESK_BIND", "").rpartition(":")
    if given.isdigit():
        return Place(folder, host or "127.0.0.1", int(given), operations, tuple(workers), tuple(held))
    held.append(reserve_port(8080))
    return Place(folder, "127.0.0.1", held[-1].getsockname()[1], operations, tuple(workers), tuple(held))


@contextmanager
def fresh_database(folder: Path) -> Iterator[str]:
    """The URL of an empty database with the newest schema, in an embedded PostgreSQL of its own."""
    with embedded_postgres(folder) as server:
        asyncio.run(_recreate(server))
        url = with_database(server, DATABASE)
        migrate(url)
        yield url


@asynccontextmanager
async def running(place: Place) -> AsyncIterator[Processes]:
    """The mailbox, one web process and the workers, all answering; gone when the block ends."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STORMDESK_")}
    environment |= {name: os.environ[name] for name in _TUNABLE if name in os.environ}
    async with Processes(place.folder / "logs", environment) as processes:
        mailbox = await processes.start("mailbox", "app.demo.mailbox", str(place.mail))
        assert mailbox.stdout is not None
        port = int(await mailbox.stdout.readline() or 0)
        smpp_port = await _sms_centre(processes, place)
        # What serves and sends is a role that owns nothing; see docs/decisions/0020-audit.md.
        lesser = with_database(await asyncio.to_thread(application_url, place.folder), DATABASE)
        processes.add_to_environment(_settings(place, lesser, port, smpp_port))
        place.release()
        operations = {"STORMDESK_OPS_BIND": f"127.0.0.1:{place.operations_port}"}
        await processes.start("web", "app.cli", "serve", environment=operations)
        for number, port in enumerate(place.worker_ports, 1):
            operations = {"STORMDESK_OPS_BIND": f"127.0.0.1:{port}"}
            await processes.start(f"worker-{number}", "app.cli", "work", environment=operations)
        await processes.unless_one_ends(_answering(place))
        yield processes


async def _sms_centre(processes: Processes, place: Place) -> int:
    """Starts the SMS centre, which takes every text and says at once that it arrived; its port."""
    with reserve_port(2775) as held:
        port: int = held.getsockname()[1]
    arguments = (str(port), "--receipts", "at once", "--counts", str(place.texts))
    centre = await processes.start("sms-centre", "app.demo.sms_centre", *arguments)
    assert centre.stdout is not None
    await centre.stdout.readline()
    return port


def _settings(place: Place, database_url: str, smtp_port: int, smpp_port: int) -> dict[str, str]:
    prices = place.folder / "sms_prices.csv"
    prices.write_text(_PRICES, encoding="utf-8")
    return {
        "STORMDESK_SMPP_URL": f"smpp://demo:demo@127.0.0.1:{smpp_port}?window=50",
        "STORMDESK_SMS_PRICES": str(prices),
        # Whatever the hour it is shown at; nobody is woken.
        "STORMDESK_QUIET_HOURS": "none",
        "STORMDESK_DATABASE_URL": database_url,
        "STORMDESK_DATA_DIR": str(place.folder),
        "STORMDESK_STATUS_DIR": str(place.folder / "status"),
        "STORMDESK_SMTP_URL": f"smtp://127.0.0.1:{smtp_port}",
        "STORMDESK_PUBLIC_URL": place.url,
        "STORMDESK_BIND": f"{place.host}:{place.port}",
        "STORMDESK_SECRET_KEY": secrets.token_hex(32),
        "STORMDESK_PAGE_NAME": PAGE_NAME,
        "STORMDESK_TIME_ZONE": "America/New_York",
        "STORMDESK_MAIL_FROM": "updates@flights.example",
    }


async def _answering(place: Place) -> None:
    connection = Connection("127.0.0.1", place.operations_port)
    deadline = time.monotonic() + _START_SECONDS
    try:
        while time.monotonic() < deadline:
            try:
                if (await connection.exchange(connection.request("GET", "/readyz"))).status == 200:
                    return
            except (OSError, EOFError):
                connection.close()
            await asyncio.sleep(0.1)
    finally:
        connection.close()
    raise NotReady(f"The web process was not ready after {_START_SECONDS} s; see {place.folder / 'logs' / 'web.log'}.")


async def register_flights(database: Database) -> None:
    """Make every flight a component, in a group of its airport and airline, with the airline responsible for it."""
    every = flights()
    airlines = {flight.carrier: flight.carrier_name for flight in every}
    async with database.transaction() as tx:
        await define_parties(tx, [Party(key, name, "contractor") for key, name in sorted(airlines.items())])
        await define_components(
            tx,
            [
                Component(flight.key, flight.name, group=flight.group, party=flight.carrier, position=flight.position)
                for flight in every
            ],
        )


async def _recreate(server: str) -> None:
    connection = await asyncpg.connect(server)
    try:
        await connection.execute(f'DROP DATABASE IF EXISTS "{DATABASE}" WITH (FORCE)')
        await connection.execute(f'CREATE DATABASE "{DATABASE}"')
    finally:
        await connection.close()
