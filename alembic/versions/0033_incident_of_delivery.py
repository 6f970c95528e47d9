"""The incident of a delivery is cut off its topic, where a pattern took longer than all other columns together.

Owned by: notify.
"""

from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

STATEMENTS = [
    # `domain`: of the mail address or of the webhook's host; none for phones and where nothing could be reached.
    """
    CREATE OR REPLACE VIEW delivery_facts AS
    SELECT d.id AS delivery_id,
           CASE WHEN starts_with(p.topic, 'incident:') THEN nullif(substr(p.topic, 10), '') END AS incident_id,
           p.key AS dispatch, p.topic, p.number AS update_number, c.number AS customer_number, d.channel, m.language,
           CASE WHEN o.delivery_id IS NOT NULL AND d.final_at IS NULL THEN 'sending' ELSE d.state END AS state,
           d.reason, d.attempt AS attempts, d.doubtful AS doubtful_attempts, d.reply_code, d.needed_at,
           d.created_at AS planned_at, d.final_at, d.instead_of,
           CASE d.channel WHEN 'mail' THEN nullif(lower(split_part(a.value, '@', 2)), '')
                          WHEN 'webhook' THEN nullif(split_part(split_part(a.value, '/', 3), ':', 1), '') END AS domain,
           c.kind AS recipient_kind
      FROM deliveries d
      LEFT JOIN (SELECT unnest(delivery_ids) AS delivery_id FROM batches WHERE lease_until IS NOT NULL) o
        ON o.delivery_id = d.id
      LEFT JOIN dispatches p ON p.id = d.dispatch_id
      LEFT JOIN messages m ON m.id = d.message_id
      LEFT JOIN customers c ON c.id = d.customer_id
      LEFT JOIN addresses a ON a.id = d.address_id
    """,
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: a downgrade would throw away proof.")
