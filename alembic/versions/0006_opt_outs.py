"""Who wants no more news, of one disruption or of all.

Owned by: notify.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

STATEMENTS = [
    # `topic`: that of a dispatch, or `news` for all news. A row that goes away means they want it again; what was not
    # sent meanwhile is told by the deliveries.
    """
    CREATE TABLE opt_outs (
        id bigint GENERATED ALWAYS AS IDENTITY,
        customer_id bigint NOT NULL,
        topic text NOT NULL,
        how text NOT NULL,
        at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT opt_outs_pkey PRIMARY KEY (id),
        CONSTRAINT opt_outs_customer_id_topic_key UNIQUE (customer_id, topic),
        CONSTRAINT opt_outs_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers (id),
        CONSTRAINT opt_outs_how_check CHECK (how IN ('page', 'one_click'))
    )
    """,
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: a downgrade would throw away proof.")
