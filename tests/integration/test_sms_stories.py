"""Texts from outbox to phone and back, over the wire, each a story that has gone wrong somewhere."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from app.demo.sms_centre import Reject, Silence, SmsCentre
from foundation.database import Database
from notify import MessageText, delivery_summary, enqueue
from notify.channels.smpp_bind import SmsTimeouts
from notify.channels.smpp_status import INVALID_DESTINATION, THROTTLED
from notify.channels.sms import SmsChannel
from notify.reports import waiting_step
from notify.sender import Sender
from notify.sms_inbox import SmsInbox
from notify.sms_prices import MICRO, Micro
from notify.sms_proof import receipts_step
from notify.sms_purse import SmsPurse
from notify.upkeep import upkeep_step
from tests.support.people import everyone as audience
from tests.support.people import people
from tests.support.smpp import PRICES, Wire, centre, url

LONG = "Your flight was cancelled. " * 8  # two segments
SECONDS = 20


async def phones(database: Database, count: int) -> None:
    """`count` customers with a phone each: +31612300001 and on."""
    await people(database, count)
    async with database.transaction() as tx:
        await tx.execute(
            text(
                "INSERT INTO addresses (customer_id, channel, value)"
                " SELECT id, 'sms', '+316123' || lpad(substr(number, 2), 5, '0') FROM customers"
            )
        )


async def publish(database: Database, number: int = 1, body: str = "Your flight was cancelled.") -> str:
    key = f"update:{number}"
    async with database.transaction() as tx:
        messages = [MessageText("sms", language, "", body) for language in ("en", "nl")]
        await enqueue(tx, key=key, topic="incident:ab12", number=number, messages=messages, audience=audience())
    return key


@asynccontextmanager
async def sending(database: Database, port: int, options: str = "", *, cap: Micro = 10**9) -> AsyncIterator[None]:
    """A worker's part in texts: one bind, its inbox, receipts settled, and `cap` to spend on each incident."""
    stop, ended = asyncio.Event(), asyncio.Event()
    inbox = SmsInbox(database)
    channel = SmsChannel([url(port, options)], PRICES, inbox, timeouts=SmsTimeouts(connect=2, response=1))
    purse = SmsPurse(channel, {"EUR": cap})
    sender = Sender(database, channel, connections=channel.lanes, depth=25, idle_seconds=0.02, purse=purse)
    storing = asyncio.create_task(inbox.run(ended))
    task = asyncio.create_task(sender.run(stop))
    try:
        yield
    finally:
        stop.set()
        await task
        ended.set()
        await storing


async def until(database: Database, key: str, fits: Callable[[dict[str, int]], bool]) -> dict[str, int]:
    """The counts of a dispatch, without zeros, once they fit; receipts are settled on the way."""
    counts: dict[str, int] = {}
    deadline = asyncio.get_running_loop().time() + SECONDS
    while asyncio.get_running_loop().time() < deadline:
        await receipts_step(database)
        await waiting_step(database)
        async with database.transaction() as tx:
            counts = {state: count for state, count in (await delivery_summary(tx, key)).items() if count}
        if fits(counts):
            return counts
        await asyncio.sleep(0.02)
    pytest.fail(f"the counts stay at {counts}")


def ended(counts: dict[str, int]) -> bool:
    return not counts.keys() & {"planned", "sending", "deferred"}


async def rows(database: Database, statement: str) -> list[Any]:
    async with database.transaction() as tx:
        return [tuple(row) for row in await tx.execute(text(statement))]


async def until_there(database: Database, statement: str) -> None:
    """Wait until `statement` finds a row; settles nothing."""
    async with asyncio.timeout(SECONDS):
        while not await rows(database, statement):  # noqa: ASYNC110 (the database says it)
            await asyncio.sleep(0.02)


async def come_due(database: Database) -> None:
    """Let the pause of every deferred delivery be over."""
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE batches SET due_at = now() WHERE waits = 'time'"))
    await upkeep_step(database, lease=timedelta(seconds=60))


