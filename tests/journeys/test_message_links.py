"""Somebody opens the links in a mail of ours: on a phone, without JavaScript, with a keyboard, in light and dark.

With STORMDESK_SCREENSHOTS=1 in the environment the pictures in docs/screenshots are taken again.
"""

import email
import email.policy
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import cast

import pytest
from playwright.async_api import Page
from sqlalchemy import select

from app.templates import render
from app.wiring import Parts
from foundation.database import Database
from incidents import Composer, UpdateText, approve, draft_update, publish, register_components
from notify.mail import MailFactory, mail_date
from notify.messages import Message
from notify.tables import deliveries, dispatches, messages
from tests.support.browser import LOOKS, accessibility_faults, chromium, needs_chromium, scrolls_sideways, window
from tests.support.directory import a_customer
from tests.support.incidents import BOSS, WRITER, a_draft, declared
from tests.support.site import site
from tests.support.web import parts_for

pytestmark = needs_chromium

# The pictures that are kept; the others would show the same.
PICTURES = ("mail-phone-light", "mail-desktop-dark", "leave-phone-light", "check-phone-light")
SCREENSHOTS = Path(__file__).resolve().parents[2] / "docs/screenshots"
TEXTS = {
    "en": UpdateText(
        title="Snowstorm: flights from New York and Newark cancelled until Saturday 06:00",
        body="The snowstorm over the Northeast keeps John F. Kennedy, LaGuardia and Newark closed. "
        "All our flights from there are cancelled until Saturday 06:00.\n\nYour flight is one of them.",
        advice="Do not travel to the airport. Another flight, or your money back, costs you nothing.",
    ),
    "nl": UpdateText(
        title="Sneeuwstorm: vluchten vanuit New York en Newark geannuleerd tot zaterdag 06:00",
        body="De sneeuwstorm houdt John F. Kennedy, LaGuardia en Newark gesloten. "
        "Al onze vluchten vandaar zijn geannuleerd tot zaterdag 06:00.\n\nUw vlucht is er één van.",
        advice="Ga niet naar het vliegveld. Een andere vlucht, of uw geld terug, kost u niets.",
    ),
}


@dataclass(frozen=True, slots=True)
class Mailed:
    """A mail as Johanna (en) or Pieter (nl) got it, and the site its links lead to."""

    address: str
    mails: dict[str, EmailMessage]

    def part(self, language: str, kind: str) -> str:
        found = self.mails[language].get_body((kind,))
        assert found is not None
        return cast(str, found.get_content())


@pytest.fixture
async def mailed(database: Database, database_url: str, tmp_path: Path) -> AsyncIterator[Mailed]:
    now = datetime.now(UTC)
    parts = parts_for(database_url, tmp_path, page_name="Northwind Air", page_time_zone="America/New_York")
    async with site(parts) as address:
        parts = replace(parts, settings=replace(parts.settings, public_url=address))
        composer = Composer(render, "Northwind Air", address, "America/New_York")
        async with database.transaction() as tx:
            await register_components(tx, ["DL1117"])
            for number, name, language in (("N-1", "Johanna van der Velde", "en"), ("N-2", "Pieter Bos", "nl")):
                exposure = ("DL1117", "", None)
                mail = f"{number}@postbus.example".lower()
                await a_customer(tx, number, mail, name=name, language=language, exposures=[exposure])
            incident = await declared(tx, components=["DL1117"], started_at=now, now=now)
            draft = a_draft(texts=TEXTS, next_update_at=now + timedelta(minutes=90))
            written = await draft_update(tx, WRITER, incident, draft, now=now)
            await approve(tx, BOSS, written.id, composer.messages, now=now)
            await publish(tx, BOSS, written.id, composer.messages, now=now)
        yield Mailed(address, await _mails(parts, now))
    await parts.database.close()


async def _mails(parts: Parts, now: datetime) -> dict[str, EmailMessage]:
    """What the sender would make of the planned deliveries, by language."""
    factory = MailFactory(
        "updates@northwind.example", parts.tokens, sender_name="Northwind Air", public_url=parts.settings.public_url
    )
    query = (
        select(deliveries.c.id, messages.c.id, dispatches.c.topic, messages.c.language, messages.c.subject)
        .add_columns(messages.c.body)
        .join(messages, messages.c.id == deliveries.c.message_id)
        .join(dispatches, dispatches.c.id == deliveries.c.dispatch_id)
    )
    found = {}
    async with parts.database.transaction() as tx:
        for delivery, *text in await tx.execute(query):
            message = Message(*text)
            name = "Johanna van der Velde" if message.language == "en" else "Pieter Bos"
            reference = factory.reference(delivery)
            raw = factory.template(message).build(
                to="someone@postbus.example", reference=reference, slots={"name": name}, date=mail_date(now)
            )
            mail = email.message_from_bytes(raw, policy=email.policy.default)
            assert isinstance(mail, EmailMessage)
            found[message.language] = mail
    return found


