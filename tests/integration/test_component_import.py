"""`stormdesk import components`: what it stores, what it leaves, and whom an incident then reaches."""

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from sqlalchemy import text

from app.demo.flights import flights
from app.imports import import_components_file
from foundation.database import Database
from foundation.errors import Invalid
from incidents import Component, Loaded, Party, define_components, define_parties, draft_update, register_components
from incidents.publishing import preview_update
from tests.support.incidents import NOW, WRITER, a_customer, a_draft, declared, say

HEADER = "key,name,group,party,party_kind,position,needs"
LGA, JFK = "DL1117/2013-02-08/LGA", "B61/2013-02-08/JFK"
STORM = (
    f"{LGA},Delta 1117,LaGuardia,Delta,,2,LGA",
    f"{JFK},JetBlue 1,Kennedy,JetBlue,,,JFK",
    "LGA,LaGuardia airport,Airports,Port Authority,supplier,1,power",
    "JFK,Kennedy airport,Airports,Port Authority,,1,",
    "power,Power,,,,,",
)


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=200)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "components.csv"


def said(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def write(path: Path, *lines: str) -> None:
    path.write_text("\n".join(lines) + "\n")


async def load(database: Database, path: Path, console: Console, *lines: str, header: str = HEADER) -> Loaded:
    write(path, header, *lines)
    return await import_components_file(database, path, console)


async def rows(database: Database, query: str) -> list[tuple[Any, ...]]:
    async with database.transaction() as tx:
        return [tuple(row) for row in await tx.execute(text(query))]


async def on_disk(database: Database) -> list[list[tuple[Any, ...]]]:
    """Every row with its place on disk: a row written again differs even if it says the same."""
    tables = ("components", "parties", "component_dependencies")
    return [await rows(database, f"SELECT ctid::text, * FROM {name} ORDER BY 1") for name in tables]


async def test_groups_parties_and_needs_are_stored(database: Database, path: Path, console: Console) -> None:
    loaded = await load(database, path, console, *STORM)
    assert loaded == Loaded({}, components=5, new=5, needs_added=3, parties_new=3)
    assert await rows(
        database,
        "SELECT key, name, group_name, party_key, position FROM components ORDER BY position DESC, key LIMIT 2",
    ) == [(LGA, "Delta 1117", "LaGuardia", "Delta", 2), ("JFK", "Kennedy airport", "Airports", "Port Authority", 1)]
    assert await rows(database, "SELECT key, name, kind FROM parties ORDER BY key") == [
        ("Delta", "Delta", "contractor"),
        ("JetBlue", "JetBlue", "contractor"),
        ("Port Authority", "Port Authority", "supplier"),
    ]
    assert set(await rows(database, "SELECT component_key, needs_key FROM component_dependencies")) == {
        (LGA, "LGA"),
        (JFK, "JFK"),
        ("LGA", "power"),
    }
    assert "Components: 5 (5 new, 0 changed, 0 as they were). Needs: 3 added" in said(console)
    assert not path.with_suffix(".rejects.csv").exists()


async def test_the_same_file_again_changes_nothing(database: Database, path: Path, console: Console) -> None:
    await load(database, path, console, *STORM)
    before = await on_disk(database)
    assert await load(database, path, console, *STORM) == Loaded({}, components=5)
    assert await on_disk(database) == before


async def test_what_customers_named_first_is_described_later(database: Database, path: Path, console: Console) -> None:
    async with database.transaction() as tx:
        await register_components(tx, [LGA, "power"])
    loaded = await load(database, path, console, f"{LGA},Delta 1117,LaGuardia,,,,power")
    assert (loaded.new, loaded.changed, loaded.needs_added) == (0, 1, 1)


async def test_the_file_is_true_for_the_columns_it_has(database: Database, path: Path, console: Console) -> None:
    async with database.transaction() as tx:
        await define_parties(tx, [Party("kpn", "Royal KPN", "supplier")])
        others = [Component("power", "Power"), Component("fibre", "Fibre"), Component("other", "O", needs=["core"])]
        core = Component("core", "Core", "Net", "kpn", 7, ["power", "fibre"])
        await define_components(tx, [core, *others])
    kept = "SELECT group_name, party_key, position FROM components WHERE key = 'core'"
    await load(database, path, console, "core,The core", header="key,name")
    assert await rows(database, kept) == [("Net", "kpn", 7)]
    assert await rows(database, "SELECT count(*) FROM component_dependencies") == [(3,)]

    loaded = await load(database, path, console, "core,The core,,kpn,ours,,fibre")
    assert loaded == Loaded({}, components=1, changed=1, needs_removed=1, parties_changed=1)
    assert await rows(database, kept) == [(None, "kpn", 0)]
    assert await rows(database, "SELECT name, kind FROM parties") == [("Royal KPN", "ours")]
    assert await rows(database, "SELECT component_key, needs_key FROM component_dependencies ORDER BY 1") == [
        ("core", "fibre"),
        ("other", "core"),
    ]
    await load(database, path, console, "core,The core,,kpn,,,fibre")
    assert await rows(database, "SELECT kind FROM parties") == [("ours",)]


async def test_bad_rows_are_kept_aside_and_can_be_mended(database: Database, path: Path, console: Console) -> None:
    rejects = path.with_suffix(".rejects.csv")
    bad = (f"{LGA},Delta 1117,,,,,LGA", "LGA,LaGuardia,,,,,pwoer", "nameless,,,,,,")
    loaded = await load(database, path, console, *bad, "power,Power,,,,,")
    assert (loaded.components, sorted(loaded.refused)) == (1, [2, 3])
    assert await rows(database, "SELECT key FROM components") == [("power",)]
    assert "3 lines could not be loaded" in said(console)
    assert "line 2: needs LGA, whose own line 3 cannot be loaded" in said(console)
    assert "line 3: needs pwoer, which is neither in the file" in said(console)
    assert "line 4: name is empty" in said(console)
    assert [line.partition(",")[0] for line in rejects.read_text().splitlines()] == ["rejected_line", "2", "3", "4"]

    rejects.write_text(rejects.read_text().replace(",,,,,pwoer", ",,,,,power").replace("nameless,", "nameless,Named"))
    again = await import_components_file(database, rejects, console)
    assert (again.components, again.new, again.needs_added) == (3, 3, 2)


@pytest.mark.parametrize(
    ("lines", "reason"), [((), "no lines after the first"), ((",x,,,,,",), "none of its lines could be used")]
)
async def test_an_import_that_loads_nothing_fails(
    lines: tuple[str, ...], reason: str, database: Database, path: Path, console: Console
) -> None:
    with pytest.raises(Invalid, match=reason):
        await load(database, path, console, *lines)


@pytest.mark.parametrize(
    ("scope", "reached"),
    [
        ({"groups": ["LaGuardia"]}, {"C1"}),
        ({"groups": ["Airports"]}, {"C1", "C2"}),
        ({"components": ["power"]}, {"C1"}),
        ({"components": ["JFK"]}, {"C2"}),
    ],
    ids=["a group", "a group others need", "two needs away", "one need away"],
)
async def test_an_incident_reaches_whoever_relies_on_what_was_imported(
    scope: dict[str, list[str]], reached: set[str], database: Database, path: Path, console: Console
) -> None:
    await load(database, path, console, *STORM, "far,Far,,,,,")
    await a_customer(database, "C1", (LGA, "R1", None))
    await a_customer(database, "C2", (JFK, "R2", None))
    await a_customer(database, "C3", ("far", "R3", None))
    async with database.transaction() as tx:
        incident = await declared(tx, components=scope.get("components", []), groups=scope.get("groups", []))
        written = await draft_update(tx, WRITER, incident, a_draft(), now=NOW)
        reach = await preview_update(tx, written.id, now=NOW)
    assert sum(one.recipients for one in reach) == len(reached)
    async with database.transaction() as tx:
        await say(tx, incident, a_draft())
    told = await rows(database, "SELECT c.number FROM deliveries d JOIN customers c ON c.id = d.customer_id")
    assert {number for (number,) in told} == reached


async def test_the_flights_of_two_days_are_one_file(database: Database, path: Path, console: Console) -> None:
    every = flights()
    lines = [f'{one.key},"{one.name}",{one.group},{one.carrier},,{one.position},NYC' for one in every]
    loaded = await load(database, path, console, "NYC,New York,,,,,", *lines)
    assert (loaded.refused, loaded.new, loaded.needs_added) == ({}, len(every) + 1, len(every))


@pytest.mark.parametrize(("line", "code"), [("power,Power,,,,,", 0), (",,,,,,", 1)])
def test_the_command_fails_only_when_nothing_was_loaded(line: str, code: int, database_url: str, path: Path) -> None:
    write(path, HEADER, line)
    done = subprocess.run(
        [sys.executable, "-c", "from app.cli import main; main()", "import", "components", str(path)],
        env={**os.environ, "STORMDESK_DATABASE_URL": database_url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
