"""People who work here come in, look after their account and each other's, and are shown out: in a browser.

With STORMDESK_SCREENSHOTS=1 in the environment the pictures in docs/screenshots are taken again.
"""

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pyotp
import pytest
from playwright.async_api import Page

from app.commands import first_link
from app.staff.accounts import set_roles
from app.staff.provider_pages import BACK
from app.wiring import Parts
from tests.support.browser import LOOKS, accessibility_faults, chromium, needs_chromium, scrolls_sideways, window
from tests.support.desk import PASSWORD, Person, a_person
from tests.support.identity_provider import Maker, needs_node, provider
from tests.support.ports import free_port
from tests.support.site import site
from tests.support.web import parts_for

pytestmark = needs_chromium

SCREENSHOTS = Path(__file__).resolve().parents[2] / "docs/screenshots"
LOCAL = "http://127.0.0.1"


@pytest.fixture
async def parts(database_url: str, tmp_path: Path) -> AsyncIterator[Parts]:
    """The parts of a site opened on this machine over plain http, as with `stormdesk up`."""
    made = parts_for(database_url, tmp_path, page_name="Northwind Air", desk_url=LOCAL, public_url=LOCAL)
    yield made
    await made.database.close()


async def sign_in(page: Page, address: str, parts: Parts, person: Person, *, later: int = 0) -> None:
    await page.goto(f"{address}/desk/sign-in")
    await page.get_by_label("Name").fill(person.name)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_label("Code from your authenticator app").fill(person.code(parts, later=later))
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url("**/desk/account")


async def test_the_first_administrator_comes_in_and_invites_a_colleague(parts: Parts) -> None:
    async with site(parts) as address, chromium() as browser:
        here = replace(parts, settings=replace(parts.settings, desk_url=address))
        link = await first_link(here)
        assert link is not None
        async with window(browser, "phone") as page:
            await page.goto(link)
            secret = (await page.locator(".code-small").inner_text()).replace(" ", "")
            await page.get_by_label("New password").fill("admin")
            await page.get_by_role("button", name="Save and sign in").click()
            assert await page.get_by_text("Please choose a longer password").is_visible()
            await page.get_by_label("New password").fill(PASSWORD)
            await page.get_by_label("Code from your authenticator app").fill(pyotp.TOTP(secret).now())
            await page.get_by_role("button", name="Save and sign in").click()
            await page.wait_for_url("**/desk/account")
            await page.get_by_role("link", name="People").click()
            await page.get_by_label("Name for signing in").fill("Noor@northwind.example")
            await page.locator("#new-agent").check()
            await page.get_by_role("button", name="Add, and show the one-time link").click()
            invitation = await page.locator(".note .code-small").inner_text()
        async with window(browser, "desktop") as page:
            await page.goto(link)
            assert await page.get_by_role("heading", name="This link does not work any more").is_visible()
            await page.goto(address + invitation.removeprefix(LOCAL))
            assert await page.get_by_text("noor@northwind.example").first.is_visible()
            await page.get_by_label("New password").fill(PASSWORD)
            await page.get_by_role("button", name="Save and sign in").click()
            await page.wait_for_url("**/desk/account")
            await page.goto(f"{address}/desk/users")
            assert await page.get_by_role("heading", name="That did not go through").is_visible()


async def test_signing_out_everywhere_signs_out_every_browser(parts: Parts) -> None:
    noor = await a_person(parts)
    async with (
        site(parts) as address,
        chromium() as browser,
        window(browser, "desktop") as office,
        window(browser, "phone") as train,
    ):
        await sign_in(office, address, parts, noor)
        await sign_in(train, address, parts, noor, later=1)
        await office.reload()
        assert await office.get_by_text("last used").count() == 2
        await office.get_by_role("button", name="Sign out everywhere").click()
        await office.wait_for_url("**/desk/sign-in")
        await train.reload()
        await train.wait_for_url("**/desk/sign-in?next=*")


