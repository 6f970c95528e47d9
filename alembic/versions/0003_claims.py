"""Contacts, stored verbatim, and the one case per customer and incident they end in.

Owned by: claims.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STATEMENTS = [
    """
    CREATE TABLE cases (
        id bigint GENERATED ALWAYS AS IDENTITY,
        number text GENERATED ALWAYS AS ('C-' || (100000 + id)) STORED NOT NULL,
        incident_id text NOT NULL,
        founder_id bigint NOT NULL,
        customer_id bigint,
        state text NOT NULL DEFAULT 'open',
        merged_into bigint,
        opened_at timestamptz NOT NULL DEFAULT now(),
        closed_at timestamptz,
        CONSTRAINT cases_pkey PRIMARY KEY (id),
        CONSTRAINT cases_number_key UNIQUE (number),
        CONSTRAINT cases_incident_id_fkey FOREIGN KEY (incident_id) REFERENCES incidents (id),
        CONSTRAINT cases_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers (id),
        CONSTRAINT cases_merged_into_fkey FOREIGN KEY (merged_into) REFERENCES cases (id),
        CONSTRAINT cases_state_check CHECK (state IN ('open', 'closed')),
        CONSTRAINT cases_closed_check CHECK ((state = 'closed') = (closed_at IS NOT NULL)),
        CONSTRAINT cases_merged_check CHECK (merged_into <> id)
    )
    """,
    # The promise of the product: one live case per incident and customer, whoever writes at once.
    """
    CREATE UNIQUE INDEX cases_one_live_index ON cases (incident_id, customer_id) WHERE merged_into IS NULL
    """,
    "CREATE INDEX cases_merged_into_index ON cases (merged_into) WHERE merged_into IS NOT NULL",
    """
    CREATE TABLE contacts (
        id bigint GENERATED ALWAYS AS IDENTITY,
        receipt text NOT NULL,
        idempotency_key text,
        fingerprint bytea NOT NULL,
        channel text NOT NULL,
        incident_id text,
        language text NOT NULL,
        raw bytea NOT NULL,
        state text NOT NULL DEFAULT 'received',
        case_id bigint,
        customer_id bigint,
        matched_by text,
        received_at timestamptz NOT NULL DEFAULT now(),
        not_before timestamptz,
        resolved_at timestamptz,
        CONSTRAINT contacts_pkey PRIMARY KEY (id),
        CONSTRAINT contacts_receipt_key UNIQUE (receipt),
        CONSTRAINT contacts_idempotency_key_key UNIQUE (idempotency_key),
        CONSTRAINT contacts_incident_id_fkey FOREIGN KEY (incident_id) REFERENCES incidents (id),
        CONSTRAINT contacts_case_id_fkey FOREIGN KEY (case_id) REFERENCES cases (id),
        CONSTRAINT contacts_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers (id),
        CONSTRAINT contacts_channel_check CHECK (channel IN ('web', 'api', 'mail', 'sms', 'phone', 'post')),
        CONSTRAINT contacts_state_check CHECK (state IN ('received', 'resolved')),
        CONSTRAINT contacts_resolved_check CHECK ((state = 'resolved') = (case_id IS NOT NULL)),
        CONSTRAINT contacts_resolved_at_check CHECK ((state = 'resolved') = (resolved_at IS NOT NULL))
    ) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0)
    """,
    # `not_before`: no incident fits the contact yet, so it is looked at again later and holds up nobody behind it.
    """
    CREATE INDEX contacts_received_index ON contacts (not_before NULLS FIRST, id) WHERE state = 'received'
    """,
    "CREATE INDEX contacts_case_id_index ON contacts (case_id)",
    # The contact a case was opened for. A case number stays with its founder, whatever is joined or taken apart later.
    """
    ALTER TABLE cases ADD CONSTRAINT cases_founder_id_fkey FOREIGN KEY (founder_id) REFERENCES contacts (id)
    """,
    "CREATE INDEX cases_founder_id_index ON cases (founder_id)",
    # What a contact says about who wrote it that the directory does not know, normalised. Contacts that share a value
    # here may be one person. customer_id and surname repeat what the contact says, so that closures read one table.
    """
    CREATE TABLE contact_keys (
        incident_id text NOT NULL,
        kind text NOT NULL,
        value text NOT NULL,
        contact_id bigint NOT NULL,
        customer_id bigint,
        surname text NOT NULL,
        CONSTRAINT contact_keys_pkey PRIMARY KEY (incident_id, kind, value, contact_id),
        CONSTRAINT contact_keys_contact_id_fkey FOREIGN KEY (contact_id) REFERENCES contacts (id),
        CONSTRAINT contact_keys_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers (id)
    )
    """,
    "CREATE INDEX contact_keys_contact_id_index ON contact_keys (contact_id)",
    # Append-only: what was joined, when, by whom and why.
    """
    CREATE TABLE case_journal (
        id bigint GENERATED ALWAYS AS IDENTITY,
        case_id bigint NOT NULL,
        at timestamptz NOT NULL DEFAULT now(),
        actor text NOT NULL,
        event text NOT NULL,
        detail jsonb NOT NULL DEFAULT '{}',
        CONSTRAINT case_journal_pkey PRIMARY KEY (id),
        CONSTRAINT case_journal_case_id_fkey FOREIGN KEY (case_id) REFERENCES cases (id)
    )
    """,
    "CREATE INDEX case_journal_case_id_index ON case_journal (case_id)",
    """
    CREATE VIEW contact_facts AS
    SELECT k.id AS contact_id, k.incident_id, k.channel, k.language, k.state, s.number AS case_number,
           k.matched_by, k.received_at, k.resolved_at
      FROM contacts k
      LEFT JOIN cases s ON s.id = k.case_id
    """,
    """
    CREATE VIEW case_facts AS
    SELECT s.id AS case_id, s.number AS case_number, s.incident_id, c.number AS customer_number, s.state,
           s.opened_at, s.closed_at,
           (SELECT count(*) FROM contacts k WHERE k.case_id = s.id) AS contacts,
           (SELECT count(*) FROM cases m WHERE m.merged_into = s.id) AS cases_merged_in
      FROM cases s
      LEFT JOIN customers c ON c.id = s.customer_id
     WHERE s.merged_into IS NULL
    """,
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: a downgrade would throw away proof.")
