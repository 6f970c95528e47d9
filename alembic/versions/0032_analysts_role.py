"""A role for analysts' own tools: it reads the facts, people neither by number nor by mail domain, and nothing else.

Owned by: app.
"""

from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

# What it may read is granted at the end of every migration (alembic/env.py), so that new facts are there at once.
STATEMENTS = [
    """
    DO $$
    BEGIN
        IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'stormdesk_analyst') THEN
            CREATE ROLE stormdesk_analyst NOLOGIN;
        END IF;
    EXCEPTION
        WHEN duplicate_object OR unique_violation THEN NULL;  -- another database of this server, at the same moment
        WHEN insufficient_privilege THEN
            RAISE EXCEPTION 'This role may not create others. As a superuser run: CREATE ROLE stormdesk_analyst; '
                'and then: stormdesk migrate';
    END
    $$
    """,
    "GRANT USAGE ON SCHEMA public TO stormdesk_analyst",
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: a downgrade would throw away proof.")
