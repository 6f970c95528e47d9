"""What the public may see, made by hand, for all that turns it into pages, data and feeds; without a database."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from app.static_files import static_files
from app.templates import render
from incidents.page_contents import PageContents, Told
from incidents.snapshot import (
    Change,
    PastIncident,
    ShownComponent,
    ShownIncident,
    ShownPostmortem,
    ShownUpdate,
    Snapshot,
    StatusChange,
)
from incidents.statuspage_v2 import Publisher
from incidents.wording import Link, SegmentAdvice, UpdateText
from tests.support.incidents import NOW

PUBLISHER = Publisher("Northwind Air", "https://status.example.com")
ZONE = "America/New_York"


def a_component(name: str = "Check-in", group: str | None = None, status: Any = "operational") -> ShownComponent:
    key = f"{group}/{name}"
    public = "".join(character for character in f"{abs(hash(key)):012d}")[:12]
    return ShownComponent(key, public, name, group, status, 0, NOW - timedelta(days=400), NOW - timedelta(hours=1))


def a_full_text(said: str = "Check-in has stopped", *, wrong: str = "") -> UpdateText:
    """A text with everything in it that a text can have, all of it `said`."""
    link = Link(said, "https://airline.example/help?a=1&b=2")
    return UpdateText(said, said, said, said, wrong, (link,), (SegmentAdvice("abroad", said, said, (link,)),))


def an_update(number: int = 1, **changes: Any) -> ShownUpdate:
    values: dict[str, Any] = {
        "id": f"update{number:06d}",
        "incident_id": "incident0001",
        "number": number,
        "phase": "investigating",
        "texts": {tag: a_full_text() for tag in ("en", "nl")},
        "cause_certainty": "unknown",
        "party": None,
        "next_update_at": NOW + timedelta(minutes=20),
        "published_at": NOW - timedelta(minutes=60 - number),
        "changes": (),
    }
    return ShownUpdate(**{**values, **changes})


def an_incident(**changes: Any) -> ShownIncident:
    component = changes.pop("component", a_component(status="major_outage"))
    values: dict[str, Any] = {
        "id": "incident0001",
        "title": {"en": "Check-in is not available", "nl": "Inchecken lukt niet"},
        "phase": "investigating",
        "impact": "major",
        "started_at": NOW - timedelta(hours=1),
        "created_at": NOW - timedelta(minutes=55),
        "updated_at": NOW,
        "monitoring_at": None,
        "resolved_at": None,
        "updates": (an_update(changes=(Change(component, "operational", "major_outage"),)),),
        "components": (component,),
    }
    return ShownIncident(**{**values, **changes})


def a_maintenance(phase: Any = "scheduled", **changes: Any) -> ShownIncident:
    values: dict[str, Any] = {
        "id": "maintenance1",
        "title": {"en": "New baggage belts", "nl": "Nieuwe bagagebanden"},
        "kind": "maintenance",
        "phase": phase,
        "impact": "none",
        "scheduled_for": NOW + timedelta(days=1),
        "scheduled_until": NOW + timedelta(days=1, hours=3),
        "resolved_at": NOW if phase in ("completed", "cancelled") else None,
        "updates": (an_update(phase=phase, incident_id="maintenance1", next_update_at=None),),
    }
    return an_incident(**{**values, **changes})


def a_postmortem(texts: Mapping[str, str] | None = None) -> ShownPostmortem:
    said = texts or {"en": "A belt broke.\n\nWe bought a second one.", "nl": "Een band brak."}
    return ShownPostmortem("postmortem01", "incident0001", 1, said, NOW - timedelta(minutes=1))


def a_snapshot(
    *known: ShownIncident, components: Sequence[ShownComponent] = (), maintenances: Sequence[ShownIncident] = ()
) -> Snapshot:
    """One of these incidents and of whatever they touch."""
    touched = {one.key: one for incident in (*known, *maintenances) for one in incident.components}
    return Snapshot(
        at=NOW,
        components=tuple({**touched, **{one.key: one for one in components}}.values()),
        open=tuple(one for one in known if one.resolved_at is None),
        closed=tuple(one for one in known if one.resolved_at is not None),
        maintenances=tuple(maintenances),
    )


def files_of(
    snapshot: Snapshot, *, publisher: Publisher = PUBLISHER, changes: Sequence[StatusChange] = ()
) -> dict[str, bytes]:
    """Every file of the page."""
    past = [
        PastIncident(one.id, one.title, one.started_at, one.resolved_at, "", one.kind)
        for one in (*snapshot.closed, *snapshot.maintenances)
        if one.resolved_at is not None
    ]
    contents = PageContents(render=render, publisher=publisher, zone=ZONE, assets=static_files())
    return contents.files(Told(snapshot, past, changes), [one.id for one in past])
