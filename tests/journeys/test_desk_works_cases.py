"""Agents work cases in the console, and customers see what comes of it: decided and appealed, taken apart, looked at.

With STORMDESK_SCREENSHOTS=1 in the environment the pictures in docs/screenshots are taken again.
"""

import os
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from playwright.async_api import Page

from app.wiring import Parts
from foundation.database import Database
from incidents import register_components
from tests.support.browser import SCREENS, accessibility_faults, chromium, needs_chromium, scrolls_sideways, window
from tests.support.claimants import a_customer, resolve
from tests.support.desk import PASSWORD, Person, a_person
from tests.support.incidents import a_draft, declared, say
from tests.support.site import site
from tests.support.web import parts_for

pytestmark = needs_chromium

SCREENSHOTS = Path(__file__).resolve().parents[2] / "docs/screenshots"
TITLE = {
    "en": "Snowstorm: flights from New York and Newark cancelled",
    "nl": "Sneeuwstorm: vluchten vanuit New York en Newark geannuleerd",
}
STORY = "My flight to Boston was cancelled and I paid for a hotel. I would like my money back."


@pytest.fixture
async def parts(database: Database, database_url: str, tmp_path: Path) -> AsyncIterator[Parts]:
    """A site that knows Johanna and Ben, in an incident."""
    now = datetime.now(UTC)
    async with database.transaction() as tx:
        await register_components(tx, ["DL1117"])
        incident = await declared(tx, title=TITLE, components=["DL1117"], started_at=now, now=now)
        await say(tx, incident, a_draft(next_update_at=now + timedelta(minutes=90)), now=now)
    for name, number, mail in [
        ("Johanna van der Velde", "NY00412907", "johanna@postbus.example"),
        ("Ben Bos", "NY00771204", "ben@bos.example"),
    ]:
        await a_customer(database, name, number=number, mails=[mail], references=["7QX4ZD"], component="DL1117")
    made = parts_for(database_url, tmp_path, page_name="Northwind Air", page_time_zone="America/New_York")
    yield made
    await made.database.close()


async def sign_in(page: Page, address: str, parts: Parts, person: Person) -> None:
    await page.goto(f"{address}/desk/sign-in")
    await page.get_by_label("Name").fill(person.name)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_label("Code from your authenticator app").fill(person.code(parts))
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url("**/desk/account")


async def tell(address: str, parts: Parts, **said: str) -> str:
    """Send a contact and let it find its case; the address of its link."""
    async with httpx2.AsyncClient(base_url=address) as web:
        answer = await web.post("/api/v1/contacts", json=said)
    await resolve(parts.database)
    url: str = answer.json()["track_url"]
    return url.replace("https://status.example.com", address)


async def test_a_rejection_is_read_with_its_reason_and_appealed_on_a_phone_without_scripts(parts: Parts) -> None:
    noor = await a_person(parts, "noor", "agent")
    async with site(parts) as address, chromium() as browser:
        link = await tell(address, parts, message=STORY, customer_number="NY00412907", asks_for="refund")
        async with window(browser, "desktop", guarded=True) as desk, window(browser, "phone") as phone:
            said: list[str] = []
            desk.on("console", lambda one: said.append(one.text) if "Security Policy" in one.text else None)
            await sign_in(desk, address, parts, noor)
            await desk.goto(f"{address}/desk/cases")
            # By keys alone: down to the first row, open it, and decide.
            await desk.keyboard.press("j")
            await desk.keyboard.press("Enter")
            await desk.wait_for_url("**/desk/cases/C-*")
            await desk.keyboard.press("d")
            await desk.get_by_label("rejected").check()
            await desk.get_by_label("Reason").select_option("no_proof")
            await desk.get_by_role("button", name="Decide and tell").click()
            assert await desk.get_by_text("Say why, in words that the customer understands.").first.is_visible()
            assert await desk.get_by_label("rejected").is_checked()
            await desk.get_by_label("In words, to the customer").fill("Please send us the bill of the hotel.")
            await desk.get_by_role("button", name="Decide and tell").click()
            await desk.wait_for_url("**did=decide*")
            await phone.goto(link)
            for words in (
                "We need proof that we do not have yet.",
                "Please send us the bill of the hotel.",
                "rejected",
            ):
                assert await phone.get_by_text(words).first.is_visible(), words
            await phone.get_by_text("Appeal", exact=True).click()
            await phone.get_by_label("What should we look at again?").fill("I sent the bill yesterday.")
            await phone.get_by_role("button", name="Send the appeal").click()
            assert await phone.get_by_text("You appealed. We decide by").is_visible()
            await desk.goto(f"{address}/desk/cases")
            assert await desk.get_by_text("appeal", exact=True).is_visible()
            assert said == []


