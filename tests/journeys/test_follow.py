"""Somebody follows a disruption: finds the link, types an address, confirms by mail, hears the next update, and stops.

On a phone, without JavaScript, with a keyboard, with a screen reader's rules; and a machine follows by webhook.
With STORMDESK_SCREENSHOTS=1 in the environment the pictures in docs/screenshots are taken again.
"""

import asyncio
import email
import email.policy
import json
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from playwright.async_api import Page

from app.asgi import status_page
from app.loops import Loop, keep, run
from app.wiring import Parts
from app.worker import confirmations, mail_sender
from foundation.database import driver
from incidents import UpdateText, register_components
from notify.channels.webhook import WebhookChannel
from notify.sender import Sender
from notify.subscriptions import stop_token
from tests.support.browser import LOOKS, accessibility_faults, chromium, needs_chromium, scrolls_sideways, window
from tests.support.followers import NEAR, OUTSIDE, Call, Machine, certificate, reply, resolver
from tests.support.incidents import a_draft, declared, say
from tests.support.ports import free_port
from tests.support.relays import Sink, needs_smtp_sink, smtp_sink
from tests.support.site import site
from tests.support.web import parts_for

SCREENSHOTS = Path(__file__).resolve().parents[2] / "docs/screenshots"
TITLE = {"en": "Flights from New York cancelled", "nl": "Vluchten vanuit New York geannuleerd"}


@pytest.fixture
async def here(database_url: str, tmp_path: Path) -> AsyncIterator[tuple[str, Parts, str, Sink]]:
    """The address of a site in an incident, its parts, the incident, and the mail server that its worker sends to."""
    with smtp_sink() as sink:
        parts = parts_for(
            database_url,
            tmp_path,
            page_name="Northwind Air",
            page_time_zone="America/New_York",
            smtp_urls=(f"smtp://127.0.0.1:{sink.port}",),
        )
        now = datetime.now(UTC)
        async with parts.database.transaction() as tx:
            await register_components(tx, ["DL1117"])
            incident = await declared(tx, title=TITLE, components=["DL1117"], started_at=now, now=now)
            await say(tx, incident, a_draft(next_update_at=now + timedelta(minutes=90)), now=now)
        await status_page(parts).refresh(parts.database)
        async with site(parts) as address:
            # Links in mails lead to where the site really is, so that the browser can follow them.
            yield address, replace(parts, settings=replace(parts.settings, public_url=address)), incident, sink
        await parts.database.close()


@asynccontextmanager
async def working(parts: Parts, *senders: Sender) -> AsyncIterator[None]:
    """The loops of a worker that concern followers."""
    stop = asyncio.Event()
    loops: dict[str, Loop] = {
        "following": partial(keep, confirmations(parts).step, idle_seconds=0.05),
        "mail": mail_sender(parts).run,
    }
    loops |= {f"sender {n}": sender.run for n, sender in enumerate(senders)}
    running = asyncio.create_task(run(loops, stop))
    try:
        yield
    finally:
        stop.set()
        await running


async def mail_to(sink: Sink, address: str, number: int = 1) -> str:
    """The text of mail `number` to `address`, once it is there."""
    async with asyncio.timeout(30):
        while True:
            raw = await asyncio.to_thread(lambda: sink.dump.read_bytes() if sink.dump.exists() else b"")
            mails = [
                email.message_from_bytes(one.lstrip(b"\n"), policy=email.policy.default)
                for one in re.split(rb"(?m)^X-Client-Addr:[^\n]*\n", raw)[1:]
            ]
            mine = [one for one in mails if one["To"] == address and not one.defects]
            if len(mine) >= number:
                body = mine[number - 1].get_body(("plain",))
                assert body is not None
                return str(body.get_content())
            await asyncio.sleep(0.05)


async def publish(parts: Parts, incident: str, title: str) -> None:
    now = datetime.now(UTC)
    said = {tag: UpdateText(title, "The airport is open again.", "Come to the gate.") for tag in ("en", "nl")}
    async with parts.database.transaction() as tx:
        await say(tx, incident, a_draft(texts=said, next_update_at=now + timedelta(minutes=90)), now=now)


@needs_chromium
@needs_smtp_sink
async def test_a_reader_follows_by_mail_without_javascript_and_stops(
    here: tuple[str, Parts, str, Sink],
) -> None:
    address, parts, incident, sink = here
    async with working(parts), chromium() as browser, window(browser, "phone") as page:
        await page.goto(f"{address}/incidents/{incident}")
        await page.get_by_role("link", name="Follow this disruption").click()
        await page.get_by_label("Your mail address").fill("Johanna@postbus.example")
        await page.get_by_role("button", name="Send me updates").click()
        assert await page.get_by_role("heading", name="One more step").is_visible()
        asked = await mail_to(sink, "johanna@postbus.example")
        assert "Flights from New York cancelled" in asked
        link = re.search(r"http://\S+/follow/confirm/\S+", asked)
        assert link is not None
        await publish(parts, incident, "Too early for who has not confirmed")
        await page.goto(link[0])
        await page.get_by_role("button", name="Yes, send me updates").click()
        assert await page.get_by_role("heading", name="You will hear from us").is_visible()
        await publish(parts, incident, "Flights leave again")
        update = await mail_to(sink, "johanna@postbus.example", 2)
        assert "Flights leave again" in update
        assert "Too early" not in update
        leave = re.search(r"http://\S+/u/\S+", update)
        assert leave is not None
        await page.get_by_role("link", name="Stop these updates").click()
        await page.get_by_role("button", name="Yes, stop them").click()
        assert await page.get_by_role("heading", name="No more updates").is_visible()
        assert (await page.goto(leave[0])) is not None
        assert await page.get_by_role("button").count() > 0
    async with parts.database.transaction() as tx:
        assert await (await driver(tx)).fetchval("SELECT count(*) FROM followers") == 0


