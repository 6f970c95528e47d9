"""The wire between us and an SMS centre, for tests: sees what passes, holds it back, and cuts it."""

import asyncio
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

import smpp34

from app.demo.sms_centre import SmsCentre
from foundation.database import Database, driver
from notify.channels import Accepted, Outgoing, Result
from notify.channels.inbound import Inbound, Inbox
from notify.channels.smpp_line import SmsTimeouts
from notify.channels.sms import SmsChannel, SmsLane
from notify.messages import Message
from notify.sms_prices import Prices, read_prices
from notify.sms_proof import store_parts
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


class Remembering(SmsChannel):
    """The channel, with the names of parts stored as recording does it, but in a transaction of its own."""

    def __init__(self, database: Database, urls: Sequence[str], inbox: Inbox) -> None:
        super().__init__(urls, PRICES, inbox, timeouts=SmsTimeouts(connect=2, response=1))
        self.database = database

    def lane(self) -> SmsLane:
        lane = super().lane()
        lane.__class__ = RememberingLane
        return lane


class RememberingLane(SmsLane):
    async def send(self, batch: Sequence[Outgoing], stop: asyncio.Event) -> list[Result]:
        results = await super().send(batch, stop)
        channel = self.channel
        assert isinstance(channel, Remembering)
        async with channel.database.transaction() as tx:
            accepted = zip(batch, results, strict=True)
            await store_parts(
                await driver(tx), [(one.id, found.parts) for one, found in accepted if isinstance(found, Accepted)]
            )
        return results
