"""The schema the migrations make keeps the invariants of the design by itself."""

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.migrations import migrate
from foundation.database import Database, driver


async def test_the_driver_shares_the_transaction(database: Database) -> None:
    async def insert_and_fail() -> None:
        async with database.transaction() as tx:
            await (await driver(tx)).execute("INSERT INTO parties VALUES ('us', 'Us', 'ours')")
            raise KeyError

    with pytest.raises(KeyError):
        await insert_and_fail()
    async with database.transaction() as tx:
        assert (await tx.execute(text("SELECT count(*) FROM parties"))).scalar_one() == 0


def test_migrating_twice_changes_nothing(database_url: str) -> None:
    migrate(database_url)


@pytest.mark.parametrize("state", ["accepted", "superseded", "unknown"])
async def test_a_final_state_needs_a_final_time(database: Database, state: str) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await _insert_delivery(database, state)


async def _insert_delivery(database: Database, state: str) -> None:
    async with database.transaction() as tx:
        connection = await driver(tx)
        await connection.execute(
            "INSERT INTO customers (number, name, name_key, language, time_zone) VALUES ('1', 'A', 'a', 'en', 'UTC')"
        )
        await connection.execute("INSERT INTO dispatches (key, topic, number, not_after) VALUES ('k', 't', 1, now())")
        await connection.execute(
            "INSERT INTO messages (dispatch_id, channel, language, subject, body) "
            "SELECT id, 'mail', 'en', 's', 'b' FROM dispatches"
        )
        await connection.execute(
            "INSERT INTO deliveries (dispatch_id, message_id, customer_id, channel, state, urgency) "
            "SELECT m.dispatch_id, m.id, c.id, 'mail', $1, 1 FROM messages m, customers c",
            state,
        )


async def test_the_usual_options_of_a_database_url_are_understood(database_url: str) -> None:
    database = Database(f"{database_url}&sslmode=prefer&target_session_attrs=any")
    async with database.transaction() as tx:
        assert (await tx.execute(text("SHOW timezone"))).scalar_one() == "UTC"
    await database.close()


async def test_an_error_does_not_quote_what_it_was_about(database: Database) -> None:
    with pytest.raises(DBAPIError) as refused:
        async with database.transaction() as tx:
            await tx.execute(text("SELECT CAST(:address AS integer) / 0"), {"address": 12345})
    assert "12345" not in str(refused.value)