@needs_smtp_sink
async def test_a_machine_follows_by_webhook_over_tls(here: tuple[str, Parts, str, Sink], tmp_path: Path) -> None:
    address, parts, incident, _ = here

    def answer(call: Call) -> bytes:
        return reply("200 OK", call.json["confirmation"]["challenge"] if "confirmation" in call.json else "")

    server, trusting = certificate(tmp_path, "hooks.example.com")
    machine, port = Machine(answer), free_port()
    channel = WebhookChannel(
        parts.tokens, public_url=address, reach=NEAR, resolve=resolver([OUTSIDE]), tls=trusting, clock=parts.clock
    )
    webhooks = Sender(parts.database, channel, connections=2, depth=5, idle_seconds=0.05)
    async with machine.running(port=port, tls=server), working(parts, webhooks):
        async with chromium() as browser, window(browser, "desktop") as page:
            await page.goto(f"{address}/follow?incident={incident}")
            await page.get_by_text("Have every update posted to a server of yours").click()
            await page.get_by_label("Address of your webhook").fill(f"https://hooks.example.com:{port}/news")
            await page.get_by_role("button", name="Post updates to it").click()
            assert await page.get_by_role("heading", name="One more step").is_visible()
        await _until(parts, "SELECT count(*) FROM followers", 1)
        await publish(parts, incident, "Flights leave again")
        async with asyncio.timeout(30):
            while len(machine.calls) < 2:  # noqa: ASYNC110 (another task appends)
                await asyncio.sleep(0.02)
    question, news = machine.calls
    assert question.json["meta"]["secret"]
    assert news.json["incident"]["id"] == incident
    assert json.dumps(news.json).count("The airport is open again.") == 1
    assert "secret" not in news.json["meta"]


@needs_chromium
@needs_smtp_sink
async def test_the_keyboard_is_enough(here: tuple[str, Parts, str, Sink]) -> None:
    address, *_ = here
    async with chromium() as browser, window(browser, "desktop", language="nl-NL") as page:
        await page.goto(f"{address}/follow")
        await page.get_by_label("Uw mailadres").focus()
        await page.keyboard.type("geen adres")
        await page.keyboard.press("Enter")
        await page.locator("#email-error").wait_for()
        await page.locator("#email").fill("")
        await page.locator("#email").focus()
        await page.keyboard.type("johanna@postbus.example")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/follow/asked**")


@needs_chromium
@needs_smtp_sink
async def test_the_pages_read_well_everywhere(here: tuple[str, Parts, str, Sink]) -> None:
    address, parts, incident, sink = here
    async with working(parts), chromium() as browser, window(browser, "phone") as page:
        await page.goto(f"{address}/follow?incident={incident}")
        await page.get_by_label("Your mail address").fill("johanna@postbus.example")
        await page.get_by_role("button", name="Send me updates").click()
        link = re.search(r"http://\S+/follow/confirm/\S+", await mail_to(sink, "johanna@postbus.example"))
        assert link is not None
    async with parts.database.transaction() as tx:
        number = await (await driver(tx)).fetchval("SELECT number FROM customers WHERE kind = 'subscriber'")
    stop = f"{address}/follow/stop/{stop_token(parts.tokens, number)}"
    async with chromium() as browser:
        for screen, scheme in LOOKS:
            async with window(browser, screen, scheme, scripts=True) as page:
                await _tour(page, address, incident, (link[0], stop), f"{screen}-{scheme}")


async def _tour(page: Page, address: str, incident: str, links: tuple[str, str], name: str) -> None:
    """Every page of following, once each, looked at by the checker."""
    await _reads_well(page, f"{address}/", f"follow-index-{name}")
    await _reads_well(page, f"{address}/incidents/{incident}", f"follow-incident-{name}")
    await _reads_well(page, f"{address}/follow?incident={incident}", f"follow-{name}")
    await page.locator("summary").click()
    await page.locator("#url").fill("https://127.0.0.1/")
    await page.get_by_role("button", name="Post updates to it").click()
    await _reads_well(page, None, f"follow-fault-{name}")
    await _reads_well(page, f"{address}/follow/asked", f"follow-asked-{name}")
    await _reads_well(page, links[0], f"follow-confirm-{name}")
    await page.get_by_role("button", name="Yes, send me updates").click()
    await _reads_well(page, None, f"follow-confirmed-{name}")
    await _reads_well(page, links[1], f"follow-stop-{name}")
    await _reads_well(page, f"{address}/follow/confirm/none", f"follow-stale-{name}")


async def _reads_well(page: Page, url: str | None, name: str) -> None:
    if url is not None:
        await page.goto(url)
    if folder := os.environ.get("STORMDESK_LOOK_AT"):
        await page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
    assert await accessibility_faults(page) == [], page.url
    assert not await scrolls_sideways(page), page.url
    if os.environ.get("STORMDESK_SCREENSHOTS") and name in ("follow-phone-light", "follow-desktop-light"):
        await page.screenshot(path=SCREENSHOTS / f"{name.removesuffix('-light')}.png", full_page=True)


async def _until(parts: Parts, query: str, expected: int) -> None:
    async with asyncio.timeout(30):
        while True:
            async with parts.database.transaction() as tx:
                if await (await driver(tx)).fetchval(query) == expected:
                    return
            await asyncio.sleep(0.05)
