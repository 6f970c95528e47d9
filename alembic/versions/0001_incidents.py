"""Parties, components, incidents and the updates said about them.

Owned by: incidents.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = [
    """
    CREATE TABLE parties (
        key text NOT NULL,
        name text NOT NULL,
        kind text NOT NULL,
        CONSTRAINT parties_pkey PRIMARY KEY (key),
        CONSTRAINT parties_kind_check CHECK (kind IN ('ours', 'contractor', 'supplier'))
    )
    """,
    # The public id is derived from the key, so it is the same for ever and on every installation: others build on it.
    """
    CREATE TABLE components (
        key text NOT NULL,
        public_id text GENERATED ALWAYS AS (substr(md5(key), 1, 12)) STORED NOT NULL,
        name text NOT NULL,
        group_name text,
        party_key text,
        status text NOT NULL DEFAULT 'operational',
        position integer NOT NULL DEFAULT 0,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT components_pkey PRIMARY KEY (key),
        CONSTRAINT components_public_id_key UNIQUE (public_id),
        CONSTRAINT components_party_key_fkey FOREIGN KEY (party_key) REFERENCES parties (key),
        CONSTRAINT components_key_check CHECK (length(key) BETWEEN 1 AND 200),
        CONSTRAINT components_status_check CHECK (status IN
            ('operational', 'degraded_performance', 'partial_outage', 'major_outage', 'under_maintenance'))
    )
    """,
    "CREATE INDEX components_group_name_index ON components (group_name)",
    """
    CREATE TABLE component_dependencies (
        component_key text NOT NULL,
        needs_key text NOT NULL,
        CONSTRAINT component_dependencies_pkey PRIMARY KEY (component_key, needs_key),
        CONSTRAINT component_dependencies_component_key_fkey
            FOREIGN KEY (component_key) REFERENCES components (key) ON DELETE CASCADE,
        CONSTRAINT component_dependencies_needs_key_fkey
            FOREIGN KEY (needs_key) REFERENCES components (key) ON DELETE CASCADE,
        CONSTRAINT component_dependencies_itself_check CHECK (component_key <> needs_key)
    )
    """,
    "CREATE INDEX component_dependencies_needs_key_index ON component_dependencies (needs_key)",
    """
    CREATE TABLE incidents (
        id text NOT NULL,
        title jsonb NOT NULL,
        phase text NOT NULL,
        impact text NOT NULL,
        started_at timestamptz NOT NULL,
        aware_at timestamptz NOT NULL,
        monitoring_at timestamptz,
        resolved_at timestamptz,
        created_by text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT incidents_pkey PRIMARY KEY (id),
        CONSTRAINT incidents_id_check CHECK (id ~ '^[a-z0-9]{12}$'),
        CONSTRAINT incidents_title_check CHECK (jsonb_typeof(title) = 'object' AND title <> '{}'),
        CONSTRAINT incidents_phase_check CHECK (phase IN ('investigating', 'identified', 'monitoring', 'resolved')),
        CONSTRAINT incidents_impact_check CHECK (impact IN ('none', 'minor', 'major', 'critical')),
        CONSTRAINT incidents_resolved_check CHECK ((phase = 'resolved') = (resolved_at IS NOT NULL))
    )
    """,
    # What the incident is about: single components or whole groups. What depends on them is found when it is asked.
    """
    CREATE TABLE incident_scope (
        incident_id text NOT NULL,
        kind text NOT NULL,
        key text NOT NULL,
        CONSTRAINT incident_scope_pkey PRIMARY KEY (incident_id, kind, key),
        CONSTRAINT incident_scope_incident_id_fkey FOREIGN KEY (incident_id) REFERENCES incidents (id),
        CONSTRAINT incident_scope_kind_check CHECK (kind IN ('component', 'group'))
    )
    """,
    """
    CREATE TABLE updates (
        id text NOT NULL,
        incident_id text NOT NULL,
        number integer,
        state text NOT NULL DEFAULT 'draft',
        phase text NOT NULL,
        texts jsonb NOT NULL,
        cause_certainty text NOT NULL DEFAULT 'unknown',
        cause_party_key text,
        component_status text,
        impact text,
        next_update_at timestamptz,
        corrects_id text,
        created_by text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        approved_by text,
        approved_at timestamptz,
        published_by text,
        published_at timestamptz,
        CONSTRAINT updates_pkey PRIMARY KEY (id),
        CONSTRAINT updates_incident_id_number_key UNIQUE (incident_id, number),
        CONSTRAINT updates_incident_id_fkey FOREIGN KEY (incident_id) REFERENCES incidents (id),
        CONSTRAINT updates_cause_party_key_fkey FOREIGN KEY (cause_party_key) REFERENCES parties (key),
        CONSTRAINT updates_corrects_id_fkey FOREIGN KEY (corrects_id) REFERENCES updates (id),
        CONSTRAINT updates_id_check CHECK (id ~ '^[a-z0-9]{12}$'),
        CONSTRAINT updates_state_check CHECK (state IN ('draft', 'approved', 'published')),
        CONSTRAINT updates_phase_check CHECK (phase IN ('investigating', 'identified', 'monitoring', 'resolved')),
        CONSTRAINT updates_texts_check CHECK (jsonb_typeof(texts) = 'object' AND texts <> '{}'),
        CONSTRAINT updates_cause_certainty_check CHECK (cause_certainty IN ('unknown', 'suspected', 'confirmed')),
        CONSTRAINT updates_cause_party_check CHECK (cause_certainty <> 'unknown' OR cause_party_key IS NULL),
        CONSTRAINT updates_component_status_check CHECK (component_status IN
            ('operational', 'degraded_performance', 'partial_outage', 'major_outage', 'under_maintenance')),
        CONSTRAINT updates_impact_check CHECK (impact IN ('none', 'minor', 'major', 'critical')),
        CONSTRAINT updates_promise_check CHECK (phase = 'resolved' OR next_update_at IS NOT NULL),
        CONSTRAINT updates_published_check CHECK ((state = 'published') =
            (number IS NOT NULL AND published_at IS NOT NULL AND published_by IS NOT NULL)),
        CONSTRAINT updates_approved_check CHECK (state <> 'approved' OR approved_at IS NOT NULL)
    )
    """,
    # What a published update changed on the page, as the Statuspage v2 contract lists it.
    """
    CREATE TABLE update_components (
        update_id text NOT NULL,
        component_key text NOT NULL,
        old_status text NOT NULL,
        new_status text NOT NULL,
        CONSTRAINT update_components_pkey PRIMARY KEY (update_id, component_key),
        CONSTRAINT update_components_update_id_fkey FOREIGN KEY (update_id) REFERENCES updates (id),
        CONSTRAINT update_components_component_key_fkey FOREIGN KEY (component_key) REFERENCES components (key)
    )
    """,
    """
    CREATE VIEW incident_facts AS
    SELECT i.id AS incident_id, i.title ->> 'en' AS title, i.phase, i.impact, i.started_at, i.aware_at,
           i.monitoring_at, i.resolved_at, i.created_at,
           (SELECT count(*) FROM updates u WHERE u.incident_id = i.id AND u.state = 'published') AS updates_published,
           (SELECT min(u.published_at) FROM updates u WHERE u.incident_id = i.id) AS first_published_at
      FROM incidents i
    """,
    """
    CREATE VIEW update_facts AS
    SELECT u.id AS update_id, u.incident_id, u.number, u.phase, u.cause_certainty, u.cause_party_key,
           u.next_update_at, u.corrects_id, u.created_at, u.approved_at, u.published_at
      FROM updates u
     WHERE u.state = 'published'
    """,
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: a downgrade would throw away proof.")
