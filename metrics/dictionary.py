"""The data dictionary: what each column of each export is, said once, for the documents, the files and the people.

Column names are stable: a column may be added, never renamed or given another meaning. A guard test holds this page
against the views. It knows the facts' names and types, and nothing of where they come from.
"""

from dataclasses import dataclass

from sqlalchemy import BigInteger, DateTime, TableClause

# What names somebody, or may: their number, and a mail domain, which can be a family's own.
PERSONAL = frozenset({"customer_number", "domain"})

ABOUT = {
    "deliveries": "One row for each message to one address: what became of it.",
    "contacts": "One row for each time somebody wrote or called.",
    "cases": "One row for each live case: one customer, one incident. Merged cases count in the one they went into.",
    "claims": "One row for each thing somebody asked for, with the decision that stands.",
    "payments": "One row for each sum of money that the rules give somebody, and whether it was paid.",
    "incidents": "One row for each incident and each piece of planned work.",
    "updates": "One row for each published update.",
    "promises": "One row for each promised time of a next update.",
    "affected": "One row for each component that an incident affects, by name or because something it needs is.",
}

# (meaning, unit). Names that mean the same everywhere stand once.
_EVERYWHERE = {
    "incident_id": ("The incident; empty for messages that are about none.", ""),
    "customer_number": ("The customer's number, as in the directory; a pseudonym unless people are asked for.", ""),
    "case_number": ("The case's number, as the customer knows it.", ""),
    "channel": ("The way it went: mail, sms, webhook, web, api, phone, post.", ""),
    "language": ("Language tag (BCP 47).", ""),
    "exercise": ("yes: a drill, which reached colleagues only.", ""),
}
_MEANINGS = {
    "deliveries": {
        "delivery_id": ("The delivery, for good.", ""),
        "dispatch": ("The publication it belongs to.", ""),
        "topic": ("What it is about: incident:ID for news, others for answers and receipts.", ""),
        "update_number": ("Number of the update within its incident.", ""),
        "state": (
            (
                "planned, sending, deferred: under way. accepted, delivered, bounced, rejected, suppressed, "
                "superseded, expired, unknown: the end."
            ),
            "",
        ),
        "reason": ("Why it is in that state, as a short word; empty when all went well.", ""),
        "attempts": ("How often it was tried.", "tries"),
        "doubtful_attempts": ("Of these, how often nobody can tell whether it left.", "tries"),
        "reply_code": ("The receiving server's reply code to the last try.", ""),
        "needed_at": ("When the customer next needs what is disrupted; the soonest are told first.", ""),
        "planned_at": ("When the update was published to this person.", ""),
        "final_at": ("When it ended; empty while it is under way.", ""),
        "instead_of": ("The delivery that failed before, when this one is a text in its place.", ""),
        "domain": ("Domain of the mail address or host of the webhook; a pseudonym unless people are asked for.", ""),
        "recipient_kind": ("customer, subscriber (follows by choice) or staff.", ""),
    },
    "contacts": {
        "contact_id": ("The contact, for good.", ""),
        "state": ("received: nobody has looked yet whose it is. resolved: it is in a case.", ""),
        "matched_by": ("What told us whose it is: the strongest clue.", ""),
        "received_at": ("When it was on disk.", ""),
        "resolved_at": ("When it was joined to its case.", ""),
        "answer_by": ("Until when a person should have answered it.", ""),
        "answered_at": ("When a person first did.", ""),
    },
    "cases": {
        "case_id": ("The case, for good.", ""),
        "state": ("open or closed.", ""),
        "opened_at": ("When the first contact opened it, or operations did.", ""),
        "closed_at": ("When it was closed; empty while it is open.", ""),
        "contacts": ("How many contacts it holds.", "contacts"),
        "cases_merged_in": ("How many other cases turned out to be this one.", "cases"),
        "joins_undone": ("How often it was joined to another and taken out again.", "times"),
    },
    "claims": {
        "claim_id": ("The claim, for good.", ""),
        "kind": ("What was asked: refund, compensation, expenses, rebooking, information, call_back and so on.", ""),
        "state": ("open, or how it ended.", ""),
        "made_at": ("When it was asked.", ""),
        "decide_by": ("When it must be decided.", ""),
        "ended_at": ("When it ended; empty while it is open.", ""),
        "outcome": ("What the decision that stands says.", ""),
        "reason": ("Its reason, as a code.", ""),
        "decided_at": ("When that was decided.", ""),
        "decisions": ("How many decisions there were.", "decisions"),
        "appeals": ("How many of them were appealed.", "appeals"),
    },
    "payments": {
        "entitlement_id": ("What somebody is entitled to, for good.", ""),
        "scheme": ("The law or scheme, as a code: eu261, us_dot, nl_telecom, nl_electricity, uk_ofcom and so on.", ""),
        "kind": ("compensation or refund.", ""),
        "pays": ("account: by transfer. original: the way it was paid. bill: off the next bill.", ""),
        "state": ("granted, planned (in a payment run), paid, or void (worked out wrongly).", ""),
        "currency": ("ISO 4217.", ""),
        "entitled_minor": ("What the rules give; 0 when void.", "cents"),
        "paid_minor": ("What was paid of it; 0 before.", "cents"),
        "computed_at": ("When it was worked out and granted.", ""),
        "paid_at": ("When it was paid; empty before.", ""),
    },
    "incidents": {
        "title": ("Its English title.", ""),
        "phase": ("investigating, identified, monitoring, resolved; for planned work its own.", ""),
        "impact": ("none, minor, major, critical; maintenance for planned work.", ""),
        "started_at": ("When it began, as far as known.", ""),
        "aware_at": ("When we knew: the regulatory clock starts here.", ""),
        "monitoring_at": ("When it was last mended and watched.", ""),
        "resolved_at": ("When it was over.", ""),
        "created_at": ("When it was put in.", ""),
        "updates_published": ("How many updates were published.", "updates"),
        "first_published_at": ("When the first of them was.", ""),
        "kind": ("incident or maintenance.", ""),
        "state": ("draft, declared or dismissed.", ""),
        "severity": ("1 is the worst; empty when not set.", ""),
        "title_nl": ("Its Dutch title.", ""),
        "notice_limit_seconds": ("Within what people must hear of it; empty: the installation's limit.", "seconds"),
    },
    "updates": {
        "update_id": ("The update, for good.", ""),
        "number": ("Its number within the incident, from 1.", ""),
        "phase": ("The phase it put the incident in.", ""),
        "cause_certainty": ("unknown, suspected or confirmed.", ""),
        "cause_party_key": ("The party that the cause lies with.", ""),
        "next_update_at": ("When the next update was promised.", ""),
        "corrects_id": ("The update that it takes back.", ""),
        "created_at": ("When it was drafted.", ""),
        "approved_at": ("When the last approval came.", ""),
        "published_at": ("When it was published.", ""),
        "audience": ("Whom it was for.", ""),
        "approvals": ("How many people approved it.", "people"),
        "bypassed": ("yes: it went out without an approval, in an emergency.", ""),
        "title": ("Its English heading.", ""),
        "title_nl": ("Its Dutch heading.", ""),
    },
    "promises": {
        "update_id": ("The update that promised.", ""),
        "state": ("standing, kept or missed.", ""),
        "due_at": ("The promised time.", ""),
        "settled_at": ("When it was kept or missed.", ""),
        "followed_at": ("When the next update came, late or not.", ""),
        "warned_at": ("When its owners were warned.", ""),
        "alarmed_at": ("When the alarm was raised.", ""),
    },
    "affected": {
        "component_key": ("The component.", ""),
        "component_name": ("Its name.", ""),
        "component_group": ("Its group.", ""),
        "party_key": ("The party that is responsible for it.", ""),
        "named": ("yes: the incident names it or its group. no: it needs something that is named.", ""),
    },
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an export. `type`: text, whole number or time (UTC). `source`: the view it comes from."""

    name: str
    type: str
    unit: str
    meaning: str
    source: str
    personal: bool


def columns_of(name: str, facts: TableClause) -> list[Column]:
    """The columns of the export `name`, in their order. Raises KeyError for one that nobody has described."""
    own = _MEANINGS[name]
    found = []
    for one in facts.c:
        meaning, unit = own[one.name] if one.name in own else _EVERYWHERE[one.name]
        found.append(Column(one.name, _type(one.type), unit, meaning, facts.name, one.name in PERSONAL))
    return found


def _type(kind: object) -> str:
    if isinstance(kind, BigInteger):
        return "whole number"
    return "time" if isinstance(kind, DateTime) else "text"