async def test_everybody_gets_one_text_and_the_receipts_say_so(database: Database) -> None:
    await phones(database, 60)
    async with centre().running() as sms, sending(database, sms.port):
        sms.receipts = "at once"
        counts = await until(database, await publish(database), lambda found: found == {"delivered": 60})
    assert counts == {"delivered": 60}
    assert set(sms.taken.values()) == {1}
    reports = await rows(database, "SELECT DISTINCT source, kind, outcome FROM reports")
    assert reports == [("sms", "delivered", "applied")]


async def test_a_centre_that_throttles_gets_everything_in_the_end_and_nothing_twice(database: Database) -> None:
    await phones(database, 60)
    async with centre().running() as sms, sending(database, sms.port):
        sms.answers.extend([Reject(THROTTLED)] * 8)
        key = await publish(database)
        counts = await until(database, key, lambda found: found.get("accepted", 0) + found.get("deferred", 0) == 60)
        assert counts["deferred"] == 8
        reasons = await rows(database, "SELECT DISTINCT reason FROM deliveries WHERE state = 'deferred'")
        assert reasons == [("throttled",)]
        await come_due(database)
        assert await until(database, key, ended) == {"accepted": 60}
    assert set(sms.taken.values()) == {1}
    assert len(sms.taken) == 60


async def test_a_lost_response_ends_as_unknown_and_is_never_sent_again(database: Database) -> None:
    await phones(database, 20)
    async with centre().running() as sms, sending(database, sms.port):
        sms.answers_once["31612300007", 1] = Silence()
        key = await publish(database)
        assert await until(database, key, ended) == {"accepted": 19, "unknown": 1}
        # The next update reaches that person too, over a fresh bind.
        second = await publish(database, 2)
        assert await until(database, second, ended) == {"accepted": 20}
    assert set(sms.taken.values()) == {2}


async def test_the_session_dies_in_mid_window(database: Database) -> None:
    """At most a window is in doubt, and it is not sent again; everybody else gets one text over the next bind."""
    await phones(database, 60)
    async with centre().running() as sms:
        wire = Wire(sms.port)
        async with wire.running() as port, sending(database, port, "?window=10"):
            sms.answers.extend([Silence()] * 10)
            key = await publish(database)
            await sms.took(10)
            wire.cut()
            counts = await until(database, key, ended)
    assert counts == {"accepted": 50, "unknown": 10}
    assert set(sms.taken.values()) == {1}
    assert len(sms.taken) == 60


async def test_receipts_that_come_late_and_after_a_restart_find_their_delivery(database: Database) -> None:
    await phones(database, 5)
    sms = centre()
    async with sms.running():
        sms.receipts = "held"
        async with sending(database, sms.port):
            key = await publish(database)
            assert await until(database, key, ended) == {"accepted": 5}
        async with sending(database, sms.port):
            await sms.bound()
            await sms.release()
            await until(database, key, lambda found: found == {"delivered": 5})


async def test_receipts_that_come_before_the_response_wait_for_it(database: Database) -> None:
    await phones(database, 5)
    async with centre().running() as sms, sending(database, sms.port):
        sms.receipts = "early"
        await until(database, await publish(database), lambda found: found == {"delivered": 5})
    assert await rows(database, "SELECT count(*) FROM sms_receipts") == [(0,)]


@pytest.mark.parametrize(("ids", "option"), [("hex-decimal", "?ids=hex-decimal"), ("padded", "")])
async def test_ids_that_are_written_differently_in_receipts(database: Database, ids: Any, option: str) -> None:
    await phones(database, 15)
    sms = SmsCentre(centre().port, ids=ids, receipts="at once")
    async with sms.running(), sending(database, sms.port, option):
        await until(database, await publish(database), lambda found: found == {"delivered": 15})


