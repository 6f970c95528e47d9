"""SMS: what it has cost, the names centres gave to parts of messages, and what came in.

Owned by: notify.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

STATEMENTS = [
    # What texts on a topic have cost or are about to, in millionths of the currency's unit. The cap is a setting, not a
    # column: raising it takes effect at once. refused_at_cap: the cap at which something no longer fitted; until that
    # is raised nothing more goes out, also what would still have fitted, so that it does not depend on the order.
    """
    CREATE TABLE sms_spend (
        topic text NOT NULL,
        currency text NOT NULL,
        segments bigint NOT NULL DEFAULT 0,
        spent bigint NOT NULL DEFAULT 0,
        refused_at_cap bigint,
        CONSTRAINT sms_spend_pkey PRIMARY KEY (topic, currency),
        CONSTRAINT sms_spend_check CHECK (segments >= 0 AND spent >= 0)
    ) WITH (fillfactor = 50)
    """,
    # What the centre calls each part of an accepted message; its receipts use that name and no other. No foreign key,
    # as on deliveries: thousands a second are written here.
    """
    CREATE TABLE sms_parts (
        delivery_id bigint NOT NULL,
        part smallint NOT NULL,
        parts smallint NOT NULL,
        message_ref text NOT NULL,
        state text NOT NULL DEFAULT 'accepted',
        CONSTRAINT sms_parts_pkey PRIMARY KEY (delivery_id, part),
        CONSTRAINT sms_parts_part_check CHECK (part BETWEEN 1 AND parts),
        CONSTRAINT sms_parts_state_check CHECK
            (state IN ('accepted', 'delayed', 'delivered', 'soft_bounce', 'hard_bounce'))
    ) WITH (fillfactor = 80)
    """,
    "CREATE INDEX sms_parts_message_ref_index ON sms_parts (message_ref)",
    # The waiting room of receipts: each stays until the part it is about is known, an hour at most, and then becomes a
    # report. key: the same when a centre says the same again.
    """
    CREATE TABLE sms_receipts (
        id bigint GENERATED ALWAYS AS IDENTITY,
        key text NOT NULL,
        message_ref text,
        kind text NOT NULL,
        status text,
        text text NOT NULL,
        raw bytea NOT NULL,
        received_at timestamptz NOT NULL,
        CONSTRAINT sms_receipts_pkey PRIMARY KEY (id),
        CONSTRAINT sms_receipts_key_key UNIQUE (key),
        CONSTRAINT sms_receipts_kind_check CHECK
            (kind IN ('delivered', 'delayed', 'soft_bounce', 'hard_bounce', 'unreadable'))
    )
    """,
    # Incoming texts, joined. meant: what we take it for. state: a contact waits until claims has it on disk.
    """
    CREATE TABLE sms_texts (
        id bigint GENERATED ALWAYS AS IDENTITY,
        centre text NOT NULL,
        sender text NOT NULL,
        recipient text NOT NULL,
        text text NOT NULL,
        complete boolean NOT NULL,
        meant text NOT NULL,
        language text NOT NULL,
        state text NOT NULL DEFAULT 'waiting',
        received_at timestamptz NOT NULL,
        CONSTRAINT sms_texts_pkey PRIMARY KEY (id),
        CONSTRAINT sms_texts_meant_check CHECK (meant IN ('stop', 'start', 'contact')),
        CONSTRAINT sms_texts_state_check CHECK (state IN ('waiting', 'done'))
    )
    """,
    "CREATE INDEX sms_texts_waiting_index ON sms_texts (id) WHERE state = 'waiting'",
    # The segments of incoming texts as they came, kept; the parts of one text may come over different binds.
    """
    CREATE TABLE sms_segments_in (
        id bigint GENERATED ALWAYS AS IDENTITY,
        centre text NOT NULL,
        sender text NOT NULL,
        recipient text NOT NULL,
        data_coding smallint NOT NULL,
        content bytea NOT NULL,
        reference integer,
        part smallint NOT NULL DEFAULT 1,
        parts smallint NOT NULL DEFAULT 1,
        text_id bigint,
        received_at timestamptz NOT NULL,
        CONSTRAINT sms_segments_in_pkey PRIMARY KEY (id),
        CONSTRAINT sms_segments_in_text_id_fkey FOREIGN KEY (text_id) REFERENCES sms_texts (id),
        CONSTRAINT sms_segments_in_part_check CHECK (part BETWEEN 1 AND parts)
    )
    """,
    "CREATE INDEX sms_segments_in_waiting_index ON sms_segments_in (id) WHERE text_id IS NULL",
    # The one answer to a STOP or START. It goes round the outbox: consent is just what was withdrawn.
    """
    CREATE TABLE sms_replies (
        id bigint GENERATED ALWAYS AS IDENTITY,
        text_id bigint NOT NULL,
        language text NOT NULL,
        text text NOT NULL,
        state text NOT NULL DEFAULT 'planned',
        reason text,
        at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT sms_replies_pkey PRIMARY KEY (id),
        CONSTRAINT sms_replies_text_id_key UNIQUE (text_id),
        CONSTRAINT sms_replies_text_id_fkey FOREIGN KEY (text_id) REFERENCES sms_texts (id),
        CONSTRAINT sms_replies_state_check CHECK (state IN ('planned', 'sending', 'sent', 'refused', 'unknown'))
    )
    """,
    "CREATE INDEX sms_replies_open_index ON sms_replies (id) WHERE state IN ('planned', 'sending')",
    # Append-only: who said yes or no to an address of theirs, when and how. The number stands here too, because it may
    # be imported only later, or belong to several customers.
    """
    CREATE TABLE consent_journal (
        id bigint GENERATED ALWAYS AS IDENTITY,
        channel text NOT NULL,
        value text NOT NULL,
        consent boolean NOT NULL,
        how text NOT NULL,
        text_id bigint,
        at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT consent_journal_pkey PRIMARY KEY (id),
        CONSTRAINT consent_journal_text_id_fkey FOREIGN KEY (text_id) REFERENCES sms_texts (id)
    )
    """,
    "CREATE INDEX consent_journal_channel_value_id_index ON consent_journal (channel, value, id)",
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: a downgrade would throw away proof.")
