"""Planned work as a calendar (RFC 5545) to subscribe to: what is ahead, under way, lately over or called off. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, timedelta
from urllib.parse import urlsplit

from icalendar import Calendar, Event, vText

from foundation.languages import SPOKEN, in_language
from incidents.snapshot import ShownIncident
from incidents.statuspage_v2 import Publisher
from incidents.xml_text import xml_text

REFRESH = timedelta(minutes=15)


def calendars(maintenances: Sequence[ShownIncident], publisher: Publisher) -> Mapping[str, bytes]:
    """One calendar per language, by path: `maintenance.en.ics`."""
    return {f"maintenance.{language}.ics": _calendar(maintenances, publisher, language) for language in SPOKEN}


def _calendar(maintenances: Sequence[ShownIncident], publisher: Publisher, language: str) -> bytes:
    calendar = Calendar()
    calendar.add("version", "2.0")
    calendar.add("prodid", "-//Stormdesk//Maintenance//EN")
    calendar.add("method", "PUBLISH")
    calendar["x-wr-calname"] = vText(xml_text(publisher.name))  # the library escapes no text in names of others
    calendar.add("refresh-interval", REFRESH, parameters={"value": "DURATION"})
    for one in maintenances:
        calendar.add_component(_event(one, publisher, language))
    written: bytes = calendar.to_ical()
    return written


def _event(one: ShownIncident, publisher: Publisher, language: str) -> Event:
    assert one.scheduled_for is not None
    assert one.scheduled_until is not None
    latest = one.updates[0]
    _, said = in_language(latest.texts, language)
    event = Event()
    # The same event for ever, whatever is said of it later; what is newer has a higher number.
    event.add("uid", f"{one.id}@{urlsplit(publisher.url).hostname or 'localhost'}")
    event.add("sequence", latest.number)
    event.add("dtstamp", latest.published_at.astimezone(UTC).replace(microsecond=0))
    event.add("dtstart", one.scheduled_for.astimezone(UTC))
    event.add("dtend", one.scheduled_until.astimezone(UTC))
    event.add("summary", xml_text(in_language(one.title, language)[1]))
    event.add("description", xml_text("\n\n".join(part for part in (said.body, said.advice) if part)))
    event.add("url", f"{publisher.url}/incidents/{one.id}?lang={language}")
    event.add("status", "CANCELLED" if one.phase == "cancelled" else "CONFIRMED")
    event.add("transp", "TRANSPARENT")  # it does not make its reader busy
    return event
