"""Attacks, each by its name, on the whole application. What is fended off elsewhere is listed in docs/security.md."""

import asyncio
import gzip
import io
import logging
import re
import socket
import ssl
import zipfile
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest
from sqlalchemy import select

from app import limits
from app.asgi import create_app
from app.cookies import Cookies
from app.desk import local_path
from app.settings import SettingsError, read_settings
from app.staff.accounts import take_in
from app.staff.outbound import NotReached, check_address, outbound_client, pinned, read_json
from app.staff.provider import Provider, ProviderFailed
from app.staff.seal import Seal
from app.tables import users
from app.wiring import Parts
from claims.uploads import LARGEST_UPLOAD
from foundation.access import entry_of
from foundation.clock import system_clock
from foundation.tokens import Tokens
from tests.support.certificates import signed
from tests.support.desk import a_person, field, sign_in, signed_in
from tests.support.identity_provider import provider
from tests.support.pages import ask, served
from tests.support.web import client, entrances, inner, open_client, parts_for, staff_token
from tests.unit.test_file_kinds import picture

ACCOUNT = "/desk/account"
SESSION = "__Host-stormdesk-session"


@pytest.fixture
async def parts(database_url: str, tmp_path: Path) -> AsyncIterator[Parts]:
    made = parts_for(database_url, tmp_path)
    yield made
    await made.database.close()


# --- session fixation -------------------------------------------------------------------------------------------------


async def test_session_fixation(parts: Parts) -> None:
    """A session that somebody brings along is never used: signing in makes another."""
    noor = await a_person(parts)
    async with client(parts) as web:
        web.cookies.set(SESSION, "chosen-by-an-attacker")
        await signed_in(web, parts, noor)
        values = [one.value for one in web.cookies.jar if one.name == SESSION]
        made = [value for value in values if value and value != "chosen-by-an-attacker"]
        assert len(made) == 1
        assert len(made[0]) >= 43
        web.cookies.clear()
        web.cookies.set(SESSION, "chosen-by-an-attacker")
        assert (await web.get(ACCOUNT)).status_code == 303


# --- cross-site request forgery ---------------------------------------------------------------------------------------


async def test_csrf_on_every_change_a_cookie_could_make(parts: Parts) -> None:
    boss = await a_person(parts, "boss", "operator", "approver", "commander", "agent", "analyst", "admin")
    async with client(parts) as web:
        await signed_in(web, parts, boss)
        csrf = field(await web.get(ACCOUNT))
        doors = [(one, route) for one, route in entrances(inner(create_app(parts))) if not one.startswith("GET")]
        ours = [
            one for one, route in doors if (entry := entry_of(route.endpoint)) is not None and entry.right is not None
        ]
        assert len(ours) > 80
        forged: list[tuple[dict[str, str], dict[str, str]]] = [
            ({}, {}),
            ({"Sec-Fetch-Site": "cross-site"}, {"csrf": csrf}),
            ({"Sec-Fetch-Site": "same-site"}, {"csrf": csrf}),
            ({"Origin": "https://evil.example"}, {"csrf": csrf}),
            ({"Origin": "null"}, {"csrf": csrf}),
            ({}, {"csrf": csrf[:-1] + ("A" if csrf[-1] != "A" else "B")}),
        ]
        for number, entrance in enumerate(ours):
            method, path = entrance.split(" ", 1)
            address = re.sub(r"\{[^}]*\}", "1", path)
            # Each forgery at the pages about people; elsewhere in turn, since one door is before them all.
            for headers, body in forged if path.startswith(("/desk/users", "/desk/account")) else [forged[number % 6]]:
                answer = await web.request(method, address, data=body, headers=headers)
                assert answer.status_code == 403, f"{entrance} {headers}"
            files = {"file": ("a.csv", b"x")}
            assert (await web.request(method, address, data={"csrf": "x"}, files=files)).status_code == 403, entrance
        assert (await web.get(ACCOUNT)).status_code == 200
        assert (await web.get("/desk/users")).text.count('class="card stack"') == 2  # nobody was added


