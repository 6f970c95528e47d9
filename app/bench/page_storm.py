"""The page of the demonstration's worst hour, for benches: 1,614 flights, 865 cancelled, and what is said of it."""

from datetime import timedelta
from pathlib import Path

from app.demo.flights import flights
from app.static_files import static_files
from app.templates import render
from foundation.actors import SYSTEM
from foundation.clock import system_clock
from foundation.database import Database
from incidents import (
    Component,
    Composer,
    Declaration,
    Draft,
    StatusPage,
    UpdateText,
    declare,
    define_components,
    draft_update,
    publish,
)

NAME, URL, ZONE = "Bench", "https://status.example.com", "America/New_York"


def status_page(status_dir: Path) -> StatusPage:
    """What writes the page to `status_dir`."""
    return StatusPage(status_dir, render=render, page_name=NAME, public_url=URL, time_zone=ZONE, assets=static_files())


async def storm(database: Database) -> str:
    """The id of an incident that cancels 865 of 1,614 flights."""
    now = system_clock()
    async with database.transaction() as tx:
        await define_components(
            tx, [Component(one.key, one.name, one.group, position=one.position) for one in flights()]
        )
        cancelled = [one.key for one in flights() if one.cancelled]
        title = {"en": "A snowstorm", "nl": "Een sneeuwstorm"}
        return (await declare(tx, SYSTEM, Declaration(title, "major", now, cancelled), now=now)).id


async def say(database: Database, incident: str, title: str) -> None:
    """Publish an update of it, in two languages."""
    now = system_clock()
    text = UpdateText(title, "Snow has closed the airports.\n\nNobody needs to queue.", "Stay at home.")
    draft = Draft("identified", {"en": text, "nl": text}, now + timedelta(hours=1), component_status="major_outage")
    async with database.transaction() as tx:
        written = await draft_update(tx, SYSTEM, incident, draft, now=now)
        await publish(tx, SYSTEM, written.id, Composer(render, NAME, URL, ZONE).messages, now=now, needed=0)