@pytest.mark.parametrize("maker", ["python", pytest.param("node", marks=needs_node)])
async def test_a_colleague_comes_in_through_the_provider(parts: Parts, maker: Maker) -> None:
    port = free_port()
    here = f"{LOCAL}:{port}"
    async with provider(maker, f"{here}{BACK}") as settings, chromium() as browser:
        parts = replace(parts, settings=replace(parts.settings, desk_url=here, provider=settings))
        async with site(parts, port=port):
            for name in ("noor", "stranger"):
                async with window(browser, "desktop", scripts=True) as page:
                    await page.goto(f"{here}/desk/audit")
                    await page.get_by_role("link", name="Sign in through your organisation").click()
                    await _at_the_provider(page, maker, name)
                    if name == "noor":
                        await page.wait_for_url("**/desk/audit")  # where they were going; it is not for agents
                        assert await page.get_by_text("needs the right audit.read").is_visible()
                        await page.goto(f"{here}/desk/account")
                        assert await page.get_by_role("heading", name="noor from the provider").is_visible()
                    else:
                        await page.wait_for_url("**/desk/sign-in?failed=no-role")
                        assert await page.get_by_text("you have no role here").is_visible()


async def _at_the_provider(page: Page, maker: Maker, name: str) -> None:
    if maker == "python":
        await page.get_by_placeholder("sub").fill(name)
        await page.get_by_role("button", name="Authorize").click()
        return
    await page.locator("[name=login]").fill(name)
    await page.locator("[name=password]").fill("anything")
    await page.get_by_role("button", name="Sign-in").click()
    await page.get_by_role("button", name="Continue").click()


async def test_whoever_loses_a_role_is_out_at_once(parts: Parts) -> None:
    boss = await a_person(parts, "boss", "admin")
    async with site(parts) as address, chromium() as browser, window(browser, "desktop") as page:
        await a_person(parts, "other", "admin")
        await sign_in(page, address, parts, boss)
        await page.get_by_role("link", name="People").click()
        async with parts.database.transaction() as tx:
            await set_roles(tx, boss.id, ["agent"], now=parts.clock())
        await page.get_by_label("Name for signing in").fill("mallory")
        await page.locator("#new-admin").check()
        await page.get_by_role("button", name="Add, and show the one-time link").click()
        assert await page.get_by_text("You are signed out").is_visible()


async def test_the_sign_in_form_says_what_is_wrong_and_keeps_the_name(parts: Parts) -> None:
    async with site(parts) as address, chromium() as browser, window(browser, "phone", language="nl-NL") as page:
        await page.goto(f"{address}/desk/audit")
        await page.wait_for_url("**/desk/sign-in?next=*")
        await page.get_by_label("Naam").fill("noor")
        await page.get_by_label("Wachtwoord").fill("wrong")
        await page.get_by_role("button", name="Inloggen").click()
        assert await page.get_by_role("alert").is_visible()
        assert await page.get_by_label("Naam").input_value() == "noor"


PAGES = (
    "/desk/sign-in",
    "/desk/account",
    "/desk/users",
    "/desk/audit",
    "/desk/nowhere",
    "/desk/welcome/none",
    "/desk/again",
)


async def test_every_page_can_be_used_by_everybody_on_every_screen(parts: Parts) -> None:
    """Axe finds nothing, light and dark; nothing scrolls sideways."""
    boss = await a_person(parts, "boss", "admin", "operator")
    await a_person(parts, "noor.van.der.velde@northwind.example", "agent")
    async with site(parts) as address, chromium() as browser:
        for number, (screen, scheme) in enumerate(LOOKS):
            async with window(browser, screen, scheme, scripts=True) as page:
                await page.goto(f"{address}/desk/sign-in")
                assert await accessibility_faults(page) == []
                await _picture(page, f"desk-sign-in-{screen}-{scheme}")
                await sign_in(page, address, parts, boss, later=number)
                for path in PAGES[1:]:
                    await page.goto(address + path)
                    assert await accessibility_faults(page) == [], path
                    assert not await scrolls_sideways(page), path
                    if path in ("/desk/users", "/desk/audit", "/desk/account"):
                        await _picture(page, f"desk-{path.rpartition('/')[2]}-{screen}-{scheme}")


async def _picture(page: Page, name: str) -> None:
    if os.environ.get("STORMDESK_SCREENSHOTS"):
        await page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
