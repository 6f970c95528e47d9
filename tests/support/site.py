"""The whole web application of one process on a port of this machine, spoken to over real HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from granian.constants import Interfaces
from granian.server.embed import Server

from app.asgi import create_app
from app.wiring import Parts
from tests.support.ports import free_port, until_open


@asynccontextmanager
async def site(parts: Parts, *, port: int = 0) -> AsyncIterator[str]:
    """Its address, while the block runs. What is being answered at the end is finished first."""
    port = port or free_port()
    server = Server(
        create_app(parts),
        address="127.0.0.1",
        port=port,
        interface=Interfaces.ASGI,
        log_enabled=False,
        websockets=False,
    )
    running = asyncio.create_task(server.serve())
    await until_open(port)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop()  # type: ignore[no-untyped-call]  # granian's, without types
        await running
