"""Posts contacts over real HTTP on many kept-alive connections, cheaply: the client must not be what is measured.

It is as stubborn as people are: told to come back later (429, 503) or cut off, it sends the same again under the same
key. It knows the receipt each contact was given, and nothing of what became of it.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from typing import cast

import msgspec

from app.demo.storm import Contact

CONNECTIONS = 24
_PATIENCE = 120  # seconds without a single answer, and we give up


class PostingFailed(Exception):
    """The intake refused a contact for good, or stopped answering; the message says what it said."""


class _Answer(msgspec.Struct):
    receipt: str
    track_url: str


class Storm:
    """Contacts on their way. `receipts`: contact by the receipt it was given; `answered` also counts repeats."""

    def __init__(self, host: str, port: int, contacts: Iterator[Contact]) -> None:
        self._host, self._port = host, port
        self._contacts = contacts
        self._again: deque[Contact] = deque()
        self._decode = msgspec.json.Decoder(_Answer).decode
        self.receipts: dict[str, Contact] = {}
        self.track_url = ""
        self.answered = 0
        self.put_off = 0
        self.mismatched = 0

    async def run(self, connections: int = CONNECTIONS) -> None:
        """Post everything; returns when every contact has a receipt. Raises `PostingFailed`."""
        async with asyncio.TaskGroup() as group:
            for _ in range(connections):
                group.create_task(self._post_on_one_connection())

    async def _post_on_one_connection(self) -> None:
        connection = _Connection(self._host, self._port)
        try:
            while (contact := self._next()) is not None:
                await self._post(connection, contact)
        finally:
            connection.close()

    def _next(self) -> Contact | None:
        if self._again:
            return self._again.popleft()
        contact = next(self._contacts, None)
        if contact is not None:
            # The repeats go out at once on other connections: the same form, sent three times in one breath.
            self._again.extend([contact] * (contact.times - 1))
        return contact

    async def _post(self, connection: "_Connection", contact: Contact) -> None:
        request = self._request(contact)
        waited = 0.0
        while True:
            try:
                status, retry_after, body = await connection.exchange(request)
            except (OSError, EOFError, TimeoutError) as error:
                status, retry_after, body = 503, 0.2, str(error).encode()
            if status == 202:
                self._note(contact, self._decode(body))
                return
            if status not in (409, 429, 503) or waited > _PATIENCE:
                raise PostingFailed(f"The intake answered {status}: {body.decode(errors='replace')[:500]}")
            self.put_off += 1
            waited += retry_after
            await asyncio.sleep(retry_after)

    def _note(self, contact: Contact, answer: _Answer) -> None:
        self.answered += 1
        known = self.receipts.setdefault(answer.receipt, contact)
        # One receipt for two contacts would lose one of them; the same key again must give the same receipt.
        self.mismatched += known is not contact
        self.track_url = self.track_url or answer.track_url

    def _request(self, contact: Contact) -> bytes:
        key = f"Idempotency-Key: {contact.key}\r\n" if contact.key else ""
        head = (
            f"POST /api/v1/contacts HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n{key}"
            f"Content-Type: application/json\r\nContent-Length: {len(contact.body)}\r\n\r\n"
        )
        return head.encode() + contact.body


class _Connection:
    """One kept-alive HTTP/1.1 connection, opened when needed and opened again when lost."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._wire: _Wire | None = None

    async def exchange(self, request: bytes) -> tuple[int, float, bytes]:
        """Send `request`; its answer as status, seconds to wait before trying again, and body."""
        if self._wire is None or self._wire.lost:
            _, self._wire = await asyncio.get_running_loop().create_connection(_Wire, self._host, self._port)
        try:
            async with asyncio.timeout(_PATIENCE):
                return await self._wire.exchange(request)
        except TimeoutError:
            self.close()
            raise

    def close(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None


class _Wire(asyncio.Protocol):
    """One request, one answer, again and again. Answers must have a Content-Length, as ours do."""

    def __init__(self) -> None:
        self.lost = False
        self._buffer = b""
        self._waiting: asyncio.Future[tuple[int, float, bytes]] | None = None

    def exchange(self, request: bytes) -> asyncio.Future[tuple[int, float, bytes]]:
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._waiting

    def close(self) -> None:
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
        length = int(_value(head, b"content-length", b"0"))
        if len(self._buffer) < end + 4 + length or self._waiting is None:
            return
        body = self._buffer[end + 4 : end + 4 + length]
        self._buffer = b""
        if not self._waiting.done():
            self._waiting.set_result((int(head[9:12]), float(_value(head, b"retry-after", b"0.2")), body))


def _value(head: bytes, name: bytes, default: bytes) -> bytes:
    start = head.find(b"\r\n" + name + b":")
    if start < 0:
        return default
    return head[start + len(name) + 3 :].split(b"\r\n", 1)[0].strip()
