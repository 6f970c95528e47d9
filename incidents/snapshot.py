"""What the public may see, read in one snapshot of the database. It renders nothing and leaves drafts out."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import ColumnElement, String, and_, cast, exists, func, literal_column, or_, select, text

from foundation.database import Tx
from incidents.lifecycle import Certainty, ComponentStatus, Impact, Kind, Phase
from incidents.records import read_texts
from incidents.tables import components, incidents, parties, postmortems, update_components, updates
from incidents.wording import UpdateText


@dataclass(frozen=True, slots=True)
class ShownComponent:
    """A component as it stands now. `id` is its public one, stable for ever."""

    key: str
    id: str
    name: str
    group: str | None
    status: ComponentStatus
    position: int
    created_at: datetime
    updated_at: datetime

    @property
    def label(self) -> str:
        """Its name with its group's before it, as the Statuspage API writes it."""
        return f"{self.group} - {self.name}" if self.group else self.name


@dataclass(frozen=True, slots=True)
class Change:
    """What an update did to one component; both statuses are equal where it did nothing."""

    component: ShownComponent
    old: ComponentStatus
    new: ComponentStatus


@dataclass(frozen=True, slots=True)
class ShownUpdate:
    """A published update. `party` (with whom the cause lies) and `stated_by` (who says so) are names, not keys.

    `corrects` is the number of the update this one withdraws, `corrected_by` that of the one that withdraws it.
    """

    id: str
    incident_id: str
    number: int
    phase: Phase
    texts: Mapping[str, UpdateText]
    cause_certainty: Certainty
    party: str | None
    next_update_at: datetime | None
    published_at: datetime
    changes: tuple[Change, ...]
    stated_by: str | None = None
    corrects: int | None = None
    corrected_by: int | None = None


@dataclass(frozen=True, slots=True)
class ShownPostmortem:
    """What we found out afterwards, as it was published last. `texts`: prose per language, of several paragraphs."""

    id: str
    incident_id: str
    number: int
    texts: Mapping[str, str]
    published_at: datetime


@dataclass(frozen=True, slots=True)
class ShownIncident:
    """An incident with its published updates, newest first (one at least), and the components any of them touched.

    Planned work (`kind` maintenance) has its times, and one that was called off the phase `cancelled`.
    """

    id: str
    title: Mapping[str, str]
    phase: Phase
    impact: Impact
    started_at: datetime
    created_at: datetime
    updated_at: datetime
    monitoring_at: datetime | None
    resolved_at: datetime | None
    updates: tuple[ShownUpdate, ...]
    components: tuple[ShownComponent, ...]
    kind: Kind = "incident"
    impact_set: Impact | None = None
    scheduled_for: datetime | None = None
    scheduled_until: datetime | None = None
    starts_itself: bool = True
    ends_itself: bool = True
    postmortem: ShownPostmortem | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One instant. `open`: unresolved incidents, newest first; `closed`: the resolved ones that were asked for.

    `maintenances`: planned work that is not over, by the time it begins, then what is over of what was asked for.
    """

    at: datetime
    components: tuple[ShownComponent, ...]
    open: tuple[ShownIncident, ...]
    closed: tuple[ShownIncident, ...]
    maintenances: tuple[ShownIncident, ...] = ()


@dataclass(frozen=True, slots=True)
class PastIncident:
    """An incident or planned work that is over, for the history."""

    id: str
    title: Mapping[str, str]
    started_at: datetime
    resolved_at: datetime
    stamp: str
    kind: Kind = "incident"


@dataclass(frozen=True, slots=True)
class StatusChange:
    """That a component went from one status to another."""

    component_key: str
    at: datetime
    old: ComponentStatus
    new: ComponentStatus


async def status_changes(tx: Tx, *, since: datetime) -> list[StatusChange]:
    """Every change of a component's status after `since` that the public was told of, by component and time."""
    c = update_components.c
    rows = await tx.execute(
        select(
            c.component_key, updates.c.published_at.label("at"), c.old_status.label("old"), c.new_status.label("new")
        )
        .join(updates, updates.c.id == c.update_id)
        .join(incidents, incidents.c.id == updates.c.incident_id)
        .where(updates.c.published_at > since, c.old_status != c.new_status, incidents.c.exercise.is_(False))
        .order_by(c.component_key, updates.c.published_at)
    )
    return [StatusChange(*row) for row in rows]


