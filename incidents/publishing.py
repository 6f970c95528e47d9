"""Declaring incidents and saying things about them: the use cases staff go through. None of them commits.

Publishing is one transaction: the number, the components' states, the incident's phase and every delivery stand or fall
together. How people are reached is notify's; what the page looks like is `status_page`'s.
"""

import secrets
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

import structlog
from sqlalchemy import ARRAY, Text, bindparam, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

import notify
from foundation.actors import Actor
from foundation.database import Tx
from foundation.errors import Conflict, Fault, Invalid
from incidents.audience import people_to_tell
from incidents.components import unknown_scope
from incidents.impact import restate_impact
from incidents.journal import note
from incidents.lifecycle import (
    Declaration,
    Draft,
    Impact,
    check_declaration,
    check_move,
    check_update,
    promise_faults,
    standing_faults,
    tidy,
    tidy_title,
    title_faults,
)
from incidents.moving import check_declared, move, restate
from incidents.records import Incident, Update, find_incident, find_update, stored_texts
from incidents.snapshot import Snapshot, read_snapshot
from incidents.tables import incident_scope, incidents, parties, updates
from incidents.wording import LANGUAGES

_log = structlog.get_logger()

Compose = Callable[[Incident, Update, str | None], Sequence[notify.MessageText]]
ComposeWebhook = Callable[[Snapshot, str], notify.MessageText]

_ALPHABET = string.ascii_lowercase + string.digits


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
    await _check_scope(tx, declared.components, declared.groups)
    incident_id = _new_id()
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
    await _widen(tx, incident_id, declared.components, declared.groups)
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
    await _check_scope(tx, components, groups)
    await _widen(tx, incident.id, components, groups)
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


async def draft_update(tx: Tx, actor: Actor, incident_id: str, draft: Draft, *, now: datetime) -> Update:
    """Write an update without publishing it. A draft is never edited: a better one is a new draft."""
    incident = await find_incident(tx, incident_id)
    check_declared(incident)
    draft = tidy(draft)
    check_update(draft, incident.phase, now, reopening=incident.reopening)
    if draft.cause_party is not None:
        await _party_name(tx, draft.cause_party)
    update_id = _new_id()
    await tx.execute(
        insert(updates).values(
            id=update_id,
            incident_id=incident.id,
            phase=draft.phase,
            texts=stored_texts(draft.texts),
            cause_certainty=draft.cause_certainty,
            cause_party_key=draft.cause_party,
            component_status=draft.component_status,
            impact=draft.impact,
            next_update_at=draft.next_update_at,
            corrects_id=None if draft.corrects is None else await _corrected(tx, incident.id, draft.corrects),
            cause_stated_by_key=draft.cause_stated_by,
            cause_evidence=draft.cause_evidence,
            audience=draft.audience,
            created_by=str(actor),
            created_at=now,
            written_by=str(actor),
            written_at=now,
        )
    )
    return await find_update(tx, update_id)


async def preview_update(
    tx: Tx, update_id: str, *, now: datetime, channels: Sequence[notify.Channel] = ("mail", "webhook")
) -> Sequence[notify.Reach]:
    """Whom publishing would reach, counted per channel and language; nothing is written.

    Followers count among the others; a channel that reaches nobody but by mail is left out.
    """
    found = await find_update(tx, update_id)
    audience = _addressees(found, found.incident_id, now)["audience"]
    reach = await notify.preview(tx, audience, LANGUAGES, channels, topic=topic_of(found.incident_id))
    return [one for one in reach if one.channel == "mail" or one.recipients]


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


async def approve(tx: Tx, actor: Actor, update_id: str, *, now: datetime) -> Update:
    """Vouch for the exact text of a draft. Approving again changes nothing: the first name stays."""
    await tx.execute(
        update(updates)
        .where(updates.c.id == update_id, updates.c.state == "draft")
        .values(state="approved", approved_by=str(actor), approved_at=now)
    )
    return await find_update(tx, update_id)


