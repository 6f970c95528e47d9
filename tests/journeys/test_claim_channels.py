"""A claim on a phone without JavaScript, in each of five languages; and one person over three channels: one case."""

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.async_api import Page

from app.asgi import claims_writer
from app.mail_filing import MailFiling
from app.wiring import Parts
from claims import Intake
from claims.acknowledging import Acknowledging
from foundation.database import driver
from incidents import register_components
from tests.journeys.test_desk import sign_in
from tests.support.browser import accessibility_faults, chromium, needs_chromium, scrolls_sideways, window
from tests.support.claimants import a_customer, partition, resolve
from tests.support.desk import a_person
from tests.support.incidents import a_draft, declared, say
from tests.support.site import site
from tests.support.web import parts_for
from tests.unit.test_file_kinds import located_picture

pytestmark = needs_chromium

SCREENSHOTS = Path(__file__).resolve().parents[2] / "docs/screenshots"
INBOX = "claims@example.com"


@dataclass(frozen=True)
class Words:
    """What a person of this language looks for on the page, and what the page then says."""

    story: str
    send: str
    have_it: str
    once_more: str


SPOKEN = {
    "en": Words("My train did not run.", "Send", "We have your message", "If it is right as it is"),
    "nl": Words("Mijn trein reed niet.", "Versturen", "We hebben uw bericht", "Klopt het zoals het er staat"),
    "de": Words("Mein Zug fiel aus.", "Absenden", "Wir haben Ihre Nachricht", "Wenn es so stimmt"),
    "fr": Words("Mon train n’a pas roulé.", "Envoyer", "Nous avons votre message", "Si c’est juste ainsi"),
    "es": Words("Mi tren no circuló.", "Enviar", "Tenemos su mensaje", "Si está bien así"),
}


@pytest.fixture
async def parts(database_url: str, tmp_path: Path) -> AsyncIterator[Parts]:
    made = parts_for(
        database_url, tmp_path, page_name="Northwind Air", desk_url="http://127.0.0.1", public_url="http://127.0.0.1"
    )
    now = datetime.now(UTC)
    async with made.database.transaction() as tx:
        await register_components(tx, ["LINE-1"])
        incident = await declared(
            tx, title={"en": "No trains", "nl": "Geen treinen"}, components=["LINE-1"], started_at=now, now=now
        )
        await say(tx, incident, a_draft(next_update_at=now + timedelta(hours=2)), now=now)
    yield made
    await made.database.close()


async def test_a_claim_on_a_phone_without_javascript_in_five_languages(parts: Parts, tmp_path: Path) -> None:
    photo = tmp_path / "taxi.jpg"
    photo.write_bytes(located_picture())
    async with site(parts) as address, chromium() as browser:
        for language, words in SPOKEN.items():
            async with window(browser, "phone", language=language) as page:
                await page.goto(f"{address}/claim")
                assert await page.locator("html").get_attribute("lang") == language
                await _typed(page, words, photo)
                # A slip is asked about, and all of it is still there, the photo too.
                assert await page.get_by_text(words.once_more).is_visible()
                assert await page.locator("#message").input_value() == words.story
                assert await page.get_by_text("taxi.jpg").is_visible()
                await page.get_by_role("button", name=words.send, exact=True).click()
                await page.wait_for_url("**/claim/received/**")
                assert await page.get_by_role("heading", name=words.have_it).is_visible()
            async with window(browser, "phone", scripts=True, language=language) as page:
                await page.goto(f"{address}/claim")
                await _typed(page, words, photo)
                # The marks are the same in each; German has the longest words.
                if language == "de":
                    await _reads_well(page)
                assert not await scrolls_sideways(page)
                await _picture(page, f"claim-asked-back-{language}")
    async with parts.database.transaction() as tx:
        kept = await (await driver(tx)).fetchval("SELECT count(*) FROM attachments WHERE file_id IS NOT NULL")
    assert kept == len(SPOKEN)


async def _typed(page: Page, words: Words, photo: Path) -> None:
    await page.locator("#message").fill(words.story)
    await page.locator("input[name=asks_for]").first.check()
    await page.locator("#files").set_input_files(photo)
    await page.locator("#email").fill("jo at home")
    await page.get_by_role("button", name=words.send, exact=True).click()


async def test_one_person_by_form_mail_and_phone_has_one_case(parts: Parts) -> None:
    johanna = await a_customer(
        parts.database, "Johanna Velde", number="NY-7", mails=["johanna@mail.example"], references=["7QX4ZD"]
    )
    async with site(parts) as address, chromium() as browser:
        async with window(browser, "phone") as page:
            await page.goto(f"{address}/claim")
            await page.locator("#message").fill("My train did not run.")
            await page.locator("#name").fill("johanna velde")
            await page.locator("#reference").fill("7qx 4zd")
            await page.get_by_role("button", name="Send", exact=True).click()
            await page.wait_for_url("**/claim/received/**")
        raw = (
            b"From: Johanna <johanna@mail.example>\r\nMessage-ID: <1@m>\r\nDate: x\r\nSubject: Train\r\n\r\nHello?\r\n"
        )
        async with Intake(parts.database).running() as intake:
            filing = MailFiling(parts.database, intake, parts.tokens, parts.clock, inboxes=frozenset({INBOX}))
            await filing.file(raw, sender="johanna@mail.example", recipient=INBOX)
        async with window(browser, "desktop", scripts=True) as page:
            await sign_in(page, address, parts, await a_person(parts))
            await page.goto(f"{address}/desk/calls")
            await page.keyboard.type("7qx4zd\n")  # the box is waiting for it, and Enter searches
            await page.wait_for_url("**/desk/calls?q=*")
            await page.keyboard.type("She asks when the next train goes.")
            await _reads_well(page)
            await _picture(page, "desk-call")
            await page.get_by_role("button", name="Save the note").click()
            await page.wait_for_url("**/desk/calls?taken=*")
            await _reads_well(page)
            await page.goto(f"{address}/desk/posts")
            await _reads_well(page)
    await resolve(parts.database)
    homes = await partition(parts.database)
    assert len(homes) == 3
    assert {customer for _, customer in homes.values()} == {johanna}
    assert len({case for case, _ in homes.values()}) == 1
    # One acknowledgement for the person, by the channel whose address is proven to be hers.
    while await Acknowledging(parts.database, claims_writer(parts), parts.clock).step():
        pass
    async with parts.database.transaction() as tx:
        told = await (await driver(tx)).fetch("SELECT kind, why, address FROM acknowledgements ORDER BY contact_id")
    assert [tuple(row) for row in told] == [
        ("none", "no_address", None),
        ("first", "", "johanna@mail.example"),
    ]


async def _reads_well(page: Page) -> None:
    assert await accessibility_faults(page) == [], page.url
    assert not await scrolls_sideways(page), page.url


async def _picture(page: Page, name: str) -> None:
    if os.environ.get("STORMDESK_SCREENSHOTS"):
        await page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
