"""The SMPP session itself: what it promises a centre, whom it believes, and how it notices that nobody is there."""

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import smpp34
from sqlalchemy import text
from structlog.testing import capture_logs

import notify.channels.smpp_session as session_module
from app.demo.sms_centre import SmsCentre
from foundation.database import Database
from notify.channels import Accepted
from notify.channels.inbound import Inbound
from notify.channels.smpp_bind import SmsTimeouts
from notify.channels.sms import SmsChannel, SmsLane
from notify.sms_inbox import SmsInbox
from tests.support.certificates import ServerTls, signed
from tests.support.smpp import PRICES, Letters, Wire, centre, texts, url

QUICK = SmsTimeouts(connect=2, response=1, idle=0.2)
HEAD = struct.Struct(">IIII")
DELIVER_RESPONSE = 0x80000005


@asynccontextmanager
async def bound(address: str, inbox: object = None) -> AsyncIterator[SmsLane]:
    lane = SmsChannel([address], PRICES, inbox or Letters(), timeouts=QUICK).lane()  # type: ignore[arg-type]  # of mixed kinds
    async with asyncio.timeout(10):
        await lane.ready(asyncio.Event())
    try:
        yield lane
    finally:
        await lane.close()


async def test_the_centre_is_told_that_we_have_it_once_it_is_on_disk(database: Database) -> None:
    inbox, ended = SmsInbox(database), asyncio.Event()
    storing = asyncio.create_task(inbox.run(ended))
    async with centre().running() as sms, bound(url(sms.port), inbox):
        await sms.bound()  # it may know a moment later than we do
        async with database.transaction() as tx:
            await tx.execute(text("LOCK TABLE sms_segments_in, sms_receipts"))
            handed_in = [
                asyncio.create_task(sms.text("31612345678", "3636", "Where is my bag?")),
                asyncio.create_task(sms.receipt("31612345678", "3636", b"id:7 stat:DELIVRD err:000")),
            ]
            _, waiting = await asyncio.wait(handed_in, timeout=0.5)
            assert len(waiting) == 2, "not acknowledged while it cannot be stored"
        async with asyncio.timeout(10):
            assert await asyncio.gather(*handed_in) == [True, True]
        async with database.transaction() as tx:
            assert await tx.scalar(text("SELECT count(*) FROM sms_segments_in")) == 1
            assert await tx.scalar(text("SELECT count(*) FROM sms_receipts")) == 1
    ended.set()
    await storing


async def test_what_cannot_be_kept_in_time_is_to_be_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "KEEP_SECONDS", 0.1)

    async def never(_: Inbound) -> None:
        await asyncio.Event().wait()

    async with centre().running() as sms, bound(url(sms.port), never) as lane:
        await sms.bound()
        assert not await sms.text("31612345678", "3636", "Where is my bag?")
        assert isinstance((await lane.send(texts("+31600000001"), asyncio.Event()))[0], Accepted)


async def test_an_inbox_that_breaks_is_not_passed_over_in_silence() -> None:
    async def broken(_: Inbound) -> None:
        raise ZeroDivisionError

    async with centre().running() as sms:
        lane = SmsChannel([url(sms.port)], PRICES, broken, timeouts=QUICK).lane()
        await lane.ready(asyncio.Event())
        await sms.bound()
        assert not await sms.text("31612345678", "3636", "Where is my bag?")
        with pytest.raises(ZeroDivisionError):
            await lane.ready(asyncio.Event())


async def test_silence_is_noticed_while_nothing_is_sent() -> None:
    """A cable that was pulled says nothing; the question whether anybody is there gets no answer."""
    async with centre().running() as sms:
        wire = Wire(sms.port)
        async with wire.running() as port, bound(url(port)) as lane:
            wire.deaf = True
            async with asyncio.timeout(10):
                while lane.line.is_bound:  # noqa: ASYNC110 (the line finds out by itself)
                    await asyncio.sleep(0.02)
            wire.deaf = False
            async with asyncio.timeout(10):
                await lane.ready(asyncio.Event())
            assert wire.connections >= 2


async def test_a_quiet_session_lives_on() -> None:
    async with centre().running() as sms:
        wire = Wire(sms.port)
        async with wire.running() as port, bound(url(port)) as lane:
            await asyncio.sleep(5 * QUICK.idle)
            assert lane.line.is_bound
            assert wire.connections == 1


@asynccontextmanager
async def a_centre_that(answer: object) -> AsyncIterator[tuple[int, list[tuple[int, int, int]]]]:
    """A centre in raw bytes: `answer(writer)` speaks once somebody has bound. Yields its port and what it heard."""
    heard: list[tuple[int, int, int]] = []

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.read(16):
            length, command, status, sequence = HEAD.unpack(head)
            await reader.readexactly(length - 16)
            heard.append((command, status, sequence))
            if command == 9:
                await answer(writer, sequence)  # type: ignore[operator]  # a function of the test's
            elif command == 6:
                writer.write(HEAD.pack(16, 0x80000006, 0, sequence))

    async with served(speak) as port:
        yield port, heard


