"""What callers of the staff API may send, as types (`foundation.calls` reads it)."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec

from incidents.audience import Scope
from incidents.lifecycle import Certainty, ComponentStatus, Declaration, Draft, Impact, Phase
from incidents.segments import LONGEST_AHEAD, Segment
from incidents.update_templates import UpdateTemplate
from incidents.wording import UpdateText

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Severity = Annotated[int, msgspec.Meta(ge=1, le=4)]
Minutes = Annotated[int, msgspec.Meta(ge=1, le=7 * 24 * 60)]
AheadMinutes = Annotated[int, msgspec.Meta(ge=-LONGEST_AHEAD, le=LONGEST_AHEAD)]
Names = Annotated[list[str], msgspec.Meta(max_length=50_000)]


class IncidentBody(msgspec.Struct, forbid_unknown_fields=True):
    """`POST incidents`. `started_at` left out: now; `impact`: computed from the components.

    `notice_limit`: minutes in which people must hear of it. `exercise`: a drill, which reaches seeds only.
    """

    title: dict[str, str]
    impact: Impact | None = None
    started_at: Moment | None = None
    components: Names = []
    groups: Names = []
    severity: Severity | None = None
    exercise: bool = False
    aware_at: Moment | None = None
    notice_limit: Minutes | None = None

    def declaration(self, now: datetime) -> Declaration:
        """What is declared."""
        values = msgspec.structs.asdict(self)
        limit = None if self.notice_limit is None else timedelta(minutes=self.notice_limit)
        return Declaration(**{**values, "started_at": self.started_at or now, "notice_limit": limit})


class IncidentChanges(msgspec.Struct, forbid_unknown_fields=True):
    """`PATCH incidents/{id}`. What is left out stays; components and groups are added.

    `impact`: `computed` takes back what was set by hand.
    """

    title: dict[str, str] | None = None
    impact: Impact | Literal["computed"] | None = None
    severity: Severity | None = None
    started_at: Moment | None = None
    aware_at: Moment | None = None
    notice_limit: Minutes | None = None
    components: Names = []
    groups: Names = []

    def changes(self) -> dict[str, Any]:
        """What `publishing.amend` takes."""
        limit = None if self.notice_limit is None else timedelta(minutes=self.notice_limit)
        return {**msgspec.structs.asdict(self), "notice_limit": limit}


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
        values = {name: getattr(self, name) for name in UpdateBody.__struct_fields__}
        values["texts"] = msgspec.convert(msgspec.to_builtins(self.texts), dict[str, UpdateText])
        return Draft(**values)


class UpdateEdit(UpdateBody, forbid_unknown_fields=True):
    """`PUT updates/{id}`: the whole text anew. `revision`: the one it is made from; refused when there is a newer."""

    revision: int | None = None


class ApproveBody(msgspec.Struct, forbid_unknown_fields=True):
    """`POST updates/{id}/approve`. `digest`: of what the approver looked at, from the preview."""

    digest: str | None = None


class BypassBody(msgspec.Struct, forbid_unknown_fields=True):
    """`POST updates/{id}/bypass`. `reason`: why this cannot wait for somebody else, in 10 to 500 characters."""

    reason: str


class PublishBody(msgspec.Struct, forbid_unknown_fields=True):
    """`POST updates/{id}/publish`; an empty body is all of it left out.

    `urgent`: before all other news, and at night too. `hold`: stop after the first hundredth until it is released.
    `not_after`: nobody has use for it later.
    """

    urgent: bool = False
    hold: bool = False
    not_after: Moment | None = None


class ScopeBody(msgspec.Struct, forbid_unknown_fields=True):
    """What an incident concerns: all of it. See `audience.Scope`."""

    components: Names = []
    groups: Names = []
    segments: Names = []
    needed_from: Moment | None = None
    needed_until: Moment | None = None

    def scope(self) -> Scope:
        """As the audience takes it."""
        return Scope(**msgspec.structs.asdict(self))


class SegmentBody(msgspec.Struct, forbid_unknown_fields=True):
    """`PUT segments/{key}`. See `segments.Segment`; minutes count from the moment of sending."""

    names: dict[str, str]
    languages: Names = []
    components: Names = []
    groups: Names = []
    from_minutes: AheadMinutes | None = None
    until_minutes: AheadMinutes | None = None

    def segment(self, key: str) -> Segment:
        """What is to be kept."""
        return Segment(key, **msgspec.structs.asdict(self))


class TemplateBody(msgspec.Struct, forbid_unknown_fields=True):
    """`PUT update-templates/{key}`. Placeholders: see `update_templates.PLACEHOLDERS`."""

    phase: Phase
    name: str
    texts: dict[str, TextBody]

    def template(self, key: str) -> UpdateTemplate:
        """What is to be kept."""
        texts = msgspec.convert(msgspec.to_builtins(self.texts), dict[str, UpdateText])
        return UpdateTemplate(key, self.phase, self.name, texts, own=True)


class StartQuery(msgspec.Struct):
    """`GET incidents/{id}/update-templates/{key}`. `next_update_at`: what the writer means to promise."""

    next_update_at: Moment | None = None
