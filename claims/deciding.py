"""Decides claims: one ruling on everything a case asks of one kind, each claim with a decision of its own.

The ruling stands on every claim by itself, so that a customer who turns out to be somebody else keeps theirs. Telling
the customer is `claims.answering`'s work.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from claims.cases import Held, LiveClaim, claims_in, journal, plain
from claims.clocks import decide_by
from claims.outcomes import Ruling, faults_in
from claims.submissions import AsksFor
from foundation.actors import Actor
from foundation.database import Driver, Tx, driver
from foundation.errors import Conflict, Invalid


@dataclass(frozen=True, slots=True)
class Decided:
    """What was decided: the claims, their new decisions, and the contacts that had asked."""

    kind: AsksFor
    ruling: Ruling
    claim_ids: Sequence[int]
    decision_ids: Sequence[int]
    contact_ids: Sequence[int]


async def decide(tx: Tx, actor: Actor, case: Held, kind: AsksFor, ruling: Ruling, *, now: datetime) -> Decided:
    """Rule on all that `case` asks of `kind` and is not decided, and on open appeals against what was.

    Nobody asked in a form what was asked in words: then the claim is made now, on the newest contact. Raises `Invalid`
    with everything the ruling lacks, `Conflict` when all of it is decided already.
    """
    if faults := faults_in(ruling):
        raise Invalid("This decision says too little to be sent to anybody.", faults, code="decision_incomplete")
    connection = await driver(tx)
    asked = [one for one in await claims_in(connection, case.id) if one.kind == kind]
    due = [one for one in asked if one.state == "open" or one.appeal_id is not None]
    if not due and any(one.state == "decided" for one in asked):
        raise Conflict("This is decided already. The customer can appeal; then decide again.", code="decided_already")
    due = due or [await _claim_now(connection, case, kind, now)]
    made = await connection.fetch(
        """
        INSERT INTO decisions (claim_id, appeal_id, outcome, reason, words, next_steps, decided_by, decided_at, case_id)
        SELECT due.claim_id, due.appeal_id, $3, $4, $5, $6::text[], $7, $8, $9
          FROM unnest($1::bigint[], $2::bigint[]) AS due (claim_id, appeal_id)
        RETURNING id
        """,
        [one.id for one in due],
        [one.appeal_id for one in due],
        ruling.outcome,
        ruling.reason,
        plain(ruling.words),
        list(dict.fromkeys(ruling.next_steps)),
        str(actor),
        now,
        case.id,
    )
    await connection.execute(
        "UPDATE claims SET state = 'decided', ended_at = $2 WHERE id = ANY ($1::bigint[]) AND state = 'open'",
        [one.id for one in due],
        now,
    )
    await connection.execute(
        "UPDATE appeals SET state = 'decided', ended_at = $2 WHERE id = ANY ($1::bigint[]) AND state = 'open'",
        [one.appeal_id for one in due if one.appeal_id is not None],
        now,
    )
    appealed = any(one.appeal_id is not None for one in due)
    await journal(
        tx, actor, case.id, "decided", kind=kind, outcome=ruling.outcome, reason=ruling.reason, on_appeal=appealed
    )
    return Decided(
        kind,
        ruling,
        [one.id for one in due],
        [row["id"] for row in made],
        sorted({one.contact_id for one in due if one.contact_id is not None}),
    )


async def _claim_now(connection: Driver, case: Held, kind: AsksFor, now: datetime) -> LiveClaim:
    newest = await connection.fetchval(
        "SELECT id FROM contacts WHERE case_id = $1 ORDER BY answer_by IS NULL, received_at DESC, id DESC LIMIT 1",
        case.id,
    )
    claim = await connection.fetchval(
        """
        INSERT INTO claims (contact_id, case_id, kind, made_at, decide_by) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (contact_id, kind) DO UPDATE SET state = 'open', ended_at = NULL
        RETURNING id
        """,
        newest,
        case.id if newest is None else None,
        kind,
        now,
        decide_by(kind, now),
    )
    return LiveClaim(claim, newest, kind, "open", None, None)