@asynccontextmanager
async def served(
    speak: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """A server of which nothing is left afterwards; yields its port."""
    serving: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            await speak(reader, writer)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_server(
        lambda reader, writer: serving.append(asyncio.create_task(serve(reader, writer))), "127.0.0.1", 0, ssl=tls
    )
    async with server:
        yield server.sockets[0].getsockname()[1]
        async with asyncio.timeout(10):
            await asyncio.gather(*serving)


async def test_a_refused_sign_in_is_said_as_such() -> None:
    async def refuse(writer: asyncio.StreamWriter, sequence: int) -> None:
        writer.write(HEAD.pack(16, 0x80000009, 0x0E, sequence))

    async with a_centre_that(refuse) as (port, _):
        with capture_logs() as logs:
            lane = SmsChannel([url(port)], PRICES, Letters(), timeouts=QUICK).lane()
            waiting = asyncio.create_task(lane.ready(asyncio.Event()))
            while not logs:  # noqa: ASYNC110 (the log is what we wait for)
                await asyncio.sleep(0.02)
            waiting.cancel()
            await lane.close()
    assert logs[0]["error"] == "The centre does not know this password (ESME_RINVPASWD)."
    assert "secret" not in str(logs)


async def test_nonsense_is_answered_as_the_standard_says_and_ends_nothing() -> None:
    async def odd(writer: asyncio.StreamWriter, sequence: int) -> None:
        writer.write(HEAD.pack(19, 0x80000009, 0, sequence) + b"us\0")
        writer.write(HEAD.pack(20, 5, 0, 71) + b"\xff\xff\xff\xff")  # a deliver_sm that cannot be read
        writer.write(HEAD.pack(16, 0x103, 0, 72))  # data_sm, which nobody agreed on
        writer.write(HEAD.pack(16, 0x15, 0, 73))  # enquire_link
        whole = smpp34.DeliverSm("31612345678", "3636", b"hello", source_addr_ton=1, sequence_number=74).encode()
        for at in range(len(whole)):  # byte by byte
            writer.write(whole[at : at + 1])
            await writer.drain()

    letters = Letters()
    async with a_centre_that(odd) as (port, heard), bound(url(port), letters):
        await letters.arrived(1)
        async with asyncio.timeout(5):
            while len(heard) < 5:  # noqa: ASYNC110 (another task hears)
                await asyncio.sleep(0.01)
    assert letters.all[0].source == "+31612345678"
    assert set(heard[1:5]) == {
        (DELIVER_RESPONSE, 0x02, 71),
        (0x80000000, 0x03, 72),
        (0x80000015, 0, 73),
        (DELIVER_RESPONSE, 0, 74),
    }


async def test_a_length_that_cannot_be_ends_the_session_at_once() -> None:
    async def endless(writer: asyncio.StreamWriter, sequence: int) -> None:
        writer.write(HEAD.pack(19, 0x80000009, 0, sequence) + b"us\0" + HEAD.pack(0xFFFFFFFF, 5, 0, 1))

    async with a_centre_that(endless) as (port, heard):
        lane = SmsChannel([url(port)], PRICES, Letters(), timeouts=QUICK).lane()
        waiting = asyncio.create_task(lane.ready(asyncio.Event()))
        async with asyncio.timeout(10):
            while len(heard) < 2:  # noqa: ASYNC110 (it binds anew)
                await asyncio.sleep(0.02)
        waiting.cancel()
        await lane.close()


# TLS


@asynccontextmanager
async def behind_tls(sms: SmsCentre, tls: ssl.SSLContext) -> AsyncIterator[int]:
    """The centre as an operator's TLS gate shows it; yields the gate's port."""

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", sms.port)
        await asyncio.gather(pour(reader, far_writer), pour(far_reader, writer))

    async with served(relay, tls) as port:
        yield port


async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


def secure(port: int, tls: ServerTls) -> str:
    return f"smpp://us:secret@localhost:{port}?tls=on&ca={tls.ca}"


async def test_texts_and_receipts_go_through_tls(tmp_path: Path) -> None:
    tls, letters = signed(tmp_path), Letters()
    async with centre().running() as sms, behind_tls(sms, tls.context) as port:
        sms.receipts = "at once"
        async with bound(secure(port, tls), letters) as lane:
            results = await lane.send(texts("+31600000001", "+31600000002"), asyncio.Event())
            assert all(isinstance(one, Accepted) for one in results)
            await letters.arrived(2)
    assert sms.taken.total() == 2


@pytest.mark.parametrize("fault", ["another name", "another authority", "expired", "no TLS at all"])
async def test_a_centre_that_does_not_prove_who_it_is_hears_no_password(tmp_path: Path, fault: str) -> None:
    (tmp_path / "other").mkdir()
    tls = signed(
        tmp_path, host="elsewhere.example" if fault == "another name" else "localhost", expired=fault == "expired"
    )
    trusted = signed(tmp_path / "other") if fault == "another authority" else tls
    async with centre().running() as sms, behind_tls(sms, tls.context) as gate:
        port = sms.port if fault == "no TLS at all" else gate
        with capture_logs() as logs:
            lane = SmsChannel([secure(port, trusted)], PRICES, Letters(), timeouts=QUICK).lane()
            waiting = asyncio.create_task(lane.ready(asyncio.Event()))
            async with asyncio.timeout(10):
                while not logs:  # noqa: ASYNC110 (the log is what we wait for)
                    await asyncio.sleep(0.02)
            assert not waiting.done()
            waiting.cancel()
            await lane.close()
        assert sms.binds == 0
    assert logs[0]["event"] == "SMS centre is away"
