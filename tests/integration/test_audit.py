"""The record of who did what: everything is on it, it can be searched, and changing it shows or is refused."""

import asyncio
import getpass
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import httpx2
import pytest
from sqlalchemy import select, text

from app.audit import Deed, Search, record, search, verify
from app.cli import cli
from app.migrations import with_database
from app.postgres import application_url
from app.tables import audit_log
from app.wiring import Parts
from foundation.clock import system_clock
from foundation.database import Database
from foundation.errors import Invalid
from incidents import register_components
from tests.conftest import SERVER
from tests.support.customer_files import a_file, a_line
from tests.support.desk import a_person, field, signed_in
from tests.support.web import client, parts_for, staff_token

INCIDENT = {"title": {"en": "Outage", "nl": "Storing"}, "impact": "major", "components": ["check-in"]}


@pytest.fixture
async def parts(database_url: str, tmp_path: Path) -> AsyncIterator[Parts]:
    made = parts_for(database_url, tmp_path)
    yield made
    await made.database.close()


async def rows(database: Database) -> list[tuple[str, str, str, str, str, str]]:
    log = audit_log.c
    shown = select(log.actor, log.action, log.object, log.outcome, log.address, log.reason).order_by(log.id)
    async with database.snapshot() as tx:
        return [tuple(row) for row in await tx.execute(shown)]


async def some_deeds(database: Database, count: int = 5) -> None:
    for number in range(1, count + 1):
        async with database.transaction() as tx:
            deed = Deed("staff:noor", "cases.read read", f"cases/C-{number}", address="203.0.113.9", reason="asked")
            await record(tx, deed, now=system_clock())


# --- what is on it ----------------------------------------------------------------------------------------------------


async def test_a_deed_is_on_record_with_who_what_where_and_why(parts: Parts) -> None:
    async with parts.database.transaction() as tx:
        await register_components(tx, ["check-in"])
    async with client(parts) as web:
        headers = {"Authorization": f"Bearer {await staff_token(parts)}", "X-Reason": "the screens are black"}
        assert (await web.post("/api/v1/incidents", json=INCIDENT, headers=headers)).status_code == 201
        refused = await web.post("/api/v1/incidents", json={**INCIDENT, "components": ["?"]}, headers=headers)
        assert refused.status_code == 422
    deed = ("token:ops", "incidents.declare post", "incidents")
    why = ("203.0.113.9", "the screens are black")
    assert await rows(parts.database) == [(*deed, "done", *why), (*deed, "refused 422", *why)]


@pytest.mark.parametrize(
    "path", ["/api/v1/cases?state=open", "/api/v1/cases/C-1", "/api/v1/customers/7/history", "/api/v1/exports/cases"]
)
async def test_every_look_at_people_is_on_record_before_anything_is_shown(parts: Parts, path: str) -> None:
    async with client(parts) as web:
        await web.get(path, headers={"Authorization": f"Bearer {await staff_token(parts)}"})
    [(actor, action, looked_at, *_)] = await rows(parts.database)
    assert (actor, looked_at) == ("token:ops", path.removeprefix("/api/v1/"))
    assert action.endswith(" read")


async def test_what_cannot_go_on_record_is_not_shown(parts: Parts) -> None:
    async with client(parts) as web:
        headers = {"Authorization": f"Bearer {await staff_token(parts)}"}
        async with parts.database.transaction() as tx:
            await tx.execute(text("ALTER TABLE audit_log RENAME TO gone"))
        answer = await web.get("/api/v1/cases", headers=headers)
    assert answer.status_code == 500
    assert "cases" not in answer.json()


async def test_reading_what_is_about_nobody_leaves_no_trace(parts: Parts) -> None:
    async with client(parts) as web:
        await web.get("/api/v1/incidents/none", headers={"Authorization": f"Bearer {await staff_token(parts)}"})
    assert await rows(parts.database) == []


async def test_a_right_somebody_lacks_is_on_record_too(parts: Parts) -> None:
    async with client(parts) as web:
        token = await staff_token(parts, roles=["approver"])
        assert (await web.get("/api/v1/cases", headers={"Authorization": f"Bearer {token}"})).status_code == 403
    assert [row[:4] for row in await rows(parts.database)] == [("token:ops", "cases.read read", "cases", "not allowed")]


