"""Runs the migrations politely: one at a time (advisory lock), and never waiting long for somebody's table lock."""

import asyncio

from alembic import context
from sqlalchemy import Connection, text

import app.tables
import claims.tables
import incidents.tables
import notify.tables
from foundation.database import Database, metadata

__all__ = ["app", "claims", "incidents", "notify"]  # imported for the tables they declare

# Any constant will do, so long as nothing else in this database uses it.
_MIGRATION_LOCK = 0x53544F524D

# Analysts' tools read the facts, but not who somebody is: who needs that exports it, which is recorded.
_FACTS_FOR_ANALYSTS = r"""
DO $$
DECLARE
    facts record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'stormdesk_analyst') THEN
        RETURN;
    END IF;
    FOR facts IN
        SELECT c.table_name, string_agg(quote_ident(c.column_name), ', ' ORDER BY c.ordinal_position) AS shown
          FROM information_schema.columns c JOIN pg_views v ON v.viewname = c.table_name AND v.schemaname = 'public'
         WHERE c.table_schema = 'public' AND c.table_name LIKE '%\_facts'
           AND c.column_name NOT IN ('customer_number', 'domain')
         GROUP BY c.table_name
    LOOP
        EXECUTE format('GRANT SELECT (%s) ON %I TO stormdesk_analyst', facts.shown, facts.table_name);
    END LOOP;
END
$$
"""


def _migrate(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=True)
    # Session level: it must outlive the transaction of each migration.
    connection.execute(text("SET lock_timeout = '60s'"))
    connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _MIGRATION_LOCK})
    # A migration that cannot get its table lock in five seconds gives way to the people using the system.
    connection.execute(text("SET lock_timeout = '5s'"))
    connection.execute(text("SET statement_timeout = '10min'"))
    connection.commit()
    try:
        with context.begin_transaction():
            context.run_migrations()
        connection.execute(text(_FACTS_FOR_ANALYSTS))
        connection.commit()
    finally:
        connection.rollback()
        connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _MIGRATION_LOCK})
        connection.commit()


async def _run() -> None:
    database = Database(context.config.attributes["url"], pool=1)
    try:
        async with database.connection() as connection:
            await connection.run_sync(_migrate)
    finally:
        await database.close()


asyncio.run(_run())
