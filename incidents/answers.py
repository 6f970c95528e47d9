"""What the staff API of incidents answers, as types: the API's document is made from them (`foundation.calls`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

import notify
from incidents.records import Incident, Update
from incidents.scope import Overlap, Sampled
from incidents.segments import Segment
from incidents.update_templates import UpdateTemplate
from incidents.wording import UpdateText


@dataclass(frozen=True, slots=True)
class IncidentShown(Incident):
    """An incident with everything said or about to be said about it, in the order it was written."""

    updates: Sequence[Update] = ()


class AudienceSample(msgspec.Struct, kw_only=True, frozen=True):
    """Some of those an incident concerns."""

    people: Sequence[Sampled]


class Overlaps(msgspec.Struct, kw_only=True, frozen=True):
    """Other open incidents over the same people, most of them first."""

    overlaps: Sequence[Overlap]


class Segments(msgspec.Struct, kw_only=True, frozen=True):
    """Every segment, by key."""

    segments: Sequence[Segment]


class UpdateTemplates(msgspec.Struct, kw_only=True, frozen=True):
    """Every template."""

    templates: Sequence[UpdateTemplate]


class StartedTexts(msgspec.Struct, kw_only=True, frozen=True):
    """What a writer begins with, per language. What is not known stands as `…`."""

    texts: Mapping[str, UpdateText]


class PublishedUpdate(msgspec.Struct, kw_only=True, frozen=True):
    """An update as it was published. `newly_published`: false when it had been before, and nothing was done.

    `deliveries`: how many stand in each state. `page_is_current`: false when the page is yet to be written.
    """

    update: Update
    newly_published: bool
    deliveries: Mapping[str, int]
    page_is_current: bool


@dataclass(frozen=True, slots=True)
class UpdateProgress(notify.Progress):
    """How the telling of an update stands. Every part adds up to `total`.

    `seconds_left`: to the last recipient; null: unknown. `status`: running, paused or cancelled; `held`: deliveries
    that wait for somebody to release them; `per_second`: as measured over the last half minute. The smallest domains
    are one, named "other".
    """

    update_id: str


class CustomerHistory(msgspec.Struct, kw_only=True, frozen=True):
    """Everything a customer was told, the newest first: proof per person."""

    customer_number: str
    told: Sequence[notify.Told]