async def test_two_parts_are_delivered_when_both_are(database: Database) -> None:
    await phones(database, 3)
    async with centre().running() as sms, sending(database, sms.port):
        sms.receipts = "held"
        sms.states["31612300002", 2] = "EXPIRED"
        key = await publish(database, body=LONG)
        assert await until(database, key, ended) == {"accepted": 3}
        held, sms.held = sms.held, []
        for part in (1, 2):
            sms.held = [one for one in held if one.part[2] == part]
            await sms.release()
            if part == 1:
                statement = "SELECT count(*) FROM sms_parts WHERE state = 'delivered'"
                async with asyncio.timeout(SECONDS):
                    while await rows(database, statement) != [(3,)]:
                        await receipts_step(database)
                # One of two parts says nothing yet.
                assert await until(database, key, ended) == {"accepted": 3}
        counts = await until(database, key, lambda found: found.get("accepted") is None)
    assert counts == {"delivered": 2, "bounced": 1}
    assert await rows(database, "SELECT reason FROM deliveries WHERE state = 'bounced'") == [("soft_bounce",)]


async def test_a_text_of_two_parts_of_which_one_is_refused(database: Database) -> None:
    await phones(database, 2)
    async with centre().running() as sms, sending(database, sms.port):
        sms.answers_once["31612300001", 2] = Reject(INVALID_DESTINATION)
        key = await publish(database, body=LONG)
        assert await until(database, key, ended) == {"accepted": 1, "rejected": 1}
    found = await rows(database, "SELECT reason, reply_code, reply FROM deliveries WHERE state = 'rejected'")
    assert found == [("no_such_address", 11, "part 2 of 2: ESME_RINVDSTADR")]
    assert sms.taken == {"31612300001": 1, "31612300002": 2}


async def test_a_receipt_of_a_message_that_nobody_knows_is_kept_for_people(database: Database) -> None:
    await phones(database, 1)
    async with centre().running() as sms, sending(database, sms.port):
        await sms.bound()
        await sms.receipt("31612300001", "Stormdesk", b"id:4711 stat:DELIVRD err:000")
        await until_there(database, "SELECT id FROM sms_receipts")
        assert not await receipts_step(database)
        async with database.transaction() as tx:
            await tx.execute(text("UPDATE sms_receipts SET received_at = now() - interval '2 hours'"))
        await receipts_step(database)
    assert await rows(database, "SELECT raw, delivery_id, outcome FROM reports") == [
        (b"id:4711 stat:DELIVRD err:000", None, "no_delivery")
    ]


async def test_a_receipt_said_twice_counts_once(database: Database) -> None:
    await phones(database, 1)
    async with centre().running() as sms, sending(database, sms.port):
        key = await publish(database)
        await until(database, key, ended)
        for _ in range(2):
            await sms.receipt("31612300001", "Stormdesk", b"id:1 stat:DELIVRD err:000")
            await until(database, key, lambda found: found == {"delivered": 1})
        await sms.receipt("31612300001", "Stormdesk", b"id:1 stat:ENROUTE err:000")
        async with asyncio.timeout(SECONDS):
            while await rows(database, "SELECT count(*) FROM reports") != [(2,)]:
                await receipts_step(database)
        assert await until(database, key, ended) == {"delivered": 1}


async def test_at_the_cost_cap_nothing_more_is_sent_and_every_row_says_why(database: Database) -> None:
    """A text costs ten cents of a euro here; there is money for forty."""
    await phones(database, 100)
    async with centre().running() as sms, sending(database, sms.port, cap=4 * MICRO):
        counts = await until(database, await publish(database), ended)
    assert counts == {"accepted": 40, "suppressed": 60}
    assert sms.taken.total() == 40
    assert await rows(database, "SELECT DISTINCT reason FROM deliveries WHERE state = 'suppressed'") == [("cost_cap",)]
    assert await rows(database, "SELECT spent FROM sms_spend") == [(4 * MICRO,)]


async def test_money_for_texts_that_were_not_taken_is_given_back(database: Database) -> None:
    await phones(database, 10)
    async with centre().running() as sms, sending(database, sms.port):
        sms.answers.extend([Reject(INVALID_DESTINATION)] * 4)
        counts = await until(database, await publish(database), ended)
    assert counts == {"accepted": 6, "rejected": 4}
    assert await rows(database, "SELECT spent FROM sms_spend") == [(6 * MICRO // 10,)]
