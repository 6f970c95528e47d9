"""What an incident concerns, and what follows when that changes: people who were not told, and people told in vain.

A change makes two drafts, where there is somebody to read them: for those newly concerned the news as it stands, for
those concerned no longer a farewell. Both go the way of every update: somebody reads, mends and approves them. Nothing
is sent by a change of scope itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ARRAY, Text, bindparam, delete, distinct, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import distinct_on

from foundation.actors import Actor
from foundation.database import Tx
from foundation.errors import Conflict, Fault, Invalid
from incidents.audience import Scope, audience_of, joined, left, members_of, reliance_on
from incidents.components import unknown_scope
from incidents.drafting import draft_update
from incidents.journal import note
from incidents.lifecycle import PROMISING, Audience, Draft
from incidents.records import Incident, Update, find_incident, open_incidents, updates_of
from incidents.segments import find_segments, unknown_segments
from incidents.tables import components, incident_scope, incidents, updates
from incidents.update_templates import WriteMoment, filled_in, find_template
from notify import customers, exposures

# What a draft promises when nothing was promised; whoever reads it decides.
USUAL_PROMISE = timedelta(hours=1)
MOST_COMPONENTS = 20
SAMPLE = 20


@dataclass(frozen=True, slots=True)
class ScopeChange:
    """What a change of scope leads to. `joined` and `left`: how many people; `drafts`: for each of the two, if any."""

    incident: Incident
    joined: int
    left: int
    drafts: tuple[Update, ...]


@dataclass(frozen=True, slots=True)
class Counted:
    """How many people a part holds. `key`: of a component, language or segment; `name`: as people read it."""

    key: str
    name: str
    people: int


@dataclass(frozen=True, slots=True)
class AudiencePreview:
    """Whom a scope concerns. `soonest`: the first need still ahead; `no_time`: people who named none.

    Somebody who relies on two components counts under both. `components`: the twenty that concern most people.
    """

    people: int
    soonest: datetime | None
    no_time: int
    components: Sequence[Counted]
    languages: Sequence[Counted]
    segments: Sequence[Counted]


@dataclass(frozen=True, slots=True)
class Sampled:
    """One of an audience, and why they are in it."""

    customer_number: str
    language: str
    component: str
    needed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Overlap:
    """Another open incident over the same people. `people`: how many both concern; `components`: what both concern."""

    incident_id: str
    title: Mapping[str, str]
    people: int
    components: Sequence[str]


async def change_scope(
    tx: Tx, actor: Actor, incident_id: str, scope: Scope, write: WriteMoment, *, now: datetime
) -> ScopeChange:
    """Let an incident concern this and nothing else, and draft what those must hear whom that changes something for.

    Raises Invalid with every fault, Conflict when the incident is over.
    """
    incident = await find_incident(tx, incident_id, lock=True)
    if incident.over:
        raise Conflict("This is over. What it concerned stays as it was.", code="resolved")
    await check_scope_of(tx, scope)
    await tx.execute(delete(incident_scope).where(incident_scope.c.incident_id == incident_id))
    for kind, keys in (("component", scope.components), ("group", scope.groups), ("segment", scope.segments)):
        named = func.unnest(bindparam("named", sorted(set(keys)), ARRAY(Text)))
        rows = select(literal(incident_id), literal(kind), named)
        await tx.execute(insert(incident_scope).from_select(["incident_id", "kind", "key"], rows))
    window = {"needed_from": scope.needed_from, "needed_until": scope.needed_until}
    await tx.execute(update(incidents).where(incidents.c.id == incident_id).values(**window, updated_at=now))
    change = await draft_for_those_it_changes(tx, actor, incident_id, write, now=now)
    await note(tx, incident_id, actor, "scope_changed", {"joined": change.joined, "left": change.left}, now=now)
    return change


async def draft_for_those_it_changes(
    tx: Tx, actor: Actor, incident_id: str, write: WriteMoment, *, now: datetime
) -> ScopeChange:
    """The drafts for whoever is newly concerned and for whoever is no longer; earlier such drafts are put aside.

    Before the first update nobody was told anything, so there is nothing to mend.
    """
    incident = await find_incident(tx, incident_id)
    said = [one for one in await updates_of(tx, incident_id) if one.state == "published"]
    latest = max(said, key=lambda one: one.number or 0, default=None)
    if latest is None:
        return ScopeChange(incident, 0, 0, ())
    unsaid = updates.c.state.in_(("draft", "approved"))
    await tx.execute(
        update(updates)
        .where(updates.c.incident_id == incident_id, unsaid, updates.c.audience.in_(("joined", "left")))
        .values(state="discarded")
    )
    counts: dict[Audience, int] = {
        "joined": await _count(tx, joined(incident_id, now)),
        "left": await _count(tx, left(incident_id, now)),
    }
    drafts = [
        await _draft(tx, actor, incident, latest, audience=audience, write=write, now=now)
        for audience, people in counts.items()
        if people
    ]
    return ScopeChange(incident, counts["joined"], counts["left"], tuple(drafts))


async def preview_audience(tx: Tx, concerned_by: str | Scope, now: datetime) -> AudiencePreview:
    """Whom an incident (its id) or a scope concerns, counted by component, language and segment."""
    relies = reliance_on(concerned_by, now).subquery("relies")
    people = func.count(distinct(relies.c.customer_id))
    soonest = func.min(relies.c.needed_at).filter(relies.c.needed_at >= now)
    timeless = people.filter(relies.c.needed_at.is_(None))
    total, first, no_time = (await tx.execute(select(people, soonest, timeless))).one()
    by_component = (
        select(components.c.key, components.c.name, people)
        .join(relies, relies.c.component_key == components.c.key)
        .group_by(components.c.key)
        .order_by(people.desc(), components.c.key)
        .limit(MOST_COMPONENTS)
    )
    by_language = (
        select(customers.c.language, customers.c.language, people)
        .join(relies, relies.c.customer_id == customers.c.id)
        .group_by(customers.c.language)
        .order_by(people.desc(), customers.c.language)
    )
    keys = (await find_incident(tx, concerned_by)).segments if isinstance(concerned_by, str) else concerned_by.segments
    return AudiencePreview(
        people=total,
        soonest=first,
        no_time=no_time,
        components=[Counted(*row) for row in await tx.execute(by_component)],
        languages=[Counted(*row) for row in await tx.execute(by_language)],
        segments=await count_segments(tx, concerned_by, keys, now),
    )


async def count_segments(tx: Tx, concerned_by: str | Scope, keys: Sequence[str], now: datetime) -> list[Counted]:
    """How many of those concerned are in each of these segments."""
    found = []
    for segment in await find_segments(tx, keys):
        inside = reliance_on(concerned_by, now).where(members_of(segment.key, now)).subquery()
        people = (await tx.execute(select(func.count(distinct(inside.c.customer_id))))).scalar_one()
        found.append(Counted(segment.key, segment.names["en"], people))
    return found


async def sample_audience(tx: Tx, concerned_by: str | Scope, now: datetime) -> list[Sampled]:
    """Twenty of those concerned, the same ones each time, for somebody to see whether it is who they meant."""
    relies = reliance_on(concerned_by, now).subquery("relies")
    one_each = (
        select(relies)
        .ext(distinct_on(relies.c.customer_id))
        .order_by(relies.c.customer_id, relies.c.needed_at, relies.c.component_key)
        .subquery("one_each")
    )
    rows = await tx.execute(
        select(customers.c.number, customers.c.language, components.c.name, one_each.c.needed_at)
        .join(one_each, one_each.c.customer_id == customers.c.id)
        .join(components, components.c.key == one_each.c.component_key)
        .order_by(func.md5(customers.c.number))
        .limit(SAMPLE)
    )
    return [Sampled(*row) for row in rows]


async def overlaps(tx: Tx, incident_id: str, now: datetime) -> list[Overlap]:
    """The other open incidents that concern some of the same people, most of them first."""
    await find_incident(tx, incident_id)
    mine = audience_of(incident_id, now).with_only_columns(exposures.c.customer_id)
    my_components = reliance_on(incident_id, now).with_only_columns(exposures.c.component_key)
    found = []
    for other in await open_incidents(tx):
        if other.id == incident_id:
            continue
        theirs = (
            audience_of(other.id, now)
            .with_only_columns(exposures.c.customer_id)
            .where(exposures.c.customer_id.in_(mine))
        )
        people = (await tx.execute(select(func.count()).select_from(theirs.subquery()))).scalar_one()
        shared = (
            reliance_on(other.id, now)
            .with_only_columns(exposures.c.component_key)
            .where(exposures.c.component_key.in_(my_components))
        )
        keys = select(components.c.key).where(components.c.key.in_(shared)).order_by(components.c.key)
        if people:
            names = (await tx.execute(keys.limit(MOST_COMPONENTS))).scalars().all()
            found.append(Overlap(other.id, other.title, people, names))
    return sorted(found, key=lambda one: (-one.people, one.incident_id))


async def check_scope_of(tx: Tx, scope: Scope) -> None:
    """Raise Invalid with every fault of a scope."""
    faults = [
        Fault(field, f"We do not know “{key[:60]}”.")
        for field, missing in (await unknown_scope(tx, scope.components, scope.groups)).items()
        for key in missing[:20]
    ]
    faults += [
        Fault("segments", f"We do not know the segment “{key[:60]}”.")
        for key in await unknown_segments(tx, scope.segments)
    ]
    if not scope.components and not scope.groups:
        faults.append(Fault("components", "Name at least one component or group that is affected."))
    if scope.needed_from and scope.needed_until and scope.needed_until <= scope.needed_from:
        faults.append(Fault("needed_until", "This must be later than needed_from."))
    if faults:
        raise Invalid("An incident cannot concern this.", faults)


async def _draft(
    tx: Tx,
    actor: Actor,
    incident: Incident,
    latest: Update,
    *,
    audience: Audience,
    write: WriteMoment,
    now: datetime,
) -> Update:
    """For those newly concerned the news as it stands, with its advice; for the others the farewell."""
    promise = latest.next_update_at
    if latest.phase in PROMISING and (promise is None or promise <= now):
        promise = now + USUAL_PROMISE
    template = await find_template(tx, audience)
    texts = await filled_in(tx, incident, template, write, latest=latest, next_update_at=promise)
    if audience == "joined":
        texts = {
            language: replace(texts[language], advice=text.advice, cause=text.cause, links=text.links,
                              advice_for=text.advice_for)
            for language, text in latest.texts.items()
            if language in texts
        }  # fmt: skip
    cause: dict[str, Any] = {}
    if audience == "joined":
        cause = {
            "cause_certainty": latest.cause_certainty,
            "cause_party": latest.cause_party,
            "cause_stated_by": latest.cause_stated_by,
            "cause_evidence": latest.cause_evidence,
        }
    draft = Draft(latest.phase, texts, promise, audience=audience, **cause)
    return await draft_update(tx, actor, incident.id, draft, now=now)


async def _count(tx: Tx, people: Any) -> int:
    return int((await tx.execute(select(func.count()).select_from(people.subquery("people")))).scalar_one())
