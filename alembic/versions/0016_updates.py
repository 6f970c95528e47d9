"""Who wrote and who approved which text, what a cause rests on, whom an update is for, and texts to start from.

Owned by: incidents.
"""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

STATEMENTS = [
    # revision: counts the edits of a draft. written_by: whoever wrote the text as it stands. cause_evidence: on what
    # cause_stated_by, a party, says so; for the record, not for the public. audience: everyone concerned, or those a
    # change of scope brought in (joined) or let go (left).
    """
    ALTER TABLE updates
        ADD COLUMN revision integer NOT NULL DEFAULT 1,
        ADD COLUMN written_by text,
        ADD COLUMN written_at timestamptz,
        ADD COLUMN cause_stated_by_key text,
        ADD COLUMN cause_evidence text NOT NULL DEFAULT '',
        ADD COLUMN audience text NOT NULL DEFAULT 'everyone'
    """,
    "UPDATE updates SET written_by = created_by, written_at = created_at",
    """
    ALTER TABLE updates
        ALTER COLUMN written_by SET NOT NULL,
        ALTER COLUMN written_at SET NOT NULL,
        DROP CONSTRAINT updates_state_check,
        ADD CONSTRAINT updates_state_check CHECK (state IN ('draft', 'approved', 'published', 'discarded')),
        ADD CONSTRAINT updates_audience_check CHECK (audience IN ('everyone', 'joined', 'left')),
        ADD CONSTRAINT updates_corrects_check CHECK (corrects_id IS NULL OR audience = 'everyone'),
        ADD CONSTRAINT updates_cause_stated_by_key_fkey FOREIGN KEY (cause_stated_by_key) REFERENCES parties (key),
        ADD CONSTRAINT updates_cause_evidence_check CHECK
            (cause_certainty <> 'unknown' OR (cause_evidence = '' AND cause_stated_by_key IS NULL)),
        ADD CONSTRAINT updates_id_revision_written_by_key UNIQUE (id, revision, written_by)
    """,
    # A wrong update is withdrawn once; when its correction is wrong too, that one is corrected.
    """
    CREATE UNIQUE INDEX updates_corrects_id_index ON updates (corrects_id)
     WHERE state = 'published' AND corrects_id IS NOT NULL
    """,
    # An approval is for one revision of one writer's text: while it stands the key it refers to cannot change, so an
    # edit must remove it first. Nobody approves their own text, unless openly, as an emergency, with a reason.
    """
    CREATE TABLE update_approvals (
        update_id text NOT NULL,
        revision integer NOT NULL,
        written_by text NOT NULL,
        approved_by text NOT NULL,
        approved_at timestamptz NOT NULL,
        digest text NOT NULL,
        bypass_reason text,
        CONSTRAINT update_approvals_pkey PRIMARY KEY (update_id, approved_by),
        CONSTRAINT update_approvals_update_id_revision_written_by_fkey
            FOREIGN KEY (update_id, revision, written_by) REFERENCES updates (id, revision, written_by),
        CONSTRAINT update_approvals_other_person_check CHECK (approved_by <> written_by OR bypass_reason IS NOT NULL),
        CONSTRAINT update_approvals_digest_check CHECK (digest ~ '^[0-9a-f]{64}$'),
        CONSTRAINT update_approvals_bypass_reason_check CHECK (bypass_reason ~ '[^[:space:]]')
    )
    """,
    # What was said stands, whoever asks and whatever a later version of the program thinks.
    """
    CREATE FUNCTION what_was_said_stands() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN
        RAISE EXCEPTION 'A published update is never changed; publish a correction.' USING ERRCODE = '23514';
    END $$
    """,
    """
    CREATE TRIGGER updates_stand BEFORE UPDATE OR DELETE ON updates
       FOR EACH ROW WHEN (OLD.state = 'published') EXECUTE FUNCTION what_was_said_stands()
    """,
    # A part of an audience: who speaks one of the languages, relies on one of the components or groups, and needs it
    # within the minutes from now. What is empty does not narrow.
    """
    CREATE TABLE segments (
        key text NOT NULL,
        names jsonb NOT NULL,
        languages text[] NOT NULL DEFAULT '{}',
        components text[] NOT NULL DEFAULT '{}',
        groups text[] NOT NULL DEFAULT '{}',
        from_minutes integer,
        until_minutes integer,
        changed_by text NOT NULL,
        changed_at timestamptz NOT NULL,
        CONSTRAINT segments_pkey PRIMARY KEY (key),
        CONSTRAINT segments_key_check CHECK (key ~ '^[a-z0-9][a-z0-9-]{0,59}$'),
        CONSTRAINT segments_names_check CHECK (jsonb_typeof(names) = 'object' AND names <> '{}'),
        CONSTRAINT segments_minutes_check CHECK (until_minutes > from_minutes)
    )
    """,
    "ALTER TABLE incident_scope DROP CONSTRAINT incident_scope_kind_check",
    """
    ALTER TABLE incident_scope
        ADD CONSTRAINT incident_scope_kind_check CHECK (kind IN ('component', 'group', 'segment'))
    """,
    # Of those who rely on what is affected: only who needs it in this time. Whoever named no time always needs it.
    """
    ALTER TABLE incidents
        ADD COLUMN needed_from timestamptz,
        ADD COLUMN needed_until timestamptz,
        ADD CONSTRAINT incidents_needed_check CHECK (needed_until > needed_from)
    """,
    # The organisation's own texts to start a draft from; one with the key of a shipped text stands in for it.
    """
    CREATE TABLE update_templates (
        key text NOT NULL,
        phase text NOT NULL,
        name text NOT NULL,
        texts jsonb NOT NULL,
        changed_by text NOT NULL,
        changed_at timestamptz NOT NULL,
        CONSTRAINT update_templates_pkey PRIMARY KEY (key),
        CONSTRAINT update_templates_key_check CHECK (key ~ '^[a-z0-9][a-z0-9-]{0,59}$'),
        CONSTRAINT update_templates_name_check CHECK (name ~ '[^[:space:]]'),
        CONSTRAINT update_templates_texts_check CHECK (jsonb_typeof(texts) = 'object' AND texts <> '{}')
    )
    """,
    """
    CREATE OR REPLACE VIEW update_facts AS
    SELECT u.id AS update_id, u.incident_id, u.number, u.phase, u.cause_certainty, u.cause_party_key,
           u.next_update_at, u.corrects_id, u.created_at, u.approved_at, u.published_at, u.audience,
           (SELECT count(*) FROM update_approvals a WHERE a.update_id = u.id AND a.bypass_reason IS NULL) AS approvals,
           CASE WHEN EXISTS (SELECT 1 FROM update_approvals a WHERE a.update_id = u.id AND a.bypass_reason IS NOT NULL)
                THEN 'yes' ELSE 'no' END AS bypassed
      FROM updates u
     WHERE u.state = 'published'
    """,
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: a downgrade would throw away proof.")
