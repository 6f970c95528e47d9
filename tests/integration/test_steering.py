"""What people decide about news under way, and what the plan says of who gets it, when and how; on real PostgreSQL."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from sqlalchemy import Select, func, select, text

import notify
from foundation.database import Database, driver
from foundation.errors import Conflict, NotFound
from notify import MessageText, QuietHours, enqueue, paced
from notify.channels import Accepted, Deferred, Refused, Result, Unclear
from notify.delivery import outcome
from notify.outbox import Claimed, Done, begin, claim, record
from notify.tables import customers
from notify.upkeep import upkeep_step
from tests.support.directory import a_customer
from tests.support.people import counts_of, everyone, people, publish

LEASE = timedelta(seconds=60)
BOTH = [MessageText("mail", "en", "News", "News, {name}"), MessageText("sms", "en", "", "News")]


async def claim_on(database: Database, channel: str = "mail", most: int = 1000) -> list[Claimed]:
    async with database.transaction() as tx:
        return (await claim(await begin(tx), channel, most, LEASE))[1]


async def settle(database: Database, batch: list[Claimed], result: Result) -> None:
    now, later = datetime.now(UTC), datetime.now(UTC) + timedelta(days=1)
    done = [
        Done(one.id, one.batch_id, outcome(result, attempt=one.attempt, now=now, not_after=later, chance=0))
        for one in batch
    ]
    async with database.transaction() as tx:
        await record(await begin(tx), sorted({one.batch_id for one in batch}), done)


async def counts(database: Database, key: str) -> dict[str, int]:
    return {state: number for state, number in (await counts_of(database, key)).items() if number}


async def do(database: Database, statement: str) -> None:
    async with database.transaction() as tx:
        await tx.execute(text(statement))


async def steer(database: Database, act: str, key: str) -> None:
    async with database.transaction() as tx:
        await getattr(notify, act)(tx, key)


def to(*numbers: str) -> Select[Any]:
    return select(customers.c.id.label("customer_id"), func.now().label("needed_at")).where(
        customers.c.number.in_(numbers)
    )


async def tell(database: Database, audience: Select[Any], *, key: str = "u", number: int = 1, **more: Any) -> None:
    async with database.transaction() as tx:
        assert await enqueue(tx, key=key, topic="t", number=number, messages=BOTH, audience=audience, **more)


# Who gets what


async def test_each_person_is_told_once_on_the_channel_they_prefer_or_can_be_reached_on(database: Database) -> None:
    async with database.transaction() as tx:
        await a_customer(tx, "mail", "m@example.org")
        await a_customer(tx, "text", phones=["+31600000001"])
        await a_customer(tx, "both", "b@example.org", phones=["+31600000002"])
        await a_customer(tx, "prefers", "p@example.org", phones=["+31600000003"])
        await a_customer(tx, "cannot", "c@example.org")
        await a_customer(tx, "none")
        await notify.prefer(tx, "prefers", "sms")
        await notify.prefer(tx, "cannot", "sms")
    await tell(database, to("mail", "text", "both", "prefers", "cannot", "none"))
    async with database.transaction() as tx:
        told = {
            number: [(one["channel"], one["state"]) for one in await notify.customer_history(tx, number)]
            for number in ("mail", "text", "both", "prefers", "cannot", "none")
        }
    assert told == {
        "mail": [("mail", "planned")],
        "text": [("sms", "planned")],
        "both": [("mail", "planned")],
        "prefers": [("sms", "planned")],
        "cannot": [("mail", "planned")],
        "none": [("mail", "suppressed")],
    }


async def test_people_who_share_an_address_are_each_told_once(database: Database) -> None:
    """The news is addressed to a person, and the answer to it lands in that person's case."""
    async with database.transaction() as tx:
        await a_customer(tx, "C1", "family@example.org")
        await a_customer(tx, "C2", "family@example.org")
    await tell(database, to("C1", "C2"))
    claimed = await claim_on(database)
    assert sorted(one.customer_number for one in claimed) == ["C1", "C2"]
    assert {one.address for one in claimed} == {"family@example.org"}


async def test_an_unknown_customer_cannot_prefer_anything(database: Database) -> None:
    with pytest.raises(NotFound):
        async with database.transaction() as tx:
            await notify.prefer(tx, "nobody", "sms")


@pytest.mark.parametrize(("hour", "is_quiet"), [(21, False), (22, True), (3, True), (7, False), (12, False)])
async def test_nobody_is_woken_by_a_text(database: Database, hour: int, is_quiet: bool) -> None:
    """The zone is chosen so that it is `hour` o'clock there now."""
    now = datetime.now(UTC)
    async with database.transaction() as tx:
        await a_customer(tx, "C1", phones=["+31600000001"], time_zone=zone_at(hour, now))
    await tell(database, to("C1"), quiet=QuietHours(time(22), time(7)))
    assert len(await claim_on(database, "sms")) == (not is_quiet)
    async with database.transaction() as tx:
        due = await tx.scalar(text("SELECT due_at FROM batches WHERE due_at IS NOT NULL"))
    if is_quiet:
        assert due is not None
        assert now < due <= now + timedelta(hours=10)
        assert due.minute == 0
        await do(database, "UPDATE batches SET due_at = now()")
        await upkeep_step(database, lease=LEASE)
        assert len(await claim_on(database, "sms")) == 1
    else:
        assert due is None


