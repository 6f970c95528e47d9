"""Declaring incidents and saying things about them: the use cases staff go through. None of them commits.

Publishing is one transaction: the number, the components' states, the incident's phase and every delivery stand or fall
together. How people are reached is notify's; what the page looks like is `status_page`'s.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

import structlog
from sqlalchemy import ARRAY, ColumnElement, Text, bindparam, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

import notify
from foundation.actors import Actor
from foundation.database import Tx
from foundation.errors import Conflict, Fault, Invalid
from foundation.languages import SPOKEN
from incidents.approving import USUAL_APPROVALS, check_approved, is_vouched_for
from incidents.audience import dispatch_key, joined, left, people_to_tell, topic_of
from incidents.components import unknown_scope
from incidents.identifiers import new_id
from incidents.impact import restate_impact
from incidents.journal import note
from incidents.lifecycle import (
    Declaration,
    Impact,
    check_declaration,
    check_move,
    promise_faults,
    standing_faults,
    tidy_title,
    title_faults,
)
from incidents.moving import check_declared, move, restate
from incidents.records import Incident, Update, find_incident, find_update
from incidents.saying import Compose, digest_of, read_saying
from incidents.snapshot import Snapshot, read_snapshot
from incidents.tables import incident_scope, incidents, updates

_log = structlog.get_logger()

ComposeWebhook = Callable[[Snapshot, str], notify.MessageText]


@dataclass(frozen=True, slots=True)
class Published:
    """The answer to publishing. `newly` is False when it had been published before; nothing was done then."""

    update: Update
    newly: bool


@dataclass(frozen=True, slots=True)
class Telling:
    """How an update is told. `urgent`: before other news, and in quiet hours too. `hold`: see `notify.enqueue`."""

    urgent: bool = False
    hold: bool = False
    not_after: datetime | None = None
    quiet: notify.QuietHours | None = None
    fallback_after: timedelta | None = None

    def options(self) -> dict[str, Any]:
        """What of it `notify.enqueue` wants to know."""
        return {
            "urgency": 0 if self.urgent else 1,
            "hold": self.hold,
            "not_after": self.not_after,
            "quiet": self.quiet,
            "fallback_after": self.fallback_after,
        }


async def declare(tx: Tx, actor: Actor, declared: Declaration, *, now: datetime) -> Incident:
    """Open an incident. It becomes public with its first published update. Raises Invalid with every fault."""
    title = tidy_title(declared.title)
    check_declaration(replace(declared, title=title), now)
    await check_scope(tx, declared.components, declared.groups)
    incident_id = new_id()
    await tx.execute(
        insert(incidents).values(
            id=incident_id,
            title=title,
            phase="investigating",
            impact=declared.impact or "none",
            impact_set=declared.impact,
            severity=declared.severity,
            exercise=declared.exercise,
            notice_limit=declared.notice_limit,
            started_at=declared.started_at,
            aware_at=declared.aware_at or now,
            created_by=str(actor),
            created_at=now,
            updated_at=now,
        )
    )
    await widen(tx, incident_id, declared.components, declared.groups)
    if declared.exercise:
        await notify.rehearse(tx, incident_id)
    await note(tx, incident_id, actor, "declared", {"exercise": declared.exercise}, now=now)
    return await find_incident(tx, incident_id)


async def amend(
    tx: Tx,
    actor: Actor,
    incident_id: str,
    *,
    title: Mapping[str, str] | None = None,
    impact: Impact | Literal["computed"] | None = None,
    severity: int | None = None,
    started_at: datetime | None = None,
    aware_at: datetime | None = None,
    notice_limit: timedelta | None = None,
    components: Sequence[str] = (),
    groups: Sequence[str] = (),
    now: datetime,
) -> Incident:
    """Correct what an incident is called, how bad it is or since when, and add to what it concerns.

    `impact`: `computed` takes back what was set by hand. What is added counts from the next update on. Phases move by
    updates only.
    """
    incident = await find_incident(tx, incident_id, lock=True)
    changes: dict[str, Any] = {"title": tidy_title(title) if title is not None else None}
    changes |= {"severity": severity, "started_at": started_at, "aware_at": aware_at, "notice_limit": notice_limit}
    faults = list(title_faults(changes["title"])) if title is not None else []
    if started_at is not None and started_at > now:
        faults.append(Fault("started_at", "An incident cannot have started in the future."))
    if aware_at is not None and aware_at > now:
        faults.append(Fault("aware_at", "We cannot have known in the future."))
    faults += standing_faults(severity, notice_limit)
    if faults:
        raise Invalid("The incident cannot be changed like this.", faults)
    await check_scope(tx, components, groups)
    await widen(tx, incident.id, components, groups)
    given = {name: value for name, value in changes.items() if value is not None}
    if impact == "computed":
        given["impact_set"] = None
    elif impact is not None:
        given |= {"impact": impact, "impact_set": impact}
    await tx.execute(update(incidents).where(incidents.c.id == incident.id).values(**given, updated_at=now))
    if impact == "computed":
        await restate_impact(tx, incident.id, over=incident.over)
    details = _told(given) | {"components": list(components), "groups": list(groups)}
    await note(tx, incident.id, actor, "amended", {key: one for key, one in details.items() if one != []}, now=now)
    _log.info(
        "incident amended",
        incident=incident.id,
        actor=str(actor),
        changed=sorted(given.keys() - {"impact_set"}),
        components=list(components),
        groups=list(groups),
    )
    return await find_incident(tx, incident.id)


def _told(values: Mapping[str, Any]) -> dict[str, Any]:
    """Changes as the journal keeps them."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else str(value) if name == "notice_limit" else value
        for name, value in values.items()
        if name != "impact"
    }


