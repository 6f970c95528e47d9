"""By when whoever wrote must hear from us: the rules of every clock in a case. Pure: times in, times out.

A clock hangs on what started it (the contact, the claim, the appeal) and is never set anew. So it survives what happens
to the case around it: joining cases joins their clocks, taking apart parts them, and reopening starts none again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from claims.submissions import AsksFor, Channel

FIRST_ANSWER = timedelta(hours=24)
# Where a public post stands, others read along.
FIRST_ANSWER_TO_A_POST = timedelta(minutes=15)
CALL_BACK = timedelta(hours=4)

# Statutory where there is a statute, and otherwise what we promise. Refunds: US DOT, 14 CFR 260.9, seven business days.
# Compensation and expenses: the reform of EU 261, thirty days to pay or to justify the refusal.
_DAYS: Mapping[AsksFor, int] = {"compensation": 30, "expenses": 30, "rebooking": 2, "information": 2, "call_back": 1}
_REFUND_BUSINESS_DAYS = 7
_APPEAL_DAYS = 30

ClockKind = Literal["first_answer", "claim", "appeal", "appointment"]
ClockState = Literal["running", "late", "kept", "missed"]


@dataclass(frozen=True, slots=True)
class Clock:
    """A promise to somebody: `kind` of it, when it began, by when it is due, and when it was met."""

    kind: ClockKind
    started_at: datetime
    due_at: datetime
    stopped_at: datetime | None = None

    def state(self, now: datetime) -> ClockState:
        """How it stands."""
        if self.stopped_at is None:
            return "late" if now > self.due_at else "running"
        return "missed" if self.stopped_at > self.due_at else "kept"


def answer_by(channel: Channel, received_at: datetime) -> datetime:
    """By when a contact gets its first answer from a person."""
    return received_at + (FIRST_ANSWER_TO_A_POST if channel == "post" else FIRST_ANSWER)


def decide_by(kind: AsksFor, made_at: datetime) -> datetime:
    """By when a claim is decided."""
    if kind == "refund":
        return _business_days(made_at, _REFUND_BUSINESS_DAYS)
    return made_at + timedelta(days=_DAYS[kind])


def decide_appeal_by(made_at: datetime) -> datetime:
    """By when somebody has looked at a decision again."""
    return made_at + timedelta(days=_APPEAL_DAYS)


def call_by(asked_at: datetime) -> datetime:
    """By when a person calls or writes to whoever asked for one and named no time."""
    return asked_at + CALL_BACK


def _business_days(since: datetime, days: int) -> datetime:
    """`days` business days later, Monday to Friday: public holidays differ by place, and without them it is sooner."""
    due = since
    while days:
        due += timedelta(days=1)
        days -= due.weekday() < 5
    return due
