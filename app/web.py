"""Runs one web process: the page and the application on the public address, what machines ask for on theirs."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from granian.constants import Interfaces
from granian.http import HTTP1Settings, HTTP2Settings
from granian.server.embed import Server
from starlette.types import ASGIApp

from app.asgi import create_app, create_desk_app, create_operations_app
from app.front import Front
from app.loops import stop_on_signals
from app.public_page import PublicPage
from app.setting_values import Bind
from app.settings import Settings
from app.wiring import open_parts

_log = structlog.get_logger()
LARGEST_HEAD = 64 << 10  # bytes
_HEAD_SECONDS = 30  # a head may take this long to come in


async def serve(settings: Settings, database_url: str) -> None:
    """Serve until SIGTERM or SIGINT; requests in hand are finished first."""
    stop = stop_on_signals()
    async with open_parts(settings, database_url) as parts:
        servers = []
        if settings.desk_bind is not None:
            servers.append(_server(create_desk_app(parts), settings.desk_bind))
        if settings.ops_bind is not None:
            servers.append(_server(create_operations_app(parts), settings.ops_bind))
        async with public_server(create_app(parts), settings.bind, stop) as server:
            _log.info("serving", address=f"http://{settings.bind}", public_url=settings.public_url)
            await run_until(stop, [server, *servers])


@asynccontextmanager
async def public_server(app: PublicPage, bind: Bind, stop: asyncio.Event) -> AsyncIterator[Server]:
    """The application's server, for the block to run, on a port of this machine only; before it, at `bind`, the front.

    Python would not come near the rate of page views that a storm brings if each went through server and application;
    see docs/decisions/0007-page-in-front.md.
    """
    backend = _free_port()
    front = Front(app.store, backend)
    listening = asyncio.create_task(front.serve(bind.host, bind.port, stop))
    listening.add_done_callback(lambda _: stop.set())
    # Not at the application's own end: that comes after its last answer, and a stream of events has no last one.
    listening.add_done_callback(lambda _: app.let_go())
    try:
        yield _server(front.naming_clients(app), Bind("127.0.0.1", backend))
    finally:
        stop.set()
        await listening


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def serve_operations(app: ASGIApp, bind: Bind, stop: asyncio.Event) -> None:
    """Serve what machines ask for until `stop` is set; for processes that serve nothing else."""
    await run_until(stop, [_server(app, bind)])


async def run_until(stop: asyncio.Event, servers: list[Server]) -> None:
    """Run the servers until `stop` is set or one of them ends; then all of them end."""
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
        http1_settings=HTTP1Settings(header_read_timeout=_HEAD_SECONDS * 1000, max_buffer_size=LARGEST_HEAD),
        http2_settings=HTTP2Settings(max_headers_size=LARGEST_HEAD, keep_alive_interval=_HEAD_SECONDS * 1000),
    )
