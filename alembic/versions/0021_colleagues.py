"""Colleagues can be told again: the kinds of people that two migrations let in one after the other, all of them.

Owned by: notify.
"""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

STATEMENTS = [
    "ALTER TABLE customers DROP CONSTRAINT customers_kind_check",
    """
    ALTER TABLE customers
        ADD CONSTRAINT customers_kind_check CHECK (kind IN ('customer', 'subscriber', 'staff', 'correspondent'))
    """,
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: a downgrade would throw away proof.")
