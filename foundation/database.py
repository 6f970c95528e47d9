"""The one way to PostgreSQL: an engine, transactions that commit at the edge, and the shared MetaData.

Use cases take a `tx` (an open transaction) as an argument and never commit; whoever opened it does.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeAlias, cast
from weakref import WeakSet

import asyncpg
from sqlalchemy import MetaData, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

metadata = MetaData(
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s_index",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "pk": "%(table_name)s_pkey",
    }
)

Tx = AsyncConnection
_GOODBYE = 2  # seconds for a connection to end in order

if TYPE_CHECKING:  # generic in its stubs only
    Driver: TypeAlias = asyncpg.Connection[asyncpg.Record]
else:
    Driver = asyncpg.Connection


Witness = Callable[[Tx], Awaitable[None]]
_witness: ContextVar[Witness | None] = ContextVar("witness", default=None)


@contextmanager
def witnessed(witness: Witness) -> Iterator[None]:
    """In this block `witness` is called at the end of every transaction, right before it commits.

    So what it writes about a deed is there if and only if the deed is. Snapshots change nothing and are not witnessed.
    """
    before = _witness.set(witness)
    try:
        yield
    finally:
        _witness.reset(before)


class DatabaseAway(Exception):
    """The database cannot be reached now (stopped, restarting, cut off, every connection in use), so waiting helps.

    What a transaction wrote is undone; when the connection was lost while committing nobody can tell.
    """


class Database:
    """A pool of connections to one PostgreSQL.

    `url`: `postgresql://…`, options such as `sslmode` too; `pool`: connections kept at most; `patience`: seconds to
    wait for one while all are in use.
    """

    def __init__(self, url: str, *, pool: int = 10, patience: float = 30) -> None:
        async def connect(**settings: str) -> Driver:
            # asyncpg reads the URL itself: SQLAlchemy would hand it such options as keywords it does not know.
            fixed = {"timezone": "UTC", "application_name": "stormdesk"}
            return await asyncpg.connect(url, timeout=10, server_settings=fixed | settings)

        self._connect = connect
        self._dedicated: WeakSet[Driver] = WeakSet()
        self.engine: AsyncEngine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=connect,
            pool_size=pool,
            max_overflow=0,
            pool_timeout=patience,
            hide_parameters=True,  # an error is logged; what it was about is about people
        )

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection]:
        """A connection on which nothing is begun, for migrations, which commit step by step.

        Raises `DatabaseAway` when there is none to be had and when it is lost. Any other error of the block stays
        itself, an OSError or a TimeoutError too.
        """
        with _away_when_lost():
            async with AsyncExitStack() as stack:
                with _away_unless_reached():
                    connection = await stack.enter_async_context(self.engine.connect())
                yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        """One transaction: committed when the block ends, rolled back when it raises. Raises `DatabaseAway`."""
        async with self._begun() as tx:
            yield tx
            if (witness := _witness.get()) is not None:
                await witness(tx)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Tx]:
        """A read-only, repeatable-read transaction: every figure read in it belongs to the same instant.

        Raises `DatabaseAway`.
        """
        async with self._begun() as tx:
            await tx.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
            yield tx

    async def dedicate(self, **settings: str) -> Driver:
        """A driver's connection outside of the pool, with server settings of its own, for a loop that never rests.

        For such a loop the pool and SQLAlchemy cost more than the statements. Use it with `dedicated_transaction`. It
        ends with `close`, if you have not closed it before. Raises `DatabaseAway`.
        """
        with _away_unless_reached():
            made = await self._connect(**settings)
        self._dedicated.add(made)
        return made

    @asynccontextmanager
    async def _begun(self) -> AsyncIterator[Tx]:
        async with self.connection() as tx, tx.begin():
            yield tx

    async def close(self) -> None:
        """Close every connection: the pool's, and those that were dedicated."""
        for one in list(self._dedicated):
            if not one.is_closed():
                await one.close(timeout=_GOODBYE)
        await self.engine.dispose()


@asynccontextmanager
async def dedicated_transaction(connection: Driver) -> AsyncIterator[None]:
    """One transaction on a connection from `Database.dedicate`. Raises `DatabaseAway` when the connection is lost."""
    with _away_when_lost():
        async with connection.transaction():
            yield


async def driver(tx: Tx) -> Driver:
    """asyncpg's own connection inside the open transaction `tx`, for COPY, cursors and arrays on hot paths.

    SQLAlchemy begins its transaction lazily, with the first statement; without one the driver's statements would commit
    one by one.
    """
    raw = await tx.get_raw_connection()
    connection = cast("Driver", raw.driver_connection)
    if not connection.is_in_transaction():
        await tx.execute(text("SELECT 1"))
    return connection


@contextmanager
def _away_unless_reached() -> Iterator[None]:
    """Around getting a connection, and nothing else: whatever fails here is the database's."""
    try:
        yield
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, DBAPIError, PoolTimeout) as error:
        raise DatabaseAway(f"The database cannot be reached: {_reason(error)}") from error


@contextmanager
def _away_when_lost() -> Iterator[None]:
    """Around the use of a connection. Only what the driver itself raises can mean that it is gone."""
    try:
        yield
    except (asyncpg.PostgresError, asyncpg.InterfaceError, DBAPIError) as error:
        if not _is_lost(error):
            raise
        raise DatabaseAway(f"The connection to the database is lost: {_reason(error)}") from error


def _is_lost(error: Exception) -> bool:
    if isinstance(error, DBAPIError):
        # The driver's own error stands behind SQLAlchemy's and that of its adapter.
        cause = error.orig.__cause__ if error.orig is not None else None
        return error.connection_invalidated or (isinstance(cause, Exception) and _is_lost(cause))
    # asyncpg says "connection is closed" with the same class as for misuse of its interface, which must not be hidden.
    return isinstance(error, _LOST) or (isinstance(error, asyncpg.InterfaceError) and "closed" in str(error))


def _reason(error: Exception) -> str:
    # Some say nothing but their name (TimeoutError), and SQLAlchemy adds the statement, which is about people.
    said = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return str(said).partition("\n")[0] or type(said).__name__


# Class 08 (connection) and 57P01–57P03 (stopping, crashed, starting).
_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
)
