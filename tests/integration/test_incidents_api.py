"""The staff API of incidents, over HTTP: from declaring to proof per person."""

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
from incidents import Component, Party, define_components, define_parties
from tests.support.incidents import a_customer
from tests.support.web import approved_by_another, parts_for, staff_token
from tests.support.web import client as client_of

TEXT = {"title": "Check-in has stopped", "body": "It has.", "advice": "Keep your booking at hand."}


def _update(**changes: Any) -> dict[str, Any]:
    promise = (system_clock() + timedelta(minutes=30)).isoformat()
    body = {"phase": "investigating", "texts": {"en": TEXT, "nl": TEXT}, "next_update_at": promise}
    return {**body, "component_status": "major_outage", **changes}


def _incident(**changes: Any) -> dict[str, Any]:
    title = {"en": "Check-in is not available", "nl": "Inchecken lukt niet"}
    return {"title": title, "impact": "major", "components": ["check-in"], **changes}


@pytest.fixture
async def api(database_url: str, database: Database, tmp_path: Path) -> AsyncIterator[AsyncClient]:
    """Staff at the API of a process whose page lies in tmp_path/status."""
    async with database.transaction() as tx:
        await define_parties(tx, [Party("kpn", "KPN", "supplier")])
        await define_components(tx, [Component("check-in", "Check-in"), Component("bags", "Bags", "Airport")])
    await a_customer(database, "C1", ("check-in", "R1", None))
    await a_customer(database, "C2", ("bags", "R2", None), language="nl")
    parts = parts_for(database_url, tmp_path, status_dir=tmp_path / "status")
    token = await staff_token(parts)
    async with client_of(parts) as client:
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


async def _drafted(api: AsyncClient, **changes: Any) -> tuple[str, str]:
    incident = (await api.post("/api/v1/incidents", json=_incident())).json()["id"]
    made = await api.post(f"/api/v1/incidents/{incident}/updates", json=_update(**changes))
    assert made.status_code == 201, made.text
    return incident, made.json()["id"]


async def test_an_update_goes_from_draft_to_proof_per_person(
    api: AsyncClient, database: Database, tmp_path: Path
) -> None:
    incident, update = await _drafted(api)
    reach = (await api.get(f"/api/v1/updates/{update}/preview")).json()
    assert (reach["recipients"], reach["unreachable"]) == (1, 0)
    own = await api.post(f"/api/v1/updates/{update}/approve")
    assert (own.status_code, own.json()["code"]) == (409, "own_text")
    approved = (await approved_by_another(api, database, update)).json()
    assert (approved["state"], approved["approved_by"]) == ("approved", f"token:approver-{update}")
    said = (await api.post(f"/api/v1/updates/{update}/publish")).json()
    assert (said["newly_published"], said["page_is_current"], said["update"]["number"]) == (True, True, 1)
    assert said["deliveries"]["planned"] == 1
    again = (await api.post(f"/api/v1/updates/{update}/publish")).json()
    assert (again["newly_published"], again["update"]) == (False, said["update"])
    counts = (await api.get(f"/api/v1/updates/{update}/deliveries")).json()
    assert (counts["total"], counts["states"]["planned"]) == (1, 1)
    told = (await api.get("/api/v1/customers/C1/history")).json()["told"]
    assert [(one["topic"], one["number"], one["state"]) for one in told] == [(f"incident:{incident}", 1, "planned")]
    assert "Check-in is not available" in (tmp_path / "status/index.en.html").read_text()
    assert (await api.get("/")).status_code == 200
    whole = (await api.get(f"/api/v1/incidents/{incident}")).json()
    assert [one["id"] for one in whole["updates"]] == [update]


async def test_a_page_that_cannot_be_written_does_not_undo_what_was_published(
    api: AsyncClient, database: Database, tmp_path: Path
) -> None:
    (tmp_path / "status").write_text("a file where the folder should be")
    _, update = await _drafted(api)
    await approved_by_another(api, database, update)
    said = await api.post(f"/api/v1/updates/{update}/publish")
    assert said.status_code == 200
    assert (said.json()["newly_published"], said.json()["page_is_current"]) == (True, False)


async def test_an_incident_is_amended(api: AsyncClient) -> None:
    made = await api.post("/api/v1/incidents", json=_incident())
    assert made.status_code == 201
    changed = await api.patch(made.headers["location"], json={"impact": "critical", "groups": ["Airport"]})
    assert (changed.json()["impact"], changed.json()["groups"]) == ("critical", ["Airport"])


