"""The public Statuspage API v2 as JSON Schema, written from its reference: every key, no other, no odd word."""

from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

Schema = dict[str, Any]

ID: Schema = {"type": "string", "pattern": "^[a-z0-9]{12}$"}
TIME: Schema = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", "format": "date-time"}
TEXT: Schema = {"type": "string", "minLength": 1}
URL: Schema = {"type": "string", "pattern": "^https://[^ ]+$"}
FLAG: Schema = {"type": "boolean"}
STATUS: Schema = {
    "enum": ["operational", "degraded_performance", "partial_outage", "major_outage", "under_maintenance"],
}
INCIDENT_PHASE: Schema = {"enum": ["investigating", "identified", "monitoring", "resolved", "postmortem"]}
MAINTENANCE_PHASE: Schema = {"enum": ["scheduled", "in_progress", "verifying", "completed"]}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _exactly(keys: Mapping[str, Schema], **optional: Schema) -> Schema:
    return {
        "type": "object",
        "properties": {**keys, **optional},
        "required": list(keys),
        "additionalProperties": False,
    }


def _list(schema: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": schema, **more}


PAGE = _exactly({"id": ID, "name": TEXT, "url": URL, "time_zone": {"const": "Etc/UTC"}, "updated_at": TIME})
ROLL_UP = _exactly(
    {"indicator": {"enum": ["none", "minor", "major", "critical", "maintenance"]}, "description": TEXT},
)
_COMPONENT: Schema = {
    "id": ID, "name": TEXT, "page_id": ID, "status": STATUS, "created_at": TIME, "updated_at": TIME,
    "position": {"type": "integer"}, "description": _or_null(TEXT), "showcase": FLAG,
    "start_date": _or_null({"type": "string", "format": "date"}), "group_id": _or_null(ID),
    "only_show_if_degraded": FLAG,
}  # fmt: skip
SINGLE = _exactly({**_COMPONENT, "group": {"const": False}})
GROUP = _exactly({**_COMPONENT, "group": {"const": True}, "components": _list(ID)})
COMPONENTS = _list({"oneOf": [SINGLE, GROUP]})
AFFECTED = _exactly({"code": ID, "name": TEXT, "old_status": STATUS, "new_status": STATUS})


def _update(phase: Schema) -> Schema:
    return _exactly(
        {
            "id": ID, "incident_id": ID, "status": phase, "body": {"type": "string", "maxLength": 25_000},
            "created_at": TIME, "updated_at": TIME, "display_at": TIME,
            "affected_components": _or_null(_list(AFFECTED, minItems=1)), "deliver_notifications": FLAG,
            "custom_tweet": {"type": "null"}, "tweet_id": {"type": "null"},
        }
    )  # fmt: skip


def _incident(phase: Schema, impact: Schema, **more: Schema) -> Schema:
    return _exactly(
        {
            "id": ID, "page_id": ID, "name": {**TEXT, "maxLength": 255}, "shortlink": URL, "status": phase,
            "created_at": TIME, "updated_at": TIME, "started_at": TIME, "monitoring_at": _or_null(TIME),
            "resolved_at": _or_null(TIME), "impact": impact,
            "incident_updates": _list(_update(phase), minItems=1), "components": _list(SINGLE),
            "reminder_intervals": {"type": "null"}, **more,
        }
    )  # fmt: skip


INCIDENT = _incident(INCIDENT_PHASE, {"enum": ["none", "minor", "major", "critical"]})
MAINTENANCE = _incident(MAINTENANCE_PHASE, {"const": "maintenance"}, scheduled_for=TIME, scheduled_until=TIME)


def _in_phases(incident: Schema, *phases: str) -> Schema:
    return {"allOf": [incident, {"properties": {"status": {"enum": list(phases)}}}]}


OPEN = _list(_in_phases(INCIDENT, "investigating", "identified", "monitoring"))
# Path → what stands at it, besides `page`.
DOCUMENTS: Mapping[str, Schema] = {
    "summary": {
        "components": COMPONENTS,
        "incidents": OPEN,
        "scheduled_maintenances": _list(_in_phases(MAINTENANCE, "scheduled", "in_progress", "verifying")),
        "status": ROLL_UP,
    },
    "status": {"status": ROLL_UP},
    "components": {"components": COMPONENTS},
    "incidents": {"incidents": _list(INCIDENT, maxItems=50)},
    "incidents/unresolved": {"incidents": OPEN},
    "scheduled-maintenances": {"scheduled_maintenances": _list(MAINTENANCE, maxItems=50)},
    "scheduled-maintenances/upcoming": {"scheduled_maintenances": _list(_in_phases(MAINTENANCE, "scheduled"))},
    "scheduled-maintenances/active": {
        "scheduled_maintenances": _list(_in_phases(MAINTENANCE, "in_progress", "verifying"))
    },
}


def faults(path: str, document: Any) -> list[str]:
    """What in a document differs from the reference, one line each. `path`: as in `DOCUMENTS`."""
    schema = _exactly({"page": PAGE, **DOCUMENTS[path]})
    validator = Draft202012Validator(schema, format_checker=FormatChecker())
    found = [f"{one.json_path}: {one.message[:300]}" for one in validator.iter_errors(document)]
    for name, listed in document.items():
        if name in ("incidents", "scheduled_maintenances"):
            found += _out_of_order(name, [one["created_at"] for one in listed])
            for one in listed:
                found += _out_of_order("incident_updates", [update["created_at"] for update in one["incident_updates"]])
    return found


def _out_of_order(name: str, times: list[str]) -> list[str]:
    return [] if times == sorted(times, reverse=True) else [f"{name} are not newest first: {times}"]
