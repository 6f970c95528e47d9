"""One case with all that is in it, as the desk and its API read it: who, what came in, what is asked, what we said.

Read only. It shows people's own words: whoever calls it has the right to read cases.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from claims.agents import Agent, find
from claims.attachments import Attachment, attachments_of
from claims.cases import plain
from claims.clocks import Clock, ClockKind
from claims.receipts import grouped
from claims.submissions import NOTHING_SAID, Submission, stored_submission
from foundation.database import Driver, Tx, driver
from foundation.errors import NotFound
from notify import Card, customer_cards


@dataclass(frozen=True, slots=True)
class ShownClock:
    """A clock of a case, and how it stands."""

    kind: ClockKind
    started_at: datetime
    due_at: datetime
    stopped_at: datetime | None
    state: str
    about: str = ""


async def show_case(tx: Tx, number: str, *, now: datetime) -> dict[str, Any]:
    """A case with everything in it. An old number leads to the case it was merged into. Raises `NotFound`."""
    connection = await driver(tx)
    live = await connection.fetchval(
        "SELECT coalesce(merged_into, id) FROM cases WHERE number = $1", plain(number).strip().upper()
    )
    if live is None:
        raise NotFound("There is no such case.", code="no_such_case")
    case = await connection.fetchrow(
        """
        SELECT f.case_number AS number, f.incident_id, f.customer_number, f.state, f.opened_at, f.closed_at,
               c.agent, c.assigned_at, c.version, c.reopened, c.reopened_at, c.customer_id, c.id
          FROM case_facts f JOIN cases c ON c.id = f.case_id
         WHERE f.case_id = $1
        """,
        live,
    )
    assert case is not None  # the view shows every live case
    shown = {name: value for name, value in case.items() if name not in ("customer_id", "id")}
    rows = await connection.fetch(_CONTACTS, live)
    files = await attachments_of(tx, [row["id"] for row in rows])
    contacts = [_contact(row, files.get(row["id"], ())) for row in rows]
    claims = await _claims(connection, live)
    appointments = [dict(row) for row in await connection.fetch(_APPOINTMENTS, live)]
    card = await _card(tx, case["customer_id"])
    agent: Agent | None = await find(tx, case["agent"]) if case["agent"] else None
    former = await connection.fetch("SELECT number FROM cases WHERE merged_into = $1 ORDER BY id", live)
    return {
        **shown,
        "agent_name": agent.shown_name if agent else case["agent"] or "",
        "customer": card,
        "former_numbers": [row["number"] for row in former],
        "contacts": contacts,
        "claims": claims,
        "replies": [dict(row) for row in await connection.fetch(_REPLIES, live)],
        "appointments": appointments,
        "feedback": [dict(row) for row in await connection.fetch(_FEEDBACK, live)],
        "clocks": _clocks(contacts, claims, appointments, now),
        "journal": [
            {**row, "detail": msgspec.Raw(row["detail"].encode())} for row in await connection.fetch(_JOURNAL, live)
        ],
    }


_CONTACTS = """
SELECT id, receipt, channel, language, raw, received_at, matched_by, answer_by, answered_at, continues_id
  FROM contacts WHERE case_id = $1 ORDER BY received_at, id
"""
# What was said in cases that are merged into this one now is part of it; taken apart, it goes along with its case.
_REPLIES = """
SELECT r.id, r.kind, r.subject, r.words, r.language, r.written_by, r.written_at, r.contact_ids AS contacts,
       r.dispatch IS NOT NULL AS sent
  FROM replies r JOIN cases c ON c.id = r.case_id
 WHERE (c.id = $1 AND c.merged_into IS NULL) OR c.merged_into = $1 ORDER BY r.id
"""
_APPOINTMENTS = """
SELECT m.id, m.contact_id AS contact, m.agent, coalesce(a.shown_name, '') AS agent_name, m.at, m.phone, m.wish, m.state,
       m.made_at, m.ended_at, m.note
  FROM appointments m JOIN contacts k ON k.id = m.contact_id LEFT JOIN agents a ON a.name = m.agent
 WHERE k.case_id = $1 ORDER BY m.id
"""
_FEEDBACK = """
SELECT f.id, f.asked_at, f.given_at, f.score, f.words, f.question_id AS question
  FROM feedback f JOIN cases c ON c.id = f.case_id
 WHERE (c.id = $1 AND c.merged_into IS NULL) OR c.merged_into = $1 ORDER BY f.id
"""
_JOURNAL = """
SELECT j.at, j.actor, j.event, j.detail::text, c.number AS case_number
  FROM case_journal j JOIN cases c ON c.id = j.case_id WHERE j.case_id = $1 ORDER BY j.id
