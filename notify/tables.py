"""The tables notify owns, for building statements. The CHECKs that guard them stand in the migrations."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Computed,
    DateTime,
    Double,
    ForeignKey,
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

from foundation.database import metadata

_NOW = text("now()")

# Deliveries in a batch: what a lane works through in some milliseconds, and what it can leave in doubt.
BATCH = 25


def _id() -> Column[int]:
    return Column("id", BigInteger, Identity(always=True), primary_key=True)


def _key(name: str, of: str) -> Column[str]:
    expression = f"upper(regexp_replace(normalize({of}, NFKC), '[^[:alnum:]]', '', 'g'))"
    return Column(name, Text, Computed(expression, persisted=True), nullable=False)


def _moment(name: str, *, now: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=not now, server_default=_NOW if now else None)


customers = Table(
    "customers",
    metadata,
    _id(),
    Column("number", Text, nullable=False, unique=True),
    _key("number_key", "number"),
    Column("name", Text, nullable=False),
    Column("name_key", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    _moment("created_at", now=True),
    _moment("updated_at", now=True),
    Column("prefers", Text),
    Column("kind", Text, nullable=False, server_default="customer"),
    Index("customers_number_key_index", "number_key"),
)

seeds = Table("seeds", metadata, Column("customer_id", ForeignKey(customers.c.id), primary_key=True))

exercises = Table("exercises", metadata, Column("subject", Text, primary_key=True), _moment("created_at", now=True))

addresses = Table(
    "addresses",
    metadata,
    _id(),
    Column("customer_id", ForeignKey(customers.c.id), nullable=False),
    Column("channel", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("consent", Boolean, nullable=False, server_default=true()),
    Column("health", Text, nullable=False, server_default="usable"),
    Column("suppressed_because", Text),
    _moment("created_at", now=True),
    Column("soft_bounces", SmallInteger, nullable=False, server_default="0"),
    _moment("soft_bounces_since"),
    _moment("last_bounce_at"),
    UniqueConstraint("customer_id", "channel", "value"),
    Index(None, "channel", "value"),
)

exposures = Table(
    "exposures",
    metadata,
    _id(),
    Column("customer_id", ForeignKey(customers.c.id), nullable=False),
    # A component belongs to incidents; the foreign key goes by name, the import arrow stays whole.
    Column("component_key", ForeignKey("components.key"), nullable=False),
    Column("reference", Text, nullable=False, server_default=""),
    _key("reference_key", "reference"),
    _moment("needed_at"),
    UniqueConstraint("customer_id", "component_key", "reference"),
    Index(None, "component_key", "customer_id"),
    Index(None, "reference_key", postgresql_where=text("reference_key <> ''")),
)

dispatches = Table(
    "dispatches",
    metadata,
    _id(),
    Column("key", Text, nullable=False, unique=True),
    Column("topic", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("urgency", SmallInteger, nullable=False, server_default="1"),
    Column("not_after", DateTime(timezone=True), nullable=False),
    _moment("created_at", now=True),
    Column("status", Text, nullable=False, server_default="running"),
    Column("corrects_id", ForeignKey("dispatches.id")),
    Column("fallback_after", Interval),
    UniqueConstraint("topic", "number"),
)

messages = Table(
    "messages",
    metadata,
    _id(),
    Column("dispatch_id", ForeignKey(dispatches.c.id), nullable=False),
    Column("channel", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("body", Text, nullable=False),
    UniqueConstraint("dispatch_id", "channel", "language"),
)

deliveries = Table(
    "deliveries",
    metadata,
    _id(),
    # No foreign keys on these four: see migrations 0002 and 0014.
    Column("dispatch_id", BigInteger, nullable=False),
    Column("message_id", BigInteger, nullable=False),
    Column("customer_id", BigInteger, nullable=False),
    Column("address_id", BigInteger),
    Column("channel", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("urgency", SmallInteger, nullable=False),
    _moment("needed_at"),
    Column("attempt", SmallInteger, nullable=False, server_default="0"),
    Column("doubtful", SmallInteger, nullable=False, server_default="0"),
    Column("overtaken", Boolean, nullable=False, server_default=false()),
    Column("reply_code", SmallInteger),
    Column("reply", Text),
    _moment("created_at", now=True),
    _moment("final_at"),
    Column("instead_of", BigInteger),
    UniqueConstraint("dispatch_id", "customer_id", "channel"),
)

delivery_attempts = Table(
    "delivery_attempts",
    metadata,
    Column("delivery_id", BigInteger, primary_key=True, autoincrement=False),
    Column("attempt", SmallInteger, primary_key=True, autoincrement=False),
    _moment("at", now=True),
    Column("reason", Text),
    Column("reply_code", SmallInteger),
    Column("reply", Text),
)

batches = Table(
    "batches",
    metadata,
    _id(),
    Column("dispatch_id", BigInteger, nullable=False),
    Column("channel", Text, nullable=False),
    Column("urgency", SmallInteger, nullable=False),
    _moment("needed_at"),
    Column("delivery_ids", ARRAY(BigInteger), nullable=False),
    Column("domain", Text),
    Column("waits", Text),
    _moment("due_at"),
    Column("behind", ARRAY(BigInteger)),
    _moment("lease_until"),
    Column("looked_for_fallback", Boolean, nullable=False, server_default=false()),
    _moment("created_at", now=True),
    Index(
        "batches_ready_index",
        "channel",
        "urgency",
        "needed_at",
        "id",
        postgresql_where=text("lease_until IS NULL AND waits IS NULL AND domain IS NULL"),
    ),
    Index(
        "batches_domain_index",
        "channel",
        "domain",
        "urgency",
        "needed_at",
        "id",
        postgresql_where=text("domain IS NOT NULL"),
    ),
    Index("batches_lease_until_index", "lease_until", postgresql_where=text("lease_until IS NOT NULL")),
    Index("batches_waits_index", "waits", "due_at", postgresql_where=text("waits IS NOT NULL")),
    Index("batches_dispatch_id_index", "dispatch_id"),
)

paces = Table(
    "paces",
    metadata,
    Column("channel", Text, primary_key=True),
    Column("domain", Text, primary_key=True),
    Column("rate", Double, nullable=False),
    Column("concurrency", Integer, nullable=False),
    Column("ceiling_rate", Double),
    Column("ceiling_concurrency", Integer),
    Column("tokens", Double, nullable=False, server_default="1"),
    _moment("counted_at", now=True),
    _moment("throttled_at"),
    _moment("eased_at", now=True),
    _moment("stopped_until"),
    Column("reason", Text),
)

opt_outs = Table(
    "opt_outs",
    metadata,
    _id(),
    Column("customer_id", ForeignKey(customers.c.id), nullable=False),
    Column("topic", Text, nullable=False),
    Column("how", Text, nullable=False),
    _moment("at", now=True),
    UniqueConstraint("customer_id", "topic"),
)

reports = Table(
    "reports",
    metadata,
    _id(),
    Column("source", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("delivery_id", BigInteger),
    Column("reference", Text),
    Column("kind", Text, nullable=False),
    Column("status", Text),
    Column("text", Text, nullable=False, server_default=""),
    Column("received_at", DateTime(timezone=True), nullable=False),
    _moment("applied_at"),
    Column("outcome", Text),
    UniqueConstraint("source", "key"),
    Index("reports_delivery_id_index", "delivery_id", postgresql_where=text("delivery_id IS NOT NULL")),
    Index("reports_waiting_index", "id", postgresql_where=text("applied_at IS NULL")),
    Index("reports_no_delivery_index", "received_at", postgresql_where=text("outcome = 'no_delivery'")),
)

address_journal = Table(
    "address_journal",
    metadata,
    _id(),
    Column("address_id", ForeignKey(addresses.c.id), nullable=False, index=True),
    _moment("at", now=True),
    Column("actor", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

followers = Table(
    "followers",
    metadata,
    Column("customer_id", ForeignKey(customers.c.id), nullable=False),
    # An incident belongs to incidents; as with components, the foreign key goes by name.
    Column("incident_id", ForeignKey("incidents.id"), index=True),
    _moment("created_at", now=True),
    UniqueConstraint("customer_id", "incident_id", postgresql_nulls_not_distinct=True),
)

follow_requests = Table(
    "follow_requests",
    metadata,
    _id(),
    Column("channel", Text, nullable=False),
    Column("address", Text, nullable=False, index=True),
    Column("host", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("incident_id", ForeignKey("incidents.id")),
    Column("client", Text, nullable=False),
    Column("customer_id", ForeignKey(customers.c.id), index=True),
    Column("created_at", DateTime(timezone=True), nullable=False, index=True),
    _moment("handled_at"),
    _moment("asked_at"),
    _moment("confirmed_at"),
    Index("follow_requests_new_index", "id", postgresql_where=text("handled_at IS NULL")),
    Index(None, "client", "created_at"),
    Index("follow_requests_host_index", "host", "asked_at", postgresql_where=text("channel = 'webhook'")),
)

sms_spend = Table(
    "sms_spend",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("currency", Text, primary_key=True),
    # Money is millionths of the currency's unit.
    Column("segments", BigInteger, nullable=False, server_default="0"),
    Column("spent", BigInteger, nullable=False, server_default="0"),
    Column("refused_at_cap", BigInteger),
)

sms_parts = Table(
    "sms_parts",
    metadata,
    Column("delivery_id", BigInteger, primary_key=True, autoincrement=False),
    Column("part", SmallInteger, primary_key=True, autoincrement=False),
    Column("parts", SmallInteger, nullable=False),
    Column("message_ref", Text, nullable=False, index=True),
    Column("state", Text, nullable=False, server_default="accepted"),
)

sms_receipts = Table(
    "sms_receipts",
    metadata,
    _id(),
    Column("key", Text, nullable=False, unique=True),
    Column("message_ref", Text),
    Column("kind", Text, nullable=False),
    Column("status", Text),
    Column("text", Text, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
)

sms_texts = Table(
    "sms_texts",
    metadata,
    _id(),
    Column("centre", Text, nullable=False),
    Column("sender", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("complete", Boolean, nullable=False),
    Column("meant", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("state", Text, nullable=False, server_default="waiting"),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Index("sms_texts_waiting_index", "id", postgresql_where=text("state = 'waiting'")),
)

sms_segments_in = Table(
    "sms_segments_in",
    metadata,
    _id(),
    Column("centre", Text, nullable=False),
    Column("sender", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("data_coding", SmallInteger, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("reference", Integer),
    Column("part", SmallInteger, nullable=False, server_default="1"),
    Column("parts", SmallInteger, nullable=False, server_default="1"),
    Column("text_id", ForeignKey(sms_texts.c.id)),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Index("sms_segments_in_waiting_index", "id", postgresql_where=text("text_id IS NULL")),
    Index("sms_segments_in_again_index", "sender", "reference", postgresql_where=text("reference IS NOT NULL")),
)

sms_replies = Table(
    "sms_replies",
    metadata,
    _id(),
    Column("text_id", ForeignKey(sms_texts.c.id), nullable=False, unique=True),
    Column("language", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("state", Text, nullable=False, server_default="planned"),
    Column("reason", Text),
    _moment("at", now=True),
    Index("sms_replies_open_index", "id", postgresql_where=text("state IN ('planned', 'sending')")),
)

consent_journal = Table(
    "consent_journal",
    metadata,
    _id(),
    Column("channel", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("consent", Boolean, nullable=False),
    Column("how", Text, nullable=False),
    Column("text_id", ForeignKey(sms_texts.c.id)),
    _moment("at", now=True),
    Index(None, "channel", "value", "id"),
)
