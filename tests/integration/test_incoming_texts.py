"""Incoming texts over the wire: STOP and START are obeyed and answered once, everything else becomes a contact."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from app.demo.sms_centre import SmsCentre
from app.settings import read_settings
from app.templates import render
from app.texts import Texts
from app.wiring import make_parts
from foundation.database import Database
from notify import MessageText, delivery_summary, enqueue
from notify.channels.centres import Centre
from notify.channels.inbound import Inbound
from notify.sms_inbox import SmsInbox
from notify.sms_texts import read_texts
from tests.support.customer_files import a_file, a_line, load
from tests.support.directory import a_customer
from tests.support.people import everyone
from tests.support.smpp import centre, url

ANNA, BEN = "+31612345678", "+31687654321"
OURS = "3636"


def _settings(folder: Path, port: int) -> Any:
    environment = {"SECRET_KEY": "k" * 32, "DATA_DIR": str(folder), "SMPP_URL": url(port)}
    return read_settings({f"STORMDESK_{name}": value for name, value in environment.items()})


@asynccontextmanager
async def at_work(database_url: str, folder: Path, sms: SmsCentre) -> AsyncIterator[None]:
    """A worker's loops for texts, as `app.worker` starts them."""
    stop = asyncio.Event()
    made = make_parts(_settings(folder, sms.port), database_url)
    texts = Texts(made)
    tasks = [asyncio.create_task(loop(stop)) for loop in (texts.run, texts.read)]
    try:
        await sms.bound()
        yield
    finally:
        stop.set()
        await asyncio.gather(*tasks)
        await made.database.close()


async def rows(database: Database, statement: str) -> list[Any]:
    async with database.transaction() as tx:
        return [tuple(row) for row in await tx.execute(text(statement))]


async def until(database: Database, statement: str, expected: object) -> None:
    found: list[Any] = []
    for _ in range(1000):
        found = await rows(database, statement)
        if found == expected:
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"{statement} stays at {found}")


