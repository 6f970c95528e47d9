"""What people are entitled to by law, and what was paid: nobody is entitled or paid twice for the same thing.

Owned by: claims.
"""

from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

STATEMENTS = [
    # What is known of a component in an incident that the rules ask: how late the flight was, how long the power away.
    """
    CREATE TABLE circumstances (
        incident_id text NOT NULL,
        component_key text NOT NULL,
        facts jsonb NOT NULL,
        noted_by text NOT NULL,
        noted_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT circumstances_pkey PRIMARY KEY (incident_id, component_key),
        CONSTRAINT circumstances_incident_id_fkey FOREIGN KEY (incident_id) REFERENCES incidents (id)
    )
    """,
    # It hangs on the contact that asked (or on the case nobody wrote in) and moves with it. Never changed: what was
    # wrong is made void and worked out again. `minor`: cents; `since`: the version of the rules; `passenger_key`: who
    # of the booking, empty where a connection is paid for and not a person.
    """
    CREATE TABLE entitlements (
        id bigint GENERATED ALWAYS AS IDENTITY,
        contact_id bigint,
        case_id bigint,
        incident_id text NOT NULL,
        scheme text NOT NULL,
        since date NOT NULL,
        kind text NOT NULL,
        pays text NOT NULL,
        component_key text NOT NULL,
        reference text NOT NULL,
        reference_key text NOT NULL,
        passenger text NOT NULL,
        passenger_key text NOT NULL,
        facts jsonb NOT NULL,
        working jsonb NOT NULL,
        currency text NOT NULL,
        minor bigint NOT NULL,
        state text NOT NULL DEFAULT 'granted',
        made_by text NOT NULL,
        made_at timestamptz NOT NULL DEFAULT now(),
        void_because text NOT NULL DEFAULT '',
        account_name text NOT NULL DEFAULT '',
        iban text NOT NULL DEFAULT '',
        account_by text,
        CONSTRAINT entitlements_pkey PRIMARY KEY (id),
        CONSTRAINT entitlements_contact_id_fkey FOREIGN KEY (contact_id) REFERENCES contacts (id),
        CONSTRAINT entitlements_case_id_fkey FOREIGN KEY (case_id) REFERENCES cases (id),
        CONSTRAINT entitlements_incident_id_fkey FOREIGN KEY (incident_id) REFERENCES incidents (id),
        CONSTRAINT entitlements_anchor_check CHECK ((contact_id IS NULL) <> (case_id IS NULL)),
        CONSTRAINT entitlements_minor_check CHECK (minor > 0),
        CONSTRAINT entitlements_currency_check CHECK (currency ~ '^[A-Z]{3}$'),
        CONSTRAINT entitlements_unit_check CHECK (reference_key <> ''),
        CONSTRAINT entitlements_pays_check CHECK (pays IN ('account', 'original', 'bill')),
        CONSTRAINT entitlements_state_check CHECK (state IN ('granted', 'void')),
        CONSTRAINT entitlements_void_check CHECK ((state = 'void') = (void_because <> '')),
        CONSTRAINT entitlements_account_check CHECK ((iban = '') = (account_by IS NULL)),
        -- What a payment refers to, so that it can be of nothing else and no other amount.
        CONSTRAINT entitlements_amount_key UNIQUE (id, minor, currency)
    )
    """,
    # Nobody is entitled twice for one booking, in whatever case and over whatever channel it is asked.
    """
    CREATE UNIQUE INDEX entitlements_once_index
        ON entitlements (incident_id, scheme, component_key, reference_key, passenger_key) WHERE state = 'granted'
    """,
    "CREATE INDEX entitlements_contact_id_index ON entitlements (contact_id) WHERE contact_id IS NOT NULL",
    "CREATE INDEX entitlements_case_id_index ON entitlements (case_id) WHERE case_id IS NOT NULL",
    # A run is made by one person and let go by another.
    """
    CREATE TABLE payment_runs (
        id bigint GENERATED ALWAYS AS IDENTITY,
        incident_id text NOT NULL,
        pays text NOT NULL,
        currency text NOT NULL,
        state text NOT NULL DEFAULT 'prepared',
        payments integer NOT NULL,
        minor bigint NOT NULL,
        made_by text NOT NULL,
        made_at timestamptz NOT NULL DEFAULT now(),
        approved_by text,
        approved_at timestamptz,
        ended_by text,
        ended_at timestamptz,
        CONSTRAINT payment_runs_pkey PRIMARY KEY (id),
        CONSTRAINT payment_runs_incident_id_fkey FOREIGN KEY (incident_id) REFERENCES incidents (id),
        CONSTRAINT payment_runs_state_check CHECK (state IN ('prepared', 'approved', 'paid', 'cancelled')),
        CONSTRAINT payment_runs_four_eyes_check CHECK (approved_by <> made_by),
        CONSTRAINT payment_runs_approved_check CHECK (
            (approved_by IS NULL) = (approved_at IS NULL)
            AND (state NOT IN ('approved', 'paid') OR approved_by IS NOT NULL)),
        CONSTRAINT payment_runs_ended_check CHECK ((state IN ('paid', 'cancelled')) = (ended_at IS NOT NULL)),
        CONSTRAINT payment_runs_minor_check CHECK (payments > 0 AND minor > 0)
    )
    """,
    # `returned`: it came back or was called off, and may be paid again; everything else counts as paid.
    """
    CREATE TABLE payments (
        id bigint GENERATED ALWAYS AS IDENTITY,
        run_id bigint NOT NULL,
        entitlement_id bigint NOT NULL,
        minor bigint NOT NULL,
        currency text NOT NULL,
        payee text NOT NULL,
        iban text NOT NULL DEFAULT '',
        reference text NOT NULL,
        state text NOT NULL DEFAULT 'planned',
        paid_at timestamptz,
        returned_at timestamptz,
        returned_because text NOT NULL DEFAULT '',
        CONSTRAINT payments_pkey PRIMARY KEY (id),
        CONSTRAINT payments_run_id_fkey FOREIGN KEY (run_id) REFERENCES payment_runs (id),
        CONSTRAINT payments_entitlement_fkey FOREIGN KEY (entitlement_id, minor, currency)
            REFERENCES entitlements (id, minor, currency),
        CONSTRAINT payments_state_check CHECK (state IN ('planned', 'paid', 'returned')),
        CONSTRAINT payments_paid_check CHECK (state <> 'paid' OR paid_at IS NOT NULL),
        CONSTRAINT payments_returned_check CHECK ((state = 'returned') = (returned_at IS NOT NULL))
    )
    """,
    "CREATE UNIQUE INDEX payments_once_index ON payments (entitlement_id) WHERE state <> 'returned'",
    "CREATE INDEX payments_run_id_index ON payments (run_id)",
    """
    CREATE VIEW payment_facts AS
    SELECT e.id AS entitlement_id, e.incident_id, s.number AS case_number, c.number AS customer_number, e.scheme,
           e.kind, e.pays, CASE WHEN e.state = 'void' THEN 'void' ELSE coalesce(p.state, 'granted') END AS state,
           e.currency,
           CASE WHEN e.state = 'void' THEN 0 ELSE e.minor END AS entitled_minor,
           CASE WHEN p.state = 'paid' THEN p.minor ELSE 0 END AS paid_minor, e.made_at AS computed_at, p.paid_at
      FROM entitlements e
      LEFT JOIN contacts t ON t.id = e.contact_id
      LEFT JOIN cases o ON o.id = coalesce(e.case_id, t.case_id)
      LEFT JOIN cases s ON s.id = coalesce(o.merged_into, o.id)
      LEFT JOIN customers c ON c.id = s.customer_id
      LEFT JOIN payments p ON p.entitlement_id = e.id AND p.state <> 'returned'
    """,
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: a downgrade would throw away proof.")
