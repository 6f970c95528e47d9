"""The tables claims owns, for building statements. The CHECKs that guard them stand in the migrations."""

from sqlalchemy import (
    ARRAY,
    REAL,
    BigInteger,
    Boolean,
    Column,
    Computed,
    Date,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
    true,
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
    Column("founder_id", ForeignKey("contacts.id", use_alter=True), index=True),
    Column("customer_id", ForeignKey("customers.id")),
    Column("state", Text, nullable=False, server_default="open"),
    Column("merged_into", ForeignKey("cases.id")),
    _moment("opened_at", now=True),
    _moment("closed_at"),
    Column("agent", Text),
    _moment("assigned_at"),
    Column("version", Integer, nullable=False, server_default="0"),
    Column("reopened", Integer, nullable=False, server_default="0"),
    _moment("reopened_at"),
    Index("cases_agent_index", "agent", postgresql_where=text("agent IS NOT NULL")),
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
    Column("answer_by", DateTime(timezone=True), server_default=text("now() + interval '24 hours'")),
    _moment("answered_at"),
    Column("continues_id", ForeignKey("contacts.id")),
    _moment("unpacked_at"),
    Index("contacts_unanswered_index", "answer_by", postgresql_where=text("answered_at IS NULL")),
    Index("contacts_continues_id_index", "continues_id", postgresql_where=text("continues_id IS NOT NULL")),
    Index("contacts_packed_index", "id", postgresql_where=text("channel = 'mail' AND unpacked_at IS NULL")),
    Index("contacts_received_index", text("not_before NULLS FIRST"), "id", postgresql_where=text("state = 'received'")),
)

files = Table(
    "files",
    metadata,
    _id(),
    Column("sha256", LargeBinary, nullable=False, unique=True),
    Column("name", Text, nullable=False, unique=True),
    Column("size", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False, server_default="waiting"),
    Column("verdict", Text),
    _moment("stored_at", now=True),
    _moment("scan_after"),
    _moment("scanned_at"),
    Index("files_waiting_index", "id", postgresql_where=text("state = 'waiting'")),
)

attachments = Table(
    "attachments",
    metadata,
    _id(),
    Column("contact_id", ForeignKey("contacts.id"), nullable=False),
    Column("place", SmallInteger, nullable=False),
    Column("shown_name", Text, nullable=False),
    Column("file_id", ForeignKey("files.id")),
    Column("why", Text),
    UniqueConstraint("contact_id", "place", name="attachments_contact_id_place_key"),
    Index("attachments_file_id_index", "file_id", postgresql_where=text("file_id IS NOT NULL")),
)

mail_names = Table(
    "mail_names",
    metadata,
    Column("name", Text, nullable=False, index=True),
    Column("contact_id", ForeignKey("contacts.id"), primary_key=True),
    Column("sender", Text, nullable=False),
)

