"""Incidents and updates as they are stored, read back as frozen values. It decides nothing and changes nothing."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

import msgspec
from sqlalchemy import ARRAY, ColumnElement, Row, Select, Text, and_, any_, bindparam, func, literal_column, select
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by

from foundation.database import Tx
from foundation.errors import NotFound
from incidents.lifecycle import Audience, Certainty, ComponentStatus, Impact, Kind, Phase, State
from incidents.tables import incident_scope, incidents, update_approvals, updates
from incidents.wording import UpdateText


@dataclass(frozen=True, slots=True)
class Incident:
    """A disruption, or planned work (`kind`). `components` and `groups` are what it was declared to concern.

    `title`: per language. `state`: a draft (of an alert) is nobody's business but staff's. `exercise`: a drill.
    `severity`: 1 (all hands) to 4, or not said; `impact_set`: the impact as set by hand, None where it is computed.
    `notice_limit`: within what people must hear of it, None for the installation's. `reopening`: the next update may
    open it again. The last five are of planned work: when it begins and ends, whether it does both by itself, and
    whether people are told then.
    """

    id: str
    title: Mapping[str, str]
    phase: Phase
    impact: Impact
    started_at: datetime
    aware_at: datetime
    monitoring_at: datetime | None
    resolved_at: datetime | None
    created_by: str
    created_at: datetime
    updated_at: datetime
    needed_from: datetime | None = None
    needed_until: datetime | None = None
    kind: Kind = "incident"
    state: State = "declared"
    exercise: bool = False
    severity: int | None = None
    impact_set: Impact | None = None
    notice_limit: timedelta | None = None
    reopening: bool = False
    scheduled_for: datetime | None = None
    scheduled_until: datetime | None = None
    starts_itself: bool = True
    ends_itself: bool = True
    tells_by_itself: bool = False
    components: Sequence[str] = ()
    groups: Sequence[str] = ()
    segments: Sequence[str] = ()

    @property
    def real(self) -> bool:
        """Whether it is a disruption that customers know or may know of: no drill, no draft, no planned work."""
        return self.kind == "incident" and self.state == "declared" and not self.exercise

    @property
    def over(self) -> bool:
        """Whether it is behind us."""
        return self.resolved_at is not None


@dataclass(frozen=True, slots=True)
class Approval:
    """Somebody's word for one exact text and audience. `bypass_reason`: why nobody else was asked, in an emergency."""

    approved_by: str
    approved_at: datetime
    digest: str
    bypass_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """Something said about an incident. `number` exists once it is published, and then nothing in it ever changes.

    `written_by` wrote the text as it stands, its `revision`. `corrects` and `corrected_by` are ids of updates: what
    this one withdraws, and the published one that withdraws it.
    """

    id: str
    incident_id: str
    number: int | None
    state: str
    phase: Phase
    texts: Mapping[str, UpdateText]
    cause_certainty: Certainty
    cause_party: str | None
    component_status: ComponentStatus | None
    impact: Impact | None
    next_update_at: datetime | None
    created_by: str
    created_at: datetime
    approved_by: str | None
    approved_at: datetime | None
    published_by: str | None
    published_at: datetime | None
    revision: int
    written_by: str
    written_at: datetime
    cause_stated_by: str | None = None
    cause_evidence: str = ""
    audience: Audience = "everyone"
    corrects: str | None = None
    corrected_by: str | None = None
    approvals: tuple[Approval, ...] = ()

    @property
    def bypassed(self) -> Approval | None:
        """The approval that stood in for those of others, if there is one."""
        return next((one for one in self.approvals if one.bypass_reason is not None), None)


async def find_incident(tx: Tx, incident_id: str, *, lock: bool = False) -> Incident:
    """The incident with this id; with `lock` nobody else changes it until the transaction ends. Raises NotFound."""
    query = select(incidents).where(incidents.c.id == incident_id)
    # FOR NO KEY UPDATE: whoever writes a draft meanwhile holds a share of the key, and need not be waited for.
    row = (await tx.execute(query.with_for_update(key_share=True) if lock else query)).one_or_none()
    if row is None:
        raise NotFound("There is no such incident.", code="no_such_incident")
    scope = await tx.execute(
        select(incident_scope.c.kind, incident_scope.c.key)
        .where(incident_scope.c.incident_id == incident_id)
        .order_by(incident_scope.c.key)
    )
    keys: dict[str, list[str]] = {"component": [], "group": [], "segment": []}
    for kind, key in scope:
        keys[kind].append(key)
    return Incident(
        **row._mapping,
        components=tuple(keys["component"]),
        groups=tuple(keys["group"]),
        segments=tuple(keys["segment"]),
    )


async def open_incidents(tx: Tx) -> list[Incident]:
    """Every incident customers may write about that is not resolved, the newest first; scopes are left out.

    Drills, drafts and planned work are no matter of theirs.
    """
    rows = await tx.execute(
        select(incidents)
        .where(incidents.c.resolved_at.is_(None), is_real())
        .order_by(incidents.c.started_at.desc(), incidents.c.id)
    )
    return [Incident(**row._mapping) for row in rows]


