"""The tables app owns: people, their sessions and tokens, and the record of who did what."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from foundation.database import metadata

users = Table(
    "users",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("name", Text, nullable=False, unique=True),  # what they type to sign in, in lower case
    Column("shown_name", Text, nullable=False),
    Column("roles", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("password_hash", Text),
    Column("second_factor", LargeBinary),  # sealed, see app.staff.second_factor
    Column("second_factor_step", BigInteger, nullable=False, server_default=text("0")),
    Column("issuer", Text),
    Column("subject", Text),
    Column("link_hash", LargeBinary, unique=True),
    Column("link_expires_at", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    Column("signed_in_at", DateTime(timezone=True)),
    Column("disabled_at", DateTime(timezone=True)),
    UniqueConstraint("issuer", "subject"),
    CheckConstraint("name = lower(name) AND length(name) BETWEEN 1 AND 200", name="name"),
    CheckConstraint("(issuer IS NULL) = (subject IS NULL)", name="subject"),
    CheckConstraint("(link_hash IS NULL) = (link_expires_at IS NULL)", name="link"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("user_id", BigInteger, ForeignKey("users.id"), nullable=False),
    Column("hash", LargeBinary, nullable=False, unique=True),
    Column("way_in", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    Column("seen_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("ended_because", Text),
    CheckConstraint("way_in IN ('password', 'link', 'provider')", name="way_in"),
    CheckConstraint("(ended_at IS NULL) = (ended_because IS NULL)", name="ended"),
)
Index("sessions_user_id_index", sessions.c.user_id, postgresql_where=sessions.c.ended_at.is_(None))

sign_in_failures = Table(
    "sign_in_failures",
    metadata,
    Column("key", LargeBinary, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("last_at", DateTime(timezone=True), nullable=False, index=True),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("hash", LargeBinary, nullable=False, unique=True),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("revoked_at", DateTime(timezone=True)),
    Column("roles", ARRAY(Text), nullable=False),
    Column("last_used_at", DateTime(timezone=True)),
)

audit_log = Table(
    "audit_log",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("previous", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)
Index("audit_log_actor_index", audit_log.c.actor, audit_log.c.id)
Index("audit_log_object_index", audit_log.c.object, audit_log.c.id)
