"""What the API of claims answers, as types: the API's document is made from them (`foundation.calls`)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from claims.outcomes import Outcome
from claims.submissions import AsksFor, Channel, Submission


class Received(msgspec.Struct, frozen=True):
    """A contact that is on disk: its receipt, and the address where whoever wrote it can follow it."""

    receipt: str
    track_url: str


class ContactState(msgspec.Struct, frozen=True):
    """Whether a contact has its case yet."""

    state: Literal["received", "in_a_case"]


class CaseRow(msgspec.Struct, frozen=True):
    """A case in a list. `contacts`: how many; `cases_merged_in`: how many cases it took in."""

    number: str
    incident_id: str | None
    customer_number: str | None
    state: str
    opened_at: datetime
    closed_at: datetime | None
    contacts: int
    cases_merged_in: int


class CasePage(msgspec.Struct, frozen=True):
    """Some of the cases, oldest first. `next`: the `after` of the next page; null at the end."""

    cases: Sequence[CaseRow]
    next: int | None


class FileShown(msgspec.Struct, frozen=True):
    """A file that came with a contact. `state`: waiting (for the scanner), clean, refused, or set_aside."""

    id: int
    name: str
    state: str


class ContactShown(msgspec.Struct, frozen=True):
    """A contact of a case, in the words of whoever wrote it. `matched_by`: the code of what led it here."""

    id: int
    channel: Channel
    language: str
    received_at: datetime
    matched_by: str | None
    receipt: str
    said: Submission
    answer_by: datetime | None = None
    answered_at: datetime | None = None
    continues_id: int | None = None
    files: Sequence[FileShown] = ()


class JournalLine(msgspec.Struct, frozen=True):
    """Something that happened to a case. `case_number`: under which of its numbers it was written down."""

    case_number: str
    at: datetime
    actor: str
    event: str
    detail: Mapping[str, Any]


class AppealShown(msgspec.Struct, frozen=True):
    """An appeal against a decision."""

    id: int
    words: str
    state: str
    made_at: datetime
    decide_by: datetime
    ended_at: datetime | None


class DecisionShown(msgspec.Struct, frozen=True):
    """What was decided on a claim, why, and what the customer can do next. `on_appeal`: the appeal it answers."""

    id: int
    outcome: Outcome
    reason: str
    words: str
    next_steps: Sequence[str]
    decided_by: str
    decided_at: datetime
    on_appeal: int | None
    appeal: AppealShown | None


class ClaimShown(msgspec.Struct, frozen=True):
    """Something that is asked, by which contact, and what was decided, the newest last."""

    id: int
    contact: int | None
    kind: AsksFor
    state: str
    made_at: datetime
    decide_by: datetime
    ended_at: datetime | None
    decisions: Sequence[DecisionShown]


class ReplyShown(msgspec.Struct, frozen=True):
    """Something we wrote. `contacts`: those it answers; `sent`: there was an address to send it to."""

    id: int
    kind: str
    subject: str
    words: str
    language: str
    written_by: str
    written_at: datetime
    contacts: Sequence[int]
    sent: bool


class AppointmentShown(msgspec.Struct, frozen=True):
    """A person and a time, promised to whoever wrote `contact`."""

    id: int
    contact: int
    agent: str | None
    agent_name: str
    at: datetime
    phone: str | None
    wish: str
    state: str
    made_at: datetime
    ended_at: datetime | None
    note: str


class FeedbackShown(msgspec.Struct, frozen=True):
    """Whether we helped, one (no) to five (yes). `question`: the contact that a question in it became."""

    id: int
    asked_at: datetime
    given_at: datetime | None
    score: int | None
    words: str
    question: int | None


class ClockShown(msgspec.Struct, frozen=True):
    """A promise and how it stands: running, late, kept or missed."""

    kind: str
    started_at: datetime
    due_at: datetime
    stopped_at: datetime | None
    state: str
    about: str


class CustomerShown(msgspec.Struct, frozen=True):
    """What the directory knows of the customer of a case."""

    number: str
    name: str
    language: str
    time_zone: str
    prefers: str | None
    mails: Sequence[str]
    phones: Sequence[str]
    references: Sequence[str]


class QueueRow(msgspec.Struct, frozen=True):
    """A case that waits. `due_at`: its soonest promise; `what`: what waits; `kinds`: what is asked and open."""

    number: str
    incident_id: str
    agent: str | None
    state: str
    reopened: int
    opened_at: datetime
    due_at: datetime
    what: Sequence[str]
    kinds: Sequence[str]
    language: str
    contacts: int


class QueuePage(msgspec.Struct, frozen=True):
    """The cases that wait, the soonest promise first."""

    cases: Sequence[QueueRow]


class Done(msgspec.Struct, frozen=True):
    """A change was made to a case. `number`: of the live case; `version`: what the next change may name."""

    number: str
    version: int


class Replied(msgspec.Struct, frozen=True):
    """An answer is written down, and on its way where there is an address."""

    number: str
    version: int
    reply: int


class Promised(msgspec.Struct, frozen=True):
    """A person and a time. `agent`: shown name, empty while nobody is on duty."""

    number: str
    version: int
    appointment: int
    agent: str
    at: datetime


class SentToMany(msgspec.Struct, frozen=True):
    """One answer to many cases: in how many it stands, to how many persons it goes, and how many have no address."""

    id: int
    cases: int
    persons: int
    unreachable: int


class OpenedInAdvance(msgspec.Struct, frozen=True):
    """Cases opened for everybody affected who had none. `cases`: how many."""

    cases: int


class SavedReplyShown(msgspec.Struct, frozen=True):
    """A text to start from."""

    id: int
    name: str
    language: str
    kind: str | None
    words: str


class CaseShown(msgspec.Struct, frozen=True):
    """A case with all that is in it. `former_numbers`: of the cases it took in; they lead here."""

    number: str
    incident_id: str | None
    customer_number: str | None
    state: str
    opened_at: datetime
    closed_at: datetime | None
    former_numbers: Sequence[str]
    contacts: Sequence[ContactShown]
    journal: Sequence[JournalLine]
    agent: str | None
    agent_name: str
    assigned_at: datetime | None
    version: int
    reopened: int
    reopened_at: datetime | None
    customer: CustomerShown | None
    claims: Sequence[ClaimShown]
    replies: Sequence[ReplyShown]
    appointments: Sequence[AppointmentShown]
    feedback: Sequence[FeedbackShown]
    clocks: Sequence[ClockShown]
