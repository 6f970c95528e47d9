"""What a report of an incident says besides: titles in both languages of the desk, and the limit for the first notice.

Owned by: incidents.
"""

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

STATEMENTS = [
    """
    CREATE OR REPLACE VIEW incident_facts AS
    SELECT i.id AS incident_id, i.title ->> 'en' AS title, i.phase, i.impact, i.started_at, i.aware_at,
           i.monitoring_at, i.resolved_at, i.created_at,
           (SELECT count(*) FROM updates u WHERE u.incident_id = i.id AND u.state = 'published') AS updates_published,
           (SELECT min(u.published_at) FROM updates u WHERE u.incident_id = i.id) AS first_published_at,
           i.kind, i.state, CASE WHEN i.exercise THEN 'yes' ELSE 'no' END AS exercise, i.severity,
           i.title ->> 'nl' AS title_nl, extract(epoch FROM i.notice_limit)::bigint AS notice_limit_seconds
      FROM incidents i
    """,
    """
    CREATE OR REPLACE VIEW update_facts AS
    SELECT u.id AS update_id, u.incident_id, u.number, u.phase, u.cause_certainty, u.cause_party_key,
           u.next_update_at, u.corrects_id, u.created_at, u.approved_at, u.published_at, u.audience,
           (SELECT count(*) FROM update_approvals a WHERE a.update_id = u.id AND a.bypass_reason IS NULL) AS approvals,
           CASE WHEN EXISTS (SELECT 1 FROM update_approvals a WHERE a.update_id = u.id AND a.bypass_reason IS NOT NULL)
                THEN 'yes' ELSE 'no' END AS bypassed,
           u.texts -> 'en' ->> 'title' AS title, u.texts -> 'nl' ->> 'title' AS title_nl
      FROM updates u
     WHERE u.state = 'published'
    """,
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: a downgrade would throw away proof.")