async def test_faults_are_problems_that_list_them_all(api: AsyncClient) -> None:
    incident, _ = await _drafted(api)
    bad_types = await api.post("/api/v1/incidents", json={"title": "x", "impact": "huge", "more": 1})
    bad_rules = await api.post(
        f"/api/v1/incidents/{incident}/updates", json=_update(texts={"en": {**TEXT, "title": ""}}, cause_party="kpn")
    )
    for answer, fields in (
        (bad_types, {"title", "impact", "more"}),
        (bad_rules, {"texts.en.title", "texts.nl", "cause_party"}),
    ):
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"
        assert {one["field"] for one in answer.json()["errors"]} == fields


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[" * 100_000, b"\xff\xfe", b'{"title": {"en": "\\u0000"}}', b"null", b"1e999"]
)
async def test_bodies_that_are_no_request_are_refused(api: AsyncClient, raw: bytes) -> None:
    answer = await api.post("/api/v1/incidents", content=raw)
    assert answer.status_code == 422
    assert json.loads(answer.content)["code"] in ("not_json", "invalid")


async def test_a_body_beyond_the_limit_is_refused(api: AsyncClient) -> None:
    answer = await api.post("/api/v1/incidents", content=b" " * (1 << 20) + b"{}")
    assert answer.status_code == 413


async def test_what_does_not_exist_is_404_and_what_cannot_be_is_409(api: AsyncClient) -> None:
    for method, path in (
        ("GET", "incidents/none"),
        ("PATCH", "incidents/none"),
        ("POST", "incidents/none/updates"),
        ("GET", "updates/none/preview"),
        ("POST", "updates/none/approve"),
        ("POST", "updates/none/publish"),
        ("GET", "updates/none/deliveries"),
    ):
        content = json.dumps(_update() if path.endswith("updates") else {})
        assert (await api.request(method, f"/api/v1/{path}", content=content)).status_code == 404, path
    _, update = await _drafted(api)
    refused = await api.post(f"/api/v1/updates/{update}/publish")
    assert (refused.status_code, refused.json()["code"]) == (409, "not_approved")


async def test_strangers_do_nothing(api: AsyncClient) -> None:
    incident, update = await _drafted(api)
    del api.headers["Authorization"]
    for method, path in (
        ("POST", "incidents"),
        ("GET", f"incidents/{incident}"),
        ("PATCH", f"incidents/{incident}"),
        ("POST", f"incidents/{incident}/updates"),
        ("GET", f"updates/{update}"),
        ("GET", f"updates/{update}/preview"),
        ("POST", f"updates/{update}/approve"),
        ("POST", f"updates/{update}/publish"),
        ("GET", f"updates/{update}/deliveries"),
        ("GET", "customers/C1/history"),
    ):
        assert (await api.request(method, f"/api/v1/{path}", content=b"{}")).status_code == 401, path


async def test_an_emergency_is_on_the_audit_record_with_its_reason(api: AsyncClient, database: Database) -> None:
    _, update = await _drafted(api)
    short = await api.post(f"/api/v1/updates/{update}/bypass", json={"reason": "now"})
    assert (short.status_code, short.json()["errors"][0]["field"]) == (422, "reason")
    done = await api.post(f"/api/v1/updates/{update}/bypass", json={"reason": "Gates close in five minutes."})
    assert done.json()["approvals"][0]["bypass_reason"] == "Gates close in five minutes."
    assert (await api.post(f"/api/v1/updates/{update}/publish")).json()["newly_published"]
    async with database.transaction() as tx:
        query = text("SELECT actor, outcome, reason FROM audit_log WHERE action = 'updates.bypass post' ORDER BY id")
        rows = [tuple(row) for row in await tx.execute(query)]
    assert rows[-1] == ("token:ops", "done", "Gates close in five minutes.")


async def test_a_draft_starts_from_a_template_is_edited_and_follows_a_change_of_scope(
    api: AsyncClient, database: Database
) -> None:
    incident, update = await _drafted(api)
    started = (await api.get(f"/api/v1/incidents/{incident}/update-templates/investigating")).json()["texts"]
    assert set(started) == {"en", "nl", "de", "fr", "es"}
    edited = await api.put(f"/api/v1/updates/{update}", json=_update(texts=started, component_status=None))
    assert (edited.json()["revision"], edited.json()["texts"]["de"]["title"]) == (2, "Check-in is not available")
    await approved_by_another(api, database, update)
    assert (await api.post(f"/api/v1/updates/{update}/publish")).status_code == 200
    segment = {"names": {"en": "You read Dutch", "nl": "U leest Nederlands"}, "languages": ["nl"]}
    assert (await api.put("/api/v1/segments/dutch", json=segment)).json()["key"] == "dutch"
    scope = {"components": ["check-in"], "groups": ["Airport"], "segments": ["dutch"]}
    assert (await api.post("/api/v1/audience", json=scope)).json()["people"] == 1
    changed = (await api.put(f"/api/v1/incidents/{incident}/scope", json=scope)).json()
    assert (changed["joined"], changed["left"]) == (1, 1)
    assert [one["audience"] for one in changed["drafts"]] == ["joined", "left"]
    sample = (await api.get(f"/api/v1/incidents/{incident}/audience/sample")).json()["people"]
    assert [one["customer_number"] for one in sample] == ["C2"]
    assert (await api.get(f"/api/v1/incidents/{incident}/overlaps")).json() == {"overlaps": []}
