"""What a customer sees of their case, from the link or the receipt they hold. Read only.

A link that was merely handed to whoever wrote shows their own words, what was decided on what they asked, and answers
to them; of the rest of the case only that it is there. A person's link, which went to an address of theirs, opens the
case: docs/decisions/0005-track-page-shows-own-words-only.md.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

import asyncpg

from claims.answers import ContactState
from claims.attachments import attachments_of
from claims.clocks import Clock, ClockKind
from claims.compensating import entitlements_in
from claims.entitlement import Line
from claims.evidence import REGIONS, clues_in
from claims.links import Link, current_turn, has_lapsed
from claims.names import Agreement, agreement
from claims.offers import offers_in
from claims.receipts import masked, read_receipt
from claims.schemes import schemes
from claims.submissions import NOTHING_SAID, Submission, stored_submission
from foundation.database import Driver, Tx, driver
from notify import BadAddress, customer_cards, fold_name, fold_reference, normalise_mail, phone_readings

_MOST_SHOWN = 100


@dataclass(frozen=True, slots=True)
class ShownFile:
    """A file of a contact. `state`: as of `claims.attachments`."""

    id: int
    name: str
    state: str


@dataclass(frozen=True, slots=True)
class ShownContact:
    """A contact in the case. `because`: the code of what joined it.

    `own`: of this reader; then `said` is what it says, and `files` what came with it.
    """

    id: int
    receipt: str
    channel: str
    received_at: datetime
    because: str | None
    own: bool
    said: Submission | None
    files: Sequence[ShownFile] = ()


@dataclass(frozen=True, slots=True)
class ShownDecision:
    """A decision, to whoever asked for it. `may_appeal`: it is the newest, not all was granted, nobody appealed yet."""

    id: int
    outcome: str
    reason: str
    words: str
    next_steps: Sequence[str]
    decided_at: datetime
    may_appeal: bool
    appealed_at: datetime | None
    appeal_by: datetime | None
    appeal_state: str | None
    appeal_words: str | None


@dataclass(frozen=True, slots=True)
class ShownClaim:
    """Something asked, however often, and what was decided about it, the newest last."""

    kind: str
    state: str
    made_at: datetime
    decide_by: datetime
    asked: int
    decisions: Sequence[ShownDecision]


@dataclass(frozen=True, slots=True)
class ShownReply:
    """An answer of ours. `words` is None for who may not read it: it went to the customer's own address."""

    at: datetime
    by: str
    subject: str
    words: str | None


@dataclass(frozen=True, slots=True)
class ShownAppointment:
    """A person and a time."""

    id: int
    at: datetime
    agent: str
    phone: str
    state: str


@dataclass(frozen=True, slots=True)
class ShownEntitlement:
    """What the rules give, and how it was worked out. `account`: the end of the account's number."""

    id: int
    law: str
    since: date
    reference: str
    passenger: str
    currency: str
    minor: int
    pays: str
    state: str
    working: Sequence[Line]
    account: str
    paid_at: datetime | None


@dataclass(frozen=True, slots=True)
class ShownOffer:
    """An offer that went out, and how it stands."""

    id: int
    kind: str
    words: str
    at: datetime | None
    answer_by: datetime
    state: str


@dataclass(frozen=True, slots=True)
class Next:
    """What happens next, and by when."""

    what: ClockKind
    by: datetime
    late: bool


@dataclass(frozen=True, slots=True)
class Followed:
    """A case as the holder of a link may see it; no `case_number`: not sorted yet.

    `own_contacts`: ids of those that are theirs, the newest first. `feedback_id`: an answer to "did it help?" is open.
    `may_name_account`: they may say where to pay to. Anybody may have typed a customer's number: there it takes the
    link that went to the address on file.
    """

    case_number: str | None
    state: str
    incident_id: str | None
    opened_at: datetime | None
    reopened: int
    agent: str
    contacts: Sequence[ShownContact]
    more: int
    claims: Sequence[ShownClaim]
    replies: Sequence[ShownReply]
    appointments: Sequence[ShownAppointment]
    next: Sequence[Next]
    feedback_id: int | None
    own_contacts: Sequence[int]
    reach: tuple[str, str] | None
    said: Submission
    entitlements: Sequence[ShownEntitlement] = ()
    offers: Sequence[ShownOffer] = ()
    may_name_account: bool = False


_CASE = """
SELECT c.id, c.number, c.state, c.incident_id, c.opened_at, c.reopened, c.closed_at, c.customer_id,
       coalesce(a.shown_name, '') AS agent
  FROM cases c LEFT JOIN agents a ON a.name = c.agent
"""


