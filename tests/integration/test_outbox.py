"""What publication plans, and what upkeep and claims make of it, on real PostgreSQL."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Select, literal, select, text

from foundation.database import Database, driver
from foundation.errors import Conflict, Invalid
from notify import MessageText, customer_history, delivery_summary, enqueue, outbox, preview
from notify.channels import Accepted, Deferred
from notify.delivery import outcome
from notify.outbox import Claimed, Done, begin, claim, record, renew
from notify.tables import customers
from notify.upkeep import expire, promote, rescue
from tests.support.directory import a_customer
from tests.support.people import people, publish

LEASE = timedelta(seconds=60)
OVER = timedelta(0)


def _to(*numbers: str) -> Select[Any]:
    return select(customers.c.id.label("customer_id"), literal(datetime.now(UTC)).label("needed_at")).where(
        customers.c.number.in_(numbers)
    )


async def _claim(database: Database, count: int = 10) -> list[Claimed]:
    async with database.transaction() as tx:
        return (await claim(await begin(tx), "mail", count, LEASE))[1]


async def _record(database: Database, batch: list[Claimed], result: Accepted | Deferred) -> dict[str, int]:
    now, not_after = datetime.now(UTC), datetime.now(UTC) + timedelta(days=1)
    done = [
        Done(one.id, one.batch_id, outcome(result, attempt=one.attempt, now=now, not_after=not_after, chance=0))
        for one in batch
    ]
    async with database.transaction() as tx:
        return dict(await record(await begin(tx), sorted({one.batch_id for one in batch}), done))


async def _rescue(database: Database, lease: timedelta = OVER) -> int:
    """Let every lease end, and have upkeep notice."""
    await _execute(database, "UPDATE batches SET lease_until = now() - interval '1 s' WHERE lease_until IS NOT NULL")
    async with database.transaction() as tx:
        return await rescue(await begin(tx), 10, lease)


async def _expire(database: Database) -> int:
    async with database.transaction() as tx:
        return await expire(await begin(tx), 10)


async def _promote(database: Database) -> int:
    async with database.transaction() as tx:
        return await promote(await begin(tx), 10)


async def _alone(database: Database) -> None:
    """Put every waiting delivery into a batch of its own, for tests about single ones."""
    await _execute(
        database,
        """
        WITH gone AS (DELETE FROM batches WHERE lease_until IS NULL AND waits IS NULL RETURNING *)
        INSERT INTO batches (dispatch_id, channel, urgency, needed_at, delivery_ids)
        SELECT d.dispatch_id, d.channel, d.urgency, d.needed_at, ARRAY[d.id]
          FROM gone, deliveries d WHERE d.id = ANY (gone.delivery_ids) AND d.final_at IS NULL ORDER BY d.id
        """,
    )


async def _counts(database: Database, key: str) -> dict[str, int]:
    async with database.transaction() as tx:
        return {state: count for state, count in (await delivery_summary(tx, key)).items() if count}


async def _execute(database: Database, statement: str) -> None:
    async with database.transaction() as tx:
        await tx.execute(text(statement))


async def test_everybody_gets_one_row_and_those_we_may_not_reach_say_why(database: Database) -> None:
    async with database.transaction() as tx:
        await a_customer(tx, "both", "first@example.org", "second@example.org")
        await a_customer(tx, "none")
        await a_customer(tx, "no", "no@example.org", consent=False)
        await a_customer(tx, "bounced", "gone@example.org", suppressed="hard_bounce")
    key = await publish(database, audience=_to("both", "none", "no", "bounced"))
    assert await _counts(database, key) == {"planned": 1, "suppressed": 3}
    async with database.transaction() as tx:
        told = {number: (await customer_history(tx, number))[0] for number in ("both", "none", "no", "bounced")}
    assert {number: one["reason"] for number, one in told.items()} == {
        "both": None,
        "none": "no_address",
        "no": "no_consent",
        "bounced": "hard_bounce",
    }
    assert told["both"]["address"] == "first@example.org"


@pytest.mark.parametrize(
    ("language", "texts", "expected"),
    [
        ("nl", ("en", "nl"), "nl"),
        ("nl-BE", ("en", "nl"), "nl"),
        ("fr", ("nl", "en"), "en"),
        ("fr", ("nl", "de"), "nl"),
    ],
)
async def test_people_are_told_in_their_language_else_english_else_the_first(
    database: Database, language: str, texts: tuple[str, ...], expected: str
) -> None:
    async with database.transaction() as tx:
        await a_customer(tx, "C1", "c1@example.org", language=language)
        reach = await preview(tx, _to("C1"), texts)
    assert {one.language: one.recipients for one in reach} == {one: int(one == expected) for one in texts}
    await publish(database, audience=_to("C1"), languages=texts)
    async with database.transaction() as tx:
        assert (await customer_history(tx, "C1"))[0]["language"] == expected


async def test_a_preview_counts_whom_it_would_reach_and_stores_nothing(database: Database) -> None:
    async with database.transaction() as tx:
        await a_customer(tx, "C1", "c1@example.org", language="nl")
        await a_customer(tx, "C2", language="nl")
        await a_customer(tx, "C3", "c3@example.org")
    async with database.transaction() as tx:
        reach = await preview(tx, _to("C1", "C2", "C3"), ("nl", "en"))
        assert await tx.scalar(text("SELECT count(*) FROM deliveries")) == 0
    assert [(one.language, one.recipients, one.unreachable) for one in reach] == [("nl", 1, 1), ("en", 1, 0)]


async def test_publishing_again_plans_nothing_more_and_a_number_is_used_once(database: Database) -> None:
    await people(database, 3)
    key = await publish(database)
    texts = [MessageText("mail", "en", "Other", "Other")]
    async with database.transaction() as tx:
        assert not await enqueue(tx, key=key, topic="incident:test", number=1, messages=texts, audience=_to("C1"))
    with pytest.raises(Conflict):
        async with database.transaction() as tx:
            await enqueue(tx, key="another", topic="incident:test", number=1, messages=texts, audience=_to("C1"))
    assert await _counts(database, key) == {"planned": 3}


async def test_two_publications_of_the_same_update_at_once_plan_it_once(database: Database) -> None:
    await people(database, 5)
    texts = [MessageText("mail", "en", "News", "News")]

    async def once() -> bool:
        async with database.transaction() as tx:
            return await enqueue(tx, key="u", topic="t", number=1, messages=texts, audience=_to("C1", "C2"))

    assert sorted(await asyncio.gather(*(once() for _ in range(6)))) == [False] * 5 + [True]
    assert await _counts(database, "u") == {"planned": 2}


async def test_a_text_with_an_unknown_slot_is_refused_before_anything_is_stored(database: Database) -> None:
    with pytest.raises(Invalid) as refused:
        await publish(database, audience=_to("C1"), body="Dear {nam}")
    assert {fault.field for fault in refused.value.faults} == {"mail/en", "mail/nl"}


async def test_the_most_urgent_and_then_the_soonest_are_claimed_first(database: Database) -> None:
    await people(database, 4)
    await publish(database)
    async with database.transaction() as tx:
        texts = [MessageText("mail", "en", "Go", "Go")]
        await enqueue(tx, key="now", topic="t2", number=1, messages=texts, audience=_to("C4"), urgency=0)
    await _alone(database)
    claimed = [one.customer_number for _ in range(5) for one in await _claim(database, 1)]
    assert claimed == ["C4", "C1", "C2", "C3", "C4"]


async def test_newer_news_overtakes_what_is_waiting_and_what_comes_back(database: Database) -> None:
    await people(database, 3)
    first = await publish(database, 1)
    await _alone(database)
    (out,) = await _claim(database, 1)
    second = await publish(database, 2)
    assert await _counts(database, first) == {"sending": 1, "superseded": 2}
    assert {one.customer_number for one in await _claim(database)} == {"C2", "C3"}  # not C1: the older is on its way
    assert await _record(database, [out], Deferred("busy", 450)) == {"superseded": 1}
    assert [one.customer_number for one in await _claim(database)] == ["C1"]
    assert await _counts(database, second) == {"sending": 3}


async def test_news_out_of_order_is_superseded_at_birth(database: Database) -> None:
    await people(database, 2)
    await publish(database, 3, audience=_to("C1"))
    late = await publish(database, 2)
    assert await _counts(database, late) == {"planned": 1, "superseded": 1}


async def test_people_outside_a_newer_audience_still_get_the_older_news(database: Database) -> None:
    await people(database, 2)
    first = await publish(database, 1)
    await publish(database, 2, audience=_to("C1"))
    assert await _counts(database, first) == {"planned": 1, "superseded": 1}


async def test_a_claim_and_a_newer_publication_at_once_never_send_the_older_after_the_newer(
    database: Database,
) -> None:
    await people(database, 400)
    await publish(database, 1)
    order: list[tuple[str, int]] = []

    async def work() -> None:
        while batch := await _claim(database, 10):
            async with database.transaction() as tx:
                rows = await (await driver(tx)).fetch(
                    "SELECT d.id, p.number FROM deliveries d JOIN dispatches p ON p.id = dispatch_id "
                    "WHERE d.id = ANY ($1::bigint[])",
                    [one.id for one in batch],
                )
            numbers = {row[0]: row[1] for row in rows}
            order.extend((one.customer_number, numbers[one.id]) for one in batch)
            await _record(database, batch, Accepted(250))

    async def newer() -> None:
        for number in (2, 3):
            await publish(database, number)

    await asyncio.gather(*(work() for _ in range(4)), newer())
    await work()
    for person_ in {one for one, _ in order}:
        seen = [number for one, number in order if one == person_]
        assert seen == sorted(set(seen))
        assert seen[-1] == 3
    assert await _counts(database, "incident:test:3") == {"accepted": 400}


async def test_a_result_of_an_earlier_attempt_is_passed_over(database: Database) -> None:
    await people(database, 1)
    key = await publish(database)
    stale = await _claim(database)
    assert await _rescue(database) == 1
    (again,) = await _claim(database)
    assert again.attempt == 2
    assert await _record(database, stale, Accepted(250)) == {}
    assert await _counts(database, key) == {"sending": 1}


async def test_a_dead_workers_message_is_sent_once_more_and_then_stays_unknown(database: Database) -> None:
    await people(database, 1)
    key = await publish(database)
    for _ in range(2):
        assert len(await _claim(database)) == 1
        assert await _rescue(database) == 1
    assert await _claim(database) == []
    assert await _counts(database, key) == {"unknown": 1}
    async with database.transaction() as tx:
        (told,) = await customer_history(tx, "C1")
    assert (told["doubtful_attempts"], told["reason"]) == (2, "worker_lost")


async def test_what_may_have_been_sent_is_never_called_superseded_or_expired(database: Database) -> None:
    await people(database, 2)
    first = await publish(database, 1)
    await _claim(database)
    await _rescue(database)
    await publish(database, 2, audience=_to("C1"))
    await _execute(database, "UPDATE dispatches SET not_after = now() WHERE number = 1")
    await _expire(database)
    assert await _counts(database, first) == {"unknown": 2}


async def test_after_a_restart_of_the_server_workers_get_a_leases_time_to_record(database: Database) -> None:
    await people(database, 1)
    await publish(database)
    await _claim(database)
    assert await _rescue(database, timedelta(days=365)) == 0  # as if the server had started within that lease


async def test_a_renewed_lease_is_not_rescued(database: Database) -> None:
    await people(database, 1)
    await publish(database)
    (out,) = await _claim(database)
    await _execute(database, "UPDATE batches SET lease_until = now() - interval '1 s'")
    async with database.transaction() as tx:
        await renew(await begin(tx), [out.batch_id], LEASE)
    async with database.transaction() as tx:
        assert await rescue(await begin(tx), 10, OVER) == 0


async def test_a_deferred_message_waits_for_its_pause_and_is_then_planned_again(database: Database) -> None:
    await people(database, 1)
    key = await publish(database)
    await _record(database, await _claim(database), Deferred("busy", 450, "later"))
    assert await _promote(database) == 0
    assert await _claim(database) == []
    await _execute(database, "UPDATE batches SET due_at = now()")
    assert await _promote(database) == 1
    assert await _record(database, await _claim(database), Accepted(250, "ok")) == {"accepted": 1}
    assert await _counts(database, key) == {"accepted": 1}


@pytest.mark.parametrize(
    ("lost", "reason"),
    [
        ("consent = false", "no_consent"),
        ("health = 'suppressed', suppressed_because = 'hard_bounce'", "hard_bounce"),
        ("consent = false, health = 'suppressed', suppressed_because = 'hard_bounce'", "no_consent"),
    ],
)
async def test_who_may_no_longer_be_reached_is_not_sent_what_was_planned(
    database: Database, lost: str, reason: str
) -> None:
    await people(database, 3)
    key = await publish(database)
    await _execute(database, f"UPDATE addresses SET {lost} WHERE value LIKE 'p2@%'")
    async with database.transaction() as tx:
        states, claimed = await claim(await begin(tx), "mail", 10, LEASE)
    assert {one.customer_number for one in claimed} == {"C1", "C3"}
    assert dict(states) == {"suppressed": 1}
    assert await _counts(database, key) == {"sending": 2, "suppressed": 1}
    async with database.transaction() as tx:
        (told,) = await customer_history(tx, "C2")
    assert (told["reason"], told["attempts"]) == (reason, 0)


@pytest.mark.parametrize(
    ("topic", "ended"), [("incident:test", True), ("news", True), ("incident:other", False), ("case:1", False)]
)
async def test_who_opts_out_after_planning_does_not_get_what_was_planned(
    database: Database, topic: str, ended: bool
) -> None:
    await people(database, 3)
    key = await publish(database)
    await _execute(
        database, f"INSERT INTO opt_outs (customer_id, topic, how) SELECT id, '{topic}', 'page' FROM customers LIMIT 1"
    )
    async with database.transaction() as tx:
        states, claimed = await claim(await begin(tx), "mail", 10, LEASE)
    assert {one.customer_number for one in claimed} == ({"C2", "C3"} if ended else {"C1", "C2", "C3"})
    assert dict(states) == ({"suppressed": 1} if ended else {})
    assert await _counts(database, key) == ({"sending": 2, "suppressed": 1} if ended else {"sending": 3})
    async with database.transaction() as tx:
        (told,) = await customer_history(tx, "C1")
    assert (told["reason"], told["attempts"]) == ("opted_out" if ended else None, 0)


async def test_what_comes_back_for_another_try_is_not_tried_with_who_opted_out_meanwhile(database: Database) -> None:
    await people(database, 1)
    key = await publish(database)
    await _record(database, await _claim(database), Deferred("busy", 450))
    await _execute(
        database, "INSERT INTO opt_outs (customer_id, topic, how) SELECT id, 'news', 'page' FROM customers LIMIT 1"
    )
    await _execute(database, "UPDATE batches SET due_at = now()")
    await _promote(database)
    assert await _claim(database) == []
    assert await _counts(database, key) == {"suppressed": 1}


async def test_an_answer_in_a_case_reaches_who_wants_no_news(database: Database) -> None:
    await people(database, 1)
    await publish(database, topic="case:1")
    await _execute(
        database, "INSERT INTO opt_outs (customer_id, topic, how) SELECT id, 'news', 'page' FROM customers LIMIT 1"
    )
    assert len(await _claim(database)) == 1


async def test_an_address_that_was_replaced_since_planning_gives_way_to_the_new_one(database: Database) -> None:
    async with database.transaction() as tx:
        await a_customer(tx, "C1", "old@example.org", "no@example.org", "new@example.org")
    key = await publish(database, audience=_to("C1"))
    await _execute(
        database,
        """UPDATE addresses SET consent = value <> 'no@example.org',
                  health = CASE value WHEN 'old@example.org' THEN 'suppressed' ELSE 'usable' END,
                  suppressed_because = CASE value WHEN 'old@example.org' THEN 'replaced' END""",
    )
    (claimed,) = await _claim(database)
    assert claimed.address == "new@example.org"
    assert await _counts(database, key) == {"sending": 1}
    async with database.transaction() as tx:
        (told,) = await customer_history(tx, "C1")
    assert told["address"] == "new@example.org"


async def test_what_may_have_been_sent_is_never_called_suppressed(database: Database) -> None:
    await people(database, 1)
    key = await publish(database)
    await _claim(database)
    await _rescue(database)
    await _execute(database, "UPDATE addresses SET consent = false")
    assert await _claim(database) == []
    assert await _counts(database, key) == {"unknown": 1}


async def test_what_has_lost_its_use_is_not_claimed_and_expires(database: Database) -> None:
    await people(database, 2)
    key = await publish(database, not_after=datetime.now(UTC) - timedelta(seconds=1))
    assert await _claim(database) == []
    assert await _expire(database) == 1  # one batch
    assert await _counts(database, key) == {"expired": 2}


def _nodes(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [node, *(one for child in node.get("Plans", ()) for one in _nodes(child))]


@pytest.mark.parametrize(
    ("statement", "arguments"),
    [(outbox._CLAIM, 3), (outbox._READ, 1), (outbox._RECORD, 9)],
    ids=["claim", "read", "record"],
)
async def test_what_is_planned_on_an_empty_outbox_goes_along_keys(
    database: Database, statement: str, arguments: int
) -> None:
    # A connection keeps its plan: one that goes through the outbox costs more the more there is to send.
    async with database.transaction() as tx:
        connection = await begin(tx)
        await connection.execute("ANALYZE batches")
        await connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        await connection.execute(f"PREPARE known AS {statement}")
        plan = await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE known ({', '.join(['NULL'] * arguments)})")
    scans = [one for one in _nodes(plan[0]["Plan"]) if one.get("Relation Name") in ("batches", "deliveries")]
    assert any("Index Cond" in one for one in scans)
    assert [one for one in scans if one["Node Type"].endswith("Scan") and "Index Cond" not in one] == []
