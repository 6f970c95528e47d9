"""The feeds: valid Atom with an entry for each update, at every address, for every reader that asks."""

import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from pathlib import Path

import feedparser
import pytest
from starlette.applications import Starlette

from app.public_page import PageStore
from foundation.database import Database
from foundation.languages import SPOKEN
from incidents import Component, define_components
from tests.support.incidents import NOW, a_draft, a_page, a_text, declared, say, texts
from tests.support.pages import ask, served

ATOM = "{http://www.w3.org/2005/Atom}"


@pytest.fixture
async def storm(database: Database) -> str:
    """The id of an incident with two updates."""
    async with database.transaction() as tx:
        await define_components(tx, [Component("check-in", "Check-in")])
        incident = await declared(tx)
        await say(tx, incident, a_draft())
        second = a_draft(texts={"en": a_text(title="It goes on"), "nl": a_text(title="Het duurt voort")})
        await say(tx, incident, second, now=NOW + timedelta(minutes=5))
        return incident


def read(path: Path) -> ET.Element:
    return ET.fromstring(path.read_bytes())


def written(folder: Path) -> dict[Path, bytes]:
    """Every feed in a folder."""
    return {path: path.read_bytes() for path in folder.rglob("*.atom")}


def one(parent: ET.Element, name: str) -> str:
    [found] = parent.findall(ATOM + name)
    return found.text or ""


async def test_every_update_is_an_entry_with_a_name_for_ever(database: Database, storm: str, tmp_path: Path) -> None:
    await a_page(tmp_path).refresh(database)
    for name in ("feed", f"incidents/{storm}/feed"):
        feed = read(tmp_path / f"{name}.en.atom")
        entries = feed.findall(f"{ATOM}entry")
        assert [one(entry, "title") for entry in entries] == ["It goes on", "Check-in has stopped"]
        assert [one(entry, "updated") for entry in entries] == [
            "2026-02-08T14:15:00+00:00",
            "2026-02-08T14:10:00+00:00",
        ]
        ids = [one(entry, "id") for entry in entries]
        assert all(found.startswith("tag:status.example.com,2026-02-08:update/") for found in ids)
        assert len(set(ids)) == 2


async def test_a_feed_is_what_rfc_4287_asks_for(database: Database, storm: str, tmp_path: Path) -> None:
    await a_page(tmp_path).refresh(database)
    for language in ("en", "nl"):
        path = tmp_path / f"feed.{language}.atom"
        feed = read(path)
        assert feed.tag == f"{ATOM}feed"
        assert feed.get("{http://www.w3.org/XML/1998/namespace}lang") == language
        address = f"https://status.example.com/feed.atom?lang={language}"
        links = {link.get("rel"): link.get("href") for link in feed.findall(f"{ATOM}link")}
        assert links == {"alternate": f"https://status.example.com/?lang={language}", "self": address}
        assert one(feed, "id") == address
        assert one(feed, "updated") == "2026-02-08T14:15:00+00:00"
        assert one(feed, "title") == "Northwind Air"
        for author in feed.findall(f"{ATOM}author"):
            assert one(author, "name") == "Northwind Air"
        for entry in feed.findall(f"{ATOM}entry"):
            for name in ("id", "title", "updated", "published", "content", "link"):
                assert len(entry.findall(ATOM + name)) == 1, name
        parsed = feedparser.parse(path.read_bytes())
        assert not parsed.bozo
        assert (parsed.version, len(parsed.entries)) == ("atom10", 2)
        assert parsed.entries[0].link == f"https://status.example.com/incidents/{storm}?lang={language}#update-2"


async def test_nothing_changes_in_a_feed_until_something_is_said(
    database: Database, storm: str, tmp_path: Path
) -> None:
    await a_page(tmp_path).refresh(database)
    before = written(tmp_path)
    assert len(before) == 3 * len(SPOKEN)
    await a_page(tmp_path, lambda: NOW + timedelta(hours=3)).refresh(database)
    assert written(tmp_path) == before