async def customers(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute(text("INSERT INTO components (key, name) VALUES ('DL 1', 'DL 1')"))
        await a_customer(tx, "1", phones=[ANNA], language="nl", exposures=[("DL 1", "", None)])
        await a_customer(tx, "2", phones=[BEN, ANNA], exposures=[("DL 1", "", None)])


async def publish(database: Database, number: int) -> str:
    async with database.transaction() as tx:
        await enqueue(
            tx,
            key=f"update:{number}",
            topic="incident:ab12",
            number=number,
            messages=[MessageText("sms", language, "", "There is news.") for language in ("en", "nl")],
            audience=everyone(),
        )
    return f"update:{number}"


async def test_stop_ends_texts_to_that_number_and_start_brings_them_back(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    await customers(database)
    async with centre().running() as sms, at_work(database_url, tmp_path, sms):
        await sms.text(ANNA[1:], OURS, " Stop! ")
        await until(database, "SELECT state FROM sms_replies", [("sent",)])
        assert await rows(database, "SELECT value, consent FROM addresses ORDER BY id") == [
            (ANNA, False),
            (BEN, True),
            (ANNA, False),
        ]
        journal = await rows(database, "SELECT channel, value, consent, how, text_id IS NOT NULL FROM consent_journal")
        assert journal == [("sms", ANNA, False, "text", True)]

        key = await publish(database, 1)
        statement = "SELECT state, reason FROM deliveries WHERE state <> 'planned' AND state <> 'sending' ORDER BY 1"
        await until(database, statement, [("accepted", None), ("suppressed", "no_consent")])
        # The answer, in Dutch, from the number that was texted; and the news to Ben alone.
        (answer, news) = sms.messages()
        assert answer[0] == ANNA[1:]
        assert answer[1].startswith("U krijgt geen sms'jes meer van ons. Sms START")
        assert news == (BEN[1:], "There is news.")
        assert sms.got[0].source == OURS

        await sms.text(ANNA[1:], OURS, "START")
        await until(database, "SELECT state FROM sms_replies ORDER BY id", [("sent",), ("sent",)])
        await publish(database, 2)
        await until(database, "SELECT state FROM deliveries WHERE dispatch_id = 2", [("accepted",)] * 2)
        async with database.transaction() as tx:
            assert (await delivery_summary(tx, key))["suppressed"] == 1
    assert await rows(database, "SELECT count(*) FROM contacts") == [(0,)]


async def test_a_second_stop_is_not_answered_again(database: Database, database_url: str, tmp_path: Path) -> None:
    """Else two machines that answer each other would never end."""
    await customers(database)
    async with centre().running() as sms, at_work(database_url, tmp_path, sms):
        for _ in range(3):
            await sms.text(ANNA[1:], OURS, "STOP")
        await until(database, "SELECT count(*), count(DISTINCT meant) FROM sms_texts", [(3, 1)])
        await until(database, "SELECT state FROM sms_replies", [("sent",)])
    assert len(sms.messages()) == 1


async def test_a_number_that_is_imported_later_has_said_stop_already(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    async with centre().running() as sms, at_work(database_url, tmp_path, sms):
        await sms.text(ANNA[1:], OURS, "stop")
        await until(database, "SELECT value, consent FROM consent_journal", [(ANNA, False)])
    async with database.transaction() as tx:
        await load(tx, a_file(a_line(phone=ANNA)))
    found = await rows(database, "SELECT channel, consent FROM addresses ORDER BY channel")
    assert found == [("mail", True), ("sms", False)]


async def test_a_text_becomes_a_contact_with_the_number_as_evidence(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    await customers(database)
    words = "Please stop losing my bag. " * 12  # three segments
    async with centre().running() as sms, at_work(database_url, tmp_path, sms):
        await sms.text(ANNA[1:], OURS, words, only=[3, 1, 2])
        await sms.text("Webshop", OURS, "50 % off!")
        await until(database, "SELECT channel, count(*) FROM contacts GROUP BY 1", [("sms", 2)])
        await until(database, "SELECT state FROM sms_texts", [("done",)] * 2)
    (first, second) = await rows(database, "SELECT idempotency_key, language, raw FROM contacts ORDER BY id")
    assert first[0] == "sms:1"
    assert first[1] == "nl"
    assert msgspec.json.decode(first[2]) == {"phone": ANNA, "message": words}
    assert msgspec.json.decode(second[2]) == {"phone": "Webshop", "message": "50 % off!"}
    assert await rows(database, "SELECT count(*) FROM sms_segments_in WHERE text_id = 1") == [(3,)]
    assert await rows(database, "SELECT count(*) FROM sms_replies") == [(0,)]


def segment(content: bytes) -> Inbound:
    return Inbound(Centre("h", 1, "us", "pw"), ANNA, OURS, 0x40, 0, content)


async def kept(database: Database, *contents: bytes) -> None:
    inbox, stop = SmsInbox(database), asyncio.Event()
    running = asyncio.create_task(inbox.run(stop))
    await asyncio.gather(*(inbox(segment(content)) for content in contents))
    stop.set()
    await running


async def test_a_text_whose_parts_do_not_all_come_is_read_after_a_while(database: Database) -> None:
    bag = b"\x05\x00\x03\x07\x03"
    await kept(database, bag + b"\x01My bag", bag + b"\x03lost", b"\x05\x00\x03\x08\x02\x01STOP")
    async with database.transaction() as tx:
        assert await read_texts(tx, render) == 0
        await tx.execute(text("UPDATE sms_segments_in SET received_at = now() - interval '6 minutes'"))
        assert await read_texts(tx, render) == 2
    found = await rows(database, "SELECT text, complete, meant FROM sms_texts ORDER BY id")
    # Half a text is never obeyed: the rest may have said something else.
    assert found == [("My bag[…]lost", False, "contact"), ("STOP[…]", False, "contact")]


async def test_a_part_that_comes_twice_counts_once(database: Database) -> None:
    part = b"\x05\x00\x03\x07\x02"
    await kept(database, part + b"\x01one ", part + b"\x01one ", part + b"\x02two")
    async with database.transaction() as tx:
        assert await read_texts(tx, render) == 1
    assert await rows(database, "SELECT text, complete FROM sms_texts") == [("one two", True)]


async def test_a_part_that_comes_again_after_its_text_was_read_is_no_new_text(database: Database) -> None:
    """A centre that got no answer from us sends what it has again, also to the next process."""
    parts = (b"\x05\x00\x03\x07\x02\x01one ", b"\x05\x00\x03\x07\x02\x02two")
    await kept(database, *parts)
    async with database.transaction() as tx:
        assert await read_texts(tx, render) == 1
    await kept(database, parts[0])
    assert await rows(database, "SELECT count(*) FROM sms_segments_in") == [(2,)]


async def test_hostile_bytes_are_stored_and_read(database: Database) -> None:
    await kept(database, b"", b"\x00", b"\xff" * 140, b"\x05\x00\x03\x07\x02\x01" + b"\x00\x1b")
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE sms_segments_in SET received_at = now() - interval '6 minutes'"))
        assert await read_texts(tx, render) == 4
    assert await rows(database, "SELECT count(*) FROM sms_texts WHERE meant = 'contact'") == [(4,)]
