"""Operations in the console: declare, write, have a second person approve, publish; correct it; miss a promise.

With STORMDESK_SCREENSHOTS=1 in the environment the pictures in docs/screenshots are taken again.
"""

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from playwright.async_api import Page

from app.wiring import Parts
from foundation.database import driver
from incidents import Component, Party, define_components, define_parties
from incidents.alert_payloads import Alert, Notice
from incidents.alerts import take_alerts
from notify.outbox import begin
from tests.integration.test_sign_in import MovingClock
from tests.journeys.test_desk import LOCAL, sign_in
from tests.support.browser import accessibility_faults, chromium, needs_chromium, scrolls_sideways, window
from tests.support.desk import a_person
from tests.support.people import COMPONENT, people
from tests.support.site import site
from tests.support.web import parts_for

pytestmark = needs_chromium

SCREENSHOTS = Path(__file__).resolve().parents[2] / "docs/screenshots"


@pytest.fixture
async def parts(database_url: str, tmp_path: Path) -> AsyncIterator[Parts]:
    made = parts_for(database_url, tmp_path, page_name="Northwind Air", desk_url=LOCAL, public_url=LOCAL)
    await people(made.database, 3)
    async with made.database.transaction() as tx:
        await define_parties(tx, [Party("dcs", "the check-in supplier", "supplier")])
        await define_components(tx, [Component(COMPONENT, "Check-in", "Airport", party="dcs")])
    yield made
    await made.database.close()


async def write(page: Page, language: str, **texts: str) -> None:
    for name, words in texts.items():
        await page.locator(f"[id='texts.{language}.{name}']").fill(words)


async def looked_at(page: Page, name: str) -> None:
    """The page as somebody sees it: by day and by night, on a desk and in a hand."""
    for width in (1280, 390):
        await page.set_viewport_size({"width": width, "height": 900})
        assert not await scrolls_sideways(page), (name, width)
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)
            if (scheme == "light") is (width == 1280):  # both widths and both colours, in two looks
                assert await accessibility_faults(page) == [], (name, width, scheme)
                if not os.environ.get("STORMDESK_SCREENSHOTS"):
                    continue
                screen = "phone" if width == 390 else "desktop"
                await page.screenshot(path=SCREENSHOTS / f"console-{name}-{screen}-{scheme}.png", full_page=True)
    await page.set_viewport_size({"width": 1280, "height": 900})
    await page.emulate_media(color_scheme="light")


