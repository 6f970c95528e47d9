"""What is granted is granted once and paid once, whatever is joined, taken apart or done at the same time."""

import asyncio
import csv
import io
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any
from xml.etree import ElementTree as ET

import asyncpg
import pytest

from claims import compensating, payment_runs, regrouping
from claims.casebook import lock_incident
from claims.cases import hold
from claims.compensating import Unit, entitlements_in, happened_in, read_facts
from claims.payment_files import Payer, as_csv, as_pain001
from claims.schemes import schemes
from foundation.actors import Actor
from foundation.database import Database, Tx, driver
from foundation.errors import Conflict, Invalid
from tests.integration.test_regrouping import contact_id, merged, numbers
from tests.integration.test_resolver import told
from tests.support.claimants import a_customer, an_incident

ADA, BEN = Actor("staff", "ada"), Actor("staff", "ben")
NOW, DAY = datetime(2026, 11, 24, 12, tzinfo=UTC), date(2026, 11, 23)
LATE = {"delay_minutes": 200, "distance_km": 900}
IBAN = "NL91ABNA0417164300"


@pytest.fixture
async def incident(database: Database) -> str:
    return await an_incident(database)


async def grant(database: Database, receipt: str, reference: str, passenger: str, **other: Any) -> int:
    """Grant what EU 261 gives in the case of a contact."""
    [number] = await numbers(database, receipt)
    async with database.transaction() as tx:
        connection = await driver(tx)
        await lock_incident(connection, await connection.fetchval("SELECT incident_id FROM cases LIMIT 1"))
        case = await hold(tx, number)
        unit = Unit("LINE-1", reference, passenger)
        made, found = await compensating.grant(
            tx,
            ADA,
            case,
            schemes()[other.get("scheme", "eu261")],
            unit=unit,
            known=other.get("known", LATE),
            on=DAY,
            contact_id=await contact_id(database, receipt),
            now=NOW,
        )
        assert found.minor > 0
        if other.get("account", True):
            await compensating.set_account(tx, ADA, case, [made], name=passenger, iban=IBAN)
    return made


async def prepare(database: Database, incident: str, *, who: Actor = ADA) -> int:
    async with database.transaction() as tx:
        return await payment_runs.prepare(tx, who, incident, "account", "EUR", now=NOW)


async def pay(database: Database, run: int) -> None:
    async with database.transaction() as tx:
        await payment_runs.approve(tx, BEN, run, now=NOW)
        await payment_runs.note_paid(tx, ADA, run, now=NOW)


async def facts(database: Database) -> list[Any]:
    async with database.transaction() as tx:
        return list(await (await driver(tx)).fetch("SELECT * FROM payment_facts ORDER BY entitlement_id"))


async def test_a_booking_is_granted_once_for_each_passenger_in_whatever_case(database: Database, incident: str) -> None:
    anna, other = await told(database, name="Anna Jansen"), await told(database, name="Bea Bakker")
    await grant(database, anna, "ABC123", "Anna Jansen")
    await grant(database, anna, "ABC123", "Bob Jansen")
    for receipt, reference, name in [
        (anna, "abc-123", "Anna Jansen"),
        (other, "ABC123", "A. Jansen"),
        (anna, "XYZ789", "Anna Jansen"),  # the same passenger on the same flight, by another booking
    ]:
        with pytest.raises(Conflict, match="paid twice"):
            await grant(database, receipt, reference, name)
    await grant(database, other, "ABC123", "Adam Jansen (2)")
    assert len(await facts(database)) == 3


async def test_what_is_missing_is_asked_and_nothing_is_not_granted(database: Database, incident: str) -> None:
    anna = await told(database, name="Anna Jansen")
    with pytest.raises(Invalid) as refused:
        await grant(database, anna, "", "")
    assert [one.field for one in refused.value.faults] == ["reference", "passenger"]
    with pytest.raises(Invalid) as refused:
        await grant(database, anna, "ABC123", "Anna Jansen", known={"delay_minutes": 200})
    assert "distance_km" in [one.field for one in refused.value.faults]
    with pytest.raises(Conflict, match="nothing"):
        await grant(database, anna, "ABC123", "Anna Jansen", known={"delay_minutes": 20, "distance_km": 900})


