"""Who may enter: staff with a valid token, the machine itself for its own questions, and strangers nowhere else."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from app.auth import create_token
from app.tables import api_tokens
from tests.support.web import client, parts_for, staff_token

CASES = "/api/v1/cases"


async def test_a_stranger_is_asked_to_sign_in(database_url: str, tmp_path: Path) -> None:
    async with client(parts_for(database_url, tmp_path)) as web:
        answer = await web.get(CASES)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "unauthenticated"


async def test_a_token_lets_staff_in_until_it_is_revoked(database_url: str, tmp_path: Path) -> None:
    parts = parts_for(database_url, tmp_path)
    async with client(parts) as web:
        headers = {"Authorization": f"Bearer {await staff_token(parts)}"}
        assert (await web.get(CASES, headers=headers)).status_code == 200
        async with parts.database.transaction() as tx:
            await tx.execute(update(api_tokens).values(revoked_at=parts.clock()))
        assert (await web.get(CASES, headers=headers)).status_code == 401


async def test_an_expired_token_is_no_token(database_url: str, tmp_path: Path) -> None:
    parts = parts_for(database_url, tmp_path)
    async with client(parts) as web:
        async with parts.database.transaction() as tx:
            made = await create_token(tx, "old", now=parts.clock() - timedelta(days=91))
        assert (await web.get(CASES, headers={"Authorization": f"Bearer {made}"})).status_code == 401


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic abc", "Bearer \x00", "Bearer " + "x" * 5000])
async def test_a_broken_header_is_no_token(database_url: str, tmp_path: Path, header: str) -> None:
    async with client(parts_for(database_url, tmp_path)) as web:
        assert (await web.get(CASES, headers={"Authorization": header})).status_code == 401


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz"])
async def test_the_questions_of_machines_are_not_for_strangers(database_url: str, tmp_path: Path, path: str) -> None:
    parts = parts_for(database_url, tmp_path)
    async with client(parts) as web:
        assert (await web.get(path)).status_code == 404
        headers = {"Authorization": f"Bearer {await staff_token(parts)}"}
        assert (await web.get(path, headers=headers)).status_code == 200


async def test_a_proxy_on_this_machine_does_not_make_strangers_local(database_url: str, tmp_path: Path) -> None:
    async with client(parts_for(database_url, tmp_path), address="127.0.0.1") as web:
        assert (await web.get("/metrics")).status_code == 200
        assert (await web.get("/metrics", headers={"X-Forwarded-For": "203.0.113.9"})).status_code == 404


async def test_a_nul_is_refused_and_breaks_nothing(database_url: str, tmp_path: Path) -> None:
    parts = parts_for(database_url, tmp_path)
    async with client(parts) as web:
        headers = {"Authorization": f"Bearer {await staff_token(parts)}"}
        body = {"title": {"en": "a", "nl": "b"}, "impact": "major", "components": ["a\0b"]}
        answers = [
            await web.post("/api/v1/incidents", json=body, headers=headers),
            await web.get("/api/v1/incidents/%00", headers=headers),
            await web.get("/api/v1/customers/%00/history", headers=headers),
            await web.get("/api/v1/cases/%00", headers=headers),
            await web.get("/t/%00"),
        ]
    assert {answer.status_code for answer in answers} <= {404, 422}


async def test_whoever_reads_pages_gets_a_page(database_url: str, tmp_path: Path) -> None:
    async with client(parts_for(database_url, tmp_path)) as web:
        page = await web.get("/nowhere", headers={"Accept": "text/html", "Accept-Language": "nl"})
        data = await web.get("/api/v1/nowhere", headers={"Accept": "text/html"})
    assert page.status_code == 404
    assert "Hier is niets te vinden" in page.text
    assert data.json()["code"] == "not_found"