async def test_declared_approved_by_a_second_person_published_and_corrected(parts: Parts) -> None:
    writer, approver = await a_person(parts, "wim", "operator"), await a_person(parts, "ada", "approver")
    async with (
        site(parts) as address,
        chromium() as browser,
        window(browser, "desktop", scripts=True) as page,
        window(browser, "desktop") as other,
    ):
        await sign_in(page, address, parts, writer)
        await page.goto(f"{address}/desk/incidents")
        assert await page.get_by_text("Nothing is going on.").is_visible()
        await page.keyboard.press("n")
        await page.wait_for_url("**/desk/incidents/new")
        await page.get_by_label("English").fill("Check-in does not work")
        await page.get_by_label("Nederlands").fill("Inchecken werkt niet")
        await page.get_by_label("Single components").fill("check in")
        await page.get_by_role("button", name="Declare").click()
        assert (
            await page.get_by_role("alert").get_by_text("Did you mean").is_visible()
            or await page.get_by_role("alert").get_by_text("There is no component called “check in”").is_visible()
        )
        assert await page.get_by_label("English").input_value() == "Check-in does not work"
        await looked_at(page, "declare")
        await page.get_by_label("Single components").fill("check-in")
        await page.get_by_role("button", name="Declare").click()
        await page.wait_for_url("**/updates/new")
        await page.get_by_label("Begin with a text for").select_option(index=0)
        await page.get_by_role("button", name="Fill in").click()
        await page.wait_for_url("**/updates/new?template=*")
        await write(
            page,
            "en",
            title="Check-in does not work",
            body="You cannot check in now, because of a failure at our supplier.",
            advice="Come to the airport as planned.",
        )
        await write(
            page,
            "nl",
            title="Inchecken werkt niet",
            body="U kunt nu niet inchecken.",
            advice="Kom naar de luchthaven zoals gepland.",
        )
        # The preview follows what is typed, and flags the cause that nobody has confirmed.
        preview = page.locator("[data-preview-here]")
        await preview.get_by_text("Says the cause as a fact").first.wait_for()
        assert await preview.get_by_text("3 recipients").is_visible()
        await looked_at(page, "write")
        await page.get_by_role("button", name="Save, and see what goes out").click()
        await page.wait_for_url("**/desk/updates/*")
        assert await page.get_by_text("Somebody else must approve this.").is_visible()
        assert await page.get_by_role("button", name="Approve exactly this").count() == 0
        await looked_at(page, "approve")
        update = page.url
        await sign_in(other, address, parts, approver, later=1)
        await other.goto(update)
        await other.get_by_role("button", name="Approve exactly this").click()
        assert await other.get_by_text("approved", exact=True).first.is_visible()
        await page.reload()
        await page.get_by_role("button", name="Publish to 3 people").click()
        assert await page.get_by_text("How it arrives").is_visible()
        assert await page.get_by_text("0 of 3 told").first.is_visible()
        await looked_at(page, "arriving")
        await shown_outside(address, "Check-in does not work")
        await take(parts)
        await page.reload()
        await page.get_by_role("link", name="Something in it is wrong: correct it").click()
        await write(
            page,
            "en",
            title="Check-in works again, our last message was wrong",
            body="Check-in is back.",
            advice="Check in as usual.",
            wrong="We said that a supplier failed. That is not known.",
        )
        await write(
            page,
            "nl",
            title="Inchecken werkt weer, ons vorige bericht klopte niet",
            body="Inchecken werkt weer.",
            advice="Check in zoals altijd.",
            wrong="We zeiden dat een leverancier faalde. Dat is niet bekend.",
        )
        await page.get_by_role("button", name="Save, and see what goes out").click()
        await page.wait_for_url("**/desk/updates/*")
        await other.goto(page.url)
        await other.get_by_role("button", name="Approve exactly this").click()
        await page.reload()
        await page.get_by_role("button", name="Publish to 3 people").click()
        await page.get_by_text("How it arrives").wait_for()
        await page.goto(update)
        assert await page.get_by_text("Withdrawn.").is_visible()
        await shown_outside(address, "We said that a supplier failed")
        await page.goto(f"{address}/desk/incidents")
        await looked_at(page, "incidents")
        await page.get_by_role("link", name="Check-in does not work").click()
        assert await page.get_by_text("From knowing to telling").is_visible()
        await looked_at(page, "incident")


async def test_a_missed_promise_is_to_be_seen_at_once(parts: Parts) -> None:
    clock = MovingClock(parts.clock())
    parts = replace(parts, clock=clock)
    commander = await a_person(parts, "lee", "commander")
    async with site(parts) as address, chromium() as browser, window(browser, "phone") as page:
        await sign_in(page, address, parts, commander)
        await page.goto(f"{address}/desk/incidents/new")
        await page.get_by_label("English").fill("Check-in does not work")
        await page.get_by_label("Nederlands").fill("Inchecken werkt niet")
        await page.get_by_label("Airport").check()
        await page.get_by_role("button", name="Declare").click()
        await write(page, "en", title="Check-in does not work", body="We look into it.", advice="Come as planned.")
        await write(page, "nl", title="Inchecken werkt niet", body="We zoeken het uit.", advice="Kom zoals gepland.")
        await page.get_by_label("Next update by").fill(f"{clock.at + timedelta(minutes=10):%Y-%m-%dT%H:%M}")
        await page.get_by_role("button", name="Save, and see what goes out").click()
        await page.get_by_text("Emergency: do without an approval").click()
        await page.get_by_label("Why this cannot wait").fill("Everybody else is on the same broken flight.")
        await page.get_by_role("button", name="Do without").click()
        assert await page.get_by_text("nobody, in an emergency: Everybody else").is_visible()
        await page.get_by_role("button", name="Publish to 3 people").click()
        await page.get_by_text("How it arrives").wait_for()
        clock.at += timedelta(minutes=12)
        await page.goto(f"{address}/desk/incidents")
        assert await page.get_by_text("update late since").is_visible()


