"""What analysts get: every row once, safe to open in a spreadsheet, from one snapshot, with flat memory."""

import asyncio
import csv
import io
import json
import re
import shutil
import tracemalloc
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import duckdb
import httpx2
import openpyxl
import pandas as pd
import polars as pl
import pytest
from sqlalchemy import text
from starlette.applications import Starlette

from app.asgi import create_app
from app.auth import create_token
from claims import Intake
from foundation.database import Database
from foundation.errors import Invalid, NotFound
from incidents import Component, define_components, draft_update
from metrics import EXPORTS, Exports, Question, export
from metrics.dictionary import ABOUT
from metrics.pages import dictionary
from metrics.questions import TIMES
from tests.support.claimants import an_incident, resolve, send
from tests.support.customer_files import a_file, a_line, load
from tests.support.incidents import NOW, WRITER, a_draft, declared, say
from tests.support.outbox import a_dispatch
from tests.support.web import inner, parts_for

WHEN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


async def exported(database: Database, name: str, form: str = "csv", **filters: Any) -> bytes:
    """The export; people by number, unless `personal` says otherwise."""
    question = Question(name, **{"personal": True, **filters})
    async with database.snapshot() as tx:
        return b"".join([chunk async for chunk in export(tx, question, form)])


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
    counts |= {"claims": 0, "affected": 1, "payments": 0}
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
    lines = (await exported(database, "deliveries", form="ndjson")).splitlines()
    deliveries = [json.loads(line) for line in lines]
    assert {one["customer_number"] for one in deliveries} == {"C1", "=1+1"}
    assert all(list(one) == EXPORTS["deliveries"].c.keys() for one in deliveries)
    assert all(WHEN.fullmatch(one["planned_at"]) and one["final_at"] is None for one in deliveries)
    (only,) = (await exported(database, "incidents", form="ndjson")).splitlines()
    assert json.loads(only)["title"] == '=HYPERLINK("x"), "line"'


@pytest.mark.parametrize("form", ["csv", "ndjson"])
async def test_an_export_can_be_of_one_incident(database: Database, incident: str, form: str) -> None:
    for name in EXPORTS:
        mine = await exported(database, name, form=form, incident=incident)
        every = await exported(database, name, form=form)
        assert sorted(mine.splitlines()) == sorted(every.splitlines())
        others = await exported(database, name, form=form, incident="abcdefghijkl")
        assert others.count(b"\n") == (1 if form == "csv" else 0)


async def test_what_cannot_be_exported_is_refused_with_what_can(database: Database) -> None:
    async with database.snapshot() as tx:
        with pytest.raises(NotFound, match="deliveries, contacts, cases, claims, incidents"):
            export(tx, Question("customers"))
        with pytest.raises(Invalid, match="csv, ndjson, parquet, xlsx"):
            export(tx, Question("cases"), "pdf")
        with pytest.raises(Invalid, match="12 characters"):
            export(tx, Question("cases", incident="' OR true --"))
        with pytest.raises(Invalid, match="no channel"):
            export(tx, Question("cases", channel="mail"))
        with pytest.raises(Invalid, match="no time"):
            export(tx, Question("affected", since=NOW))
        with pytest.raises(Invalid, match="needs its zone"):
            export(tx, Question("cases", until=NOW.replace(tzinfo=None)))


async def test_a_large_export_needs_little_memory(database: Database) -> None:
    """Python's objects; Arrow's own are its batches, which have one size. `bench export` measures the whole process."""
    await many_deliveries(database, 50_000)
    await exported(database, "cases", "ndjson")  # what it loads is loaded
    tracemalloc.start()
    async with database.snapshot() as tx:
        size = 0
        async for chunk in export(tx, Question("deliveries"), "ndjson"):
            size += len(chunk)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size > 20_000_000
    assert peak < 12_000_000


async def test_an_export_left_half_way_holds_no_connection(database: Database) -> None:
    await many_deliveries(database, 50_000)
    for _ in range(3):
        async with database.snapshot() as tx:
            chunks = export(tx, Question("deliveries"))
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


# --- people, filters, formats, snapshots ----------------------------------------------------------------------------


async def test_people_are_pseudonyms_that_another_export_does_not_share(database: Database, incident: str) -> None:
    first, again = [rows_of(await exported(database, "deliveries", personal=False)) for _ in range(2)]
    names = {row["customer_number"] for row in first}
    assert len(names) == 2
    assert all(re.fullmatch("[0-9a-f]{16}", name) for name in names)
    assert names.isdisjoint(row["customer_number"] for row in again)
    key = bytes(32)
    same = [rows_of(await exported(database, name, personal=False, key=key)) for name in ("deliveries", "cases")]
    assert {row["customer_number"] for row in same[1]} < {row["customer_number"] for row in same[0]}
    assert "example.org" not in str(first)


