"""Debian's Chromium, driven by Playwright, for journeys as a person makes them."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

CHROMIUM = Path("/usr/bin/chromium")
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
Screen = Literal["phone", "desktop"]
Scheme = Literal["light", "dark"]
SCREENS: dict[Screen, tuple[int, int]] = {"phone": (390, 844), "desktop": (1280, 900)}

# Both widths and both colours, in two looks: each page is checked at each of them once, and layout and colour do not
# meet. For pictures all four are taken.
_LOOKS: list[tuple[Screen, Scheme]] = [("phone", "dark"), ("desktop", "light"), ("phone", "light"), ("desktop", "dark")]
LOOKS = _LOOKS if os.environ.get("STORMDESK_SCREENSHOTS") else _LOOKS[:2]

needs_chromium = pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Chromium (Debian: package chromium)")


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser for the block."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def window(
    browser: Browser,
    screen: Screen,
    scheme: Scheme = "light",
    *,
    scripts: bool = False,
    guarded: bool = False,
    language: str = "en-GB",
) -> AsyncIterator[Page]:
    """A fresh window; without `scripts` no JavaScript runs, as for a reader who turned it off.

    `guarded`: scripts may run, and the page's own policy (CSP) decides which.
    """
    width, height = SCREENS[screen]
    context: BrowserContext = await browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,
        java_script_enabled=scripts or guarded,
        locale=language,
        bypass_csp=scripts,  # only so that the checker below may run
    )
    try:
        yield await context.new_page()
    finally:
        await context.close()


async def accessibility_faults(page: Page) -> list[str]:
    """What axe finds wrong with a page, one line each. The window must allow scripts."""
    found = await Axe().run(page)
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found.response["violations"]]


async def scrolls_sideways(page: Page) -> bool:
    """Whether the page is wider than its window. The window must allow scripts."""
    wider: bool = await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    return wider
