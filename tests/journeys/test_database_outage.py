"""PostgreSQL stops in the middle of sending and comes back: everybody is accounted for, and nobody told twice."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from app.migrations import migrate
from app.postgres import StopMode, embedded_postgres, start_server, stop_server
from foundation.database import Database
from tests.support.people import counts_of, people, publish, until_told
from tests.support.relays import needs_smtp_sink, smtp_sink
from tests.support.sending_worker import command

PEOPLE = 6_000
CONNECTIONS, DEPTH = 4, 25
LEASE = timedelta(seconds=8)
ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def own_server() -> Iterator[Path]:
    """The data folder of a server nobody else uses, with durability on."""
    folder = Path(tempfile.mkdtemp(prefix="stormdesk-outage-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@needs_smtp_sink
@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_stopping_the_database_during_sending_loses_and_repeats_nothing(own_server: Path, mode: StopMode) -> None:
    with embedded_postgres(own_server) as url, smtp_sink() as sink:
        await asyncio.to_thread(migrate, url)
        database = Database(url, pool=2)
        await people(database, PEOPLE)
        key = await publish(database)
        worker = command(url, sink.port, connections=CONNECTIONS, depth=DEPTH, lease=LEASE.total_seconds())
        process = await asyncio.create_subprocess_exec(*worker, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        await until_told(database, key, PEOPLE // 4)

        await asyncio.to_thread(stop_server, own_server, mode)
        await database.close()
        await _until_said(process.stdout, b"database is away")
        rest = asyncio.create_task(process.stdout.read())  # so that the worker can go on writing
        assert process.returncode is None, "the worker waits for the database"
        await asyncio.to_thread(start_server, own_server)

        after = await counts_of(database, key)
        assert sum(after.values()) == PEOPLE
        await until_told(database, key, PEOPLE)
        counts = await counts_of(database, key)
        process.terminate()
        assert await process.wait() == 0
        await rest
        copies = sink.copies()
        await database.close()
    assert counts == {**dict.fromkeys(counts, 0), "accepted": PEOPLE}
    assert len(copies) == PEOPLE
    assert set(copies.values()) == {1}


async def _until_said(stream: asyncio.StreamReader, words: bytes) -> None:
    async with asyncio.timeout(30):
        while words not in (line := await stream.readline()):
            assert line, "the worker ended"