async def follow(tx: Tx, link: Link, *, now: datetime) -> Followed | None:
    """The case a link leads to, wherever joining and parting have taken it. None: nowhere, or not any more."""
    connection = await driver(tx)
    if await current_turn(tx, link.name) != link.turn:
        return None
    if link.kind == "person":
        case = await connection.fetchrow(
            _CASE + " WHERE c.incident_id = $1 AND c.customer_id = $2 AND c.merged_into IS NULL",
            link.incident_id,
            link.customer_id,
        )
        own = None
    else:
        own = await connection.fetchrow(
            "SELECT id, case_id, incident_id, state FROM contacts WHERE receipt = $1", link.receipt
        )
        case = None if own is None else await connection.fetchrow(_CASE + " WHERE c.id = $1", own["case_id"])
    if case is None and own is None:
        return None
    if has_lapsed(link, closed=case is not None and case["state"] == "closed", now=now):
        return None
    return await _followed(tx, link, case, own, now)


async def _followed(
    tx: Tx, link: Link, case: asyncpg.Record | None, own: asyncpg.Record | None, now: datetime
) -> Followed:
    connection = await driver(tx)
    contacts, more = await _contacts(tx, link, case, own)
    mine = [one.id for one in contacts if one.own]
    claims = await _claims(connection, mine, case["id"] if case else None)
    appointments = await _appointments(connection, mine)
    reach = await connection.fetchrow(
        "SELECT channel, address FROM reaches WHERE contact_id = ANY ($1::bigint[]) ORDER BY said_at DESC LIMIT 1", mine
    )
    said = next((one.said for one in contacts if one.own and one.said is not None), NOTHING_SAID)
    return Followed(
        case_number=case["number"] if case else None,
        state=case["state"] if case else "received",
        incident_id=case["incident_id"] if case else own["incident_id"] if own else None,
        opened_at=case["opened_at"] if case else None,
        reopened=case["reopened"] if case else 0,
        agent=case["agent"] if case else "",
        contacts=contacts,
        more=more,
        claims=claims,
        replies=await _replies(connection, link, case, mine) if case else (),
        appointments=appointments,
        next=await _next(connection, mine, claims, appointments, now),
        feedback_id=await connection.fetchval(_FEEDBACK, case["id"], mine, link.kind == "person") if case else None,
        own_contacts=mine,
        reach=(reach["channel"], reach["address"]) if reach else None,
        said=said,
        entitlements=await _entitlements(tx, link, case, mine) if case else (),
        offers=await _offers(tx, link, case, mine) if case else (),
        may_name_account=case is not None and (link.kind == "person" or case["customer_id"] is None),
    )


async def _offers(tx: Tx, link: Link, case: asyncpg.Record, contact_ids: Sequence[int]) -> list[ShownOffer]:
    return [
        ShownOffer(one.id, one.kind, one.words, one.at, one.answer_by, one.state)
        for one in await offers_in(tx, case["id"])
        if one.released_at is not None
        and (one.contact_id in contact_ids or (one.contact_id is None and link.kind == "person"))
    ]


async def _entitlements(tx: Tx, link: Link, case: asyncpg.Record, contact_ids: Sequence[int]) -> list[ShownEntitlement]:
    found = await entitlements_in(tx, case["id"])
    return [
        ShownEntitlement(
            *(one.id, schemes()[one.scheme].law, one.since, one.reference, one.passenger, one.currency, one.minor),
            *(one.pays, one.state, one.working, one.iban[-4:], one.paid_at),
        )
        for one in found
        if one.state != "void" and (one.contact_id in contact_ids or (one.contact_id is None and link.kind == "person"))
    ]


# Of contacts that may not be read only these columns: their words never leave the database.
_OTHERS = """
SELECT id, receipt, channel, received_at, matched_by, count(*) OVER () AS total FROM contacts
 WHERE case_id = $1 AND id <> ALL ($2::bigint[])
 ORDER BY received_at DESC, id DESC LIMIT $3
"""
# What came in by the link of a contact belongs to whoever holds it.
_OWN = """
SELECT id, receipt, channel, received_at, matched_by, raw FROM contacts
 WHERE id = $1 OR (continues_id = $1 AND case_id IS NOT DISTINCT FROM $2)
 ORDER BY received_at DESC, id DESC LIMIT $3
"""
_ALL = """
SELECT id, receipt, channel, received_at, matched_by, raw FROM contacts WHERE case_id = $1
 ORDER BY received_at DESC, id DESC LIMIT $2
"""


