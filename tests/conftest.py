"""What every test can ask for: real services, started once and shared, and a fresh database made by the migrations."""

import asyncio
import itertools
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from app.migrations import migrate, with_database
from app.postgres import embedded_postgres
from foundation.database import Database
from foundation.tokens import Tokens

# A shell that runs us in the background has us ignore Ctrl-C, and every program a test starts would inherit that: the
# tests that interrupt one would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)

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
def template_database(postgres_url: str, worker_id: str) -> Iterator[str]:
    """The name of a database made by running the migrations, once a test worker; tests clone it.

    The process's number keeps two runs of the tests on one machine out of each other's databases.
    """
    name = f"template_{worker_id}_{os.getpid()}"
    asyncio.run(_statements(postgres_url, f'DROP DATABASE IF EXISTS "{name}"', f'CREATE DATABASE "{name}"'))
    migrate(with_database(postgres_url, name))
    yield name
    asyncio.run(_statements(postgres_url, f'DROP DATABASE IF EXISTS "{name}"'))


@pytest.fixture
def database_url(postgres_url: str, template_database: str, worker_id: str) -> Iterator[str]:
    """The URL of a fresh database with the newest schema, dropped after the test."""
    name = f"test_{worker_id}_{os.getpid()}_{next(_serial)}"
    asyncio.run(
        _statements(
            postgres_url,
            f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)',
            f'CREATE DATABASE "{name}" TEMPLATE "{template_database}"',
        )
    )
    yield with_database(postgres_url, name)
    asyncio.run(_statements(postgres_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A `Database` on a fresh database."""
    database = Database(database_url)
    yield database
    await database.close()


@pytest.fixture
def tokens() -> Tokens:
    return Tokens([b"a signing key that only tests use"])


async def _statements(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(with_database(url, "postgres"))
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()
