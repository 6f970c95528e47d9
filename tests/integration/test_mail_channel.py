"""A lane of the mail channel against servers that behave in every way the RFCs allow, and some they do not."""

import asyncio
import email
import email.policy
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from foundation.tokens import Tokens
from notify.channels import Accepted, Deferred, Outgoing, Refused, Result, Unclear, Unsent
from notify.channels.email import Limits, MailChannel
from notify.channels.replies import Timeouts
from notify.mail import MailFactory
from notify.messages import Message
from tests.support.relays import MoodyRelay, needs_smtp_sink, smtp_sink

MESSAGE = Message(1, "incident:ab12", "en", "News", "Dear {name},\n.\n..\nthere is news.\n")
# Ten minutes in life, so that a slow server is not sent a second copy; here we wait for a server that stays silent.
IMPATIENT = Timeouts(connect=5, command=0.4, data=0.4, block=0.4, final_dot=0.4)
both_ways = pytest.mark.parametrize("pipelining", [True, False], ids=["pipelined", "in lockstep"])


def _batch(*locals_: str) -> list[Outgoing]:
    not_after = datetime.now(UTC) + timedelta(hours=1)
    return [
        Outgoing(number, 1, MESSAGE, local if "@" in local else f"{local}@example.org", {"name": "Zoë"}, not_after)
        for number, local in enumerate(locals_, 1)
    ]


def _channel(*ports: int, timeouts: Timeouts = IMPATIENT, limits: Limits | None = None) -> MailChannel:
    factory = MailFactory("updates@example.com", Tokens([b"a signing key that only tests use"]))
    return MailChannel([f"smtp://127.0.0.1:{port}" for port in ports], factory, timeouts=timeouts, limits=limits)


async def _send(relay: MoodyRelay, *locals_: str) -> list[Result]:
    async with relay.running() as port:
        lane = _channel(port).lane()
        results = await lane.send(_batch(*locals_), asyncio.Event())
        await lane.close()
    return results


def _kinds(results: Sequence[Result]) -> list[str]:
    return [type(one).__name__ for one in results]


@both_ways
async def test_a_batch_travels_over_one_connection_in_order(pipelining: bool) -> None:
    relay = MoodyRelay(pipelining=pipelining)
    people = [f"p{number}" for number in range(20)]
    results = await _send(relay, *people)
    assert results == [Accepted(250, "2.0.0 queued as 1A2B")] * 20
    assert relay.connections == 1
    assert list(relay.mails) == [f"{one}@example.org" for one in people]
    assert all(
        b"Dear=20=\r\nZo=C3=AB=\r\n,\r\n=2E\r\n=2E.\r\nthere is news.\r\n" in one[0] for one in relay.mails.values()
    )


@both_ways
@pytest.mark.parametrize(
    ("mood", "expected"),
    [
        ("busy", Deferred("refused_for_now", 450, "4.2.1 mailbox busy")),
        ("full", Deferred("mailbox_full", 452, "4.2.2 mailbox full")),
        ("nobody", Refused("no_such_address", 550, "5.1.1 no such user")),
        ("nodata", Deferred("refused_for_now", 451, "4.3.0 not now")),
        ("neverdata", Refused("refused", 554, "5.7.0 no")),
        ("dot451", Deferred("refused_for_now", 451, "4.3.0 not now")),
        ("dot552", Refused("refused", 552, "5.3.4 too much")),
        ("other2xx", Accepted(250, "2.0.0 queued as 1A2B")),
        ("dot251", Accepted(251, "2.0.0 taken all the same")),
    ],
)
async def test_a_refusal_is_one_recipients_own_and_the_next_is_sent(
    mood: str, expected: Result, pipelining: bool
) -> None:
    relay = MoodyRelay(pipelining=pipelining)
    results = await _send(relay, "zoe", mood, "max")
    assert results == [Accepted(250, "2.0.0 queued as 1A2B"), expected, Accepted(250, "2.0.0 queued as 1A2B")]
    assert relay.connections == 1
    assert {"zoe@example.org", "max@example.org"} <= relay.mails.keys()


