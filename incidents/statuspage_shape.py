"""The shape of the public Statuspage API v2, as types: what `statuspage_v2` writes, and our API's document describes.

From Atlassian's reference (https://confluence.status.atlassian.com/api). Times are in UTC, with milliseconds. Texts are
the English ones, and hold HTML entities and `<br />` for line breaks, because readers show them as HTML.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

ComponentState = Literal["operational", "degraded_performance", "partial_outage", "major_outage", "under_maintenance"]
IncidentState = Literal[
    "investigating", "identified", "monitoring", "resolved", "postmortem",
    "scheduled", "in_progress", "verifying", "completed",
]  # fmt: skip


class PageOwner(msgspec.Struct, frozen=True):
    """Whose page it is, and as of when."""

    id: str
    name: str
    url: str
    time_zone: str
    updated_at: datetime


class PageStatus(msgspec.Struct, frozen=True):
    """How everything is, in one word and in a few."""

    indicator: Literal["none", "minor", "major", "critical", "maintenance"]
    description: str


class PageComponent(msgspec.Struct, frozen=True):
    """Something customers depend on, or a group of such (`group` is true; `components` lists the ids in it)."""

    id: str
    name: str
    status: ComponentState
    created_at: datetime
    updated_at: datetime
    position: int
    description: str | None
    showcase: bool
    start_date: str | None
    group_id: str | None
    page_id: str
    group: bool
    only_show_if_degraded: bool
    components: Sequence[str] | msgspec.UnsetType = msgspec.UNSET


class PageAffected(msgspec.Struct, frozen=True):
    """What an update did to a component."""

    code: str
    name: str
    old_status: ComponentState
    new_status: ComponentState


class PageUpdate(msgspec.Struct, frozen=True):
    """Something said about an incident. `affected_components` is null when it changed none."""

    id: str
    status: IncidentState
    body: str
    incident_id: str
    created_at: datetime
    updated_at: datetime
    display_at: datetime
    affected_components: Sequence[PageAffected] | None
    deliver_notifications: bool
    custom_tweet: str | None
    tweet_id: int | None


class PageIncident(msgspec.Struct, frozen=True, kw_only=True):
    """A disruption, with everything said about it, the newest first."""

    id: str
    name: str
    status: IncidentState
    created_at: datetime
    updated_at: datetime
    monitoring_at: datetime | None
    resolved_at: datetime | None
    impact: Literal["none", "minor", "major", "critical", "maintenance"]
    shortlink: str
    started_at: datetime
    page_id: str
    incident_updates: Sequence[PageUpdate]
    components: Sequence[PageComponent]
    reminder_intervals: str | None


class PageMaintenance(PageIncident, frozen=True, kw_only=True):
    """Planned work, and for when it is planned."""

    scheduled_for: datetime
    scheduled_until: datetime


class PageSummary(msgspec.Struct, frozen=True):
    """Everything at a glance: components, what is going on, what is planned. The newest first."""

    page: PageOwner
    components: Sequence[PageComponent]
    incidents: Sequence[PageIncident]
    scheduled_maintenances: Sequence[PageMaintenance]
    status: PageStatus


class PageStatusOnly(msgspec.Struct, frozen=True):
    """How everything is, in one word."""

    page: PageOwner
    status: PageStatus


class PageComponents(msgspec.Struct, frozen=True):
    """Every component, each group before its members."""

    page: PageOwner
    components: Sequence[PageComponent]


class PageIncidents(msgspec.Struct, frozen=True):
    """Disruptions, the newest first: those that are over too, or only those that are not."""

    page: PageOwner
    incidents: Sequence[PageIncident]


class PageMaintenances(msgspec.Struct, frozen=True):
    """Planned work, the newest first: all of it, what is to come, or what is going on."""

    page: PageOwner
    scheduled_maintenances: Sequence[PageMaintenance]


DOCUMENTS: Mapping[str, Any] = {
    "/api/v2/summary.json": PageSummary,
    "/api/v2/status.json": PageStatusOnly,
    "/api/v2/components.json": PageComponents,
    "/api/v2/incidents.json": PageIncidents,
    "/api/v2/incidents/unresolved.json": PageIncidents,
    "/api/v2/scheduled-maintenances.json": PageMaintenances,
    "/api/v2/scheduled-maintenances/upcoming.json": PageMaintenances,
    "/api/v2/scheduled-maintenances/active.json": PageMaintenances,
}
