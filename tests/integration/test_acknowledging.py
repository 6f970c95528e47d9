"""Who hears that we have their message: each person once, by text as by mail, and nobody whom others name."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from app.asgi import claims_writer
from app.wiring import Parts
from claims.acknowledging import Acknowledging
from claims.intake import Arrival, Intake
from foundation.clock import system_clock
from foundation.database import driver
from tests.support.claimants import a_customer, an_incident, resolve
from tests.support.web import parts_for

PHONE = "+31612345678"


@pytest.fixture
async def parts(database_url: str, tmp_path: Path) -> AsyncIterator[Parts]:
    made = parts_for(database_url, tmp_path, smpp_urls=("smpp://a:b@127.0.0.1:1",))
    yield made
    await made.database.close()


async def tell(parts: Parts, channel: str, **said: str) -> None:
    async with Intake(parts.database).running() as intake:
        await intake.accept(Arrival(channel, "en", msgspec.json.encode(said)))  # type: ignore[arg-type]  # a channel
    await resolve(parts.database)
    while await Acknowledging(parts.database, claims_writer(parts), system_clock).step():
        pass


async def rows(parts: Parts, query: str) -> list[tuple[object, ...]]:
    async with parts.database.transaction() as tx:
        return [tuple(row) for row in await (await driver(tx)).fetch(query)]


async def later(parts: Parts) -> None:
    async with parts.database.transaction() as tx:
        await (await driver(tx)).execute("UPDATE acknowledgements SET at = at - interval '7 hours'")


TOLD = "SELECT kind, coalesce(channel, why) FROM acknowledgements ORDER BY contact_id"
SENT = """
SELECT d.channel, a.value, m.body FROM deliveries d JOIN addresses a ON a.id = d.address_id
  JOIN messages m ON m.dispatch_id = d.dispatch_id AND m.channel = d.channel ORDER BY d.id
"""


async def test_who_texts_hears_once_and_later_that_we_have_them(parts: Parts) -> None:
    await an_incident(parts.database)
    await a_customer(parts.database, "Anna", phones=[PHONE])
    for n in range(3):
        await tell(parts, "sms", phone=PHONE, message=f"Where is my train? {n}")
    await later(parts)
    await tell(parts, "sms", phone=PHONE, message="Again")
    assert await rows(parts, TOLD) == [("first", "sms"), ("none", "just_told"), ("none", "just_told"), ("again", "sms")]
    sent = await rows(parts, SENT)
    assert [row[:2] for row in sent] == [("sms", PHONE)] * 2
    assert all("train" not in str(row[2]) for row in sent), "nothing of what was said to us goes out again"


async def test_nobody_can_make_us_write_to_a_stranger(parts: Parts) -> None:
    """Whoever types a number or an address, into a form or as theirs in a mail, reaches nobody by it."""
    await an_incident(parts.database)
    await a_customer(parts.database, "Anna", number="N-1", mails=["anna@mail.example"], phones=[PHONE])
    for channel in ("api", "api"):
        await tell(parts, channel, phone="+31687654321", email="victim@bank.example", message="Buy this", name="Buy!")
        await tell(parts, channel, phone=PHONE, email="victim@bank.example", customer_number="N-1", message="Buy this")
        await tell(parts, channel, phone=PHONE, message="Buy this")
    assert {kind for kind, _ in await rows(parts, TOLD)} == {"none"}
    assert await rows(parts, SENT) == []
    assert await rows(parts, "SELECT count(*) FROM customers") == [(1,)]