@both_ways
@pytest.mark.parametrize(
    ("mood", "kind", "reason"),
    [
        ("hang", Unclear, "no_answer_in_time"),
        ("drop", Unclear, "connection_lost"),
        ("dropdot", Unclear, "connection_lost"),
        ("garbage", Unclear, "unreadable_reply"),
        ("dot354", Unclear, "unreadable_reply"),
        ("droprcpt", Deferred, "connection_lost"),
        ("garbagercpt", Deferred, "unreadable_reply"),
        ("closing", Deferred, "refused_for_now"),
        ("dot421", Deferred, "refused_for_now"),
    ],
)
async def test_a_conversation_that_breaks_costs_one_message_and_the_rest_goes_over_a_new_connection(
    mood: str, kind: type, reason: str, pipelining: bool
) -> None:
    relay = MoodyRelay(pipelining=pipelining)
    async with relay.running() as port:
        lane = _channel(port).lane()
        results = await lane.send(_batch("zoe", mood, "max"), asyncio.Event())
        if results[2] == Unsent():  # after 421 the relay is left alone for a moment
            await lane.ready(asyncio.Event())
            results[2:] = await lane.send(_batch("max"), asyncio.Event())
        await lane.close()
    assert _kinds(results) == ["Accepted", kind.__name__, "Accepted"]
    found = results[1]
    assert not isinstance(found, Accepted)
    assert found.reason == reason
    assert relay.connections == 2
    assert [len(relay.mails[f"{one}@example.org"]) for one in ("zoe", "max")] == [1, 1]


async def test_silence_before_the_body_means_surely_not_sent() -> None:
    assert _kinds(await _send(MoodyRelay(), "hangdata", "max")) == ["Deferred", "Accepted"]
    assert _kinds(await _send(MoodyRelay(pipelining=False), "hangdata", "max")) == ["Deferred", "Accepted"]


async def test_a_refused_sender_never_crosses_recipients_off() -> None:
    relay = MoodyRelay()
    async with relay.running() as port:
        factory = MailFactory("sender550@example.com", Tokens([b"a signing key that only tests use"]))
        lane = MailChannel([f"smtp://127.0.0.1:{port}"], factory, timeouts=IMPATIENT).lane()
        results = await lane.send(_batch("zoe", "max"), asyncio.Event())
        await lane.close()
    assert results == [Deferred("sender_refused", 550, "5.7.1 sender refused")] * 2


async def test_an_empty_body_is_sent_when_data_is_allowed_without_a_recipient() -> None:
    relay = MoodyRelay()
    assert _kinds(await _send(relay, "busy", "max")) == ["Deferred", "Accepted"]
    assert "busy@example.org" not in relay.mails
    assert "RSET" not in relay.commands


async def test_a_mail_that_cannot_be_made_costs_the_ones_before_it_nothing() -> None:
    class Poisoned(dict[str, str]):
        def get(self, *_: object) -> str:
            raise RuntimeError("no such slot")

    relay = MoodyRelay()
    batch = _batch("zoe", "max", "ann", "bob")
    batch[2] = replace(batch[2], slots=Poisoned())
    async with relay.running() as port:
        lane = _channel(port).lane()
        results = await lane.send(batch, asyncio.Event())
        assert _kinds(results) == ["Accepted", "Accepted", "Unsent", "Unsent"]
        with pytest.raises(RuntimeError, match="no such slot"):
            await lane.send(batch[2:], asyncio.Event())
        assert _kinds(await lane.send(batch[3:], asyncio.Event())) == ["Accepted"]
        await lane.close()
    assert list(relay.mails) == ["zoe@example.org", "max@example.org", "bob@example.org"]


async def test_an_address_that_cannot_stand_in_a_command_is_refused_by_us() -> None:
    relay = MoodyRelay()
    results = await _send(relay, "zoe", "a@b>\r\nRCPT TO:<c@d", "max")
    assert results[1] == Refused("unusable_address")
    assert _kinds(results) == ["Accepted", "Refused", "Accepted"]
    assert list(relay.mails) == ["zoe@example.org", "max@example.org"]


@both_ways
async def test_after_stop_open_messages_end_and_the_rest_is_given_back(pipelining: bool) -> None:
    relay = MoodyRelay(pipelining=pipelining)
    stop = asyncio.Event()
    async with relay.running() as port:
        lane = _channel(port).lane()
        sending = asyncio.create_task(lane.send(_batch(*(f"p{number}" for number in range(2000))), stop))
        while not relay.mails:  # noqa: ASYNC110 (the server runs in this loop)
            await asyncio.sleep(0)
        stop.set()
        results = await sending
        await lane.close()
    taken = results.count(Accepted(250, "2.0.0 queued as 1A2B"))
    assert 0 < taken < 2000
    assert results[taken:] == [Unsent()] * (2000 - taken)
    assert len(relay.mails) == taken


