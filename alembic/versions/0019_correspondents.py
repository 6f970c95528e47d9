"""People who wrote to us, whom the directory does not know: an answer needs somebody to go to.

Owned by: notify.
"""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

STATEMENTS = [
    "ALTER TABLE customers DROP CONSTRAINT customers_kind_check",
    """
    ALTER TABLE customers
        ADD CONSTRAINT customers_kind_check CHECK (kind IN ('customer', 'subscriber', 'correspondent'))
    """,
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: a downgrade would throw away proof.")
