"""What callers of the staff API may send, as types (`foundation.calls` reads it)."""

from datetime import datetime
from typing import Annotated

import msgspec

from incidents.lifecycle import Certainty, ComponentStatus, Declaration, Draft, Impact, Phase
from incidents.wording import UpdateText

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Names = Annotated[list[str], msgspec.Meta(max_length=50_000)]


class IncidentBody(msgspec.Struct, forbid_unknown_fields=True):
    """`POST incidents`. `started_at` left out: now."""

    title: dict[str, str]
    impact: Impact
    started_at: Moment | None = None
    components: Names = []
    groups: Names = []

    def declaration(self, now: datetime) -> Declaration:
        """What is declared."""
        return Declaration(self.title, self.impact, self.started_at or now, self.components, self.groups)


class IncidentChanges(msgspec.Struct, forbid_unknown_fields=True):
    """`PATCH incidents/{id}`. What is left out stays; components and groups are added."""

    title: dict[str, str] | None = None
    impact: Impact | None = None
    started_at: Moment | None = None
    components: Names = []
    groups: Names = []


class LinkBody(msgspec.Struct, forbid_unknown_fields=True):
    """Somewhere to go: `url` begins with https:, tel: or mailto:."""

    label: str
    url: str


class SegmentAdviceBody(msgspec.Struct, forbid_unknown_fields=True):
    """What one part of the audience can do. `segment`: its key; `who`: how they know that they are meant."""

    segment: str
    who: str
    text: str
    links: list[LinkBody] = []


class TextBody(msgspec.Struct, forbid_unknown_fields=True):
    """The text of an update in one language. `wrong`: of a correction, what was not true."""

    title: str
    body: str
    advice: str
    cause: str = ""
    wrong: str = ""
    links: list[LinkBody] = []
    advice_for: list[SegmentAdviceBody] = []


class UpdateBody(msgspec.Struct, forbid_unknown_fields=True):
    """`POST incidents/{id}/updates`."""

    phase: Phase
    texts: dict[str, TextBody]
    next_update_at: Moment | None = None
    cause_certainty: Certainty = "unknown"
    cause_party: str | None = None
    component_status: ComponentStatus | None = None
    impact: Impact | None = None
    corrects: str | None = None
    cause_stated_by: str | None = None
    cause_evidence: str = ""

    def draft(self) -> Draft:
        """What is to be said."""
        values = msgspec.structs.asdict(self)
        values["texts"] = msgspec.convert(msgspec.to_builtins(self.texts), dict[str, UpdateText])
        return Draft(**values)


class PublishBody(msgspec.Struct, forbid_unknown_fields=True):
    """`POST updates/{id}/publish`; an empty body is all of it left out.

    `urgent`: before all other news, and at night too. `hold`: stop after the first hundredth until it is released.
    `not_after`: nobody has use for it later.
    """

    urgent: bool = False
    hold: bool = False
    not_after: Moment | None = None
