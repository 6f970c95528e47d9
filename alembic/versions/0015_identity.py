"""Who is whom: what each contact says for comparing, which contacts resemble each other, and what people decided.

Owned by: claims.
"""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

STATEMENTS = [
    # What a contact says about who wrote it, normalised, so that comparing need not read the contact again.
    """
    CREATE TABLE contact_profiles (
        contact_id bigint NOT NULL,
        profile bytea NOT NULL,
        CONSTRAINT contact_profiles_pkey PRIMARY KEY (contact_id),
        CONSTRAINT contact_profiles_contact_id_fkey FOREIGN KEY (contact_id) REFERENCES contacts (id)
    )
    """,
    # Two contacts that resemble each other: enough to join them, or enough to ask a person. Pairs that do neither have
    # no row. Always what comparing them today gives: rows go when a value loses its force.
    """
    CREATE TABLE contact_links (
        one_id bigint NOT NULL,
        other_id bigint NOT NULL,
        weight real NOT NULL,
        outcome text NOT NULL,
        CONSTRAINT contact_links_pkey PRIMARY KEY (one_id, other_id),
        CONSTRAINT contact_links_one_id_fkey FOREIGN KEY (one_id) REFERENCES contacts (id),
        CONSTRAINT contact_links_other_id_fkey FOREIGN KEY (other_id) REFERENCES contacts (id),
        CONSTRAINT contact_links_order_check CHECK (one_id < other_id),
        CONSTRAINT contact_links_outcome_check CHECK (outcome IN ('join', 'review'))
    )
    """,
    "CREATE INDEX contact_links_other_id_index ON contact_links (other_id)",
    "CREATE INDEX contact_links_review_index ON contact_links (one_id, other_id) WHERE outcome = 'review'",
    # What a person decided about who is whom. Never deleted: undone, by somebody, for a reason.
    # merged: both sides are one person. split: each side is one person, and they are two. different: they are two.
    """
    CREATE TABLE identity_decisions (
        id bigint GENERATED ALWAYS AS IDENTITY,
        incident_id text NOT NULL,
        kind text NOT NULL,
        actor text NOT NULL,
        reason text NOT NULL,
        made_at timestamptz NOT NULL DEFAULT now(),
        undone_at timestamptz,
        undone_by text,
        undone_because text,
        CONSTRAINT identity_decisions_pkey PRIMARY KEY (id),
        CONSTRAINT identity_decisions_incident_id_fkey FOREIGN KEY (incident_id) REFERENCES incidents (id),
        CONSTRAINT identity_decisions_kind_check CHECK (kind IN ('merged', 'split', 'different')),
        CONSTRAINT identity_decisions_reason_check CHECK (reason ~ '[^[:space:]]'),
        CONSTRAINT identity_decisions_undone_check CHECK (
            num_nonnulls(undone_at, undone_by, undone_because) IN (0, 3))
    )
    """,
    "CREATE INDEX identity_decisions_incident_id_index ON identity_decisions (incident_id) WHERE undone_at IS NULL",
    # Who stands on either side of a decision: contacts, and customers of the directory.
    """
    CREATE TABLE identity_sides (
        id bigint GENERATED ALWAYS AS IDENTITY,
        decision_id bigint NOT NULL,
        side smallint NOT NULL,
        contact_id bigint,
        customer_id bigint,
        CONSTRAINT identity_sides_pkey PRIMARY KEY (id),
        CONSTRAINT identity_sides_decision_id_fkey FOREIGN KEY (decision_id) REFERENCES identity_decisions (id),
        CONSTRAINT identity_sides_contact_id_fkey FOREIGN KEY (contact_id) REFERENCES contacts (id),
        CONSTRAINT identity_sides_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers (id),
        CONSTRAINT identity_sides_side_check CHECK (side IN (1, 2)),
        CONSTRAINT identity_sides_who_check CHECK (num_nonnulls(contact_id, customer_id) = 1)
    )
    """,
    "CREATE INDEX identity_sides_decision_id_index ON identity_sides (decision_id)",
    "CREATE INDEX identity_sides_contact_id_index ON identity_sides (contact_id) WHERE contact_id IS NOT NULL",
    "CREATE INDEX identity_sides_customer_id_index ON identity_sides (customer_id) WHERE customer_id IS NOT NULL",
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: a downgrade would throw away proof.")