async def fingerprint(tx: Tx) -> str:
    """A text that differs whenever anything public differs; cheap enough to ask every second.

    A sum over what the rows hold, not the newest of their times: a transaction that began earlier and commits later
    would not move that.
    """
    return "/".join(str(value) for value in (await tx.execute(_FINGERPRINT)).one())


async def past_incidents(tx: Tx) -> list[PastIncident]:
    """Every incident and planned work that is over and the public was told of, the last resolved first.

    `stamp` differs when it changed.
    """
    c = incidents.c
    rows = await tx.execute(
        select(c.id, c.title, c.started_at, c.resolved_at, _stamp().label("stamp"), c.kind)
        .where(c.resolved_at.is_not(None), _public())
        .order_by(c.resolved_at.desc(), c.id)
    )
    return [PastIncident(**row._mapping) for row in rows]


async def read_snapshot(tx: Tx, *, at: datetime, closed: Collection[str] = ()) -> Snapshot:
    """Everything the page shows; `closed` names the resolved incidents to read in full."""
    shown = await _components(tx)
    rows = (
        await tx.execute(
            select(incidents)
            .where(or_(incidents.c.resolved_at.is_(None), incidents.c.id.in_(closed)), _public())
            .order_by(incidents.c.started_at.desc(), incidents.c.id)
        )
    ).all()
    ids = [row.id for row in rows]
    said, learnt = await _updates(tx, ids, shown), await _postmortems(tx, ids)
    found = [_incident(row, said[row.id], shown, learnt.get(row.id)) for row in rows]
    disruptions = [one for one in found if one.kind == "incident"]
    return Snapshot(
        at=at,
        components=tuple(shown.values()),
        open=tuple(one for one in disruptions if one.resolved_at is None),
        closed=tuple(one for one in disruptions if one.resolved_at is not None),
        maintenances=tuple(sorted((one for one in found if one.kind == "maintenance"), key=_by_begin)),
    )


def _by_begin(one: ShownIncident) -> tuple[bool, datetime, str]:
    assert one.scheduled_for is not None
    return one.resolved_at is not None, one.scheduled_for, one.id


async def _components(tx: Tx) -> dict[str, ShownComponent]:
    c = components.c
    rows = await tx.execute(
        select(
            c.key, c.public_id.label("id"), c.name, c.group_name.label("group"), c.status, c.position, c.created_at,
            c.updated_at,
        )
    )  # fmt: skip
    found = sorted((ShownComponent(**row._mapping) for row in rows), key=_reading_order)
    return {one.key: one for one in found}


def _reading_order(one: ShownComponent) -> tuple[Any, ...]:
    """What stands alone, then groups by name; inside, its position, then 9 before 10."""
    # Text and numbers take turns in what split returns, text first.
    name = [int(part) if place % 2 else part for place, part in enumerate(_NUMBERS.split(one.name))]
    return one.group is not None, one.group or "", one.position, name, one.key


# Nine digits at most in one number: nobody reads more, and int() of a very long one is slow.
_NUMBERS = re.compile("([0-9]{1,9})")


