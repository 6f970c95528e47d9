"""Settings become the few long-lived parts, in one labelled list. Everything else receives what it needs from here."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from argon2 import Parameters
from argon2.profiles import RFC_9106_LOW_MEMORY

from app.postgres import embedded_postgres
from app.settings import Settings
from claims.file_store import FileStore
from foundation.clock import Clock, system_clock
from foundation.database import Database
from foundation.tokens import Tokens
from metrics import Exports


@dataclass(frozen=True, slots=True)
class Parts:
    """What lives as long as the process."""

    settings: Settings
    database: Database
    tokens: Tokens
    clock: Clock
    # Tests sign in by the hundred, and have it cheaper.
    password_cost: Parameters = field(default_factory=lambda: RFC_9106_LOW_MEMORY)

    @property
    def files(self) -> FileStore:
        """Where the files of contacts stand."""
        return FileStore(self.settings.files_dir, self.tokens)

    @property
    def exports(self) -> Exports:
        """What analysts take out; snapshots stand beside the other data."""
        return Exports(self.database, self.settings.data_dir / "snapshots", clock=self.clock)


def make_parts(settings: Settings, database_url: str, *, pool: int = 10, clock: Clock = system_clock) -> Parts:
    """The parts for one process. `database_url` is from `database_url(settings)`; nothing connects yet."""
    return Parts(
        settings=settings,
        database=Database(database_url, pool=pool),
        tokens=Tokens(settings.secret_keys),
        clock=clock,
    )


@asynccontextmanager
async def open_parts(settings: Settings, database_url: str, *, pool: int = 10) -> AsyncIterator[Parts]:
    """`make_parts`, closed when the block ends."""
    parts = make_parts(settings, database_url, pool=pool)
    try:
        yield parts
    finally:
        await parts.database.close()


@contextmanager
def database_url(settings: Settings) -> Iterator[str]:
    """Where the database is: the server of `STORMDESK_DATABASE_URL`, or the embedded one, running for the block."""
    if settings.database_url is not None:
        yield settings.database_url
        return
    with embedded_postgres(settings.data_dir) as url:
        yield url
