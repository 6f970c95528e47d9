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

# Statutory where there is a statute, else what we promise. A claim names no country, so the soonest law counts.
# Refunds: EU 261, article 8(1)(a), seven days; US DOT, 14 CFR 260.9, has seven business days, which are more in any
# calendar of holidays. Compensation and expenses: the reform of EU 261, thirty days to pay or to justify the refusal.
_DAYS: Mapping[AsksFor, int] = {
    "refund": 7,
    "compensation": 30,
    "expenses": 30,
    "rebooking": 2,
    "information": 2,
    "call_back": 1,
}
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
    return made_at + timedelta(days=_DAYS[kind])


def decide_appeal_by(made_at: datetime) -> datetime:
    """By when somebody has looked at a decision again."""
    return made_at + timedelta(days=_APPEAL_DAYS)


def call_by(asked_at: datetime) -> datetime:
    """By when a person calls or writes to whoever asked for one and named no time."""
    return asked_at + CALL_BACK