async def test_signing_in_and_managing_people_is_on_record(parts: Parts) -> None:
    boss = await a_person(parts, "boss", "admin")
    async with client(parts) as web:
        await signed_in(web, parts, boss)
        typed = {"csrf": field(await web.get("/desk/account")), "name": "sam", "roles": ["agent", "analyst"]}
        assert (await web.post("/desk/users", data={**typed, "reason": "new colleague"})).status_code == 200
    said = [(row[1], row[2], row[5]) for row in await rows(parts.database)]
    assert said == [("sign in", "desk", ""), ("users.manage post", "desk/users: sam: agent, analyst", "new colleague")]


async def test_what_is_done_from_the_command_line_is_on_record(
    parts: Parts, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under the account of the machine that ran it, from before anything is loaded or shown."""
    file = tmp_path / "customers.csv"
    file.write_bytes(a_file(a_line()))
    broken = tmp_path / "broken.csv"
    broken.write_bytes(b"nothing,of,ours")
    exported = tmp_path / "cases.csv"
    settings = {"DATABASE_URL": database_url, "DATA_DIR": str(tmp_path), "SECRET_KEY": "k" * 32}
    for name, value in settings.items():
        monkeypatch.setenv(f"STORMDESK_{name}", value)

    async def stormdesk(*typed: str) -> None:
        await asyncio.to_thread(cli, typed, standalone_mode=False)

    await stormdesk("import", "customers", str(file))
    with pytest.raises(Invalid):
        await stormdesk("import", "components", str(broken))
    await stormdesk("export", "cases", "-o", str(exported))
    await stormdesk("user", "add", "sam", "--role", "agent")
    await stormdesk("user", "list")
    runner = f"system:{getpass.getuser()}"
    kept = await rows(parts.database)
    assert {(actor, address) for actor, _, _, _, address, _ in kept} == {(runner, "command line")}
    assert [row[1:4] for row in kept] == [
        ("import customers", str(file), "begun"),
        ("import customers", str(file), "done"),
        ("import components", str(broken), "begun"),
        ("import components", str(broken), "refused: unusable_file"),
        ("export cases", f"format=csv, file={exported}", "begun"),
        ("export cases", f"format=csv, file={exported}", "done"),
        ("user add", "sam: agent", "done"),
        ("user list", "", "done"),
    ]


# --- searching --------------------------------------------------------------------------------------------------------


async def test_it_can_be_searched_and_paged_newest_first(database: Database) -> None:
    await some_deeds(database)
    async with database.snapshot() as tx:
        page, following = await search(tx, Search(words="NOOR asked", limit=3))
        assert [one.id for one in page] == [5, 4, 3]
        rest, end = await search(tx, Search(words="NOOR asked", limit=3, before=following))
        assert ([one.id for one in rest], end) == ([2, 1], None)
        assert [one.id for one in (await search(tx, Search(object="cases/C-2")))[0]] == [2]
        for nobody in (Search(words="%"), Search(actor="staff:sam"), Search(since=system_clock() + timedelta(hours=1))):
            assert (await search(tx, nobody))[0] == []


async def test_staff_search_it_by_page_and_by_call(parts: Parts) -> None:
    boss = await a_person(parts, "boss", "admin")
    await some_deeds(parts.database)
    async with client(parts) as web:
        await signed_in(web, parts, boss)
        page = await web.get("/desk/audit?q=C-3")
        assert page.text.count("cases/C-3") == 1
        assert "cases/C-4" not in page.text
        assert (await web.get("/desk/audit?since=never&before=x")).status_code == 200
        found = await web.get("/api/v1/audit?q=C-3&limit=1")
        assert [one["object"] for one in found.json()["entries"]] == ["audit?q=C-3".replace("audit", "desk/audit")]
        assert (await web.get("/api/v1/audit?limit=0&since=never")).json()["code"] == "invalid"


# --- changing it ------------------------------------------------------------------------------------------------------


@pytest.fixture
async def lesser(database: Database, database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection as the application has it, to a database with some deeds on record."""
    await some_deeds(database)
    name = database_url.partition("?")[0].rpartition("/")[2]
    connection = await asyncpg.connect(with_database(application_url(SERVER), name))
    yield connection
    await connection.close()


@pytest.mark.parametrize(
    "attack",
    [
        "UPDATE audit_log SET actor = 'staff:sam'",
        "DELETE FROM audit_log WHERE id = 3",
        "TRUNCATE audit_log",
        "DROP TABLE audit_log",
        "ALTER TABLE audit_log DISABLE TRIGGER ALL",
        "ALTER TABLE audit_log OWNER TO stormdesk_app",
        "INSERT INTO audit_log SELECT * FROM audit_log WHERE id = 3 ON CONFLICT (id) DO UPDATE SET actor = 'x'",
        "SET ROLE stormdesk",
        "SET SESSION AUTHORIZATION stormdesk",
        "RESET ROLE; UPDATE audit_log SET actor = 'x'",
        "SET session_replication_role = replica",
        "CREATE ROLE another SUPERUSER",
        "ALTER ROLE stormdesk_app SUPERUSER",
        "COPY audit_log FROM PROGRAM 'true'",
        "CREATE TABLE public.mine ()",
        "UPDATE alembic_version SET version_num = '0001'",
    ],
)
async def test_the_role_of_the_application_cannot_alter_it(lesser: asyncpg.Connection, attack: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await lesser.execute(attack)
    await lesser.execute("GRANT UPDATE ON audit_log TO stormdesk_app")  # refused with a warning only
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await lesser.execute("RESET ROLE; UPDATE audit_log SET actor = 'x'")
    assert await lesser.fetchval("SELECT count(*) FROM audit_log WHERE actor = 'staff:noor'") == 5


@pytest.mark.parametrize(
    ("tampering", "row", "why"),
    [
        ("UPDATE audit_log SET actor = 'staff:sam' WHERE id = 3", 3, "changed after it was written"),
        ("UPDATE audit_log SET at = at + interval '1 microsecond' WHERE id = 2", 2, "changed after it was written"),
        ("DELETE FROM audit_log WHERE id = 4", 5, "row 4 is missing"),
        ("DELETE FROM audit_log WHERE id = 1", 2, "row 1 is missing"),
        ("UPDATE audit_log SET hash = sha256('x') WHERE id = 3", 3, "changed after it was written"),
        (
            "DELETE FROM audit_log WHERE id = 4; UPDATE audit_log SET id = 4 WHERE id = 5",
            4,
            "does not follow the row before it",
        ),
    ],
)
async def test_verify_shows_where_a_superuser_changed_it(
    database: Database, tampering: str, row: int, why: str
) -> None:
    await some_deeds(database)
    async with database.transaction() as tx:
        assert (await verify(tx)).broken_at is None
        for statement in tampering.split("; "):
            await tx.execute(text(statement))
        verdict = await verify(tx)
    assert verdict.broken_at == row
    assert why in verdict.why


async def test_a_head_kept_elsewhere_shows_what_was_cut_off_or_written_anew(database: Database) -> None:
    await some_deeds(database)
    async with database.snapshot() as tx:
        head = (await verify(tx)).head
    await some_deeds(database, 1)
    async with database.snapshot() as tx:
        assert (await verify(tx, head=head)).broken_at is None
    async with database.transaction() as tx:
        await tx.execute(text("DELETE FROM audit_log WHERE id > 3"))
        assert (await verify(tx)).broken_at is None  # nothing in it shows that there was more
        assert "gone" in (await verify(tx, head=head)).why
    await some_deeds(database, 3)
    async with database.transaction() as tx:
        assert "not the row that was here" in (await verify(tx, head=head)).why


async def test_writers_at_once_make_one_chain(parts: Parts) -> None:
    async with client(parts) as web:
        headers = {"Authorization": f"Bearer {await staff_token(parts)}"}

        async def look(number: int) -> httpx2.Response:
            return await web.get(f"/api/v1/cases/C-{number}", headers=headers)

        await asyncio.gather(*(look(number) for number in range(40)))
    async with parts.database.snapshot() as tx:
        verdict = await verify(tx)
    assert (verdict.rows, verdict.broken_at) == (40, None)
    await parts.database.close()
