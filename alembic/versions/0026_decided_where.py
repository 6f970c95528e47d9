"""In which case a claim was decided: whoever is taken out of it was not decided on, and waits for a decision still.

Owned by: claims.
"""

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

STATEMENTS = [
    "ALTER TABLE decisions ADD COLUMN case_id bigint",
    """
    UPDATE decisions d SET case_id = coalesce(k.case_id, l.case_id)
      FROM claims l LEFT JOIN contacts k ON k.id = l.contact_id WHERE l.id = d.claim_id
    """,
    """
    ALTER TABLE decisions
        ALTER COLUMN case_id SET NOT NULL,
        ADD CONSTRAINT decisions_case_id_fkey FOREIGN KEY (case_id) REFERENCES cases (id)
    """,
    # Which answers were to a contact that is in another case now.
    "CREATE INDEX replies_contact_ids_index ON replies USING gin (contact_ids)",
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: a downgrade would throw away proof.")
