"""Copies of the page: whole, leading nowhere that is not there, in a folder and in a bucket, and behind if need be."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer
from prometheus_client import REGISTRY

from app.mirrors import Copying, FolderTarget, NotCopied, as_copied, targets
from app.setting_values import Mirror
from foundation.database import Database
from incidents import Component, define_components
from tests.support.incidents import NOW, a_draft, a_page, declared, say

URL = "https://status.example.com"


@pytest.fixture
async def page(database: Database, tmp_path: Path) -> Path:
    """A folder with a page that has an open incident."""
    async with database.transaction() as tx:
        await define_components(tx, [Component("check-in", "Check-in")])
        await say(tx, await declared(tx), a_draft())
    await a_page(tmp_path / "here").refresh(database)
    return tmp_path / "here"


async def test_a_copy_in_a_folder_leads_nowhere_that_is_not_there(page: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    assert await Copying(page, FolderTarget(there), URL, lambda: NOW).step()
    pages = list(there.rglob("*.html"))
    assert len(pages) == 6 * 3
    for one in pages:
        for address in re.findall(r'(?:href|src)="([^"]+)"', one.read_text()):
            if address.startswith(("https://", "tel:", "mailto:", "#")):
                continue
            place = there / address.partition("#")[0].partition("?")[0].lstrip("/")
            assert place.is_file() or (place / "index.html").is_file(), f"{one}: {address}"
    assert f'href="{URL}/claim?' in (there / "nl/index.html").read_text()
    assert (there / "api/v2/summary.json").read_bytes() == (page / "api/v2/summary.json").read_bytes()


class Away:
    """A target that does not take anything."""

    name = "away"

    async def put(self, name: str, content: bytes) -> None:
        raise NotCopied("nobody there")


async def test_a_copy_that_lags_says_by_how_much(page: Path) -> None:
    later = NOW + timedelta(seconds=90)
    copying = Copying(page, Away(), URL, lambda: later, first_pause=0.0)
    assert not await copying.step()
    assert REGISTRY.get_sample_value("stormdesk_status_page_copy_lag_seconds", {"target": "away"}) == 90
    assert not await copying.step()


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an object store with a bucket called `page`."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    endpoint = f"http://127.0.0.1:{port}"
    try:
        boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket="page")
        yield endpoint
    finally:
        server.stop()


async def test_a_copy_in_a_bucket_is_what_a_browser_can_open(page: Path, bucket: str) -> None:
    [target] = targets((Mirror("status", bucket="page", endpoint=bucket, region="us-east-1"),))
    copying = Copying(page, target, URL, lambda: NOW)
    assert await copying.step()
    assert not await copying.step()
    client = boto3.client("s3", endpoint_url=bucket, region_name="us-east-1")
    found = client.get_object(Bucket="page", Key="status/nl/index.html")
    assert found["ContentType"] == "text/html; charset=utf-8"
    assert found["CacheControl"] == "public, max-age=10"
    assert b'<html lang="nl">' in found["Body"].read()
    data = client.get_object(Bucket="page", Key="status/api/v2/summary.json")
    assert data["ContentType"].startswith("application/json")


def test_a_spoken_file_stands_under_its_language_and_english_under_both() -> None:
    page = b'<a href="/history?lang=nl">x</a><a href="?lang=de&amp;remember=1">y</a><a href="/claim?incident=a">z</a>'
    [(address, content)] = as_copied("incidents/abc.nl.html", page, URL).items()
    assert address == "nl/incidents/abc/index.html"
    assert content == (
        b'<a href="/nl/history">x</a><a href="/de/incidents/abc">y</a>'
        b'<a href="https://status.example.com/claim?incident=a">z</a>'
    )
    assert set(as_copied("feed.en.atom", b"", URL)) == {"en/feed.atom", "feed.atom"}
    assert set(as_copied("api/v2/status.json", b"{}", URL)) == {"api/v2/status.json"}