async def publish(
    tx: Tx,
    actor: Actor,
    update_id: str,
    compose: Compose,
    *,
    now: datetime,
    telling: Telling | None = None,
    compose_webhook: ComposeWebhook | None = None,
) -> Published:
    """Say it: number the update, move the incident, restate its components and plan every delivery.

    A correction goes to those who may have got what it corrects, anything else to everyone concerned and whoever
    follows. `compose` writes the messages (`messages.Composer.messages`), `compose_webhook` what goes to machines that
    follow (`Composer.webhook`; without it they are told nothing). Publishing again answers the same and plans nothing.
    Raises Conflict when the update is not approved, its promise has lapsed, or the incident was resolved meanwhile.
    """
    # The incident's row is the lock: of two updates published at once the second waits, and gets the higher number.
    incident = await find_incident(tx, (await find_update(tx, update_id)).incident_id, lock=True)
    found = await find_update(tx, update_id)
    if found.state == "published":
        return Published(found, newly=False)
    _check_publishable(incident, found, now)
    await restate(tx, incident, found, now=now)
    await _number(tx, actor, found, now)
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
    party = await _party_name(tx, said.cause_party) if said.cause_party is not None else None
    assert said.number is not None
    await notify.enqueue(
        tx,
        key=dispatch_key(said.id),
        topic=topic_of(moved.id),
        number=said.number,
        messages=[
            *compose(moved, said, party),
            *await _for_machines(tx, said, None if moved.exercise else compose_webhook, now),
        ],
        **_addressees(said, moved.id, now),
        **(telling or Telling()).options(),
    )


def _addressees(said: Update, incident_id: str, now: datetime) -> dict[str, Any]:
    if said.corrects is None:
        return {"audience": people_to_tell(incident_id, now)}
    wrong = dispatch_key(said.corrects)
    return {"audience": notify.told_of(wrong), "corrects": wrong}


def topic_of(incident_id: str) -> str:
    """What notify knows the news of an incident by; newer news of it overtakes older."""
    return f"incident:{incident_id}"


async def _for_machines(
    tx: Tx, said: Update, compose: ComposeWebhook | None, now: datetime
) -> Sequence[notify.MessageText]:
    if said.corrects is None:
        addressees = notify.followers_of(said.incident_id)
    else:
        addressees = notify.told_of(dispatch_key(said.corrects))
    if compose is None or not await notify.any_machine_among(tx, addressees):
        return ()  # the page need not be read for nobody
    return (compose(await read_snapshot(tx, at=now, closed=[said.incident_id]), said.incident_id),)


def dispatch_key(update_id: str) -> str:
    """What notify knows the telling of an update by."""
    return f"update:{update_id}"


def _check_publishable(incident: Incident, found: Update, now: datetime) -> None:
    if found.state != "approved":
        raise Conflict("Approve this update first.", code="not_approved")
    check_declared(incident)
    check_move(incident.phase, found.phase, reopening=incident.reopening)
    if list(promise_faults(found.phase, found.next_update_at, now)):
        raise Conflict(
            "The next update is promised for a time that has passed. Write a new draft with a new promise.",
            code="promise_lapsed",
        )


async def _number(tx: Tx, actor: Actor, found: Update, now: datetime) -> None:
    last = select(func.coalesce(func.max(updates.c.number), 0) + 1).where(updates.c.incident_id == found.incident_id)
    await tx.execute(
        update(updates)
        .where(updates.c.id == found.id)
        .values(number=last.scalar_subquery(), state="published", published_by=str(actor), published_at=now)
    )


async def _corrected(tx: Tx, incident_id: str, update_id: str) -> str:
    """The id of the update to be corrected, if it can be."""
    query = select(updates.c.state).where(updates.c.id == update_id, updates.c.incident_id == incident_id)
    if (await tx.execute(query)).scalar_one_or_none() != "published":
        raise Invalid(
            "There is nothing to correct.", [Fault("corrects", "Name a published update of this incident by its id.")]
        )
    return update_id


async def _check_scope(tx: Tx, keys: Sequence[str], groups: Sequence[str]) -> None:
    unknown = await unknown_scope(tx, keys, groups)
    faults = [Fault(field, f"We do not know “{key}”.") for field, missing in unknown.items() for key in missing[:20]]
    if faults:
        raise Invalid("Some of what the incident should concern does not exist.", faults)


async def _widen(tx: Tx, incident_id: str, keys: Sequence[str], groups: Sequence[str]) -> None:
    for kind, named in (("component", keys), ("group", groups)):
        unique = bindparam("named", sorted(set(named)), ARRAY(Text))
        source = select(literal(incident_id), literal(kind), func.unnest(unique))
        if named:
            await tx.execute(
                upsert(incident_scope).from_select(["incident_id", "kind", "key"], source).on_conflict_do_nothing()
            )


async def _party_name(tx: Tx, key: str) -> str:
    name = (await tx.execute(select(parties.c.name).where(parties.c.key == key))).scalar_one_or_none()
    if name is None:
        raise Invalid("The cause names a party we do not know.", [Fault("cause_party", f"We do not know “{key}”.")])
    return str(name)


def _new_id() -> str:
    # The shape of Statuspage ids. Random, so that an address of something unpublished cannot be guessed.
    return "".join(secrets.choice(_ALPHABET) for _ in range(12))
