"""The tables incidents owns, for building statements. The CHECKs that guard them stand in the migrations."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Computed,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    Interval,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from foundation.database import metadata

_NOW = text("now()")


def _moment(name: str, *, required: bool = False, now: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=not (required or now), server_default=_NOW if now else None)


parties = Table(
    "parties",
    metadata,
    Column("key", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
)

components = Table(
    "components",
    metadata,
    Column("key", Text, primary_key=True),
    Column("public_id", Text, Computed("substr(md5(key), 1, 12)", persisted=True), nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("group_name", Text, index=True),
    Column("party_key", ForeignKey(parties.c.key)),
    Column("status", Text, nullable=False, server_default="operational"),
    Column("position", Integer, nullable=False, server_default="0"),
    _moment("created_at", now=True),
    _moment("updated_at", now=True),
)

component_dependencies = Table(
    "component_dependencies",
    metadata,
    Column("component_key", ForeignKey(components.c.key, ondelete="CASCADE"), primary_key=True),
    Column("needs_key", ForeignKey(components.c.key, ondelete="CASCADE"), primary_key=True, index=True),
)

incidents = Table(
    "incidents",
    metadata,
    Column("id", Text, primary_key=True),
    Column("title", JSONB, nullable=False),
    Column("phase", Text, nullable=False),
    Column("impact", Text, nullable=False),
    _moment("started_at", required=True),
    _moment("aware_at", required=True),
    _moment("monitoring_at"),
    _moment("resolved_at"),
    Column("created_by", Text, nullable=False),
    _moment("created_at", now=True),
    _moment("updated_at", now=True),
    _moment("needed_from"),
    _moment("needed_until"),
    Column("kind", Text, nullable=False, server_default="incident"),
    Column("state", Text, nullable=False, server_default="declared"),
    Column("exercise", Boolean, nullable=False, server_default=false()),
    Column("severity", SmallInteger),
    Column("impact_set", Text),
    Column("notice_limit", Interval),
    Column("reopening", Boolean, nullable=False, server_default=false()),
    _moment("scheduled_for"),
    _moment("scheduled_until"),
    Column("starts_itself", Boolean, nullable=False, server_default=true()),
    Column("ends_itself", Boolean, nullable=False, server_default=true()),
    Column("tells_by_itself", Boolean, nullable=False, server_default=false()),
    Index(
        "incidents_scheduled_index",
        "scheduled_for",
        "scheduled_until",
        postgresql_where=text("kind = 'maintenance' AND resolved_at IS NULL"),
    ),
)

incident_scope = Table(
    "incident_scope",
    metadata,
    Column("incident_id", ForeignKey(incidents.c.id), primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
)

updates = Table(
    "updates",
    metadata,
    Column("id", Text, primary_key=True),
    Column("incident_id", ForeignKey(incidents.c.id), nullable=False),
    Column("number", Integer),
    Column("state", Text, nullable=False, server_default="draft"),
    Column("phase", Text, nullable=False),
    Column("texts", JSONB, nullable=False),
    Column("cause_certainty", Text, nullable=False, server_default="unknown"),
    Column("cause_party_key", ForeignKey(parties.c.key)),
    Column("component_status", Text),
    Column("impact", Text),
    _moment("next_update_at"),
    Column("corrects_id", ForeignKey("updates.id")),
    Column("created_by", Text, nullable=False),
    _moment("created_at", now=True),
    Column("approved_by", Text),
    _moment("approved_at"),
    Column("published_by", Text),
    _moment("published_at"),
    Column("revision", Integer, nullable=False, server_default="1"),
    Column("written_by", Text, nullable=False),
    _moment("written_at", required=True),
    Column("cause_stated_by_key", ForeignKey(parties.c.key)),
    Column("cause_evidence", Text, nullable=False, server_default=""),
    Column("audience", Text, nullable=False, server_default="everyone"),
    UniqueConstraint("incident_id", "number"),
    UniqueConstraint("id", "revision", "written_by"),
    Index(
        "updates_corrects_id_index",
        "corrects_id",
        unique=True,
        postgresql_where=text("state = 'published' AND corrects_id IS NOT NULL"),
    ),
)

update_approvals = Table(
    "update_approvals",
    metadata,
    Column("update_id", Text, primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("written_by", Text, nullable=False),
    Column("approved_by", Text, primary_key=True),
    _moment("approved_at", required=True),
    Column("digest", Text, nullable=False),
    Column("bypass_reason", Text),
    ForeignKeyConstraint(
        ["update_id", "revision", "written_by"], [updates.c.id, updates.c.revision, updates.c.written_by]
    ),
)

update_components = Table(
    "update_components",
    metadata,
    Column("update_id", ForeignKey(updates.c.id), primary_key=True),
    Column("component_key", ForeignKey(components.c.key), primary_key=True),
    Column("old_status", Text, nullable=False),
    Column("new_status", Text, nullable=False),
)

_NONE = text("'{}'")
segments = Table(
    "segments",
    metadata,
    Column("key", Text, primary_key=True),
    Column("names", JSONB, nullable=False),
    Column("languages", ARRAY(Text), nullable=False, server_default=_NONE),
    Column("components", ARRAY(Text), nullable=False, server_default=_NONE),
    Column("groups", ARRAY(Text), nullable=False, server_default=_NONE),
    Column("from_minutes", Integer),
    Column("until_minutes", Integer),
    Column("changed_by", Text, nullable=False),
    _moment("changed_at", required=True),
)

update_templates = Table(
    "update_templates",
    metadata,
    Column("key", Text, primary_key=True),
    Column("phase", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("texts", JSONB, nullable=False),
    Column("changed_by", Text, nullable=False),
    _moment("changed_at", required=True),
)

incident_roles = Table(
    "incident_roles",
    metadata,
    Column("incident_id", ForeignKey(incidents.c.id), primary_key=True),
    Column("role", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("assigned_by", Text, nullable=False),
    _moment("assigned_at", required=True),
)

incident_journal = Table(
    "incident_journal",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("incident_id", ForeignKey(incidents.c.id), nullable=False),
    _moment("at", required=True),
    Column("actor", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("details", JSONB, nullable=False, server_default="{}"),
    Index(None, "incident_id", "at"),
)

postmortems = Table(
    "postmortems",
    metadata,
    Column("id", Text, primary_key=True),
    Column("incident_id", ForeignKey(incidents.c.id), nullable=False),
    Column("number", Integer),
    Column("texts", JSONB, nullable=False),
    Column("written_by", Text, nullable=False),
    _moment("written_at", required=True),
    Column("published_by", Text),
    _moment("published_at"),
    UniqueConstraint("incident_id", "number"),
    Index("postmortems_draft_index", "incident_id", unique=True, postgresql_where=text("published_at IS NULL")),
)

promises = Table(
    "promises",
    metadata,
    Column("update_id", ForeignKey(updates.c.id), primary_key=True),
    Column("incident_id", ForeignKey(incidents.c.id), nullable=False, index=True),
    _moment("due_at", required=True),
    Column("state", Text, nullable=False, server_default="standing"),
    _moment("settled_at"),
    _moment("followed_at"),
    _moment("warned_at"),
    _moment("alarmed_at"),
    Index("promises_standing_index", "incident_id", unique=True, postgresql_where=text("state = 'standing'")),
    Index("promises_to_alarm_index", "due_at", postgresql_where=text("state = 'missed' AND alarmed_at IS NULL")),
)

party_confirmations = Table(
    "party_confirmations",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("incident_id", ForeignKey(incidents.c.id), nullable=False, index=True),
    Column("party_key", ForeignKey(parties.c.key), nullable=False),
    Column("component_key", ForeignKey(components.c.key), nullable=False),
    Column("what", Text, nullable=False),
    _moment("confirmed_at", required=True),
    Column("evidence", Text, nullable=False),
    Column("noted_by", Text, nullable=False),
    _moment("noted_at", required=True),
)

alert_mappings = Table(
    "alert_mappings",
    metadata,
    Column("label", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("incident_id", ForeignKey(incidents.c.id), nullable=False),
    Column("source", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("group_key", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("labels", JSONB, nullable=False),
    Column("annotations", JSONB, nullable=False),
    _moment("starts_at", required=True),
    _moment("ends_at"),
    _moment("first_seen_at", required=True),
    _moment("last_seen_at", required=True),
    Column("times", Integer, nullable=False, server_default="1"),
    UniqueConstraint("incident_id", "source", "fingerprint", "starts_at"),
    Index(None, "source", "fingerprint"),
    Index(None, "source", "group_key"),
)

alert_signatures = Table(
    "alert_signatures",
    metadata,
    Column("signature", LargeBinary, primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False, index=True),
)
