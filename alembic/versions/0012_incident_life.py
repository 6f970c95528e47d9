"""The whole life of an incident: who leads it, what happened to it, what it promised, planned work, drills and alerts.

Owned by: incidents.
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_PHASES = """
    'investigating', 'identified', 'monitoring', 'resolved', 'postmortem',
    'scheduled', 'in_progress', 'verifying', 'completed', 'cancelled'
"""

STATEMENTS = [
    # Planned work is an incident of its own kind: what it concerns, what is said of it and who is told work alike.
    # state: a draft is what an alert opened and nobody has declared yet; the public never hears of it.
    # severity: how hard we work on it, 1 the worst; impact: how bad it is for customers. impact_set: by hand.
    """
    ALTER TABLE incidents
        ADD COLUMN kind text NOT NULL DEFAULT 'incident',
        ADD COLUMN state text NOT NULL DEFAULT 'declared',
        ADD COLUMN exercise boolean NOT NULL DEFAULT false,
        ADD COLUMN severity smallint,
        ADD COLUMN impact_set text,
        ADD COLUMN notice_limit interval,
        ADD COLUMN reopening boolean NOT NULL DEFAULT false,
        ADD COLUMN scheduled_for timestamptz,
        ADD COLUMN scheduled_until timestamptz,
        ADD COLUMN starts_itself boolean NOT NULL DEFAULT true,
        ADD COLUMN ends_itself boolean NOT NULL DEFAULT true,
        ADD COLUMN tells_by_itself boolean NOT NULL DEFAULT false
    """,
    # Until now an impact was what somebody had set.
    "UPDATE incidents SET impact_set = impact",
    f"""
    ALTER TABLE incidents
        DROP CONSTRAINT incidents_phase_check,
        DROP CONSTRAINT incidents_resolved_check,
        ADD CONSTRAINT incidents_kind_check CHECK (kind IN ('incident', 'maintenance')),
        ADD CONSTRAINT incidents_state_check CHECK (state IN ('draft', 'declared', 'dismissed')),
        ADD CONSTRAINT incidents_phase_check CHECK (phase IN ({_PHASES})),
        ADD CONSTRAINT incidents_phase_of_kind_check CHECK ((kind = 'maintenance') =
            (phase IN ('scheduled', 'in_progress', 'verifying', 'completed', 'cancelled'))),
        ADD CONSTRAINT incidents_resolved_check CHECK
            ((phase IN ('resolved', 'postmortem', 'completed', 'cancelled')) = (resolved_at IS NOT NULL)),
        ADD CONSTRAINT incidents_severity_check CHECK (severity BETWEEN 1 AND 4),
        ADD CONSTRAINT incidents_impact_set_check CHECK (impact_set IN ('none', 'minor', 'major', 'critical')),
        ADD CONSTRAINT incidents_impact_is_set_check CHECK (impact_set IS NULL OR impact_set = impact),
        ADD CONSTRAINT incidents_notice_limit_check CHECK (notice_limit > interval '0'),
        ADD CONSTRAINT incidents_reopening_check CHECK (NOT reopening OR phase IN ('resolved', 'postmortem')),
        ADD CONSTRAINT incidents_scheduled_check CHECK
            ((kind = 'maintenance') = (scheduled_for IS NOT NULL AND scheduled_until IS NOT NULL)),
        ADD CONSTRAINT incidents_scheduled_order_check CHECK (scheduled_until > scheduled_for)
    """,
    """
    CREATE INDEX incidents_scheduled_index ON incidents (scheduled_for, scheduled_until)
     WHERE kind = 'maintenance' AND resolved_at IS NULL
    """,
    f"""
    ALTER TABLE updates
        DROP CONSTRAINT updates_phase_check,
        DROP CONSTRAINT updates_promise_check,
        ADD CONSTRAINT updates_phase_check CHECK (phase IN ({_PHASES}) AND phase <> 'postmortem'),
        ADD CONSTRAINT updates_promise_check CHECK
            (phase NOT IN ('investigating', 'identified', 'monitoring') OR next_update_at IS NOT NULL)
    """,
    # Names of people as they sign in; who they are is for the application to know.
    """
    CREATE TABLE incident_roles (
        incident_id text NOT NULL,
        role text NOT NULL,
        holder text NOT NULL,
        assigned_by text NOT NULL,
        assigned_at timestamptz NOT NULL,
        CONSTRAINT incident_roles_pkey PRIMARY KEY (incident_id, role),
        CONSTRAINT incident_roles_incident_id_fkey FOREIGN KEY (incident_id) REFERENCES incidents (id),
        CONSTRAINT incident_roles_role_check CHECK (role IN ('commander', 'writer'))
    )
    """,
    # What happened to an incident besides what was said of it: that stands in updates. Rows are only ever added.
    """
    CREATE TABLE incident_journal (
        id bigint GENERATED ALWAYS AS IDENTITY,
        incident_id text NOT NULL,
        at timestamptz NOT NULL,
        actor text NOT NULL,
        event text NOT NULL,
        details jsonb NOT NULL DEFAULT '{}',
        CONSTRAINT incident_journal_pkey PRIMARY KEY (id),
        CONSTRAINT incident_journal_incident_id_fkey FOREIGN KEY (incident_id) REFERENCES incidents (id)
    )
    """,
    "CREATE INDEX incident_journal_incident_id_at_index ON incident_journal (incident_id, at)",
    # texts: language -> text. One that was published stands for ever; a better one is the next number.
    """
    CREATE TABLE postmortems (
        id text NOT NULL,
        incident_id text NOT NULL,
        number integer,
        texts jsonb NOT NULL,
        written_by text NOT NULL,
        written_at timestamptz NOT NULL,
        published_by text,
        published_at timestamptz,
        CONSTRAINT postmortems_pkey PRIMARY KEY (id),
        CONSTRAINT postmortems_incident_id_number_key UNIQUE (incident_id, number),
        CONSTRAINT postmortems_incident_id_fkey FOREIGN KEY (incident_id) REFERENCES incidents (id),
        CONSTRAINT postmortems_id_check CHECK (id ~ '^[a-z0-9]{12}$'),
        CONSTRAINT postmortems_published_check CHECK ((number IS NULL) = (published_at IS NULL)
            AND (published_by IS NULL) = (published_at IS NULL))
    )
    """,
    "CREATE UNIQUE INDEX postmortems_draft_index ON postmortems (incident_id) WHERE published_at IS NULL",
    # One for each published update that promises another. Settled once: a missed promise stays missed, also when the
    # update comes after all (followed_at).
    """
    CREATE TABLE promises (
        update_id text NOT NULL,
        incident_id text NOT NULL,
        due_at timestamptz NOT NULL,
        state text NOT NULL DEFAULT 'standing',
        settled_at timestamptz,
        followed_at timestamptz,
        warned_at timestamptz,
        alarmed_at timestamptz,
        CONSTRAINT promises_pkey PRIMARY KEY (update_id),
        CONSTRAINT promises_update_id_fkey FOREIGN KEY (update_id) REFERENCES updates (id),
        CONSTRAINT promises_incident_id_fkey FOREIGN KEY (incident_id) REFERENCES incidents (id),
        CONSTRAINT promises_state_check CHECK (state IN ('standing', 'kept', 'missed')),
        CONSTRAINT promises_settled_check CHECK ((state = 'standing') = (settled_at IS NULL)),
        CONSTRAINT promises_kept_check CHECK (state <> 'kept' OR (followed_at <= due_at AND followed_at IS NOT NULL)),
        CONSTRAINT promises_alarmed_check CHECK (alarmed_at IS NULL OR state = 'missed')
    )
    """,
    "CREATE UNIQUE INDEX promises_standing_index ON promises (incident_id) WHERE state = 'standing'",
    "CREATE INDEX promises_incident_id_index ON promises (incident_id)",
    "CREATE INDEX promises_to_alarm_index ON promises (due_at) WHERE state = 'missed' AND alarmed_at IS NULL",
    """
    INSERT INTO promises (update_id, incident_id, due_at)
    SELECT DISTINCT ON (u.incident_id) u.id, u.incident_id, u.next_update_at
      FROM updates u JOIN incidents i ON i.id = u.incident_id
     WHERE i.resolved_at IS NULL AND u.state = 'published' AND u.next_update_at IS NOT NULL
     ORDER BY u.incident_id, u.number DESC
    """,
    # Party P confirms the cause in, or the restoration of, component K, at time T, on this evidence. Only ever added.
    """
    CREATE TABLE party_confirmations (
        id bigint GENERATED ALWAYS AS IDENTITY,
        incident_id text NOT NULL,
        party_key text NOT NULL,
        component_key text NOT NULL,
        what text NOT NULL,
        confirmed_at timestamptz NOT NULL,
        evidence text NOT NULL,
        noted_by text NOT NULL,
        noted_at timestamptz NOT NULL,
        CONSTRAINT party_confirmations_pkey PRIMARY KEY (id),
        CONSTRAINT party_confirmations_incident_id_fkey FOREIGN KEY (incident_id) REFERENCES incidents (id),
        CONSTRAINT party_confirmations_party_key_fkey FOREIGN KEY (party_key) REFERENCES parties (key),
        CONSTRAINT party_confirmations_component_key_fkey FOREIGN KEY (component_key) REFERENCES components (key),
        CONSTRAINT party_confirmations_what_check CHECK (what IN ('cause', 'restoration'))
    )
    """,
    "CREATE INDEX party_confirmations_incident_id_index ON party_confirmations (incident_id)",
    # Which components a label of an alert means, besides the label that names one outright.
    """
    CREATE TABLE alert_mappings (
        label text NOT NULL,
        value text NOT NULL,
        kind text NOT NULL,
        key text NOT NULL,
        CONSTRAINT alert_mappings_pkey PRIMARY KEY (label, value, kind, key),
        CONSTRAINT alert_mappings_kind_check CHECK (kind IN ('component', 'group'))
    )
    """,
    # group_key: what the source itself holds together; repeats of one lead to the same incident.
    """
    CREATE TABLE alerts (
        id bigint GENERATED ALWAYS AS IDENTITY,
        incident_id text NOT NULL,
        source text NOT NULL,
        fingerprint text NOT NULL,
        group_key text NOT NULL,
        status text NOT NULL,
        labels jsonb NOT NULL,
        annotations jsonb NOT NULL,
        starts_at timestamptz NOT NULL,
        ends_at timestamptz,
        first_seen_at timestamptz NOT NULL,
        last_seen_at timestamptz NOT NULL,
        times integer NOT NULL DEFAULT 1,
        CONSTRAINT alerts_pkey PRIMARY KEY (id),
        CONSTRAINT alerts_incident_id_source_fingerprint_starts_at_key
            UNIQUE (incident_id, source, fingerprint, starts_at),
        CONSTRAINT alerts_incident_id_fkey FOREIGN KEY (incident_id) REFERENCES incidents (id),
        CONSTRAINT alerts_status_check CHECK (status IN ('firing', 'resolved'))
    )
    """,
    "CREATE INDEX alerts_source_fingerprint_index ON alerts (source, fingerprint)",
    "CREATE INDEX alerts_source_group_key_index ON alerts (source, group_key)",
    # Signatures of alerts that came in lately: the same one again says nothing new.
    """
    CREATE TABLE alert_signatures (
        signature bytea NOT NULL,
        at timestamptz NOT NULL,
        CONSTRAINT alert_signatures_pkey PRIMARY KEY (signature)
    )
    """,
    "CREATE INDEX alert_signatures_at_index ON alert_signatures (at)",
    """
    CREATE OR REPLACE VIEW incident_facts AS
    SELECT i.id AS incident_id, i.title ->> 'en' AS title, i.phase, i.impact, i.started_at, i.aware_at,
           i.monitoring_at, i.resolved_at, i.created_at,
           (SELECT count(*) FROM updates u WHERE u.incident_id = i.id AND u.state = 'published') AS updates_published,
           (SELECT min(u.published_at) FROM updates u WHERE u.incident_id = i.id) AS first_published_at,
           i.kind, i.state, CASE WHEN i.exercise THEN 'yes' ELSE 'no' END AS exercise, i.severity
      FROM incidents i
    """,
    """
    CREATE VIEW promise_facts AS
    SELECT p.update_id, p.incident_id, p.state, p.due_at, p.settled_at, p.followed_at, p.warned_at, p.alarmed_at,
           CASE WHEN i.exercise THEN 'yes' ELSE 'no' END AS exercise
      FROM promises p JOIN incidents i ON i.id = p.incident_id
    """,
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: a downgrade would throw away proof.")
