"""Proof in the console: what a customer was told and how an update arrives, for those who may see it; in a browser.

With STORMDESK_SCREENSHOTS=1 in the environment the pictures in docs/screenshots are taken again.
"""

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.async_api import Page

from app.wiring import Parts
from notify.channels import Deferred
from notify.delivery import outcome
from notify.outbox import Done, begin, claim, record
from notify.reports import Report, take_reports
from tests.journeys.test_desk import LOCAL, sign_in
from tests.support.browser import LOOKS, accessibility_faults, chromium, needs_chromium, scrolls_sideways, window
from tests.support.desk import a_person
from tests.support.incidents import a_draft, declared, say
from tests.support.people import COMPONENT, people
from tests.support.site import site
from tests.support.web import parts_for

pytestmark = needs_chromium

SCREENSHOTS = Path(__file__).resolve().parents[2] / "docs/screenshots"


@pytest.fixture
async def parts(database_url: str, tmp_path: Path) -> AsyncIterator[Parts]:
    made = parts_for(database_url, tmp_path, page_name="Northwind Air", desk_url=LOCAL, public_url=LOCAL)
    yield made
    await made.database.close()


async def an_update_under_way(parts: Parts) -> str:
    """An update to three people, of whom the first is asked to wait, and about whom a report came."""
    await people(parts.database, 3)
    async with parts.database.transaction() as tx:
        incident_id = await declared(tx, components=[COMPONENT])
        update_id = (await say(tx, incident_id, a_draft())).update.id
        connection = await begin(tx)
        _, claimed = await claim(connection, "mail", 25, timedelta(seconds=60))
        now, later = datetime.now(UTC), datetime.now(UTC) + timedelta(hours=1)
        result = Deferred("throttled", 421, "4.7.0 Try again later <b>please</b>")
        what = outcome(result, attempt=1, now=now, not_after=later, chance=0)
        await record(connection, sorted({one.batch_id for one in claimed}), [
            Done(one.id, one.batch_id, what) for one in claimed
        ])  # fmt: skip
        first = claimed[0].id
    async with parts.database.transaction() as tx:
        await take_reports(
            tx, [Report("mail", "k", b"raw", first, "delayed", "4.4.7", "Still trying <script>", datetime.now(UTC))]
        )
    return update_id


async def test_what_a_customer_was_told_and_how_an_update_arrives(parts: Parts) -> None:
    update_id = await an_update_under_way(parts)
    commander = await a_person(parts, "lee", "commander")
    async with site(parts) as address, chromium() as browser:
        for number, (screen, scheme) in enumerate(LOOKS):
            async with window(browser, screen, scheme, scripts=True) as page:
                await sign_in(page, address, parts, commander, later=number)
                await page.goto(f"{address}/desk/customers")
                await page.get_by_label("Customer number").fill("C1")
                await page.get_by_role("button", name="Search").click()
                assert await page.get_by_text("4.7.0 Try again later <b>please</b>").first.is_visible()
                assert await page.get_by_text("Still trying <script>").is_visible()
                await page.get_by_text("The words").click()
                assert await accessibility_faults(page) == []
                assert not await scrolls_sideways(page)
                await _picture(page, f"desk-customer-{screen}-{scheme}")
                await page.goto(f"{address}/desk/sending")
                assert await page.get_by_text("Reports without a delivery").is_visible()
                assert await accessibility_faults(page) == []
                assert not await scrolls_sideways(page)
                await _picture(page, f"desk-sending-{screen}-{scheme}")
                await page.goto(f"{address}/desk/updates/{update_id}")
                assert await page.get_by_text("tried again later 3").first.is_visible()
                assert await accessibility_faults(page) == []
                assert not await scrolls_sideways(page)
                await _picture(page, f"desk-update-{screen}-{scheme}")
                await page.goto(f"{address}/desk/customers/nobody")
                assert await page.get_by_text("There is no customer with this number.").is_visible()


async def test_nobody_looks_at_customers_who_may_not(parts: Parts) -> None:
    analyst = await a_person(parts, "ana", "analyst")
    async with site(parts) as address, chromium() as browser, window(browser, "desktop") as page:
        await sign_in(page, address, parts, analyst)
        await page.goto(f"{address}/desk/customers/C1")
        assert await page.get_by_text("needs the right customers.read").is_visible()


async def _picture(page: Page, name: str) -> None:
    if os.environ.get("STORMDESK_SCREENSHOTS"):
        await page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
