"""Fills the directory with people by the thousand, straight into its tables, and plans dispatches to them."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select

from foundation.database import Database, driver
from notify import MessageText, delivery_summary, enqueue, exposures

COMPONENT = "DL 1117"


async def people(database: Database, count: int) -> None:
    """`count` customers, C1 and on, each with a mail address and an exposure to `COMPONENT`; odd ones read English."""
    async with database.transaction() as tx:
        connection = await driver(tx)
        await connection.execute("INSERT INTO components (key, name) VALUES ($1, $1)", COMPONENT)
        await connection.execute(
            """
            INSERT INTO customers (number, name, name_key, language, time_zone)
            SELECT 'C' || n, 'Zoë ' || n, 'zoe' || n, CASE n % 2 WHEN 0 THEN 'nl' ELSE 'en' END, 'UTC'
              FROM generate_series(1, $1::integer) n
            """,
            count,
        )
        await connection.execute(
            """
            INSERT INTO addresses (customer_id, channel, value)
            SELECT id, 'mail', 'p' || substr(number, 2) || '@example.org' FROM customers
            """
        )
        await connection.execute(
            """
            INSERT INTO exposures (customer_id, component_key, needed_at)
            SELECT id, $1, now() + make_interval(secs => id) FROM customers
            """,
            COMPONENT,
        )


def everyone() -> Select[Any]:
    """The audience of all who have an exposure."""
    soonest = func.min(exposures.c.needed_at).label("needed_at")
    return select(exposures.c.customer_id, soonest).group_by(exposures.c.customer_id)


async def publish(
    database: Database,
    number: int = 1,
    *,
    audience: Select[Any] | None = None,
    topic: str = "incident:test",
    languages: Sequence[str] = ("en", "nl"),
    body: str = "Dear {name}, there is news.\n",
    not_after: datetime | None = None,
) -> str:
    """Enqueue update `number` and commit; its key."""
    key = f"{topic}:{number}"
    async with database.transaction() as tx:
        planned = await enqueue(
            tx,
            key=key,
            topic=topic,
            number=number,
            messages=[MessageText("mail", language, f"Update {number}", body) for language in languages],
            audience=everyone() if audience is None else audience,
            not_after=not_after,
        )
    assert planned
    return key


async def counts_of(database: Database, key: str) -> dict[str, int]:
    """The deliveries of a dispatch by state, zeros included."""
    async with database.transaction() as tx:
        return await delivery_summary(tx, key)


async def until_told(database: Database, key: str, number: int) -> None:
    """Wait until `number` deliveries of the dispatch were accepted."""
    async with asyncio.timeout(90):
        while (await counts_of(database, key))["accepted"] < number:  # noqa: ASYNC110 (another process tells)
            await asyncio.sleep(0.02)
