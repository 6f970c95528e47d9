"""The sender from outbox to wire and back, with a real server at each end."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from foundation.database import Database
from foundation.tokens import Tokens
from notify import customer_history, delivery_summary
from notify.channels.email import MailChannel
from notify.channels.replies import Timeouts
from notify.mail import MailFactory
from notify.sender import Sender
from notify.upkeep import upkeep_step
from tests.support.people import people, publish
from tests.support.relays import MoodyRelay, Temper

LEASE = timedelta(seconds=60)


def _sender(
    database: Database, port: int, *, depth: int = 7, lease: timedelta = LEASE, idle_seconds: float = 0.02
) -> Sender:
    factory = MailFactory("updates@example.com", Tokens([b"a signing key that only tests use"]))
    channel = MailChannel([f"smtp://127.0.0.1:{port}"], factory, timeouts=Timeouts(final_dot=2, command=2))
    return Sender(database, channel, connections=3, depth=depth, lease=lease, idle_seconds=idle_seconds)


async def _until(database: Database, key: str, *live: str) -> dict[str, int]:
    """The counts once no delivery is in a state of `live`."""
    async with asyncio.timeout(30):
        while True:
            async with database.transaction() as tx:
                counts = await delivery_summary(tx, key)
            if not any(counts[state] for state in live):
                return {state: count for state, count in counts.items() if count}
            await asyncio.sleep(0.02)


async def test_everybody_is_told_once_by_two_senders_and_the_proof_has_the_servers_words(database: Database) -> None:
    await people(database, 100)
    relay = MoodyRelay()
    stop = asyncio.Event()
    async with relay.running() as port:
        senders = [asyncio.create_task(_sender(database, port).run(stop)) for _ in range(2)]
        key = await publish(database)
        counts = await _until(database, key, "planned", "sending")
        stop.set()
        await asyncio.gather(*senders)
    assert counts == {"accepted": 100}
    assert sorted(relay.mails) == sorted(f"p{number}@example.org" for number in range(1, 101))
    assert all(len(contents) == 1 for contents in relay.mails.values())
    async with database.transaction() as tx:
        (told,) = await customer_history(tx, "C1")
    assert (told["state"], told["reply_code"], told["reply"]) == ("accepted", 250, "2.0.0 queued as 1A2B")


async def test_each_recipients_fate_is_recorded_as_it_was(database: Database) -> None:
    await people(database, 6)
    moods = ("busy", "nobody", "dot451", "dropdot", "hang")
    for number, mood in enumerate(moods, 1):
        await _execute(database, f"UPDATE addresses SET value = '{mood}@example.org' WHERE value LIKE 'p{number}@%'")
    relay = MoodyRelay()
    stop = asyncio.Event()
    async with relay.running() as port:
        sending = asyncio.create_task(_sender(database, port).run(stop))
        key = await publish(database)
        counts = await _until(database, key, "planned", "sending")
        stop.set()
        await sending
    assert counts == {"deferred": 2, "rejected": 1, "unknown": 2, "accepted": 1}


async def test_what_was_deferred_is_sent_when_upkeep_says_so(database: Database) -> None:
    await people(database, 1)
    await _execute(database, "UPDATE addresses SET value = 'busy@example.org'")
    relay = MoodyRelay()
    stop = asyncio.Event()
    async with relay.running() as port:
        sending = asyncio.create_task(_sender(database, port).run(stop))
        key = await publish(database)
        assert await _until(database, key, "planned", "sending") == {"deferred": 1}
        await _execute(database, "UPDATE addresses SET value = 'zoe@example.org'")
        await _execute(database, "UPDATE batches SET due_at = now()")
        await upkeep_step(database, lease=LEASE)
        assert await _until(database, key, "deferred", "planned", "sending") == {"accepted": 1}
        stop.set()
        await sending


async def test_many_who_withdrew_hold_up_nobody_behind_them(database: Database) -> None:
    await people(database, 100)
    key = await publish(database)
    await _execute(database, "UPDATE addresses SET consent = false WHERE value <> 'p100@example.org'")
    relay = MoodyRelay()
    stop = asyncio.Event()
    async with relay.running() as port:
        # A pause between two batches would outlast the test.
        sending = asyncio.create_task(_sender(database, port, idle_seconds=3600).run(stop))
        counts = await _until(database, key, "planned", "sending")
        stop.set()
        await sending
    assert counts == {"accepted": 1, "suppressed": 99}
    assert list(relay.mails) == ["p100@example.org"]


async def test_who_opts_out_while_a_worker_holds_their_message_is_not_sent_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three batches are on their way, three wait in memory: of those, two persons' are called back."""
    monkeypatch.setattr("notify.sender._RECALL_SECONDS", 0.05)
    await people(database, 150)
    relay = MoodyRelay(temper=Temper(thinks=0.02))
    stop = asyncio.Event()
    async with relay.running() as port:
        key = await publish(database)
        sending = asyncio.create_task(_sender(database, port, depth=50).run(stop))
        while not relay.mails:  # noqa: ASYNC110 (the server runs in this loop)
            await asyncio.sleep(0)
        await _execute(
            database,
            "INSERT INTO opt_outs (customer_id, topic, how)"
            " SELECT id, 'incident:test', 'one_click' FROM customers WHERE number = 'C100'",
        )
        await _execute(database, "UPDATE addresses SET consent = false WHERE value = 'p140@example.org'")
        counts = await _until(database, key, "planned", "sending")
        stop.set()
        await sending
    assert counts == {"accepted": 148, "suppressed": 2}
    everybody = {f"p{number}@example.org" for number in range(1, 151)}
    assert relay.mails.keys() == everybody - {"p100@example.org", "p140@example.org"}
    assert all(len(contents) == 1 for contents in relay.mails.values())


