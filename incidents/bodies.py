"""What callers of the staff API may send, as types (`foundation.calls` reads it)."""

from datetime import datetime
from typing import Annotated

import msgspec

from incidents.lifecycle import Certainty, ComponentStatus, Declaration, Draft, Impact, Phase, UpdateText

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


class TextBody(msgspec.Struct, forbid_unknown_fields=True):
    """The text of an update in one language."""

    title: str
    body: str
    advice: str
    cause: str = ""


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

    def draft(self) -> Draft:
        """What is to be said."""
        values = msgspec.structs.asdict(self)
        values["texts"] = {
            language: UpdateText(**msgspec.structs.asdict(text)) for language, text in self.texts.items()
        }
        return Draft(**values)


class PublishBody(msgspec.Struct, forbid_unknown_fields=True):
    """`POST updates/{id}/publish`; an empty body is all of it left out.

    `urgent`: before all other news, and at night too. `hold`: stop after the first hundredth until it is released.
    `not_after`: nobody has use for it later.
    """

    urgent: bool = False
    hold: bool = False
    not_after: Moment | None = None
