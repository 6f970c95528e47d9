"""An agent offers a technician's visit that rests on a component, and the customer says yes to it on their page."""

from datetime import UTC, datetime, timedelta

import httpx2

from app.asgi import claims_writer
from app.wiring import Parts
from claims.offering import Offering
from tests.journeys.test_desk_pays import looked_at, parts, the_link
from tests.journeys.test_desk_works_cases import sign_in
from tests.support.browser import chromium, needs_chromium, window
from tests.support.claimants import resolve
from tests.support.desk import a_person
from tests.support.site import site

__all__ = ["parts"]
pytestmark = needs_chromium


async def test_from_an_offer_to_a_yes(parts: Parts) -> None:
    ada = await a_person(parts, "ada", "agent")
    async with site(parts) as address, httpx2.AsyncClient(base_url=address) as web, chromium() as browser:
        said = {"customer_number": "N-0001", "message": "When do you come?", "asks_for": "rebooking"}
        await web.post("/api/v1/contacts", json=said)
        await resolve(parts.database)
        async with window(browser, "desktop", scripts=True) as page:
            await sign_in(page, address, parts, ada)
            await page.goto(f"{address}/desk/cases?q=N-0001")
            await page.get_by_role("link", name="Offers").click()
            later = (datetime.now(UTC) + timedelta(days=2)).strftime("%Y-%m-%dT%H:%M")
            await page.get_by_label("What", exact=True).select_option("technician")
            await page.get_by_label("When", exact=True).fill(later)
            await page.get_by_label("To be answered by").fill(later)
            await page.get_by_label("In words").fill("Kees comes by with a new modem between nine and twelve.")
            await page.get_by_label("This works").select_option("DL1117")
            await page.get_by_role("button", name="Hold the offer").click()
            await looked_at(page, "offers")
            assert await Offering(parts.database, claims_writer(parts), parts.clock).step()
            link = (await the_link(parts)).replace("lang=en", "lang=nl")
        async with window(browser, "phone") as page:  # no script
            await page.goto(address + link)
            await page.get_by_role("button", name="Ja, graag").click()
            assert "aangenomen" in await page.inner_text("main")
        async with window(browser, "phone", scripts=True) as page:
            await page.goto(address + link)
            await looked_at(page, "offer-accepted")