async def test_what_is_urgent_does_not_wait_for_the_morning(database: Database) -> None:
    async with database.transaction() as tx:
        await a_customer(tx, "C1", phones=["+31600000001"], time_zone=zone_at(3, datetime.now(UTC)))
    await tell(database, to("C1"), quiet=QuietHours(), urgency=0)
    assert len(await claim_on(database, "sms")) == 1


def zone_at(hour: int, now: datetime) -> str:
    """A zone without summer time in which it is `hour` o'clock now. (The signs of Etc are the wrong way round.)"""
    ahead = (hour - now.hour + 12) % 24 - 12
    return f"Etc/GMT{-ahead:+d}" if ahead else "Etc/UTC"


# Hold, pause, call off


async def test_after_the_first_hundredth_nothing_more_goes_out_until_somebody_says_so(database: Database) -> None:
    await people(database, 5000)
    async with database.transaction() as tx:
        await a_customer(tx, "colleague", "colleague@example.com")
        await notify.set_seeds(tx, ["colleague"])
    await tell(database, everyone(), hold=True)
    first = await claim_on(database)
    assert first[0].customer_number == "colleague"
    assert len(first) == 75  # 1 % of 201 batches, rounded up to whole ones
    assert await claim_on(database) == []
    async with database.transaction() as tx:
        progress = await notify.delivery_progress(tx, "u")
    assert (progress.held, progress.seconds_left, progress.because) == (4926, None, "held")
    await steer(database, "release", "u")
    assert len(await claim_on(database)) == 1000


async def test_pausing_keeps_back_what_nobody_has_yet_and_what_comes_back(database: Database) -> None:
    await people(database, 60)
    key = await publish(database)
    out = await claim_on(database, most=25)
    await steer(database, "pause", key)
    await settle(database, out[:1] + out[1:], Deferred("busy", 450))
    await do(database, "UPDATE batches SET due_at = now() WHERE waits = 'time'")
    await upkeep_step(database, lease=LEASE)
    assert await claim_on(database) == []
    async with database.transaction() as tx:
        assert (await notify.delivery_progress(tx, key)).status == "paused"
    await steer(database, "resume", key)
    assert len(await claim_on(database)) == 60


async def test_what_is_called_off_is_never_sent_nor_tried_again(database: Database) -> None:
    await people(database, 60)
    key = await publish(database)
    out = await claim_on(database, most=25)
    await steer(database, "cancel", key)
    assert await claim_on(database) == []
    await settle(database, out[:25], Deferred("busy", 450))
    assert await counts(database, key) == {"suppressed": 60}
    for act in ("pause", "resume"):
        with pytest.raises(Conflict):
            await steer(database, act, key)


# Corrections


async def test_a_correction_reaches_exactly_those_who_may_have_got_what_was_wrong(database: Database) -> None:
    await people(database, 100)
    wrong = await publish(database)
    got, refused, unclear, out = [await claim_on(database, most=25) for _ in range(4)]
    for batch, result in ((got, Accepted(250)), (refused, Refused("no", 550)), (unclear, Unclear("lost"))):
        await settle(database, batch, result)
    async with database.transaction() as tx:
        texts = [MessageText("mail", "en", "Correction", "We were wrong.")]
        audience = notify.told_of(wrong)
        await enqueue(tx, key="c", topic="incident:test", number=2, messages=texts, audience=audience, corrects=wrong)
    told = await claim_on(database)
    assert {one.customer_number for one in told} == {one.customer_number for one in got + unclear}
    # Those whose wrong news is on its way are corrected once it is known to have left, and not otherwise.
    await settle(database, out[:25], Refused("no", 550))
    assert await claim_on(database) == []
    assert await counts(database, "c") == {"sending": 50, "suppressed": 25}


async def test_wrong_news_that_is_unsent_is_withdrawn_from_everybody(database: Database) -> None:
    await people(database, 50)
    wrong = await publish(database)
    await settle(database, await claim_on(database, most=25), Accepted(250))
    async with database.transaction() as tx:
        texts = [MessageText("mail", "en", "Correction", "We were wrong.")]
        await enqueue(
            tx, key="c", topic="incident:test", number=2, messages=texts, audience=notify.told_of(wrong), corrects=wrong
        )
    assert await counts(database, wrong) == {"accepted": 25, "superseded": 25}
    assert await counts(database, "c") == {"planned": 25}


async def test_what_was_never_sent_cannot_be_corrected(database: Database) -> None:
    with pytest.raises(Conflict):
        await tell(database, to("C1"), corrects="nothing")


# A text where mail failed