"""
_CLAIMS = """
SELECT l.id, l.contact_id AS contact, l.kind, l.state, l.made_at, l.decide_by, l.ended_at
  FROM (SELECT l.* FROM claims l JOIN contacts k ON k.id = l.contact_id WHERE k.case_id = $1
         UNION ALL
        SELECT l.* FROM claims l JOIN cases c ON c.id = l.case_id
         WHERE (c.id = $1 AND c.merged_into IS NULL) OR c.merged_into = $1) l
 ORDER BY l.id
"""
_DECISIONS = """
SELECT d.id, d.claim_id, d.outcome, d.reason, d.words, d.next_steps, d.decided_by, d.decided_at, d.appeal_id,
       a.id AS appeal, a.words AS appeal_words, a.state AS appeal_state, a.made_at AS appealed_at,
       a.decide_by AS appeal_decide_by, a.ended_at AS appeal_ended_at
  FROM decisions d JOIN cases c ON c.id = d.case_id LEFT JOIN appeals a ON a.decision_id = d.id
 WHERE d.claim_id = ANY ($1::bigint[]) AND coalesce(c.merged_into, c.id) = $2 ORDER BY d.id
"""


async def _claims(connection: Driver, live: int) -> list[dict[str, Any]]:
    claims = [{**row, "decisions": []} for row in await connection.fetch(_CLAIMS, live)]
    by_id = {one["id"]: one for one in claims}
    for row in await connection.fetch(_DECISIONS, list(by_id), live):
        decision = {name: row[name] for name in ("id", "outcome", "reason", "words", "next_steps")}
        decision |= {"decided_by": row["decided_by"], "decided_at": row["decided_at"], "on_appeal": row["appeal_id"]}
        decision["appeal"] = None
        if row["appeal"] is not None:
            decision["appeal"] = {
                "id": row["appeal"],
                "words": row["appeal_words"],
                "state": row["appeal_state"],
                "made_at": row["appealed_at"],
                "decide_by": row["appeal_decide_by"],
                "ended_at": row["appeal_ended_at"],
            }
        by_id[row["claim_id"]]["decisions"].append(decision)
    return claims


def _clocks(
    contacts: list[dict[str, Any]], claims: list[dict[str, Any]], appointments: list[dict[str, Any]], now: datetime
) -> list[ShownClock]:
    """Every clock in the case, as it stands at `now`: whatever was joined or parted, each is where it started."""
    found = [
        (Clock("first_answer", one["received_at"], one["answer_by"], one["answered_at"]), one["receipt"])
        for one in contacts
        if one["answer_by"] is not None
    ]
    found += [(Clock("claim", one["made_at"], one["decide_by"], one["ended_at"]), one["kind"]) for one in claims]
    for claim in claims:
        for decision in claim["decisions"]:
            if asked := decision["appeal"]:
                clock = Clock("appeal", asked["made_at"], asked["decide_by"], asked["ended_at"])
                found.append((clock, claim["kind"]))
    found += [(Clock("appointment", one["made_at"], one["at"], one["ended_at"]), "") for one in appointments]
    shown = [
        ShownClock(clock.kind, clock.started_at, clock.due_at, clock.stopped_at, clock.state(now), about)
        for clock, about in found
    ]
    return sorted(shown, key=lambda one: (one.stopped_at is not None, one.due_at))


async def _card(tx: Tx, customer_id: int | None) -> Card | None:
    return None if customer_id is None else (await customer_cards(tx, [customer_id])).get(customer_id)


def _contact(row: asyncpg.Record, files: Sequence[Attachment]) -> dict[str, Any]:
    said: Submission = stored_submission(row["channel"], row["raw"]) or NOTHING_SAID
    names = ("id", "channel", "language", "received_at", "matched_by", "answer_by", "answered_at", "continues_id")
    return {
        **{name: row[name] for name in names},
        "receipt": grouped(row["receipt"]),
        "said": said,
        "files": [{"id": one.id, "name": one.shown_name, "state": one.state} for one in files],
    }


async def contacts_of(tx: Tx, contact_ids: Collection[int]) -> dict[int, dict[str, Any]]:
    """Contacts as they stand in their cases: id → contact."""
    rows = await (await driver(tx)).fetch(
        """
        SELECT id, receipt, channel, language, raw, received_at, matched_by, answer_by, answered_at, continues_id
          FROM contacts WHERE id = ANY ($1::bigint[])
        """,
        list(contact_ids),
    )
    files = await attachments_of(tx, contact_ids)
    return {row["id"]: _contact(row, files.get(row["id"], ())) for row in rows}
