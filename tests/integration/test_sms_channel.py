"""A lane of the SMS channel against a centre that throttles, refuses, loses responses and ends the session."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from app.demo.sms_centre import Accept, Reject, Silence
from notify.channels import Accepted, Deferred, Outgoing, Refused, Result, Unclear, Unsent
from notify.channels.smpp_bind import SmsTimeouts
from notify.channels.smpp_status import INVALID_DESTINATION, THROTTLED
from notify.channels.sms import SmsChannel, SmsLane
from notify.messages import Message
from notify.sms_prices import Cost
from tests.support.smpp import PRICES, Letters, Wire, centre, texts, url

IMPATIENT = SmsTimeouts(connect=2, response=0.5)
PHONES = [f"+3161234{number:04}" for number in range(200)]
LONG = "Your flight was cancelled. " * 8  # two segments


@asynccontextmanager
async def bound(port: int, *, options: str = "", letters: Letters | None = None) -> AsyncIterator[SmsLane]:
    """A lane that is bound to the centre at `port`."""
    lane = SmsChannel([url(port, options)], PRICES, letters or Letters(), timeouts=IMPATIENT).lane()
    await lane.ready(asyncio.Event())
    try:
        yield lane
    finally:
        await lane.close()


async def send(lane: SmsLane, batch: list[Outgoing]) -> list[Result]:
    return await lane.send(batch, asyncio.Event())


async def test_a_batch_is_taken_and_every_text_arrives_once() -> None:
    async with centre().running() as sms, bound(sms.port) as lane:
        results = await send(lane, texts(*PHONES))
    assert all(isinstance(one, Accepted) and len(one.parts) == 1 for one in results)
    assert len({one.parts for one in results if isinstance(one, Accepted)}) == len(PHONES)
    assert sms.messages() == [(phone[1:], "Flight DL1117 is cancelled.") for phone in PHONES]


async def test_what_stands_on_the_wire() -> None:
    """Validity from the message's own limit, a receipt asked for, the country's sender, and numbers without a plus."""
    not_after = datetime(2099, 3, 4, 5, 6, 7, tzinfo=UTC)
    message = Message(1, "incident:ab12", "en", "", LONG)
    batch = [Outgoing(0x1FF, 1, message, phone, {}, not_after) for phone in ("+31612345678", "+12025550177")]
    async with centre().running() as sms:
        wire = Wire(sms.port)
        async with wire.running() as port, bound(port) as lane:
            await send(lane, batch)
    assert len(wire.submits) == 4
    for one in wire.submits:
        assert one.validity_period == "990304050607000+"
        assert (one.registered_delivery, one.esm_class, one.dest_addr_ton, one.dest_addr_npi) == (1, 0x40, 1, 1)
        assert one.short_message[:5] == bytes([5, 0, 3, 0xFF, 2])
        assert len(one.short_message) <= 159
    dutch = [one for one in wire.submits if one.destination_addr == "31612345678"]
    american = [one for one in wire.submits if one.destination_addr == "12025550177"]
    assert {(one.source_addr, one.source_addr_ton, one.source_addr_npi) for one in dutch} == {("Stormdesk", 5, 0)}
    assert {(one.source_addr, one.source_addr_ton, one.source_addr_npi) for one in american} == {("12025550100", 1, 1)}
    assert sms.messages() == [("12025550177", LONG), ("31612345678", LONG)]


async def test_other_alphabets_and_slots() -> None:
    async with centre().running() as sms, bound(sms.port) as lane:
        await send(lane, texts("+31600000001", text="Рейс отменён 😀 {name}", language="ru"))
        await send(lane, texts("+31600000002", text="Dag {name}, het’s {{5}} €", language="nl"))
    assert sms.messages() == [("31600000001", "Рейс отменён 😀 Zoë"), ("31600000002", "Dag Zoe, het's {5} €")]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (0x0B, Refused("no_such_address", 0x0B, "ESME_RINVDSTADR")),
        (0x0A, Refused("sender_refused", 0x0A, "ESME_RINVSRCADR")),
        (0x01, Refused("refused", 0x01, "ESME_RINVMSGLEN")),
        (0x66, Refused("refused", 0x66, "ESME_RX_R_APPN")),
        (0x14, Deferred("throttled", 0x14, "ESME_RMSGQFUL")),
        (0x58, Deferred("throttled", 0x58, "ESME_RTHROTTLED")),
        (0x08, Deferred("refused_for_now", 0x08, "ESME_RSYSERR")),
        (0x64, Deferred("refused_for_now", 0x64, "ESME_RX_T_APPN")),
    ],
)
async def test_each_refusal_is_classed_and_hurts_nobody_else(status: int, expected: Result) -> None:
    async with centre().running() as sms, bound(sms.port) as lane:
        sms.answers_to["31600000002"] = Reject(status)
        first, refused, last = await send(lane, texts("+31600000001", "+31600000002", "+31600000003"))
    assert refused == expected
    assert isinstance(first, Accepted)
    assert isinstance(last, Accepted)


async def test_countries_without_a_price_or_a_sender_are_left_alone() -> None:
    async with centre().running() as sms, bound(sms.port) as lane:
        # Finland has no sender yet, and in China nobody may be written to by a name.
        results = await send(lane, texts("+358401234567", "+8613123456789", "+31600000001"))
    assert results[:2] == [Refused("country_not_served")] * 2
    assert sms.taken.total() == 1


async def test_what_has_lost_its_use_is_not_begun() -> None:
    late = [Outgoing(1, 1, Message(1, "t", "en", "", "Late"), "+31600000001", {}, datetime.now(UTC))]
    async with centre().running() as sms, bound(sms.port) as lane:
        assert await send(lane, late) == [Deferred("too_late")]
    assert sms.taken.total() == 0


async def test_throttled_a_lane_slows_down_and_recovers() -> None:
    """The centre takes a hundred a second: the lane learns it, loses nobody, and is back at its window afterwards."""
    async with centre().running() as sms, bound(sms.port) as lane:
        sms.most_a_second = 100
        results = await send(lane, texts(*PHONES[:80]))
        throttled = [one for one in results if isinstance(one, Deferred)]
        assert throttled
        assert {one.reason for one in throttled} == {"throttled"}
        assert lane.line.pace.slowed()
        assert sms.taken.total() + len(throttled) == 80
        sms.most_a_second = None
        while lane.line.pace.slowed():
            assert all(isinstance(one, Accepted) for one in await send(lane, texts(*PHONES[80:])))
    assert max(sms.taken[phone[1:]] for phone in PHONES[:80]) == 1


async def test_the_window_is_never_exceeded() -> None:
    async with centre().running() as sms, bound(sms.port, options="?window=5") as lane:
        sms.answers.extend([Silence()] * 5)
        results = await send(lane, texts(*PHONES[:12]))
        assert sms.taken.total() == 5
    assert results[:5] == [Unclear("no_answer_in_time")] * 5
    assert results[5:] == [Unsent()] * 7


async def test_a_lost_response_is_unknown_and_not_sent_again() -> None:
    """The rest of the batch goes out over the same bind, or, once it is given up, over the next one."""
    async with centre().running() as sms, bound(sms.port) as lane:
        sms.answers_once[PHONES[1][1:], 1] = Silence()
        results = await send(lane, texts(*PHONES[:30]))
        assert results[1] == Unclear("no_answer_in_time")
        assert all(isinstance(one, Accepted) for at, one in enumerate(results) if at != 1)
        await lane.ready(asyncio.Event())
        assert isinstance((await send(lane, texts("+31699999999")))[0], Accepted)
    assert set(sms.taken.values()) == {1}


@pytest.mark.parametrize("politely", [True, False], ids=["unbind", "cable cut"])
async def test_a_session_that_ends_in_mid_window(politely: bool) -> None:
    """What was written is unknown, what was not is planned again, and the lane binds anew by itself."""
    async with centre().running() as sms:
        wire = Wire(sms.port)
        async with wire.running() as port, bound(port, options="?window=10") as lane:
            sms.answers.extend([*[Accept()] * 4, *[Silence()] * 10])
            sending = asyncio.create_task(send(lane, texts(*PHONES[:40])))
            await sms.took(14)
            if politely:
                await sms.unbind()
            else:
                wire.cut()
            results = await sending
            assert len([one for one in results if isinstance(one, Accepted)]) == 4
            assert results.count(Unclear("connection_lost")) == 10
            assert results.count(Unsent()) == 26
            rest = [phone for phone, one in zip(PHONES, results, strict=False) if isinstance(one, Unsent)]
            async with asyncio.timeout(10):
                await lane.ready(asyncio.Event())
            assert all(isinstance(one, Accepted) for one in await send(lane, texts(*rest)))
    assert set(sms.taken.values()) == {1}
    assert wire.connections == 2


async def test_a_centre_that_is_away_holds_claiming_back_until_it_is_there() -> None:
    sms = centre()
    stop = asyncio.Event()
    lane = SmsChannel([url(sms.port)], PRICES, Letters(), timeouts=IMPATIENT).lane()
    waiting = asyncio.create_task(lane.ready(stop))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    assert await send(lane, texts("+31600000001")) == [Unsent()]
    async with sms.running():
        async with asyncio.timeout(10):
            await waiting
        assert isinstance((await send(lane, texts("+31600000001")))[0], Accepted)
        await lane.close()


async def test_told_to_stop_a_lane_ends_what_is_open_and_begins_nothing() -> None:
    stop = asyncio.Event()
    stop.set()
    async with centre().running() as sms, bound(sms.port) as lane:
        assert await lane.send(texts(*PHONES[:3]), stop) == [Unsent()] * 3
        await lane.ready(stop)
    assert sms.taken.total() == 0


async def test_of_two_parts_one_refused() -> None:
    async with centre().running() as sms, bound(sms.port) as lane:
        sms.answers_once["31600000001", 2] = Reject(INVALID_DESTINATION)
        (result,) = await send(lane, texts("+31600000001", text=LONG))
        assert result == Refused("no_such_address", 0x0B, "part 2 of 2: ESME_RINVDSTADR")


async def test_of_two_parts_one_throttled_is_finished_by_the_lane() -> None:
    """Who has the first part already is not left with half a message."""
    async with centre().running() as sms, bound(sms.port) as lane:
        sms.answers_once["31600000001", 2] = Reject(THROTTLED)
        (result,) = await send(lane, texts("+31600000001", text=LONG))
        assert isinstance(result, Accepted)
        assert len(result.parts) == 2
    assert sms.messages() == [("31600000001", LONG)]
    assert sms.taken["31600000001"] == 2


async def test_of_two_parts_one_without_response() -> None:
    async with centre().running() as sms, bound(sms.port) as lane:
        sms.answers_once["31600000001", 2] = Silence()
        (result,) = await send(lane, texts("+31600000001", text=LONG))
    assert result == Unclear("no_answer_in_time", None, "part 2 of 2: no_answer_in_time")


async def test_receipts_and_texts_come_in_on_the_same_bind_while_nothing_is_sent() -> None:
    letters = Letters()
    async with centre().running() as sms, bound(sms.port, letters=letters) as lane:
        sms.receipts = "held"
        await send(lane, texts("+31600000001"))
        await sms.text("31600000009", "Stormdesk", "Where is my bag?")
        await sms.release()
        text, receipt = await letters.arrived(2)
    assert (text.source, text.content, text.esm_class) == ("+31600000009", b"Where is my bag?", 0)
    assert receipt.content.startswith(b"id:1 sub:001 dlvrd:001")
    assert receipt.esm_class == 0x04


async def test_a_bind_that_went_dead_is_noticed_by_what_gets_no_answer() -> None:
    async with centre().running() as sms:
        wire = Wire(sms.port)
        async with wire.running() as port, bound(port) as lane:
            wire.deaf = True
            assert await send(lane, texts("+31600000001")) == [Unclear("no_answer_in_time")]
            wire.deaf = False
            async with asyncio.timeout(15):
                await lane.ready(asyncio.Event())
            assert isinstance((await send(lane, texts("+31600000002")))[0], Accepted)


async def test_a_nack_says_that_nothing_was_sent() -> None:
    """`generic_nack` in answer to a text: the centre did not take it, so it is no unknown."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.read(16):
            length, command, _, sequence = struct.unpack(">IIII", head)
            await reader.readexactly(length - 16)
            if command == 0x00000009:
                writer.write(struct.pack(">IIII", 19, 0x80000009, 0, sequence) + b"us\0")
            elif command == 0x00000004:
                writer.write(struct.pack(">IIII", 16, 0x80000000, THROTTLED, sequence))
            else:
                break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port: int = server.sockets[0].getsockname()[1]
        async with bound(port) as lane:
            assert await send(lane, texts("+31600000001")) == [Deferred("throttled", 0x58, "ESME_RTHROTTLED")]


