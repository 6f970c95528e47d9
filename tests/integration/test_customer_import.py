"""What a customer file does to the directory, the first time, the second time, and when it changes."""

import asyncio

from sqlalchemy import text

from foundation.database import Database, Tx
from notify.customer_import import ImportResult
from tests.support.customer_files import Kept, a_file, a_line, directory, load


async def addresses(tx: Tx) -> dict[str, str | None]:
    """Every address and why it is suppressed (None: usable)."""
    rows = await tx.execute(text("SELECT value, suppressed_because FROM addresses"))
    return {value: because for value, because in rows}  # noqa: C416 (rows, not pairs)


async def test_a_file_fills_the_directory(database: Database) -> None:
    content = a_file(
        a_line(),
        a_line(reference="DEF456", component="DL 2"),
        a_line(customer_number="C2", name="Zoë Łukasz", email="", phone="+31612345678", needed_at=""),
    )
    async with database.transaction() as tx:
        result = await load(tx, content)
        found = await tx.execute(
            text("SELECT number, name, name_key, language, time_zone FROM customers ORDER BY number")
        )
        assert [tuple(row) for row in found] == [
            ("C1", "Anna Jansen", "anna jansen", "nl", "America/New_York"),
            ("C2", "Zoë Łukasz", "zoe lukasz", "nl", "America/New_York"),
        ]
        assert await addresses(tx) == {"anna@example.org": None, "+12125552368": None, "+31612345678": None}
        keys = await tx.execute(text("SELECT key FROM components ORDER BY key"))
        assert list(keys.scalars()) == ["DL 1117", "DL 2"]
    assert (result.rows, result.rejected) == (3, 0)
    assert (result.customers, result.customers_new, result.exposures_new, result.addresses_new) == (2, 2, 3, 3)


async def test_the_same_file_again_changes_nothing(database: Database) -> None:
    content = a_file(a_line(), a_line(needed_at=""), a_line(reference="X"), a_line(email="other@example.org"))
    async with database.transaction() as tx:
        await load(tx, content)
        before = await directory(tx)
    async with database.transaction() as tx:
        result = await load(tx, content)
        assert await directory(tx) == before
    assert (result.customers, result.customers_unchanged) == (1, 1)
    assert (result.addresses_new, result.addresses_replaced, result.exposures_new, result.exposures_changed) == (0,) * 4


async def test_the_last_line_of_a_customer_wins(database: Database) -> None:
    lines = (a_line(name="Old"), a_line(customer_number="C2"), a_line(name="New", language="en", needed_at=""))
    async with database.transaction() as tx:
        await load(tx, a_file(*lines))
        row = (await tx.execute(text("SELECT name, language FROM customers WHERE number = 'C1'"))).one()
        needed = (
            await tx.execute(
                text("SELECT needed_at FROM exposures e JOIN customers c ON c.id = e.customer_id WHERE c.number = 'C1'")
            )
        ).scalar_one()
    assert tuple(row) == ("New", "en")
    assert needed is None


async def test_what_changed_is_written_once_and_counted(database: Database) -> None:
    async with database.transaction() as tx:
        await load(tx, a_file(a_line(), a_line(customer_number="C2", email="", phone="")))
        result = await load(tx, a_file(a_line(language="en"), a_line(customer_number="C2", email="", phone="")))
    assert (result.customers_changed, result.customers_unchanged, result.exposures_changed) == (1, 1, 0)


async def test_an_address_the_file_gives_up_for_another_is_replaced_and_may_return(database: Database) -> None:
    async with database.transaction() as tx:
        await load(tx, a_file(a_line()))
        moved = await load(tx, a_file(a_line(email="new@example.org")))
        assert await addresses(tx) == {"anna@example.org": "replaced", "new@example.org": None, "+12125552368": None}
        back = await load(tx, a_file(a_line()))
        assert await addresses(tx) == {"anna@example.org": None, "new@example.org": "replaced", "+12125552368": None}
    assert (moved.addresses_new, moved.addresses_replaced) == (1, 1)
    assert (back.addresses_new, back.addresses_returned, back.addresses_replaced) == (0, 1, 1)


