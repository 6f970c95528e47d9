"""Runs one web process: the application on its address, and what machines ask for on theirs."""

import asyncio

import structlog
from granian.constants import Interfaces
from granian.server.embed import Server
from starlette.types import ASGIApp

from app.asgi import create_app, create_operations_app
from app.loops import stop_on_signals
from app.settings import Bind, Settings
from app.wiring import open_parts

_log = structlog.get_logger()


async def serve(settings: Settings, database_url: str) -> None:
    """Serve until SIGTERM or SIGINT; requests in hand are finished first."""
    stop = stop_on_signals()
    async with open_parts(settings, database_url) as parts:
        servers = [_server(create_app(parts), settings.bind)]
        if settings.ops_bind is not None:
            servers.append(_server(create_operations_app(parts), settings.ops_bind))
        _log.info("serving", address=f"http://{settings.bind}", public_url=settings.public_url)
        await _until(stop, servers)


async def serve_operations(app: ASGIApp, bind: Bind, stop: asyncio.Event) -> None:
    """Serve what machines ask for until `stop` is set; for processes that serve nothing else."""
    await _until(stop, [_server(app, bind)])


async def _until(stop: asyncio.Event, servers: list[Server]) -> None:
    running = [asyncio.create_task(server.serve()) for server in servers]
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({stopped, *running}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    for server in servers:
        server.stop()  # type: ignore[no-untyped-call]  # granian's, without types
    await asyncio.gather(*running)


def _server(app: ASGIApp, bind: Bind) -> Server:
    # backlog: 300,000 people arrive in the same minute; a full queue shows as a refused connection, not as a wait.
    return Server(
        app,
        address=bind.host,
        port=bind.port,
        interface=Interfaces.ASGI,
        backlog=4096,
        log_enabled=False,
        websockets=False,
    )
