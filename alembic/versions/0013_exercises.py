"""Drills that reach nobody but colleagues, and colleagues as people who can be told.

Owned by: notify.
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

STATEMENTS = [
    # Whatever is planned under one of these topics is for the seeds alone, whoever asks for it and with what audience.
    """
    CREATE TABLE exercises (
        topic text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT exercises_pkey PRIMARY KEY (topic)
    )
    """,
    # Staff are told when they must act; a row of their own kind, so that nobody takes them for customers.
    """
    ALTER TABLE customers
        DROP CONSTRAINT customers_kind_check,
        ADD CONSTRAINT customers_kind_check CHECK (kind IN ('customer', 'subscriber', 'staff'))
    """,
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: a downgrade would throw away proof.")
