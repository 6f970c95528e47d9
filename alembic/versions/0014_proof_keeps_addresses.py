"""Deliveries without a foreign key to the address: addresses cannot be deleted at all.

Owned by: notify.
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

STATEMENTS = [
    # Its check was a quarter of what planning costs (3 of 13 µs a delivery), and it was there for one thing: that no
    # address is deleted under the proof of what was sent to it. Nothing deletes addresses; what is no longer to be used
    # is suppressed. So that is the rule, said where it cannot be forgotten. Through the address's own foreign key it
    # keeps the customer too.
    "ALTER TABLE deliveries DROP CONSTRAINT deliveries_address_id_fkey",
    """
    CREATE FUNCTION addresses_stay() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'addresses are not deleted: they prove where messages went. Suppress it, or blank its value.'
            USING ERRCODE = 'restrict_violation';
    END
    $$
    """,
    "CREATE TRIGGER addresses_stay BEFORE DELETE ON addresses FOR EACH ROW EXECUTE FUNCTION addresses_stay()",
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: a downgrade would throw away proof.")
