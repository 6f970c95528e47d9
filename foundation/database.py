"""The one way to PostgreSQL: an engine, transactions that commit at the edge, and the shared MetaData.

Use cases take a `tx` (an open transaction) as an argument and never commit; whoever opened it does.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias, cast

import asyncpg
from sqlalchemy import MetaData, text
from sqlalchemy.exc import DBAPIError
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

if TYPE_CHECKING:  # generic in its stubs only
    Driver: TypeAlias = asyncpg.Connection[asyncpg.Record]
else:
    Driver = asyncpg.Connection


class Database:
    """A pool of connections to one PostgreSQL. `url`: `postgresql://…`; `pool`: connections kept at most."""

    def __init__(self, url: str, *, pool: int = 10) -> None:
        self.engine: AsyncEngine = create_async_engine(
            url.replace("postgresql://", "postgresql+asyncpg://", 1),
            pool_size=pool,
            max_overflow=0,
            pool_timeout=30,
            connect_args={"server_settings": {"timezone": "UTC", "application_name": "stormdesk"}, "timeout": 10},
        )

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        """One transaction: committed when the block ends, rolled back when it raises."""
        async with self.engine.begin() as tx:
            yield tx

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Tx]:
        """A read-only, repeatable-read transaction: every figure read in it belongs to the same instant."""
        async with self.engine.begin() as tx:
            await tx.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
            yield tx

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()


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


def database_is_away(error: BaseException) -> bool:
    """Whether `error` means that the server cannot be reached now (stopped, restarting, cut off), so waiting helps."""
    if isinstance(error, BaseExceptionGroup):
        return any(database_is_away(one) for one in error.exceptions)
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    cause = error.orig if isinstance(error, DBAPIError) else error
    # asyncpg's own error stands behind the DBAPI wrapper that SQLAlchemy puts around it.
    causes = [cause, cause.__cause__ if cause is not None else None]
    return any(isinstance(one, _AWAY) or _closed(one) for one in causes)


def _closed(error: BaseException | None) -> bool:
    # asyncpg says "connection is closed" with the same class as for misuse of its interface, which must not be hidden.
    return isinstance(error, asyncpg.InterfaceError) and "closed" in str(error)


# 57P01–57P03 (stopping, starting), class 08 (connection), and the socket itself.
_AWAY = (
    ConnectionError,
    FileNotFoundError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
)
