"""Alerts of machines open one draft, whatever is repeated, reordered, replayed or sent by somebody hostile."""

import asyncio
import hmac
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from httpx2 import AsyncClient
from sqlalchemy import text

from foundation.clock import system_clock
from foundation.database import Database
from incidents import Component, define_components, open_incidents
from tests.support.web import client as client_of
from tests.support.web import parts_for, staff_token

BEGAN = f"{system_clock() - timedelta(hours=2):%Y-%m-%dT%H:%M:%S}"
SECRET = b"a secret shared with the pipeline of builds"


def alert(name: str = "CheckInDown", **changes: Any) -> dict[str, Any]:
    labels = {"alertname": name, "severity": "page", **changes.pop("labels", {})}
    values = {"status": "firing", "labels": labels, "annotations": {"summary": f"{name} is on"}}
    values |= {"startsAt": f"{BEGAN}.123456789Z", "endsAt": "0001-01-01T00:00:00Z"}
    return {**values, "generatorURL": "http://prom/", "fingerprint": f"fp-{name}", **changes}


def notification(*alerts: dict[str, Any], **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {"version": "4", "groupKey": '{}:{alertname="CheckInDown"}', "truncatedAlerts": 0}
    values |= {"status": "firing", "receiver": "stormdesk", "groupLabels": {"alertname": "CheckInDown"}}
    values |= {"commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://alertmanager/"}
    return {**values, "alerts": list(alerts) or [alert()], **changes}


@pytest.fixture
async def api(database_url: str, database: Database, tmp_path: Path) -> AsyncIterator[AsyncClient]:
    async with database.transaction() as tx:
        await define_components(tx, [Component("check-in", "Check-in"), Component("bags", "Bags", "Airport")])
    parts = parts_for(database_url, tmp_path, alert_secrets={"builds": SECRET})
    token = await staff_token(parts)
    async with client_of(parts) as client:
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


async def send(api: AsyncClient, body: dict[str, Any]) -> dict[str, Any]:
    answer = await api.post("/api/v1/alerts/alertmanager", content=json.dumps(body))
    assert answer.status_code == 202, answer.text
    return answer.json()  # type: ignore[no-any-return]  # JSON


async def signed(api: AsyncClient, body: bytes, *, at: float | None = None, secret: bytes = SECRET) -> Any:
    stamp = str(int(at if at is not None else system_clock().timestamp()))
    signature = hmac.digest(secret, stamp.encode() + b"." + body, "sha256").hex()
    headers = {"X-Stormdesk-Timestamp": stamp, "X-Stormdesk-Signature": f"sha256={signature}"}
    return await api.post("/api/v1/alerts/signed/builds", content=body, headers=headers)


async def test_an_alert_opens_a_draft_that_nobody_outside_hears_of(api: AsyncClient, database: Database) -> None:
    taken = await send(api, notification(alert(labels={"component": "check-in|gone"})))
    assert taken["opened"]
    draft = (await api.get(f"/api/v1/incidents/{taken['incident_id']}")).json()
    assert (draft["state"], draft["title"]["en"], draft["components"]) == ("draft", "CheckInDown", ["check-in"])
    assert draft["started_at"].startswith(BEGAN)
    refused = await api.post(f"/api/v1/incidents/{draft['id']}/updates", json={"phase": "investigating", "texts": {}})
    assert (refused.status_code, refused.json()["code"]) == (409, "not_declared")
    async with database.transaction() as tx:
        assert await open_incidents(tx) == []


async def test_repeats_open_nothing_more_also_at_once(api: AsyncClient, database: Database) -> None:
    taken = await asyncio.gather(*(send(api, notification()) for _ in range(8)))
    assert len({one["incident_id"] for one in taken}) == 1
    assert [one["opened"] for one in taken].count(True) == 1
    regrouped = await send(api, notification(groupKey="another"))
    assert (regrouped["opened"], regrouped["incident_id"]) == (False, taken[0]["incident_id"])
    async with database.transaction() as tx:
        assert await tx.scalar(text("SELECT count(*) FROM incidents")) == 1
        assert await tx.scalar(text("SELECT times FROM alerts")) == 9


async def test_an_alert_that_is_over_is_noted_and_ends_nothing(api: AsyncClient) -> None:
    opened = await send(api, notification())
    over = alert(status="resolved", endsAt="2026-02-08T15:00:00Z")
    assert await send(api, notification(over, status="resolved")) == {
        "incident_id": opened["incident_id"],
        "opened": False,
    }
    (noted,) = (await api.get(f"/api/v1/incidents/{opened['incident_id']}/alerts")).json()["alerts"]
    assert (noted["status"], noted["ends_at"]) == ("resolved", "2026-02-08T15:00:00Z")
    incident = (await api.get(f"/api/v1/incidents/{opened['incident_id']}")).json()
    assert (incident["state"], incident["phase"]) == ("draft", "investigating")
    strange = await send(api, notification(alert("Other", status="resolved"), groupKey="other"))
    assert strange == {"incident_id": None, "opened": False}


async def test_what_was_dismissed_stays_so_until_it_fires_anew(api: AsyncClient) -> None:
    first = await send(api, notification())
    path = f"/api/v1/incidents/{first['incident_id']}"
    assert (await api.post(path + "/dismiss", json={"reason": "A test of the pager."})).status_code == 200
    assert await send(api, notification()) == {"incident_id": first["incident_id"], "opened": False}
    anew = await send(api, notification(alert(startsAt=f"{system_clock():%Y-%m-%dT%H:%M:%SZ}")))
    assert anew["opened"]
    assert anew["incident_id"] != first["incident_id"]
    assert (await api.post(path + "/declare", json={"title": {}})).status_code == 409


async def test_a_draft_is_declared_and_we_knew_since_the_alert(api: AsyncClient) -> None:
    meaning = {"label": "service", "value": "bsm", "groups": ["Airport"]}
    assert (await api.put("/api/v1/alert-mappings", json=meaning)).status_code == 200
    taken = await send(api, notification(alert(labels={"service": "bsm"})))
    path = f"/api/v1/incidents/{taken['incident_id']}"
    draft = (await api.get(path)).json()
    assert draft["groups"] == ["Airport"]
    title = {"en": "Bags are late", "nl": "Bagage is laat"}
    declared = await api.post(path + "/declare", json={"title": title, "severity": 2, "components": ["check-in"]})
    assert declared.status_code == 200, declared.text
    found = declared.json()
    assert (found["state"], found["severity"], found["aware_at"]) == ("declared", 2, draft["aware_at"])
    assert (found["components"], found["groups"]) == (["check-in"], ["Airport"])
    events = [one["event"] for one in (await api.get(path + "/timeline")).json()["timeline"]]
    assert events == ["alert_fired", "declared"]


async def test_a_signed_alert_is_taken_once_and_in_time(api: AsyncClient, database: Database) -> None:
    body = json.dumps({"key": "deploy-7", "title": "Deploy failed", "components": ["bags"]}).encode()
    del api.headers["Authorization"]
    first, replayed = await signed(api, body), await signed(api, body, at=system_clock().timestamp())
    assert first.status_code == 202, first.text
    assert first.json()["opened"]
    assert replayed.json() in ({"incident_id": None, "opened": False}, {**first.json(), "opened": False})
    again = await signed(api, body, at=system_clock().timestamp() - 2)
    assert again.json() == {"incident_id": first.json()["incident_id"], "opened": False}
    now = system_clock().timestamp()
    for wrong in (
        await signed(api, body, secret=b"another"),
        await signed(api, body, at=now - 600),
        await signed(api, body, at=now + 600),
        await api.post("/api/v1/alerts/signed/builds", content=body),
        await api.post("/api/v1/alerts/signed/nobody", content=body),
        await api.post("/api/v1/alerts/signed/builds", content=body, headers={b"X-Stormdesk-Timestamp": b"\xff"}),
    ):
        assert (wrong.status_code, wrong.json()["code"]) == (422, "bad_signature")
    async with database.transaction() as tx:
        assert await tx.scalar(text("SELECT count(*) FROM incidents")) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"alerts": []}',
        b"[" * 100_000,
        b"\xff",
        json.dumps(notification(alerts=[alert()] * 501)).encode(),
        json.dumps(notification(alert(startsAt="yesterday"))).encode(),
        json.dumps(notification(alert(labels={"a": 1}))).encode(),
        b" " * (600 << 10) + json.dumps(notification()).encode(),
        json.dumps(notification(version="3")).encode(),
    ],
    ids=range(11),
)
async def test_what_is_no_notification_is_refused(api: AsyncClient, body: bytes) -> None:
    answer = await api.post("/api/v1/alerts/alertmanager", content=body)
    assert answer.status_code == 422, answer.text