async def test_two_at_once_grant_it_once(database: Database, incident: str) -> None:
    anna, other = await told(database, name="Anna Jansen"), await told(database, name="Bea Bakker")
    done = await asyncio.gather(
        *(grant(database, receipt, "ABC123", "Anna Jansen") for receipt in (anna, other, anna, other)),
        return_exceptions=True,
    )
    assert sum(isinstance(one, int) for one in done) == 1
    assert {type(one) for one in done} == {int, Conflict}
    runs = await asyncio.gather(*(prepare(database, incident) for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(one, int) for one in runs) == 1


async def test_joined_after_both_were_granted_one_is_paid_and_parted_again_the_other(
    database: Database, incident: str
) -> None:
    first, second = await told(database, name="Anna Jansen"), await told(database, name="A Jansen", email="a@j.example")
    await grant(database, first, "ABC123", "Anna Jansen")
    await grant(database, second, "XYZ789", "A Jansen")
    done = await merged(database, first, second)
    async with database.transaction() as tx:
        [waiting] = await payment_runs.due(tx)
    assert (waiting.payable, waiting.held, waiting.minor) == (1, 1, 25000)
    await pay(database, await prepare(database, incident))
    with pytest.raises(Conflict, match="nothing to pay"):
        await prepare(database, incident)
    async with database.transaction() as tx:
        await regrouping.undo(tx, ADA, done.decision_id, "It was her sister")
    await pay(database, await prepare(database, incident))
    assert [(one["state"], one["paid_minor"]) for one in await facts(database)] == [("paid", 25000)] * 2
    assert len({one["case_number"] for one in await facts(database)}) == 2


async def test_paid_before_they_were_joined_stays_paid_and_nothing_more_is(database: Database, incident: str) -> None:
    first, second = await told(database, name="Anna Jansen"), await told(database, name="A Jansen", email="a@j.example")
    await grant(database, first, "ABC123", "Anna Jansen")
    await pay(database, await prepare(database, incident))
    await grant(database, second, "XYZ789", "A Jansen")
    await merged(database, first, second)
    with pytest.raises(Conflict, match="nothing to pay"):
        await prepare(database, incident)
    assert [one["paid_minor"] for one in await facts(database)] == [25000, 0]


async def test_preparing_and_joining_at_once_pays_one(database: Database, incident: str) -> None:
    first, second = await told(database, name="Anna Jansen"), await told(database, name="A Jansen", email="a@j.example")
    await grant(database, first, "ABC123", "Anna Jansen")
    await grant(database, second, "XYZ789", "A Jansen")
    done = await asyncio.gather(
        merged(database, first, second),
        prepare(database, incident),
        prepare(database, incident),
        return_exceptions=True,
    )
    # Joined first: one is paid. Prepared first: they were two persons then, and each has a payment of its own.
    assert isinstance(done[0], regrouping.Regrouped)
    async with database.transaction() as tx:
        found = await (await driver(tx)).fetch("SELECT entitlement_id FROM payments WHERE state <> 'returned'")
    assert len(found) == len({row[0] for row in found}) in (1, 2)


async def test_the_database_itself_refuses_a_second_payment_and_another_sum(database: Database, incident: str) -> None:
    made = await grant(database, await told(database, name="Anna Jansen"), "ABC123", "Anna Jansen")
    run = await prepare(database, incident)
    insert = (
        "INSERT INTO payments (run_id, entitlement_id, minor, currency, payee, reference)"
        " VALUES ($1, $2, $3, $4, '', '')"
    )

    async def tried(*values: object) -> None:
        async with database.transaction() as tx:
            await (await driver(tx)).execute(insert, *values)

    with pytest.raises(asyncpg.UniqueViolationError):
        await tried(run, made, 25000, "EUR")
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        async with database.transaction() as tx:
            await (await driver(tx)).execute("UPDATE payments SET minor = 50000")
    with pytest.raises(asyncpg.CheckViolationError):
        async with database.transaction() as tx:
            await (await driver(tx)).execute(
                "UPDATE payment_runs SET state = 'approved', approved_by = made_by, approved_at = now()"
            )


async def test_nobody_lets_a_run_go_alone_and_what_came_back_is_paid_again(database: Database, incident: str) -> None:
    anna = await told(database, name="Anna Jansen")
    made = await grant(database, anna, "ABC123", "Anna Jansen")
    run = await prepare(database, incident)

    async def refused(act: Callable[[Tx], Awaitable[None]], match: str) -> None:
        with pytest.raises(Conflict, match=match):
            async with database.transaction() as tx:
                await act(tx)

    await refused(lambda tx: payment_runs.approve(tx, ADA, run, now=NOW), "Somebody else")
    await refused(lambda tx: payment_runs.note_paid(tx, ADA, run, now=NOW), "prepared")
    async with database.transaction() as tx:
        await payment_runs.cancel(tx, ADA, run, now=NOW)
    run = await prepare(database, incident)
    [number] = await numbers(database, anna)

    async def change(tx: Tx) -> None:
        case = await hold(tx, number)
        await compensating.set_account(tx, ADA, case, [made], name="Anna", iban=IBAN)

    async def take_back(tx: Tx) -> None:
        await compensating.void(tx, ADA, await hold(tx, number), made, "Wrong")

    await refused(change, "being paid")
    await refused(take_back, "payment run")
    await pay(database, run)
    async with database.transaction() as tx:
        _, [payment] = await payment_runs.run_of(tx, run)
        await payment_runs.note_returned(tx, ADA, payment.id, "account closed", now=NOW)
    assert [one["paid_minor"] for one in await facts(database)] == [0]
    await pay(database, await prepare(database, incident))
    assert [one["paid_minor"] for one in await facts(database)] == [25000]


async def test_the_files_hold_every_payment_and_the_total(database: Database, incident: str) -> None:
    anna = await told(database, name="Anna Jansen")
    for name in ("Anna Jansen", "Zoë Jansen", "=cmd() Jansen"):
        await grant(database, anna, "ABC123", name)
    await grant(database, anna, "ABC124", "Dirk Jansen", account=False)
    run_id = await prepare(database, incident)
    async with database.transaction() as tx:
        run, payments = await payment_runs.run_of(tx, run_id)
    rows = list(csv.reader(io.StringIO(as_csv(run, payments).decode())))
    assert len(rows) == 1 + 3 + 1
    assert rows[-1][:2] == ["total", "3"]
    assert rows[-1][6:8] == ["750.00", "EUR"]
    assert rows[3][3].startswith("'=cmd")
    content = as_pain001(run, payments, Payer("Example Air", IBAN), on=DAY)  # checked against the schema
    found = ET.fromstring(content)
    spaces = {"": "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"}
    header = found.find("CstmrCdtTrfInitn/GrpHdr", spaces)
    assert header is not None
    assert (header.findtext("NbOfTxs", "", spaces), header.findtext("CtrlSum", "", spaces)) == ("3", "750.00")
    ends = [one.text for one in found.iter("{urn:iso:std:iso:20022:tech:xsd:pain.001.001.09}EndToEndId")]
    assert ends == [f"STORMDESK-{one.id}" for one in payments]
    # Another currency is no SEPA transfer, and loses nothing; what goes over the bill is no file for a bank.
    pounds = as_pain001(replace(run, currency="GBP"), payments, Payer("Example Air", IBAN), on=DAY).decode()
    assert pounds.count('<InstdAmt Ccy="GBP">250.00</InstdAmt>') == 3
    assert "<ChrgBr>SHAR</ChrgBr>" in pounds
    assert not any(word in pounds for word in ("SEPA", "SLEV", "EUR"))
    with pytest.raises(Conflict, match="not paid to accounts"):
        as_pain001(replace(run, pays="bill"), payments, Payer("Example Air", IBAN), on=DAY)


async def test_what_is_known_already_need_not_be_typed(database: Database, incident: str) -> None:
    await a_customer(database, "Anna Jansen", number="N-0001", references=["ABC123"])
    anna = await told(database, customer_number="N-0001")
    [number] = await numbers(database, anna)
    async with database.transaction() as tx:
        case = await hold(tx, number)
        known = read_facts({"delay_minutes": "200", "distance_km": "900", "fare": "46,50", "cancelled": "no"})
        assert known == {"delay_minutes": 200, "distance_km": 900, "fare": 4650, "cancelled": False}
        await compensating.keep_circumstances(tx, ADA, incident, "LINE-1", known, now=NOW)
        [happened] = await happened_in(tx, case.id, now=NOW)
        assert (happened.component, happened.reference) == ("LINE-1", "ABC123")
        assert happened.facts["delay_minutes"] == 200
        assert "fare" not in happened.facts
        assert "outage_minutes" in happened.facts
        assert await entitlements_in(tx, case.id) == []
    with pytest.raises(Invalid):
        read_facts({"fare": "46.505", "cancelled": "maybe", "delay_minutes": "-1", "cause": "weather"})


async def test_an_account_must_be_one(database: Database, incident: str) -> None:
    anna = await told(database, name="Anna Jansen")
    made = await grant(database, anna, "ABC123", "Anna Jansen")
    [number] = await numbers(database, anna)
    with pytest.raises(Invalid) as refused:
        async with database.transaction() as tx:
            await compensating.set_account(tx, ADA, await hold(tx, number), [made], name=" ", iban="NL91ABNA0417164301")
    assert [one.field for one in refused.value.faults] == ["account_name", "iban"]
