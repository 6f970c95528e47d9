"""Subscribers: people and machines that asked to be told, and what they follow.

Owned by: notify.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

STATEMENTS = [
    # A subscriber is a row of customers, so that outbox, proof and opt-outs serve everybody alike. Told apart, because
    # nobody who merely typed an address into a form may pass for a customer when it is asked whose claim this is.
    """
    ALTER TABLE customers
        ADD COLUMN kind text NOT NULL DEFAULT 'customer',
        ADD CONSTRAINT customers_kind_check CHECK (kind IN ('customer', 'subscriber'))
    """,
    # The channel may have been let in by an earlier revision; a constraint that has it is left as it is.
    """
    DO $$
    DECLARE
        name text;
    BEGIN
        FOREACH name IN ARRAY ARRAY['addresses', 'messages', 'deliveries'] LOOP
            IF NOT EXISTS (SELECT FROM pg_constraint
                            WHERE conrelid = name::regclass AND conname = name || '_channel_check'
                              AND pg_get_constraintdef(oid) LIKE '%webhook%') THEN
                EXECUTE format('ALTER TABLE %1$I DROP CONSTRAINT IF EXISTS %2$I, '
                    'ADD CONSTRAINT %2$I CHECK (channel IN (''mail'', ''sms'', ''webhook''))',
                    name, name || '_channel_check');
            END IF;
        END LOOP;
    END $$
    """,
    # No incident: the whole page. A row here exists only once the owner of the address said yes.
    """
    CREATE TABLE followers (
        customer_id bigint NOT NULL,
        incident_id text,
        created_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT followers_customer_id_incident_id_key UNIQUE NULLS NOT DISTINCT (customer_id, incident_id),
        CONSTRAINT followers_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers (id),
        CONSTRAINT followers_incident_id_fkey FOREIGN KEY (incident_id) REFERENCES incidents (id)
    )
    """,
    "CREATE INDEX followers_incident_id_index ON followers (incident_id)",
    # What was typed into the form. Rows live for two days: an address nobody vouched for is not ours to keep.
    # client: a keyed name of where the request came from, not the address itself. host: of a webhook, or the mail's.
    """
    CREATE TABLE follow_requests (
        id bigint GENERATED ALWAYS AS IDENTITY,
        channel text NOT NULL,
        address text NOT NULL,
        host text NOT NULL,
        language text NOT NULL,
        incident_id text,
        client text NOT NULL,
        customer_id bigint,
        created_at timestamptz NOT NULL,
        handled_at timestamptz,
        asked_at timestamptz,
        confirmed_at timestamptz,
        CONSTRAINT follow_requests_pkey PRIMARY KEY (id),
        CONSTRAINT follow_requests_channel_check CHECK (channel IN ('mail', 'webhook')),
        CONSTRAINT follow_requests_order_check CHECK
            ((asked_at IS NULL OR handled_at IS NOT NULL) AND (confirmed_at IS NULL OR customer_id IS NOT NULL)),
        CONSTRAINT follow_requests_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers (id),
        CONSTRAINT follow_requests_incident_id_fkey FOREIGN KEY (incident_id) REFERENCES incidents (id)
    )
    """,
    "CREATE INDEX follow_requests_new_index ON follow_requests (id) WHERE handled_at IS NULL",
    "CREATE INDEX follow_requests_client_created_at_index ON follow_requests (client, created_at)",
    "CREATE INDEX follow_requests_address_index ON follow_requests (address)",
    "CREATE INDEX follow_requests_host_index ON follow_requests (host, asked_at) WHERE channel = 'webhook'",
    "CREATE INDEX follow_requests_customer_id_index ON follow_requests (customer_id)",
    "CREATE INDEX follow_requests_created_at_index ON follow_requests (created_at)",
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: a downgrade would throw away proof.")
