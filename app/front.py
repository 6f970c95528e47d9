"""Stands at the public address: answers for the status page, and hands every other connection to the application.

A page request is answered from memory by one look-up and one write, before anything is parsed that need not be. At the
first request of a connection that is not the page's (or is in any way unusual) the connection becomes a pipe to the
application's own server, bytes untouched, and stays one. So nothing is ever understood twice in two ways.
"""

import asyncio
import re
import time
from typing import cast

from starlette.types import ASGIApp, Receive, Scope, Send

from app.public_page import READ, PageRequest, PageStore

_LOOPBACK = "127.0.0.1"
LONGEST_HEAD = 16 << 10
IDLE_SECONDS = 75.0
HEAD_SECONDS = 30.0  # a head may take this long to come in
_SWEEP_SECONDS = 15.0
_REMEMBERED_HEADS = 2048
# Seconds between attempts to reach the application: it may have been started a moment after us.
_PATIENCE = (0.05, 0.1, 0.2, 0.4, 0.8)
_UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nretry-after: 5\r\nconnection: close\r\n\r\n"
# A request that carries one of these asks for more than a page.
_UNUSUAL = frozenset(
    (b"content-length", b"transfer-encoding", b"upgrade", b"expect", b"range", b"if-range", b"http2-settings")
)
_NAME = re.compile(rb"[a-z0-9_-]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


def read_request(head: bytes) -> PageRequest | None:
    """What a request head (without its last blank line) asks for; None: not a plain GET, leave it to the application.

    Strict on purpose: whatever is not exactly as RFC 9112 writes it is passed on unread.
    """
    lines = head.split(b"\r\n")
    words = lines[0].split(b" ")
    if len(words) != 3 or words[0] != b"GET" or words[2] != b"HTTP/1.1" or not head.isascii():
        return None
    target, fields = words[1], _read_fields(lines[1:])
    if not target.startswith(b"/") or b"%" in target or b"#" in target or fields is None or b"host" not in fields:
        return None
    path, _, query = target.decode().partition("?")
    return PageRequest(path, query, *(fields.get(name, b"").decode() for name in READ))


def _read_fields(lines: list[bytes]) -> dict[bytes, bytes] | None:
    """Header fields by lower-case name; None when one is malformed, comes twice, or asks for more than a page."""
    fields: dict[bytes, bytes] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        name, value = name.lower(), value.strip()
        if not colon or not _NAME.fullmatch(name) or _CONTROL.search(value) or name in fields or name in _UNUSUAL:
            return None
        fields[name] = value
    return fields if fields.get(b"connection", b"keep-alive").lower() == b"keep-alive" else None


class Front:
    """The public address. `backend`: the port on this machine where the application's own server listens."""

    def __init__(self, store: PageStore, backend: int) -> None:
        self.store = store
        self.backend = backend
        self.connections: set[_Client] = set()
        # Local port of a pipe → who is at its other end: the application sees only the pipe.
        self.clients: dict[int, tuple[str, int]] = {}
        self.heads: dict[bytes, PageRequest] = {}

    async def serve(self, host: str, port: int, stop: asyncio.Event, *, backlog: int = 4096) -> None:
        """Listen until `stop` is set. What is being answered then is finished; idle connections are closed."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Client(self), host, port, backlog=backlog)
        try:
            while not stop.is_set():
                try:
                    await asyncio.wait_for(stop.wait(), _SWEEP_SECONDS)
                except TimeoutError:
                    self._sweep(loop.time())
        finally:
            server.close()
            for client in tuple(self.connections):
                client.finish()

    def remember(self, head: bytes, request: PageRequest) -> None:
        """Keep what a head was read as: a client's next request is byte for byte the same."""
        if len(self.heads) >= _REMEMBERED_HEADS:
            self.heads.clear()
        self.heads[head] = request

    async def connect(self, client: asyncio.Transport) -> "_Pipe | None":
        """A pipe from the application to `client`; None when there is no application, also after a little patience."""
        loop = asyncio.get_running_loop()
        for patience in _PATIENCE:
            try:
                _, pipe = await loop.create_connection(lambda: _Pipe(self, client), _LOOPBACK, self.backend)
            except OSError:
                await asyncio.sleep(patience)
            else:
                return pipe
        return None

    def naming_clients(self, app: ASGIApp) -> ASGIApp:
        """`app`, told who really asks. Whoever reached its port without us is nobody we know."""

        async def named(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "lifespan":
                seen = scope["client"]
                scope["client"] = self.clients.get(int(seen[1])) if seen else None
            await app(scope, receive, send)

        return named

    def _sweep(self, now: float) -> None:
        for client in tuple(self.connections):
            client.leave_if_idle(now - IDLE_SECONDS, now - HEAD_SECONDS)


class _Client(asyncio.Protocol):
    """One connection from outside."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._buffer = b""
        self._blocked = False
        self._last = self._loop.time()
        self._begun = self._last  # when what is in the buffer began to come in
        self._pipe: _Pipe | None = None
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._front.connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self._pipe is not None:
            self._pipe.write(data)
            return
        self._last = self._loop.time()
        if self._buffer:
            self._buffer += data
        else:
            self._buffer, self._begun = data, self._last
        if self._connecting is None and not self._blocked:
            self._answer()

    def eof_received(self) -> bool:
        if self._pipe is not None:
            self._pipe.write_eof()
        return self._pipe is not None or self._connecting is not None

    def connection_lost(self, exc: Exception | None) -> None:
        self._front.connections.discard(self)
        if self._connecting is not None:
            self._connecting.cancel()
        if self._pipe is not None:
            self._pipe.close()

    def pause_writing(self) -> None:
        # They ask faster than they read: nothing more is answered, or read, until they have caught up.
        self._blocked = True
        if self._pipe is not None:
            self._pipe.pause_reading()
        else:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._blocked = False
        if self._pipe is not None:
            self._pipe.resume_reading()
        elif self._connecting is None:  # else what they ask goes to the application, and reading goes on with it
            self._last = self._loop.time()
            self._transport.resume_reading()
            self._answer()

    def finish(self) -> None:
        """Close once what is being written is out; a pipe ends with the application."""
        if self._pipe is None and self._connecting is None:
            self._transport.close()

    def leave_if_idle(self, heard_before: float, begun_before: float) -> None:
        """Close when nothing was heard since `heard_before` (loop time), or a head that began before `begun_before` is
        still coming in. Pipes are looked after by the application.
        """
        trickles = bool(self._buffer) and not self._blocked and self._begun < begun_before
        if self._pipe is None and self._connecting is None and (self._last < heard_before or trickles):
            self._transport.abort()

    def _answer(self) -> None:
        """Answer every complete page request in the buffer; at the first that is something else, hand over."""
        while self._buffer and not self._blocked:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self._buffer) > LONGEST_HEAD or not self._buffer.startswith(b"GET /"[: len(self._buffer)]):
                    self._hand_over()
                return
            head = self._buffer[:end]
            request = self._front.heads.get(head)
            if request is None:
                request = read_request(head)
                if request is not None:
                    self._front.remember(head, request)
            answer = None if request is None else self._front.store.answer(request)
            if answer is None:
                self._hand_over()
                return
            self._buffer, self._begun = self._buffer[end + 4 :], self._last
            self._transport.write(answer.raw(int(time.time())))

    def _hand_over(self) -> None:
        self._transport.pause_reading()
        self._connecting = self._loop.create_task(self._connect())

    async def _connect(self) -> None:
        pipe = await self._front.connect(self._transport)
        if pipe is None:
            self._transport.write(_UNAVAILABLE)
            self._transport.close()
            return
        self._connecting, self._pipe = None, pipe
        if self._transport.is_closing():
            pipe.close()
            return
        if self._blocked:  # by answers of ours that are still on their way
            pipe.pause_reading()
        pipe.write(self._buffer)
        self._buffer = b""
        self._transport.resume_reading()


class _Pipe(asyncio.Protocol):
    """The application's end of a connection that was handed over; what it says goes to the client unread."""

    def __init__(self, front: Front, client: asyncio.Transport) -> None:
        self._front = front
        self._client = client
        self._transport: asyncio.Transport
        self._port = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._port = transport.get_extra_info("sockname")[1]
        if (peer := self._client.get_extra_info("peername")) is not None:
            self._front.clients[self._port] = peer[:2]

    def data_received(self, data: bytes) -> None:
        self._client.write(data)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._front.clients.pop(self._port, None)
        self._client.close()

    def pause_writing(self) -> None:
        self._client.pause_reading()

    def resume_writing(self) -> None:
        self._client.resume_reading()

    def write(self, data: bytes) -> None:
        """Pass on what the client sent."""
        self._transport.write(data)

    def write_eof(self) -> None:
        """Pass on that the client has said everything."""
        self._transport.write_eof()

    def close(self) -> None:
        """The client is gone."""
        self._transport.close()

    def pause_reading(self) -> None:
        """The client reads more slowly than the application answers."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """The client has caught up."""
        self._transport.resume_reading()