async def test_csrf_at_sign_in(parts: Parts) -> None:
    """Nobody can be signed in to an attacker's account by a page elsewhere."""
    noor = await a_person(parts)
    async with client(parts) as web:
        typed = {"name": "noor", "password": "seven lanterns drift northward", "code": noor.code(parts)}
        assert (await web.post("/desk/sign-in", data=typed)).status_code == 403
        page = await web.get("/desk/sign-in")
        foreign = {**typed, "csrf": field(page)}
        sent = await web.post("/desk/sign-in", data=foreign, headers={"Sec-Fetch-Site": "cross-site"})
        assert sent.status_code == 403
        assert SESSION not in web.cookies


async def test_a_form_of_one_person_is_not_anothers(parts: Parts) -> None:
    await a_person(parts, "boss", "admin")
    noor, sam = await a_person(parts), await a_person(parts, "sam")
    async with client(parts) as web:
        await signed_in(web, parts, noor)
        theirs = field(await web.get(ACCOUNT))
        web.cookies.clear()
        await signed_in(web, parts, sam)
        assert (await web.post("/desk/sign-out", data={"csrf": theirs})).status_code == 403


# --- insecure direct object references --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["0", "1", "-1", "C-100001", "%00", "..%2f..", "' OR 1=1 --", "9" * 30, "é", "a" * 300]
)
async def test_idor_over_every_id_in_every_address(parts: Parts, name: str) -> None:
    """An id opens nothing by itself: strangers are turned away before it is looked at; to staff it is there or not."""
    async with client(parts) as web:
        headers = {
            "Authorization": f"Bearer {await staff_token(parts, roles=['commander', 'agent', 'admin', 'analyst'])}"
        }
        for entrance, _ in entrances(inner(create_app(parts))):
            if "{" not in entrance:
                continue
            method, path = entrance.split(" ", 1)
            address = re.sub(r"\{[^}]*\}", quote(name, safe="%"), path)
            stranger = await web.request(method, address, json={})
            assert stranger.status_code in (303, 401, 403, 404, 405, 422), entrance
            if path.startswith(("/t/", "/claim/received/", "/api/v1/contacts/")):
                assert stranger.status_code in (404, 405), entrance
            staff = await web.request(method, address, json={}, headers=headers)
            assert staff.status_code in (303, 400, 404, 405, 409, 422), f"{entrance} {staff.status_code}"


async def test_idor_the_accounts_of_others(parts: Parts) -> None:
    """The page of one's own account takes no id, and an agent cannot reach the pages that do."""
    noor, sam = await a_person(parts), await a_person(parts, "sam")
    async with client(parts) as web:
        await signed_in(web, parts, noor)
        csrf = field(await web.get(ACCOUNT))
        for act in ("roles", "link", "close", "reopen", "sign-out"):
            answer = await web.post(f"/desk/users/{sam.id}/{act}", data={"csrf": csrf, "roles": "admin"})
            assert answer.status_code == 403


@pytest.mark.parametrize("receipt", ["AAAA-AAAA-AAAA", "7KQF-3MXA-9TZ2", "x"])
async def test_no_answer_tells_whether_a_receipt_exists(parts: Parts, receipt: str) -> None:
    async with client(parts) as web:
        answers = [
            await web.get(f"/api/v1/contacts/{receipt}"),
            await web.post("/track", data={"receipt": receipt, "fact": "jansen"}),
        ]
    assert [answer.status_code for answer in answers] == [404, 422]
    assert receipt not in answers[0].text


# --- server-side request forgery --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254/latest/meta-data",
        "https://169.254.169.254/",
        "https://127.0.0.1:5432/",
        "https://localhost/",
        "https://[::1]/",
        "https://10.0.0.1/",
        "https://192.168.1.1/",
        "https://[::ffff:10.0.0.1]/",
        "https://0.0.0.0/",
        "http://login.example.com/jwks",
    ],
)
async def test_ssrf_a_provider_cannot_point_us_inside(address: str) -> None:
    with pytest.raises(NotReached):
        await check_address(httpx2.URL("https://login.example.com"), httpx2.URL(address))


