"""The outbox in batches: what waits stands in a narrow table, so a delivery is written when planned and when recorded.

Owned by: notify.

Before, a delivery's state was part of three partial indexes, and each of its three writes had to touch all of them. Now
the queue is a row for every two dozen deliveries, which a worker leases as a whole; decision 0018 has the figures.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

CHANNELS = "('mail', 'sms', 'webhook')"

STATEMENTS = [
    "DROP VIEW delivery_facts",
    *(
        f"ALTER TABLE {table} DROP CONSTRAINT {table}_channel_check, "
        f"ADD CONSTRAINT {table}_channel_check CHECK (channel IN {CHANNELS})"
        for table in ("addresses", "messages", "deliveries")
    ),
    # `corrects_id`: the dispatch this one takes back. `fallback_after`: how long mail may take before text is tried.
    """
    ALTER TABLE dispatches
        ADD COLUMN status text NOT NULL DEFAULT 'running',
        ADD COLUMN corrects_id bigint,
        ADD COLUMN fallback_after interval,
        ADD CONSTRAINT dispatches_status_check CHECK (status IN ('running', 'paused', 'cancelled')),
        ADD CONSTRAINT dispatches_corrects_id_fkey FOREIGN KEY (corrects_id) REFERENCES dispatches (id)
    """,
    """
    ALTER TABLE customers
        ADD COLUMN prefers text,
        ADD CONSTRAINT customers_prefers_check CHECK (prefers IN ('mail', 'sms'))
    """,
    # Colleagues who are told first, whoever is concerned, so that a mistake is seen before it has reached everybody.
    """
    CREATE TABLE seeds (
        customer_id bigint NOT NULL,
        CONSTRAINT seeds_pkey PRIMARY KEY (customer_id),
        CONSTRAINT seeds_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers (id)
    )
    """,
    # Every delivery that has not ended is in exactly one batch. A batch with a lease is being sent; its id is the fence
    # of its results: a lease that ends gives its deliveries to new batches, so nobody else ever records under it.
    # waits: NULL is ready, 'time' until due_at, 'order' until the deliveries of `behind` have ended, 'held' until
    # somebody releases it, 'paused' until somebody resumes. domain: only at the pace of that domain.
    """
    CREATE TABLE batches (
        id bigint GENERATED ALWAYS AS IDENTITY,
        dispatch_id bigint NOT NULL,
        channel text NOT NULL,
        urgency smallint NOT NULL,
        needed_at timestamptz,
        delivery_ids bigint[] NOT NULL,
        domain text,
        waits text,
        due_at timestamptz,
        behind bigint[],
        lease_until timestamptz,
        looked_for_fallback boolean NOT NULL DEFAULT false,
        created_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT batches_pkey PRIMARY KEY (id),
        CONSTRAINT batches_delivery_ids_check CHECK (cardinality(delivery_ids) > 0),
        CONSTRAINT batches_waits_check CHECK (waits IN ('time', 'order', 'held', 'paused')),
        CONSTRAINT batches_due_check CHECK ((waits IS NOT DISTINCT FROM 'time') = (due_at IS NOT NULL)),
        CONSTRAINT batches_behind_check CHECK ((waits IS NOT DISTINCT FROM 'order') = (behind IS NOT NULL)),
        CONSTRAINT batches_lease_check CHECK (lease_until IS NULL OR waits IS NULL)
    ) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_cost_delay = 0)
    """,
    # The order of this index is the order of claiming: most urgent first, then whoever needs it soonest.
    """
    CREATE INDEX batches_ready_index ON batches (channel, urgency, needed_at, id)
     WHERE lease_until IS NULL AND waits IS NULL AND domain IS NULL
    """,
    """
    CREATE INDEX batches_domain_index ON batches (channel, domain, urgency, needed_at, id)
     WHERE domain IS NOT NULL
    """,
    "CREATE INDEX batches_lease_until_index ON batches (lease_until) WHERE lease_until IS NOT NULL",
    "CREATE INDEX batches_waits_index ON batches (waits, due_at) WHERE waits IS NOT NULL",
    "CREATE INDEX batches_dispatch_id_index ON batches (dispatch_id)",
    # How fast a destination lets us, where that was learned or set: a token bucket that all workers share.
    # ceiling_*: set by people, never exceeded. stopped_until: the brake.
    """
    CREATE TABLE paces (
        channel text NOT NULL,
        domain text NOT NULL,
        rate double precision NOT NULL,
        concurrency integer NOT NULL,
        ceiling_rate double precision,
        ceiling_concurrency integer,
        tokens double precision NOT NULL DEFAULT 1,
        counted_at timestamptz NOT NULL DEFAULT now(),
        throttled_at timestamptz,
        eased_at timestamptz NOT NULL DEFAULT now(),
        stopped_until timestamptz,
        reason text,
        CONSTRAINT paces_pkey PRIMARY KEY (channel, domain),
        CONSTRAINT paces_rate_check CHECK (rate > 0),
        CONSTRAINT paces_concurrency_check CHECK (concurrency > 0)
    )
    """,
    # What came of a try that did not end its delivery. The last try stands in the delivery itself.
    """
    CREATE TABLE delivery_attempts (
        delivery_id bigint NOT NULL,
        attempt smallint NOT NULL,
        at timestamptz NOT NULL DEFAULT now(),
        reason text,
        reply_code smallint,
        reply text,
        CONSTRAINT delivery_attempts_pkey PRIMARY KEY (delivery_id, attempt)
    )
    """,
    # Whoever ran the version before had it out when it stopped: it may have been sent.
    "UPDATE deliveries SET state = 'planned', doubtful = doubtful + 1, lease_until = NULL WHERE state = 'sending'",
    """
    INSERT INTO batches (dispatch_id, channel, urgency, needed_at, delivery_ids, waits, due_at)
    SELECT dispatch_id, channel, urgency, needed_at, ARRAY[id],
           CASE state WHEN 'deferred' THEN 'time' END, CASE state WHEN 'deferred' THEN next_at END
      FROM deliveries
     WHERE state IN ('planned', 'deferred')
    """,
    "DROP INDEX deliveries_planned_index, deliveries_deferred_index, deliveries_sending_index",
    # Dropping the columns drops their CHECKs. instead_of: the delivery this one stands in for.
    """
    ALTER TABLE deliveries
        DROP COLUMN lease_until,
        DROP COLUMN next_at,
        DROP CONSTRAINT deliveries_state_check,
        DROP CONSTRAINT deliveries_final_check,
        ADD COLUMN instead_of bigint,
        ADD CONSTRAINT deliveries_state_check CHECK (state IN ('planned', 'deferred', 'accepted', 'delivered',
            'bounced', 'rejected', 'suppressed', 'superseded', 'expired', 'unknown')),
        ADD CONSTRAINT deliveries_final_check CHECK ((final_at IS NULL) = (state IN ('planned', 'deferred')))
    """,
    # Two writes in the life of a row, the second in place: nothing for vacuum to hurry after.
    """
    ALTER TABLE deliveries SET (fillfactor = 40, autovacuum_vacuum_scale_factor = 0.5,
        autovacuum_analyze_scale_factor = 0.5, autovacuum_vacuum_cost_delay = 1)
    """,
    # LEFT JOIN, though a row is always there: PostgreSQL leaves such a join out when its columns are not asked for.
    """
    CREATE VIEW delivery_facts AS
    SELECT d.id AS delivery_id, substring(p.topic FROM '^incident:(.+)$') AS incident_id, p.key AS dispatch, p.topic,
           p.number AS update_number, c.number AS customer_number, d.channel, m.language,
           CASE WHEN o.delivery_id IS NOT NULL AND d.final_at IS NULL THEN 'sending' ELSE d.state END AS state,
           d.reason, d.attempt AS attempts, d.doubtful AS doubtful_attempts, d.reply_code, d.needed_at,
           d.created_at AS planned_at, d.final_at, d.instead_of
      FROM deliveries d
      LEFT JOIN (SELECT unnest(delivery_ids) AS delivery_id FROM batches WHERE lease_until IS NOT NULL) o
        ON o.delivery_id = d.id
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