async def test_a_wrong_join_is_taken_apart_and_both_see_only_their_own(parts: Parts) -> None:
    """Two of a family share a mail address, and the agent finds out when both have been answered as one."""
    noor = await a_person(parts, "noor", "agent")
    shared = {"email": "family@home.example", "name": "Kim Kok"}
    async with site(parts) as address, chromium() as browser:
        kim = await tell(address, parts, message="Kim speaking: my flight", **shared, asks_for="refund")
        son = await tell(address, parts, message="Kim junior here: my suitcase", **shared, asks_for="refund")
        async with window(browser, "desktop", guarded=True) as desk, window(browser, "phone") as phone:
            await sign_in(desk, address, parts, noor)
            await desk.goto(f"{address}/desk/cases/C-100001")
            await desk.get_by_label(re.compile("Your answer")).fill("Dear Kim, your flight is paid back.")
            await desk.locator("#reply").get_by_role("button", name="Send").click()
            await desk.wait_for_url("**did=reply*")
            await phone.goto(son)
            assert await phone.get_by_text("your flight is paid back").is_visible()
            assert await phone.get_by_role("heading", name="Your case C-100001", exact=True).is_visible()
            await desk.locator(".told-contact", has_text="Kim junior").get_by_label("somebody else's").check()
            await desk.keyboard.press("s")
            await desk.locator("#split-why").fill("Father and son share a mail address")
            await desk.locator("#split-form").get_by_role("button", name="Take apart").click()
            await desk.wait_for_url("**did=split*")
            assert await desk.get_by_text("my suitcase").count() == 0
            for link, own, others in (
                (kim, "my flight", "my suitcase"),
                (son, "my suitcase", "your flight is paid back"),
            ):
                await phone.goto(link)
                assert await phone.get_by_text(own).first.is_visible()
                assert await phone.get_by_text(others).count() == 0
            assert await phone.get_by_role("heading", name="Your case C-100002", exact=True).is_visible()
            # The son was not answered after all.
            assert await phone.get_by_text("A person answers you by").is_visible()
            await desk.get_by_placeholder("Why").fill("One person after all")
            await desk.get_by_role("button", name="Undo").click()
            await desk.wait_for_url("**did=undo*")
            await phone.reload()
            assert await phone.get_by_text("your flight is paid back").is_visible()


async def test_two_agents_on_one_case_see_each_other_and_the_second_is_told(parts: Parts) -> None:
    people = [await a_person(parts, name, "agent") for name in ("noor", "sam")]
    async with site(parts) as address, chromium() as browser:
        await tell(address, parts, message=STORY, customer_number="NY00412907")
        async with (
            window(browser, "desktop", guarded=True) as one,
            window(browser, "desktop", guarded=True) as other,
        ):
            for page, person in zip((one, other), people, strict=True):
                await sign_in(page, address, parts, person)
                await page.goto(f"{address}/desk/cases/C-100001")
            assert await other.get_by_text("Also open at: Noor").is_visible()
            await one.evaluate("watch(document.querySelector('[data-presence]'))")
            await one.get_by_text("Also open at: Sam").wait_for()
            await one.get_by_label("Your answer, in English").fill("You can fly on Sunday.")
            await one.locator("#reply").get_by_role("button", name="Send").click()
            await one.wait_for_url("**did=reply*")
            await other.get_by_label("Your answer, in English").fill("You can fly on Monday.")
            await other.locator("#reply").get_by_role("button", name="Send").click()
            assert await other.get_by_text("noor changed case C-100001 while you had it open").first.is_visible()
            # What was typed is still there.
            assert await other.get_by_label("Your answer, in English").input_value() == "You can fly on Monday."


async def test_every_page_of_cases_can_be_used_by_everybody_on_every_screen(parts: Parts) -> None:
    """Axe finds nothing, light and dark; nothing scrolls sideways; and pictures, when they are asked for."""
    noor = await a_person(parts, "noor", "agent")
    async with site(parts) as address, chromium() as browser, window(browser, "desktop", scripts=True) as page:
        link = await _a_storm(address, parts)
        await sign_in(page, address, parts, noor)
        await page.goto(f"{address}/desk/cases/C-100001")
        await _work(page)
        # The queue tells whose it is once somebody has it.
        pages = {
            "desk-cases": "/desk/cases",
            "desk-case": "/desk/cases/C-100001",
            "desk-review": "/desk/review",
            "desk-replies": "/desk/replies",
            "track-decided": link.removeprefix(address),
        }
        for name, path in pages.items():
            for screen, (width, height) in SCREENS.items():
                await page.set_viewport_size({"width": width, "height": height})
                for scheme in ("light", "dark"):
                    await page.emulate_media(color_scheme=scheme)
                    await page.goto(address + path)
                    assert not await scrolls_sideways(page), f"{name} {screen}"
                    if scheme == "light" or screen == "phone":
                        assert await accessibility_faults(page) == [], f"{name} {screen} {scheme}"
                    await _picture(page, f"{name}-{screen}-{scheme}")


async def _a_storm(address: str, parts: Parts) -> str:
    """Several people write; the link of the first."""
    link = await tell(
        address,
        parts,
        message=STORY,
        customer_number="NY00412907",
        name="Johanna van der Velde",
        email="johanna@postbus.example",
        asks_for="refund",
    )
    await tell(
        address, parts, message="I also had dinner: 34 dollars.", customer_number="NY00412907", asks_for="expenses"
    )
    await tell(address, parts, message="Kan ik zondag vliegen?", customer_number="NY00771204", language="nl")
    await tell(address, parts, message="Please call me", name="Kim Kok", phone="+1 212 555 0142", asks_for="call_back")
    return link


async def _work(page: Page) -> None:
    """An agent takes the case over, answers it and decides."""
    await page.get_by_role("button", name="Mine").click()
    await page.wait_for_url("**did=mine*")
    await page.get_by_label(re.compile("Your answer")).fill("We are sorry about your night at the airport.")
    await page.locator("#reply").get_by_role("button", name="Send").click()
    await page.wait_for_url("**did=reply*")
    await page.get_by_text("Decide", exact=False).first.click()
    await page.get_by_label("granted in part").check()
    await page.get_by_label("Reason").select_option("part_is_covered")
    await page.get_by_label("In words, to the customer").fill(
        "The ticket is paid back; the hotel is not, without its bill."
    )
    await page.get_by_role("button", name="Decide and tell").click()
    await page.wait_for_url("**did=decide*")


async def _picture(page: Page, name: str) -> None:
    if os.environ.get("STORMDESK_SCREENSHOTS"):
        await page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