async def test_ssrf_a_name_that_leads_elsewhere_between_check_and_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: the name is looked up once, and what was checked is called."""
    answers = iter(["93.184.215.14", "127.0.0.1"])

    async def look_up(*_: object, **__: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), 443))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
    keys = httpx2.URL("https://keys.example.com/jwks")
    address = await check_address(httpx2.URL("https://login.example.com"), keys)
    assert address == "93.184.215.14"
    called = pinned(httpx2.Request("GET", keys), address)
    assert (called.url.host, called.headers["host"]) == ("93.184.215.14", "keys.example.com")
    with pytest.raises(NotReached):
        await check_address(httpx2.URL("https://login.example.com"), keys)


@pytest.mark.parametrize("name", ["keys.example.com", "other.example.com"])
async def test_ssrf_a_pinned_call_still_asks_for_the_names_certificate(tmp_path: Path, name: str) -> None:
    made = signed(tmp_path, host="keys.example.com")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=made.context)
    port = server.sockets[0].getsockname()[1]
    trusting = ssl.create_default_context(cafile=str(made.ca))
    request = pinned(httpx2.Request("GET", f"https://{name}:{port}/"), "127.0.0.1")
    async with server, httpx2.AsyncHTTPTransport(verify=trusting) as transport:
        if name == "keys.example.com":
            assert (await transport.handle_async_request(request)).status_code == 200
        else:
            with pytest.raises(httpx2.ConnectError, match="Hostname mismatch"):
                await transport.handle_async_request(request)


async def test_ssrf_redirects_of_a_provider_are_not_followed() -> None:
    """A provider that answers with a redirect, with half a gigabyte, or with something else is left alone."""
    answers = {
        b"/redirect": b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n",
        b"/huge": b"HTTP/1.1 200 OK\r\nContent-Length: 500000000\r\n\r\n" + b"x" * (2 << 20),
        b"/list": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"/bomb": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n"
        + gzip.compress(bytes(50 << 20)),
    }

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1]
        writer.write(answers[asked])
        with suppress(ConnectionError):
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    issuer = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, outbound_client(issuer) as calling:
        for path in answers:
            with pytest.raises(NotReached):
                await read_json(calling, issuer + path.decode())


def test_ssrf_the_issuer_is_https() -> None:
    with pytest.raises(SettingsError, match="STORMDESK_OIDC_ISSUER: must begin with https"):
        read_settings({"STORMDESK_SECRET_KEY": "k" * 32, "STORMDESK_OIDC_ISSUER": "http://login.example.com"})


# --- the way through a provider ---------------------------------------------------------------------------------------


async def test_a_stolen_or_foreign_way_back_from_the_provider(parts: Parts) -> None:
    back = "https://status.example.com/desk/sign-in/provider/back"
    async with provider("python", back) as settings:
        here = Provider(settings, Seal("journey", parts.settings.secret_keys), back, system_clock)
        url, cookie = await here.begin("/desk/")
        asked = httpx2.URL(url).params
        assert asked["code_challenge_method"] == "S256"
        assert {"state", "nonce", "code_challenge"} <= set(asked)
        async with httpx2.AsyncClient() as browser:
            sent = (await browser.post(url, data={"sub": "noor"})).headers["location"]
        query = dict(httpx2.URL(sent).params)
        _, another = await here.begin("/desk/")
        for wrong, with_cookie in (
            (query, another),  # another browser's journey
            (query, ""),
            ({**query, "state": "x"}, cookie),
            ({**query, "iss": "https://evil.example"}, cookie),
            ({"state": query["state"], "error": "access_denied"}, cookie),
            ({**query, "code": "x"}, cookie),
        ):
            with pytest.raises(ProviderFailed):
                await here.finish(wrong, with_cookie)
        somebody = await here.finish(query, cookie)
        assert not somebody.proven
        assert (somebody.subject, somebody.roles) == ("noor", ("agent",))
        with pytest.raises(ProviderFailed):  # a code is good once
            await here.finish(query, cookie)


async def test_a_name_chosen_at_the_provider_takes_over_nobody(parts: Parts) -> None:
    local = await a_person(parts, "boss", "admin")
    async with parts.database.transaction() as tx:
        who = {"issuer": "https://login.example", "name": "Boss", "shown_name": "Boss", "now": parts.clock()}
        user = await take_in(tx, subject="123", roles=["agent"], **who)  # type: ignore[arg-type]  # texts, and a time
        assert user is not None
        assert user.id != local.id
        assert user.name.startswith("boss+")
        assert await take_in(tx, subject="123", roles=[], **who) is None  # type: ignore[arg-type]  # as above


async def test_only_a_provider_that_asked_again_proves_who_somebody_is(parts: Parts) -> None:
    """A provider that lets in whoever it knows from this morning does not prove who sits there now."""
    back = "https://status.example.com/desk/sign-in/provider/back"

    def five_minutes_on() -> datetime:
        return system_clock() + timedelta(minutes=5)

    async with provider("python", back) as settings, httpx2.AsyncClient() as browser:
        for clock, asked_since in ((system_clock, True), (five_minutes_on, False)):
            here = Provider(settings, Seal("journey", parts.settings.secret_keys), back, clock)
            url, cookie = await here.begin("/desk/users", again=True)
            asked = httpx2.URL(url).params
            assert (asked["prompt"], asked["max_age"]) == ("login", "0")
            sent = (await browser.post(url, data={"sub": "noor"})).headers["location"]
            query = dict(httpx2.URL(sent).params)
            if asked_since:
                assert (await here.finish(query, cookie)).proven
            else:
                with pytest.raises(ProviderFailed, match="auth_time"):
                    await here.finish(query, cookie)


# --- injection --------------------------------------------------------------------------------------------------------


async def test_header_injection(parts: Parts) -> None:
    async with client(parts) as web:
        for path in ("/desk/sign-in?next=/desk/%0d%0aSet-Cookie:%20a=b", "/track?lang=%0d%0aX-Evil:%201"):
            answer = await web.get(path)
            assert "x-evil" not in answer.headers
            assert "a=b" not in answer.headers.get("set-cookie", "")
        noor = await a_person(parts)
        answer = await sign_in(web, "noor", code=noor.code(parts), onward="/desk/\r\nX-Evil: 1")
        assert answer.headers["location"] == "/desk/"


async def test_log_and_record_injection(parts: Parts, capsys: pytest.CaptureFixture[str]) -> None:
    """What strangers type makes no line of its own in the record, nor in the log."""
    async with client(parts) as web:
        await sign_in(web, "noor\n2026-11-24 [info] signed in", password="x")
        boss = await a_person(parts, "boss", "admin")
        await signed_in(web, parts, boss)
        await web.get("/desk/audit", params={"q": "a\r\nstaff:boss users.manage"})
        entries = (await web.get("/api/v1/audit")).json()["entries"]
    assert entries
    assert all(value.isprintable() for one in entries for value in one.values() if isinstance(value, str))
    assert "[info] signed in" not in capsys.readouterr().err


# --- path traversal ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/../secret-key",
        "/%2e%2e/secret-key",
        "/static/../../secret-key",
        "/static/%2e%2e%2fsecret-key",
        "/incidents/..%2f..%2fsecret-key",
        "//secret-key",
    ],
)
async def test_path_traversal(parts: Parts, path: str) -> None:
    (parts.settings.data_dir / "secret-key").write_text("the key")
    app = create_app(parts)
    async with served(app.store, app) as port:
        answer = await ask(port, f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    assert b"the key" not in answer
    assert answer.split(b" ")[1] in (b"404", b"400")


# --- open redirect ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "onward",
    [
        *(
            "https://evil.example/desk/",
            "//evil.example/desk/",
            "/\\evil.example",
            "/desk/\\..\\..",
            "javascript:alert(1)",
        ),
        *(
            "/desk//evil.example",
            "/desk/../..//evil.example",
            "/desk/\t/evil.example",
            "/desk/é",
            "/claim",
            "",
            "/desk/" + "a" * 999,
        ),
    ],
)
async def test_open_redirect(onward: str) -> None:
    assert local_path(onward) == "/desk/"


# --- bombs, floods and slow clients -----------------------------------------------------------------------------------


async def test_upload_bombs(parts: Parts) -> None:
    """Too much is refused by its announced length, and while it comes in when there is none; nothing is unpacked."""

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield b"x" * (1 << 16)

    async with client(parts) as web:
        headers = {"Authorization": f"Bearer {await staff_token(parts)}"}
        for path in ("/claim", "/track", "/api/v1/contacts", "/desk/sign-in", "/api/v1/incidents"):
            assert (await web.post(path, content=b"x" * (2 << 20), headers=headers)).status_code == 413, path
            assert (await web.post(path, content=endless(), headers=headers)).status_code == 413, path
        packed = gzip.compress(b'{"message": "' + b"x" * (50 << 20) + b'"}')
        bomb = await web.post("/api/v1/contacts", content=packed, headers={"Content-Encoding": "gzip"})
        assert bomb.status_code in (415, 422)


@pytest.mark.parametrize("path", ["/claim", "/api/v1/contacts", "/t/{token}/files"])
async def test_upload_bombs_with_files(parts: Parts, path: str) -> None:
    """Forms with files have more room, and an end: by announced length, while coming, in parts, and unpacked."""
    head = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.txt"\r\n\r\n'
    form = {"Content-Type": "multipart/form-data; boundary=b"}

    async def endless() -> AsyncIterator[bytes]:
        yield head
        for _ in range(LARGEST_UPLOAD // (1 << 20) + 2):
            yield b"x" * (1 << 20)

    async with open_client(parts) as web:
        told = (await web.post("/api/v1/contacts", json={"message": "my case"})).json()["track_url"]
        path = path.replace("{token}", told.rpartition("/")[2])
        announced = await web.post(path, content=b"", headers={**form, "Content-Length": str(LARGEST_UPLOAD + 1)})
        assert announced.status_code == 413
        assert (await web.post(path, content=endless(), headers=form)).status_code in (400, 413)
        many = b"".join(head + b"x\r\n" for _ in range(500)) + b"--b--\r\n"
        assert (await web.post(path, content=many, headers=form)).status_code == 400
        fields = b"".join(b'--b\r\nContent-Disposition: form-data; name="f%d"\r\n\r\nx\r\n' % n for n in range(5000))
        assert (await web.post(path, content=fields + b"--b--\r\n", headers=form)).status_code == 400
        for name, bomb in (("bomb.png", _picture_bomb()), ("bomb.docx", _zip_bomb()), ("bomb.gz", _gzip_bomb())):
            said = {"message": "see my receipt", "contact": '{"message": "see my receipt"}'}
            answer = await web.post(path, data=said, files=[("files", (name, bomb, "image/png"))])
            assert answer.status_code == 422, (name, answer.text)
    assert not [one for one in parts.settings.files_dir.rglob("*") if one.is_file()]


def _picture_bomb() -> bytes:
    """A picture of a few bytes that says it is 60,000 by 60,000."""
    bomb = bytearray(picture("PNG"))
    bomb[16:24] = (60_000).to_bytes(4, "big") * 2
    bomb[29:33] = zlib.crc32(bytes(bomb[12:29])).to_bytes(4, "big")
    return bytes(bomb)


def _zip_bomb() -> bytes:
    """Named like a document's, and 20 MB of nothing in it."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", bytes(20 << 20))
    return written.getvalue()


