"""The cost cap: exact, whoever sends at once, and final until it is raised."""

import asyncio

from foundation.database import Database, driver
from notify.sms_prices import Cost
from notify.sms_spend import Spent, release, reserve, reserve_each, spending

TOPIC = "incident:ab12"
EURO = 1_000_000


def texts(count: int, micro: int = EURO // 10, currency: str = "EUR") -> list[Cost]:
    return [Cost(1, micro, currency)] * count


async def test_money_is_set_aside_until_the_cap_and_not_beyond(database: Database) -> None:
    async with database.transaction() as tx:
        connection = await driver(tx)
        assert await reserve(connection, TOPIC, Cost(6, 600_000, "EUR"), EURO)
        assert await reserve(connection, TOPIC, Cost(4, 400_000, "EUR"), EURO)
        assert not await reserve(connection, TOPIC, Cost(1, 1, "EUR"), EURO)
        assert await spending(connection, TOPIC) == [Spent("EUR", 10, EURO, EURO)]
        # Another incident and another currency have money of their own.
        assert await reserve(connection, "incident:other", Cost(1, EURO, "EUR"), EURO)
        assert await reserve(connection, TOPIC, Cost(1, EURO, "USD"), EURO)


async def test_a_first_text_above_the_cap_is_refused(database: Database) -> None:
    async with database.transaction() as tx:
        connection = await driver(tx)
        assert not await reserve(connection, TOPIC, Cost(1, EURO + 1, "EUR"), EURO)
        assert await spending(connection, TOPIC) == [Spent("EUR", 0, 0, EURO)]


async def test_once_the_cap_was_in_the_way_nothing_more_goes_out_until_it_is_raised(database: Database) -> None:
    async with database.transaction() as tx:
        connection = await driver(tx)
        assert not await reserve(connection, TOPIC, Cost(1, 2 * EURO, "EUR"), EURO)
        assert not await reserve(connection, TOPIC, Cost(1, 1, "EUR"), EURO)
        assert await reserve(connection, TOPIC, Cost(1, 2 * EURO, "EUR"), 3 * EURO)
        assert await reserve(connection, TOPIC, Cost(1, 1, "EUR"), 3 * EURO)


async def test_of_a_batch_as_many_as_fit_in_their_order(database: Database) -> None:
    async with database.transaction() as tx:
        connection = await driver(tx)
        assert await reserve_each(connection, TOPIC, texts(6), {"EUR": EURO}) == [True] * 6
        assert await reserve_each(connection, TOPIC, texts(6), {"EUR": EURO}) == [True] * 4 + [False] * 2
        assert await reserve_each(connection, TOPIC, texts(1, 1), {"EUR": EURO}) == [False]
        mixed = [*texts(1), *texts(2, EURO, "USD"), *texts(1, 1, "GBP")]
        assert await reserve_each(connection, TOPIC, mixed, {"EUR": 2 * EURO, "USD": EURO}) == [
            True,
            True,
            False,
            False,
        ]
        assert await spending(connection, TOPIC) == [
            Spent("EUR", 11, EURO + EURO // 10, EURO),
            Spent("GBP", 0, 0, 0),
            Spent("USD", 1, EURO, EURO),
        ]


async def test_what_did_not_leave_is_given_back(database: Database) -> None:
    async with database.transaction() as tx:
        connection = await driver(tx)
        await reserve_each(connection, TOPIC, texts(10), {"EUR": EURO})
        await release(connection, TOPIC, texts(3))
        assert await reserve_each(connection, TOPIC, texts(3), {"EUR": EURO}) == [True] * 3
        assert await spending(connection, TOPIC) == [Spent("EUR", 10, EURO, None)]


async def test_many_at_once_never_spend_more_than_there_is(database: Database) -> None:
    """Eight workers, batches of seven, money for a hundred: a hundred go out, to the last one."""

    async def worker() -> int:
        sent = 0
        for _ in range(5):
            async with database.transaction() as tx:
                connection = await driver(tx)
                sent += sum(await reserve_each(connection, TOPIC, texts(7), {"EUR": 10 * EURO}))
        return sent

    assert sum(await asyncio.gather(*(worker() for _ in range(8)))) == 100
    async with database.transaction() as tx:
        connection = await driver(tx)
        assert [(one.segments, one.micro) for one in await spending(connection, TOPIC)] == [(100, 10 * EURO)]