async def test_what_an_alert_opened_is_declared_and_its_scope_changed_and_looked_back_on(parts: Parts) -> None:
    async with parts.database.transaction() as tx:
        await define_components(tx, [Component("bags", "Baggage", "Airport")])
        connection = await driver(tx)
        await connection.execute(
            "INSERT INTO exposures (customer_id, component_key) SELECT id, 'bags' FROM customers WHERE number = 'C3'"
        )
    checkin, other = await opened_by(parts, "CheckInDown", component=COMPONENT), await opened_by(parts, "DiskFull")
    lee = await a_person(parts, "lee", "commander")
    async with site(parts) as address, chromium() as browser, window(browser, "desktop", scripts=True) as page:
        await sign_in(page, address, parts, lee)
        await page.goto(f"{address}/desk/incidents/{other}")
        assert await page.get_by_text("told 1 time").is_visible()
        await page.get_by_text("This is no incident").click()
        await page.get_by_role("button", name="Dismiss it").click()
        assert await page.get_by_role("alert").get_by_text("Say why this is no incident.").is_visible()
        await page.get_by_label("Why it is none").fill("A disk of the printers.")
        await page.get_by_role("button", name="Dismiss it").click()
        assert await page.get_by_text("it is no incident").is_visible()
        await page.goto(f"{address}/desk/incidents/{checkin}")
        await looked_at(page, "draft")
        await page.get_by_role("link", name="Declare it").click()
        await page.get_by_label("English").fill("Check-in does not work")
        await page.get_by_label("Nederlands").fill("Inchecken werkt niet")
        await page.get_by_role("button", name="Declare").click()
        await page.wait_for_url("**/updates/new")
        await first_word(page)
        # Three were told. Now it is the bags: two are concerned no longer, and nobody hears of it by the change itself.
        await page.goto(f"{address}/desk/incidents/{checkin}")
        await page.get_by_role("link", name="Whom it concerns").click()
        await page.get_by_label("Single components").fill("Baggage")
        await page.get_by_role("button", name="The same, with some of the people").click()
        assert await page.get_by_text("2 no longer. 1 draft is made.").is_visible()
        assert await page.get_by_text("C3: Baggage").is_visible()
        await looked_at(page, "scope")
        await page.get_by_role("button", name="Change it").click()
        assert await page.get_by_text("for those concerned no longer").is_visible()
        async with parts.database.transaction() as tx:
            await (await driver(tx)).execute(
                "UPDATE incidents SET phase = 'resolved', resolved_at = now() WHERE id = $1", checkin
            )
        await page.goto(f"{address}/desk/incidents/{checkin}")
        await page.get_by_role("link", name="What we learnt").click()
        await page.get_by_label("English").fill("A cable broke. There are two now.")
        await page.get_by_role("button", name="Save the draft").click()
        assert await page.get_by_role("alert").is_visible()
        await page.get_by_label("Nederlands").fill("Een kabel brak. Er zijn er nu twee.")
        await page.get_by_role("button", name="Save the draft").click()
        await looked_at(page, "postmortem")
        await page.get_by_role("button", name="Publish this draft").click()
        assert await page.get_by_text("Published, number 1").is_visible()


