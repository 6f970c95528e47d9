"""The status page's files: made from one snapshot, whole, in the shape the world's tools read."""

import asyncio
import gzip
import html
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import brotli
import pytest
from prometheus_client import REGISTRY

from foundation.database import Database
from incidents import Component, Party, define_components, define_parties
from incidents.page_files import Manifest, PageNotWritten, read_manifest, sha256, write_edition
from tests.support.incidents import NOW, a_draft, a_page, a_text, declared, say, texts

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
ID = re.compile(r"[a-z0-9]{12}")
STATUSES = {"operational", "degraded_performance", "partial_outage", "major_outage", "under_maintenance"}
COMPONENT_KEYS = {
    "id", "name", "status", "created_at", "updated_at", "position", "description", "showcase", "start_date", "group_id",
    "page_id", "group", "only_show_if_degraded",
}  # fmt: skip
INCIDENT_KEYS = {
    "id", "name", "status", "created_at", "updated_at", "monitoring_at", "resolved_at", "impact", "shortlink",
    "started_at", "page_id", "incident_updates", "components", "reminder_intervals",
}  # fmt: skip
UPDATE_KEYS = {
    "id", "status", "body", "incident_id", "created_at", "updated_at", "display_at", "affected_components",
    "deliver_notifications", "custom_tweet", "tweet_id",
}  # fmt: skip


@pytest.fixture
async def storm(database: Database) -> str:
    """The id of an open incident with two updates over two groups and a component that stands alone."""
    async with database.transaction() as tx:
        await define_parties(tx, [Party("kpn", "KPN", "supplier")])
        await define_components(
            tx,
            [
                Component("check-in", "Check-in"),
                Component("f1", "DL 9", "Newark", needs=["check-in"]),
                Component("f2", "DL 10", "Newark"),
                Component("f3", "UA 1", "LaGuardia"),
            ],
        )
        incident = await declared(tx, components=["check-in"], groups=["LaGuardia"])
        await say(tx, incident, a_draft())
        suspected = a_draft(
            phase="identified", texts=texts(cause="a cut cable"), cause_certainty="suspected", cause_party="kpn"
        )
        await say(tx, incident, suspected, now=NOW + timedelta(minutes=5))
        return incident


def _json(folder: Path, name: str = "summary") -> Any:
    return json.loads((folder / f"api/v2/{name}.json").read_bytes())


def _html(folder: Path, name: str) -> str:
    return (folder / f"{name}.html").read_text()


async def test_every_renewal_is_timed(database: Database, storm: str, tmp_path: Path) -> None:
    count = "stormdesk_status_page_refresh_seconds_count"
    before = REGISTRY.get_sample_value(count) or 0
    await a_page(tmp_path).refresh(database)
    assert REGISTRY.get_sample_value(count) == before + 1


async def test_every_file_stands_with_its_compressed_twin(database: Database, storm: str, tmp_path: Path) -> None:
    await a_page(tmp_path).refresh(database)
    manifest = read_manifest(tmp_path)
    assert manifest is not None
    expected = {f"{stem}.{tag}.html" for stem in ("index", "history", f"incidents/{storm}") for tag in ("en", "nl")}
    assert expected < set(manifest.files)
    for name, digest in manifest.files.items():
        content = (tmp_path / name).read_bytes()
        assert sha256(content) == digest
        assert gzip.decompress((tmp_path / f"{name}.gz").read_bytes()) == content
        assert brotli.decompress((tmp_path / f"{name}.br").read_bytes()) == content


async def test_the_page_says_what_a_reader_needs(database: Database, storm: str, tmp_path: Path) -> None:
    await a_page(tmp_path, lambda: NOW + timedelta(minutes=6)).refresh(database)
    for name in ("index.en", f"incidents/{storm}.en"):
        page = _html(tmp_path, name)
        assert "Check-in is not available" in page
        assert "We suspect: a cut cable (not confirmed)." in page
        assert "We suspect that the cause lies with KPN (not confirmed)." in page
        assert "What you can do now" in page
        assert f'href="/claim?incident={storm}&amp;lang=en"' in page
        assert "8 Feb 2026, 09:30 EST" in page  # the promise
        assert "8 Feb 2026, 08:58 EST" in page  # since
        assert "As of <time" in page
        assert page.index("Update 2") < page.index("Investigating</p>")  # newest first
        assert len(re.findall('<script src="/static/page[.][0-9a-f]{10}[.]js" type="module"></script>', page)) == 1
        assert page.count("<script") == 1
        assert "style=" not in page
    assert "Inchecken lukt niet" in _html(tmp_path, "index.nl")


