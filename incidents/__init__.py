"""Disruptions and what we say about them: declaring, updating, publishing, and the public status page.

The front door: what other packages may use stands here, everything else is ours to change.
"""

from incidents.approving import approve
from incidents.audience import audience_of, dispatch_key
from incidents.chasing import Chaser
from incidents.component_file import COLUMNS as COMPONENT_COLUMNS
from incidents.component_file import REQUIRED as REQUIRED_COMPONENT_COLUMNS
from incidents.component_file import BadComponent, ComponentRow, read_component
from incidents.components import (
    Component,
    Loaded,
    Party,
    define_components,
    define_parties,
    load_components,
    register_components,
)
from incidents.drafting import draft_update
from incidents.lifecycle import Declaration, Draft
from incidents.maintenance import Tell
from incidents.maintenance_words import MaintenanceWords
from incidents.messages import Composer
from incidents.publishing import Telling, declare, publish, tell
from incidents.records import (
    Incident,
    Update,
    find_incidents,
    find_update,
    open_incidents,
    public_incidents,
    resolved_incidents,
    standing_promise,
)
from incidents.status_page import StatusPage
from incidents.upkeep import PlannedWork
from incidents.wording import LANGUAGES, Link, SegmentAdvice, UpdateText
from incidents.zones import OFFERED as OFFERED_ZONES
from incidents.zones import zone_city

__all__ = [
    "COMPONENT_COLUMNS",
    "LANGUAGES",
    "OFFERED_ZONES",
    "REQUIRED_COMPONENT_COLUMNS",
    "BadComponent",
    "Chaser",
    "Component",
    "ComponentRow",
    "Composer",
    "Declaration",
    "Draft",
    "Incident",
    "Link",
    "Loaded",
    "MaintenanceWords",
    "Party",
    "PlannedWork",
    "SegmentAdvice",
    "StatusPage",
    "Tell",
    "Telling",
    "Update",
    "UpdateText",
    "approve",
    "audience_of",
    "declare",
    "define_components",
    "define_parties",
    "dispatch_key",
    "draft_update",
    "find_incidents",
    "find_update",
    "load_components",
    "open_incidents",
    "public_incidents",
    "publish",
    "read_component",
    "register_components",
    "resolved_incidents",
    "standing_promise",
    "tell",
    "zone_city",
]
