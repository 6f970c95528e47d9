"""A worker that texts is killed: nobody is lost, repeats keep to the bound, and all that was acknowledged is there."""

import asyncio
import signal
from collections import Counter
from datetime import timedelta
from pathlib import Path

from sqlalchemy import text

from app.demo.sms_centre import SmsCentre
from app.texts import DEPTH
from foundation.database import Database
from notify import MessageText, enqueue
from notify.channels.sms import SmsChannel
from notify.reports import waiting_step
from notify.sms_proof import receipts_step
from tests.support.people import counts_of, everyone, people
from tests.support.smpp import PRICES, Letters, centre, url
from tests.support.texting_worker import command

PEOPLE, WRITERS = 1500, 20
LEASE = timedelta(seconds=2)
ROOT = Path(__file__).resolve().parent.parent.parent
SECONDS = 60


async def test_killing_a_worker_that_texts_loses_nobody_and_nothing_that_was_acknowledged(
    database: Database, database_url: str
) -> None:
    key = await planned(database)
    sms = centre()
    sms.receipts = "at once"
    worker = command(database_url, url(sms.port), lease=LEASE.total_seconds())
    bound = SmsChannel([url(sms.port)], PRICES, Letters()).lanes * DEPTH
    async with sms.running():
        first = await asyncio.create_subprocess_exec(*worker, cwd=ROOT)
        await sms.bound()
        writing = [asyncio.create_task(keep_writing(sms, writer)) for writer in range(WRITERS)]
        await sms.took(PEOPLE // 3)
        first.send_signal(signal.SIGKILL)
        assert await first.wait() == -signal.SIGKILL
        await sms.bound(0)
        acknowledged = [words for task in writing for words in await task]
        after_death = await counts_of(database, key)
        assert sum(after_death.values()) == PEOPLE
        assert 0 < after_death["sending"] <= bound, "lanes × depth, as is stated"
        kept = Counter(await words_kept(database))
        assert not Counter(acknowledged) - kept, "what was acknowledged is on disk"
        assert acknowledged
        assert kept.total() - len(acknowledged) <= WRITERS, "what was not acknowledged may be, and comes again"

        second = await asyncio.create_subprocess_exec(*worker, cwd=ROOT)
        await until_delivered(database, key)
        second.terminate()
        assert await second.wait() == 0

    async with database.transaction() as tx:
        rows = (
            await tx.execute(
                text("SELECT a.value, d.doubtful FROM deliveries d JOIN addresses a ON a.id = d.address_id")
            )
        ).all()
    assert {f"+{phone}" for phone in sms.taken} == {row.value for row in rows}, "everybody has it"
    doubtful = {row.value for row in rows if row.doubtful}
    assert {f"+{phone}" for phone, copies in sms.taken.items() if copies > 1} <= doubtful, "every repeat is visible"
    assert set(sms.taken.values()) <= {1, 2}
    assert len(doubtful) == after_death["sending"] <= bound


async def planned(database: Database) -> str:
    await people(database, PEOPLE)
    async with database.transaction() as tx:
        await tx.execute(
            text(
                "INSERT INTO addresses (customer_id, channel, value)"
                " SELECT id, 'sms', '+316123' || lpad(substr(number, 2), 5, '0') FROM customers"
            )
        )
        messages = [MessageText("sms", language, "", "Flight DL 1117 is cancelled.") for language in ("en", "nl")]
        await enqueue(tx, key="k", topic="incident:ab12", number=1, messages=messages, audience=everyone())
    return "k"


async def keep_writing(sms: SmsCentre, writer: int) -> list[str]:
    """Hand in one text after the other until nobody listens any more; those that were acknowledged."""
    acknowledged: list[str] = []
    while sms.is_bound:
        words = f"{writer}: where is bag {len(acknowledged)}?"
        if not await sms.text(f"3169{writer:07}", "3636", words):
            break
        acknowledged.append(words)
    return acknowledged


async def words_kept(database: Database) -> list[str]:
    async with database.transaction() as tx:
        return [bytes(one).decode() for one in await tx.scalars(text("SELECT content FROM sms_segments_in"))]


async def until_delivered(database: Database, key: str) -> None:
    """Every message has its receipt, those that came while nobody listened too."""
    counts: dict[str, int] = {}
    for _ in range(SECONDS * 10):
        await receipts_step(database)
        await waiting_step(database)
        counts = await counts_of(database, key)
        if counts["delivered"] == PEOPLE:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(counts)
