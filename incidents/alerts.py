"""Alerts of machines: the first of a kind opens a draft incident, every further one is noted with it.

A draft is for staff alone, until one of them declares or dismisses it. No alert ends an incident: a machine that has
gone quiet does not know that people can fly again. Use cases; none commits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

import structlog
from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

import notify
from foundation.actors import Actor
from foundation.database import Tx
from foundation.errors import Busy, Conflict, Fault, Invalid
from foundation.languages import SPOKEN
from incidents.alert_payloads import WINDOW, Alert, Notice
from incidents.identifiers import new_id
from incidents.journal import note
from incidents.lifecycle import Declaration, check_declaration, tidy_title
from incidents.publishing import check_scope, widen
from incidents.records import Incident, find_incident
from incidents.tables import alert_mappings, alert_signatures, alerts, components, incidents
from incidents.wording import prose_faults

_log = structlog.get_logger()

# Of one source; more than this is a flood, and nobody would look at the rest.
MOST_DRAFTS = 100
LONGEST_REASON = 500
# Labels that name components and groups of ours outright; several with this between.
COMPONENT_LABELS = ("component", "stormdesk_component")
GROUP_LABELS = ("stormdesk_group",)
BETWEEN = "|"


class KnownAlert(NamedTuple):
    """An alert that was noted before, and whether its incident is still one to note more with."""

    incident_id: str
    is_open: bool
    fingerprint: str
    starts_at: datetime


@dataclass(frozen=True, slots=True)
class Taken:
    """What a notice led to. `incident_id`: None when there was nothing to note it with. `opened`: a draft, just now."""

    incident_id: str | None
    opened: bool


@dataclass(frozen=True, slots=True)
class NotedAlert:
    """An alert as it is noted with an incident. `times`: how often we were told."""

    source: str
    fingerprint: str
    status: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: datetime
    ends_at: datetime | None
    first_seen_at: datetime
    last_seen_at: datetime
    times: int


@dataclass(frozen=True, slots=True)
class LabelMeaning:
    """That a label with this value means a component or a group."""

    label: str
    value: str
    kind: str
    key: str


async def take_alerts(tx: Tx, notice: Notice, *, now: datetime) -> Taken:
    """Note the alerts of a notice, and open a draft when they are news. Repeats, also at once, open nothing more.

    Raises Busy while there are too many drafts of the same source.
    """
    # Alerts are few: one at a time of each source is simpler than any other way to open one draft only.
    lock = func.pg_advisory_xact_lock(func.hashtextextended(f"alerts of {notice.source}", 0))
    await tx.execute(select(lock))
    known = await _known(tx, notice)
    incident_id = home_of(notice, known)
    opened = incident_id is None and bool(notice.firing)
    if opened:
        incident_id = await _open(tx, notice, now)
    if incident_id is None:
        return Taken(None, opened=False)
    await _note(tx, incident_id, notice, now)
    incident = await find_incident(tx, incident_id)
    if incident.state == "draft":
        await widen(tx, incident_id, *await _scope(tx, notice.firing))
    return Taken(incident_id, opened)


def home_of(notice: Notice, known: Sequence[KnownAlert]) -> str | None:
    """The incident that a notice belongs to, of those that know its group or alerts (the newest first); None: none yet.

    One that is open takes everything. One that is over takes what it knows already, and the end of it: the alert may
    repeat itself for hours. What fires anew after that is news. Pure.
    """
    for one in known:
        if one.is_open:
            return one.incident_id
    firing = {(one.fingerprint, one.starts_at) for one in notice.firing}
    for incident_id in dict.fromkeys(one.incident_id for one in known):
        if firing <= {(one.fingerprint, one.starts_at) for one in known if one.incident_id == incident_id}:
            return incident_id
    return None


async def declare_draft(tx: Tx, actor: Actor, incident_id: str, declared: Declaration, *, now: datetime) -> Incident:
    """Declare what an alert opened: from here on it is an incident like any other.

    We have known since the alert came in, unless `declared.aware_at` says otherwise. Raises Conflict when it is no
    draft any more, Invalid with every fault.
    """
    incident = await find_incident(tx, incident_id, lock=True)
    if incident.state != "draft":
        raise Conflict("This is no draft any more.", code="no_draft")
    declared = replace(declared, title=tidy_title(declared.title))
    named = replace(
        declared,
        components=(*incident.components, *declared.components),
        groups=(*incident.groups, *declared.groups),
    )
    check_declaration(named, now)
    await check_scope(tx, declared.components, declared.groups)
    await widen(tx, incident.id, declared.components, declared.groups)
    await tx.execute(
        update(incidents)
        .where(incidents.c.id == incident.id)
        .values(
            state="declared",
            title=declared.title,
            impact=declared.impact or "none",
            impact_set=declared.impact,
            severity=declared.severity,
            exercise=declared.exercise,
            notice_limit=declared.notice_limit,
            started_at=declared.started_at,
            aware_at=declared.aware_at or incident.aware_at,
            updated_at=now,
        )
    )
    if declared.exercise:
        await notify.rehearse(tx, incident.id)
    await note(tx, incident.id, actor, "declared", {"exercise": declared.exercise}, now=now)
    return await find_incident(tx, incident.id)


async def dismiss(tx: Tx, actor: Actor, incident_id: str, *, reason: str, now: datetime) -> Incident:
    """Say that what an alert opened is no incident. Raises Conflict when it is no draft, Invalid without a reason."""
    incident = await find_incident(tx, incident_id, lock=True)
    if incident.state != "draft":
        raise Conflict("This is no draft any more.", code="no_draft")
    if faults := list(prose_faults("reason", reason, LONGEST_REASON)):
        raise Invalid("Say why this is no incident.", faults)
    changed = update(incidents).where(incidents.c.id == incident.id).values(state="dismissed", updated_at=now)
    await tx.execute(changed)
    await note(tx, incident.id, actor, "dismissed", {"reason": reason.strip()}, now=now)
    return await find_incident(tx, incident.id)


async def is_new_signature(tx: Tx, signature: bytes, *, now: datetime) -> bool:
    """Whether a signed alert comes for the first time; who overheard it cannot send it again. Forgets what is old."""
    await tx.execute(delete(alert_signatures).where(alert_signatures.c.at < now - 3 * WINDOW))
    row = upsert(alert_signatures).values(signature=signature, at=now).on_conflict_do_nothing()
    return (await tx.execute(row)).rowcount == 1


async def alerts_of(tx: Tx, incident_id: str) -> list[NotedAlert]:
    """The alerts noted with an incident, those that are on first."""
    c = alerts.c
    columns = [c[name] for name in NotedAlert.__slots__]
    query = select(*columns).where(c.incident_id == incident_id).order_by(c.status, c.first_seen_at, c.id)
    return [NotedAlert(**row._mapping) for row in await tx.execute(query)]


async def map_label(tx: Tx, label: str, value: str, *, component_keys: Sequence[str], groups: Sequence[str]) -> None:
    """Say what a label with this value means, instead of what it meant; nothing at all: it means nothing of ours."""
    if not label.strip() or not value.strip():
        raise Invalid("A label and its value are needed.", [Fault("label", "Name the label and the value.")])
    await check_scope(tx, component_keys, groups)
    c = alert_mappings.c
    await tx.execute(delete(alert_mappings).where(c.label == label, c.value == value))
    meant = [("component", key) for key in component_keys] + [("group", key) for key in groups]
    if meant:
        rows = [{"label": label, "value": value, "kind": kind, "key": key} for kind, key in dict.fromkeys(meant)]
        await tx.execute(insert(alert_mappings), rows)


async def mappings(tx: Tx) -> list[LabelMeaning]:
    """What labels mean."""
    c = alert_mappings.c
    rows = await tx.execute(select(c.label, c.value, c.kind, c.key).order_by(c.label, c.value, c.kind, c.key))
    return [LabelMeaning(**row._mapping) for row in rows]


async def _known(tx: Tx, notice: Notice) -> Sequence[KnownAlert]:
    fingerprints = [one.fingerprint for one in notice.alerts]
    values = {"source": notice.source, "group_key": notice.group_key, "fingerprints": fingerprints}
    return [KnownAlert(*row) for row in await tx.execute(_KNOWN, values)]


async def _open(tx: Tx, notice: Notice, now: datetime) -> str:
    drafts = select(func.count()).where(incidents.c.state == "draft", incidents.c.created_by == _actor(notice.source))
    if (await tx.execute(drafts)).scalar_one() >= MOST_DRAFTS:
        raise Busy("Too many alerts wait for somebody to look at them.", retry_after=300)
    incident_id = new_id()
    began = [one.starts_at for one in notice.firing if now - timedelta(days=30) < one.starts_at <= now]
    await tx.execute(
        insert(incidents).values(
            id=incident_id,
            state="draft",
            title=dict.fromkeys(SPOKEN, notice.title),
            phase="investigating",
            impact="none",
            started_at=min(began, default=now),
            aware_at=now,
            created_by=_actor(notice.source),
            created_at=now,
            updated_at=now,
        )
    )
    _log.warning("alert opened a draft", incident=incident_id, source=notice.source)
    return incident_id


def _actor(source: str) -> str:
    return f"alerts:{source}"


async def _note(tx: Tx, incident_id: str, notice: Notice, now: datetime) -> None:
    # One row of each: the same alert twice in a notice would be updated twice by one statement.
    rows = {
        (one.fingerprint, one.starts_at): {
            "incident_id": incident_id,
            "source": notice.source,
            "fingerprint": one.fingerprint,
            "group_key": notice.group_key,
            "status": one.status,
            "labels": dict(one.labels),
            "annotations": dict(one.annotations),
            "starts_at": one.starts_at,
            "ends_at": one.ends_at,
            "first_seen_at": now,
            "last_seen_at": now,
        }
        for one in notice.alerts
    }
    row = upsert(alerts).values(list(rows.values()))
    again = {name: row.excluded[name] for name in ("status", "ends_at", "last_seen_at", "annotations", "group_key")}
    same = ["incident_id", "source", "fingerprint", "starts_at"]
    await tx.execute(row.on_conflict_do_update(index_elements=same, set_={**again, "times": alerts.c.times + 1}))


async def _scope(tx: Tx, firing: Sequence[Alert]) -> tuple[Sequence[str], Sequence[str]]:
    """The components and groups that alerts mean: named outright, or by what their labels stand for here."""
    labels = {(name, value) for one in firing for name, value in one.labels.items()}
    named = {part.strip() for name, value in labels if name in COMPONENT_LABELS for part in value.split(BETWEEN)}
    groups = {part.strip() for name, value in labels if name in GROUP_LABELS for part in value.split(BETWEEN)}
    values = {"names": [name for name, _ in labels], "values": [value for _, value in labels]}
    for row in await tx.execute(_MEANT, values):
        (named if row.kind == "component" else groups).add(row.key)
    # What does not exist is left out: a machine's typing error must not keep an alert from being heard.
    known = select(components.c.key).where(components.c.key.in_(sorted(named)))
    known_groups = select(components.c.group_name).distinct().where(components.c.group_name.in_(sorted(groups)))
    return (await tx.execute(known)).scalars().all(), (await tx.execute(known_groups)).scalars().all()


_KNOWN = text("""
SELECT a.incident_id, i.resolved_at IS NULL AND i.state <> 'dismissed' AS is_open, a.fingerprint, a.starts_at
  FROM alerts a JOIN incidents i ON i.id = a.incident_id
 WHERE a.source = :source AND (a.group_key = :group_key OR a.fingerprint = ANY (:fingerprints))
 ORDER BY i.created_at DESC, i.id, a.id
 LIMIT 5000
""")
_MEANT = text("""
SELECT m.kind, m.key
  FROM alert_mappings m
  JOIN unnest(CAST(:names AS text[]), CAST(:values AS text[])) AS label (name, value)
    ON label.name = m.label AND label.value = m.value
""")
