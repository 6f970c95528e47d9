"""What the desk does with a case: claims, decisions, appeals, answers, appointments, and whose work it is.

Nothing here hangs on the live case. What a customer asked hangs on the contact they asked it in, and moves with it
when cases are joined or taken apart; what we said hangs on the case it was said in, which keeps its founder.

Owned by: claims.
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

STATEMENTS = [
    # A case opened in advance has no contact that founded it, only its customer.
    "ALTER TABLE cases ALTER COLUMN founder_id DROP NOT NULL",
    """
    ALTER TABLE cases
        ADD COLUMN agent text,
        ADD COLUMN assigned_at timestamptz,
        ADD COLUMN version integer NOT NULL DEFAULT 0,
        ADD COLUMN reopened integer NOT NULL DEFAULT 0,
        ADD COLUMN reopened_at timestamptz,
        ADD CONSTRAINT cases_founder_check CHECK (founder_id IS NOT NULL OR customer_id IS NOT NULL),
        ADD CONSTRAINT cases_assigned_check CHECK ((agent IS NULL) = (assigned_at IS NULL)),
        ADD CONSTRAINT cases_reopened_check CHECK ((reopened > 0) = (reopened_at IS NOT NULL))
    """,
    "CREATE INDEX cases_agent_index ON cases (agent) WHERE agent IS NOT NULL",
    # `answer_by`: the clock of the first answer, set as the contact comes in (claims.clocks has the rule; a test holds
    # the two together); none for what no person wrote. `continues_id`: it came in by the link of that contact, or as
    # an answer to what we wrote about it, so both are one person's.
    """
    ALTER TABLE contacts
        ADD COLUMN answer_by timestamptz DEFAULT now() + interval '24 hours',
        ADD COLUMN answered_at timestamptz,
        ADD COLUMN continues_id bigint,
        ADD CONSTRAINT contacts_continues_id_fkey FOREIGN KEY (continues_id) REFERENCES contacts (id),
        ADD CONSTRAINT contacts_continues_check CHECK (continues_id < id)
    """,
    "CREATE INDEX contacts_unanswered_index ON contacts (answer_by) WHERE answered_at IS NULL",
    "CREATE INDEX contacts_continues_id_index ON contacts (continues_id) WHERE continues_id IS NOT NULL",
    # On the contact that asked, or on the case where nobody asked (opened in advance, found out by us).
    """
    CREATE TABLE claims (
        id bigint GENERATED ALWAYS AS IDENTITY,
        contact_id bigint,
        case_id bigint,
        kind text NOT NULL,
        state text NOT NULL DEFAULT 'open',
        made_at timestamptz NOT NULL DEFAULT now(),
        decide_by timestamptz NOT NULL,
        ended_at timestamptz,
        CONSTRAINT claims_pkey PRIMARY KEY (id),
        CONSTRAINT claims_contact_id_fkey FOREIGN KEY (contact_id) REFERENCES contacts (id),
        CONSTRAINT claims_case_id_fkey FOREIGN KEY (case_id) REFERENCES cases (id),
        CONSTRAINT claims_contact_id_kind_key UNIQUE (contact_id, kind),
        CONSTRAINT claims_case_id_kind_key UNIQUE (case_id, kind),
        CONSTRAINT claims_anchor_check CHECK ((contact_id IS NULL) <> (case_id IS NULL)),
        CONSTRAINT claims_kind_check CHECK (kind IN ('refund', 'compensation', 'expenses', 'rebooking', 'information',
                                                     'call_back')),
        CONSTRAINT claims_state_check CHECK (state IN ('open', 'decided', 'withdrawn')),
        CONSTRAINT claims_ended_check CHECK ((state = 'open') = (ended_at IS NULL))
    )
    """,
    "CREATE INDEX claims_open_index ON claims (decide_by) WHERE state = 'open'",
    # A decision is never changed: another one follows it. Whoever is refused anything hears why, in words, and what
    # they can do then; a row that says less cannot be written.
    """
    CREATE TABLE decisions (
        id bigint GENERATED ALWAYS AS IDENTITY,
        claim_id bigint NOT NULL,
        outcome text NOT NULL,
        reason text NOT NULL,
        words text NOT NULL DEFAULT '',
        next_steps text[] NOT NULL DEFAULT '{}',
        appeal_id bigint,
        decided_by text NOT NULL,
        decided_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT decisions_pkey PRIMARY KEY (id),
        CONSTRAINT decisions_claim_id_fkey FOREIGN KEY (claim_id) REFERENCES claims (id),
        CONSTRAINT decisions_outcome_check CHECK (outcome IN ('granted', 'partly', 'rejected')),
        CONSTRAINT decisions_reason_check CHECK (btrim(reason) <> ''),
        CONSTRAINT decisions_explained_check CHECK (
            outcome = 'granted' OR (words ~ '[^[:space:]]' AND cardinality(next_steps) > 0)),
        CONSTRAINT decisions_next_steps_check CHECK (
            next_steps <@ ARRAY['appeal', 'add_information', 'ask_for_a_person', 'dispute_body', 'none_needed']
            AND (outcome = 'granted' OR next_steps <> '{none_needed}'))
    )
    """,
    "CREATE INDEX decisions_claim_id_index ON decisions (claim_id)",
    # One appeal a decision; what is decided on it may be appealed again.
    """
    CREATE TABLE appeals (
        id bigint GENERATED ALWAYS AS IDENTITY,
        decision_id bigint NOT NULL,
        words text NOT NULL,
        state text NOT NULL DEFAULT 'open',
        made_at timestamptz NOT NULL DEFAULT now(),
        decide_by timestamptz NOT NULL,
        ended_at timestamptz,
        CONSTRAINT appeals_pkey PRIMARY KEY (id),
        CONSTRAINT appeals_decision_id_fkey FOREIGN KEY (decision_id) REFERENCES decisions (id),
        CONSTRAINT appeals_decision_id_key UNIQUE (decision_id),
        CONSTRAINT appeals_state_check CHECK (state IN ('open', 'decided', 'withdrawn')),
        CONSTRAINT appeals_ended_check CHECK ((state = 'open') = (ended_at IS NULL))
    )
    """,
    "CREATE INDEX appeals_open_index ON appeals (decide_by) WHERE state = 'open'",
    "ALTER TABLE decisions ADD CONSTRAINT decisions_appeal_id_fkey FOREIGN KEY (appeal_id) REFERENCES appeals (id)",
    "CREATE UNIQUE INDEX decisions_appeal_id_index ON decisions (appeal_id) WHERE appeal_id IS NOT NULL",
    # Who works at the desk, what they speak and know. `name` is what they sign in with; empty lists: whatever comes.
    """
    CREATE TABLE agents (
        name text NOT NULL,
        shown_name text NOT NULL,
        languages text[] NOT NULL DEFAULT '{}',
        skills text[] NOT NULL DEFAULT '{}',
        on_duty boolean NOT NULL DEFAULT true,
        seen_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT agents_pkey PRIMARY KEY (name),
        CONSTRAINT agents_skills_check CHECK (skills <@ ARRAY['refund', 'compensation', 'expenses', 'rebooking',
                                                              'information', 'call_back'])
    )
    """,
    # A person and a time, promised to a customer. `phone`: to be called; without it, they are written to.
    """
    CREATE TABLE appointments (
        id bigint GENERATED ALWAYS AS IDENTITY,
        contact_id bigint NOT NULL,
        agent text,
        at timestamptz NOT NULL,
        phone text,
        wish text NOT NULL DEFAULT '',
        state text NOT NULL DEFAULT 'promised',
        made_at timestamptz NOT NULL DEFAULT now(),
        ended_at timestamptz,
        note text NOT NULL DEFAULT '',
        CONSTRAINT appointments_pkey PRIMARY KEY (id),
        CONSTRAINT appointments_contact_id_fkey FOREIGN KEY (contact_id) REFERENCES contacts (id),
        CONSTRAINT appointments_agent_fkey FOREIGN KEY (agent) REFERENCES agents (name),
        CONSTRAINT appointments_state_check CHECK (state IN ('promised', 'kept', 'not_reached', 'cancelled')),
        CONSTRAINT appointments_ended_check CHECK ((state = 'promised') = (ended_at IS NULL))
    )
    """,
    "CREATE INDEX appointments_contact_id_index ON appointments (contact_id)",
    "CREATE INDEX appointments_promised_index ON appointments (at) WHERE state = 'promised'",
    """
    CREATE TABLE saved_replies (
        id bigint GENERATED ALWAYS AS IDENTITY,
        name text NOT NULL,
        language text NOT NULL,
        kind text,
        words text NOT NULL,
        written_by text NOT NULL,
        written_at timestamptz NOT NULL DEFAULT now(),
        archived_at timestamptz,
        CONSTRAINT saved_replies_pkey PRIMARY KEY (id),
        CONSTRAINT saved_replies_name_language_key UNIQUE (name, language),
        CONSTRAINT saved_replies_words_check CHECK (words ~ '[^[:space:]]' AND btrim(name) <> '')
    )
    """,
    # What we wrote. `contact_ids`: those it answers; whoever holds the link of one of them may read it, while that
    # contact is in the same case. `dispatch`: the key in the outbox, none where no address was to be had.
    """
    CREATE TABLE replies (
        id bigint GENERATED ALWAYS AS IDENTITY,
        case_id bigint NOT NULL,
        contact_ids bigint[] NOT NULL DEFAULT '{}',
        kind text NOT NULL DEFAULT 'reply',
        subject text NOT NULL,
        words text NOT NULL,
        language text NOT NULL,
        written_by text NOT NULL,
        written_at timestamptz NOT NULL DEFAULT now(),
        dispatch text,
        mass_reply_id bigint,
        CONSTRAINT replies_pkey PRIMARY KEY (id),
        CONSTRAINT replies_case_id_fkey FOREIGN KEY (case_id) REFERENCES cases (id),
        CONSTRAINT replies_kind_check CHECK (kind IN ('reply', 'decision', 'appointment', 'closing', 'mass')),
        CONSTRAINT replies_words_check CHECK (words ~ '[^[:space:]]')
    )
    """,
    "CREATE INDEX replies_case_id_index ON replies (case_id)",
    "CREATE INDEX replies_dispatch_index ON replies (dispatch) WHERE dispatch IS NOT NULL",
    # One answer to many cases: each person once, however many cases of theirs it is about.
    """
    CREATE TABLE mass_replies (
        id bigint GENERATED ALWAYS AS IDENTITY,
        key text NOT NULL,
        chosen jsonb NOT NULL,
        written_by text NOT NULL,
        written_at timestamptz NOT NULL DEFAULT now(),
        cases integer NOT NULL DEFAULT 0,
        persons integer NOT NULL DEFAULT 0,
        CONSTRAINT mass_replies_pkey PRIMARY KEY (id),
        CONSTRAINT mass_replies_key_key UNIQUE (key)
    )
    """,
    """
    ALTER TABLE replies
        ADD CONSTRAINT replies_mass_reply_id_fkey FOREIGN KEY (mass_reply_id) REFERENCES mass_replies (id)
    """,
    # Asked once each time a case is closed. `question_id`: the contact that a question in it became.
    """
    CREATE TABLE feedback (
        id bigint GENERATED ALWAYS AS IDENTITY,
        case_id bigint NOT NULL,
        contact_id bigint,
        asked_at timestamptz NOT NULL DEFAULT now(),
        given_at timestamptz,
        score smallint,
        words text NOT NULL DEFAULT '',
        question_id bigint,
        CONSTRAINT feedback_pkey PRIMARY KEY (id),
        CONSTRAINT feedback_case_id_fkey FOREIGN KEY (case_id) REFERENCES cases (id),
        CONSTRAINT feedback_contact_id_fkey FOREIGN KEY (contact_id) REFERENCES contacts (id),
        CONSTRAINT feedback_question_id_fkey FOREIGN KEY (question_id) REFERENCES contacts (id),
        CONSTRAINT feedback_score_check CHECK (score BETWEEN 1 AND 5),
        CONSTRAINT feedback_given_check CHECK ((score IS NOT NULL OR words <> '') = (given_at IS NOT NULL))
    )
    """,
    "CREATE INDEX feedback_case_id_index ON feedback (case_id)",
    # Who has a case open at the desk now. Only a hint; `cases.version` is what keeps two from writing over each other.
    """
    CREATE TABLE presences (
        case_id bigint NOT NULL,
        agent text NOT NULL,
        shown_name text NOT NULL,
        seen_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT presences_pkey PRIMARY KEY (case_id, agent),
        CONSTRAINT presences_case_id_fkey FOREIGN KEY (case_id) REFERENCES cases (id)
    )
    """,
    # How somebody wants to be reached about what they asked: said by the holder of that contact's link.
    """
    CREATE TABLE reaches (
        contact_id bigint NOT NULL,
        channel text NOT NULL,
        address text NOT NULL,
        language text NOT NULL,
        said_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT reaches_pkey PRIMARY KEY (contact_id),
        CONSTRAINT reaches_contact_id_fkey FOREIGN KEY (contact_id) REFERENCES contacts (id),
        CONSTRAINT reaches_channel_check CHECK (channel IN ('mail', 'sms'))
    )
    """,
    # Links that were given up: whoever holds one of an earlier turn holds nothing. No row: the first turn.
    """
    CREATE TABLE link_turns (
        name text NOT NULL,
        turn smallint NOT NULL,
        turned_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT link_turns_pkey PRIMARY KEY (name)
    )
    """,
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: a downgrade would throw away proof.")
