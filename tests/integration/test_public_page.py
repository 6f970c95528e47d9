"""Serving the page: from memory, with validators, in the reader's language, and openly old when it is."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from httpx2 import AsyncClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from app import front
from app.language_choice import choice, cookies_for
from app.migrations import migrate
from app.postgres import embedded_postgres
from app.public_page import PageRequest, PageStore
from foundation.database import Database, DatabaseAway
from incidents import Component, define_components
from tests.support.incidents import NOW, a_draft, a_page, declared, say
from tests.support.pages import ask, served


class Time:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        return self.now.timestamp()


async def _echo(request: Request) -> Response:
    return PlainTextResponse(f"{request.method} {len(await request.body())}")


APPLICATION = Starlette(routes=[Route("/echo", _echo, methods=["GET", "POST"])])


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
async def incident(database: Database, tmp_path: Path, clock: Time) -> str:
    """The id of an incident that is on the page in `tmp_path`."""
    async with database.transaction() as tx:
        await define_components(tx, [Component("check-in", "Check-in")])
        made = await declared(tx)
        await say(tx, made, a_draft())
    await a_page(tmp_path, clock).refresh(database)
    return made


@pytest.fixture
async def port(tmp_path: Path, clock: Time, incident: str) -> AsyncIterator[int]:
    async with served(PageStore(tmp_path, clock=clock), APPLICATION) as port:
        yield port


@pytest.fixture
async def client(port: int) -> AsyncIterator[AsyncClient]:
    async with _client(port) as client:
        yield client


def _client(port: int) -> AsyncClient:
    return AsyncClient(base_url=f"http://127.0.0.1:{port}")


async def test_the_page_is_served_with_validators_and_a_short_life(client: AsyncClient) -> None:
    answer = await client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=10"
    assert answer.headers["vary"] == "Accept-Encoding, Accept-Language, Cookie"
    assert answer.headers["content-encoding"] == "br"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "date" in answer.headers
    again = await client.get("/", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == answer.headers["etag"]
    weak = await client.get("/", headers={"If-None-Match": f'"other", W/{answer.headers["etag"]}'})
    assert weak.status_code == 304
    other = await client.get("/", headers={"If-None-Match": '"other"'})
    assert other.status_code == 200


async def test_the_plain_and_the_compressed_page_have_tags_of_their_own(client: AsyncClient) -> None:
    packed = await client.get("/")
    plain = await client.get("/", headers={"Accept-Encoding": "gzip;q=0, identity"})
    assert "content-encoding" not in plain.headers
    assert plain.content == packed.content
    assert plain.headers["etag"] != packed.headers["etag"]


async def test_language_follows_the_query_then_the_browser(client: AsyncClient, incident: str) -> None:
    for path in ("/", f"/incidents/{incident}", "/history"):
        dutch = await client.get(path, headers={"Accept-Language": "nl-BE,nl;q=0.9"})
        assert '<html lang="nl">' in dutch.text
        english = await client.get(f"{path}?lang=en", headers={"Accept-Language": "nl"})
        assert '<html lang="en">' in english.text
        other = await client.get(f"{path}?lang=xx", headers={"Accept-Language": "it"})
        assert '<html lang="en">' in other.text


async def test_a_chosen_language_is_remembered_without_a_script(client: AsyncClient, incident: str) -> None:
    plain = await client.get("/?lang=de")
    assert "set-cookie" not in plain.headers  # any cache may keep this one
    chosen = await client.get("/?lang=de&remember=1")
    assert '<html lang="de">' in chosen.text
    assert chosen.headers["cache-control"] == "no-store"
    assert chosen.headers["set-cookie"].startswith("stormdesk-language=de; Path=/; Max-Age=31536000; SameSite=Lax")
    later = await client.get(f"/incidents/{incident}", headers={"Accept-Language": "nl"})
    assert '<html lang="de">' in later.text
    said = await client.get("/?lang=fr", headers={"Accept-Language": "nl"})
    assert '<html lang="fr">' in said.text


@pytest.mark.parametrize(
    ("query", "cookies"),
    [
        ("lang=xx&remember=1", 0),
        ("lang=de%0d%0aX:1&remember=1", 0),
        ("tz=Europe/Nowhere&remember=1", 1),
        ("lang=de", 0),
    ],
)
def test_only_words_of_our_own_become_cookies(query: str, cookies: int) -> None:
    kept = cookies_for(query, https=True)
    assert len(kept) == cookies
    assert all(b"Max-Age=0" in value for _, value in kept)
    assert choice("", "", 'stormdesk-language="x; stormdesk-zone=../etc/passwd') == ("en", "", False)


async def test_data_may_be_read_from_any_site(client: AsyncClient) -> None:
    answer = await client.get("/api/v2/summary.json")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.json()["incidents"]


async def test_unknown_data_is_json_and_404(client: AsyncClient) -> None:
    for path in ("/api/v2/nothing.json", "/api/v2/", "/api/v2/summary"):
        answer = await client.get(path)
        assert answer.status_code == 404
        assert answer.json()["code"] == "not_found"
        assert answer.headers["access-control-allow-origin"] == "*"


async def test_the_style_sheet_is_kept_for_ever(client: AsyncClient) -> None:
    page = (await client.get("/")).text
    href = page.partition('rel="stylesheet" href="')[2].partition('"')[0]
    answer = await client.get(href)
    assert answer.headers["content-type"].startswith("text/css")
    assert "immutable" in answer.headers["cache-control"]


async def test_an_unknown_incident_is_a_page_that_says_so(client: AsyncClient) -> None:
    answer = await client.get("/incidents/zzzzzzzzzzzz")
    assert answer.status_code == 404
    assert "There is nothing here" in answer.text


OUTSIDE = [
    "/../manifest.json",
    "/incidents/../manifest.json",
    "/static/../manifest.json",
    "/static/%2e%2e/manifest.json",
    "/static/..%2fmanifest.json",
    "/.lock",
    "/manifest.json",
    "//etc/passwd",
    "/static/../../../../etc/passwd",
    "/index.en.html",
    "/incidents/",
    "/static/site.css\x00",
]


async def test_only_what_the_manifest_lists_is_served(port: int) -> None:
    for path in OUTSIDE:
        direct = f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\nGET /echo HTTP/1.0\r\n\r\n".encode()
        behind = f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()
        for request in (direct, behind):
            answer = await ask(port, request)
            assert answer.split(b" ")[1] in (b"404", b"400"), path
            assert b"fingerprint" not in answer
            assert b"root:" not in answer


async def test_what_is_not_the_pages_reaches_the_application_untouched(client: AsyncClient) -> None:
    assert (await client.get("/")).status_code == 200
    assert (await client.post("/echo", content=b"x" * 300_000)).text == "POST 300000"
    assert (await client.get("/")).status_code == 200  # the same connection, now a pipe
    assert (await client.get("/echo")).text == "GET 0"
    assert (await client.post("/")).status_code in (404, 405)
    head = await client.head("/")
    assert (head.status_code, head.content) == (200, b"")


async def test_requests_in_one_packet_and_in_many_are_answered_in_order(port: int) -> None:
    first = b"GET /api/v2/status.json HTTP/1.1\r\nHost: a\r\n\r\n"
    second = b"GET /api/v2/nothing HTTP/1.1\r\nHost: a\r\n\r\n"
    last = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc"
    together = await ask(port, first + second + last)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for byte in first + second + last:
        writer.write(bytes([byte]))
        await writer.drain()
    apart = await reader.read()
    writer.close()
    for answer in (together, apart):
        places = [answer.index(b"All Systems") if b"All Systems" in answer else answer.index(b"indicator")]
        places += [answer.index(b"There is no such document"), answer.index(b"POST 3")]
        assert places == sorted(places)


async def test_a_reader_that_asks_and_never_reads_is_not_buffered_for(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"

    async def ask_on() -> None:
        while True:
            writer.write(request * 1000)
            await writer.drain()

    with pytest.raises(TimeoutError):  # the front stops reading, so our own buffers fill up
        await asyncio.wait_for(ask_on(), 1)
    writer.transport.abort()
    del reader


async def test_an_old_page_says_how_old_it_is(tmp_path: Path, incident: str, clock: Time) -> None:
    store = PageStore(tmp_path, clock=clock, monotonic=clock.monotonic)

    def page(tag: str = "", path: str = "/") -> tuple[int, str, str]:
        answer = store.answer(PageRequest(path, if_none_match=tag))
        assert answer is not None
        return answer.status, answer.body.decode(), dict(answer.headers)[b"etag"].decode()

    _, fresh, tag = page()
    assert "last updated" not in fresh
    clock.now = NOW + timedelta(minutes=12, seconds=20)
    status, old, old_tag = page(tag)
    assert status == 200
    assert "This page was last updated 12 minutes ago. We cannot refresh it right now." in old
    assert old_tag != tag
    assert page(old_tag)[0] == 304
    assert "12 minutes" in page(path=f"/incidents/{incident}")[1]
    clock.now = NOW + timedelta(hours=3)
    assert "3 hours ago" in page(old_tag)[1]


async def test_a_new_edition_is_served_as_soon_as_it_is_whole(
    database: Database, tmp_path: Path, incident: str, clock: Time
) -> None:
    store = PageStore(tmp_path, clock=clock, monotonic=clock.monotonic)
    first = store.answer(PageRequest("/"))
    (tmp_path / "index.en.html").write_bytes(b"half of the next edition")
    (tmp_path / "manifest.json").touch()
    clock.now += timedelta(seconds=1)
    assert store.answer(PageRequest("/")) == first
    clock.now += timedelta(minutes=1)
    await a_page(tmp_path, clock).refresh(database)
    answer = store.answer(PageRequest("/", accept_encoding="gzip"))
    assert answer is not None
    assert b"09:11 EST" in gzip.decompress(answer.body)


async def test_before_the_first_edition_the_page_asks_for_a_moment(tmp_path: Path) -> None:
    async with served(PageStore(tmp_path / "none"), APPLICATION) as port, _client(port) as client:
        answer = await client.get("/")
        assert (answer.status_code, answer.headers["cache-control"]) == (503, "no-store")
        assert "One moment" in answer.text


async def test_the_page_is_served_while_postgresql_is_stopped(tmp_path: Path, clock: Time) -> None:
    folder = tmp_path / "status"
    page = a_page(folder, clock)
    with embedded_postgres(tmp_path / "postgres") as url:
        await asyncio.to_thread(migrate, url)
        database = Database(url)
        await page.refresh(database)
    store = PageStore(folder, clock=clock, monotonic=clock.monotonic)
    async with served(store, APPLICATION) as port, _client(port) as client:
        with pytest.raises(DatabaseAway):
            await page.step(database)
        assert (await client.get("/")).status_code == 200
        clock.now += timedelta(minutes=5)
        assert "last updated 5 minutes ago" in (await client.get("/")).text
        assert json.loads((await client.get("/api/v2/summary.json")).content)["status"]["indicator"] == "none"
    await database.close()


async def test_the_application_learns_who_asks_through_the_front(tmp_path: Path) -> None:
    async def tell(request: Request) -> Response:
        assert request.client is not None
        return PlainTextResponse(request.client.host)

    app = Starlette(routes=[Route("/claim", tell)])
    async with served(PageStore(tmp_path), app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.7", 0))
        writer.write(b"GET /claim HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
    assert answer.endswith(b"127.0.0.7")


async def test_a_head_that_trickles_in_does_not_keep_its_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front, "HEAD_SECONDS", 0.5)
    monkeypatch.setattr(front, "_SWEEP_SECONDS", 0.1)
    async with served(PageStore(tmp_path), APPLICATION) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nX-Slow: ")
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 503 ")
        async with asyncio.timeout(30):
            with pytest.raises(ConnectionError):
                await _trickle(writer)
        writer.close()


async def _trickle(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"a")
        await writer.drain()
        await asyncio.sleep(0.05)


async def test_asking_and_not_reading_before_a_hand_over_connects_once(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    page = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    last = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc"
    writer.write(page * 400 + last)
    await asyncio.sleep(0.5)  # its answers pile up
    async with asyncio.timeout(30):
        answer = await reader.read()
    writer.close()
    assert answer.count(b"HTTP/1.1 200 OK") == 401
    assert answer.count(b"POST 3") == 1