async def test_filters_leave_out_the_rest(database: Database, incident: str) -> None:
    async def found(name: str, **filters: Any) -> int:
        return len(rows_of(await exported(database, name, **filters)))

    assert await found("deliveries", component="LINE-1") == 2
    assert await found("deliveries", component="LINE-2") == 0
    assert await found("deliveries", channel="mail") == 2
    assert await found("contacts", channel="phone") == 0
    soon = datetime.now(UTC) + timedelta(hours=1)
    assert (await found("contacts", until=soon), await found("contacts", since=soon)) == (2, 0)


async def test_every_format_has_the_same_rows_with_the_types_that_the_dictionary_names(
    database: Database, incident: str, tmp_path: Path
) -> None:
    file, book = tmp_path / "deliveries.parquet", tmp_path / "deliveries.xlsx"
    file.write_bytes(await exported(database, "deliveries", "parquet"))
    book.write_bytes(await exported(database, "deliveries", "xlsx"))
    wanted = rows_of(await exported(database, "deliveries"))
    (described,) = (one for one in dictionary() if one.name == "deliveries")
    kinds = {"text": "large_string", "whole number": "int64", "time": "timestamp[us, tz=UTC]"}
    frame = pd.read_parquet(file, dtype_backend="pyarrow")
    types = {name: str(kind).removesuffix("[pyarrow]").replace("large_", "") for name, kind in frame.dtypes.items()}
    assert types == {one.name: kinds[one.type].replace("large_", "") for one in described.columns}
    polar = pl.read_parquet(file)
    assert polar.schema["planned_at"] == pl.Datetime("us", "UTC")
    assert polar.schema["attempts"] == pl.Int64
    query = f"SELECT typeof(planned_at), typeof(delivery_id), customer_number FROM '{file}'"
    duck = duckdb.execute(query).fetchall()
    assert {row[:2] for row in duck} == {("TIMESTAMP WITH TIME ZONE", "BIGINT")}
    people = {"C1", "=1+1"}
    assert {row[2] for row in duck} == set(frame["customer_number"]) == set(polar["customer_number"]) == people
    workbook = openpyxl.load_workbook(book)
    assert workbook.sheetnames == ["About", "Rows 1"]
    rows = list(workbook["Rows 1"].values)
    assert rows[0] == tuple(wanted[0])
    at = rows[0].index("planned_at")
    assert {f"{row[at]:%Y-%m-%dT%H:%M:%S}" for row in rows[1:]} == {row["planned_at"][:19] for row in wanted}
    assert {row[rows[0].index("customer_number")] for row in rows[1:]} == people
    assert [row[0] for row in workbook["About"].values][1:] == [one.name for one in described.columns]


async def test_an_empty_export_can_be_read_too(database: Database, tmp_path: Path) -> None:
    for form in ("parquet", "xlsx"):
        (tmp_path / f"cases.{form}").write_bytes(await exported(database, "cases", form))
    assert len(pd.read_parquet(tmp_path / "cases.parquet").columns) == len(EXPORTS["cases"].c)
    assert len(list(openpyxl.load_workbook(tmp_path / "cases.xlsx")["Rows 1"].values)) == 1


