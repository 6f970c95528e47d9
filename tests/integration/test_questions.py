"""The examples of docs/questions.md, run as they stand there, against figures counted from the tables."""

import re
from contextlib import aclosing
from datetime import datetime
from pathlib import Path

import asyncpg
import duckdb
import pytest
from sqlalchemy import text

from foundation.database import Database, driver
from metrics import Question, export
from metrics.dictionary import PERSONAL
from metrics.facts import FACTS
from tests.support.report_figures import figures_by_hand
from tests.support.stories import AWARE, STORM, a_story

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs/questions.md").read_text()


def example(name: str) -> str:
    (found,) = re.findall(rf"```sql\n-- \w+: {name}\n(.*?)```", DOCUMENT, re.DOTALL)
    return str(found)


@pytest.fixture
async def exported(database: Database, tmp_path: Path) -> Path:
    """The folder with the exports that the document names, of one storm."""
    await a_story(database, people=150)
    for name in re.findall(r"stormdesk export (\w+) --format parquet", DOCUMENT):
        async with database.snapshot() as tx:
            with (tmp_path / f"{name}.parquet").open("wb") as file:
                async with aclosing(export(tx, Question(name), "parquet")) as chunks:
                    async for chunk in chunks:
                        file.write(chunk)
    return tmp_path


def asked(folder: Path, query: str) -> list[tuple[object, ...]]:
    connection = duckdb.connect()
    connection.execute(f"SET file_search_path = '{folder}'")
    connection.execute("SET TimeZone = 'UTC'")
    return connection.execute(query).fetchall()


async def test_the_examples_for_duckdb_say_what_is_so(database: Database, exported: Path) -> None:
    async with database.snapshot() as tx:
        by_hand = await figures_by_hand(await driver(tx), STORM, now=AWARE)
        updates = await tx.execute(
            text("SELECT published_at FROM updates WHERE incident_id = :id ORDER BY number"), {"id": STORM}
        )
        moments: list[datetime] = list(updates.scalars())
        received = list((await tx.execute(text("SELECT received_at FROM contacts"))).scalars())
    (reach,) = asked(exported, example("reach"))
    assert reach[1:] == (
        by_hand["told"],
        pytest.approx(by_hand["median"] / 60, abs=0.06),
        pytest.approx(by_hand["p95"] / 60, abs=0.06),
    )
    calm = {row[1]: row[3:] for row in asked(exported, example("calm"))}
    for number, at in enumerate(moments, start=1):
        minutes = [(one - at).total_seconds() / 60 for one in received]
        expected = sum(-30 <= one < 0 for one in minutes), sum(0 <= one <= 30 for one in minutes)
        assert calm.get(number, (0, 0)) == expected, number


async def test_the_example_for_postgresql_runs_as_the_analysts_role(database: Database) -> None:
    await a_story(database, people=150)
    async with database.transaction() as tx:
        contacts = await tx.scalar(text("SELECT count(*) FROM contacts"))
        late = await tx.scalar(text("SELECT count(*) FROM contacts WHERE coalesce(answered_at, now()) > answer_by"))
        await tx.execute(text("SET LOCAL ROLE stormdesk_analyst"))
        rows = (await tx.execute(text(example("answers")))).all()
    assert sum(row.contacts for row in rows) == contacts
    assert sum(row.late for row in rows) == late


@pytest.mark.parametrize("facts", FACTS, ids=lambda facts: facts.name)
async def test_the_role_reads_every_fact_but_who_somebody_is(database: Database, facts: object) -> None:
    name, columns = facts.name, facts.c.keys()  # type: ignore[attr-defined]  # a view, not any clause
    async with database.transaction() as tx:
        await tx.execute(text("SET LOCAL ROLE stormdesk_analyst"))
        shown = [column for column in columns if column not in PERSONAL]
        await tx.execute(text(f"SELECT {', '.join(shown)} FROM {name}"))
        for column in set(columns) & PERSONAL:
            with pytest.raises(Exception, match="permission denied"):
                async with tx.begin_nested():
                    await tx.execute(text(f"SELECT {column} FROM {name}"))


async def test_the_role_reads_no_table_and_writes_nothing(database: Database) -> None:
    async with database.transaction() as tx:
        connection = await driver(tx)
        tables = [
            row[0] for row in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        ]
        views = [facts.name for facts in FACTS]
        readable = await connection.fetch(
            "SELECT t FROM unnest($1::text[]) t WHERE has_any_column_privilege('stormdesk_analyst', t, 'SELECT')",
            tables,
        )
        writable = await connection.fetch(
            "SELECT t FROM unnest($1::text[]) t"
            " WHERE has_table_privilege('stormdesk_analyst', t, 'INSERT, UPDATE, DELETE, TRUNCATE')",
            tables + views,
        )
        assert (readable, writable) == ([], [])
        await connection.execute("SET LOCAL ROLE stormdesk_analyst")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("SELECT * FROM customers")
