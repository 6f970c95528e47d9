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
from operator import itemgetter
from typing import Any

import msgspec

from incidents.roll_up import roll_up, worst
from incidents.snapshot import Change, ShownComponent, ShownIncident, ShownPostmortem, ShownUpdate, Snapshot
from incidents.wording import Link

LANGUAGE = "en"
MOST_INCIDENTS = 50  # in the lists that hold what is over too
_UNDER_WAY = ("in_progress", "verifying")
# The API has no word for planned work that was called off: to its readers it is over.
_PHASES = {"cancelled": "completed"}

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
    headline = roll_up((one.status for one in snapshot.components), (one.impact for one in snapshot.open))
    status = {"indicator": headline.indicator, "description": headline.description}
    unresolved = _newest([_incident(one, publisher, by_id) for one in snapshot.open])
    over = [_incident(one, publisher, by_id) for one in snapshot.closed]
    planned = _newest([_incident(one, publisher, by_id) for one in snapshot.maintenances])
    to_come = [one for one in planned if one["status"] in ("scheduled", *_UNDER_WAY)]
    contents: dict[str, Json] = {
        "summary": {
            "components": components,
            "incidents": unresolved,
            "scheduled_maintenances": to_come,
            "status": status,
        },
        "status": {"status": status},
        "components": {"components": components},
        "incidents": {"incidents": _newest([*unresolved, *over])[:MOST_INCIDENTS]},
        "incidents/unresolved": {"incidents": unresolved},
        "scheduled-maintenances": {"scheduled_maintenances": planned[:MOST_INCIDENTS]},
        "scheduled-maintenances/upcoming": {
            "scheduled_maintenances": [one for one in planned if one["status"] == "scheduled"]
        },
        "scheduled-maintenances/active": {
            "scheduled_maintenances": [one for one in planned if one["status"] in _UNDER_WAY]
        },
    }
    return {f"api/v2/{name}.json": _encode({"page": page, **content}) for name, content in contents.items()}


def _newest(listed: list[Json]) -> list[Json]:
    return sorted(listed, key=itemgetter("created_at"), reverse=True)


# Of Statuspage's own doings: publishing to a network that we do not publish to, and reminders that we do not send.
_NEVER: Json = {
    "backfilled": False,
    "impact_override": None,
    "postmortem_ignored": False,
    "postmortem_notified_subscribers": False,
    "postmortem_notified_twitter": False,
    "scheduled_remind_prior": False,
    "scheduled_reminded_at": None,
}
_NOT_IN_WEBHOOKS = ("started_at", "reminder_intervals")
_COMPONENT_IN_WEBHOOKS = (
    *("id", "page_id", "group_id", "name", "status", "created_at", "updated_at", "position", "description"),
    "showcase",
)


def webhook(snapshot: Snapshot, incident_id: str, publisher: Publisher) -> str:
    """The body of Statuspage's webhook about an incident, as JSON text; `meta` is left to whoever sends it.

    https://support.atlassian.com/statuspage/docs/enable-webhook-notifications/
    """
    by_id = {one["id"]: one for one in _components(snapshot.components, publisher)}
    known = (*snapshot.open, *snapshot.closed, *snapshot.maintenances)
    told = next(one for one in known if one.id == incident_id)
    headline = roll_up((one.status for one in snapshot.components), (one.impact for one in snapshot.open))
    page = {
        "id": publisher.id,
        "status_indicator": headline.indicator,
        "status_description": headline.description,
        "name": publisher.name,
        "url": publisher.url,
    }
    return _encode({"page": page, "incident": _incident_for_webhooks(told, publisher, by_id)}).decode()