@pytest.mark.skipif(shutil.which("soffice") is None, reason="needs LibreOffice (Debian: libreoffice-calc-nogui)")
async def test_libreoffice_reads_the_workbook_with_the_types_that_the_dictionary_names(
    database: Database, incident: str, tmp_path: Path
) -> None:
    (tmp_path / "rows.xlsx").write_bytes(await exported(database, "deliveries", "xlsx"))
    process = await asyncio.create_subprocess_exec(
        *("soffice", "--headless", f"-env:UserInstallation=file://{tmp_path}/office", "--convert-to", "fods"),
        *("--outdir", tmp_path, tmp_path / "rows.xlsx"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await process.wait() == 0
    (described,) = (one for one in dictionary() if one.name == "deliveries")
    kinds = {
        one.name: {"text": "string", "whole number": "float", "time": "date"}[one.type] for one in described.columns
    }
    header, *rows = libreoffice_cells(tmp_path / "rows.fods", "Rows 1")
    assert [shown for _, shown in header[: len(kinds)]] == list(kinds)
    assert len(rows) == 2
    for row in rows:
        found = {name: kind for name, (kind, _) in zip(kinds, row, strict=False) if kind}
        assert found == {name: kinds[name] for name in found}
        assert {kinds[name] for name in found} == {"string", "float", "date"}
    people = list(kinds).index("customer_number")
    assert {row[people][1] for row in rows} == {"C1", "=1+1"}


def libreoffice_cells(file: Path, sheet: str) -> list[list[tuple[str, str]]]:
    """(type, text) of the cells of a sheet, as LibreOffice wrote them out."""
    names = {
        "table": "urn:oasis:names:tc:opendocument:xmlns:table:1.0",
        "office": "urn:oasis:names:tc:opendocument:xmlns:office:1.0",
        "text": "urn:oasis:names:tc:opendocument:xmlns:text:1.0",
    }
    (found,) = (
        one
        for one in ET.parse(file).iter(f"{{{names['table']}}}table")
        if one.get(f"{{{names['table']}}}name") == sheet
    )
    rows = []
    for row in found.iterfind("table:table-row", names):
        cells: list[tuple[str, str]] = []
        for cell in row.iterfind("table:table-cell", names):
            shown = cell.find("text:p", names)
            text = "" if shown is None else "".join(shown.itertext())
            times = int(cell.get(f"{{{names['table']}}}number-columns-repeated", "1"))
            cells += [(cell.get(f"{{{names['office']}}}value-type", ""), text)] * min(times, 100)
        if any(kind for kind, _ in cells):
            rows.append(cells)
    return rows


async def test_a_snapshot_answers_the_same_question_the_same_way(
    database: Database, incident: str, tmp_path: Path
) -> None:
    exports = Exports(database, tmp_path / "snapshots")
    taken = await exports.take()
    assert taken.rows["deliveries"] == 2

    async def answer(form: str = "csv", **filters: Any) -> bytes:
        question = Question("deliveries", **filters)
        return b"".join([chunk async for chunk in exports.stream(question, form, snapshot=taken.id)])

    before = [await answer(), await answer("ndjson"), await answer(personal=True)]
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE deliveries SET attempt = 3, state = 'accepted', final_at = now()"))
    assert [await answer(), await answer("ndjson"), await answer(personal=True)] == before
    assert {row["customer_number"] for row in rows_of(before[2])} == {"C1", "'=1+1"}
    assert b"C1" not in before[0]
    for filters in ({"component": "LINE-1"}, {"channel": "mail"}, {"incident": incident}):
        assert await answer(**filters) == before[0]
    for filters in ({"component": "LINE-2"}, {"channel": "sms"}, {"incident": "abcdefghijkl"}):
        assert rows_of(await answer(**filters)) == []
    assert exports.snapshots.all() == [taken]
    assert (tmp_path / "snapshots").stat().st_mode & 0o77 == 0
    with pytest.raises(NotFound, match="no snapshot"):
        await anext(exports.stream(Question("cases"), "csv", snapshot="../../etc/passwd"))


def test_every_column_is_described() -> None:
    for one in dictionary():
        assert [column.name for column in one.columns] == EXPORTS[one.name].c.keys()
        assert all(column.meaning.endswith(".") for column in one.columns)
    assert set(ABOUT) == set(TIMES) == set(EXPORTS)


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
        ("cases?format=pdf", 422, "invalid"),
        ("cases?incident=nonsense", 422, "invalid"),
    ],
)
async def test_a_wrong_download_says_what_there_is(
    client: httpx2.AsyncClient, path: str, status: int, code: str
) -> None:
    answer = await client.get(f"/api/v1/exports/{path}")
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_the_dictionary_and_snapshots_are_there_to_ask_for(client: httpx2.AsyncClient, incident: str) -> None:
    taken = (await client.post("/api/v1/exports/snapshots")).json()
    said = (await client.get("/api/v1/exports")).json()
    assert said["snapshots"] == [taken]
    (cases,) = (one for one in said["exports"] if one["name"] == "cases")
    answer = await client.get("/api/v1/exports/cases", params={"snapshot": taken["id"]})
    assert answer.text.splitlines()[0].split(",") == [column["name"] for column in cases["columns"]]
    assert (await client.get("/api/v1/exports/cases?snapshot=20260101T000000Z-00000000")).status_code == 404


async def test_people_by_number_need_a_right_of_their_own(
    client: httpx2.AsyncClient, database: Database, incident: str
) -> None:
    async with database.transaction() as tx:
        analyst = await create_token(tx, "analyst only", roles=["analyst"], now=datetime.now(UTC))
    headers = {"Authorization": f"Bearer {analyst}"}
    assert (await client.get("/api/v1/exports/cases", headers=headers)).status_code == 200
    refused = await client.get("/api/v1/exports/cases?personal=true", headers=headers)
    assert refused.status_code == 403
    assert "exports.personal" in refused.json()["detail"]
    (case,) = rows_of((await client.get("/api/v1/exports/cases?personal=true")).content)
    assert case["customer_number"] == "C1"
    async with database.transaction() as tx:
        asked = await tx.execute(text("SELECT object FROM audit_log WHERE action = 'exports.read read'"))
        assert "exports/cases?personal=true" in set(asked.scalars())


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
