"""What a customer sees of their case, from the link or the receipt they hold. Read only; no words but their own.

Whoever types another person's customer number joins that person's case, and must not read there what the other wrote:
see docs/decisions/0005-track-page-shows-own-words-only.md.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from claims.answers import ContactState
from claims.evidence import REGIONS, clues_in
from claims.receipts import LENGTH, masked, read_receipt
from claims.submissions import NOTHING_SAID, Submission, stored_submission
from foundation.database import Tx, driver
from foundation.tokens import BadToken, Tokens
from notify import BadAddress, fold_name, fold_reference, normalise_mail, phone_readings

_PURPOSE = "track"
_MOST_SHOWN = 100


@dataclass(frozen=True, slots=True)
class ShownContact:
    """A contact in the case, as the holder of one of them may see it. `because`: the code of what joined it."""

    receipt: str
    channel: str
    received_at: datetime
    because: str | None
    own: bool


@dataclass(frozen=True, slots=True)
class Followed:
    """A contact's case as it is now; no `case_number`: not sorted yet. `said` is the contact's own text."""

    case_number: str | None
    state: str
    incident_id: str | None
    opened_at: datetime | None
    contacts: Sequence[ShownContact]
    more: int
    said: Submission


def track_token(tokens: Tokens, receipt: str) -> str:
    """The signed name of a contact, for its link. It cannot be made from the receipt without our key."""
    return tokens.sign(_PURPOSE, receipt.encode())


def read_track_token(tokens: Tokens, token: str) -> str | None:
    """The receipt a link names, or None when we did not make it."""
    try:
        receipt = tokens.read(_PURPOSE, token)
    except BadToken:
        return None
    return receipt.decode() if len(receipt) == LENGTH else None


async def follow(tx: Tx, receipt: str) -> Followed | None:
    """The case that the contact is in now, wherever merging or parting has taken it; None: no such contact."""
    connection = await driver(tx)
    own = await connection.fetchrow(
        """
        SELECT k.id, k.channel, k.received_at, k.matched_by, k.raw, k.case_id, k.incident_id,
               c.number, c.state, c.opened_at
          FROM contacts k LEFT JOIN cases c ON c.id = k.case_id
         WHERE k.receipt = $1
        """,
        receipt,
    )
    if own is None:
        return None
    # Of the others only these columns: their words never leave the database.
    others = await connection.fetch(
        """
        SELECT receipt, channel, received_at, matched_by, count(*) OVER () AS total FROM contacts
         WHERE case_id = $1 AND id <> $2
         ORDER BY received_at DESC, id DESC LIMIT $3
        """,
        own["case_id"],
        own["id"],
        _MOST_SHOWN,
    )
    shown = [ShownContact(masked(receipt), own["channel"], own["received_at"], own["matched_by"], own=True)]
    shown += [
        ShownContact(masked(one["receipt"]), one["channel"], one["received_at"], one["matched_by"], own=False)
        for one in others
    ]
    return Followed(
        case_number=own["number"],
        state=own["state"] or "received",
        incident_id=own["incident_id"],
        opened_at=own["opened_at"],
        contacts=sorted(shown, key=lambda one: one.received_at, reverse=True),
        more=others[0]["total"] - len(others) if others else 0,
        said=stored_submission(own["channel"], own["raw"]) or NOTHING_SAID,
    )


async def contact_state(tx: Tx, receipt: str) -> ContactState | None:
    """Whether the contact has its case yet; None: no such contact."""
    state = await (await driver(tx)).fetchval("SELECT state FROM contacts WHERE receipt = $1", receipt)
    return None if state is None else ContactState("received" if state == "received" else "in_a_case")


async def recognise(tx: Tx, typed_receipt: str, fact: str) -> str | None:
    """The receipt somebody typed, if the fact they added is in that contact. None does not say what was wrong.

    A contact that says nothing of who wrote it has no fact to ask for; its receipt is enough.
    """
    receipt = read_receipt(typed_receipt)
    row = await (await driver(tx)).fetchrow("SELECT channel, raw FROM contacts WHERE receipt = $1", receipt or "")
    if row is None or receipt is None:
        return None
    said = stored_submission(row["channel"], row["raw"]) or NOTHING_SAID
    return receipt if _knows(said, fact) else None


def _knows(said: Submission, fact: str) -> bool:
    clues = clues_in(said)
    held = {*clues.numbers, *clues.references, *clues.mails, *clues.phones, clues.name, clues.surname} - {""}
    return not held or not held.isdisjoint(_readings(fact))


def _readings(fact: str) -> set[str]:
    surname = clues_in(Submission(name=fact)).surname
    readings = {fold_reference(fact), fold_name(fact), surname, *phone_readings(fact[:60], REGIONS)}
    with suppress(BadAddress):
        readings.add(normalise_mail(fact))
    return readings - {""}