async def _contacts(
    tx: Tx, link: Link, case: asyncpg.Record | None, own: asyncpg.Record | None
) -> tuple[list[ShownContact], int]:
    connection = await driver(tx)
    if own is not None:
        rows = await connection.fetch(_OWN, own["id"], own["case_id"], _MOST_SHOWN)
        readable = {row["id"] for row in rows}
    else:
        assert case is not None  # one of the two is there
        rows = await connection.fetch(_ALL, case["id"], _MOST_SHOWN)
        readable = await _named_alike(tx, link.customer_id, rows)
    files = await attachments_of(tx, readable)
    shown = [
        replace(
            _shown(row, stored_submission(row["channel"], row["raw"]) or NOTHING_SAID),
            files=[ShownFile(one.id, one.shown_name, one.state) for one in files.get(row["id"], ())],
        )
        for row in rows
        if row["id"] in readable
    ]
    others = await connection.fetch(_OTHERS, case["id"], sorted(readable), _MOST_SHOWN) if case is not None else []
    shown += [_shown(row, None) for row in others]
    more = others[0]["total"] - len(others) if others else 0
    return sorted(shown, key=lambda one: (one.received_at, one.id), reverse=True), more


async def _named_alike(tx: Tx, customer_id: int, rows: Sequence[asyncpg.Record]) -> set[int]:
    """The contacts that name nobody but the customer: what was wrongly joined may be in another's name."""
    card = (await customer_cards(tx, [customer_id])).get(customer_id)
    known = fold_name(card.name) if card else ""
    alike = set()
    for row in rows:
        name = clues_in(stored_submission(row["channel"], row["raw"]) or NOTHING_SAID).name
        if not name or agreement(name, known) > Agreement.NONE:
            alike.add(row["id"])
    return alike


def _shown(row: asyncpg.Record, said: Submission | None) -> ShownContact:
    return ShownContact(
        row["id"],
        masked(row["receipt"]),
        row["channel"],
        row["received_at"],
        row["matched_by"],
        own=said is not None,
        said=said,
    )


_CLAIMS = """
SELECT l.kind, l.state, l.made_at, l.decide_by, l.id FROM claims l
 WHERE l.contact_id = ANY ($1::bigint[]) ORDER BY l.made_at, l.id
"""
_DECISIONS = """
SELECT d.id, d.claim_id, d.outcome, d.reason, d.words, d.next_steps, d.decided_at,
       a.made_at AS appealed_at, a.decide_by AS appeal_by, a.state AS appeal_state, a.words AS appeal_words
  FROM decisions d JOIN cases c ON c.id = d.case_id LEFT JOIN appeals a ON a.decision_id = d.id
 WHERE d.claim_id = ANY ($1::bigint[]) AND coalesce(c.merged_into, c.id) = $2 ORDER BY d.id
"""


async def _claims(connection: Driver, contact_ids: Sequence[int], case_id: int | None) -> list[ShownClaim]:
    """What these contacts ask, one entry a kind: asked again it is the same claim, with the newest state."""
    rows = await connection.fetch(_CLAIMS, list(contact_ids))
    # What was decided in another case was decided about somebody else.
    decisions = await connection.fetch(_DECISIONS, [row["id"] for row in rows], case_id)
    found = []
    for kind in dict.fromkeys(row["kind"] for row in rows):
        asked = [row for row in rows if row["kind"] == kind]
        # The same ruling stands on each claim of the kind; one of them tells it.
        ruled = max(asked, key=lambda row: sum(one["claim_id"] == row["id"] for one in decisions))
        told = [one for one in decisions if one["claim_id"] == ruled["id"]]
        state = "open" if any(row["state"] == "open" for row in asked) else asked[-1]["state"]
        soonest = min((row["decide_by"] for row in asked if row["state"] == "open"), default=asked[0]["decide_by"])
        shown = [_decision(one, newest=one is told[-1]) for one in told]
        found.append(ShownClaim(kind, state, asked[0]["made_at"], soonest, len(asked), shown))
    return found


def _decision(row: asyncpg.Record, *, newest: bool) -> ShownDecision:
    told: dict[str, Any] = {name: value for name, value in row.items() if name != "claim_id"}
    may_appeal = newest and row["outcome"] != "granted" and row["appeal_state"] is None
    return ShownDecision(**told, may_appeal=may_appeal)


# Of a case that was taken apart, what was said in it stays with it; so both are asked: the case and the contact.
_REPLIES = """
SELECT r.written_at, r.written_by, r.subject, r.words, r.contact_ids && $2::bigint[] AS to_us, r.kind,
       coalesce(a.shown_name, '') AS shown_name
  FROM replies r JOIN cases c ON c.id = r.case_id
  LEFT JOIN agents a ON 'staff:' || a.name = r.written_by
 WHERE ((c.id = $1 AND c.merged_into IS NULL) OR c.merged_into = $1)
   AND r.kind <> 'decision' -- its decision says the same, to whoever may read it
 ORDER BY r.id DESC LIMIT $3
"""


async def _replies(
    connection: Driver, link: Link, case: asyncpg.Record, contact_ids: Sequence[int]
) -> list[ShownReply]:
    rows = await connection.fetch(_REPLIES, case["id"], list(contact_ids), _MOST_SHOWN)
    return [
        ShownReply(
            row["written_at"],
            row["shown_name"],
            row["subject"],
            row["words"] if link.kind == "person" or row["to_us"] else None,
        )
        for row in rows
    ]


