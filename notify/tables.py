"""The tables notify owns, for building statements. The CHECKs that guard them stand in the migrations."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Computed,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
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
    Index("customers_number_key_index", "number_key"),
)

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
    # No foreign keys on these three: see the migration.
    Column("dispatch_id", BigInteger, nullable=False),
    Column("message_id", BigInteger, nullable=False),
    Column("customer_id", BigInteger, nullable=False),
    Column("address_id", ForeignKey(addresses.c.id)),
    Column("channel", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("urgency", SmallInteger, nullable=False),
    _moment("needed_at"),
    Column("attempt", SmallInteger, nullable=False, server_default="0"),
    Column("doubtful", SmallInteger, nullable=False, server_default="0"),
    Column("overtaken", Boolean, nullable=False, server_default=false()),
    _moment("next_at"),
    _moment("lease_until"),
    Column("reply_code", SmallInteger),
    Column("reply", Text),
    _moment("created_at", now=True),
    _moment("final_at"),
    UniqueConstraint("dispatch_id", "customer_id", "channel"),
    Index(
        "deliveries_planned_index",
        "channel",
        "urgency",
        "needed_at",
        "id",
        postgresql_where=text("state = 'planned'"),
    ),
    Index("deliveries_deferred_index", "next_at", postgresql_where=text("state = 'deferred'")),
    Index("deliveries_sending_index", "customer_id", "channel", postgresql_where=text("state = 'sending'")),
)
