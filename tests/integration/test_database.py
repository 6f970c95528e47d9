"""When the database is away the program says so with one error, and never calls another failure that."""

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.postgres import StopMode, embedded_postgres, stop_server
from foundation.database import Database, DatabaseAway, Tx, driver
from foundation.errors import Refusal
from tests.support.web import client, parts_for, staff_token


@pytest.fixture
def own_server() -> Iterator[Path]:
    """The data folder of a server nobody else uses."""
    folder = Path(tempfile.mkdtemp(prefix="stormdesk-away-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("kind", [FileNotFoundError, TimeoutError, ConnectionResetError, Refusal, KeyError])
async def test_what_the_block_itself_raises_stays_itself(database: Database, kind: type[Exception]) -> None:
    async def fail(opened: Callable[[], AbstractAsyncContextManager[Tx]]) -> None:
        async with opened() as tx:
            await tx.execute(text("SELECT 1"))
            raise kind("of the block")

    for opened in (database.transaction, database.snapshot):
        with pytest.raises(kind):
            await fail(opened)


async def test_a_faulty_statement_is_no_outage(database: Database) -> None:
    async with database.transaction() as tx:
        with pytest.raises(DBAPIError, match="no_such_table"):
            await tx.execute(text("SELECT * FROM no_such_table"))
    with pytest.raises(DBAPIError, match="no_such_table"):
        await _select(database, "* FROM no_such_table")


async def test_nothing_listening_is_the_database_away() -> None:
    for url in ("postgresql://a@127.0.0.1:9/a", "postgresql://a@/a?host=/no/such/folder"):
        database = Database(url)
        with pytest.raises(DatabaseAway, match="cannot be reached"):
            await _select(database, "1")
        await database.close()


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_a_server_that_stops_inside_the_block_is_the_database_away(
    own_server: Path, mode: StopMode, raw: bool
) -> None:
    with embedded_postgres(own_server) as url:
        database = Database(url)

        async def lose() -> None:
            async with database.transaction() as tx:
                connection = await driver(tx)
                await asyncio.to_thread(stop_server, own_server, mode)
                await (connection.execute("SELECT 1") if raw else tx.execute(text("SELECT 1")))

        with pytest.raises(DatabaseAway, match="is lost"):
            await lose()
        with pytest.raises(DatabaseAway, match="cannot be reached"):
            await _select(database, "1")
        await database.close()


async def test_a_connection_lost_before_the_commit_is_the_database_away(database: Database) -> None:
    async def lose() -> None:
        async with database.transaction() as tx:
            number = (await tx.execute(text("SELECT pg_backend_pid()"))).scalar_one()
            await _select(database, f"pg_terminate_backend({number}, 5000)")

    with pytest.raises(DatabaseAway, match="is lost"):
        await lose()


async def test_with_every_connection_in_use_pages_ask_to_come_back(database_url: str, tmp_path: Path) -> None:
    crowded = Database(database_url, pool=1, patience=0.05)
    parts = replace(parts_for(database_url, tmp_path), database=crowded)
    token = await staff_token(parts)
    async with client(parts) as web, crowded.transaction() as tx:
        await tx.execute(text("SELECT 1"))
        with pytest.raises(DatabaseAway):
            await _select(crowded, "1")
        answer = await web.get("/api/v1/cases", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) > 0


async def _select(database: Database, what: str) -> None:
    async with database.snapshot() as tx:
        await tx.execute(text(f"SELECT {what}"))
