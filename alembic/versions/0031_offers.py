"""Offers that state what must be true first: held until it is, withdrawn when it stops being so.

Owned by: claims.
"""

from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

STATEMENTS = [
    "ALTER TABLE replies DROP CONSTRAINT replies_kind_check",
    """
    ALTER TABLE replies ADD CONSTRAINT replies_kind_check
        CHECK (kind IN ('reply', 'decision', 'appointment', 'closing', 'mass', 'offer'))
    """,
    # On the contact it answers, or on the case nobody wrote in. `at`: when it would happen; `answer_by`: until then the
    # customer may say yes or no. `reply_id`: the message it went out with; so what was never sent is never withdrawn.
    """
    CREATE TABLE offers (
        id bigint GENERATED ALWAYS AS IDENTITY,
        contact_id bigint,
        case_id bigint,
        kind text NOT NULL,
        words text NOT NULL,
        at timestamptz,
        answer_by timestamptz NOT NULL,
        state text NOT NULL DEFAULT 'held',
        made_by text NOT NULL,
        made_at timestamptz NOT NULL DEFAULT now(),
        released_at timestamptz,
        answered_at timestamptz,
        ended_at timestamptz,
        dispatch text,
        CONSTRAINT offers_pkey PRIMARY KEY (id),
        CONSTRAINT offers_contact_id_fkey FOREIGN KEY (contact_id) REFERENCES contacts (id),
        CONSTRAINT offers_case_id_fkey FOREIGN KEY (case_id) REFERENCES cases (id),
        CONSTRAINT offers_anchor_check CHECK ((contact_id IS NULL) <> (case_id IS NULL)),
        CONSTRAINT offers_kind_check CHECK (kind IN ('rebooking', 'technician', 'call_back')),
        CONSTRAINT offers_words_check CHECK (words ~ '[^[:space:]]'),
        CONSTRAINT offers_state_check CHECK (
            state IN ('held', 'released', 'accepted', 'declined', 'withdrawn', 'expired', 'cancelled')),
        CONSTRAINT offers_released_check CHECK (
            CASE state WHEN 'held' THEN released_at IS NULL WHEN 'cancelled' THEN true
                       WHEN 'expired' THEN true ELSE released_at IS NOT NULL END),
        CONSTRAINT offers_answered_check CHECK (state NOT IN ('accepted', 'declined') OR answered_at IS NOT NULL),
        CONSTRAINT offers_ended_check CHECK (
            (state IN ('declined', 'withdrawn', 'expired', 'cancelled')) = (ended_at IS NOT NULL))
    )
    """,
    "CREATE INDEX offers_contact_id_index ON offers (contact_id) WHERE contact_id IS NOT NULL",
    "CREATE INDEX offers_case_id_index ON offers (case_id) WHERE case_id IS NOT NULL",
    "CREATE INDEX offers_alive_index ON offers (state, answer_by) WHERE state IN ('held', 'released', 'accepted')",
    # `component_works`: it, and all it needs, are operational. `party_restored`: the newest thing the party confirmed
    # of the component in the case's incident is its restoration. `party_agreed`: the party agreed to this very offer.
    """
    CREATE TABLE offer_conditions (
        id bigint GENERATED ALWAYS AS IDENTITY,
        offer_id bigint NOT NULL,
        kind text NOT NULL,
        component_key text,
        party_key text,
        agreed_at timestamptz,
        agreed_by text,
        CONSTRAINT offer_conditions_pkey PRIMARY KEY (id),
        CONSTRAINT offer_conditions_offer_id_fkey FOREIGN KEY (offer_id) REFERENCES offers (id),
        CONSTRAINT offer_conditions_component_key_fkey FOREIGN KEY (component_key) REFERENCES components (key),
        CONSTRAINT offer_conditions_party_key_fkey FOREIGN KEY (party_key) REFERENCES parties (key),
        CONSTRAINT offer_conditions_kind_check CHECK (
            CASE kind WHEN 'component_works' THEN component_key IS NOT NULL AND party_key IS NULL
                      WHEN 'party_restored' THEN component_key IS NOT NULL AND party_key IS NOT NULL
                      WHEN 'party_agreed' THEN component_key IS NULL AND party_key IS NOT NULL
                      ELSE false END),
        CONSTRAINT offer_conditions_agreed_check CHECK (
            (agreed_at IS NULL) = (agreed_by IS NULL) AND (agreed_at IS NULL OR kind = 'party_agreed'))
    )
    """,
    "CREATE INDEX offer_conditions_offer_id_index ON offer_conditions (offer_id)",
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: a downgrade would throw away proof.")
