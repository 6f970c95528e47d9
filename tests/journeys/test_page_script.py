"""What the page does where there is JavaScript, under its own policy: it filters, counts down and renews itself."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.async_api import expect
from starlette.applications import Starlette
from starlette.routing import Route

from app.live import Live
from app.public_page import PageStore
from foundation.clock import system_clock
from foundation.database import Database
from incidents import Component, define_components
from tests.support.browser import chromium, needs_chromium, window
from tests.support.incidents import a_draft, a_page, declared, say, texts
from tests.support.pages import served

pytestmark = needs_chromium


@pytest.fixture
async def incident(database: Database, tmp_path: Path) -> str:
    """The id of an incident of flights of one group, told just now; its page is in `tmp_path`."""
    now = system_clock()
    async with database.transaction() as tx:
        cities = {"Boston": "b", "Málaga": "m"}
        flights = [Component(f"{key}-{n}", f"DL {n}", f"To {city}") for city, key in cities.items() for n in range(12)]
        await define_components(tx, flights)
        made = await declared(tx, components=["b-0"], started_at=now, now=now)
        await say(tx, made, a_draft(next_update_at=now + timedelta(minutes=25, seconds=30)), now=now)
    await a_page(tmp_path, system_clock).refresh(database)
    return made


@pytest.fixture
async def address(incident: str, tmp_path: Path) -> AsyncIterator[str]:
    store = PageStore(tmp_path)
    live = Live(store)
    async with served(store, Starlette(routes=[Route("/events", live.events)])) as port:
        yield f"http://127.0.0.1:{port}"
        live.close()


async def test_a_page_with_its_script(database: Database, incident: str, address: str, tmp_path: Path) -> None:
    complaints: list[str] = []
    async with chromium() as browser, window(browser, "phone", guarded=True) as page:
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        async with page.expect_response("**/events"):
            await page.goto(address)

        countdown = page.locator("time[data-countdown] + .from-now").first
        await expect(countdown).to_have_text(re.compile(r"^\(in 2[345] minutes\)$"))

        boston, malaga = page.locator("details.group").nth(0), page.locator("details.group").nth(1)
        before = await malaga.get_attribute("open")
        field = page.locator("[data-filter]")
        await field.fill("dl 11")
        await expect(page.locator("#found")).to_have_text("Found: 2")
        await expect(malaga.get_by_text("DL 11")).to_be_visible()
        await expect(malaga.get_by_text("DL 2")).to_be_hidden()
        await field.fill("none such")
        await expect(page.locator("#found")).to_have_text("Nothing is called that.")
        await expect(boston).to_be_hidden()
        await field.fill("")
        await expect(boston).to_be_visible()
        assert await malaga.get_attribute("open") == before

        await malaga.locator("summary").first.focus()
        if before is None:
            await page.keyboard.press("Enter")
        now = system_clock()
        async with database.transaction() as tx:
            said = texts(title="Check-in works again at half of the desks")
            await say(tx, incident, a_draft(texts=said, next_update_at=now + timedelta(hours=2)), now=now)
        await a_page(tmp_path, system_clock).refresh(database)
        await expect(page.get_by_text("Check-in works again at half of the desks").first).to_be_visible(timeout=20_000)
        await expect(page.locator("#news")).not_to_be_empty()
        renewed = page.locator("details.group").nth(1)
        await expect(renewed).to_have_attribute("open", "")
        await expect(renewed.locator("summary").first).to_be_focused()
        await expect(countdown).to_have_text(re.compile(r"^\(in 1 hour\)$"))
    assert complaints == []
