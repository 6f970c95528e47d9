"""What goes wrong on the way to a relay, one story each: nobody is lost, and nobody is told twice."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest

from foundation.tokens import Tokens
from notify.channels import Accepted, Deferred, Lane, Outgoing, Refused, Result, Unclear, Unsent
from notify.channels.email import MailChannel
from notify.channels.relay_health import Patience
from notify.channels.relays import Relays
from notify.channels.replies import Timeouts
from notify.mail import MailFactory
from notify.messages import Message
from tests.support.relays import MoodyRelay, Temper

MESSAGE = Message(1, "incident:ab12", "en", "News", "Dear {name},\nthere is news.\n")
IMPATIENT = Timeouts(connect=5, command=0.4, data=0.4, block=0.4, final_dot=0.4)
TAKEN = Accepted(250, "2.0.0 queued as 1A2B")
both_ways = pytest.mark.parametrize("pipelining", [True, False], ids=["pipelined", "in lockstep"])


def _batch(*locals_: str) -> list[Outgoing]:
    not_after = datetime.now(UTC) + timedelta(hours=1)
    return [
        Outgoing(number, 1, MESSAGE, f"{local}@example.org", {"name": "Zoë"}, not_after)
        for number, local in enumerate(locals_, 1)
    ]


def _people(count: int) -> list[Outgoing]:
    return _batch(*(f"p{number}" for number in range(count)))


def _channel(*ports: int, timeouts: Timeouts = IMPATIENT) -> MailChannel:
    factory = MailFactory("updates@example.com", Tokens([b"a signing key that only tests use"]))
    relays = Relays([f"smtp://127.0.0.1:{port}" for port in ports], patience=Patience(first_pause=0.02))
    return MailChannel(relays, factory, timeouts=timeouts)


async def _send(relay: MoodyRelay, batch: Sequence[Outgoing], timeouts: Timeouts = IMPATIENT) -> list[Result]:
    async with relay.running() as port:
        lane = _channel(port, timeouts=timeouts).lane()
        results = await lane.send(batch, asyncio.Event())
        await lane.close()
    return results


async def _until_done(lane: Lane, batch: Sequence[Outgoing]) -> dict[str, Result]:
    """Send as a sender does: what was not tried goes again at once, everything else is final."""
    results: dict[str, Result] = {}
    while batch:
        await lane.ready(asyncio.Event())
        found = await lane.send(batch, asyncio.Event())
        results |= {one.address: result for one, result in zip(batch, found, strict=True) if result != Unsent()}
        batch = [one for one, result in zip(batch, found, strict=True) if result == Unsent()]
    return results


async def test_a_relay_that_greets_with_421_is_waited_for_and_costs_nobody_a_try() -> None:
    busy, later = MoodyRelay(greeting="421 4.3.2 too busy"), MoodyRelay()
    async with busy.running() as port:
        channel = _channel(port)
        lane = channel.lane()
        assert await lane.send(_people(2), asyncio.Event()) == [Unsent()] * 2
        (health,) = channel.relays.health()
        assert (health.failures, health.trouble) == (1, "421 4.3.2 too busy")
    async with later.running(port):
        assert await _until_done(lane, _people(2)) == {"p0@example.org": TAKEN, "p1@example.org": TAKEN}
        await lane.close()


async def test_a_relay_that_greets_with_554_three_times_is_braked() -> None:
    relay = MoodyRelay(greeting="554 5.7.1 no mail from you")
    async with relay.running() as port:
        channel = _channel(port)
        lane = channel.lane()
        assert await lane.send(_people(2), asyncio.Event()) == [Unsent()] * 2
        waiting = asyncio.create_task(lane.ready(stop := asyncio.Event()))
        while channel.relays.health()[0].state != "braked":  # noqa: ASYNC110 (nothing to wait on)
            await asyncio.sleep(0.01)
        assert relay.connections == 3
        assert not waiting.done()
        stop.set()
        await waiting
        await lane.close()


@both_ways
async def test_421_instead_of_taking_the_sender_says_nothing_about_the_message(pipelining: bool) -> None:
    # As servers do that allow so many messages on a connection; here five.
    relay = MoodyRelay(pipelining=pipelining, temper=Temper(closes_after=5))
    async with relay.running() as port:
        lane = _channel(port).lane()
        assert set((await _until_done(lane, _people(20))).values()) == {TAKEN}
        await lane.close()
    assert relay.connections == 4
    assert {len(copies) for copies in relay.mails.values()} == {1}
    assert len(relay.mails) == 20


@both_ways
async def test_421_between_two_mails_costs_neither(pipelining: bool) -> None:
    relay = MoodyRelay(pipelining=pipelining)
    async with relay.running() as port:
        lane = _channel(port).lane()
        results = await _until_done(lane, _batch("zoe", "thenclosing", "max"))
        await lane.close()
    assert set(results.values()) == {TAKEN}
    assert {one: len(copies) for one, copies in relay.mails.items()} == {
        "zoe@example.org": 1,
        "thenclosing@example.org": 1,
        "max@example.org": 1,
    }
    assert relay.connections == 2


@both_ways
async def test_421_after_the_dot_is_a_refusal_and_the_pause_it_asks_for_is_kept(pipelining: bool) -> None:
    relay = MoodyRelay(pipelining=pipelining)
    results = await _send(relay, _batch("dot421slow"))
    words = "4.7.28 unusual rate of mail, try again in 10 minutes"
    assert results == [Deferred("throttled", 421, words, timedelta(minutes=10))]


@both_ways
@pytest.mark.parametrize(
    ("verb", "reply", "expected"),
    [
        ("MAIL", "451 4.3.0 not now", Deferred("refused_for_now", 451, "4.3.0 not now")),
        ("MAIL", "452 4.3.1 no room", Deferred("refused_for_now", 452, "4.3.1 no room")),
        ("MAIL", "550 5.7.1 go away", Deferred("sender_refused", 550, "5.7.1 go away")),
        ("RCPT", "451 4.3.0 not now", Deferred("refused_for_now", 451, "4.3.0 not now")),
        ("RCPT", "550 5.1.1 unknown", Refused("no_such_address", 550, "5.1.1 unknown")),
        ("RCPT", "554 5.7.1 Relay access denied", Deferred("sender_refused", 554, "5.7.1 Relay access denied")),
        ("DATA", "451 4.3.0 not now", Deferred("refused_for_now", 451, "4.3.0 not now")),
        ("DATA", "550 5.3.0 no", Refused("refused", 550, "5.3.0 no")),
    ],
)
async def test_a_relay_that_says_no_to_everybody_is_asked_for_each(
    verb: str, reply: str, expected: Result, pipelining: bool
) -> None:
    relay = MoodyRelay(pipelining=pipelining, temper=Temper(answers={verb: reply}))
    assert await _send(relay, _people(3)) == [expected] * 3
    assert relay.connections == 1
    assert not relay.mails


@both_ways
@pytest.mark.parametrize(
    ("mood", "expected"),
    [
        ("rcpt451", Deferred("refused_for_now", 451, "4.3.0 not now")),
        ("data550", Refused("refused", 550, "5.3.0 no")),
        ("dot451", Deferred("refused_for_now", 451, "4.3.0 not now")),
        ("dot452", Deferred("refused_for_now", 452, "4.3.1 no room on the disk")),
        ("dot550", Refused("blocked", 550, "5.7.1 this looks like spam")),
    ],
)
async def test_a_no_to_one_leaves_its_neighbours_alone(mood: str, expected: Result, pipelining: bool) -> None:
    relay = MoodyRelay(pipelining=pipelining)
    assert await _send(relay, _batch("zoe", mood, "max")) == [TAKEN, expected, TAKEN]
    assert relay.connections == 1


@both_ways
@pytest.mark.parametrize(
    ("mood", "expected"),
    [
        ("hangrcpt", Deferred("no_answer_in_time")),
        ("hangdata", Deferred("no_answer_in_time")),
        ("hang", Unclear("no_answer_in_time")),
        ("drop", Unclear("connection_lost")),
        ("dropdot", Unclear("connection_lost")),
        ("garbage", Unclear("unreadable_reply", None, ", thanks")),
    ],
)
async def test_only_what_broke_after_the_first_byte_of_the_body_is_unclear(
    mood: str, expected: Result, pipelining: bool
) -> None:
    relay = MoodyRelay(pipelining=pipelining)
    assert await _send(relay, _batch("zoe", mood, "max")) == [TAKEN, expected, TAKEN]
    assert [len(relay.mails[f"{one}@example.org"]) for one in ("zoe", "max")] == [1, 1]


@both_ways
async def test_a_greylisted_message_is_taken_when_it_comes_back(pipelining: bool) -> None:
    relay = MoodyRelay(pipelining=pipelining, temper=Temper(greylists=True))
    async with relay.running() as port:
        lane = _channel(port).lane()
        first = await lane.send(_people(3), asyncio.Event())
        words = "4.7.1 Greylisted, try again in 300 seconds"
        assert first == [Deferred("greylisted", 451, words, timedelta(minutes=5))] * 3
        assert await lane.send(_people(3), asyncio.Event()) == [TAKEN] * 3
        await lane.close()
    assert {len(copies) for copies in relay.mails.values()} == {1}


@both_ways
@pytest.mark.parametrize("speech", ["trickle", "fragments", "lump", "lf"])
async def test_replies_are_read_however_they_arrive(
    speech: Literal["trickle", "fragments", "lump", "lf"], pipelining: bool
) -> None:
    relay = MoodyRelay(pipelining=pipelining, temper=Temper(speech=speech))
    people = ("zoe", "nobody", "max", "multiline", "dot451", "busy", "ann", "nodata", "bob")
    results = await _send(relay, _batch(*people), timeouts=Timeouts(command=30, data=30, block=30, final_dot=30))
    kinds = [type(one).__name__ for one in results]
    no, later, yes = "Refused", "Deferred", "Accepted"
    assert kinds == [yes, no, yes, yes, later, later, yes, later, yes]
    assert relay.connections == 1
    assert set(relay.mails) >= {f"{one}@example.org" for one in ("zoe", "max", "multiline", "ann", "bob")}


async def test_a_relay_slower_than_our_patience_is_left_before_the_body() -> None:
    relay = MoodyRelay(temper=Temper(speech="trickle", pause=0.05))
    patient = Timeouts(connect=30, command=0.4, data=0.4, block=0.4, final_dot=0.4)
    (result,) = await _send(relay, _batch("zoe"), timeouts=patient)
    assert result == Deferred("no_answer_in_time")
    assert not relay.mails


@both_ways
async def test_more_replies_than_commands_are_never_paired_with_the_next_mail(pipelining: bool) -> None:
    relay = MoodyRelay(pipelining=pipelining)
    async with relay.running() as port:
        lane = _channel(port).lane()
        results = await _until_done(lane, _batch("zoe", "twice", "max", "ann"))
        await lane.close()
    # The one behind may count as tried; it was surely not sent, and nobody else is touched.
    assert results["zoe@example.org"] == results["twice@example.org"] == results["ann@example.org"] == TAKEN
    assert results["max@example.org"] in (TAKEN, Deferred("unreadable_reply", 250, "2.1.5 ok"))
    assert {len(copies) for copies in relay.mails.values()} == {1}
    assert ("max@example.org" in relay.mails) is (results["max@example.org"] == TAKEN)


@both_ways
async def test_a_relay_that_talks_nonsense_gets_no_mail(pipelining: bool) -> None:
    for reply in ("well, thanks", "999 what", "2xx fine", "354 go on", "100 wait"):
        relay = MoodyRelay(pipelining=pipelining, temper=Temper(answers={"MAIL": reply}))
        (result,) = await _send(relay, _batch("zoe"))
        assert isinstance(result, Deferred)
        assert result.reason == "unreadable_reply"
        assert not relay.mails


@both_ways
@pytest.mark.parametrize("dies_after", [1, 7, 40])
async def test_one_relay_of_two_dies_and_the_other_takes_over(dies_after: int, pipelining: bool) -> None:
    doomed = MoodyRelay(pipelining=pipelining, temper=Temper(dies_after=dies_after))
    steady = MoodyRelay(pipelining=pipelining)
    everybody = _people(400)
    async with doomed.running() as port, steady.running() as other:
        channel = _channel(port, other)
        lanes = [channel.lane() for _ in range(4)]
        parts = await asyncio.gather(*(_until_done(lane, everybody[start::4]) for start, lane in enumerate(lanes)))
        for lane in lanes:
            await lane.close()
        health = channel.relays.health()[0]
    results = {address: result for part in parts for address, result in part.items()}
    assert len(results) == 400
    copies = {
        one.address: len(doomed.mails.get(one.address, ())) + len(steady.mails.get(one.address, ()))
        for one in everybody
    }
    told = {address for address, result in results.items() if result == TAKEN}
    unclear = {address for address, result in results.items() if isinstance(result, Unclear)}
    tried = {address for address, result in results.items() if isinstance(result, Deferred)}
    assert told | unclear | tried == set(results)
    assert max(copies.values()) == 1
    assert all(copies[address] == 1 for address in told)
    assert all(copies[address] == 0 for address in tried)
    # One message for each connection that was open: whose dot got no answer, or who broke a fresh connection.
    assert len(unclear) <= 2
    assert len(unclear) + len(tried) <= 4
    assert health.trouble
    assert doomed.taken == dies_after