posts = Table(
    "posts",
    metadata,
    Column("network", Text, primary_key=True),
    Column("post_id", Text, primary_key=True),
    Column("contact_id", ForeignKey("contacts.id"), nullable=False, unique=True),
    Column("author", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("state", Text, nullable=False, server_default="waiting"),
    Column("answer", Text, nullable=False, server_default=""),
    _moment("ended_at"),
    Column("ended_by", Text),
    Index("posts_waiting_index", "contact_id", postgresql_where=text("state = 'waiting'")),
)

acknowledgements = Table(
    "acknowledgements",
    metadata,
    Column("contact_id", ForeignKey("contacts.id"), primary_key=True),
    Column("incident_id", Text),
    Column("kind", Text, nullable=False),
    Column("why", Text, nullable=False, server_default=""),
    Column("channel", Text),
    Column("address", Text),
    Column("dispatch", Text),
    _moment("at", now=True),
    Index("acknowledgements_due_index", "contact_id", postgresql_where=text("kind = 'due'")),
    Index(
        "acknowledgements_first_index",
        "incident_id",
        "channel",
        "address",
        unique=True,
        postgresql_where=text("kind = 'first'"),
    ),
    Index("acknowledgements_address_index", "channel", "address", "at", postgresql_where=text("address IS NOT NULL")),
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

contact_profiles = Table(
    "contact_profiles",
    metadata,
    Column("contact_id", ForeignKey("contacts.id"), primary_key=True),
    Column("profile", LargeBinary, nullable=False),
)

contact_links = Table(
    "contact_links",
    metadata,
    Column("one_id", ForeignKey("contacts.id"), primary_key=True),
    Column("other_id", ForeignKey("contacts.id"), primary_key=True, index=True),
    Column("weight", REAL, nullable=False),
    Column("outcome", Text, nullable=False),
    Index("contact_links_review_index", "one_id", "other_id", postgresql_where=text("outcome = 'review'")),
)

identity_decisions = Table(
    "identity_decisions",
    metadata,
    _id(),
    Column("incident_id", ForeignKey("incidents.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    _moment("made_at", now=True),
    _moment("undone_at"),
    Column("undone_by", Text),
    Column("undone_because", Text),
    Index("identity_decisions_incident_id_index", "incident_id", postgresql_where=text("undone_at IS NULL")),
)

identity_sides = Table(
    "identity_sides",
    metadata,
    _id(),
    Column("decision_id", ForeignKey("identity_decisions.id"), nullable=False, index=True),
    Column("side", SmallInteger, nullable=False),
    Column("contact_id", ForeignKey("contacts.id")),
    Column("customer_id", ForeignKey("customers.id")),
    Index("identity_sides_contact_id_index", "contact_id", postgresql_where=text("contact_id IS NOT NULL")),
    Index("identity_sides_customer_id_index", "customer_id", postgresql_where=text("customer_id IS NOT NULL")),
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

claims = Table(
    "claims",
    metadata,
    _id(),
    Column("contact_id", ForeignKey("contacts.id")),
    Column("case_id", ForeignKey("cases.id")),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False, server_default="open"),
    _moment("made_at", now=True),
    Column("decide_by", DateTime(timezone=True), nullable=False),
    _moment("ended_at"),
    UniqueConstraint("contact_id", "kind", name="claims_contact_id_kind_key"),
    UniqueConstraint("case_id", "kind", name="claims_case_id_kind_key"),
    Index("claims_open_index", "decide_by", postgresql_where=text("state = 'open'")),
)

decisions = Table(
    "decisions",
    metadata,
    _id(),
    Column("claim_id", ForeignKey("claims.id"), nullable=False, index=True),
    Column("outcome", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("words", Text, nullable=False, server_default=""),
    Column("next_steps", ARRAY(Text), nullable=False, server_default="{}"),
    Column("appeal_id", ForeignKey("appeals.id", use_alter=True)),
    Column("decided_by", Text, nullable=False),
    _moment("decided_at", now=True),
    Column("case_id", ForeignKey("cases.id"), nullable=False),
    Index("decisions_appeal_id_index", "appeal_id", unique=True, postgresql_where=text("appeal_id IS NOT NULL")),
)

appeals = Table(
    "appeals",
    metadata,
    _id(),
    Column("decision_id", ForeignKey("decisions.id"), nullable=False, unique=True),
    Column("words", Text, nullable=False),
    Column("state", Text, nullable=False, server_default="open"),
    _moment("made_at", now=True),
    Column("decide_by", DateTime(timezone=True), nullable=False),
    _moment("ended_at"),
    Index("appeals_open_index", "decide_by", postgresql_where=text("state = 'open'")),
)

agents = Table(
    "agents",
    metadata,
    Column("name", Text, primary_key=True),
    Column("shown_name", Text, nullable=False),
    Column("languages", ARRAY(Text), nullable=False, server_default="{}"),
    Column("skills", ARRAY(Text), nullable=False, server_default="{}"),
    Column("on_duty", Boolean, nullable=False, server_default=true()),
    _moment("seen_at", now=True),
)

appointments = Table(
    "appointments",
    metadata,
    _id(),
    Column("contact_id", ForeignKey("contacts.id"), nullable=False, index=True),
    Column("agent", ForeignKey("agents.name")),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("phone", Text),
    Column("wish", Text, nullable=False, server_default=""),
    Column("state", Text, nullable=False, server_default="promised"),
    _moment("made_at", now=True),
    _moment("ended_at"),
    Column("note", Text, nullable=False, server_default=""),
    Index("appointments_promised_index", "at", postgresql_where=text("state = 'promised'")),
)

saved_replies = Table(
    "saved_replies",
    metadata,
    _id(),
    Column("name", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("kind", Text),
    Column("words", Text, nullable=False),
    Column("written_by", Text, nullable=False),
    _moment("written_at", now=True),
    _moment("archived_at"),
    UniqueConstraint("name", "language", name="saved_replies_name_language_key"),
)

mass_replies = Table(
    "mass_replies",
    metadata,
    _id(),
    Column("key", Text, nullable=False, unique=True),
    Column("chosen", JSONB, nullable=False),
    Column("written_by", Text, nullable=False),
    _moment("written_at", now=True),
    Column("cases", Integer, nullable=False, server_default="0"),
    Column("persons", Integer, nullable=False, server_default="0"),
)

replies = Table(
    "replies",
    metadata,
    _id(),
    Column("case_id", ForeignKey("cases.id"), nullable=False, index=True),
    Column("contact_ids", ARRAY(BigInteger), nullable=False, server_default="{}"),
    Column("kind", Text, nullable=False, server_default="reply"),
    Column("subject", Text, nullable=False),
    Column("words", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("written_by", Text, nullable=False),
    _moment("written_at", now=True),
    Column("dispatch", Text),
    Column("mass_reply_id", ForeignKey("mass_replies.id")),
    Index("replies_contact_ids_index", "contact_ids", postgresql_using="gin"),
    Index("replies_dispatch_index", "dispatch", postgresql_where=text("dispatch IS NOT NULL")),
)

feedback = Table(
    "feedback",
    metadata,
    _id(),
    Column("case_id", ForeignKey("cases.id"), nullable=False, index=True),
    Column("contact_id", ForeignKey("contacts.id")),
    _moment("asked_at", now=True),
    _moment("given_at"),
    Column("score", SmallInteger),
    Column("words", Text, nullable=False, server_default=""),
    Column("question_id", ForeignKey("contacts.id")),
)

presences = Table(
    "presences",
    metadata,
    Column("case_id", ForeignKey("cases.id"), primary_key=True),
    Column("agent", Text, primary_key=True),
    Column("shown_name", Text, nullable=False),
    _moment("seen_at", now=True),
)

reaches = Table(
    "reaches",
    metadata,
    Column("contact_id", ForeignKey("contacts.id"), primary_key=True),
    Column("channel", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("language", Text, nullable=False),
    _moment("said_at", now=True),
)

link_turns = Table(
    "link_turns",
    metadata,
    Column("name", Text, primary_key=True),
    Column("turn", SmallInteger, nullable=False),
    _moment("turned_at", now=True),
)

circumstances = Table(
    "circumstances",
    metadata,
    Column("incident_id", ForeignKey("incidents.id"), primary_key=True),
    Column("component_key", Text, primary_key=True),
    Column("facts", JSONB, nullable=False),
    Column("noted_by", Text, nullable=False),
    _moment("noted_at", now=True),
)

entitlements = Table(
    "entitlements",
    metadata,
    _id(),
    Column("contact_id", ForeignKey("contacts.id")),
    Column("case_id", ForeignKey("cases.id")),
    Column("incident_id", ForeignKey("incidents.id"), nullable=False),
    Column("scheme", Text, nullable=False),
    Column("since", Date, nullable=False),
    Column("kind", Text, nullable=False),
    Column("pays", Text, nullable=False),
    Column("component_key", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("reference_key", Text, nullable=False),
    Column("passenger", Text, nullable=False),
    Column("passenger_key", Text, nullable=False),
    Column("facts", JSONB, nullable=False),
    Column("working", JSONB, nullable=False),
    Column("currency", Text, nullable=False),
    Column("minor", BigInteger, nullable=False),
    Column("state", Text, nullable=False, server_default="granted"),
    Column("made_by", Text, nullable=False),
    _moment("made_at", now=True),
    Column("void_because", Text, nullable=False, server_default=""),
    Column("account_name", Text, nullable=False, server_default=""),
    Column("iban", Text, nullable=False, server_default=""),
    Column("account_by", Text),
    UniqueConstraint("id", "minor", "currency", name="entitlements_amount_key"),
    Index(
        "entitlements_once_index",
        "incident_id",
        "scheme",
        "component_key",
        "reference_key",
        "passenger_key",
        unique=True,
        postgresql_where=text("state = 'granted'"),
    ),
    Index("entitlements_contact_id_index", "contact_id", postgresql_where=text("contact_id IS NOT NULL")),
    Index("entitlements_case_id_index", "case_id", postgresql_where=text("case_id IS NOT NULL")),
)

payment_runs = Table(
    "payment_runs",
    metadata,
    _id(),
    Column("incident_id", ForeignKey("incidents.id"), nullable=False),
    Column("pays", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("state", Text, nullable=False, server_default="prepared"),
    Column("payments", Integer, nullable=False),
    Column("minor", BigInteger, nullable=False),
    Column("made_by", Text, nullable=False),
    _moment("made_at", now=True),
    Column("approved_by", Text),
    _moment("approved_at"),
    Column("ended_by", Text),
    _moment("ended_at"),
)

payments = Table(
    "payments",
    metadata,
    _id(),
    Column("run_id", ForeignKey("payment_runs.id"), nullable=False, index=True),
    Column("entitlement_id", BigInteger, nullable=False),
    Column("minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("payee", Text, nullable=False),
    Column("iban", Text, nullable=False, server_default=""),
    Column("reference", Text, nullable=False),
    Column("state", Text, nullable=False, server_default="planned"),
    _moment("paid_at"),
    _moment("returned_at"),
    Column("returned_because", Text, nullable=False, server_default=""),
    ForeignKeyConstraint(
        ["entitlement_id", "minor", "currency"],
        ["entitlements.id", "entitlements.minor", "entitlements.currency"],
        name="payments_entitlement_fkey",
    ),
    Index("payments_once_index", "entitlement_id", unique=True, postgresql_where=text("state <> 'returned'")),
)

offers = Table(
    "offers",
    metadata,
    _id(),
    Column("contact_id", ForeignKey("contacts.id")),
    Column("case_id", ForeignKey("cases.id")),
    Column("kind", Text, nullable=False),
    Column("words", Text, nullable=False),
    _moment("at"),
    Column("answer_by", DateTime(timezone=True), nullable=False),
    Column("state", Text, nullable=False, server_default="held"),
    Column("made_by", Text, nullable=False),
    _moment("made_at", now=True),
    _moment("released_at"),
    _moment("answered_at"),
    _moment("ended_at"),
    Column("dispatch", Text),
    Index("offers_contact_id_index", "contact_id", postgresql_where=text("contact_id IS NOT NULL")),
    Index("offers_case_id_index", "case_id", postgresql_where=text("case_id IS NOT NULL")),
    Index(
        "offers_alive_index",
        "state",
        "answer_by",
        postgresql_where=text("state IN ('held', 'released', 'accepted')"),
    ),
)

offer_conditions = Table(
    "offer_conditions",
    metadata,
    _id(),
    Column("offer_id", ForeignKey("offers.id"), nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("component_key", ForeignKey("components.key")),
    Column("party_key", ForeignKey("parties.key")),
    _moment("agreed_at"),
    Column("agreed_by", Text),
)
