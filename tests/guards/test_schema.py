"""The migrations, the tables we build statements with, and the views analysts read say the same."""

import asyncio
import re

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

import app.tables
import claims.tables
import incidents.tables
import notify.tables
from app.migrations import alembic_config
from foundation.database import Database, metadata
from metrics.facts import FACTS

__all__ = ["app", "claims", "incidents", "notify"]  # imported for the tables they declare


def test_migrations_stand_in_one_line() -> None:
    """Two heads mean that two people added a migration at once, and that no database can be brought to both."""
    script = ScriptDirectory.from_config(alembic_config(""))
    revisions = list(script.walk_revisions())
    assert len(script.get_heads()) == 1
    assert all(len(revision.nextrev) <= 1 for revision in revisions)
    assert [revision.revision for revision in reversed(revisions)] == [f"{n + 1:04}" for n in range(len(revisions))]


def test_every_migration_names_its_owner() -> None:
    for revision in ScriptDirectory.from_config(alembic_config("")).walk_revisions():
        owners = re.findall(r"^Owned by: (incidents|notify|claims|app)\.$", revision.longdoc, re.MULTILINE)
        assert len(owners) == 1, revision.revision


def test_tables_are_what_the_migrations_make(database_url: str) -> None:
    """A statement built for a column that the database lacks fails in front of people, not here."""

    def differences(connection: Connection) -> list[object]:
        options = {"compare_type": True, "compare_server_default": True}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))

    async def compare() -> list[object]:
        engine = create_async_engine(database_url.replace("postgresql://", "postgresql+asyncpg://", 1))
        try:
            async with engine.connect() as connection:
                return await connection.run_sync(differences)
        finally:
            await engine.dispose()

    assert asyncio.run(compare()) == []


async def test_every_view_for_analysts_is_declared(database: Database) -> None:
    async with database.transaction() as tx:
        views = await tx.execute(text("SELECT viewname FROM pg_views WHERE schemaname = 'public' ORDER BY 1"))
        assert list(views.scalars()) == sorted(facts.name for facts in FACTS)


@pytest.mark.parametrize("facts", FACTS, ids=lambda facts: facts.name)
async def test_a_view_has_the_columns_declared_for_it(database: Database, facts: object) -> None:
    """An export names its columns; one that was renamed under it would stop every analyst."""
    name = facts.name  # type: ignore[attr-defined]  # a view, not any clause
    kinds = {"text": {"String", "Text"}, "timestamp with time zone": {"DateTime"}}
    numbers = {"bigint", "integer", "smallint"}
    query = text(
        "SELECT column_name, data_type FROM information_schema.columns"
        " WHERE table_name = :name ORDER BY ordinal_position"
    )
    async with database.transaction() as tx:
        found = [(column, kind) for column, kind in await tx.execute(query, {"name": name})]
    declared = [(one.name, type(one.type).__name__) for one in facts.c]  # type: ignore[attr-defined]  # a view, not any clause
    assert [column for column, _ in found] == [column for column, _ in declared]
    for (column, kind), (_, expected) in zip(found, declared, strict=True):
        assert expected in (kinds.get(kind) or ({"BigInteger"} if kind in numbers else set())), column