async def test_work_is_planned_moved_begun_and_ended(parts: Parts) -> None:
    clock = MovingClock(parts.clock())
    parts = replace(parts, clock=clock)
    wim = await a_person(parts, "wim", "operator")
    async with site(parts) as address, chromium() as browser, window(browser, "phone", scripts=True) as page:
        await sign_in(page, address, parts, wim)
        await page.goto(f"{address}/desk/incidents")
        await page.get_by_role("link", name="Planned work").click()
        await page.get_by_role("link", name="Plan work").click()
        await page.get_by_label("English").fill("New check-in desks")
        await page.get_by_label("Nederlands").fill("Nieuwe incheckbalies")
        await page.get_by_label("Begins", exact=True).fill(f"{clock.at + timedelta(hours=2):%Y-%m-%dT%H:%M}")
        await page.get_by_label("Ends", exact=True).fill(f"{clock.at + timedelta(hours=1):%Y-%m-%dT%H:%M}")
        await page.get_by_label("Airport").check()
        await page.get_by_role("button", name="Plan it").click()
        assert await page.get_by_role("alert").get_by_text("Work ends after it begins").is_visible()
        await page.get_by_label("Ends", exact=True).fill(f"{clock.at + timedelta(hours=3):%Y-%m-%dT%H:%M}")
        assert await accessibility_faults(page) == []
        await page.get_by_role("button", name="Plan it").click()
        assert await page.get_by_text("It is planned.").is_visible()
        await page.get_by_text("Move it").click()
        await page.get_by_label("Begins", exact=True).fill(f"{clock.at + timedelta(hours=1):%Y-%m-%dT%H:%M}")
        await page.get_by_role("button", name="Save").click()
        assert await page.get_by_text("The times are changed.").is_visible()
        await looked_at(page, "work")
        await page.get_by_role("link", name="Write an update that announces it").click()
        await write(page, "en", title="New desks", body="We move check-in.", advice="Come as usual.")
        await write(page, "nl", title="Nieuwe balies", body="We verhuizen de balies.", advice="Kom zoals altijd.")
        await page.get_by_role("button", name="Save, and see what goes out").click()
        assert await page.get_by_text("Somebody else must approve this.").is_visible()
        await page.get_by_role("link", name="New check-in desks").click()
        await page.get_by_role("link", name="Begin, end or move the work").click()
        await page.get_by_role("button", name="Begin now").click()
        assert await page.get_by_text("under way").is_visible()
        await page.get_by_role("button", name="End now").click()
        assert await page.get_by_text("completed").is_visible()
        await page.get_by_role("link", name="Planned work").click()
        assert await accessibility_faults(page) == []


async def opened_by(parts: Parts, name: str, **labels: str) -> str:
    """The draft that an alert of this name opens."""
    now = parts.clock()
    alert = Alert(name, "firing", {"alertname": name, **labels}, {"summary": f"{name} since noon"}, now, None)
    async with parts.database.transaction() as tx:
        taken = await take_alerts(tx, Notice("prometheus", name, name, [alert]), now=now)
    assert taken.incident_id is not None
    return taken.incident_id


async def first_word(page: Page) -> None:
    """Write and publish the first update, in an emergency without a second person."""
    await write(page, "en", title="Check-in does not work", body="We look into it.", advice="Come as planned.")
    await write(page, "nl", title="Inchecken werkt niet", body="We zoeken het uit.", advice="Kom zoals gepland.")
    await page.get_by_role("button", name="Save, and see what goes out").click()
    await page.get_by_text("Emergency: do without an approval").click()
    await page.get_by_label("Why this cannot wait").fill("Everybody else is on the same broken flight.")
    await page.get_by_role("button", name="Do without").click()
    await page.get_by_role("button", name="Publish to 3 people").click()
    await page.get_by_text("How it arrives").wait_for()


async def shown_outside(address: str, words: str) -> None:
    """The page and the feed say it."""
    async with httpx2.AsyncClient(base_url=address) as reader:
        for path in ("/?lang=en", "/feed.atom?lang=en"):
            assert words in (await reader.get(path)).text, path


async def take(parts: Parts) -> None:
    """All that waits is accepted, as if it had been sent."""
    async with parts.database.transaction() as tx:
        connection = await begin(tx)
        await connection.execute(
            "UPDATE deliveries SET state = 'accepted', attempt = 1, final_at = $1 WHERE final_at IS NULL",
            datetime.now(UTC),
        )
        await (await driver(tx)).execute("DELETE FROM batches")