def _incident_for_webhooks(one: ShownIncident, publisher: Publisher, by_id: dict[str, Json]) -> Json:
    known = _incident(one, publisher, by_id)
    learnt = one.postmortem
    found_out = None if learnt is None else _time(learnt.published_at)
    return {
        **_NEVER,
        **{name: value for name, value in known.items() if name not in _NOT_IN_WEBHOOKS},
        "organization_id": publisher.id,
        "components": [{name: its[name] for name in _COMPONENT_IN_WEBHOOKS} for its in known["components"]],
        "incident_updates": [
            {**{name: value for name, value in update.items() if name != "tweet_id"}, **_NO_TWEET}
            for update in known["incident_updates"]
        ],
        "postmortem_body": None if learnt is None else _text(learnt.texts[LANGUAGE]),
        "postmortem_body_last_updated_at": found_out,
        "postmortem_published_at": found_out,
        "scheduled_for": _optional(one.scheduled_for),
        "scheduled_until": _optional(one.scheduled_until),
        "scheduled_auto_in_progress": one.kind == "maintenance" and one.starts_itself,
        "scheduled_auto_completed": one.kind == "maintenance" and one.ends_itself,
    }


_NO_TWEET: Json = {"wants_twitter_update": False, "twitter_updated_at": None}


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
    learnt = [] if one.postmortem is None else [_learnt(one.postmortem)]
    times: Json = {}
    if one.kind == "maintenance":
        times = {"scheduled_for": _optional(one.scheduled_for), "scheduled_until": _optional(one.scheduled_until)}
    return {
        "id": one.id,
        "name": one.title[LANGUAGE],
        "status": _PHASES.get(one.phase, one.phase),
        "created_at": _time(one.created_at),
        "updated_at": _time(one.updated_at),
        "monitoring_at": _optional(one.monitoring_at),
        "resolved_at": _optional(one.resolved_at),
        "impact": "maintenance" if one.kind == "maintenance" else one.impact,
        "shortlink": f"{publisher.url}/incidents/{one.id}",
        "started_at": _time(one.started_at),
        "page_id": publisher.id,
        "incident_updates": [*learnt, *(_update(update) for update in one.updates)],
        "components": [by_id[component.id] for component in one.components],
        "reminder_intervals": None,
        **times,
    }


def _learnt(postmortem: ShownPostmortem) -> Json:
    at = _time(postmortem.published_at)
    return {
        "id": postmortem.id,
        "status": "postmortem",
        "body": _text(postmortem.texts[LANGUAGE]),
        "incident_id": postmortem.incident_id,
        "created_at": at,
        "updated_at": at,
        "display_at": at,
        "affected_components": None,
        "deliver_notifications": False,
        "custom_tweet": None,
        "tweet_id": None,
    }


def _update(update: ShownUpdate) -> Json:
    at = _time(update.published_at)
    return {
        "id": update.id,
        "status": _PHASES.get(update.phase, update.phase),
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
    """What is said and what to do. A correction names what it withdraws, and what was withdrawn says by what."""
    said = update.texts[LANGUAGE]
    parts = [said.body, said.advice, *_links(said.links)]
    for one in said.advice_for:
        parts += [f"{one.who}: {one.text}", *_links(one.links)]
    if update.corrects is not None:
        parts.insert(0, f"This corrects update {update.corrects}. What was wrong: {said.wrong}")
    if update.corrected_by is not None:
        parts.insert(0, f"This was wrong and is withdrawn. Read update {update.corrected_by} instead.")
    if (cause := _cause(update)) is not None:
        parts.append(cause)
    if update.next_update_at is not None:
        parts.append(f"Next update by {update.next_update_at.astimezone(UTC):%-d %B %Y, %H:%M} UTC.")
    return _text("\n\n".join(parts))


def _links(links: Iterable[Link]) -> list[str]:
    return [f"{link.label}: {link.shown}" for link in links]


def _cause(update: ShownUpdate) -> str | None:
    """The cause with its certainty; None while nothing is said of it."""
    named = [f"{update.texts[LANGUAGE].cause}."] if update.texts[LANGUAGE].cause else []
    if update.party is not None:
        named.append(f"It lies with {update.party}.")
    if update.cause_certainty == "unknown" or not named:
        return None
    if update.cause_certainty == "suspected":
        return " ".join(["Suspected cause, not confirmed:", *named])
    source = [] if update.stated_by is None else [f"{update.stated_by} says so."]
    return " ".join(["Confirmed cause:", *named, *source])


def _text(text: str) -> str:
    """Readers may show a body as HTML, so our own text must arrive as text."""
    return html.escape(text, quote=False).replace("\n", "<br />")


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
