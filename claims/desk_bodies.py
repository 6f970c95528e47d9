"""What callers of the desk's API may send, as types: the API's document is made from them (`foundation.calls`)."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from claims.appointments import Ending
from claims.outcomes import NextStep, Outcome, Reason
from claims.queues import Whose
from claims.submissions import AsksFor

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Why = Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]


class DecideBody(msgspec.Struct, forbid_unknown_fields=True):
    """A ruling on everything a case asks of one kind. `text`: to the customer, in their language.

    Less than all that was asked needs a text, and in `next_steps` what the customer can do then. `tell`: send it.
    `version`: of the case as you read it; when somebody changed it since, nothing is done.
    """

    kind: AsksFor
    outcome: Outcome
    reason: Reason
    text: str = ""
    next_steps: list[NextStep] = []
    language: str = ""
    tell: bool = True
    version: int | None = None


class ReplyBody(msgspec.Struct, forbid_unknown_fields=True):
    """An answer. `contacts`: the ids of those it answers; none: all that wait for one."""

    text: str
    subject: str = ""
    language: str = ""
    contacts: list[int] = []
    version: int | None = None


class AssignBody(msgspec.Struct, forbid_unknown_fields=True):
    """Whose case it is: the name somebody signs in with; null: nobody's."""

    agent: str | None
    version: int | None = None


class CloseBody(msgspec.Struct, forbid_unknown_fields=True):
    """`tell`: say so to the customer, and ask whether we helped."""

    tell: bool = True
    version: int | None = None


class VersionBody(msgspec.Struct, forbid_unknown_fields=True):
    """The version of the case as you read it."""

    version: int | None = None


class AppointmentBody(msgspec.Struct, forbid_unknown_fields=True):
    """A person for whoever wrote `contact`. `at` left out: as soon as we promise anybody. `phone`: to be called at."""

    contact: int
    at: Moment | None = None
    phone: str = ""
    wish: str = ""
    version: int | None = None


class EndBody(msgspec.Struct, forbid_unknown_fields=True):
    """How an appointment went."""

    state: Ending
    note: str = ""


class ManyBody(msgspec.Struct, forbid_unknown_fields=True):
    """One answer to many open cases: of an incident, or with these numbers; in which `kind` is asked; that wait.

    `texts`: language → subject and text; English stands in for every other. `key`: sent again under the same key it is
    refused.
    """

    key: Annotated[str, msgspec.Meta(min_length=8, max_length=100)]
    texts: dict[str, "ManyText"]
    incident: str = ""
    numbers: Annotated[list[str], msgspec.Meta(max_length=50_000)] = []
    kind: AsksFor | Literal[""] = ""
    waiting: bool = True


class ManyText(msgspec.Struct, forbid_unknown_fields=True):
    """An answer in one language."""

    subject: str
    text: str


class SavedReplyBody(msgspec.Struct, forbid_unknown_fields=True):
    """A text to start from. Under a name and language there is one: the newest."""

    name: str
    language: str
    text: str
    kind: AsksFor | None = None


class AdvanceBody(msgspec.Struct, forbid_unknown_fields=True):
    """Open a case for everybody whom this incident affects."""

    incident: str


class QueueQuery(msgspec.Struct, frozen=True):
    """Which of the work: whose, in which language, of which kind, of which incident."""

    whose: Whose = "anybody"
    language: str = ""
    kind: AsksFor | Literal[""] = ""
    incident: str = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50


class MergeBody(msgspec.Struct, forbid_unknown_fields=True):
    """Another case of the same person, and why you think so."""

    other: str
    reason: Why


class SplitBody(msgspec.Struct, forbid_unknown_fields=True):
    """The ids of the contacts that are somebody else's, and why you think so."""

    contacts: Annotated[list[int], msgspec.Meta(min_length=1, max_length=10_000)]
    reason: Why


class UndoBody(msgspec.Struct, forbid_unknown_fields=True):
    """Why it was wrong."""

    reason: Why


class PairBody(msgspec.Struct, forbid_unknown_fields=True):
    """Whether two contacts that resemble each other are one person's, and why you think so."""

    one: int
    other: int
    same: bool
    reason: Why
