"""Claims as facts: what was asked, what was decided and why, and how long it took.

Owned by: claims.
"""

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

STATEMENTS = [
    # The decision that stands is the last one: an appeal may have brought another.
    """
    CREATE VIEW claim_facts AS
    SELECT k.id AS claim_id, s.incident_id, s.number AS case_number, c.number AS customer_number, k.kind, k.state,
           k.made_at, k.decide_by, k.ended_at, d.outcome, d.reason, d.decided_at,
           (SELECT count(*) FROM decisions e WHERE e.claim_id = k.id) AS decisions,
           (SELECT count(*) FROM appeals a JOIN decisions e ON e.id = a.decision_id WHERE e.claim_id = k.id) AS appeals
      FROM claims k
      LEFT JOIN contacts t ON t.id = k.contact_id
      LEFT JOIN cases o ON o.id = coalesce(k.case_id, t.case_id)
      LEFT JOIN cases s ON s.id = coalesce(o.merged_into, o.id)
      LEFT JOIN customers c ON c.id = s.customer_id
      LEFT JOIN LATERAL (SELECT e.outcome, e.reason, e.decided_at FROM decisions e WHERE e.claim_id = k.id
                          ORDER BY e.id DESC LIMIT 1) d ON true
    """,
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: a downgrade would throw away proof.")
