"""The page as data: the public Statuspage API v2, so that the world's tools can read us. Pure: Snapshot in, bytes out.

The shape is Atlassian's (https://confluence.status.atlassian.com/api): every key always present, lists never null,
times in UTC with milliseconds, newest first. Texts are the English ones; the API has one language.
"""

import hashlib
import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import msgspec

from incidents.roll_up import roll_up, worst
from incidents.snapshot import Change, ShownComponent, ShownIncident, ShownUpdate, Snapshot

LANGUAGE = "en"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Publisher:
    """Whose page it is. `url`: absolute, without a slash at its end."""

    name: str
    url: str

    @property
    def id(self) -> str:
        """Twelve characters that stay the same as long as the address does."""
        return _public_id(self.url)


def documents(snapshot: Snapshot, publisher: Publisher) -> dict[str, bytes]:
    """Every document by its path, such as `api/v2/summary.json`."""
    page = {
        "id": publisher.id,
        "name": publisher.name,
        "url": publisher.url,
        "time_zone": "Etc/UTC",
        "updated_at": _time(snapshot.at),
    }
    components = _components(snapshot.components, publisher)
    by_id = {one["id"]: one for one in components}
    incidents = [_incident(one, publisher, by_id) for one in snapshot.open]
    headline = roll_up((one.status for one in snapshot.components), (one.impact for one in snapshot.open))
    status = {"indicator": headline.indicator, "description": headline.description}
    contents: dict[str, Json] = {
        "summary": {
            "components": components,
            "incidents": incidents,
            "scheduled_maintenances": [],
            "status": status,
        },
        "status": {"status": status},
        "components": {"components": components},
        "incidents/unresolved": {"incidents": incidents},
        "scheduled-maintenances": {"scheduled_maintenances": []},
        "scheduled-maintenances/upcoming": {"scheduled_maintenances": []},
        "scheduled-maintenances/active": {"scheduled_maintenances": []},
    }
    return {f"api/v2/{name}.json": _encode({"page": page, **content}) for name, content in contents.items()}


# What an incident has in a webhook besides: of things that we do not have (maintenance, reports afterwards).
_ONLY_IN_WEBHOOKS: Json = {
    "backfilled": False,
    "impact_override": None,
    "postmortem_body": None,
    "postmortem_body_last_updated_at": None,
    "postmortem_ignored": False,
    "postmortem_notified_subscribers": False,
    "postmortem_notified_twitter": False,
    "postmortem_published_at": None,
    "scheduled_auto_completed": False,
    "scheduled_auto_in_progress": False,
    "scheduled_for": None,
    "scheduled_remind_prior": False,
    "scheduled_reminded_at": None,
    "scheduled_until": None,
}


def webhook(snapshot: Snapshot, incident_id: str, publisher: Publisher) -> str:
    """The body of Statuspage's webhook about an incident, as JSON text; `meta` is left to whoever sends it.

    https://support.atlassian.com/statuspage/docs/enable-webhook-notifications/
    """
    by_id = {one["id"]: one for one in _components(snapshot.components, publisher)}
    told = next(one for one in (*snapshot.open, *snapshot.closed, *snapshot.maintenances) if one.id == incident_id)
    headline = roll_up((one.status for one in snapshot.components), (one.impact for one in snapshot.open))
    page = {
        "id": publisher.id,
        "status_indicator": headline.indicator,
        "status_description": headline.description,
        "name": publisher.name,
        "url": publisher.url,
    }
    incident = {**_ONLY_IN_WEBHOOKS, "organization_id": publisher.id, **_incident(told, publisher, by_id)}
    return _encode({"page": page, "incident": incident}).decode()


def _components(shown: Sequence[ShownComponent], publisher: Publisher) -> list[Json]:
    """All components, each group's row before its members; `position` counts within the group, as on Statuspage."""
    rows: list[Json] = []
    top = 0
    for group, members in groupby(shown, key=lambda one: one.group):
        listed = list(members)
        if group is None:
            rows += [_component(one, publisher, None, top + place) for place, one in enumerate(listed, 1)]
            top += len(listed)
            continue
        top += 1
        group_id = _public_id(f"group\0{group}")
        rows.append(_group(group, group_id, listed, publisher, top))
        rows += [_component(one, publisher, group_id, place) for place, one in enumerate(listed, 1)]
    return rows


def _component(one: ShownComponent, publisher: Publisher, group_id: str | None, position: int) -> Json:
    return {
        "id": one.id,
        "name": one.name,
        "status": one.status,
        "created_at": _time(one.created_at),
        "updated_at": _time(one.updated_at),
        "position": position,
        "description": None,
        "showcase": False,
        "start_date": None,
        "group_id": group_id,
        "page_id": publisher.id,
        "group": False,
        "only_show_if_degraded": False,
    }


def _group(name: str, group_id: str, members: list[ShownComponent], publisher: Publisher, position: int) -> Json:
    return {
        "id": group_id,
        "name": name,
        "status": worst(one.status for one in members),
        "created_at": _time(min(one.created_at for one in members)),
        "updated_at": _time(max(one.updated_at for one in members)),
        "position": position,
        "description": None,
        "showcase": False,
        "start_date": None,
        "group_id": None,
        "page_id": publisher.id,
        "group": True,
        "only_show_if_degraded": False,
        "components": [one.id for one in members],
    }


def _incident(one: ShownIncident, publisher: Publisher, by_id: dict[str, Json]) -> Json:
    return {
        "id": one.id,
        "name": one.title[LANGUAGE],
        "status": one.phase,
        "created_at": _time(one.created_at),
        "updated_at": _time(one.updated_at),
        "monitoring_at": _optional(one.monitoring_at),
        "resolved_at": _optional(one.resolved_at),
        "impact": one.impact,
        "shortlink": f"{publisher.url}/incidents/{one.id}",
        "started_at": _time(one.started_at),
        "page_id": publisher.id,
        "incident_updates": [_update(update) for update in one.updates],
        "components": [by_id[component.id] for component in one.components],
        "reminder_intervals": None,
    }


def _update(update: ShownUpdate) -> Json:
    at = _time(update.published_at)
    return {
        "id": update.id,
        "status": update.phase,
        "body": _body(update),
        "incident_id": update.incident_id,
        "created_at": at,
        "updated_at": at,
        "display_at": at,
        "affected_components": _affected(update.changes),
        "deliver_notifications": True,
        "custom_tweet": None,
        "tweet_id": None,
    }


def _affected(changes: Iterable[Change]) -> list[Json] | None:
    """None, not an empty list, when no component is attached: the one list of the contract that may be null."""
    listed = [
        {"code": one.component.id, "name": one.component.label, "old_status": one.old, "new_status": one.new}
        for one in changes
    ]
    return listed or None


def _body(update: ShownUpdate) -> str:
    """Body and advice. Readers may show it as HTML, so our own text must arrive as text."""
    said = update.texts[LANGUAGE]
    parts = [said.body, said.advice]
    if update.next_update_at is not None:
        parts.append(f"Next update by {update.next_update_at.astimezone(UTC):%-d %B %Y, %H:%M} UTC.")
    return html.escape("\n\n".join(parts), quote=False).replace("\n", "<br />")


def _encode(content: Json) -> bytes:
    # Inside JSON these stand in strings only; escaped, a document pasted into a page stays data.
    text = msgspec.json.encode(content)
    return text.replace(b"<", b"\\u003c").replace(b">", b"\\u003e").replace(b"&", b"\\u0026")


def _public_id(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:12]


def _optional(at: datetime | None) -> str | None:
    return None if at is None else _time(at)


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