async def preview_update(
    tx: Tx, update_id: str, *, now: datetime, channels: Sequence[notify.Channel] = ("mail", "webhook")
) -> Sequence[notify.Reach]:
    """Whom publishing would reach, counted per channel and language; nothing is written.

    Followers count among the others; a channel that reaches nobody but by mail is left out.
    """
    found = await find_update(tx, update_id)
    audience = _addressees(found, found.incident_id, now)["audience"]
    reach = await notify.preview(tx, audience, SPOKEN, channels, topic=topic_of(found.incident_id))
    return [one for one in reach if one.recipients or (one.channel == "mail" and one.language in found.texts)]


async def preview_sms(
    tx: Tx,
    update_id: str,
    sms: Callable[[Update], Sequence[notify.MessageText]],
    tariff: notify.Tariff,
    *,
    now: datetime,
) -> notify.SmsPreview:
    """What the texts of an update say, exactly, and what sending them would cost; nothing is written.

    `sms` writes them (`messages.Composer.sms`).
    """
    found = await find_update(tx, update_id)
    audience = _addressees(found, found.incident_id, now)["audience"]
    return await notify.preview_texts(tx, audience, sms(found), tariff, topic=topic_of(found.incident_id))


async def publish(
    tx: Tx,
    actor: Actor,
    update_id: str,
    compose: Compose,
    *,
    now: datetime,
    needed: int = USUAL_APPROVALS,
    telling: Telling | None = None,
    compose_webhook: ComposeWebhook | None = None,
) -> Published:
    """Say it: number the update, move the incident, restate its components and plan every delivery.

    A correction goes to those who may have got what it corrects, anything else to everyone concerned and whoever
    follows. `compose` writes the messages (`messages.Composer.messages`), `compose_webhook` what goes to machines that
    follow (`Composer.webhook`; without it they are told nothing). Publishing again answers the same and plans nothing.
    `needed`: how many must have approved exactly this. Raises Conflict when they have not, when its promise has lapsed,
    or the incident was resolved meanwhile.
    """
    # The incident's row is the lock: of two updates published at once the second waits, and gets the higher number.
    incident = await find_incident(tx, (await find_update(tx, update_id)).incident_id, lock=True)
    found = await find_update(tx, update_id)
    if found.state == "published":
        return Published(found, newly=False)
    digest = digest_of(await read_saying(tx, found.id), compose)
    check_approved(found, digest, needed)
    _check_publishable(incident, found, now)
    await restate(tx, incident, found, now=now)
    await _number(tx, actor, found, now, is_vouched_for(digest, needed))
    await move(tx, actor, incident, found, now=now)
    said, moved = await find_update(tx, update_id), await find_incident(tx, incident.id)
    await tell(tx, moved, said, compose, now=now, telling=telling, compose_webhook=compose_webhook)
    return Published(said, newly=True)


