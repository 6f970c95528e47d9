"""A small HTTP/1.1 client over kept-alive connections: cheap, so that the client is not what the demo measures.

It speaks to one server that gives every answer a Content-Length, as ours does. It knows nothing of what is said.
"""

import asyncio
from dataclasses import dataclass
from typing import Any, cast

import msgspec

PATIENCE = 60  # seconds for one answer


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said. `head` is in small letters."""

    status: int
    head: bytes
    body: bytes

    def header(self, name: bytes, default: bytes = b"") -> bytes:
        """The value of the header `name` (small letters), or `default`."""
        start = self.head.find(b"\r\n" + name + b":")
        return self.head[start + len(name) + 3 :].split(b"\r\n", 1)[0].strip() if start >= 0 else default


class Connection:
    """One connection, opened when first needed and again when lost. One exchange at a time."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self._wire: _Wire | None = None

    async def exchange(self, request: bytes) -> Answer:
        """Send a whole request and read its answer. Raises OSError, EOFError or TimeoutError when there is none."""
        if self._wire is None or self._wire.lost:
            _, self._wire = await asyncio.get_running_loop().create_connection(_Wire, self.host, self.port)
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._wire.exchange(request)
        except TimeoutError:
            self.close()
            raise

    def request(self, method: str, path: str, body: bytes = b"", headers: str = "") -> bytes:
        """The bytes of a request. `headers`: more of them, each ended by CRLF."""
        length = f"Content-Length: {len(body)}\r\n" if method != "GET" else ""
        head = f"{method} {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n{headers}{length}\r\n"
        return head.encode() + body

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None


class _Wire(asyncio.Protocol):
    def __init__(self) -> None:
        self.lost = False
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._waiting: asyncio.Future[Answer] | None = None

    def exchange(self, request: bytes) -> asyncio.Future[Answer]:
        assert self._transport is not None
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._waiting

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(exc or EOFError("The server closed the connection."))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        answer = Answer(int(head[9:12]), head, b"")
        after = end + 4 + int(answer.header(b"content-length", b"0"))
        if len(self._buffer) < after or self._waiting is None:
            return
        body, self._buffer = self._buffer[end + 4 : after], b""
        if not self._waiting.done():
            self._waiting.set_result(Answer(answer.status, head, body))


class CallFailed(Exception):
    """The server refused a call; the message says which and why."""


class StaffClient:
    """The staff API, with a bearer token. Values go in and come out as JSON."""

    def __init__(self, host: str, port: int, token: str) -> None:
        self._connection = Connection(host, port)
        self._headers = f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"

    async def get(self, path: str) -> Any:
        """The JSON at `path`."""
        return await self._call("GET", path, b"")

    async def post(self, path: str, value: object = None) -> Any:
        """Post `value` as JSON; the JSON answered."""
        return await self._call("POST", path, msgspec.json.encode({} if value is None else value))

    async def _call(self, method: str, path: str, body: bytes) -> Any:
        answer = await self._connection.exchange(self._connection.request(method, path, body, self._headers))
        if answer.status >= 300:
            said = answer.body.decode(errors="replace")[:800]
            raise CallFailed(f"{method} {path} was answered {answer.status}: {said}")
        return msgspec.json.decode(answer.body)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
