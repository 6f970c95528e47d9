"""Approving updates: a second person vouches for exactly what will go out. None of these commits.

An approval is bound to a digest of every message and of the audience. When any of it changes the approval counts no
longer, and publication says so.
"""

from datetime import datetime

import structlog
from sqlalchemy import ColumnElement, delete, exists, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from foundation.actors import Actor
from foundation.database import Tx
from foundation.errors import Conflict, Fault, Invalid
from incidents.drafting import lock_update
from incidents.records import Update, find_update
from incidents.saying import Compose, digest_of, read_saying
from incidents.tables import update_approvals, updates

_log = structlog.get_logger()

# How many others must approve when an installation says nothing; with the writer that makes two people.
USUAL_APPROVALS = 1
LONGEST_REASON = 500


async def approve(
    tx: Tx,
    actor: Actor,
    update_id: str,
    compose: Compose,
    *,
    now: datetime,
    needed: int = USUAL_APPROVALS,
    seen: str | None = None,
) -> Update:
    """Vouch for the exact text and audience of a draft; with the last approval `needed` it is approved.

    `seen`: the digest the approver looked at (`preview`). Approving again changes nothing: the first time stays.
    Raises Conflict to whoever wrote the text, and when it is not what the approver saw.
    """
    found = await lock_update(tx, update_id)
    if found.state in ("published", "discarded"):
        raise Conflict("There is nothing to approve: this update is " + found.state + ".", code="not_a_draft")
    if found.written_by == str(actor):
        raise Conflict(
            "You wrote this text, so somebody else approves it. In an emergency a commander may do without.",
            code="own_text",
        )
    digest = digest_of(await read_saying(tx, update_id), compose)
    if seen is not None and seen != digest:
        raise Conflict("This is not what you looked at any more. Look again, then approve.", code="changed_meanwhile")
    await _vouch(tx, actor, found, digest, now=now)
    return await _settle(tx, found.id, digest, needed)


async def bypass_approval(
    tx: Tx, actor: Actor, update_id: str, reason: str, compose: Compose, *, now: datetime
) -> Update:
    """Do without the approval of others, in an emergency, openly: the reason stays with the update for ever.

    Who may do so is for the caller to know. Raises Invalid without a reason, Conflict when there is nothing to approve.
    """
    reason = " ".join(reason.split())
    if not 10 <= len(reason) <= LONGEST_REASON:
        said = f"Say in 10 to {LONGEST_REASON} characters why this cannot wait for somebody else."
        raise Invalid(said, [Fault("reason", said)])
    found = await lock_update(tx, update_id)
    if found.state in ("published", "discarded"):
        raise Conflict("There is nothing to approve: this update is " + found.state + ".", code="not_a_draft")
    digest = digest_of(await read_saying(tx, update_id), compose)
    await _vouch(tx, actor, found, digest, now=now, bypass_reason=reason)
    _log.warning("approval bypassed", update=found.id, incident=found.incident_id, actor=str(actor))
    return await _settle(tx, found.id, digest, 1)


def is_vouched_for(digest: str, needed: int) -> ColumnElement[bool]:
    """Of a row of updates: whether enough people, or an emergency, stand for what has this digest."""
    theirs = (update_approvals.c.update_id == updates.c.id, update_approvals.c.digest == digest)
    given = select(func.count()).select_from(update_approvals).where(*theirs).correlate(updates).scalar_subquery()
    return or_(
        given >= literal(needed),
        exists().where(*theirs, update_approvals.c.bypass_reason.is_not(None)).correlate(updates),
    )


def check_approved(found: Update, digest: str, needed: int) -> None:
    """Raise Conflict unless enough people stand for what has this digest."""
    if found.state == "discarded":
        raise Conflict("This draft was put aside. Write a new one.", code="not_a_draft")
    valid = [one for one in found.approvals if one.digest == digest]
    if len(valid) >= needed or any(one.bypass_reason is not None for one in valid):
        return
    if len(valid) < len(found.approvals):
        raise Conflict(
            "What was approved is not what would go out now: the text, a name in it or the audience has changed. "
            "Have it approved again.",
            code="approval_outdated",
        )
    raise Conflict(
        "Approve this update first." if needed == 1 else f"{needed} others must approve this first; {len(valid)} did.",
        code="not_approved",
    )


async def _vouch(
    tx: Tx, actor: Actor, found: Update, digest: str, *, now: datetime, bypass_reason: str | None = None
) -> None:
    """Write the approval down, and strike those that were given to something else."""
    mine = update_approvals.c.update_id == found.id
    gone = await tx.execute(delete(update_approvals).where(mine, update_approvals.c.digest != digest))
    if gone.rowcount:
        undone = {"state": "draft", "approved_by": None, "approved_at": None}
        await tx.execute(update(updates).where(updates.c.id == found.id, updates.c.state == "approved").values(undone))
    given = insert(update_approvals).values(
        update_id=found.id,
        revision=found.revision,
        written_by=found.written_by,
        approved_by=str(actor),
        approved_at=now,
        digest=digest,
        bypass_reason=bypass_reason,
    )
    keys = ["update_id", "approved_by"]
    if bypass_reason is None:
        await tx.execute(given.on_conflict_do_nothing(index_elements=keys))
    else:
        await tx.execute(given.on_conflict_do_update(index_elements=keys, set_={"bypass_reason": bypass_reason}))


async def _settle(tx: Tx, update_id: str, digest: str, needed: int) -> Update:
    """Approved, with enough approvals."""
    last = (
        select(update_approvals.c.approved_by, update_approvals.c.approved_at)
        .where(update_approvals.c.update_id == update_id)
        .order_by(update_approvals.c.approved_at.desc(), update_approvals.c.approved_by)
        .limit(1)
    )
    by, at = (await tx.execute(last)).one()
    await tx.execute(
        update(updates)
        .where(updates.c.id == update_id, updates.c.state == "draft", is_vouched_for(digest, max(needed, 1)))
        .values(state="approved", approved_by=by, approved_at=at)
    )
    return await find_update(tx, update_id)
