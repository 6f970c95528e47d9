"""Parts of texts that a centre sends again, because it got no answer from us, are found among those we have.

Owned by: notify.
"""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

STATEMENTS = [
    "CREATE INDEX sms_segments_in_again_index ON sms_segments_in (sender, reference) WHERE reference IS NOT NULL",
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: a downgrade would throw away proof.")