async def _updates(
    tx: Tx, incident_ids: Collection[str], shown: Mapping[str, ShownComponent]
) -> dict[str, tuple[ShownUpdate, ...]]:
    u, source, wrong, correction = updates.c, parties.alias(), updates.alias(), updates.alias()
    rows = (
        await tx.execute(
            select(
                u.id, u.incident_id, u.number, u.phase, u.texts, u.cause_certainty, parties.c.name.label("party"),
                u.next_update_at, u.published_at, source.c.name.label("stated_by"), wrong.c.number.label("corrects"),
                correction.c.number.label("corrected_by"),
            )
            .outerjoin(parties, parties.c.key == u.cause_party_key)
            .outerjoin(source, source.c.key == u.cause_stated_by_key)
            .outerjoin(wrong, wrong.c.id == u.corrects_id)
            .outerjoin(correction, and_(correction.c.corrects_id == u.id, correction.c.state == "published"))
            .where(u.incident_id.in_(incident_ids), u.state == "published")
            .order_by(u.incident_id, u.number.desc())
        )
    ).all()  # fmt: skip
    changes = await _changes(tx, [row.id for row in rows], shown)
    return {
        incident_id: tuple(_update(row._mapping, changes.get(row.id, ())) for row in group)
        for incident_id, group in groupby(rows, key=attrgetter("incident_id"))
    }


async def _changes(
    tx: Tx, update_ids: Collection[str], shown: Mapping[str, ShownComponent]
) -> dict[str, tuple[Change, ...]]:
    c = update_components.c
    rows = await tx.execute(
        select(c.update_id, c.component_key, c.old_status, c.new_status)
        .where(c.update_id.in_(update_ids))
        .order_by(c.update_id, c.component_key)
    )
    return {
        update_id: tuple(Change(shown[row.component_key], row.old_status, row.new_status) for row in group)
        for update_id, group in groupby(rows, key=attrgetter("update_id"))
    }


def _update(row: Mapping[Any, Any], changes: tuple[Change, ...]) -> ShownUpdate:
    return ShownUpdate(**{**row, "texts": read_texts(row["texts"])}, changes=changes)


async def _postmortems(tx: Tx, incident_ids: Collection[str]) -> dict[str, ShownPostmortem]:
    c = postmortems.c
    rows = await tx.execute(
        select(c.id, c.incident_id, c.number, c.texts, c.published_at)
        .where(c.incident_id.in_(incident_ids), c.published_at.is_not(None))
        .order_by(c.number)  # the last one stands
    )
    return {row.incident_id: ShownPostmortem(**row._mapping) for row in rows}


def _incident(
    row: Any,
    said: tuple[ShownUpdate, ...],
    shown: Mapping[str, ShownComponent],
    postmortem: ShownPostmortem | None,
) -> ShownIncident:
    touched = {change.component.key for update in said for change in update.changes}
    return ShownIncident(
        id=row.id,
        title=row.title,
        phase=row.phase,
        impact=row.impact,
        started_at=row.started_at,
        created_at=row.created_at,
        updated_at=row.updated_at,
        monitoring_at=row.monitoring_at,
        resolved_at=row.resolved_at,
        updates=said,
        components=tuple(one for key, one in shown.items() if key in touched),
        kind=row.kind,
        impact_set=row.impact_set,
        scheduled_for=row.scheduled_for,
        scheduled_until=row.scheduled_until,
        starts_itself=row.starts_itself,
        ends_itself=row.ends_itself,
        postmortem=postmortem,
    )


def _public() -> ColumnElement[bool]:
    # An incident is public from its first published update on: the API's readers take the first update unchecked.
    # A drill never is, whatever was published in it.
    said = exists().where(updates.c.incident_id == incidents.c.id, updates.c.state == "published")
    return and_(said, incidents.c.exercise.is_(False))


def _stamp() -> ColumnElement[str]:
    return cast(func.hashtextextended(literal_column("incidents::text"), 0), String)


_FINGERPRINT = text("""
SELECT (SELECT sum(hashtextextended(c::text, 0)) FROM components c),
       (SELECT sum(hashtextextended(i::text, 0)) FROM incidents i WHERE NOT exercise),
       (SELECT sum(hashtextextended(p::text, 0)) FROM parties p),
       (SELECT count(*) FROM updates WHERE state = 'published'),
       (SELECT count(*) FROM postmortems WHERE published_at IS NOT NULL)
""")
