"""Reports about deliveries: kept first, applied once, early or late, and never backwards; on real PostgreSQL."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import text

from foundation.database import Database, Tx
from notify import Report, take_reports
from notify.delivery import FINAL, TRANSITIONS, State
from notify.reports import Kind, apply_waiting, name_deliveries, reports_about, unnamed_references
from tests.support.reports import NOON, a_report, told


async def state_of(tx: Tx, delivery: int) -> tuple[str, str | None]:
    row = (await tx.execute(text("SELECT state, reason FROM deliveries WHERE id = :id"), {"id": delivery})).one()
    return row[0], row[1]


async def outcomes(tx: Tx) -> list[str | None]:
    return list(await tx.scalars(text("SELECT outcome FROM reports ORDER BY id")))


@pytest.mark.parametrize(
    ("kind", "state", "reason"),
    [
        ("delivered", "delivered", None),
        ("hard_bounce", "bounced", "hard_bounce"),
        ("soft_bounce", "bounced", "soft_bounce"),
        ("complaint", "delivered", "complaint"),
        ("delayed", "accepted", None),
        ("auto_reply", "accepted", None),
        ("unreadable", "accepted", None),
    ],
)
async def test_what_each_kind_makes_of_an_accepted_delivery(
    database: Database, kind: Kind, state: str, reason: str | None
) -> None:
    async with database.transaction() as tx:
        delivery = (await told(tx, ("C1", "anna@example.org")))["C1"]
        await take_reports(tx, [a_report(delivery, kind)])
        assert await state_of(tx, delivery) == (state, reason)
        assert await outcomes(tx) == ["applied" if state != "accepted" else "no_change"]


@pytest.mark.parametrize("state", sorted(FINAL))
@pytest.mark.parametrize("kind", ["delivered", "hard_bounce"])
async def test_a_report_moves_a_delivery_only_where_the_rule_book_lets_it(
    database: Database, state: State, kind: Kind
) -> None:
    wanted: State = "delivered" if kind == "delivered" else "bounced"
    async with database.transaction() as tx:
        delivery = (await told(tx, ("C1", "anna@example.org"), state=state))["C1"]
        await take_reports(tx, [a_report(delivery, kind)])
        moves = wanted in TRANSITIONS[state]
        assert (await state_of(tx, delivery))[0] == (wanted if moves else state)
        assert await outcomes(tx) == ["applied" if moves else "no_change"]


async def test_a_bounce_may_follow_a_receipt_and_never_the_other_way_round(database: Database) -> None:
    async with database.transaction() as tx:
        delivery = (await told(tx, ("C1", "anna@example.org")))["C1"]
        await take_reports(tx, [a_report(delivery, "delivered")])
        await take_reports(tx, [a_report(delivery, "soft_bounce", days=1)])
        assert (await state_of(tx, delivery))[0] == "bounced"
        await take_reports(tx, [a_report(delivery, "delivered", days=2)])
        assert (await state_of(tx, delivery))[0] == "bounced"
        assert await outcomes(tx) == ["applied", "applied", "no_change"]


async def test_of_several_in_one_call_the_bounce_wins(database: Database) -> None:
    async with database.transaction() as tx:
        delivery = (await told(tx, ("C1", "anna@example.org")))["C1"]
        await take_reports(tx, [a_report(delivery, "soft_bounce"), a_report(delivery, "delivered")])
        assert await state_of(tx, delivery) == ("bounced", "soft_bounce")


async def test_a_repeat_is_nothing_new_whatever_it_says(database: Database) -> None:
    async with database.transaction() as tx:
        delivery = (await told(tx, ("C1", "anna@example.org")))["C1"]
        await take_reports(tx, [a_report(delivery, "delivered", key="k"), a_report(delivery, "delivered", key="k")])
        await take_reports(tx, [a_report(delivery, "hard_bounce", key="k")])
        assert (await state_of(tx, delivery))[0] == "delivered"
        raws = await tx.scalars(text("SELECT raw FROM reports"))
        assert list(raws) == [b"the very bytes"]


async def test_the_same_reports_from_two_processes_at_once_are_kept_once(database: Database) -> None:
    async with database.transaction() as tx:
        delivery = (await told(tx, ("C1", "anna@example.org")))["C1"]
    batch = [a_report(delivery, "soft_bounce", key=f"k{n}") for n in range(50)]

    async def take(reports: list[Report]) -> None:
        async with database.transaction() as tx:
            await take_reports(tx, reports)

    await asyncio.gather(take(batch), take(batch[::-1]), take(batch))
    async with database.transaction() as tx:
        assert len(await outcomes(tx)) == 50
        assert (await tx.scalar(text("SELECT soft_bounces FROM addresses"))) == 1, "one lost message, one count"


async def test_an_early_report_waits_until_its_delivery_is_recorded(database: Database) -> None:
    async with database.transaction() as tx:
        delivery = (await told(tx, ("C1", "anna@example.org"), state="planned"))["C1"]
        await take_reports(tx, [a_report(delivery, "hard_bounce")])
        assert await outcomes(tx) == [None]
        assert await apply_waiting(tx, 10) == 0
        assert (await state_of(tx, delivery))[0] == "planned"
        await tx.execute(text("UPDATE deliveries SET state = 'accepted', final_at = now()"))
    async with database.transaction() as tx:
        assert await apply_waiting(tx, 10) == 1
        assert await state_of(tx, delivery) == ("bounced", "hard_bounce")
        assert await outcomes(tx) == ["applied"]
        assert await apply_waiting(tx, 10) == 0


async def test_a_report_under_a_providers_name_waits_for_the_delivery_to_be_named(database: Database) -> None:
    async with database.transaction() as tx:
        delivery = (await told(tx, ("C1", "anna@example.org")))["C1"]
        await take_reports(tx, [a_report(None, "delivered", reference="0A1B", days=500)])
        assert await unnamed_references(tx, "mail", 10) == ["0A1B"]
        assert await unnamed_references(tx, "sms", 10) == []
        await name_deliveries(tx, "sms", {"0A1B": delivery})
        assert (await state_of(tx, delivery))[0] == "accepted", "another source's names are its own"
        await name_deliveries(tx, "mail", {"0A1B": delivery, "0A1C": delivery})
        assert (await state_of(tx, delivery))[0] == "delivered"
        assert await unnamed_references(tx, "mail", 10) == []


async def test_a_name_that_nobody_knows_is_given_up_after_a_week(database: Database) -> None:
    async with database.transaction() as tx:
        await take_reports(tx, [a_report(None, "delivered", reference="0A1B")])  # months ago
        assert await apply_waiting(tx, 10) == 1
        assert await outcomes(tx) == ["no_delivery"]


async def test_what_is_about_no_delivery_is_kept_for_people(database: Database) -> None:
    async with database.transaction() as tx:
        await take_reports(tx, [a_report(None, "unreadable"), a_report(123456, "hard_bounce")])
        assert await outcomes(tx) == ["no_delivery", "no_delivery"]


async def test_reports_are_shown_with_what_came_of_them(database: Database) -> None:
    async with database.transaction() as tx:
        delivery = (await told(tx, ("C1", "anna@example.org")))["C1"]
        await take_reports(tx, [a_report(delivery, "hard_bounce", status="5.1.1")])
        [shown] = await reports_about(tx, [delivery])
        assert shown == {
            "delivery_id": delivery,
            "source": "mail",
            "kind": "hard_bounce",
            "status": "5.1.1",
            "text": "its words",
            "received_at": NOON,
            "outcome": "applied",
        }


async def test_hostile_words_are_stored_without_what_the_database_cannot_hold(database: Database) -> None:
    hostile = replace(a_report(None, "unreadable"), text="a\x00b\ud800" * 5000, status="5\x00")
    async with database.transaction() as tx:
        await take_reports(tx, [hostile])
        words = await tx.scalar(text("SELECT text FROM reports"))
    assert isinstance(words, str)
    assert words.startswith("ab?")
    assert len(words) <= 2000


async def test_thousands_in_one_call_are_a_handful_of_statements(database: Database) -> None:
    async with database.transaction() as tx:
        deliveries = await told(tx, *((f"C{n}", f"c{n}@example.org") for n in range(3000)))
        kinds: list[Kind] = ["delivered", "hard_bounce", "delayed"]
        await take_reports(tx, [a_report(one, kinds[n % 3]) for n, one in enumerate(deliveries.values())])
        rows = await tx.execute(text("SELECT state, count(*) FROM deliveries GROUP BY state"))
        assert {row[0]: row[1] for row in rows} == {"accepted": 1000, "delivered": 1000, "bounced": 1000}
        assert await tx.scalar(text("SELECT count(*) FROM addresses WHERE health = 'suppressed'")) == 1000