async def test_a_sender_told_to_stop_ends_what_is_open_and_gives_the_rest_back(database: Database) -> None:
    await people(database, 3000)
    relay = MoodyRelay()
    stop = asyncio.Event()
    async with relay.running() as port:
        key = await publish(database)
        sending = asyncio.create_task(_sender(database, port, depth=500).run(stop))
        while len(relay.mails) < 20:  # noqa: ASYNC110 (the server runs in this loop)
            await asyncio.sleep(0)
        stop.set()
        await sending
        counts = await _until(database, key, "sending")
    assert counts["accepted"] == len(relay.mails) < 3000
    assert counts == {"accepted": counts["accepted"], "planned": 3000 - counts["accepted"]}


async def test_a_slow_server_keeps_its_messages_because_the_lease_is_renewed(database: Database) -> None:
    await people(database, 1)
    await _execute(database, "UPDATE addresses SET value = 'hang@example.org'")
    relay = MoodyRelay()
    stop = asyncio.Event()
    lease = timedelta(seconds=0.6)
    async with relay.running() as port:
        key = await publish(database)
        sending = asyncio.create_task(_sender(database, port, lease=lease).run(stop))
        counts: dict[str, int] = {}
        while not counts.get("unknown"):
            await upkeep_step(database, lease=timedelta(0))
            counts = await _until(database, key, "planned")
            await asyncio.sleep(0.05)
        stop.set()
        await sending
    assert counts == {"unknown": 1}
    async with database.transaction() as tx:
        (told,) = await customer_history(tx, "C1")
    # The server fell silent for three leases; nobody took the message for a dead worker's.
    assert (told["reason"], told["attempts"], told["doubtful_attempts"]) == ("no_answer_in_time", 1, 0)


async def test_while_no_relay_answers_nothing_is_claimed(database: Database) -> None:
    await people(database, 50)
    relay = MoodyRelay()
    async with relay.running() as port:
        pass
    stop = asyncio.Event()
    key = await publish(database)
    with capture_logs() as said:
        sending = asyncio.create_task(_sender(database, port).run(stop))
        async with asyncio.timeout(30):
            # More often than there are lanes: some have found the relay away, and asked again.
            while sum(one["event"] == "relay is away" for one in said) < 8:  # noqa: ASYNC110 (what is said is a list)
                await asyncio.sleep(0.01)
    async with database.transaction() as tx:
        most = await tx.scalar(text("SELECT max(attempt) FROM deliveries"))
    assert most is not None
    assert most <= 1  # one batch a lane found out; the rest was left alone
    async with relay.running(port):
        assert await _until(database, key, "planned", "sending") == {"accepted": 50}
        stop.set()
        await sending


async def test_a_domain_that_refuses_in_a_spike_is_stopped_and_the_rest_goes_on(database: Database) -> None:
    await people(database, 120)
    await _execute(database, "UPDATE addresses SET value = 'dot552@bad.example' WHERE id % 3 <> 0")
    relay = MoodyRelay()
    stop = asyncio.Event()
    async with relay.running() as port:
        sending = asyncio.create_task(_sender(database, port).run(stop))
        key = await publish(database)
        async with asyncio.timeout(30):
            while len(relay.mails) < 40:  # noqa: ASYNC110 (the relay is told by others)
                await asyncio.sleep(0.02)
        counts = await _until(database, key, "sending")
        stop.set()
        await sending
    assert counts["accepted"] == 40
    # What was in hand when the brake was pulled is refused too; the rest waits for better times.
    assert 20 <= counts["rejected"] < 80
    assert counts["planned"] == 80 - counts["rejected"]
    async with database.transaction() as tx:
        found = (await tx.execute(text("SELECT domain, reason, stopped_until > now() FROM paces"))).all()
    assert [tuple(one) for one in found] == [("bad.example", "refusals", True)]


async def test_a_domain_that_asks_us_to_slow_down_gets_a_pace_that_all_workers_share(database: Database) -> None:
    await people(database, 30)
    await _execute(database, "UPDATE addresses SET value = 'dot421slow@slow.example' WHERE id % 3 = 0")
    relay = MoodyRelay()
    stop = asyncio.Event()
    async with relay.running() as port:
        sending = asyncio.create_task(_sender(database, port).run(stop))
        key = await publish(database)
        counts = await _until(database, key, "planned", "sending")
        stop.set()
        await sending
    assert counts == {"accepted": 20, "deferred": 10}
    async with database.transaction() as tx:
        found = (await tx.execute(text("SELECT domain, rate, concurrency, reason FROM paces"))).all()
    assert [tuple(one) for one in found] == [("slow.example", 10.0, 10, "throttled")]


async def _execute(database: Database, statement: str) -> None:
    async with database.transaction() as tx:
        await tx.execute(text(statement))
