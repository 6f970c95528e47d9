"""Several relays over the wire: weights, limits, failover, brakes; and what is asked of a relay that offers DSN."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from prometheus_client import REGISTRY

from foundation.tokens import Tokens
from notify.channels import Accepted, Deferred, Outgoing, Unsent
from notify.channels.email import MailChannel
from notify.channels.relay_health import Patience
from notify.channels.relays import Relays
from notify.channels.replies import Timeouts
from notify.mail import MailFactory
from notify.messages import Message
from tests.support.relays import MoodyRelay, Temper

MESSAGE = Message(1, "incident:ab12", "en", "News", "Dear {name},\nthere is news.\n")
TAKEN = Accepted(250, "2.0.0 queued as 1A2B")


def _people(count: int) -> list[Outgoing]:
    not_after = datetime.now(UTC) + timedelta(hours=1)
    return [Outgoing(n, 1, MESSAGE, f"p{n}@example.org", {"name": "Zoë"}, not_after) for n in range(count)]


def _channel(*urls: str, patience: Patience | None = None) -> MailChannel:
    factory = MailFactory("updates@example.com", Tokens([b"a signing key that only tests use"]))
    timeouts = Timeouts(connect=5, command=5, data=5, block=5, final_dot=5)
    return MailChannel(Relays(urls, patience=patience), factory, timeouts=timeouts)


def _verbs(relay: MoodyRelay, verb: str) -> Sequence[str]:
    return [line for line in relay.lines if line.startswith(verb)]


async def test_mail_is_shared_by_weight() -> None:
    big, small = MoodyRelay(), MoodyRelay()
    async with big.running() as port, small.running() as other:
        lane = _channel(
            f"smtp://127.0.0.1:{port}?weight=3&per_connection=10", f"smtp://127.0.0.1:{other}?per_connection=10"
        ).lane()
        assert await lane.send(_people(400), asyncio.Event()) == [TAKEN] * 400
        await lane.close()
    assert (big.taken, small.taken) == (300, 100)


async def test_a_connection_carries_so_many_messages_and_then_takes_leave() -> None:
    for pipelining in (True, False):
        relay = MoodyRelay(pipelining=pipelining)
        async with relay.running() as port:
            lane = _channel(f"smtp://127.0.0.1:{port}?per_connection=10").lane()
            for start in range(0, 48, 6):  # batches do not end where connections do
                assert await lane.send(_people(48)[start : start + 6], asyncio.Event()) == [TAKEN] * 6
            await lane.close()
            while relay.open_now:  # noqa: ASYNC110 (the server runs in this loop)
                await asyncio.sleep(0.01)
        assert relay.connections == 5
        assert relay.commands.count("QUIT") == 5
        assert relay.taken == 48


async def test_no_more_connections_than_allowed_and_the_lanes_without_one_wait() -> None:
    relay = MoodyRelay()
    async with relay.running() as port:
        channel = _channel(f"smtp://127.0.0.1:{port}?connections=2")
        lanes = [channel.lane() for _ in range(5)]
        stop = asyncio.Event()
        ready = [asyncio.create_task(lane.ready(stop)) for lane in lanes]
        await asyncio.wait(ready, timeout=0.3)
        assert [one.done() for one in ready] == [True, True, False, False, False]
        for lane in lanes[:2]:
            assert await lane.send(_people(20), stop) == [TAKEN] * 20
        await lanes[0].close()
        _, waiting = await asyncio.wait(ready[2:], return_when=asyncio.FIRST_COMPLETED)
        assert len(waiting) == 2
        stop.set()
        await asyncio.gather(*ready)
        for lane in lanes:
            await lane.close()
    assert relay.most_open == 2


async def test_a_relay_that_refuses_us_is_braked_and_the_other_goes_on() -> None:
    sour = MoodyRelay(temper=Temper(answers={"MAIL": "550 5.7.1 no mail from you"}))
    sweet = MoodyRelay()
    async with sour.running() as port, sweet.running() as other:
        channel = _channel(f"smtp://127.0.0.1:{port}", f"smtp://127.0.0.1:{other}")
        lane = channel.lane()
        results = await lane.send(_people(200), asyncio.Event())
        health = channel.relays.health()
        await lane.close()
    assert [one.state for one in health] == ["braked", "well"]
    assert [one.sent for one in health] == [0, 190]
    assert health[0].trouble == "550 5.7.1 no mail from you"
    # Ten were enough to see it, though the batch was longer.
    assert results[:10] == [Deferred("sender_refused", 550, "5.7.1 no mail from you")] * 10
    assert results[10:] == [TAKEN] * 190
    name = f"127.0.0.1:{port}"
    assert REGISTRY.get_sample_value("stormdesk_relay_state", {"relay": name, "state": "braked"}) == 1
    assert REGISTRY.get_sample_value("stormdesk_relay_mails_total", {"relay": name, "outcome": "refused"}) == 10


async def test_with_all_relays_braked_nothing_is_claimed_until_one_is_let_go() -> None:
    relay = MoodyRelay(temper=Temper(answers={"RCPT": "554 5.7.1 blocked using zen.spamhaus.org"}))
    async with relay.running() as port:
        channel = _channel(f"smtp://127.0.0.1:{port}", patience=Patience(first_brake=0.4))
        lane = channel.lane()
        results = await lane.send(_people(30), asyncio.Event())
        assert results[10:] == [Unsent()] * 20
        assert {type(one).__name__ for one in results[:10]} == {"Refused"}
        waiting = asyncio.create_task(lane.ready(asyncio.Event()))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        relay.temper = Temper()
        await waiting
        assert channel.relays.health()[0].state == "recovering"
        assert await lane.send(_people(30)[10:], asyncio.Event()) == [TAKEN] * 20
        await lane.close()


async def test_a_relay_that_comes_back_gets_mail_again() -> None:
    gone, steady, back = MoodyRelay(), MoodyRelay(), MoodyRelay()
    async with gone.running() as port:
        pass
    async with steady.running() as other:
        urls = [f"smtp://127.0.0.1:{one}?per_connection=1" for one in (port, other)]
        channel = _channel(*urls, patience=Patience(first_pause=0.05, recovery=0.2))
        lane = channel.lane()
        assert await lane.send(_people(20), asyncio.Event()) == [TAKEN] * 20
        assert channel.relays.health()[0].failures == 1
        async with back.running(port):
            while back.taken < 20:
                await lane.ready(asyncio.Event())
                assert await lane.send(_people(5), asyncio.Event()) == [TAKEN] * 5
            assert channel.relays.health()[0].failures == 0
            await lane.close()


async def test_reports_are_asked_for_where_dsn_is_offered() -> None:
    for pipelining in (True, False):
        relay = MoodyRelay(pipelining=pipelining, temper=Temper(offers=("DSN",)))
        async with relay.running() as port:
            channel = _channel(f"smtp://127.0.0.1:{port}")
            lane = channel.lane()
            assert await lane.send(_people(2), asyncio.Event()) == [TAKEN] * 2
            await lane.close()
        envid = channel.factory.reference(1)
        (mail,) = relay.mails["p1@example.org"]
        assert _verbs(relay, "MAIL")[1] == (
            f"MAIL FROM:<updates+bounce-{envid}@example.com> SIZE={len(mail)} RET=HDRS ENVID={envid}"
        )
        assert _verbs(relay, "RCPT")[1] == ("RCPT TO:<p1@example.org> NOTIFY=FAILURE,DELAY ORCPT=rfc822;p1@example.org")
