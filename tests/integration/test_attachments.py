"""Files of contacts: on disk before the receipt, handed out safely to those who may have them, lost never."""

import asyncio
import os
import re
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import msgspec
import pytest

from app.file_keeping import FileKeeping
from app.wiring import Parts
from claims import attachments
from claims.intake import Arrival, Intake
from foundation.database import driver
from tests.support.claimants import a_customer, an_incident, partition, resolve
from tests.support.mails import mail_with_files
from tests.support.web import open_client, parts_for, staff_token
from tests.unit.test_file_kinds import PDF, located_picture


@pytest.fixture
async def parts(database_url: str, tmp_path: Path) -> AsyncIterator[Parts]:
    made = parts_for(database_url, tmp_path)
    yield made
    await made.database.close()


def keeping(parts: Parts, *scanner: str) -> FileKeeping:
    return FileKeeping(parts.database, parts.files, parts.clock, scanner=scanner)


async def rows(parts: Parts, query: str) -> list[tuple[object, ...]]:
    async with parts.database.transaction() as tx:
        return [tuple(row) for row in await (await driver(tx)).fetch(query)]


async def tell(web: httpx2.AsyncClient, *files: tuple[str, bytes], key: str = "k1") -> httpx2.Response:
    return await web.post(
        "/api/v1/contacts",
        data={"contact": msgspec.json.encode({"message": "See my receipts", "name": "Jo"}).decode()},
        files=[("file", (name, content, "image/jpeg")) for name, content in files],
        headers={"Idempotency-Key": key},
    )


KEPT = "SELECT a.shown_name, f.kind, f.state, a.why FROM attachments a LEFT JOIN files f ON f.id = a.file_id ORDER BY 1"


async def test_files_come_with_a_contact_over_the_api_once(parts: Parts) -> None:
    async with open_client(parts) as web:
        first = await tell(web, ("taxi.jpg", located_picture()), ("hotel.pdf", PDF))
        again = await tell(web, ("taxi.jpg", located_picture()), ("hotel.pdf", PDF))
        other = await tell(web, ("hotel.pdf", PDF))
        assert (first.status_code, again.status_code, other.status_code) == (202, 202, 422), first.text
        assert first.json() == again.json()
        assert await rows(parts, KEPT) == [
            ("hotel.pdf", "application/pdf", "waiting", None),
            ("taxi.jpg", "image/jpeg", "waiting", None),
        ]
        refused = await tell(web, ("virus.pdf", b"MZ" + bytes(99)), ("hotel.pdf", PDF), key="k2")
        assert refused.status_code == 422
        assert refused.json()["code"] == "invalid_files"
        assert await rows(parts, "SELECT count(*) FROM contacts") == [(1,)]
        await handed_out_safely(parts, web, first.json()["track_url"].rpartition("/")[2])


async def handed_out_safely(parts: Parts, web: httpx2.AsyncClient, token: str) -> None:
    [(hotel,), (taxi,)] = await rows(parts, "SELECT id FROM attachments ORDER BY shown_name")
    unchecked = await web.get(f"/t/{token}/files/{hotel}")
    assert unchecked.status_code == 409
    keeper = keeping(parts)
    while await keeper.step():
        pass
    got = await web.get(f"/t/{token}/files/{hotel}")
    assert got.content == PDF
    assert got.headers["content-type"] == "application/octet-stream"
    assert got.headers["content-disposition"].startswith('attachment; filename="hotel.pdf"')
    assert got.headers["x-content-type-options"] == "nosniff"
    assert got.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert b"Owner" not in (await web.get(f"/t/{token}/files/{taxi}")).content
    stranger = (await web.post("/api/v1/contacts", json={"message": "me too"})).json()["track_url"].rpartition("/")[2]
    assert (await web.get(f"/t/{stranger}/files/{hotel}")).status_code == 404
    assert (await web.get(f"/t/{stranger}/files/x")).status_code == 404
    assert (await web.get(f"/desk/files/{hotel}")).status_code in (303, 401)
    agent = {"Authorization": f"Bearer {await staff_token(parts, roles=['agent'])}"}
    assert (await web.get(f"/desk/files/{hotel}", headers=agent)).content == PDF
    analyst = {"Authorization": f"Bearer {await staff_token(parts, 'a', roles=['analyst'])}"}
    assert (await web.get(f"/desk/files/{hotel}", headers=analyst)).status_code == 403
    more = await web.post(f"/t/{token}/files", files=[("files", ("more.txt", b"It was cold."))])
    assert (more.status_code, more.json()) == (202, {"files": ["more.txt"]})


async def test_a_form_that_comes_back_to_be_mended_keeps_its_files(parts: Parts) -> None:
    async with open_client(parts) as web:
        answer = await web.post(
            "/claim",
            data={"message": "Look", "email": "jo at home", "form": "abcdefgh1234"},
            files=[("files", ("taxi.jpg", located_picture())), ("files", ("x.exe", b"MZ" + bytes(99)))],
        )
        assert answer.status_code == 422
        assert "taxi.jpg" in answer.text
        hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', answer.text))
        # Nothing is mended, and that is all right: what only looks wrong is taken when it comes a second time.
        answer = await web.post(
            "/claim",
            data={"message": "Look", "email": "jo at home", **hidden},
            files=[("files", ("", b""))],
        )
        assert answer.status_code == 303, answer.text
    assert await rows(parts, KEPT) == [("taxi.jpg", "image/jpeg", "waiting", None)]
    [(raw,)] = await rows(parts, "SELECT raw FROM contacts")
    assert isinstance(raw, bytes)
    assert b"jo+at+home" in raw
    assert hidden["kept"].encode() not in raw