async def test_a_reader_stops_the_news_and_takes_it_back(mailed: Mailed) -> None:
    async with chromium() as browser, window(browser, "phone", language="nl-NL") as page:
        await page.set_content(mailed.part("en", "html"))
        await page.get_by_role("link", name="Stop news about this disruption").click()
        assert await page.get_by_role("heading", name="Stop this news?").is_visible()
        assert await page.get_by_text(TEXTS["en"].title).is_visible()
        await page.get_by_role("button", name="Stop news about this disruption").click()
        assert await page.get_by_role("heading", name="You get no more news about this disruption").is_visible()
        await page.get_by_role("button", name="Stop news about every disruption").click()
        assert await page.get_by_role("heading", name="You get no more news about disruptions").is_visible()
        await page.get_by_role("button", name="Get news again").click()
        assert await page.get_by_role("heading", name="You get this news again").is_visible()


async def test_the_keyboard_is_enough(mailed: Mailed) -> None:
    async with chromium() as browser, window(browser, "desktop") as page:
        await page.goto(mailed.mails["nl"]["List-Unsubscribe"].strip("<>"))
        await page.get_by_role("button", name="Geen nieuws meer over deze storing").focus()
        await page.keyboard.press("Enter")
        await page.get_by_role("heading", name="U krijgt geen nieuws meer over deze storing").wait_for()


async def test_a_reader_finds_out_that_the_message_is_ours(mailed: Mailed) -> None:
    code = mailed.part("en", "plain").partition("Its code is ")[2].partition(". ")[0]
    async with chromium() as browser, window(browser, "phone") as page:
        await page.set_content(mailed.part("en", "html"))
        await page.get_by_role("link", name="Check it here").click()
        assert await page.get_by_role("heading", name="Yes, this message is ours").is_visible()
        assert await page.get_by_text("Your flight is one of them.").is_visible()
        await page.get_by_label("Code in the message").fill(code[:-1])
        await page.keyboard.press("Enter")
        await page.get_by_role("heading", name="We do not know this code").wait_for()
        assert await page.locator("#code").input_value() == code[:-1]
        await page.get_by_label("Code in the message").fill(code.lower().replace("-", ""))
        await page.get_by_role("button", name="Check").click()
        await page.get_by_role("heading", name="Yes, this message is ours").wait_for()


async def test_the_pages_and_the_mail_read_well_everywhere(mailed: Mailed) -> None:
    async with chromium() as browser:
        for screen, scheme in LOOKS:
            async with window(browser, screen, scheme, scripts=True) as page:
                for language in ("en", "nl"):
                    await _read(page, mailed, language, f"{screen}-{scheme}" if language == "en" else "")


async def _read(page: Page, mailed: Mailed, language: str, picture: str) -> None:
    await page.set_content(mailed.part(language, "html"))
    await _reads_well(page, f"mail-{picture}" if picture else "", mail=True)
    code = mailed.part(language, "plain").partition("check?lang=")[2].partition("code=")[2].split()[0]
    for path in (f"/check?code={code}&", "/check?code=x&", "/check?"):
        await page.goto(f"{mailed.address}{path}lang={language}")
        await _reads_well(page, f"check-{picture}" if code in path and picture else "")
    link = mailed.mails[language]["List-Unsubscribe"].strip("<>")
    await page.goto(link)
    await _reads_well(page, f"leave-{picture}" if picture else "")
    for button in ("topic", "all", "back"):
        await page.locator(f"button[value={button}]").click()
        await _reads_well(page)
    await page.goto(f"{mailed.address}/u/none?lang={language}")
    await _reads_well(page)


async def test_the_mail_fits_the_narrowest_screen_with_and_without_its_style_sheet(mailed: Mailed) -> None:
    async with chromium() as browser, window(browser, "phone", scripts=True) as page:
        await page.set_viewport_size({"width": 320, "height": 640})
        html = mailed.part("nl", "html")
        for shown in (html, html.partition("<style>")[0] + html.partition("</style>")[2]):
            await page.set_content(shown)
            assert not await scrolls_sideways(page)


# A mail is shown within the page of a mail program, which has the landmarks.
_OF_WHOLE_PAGES = ("landmark-one-main:", "region:")


async def _reads_well(page: Page, picture: str = "", *, mail: bool = False) -> None:
    faults = await accessibility_faults(page)
    assert [fault for fault in faults if not (mail and fault.startswith(_OF_WHOLE_PAGES))] == [], page.url
    assert not await scrolls_sideways(page), page.url
    if picture in PICTURES and os.environ.get("STORMDESK_SCREENSHOTS"):
        await page.screenshot(path=SCREENSHOTS / f"{picture}.png", full_page=True)