async def test_a_promise_that_lapsed_is_owned_up_to(database: Database, storm: str, tmp_path: Path) -> None:
    await a_page(tmp_path, lambda: NOW + timedelta(hours=2)).refresh(database)
    assert "It is late, and we are sorry." in _html(tmp_path, "index.en")


async def test_summary_keeps_the_shape_of_statuspage(database: Database, storm: str, tmp_path: Path) -> None:
    await a_page(tmp_path).refresh(database)
    summary = _json(tmp_path)
    assert set(summary) == {"page", "components", "incidents", "scheduled_maintenances", "status"}
    assert set(summary["page"]) == {"id", "name", "url", "time_zone", "updated_at"}
    assert ID.fullmatch(summary["page"]["id"])
    assert summary["scheduled_maintenances"] == []
    assert summary["status"] == {"indicator": "major", "description": "Partial System Outage"}
    for component in summary["components"]:
        _check_component(component, summary["page"]["id"])
    [incident] = summary["incidents"]
    assert set(incident) == INCIDENT_KEYS
    assert incident["shortlink"] == f"https://status.example.com/incidents/{storm}"
    assert (incident["status"], incident["impact"], incident["monitoring_at"]) == ("identified", "major", None)
    assert [update["status"] for update in incident["incident_updates"]] == ["identified", "investigating"]
    assert {one["name"] for one in incident["components"]} == {"Check-in", "UA 1", "DL 9"}
    for update in incident["incident_updates"]:
        assert set(update) == UPDATE_KEYS
        assert all(TIME.fullmatch(update[name]) for name in ("created_at", "updated_at", "display_at"))


def _check_component(component: dict[str, Any], page_id: str) -> None:
    assert set(component) == (COMPONENT_KEYS | {"components"} if component["group"] else COMPONENT_KEYS)
    assert ID.fullmatch(component["id"])
    assert component["page_id"] == page_id
    assert component["status"] in STATUSES
    assert TIME.fullmatch(component["created_at"])
    assert TIME.fullmatch(component["updated_at"])


async def test_groups_are_rows_that_carry_the_worst_of_their_members(
    database: Database, storm: str, tmp_path: Path
) -> None:
    await a_page(tmp_path).refresh(database)
    rows = _json(tmp_path)["components"]
    groups = {row["name"]: row for row in rows if row["group"]}
    assert {name: row["status"] for name, row in groups.items()} == {
        "LaGuardia": "major_outage",
        "Newark": "operational",
    }
    members = [row for row in rows if row["group_id"] == groups["Newark"]["id"]]
    assert [row["name"] for row in members] == ["DL 9", "DL 10"]
    assert groups["Newark"]["components"] == [row["id"] for row in members]


async def test_affected_components_are_named_with_old_and_new_status(
    database: Database, storm: str, tmp_path: Path
) -> None:
    await a_page(tmp_path).refresh(database)
    newest, oldest = _json(tmp_path)["incidents"][0]["incident_updates"]
    changes = {one["name"]: (one["old_status"], one["new_status"]) for one in oldest["affected_components"]}
    assert changes == {
        "Check-in": ("operational", "major_outage"),
        "LaGuardia - UA 1": ("operational", "major_outage"),
        "Newark - DL 9": ("operational", "operational"),
    }
    assert all(one["old_status"] == one["new_status"] for one in newest["affected_components"])
    assert all(set(one) == {"code", "name", "old_status", "new_status"} for one in newest["affected_components"])


async def test_an_empty_installation_has_a_page(database: Database, tmp_path: Path) -> None:
    await a_page(tmp_path).refresh(database)
    assert "Everything is working" in _html(tmp_path, "index.en")
    summary = _json(tmp_path)
    assert (summary["components"], summary["incidents"]) == ([], [])
    assert summary["status"]["indicator"] == "none"


async def test_what_is_not_published_is_not_shown(database: Database, tmp_path: Path) -> None:
    async with database.transaction() as tx:
        await define_components(tx, [Component("check-in", "Check-in")])
        hidden = await declared(tx)
    await a_page(tmp_path).refresh(database)
    assert _json(tmp_path)["incidents"] == []
    assert not (tmp_path / f"incidents/{hidden}.en.html").exists()


