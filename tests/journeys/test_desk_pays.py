"""An agent works out what a customer is entitled to, two people pay it, and the customer sees sum and working."""

import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from playwright.async_api import Page

from app.wiring import Parts
from foundation.database import Database, driver
from tests.journeys.test_desk_works_cases import sign_in
from tests.support.browser import SCREENS, accessibility_faults, chromium, needs_chromium, scrolls_sideways, window
from tests.support.claimants import a_customer, an_incident, resolve
from tests.support.desk import a_person
from tests.support.site import site
from tests.support.web import parts_for

pytestmark = needs_chromium
PICTURES = Path(os.environ.get("STORMDESK_PICTURES", ""))


@pytest.fixture
async def parts(database: Database, database_url: str, tmp_path: Path) -> AsyncIterator[Parts]:
    await an_incident(database, component="DL1117", title={"en": "Flights cancelled", "nl": "Vluchten geannuleerd"})
    await a_customer(
        database, "Anna Jansen", number="N-0001", mails=["anna@x.example"], references=["7QX4ZD"], component="DL1117"
    )
    made = parts_for(database_url, tmp_path, page_name="Northwind Air", payer=None)
    yield made
    await made.database.close()


async def looked_at(page: Page, name: str) -> None:
    """On every screen, light and dark: nothing that axe finds, nothing that runs off the side."""
    for screen, (width, height) in SCREENS.items():
        await page.set_viewport_size({"width": width, "height": height})
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)
            if os.environ.get("STORMDESK_PICTURES"):
                await page.screenshot(path=PICTURES / f"{name}-{screen}-{scheme}.png", full_page=True)
            assert await accessibility_faults(page) == [], (name, screen, scheme)
        assert not await scrolls_sideways(page), (name, screen)


async def the_link(parts: Parts) -> str:
    """The link in the newest letter, which went to the address on file."""
    async with parts.database.transaction() as tx:
        body = await (await driver(tx)).fetchval("SELECT body FROM messages ORDER BY id DESC LIMIT 1")
    found = re.search(r"https://[^/]+(/t/\S+)", body)
    assert found is not None, body
    return found[1]


async def test_from_a_delay_to_the_money(parts: Parts) -> None:
    ada, ben = await a_person(parts, "ada", "agent"), await a_person(parts, "ben", "commander")
    async with site(parts) as address, httpx2.AsyncClient(base_url=address) as web, chromium() as browser:
        said = {"customer_number": "N-0001", "message": "Four hours late", "asks_for": "compensation"}
        answer = await web.post("/api/v1/contacts", json=said)
        written = answer.json()["track_url"].removeprefix("https://status.example.com")
        await resolve(parts.database)
        async with window(browser, "desktop", scripts=True) as page:
            await sign_in(page, address, parts, ada)
            await page.goto(f"{address}/desk/cases?q=N-0001")
            await page.get_by_role("link", name="Compensation and refunds").click()
            await page.get_by_role("link", name="261/2004").click()
            await page.get_by_label("Late on arrival").fill("250")
            await page.get_by_role("button", name="Work it out").click()
            assert "still to be found out" in await page.locator("#found").inner_text()
            await page.get_by_label("Length of the flight").fill("6100")
            await page.get_by_label("European Union").select_option("no")
            await page.get_by_role("button", name="Work it out").click()
            assert await page.locator("#found").inner_text() == "€600.00"
            await looked_at(page, "worked-out")
            await page.get_by_role("button", name="Grant and tell").click()
            await page.get_by_text("Done, and the customer is told.").wait_for()
            # The link that whoever wrote has shows the sum, and does not let them say where it goes.
            assert "€600.00" in (shown := (await web.get(written)).text)
            assert 'name="iban"' not in shown
            link = await the_link(parts)
            refused = await web.post(f"{written}/account", data={"entitlement": "1", "account_name": "X", "iban": "X"})
            assert refused.status_code == 409
            await page.goto(f"{address}{link.replace('lang=en', 'lang=nl')}")
            await looked_at(page, "entitled")
            await page.get_by_label("Rekeningnummer").fill("NL91 ABNA 0417 1643 01")
            await page.locator("form[action*=account] button").click()
            assert "niet lezen" in await page.locator("#account-error").inner_text()
            await page.get_by_label("Rekeningnummer").fill("NL91 ABNA 0417 1643 00")
            await page.locator("form[action*=account] button").click()
            assert "eindigt op 4300" in await page.inner_text("main")
            for language, words in {"de": "Anspruch", "fr": "droit", "es": "derecho"}.items():
                assert words in (await web.get(re.sub("lang=..", f"lang={language}", link))).text
            await page.goto(f"{address}/desk/payments")
            await looked_at(page, "payments")
            await page.get_by_role("button", name="Prepare a run").click()
            assert "somebody else must let it go" in await page.inner_text("main")
            assert (await page.context.request.get(f"{address}/desk/payments/1/file.xml")).status in (404, 409)
        async with window(browser, "desktop", scripts=True) as page:
            await sign_in(page, address, parts, ben)
            await page.goto(f"{address}/desk/payments/1")
            await page.get_by_role("button", name="Let it go").click()
            await looked_at(page, "run")
            assert "600.00" in await (await page.context.request.get(f"{address}/desk/payments/1/file.csv")).text()
            await page.get_by_role("button", name="It is paid").click()
            await page.goto(f"{address}{link}")
            assert "Paid on" in await page.inner_text("main")
    async with parts.database.transaction() as tx:
        looked = await (await driver(tx)).fetchval("SELECT count(*) FROM audit_log WHERE object LIKE '%payments%'")
    assert looked > 3