async def tell(
    tx: Tx,
    moved: Incident,
    said: Update,
    compose: Compose,
    *,
    now: datetime,
    telling: Telling | None = None,
    compose_webhook: ComposeWebhook | None = None,
) -> None:
    """Plan the deliveries of an update that was just published; see `publish`. `moved`: its incident as it is now."""
    assert said.number is not None
    await notify.enqueue(
        tx,
        key=dispatch_key(said.id),
        topic=topic_of(moved.id),
        number=said.number,
        messages=[
            *compose(await read_saying(tx, said.id)),
            *await _for_machines(tx, said, None if moved.exercise else compose_webhook, now),
        ],
        **_addressees(said, moved.id, now),
        **(telling or Telling()).options(),
    )


def _addressees(said: Update, incident_id: str, now: datetime) -> dict[str, Any]:
    """Whom an update is told, as `notify.enqueue` takes it."""
    if said.corrects is not None:
        wrong = dispatch_key(said.corrects)
        return {"audience": notify.told_of(wrong), "corrects": wrong}
    return {"audience": _AUDIENCES[said.audience](incident_id, now)}


_AUDIENCES = {"everyone": people_to_tell, "joined": joined, "left": left}


async def _for_machines(
    tx: Tx, said: Update, compose: ComposeWebhook | None, now: datetime
) -> Sequence[notify.MessageText]:
    if said.audience != "everyone":
        return ()
    if said.corrects is None:
        addressees = notify.followers_of(said.incident_id)
    else:
        addressees = notify.told_of(dispatch_key(said.corrects))
    if compose is None or not await notify.any_machine_among(tx, addressees):
        return ()  # the page need not be read for nobody
    return (compose(await read_snapshot(tx, at=now, closed=[said.incident_id]), said.incident_id),)


def _check_publishable(incident: Incident, found: Update, now: datetime) -> None:
    check_declared(incident)
    check_move(incident.phase, found.phase, reopening=incident.reopening)
    if list(promise_faults(found.phase, found.next_update_at, now)):
        raise Conflict(
            "The next update is promised for a time that has passed. Write a new draft with a new promise.",
            code="promise_lapsed",
        )


async def _number(tx: Tx, actor: Actor, found: Update, now: datetime, vouched_for: ColumnElement[bool]) -> None:
    last = select(func.coalesce(func.max(updates.c.number), 0) + 1).where(updates.c.incident_id == found.incident_id)
    numbered = await tx.execute(
        update(updates)
        .where(updates.c.id == found.id, updates.c.revision == found.revision, vouched_for)
        .where(updates.c.state.in_(("draft", "approved")))
        .values(number=last.scalar_subquery(), state="published", published_by=str(actor), published_at=now)
    )
    if numbered.rowcount != 1:
        raise Conflict("This update was changed while it was being published. Look at it again.", code="not_approved")


async def check_scope(tx: Tx, keys: Sequence[str], groups: Sequence[str]) -> None:
    """Raise Invalid naming components and groups that do not exist."""
    unknown = await unknown_scope(tx, keys, groups)
    faults = [Fault(field, f"We do not know “{key}”.") for field, missing in unknown.items() for key in missing[:20]]
    if faults:
        raise Invalid("Some of what the incident should concern does not exist.", faults)


async def widen(tx: Tx, incident_id: str, keys: Sequence[str], groups: Sequence[str]) -> None:
    """Add to what an incident concerns."""
    for kind, named in (("component", keys), ("group", groups)):
        unique = bindparam("named", sorted(set(named)), ARRAY(Text))
        source = select(literal(incident_id), literal(kind), func.unnest(unique))
        if named:
            await tx.execute(
                upsert(incident_scope).from_select(["incident_id", "kind", "key"], source).on_conflict_do_nothing()
            )
