"""The wire between us and an SMS centre, for tests: sees what passes, holds it back, and cuts it."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

import smpp34

from app.demo.sms_centre import SmsCentre
from notify.channels import Outgoing
from notify.channels.inbound import Inbound
from notify.messages import Message
from notify.sms_prices import Prices, read_prices
from tests.support.ports import free_port

PRICES: Prices = read_prices(
    """country,price_minor,currency,sender_id
*,10,EUR,Stormdesk
US,1.25,EUR,+12025550100
FI,7.5,EUR,
""".splitlines()
)


class Wire:
    """A TCP relay to `target`. `submits`: every submit_sm that passed, decoded; `deaf`: nothing passes back to us."""

    def __init__(self, target: int) -> None:
        self.submits: list[smpp34.SubmitSm] = []
        self.connections = 0
        self.deaf = False
        self._target = target
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[int]:
        """Relay during the block; yields the port."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            self.cut()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await server.wait_closed()

    def cut(self) -> None:
        """Break every connection, as a cable does: with no word of farewell."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._relay(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers += [writer, far_writer]
        await asyncio.gather(self._pass(reader, far_writer, ours=True), self._pass(far_reader, writer, ours=False))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, ours: bool) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readexactly(16)
                length, command = struct.unpack(">II", head[:8])
                pdu = head + await reader.readexactly(length - 16)
                if ours and command == 0x00000004:
                    found = smpp34.decode(pdu)
                    assert isinstance(found, smpp34.SubmitSm)
                    self.submits.append(found)
                if ours or not self.deaf:
                    writer.write(pdu)
                    await writer.drain()
        writer.close()


class Letters:
    """An inbox that keeps what comes in; `arrived(n)` waits for it."""

    def __init__(self) -> None:
        self.all: list[Inbound] = []
        self._more = asyncio.Condition()

    async def __call__(self, one: Inbound) -> None:
        async with self._more:
            self.all.append(one)
            self._more.notify_all()

    async def arrived(self, count: int) -> list[Inbound]:
        async with self._more:
            await self._more.wait_for(lambda: len(self.all) >= count)
        return self.all


def centre() -> SmsCentre:
    return SmsCentre(free_port())


def url(port: int, options: str = "") -> str:
    return f"smpp://us:secret@127.0.0.1:{port}{options}"


def texts(*phones: str, text: str = "Flight DL1117 is cancelled.", language: str = "en") -> list[Outgoing]:
    """One delivery of `text` to each of `phones`."""
    not_after = datetime.now(UTC) + timedelta(hours=1)
    message = Message(1, "incident:ab12", language, "", text)
    return [Outgoing(number, 1, message, phone, {"name": "Zoë"}, not_after) for number, phone in enumerate(phones, 1)]