async def _appointments(connection: Driver, contact_ids: Sequence[int]) -> list[ShownAppointment]:
    rows = await connection.fetch(
        """
        SELECT m.id, m.at, coalesce(a.shown_name, ''), coalesce(m.phone, ''), m.state
          FROM appointments m LEFT JOIN agents a ON a.name = m.agent
         WHERE m.contact_id = ANY ($1::bigint[]) AND m.note <> 'moved' ORDER BY m.at
        """,
        list(contact_ids),
    )
    return [ShownAppointment(*row) for row in rows]


async def _next(
    connection: Driver,
    contact_ids: Sequence[int],
    claims: Sequence[ShownClaim],
    appointments: Sequence[ShownAppointment],
    now: datetime,
) -> list[Next]:
    """Everything still promised to this reader, the soonest first."""
    waiting = await connection.fetch(
        """
        SELECT received_at, answer_by FROM contacts
         WHERE id = ANY ($1::bigint[]) AND answered_at IS NULL AND answer_by IS NOT NULL ORDER BY answer_by LIMIT 1
        """,
        list(contact_ids),
    )
    clocks = [Clock("first_answer", *row) for row in waiting]
    clocks += [Clock("claim", one.made_at, one.decide_by) for one in claims if one.state == "open"]
    clocks += [
        Clock("appeal", decision.appealed_at, decision.appeal_by)
        for claim in claims
        for decision in claim.decisions
        if decision.appeal_state == "open" and decision.appealed_at and decision.appeal_by
    ]
    clocks += [Clock("appointment", now, one.at) for one in appointments if one.state == "promised"]
    return [Next(one.kind, one.due_at, one.state(now) == "late") for one in sorted(clocks, key=lambda one: one.due_at)]


_FEEDBACK = """
SELECT f.id FROM feedback f JOIN cases c ON c.id = f.case_id
 WHERE ((c.id = $1 AND c.merged_into IS NULL) OR c.merged_into = $1) AND f.given_at IS NULL
   AND ($3 OR f.contact_id = ANY ($2::bigint[]))
 ORDER BY f.id DESC LIMIT 1
"""


async def contact_state(tx: Tx, receipt: str) -> ContactState | None:
    """`received` or `in_a_case`; None: no such contact."""
    state = await (await driver(tx)).fetchval("SELECT state FROM contacts WHERE receipt = $1", receipt)
    return None if state is None else ContactState("received" if state == "received" else "in_a_case")


async def recognise(tx: Tx, typed: str, fact: str) -> str | None:
    """The receipt of the contact that somebody means: by its receipt or its case's number, and a fact that is in it.

    None does not say what was wrong, and every way to it asks the database the same. A contact that says nothing of who
    wrote it has no fact to ask for; its receipt is enough. A case's number can be counted up to, so by it a name is no
    fact: many have the same.
    """
    receipt = read_receipt(typed) or ""
    number = "" if receipt else read_case_number(typed)
    rows = await (await driver(tx)).fetch(_MEANT, receipt, number, _MOST_SHOWN)
    for row in rows:
        said = stored_submission(row["channel"], row["raw"]) or NOTHING_SAID
        if _knows(said, fact, by_number=bool(number)):
            found: str = row["receipt"]
            return found
    return None


_MEANT = """
SELECT receipt, channel, raw FROM contacts WHERE receipt = $1
 UNION ALL
(SELECT k.receipt, k.channel, k.raw FROM cases c JOIN contacts k ON k.case_id = coalesce(c.merged_into, c.id)
  WHERE c.number = $2 ORDER BY k.received_at DESC, k.id DESC LIMIT $3)
"""


def read_case_number(text: str) -> str:
    """The case number somebody typed, as we write it; nothing when it cannot be one."""
    digits = text.strip().upper().replace(" ", "").removeprefix("C").lstrip("-–—")
    return f"C-{digits}" if digits.isascii() and digits.isdigit() and 6 <= len(digits) <= 18 else ""


def _knows(said: Submission, fact: str, *, by_number: bool) -> bool:
    clues = clues_in(said)
    held = {*clues.numbers, *clues.references, *clues.mails, *clues.phones} - {""}
    if by_number:
        return not held.isdisjoint(_readings(fact))
    held |= {clues.name, clues.surname} - {""}
    return not held or not held.isdisjoint(_readings(fact))


def _readings(fact: str) -> set[str]:
    surname = clues_in(Submission(name=fact)).surname
    readings = {fold_reference(fact), fold_name(fact), surname, *phone_readings(fact[:60], REGIONS)}
    with suppress(BadAddress):
        readings.add(normalise_mail(fact))
    return readings - {""}
