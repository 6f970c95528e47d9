"""A front with an application behind it, on addresses of its own, for tests that speak HTTP to the public address."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import ASGIApp

from app.public_page import PageStore, PublicPage
from app.setting_values import Bind
from app.web import public_server, run_until
from tests.support.ports import free_port


@asynccontextmanager
async def served(store: PageStore, app: ASGIApp) -> AsyncIterator[int]:
    """The port of a front that answers from `store`, with `app` behind it."""
    stop = asyncio.Event()
    port = free_port()
    async with public_server(PublicPage(store, app), Bind("127.0.0.1", port), stop) as server:
        running = asyncio.create_task(run_until(stop, [server]))
        await until_open(port)
        try:
            yield port
        finally:
            stop.set()
            await running


async def ask(port: int, request: bytes) -> bytes:
    """Everything that comes back for `request` until the other side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()
        await writer.wait_closed()


async def until_open(port: int) -> None:
    """Wait until the front listens, and the application behind it answers too (with no such page)."""
    async with asyncio.timeout(10):
        while True:
            try:
                answer = await ask(port, b"GET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            except OSError:
                answer = b""
            if answer and b" 503 " not in answer[:16]:
                return
            await asyncio.sleep(0.01)