def _gzip_bomb() -> bytes:
    return gzip.compress(bytes(20 << 20))


async def test_floods_of_fields_and_headers(parts: Parts) -> None:
    async with client(parts) as web:
        many = "&".join(f"f{number}=x" for number in range(50_000))
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        assert (await web.post("/desk/sign-in", content=many, headers=form)).status_code == 413
        assert (await web.post("/claim", content=many, headers=form)).status_code == 422
        assert (await web.get("/track", headers={"X-Long": "x" * 9000})).status_code == 431
        assert (await web.get("/track", headers={f"X-{n}": "x" for n in range(120)})).status_code == 431
        assert (await web.get("/track?" + "x" * 5000)).status_code == 414
        deep = b"[" * 100_000
        assert (await web.post("/api/v1/contacts", content=deep)).status_code == 422


async def test_slow_clients(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that trickles in holds nothing for ever, and what came of it is not taken for what somebody said."""
    monkeypatch.setattr(limits, "BODY_SECONDS", 0.3)
    app = create_app(parts)
    async with served(app.store, app) as port:
        for path in ("/claim", "/api/v1/contacts", "/desk/sign-in"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nmessage=a".encode())
            answer = await asyncio.wait_for(reader.readuntil(b"\r\n"), 10)
            assert b" 400 " in answer, path
            writer.close()
            await writer.wait_closed()


@asynccontextmanager
async def at(parts: Parts, address: str) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=create_app(parts), raise_app_exceptions=False, client=(address, 5000))
    async with httpx2.AsyncClient(transport=transport, base_url="https://status.example.com") as made:
        yield made


async def test_floods_of_requests(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """One receipt is asked for again and again: refused. Five thousand travellers behind one address: not."""
    async with at(parts, "203.0.113.9") as web:
        same = [(await web.get("/api/v1/contacts/AAAA-AAAA-AAAA")).status_code for _ in range(70)]
        assert same[:60] == [404] * 60
        assert set(same[61:]) == {429}
        others = [(await web.get(f"/api/v1/contacts/x{number}")).status_code for number in range(200)]
        assert others == [404] * 200
    async with at(parts, "127.0.0.1") as machine:
        assert (await machine.get("/api/v1/contacts/AAAA-AAAA-AAAA")).status_code == 404


async def test_guessing_the_fact_that_goes_with_a_receipt(parts: Parts) -> None:
    """Ten tries from one network; then the same words, whatever is typed, and other networks are not held up."""
    typed = {"receipt": "7KQF-3MXA-9TZ2", "fact": "jansen"}
    async with at(parts, "203.0.113.9") as web:
        answers = [await web.post("/track", data=typed) for _ in range(12)]
    assert [answer.status_code for answer in answers] == [422] * 10 + [429] * 2
    assert len({answer.text for answer in answers}) == 1
    async with at(parts, "198.51.100.4") as web:
        assert (await web.post("/track", data=typed)).status_code == 422


# --- proxies ----------------------------------------------------------------------------------------------------------


async def test_a_forged_forwarded_address_is_believed_from_nobody_but_our_proxies(parts: Parts) -> None:
    forged = {"X-Forwarded-For": "127.0.0.1", "Forwarded": "for=127.0.0.1", "X-Real-IP": "127.0.0.1"}
    async with at(parts, "203.0.113.9") as stranger:
        assert (await stranger.get("/metrics", headers=forged)).status_code == 404
    behind = replace(parts, settings=replace(parts.settings, trusted_proxies=(ip_network("10.0.0.0/24"),)))
    boss = await a_person(parts, "boss", "admin")
    async with at(behind, "10.0.0.5") as proxy:
        assert (await proxy.get("/metrics", headers=forged)).status_code == 404
        proxy.headers["X-Forwarded-For"] = "127.0.0.1, 198.51.100.4, 10.0.0.9"
        await signed_in(proxy, behind, boss)
        entries = (await proxy.get("/api/v1/audit")).json()["entries"]
    assert entries[-1]["address"] == "198.51.100.4"


# --- leaks ------------------------------------------------------------------------------------------------------------


async def test_tokens_do_not_leak_in_referrers_caches_or_logs(
    parts: Parts, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = parts.tokens.sign("track", b"SECRETSECRET")
    async with client(parts) as web:
        pages = [await web.get(path) for path in (f"/t/{token}", f"/claim/received/{token}", f"/desk/welcome/{token}")]
        bearer = await staff_token(parts)
        await web.get("/api/v1/cases", headers={"Authorization": f"Bearer {bearer}"})
    for page in pages:
        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["cache-control"] == "no-store"
    ours = [one.getMessage() for one in caplog.records if not one.name.startswith("http")]  # not the test's own client
    said = "".join([*ours, *capsys.readouterr()])
    assert token not in said
    assert bearer not in said


# --- cookies and headers ----------------------------------------------------------------------------------------------


async def test_cookie_flags(parts: Parts) -> None:
    noor = await a_person(parts)
    async with client(parts) as web:
        page = await web.get("/desk/sign-in")
        signed = await sign_in(web, "noor", code=noor.code(parts))
    cookies = [*page.headers.get_list("set-cookie"), *signed.headers.get_list("set-cookie")]
    assert len(cookies) >= 3
    for cookie in cookies:
        flags = {flag.strip().lower() for flag in cookie.split(";")[1:]}
        assert cookie.startswith("__Host-"), cookie
        assert {"secure", "httponly", "path=/", "samesite=lax"} <= flags
        assert not any(flag.startswith("domain") for flag in flags)


def test_only_this_machine_gets_plain_cookies() -> None:
    assert not Cookies("http://127.0.0.1:8080").secure
    for elsewhere in (
        "http://desk.example.com",
        "http://192.168.1.4:8080",
        "https://localhost",
        "http://127.0.0.1.evil.example",
    ):
        assert Cookies(elsewhere).secure


async def test_every_answer_carries_the_guards(parts: Parts) -> None:
    async with client(parts) as web:
        paths = [
            "/",
            "/claim",
            "/track",
            "/t/x",
            "/desk/sign-in",
            "/desk/account",
            "/api/v1/cases",
            "/api/v1/nowhere",
            "/nowhere",
        ]
        for answer in [await web.get(path, headers={"Accept": "text/html"}) for path in paths]:
            assert "unsafe" not in answer.headers["content-security-policy"]
            assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["strict-transport-security"].startswith("max-age=63072000")
            assert "camera=()" in answer.headers["permissions-policy"]


# --- keys -------------------------------------------------------------------------------------------------------------


async def test_a_key_is_rotated_without_signing_out_or_breaking_links(parts: Parts) -> None:
    noor = await a_person(parts)
    link = parts.tokens.sign("track", b"receipt")
    async with at(parts, "203.0.113.9") as web:
        await signed_in(web, parts, noor)
        kept = httpx2.Cookies(web.cookies)
        form = field(await web.get(ACCOUNT))
    keys = (b"a new key, at least thirty-two long", *parts.settings.secret_keys)
    rotated = replace(parts, tokens=Tokens(keys), settings=replace(parts.settings, secret_keys=keys))
    assert rotated.tokens.read("track", link) == b"receipt"
    async with at(rotated, "203.0.113.9") as web:
        web.cookies = kept
        assert (await web.get(ACCOUNT)).status_code == 200
        assert (await web.post("/desk/sign-out", data={"csrf": form})).status_code == 303
        assert (await sign_in(web, "noor", code=noor.code(parts, later=1))).status_code == 303
    only_new = replace(rotated, tokens=Tokens(keys[:1]), settings=replace(rotated.settings, secret_keys=keys[:1]))
    # What the old key sealed was sealed anew at that sign-in: the old key may go.
    assert Seal("second factor", keys[:1]).open(await _sealed(only_new)) == noor.secret


async def _sealed(parts: Parts) -> bytes:
    async with parts.database.snapshot() as tx:
        sealed: bytes = (await tx.execute(select(users.c.second_factor))).scalar_one()
    return sealed


def test_serve_refuses_to_start_without_a_key() -> None:
    with pytest.raises(SettingsError, match="STORMDESK_SECRET_KEY"):
        read_settings({})
    with pytest.raises(SettingsError, match="32 characters"):
        read_settings({"STORMDESK_SECRET_KEY": "changeme"})


def test_the_provider_settings_are_asked_for_together() -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings({"STORMDESK_SECRET_KEY": "k" * 32, "STORMDESK_OIDC_ISSUER": "https://login.example.com"})
    assert all(name in str(caught.value) for name in ("OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET", "OIDC_ROLES"))
