"""Who is behind what somebody says about themselves, for many at once, in one query."""

from foundation.database import Database
from notify import Candidate, Clue, find_customers, fold_reference, normalise_mail
from tests.support.customer_files import a_file, a_line, load

LIMIT = 20


async def find(database: Database, *clues: Clue) -> list[Candidate]:
    async with database.transaction() as tx:
        return sorted(await find_customers(tx, clues, limit=LIMIT))


async def test_each_kind_of_clue_finds_its_customer(database: Database) -> None:
    lines = a_line(customer_number="KL-0042 a", reference="abc 123"), a_line(customer_number="C2", email="", phone="")
    async with database.transaction() as tx:
        await load(tx, a_file(*lines))
    found = await find(
        database,
        Clue(0, "customer_number", fold_reference("kl0042A")),
        Clue(1, "reference", fold_reference("ABC-123")),
        Clue(2, "mail", normalise_mail("ANNA@example.org")),
        Clue(3, "phone", "+12125552368"),
        Clue(4, "mail", "nobody@example.org"),
    )
    assert [(one.place, one.kind) for one in found if one.value != "ABC123" or one.place != 1] == [
        (0, "customer_number"),
        (2, "mail"),
        (3, "phone"),
    ]
    assert {one.name_key for one in found} == {"anna jansen"}
    assert len({one.customer_id for one in found}) == 2  # the second customer has the default reference ABC123


async def test_a_customer_with_a_reference_on_several_components_is_found_once(database: Database) -> None:
    async with database.transaction() as tx:
        await load(tx, a_file(a_line(), a_line(component="DL 2")))
    assert len(await find(database, Clue(7, "reference", "ABC123"))) == 1


async def test_an_empty_reference_points_to_nobody(database: Database) -> None:
    async with database.transaction() as tx:
        await load(tx, a_file(a_line(reference=""), a_line(customer_number="C2", reference=" - ")))
    assert await find(database, Clue(0, "reference", ""), Clue(1, "customer_number", "")) == []


async def test_a_replaced_address_no_longer_points_to_its_customer(database: Database) -> None:
    async with database.transaction() as tx:
        await load(tx, a_file(a_line()))
        await load(tx, a_file(a_line(email="new@example.org")))
    assert await find(database, Clue(0, "mail", "anna@example.org")) == []
    assert len(await find(database, Clue(0, "mail", "new@example.org"))) == 1


async def test_a_value_that_very_many_share_does_not_fill_the_answer(database: Database) -> None:
    async with database.transaction() as tx:
        await load(tx, a_file(*(a_line(customer_number=f"C{n}") for n in range(LIMIT * 3))))
    for clue in (Clue(0, "mail", "anna@example.org"), Clue(0, "reference", "ABC123")):
        assert len(await find(database, clue)) == LIMIT
    async with database.transaction() as tx:
        assert len(await find_customers(tx, [Clue(0, "phone", "+12125552368")], limit=3)) == 3
        assert await find_customers(tx, [], limit=3) == []
