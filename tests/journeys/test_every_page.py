"""Every page there is, public and at the desk, opened in Chromium with its own policy: nothing breaks it.

The pages are taken from the routes, with things behind them that exist; a page that nobody told this test how to reach
fails it.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx2
import pytest
from playwright.async_api import Page, Response

from app.asgi import create_app, status_page
from app.staff.accounts import add_user, open_link
from app.wiring import Parts
from foundation.database import driver
from incidents import draft_update
from incidents.alert_payloads import Alert, Notice
from incidents.alerts import take_alerts
from incidents.maintenance import Plan, schedule
from notify.references import References, delivery_reference
from notify.subscriptions import confirm_token, stop_token
from tests.journeys.test_desk import LOCAL, sign_in
from tests.support.browser import chromium, needs_chromium, window
from tests.support.claimants import resolve
from tests.support.desk import a_person
from tests.support.followers import a_subscriber
from tests.support.incidents import WRITER, a_draft, declared, say
from tests.support.people import COMPONENT, people
from tests.support.site import site
from tests.support.web import entrances, inner, parts_for

pytestmark = needs_chromium

# They answer with a file, with data, or by sending somebody elsewhere.
NO_PAGES = {
    "/t/{token}/data",
    "/t/{token}/files/{id}",
    "/desk/files/{id}",
    "/desk/contacts/{receipt}/original",
    "/desk/cases/{number}/present",
    "/events",
    "/desk/payments/{run}/file.csv",
    "/desk/payments/{run}/file.xml",
    "/healthz",
    "/readyz",
    "/metrics",
}
# Of what nothing is there yet in this test: the page that says so.
MISSING = {"/desk/payments/{run}": "/desk/payments/1"}
# Of the files of the status page and of errors; what these pages link to is opened too.
BESIDES = ("/", "/history", "/nowhere", "/desk/nowhere", "/desk/cases/C-1", "/t/none", "/desk/welcome/none", "/u/none")
# A form sent as it is, with everything missing: the page that says so.
FORMS = ("/claim", "/track", "/follow", "/desk/users", "/desk/calls", "/desk/account")
MOST = 120


@pytest.fixture
async def parts(database_url: str, tmp_path: Path) -> AsyncIterator[Parts]:
    made = parts_for(database_url, tmp_path, page_name="Northwind Air", desk_url=LOCAL, public_url=LOCAL)
    yield made
    await made.database.close()


def pages(parts: Parts) -> set[str]:
    """The path of every route that answers with a page."""
    asked = {
        entrance.partition(" ")[2] for entrance, _ in entrances(inner(create_app(parts))) if entrance[:4] == "GET "
    }
    return {path for path in asked if not path.startswith("/api/")} - NO_PAGES


async def reached(parts: Parts, address: str) -> dict[str, str]:
    """Where each page with a name in its address can be opened, once an incident is told, claimed and followed."""
    now, tokens = datetime.now(UTC), parts.tokens
    await people(parts.database, 3)
    async with parts.database.transaction() as tx:
        incident = await declared(tx, components=[COMPONENT], started_at=now, now=now)
        update = (await say(tx, incident, a_draft(next_update_at=now + timedelta(hours=1)), now=now)).update.id
        draft = (await draft_update(tx, WRITER, incident, a_draft(next_update_at=now + timedelta(hours=2)), now=now)).id
        alert = Alert("a", "firing", {"alertname": "a"}, {}, now, None)
        opened = (await take_alerts(tx, Notice("prometheus", "a", "a", [alert]), now=now)).incident_id
        title = {"en": "A new server", "nl": "Een nieuwe server"}
        begins = now + timedelta(hours=1)
        plan = Plan(title, begins, begins + timedelta(hours=1), [COMPONENT])
        planned = (await schedule(tx, WRITER, plan, now=now)).id
        welcome = await open_link(tx, await add_user(tx, "new", ["agent"]), now=parts.clock())
        subscriber = await a_subscriber(tx, "S-1", "zoe@example.org", incident)
        connection = await driver(tx)
        asked = await connection.fetchval(
            "INSERT INTO follow_requests (channel, address, host, language, client, customer_id, created_at) "
            "VALUES ('mail', 'zoe@example.org', 'example.org', 'en', '', $1, now()) RETURNING id",
            subscriber,
        )
        delivery = await connection.fetchval("SELECT min(id) FROM deliveries")
    said = {"message": "I want my money back <b>now</b>", "customer_number": "C1", "asks_for": "refund"}
    async with httpx2.AsyncClient(base_url=address) as web:
        tracked = (await web.post("/api/v1/contacts", json=said)).json()["track_url"].rpartition("/")[2]
    await resolve(parts.database)
    await status_page(parts).refresh(parts.database)
    async with parts.database.transaction() as tx:
        case = await (await driver(tx)).fetchval("SELECT min(number) FROM cases")
    return {
        "/t/{token}": f"/t/{tracked}",
        "/claim/received/{token}": f"/claim/received/{tracked}",
        "/u/{token}": f"/u/{References(tokens).leave_token(delivery_reference(tokens, delivery))}",
        "/follow/confirm/{token}": f"/follow/confirm/{confirm_token(tokens, asked)}",
        "/follow/stop/{token}": f"/follow/stop/{stop_token(tokens, 'S-1')}",
        "/desk/welcome/{token}": f"/desk/welcome/{welcome}",
        "/desk/customers/{number}": "/desk/customers/C1",
        "/desk/updates/{id}": f"/desk/updates/{update}",
        "/desk/updates/{id}/progress": f"/desk/updates/{update}/progress",
        "/desk/updates/{id}/edit": f"/desk/updates/{draft}/edit",
        "/desk/incidents/{id}": f"/desk/incidents/{incident}",
        "/desk/incidents/{id}/updates/new": f"/desk/incidents/{incident}/updates/new",
        "/desk/incidents/{id}/declare": f"/desk/incidents/{opened}/declare",
        "/desk/incidents/{id}/scope": f"/desk/incidents/{incident}/scope",
        "/desk/incidents/{id}/postmortem": f"/desk/incidents/{incident}/postmortem",
        "/desk/incidents/{id}/work": f"/desk/incidents/{planned}/work",
        "/desk/cases/{number}": f"/desk/cases/{case}",
        "/desk/cases/{number}/compensation": f"/desk/cases/{case}/compensation",
        "/desk/cases/{number}/offers": f"/desk/cases/{case}/offers",
        "/desk/reports/{id}": f"/desk/reports/{incident}",
    }


async def test_no_page_breaks_its_own_policy(parts: Parts) -> None:
    """Chromium counts what the Content-Security-Policy forbids, on every page: nothing. And it does forbid."""
    boss = await a_person(parts, "boss", "operator", "approver", "commander", "agent", "analyst", "admin")
    async with site(parts) as address, chromium() as browser, window(browser, "desktop", guarded=True) as page:
        here = replace(parts, settings=replace(parts.settings, desk_url=address, public_url=address))
        known = await reached(here, address)
        named = {path for path in pages(parts) if "{" in path}
        assert named <= known.keys() | MISSING.keys(), (
            "say in `reached` how these pages are opened, or in NO_PAGES that they are none"
        )
        said: list[str] = []
        page.on(
            "console", lambda one: said.append(f"{page.url}: {one.text}") if "Security Policy" in one.text else None
        )
        await _opened(page, address + known["/desk/welcome/{token}"])
        await _opened(page, f"{address}/desk/sign-in")
        await page.get_by_role("button", name="Sign in").click()
        await sign_in(page, address, parts, boss)
        waiting = [*sorted((known | MISSING).get(path, path) for path in pages(parts)), *BESIDES]
        seen: set[str] = set()
        while waiting:
            path = waiting.pop(0)
            if path in seen:
                continue
            seen.add(path)
            answer = await _opened(page, address + path)
            assert answer.status < 500, path
            if path in known.values():
                assert answer.status == 200, f"{path} is not what it should be: {answer.status}"
            waiting += [found for found in await _links(page, address) if found not in seen]
        assert len(seen) < MOST, "links of pages lead on without end"
        for path in FORMS:
            await page.goto(address + path)
            async with page.expect_navigation():
                await page.evaluate("[...document.querySelectorAll('main form[method=post]')].at(-1).submit()")
        assert said == []
        assert {f"/incidents/{one}" for one in await _incidents(parts)} <= seen
        await page.evaluate("document.body.append(Object.assign(document.createElement('script'), {textContent: '1'}))")
        assert said


async def _opened(page: Page, url: str) -> Response:
    """Open a page, which must have a policy that lets nothing in line run."""
    answer = await page.goto(url)
    assert answer is not None, url
    policy = await answer.header_value("content-security-policy") or ""
    assert "default-src 'none'" in policy, url
    assert "unsafe" not in policy, url
    return answer


async def _links(page: Page, address: str) -> list[str]:
    """The paths of this site's pages to which links of this page lead."""
    found: list[str] = await page.eval_on_selector_all("a[href]", "all => all.map(one => one.getAttribute('href'))")
    whole = [urlsplit(urljoin(page.url, one)) for one in found]
    ours = {one.path for one in whole if f"{one.scheme}://{one.netloc}" == address}
    data = ("/api/", "/static/", "/metrics", "/events")
    files = ("/data", "/original", ".atom", ".rss", ".ics", ".xml", ".json")
    return sorted(path for path in ours if not path.startswith(data) and not path.endswith(files))


async def _incidents(parts: Parts) -> list[str]:
    """Those that have a page of their own."""
    async with parts.database.snapshot() as tx:
        told = "SELECT id FROM incidents WHERE state = 'declared' AND kind = 'incident'"
        return [row[0] for row in await (await driver(tx)).fetch(told)]
