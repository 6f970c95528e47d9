"""Open pages hear of a new edition, through the front; there are only so many listeners, and none holds up the end."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from app.asgi import create_app
from app.live import Live
from app.public_page import PageStore
from app.setting_values import Bind
from app.web import public_server, run_until
from foundation.database import Database
from incidents import Component, define_components
from tests.support.incidents import NOW, a_draft, a_page, declared, say
from tests.support.pages import served, until_open
from tests.support.ports import free_port
from tests.support.web import parts_for

ASK = b"GET /events HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n"


@pytest.fixture
async def incident(database: Database, tmp_path: Path) -> str:
    """The id of an incident whose page is in `tmp_path`."""
    async with database.transaction() as tx:
        await define_components(tx, [Component("check-in", "Check-in")])
        made = await declared(tx)
        await say(tx, made, a_draft())
    await a_page(tmp_path).refresh(database)
    return made


@asynccontextmanager
async def _site(folder: Path, most: int) -> AsyncIterator[int]:
    store = PageStore(folder, clock=lambda: NOW)
    live = Live(store, most=most)
    async with served(store, Starlette(routes=[Route("/events", live.events)])) as port:
        yield port
        live.close()


@asynccontextmanager
async def _listening(port: int) -> AsyncIterator[asyncio.StreamReader]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(ASK)
    try:
        yield reader
    finally:
        writer.close()
        await writer.wait_closed()


async def _event(reader: asyncio.StreamReader) -> dict[str, float]:
    async with asyncio.timeout(10):
        while not (line := await reader.readline()).startswith(b"data: "):
            assert line, "the stream ended"
        found: dict[str, float] = json.loads(line.removeprefix(b"data: "))
        return found


async def test_listeners_hear_of_an_edition_and_how_much_it_hurries(
    database: Database, incident: str, tmp_path: Path
) -> None:
    async with _site(tmp_path, 5) as port, _listening(port) as first, _listening(port) as second:
        for reader in (first, second):
            assert b" 200 " in await reader.readline()
            await reader.readuntil(b"retry: 5000\n\n")
        async with database.transaction() as tx:
            await say(tx, incident, a_draft(), now=NOW + timedelta(minutes=1))
        await a_page(tmp_path, lambda: NOW + timedelta(minutes=1)).refresh(database)
        assert await _event(first) == await _event(second)
        await a_page(tmp_path, lambda: NOW + timedelta(minutes=2)).refresh(database)
        later = await _event(first)
        assert later["as_of"] == (NOW + timedelta(minutes=2)).timestamp()
        assert later["spread"] > 10  # nothing was said: nobody needs to hurry


async def test_beyond_a_bound_they_are_asked_to_load_again(incident: str, tmp_path: Path) -> None:
    async with _site(tmp_path, 1) as port:
        async with _listening(port) as first:
            await first.readuntil(b"retry: 5000\n\n")
            async with _listening(port) as second:
                head = await second.readuntil(b"\r\n\r\n")
        assert b" 503 " in head
        assert b"retry-after: 60" in head.lower()


async def test_open_streams_do_not_hold_up_the_end(database_url: str, tmp_path: Path) -> None:
    """Put together as `stormdesk serve` does: told to stop, it lets its listeners go, within seconds."""
    parts = parts_for(database_url, tmp_path)
    stop, port = asyncio.Event(), free_port()
    async with AsyncExitStack() as block, public_server(create_app(parts), Bind("127.0.0.1", port), stop) as server:
        block.push_async_callback(parts.database.close)
        running = asyncio.create_task(run_until(stop, [server]))
        await until_open(port)
        readers = [await block.enter_async_context(_listening(port)) for _ in range(3)]
        for reader in readers:
            await reader.readuntil(b"retry: 5000\n\n")
        stop.set()
        async with asyncio.timeout(5):
            await running
            for reader in readers:
                await reader.read()
