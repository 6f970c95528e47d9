"""What comes back decides which addresses are used: bounces, complaints, refusals, successes, staff, and files."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from foundation.actors import Actor
from foundation.database import Database, Tx, driver
from foundation.errors import Conflict, Invalid, NotFound
from notify import lift_suppression, take_reports
from notify.health import Sign, note_rejections, note_signs
from notify.reports import Kind
from tests.support.customer_files import a_file, a_line, load
from tests.support.directory import a_customer
from tests.support.reports import NOON, a_report, told, told_again

ANNA = "anna@example.org"
STAFF = Actor("staff", "maria")


async def why(tx: Tx, value: str = ANNA) -> list[str | None]:
    """Why each row of this address is suppressed; None: usable."""
    statement = text("SELECT suppressed_because FROM addresses WHERE value = :value ORDER BY id")
    return list(await tx.scalars(statement, {"value": value}))


async def bounces(tx: Tx, value: str = ANNA) -> int | None:
    count = await tx.scalar(text("SELECT soft_bounces FROM addresses WHERE value = :value LIMIT 1"), {"value": value})
    return count if isinstance(count, int) else None


async def journal(tx: Tx) -> list[tuple[str, str, str]]:
    rows = await tx.execute(text("SELECT actor, event, reason FROM address_journal ORDER BY id"))
    return [(row[0], row[1], row[2]) for row in rows]


async def soft(tx: Tx, *days: float) -> None:
    """A soft bounce of Anna's address on each of these days."""
    address = await tx.scalar(text("SELECT min(id) FROM addresses WHERE value = :value"), {"value": ANNA})
    assert isinstance(address, int)
    for day in days:
        await note_signs(
            await driver(tx), [Sign(address, "soft_bounce", a_report(None, "soft_bounce", days=day).received_at)]
        )


@pytest.mark.parametrize(
    ("kind", "because"), [("hard_bounce", "hard_bounce"), ("complaint", "complaint"), ("delivered", None)]
)
async def test_a_hard_bounce_or_a_complaint_suppresses_at_once(
    database: Database, kind: Kind, because: str | None
) -> None:
    async with database.transaction() as tx:
        delivery = (await told(tx, ("C1", ANNA), ("C2", "ben@example.org")))["C1"]
        await take_reports(tx, [a_report(delivery, kind)])
        assert await why(tx) == [because]
        assert await why(tx, "ben@example.org") == [None]
        assert await journal(tx) == ([("system:stormdesk", "suppressed", because)] if because else [])


async def test_a_suppressed_address_gets_no_further_news(database: Database) -> None:
    async with database.transaction() as tx:
        delivery = (await told(tx, ("C1", ANNA)))["C1"]
        await take_reports(tx, [a_report(delivery, "hard_bounce")])
        again = (await told_again(tx, state="planned"))["C1"]
        row = (await tx.execute(text("SELECT state, reason FROM deliveries WHERE id = :id"), {"id": again})).one()
        assert tuple(row) == ("suppressed", "hard_bounce")


async def test_a_mailbox_that_several_share_is_gone_for_all_of_them(database: Database) -> None:
    async with database.transaction() as tx:
        delivery = (await told(tx, ("C1", ANNA), ("C2", ANNA)))["C1"]
        await take_reports(tx, [a_report(delivery, "hard_bounce")])
        assert await why(tx) == ["hard_bounce", "hard_bounce"]


async def test_a_hard_bounce_counts_also_where_the_delivery_has_ended_otherwise(database: Database) -> None:
    """The state stays; the mailbox is gone all the same."""
    async with database.transaction() as tx:
        delivery = (await told(tx, ("C1", ANNA), state="superseded"))["C1"]
        await take_reports(tx, [a_report(delivery, "hard_bounce")])
        assert await why(tx) == ["hard_bounce"]


async def test_soft_bounces_count_and_suppress_when_long_in_number_and_in_days(database: Database) -> None:
    async with database.transaction() as tx:
        await a_customer(tx, "C1", ANNA)
        await soft(tx, 0, 0.1, 0.2, 0.3, 0.4, 0.5)
        assert (await why(tx), await bounces(tx)) == ([None], 6), "one bad day is not enough"
        await soft(tx, 4)
        assert await why(tx) == ["soft_bounces"]


async def test_few_soft_bounces_over_many_days_are_not_enough(database: Database) -> None:
    async with database.transaction() as tx:
        await a_customer(tx, "C1", ANNA)
        await soft(tx, 0, 5, 10, 15)
        assert (await why(tx), await bounces(tx)) == ([None], 4)


async def test_a_success_ends_the_row(database: Database) -> None:
    async with database.transaction() as tx:
        delivery = (await told(tx, ("C1", ANNA)))["C1"]
        await soft(tx, 0, 1, 2, 3)
        await take_reports(tx, [a_report(delivery, "delivered", days=3.5)])
        assert await bounces(tx) == 0
        await soft(tx, 4, 5)
        assert (await why(tx), await bounces(tx)) == ([None], 2)


async def test_an_earlier_success_told_late_does_not_end_the_row(database: Database) -> None:
    async with database.transaction() as tx:
        delivery = (await told(tx, ("C1", ANNA)))["C1"]
        await soft(tx, 1, 2)
        await take_reports(tx, [a_report(delivery, "delivered", days=0)])
        assert await bounces(tx) == 2


