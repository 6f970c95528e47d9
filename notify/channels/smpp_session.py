"""One SMPP 3.4 session on a connection of our own: binds, sends, and answers what comes in once somebody has kept it.

`smpp34` writes and reads the messages; its own client acknowledges receipts and texts before anybody has them, so the
conversation is ours (docs/decisions/0016). It knows no segments and no centres; statuses are SMPP 3.4 section 5.1.3.
"""

import asyncio
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeAlias, cast

import smpp34
import structlog

from notify.channels.smpp_status import QUEUE_FULL, SYSTEM_ERROR, TRY_LATER

_log = structlog.get_logger()

_HEAD = struct.Struct(">IIII")  # command_length, command_id, command_status, sequence_number
_LONGEST = 70_000  # bytes of one message: a payload of 64 KB and what stands around it
_RESPONSE = 0x80000000
_NACK = 0x80000000
_BIND = 0x00000009  # bind_transceiver
_SUBMIT_RESPONSE = 0x80000004
_DELIVER = 0x00000005
_UNBIND = 0x00000006
_ENQUIRE = 0x00000015
_LAST_SEQUENCE = 0x7FFFFFFF
_UNKNOWN_COMMAND = 0x03  # ESME_RINVCMDID
_BAD_LENGTH = 0x02  # ESME_RINVCMDLEN
# What may wait to be kept at once; beyond it the centre is told that the queue is full, and tries again later.
_INBOUND = 256
# A centre takes silence for a lost connection after some time, usually a minute: before that it is told to try later.
KEEP_SECONDS = 20.0
_LEAVE_SECONDS = 2.0

# What became of one `submit_sm`: its status, and the name the centre gave it. None: nobody will ever say.
Answered: TypeAlias = Callable[[int, str], None]
# Keeps what came in; returns once it is on disk.
Keep: TypeAlias = Callable[[smpp34.DeliverSm], Awaitable[None]]


class CannotBind(Exception):
    """No session. The words say why, and name no password."""


