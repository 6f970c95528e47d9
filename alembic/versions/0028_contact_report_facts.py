"""First answers, joins taken apart, and pairs that wait for a person, as facts.

Owned by: claims.
"""

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

STATEMENTS = [
    """
    CREATE OR REPLACE VIEW contact_facts AS
    SELECT k.id AS contact_id, k.incident_id, k.channel, k.language, k.state, s.number AS case_number,
           k.matched_by, k.received_at, k.resolved_at, k.answer_by, k.answered_at
      FROM contacts k
      LEFT JOIN cases s ON s.id = k.case_id
    """,
    """
    CREATE OR REPLACE VIEW case_facts AS
    SELECT s.id AS case_id, s.number AS case_number, s.incident_id, c.number AS customer_number, s.state,
           s.opened_at, s.closed_at,
           (SELECT count(*) FROM contacts k WHERE k.case_id = s.id) AS contacts,
           (SELECT count(*) FROM cases m WHERE m.merged_into = s.id) AS cases_merged_in,
           (SELECT count(*) FROM case_journal j WHERE j.case_id = s.id AND j.event = 'parted') AS joins_undone
      FROM cases s
      LEFT JOIN customers c ON c.id = s.customer_id
     WHERE s.merged_into IS NULL
    """,
    # Of the pairs between the same two live cases, one; none that somebody has decided (as in claims/review.py).
    """
    CREATE VIEW pair_facts AS
    SELECT DISTINCT a.incident_id, least(ca.number, cb.number) AS one_case, greatest(ca.number, cb.number) AS other_case
      FROM contact_links l
      JOIN contacts a ON a.id = l.one_id
      JOIN contacts b ON b.id = l.other_id
      JOIN cases ca ON ca.id = a.case_id
      JOIN cases cb ON cb.id = b.case_id
     WHERE a.case_id <> b.case_id
       AND NOT EXISTS (
            SELECT FROM identity_sides x JOIN identity_sides y ON y.decision_id = x.decision_id AND y.side <> x.side
              JOIN identity_decisions d ON d.id = x.decision_id
             WHERE d.undone_at IS NULL AND d.kind <> 'merged'
               AND (x.contact_id = l.one_id OR x.customer_id = ca.customer_id)
               AND (y.contact_id = l.other_id OR y.customer_id = cb.customer_id))
    """,
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: a downgrade would throw away proof.")
