"""The tables claims owns, for building statements. The CHECKs that guard them stand in the migrations."""

from sqlalchemy import (
    BigInteger,
    Column,
    Computed,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from foundation.database import metadata

_NOW = text("now()")


def _id() -> Column[int]:
    return Column("id", BigInteger, Identity(always=True), primary_key=True)


def _moment(name: str, *, now: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=not now, server_default=_NOW if now else None)


cases = Table(
    "cases",
    metadata,
    _id(),
    Column("number", Text, Computed("'C-' || (100000 + id)", persisted=True), nullable=False, unique=True),
    Column("incident_id", ForeignKey("incidents.id"), nullable=False),
    Column("founder_id", ForeignKey("contacts.id", use_alter=True), nullable=False, index=True),
    Column("customer_id", ForeignKey("customers.id")),
    Column("state", Text, nullable=False, server_default="open"),
    Column("merged_into", ForeignKey("cases.id")),
    _moment("opened_at", now=True),
    _moment("closed_at"),
    Index(
        "cases_one_live_index", "incident_id", "customer_id", unique=True, postgresql_where=text("merged_into IS NULL")
    ),
    Index("cases_merged_into_index", "merged_into", postgresql_where=text("merged_into IS NOT NULL")),
)

contacts = Table(
    "contacts",
    metadata,
    _id(),
    Column("receipt", Text, nullable=False, unique=True),
    Column("idempotency_key", Text, unique=True),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("channel", Text, nullable=False),
    Column("incident_id", ForeignKey("incidents.id")),
    Column("language", Text, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("state", Text, nullable=False, server_default="received"),
    Column("case_id", ForeignKey("cases.id"), index=True),
    Column("customer_id", ForeignKey("customers.id")),
    Column("matched_by", Text),
    # No foreign key, as on reports.
    Column("delivery_id", BigInteger),
    _moment("received_at", now=True),
    _moment("not_before"),
    _moment("resolved_at"),
    Index("contacts_received_index", text("not_before NULLS FIRST"), "id", postgresql_where=text("state = 'received'")),
)

contact_keys = Table(
    "contact_keys",
    metadata,
    Column("incident_id", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("contact_id", ForeignKey("contacts.id"), primary_key=True, index=True),
    Column("customer_id", ForeignKey("customers.id")),
    Column("surname", Text, nullable=False),
)

case_journal = Table(
    "case_journal",
    metadata,
    _id(),
    Column("case_id", ForeignKey("cases.id"), nullable=False, index=True),
    _moment("at", now=True),
    Column("actor", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("detail", JSONB, nullable=False, server_default="{}"),
)