class Session(asyncio.Protocol):
    """A session. `lost` is called once, when nothing more can be sent: by whichever side, for whatever reason."""

    def __init__(self, keep: Keep, lost: Callable[[], None], *, idle_seconds: float) -> None:
        self.ended = asyncio.Event()
        self.failure: BaseException | None = None  # of whoever keeps what comes in; not ours to hide
        self._keep = keep
        self._lost = lost
        self._idle_seconds = idle_seconds
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._received = bytearray()
        self._unsent: list[bytes] = []
        self._sequence = 0
        self._answered: dict[int, Answered] = {}
        self._others: dict[int, asyncio.Future[int]] = {}  # answers to bind, enquire_link, unbind
        self._keeping: set[asyncio.Task[None]] = set()
        self._heard_at = self._loop.time()
        self._pulse: asyncio.Task[None] | None = None

    # What we say

    async def bind(self, system_id: str, password: str, system_type: str) -> None:
        """Sign in as a transceiver; raises `CannotBind`."""
        texts = b"".join(one.encode("ascii") + b"\0" for one in (system_id, password, system_type))
        status = await self._ask(_BIND, texts + b"\x34\0\0\0")
        if status:
            raise CannotBind(_SIGN_IN.get(status, f"The centre refuses the sign-in (command status 0x{status:x})."))
        self._pulse = asyncio.create_task(self._keep_alive())

    def submit(self, pdu: Callable[[int], bytes], answered: Answered) -> None:
        """Send a `submit_sm`, made for its sequence number. `answered` is called unless the session ends before."""
        sequence = self._next()
        self._answered[sequence] = answered
        self._say(pdu(sequence))

    async def unbind(self) -> None:
        """Take leave: first what came in is kept and acknowledged, then the centre is told to keep the rest."""
        self._end()
        if self._keeping:
            await asyncio.wait(self._keeping, timeout=_LEAVE_SECONDS)
        for one in self._keeping:
            one.cancel()
        if self._transport is not None and not self._transport.is_closing():
            with suppress(TimeoutError, CannotBind):
                async with asyncio.timeout(_LEAVE_SECONDS):
                    await self._ask(_UNBIND)
        self.abort()

    def abort(self) -> None:
        """Close at once, whatever is under way."""
        self._end()
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    async def _ask(self, command: int, body: bytes = b"") -> int:
        """The status of the answer; raises `CannotBind` when the connection ends before."""
        sequence = self._next()
        answer: asyncio.Future[int] = self._loop.create_future()
        self._others[sequence] = answer
        self._say(_HEAD.pack(16 + len(body), command, 0, sequence) + body)
        try:
            return await answer
        finally:
            self._others.pop(sequence, None)

    async def _keep_alive(self) -> None:
        """Ask whether anybody is there when nothing was heard for a while; silence ends the session."""
        while not self.ended.is_set():
            quiet = self._loop.time() - self._heard_at
            if quiet < self._idle_seconds:
                await asyncio.sleep(self._idle_seconds - quiet)
                continue
            try:
                async with asyncio.timeout(self._idle_seconds):
                    await self._ask(_ENQUIRE)
            except (TimeoutError, CannotBind):
                self.abort()

    def _next(self) -> int:
        self._sequence = self._sequence % _LAST_SEQUENCE + 1
        return self._sequence

    def _say(self, pdu: bytes) -> None:
        # Thousands a second: what is said in one turn of the loop leaves in one write.
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(pdu)

    def _flush(self) -> None:
        said, self._unsent = b"".join(self._unsent), []
        if self._transport is not None:
            self._transport.write(said)

    def _end(self) -> None:
        if not self.ended.is_set():
            self.ended.set()
            if self._pulse is not None and self._pulse is not asyncio.current_task():
                self._pulse.cancel()
            self._lost()

    # What we hear

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        for answer in self._others.values():
            if not answer.done():
                answer.set_exception(CannotBind("The centre closed the connection."))
        self._end()

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        received = self._received
        received += data
        place = 0
        while len(received) - place >= 16:
            length, command, status, sequence = _HEAD.unpack_from(received, place)
            if not 16 <= length <= _LONGEST:
                _log.warning("SMS centre speaks no SMPP", length=length)
                self.abort()
                return
            if len(received) - place < length:
                break
            self._hear(command, status, sequence, received[place : place + length])
            place += length
        del received[:place]

    def _hear(self, command: int, status: int, sequence: int, pdu: bytearray) -> None:
        if command in (_SUBMIT_RESPONSE, _NACK):
            answered = self._answered.pop(sequence, None)
            if answered is not None:
                answered(status or (SYSTEM_ERROR if command == _NACK else 0), _text(pdu))
                return
        if command & _RESPONSE:
            answer = self._others.get(sequence)
            if answer is not None and not answer.done():
                answer.set_result(status or (SYSTEM_ERROR if command == _NACK else 0))
        elif command == _DELIVER:
            self._take(sequence, bytes(pdu))
        elif command == _ENQUIRE:
            self._respond(command, 0, sequence)
        elif command == _UNBIND:
            self._respond(command, 0, sequence)
            self._end()
            self._loop.call_soon(self._hang_up)
        else:
            self._say(_HEAD.pack(16, _NACK, _UNKNOWN_COMMAND, sequence))

    def _respond(self, command: int, status: int, sequence: int, body: bytes = b"") -> None:
        self._say(_HEAD.pack(16 + len(body), command | _RESPONSE, status, sequence) + body)

    def _hang_up(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _take(self, sequence: int, pdu: bytes) -> None:
        if self.ended.is_set():
            return  # unanswered, the centre keeps it for the next session
        if len(self._keeping) >= _INBOUND:
            self._respond(_DELIVER, QUEUE_FULL, sequence, b"\0")
            return
        task = asyncio.create_task(self._keep_and_say(sequence, pdu))
        self._keeping.add(task)
        task.add_done_callback(self._kept)

    def _kept(self, task: asyncio.Task[None]) -> None:
        self._keeping.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failure = error
            self.abort()

    async def _keep_and_say(self, sequence: int, pdu: bytes) -> None:
        """The answer to a `deliver_sm` is a promise, so it is given after the fact."""
        try:
            one = smpp34.decode(pdu)
        except smpp34.SmppError as error:
            _log.warning("SMS centre sent something unreadable", error=str(error))
            self._respond(_DELIVER, _BAD_LENGTH, sequence, b"\0")
            return
        try:
            async with asyncio.timeout(KEEP_SECONDS):
                await self._keep(cast(smpp34.DeliverSm, one))
        except TimeoutError:
            self._respond(_DELIVER, TRY_LATER, sequence, b"\0")
        else:
            self._respond(_DELIVER, 0, sequence, b"\0")


_SIGN_IN = {
    0x0D: "The centre refuses the sign-in (ESME_RBINDFAIL).",
    0x0E: "The centre does not know this password (ESME_RINVPASWD).",
    0x0F: "The centre does not know this system_id (ESME_RINVSYSID).",
}


def _text(pdu: bytearray) -> str:
    """The C-octet string a response begins with."""
    return bytes(pdu[16:]).partition(b"\0")[0].decode("latin-1")


async def open_session(
    host: str,
    port: int,
    keep: Keep,
    lost: Callable[[], None],
    *,
    tls: ssl.SSLContext | None = None,
    idle_seconds: float = 30.0,
) -> Session:
    """A connection to a centre, not bound yet; raises `CannotBind`."""
    loop = asyncio.get_running_loop()
    try:
        _, session = await loop.create_connection(
            lambda: Session(keep, lost, idle_seconds=idle_seconds), host, port, ssl=tls
        )
    except OSError as error:
        raise CannotBind(f"No connection: {error}") from error
    return session
