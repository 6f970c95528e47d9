"""What texts about an incident cost, and what waits to be sent, as facts.

Owned by: notify.
"""

from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

STATEMENTS = [
    """
    CREATE VIEW cost_facts AS
    SELECT substring(s.topic FROM '^incident:(.+)$') AS incident_id, s.currency, s.segments,
           s.spent AS spent_millionths
      FROM sms_spend s
    """,
    # A batch is up to 25 deliveries that nobody has ended; what is not in one has ended.
    """
    CREATE VIEW queue_facts AS
    SELECT b.channel, CASE WHEN b.lease_until IS NOT NULL THEN 'sending' ELSE coalesce(b.waits, 'ready') END AS waits,
           cardinality(b.delivery_ids) AS deliveries, b.created_at AS planned_at
      FROM batches b
    """,
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: a downgrade would throw away proof.")