async def test_a_long_silence_starts_the_row_afresh(database: Database) -> None:
    async with database.transaction() as tx:
        await a_customer(tx, "C1", ANNA)
        await soft(tx, 0, 1, 2, 2.5, 40)
        assert (await why(tx), await bounces(tx)) == ([None], 1)


async def test_one_lost_message_counts_once_however_often_it_is_reported(database: Database) -> None:
    async with database.transaction() as tx:
        delivery = (await told(tx, ("C1", ANNA)))["C1"]
        await take_reports(tx, [a_report(delivery, "soft_bounce", days=day) for day in range(8)])
        await take_reports(tx, [a_report(delivery, "soft_bounce", days=9)])
        assert (await why(tx), await bounces(tx)) == ([None], 1)


@pytest.mark.parametrize(
    ("reason", "because", "counted"),
    [("no_such_address", "hard_bounce", 0), ("mailbox_full", None, 1), ("blocked", None, 0), ("refused", None, 0)],
)
async def test_a_refusal_while_sending_is_a_bounce_too(
    database: Database, reason: str, because: str | None, counted: int
) -> None:
    async with database.transaction() as tx:
        delivery = (await told(tx, ("C1", ANNA), state="rejected"))["C1"]
        await tx.execute(text("UPDATE deliveries SET reason = :reason"), {"reason": reason})
        await note_rejections(await driver(tx), [delivery])
        assert (await why(tx), await bounces(tx)) == ([because], counted)


async def test_staff_take_an_address_into_use_again_and_say_why(database: Database) -> None:
    async with database.transaction() as tx:
        delivery = (await told(tx, ("C1", ANNA), ("C2", ANNA)))["C1"]
        await take_reports(tx, [a_report(delivery, "hard_bounce")])
        assert await lift_suppression(tx, channel="mail", value=ANNA, actor=STAFF, reason="She rang: it works.") == 2
        assert (await why(tx), await bounces(tx)) == ([None, None], 0)
        assert (await journal(tx))[-1] == ("staff:maria", "lifted", "She rang: it works.")


async def test_lifting_asks_for_a_reason_and_for_something_to_lift(database: Database) -> None:
    async with database.transaction() as tx:
        await a_customer(tx, "C1", ANNA)
        await a_customer(tx, "C2", "ben@example.org", suppressed="replaced")
        with pytest.raises(Invalid):
            await lift_suppression(tx, channel="mail", value=ANNA, actor=STAFF, reason=" ")
        with pytest.raises(Conflict):
            await lift_suppression(tx, channel="mail", value=ANNA, actor=STAFF, reason="why not")
        with pytest.raises(Conflict):
            await lift_suppression(tx, channel="mail", value="ben@example.org", actor=STAFF, reason="why not")
        with pytest.raises(NotFound):
            await lift_suppression(tx, channel="mail", value="nobody@example.org", actor=STAFF, reason="why not")


async def test_a_customer_file_revives_no_address_that_bounced(database: Database) -> None:
    async with database.transaction() as tx:
        await load(tx, a_file(a_line()))
        await tx.execute(text("UPDATE addresses SET health = 'suppressed', suppressed_because = 'hard_bounce'"))
    async with database.transaction() as tx:
        await load(tx, a_file(a_line(email="other@example.org")))
        await load(tx, a_file(a_line()))
        assert await why(tx) == ["hard_bounce"]
        await load(tx, a_file(a_line(customer_number="C2")))
        assert await why(tx) == ["hard_bounce", "hard_bounce"], "another customer, the same mailbox"


async def test_an_address_that_bounced_after_it_was_replaced_does_not_return_with_a_file(database: Database) -> None:
    async with database.transaction() as tx:
        await load(tx, a_file(a_line()))
        await load(tx, a_file(a_line(email="other@example.org")))
        assert await why(tx) == ["replaced"]
        address = await tx.scalar(text("SELECT id FROM addresses WHERE value = :value"), {"value": ANNA})
        assert isinstance(address, int)
        await note_signs(await driver(tx), [Sign(address, "hard_bounce", NOON)])
        assert await why(tx) == ["hard_bounce"]
        await load(tx, a_file(a_line()))
        assert await why(tx) == ["hard_bounce"]


async def test_an_address_that_was_taken_into_use_again_stays_so_after_a_file(database: Database) -> None:
    async with database.transaction() as tx:
        await load(tx, a_file(a_line(), a_line(customer_number="C2")))
        await tx.execute(text("UPDATE addresses SET health = 'suppressed', suppressed_because = 'complaint'"))
        await lift_suppression(tx, channel="mail", value=ANNA, actor=STAFF, reason="asked for it")
        await load(tx, a_file(a_line(), a_line(customer_number="C3")))
        assert await why(tx) == [None, None, None]


async def test_an_address_is_never_deleted_under_its_proof(database: Database) -> None:
    async with database.transaction() as tx:
        await a_customer(tx, "1", ANNA)
        with pytest.raises(DBAPIError, match="addresses are not deleted"):
            await tx.execute(text("DELETE FROM addresses"))
