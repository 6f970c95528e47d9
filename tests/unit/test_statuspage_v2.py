"""Every document of the Statuspage API in every state an installation can be in, against a schema of the reference."""

import json

import pytest

from incidents.snapshot import Snapshot
from incidents.statuspage_v2 import documents, webhook
from tests.support.incidents import NOW
from tests.support.snapshots import (
    PUBLISHER,
    a_component,
    a_full_text,
    a_maintenance,
    a_postmortem,
    a_snapshot,
    an_incident,
    an_update,
)
from tests.support.statuspage import DOCUMENTS, faults

FINE = [a_component("Check-in"), a_component("DL 9", "Newark")]
RESOLVED = an_incident(phase="resolved", resolved_at=NOW, monitoring_at=NOW)
CORRECTION = an_update(
    2, texts={"en": a_full_text(wrong="The date."), "nl": a_full_text(wrong="De datum.")}, corrects=1
)
STATES = {
    "nothing configured": a_snapshot(),
    "all fine": a_snapshot(components=FINE),
    "incident": a_snapshot(an_incident(), components=FINE),
    "corrected": a_snapshot(an_incident(updates=(CORRECTION, an_update(corrected_by=2))), components=FINE),
    "resolved": a_snapshot(RESOLVED, components=FINE),
    "postmortem": a_snapshot(
        an_incident(phase="postmortem", resolved_at=NOW, postmortem=a_postmortem()), components=FINE
    ),
    "maintenance scheduled": a_snapshot(components=FINE, maintenances=[a_maintenance()]),
    "maintenance running": a_snapshot(
        components=FINE, maintenances=[a_maintenance("in_progress", component=a_component(status="under_maintenance"))]
    ),
    "maintenance verifying": a_snapshot(components=FINE, maintenances=[a_maintenance("verifying")]),
    "maintenance completed": a_snapshot(components=FINE, maintenances=[a_maintenance("completed")]),
    "maintenance called off": a_snapshot(components=FINE, maintenances=[a_maintenance("cancelled")]),
}


@pytest.mark.parametrize("path", DOCUMENTS)
@pytest.mark.parametrize("state", STATES)
def test_every_document_keeps_the_shape_of_the_reference(state: str, path: str) -> None:
    made = documents(STATES[state], PUBLISHER)
    assert set(made) == {f"api/v2/{one}.json" for one in DOCUMENTS}
    assert faults(path, json.loads(made[f"api/v2/{path}.json"])) == []


def _listed(state: str, path: str, name: str) -> list[str]:
    made = json.loads(documents(STATES[state], PUBLISHER)[f"api/v2/{path}.json"])
    return [one["status"] for one in made[name]]


@pytest.mark.parametrize(
    ("state", "path", "statuses"),
    [
        ("incident", "summary", ["investigating"]),
        ("incident", "incidents/unresolved", ["investigating"]),
        ("resolved", "summary", []),
        ("resolved", "incidents", ["resolved"]),
        ("postmortem", "incidents", ["postmortem"]),
        ("postmortem", "incidents/unresolved", []),
    ],
)
def test_incidents_stand_where_the_reference_has_them(state: str, path: str, statuses: list[str]) -> None:
    assert _listed(state, path, "incidents") == statuses


@pytest.mark.parametrize(
    ("state", "path", "statuses"),
    [
        ("maintenance scheduled", "summary", ["scheduled"]),
        ("maintenance scheduled", "scheduled-maintenances/upcoming", ["scheduled"]),
        ("maintenance scheduled", "scheduled-maintenances/active", []),
        ("maintenance running", "summary", ["in_progress"]),
        ("maintenance running", "scheduled-maintenances/active", ["in_progress"]),
        ("maintenance running", "scheduled-maintenances/upcoming", []),
        ("maintenance verifying", "scheduled-maintenances/active", ["verifying"]),
        ("maintenance completed", "summary", []),
        ("maintenance completed", "scheduled-maintenances", ["completed"]),
        ("maintenance called off", "scheduled-maintenances", ["completed"]),
    ],
)
def test_maintenance_stands_where_the_reference_has_it(state: str, path: str, statuses: list[str]) -> None:
    assert _listed(state, path, "scheduled_maintenances") == statuses


def test_a_correction_and_what_it_withdraws_name_each_other() -> None:
    made = json.loads(documents(STATES["corrected"], PUBLISHER)["api/v2/summary.json"])
    newest, oldest = made["incidents"][0]["incident_updates"]
    assert newest["body"].startswith("This corrects update 1. What was wrong: The date.")
    assert oldest["body"].startswith("This was wrong and is withdrawn. Read update 2 instead.")


def test_the_findings_are_the_newest_update() -> None:
    made = json.loads(documents(STATES["postmortem"], PUBLISHER)["api/v2/incidents.json"])
    newest = made["incidents"][0]["incident_updates"][0]
    assert (newest["status"], newest["body"]) == ("postmortem", "A belt broke.<br /><br />We bought a second one.")


WEBHOOK_KEYS = {
    *("backfilled", "components", "created_at", "id", "impact", "impact_override", "incident_updates", "monitoring_at"),
    *("name", "organization_id", "page_id", "postmortem_body", "postmortem_body_last_updated_at"),
    *("postmortem_ignored", "postmortem_notified_subscribers", "postmortem_notified_twitter"),
    *("postmortem_published_at", "resolved_at", "scheduled_auto_completed", "scheduled_auto_in_progress"),
    *("scheduled_for", "scheduled_remind_prior", "scheduled_reminded_at", "scheduled_until", "shortlink", "status"),
    "updated_at",
}


@pytest.mark.parametrize(
    ("snapshot", "incident_id"),
    [
        (STATES["incident"], "incident0001"),
        (STATES["postmortem"], "incident0001"),
        (STATES["maintenance running"], "maintenance1"),
    ],
)
def test_a_webhook_holds_what_the_samples_hold(snapshot: Snapshot, incident_id: str) -> None:
    told = json.loads(webhook(snapshot, incident_id, PUBLISHER))
    assert set(told["incident"]) == WEBHOOK_KEYS
    assert {"id", "status_indicator", "status_description"} <= set(told["page"])
    for component in told["incident"]["components"]:
        assert set(component) == {
            *("id", "page_id", "group_id", "name", "status", "created_at", "updated_at", "position", "description"),
            "showcase",
        }
    for update in told["incident"]["incident_updates"]:
        assert "tweet_id" not in update
        assert (update["wants_twitter_update"], update["twitter_updated_at"]) == (False, None)
    planned = told["incident"]["scheduled_for"] is not None
    assert planned == (incident_id == "maintenance1") == told["incident"]["scheduled_auto_in_progress"]
