"""A database that a bench makes for itself and drops again: with the usual settings, durability on."""

import asyncio
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from app.migrations import migrate, with_database
from app.postgres import embedded_postgres


@contextmanager
def bench_database() -> Iterator[str]:
    """A fresh database on the configured server, or on an embedded one of its own with its usual settings."""
    configured = os.environ.get("STORMDESK_DATABASE_URL")
    if configured:
        with _database_on(configured) as url:
            yield url
        return
    with tempfile.TemporaryDirectory(prefix="stormdesk-bench-") as folder:
        Path(folder).chmod(0o755)
        with embedded_postgres(Path(folder)) as server, _database_on(server) as url:
            yield url


@contextmanager
def _database_on(server: str) -> Iterator[str]:
    name = f"stormdesk_bench_{secrets.token_hex(4)}"
    url = with_database(server, name)
    asyncio.run(_execute(server, f"CREATE DATABASE {name}"))
    try:
        migrate(url)
        yield url
    finally:
        asyncio.run(_execute(server, f"DROP DATABASE {name} WITH (FORCE)"))


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