async def test_whoever_cannot_be_mailed_is_texted_and_the_proof_says_why(database: Database) -> None:
    async with database.transaction() as tx:
        await a_customer(tx, "C1", "gone@example.org", phones=["+31600000001"])
        await a_customer(tx, "C2", "gone@example.com")
    await tell(database, to("C1", "C2"), fallback_after=timedelta(minutes=10))
    await settle(database, await claim_on(database), Refused("no_such_address", 550))
    (text_,) = await claim_on(database, "sms")
    assert text_.customer_number == "C1"
    async with database.transaction() as tx:
        told = await notify.customer_history(tx, "C1")
    assert [(one["channel"], one["state"], one["instead_of"]) for one in told] == [
        ("sms", "sending", "mail"),
        ("mail", "rejected", None),
    ]


async def test_mail_that_takes_too_long_is_followed_by_one_text(database: Database) -> None:
    async with database.transaction() as tx:
        await a_customer(tx, "C1", "slow@example.org", phones=["+31600000001"])
    await tell(database, to("C1"), fallback_after=timedelta(minutes=10))
    await settle(database, await claim_on(database), Deferred("busy", 450))
    await upkeep_step(database, lease=LEASE)
    assert await claim_on(database, "sms") == []
    await do(database, "UPDATE dispatches SET created_at = created_at - interval '10 minutes'")
    for _ in range(2):
        await upkeep_step(database, lease=LEASE)
    assert len(await claim_on(database, "sms")) == 1
    assert await counts(database, "u") == {"deferred": 1, "sending": 1}


async def test_no_text_follows_where_news_was_overtaken_or_nobody_asked_for_texts(database: Database) -> None:
    async with database.transaction() as tx:
        await a_customer(tx, "C1", "gone@example.org", phones=["+31600000001"])
    await tell(database, to("C1"), fallback_after=timedelta(minutes=10))
    out = await claim_on(database)
    await tell(database, to("C1"), key="u2", number=2)
    await settle(database, out, Refused("no_such_address", 550))
    await settle(database, await claim_on(database), Refused("no_such_address", 550))
    assert await claim_on(database, "sms") == []


async def test_order_holds_across_channels(database: Database) -> None:
    """While the older news is on its way by mail, the newer does not go out as a text."""
    async with database.transaction() as tx:
        await a_customer(tx, "C1", "c1@example.org", phones=["+31600000001"])
    await tell(database, to("C1"))
    out = await claim_on(database)
    async with database.transaction() as tx:
        await notify.prefer(tx, "C1", "sms")
    await tell(database, to("C1"), key="u2", number=2)
    assert await claim_on(database, "sms") == []
    await settle(database, out, Accepted(250))
    assert len(await claim_on(database, "sms")) == 1


# Paces


async def test_a_domain_with_a_limit_keeps_to_it_and_others_are_not_slowed(database: Database) -> None:
    await people(database, 100)
    await do(database, "UPDATE addresses SET value = 'p' || id || '@slow.example' WHERE id % 2 = 0")
    await do(
        database,
        "INSERT INTO paces (channel, domain, rate, concurrency, tokens) VALUES ('mail', 'slow.example', 3, 100, 3)",
    )
    await publish(database)
    claimed = await claim_limited(database)
    assert len([one for one in claimed if one.address.endswith("@example.org")]) == 50
    assert len([one for one in claimed if one.address.endswith("@slow.example")]) == 3
    assert await claim_limited(database) == []  # the bucket is empty
    await do(database, "UPDATE paces SET counted_at = counted_at - interval '1 s'")
    assert len(await claim_limited(database)) == 3


async def test_no_more_is_under_way_to_a_domain_than_it_permits(database: Database) -> None:
    await people(database, 40)
    await do(
        database,
        "INSERT INTO paces (channel, domain, rate, concurrency, tokens) VALUES ('mail', 'example.org', 500, 4, 500)",
    )
    key = await publish(database)
    first = await claim_limited(database)
    assert len(first) == 4
    assert await claim_limited(database) == []
    await settle(database, first, Accepted(250))
    assert len(await claim_limited(database)) == 4
    assert (await counts(database, key))["accepted"] == 4


async def test_a_stopped_domain_waits_and_is_named_in_the_estimate(database: Database) -> None:
    await people(database, 40)
    key = await publish(database)
    async with database.transaction() as tx:
        await paced.stop(await driver(tx), "mail", "example.org", "refusals")
    assert await claim_limited(database) == []
    async with database.transaction() as tx:
        progress = await notify.delivery_progress(tx, key)
    (domain,) = progress.domains
    assert (domain.name, domain.total, domain.because) == ("example.org", 40, "stopped")
    assert domain.seconds_left is not None
    assert 500 < domain.seconds_left < 700


async def claim_limited(database: Database) -> list[Claimed]:
    async with database.transaction() as tx:
        connection = await begin(tx)
        return (await claim(connection, "mail", 1000, LEASE, lambda one: paced.domains(one, "mail")))[1]
