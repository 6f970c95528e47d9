"""What every test can ask for: real services, started once and shared, and a fresh database made by the migrations."""

import asyncio
import itertools
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import asyncpg
import pytest

from app.migrations import migrate, with_database
from app.postgres import embedded_postgres
from foundation.database import Database
from foundation.tokens import Tokens

# A shell that runs us in the background has us ignore Ctrl-C, and every program a test starts would inherit that: the
# tests that interrupt one would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
SERVER = Path(__file__).resolve().parent.parent / "var/tests"
_serial = itertools.count()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of one PostgreSQL server that all test workers share. Kept between runs, so it starts in a moment.

    Durability is off here only: databases live for one test. The tests that pull the plug start servers of their own.
    """
    with embedded_postgres(SERVER, settings={"fsync": "off", "synchronous_commit": "off"}) as url:
        yield url


@pytest.fixture(scope="session")
def on_server(postgres_url: str) -> Iterator[Callable[[str], object]]:
    """Runs one statement on the server, outside any test's database; over one connection, as there are a thousand."""
    # A loop of its own: the tests' loops come and go, one a test.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        connection = runner.run(_connected(with_database(postgres_url, "postgres")))
        yield lambda statement: runner.run(connection.execute(statement))
        runner.run(connection.close())


async def _connected(url: str) -> Connection:
    connection: Connection = await asyncpg.connect(url)
    return connection


@pytest.fixture(scope="session")
def template_database(postgres_url: str, on_server: Callable[[str], object], worker_id: str) -> Iterator[str]:
    """The name of a database made by running the migrations, once a test worker; tests clone it.

    The process's number keeps two runs of the tests on one machine out of each other's databases.
    """
    name = f"template_{worker_id}_{os.getpid()}"
    on_server(f'DROP DATABASE IF EXISTS "{name}"')
    on_server(f'CREATE DATABASE "{name}"')
    migrate(with_database(postgres_url, name))
    yield name
    on_server(f'DROP DATABASE "{name}"')


@pytest.fixture
def database_url(
    postgres_url: str, on_server: Callable[[str], object], template_database: str, worker_id: str
) -> Iterator[str]:
    """The URL of a fresh database with the newest schema, dropped after the test."""
    name = f"test_{worker_id}_{os.getpid()}_{next(_serial)}"
    on_server(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    on_server(f'CREATE DATABASE "{name}" TEMPLATE "{template_database}"')
    yield with_database(postgres_url, name)
    on_server(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A `Database` on a fresh database."""
    database = Database(database_url)
    yield database
    await database.close()


@pytest.fixture
def tokens() -> Tokens:
    return Tokens([b"a signing key that only tests use"])
