"""Who is due to hear that we have their message is noted as it finds its case, so that nobody is forgotten.

Owned by: claims.
"""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

STATEMENTS = [
    """
    ALTER TABLE acknowledgements
        DROP CONSTRAINT acknowledgements_kind_check,
        DROP CONSTRAINT acknowledgements_sent_check,
        ADD CONSTRAINT acknowledgements_kind_check CHECK (kind IN ('due', 'first', 'again', 'none')),
        ADD CONSTRAINT acknowledgements_sent_check CHECK (
            (kind IN ('due', 'none')) = (address IS NULL) AND (address IS NULL) = (channel IS NULL))
    """,
    "CREATE INDEX acknowledgements_due_index ON acknowledgements (contact_id) WHERE kind = 'due'",
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: a downgrade would throw away proof.")
