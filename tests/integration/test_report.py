"""The report of an incident: every number counted again from the tables, in both languages, on screen and on paper."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from app.reports import drawn_report, print_page, style_source
from app.wiring import Parts
from foundation.database import driver
from foundation.errors import NotFound
from metrics.report import incident_report
from tests.support.browser import CHROMIUM, accessibility_faults, chromium, needs_chromium, scrolls_sideways, window
from tests.support.report_figures import differences, figures_by_hand, figures_shown
from tests.support.stories import AWARE, STORM, a_story
from tests.support.web import open_client, parts_for, staff_token

NOW = AWARE + timedelta(days=3)
BEFORE, DRILL = "before000001", "drill0000001"


@pytest.fixture
async def parts(database_url: str, tmp_path: Path) -> AsyncIterator[Parts]:
    """An installation with a storm, a drill and an incident before it."""
    made = replace(parts_for(database_url, tmp_path), clock=lambda: NOW)
    await a_story(made.database, BEFORE, people=120, aware_at=AWARE - timedelta(days=12), slowness=2.5)
    await a_story(made.database, DRILL, people=60, aware_at=AWARE - timedelta(days=5), exercise=True)
    await a_story(made.database, people=330)
    yield made
    await made.database.close()


async def test_every_number_is_one_counted_from_the_tables(parts: Parts) -> None:
    page = await drawn_report(parts, STORM, "en")
    async with parts.database.snapshot() as tx:
        by_hand = await figures_by_hand(await driver(tx), STORM, now=NOW)
    assert differences(page, by_hand) == []
    shown = figures_shown(page).figures
    # All of it is there, too: nothing that was counted is left out but what the report sums up otherwise.
    assert set(by_hand) - set(shown) == set()
    assert len(shown) > 200
    assert "other." + BEFORE + ".first" in shown
    assert DRILL not in page


async def test_a_drill_has_a_report_that_says_what_it_is_and_counts_in_none(parts: Parts) -> None:
    page = await drawn_report(parts, DRILL, "en")
    assert "This was a drill" in page
    async with parts.database.snapshot() as tx:
        report = await incident_report(tx, STORM, now=NOW, limit=timedelta(minutes=30))
        assert [one.incident_id for one in report.others] == [STORM, BEFORE]
        with pytest.raises(NotFound):
            await incident_report(tx, "nothing00000", now=NOW, limit=timedelta(minutes=30))


async def test_an_incident_of_which_nothing_is_known_yet_has_a_report(parts: Parts) -> None:
    async with parts.database.transaction() as tx:
        await (await driver(tx)).execute(
            "INSERT INTO incidents (id, title, phase, impact, started_at, aware_at, created_by, notice_limit)"
            " VALUES ('quiet0000001', '{\"en\": \"Quiet\"}', 'investigating', 'minor', $1, $1, 'staff:a', '45 min')",
            NOW,
        )
        by_hand = await figures_by_hand(await driver(tx), "quiet0000001", now=NOW, limit=2700)
    page = await drawn_report(parts, "quiet0000001", "nl")
    assert "Nog niemand heeft het gehoord." in page
    read = figures_shown(page).figures
    for name in ("people", "told", "limit", "contacts", "late", "unplaced"):
        assert float(read[name][0]) == by_hand[name], name


async def test_the_page_needs_nothing_from_elsewhere_and_runs_nothing(parts: Parts) -> None:
    page = await drawn_report(parts, STORM, "nl")
    assert not re.search(r"<script|<link|<img|\bon\w+=|url\(|@import|javascript:", page)
    assert not re.findall(r'(?:href|src)="(?!#)', page)
    assert page.count("<svg") == page.count('role="img"') - page.count('<svg role="img"') == 5
    # What a plot shows stands in a table behind it; the comparison's stands below.
    assert page.count("<details") == 4


async def test_the_desk_shows_reports_to_those_who_may_read_exports(parts: Parts) -> None:
    analyst = {"Authorization": f"Bearer {await staff_token(parts, roles=['analyst'])}"}
    agent = {"Authorization": f"Bearer {await staff_token(parts, 'agent', roles=['agent'])}"}
    async with open_client(parts) as client:
        listed = await client.get("/desk/reports", headers=analyst)
        assert listed.status_code == 200
        assert f"/desk/reports/{STORM}?lang=en" in listed.text
        address = f"/desk/reports/{STORM}"
        kept = await client.get(address, params={"lang": "nl", "download": "yes"}, headers=analyst)
        assert kept.headers["content-disposition"] == f'attachment; filename="incident-{STORM}.html"'
        assert 'lang="nl"' in kept.text
        assert style_source(kept.text) in kept.headers["content-security-policy"]
        assert (await client.get("/desk/reports/nothing00000", headers=analyst)).status_code == 404
        assert (await client.get(address, headers=agent)).status_code == 403


@needs_chromium
async def test_people_can_read_it_on_a_screen_a_phone_and_paper(parts: Parts, tmp_path: Path) -> None:
    page, paper = tmp_path / "report.html", tmp_path / "report.pdf"
    page.write_text(await drawn_report(parts, STORM, "en"))
    assert CHROMIUM.exists()
    async with chromium() as browser:
        for screen in ("desktop", "phone"):
            async with window(browser, screen, scripts=True) as seen:
                await seen.goto(page.as_uri())
                assert not await scrolls_sideways(seen)
                assert await accessibility_faults(seen) == []
    await asyncio.to_thread(print_page, page.read_text(), paper)
    assert paper.read_bytes().startswith(b"%PDF-")
