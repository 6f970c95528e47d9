"""The directory (customers, addresses, exposures) and the outbox (dispatches, messages, deliveries).

Owned by: notify.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STATEMENTS = [
    # The keys are how numbers and references are found again, however somebody types them (notify.fold_reference).
    """
    CREATE TABLE customers (
        id bigint GENERATED ALWAYS AS IDENTITY,
        number text NOT NULL,
        number_key text GENERATED ALWAYS AS
            (upper(regexp_replace(normalize(number, NFKC), '[^[:alnum:]]', '', 'g'))) STORED NOT NULL,
        name text NOT NULL,
        name_key text NOT NULL,
        language text NOT NULL,
        time_zone text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT customers_pkey PRIMARY KEY (id),
        CONSTRAINT customers_number_key UNIQUE (number)
    )
    """,
    "CREATE INDEX customers_number_key_index ON customers (number_key)",
    """
    CREATE TABLE addresses (
        id bigint GENERATED ALWAYS AS IDENTITY,
        customer_id bigint NOT NULL,
        channel text NOT NULL,
        value text NOT NULL,
        consent boolean NOT NULL DEFAULT true,
        health text NOT NULL DEFAULT 'usable',
        suppressed_because text,
        created_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT addresses_pkey PRIMARY KEY (id),
        CONSTRAINT addresses_customer_id_channel_value_key UNIQUE (customer_id, channel, value),
        CONSTRAINT addresses_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers (id),
        CONSTRAINT addresses_channel_check CHECK (channel IN ('mail', 'sms')),
        CONSTRAINT addresses_health_check CHECK (health IN ('usable', 'suppressed')),
        CONSTRAINT addresses_suppressed_check CHECK ((health = 'suppressed') = (suppressed_because IS NOT NULL))
    )
    """,
    "CREATE INDEX addresses_channel_value_index ON addresses (channel, value)",
    """
    CREATE TABLE exposures (
        id bigint GENERATED ALWAYS AS IDENTITY,
        customer_id bigint NOT NULL,
        component_key text NOT NULL,
        reference text NOT NULL DEFAULT '',
        reference_key text GENERATED ALWAYS AS
            (upper(regexp_replace(normalize(reference, NFKC), '[^[:alnum:]]', '', 'g'))) STORED NOT NULL,
        needed_at timestamptz,
        CONSTRAINT exposures_pkey PRIMARY KEY (id),
        CONSTRAINT exposures_customer_id_component_key_reference_key UNIQUE (customer_id, component_key, reference),
        CONSTRAINT exposures_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers (id),
        CONSTRAINT exposures_component_key_fkey FOREIGN KEY (component_key) REFERENCES components (key)
    )
    """,
    "CREATE INDEX exposures_component_key_customer_id_index ON exposures (component_key, customer_id)",
    "CREATE INDEX exposures_reference_key_index ON exposures (reference_key) WHERE reference_key <> ''",
    # One act of telling people. Within a topic a higher number is newer news, and supersedes what is unsent.
    """
    CREATE TABLE dispatches (
        id bigint GENERATED ALWAYS AS IDENTITY,
        key text NOT NULL,
        topic text NOT NULL,
        number integer NOT NULL,
        urgency smallint NOT NULL DEFAULT 1,
        not_after timestamptz NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT dispatches_pkey PRIMARY KEY (id),
        CONSTRAINT dispatches_key_key UNIQUE (key),
        CONSTRAINT dispatches_topic_number_key UNIQUE (topic, number)
    )
    """,
    """
    CREATE TABLE messages (
        id bigint GENERATED ALWAYS AS IDENTITY,
        dispatch_id bigint NOT NULL,
        channel text NOT NULL,
        language text NOT NULL,
        subject text NOT NULL,
        body text NOT NULL,
        CONSTRAINT messages_pkey PRIMARY KEY (id),
        CONSTRAINT messages_dispatch_id_channel_language_key UNIQUE (dispatch_id, channel, language),
        CONSTRAINT messages_dispatch_id_fkey FOREIGN KEY (dispatch_id) REFERENCES dispatches (id),
        CONSTRAINT messages_channel_check CHECK (channel IN ('mail', 'sms'))
    )
    """,
    # The row that proves what happened. The delivery key is (dispatch, customer, channel): nobody is planned twice.
    # Rows are made by one INSERT … SELECT out of dispatches, messages, customers and addresses; a foreign key on each
    # of the four would treble its time. The one on the address stays: it keeps the address, and through it the
    # customer, from being deleted under the proof.
    # fillfactor: three updates in the life of a row, none of which should need a new page.
    """
    CREATE TABLE deliveries (
        id bigint GENERATED ALWAYS AS IDENTITY,
        dispatch_id bigint NOT NULL,
        message_id bigint NOT NULL,
        customer_id bigint NOT NULL,
        address_id bigint,
        channel text NOT NULL,
        state text NOT NULL,
        reason text,
        urgency smallint NOT NULL,
        needed_at timestamptz,
        attempt smallint NOT NULL DEFAULT 0,
        doubtful smallint NOT NULL DEFAULT 0,
        overtaken boolean NOT NULL DEFAULT false,
        next_at timestamptz,
        lease_until timestamptz,
        reply_code smallint,
        reply text,
        created_at timestamptz NOT NULL DEFAULT now(),
        final_at timestamptz,
        CONSTRAINT deliveries_pkey PRIMARY KEY (id),
        CONSTRAINT deliveries_dispatch_id_customer_id_channel_key UNIQUE (dispatch_id, customer_id, channel),
        CONSTRAINT deliveries_address_id_fkey FOREIGN KEY (address_id) REFERENCES addresses (id),
        CONSTRAINT deliveries_channel_check CHECK (channel IN ('mail', 'sms')),
        CONSTRAINT deliveries_state_check CHECK (state IN ('planned', 'sending', 'deferred', 'accepted', 'delivered',
            'bounced', 'rejected', 'suppressed', 'superseded', 'expired', 'unknown')),
        CONSTRAINT deliveries_final_check CHECK
            ((final_at IS NULL) = (state IN ('planned', 'sending', 'deferred'))),
        CONSTRAINT deliveries_lease_check CHECK ((lease_until IS NOT NULL) = (state = 'sending')),
        CONSTRAINT deliveries_next_check CHECK ((next_at IS NOT NULL) = (state = 'deferred')),
        CONSTRAINT deliveries_address_check CHECK (address_id IS NOT NULL OR state = 'suppressed')
    ) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0)
    """,
    # The order of this index is the order of claiming: most urgent first, then whoever needs it soonest.
    """
    CREATE INDEX deliveries_planned_index ON deliveries (channel, urgency, needed_at, id) WHERE state = 'planned'
    """,
    "CREATE INDEX deliveries_deferred_index ON deliveries (next_at) WHERE state = 'deferred'",
    "CREATE INDEX deliveries_sending_index ON deliveries (customer_id, channel) WHERE state = 'sending'",
    # LEFT JOIN, though a row is always there: PostgreSQL leaves such a join out when its columns are not asked for.
    """
    CREATE VIEW delivery_facts AS
    SELECT d.id AS delivery_id, substring(p.topic FROM '^incident:(.+)$') AS incident_id, p.key AS dispatch, p.topic,
           p.number AS update_number, c.number AS customer_number, d.channel, m.language, d.state, d.reason,
           d.attempt AS attempts, d.doubtful AS doubtful_attempts, d.reply_code, d.needed_at,
           d.created_at AS planned_at, d.final_at
      FROM deliveries d
      LEFT JOIN dispatches p ON p.id = d.dispatch_id
      LEFT JOIN messages m ON m.id = d.message_id
      LEFT JOIN customers c ON c.id = d.customer_id
    """,
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: a downgrade would throw away proof.")
