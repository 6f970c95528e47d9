"""What comes back about deliveries (reports), what it says of addresses, and which delivery a contact answers.

Owned by: notify.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

STATEMENTS = [
    # Every report as it came, and what came of it. `outcome` is empty while it waits: for the delivery to be recorded,
    # or, under `reference`, for the provider's name of it to become known. No foreign key on the delivery, as on
    # deliveries themselves: thousands of receipts a second are written here.
    """
    CREATE TABLE reports (
        id bigint GENERATED ALWAYS AS IDENTITY,
        source text NOT NULL,
        key text NOT NULL,
        raw bytea NOT NULL,
        delivery_id bigint,
        reference text,
        kind text NOT NULL,
        status text,
        text text NOT NULL DEFAULT '',
        received_at timestamptz NOT NULL,
        applied_at timestamptz,
        outcome text,
        CONSTRAINT reports_pkey PRIMARY KEY (id),
        CONSTRAINT reports_source_key_key UNIQUE (source, key),
        CONSTRAINT reports_source_check CHECK (source IN ('mail', 'sms')),
        CONSTRAINT reports_kind_check CHECK (kind IN ('delivered', 'delayed', 'soft_bounce', 'hard_bounce',
            'complaint', 'auto_reply', 'unreadable')),
        CONSTRAINT reports_outcome_check CHECK (outcome IN ('applied', 'no_change', 'no_delivery')),
        CONSTRAINT reports_applied_check CHECK ((applied_at IS NULL) = (outcome IS NULL))
    )
    """,
    "CREATE INDEX reports_delivery_id_index ON reports (delivery_id) WHERE delivery_id IS NOT NULL",
    "CREATE INDEX reports_waiting_index ON reports (id) WHERE applied_at IS NULL",
    # What nobody could place, for people to look at.
    "CREATE INDEX reports_no_delivery_index ON reports (received_at) WHERE outcome = 'no_delivery'",
    # Soft bounces in a row, and since when; a success ends the row.
    """
    ALTER TABLE addresses
        ADD COLUMN soft_bounces smallint NOT NULL DEFAULT 0,
        ADD COLUMN soft_bounces_since timestamptz,
        ADD COLUMN last_bounce_at timestamptz,
        ADD CONSTRAINT addresses_soft_bounces_check CHECK ((soft_bounces > 0) = (soft_bounces_since IS NOT NULL))
    """,
    # Append-only: why an address was given up, and who took it into use again.
    """
    CREATE TABLE address_journal (
        id bigint GENERATED ALWAYS AS IDENTITY,
        address_id bigint NOT NULL,
        at timestamptz NOT NULL DEFAULT now(),
        actor text NOT NULL,
        event text NOT NULL,
        reason text NOT NULL,
        CONSTRAINT address_journal_pkey PRIMARY KEY (id),
        CONSTRAINT address_journal_address_id_fkey FOREIGN KEY (address_id) REFERENCES addresses (id),
        CONSTRAINT address_journal_event_check CHECK (event IN ('suppressed', 'lifted'))
    )
    """,
    "CREATE INDEX address_journal_address_id_index ON address_journal (address_id)",
    # The delivery a contact answers, proven by the signed address it was sent to; and so whose it is. No foreign key,
    # as on reports.
    "ALTER TABLE contacts ADD COLUMN delivery_id bigint",
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: a downgrade would throw away proof.")
