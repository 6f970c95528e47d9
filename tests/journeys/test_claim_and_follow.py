"""Somebody stranded tells us, gets a receipt, and follows their case: on a phone, without JavaScript, with a keyboard.

With STORMDESK_SCREENSHOTS=1 in the environment the pictures in docs/screenshots are taken again.
"""

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.async_api import Page

from app.wiring import Parts
from foundation.database import Database
from incidents import register_components
from tests.support.browser import LOOKS, accessibility_faults, chromium, needs_chromium, scrolls_sideways, window
from tests.support.claimants import a_customer, resolve
from tests.support.incidents import a_draft, declared, say
from tests.support.site import site
from tests.support.web import parts_for

pytestmark = needs_chromium

SCREENSHOTS = Path(__file__).resolve().parents[2] / "docs/screenshots"
TITLE = {
    "en": "Snowstorm: flights from New York and Newark cancelled",
    "nl": "Sneeuwstorm: vluchten vanuit New York en Newark geannuleerd",
}
STORY = (
    "My flight to Boston was cancelled and I spent the night at the airport. I would like to fly on Sunday, "
    "and to have the hotel paid back (receipt attached to my suitcase, I can send it)."
)


@pytest.fixture
async def here(database: Database, database_url: str, tmp_path: Path) -> AsyncIterator[tuple[str, Database]]:
    """The address of a site that knows Johanna, in an incident whose next update is promised."""
    now = datetime.now(UTC)
    async with database.transaction() as tx:
        await register_components(tx, ["DL1117"])
        incident = await declared(tx, title=TITLE, components=["DL1117"], started_at=now, now=now)
        promise = (now + timedelta(minutes=90)).replace(minute=30, second=0)
        await say(tx, incident, a_draft(next_update_at=promise), now=now)
    await a_customer(
        database,
        "Johanna van der Velde",
        number="NY00412907",
        mails=["johanna@postbus.example"],
        references=["7QX4ZD"],
        component="DL1117",
    )
    parts = _named(parts_for(database_url, tmp_path, page_name="Northwind Air", page_time_zone="America/New_York"))
    async with site(parts) as address:
        yield address, database
    await parts.database.close()


def _named(parts: Parts) -> Parts:
    return replace(parts, settings=replace(parts.settings, public_url="https://status.northwind.example"))


async def tell(page: Page, address: str, **typed: str) -> None:
    """Fill in the form and send it."""
    await page.goto(f"{address}/claim")
    for name, value in typed.items():
        await page.locator(f"#{name}").fill(value)
    await page.get_by_role("button", name="Send").click()


async def test_a_stranded_passenger_tells_us_and_follows_the_case(here: tuple[str, Database]) -> None:
    address, database = here
    async with chromium() as browser, window(browser, "phone") as page:
        await page.goto(f"{address}/claim")
        await page.get_by_label("What happened, and what do you need?").fill(STORY)
        await page.get_by_label("Costs I had (food, hotel, transport)").check()
        await page.get_by_label("Your name").fill("johanna vd velde")
        await page.get_by_label("Booking or contract reference").fill("7qx 4zd")
        await page.get_by_label("Mail address").fill("Johanna@Postbus.example ")
        await page.get_by_role("button", name="Send").click()
        await page.wait_for_url("**/claim/received/**")
        receipt = await page.locator(".receipt").inner_text()
        assert len(receipt) == 14
        await page.get_by_role("link", name="Follow your case").click()
        assert await page.get_by_text("Received, and being sorted").is_visible()
        await resolve(database)
        await page.reload()
        assert await page.get_by_role("heading", name="Your case C-").is_visible()
        assert await page.get_by_text(STORY).is_visible()
        assert await page.get_by_text("The next news about the disruption itself comes by").is_visible()


