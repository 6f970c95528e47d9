"""What the API of claims answers, as types: the API's document is made from them (`foundation.calls`)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from claims.submissions import Channel, Submission


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


class ContactShown(msgspec.Struct, frozen=True):
    """A contact of a case, in the words of whoever wrote it. `matched_by`: the code of what led it here."""

    id: int
    channel: Channel
    language: str
    received_at: datetime
    matched_by: str | None
    receipt: str
    said: Submission


class JournalLine(msgspec.Struct, frozen=True):
    """Something that happened to a case."""

    at: datetime
    actor: str
    event: str
    detail: Mapping[str, Any]


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