async def test_hostile_text_is_text_in_a_feed(database: Database, tmp_path: Path) -> None:
    bad = '<script>alert(1)</script> ]]> & "quotes" <!-- &amp;'
    async with database.transaction() as tx:
        await define_components(tx, [Component("check-in", "Check-in")])
        incident = await declared(tx, title={"en": bad, "nl": bad})
        await say(tx, incident, a_draft(texts=texts(title=bad, body=f"{bad}\nsecond \ufffeline", advice=bad)))
    await a_page(tmp_path).refresh(database)
    for path in written(tmp_path):
        [entry] = read(path).findall(f"{ATOM}entry")
        assert one(entry, "title").startswith("<script>alert(1)</script> ]]> & ")  # text, as its type says
        content = one(entry, "content")
        assert "<script" not in content
        assert "&lt;script&gt;" in content
        assert "<br>second line" in content


async def test_a_feed_of_nothing_is_a_feed(database: Database, tmp_path: Path) -> None:
    await a_page(tmp_path).refresh(database)
    parsed = feedparser.parse((tmp_path / "feed.en.atom").read_bytes())
    assert not parsed.bozo
    assert parsed.entries == []
    assert parsed.feed.updated == "1970-01-01T00:00:00+00:00"


async def test_what_is_over_stays_in_the_feed_for_a_while(database: Database, storm: str, tmp_path: Path) -> None:
    async with database.transaction() as tx:
        done = a_draft(phase="resolved", component_status=None, next_update_at=None)
        await say(tx, storm, done, now=NOW + timedelta(hours=1))
        later = [await declared(tx, now=NOW + timedelta(hours=2 + n)) for n in range(4)]
        for n, incident in enumerate(later):
            await say(tx, incident, done, now=NOW + timedelta(hours=2 + n))
    for _ in range(2):  # also when nothing about it is drawn any more
        await a_page(tmp_path).refresh(database)
        assert len(read(tmp_path / "feed.en.atom").findall(f"{ATOM}entry")) == 3 + 4
    assert len(read(tmp_path / f"incidents/{storm}/feed.en.atom").findall(f"{ATOM}entry")) == 3


async def test_drafts_are_in_no_feed(database: Database, tmp_path: Path) -> None:
    async with database.transaction() as tx:
        await define_components(tx, [Component("check-in", "Check-in")])
        hidden = await declared(tx)
    await a_page(tmp_path).refresh(database)
    assert read(tmp_path / "feed.en.atom").findall(f"{ATOM}entry") == []
    assert not (tmp_path / f"incidents/{hidden}").exists()


@pytest.mark.parametrize(
    "wish",
    ["", "Accept: application/atom+xml\r\n", "Accept: text/html\r\n", "Accept: */*;q=0.1\r\n", "Accept: nonsense\r\n"],
)
async def test_every_reader_gets_the_feed_whatever_it_says_it_accepts(
    database: Database, storm: str, tmp_path: Path, wish: str
) -> None:
    await a_page(tmp_path).refresh(database)
    async with served(PageStore(tmp_path, clock=lambda: datetime.now(UTC)), Starlette()) as port:
        for path in ("/feed.atom", f"/incidents/{storm}/feed.atom"):
            for query, language in (("", "en"), ("?lang=nl", "nl")):
                request = f"GET {path}{query} HTTP/1.1\r\nHost: a\r\n{wish}Connection: close\r\n\r\n"
                head, _, body = (await ask(port, request.encode())).partition(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200"), (path, head)
                assert b"content-type: application/atom+xml; charset=utf-8" in head.lower()
                assert b"access-control-allow-origin: *" in head.lower()
                assert f'xml:lang="{language}"'.encode() in body


async def test_pages_lead_to_their_feeds(database: Database, storm: str, tmp_path: Path) -> None:
    await a_page(tmp_path).refresh(database)
    for name, path in (("index", "/feed.atom"), (f"incidents/{storm}", f"/incidents/{storm}/feed.atom")):
        page = (tmp_path / f"{name}.nl.html").read_text()
        assert '<link rel="alternate" type="application/atom+xml"' in page
        assert f'href="{path}?lang=nl"' in page
        assert f'href="/follow?incident={storm}&amp;lang=nl"' in page