async def test_a_resolved_incident_moves_to_the_history_and_keeps_its_page(
    database: Database, storm: str, tmp_path: Path
) -> None:
    page = a_page(tmp_path)
    await page.refresh(database)
    async with database.transaction() as tx:
        await say(tx, storm, a_draft(phase="resolved", component_status=None, next_update_at=None))
    await page.refresh(database)
    assert _json(tmp_path)["incidents"] == []
    assert "Everything is working" in _html(tmp_path, "index.en")
    assert f"/incidents/{storm}?lang=en" in _html(tmp_path, "history.en")
    assert 'aria-current="step"><span>Resolved' in _html(tmp_path, f"incidents/{storm}.en")


async def test_the_worker_makes_good_what_a_crash_left_undrawn(database: Database, storm: str, tmp_path: Path) -> None:
    page = a_page(tmp_path)
    assert await page.step(database)
    assert not await page.step(database)
    async with database.transaction() as tx:  # committed, and nobody draws it
        await say(tx, storm, a_draft(phase="monitoring", texts=texts(title="The repair holds")))
    assert await a_page(tmp_path).step(database)
    assert "The repair holds" in _html(tmp_path, "index.en")


async def test_the_page_is_made_again_before_it_looks_old(database: Database, tmp_path: Path) -> None:
    now = [NOW]
    page = a_page(tmp_path, lambda: now[0])
    await page.step(database)
    now[0] += timedelta(seconds=31)
    assert await page.step(database)
    assert _json(tmp_path)["page"]["updated_at"] == "2026-02-08T14:10:31.000Z"


async def test_a_file_that_was_damaged_is_made_again(database: Database, tmp_path: Path) -> None:
    page = a_page(tmp_path)
    await page.refresh(database)
    whole = (tmp_path / "index.en.html").read_bytes()
    (tmp_path / "index.en.html").write_bytes(b"half")
    await page.refresh(database)
    assert (tmp_path / "index.en.html").read_bytes() == whole


async def test_many_writers_at_once_leave_one_whole_edition(database: Database, storm: str, tmp_path: Path) -> None:
    await asyncio.gather(*(a_page(tmp_path).refresh(database) for _ in range(5)))
    manifest = read_manifest(tmp_path)
    assert manifest is not None
    assert all(sha256((tmp_path / name).read_bytes()) == digest for name, digest in manifest.files.items())


def test_what_does_not_read_back_is_refused(tmp_path: Path) -> None:
    manifest = Manifest(0, "", "", {"a.html": sha256(b"something else")})
    with pytest.raises(PageNotWritten):
        write_edition(tmp_path, manifest, {"a.html": b"content"})
    assert read_manifest(tmp_path) is None


async def test_1614_components_and_865_affected_stay_readable(database: Database, tmp_path: Path) -> None:
    async with database.transaction() as tx:
        flights = [Component(f"f{n}", f"DL {n} to Atlanta", f"Airport {n % 40}") for n in range(1614)]
        await define_components(tx, flights)
        incident = await declared(tx, components=[one.key for one in flights[:865]])
        for _ in range(3):
            await say(tx, incident, a_draft())
    await a_page(tmp_path).refresh(database)
    assert len(_json(tmp_path)["incidents"][0]["components"]) == 865
    page = _html(tmp_path, "index.en")
    assert "865 of 1,614 affected" in page
    assert page.count('<details class="group"') == 40
    opened = len(re.findall('<details class="group" data-key="[^"]*" open>', page))
    assert 0 < opened < 40


async def test_hostile_text_is_text_in_html_and_in_data(database: Database, tmp_path: Path) -> None:
    bad = '<script>alert(1)</script> & "quotes" <!--stormdesk:age--> {{ 7*7 }}'
    async with database.transaction() as tx:
        await define_components(tx, [Component("check-in", bad, bad)])
        incident = await declared(tx, title={"en": bad, "nl": bad})
        said = {"en": a_text(title=bad, body=bad, advice=bad), "nl": a_text(title=bad, body=bad, advice=bad)}
        await say(tx, incident, a_draft(texts=said))
    await a_page(tmp_path).refresh(database)
    page = _html(tmp_path, "index.en")
    assert page.count("<script") == 1
    assert page.count("<!--stormdesk:age-->") == 1
    assert page.count(str(html.escape(bad, quote=True)).replace("&quot;", "&#34;")) >= 4
    raw = (tmp_path / "api/v2/summary.json").read_bytes()
    assert b"<" not in raw
    summary = json.loads(raw)
    assert summary["incidents"][0]["name"] == bad
    assert "<script" not in summary["incidents"][0]["incident_updates"][0]["body"]
