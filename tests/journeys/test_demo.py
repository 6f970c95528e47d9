"""The main job, small: `stormdesk demo --exit` in a process of its own, and every promise in its summary."""

import asyncio
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.demo.processes import reserve_port
from app.demo.stage import DATABASE
from app.migrations import with_database
from app.postgres import embedded_postgres, remove_cluster
from app.reports import drawn_report
from foundation.database import driver
from metrics import EXPORTS, Question, export
from tests.support.personal import found_in, people_of
from tests.support.report_figures import differences, figures_by_hand
from tests.support.web import parts_for

CUSTOMERS = 1500
KEYS = [
    *("customers", "affected", "deliveries", "seconds_to_last_delivery", "contacts", "cases", "unresolved_contacts"),
    *("customers_with_two_cases", "cases_with_two_customers", "lost_contacts", "status_page_seconds", "texts"),
]


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """A folder for a demo; its database, which outlives a demo that is killed, goes with the test."""
    yield tmp_path
    remove_cluster(tmp_path / "demo")


def start_demo(data: Path, *arguments: str) -> subprocess.Popen[str]:
    """A demo in `data`, on free ports, with nothing of the caller's settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STORMDESK_")}
    return subprocess.Popen(
        [sys.executable, "-m", "app.cli", "demo", "--customers", str(CUSTOMERS), "--speed", "10", *arguments],
        env={**environment, "STORMDESK_DATA_DIR": str(data)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def children_of(pid: int) -> set[int]:
    """The processes that `pid` has started and that still run."""
    listing = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return {int(line) for line in listing.stdout.split()}


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_main_job_keeps_its_promises(data: Path) -> None:
    demo = start_demo(data, "--exit")
    children: set[int] = set()
    scraped = ""
    while demo.poll() is None:
        children |= children_of(demo.pid)
        scraped = scrape(children) or scraped
        time.sleep(0.2)
    output, errors = demo.communicate()
    assert demo.returncode == 0, errors
    summary = json.loads(output)  # one object and nothing else
    assert list(summary) == KEYS
    assert summary["customers"] == CUSTOMERS
    assert 700 < summary["affected"] < 900
    every_delivery_is_accounted_for(summary, data)
    texts_reach_those_whom_mail_does_not(summary)
    nobody_is_lost_doubled_or_mixed_up(summary)
    assert 0 <= summary["status_page_seconds"] < 5
    assert 0 < summary["seconds_to_last_delivery"] < 30
    a_person_can_open_the_mails(data)
    for place in ("Status page", "Claim form", "A customer's case", "/t/", "Mails they got"):
        assert place in errors
    assert len(children) >= 5  # mailbox, SMS centre, web, two workers; PostgreSQL is nobody's child
    assert not [pid for pid in children if is_running(pid)]
    with embedded_postgres(data / "demo") as url:
        asyncio.run(the_record_is_true_and_names_nobody(with_database(url, DATABASE), data / "demo", scraped))


def scrape(pids: set[int]) -> str:
    """What Prometheus would read now of those processes that have an address for it."""
    pages = ""
    for pid in pids:
        try:
            settings = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
            address = dict(one.split("=", 1) for one in settings if "=" in one).get("STORMDESK_OPS_BIND")
            if address:
                pages += httpx2.get(f"http://{address}/metrics", timeout=10).text
        except (OSError, httpx2.HTTPError):
            continue  # it has just begun, or ended
    return pages


async def the_record_is_true_and_names_nobody(url: str, folder: Path, scraped: str) -> None:
    """The report's numbers are those of the tables; metrics, logs and exports under pseudonyms name nobody."""
    people = people_of(folder / "customers.csv")
    assert len(people) > 4 * CUSTOMERS
    parts = parts_for(url, folder)
    async with parts.database.snapshot() as tx:
        connection = await driver(tx)
        now = await connection.fetchval("SELECT now()")
        incident = await connection.fetchval("SELECT id FROM incidents")
        by_hand = await figures_by_hand(connection, incident, now=now)
        addresses = await connection.fetch("SELECT value FROM addresses UNION SELECT number FROM customers")
    people |= {row[0] for row in addresses}
    page = await drawn_report(replace(parts, clock=lambda: now), incident, "en")
    # The story's own titles hold numbers: of flights, and a date.
    title = page[page.index("<h1>") : page.index("</h1>")]
    assert differences(page.replace(title, "<h1>"), by_hand) == []
    texts = {"metrics": scraped, "report": page}
    texts |= {path.name: path.read_text(errors="replace") for path in (folder / "logs").iterdir()}
    for name in EXPORTS:
        async with parts.database.snapshot() as tx:
            texts[name] = b"".join([chunk async for chunk in export(tx, Question(name))]).decode()
    async with parts.database.snapshot() as tx:
        named = b"".join([chunk async for chunk in export(tx, Question("cases", personal=True))]).decode()
    await parts.database.close()
    assert found_in(named, people)  # so would anybody be
    assert "stormdesk_deliveries" in scraped
    assert len(texts["deliveries"]) > 4 * CUSTOMERS
    assert {name: found for name, text in texts.items() if (found := found_in(text, people))} == {}


