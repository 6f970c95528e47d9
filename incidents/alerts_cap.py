"""Incidents in the Common Alerting Protocol, version 1.2, for machines that warn people. Pure.

https://docs.oasis-open.org/emergency/cap/v1.2/CAP-v1.2-os.html. Each update is a message of its own that names those it
takes the place of: the first is an Alert, later ones are Updates, the one that resolves the incident is a Cancel.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element, SubElement, tostring

from foundation.languages import SPOKEN
from incidents.lifecycle import OVER, Impact
from incidents.snapshot import ShownIncident, ShownUpdate
from incidents.statuspage_v2 import Publisher
from incidents.wording import UpdateText
from incidents.xml_text import xml_text

NAMESPACE = "urn:oasis:names:tc:emergency:cap:1.2"
# The protocol means danger to life and property; an outage of a service is seldom more than moderate.
_SEVERITY: Mapping[Impact, str] = {"none": "Unknown", "minor": "Minor", "major": "Moderate", "critical": "Severe"}
MOST_NAMES = 100  # of components in a description of the area


def alerts_of(incident: ShownIncident, publisher: Publisher) -> dict[str, bytes]:
    """Every message about an incident by its path, `incidents/<id>/cap/<number>.xml`, and the last as `…/cap.xml`."""
    folder = f"incidents/{incident.id}"
    files = {}
    standing: list[ShownUpdate] = []
    for update in reversed(incident.updates):
        message = _alert(incident, update, standing, publisher)
        files[f"{folder}/cap/{update.number}.xml"] = files[f"{folder}/cap.xml"] = message
        # What was cancelled is over: what comes after it is a new alert.
        standing = [] if update.phase in OVER else [*standing, update]
    return files


def _alert(
    incident: ShownIncident, update: ShownUpdate, standing: Sequence[ShownUpdate], publisher: Publisher
) -> bytes:
    over = update.phase in OVER
    alert = Element("alert", xmlns=NAMESPACE)
    _add(alert, "identifier", _identifier(update))
    _add(alert, "sender", _sender(publisher))
    _add(alert, "sent", _time(update.published_at))
    _add(alert, "status", "Actual")
    _add(alert, "msgType", "Alert" if not standing else "Cancel" if over else "Update")
    _add(alert, "scope", "Public")
    if update.corrects is not None:
        _add(alert, "note", f"This corrects message {update.corrects}: {update.texts[SPOKEN[0]].wrong}")
    if standing:
        _add(alert, "references", " ".join(_reference(one, publisher) for one in standing))
    _add(alert, "incidents", incident.id)
    for language in SPOKEN:
        if language in update.texts:
            _add_info(alert, incident, update, language, publisher)
    written: bytes = b'<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(alert, encoding="utf-8")
    return written


def _add_info(
    alert: Element, incident: ShownIncident, update: ShownUpdate, language: str, publisher: Publisher
) -> None:
    text, over = update.texts[language], update.phase in OVER
    title = incident.title.get(language) or incident.title[SPOKEN[0]]
    info = SubElement(alert, "info")
    _add(info, "language", language)
    _add(info, "category", "Infra")
    _add(info, "event", title)
    _add(info, "responseType", "AllClear" if over else "Monitor")
    _add(info, "urgency", "Past" if over else "Immediate")
    _add(info, "severity", _SEVERITY[incident.impact])
    _add(info, "certainty", "Observed")
    _add(info, "effective", _time(update.published_at))
    _add(info, "onset", _time(incident.started_at))
    if update.next_update_at is not None:
        _add(info, "expires", _time(update.next_update_at))
    _add(info, "senderName", publisher.name)
    _add(info, "headline", text.title)
    _add(info, "description", text.body)
    _add(info, "instruction", "\n".join(_instructions(text)))
    _add(info, "web", f"{publisher.url}/incidents/{incident.id}?lang={language}")
    if incident.components:
        named = [one.label for one in incident.components]
        more = f"; {len(named) - MOST_NAMES} more" if len(named) > MOST_NAMES else ""
        _add(SubElement(info, "area"), "areaDesc", "; ".join(named[:MOST_NAMES]) + more)


def _instructions(text: UpdateText) -> Iterator[str]:
    yield text.advice
    yield from (f"{link.label}: {link.shown}" for link in text.links)
    for one in text.advice_for:
        yield f"{one.who}: {one.text}"
        yield from (f"{link.label}: {link.shown}" for link in one.links)


def _identifier(update: ShownUpdate) -> str:
    return f"stormdesk-{update.id}"


def _sender(publisher: Publisher) -> str:
    return urlsplit(publisher.url).hostname or "localhost"


def _reference(update: ShownUpdate, publisher: Publisher) -> str:
    return f"{_sender(publisher)},{_identifier(update)},{_time(update.published_at)}"


def _time(at: datetime) -> str:
    # With its offset in figures and whole seconds; the protocol forbids "Z", and wants UTC to be written as -00:00.
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}-00:00"


def _add(parent: Element, name: str, text: str) -> None:
    SubElement(parent, name).text = xml_text(text)
