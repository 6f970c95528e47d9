"""Files of contacts, the names mail calls itself by, public posts, and who was told that we have their message.

Owned by: claims.
"""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

STATEMENTS = [
    # One row a content. The bytes stand on disk under `name`, before the row does. No scanner: a worker calls it clean.
    """
    CREATE TABLE files (
        id bigint GENERATED ALWAYS AS IDENTITY,
        sha256 bytea NOT NULL,
        name text NOT NULL,
        size integer NOT NULL,
        kind text NOT NULL,
        state text NOT NULL DEFAULT 'waiting',
        verdict text,
        stored_at timestamptz NOT NULL DEFAULT now(),
        scan_after timestamptz,
        scanned_at timestamptz,
        CONSTRAINT files_pkey PRIMARY KEY (id),
        CONSTRAINT files_sha256_key UNIQUE (sha256),
        CONSTRAINT files_name_key UNIQUE (name),
        CONSTRAINT files_state_check CHECK (state IN ('waiting', 'clean', 'refused')),
        CONSTRAINT files_scanned_check CHECK ((state = 'waiting') = (scanned_at IS NULL))
    )
    """,
    "CREATE INDEX files_waiting_index ON files (id) WHERE state = 'waiting'",
    # A file that came with a contact: kept (`file_id`), or set aside because of `why` and still in the mail it came in.
    """
    CREATE TABLE attachments (
        id bigint GENERATED ALWAYS AS IDENTITY,
        contact_id bigint NOT NULL,
        place smallint NOT NULL,
        shown_name text NOT NULL,
        file_id bigint,
        why text,
        CONSTRAINT attachments_pkey PRIMARY KEY (id),
        CONSTRAINT attachments_contact_id_fkey FOREIGN KEY (contact_id) REFERENCES contacts (id),
        CONSTRAINT attachments_contact_id_place_key UNIQUE (contact_id, place),
        CONSTRAINT attachments_file_id_fkey FOREIGN KEY (file_id) REFERENCES files (id),
        CONSTRAINT attachments_kept_check CHECK ((file_id IS NULL) = (why IS NOT NULL))
    )
    """,
    "CREATE INDEX attachments_file_id_index ON attachments (file_id) WHERE file_id IS NOT NULL",
    # `unpacked_at`: the files of a mail were taken out.
    "ALTER TABLE contacts ADD COLUMN unpacked_at timestamptz",
    "CREATE INDEX contacts_packed_index ON contacts (id) WHERE channel = 'mail' AND unpacked_at IS NULL",
    # What mails called themselves (Message-ID) and who sent them: a later one that refers to it continues it, if it is
    # by the same sender.
    """
    CREATE TABLE mail_names (
        name text NOT NULL,
        contact_id bigint NOT NULL,
        sender text NOT NULL,
        CONSTRAINT mail_names_pkey PRIMARY KEY (contact_id),
        CONSTRAINT mail_names_contact_id_fkey FOREIGN KEY (contact_id) REFERENCES contacts (id)
    )
    """,
    "CREATE INDEX mail_names_name_index ON mail_names (name)",
    # A public post is a contact; here stands where it is, and whether it got its answer in public.
    """
    CREATE TABLE posts (
        network text NOT NULL,
        post_id text NOT NULL,
        contact_id bigint NOT NULL,
        author text NOT NULL,
        url text NOT NULL,
        state text NOT NULL DEFAULT 'waiting',
        answer text NOT NULL DEFAULT '',
        ended_at timestamptz,
        ended_by text,
        CONSTRAINT posts_pkey PRIMARY KEY (network, post_id),
        CONSTRAINT posts_contact_id_fkey FOREIGN KEY (contact_id) REFERENCES contacts (id),
        CONSTRAINT posts_contact_id_key UNIQUE (contact_id),
        CONSTRAINT posts_state_check CHECK (state IN ('waiting', 'answered', 'deleted', 'nothing_to_say')),
        CONSTRAINT posts_ended_check CHECK ((state = 'waiting') = (ended_at IS NULL))
    )
    """,
    "CREATE INDEX posts_waiting_index ON posts (contact_id) WHERE state = 'waiting'",
    # Who heard that we have their message. No row: not looked at yet. `address`: where it went; none: nowhere, and why.
    """
    CREATE TABLE acknowledgements (
        contact_id bigint NOT NULL,
        incident_id text,
        kind text NOT NULL,
        why text NOT NULL DEFAULT '',
        channel text,
        address text,
        dispatch text,
        at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT acknowledgements_pkey PRIMARY KEY (contact_id),
        CONSTRAINT acknowledgements_contact_id_fkey FOREIGN KEY (contact_id) REFERENCES contacts (id),
        CONSTRAINT acknowledgements_kind_check CHECK (kind IN ('first', 'again', 'none')),
        CONSTRAINT acknowledgements_sent_check CHECK (
            (kind = 'none') = (address IS NULL) AND (address IS NULL) = (channel IS NULL))
    )
    """,
    # Once an incident and address, whoever writes at once.
    """
    CREATE UNIQUE INDEX acknowledgements_first_index ON acknowledgements (incident_id, channel, address)
     WHERE kind = 'first'
    """,
    "CREATE INDEX acknowledgements_address_index ON acknowledgements (channel, address, at) WHERE address IS NOT NULL",
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: a downgrade would throw away proof.")