async def resolved_incidents(tx: Tx, *, since: datetime, limit: int) -> list[Incident]:
    """The newest `limit` incidents resolved after `since`, the newest first; as in `open_incidents` otherwise."""
    rows = await tx.execute(
        select(incidents)
        .where(incidents.c.resolved_at > since, is_real())
        .order_by(incidents.c.started_at.desc(), incidents.c.id)
        .limit(limit)
    )
    return [Incident(**row._mapping) for row in rows]


def is_real() -> ColumnElement[bool]:
    """Whether a row of incidents is a disruption that customers know or may know of."""
    c = incidents.c
    return and_(c.kind == "incident", c.state == "declared", c.exercise.is_(False))


async def list_incidents(
    tx: Tx, *, over: bool | None = None, kind: Kind | None = None, limit: int = 100
) -> list[Incident]:
    """For staff: everything there is, drafts, drills and planned work too, newest first; scopes are left out.

    `over`: only what is behind us (resolved, completed, or a draft that was dismissed), or only what is not.
    """
    query = select(incidents).order_by(incidents.c.created_at.desc(), incidents.c.id).limit(limit)
    if over is not None:
        behind_us = incidents.c.resolved_at.is_not(None) | (incidents.c.state == "dismissed")
        query = query.where(behind_us if over else ~behind_us)
    if kind is not None:
        query = query.where(incidents.c.kind == kind)
    return [Incident(**row._mapping) for row in await tx.execute(query)]


async def find_incidents(tx: Tx, ids: Collection[str]) -> dict[str, Incident]:
    """Those of `ids` that exist, resolved or not, by id; what each concerns is left out."""
    rows = await tx.execute(select(incidents).where(incidents.c.id == any_(bindparam("ids", list(ids), ARRAY(Text)))))
    return {row.id: Incident(**row._mapping) for row in rows}


async def public_incidents(tx: Tx, ids: Collection[str]) -> set[str]:
    """Those of `ids` that have a published update and are no drill, so the public knows of them."""
    asked = any_(bindparam("ids", list(ids), ARRAY(Text)))
    rows = await tx.execute(
        select(updates.c.incident_id)
        .distinct()
        .join(incidents, incidents.c.id == updates.c.incident_id)
        .where(updates.c.incident_id == asked, updates.c.state == "published", incidents.c.exercise.is_(False))
    )
    return {row[0] for row in rows}


async def standing_promise(tx: Tx, incident_id: str) -> datetime | None:
    """By when the next update was promised, in the newest one published; None when none is promised."""
    newest = (
        select(updates.c.next_update_at)
        .where(updates.c.incident_id == incident_id, updates.c.state == "published")
        .order_by(updates.c.number.desc())
        .limit(1)
    )
    return (await tx.execute(newest)).scalar_one_or_none()


async def find_update(tx: Tx, update_id: str) -> Update:
    """The update with this id, published or not. Raises NotFound."""
    row = (await tx.execute(_updates().where(updates.c.id == update_id))).one_or_none()
    if row is None:
        raise NotFound("There is no such update.", code="no_such_update")
    return read_update(row)


async def updates_of(tx: Tx, incident_id: str) -> list[Update]:
    """Everything said or about to be said about an incident, in the order it was written."""
    # What planned work says in one step has one time; its numbers tell which came first.
    order = updates.c.created_at, updates.c.number, updates.c.id
    rows = await tx.execute(_updates().where(updates.c.incident_id == incident_id).order_by(*order))
    return [read_update(row) for row in rows]


def stored_texts(texts: Mapping[str, UpdateText]) -> dict[str, Any]:
    """Texts as the jsonb column keeps them: {"en": {"title": …, "body": …, "advice": …, "cause": …, …}, …}."""
    return {language: asdict(text) for language, text in texts.items()}


def read_texts(stored: Mapping[str, Any]) -> dict[str, UpdateText]:
    """Texts from the jsonb column, also from one that was written before something could be said."""
    return msgspec.convert(stored, dict[str, UpdateText])


def read_update(row: Row[Any]) -> Update:
    """An update from a row of the columns of `_updates`."""
    values = dict(row._mapping)
    values["texts"] = read_texts(values["texts"])
    values["approvals"] = msgspec.convert(values["approvals"], tuple[Approval, ...])
    return Update(**values)


_NAMED_OTHERWISE = ("cause_party", "cause_stated_by", "corrects", "corrected_by", "approvals")


def _updates() -> Select[Any]:
    correction = updates.alias("correction")
    corrected_by = select(correction.c.id).where(
        correction.c.corrects_id == updates.c.id, correction.c.state == "published"
    )
    names = Approval.__slots__
    pairs: list[tuple[Any, Any]] = [(literal_column(f"'{name}'"), update_approvals.c[name]) for name in names]
    given = func.jsonb_build_object(*chain.from_iterable(pairs))
    approvals = select(
        func.coalesce(
            func.jsonb_agg(aggregate_order_by(given, update_approvals.c.approved_at)),
            literal_column("'[]'::jsonb", JSONB),
        )
    ).where(update_approvals.c.update_id == updates.c.id)
    return select(
        *(updates.c[name] for name in Update.__slots__ if name not in _NAMED_OTHERWISE),
        updates.c.cause_party_key.label("cause_party"),
        updates.c.cause_stated_by_key.label("cause_stated_by"),
        updates.c.corrects_id.label("corrects"),
        corrected_by.scalar_subquery().label("corrected_by"),
        approvals.scalar_subquery().label("approvals"),
    )
