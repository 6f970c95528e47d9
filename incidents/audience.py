"""Whom an incident concerns, as a SELECT over the directory's exposures; never a list in memory.

It says who and how soon; how they are reached, and whether they may be, is notify's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from sqlalchemy import (
    ARRAY,
    CTE,
    BindParameter,
    ColumnElement,
    DateTime,
    Select,
    Text,
    and_,
    any_,
    bindparam,
    cast,
    column,
    exists,
    func,
    literal,
    or_,
    select,
    text,
    union_all,
)

from incidents.tables import components, incident_scope, incidents, segments, updates
from notify import customers, exposures, followers_of, notified_of

# Whoever was due to leave in the last hours is most likely still waiting there, and has the most to gain from news.
STILL_WAITING = timedelta(hours=6)

# `named`: the components of an incident and the members of its groups as they are now. `affected`: those, and all that
# depends on any of them, however far away; UNION drops what was found before, so mutual needs end the search.
AFFECTED = """
WITH RECURSIVE named (key) AS (
    SELECT c.key FROM incident_scope s JOIN components c ON c.key = s.key
     WHERE s.kind = 'component' AND s.incident_id = :incident_id
     UNION
    SELECT c.key FROM incident_scope s JOIN components c ON c.group_name = s.key
     WHERE s.kind = 'group' AND s.incident_id = :incident_id
), affected (key) AS (
    SELECT key FROM named
     UNION
    SELECT d.component_key FROM component_dependencies d JOIN affected a ON d.needs_key = a.key
)
"""
_AFFECTED_KEYS = AFFECTED + "SELECT key FROM affected"  # noqa: S608 (both halves are ours)


# The same of what somebody names, before there is an incident.
_GIVEN = """
WITH RECURSIVE affected (key) AS (
    SELECT key FROM components WHERE key = any(:components) OR group_name = any(:groups)
     UNION
    SELECT d.component_key FROM component_dependencies d JOIN affected a ON d.needs_key = a.key
)
SELECT key FROM affected
"""


@dataclass(frozen=True, slots=True)
class Scope:
    """What an incident concerns: components, groups, and of those who rely on them only some, where it says so.

    `segments`: only who is in one of them. `needed_from` and `needed_until`: only who needs it in that time. Whoever
    named no time always needs it: leaving out somebody concerned is worse than telling one too many.
    """

    components: Sequence[str] = ()
    groups: Sequence[str] = ()
    segments: Sequence[str] = ()
    needed_from: datetime | None = None
    needed_until: datetime | None = None


def audience_of(concerned_by: str | Scope, now: datetime) -> Select[Any]:
    """Everyone concerned: (customer_id, needed_at), one row per customer. By an incident (its id), or by a scope.

    `needed_at` orders the sending: the first need still ahead, or just past (`STILL_WAITING`). A need long past, and
    one without a time, says nothing about haste: None, which comes after every time.
    """
    return _concerned(_relies(concerned_by, now), now)


def reliance_on(concerned_by: str | Scope, now: datetime) -> Select[Any]:
    """What makes everyone concerned: (customer_id, component_key, needed_at), one row per exposure."""
    columns = (exposures.c.customer_id, exposures.c.component_key, exposures.c.needed_at)
    return select(*columns).where(*_relies(concerned_by, now))


def people_to_tell(incident_id: str, now: datetime) -> Select[Any]:
    """Everyone concerned, and after them whoever follows the page or this incident: columns as of `audience_of`.

    Who can be told at the address of somebody concerned is left out of the followers: it is the same person.
    """
    relies = _relies(incident_id, now)

    def is_concerned(customer_id: ColumnElement[int]) -> ColumnElement[bool]:
        return exists().where(exposures.c.customer_id == customer_id, *relies)

    everyone = union_all(_concerned(relies, now), followers_of(incident_id, besides=is_concerned)).subquery("everyone")
    return select(everyone.c.customer_id, everyone.c.needed_at)


def joined(incident_id: str, now: datetime) -> Select[Any]:
    """Of everyone concerned, those who have not been told and are not about to be: columns as of `audience_of`."""
    concerned = audience_of(incident_id, now).subquery("concerned")
    told = notified_of(topic_of(incident_id), farewells=_farewells(incident_id)).subquery("told")
    return select(concerned.c.customer_id, concerned.c.needed_at).where(
        concerned.c.customer_id.not_in(select(told.c.customer_id))
    )


def left(incident_id: str, now: datetime) -> Select[Any]:
    """Those who were told, or are about to be, and are concerned no longer; followers asked for news and stay."""
    told = notified_of(topic_of(incident_id), farewells=_farewells(incident_id)).subquery("told")
    still = people_to_tell(incident_id, now).subquery("still")
    return select(told.c.customer_id, told.c.needed_at).where(told.c.customer_id.not_in(select(still.c.customer_id)))


def topic_of(incident_id: str) -> str:
    """What notify knows the news of an incident by; newer news of it overtakes older."""
    return f"incident:{incident_id}"


def dispatch_key(update_id: str) -> str:
    """What notify knows the telling of an update by."""
    return f"update:{update_id}"


def _farewells(incident_id: str) -> Select[Any]:
    """The keys under which people were told that they are concerned no longer."""
    return select(literal("update:") + updates.c.id).where(
        updates.c.incident_id == incident_id, updates.c.audience == "left", updates.c.state == "published"
    )


def _concerned(relies: Sequence[ColumnElement[bool]], now: datetime) -> Select[Any]:
    counts = exposures.c.needed_at >= now - STILL_WAITING
    return (
        select(exposures.c.customer_id, func.min(exposures.c.needed_at).filter(counts).label("needed_at"))
        .where(*relies)
        .group_by(exposures.c.customer_id)
    )


def _relies(concerned_by: str | Scope, now: datetime) -> list[ColumnElement[bool]]:
    """Whether a row of exposures makes somebody concerned."""
    terms = _declared(concerned_by) if isinstance(concerned_by, str) else _given(concerned_by)
    affected, needed_from, needed_until, chosen = terms
    needed_at = exposures.c.needed_at
    return [
        exposures.c.component_key.in_(select(affected.c.key)),
        or_(needed_from.is_(None), needed_at.is_(None), needed_at >= needed_from),
        or_(needed_until.is_(None), needed_at.is_(None), needed_at < needed_until),
        or_(~exists(chosen), exists(_memberships(now).where(segments.c.key.in_(chosen)).correlate(exposures))),
    ]


_Terms: TypeAlias = tuple[CTE, ColumnElement[Any], ColumnElement[Any], Select[Any]]


def _declared(incident_id: str) -> _Terms:
    # Unique: one statement may ask about two incidents.
    given: BindParameter[str] = bindparam("incident_id", incident_id, unique=True)
    keys = text(_AFFECTED_KEYS).bindparams(given).columns(column("key"))
    ours = incidents.c.id == incident_id
    chosen = select(incident_scope.c.key).where(
        incident_scope.c.incident_id == incident_id, incident_scope.c.kind == "segment"
    )
    return (
        keys.cte(),
        select(incidents.c.needed_from).where(ours).scalar_subquery(),
        select(incidents.c.needed_until).where(ours).scalar_subquery(),
        chosen,
    )


def _given(scope: Scope) -> _Terms:
    lists = [
        bindparam(name, list(values), ARRAY(Text), unique=True)
        for name, values in (("components", scope.components), ("groups", scope.groups))
    ]
    keys = text(_GIVEN).bindparams(*lists).columns(column("key"))
    chosen = func.unnest(literal(list(scope.segments), ARRAY(Text))).table_valued("key", name="chosen").render_derived()
    moment = DateTime(timezone=True)
    return (
        keys.cte(),
        cast(literal(scope.needed_from, moment), moment),
        cast(literal(scope.needed_until, moment), moment),
        select(chosen.c.key),
    )


def members_of(segment_key: str, now: datetime) -> ColumnElement[bool]:
    """Whether a row of exposures is in a segment."""
    return exists(_memberships(now).where(segments.c.key == segment_key).correlate(exposures))


def _memberships(now: datetime) -> Select[Any]:
    """The segments a row of exposures is in."""
    g, minutes = segments.c, text("interval '1 minute'")
    general = func.split_part(customers.c.language, "-", 1)
    of_group = select(components.c.key).where(components.c.group_name == any_(g.groups)).correlate(segments)
    anything = and_(func.cardinality(g.components) == 0, func.cardinality(g.groups) == 0)
    needed_at = exposures.c.needed_at
    return (
        select(g.key)
        .select_from(segments)
        .join(customers, customers.c.id == exposures.c.customer_id)
        .where(
            or_(func.cardinality(g.languages) == 0, general == any_(g.languages)),
            or_(
                anything,
                exposures.c.component_key == any_(g.components),
                exposures.c.component_key.in_(of_group),
            ),
            or_(g.from_minutes.is_(None), needed_at.is_(None), needed_at >= literal(now) + g.from_minutes * minutes),
            or_(g.until_minutes.is_(None), needed_at.is_(None), needed_at < literal(now) + g.until_minutes * minutes),
        )
    )
