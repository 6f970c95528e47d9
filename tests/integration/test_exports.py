"""What analysts get: every row once, safe to open in a spreadsheet, from one snapshot, with flat memory."""

import asyncio
import csv
import io
import json
import re
import tracemalloc
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import text
from starlette.applications import Starlette

from app.asgi import create_app
from app.auth import create_token
from claims import Intake
from foundation.database import Database
from foundation.errors import Invalid, NotFound
from incidents import Component, define_components, draft_update
from metrics import EXPORTS, export
from tests.support.claimants import an_incident, resolve, send
from tests.support.customer_files import a_file, a_line, load
from tests.support.incidents import NOW, WRITER, a_draft, declared, say
from tests.support.outbox import a_dispatch
from tests.support.web import inner, parts_for

WHEN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


async def exported(database: Database, name: str, **options: Any) -> bytes:
    async with database.snapshot() as tx:
        return b"".join([chunk async for chunk in export(tx, name, **options)])


def rows_of(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


@pytest.fixture
async def incident(database: Database) -> str:
    """An incident with an update to two customers, of whom one wrote twice."""
    incident = await an_incident(database, title={"en": '=HYPERLINK("x"), "line"', "nl": "x"})
    async with database.transaction() as tx:
        lines = a_line(component="LINE-1"), a_line(customer_number="=1+1", email="b@example.org", component="LINE-1")
        await load(tx, a_file(*lines))
        await a_dispatch(tx, incident)
    intake = Intake(database)
    async with intake.running():
        for body in ("Where is my train?", "Hello?"):
            await send(intake, incident=incident, email="anna@example.org", name="Anna Jansen", message=body)
    await resolve(database)
    return incident


async def test_every_export_has_a_header_and_its_rows(database: Database, incident: str) -> None:
    counts = {"deliveries": 2, "contacts": 2, "cases": 1, "incidents": 1, "updates": 0, "promises": 0}
    for name, facts in EXPORTS.items():
        content = await exported(database, name)
        assert content.splitlines()[0].decode() == ",".join(facts.c.keys())
        rows = rows_of(content)
        assert len(rows) == counts[name], name
        assert all(row["incident_id"] == incident for row in rows)


async def test_updates_that_were_published_can_be_exported(database: Database) -> None:
    async with database.transaction() as tx:
        await define_components(tx, [Component("check-in", "Check-in")])
        incident = await declared(tx)
        await say(tx, incident, a_draft())
        await draft_update(tx, WRITER, incident, a_draft(), now=NOW)
    (row,) = rows_of(await exported(database, "updates"))
    assert (row["incident_id"], row["number"], row["phase"]) == (incident, "1", "investigating")
    assert row["published_at"] == f"{NOW:%Y-%m-%dT%H:%M:%S.%fZ}"


async def test_csv_has_the_line_ends_of_rfc_4180_and_times_in_utc(database: Database, incident: str) -> None:
    content = await exported(database, "deliveries")
    assert content.count(b"\r\n") == content.count(b"\n") == 3
    for row in rows_of(content):
        assert WHEN.fullmatch(row["planned_at"])
        assert row["needed_at"] == "2013-02-08T19:30:00.000000Z"
        assert row["final_at"] == ""


async def test_a_spreadsheet_runs_nothing_that_somebody_wrote(database: Database, incident: str) -> None:
    assert {row["customer_number"] for row in rows_of(await exported(database, "deliveries"))} == {"C1", "'=1+1"}
    (row,) = rows_of(await exported(database, "incidents"))
    assert row["title"] == '\'=HYPERLINK("x"), "line"'


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", " =", "＝", "\r\n@"])
async def test_no_cell_starts_as_a_formula(database: Database, start: str) -> None:
    async with database.transaction() as tx:
        columns = "number, name, name_key, language, time_zone"
        insert = f"INSERT INTO customers ({columns}) VALUES (:number, 'x', 'x', 'nl', 'UTC')"
        await tx.execute(text(insert), {"number": f"{start}1"})
        await tx.execute(text("INSERT INTO components (key, name) VALUES ('K', 'K')"))
        await tx.execute(text("INSERT INTO exposures (customer_id, component_key) SELECT id, 'K' FROM customers"))
        await a_dispatch(tx, "abcdefghijkl")
    (row,) = rows_of(await exported(database, "deliveries"))
    assert row["customer_number"].startswith("'")


async def test_ndjson_has_one_object_a_line_with_texts_as_they_are(database: Database, incident: str) -> None:
    lines = (await exported(database, "deliveries", format="ndjson")).splitlines()
    deliveries = [json.loads(line) for line in lines]
    assert {one["customer_number"] for one in deliveries} == {"C1", "=1+1"}
    assert all(list(one) == EXPORTS["deliveries"].c.keys() for one in deliveries)
    assert all(WHEN.fullmatch(one["planned_at"]) and one["final_at"] is None for one in deliveries)
    (only,) = (await exported(database, "incidents", format="ndjson")).splitlines()
    assert json.loads(only)["title"] == '=HYPERLINK("x"), "line"'


@pytest.mark.parametrize("form", ["csv", "ndjson"])
async def test_an_export_can_be_of_one_incident(database: Database, incident: str, form: str) -> None:
    for name in EXPORTS:
        mine = await exported(database, name, incident=incident, format=form)
        every = await exported(database, name, format=form)
        assert sorted(mine.splitlines()) == sorted(every.splitlines())
        others = await exported(database, name, incident="abcdefghijkl", format=form)
        assert others.count(b"\n") == (1 if form == "csv" else 0)


async def test_what_cannot_be_exported_is_refused_with_what_can(database: Database) -> None:
    async with database.snapshot() as tx:
        with pytest.raises(NotFound, match="deliveries, contacts, cases, incidents, updates"):
            export(tx, "customers")
        with pytest.raises(Invalid, match="csv and ndjson"):
            export(tx, "cases", format="xlsx")
        with pytest.raises(Invalid, match="12 characters"):
            export(tx, "cases", incident="' OR true --")


async def test_a_large_export_needs_little_memory(database: Database) -> None:
    await many_deliveries(database, 50_000)
    tracemalloc.start()
    async with database.snapshot() as tx:
        size = 0
        async for chunk in export(tx, "deliveries", format="ndjson"):
            size += len(chunk)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size > 15_000_000
    assert peak < 4_000_000


async def test_an_export_left_half_way_holds_no_connection(database: Database) -> None:
    await many_deliveries(database, 50_000)
    for _ in range(3):
        async with database.snapshot() as tx:
            chunks = export(tx, "deliveries")
            await anext(chunks)
            await chunks.aclose()
    assert database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # QueuePool has it
    async with database.transaction() as tx:
        assert (await tx.execute(text("SELECT count(*) FROM deliveries"))).scalar_one() == 50_000


async def many_deliveries(database: Database, count: int) -> None:
    async with database.transaction() as tx:
        await tx.execute(text("INSERT INTO components (key, name) VALUES ('K', 'K')"))
        people = f"SELECT 'C' || n, 'N', 'n', 'nl', 'UTC' FROM generate_series(1, {count}) n"
        await tx.execute(text(f"INSERT INTO customers (number, name, name_key, language, time_zone) {people}"))
        await tx.execute(text("INSERT INTO exposures (customer_id, component_key) SELECT id, 'K' FROM customers"))
        await a_dispatch(tx, "abcdefghijkl")


# --- over HTTP ------------------------------------------------------------------------------------------------------


@pytest.fixture
def application(database: Database, database_url: str, tmp_path: Path) -> Starlette:
    return inner(create_app(replace(parts_for(database_url, tmp_path), database=database)))


@pytest.fixture
async def client(database: Database, application: Starlette) -> AsyncIterator[httpx2.AsyncClient]:
    async with database.transaction() as tx:
        token = await create_token(tx, "analyst", now=datetime.now(UTC))
    transport = httpx2.ASGITransport(app=application)
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://test", headers=headers) as client:
        yield client


async def test_staff_download_an_export(client: httpx2.AsyncClient, incident: str) -> None:
    answer = await client.get("/api/v1/exports/cases", params={"incident": incident})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert answer.headers["content-disposition"] == 'attachment; filename="cases.csv"'
    assert len(rows_of(answer.content)) == 1
    answer = await client.get("/api/v1/exports/contacts?format=ndjson")
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert len(answer.content.splitlines()) == 2


async def test_an_empty_export_is_an_answer_too(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/api/v1/exports/cases?format=ndjson")
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("customers", 404, "no_such_export"),
        ("cases?format=parquet", 422, "invalid"),
        ("cases?incident=nonsense", 422, "invalid"),
    ],
)
async def test_a_wrong_download_says_what_there_is(
    client: httpx2.AsyncClient, path: str, status: int, code: str
) -> None:
    answer = await client.get(f"/api/v1/exports/{path}")
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_strangers_download_nothing(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/api/v1/exports/cases", headers={"Authorization": ""})
    assert answer.status_code == 401


async def test_a_reader_who_goes_away_takes_no_connection_along(
    database: Database, application: Starlette, client: httpx2.AsyncClient
) -> None:
    await many_deliveries(database, 50_000)
    seen = 0
    gone = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send_(message: Any) -> None:
        nonlocal seen
        seen += len(message.get("body", b""))
        if seen:
            gone.set()

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "path": "/api/v1/exports/deliveries",
        "raw_path": b"/api/v1/exports/deliveries",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"authorization", client.headers["Authorization"].encode())],
        "client": ("127.0.0.1", 1),
        "server": ("test", 80),
        "scheme": "http",
    }
    await application(scope, receive, send_)
    assert 0 < seen < 5_000_000
    assert database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # QueuePool has it
