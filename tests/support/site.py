"""The whole web application of one process on a port of this machine, spoken to over real HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from granian.constants import Interfaces
from granian.server.embed import Server

from app.asgi import create_app
from app.wiring import Parts
from tests.support.pages import free_port


@asynccontextmanager
async def site(parts: Parts) -> AsyncIterator[str]:
    """Its address, while the block runs. What is being answered at the end is finished first."""
    port = free_port()
    server = Server(
        create_app(parts),
        address="127.0.0.1",
        port=port,
        interface=Interfaces.ASGI,
        log_enabled=False,
        websockets=False,
    )
    running = asyncio.create_task(server.serve())
    await _until_open(port)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop()  # type: ignore[no-untyped-call]  # granian's, without types
        await running


async def _until_open(port: int) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.01)
            else:
                writer.close()
                return
