"""Which of the processes on one database tells its figures: the one that holds a lock on it, for as long as it lives.

The lock hangs on a connection, so a process that is killed gives it up at once, and whoever is scraped next has it.
"""

import asyncpg
from sqlalchemy import func, select

from foundation.database import Database, Driver

# Any number will do that nobody else uses (see `claims.resolver`, which locks incidents by a hash of 64 bits).
_LOCK = 0x57_0A_0F_16


class Turn:
    """One process's part in it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._held: Driver | None = None

    async def mine(self) -> bool:
        """Whether this process tells; it takes the turn when nobody has it. Raises `DatabaseAway`."""
        if self._held is not None and await _lives(self._held):
            return True
        self._held = None
        async with self._database.transaction() as tx:
            if not await tx.scalar(select(func.pg_try_advisory_xact_lock(_LOCK))):
                return False
        connection = await self._database.dedicate(application_name="stormdesk figures")
        if await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
            self._held = connection
            return True
        await connection.close()
        return False

    async def give_up(self) -> None:
        """Let another process have it."""
        held, self._held = self._held, None
        if held is not None:
            await held.close()


async def _lives(connection: Driver) -> bool:
    try:
        return bool(await connection.fetchval("SELECT true"))
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
