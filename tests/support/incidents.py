"""Builders of incidents and what they concern, with everything filled in that a test does not care about."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from app.static_files import static_files
from app.templates import render
from foundation.actors import Actor
from foundation.clock import Clock
from foundation.database import Database, Tx
from incidents import (
    Composer,
    Declaration,
    Draft,
    StatusPage,
    UpdateText,
    approve,
    declare,
    draft_update,
    publish,
)
from incidents.publishing import Published
from tests.support import directory
from tests.support.directory import Exposure

NOW = datetime(2026, 2, 8, 14, 10, tzinfo=UTC)
WRITER = Actor("staff", "writer")
BOSS = Actor("staff", "boss")
CHIEF = Actor("staff", "chief")
COMPOSER = Composer(
    render=render, page_name="Northwind Air", public_url="https://status.example.com", time_zone="America/New_York"
)


def a_declaration(**changes: Any) -> Declaration:
    values: dict[str, Any] = {
        "title": {"en": "Check-in is not available", "nl": "Inchecken lukt niet"},
        "impact": "major",
        "started_at": NOW - timedelta(minutes=12),
        "components": ["check-in"],
        "groups": [],
    }
    return Declaration(**{**values, **changes})


def a_text(**changes: Any) -> UpdateText:
    values: dict[str, Any] = {
        "title": "Check-in has stopped",
        "body": "Check-in has stopped at all airports.",
        "advice": "Keep your booking reference at hand.",
    }
    return UpdateText(**{**values, **changes})


def texts(**changes: Any) -> dict[str, UpdateText]:
    return {"en": a_text(**changes), "nl": a_text(**changes)}


def a_draft(**changes: Any) -> Draft:
    values: dict[str, Any] = {
        "phase": "investigating",
        "texts": texts(),
        "next_update_at": NOW + timedelta(minutes=20),
        "component_status": "major_outage",
    }
    return Draft(**{**values, **changes})


async def say(tx: Tx, incident_id: str, draft: Draft, *, now: datetime = NOW) -> Published:
    """Draft, approve and publish."""
    written = await draft_update(tx, WRITER, incident_id, draft, now=now)
    await approve(tx, BOSS, written.id, COMPOSER.messages, now=now)
    return await publish(tx, BOSS, written.id, COMPOSER.messages, compose_webhook=COMPOSER.webhook, now=now)


async def declared(tx: Tx, *, now: datetime = NOW, **changes: Any) -> str:
    """The id of a declared incident."""
    return (await declare(tx, WRITER, a_declaration(**changes), now=now)).id


def a_page(folder: Path, clock: Clock = lambda: NOW) -> StatusPage:
    return StatusPage(
        folder,
        render=render,
        page_name="Northwind Air",
        public_url="https://status.example.com",
        time_zone="America/New_York",
        assets=static_files(),
        clock=clock,
    )


async def a_customer(database: Database, number: str, *exposures: Exposure, language: str = "en") -> None:
    """Commit a customer with a mail address and these exposures."""
    async with database.transaction() as tx:
        await directory.a_customer(tx, number, f"{number}@example.com", language=language, exposures=exposures)
