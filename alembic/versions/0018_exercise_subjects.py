"""Drills are known by what they are about, so that every topic that names one is held to its seeds.

Owned by: notify.
"""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE exercises RENAME COLUMN topic TO subject")


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: a downgrade would throw away proof.")