async def test_binds_are_one_for_each_url_however_many_lanes_there_are() -> None:
    async with centre().running() as one, centre().running() as two:
        urls = [url(one.port, "?window=40"), url(two.port, "?window=20")]
        channel = SmsChannel(urls, PRICES, Letters(), timeouts=IMPATIENT)
        assert channel.lanes == 5
        lanes = [channel.lane() for _ in range(channel.lanes)]
        await asyncio.gather(*(lane.ready(asyncio.Event()) for lane in lanes))
        batches = [texts(*PHONES[at * 30 : at * 30 + 30]) for at in range(channel.lanes)]
        found = await asyncio.gather(*(send(lane, batch) for lane, batch in zip(lanes, batches, strict=True)))
        assert all(isinstance(result, Accepted) for results in found for result in results)
        assert [one.taken.total(), two.taken.total()] == [90, 60]
        assert [one.binds, two.binds] == [1, 1]
        await asyncio.gather(*(lane.close() for lane in lanes))
        # Everybody has left: the binds end.
        await one.bound(0)
        await two.bound(0)


async def test_lanes_share_a_window_and_a_lost_response_of_one_costs_the_others_nothing() -> None:
    async with centre().running() as sms:
        channel = SmsChannel([url(sms.port, "?window=10")], PRICES, Letters(), timeouts=IMPATIENT)
        lanes = [channel.lane() for _ in range(channel.lanes)]
        await asyncio.gather(*(lane.ready(asyncio.Event()) for lane in lanes))
        sms.answers_once[PHONES[0][1:], 1] = Silence()
        first, second = await asyncio.gather(send(lanes[0], texts(*PHONES[:20])), send(lanes[1], texts(*PHONES[20:90])))
        assert first[0] == Unclear("no_answer_in_time")
        assert all(isinstance(one, Accepted) for one in (*first[1:], *second))
        await asyncio.gather(*(lane.close() for lane in lanes))
    assert set(sms.taken.values()) == {1}


def test_a_validity_follows_the_message() -> None:
    channel = SmsChannel([url(1)], PRICES, Letters(), clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    limit = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=1)
    found = channel.segments(Outgoing(1, 1, Message(1, "t", "en", "", "x"), "+31600000001", {}, limit))
    assert isinstance(found, list)
    assert found[0].valid_until == "260101010000000+"


def test_what_a_text_costs_is_known_before_it_is_sent() -> None:
    channel = SmsChannel([url(1)], PRICES, Letters())
    dutch, american, finnish = texts("+31612345678", "+12025550177", "+358401234567", text=LONG)
    assert channel.cost(dutch) == Cost(2, 200_000, "EUR")
    assert channel.cost(american) == Cost(2, 25_000, "EUR")
    assert channel.cost(finnish) is None
