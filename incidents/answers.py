"""What the staff API of incidents answers, as types: the API's document is made from them (`foundation.calls`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

import notify
from incidents.records import Incident, Update


@dataclass(frozen=True, slots=True)
class IncidentShown(Incident):
    """An incident with everything said or about to be said about it, in the order it was written."""

    updates: Sequence[Update] = ()


class UpdatePreview(msgspec.Struct, kw_only=True, frozen=True):
    """Whom publishing would reach. `sms`: only where texts are sent."""

    reach: Sequence[notify.Reach]
    recipients: int
    unreachable: int
    sms: notify.SmsPreview | msgspec.UnsetType = msgspec.UNSET


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