async def test_a_mistake_is_shown_by_its_field_and_nothing_typed_is_lost(here: tuple[str, Database]) -> None:
    address, _ = here
    async with chromium() as browser, window(browser, "phone") as page:
        await tell(page, address, message=STORY, name="<b>Zoë</b>", email="johanna at postbus", phone="call me")
        assert await page.get_by_text("Almost there: please check this").is_visible()
        assert await page.locator("#email-error").inner_text() == (
            "This does not look like a mail address. It should be like name@example.org."
        )
        assert await page.locator("#phone").get_attribute("aria-invalid") == "true"
        assert await page.locator("#message").input_value() == STORY
        assert await page.locator("#name").input_value() == "<b>Zoë</b>"
        await page.locator("#email").fill("johanna@postbus.example")
        await page.locator("#phone").fill("")
        await page.get_by_role("button", name="Send").click()
        await page.wait_for_url("**/claim/received/**")


async def test_an_empty_form_asks_for_something(here: tuple[str, Database]) -> None:
    address, _ = here
    async with chromium() as browser, window(browser, "phone", language="nl-NL") as page:
        await page.goto(f"{address}/claim")
        await page.get_by_role("button", name="Versturen").click()
        assert await page.locator("#message-error").inner_text() == (
            "Vertel ons iets: wat er is gebeurd, of wie u bent."
        )


async def test_the_receipt_and_one_fact_lead_to_the_case(here: tuple[str, Database]) -> None:
    address, database = here
    async with chromium() as browser, window(browser, "phone") as page:
        await tell(page, address, message=STORY, customer_number="ny 00412907", name="Johanna van der Velde")
        await page.wait_for_url("**/claim/received/**")
        receipt = await page.locator(".receipt").inner_text()
        await resolve(database)
        for fact in ("nobody@example.org", ""):
            await page.goto(f"{address}/track")
            await page.locator("#receipt").fill(receipt)
            await page.locator("#fact").fill(fact)
            await page.get_by_role("button", name="Show my case").click()
            assert await page.get_by_text("We cannot find a message with these two together").is_visible()
            assert await page.locator("#receipt").input_value() == receipt
        await page.locator("#receipt").fill(receipt.lower().replace("-", " "))
        await page.locator("#fact").fill("van der velde")
        await page.get_by_role("button", name="Show my case").click()
        await page.wait_for_url("**/t/**")
        assert await page.get_by_role("heading", name="Your case C-").is_visible()


async def test_the_keyboard_is_enough(here: tuple[str, Database]) -> None:
    address, _ = here
    async with chromium() as browser, window(browser, "desktop") as page:
        await page.goto(f"{address}/claim")
        await page.locator("#message").focus()
        await page.keyboard.type("No train.")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Space")
        await page.locator("#name").focus()
        await page.keyboard.type("Jo")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/claim/received/**")


async def test_the_pages_read_well_everywhere(here: tuple[str, Database]) -> None:
    address, database = here
    async with chromium() as browser:
        for screen, scheme in LOOKS:
            async with window(browser, screen, scheme, scripts=True) as page:
                await page.goto(f"{address}/claim")
                await _reads_well(page)
                await _picture(page, f"claim-{screen}-{scheme}")
                await tell(page, address, email="x", message=STORY)
                await _reads_well(page)
                await tell(
                    page, address, message="The desk is closed and nobody answers.", email="johanna@postbus.example"
                )
                await page.wait_for_url("**/claim/received/**")
                await _reads_well(page)
                await tell(
                    page, address, message=STORY, name="J. van der Velde", reference="7qx4zd", phone="06 12345678"
                )
                await page.wait_for_url("**/claim/received/**")
                await resolve(database)
                await page.get_by_role("link", name="Follow your case").click()
                await _reads_well(page)
                await _picture(page, f"track-{screen}-{scheme}")
                for path in ("/track", "/t/none"):
                    await page.goto(f"{address}{path}")
                    await _reads_well(page)


async def _reads_well(page: Page) -> None:
    assert await accessibility_faults(page) == [], page.url
    assert not await scrolls_sideways(page), page.url


async def _picture(page: Page, name: str) -> None:
    if os.environ.get("STORMDESK_SCREENSHOTS"):
        await page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