async def test_files_are_taken_out_of_mail_after_it_is_safe(parts: Parts) -> None:
    raw = mail_with_files(
        ("reçu.jpg", "image/jpeg", located_picture()),
        ("winmail.dat", "application/ms-tnef", b"\x78\x9f\x3e\x22" + bytes(200)),
        ("bomb.zip", "application/zip", b"PK\x03\x04" + bytes(300)),
        ("empty.pdf", "application/pdf", b""),
        *((f"{n}.pdf", "application/pdf", PDF + bytes([n])) for n in range(12)),
    )
    async with Intake(parts.database).running() as intake:
        await intake.accept(Arrival("mail", "fr", raw))
    keeper = keeping(parts)
    while await keeper.step():
        pass
    found = {row[0]: row[1:] for row in await rows(parts, KEPT)}
    assert found["reçu.jpg"] == ("image/jpeg", "clean", None)
    assert found["winmail.dat"] == (None, None, "kind")
    assert found["bomb.zip"][2] == "unreadable"
    assert found["empty.pdf"][2] == "empty"
    assert sum(one[1] == "clean" for one in found.values()) == 10
    assert [one for one in found if found[one][2] == "too_many"]
    assert not await keeper.step()


async def test_the_scanner_decides_and_until_then_nobody_gets_a_file(parts: Parts, tmp_path: Path) -> None:
    scanner = tmp_path / "scanner.py"
    scanner.write_text(
        "import sys, pathlib\n"
        "content = pathlib.Path(sys.argv[1]).read_bytes()\n"
        "sys.exit(1 if b'EICAR' in content else 2 if b'puzzle' in content else 0)\n"
    )
    async with open_client(parts) as web:
        files = [("bad.txt", b"EICAR"), ("good.txt", b"fine"), ("odd.txt", b"puzzle")]
        token = (await tell(web, *files)).json()["track_url"].rpartition("/")[2]
        keeper = keeping(parts, sys.executable, str(scanner))
        while await keeper.scan_step():
            pass
        ids = {row[0]: row[1] for row in await rows(parts, "SELECT shown_name, id FROM attachments")}
        answers = {name: await web.get(f"/t/{token}/files/{id_}") for name, id_ in ids.items()}
        assert {name: one.status_code for name, one in answers.items()} == {
            "bad.txt": 409,
            "good.txt": 200,
            "odd.txt": 409,
        }
        assert answers["bad.txt"].json()["code"] == "file_refused"
        assert answers["odd.txt"].json()["code"] == "file_unchecked"


async def test_a_crash_between_file_and_row_loses_nothing_and_leaves_nothing(parts: Parts) -> None:
    """Files that no row knows are put away after a day, brought back if a row turns up, and only then thrown out."""
    store, keeper = parts.files, keeping(parts)
    orphan, late = store.keep(b"orphan", "text/plain", "a.txt"), store.keep(b"late", "text/plain", "b.txt")
    long_ago = time.time() - 2 * 24 * 3600
    for one in (orphan, late):
        os.utime(store.path(one.name), (long_ago, long_ago))
    await keeper.sweep()
    assert store.read(orphan.name) == b"orphan"  # put away, not gone
    async with Intake(parts.database).running() as intake:
        await intake.accept(Arrival("web", "en", b"message=x", files=(late,)))
    assert store.read(late.name) == b"late"
    await keeper.sweep()
    assert store.read(orphan.name) is None
    assert store.path(late.name).exists()
    again = store.keep(b"late", "text/plain", "c.txt")
    assert again.name == late.name
    assert store.path(late.name).stat().st_mtime > long_ago + 3600
    assert oct(store.path(late.name).stat().st_mode)[-3:] == "600"
    assert "late" not in late.name


async def test_a_case_takes_so_much_whatever_comes_at_once(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(PDF) + 1
    monkeypatch.setattr(attachments, "LARGEST_CASE", 3 * size)
    await an_incident(parts.database)
    await a_customer(parts.database, "Jo", number="N-1", mails=["jo@example.org"])
    async with open_client(parts) as web:
        first = await web.post("/api/v1/contacts", json={"message": "Here", "email": "jo@example.org"})
        path = first.json()["track_url"].removeprefix("https://status.example.com")
        await resolve(parts.database)
        answers = await asyncio.gather(
            *(web.post(f"{path}/files", files=[("files", (f"{n}.pdf", PDF + bytes([n])))]) for n in range(5))
        )
    assert sorted(one.status_code for one in answers) == [202] * 3 + [422] * 2
    assert {one.json().get("code") for one in answers} == {None, "case_full"}
    # Two mails of one person in one round: the second has the room that the first left.
    monkeypatch.setattr(attachments, "LARGEST_CASE", 4 * size)
    async with Intake(parts.database).running() as intake:
        for n in (8, 9):
            raw = mail_with_files((f"{n}.pdf", "application/pdf", PDF + bytes([n])))
            await intake.accept(Arrival("mail", "en", raw))
    await resolve(parts.database)
    assert len({case for case, _ in (await partition(parts.database)).values()}) == 1
    keeper = keeping(parts)
    while await keeper.step():
        pass
    whys = await rows(parts, "SELECT coalesce(why, 'kept'), count(*) FROM attachments GROUP BY 1 ORDER BY 1")
    assert whys == [("case_full", 1), ("kept", 4)]
