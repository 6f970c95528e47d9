"""A front with an application behind it, on addresses of its own, for tests that speak HTTP to the public address."""

import asyncio
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from granian.constants import Interfaces
from granian.server.embed import Server
from starlette.types import ASGIApp

from app.front import Front
from app.public_page import PageStore, PublicPage


@asynccontextmanager
async def served(store: PageStore, app: ASGIApp) -> AsyncIterator[int]:
    """The port of a front that answers from `store`, with `app` behind it."""
    stop = asyncio.Event()
    with tempfile.TemporaryDirectory() as folder:
        backend = Path(folder) / "app"
        server = Server(
            PublicPage(store, app), uds=backend, interface=Interfaces.ASGI, log_enabled=False, websockets=False
        )
        port = free_port()
        running = [
            asyncio.create_task(server.serve()),
            asyncio.create_task(Front(store, backend).serve("127.0.0.1", port, stop)),
        ]
        await _until_open(port)
        try:
            yield port
        finally:
            stop.set()
            server.stop()  # type: ignore[no-untyped-call]  # granian leaves it so
            await asyncio.gather(*running)


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


async def ask(port: int, request: bytes) -> bytes:
    """Everything that comes back for `request` until the other side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()
        await writer.wait_closed()


async def _until_open(port: int) -> None:
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
