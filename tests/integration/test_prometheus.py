"""Prometheus itself reads us: names and types, rules and alerts, and a dashboard of which every panel shows something.

Needs Debian's package prometheus.
"""

import asyncio
import json
import re
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import text

import metrics
from foundation.database import Database
from metrics.catalogue import catalogue
from metrics.exposition import exposition
from metrics.sampling import Seen, take_sample
from tests.support.ports import free_port, until_open
from tests.support.site import site
from tests.support.stories import a_story
from tests.support.web import parts_for

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "metrics/prometheus"
needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="needs Prometheus (Debian: package prometheus)"
)


def promtool(*arguments: str, given: bytes = b"") -> None:
    done = subprocess.run(["promtool", *arguments], input=given, capture_output=True, check=False, cwd=RULES)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    assert not done.stderr.strip() or arguments[0] != "check", done.stderr.decode()


@needs_prometheus
def test_the_rules_are_sound_and_the_alerts_ring_when_they_should() -> None:
    promtool("check", "rules", "rules.yml")
    promtool("test", "rules", "rules.test.yml")


def test_every_alert_has_a_test_and_says_what_to_do() -> None:
    rules, tests = (RULES / "rules.yml").read_text(), (RULES / "rules.test.yml").read_text()
    names = re.findall(r"- alert: (\w+)", rules)
    assert len(names) > 10
    assert [name for name in names if f"alertname: {name}\n        exp_alerts:\n" not in tests] == []
    assert rules.count("          action: ") == rules.count("          summary: ") == len(names)


def counted() -> None:
    """What a process counts that has something to do."""
    for channel in ("mail", "sms"):
        metrics.record_deliveries(channel, "accepted", 25)
        metrics.record_send_batch_seconds(channel, 0.2)
    metrics.record_contact("web")
    metrics.record_contact_seconds(0.004)
    metrics.record_resolved(10, 0.02)
    metrics.record_status_page_seconds(0.05)
    metrics.record_relay_state("mx1:25", "well")
    metrics.record_relay_mails("mx1:25", sent=25, refused=0, broken=0, others=1)
    metrics.record_centre("smsc1:2775", bound=True)
    metrics.record_report("mail", "hard_bounce")


@pytest.fixture
async def story(database: Database) -> Database:
    """An incident of this hour."""
    await a_story(database, people=120, aware_at=datetime.now(UTC) - timedelta(minutes=30))
    async with database.transaction() as tx:
        await tx.execute(
            text(
                "UPDATE contacts SET received_at = now() - interval '1 minute', resolved_at = now()"
                " WHERE state = 'resolved'"
            )
        )
    return database


@needs_prometheus
async def test_prometheus_finds_no_fault_with_our_names(story: Database) -> None:
    counted()
    async with story.snapshot() as tx:
        page = exposition(Seen(0.001, await take_sample(tx)))
    ours = b"".join(line for line in page.splitlines(keepends=True) if b"stormdesk_" in line)
    await asyncio.to_thread(promtool, "check", "metrics", given=ours)


def test_the_document_lists_every_metric() -> None:
    assert (ROOT / "docs/metrics.md").read_text().endswith(catalogue()), (
        "docs/metrics.md is not what metrics.catalogue.catalogue() says: put its table there"
    )


@asynccontextmanager
async def prometheus(folder: Path, target: str) -> AsyncIterator[httpx2.AsyncClient]:
    """A Prometheus that scrapes `target` every second, with our rules."""
    rules = folder / "rules.yml"
    rules.write_text((RULES / "rules.yml").read_text().replace("interval: 15s", "interval: 1s"))
    scrape = {"job_name": "stormdesk", "static_configs": [{"targets": [target]}]}
    settings = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [scrape],
    }
    config = folder / "prometheus.yml"
    config.write_text(json.dumps(settings))  # JSON is YAML
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await until_open(port)
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            yield client
    finally:
        process.terminate()
        await process.wait()


async def answers(client: httpx2.AsyncClient, query: str) -> list[Any]:
    answer = (await client.get("/api/v1/query", params={"query": query})).json()
    assert answer["status"] == "success", (query, answer)
    found: list[Any] = answer["data"]["result"]
    return found


@needs_prometheus
async def test_every_panel_of_the_dashboard_shows_something(story: Database, database_url: str, tmp_path: Path) -> None:
    dashboard = json.loads((ROOT / "metrics/grafana/stormdesk.json").read_text())
    queries = {target["expr"]: panel["title"] for panel in dashboard["panels"] for target in panel["targets"]}
    assert len(queries) > 20
    parts = parts_for(database_url, tmp_path)
    async with site(replace(parts)) as address, prometheus(tmp_path, address.removeprefix("http://")) as client:
        deadline = time.monotonic() + 60
        waiting = set(queries)
        while waiting and time.monotonic() < deadline:
            counted()
            await asyncio.sleep(0.5)
            waiting = {query for query in waiting if not shows(await answers(client, query))}
        assert {queries[query]: query for query in waiting} == {}
    await parts.database.close()


def shows(result: list[Any]) -> bool:
    """Whether a query's answer has a number in it."""
    return any(one["value"][1] != "NaN" for one in result)