async def test_all_addresses_in_one_file_are_kept(database: Database) -> None:
    async with database.transaction() as tx:
        await load(tx, a_file(a_line(), a_line(reference="2", email="work@example.org")))
        assert await addresses(tx) == {"anna@example.org": None, "work@example.org": None, "+12125552368": None}


async def test_an_empty_channel_and_an_absent_customer_take_no_address_away(database: Database) -> None:
    async with database.transaction() as tx:
        await load(tx, a_file(a_line()))
        await load(tx, a_file(a_line(email=""), a_line(customer_number="C2", email="b@example.org", phone="")))
        assert await addresses(tx) == {"anna@example.org": None, "b@example.org": None, "+12125552368": None}


async def test_a_customer_with_a_rejected_line_keeps_every_address(database: Database) -> None:
    kept = Kept()
    async with database.transaction() as tx:
        await load(tx, a_file(a_line(), a_line(email="second@example.org")))
        await load(tx, a_file(a_line(), a_line(email="second@example.org", phone="bad")), kept)
        assert await addresses(tx) == {"anna@example.org": None, "second@example.org": None, "+12125552368": None}
    assert list(kept.reasons) == [3]


async def test_a_bounced_address_stays_suppressed_and_does_not_replace_another(database: Database) -> None:
    async with database.transaction() as tx:
        await load(tx, a_file(a_line(), a_line(email="second@example.org")))
        bounced = "UPDATE addresses SET health = 'suppressed', suppressed_because = 'bounced' WHERE value = :value"
        await tx.execute(text(bounced), {"value": "second@example.org"})
        await load(tx, a_file(a_line(email="second@example.org")))
        found = await addresses(tx)
    assert found == {"anna@example.org": None, "second@example.org": "bounced", "+12125552368": None}


async def test_exposures_the_file_does_not_name_stay(database: Database) -> None:
    async with database.transaction() as tx:
        await load(tx, a_file(a_line(), a_line(component="DL 2")))
        await load(tx, a_file(a_line(needed_at="2013-02-09T10:00:00Z")))
        rows = await tx.execute(text("SELECT component_key, needed_at::date::text FROM exposures ORDER BY 1"))
        assert [tuple(row) for row in rows] == [("DL 1117", "2013-02-09"), ("DL 2", "2013-02-08")]


async def test_bad_lines_are_set_aside_and_the_rest_is_loaded(database: Database) -> None:
    kept = Kept()
    bad = a_line(email="nope"), a_line(customer_number="C3", name="Zoë").encode("latin-1"), a_line() + ',"', "x\0y"
    async with database.transaction() as tx:
        result = await load(tx, a_file(a_line(), *bad, a_line(customer_number="C2")), kept)
    assert (result.rows, result.customers, result.rejected) == (2, 2, 4)
    assert list(kept.reasons) == [3, 4, 5, 6]


async def test_two_imports_in_one_transaction_do_not_get_in_each_others_way(database: Database) -> None:
    async with database.transaction() as tx:
        await load(tx, a_file(a_line()))
        await load(tx, a_file(a_line(customer_number="C2")))
        assert (await tx.execute(text("SELECT count(*) FROM customers"))).scalar_one() == 2


async def test_two_imports_at_once_take_turns(database: Database) -> None:
    content = a_file(*(a_line(customer_number=f"C{n % 50}", reference=str(n)) for n in range(200)))

    async def one() -> ImportResult:
        async with database.transaction() as tx:
            return await load(tx, content)

    first, second = await asyncio.gather(one(), one())
    assert sorted([first.customers_new, second.customers_new]) == [0, 50]
    assert sorted([first.exposures_new, second.exposures_new]) == [0, 200]