async def test_a_hostile_payload_is_kept_as_text_within_bounds(api: AsyncClient) -> None:
    labels = {f"l{number}": "x" * 5000 for number in range(100)}
    summary = "<script>alert(1)</script>\u202e\x00\r\nBcc: all@example.com {leave_url} " + "y" * 500
    nasty = alert("'; DROP TABLE incidents; --", labels=labels, fingerprint="\x00\u2066" * 50)
    taken = await send(api, notification(nasty, commonAnnotations={"summary": summary}, groupKey="g" * 9000))
    incident = (await api.get(f"/api/v1/incidents/{taken['incident_id']}")).json()
    assert incident["title"]["en"].startswith("<script>alert(1)</script> Bcc: all@example.com {leave_url} yyy")
    assert len(incident["title"]["en"]) == 150
    (noted,) = (await api.get(f"/api/v1/incidents/{taken['incident_id']}/alerts")).json()["alerts"]
    assert len(noted["labels"]) == 64
    assert max(map(len, noted["labels"].values())) == 2000


async def test_a_flood_of_alerts_stops_opening_drafts(api: AsyncClient, database: Database) -> None:
    fill = """
        INSERT INTO incidents (id, title, phase, impact, state, started_at, aware_at, created_by)
        SELECT lpad(n::text, 12, '0'), '{"en": "x"}', 'investigating', 'none', 'draft', now(), now(),
               'alerts:alertmanager:ops'
          FROM generate_series(1, 100) n
    """
    async with database.transaction() as tx:
        await tx.execute(text(fill))
    answer = await api.post("/api/v1/alerts/alertmanager", json=notification())
    assert (answer.status_code, answer.json()["code"]) == (503, "busy")
    assert "retry-after" in answer.headers
