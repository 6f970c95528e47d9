"""What analysts ask besides: which components an incident affects.

Owned by: incidents.
"""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

STATEMENTS = [
    # By name, by group, or because something they need is (`incidents/audience.py` says the same for one incident).
    """
    CREATE VIEW affected_facts AS
    WITH RECURSIVE named (incident_id, key) AS (
        SELECT s.incident_id, c.key FROM incident_scope s JOIN components c
            ON (s.kind = 'component' AND c.key = s.key) OR (s.kind = 'group' AND c.group_name = s.key)
    ), affected (incident_id, key) AS (
        SELECT incident_id, key FROM named
         UNION
        SELECT a.incident_id, d.component_key FROM component_dependencies d JOIN affected a ON d.needs_key = a.key
    )
    SELECT a.incident_id, a.key AS component_key, c.name AS component_name, c.group_name AS component_group,
           c.party_key,
           CASE WHEN EXISTS (SELECT 1 FROM named n WHERE n.incident_id = a.incident_id AND n.key = a.key)
                THEN 'yes' ELSE 'no' END AS named
      FROM affected a JOIN components c ON c.key = a.key
    """,
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: a downgrade would throw away proof.")