def every_delivery_is_accounted_for(summary: dict[str, Any], data: Path) -> None:
    states = summary["deliveries"]
    assert sum(states.values()) == 4 * summary["affected"] + summary["texts"]["in_place_of_mail"]
    assert not states["planned"] + states["sending"] + states["deferred"] + states["unknown"]
    counts = json.loads((data / "demo/mail/counts.json").read_text())
    assert counts["messages"] == counts["distinct"] >= states["accepted"], "letters about cases come besides"
    assert counts["refused"] == states["rejected"]


def texts_reach_those_whom_mail_does_not(summary: dict[str, Any]) -> None:
    texts = summary["texts"]
    assert texts["delivered"] == summary["deliveries"]["delivered"] > 0
    assert texts["accepted"] == 0, "every one has its receipt"
    assert 0 < texts["in_place_of_mail"] < texts["planned"]
    assert texts["segments"] == texts["at_the_centre"] >= texts["delivered"]


def nobody_is_lost_doubled_or_mixed_up(summary: dict[str, Any]) -> None:
    assert summary["contacts"] == round(1.4 * summary["affected"])
    assert summary["lost_contacts"] == 0
    assert summary["customers_with_two_cases"] == 0
    assert summary["cases_with_two_customers"] == 0
    assert 0 < summary["unresolved_contacts"] < 0.05 * summary["contacts"]
    assert 0 < summary["cases"] < summary["contacts"]


def a_person_can_open_the_mails(data: Path) -> None:
    counts = json.loads((data / "demo/mail/counts.json").read_text())
    updates = set()
    for one in counts["subjects"]:
        for name in one["samples"]:
            mail = message_from_bytes((data / "demo/mail" / name).read_bytes(), policy=policy.default)
            assert mail["Subject"] == one["subject"]
            text, html = mail.iter_parts()
            assert ("/claim?incident=" in text.get_content()) == ("/claim?incident=" in html.get_content())
            if "/claim?incident=" in text.get_content():
                updates.add(one["subject"])
    assert len(updates) == 8  # four in two languages; the other mails are about cases


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_its_processes_end_with_it(data: Path, end: signal.Signals) -> None:
    demo = start_demo(data)
    deadline = time.monotonic() + 60
    children: set[int] = set()
    while len(children) < 4 and time.monotonic() < deadline:
        children = {pid for pid in children_of(demo.pid) if is_running(pid)}
        time.sleep(0.1)
    assert len(children) >= 4
    demo.send_signal(end)
    demo.communicate(timeout=60)
    assert demo.returncode == (130 if end == signal.SIGINT else -signal.SIGKILL)
    while any(is_running(pid) for pid in children) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [pid for pid in children if is_running(pid)]


def test_a_second_demo_in_the_same_place_is_refused(data: Path) -> None:
    (data / "demo").mkdir()
    with (data / "demo/demo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        demo = start_demo(data, "--exit")
        _, errors = demo.communicate(timeout=60)
    assert demo.returncode == 1
    assert "Another demo is running" in errors


def test_a_port_that_is_taken_is_passed_over() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with reserve_port(port) as other:
            assert other.getsockname()[1] != port
    with reserve_port(port) as free:
        assert free.getsockname()[1] == port