async def test_a_connection_is_kept_between_batches_and_closed_when_idle() -> None:
    relay = MoodyRelay()
    async with relay.running() as port:
        lane = _channel(port, limits=Limits(idle_seconds=0.05)).lane()
        for _ in range(3):
            assert _kinds(await lane.send(_batch("zoe"), asyncio.Event())) == ["Accepted"]
        assert relay.connections == 1
        while "QUIT" not in relay.commands:  # noqa: ASYNC110 (the server runs in this loop)
            await asyncio.sleep(0.01)
        assert _kinds(await lane.send(_batch("zoe"), asyncio.Event())) == ["Accepted"]
        assert relay.connections == 2
        await lane.close()


async def test_a_server_that_closed_a_kept_connection_costs_nobody_a_try() -> None:
    relay = MoodyRelay()
    async with relay.running() as port:
        lane = _channel(port).lane()
        await lane.send(_batch("zoe"), asyncio.Event())
    again = MoodyRelay()
    async with again.running(port):
        assert _kinds(await lane.send(_batch("max"), asyncio.Event())) == ["Accepted"]
        await lane.close()


async def test_a_relay_that_is_away_is_waited_for_and_nothing_is_tried_meanwhile() -> None:
    relay = MoodyRelay()
    async with relay.running() as port:
        pass
    lane = _channel(port).lane()
    assert await lane.send(_batch("zoe"), asyncio.Event()) == [Unsent()]
    waiting = asyncio.create_task(lane.ready(asyncio.Event()))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    async with relay.running(port):
        await waiting
        assert _kinds(await lane.send(_batch("zoe"), asyncio.Event())) == ["Accepted"]
        await lane.close()


async def test_with_one_of_two_relays_away_the_other_takes_the_mail() -> None:
    gone, there = MoodyRelay(), MoodyRelay()
    async with gone.running() as port:
        pass
    async with there.running() as other:
        lane = _channel(port, other).lane()
        assert _kinds(await lane.send(_batch("zoe"), asyncio.Event())) == ["Accepted"]
        await lane.close()


@needs_smtp_sink
@pytest.mark.parametrize("options", [(), ("-p",)], ids=["pipelined", "in lockstep"])
async def test_postfix_takes_what_we_send(options: Sequence[str]) -> None:
    with smtp_sink(*options) as sink:
        lane = _channel(sink.port).lane()
        results = await lane.send(_batch(*(f"p{number}" for number in range(50))), asyncio.Event())
        await lane.close()
        assert _kinds(results) == ["Accepted"] * 50
        assert set(sink.copies().values()) == {1}
        assert len(sink.copies()) == 50


@needs_smtp_sink
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("-r", "RCPT"), "Deferred"),
        (("-f", "RCPT"), "Refused"),
        (("-r", "DATA"), "Deferred"),
        (("-r", "."), "Deferred"),
        (("-f", "."), "Refused"),
        (("-f", "MAIL"), "Deferred"),
        (("-q", "DATA"), "Deferred"),
        (("-q", "DATA", "-p"), "Deferred"),
        (("-q", "."), "Unclear"),
        (("-q", "RCPT"), "Deferred"),
    ],
)
async def test_postfix_failures_are_told_apart(options: Sequence[str], expected: str) -> None:
    with smtp_sink(*options) as sink:
        lane = _channel(sink.port).lane()
        assert _kinds(await lane.send(_batch("zoe"), asyncio.Event())) == [expected]
        await lane.close()


class _Kept:
    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        self.envelopes.append(envelope)
        return "250 kept"


@contextmanager
def _aiosmtpd(handler: _Kept, **options: Any) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    controller = Controller(handler, hostname="127.0.0.1", port=port, **options)
    controller.start()
    try:
        yield port
    finally:
        controller.stop()


async def test_a_server_by_other_people_reads_what_we_meant() -> None:
    kept = _Kept()
    with _aiosmtpd(kept) as port:
        lane = _channel(port).lane()
        assert await lane.send(_batch("zoe"), asyncio.Event()) == [Accepted(250, "kept")]
        await lane.close()
    (envelope,) = kept.envelopes
    assert envelope.rcpt_tos == ["zoe@example.org"]
    assert (envelope.mail_from or "").startswith("updates+bounce-1-")
    assert isinstance(envelope.content, bytes)
    assert email.message_from_bytes(envelope.content, policy=email.policy.default)["To"] == "zoe@example.org"
