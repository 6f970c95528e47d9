"""Bandit finds nothing that is not explained here, and nothing is explained that it does not find."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("app", "incidents", "claims", "notify", "metrics", "foundation", "alembic")
# (rule, file or folder) → why it is no fault.
EXPLAINED = {
    ("B101", ""): "asserts narrow types for the checker; nothing is decided by one, and nobody runs us with -O",
    ("B108", "app/postgres/folders.py"): "the folder is made by mkdtemp, for the owner alone",
    ("B311", "app/demo"): "passengers and storms that are made up, the same each time",
    ("B311", "notify/channels/centres.py"): "jitter, so that centres are not tried all at once",
    ("B311", "notify/channels/relay_health.py"): "jitter, so that relays are not tried all at once",
    ("B311", "notify/sender.py"): "spreads retries over time",
    ("B404", "app/reports.py"): "Chromium, which prints, is a program of its own",
    ("B603", "app/reports.py"): "an argument list of ours, no shell; the page it opens is ours and has no script",
    ("B608", "claims/compensating.py"): "statements of ours inside others of ours; values are parameters",
    ("B608", "claims/offering.py"): "statements of ours inside others of ours; values are parameters",
    ("B608", "claims/offers.py"): "statements of ours inside others of ours; values are parameters",
    ("B608", "claims/payment_runs.py"): "statements of ours inside others of ours; values are parameters",
    ("B405", "incidents/alerts_cap.py"): "XML is written with it, none is read",
    ("B405", "incidents/directions.py"): "XML is written with it, none is read",
    ("B404", "app/bench"): "baselines to measure against are programs of their own",
    ("B404", "app/postgres/account.py"): "PostgreSQL is a program of its own",
    ("B603", "app/bench"): "argument lists of ours, no shell",
    ("B603", "app/postgres/account.py"): "argument lists of ours, no shell",
    ("B608", "app/demo/figures.py"): "statements put together from texts of ours; values are parameters",
    ("B608", "app/postgres/cluster.py"): "the role's name is a constant, its password 43 characters we made ourselves",
    ("B608", "incidents/affected.py"): "both halves are ours; values are parameters",
    ("B311", "app/bench"): "orders to shuffle records into, the same each time",
    ("B608", "claims/review.py"): "a statement of ours inside another of ours; values are parameters",
    ("B608", "claims/queues.py"): "pieces of ours, the same in every branch; values are parameters",
    ("B608", "incidents/audience.py"): "both halves are ours; values are parameters",
    ("B608", "incidents/component_status.py"): "both halves are ours; values are parameters",
    ("B608", "incidents/impact.py"): "both halves are ours; values are parameters",
    ("B608", "notify/fallback.py"): "a number of ours; values are parameters",
    ("B608", "notify/outbox.py"): "a number of ours; values are parameters",
    ("B608", "notify/paced.py"): "names of columns of ours; values are parameters",
}


def _found() -> list[tuple[str, str, int]]:
    command = [sys.executable, "-m", "bandit", "--quiet", "--recursive", "--format", "json", *PACKAGES]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    read = json.loads(done.stdout)
    assert not read["errors"], read["errors"]
    return [(one["test_id"], one["filename"].removeprefix("./"), one["line_number"]) for one in read["results"]]


def test_bandit_finds_nothing_that_is_not_explained() -> None:
    unexplained, used = [], set()
    for rule, file, line in _found():
        why = [
            key
            for key in EXPLAINED
            if key[0] == rule and (file == key[1] or file.startswith(f"{key[1]}/") or not key[1])
        ]
        used.update(why)
        if not why:
            unexplained.append(f"{file}:{line} {rule}")
    assert not unexplained
    assert used == set(EXPLAINED), "explained, and not found any more"
