"""People who work here, their sessions, what their tokens may do, and the record of who did what.

The application connects as `stormdesk_app`, a role that owns nothing: it may add to the record, never change it.

Owned by: app.
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

STATEMENTS = [
    """
    CREATE TABLE users (
        id bigint GENERATED ALWAYS AS IDENTITY,
        name text NOT NULL,
        shown_name text NOT NULL,
        roles text[] NOT NULL DEFAULT '{}',
        password_hash text,
        second_factor bytea,
        second_factor_step bigint NOT NULL DEFAULT 0,
        issuer text,
        subject text,
        link_hash bytea,
        link_expires_at timestamptz,
        created_at timestamptz NOT NULL DEFAULT now(),
        signed_in_at timestamptz,
        disabled_at timestamptz,
        CONSTRAINT users_pkey PRIMARY KEY (id),
        CONSTRAINT users_name_key UNIQUE (name),
        CONSTRAINT users_link_hash_key UNIQUE (link_hash),
        CONSTRAINT users_issuer_subject_key UNIQUE (issuer, subject),
        CONSTRAINT users_name_check CHECK (name = lower(name) AND length(name) BETWEEN 1 AND 200),
        CONSTRAINT users_subject_check CHECK ((issuer IS NULL) = (subject IS NULL)),
        CONSTRAINT users_link_check CHECK ((link_hash IS NULL) = (link_expires_at IS NULL))
    )
    """,
    """
    CREATE TABLE sessions (
        id bigint GENERATED ALWAYS AS IDENTITY,
        user_id bigint NOT NULL,
        hash bytea NOT NULL,
        way_in text NOT NULL,
        address text NOT NULL,
        agent text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        seen_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        ended_at timestamptz,
        ended_because text,
        CONSTRAINT sessions_pkey PRIMARY KEY (id),
        CONSTRAINT sessions_hash_key UNIQUE (hash),
        CONSTRAINT sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id),
        CONSTRAINT sessions_way_in_check CHECK (way_in IN ('password', 'link', 'provider')),
        CONSTRAINT sessions_ended_check CHECK ((ended_at IS NULL) = (ended_because IS NULL))
    )
    """,
    "CREATE INDEX sessions_user_id_index ON sessions (user_id) WHERE ended_at IS NULL",
    """
    CREATE TABLE sign_in_failures (
        key bytea NOT NULL,
        failures integer NOT NULL,
        last_at timestamptz NOT NULL,
        CONSTRAINT sign_in_failures_pkey PRIMARY KEY (key)
    )
    """,
    "CREATE INDEX sign_in_failures_last_at_index ON sign_in_failures (last_at)",
    # Tokens made before there were roles could do everything there was then; they keep that.
    """
    ALTER TABLE api_tokens
        ADD COLUMN roles text[] NOT NULL DEFAULT '{operator,approver,commander,agent,analyst}',
        ADD COLUMN last_used_at timestamptz
    """,
    "ALTER TABLE api_tokens ALTER COLUMN roles DROP DEFAULT",
    # No identity: the number is one more than that of the row before, so that a row taken out leaves a gap.
    """
    CREATE TABLE audit_log (
        id bigint NOT NULL,
        at timestamptz NOT NULL,
        actor text NOT NULL,
        action text NOT NULL,
        object text NOT NULL,
        outcome text NOT NULL,
        address text NOT NULL,
        reason text NOT NULL,
        previous bytea NOT NULL,
        hash bytea NOT NULL,
        CONSTRAINT audit_log_pkey PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX audit_log_actor_index ON audit_log (actor, id)",
    "CREATE INDEX audit_log_object_index ON audit_log (object, id)",
    # The application's own role. It belongs to the server, not to this database, so another database may have made it.
    """
    DO $$
    BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'stormdesk_app') THEN
            CREATE ROLE stormdesk_app NOLOGIN;
        END IF;
    EXCEPTION
        WHEN duplicate_object OR unique_violation THEN
            NULL;
        WHEN insufficient_privilege THEN
            RAISE EXCEPTION 'This role may not create others. As a superuser run: CREATE ROLE stormdesk_app; '
                'then run stormdesk migrate again.';
    END
    $$
    """,
    "GRANT USAGE ON SCHEMA public TO stormdesk_app",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO stormdesk_app",
    "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO stormdesk_app",
    # Tables that later migrations make.
    "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO stormdesk_app",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO stormdesk_app",
    "REVOKE UPDATE, DELETE ON audit_log FROM stormdesk_app",
    # Fresh statistics right after an import; PostgreSQL 16 and older grant that to owners only.
    """
    DO $$
    BEGIN
        IF current_setting('server_version_num')::integer >= 170000 THEN
            GRANT MAINTAIN ON ALL TABLES IN SCHEMA public TO stormdesk_app;
            ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT MAINTAIN ON TABLES TO stormdesk_app;
            REVOKE MAINTAIN ON audit_log FROM stormdesk_app;
        END IF;
    END
    $$
    """,
    "REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM stormdesk_app",
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
