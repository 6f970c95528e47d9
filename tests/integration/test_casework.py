"""Working on a case over the API, and what its owner sees of it: decisions, answers, appointments, closing, opening."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from claims import Arrival, Intake, agents
from foundation.clock import system_clock
from foundation.database import Database, driver
from tests.support.casework import Office, office
from tests.support.claimants import a_customer, resolve

REFUSAL = {
    "kind": "refund",
    "outcome": "rejected",
    "reason": "no_proof",
    "text": "We cannot find a ticket in this name.",
    "next_steps": ["appeal", "add_information"],
}


@pytest.fixture
async def desk(database: Database, database_url: str, tmp_path: Path) -> AsyncIterator[Office]:
    await a_customer(database, "Anna Jansen", number="N-0001", mails=["anna@x.example"], references=["ABC123"])
    async with office(database, database_url, tmp_path) as made:
        yield made


async def test_a_rejection_tells_why_and_what_can_be_done_and_is_appealed(desk: Office) -> None:
    link = await desk.tell(message="My money back, please", customer_number="N-0001", asks_for="refund")
    number = await desk.number_of(link)
    assert "We decide by" in await desk.see(link)
    await desk.call(f"cases/{number}/decide", REFUSAL)
    page = await desk.see(link)
    for shown in (
        "rejected",
        "We need proof",
        "We cannot find a ticket in this name.",
        "Appeal",
        "Send us what is missing",
    ):
        assert shown in page
    [letter] = await desk.letters()
    assert letter["address"] == "anna@x.example"
    assert "We cannot find a ticket" in letter["body"]
    assert "What you can do now" in letter["body"]
    decision = re.search(r'name="decision" value="(\d+)"', page)
    assert decision is not None
    await desk.act(link, "appeal", decision=decision[1], words="Here is my ticket: 7781")
    again = await desk.see(link)
    assert "You appealed" in again
    assert "7781" in again
    assert 'name="decision"' not in again
    await desk.act(link, "appeal", decision=decision[1], words="Once more", status=409)
    granted = {"kind": "refund", "outcome": "granted", "reason": "by_law"}
    await desk.call(f"cases/{number}/decide", granted)
    assert "we decided again" in await desk.see(link)
    shown = await desk.call(f"cases/{number}")
    assert [one["outcome"] for one in shown["claims"][0]["decisions"]] == ["rejected", "granted"]
    assert shown["claims"][0]["decisions"][1]["on_appeal"] is not None
    await desk.call(f"cases/{number}/decide", granted, status=409)


@pytest.mark.parametrize("lacking", ["text", "next_steps"])
async def test_a_rejection_that_says_too_little_is_refused_here_and_in_the_database(desk: Office, lacking: str) -> None:
    link = await desk.tell(message="My money back, please", customer_number="N-0001", asks_for="refund")
    number = await desk.number_of(link)
    body = {name: value for name, value in REFUSAL.items() if name != lacking}
    answer = await desk.call(f"cases/{number}/decide", body, status=422)
    assert answer["code"] == "decision_incomplete"
    assert await desk.letters() == []
    [claim] = await desk.rows("SELECT id FROM claims")
    words, steps = ("", ["appeal"]) if lacking == "text" else ("Because", [])
    insert = (
        "INSERT INTO decisions (claim_id, outcome, reason, words, next_steps, decided_by, case_id)"
        " VALUES ($1, 'rejected', 'no_proof', $2, $3::text[], 'staff:x', 1)"
    )
    with pytest.raises(asyncpg.CheckViolationError):
        await desk.rows(insert, claim["id"], words, steps)


async def test_an_answer_goes_to_the_address_on_file_and_comes_back_into_the_case(desk: Office) -> None:
    link = await desk.tell(message="What now?", customer_number="N-0001", email="somebody@else.example")
    number = await desk.number_of(link)
    await desk.call(f"cases/{number}/reply", {"text": "Your next flight is {name} on Sunday."})
    [letter] = await desk.letters()
    assert letter["address"] == "anna@x.example"
    assert "Your next flight is {{name}} on Sunday." in letter["body"]
    assert letter["topic"].startswith(f"case:{number}:")
    assert "Your next flight is {name} on Sunday." in await desk.see(link)
    mailed = re.search(r"https://status.example.com(/t/\S+?)\?", letter["body"])
    assert mailed is not None
    assert "What now?" in await desk.see(mailed[1])
    # The link in the mail opens the whole case, so it is nowhere but in the mail.
    stranger = await desk.tell(message="I typed her number", customer_number="N-0001")
    assert await desk.number_of(stranger) == number
    await desk.call(f"cases/{number}/decide", {"kind": "refund", "outcome": "granted", "reason": "by_law"})
    await desk.act(link, "person")
    for held in (link, stranger):
        assert mailed[1].removeprefix("/t/")[:20] not in await desk.see(held)
    assert "What now?" not in await desk.see(stranger)
    assert "Your next flight" not in await desk.see(stranger)
    assert (await desk.rows("SELECT count(*) FROM replies WHERE words LIKE '%/t/%'"))[0]["count"] == 0
    [contact] = await desk.rows("SELECT answered_at FROM contacts ORDER BY id LIMIT 1")
    assert contact["answered_at"] is not None


async def test_whom_the_directory_does_not_know_is_answered_at_the_address_they_gave(desk: Office) -> None:
    link = await desk.tell(message="Hello?", name="Kim Kok", email="Kim@Elsewhere.example")
    number = await desk.number_of(link)
    await desk.call(f"cases/{number}/reply", {"text": "We are looking into it."})
    await desk.call(f"cases/{number}/reply", {"text": "We are still looking into it."})
    assert [one["address"] for one in await desk.letters()] == ["kim@elsewhere.example"] * 2
    [one] = await desk.rows("SELECT count(*) FROM customers WHERE kind = 'correspondent'")
    assert one["count"] == 1
    # Whatever comes to the signed address of our answer is about that case, whoever it says it is from.
    [first, _] = await desk.letters()
    raw = b"From: kim.at.work@office.example\r\nSubject: Re: hello\r\nMessage-ID: <1@office.example>\r\n\r\nThanks!\r\n"
    async with Intake(desk.database).running() as intake:
        await intake.accept(Arrival("mail", "en", raw, delivery_id=first["id"]))
    await resolve(desk.database)
    assert [one["said"]["message"] for one in (await desk.call(f"cases/{number}"))["contacts"]][1:] == [
        "Re: hello\n\nThanks!"
    ]
    # Being written to makes nobody a customer.
    other = await desk.tell(message="Me again", email="kim@elsewhere.example")
    assert await desk.number_of(other) == number


async def test_what_is_added_by_the_link_needs_no_name_and_follows_its_contact(desk: Office) -> None:
    link = await desk.tell(message="I have nothing to go by")
    number = await desk.number_of(link)
    await desk.act(link, "add", message="I found my booking: ABC123", form="abcdefghij")
    await desk.act(link, "add", message="I found my booking: ABC123", form="abcdefghij")
    await resolve(desk.database)
    page = await desk.see(link)
    assert "I found my booking" in page
    shown = await desk.call(f"cases/{number}")
    assert [one["matched_by"] for one in shown["contacts"]] == ["nothing_to_go_by", "continues"]


async def test_a_closed_case_is_opened_by_a_contact_and_remembers(desk: Office) -> None:
    link = await desk.tell(message="Refund", customer_number="N-0001", asks_for="refund")
    number = await desk.number_of(link)
    refused = await desk.call(f"cases/{number}/close", {}, status=409)
    assert "1 contacts without an answer, 1 claims without a decision" in refused["detail"]
    await desk.call(f"cases/{number}/decide", REFUSAL)
    await desk.call(f"cases/{number}/close", {})
    page = await desk.see(link)
    assert "Closed" in page
    assert "Did we help you?" in page
    before = await desk.call(f"cases/{number}")
    await desk.tell(message="One more thing", customer_number="N-0001")
    after = await desk.call(f"cases/{number}")
    assert (after["state"], after["reopened"]) == ("open", 1)
    assert after["claims"] == before["claims"]
    kept = [clock for clock in after["clocks"] if clock["stopped_at"]]
    assert kept == [clock for clock in before["clocks"] if clock["stopped_at"]]


async def test_feedback_with_a_question_becomes_work_and_without_one_does_not(desk: Office) -> None:
    link = await desk.tell(message="Thank you all", customer_number="N-0001")
    number = await desk.number_of(link)
    await desk.call(f"cases/{number}/reply", {"text": "You are welcome."})
    await desk.call(f"cases/{number}/close", {})
    await desk.act(link, "feedback", score="4", words="Thanks.")
    assert (await desk.call(f"cases/{number}"))["state"] == "closed"
    await desk.act(link, "feedback", score="5", status=409)
    await desk.call(f"cases/{number}/reopen", {})
    await desk.call(f"cases/{number}/close", {})
    await desk.act(link, "feedback", score="1", words="Thanks. But when do I get my money?")
    shown = await desk.call(f"cases/{number}")
    assert shown["state"] == "open"
    assert shown["feedback"][1]["question"] == shown["contacts"][-1]["id"]
    [waiting] = (await desk.call("queue"))["cases"]
    assert (waiting["number"], waiting["what"]) == (number, ["contact"])


async def test_who_asks_for_a_person_gets_a_name_and_a_time(desk: Office) -> None:
    await desk.call("queue/take", {})
    link = await desk.tell(message="I want to speak with somebody", customer_number="N-0001")
    number = await desk.number_of(link)
    await desk.act(link, "person", phone="+31 6 12345678", wish="My wheelchair")
    page = await desk.see(link)
    assert "ops will call you at +31612345678" in page
    assert "A person for you" in page
    [letter] = await desk.letters()
    assert "ops will call you" in letter["body"]
    shown = await desk.call(f"cases/{number}")
    [appointment] = shown["appointments"]
    assert (shown["agent"], appointment["wish"], appointment["state"]) == ("ops", "My wheelchair", "promised")
    await desk.call(f"cases/{number}/appointments/{appointment['id']}", {"state": "kept", "note": "Arranged"})
    await desk.call(f"cases/{number}/appointments/{appointment['id']}", {"state": "kept"}, status=409)
    assert "A person for you" not in await desk.see(link)
    await desk.act(link, "person", phone="not a number", status=422)


async def test_taking_everything_back_stops_the_work(desk: Office) -> None:
    link = await desk.tell(message="Refund", customer_number="N-0001", asks_for="refund")
    number = await desk.number_of(link)
    await desk.act(link, "withdraw")
    shown = await desk.call(f"cases/{number}")
    assert (shown["state"], shown["claims"][0]["state"]) == ("closed", "withdrawn")
    assert (await desk.call("queue"))["cases"] == []


async def test_one_answer_to_many_cases_reaches_each_person_once(desk: Office) -> None:
    await a_customer(desk.database, "Ben Bos", number="N-0002", mails=["ben@x.example"])
    await desk.tell(message="One", customer_number="N-0001", asks_for="refund")
    await desk.tell(message="Two", customer_number="N-0001", email="anna@x.example")
    await desk.tell(message="Three", customer_number="N-0002")
    await desk.tell(message="Four", name="Kim Kok", email="kim@elsewhere.example")
    link = await desk.tell(message="Five, with no name at all")
    body = {
        "key": "snow-2013-02-08",
        "incident": desk.incident,
        "texts": {"en": {"subject": "About your flight", "text": "You can fly on Sunday."}},
    }
    sent = await desk.call("mass-replies", body)
    assert (sent["cases"], sent["persons"], sent["unreachable"]) == (4, 3, 1)
    letters = await desk.letters()
    assert sorted(one["address"] for one in letters) == ["anna@x.example", "ben@x.example", "kim@elsewhere.example"]
    assert "You can fly on Sunday." in await desk.see(link)
    await desk.call("mass-replies", body, status=409)
    assert [one["what"] for one in (await desk.call("queue"))["cases"]] == [["claim"]]


async def test_cases_opened_in_advance_are_found_by_the_contacts_that_come(desk: Office) -> None:
    await a_customer(desk.database, "Ben Bos", number="N-0002", mails=["ben@x.example"])
    await desk.tell(message="I was first", customer_number="N-0001")
    assert await desk.call("cases", {"incident": desk.incident}) == {"cases": 1}
    assert await desk.call("cases", {"incident": desk.incident}) == {"cases": 0}
    link = await desk.tell(message="Now I come", customer_number="N-0002")
    number = await desk.number_of(link)
    shown = await desk.call(f"cases/{number}")
    assert [line["event"] for line in shown["journal"]] == ["opened", "contact_joined"]
    assert len((await desk.call("cases"))["cases"]) == 2
    await desk.call("cases", {"incident": "nowhere"}, status=404)


async def test_the_second_writer_is_told_and_loses_nothing(desk: Office) -> None:
    link = await desk.tell(message="Help", customer_number="N-0001")
    number = await desk.number_of(link)
    version = (await desk.call(f"cases/{number}"))["version"]
    await desk.call(f"cases/{number}/reply", {"text": "First", "version": version})
    refused = await desk.call(f"cases/{number}/reply", {"text": "Second", "version": version}, status=409)
    assert refused["code"] == "case_changed"
    assert "ops changed case" in refused["detail"]
    assert len(await desk.letters()) == 1


async def test_queues_by_language_and_kind_and_whose(desk: Office) -> None:
    first = await desk.number_of(await desk.tell(message="Refund", name="A B", email="a@x.example", asks_for="refund"))
    second = await desk.number_of(await desk.tell(message="Hulp", name="C D", email="c@x.example", language="nl"))

    async def listed(query: str) -> list[str]:
        return [one["number"] for one in (await desk.call(f"queue?{query}"))["cases"]]

    assert await listed("") == [first, second]
    assert await listed("language=nl") == [second]
    assert await listed("kind=refund") == [first]
    taken = await desk.call("queue/take", {})
    assert taken["number"] == first
    assert await listed("whose=mine") == [first]
    assert await listed("whose=nobody") == [second]
    await desk.call(f"cases/{first}/assign", {"agent": "nobody-at-all"}, status=404)
    await desk.call(f"cases/{first}/assign", {"agent": None})
    assert await listed("whose=nobody") == [first, second]
    await desk.call(f"cases/{first}/reply", {"text": "Hello"})
    assert [one["what"] for one in (await desk.call("queue"))["cases"]] == [["contact"], ["claim"]]


async def test_saved_replies_are_kept_by_name_and_language(desk: Office) -> None:
    saved = await desk.call("saved-replies", {"name": "Hotel", "language": "nl", "text": "Stuur de bon."})
    again = await desk.call("saved-replies", {"name": "Hotel", "language": "nl", "text": "Stuur ons de bon."})
    assert again["id"] == saved["id"]
    assert [one["words"] for one in await desk.call("saved-replies")] == ["Stuur ons de bon."]
    await desk.call("saved-replies", {"name": "", "language": "dutch", "text": " "}, status=422)


async def test_whoever_is_taken_out_keeps_their_claim_and_nothing_that_was_said_to_the_other(desk: Office) -> None:
    await desk.tell(message="Mine", customer_number="N-0001", asks_for="refund")
    other = await desk.tell(message="Not mine", customer_number="N-0001", asks_for="refund")
    number = await desk.number_of(other)
    await desk.call(f"cases/{number}/decide", REFUSAL)
    before = await desk.call(f"cases/{number}")
    assert "We cannot find a ticket" in await desk.see(other)
    done = await desk.call(f"cases/{number}/split", {"contacts": [before["contacts"][1]["id"]], "reason": "A typo"})
    assert len(done["numbers"]) == 2
    page = await desk.see(other)
    assert "We cannot find a ticket" not in page
    assert await desk.number_of(other) != number
    apart = await desk.call(f"cases/{await desk.number_of(other)}")
    assert [one["state"] for one in apart["claims"]] == ["open"]
    assert [(one["kind"], one["due_at"]) for one in apart["clocks"] if one["state"] == "running"] == [
        ("first_answer", before["contacts"][1]["answer_by"]),
        ("claim", before["claims"][1]["decide_by"]),
    ]
    rest = await desk.call(f"cases/{number}")
    assert [one["state"] for one in rest["claims"]] == ["decided"]
    [decision] = await desk.call(f"cases/{number}/persons")
    await desk.call(f"persons/{decision['id']}/undo", {"reason": "It was no typo"})
    again = await desk.call(f"cases/{number}")
    for part in ("claims", "clocks", "replies"):
        assert again[part] == before[part], part
    assert [one["answered_at"] for one in again["contacts"]] == [one["answered_at"] for one in before["contacts"]]
    assert "We cannot find a ticket" in await desk.see(other)


async def test_new_evidence_that_takes_a_case_apart_leaves_each_their_own_claims_clocks_and_answers(
    desk: Office, database: Database
) -> None:
    await a_customer(database, "Ben Bos", number="N-0002")
    agency = {"email": "desk@trips.example", "asks_for": "refund"}
    kim = await desk.tell(message="Kim's", name="Kim Kok", **agency)
    anna = await desk.tell(message="Anna's", customer_number="N-0001", **agency)
    number = await desk.number_of(anna)
    assert await desk.number_of(kim) == number
    await desk.call(f"cases/{number}/decide", REFUSAL)
    before = await desk.call(f"cases/{number}")
    await desk.call(f"cases/{number}/close", {})
    ben = await desk.tell(message="Ben's", customer_number="N-0002", **agency)
    numbers = {await desk.number_of(link) for link in (kim, anna, ben)}
    assert len(numbers) == 3
    assert "We cannot find a ticket" in await desk.see(kim)
    assert "We cannot find a ticket" not in await desk.see(anna)
    apart = await desk.call(f"cases/{await desk.number_of(anna)}")
    assert (apart["state"], [one["state"] for one in apart["claims"]]) == ("open", ["open"])
    assert [one["answered_at"] for one in apart["contacts"]] == [None]
    assert [(one["kind"], one["due_at"]) for one in apart["clocks"] if one["state"] == "running"] == [
        ("first_answer", before["contacts"][1]["answer_by"]),
        ("claim", before["claims"][1]["decide_by"]),
    ]
    rest = await desk.call(f"cases/{number}")
    assert (rest["state"], [one["state"] for one in rest["claims"]]) == ("closed", ["decided"])


async def test_two_cases_joined_by_hand_are_one_for_customer_and_clocks(desk: Office) -> None:
    first = await desk.tell(message="One", name="Kim Kok", email="kim@x.example", asks_for="refund")
    second = await desk.tell(message="Two", name="Pim Pit", email="pim@y.example", asks_for="expenses")
    numbers = [await desk.number_of(link) for link in (first, second)]
    clocks = [clock for number in numbers for clock in (await desk.call(f"cases/{number}"))["clocks"]]
    await desk.call(f"cases/{numbers[1]}/merge", {"other": numbers[0], "reason": "She told me so"})
    assert await desk.number_of(second) == numbers[0]
    merged = await desk.call(f"cases/{numbers[1]}")
    assert (merged["number"], merged["former_numbers"]) == (numbers[0], [numbers[1]])
    assert sorted(merged["clocks"], key=str) == sorted(clocks, key=str)
    await desk.call(f"cases/{numbers[0]}/split", {"contacts": [], "reason": "x"}, status=422)
    await desk.call(f"cases/{numbers[0]}/merge", {"other": "C-1", "reason": "x"}, status=404)


async def test_who_left_a_case_long_ago_is_forgotten_when_the_next_one_opens_any(desk: Office) -> None:
    for name in ("Ben Bos", "Kim Kok"):
        await desk.tell(message="One", name=name)
    now = system_clock()
    async with desk.database.transaction() as tx:
        connection = await driver(tx)
        first, second = [row[0] for row in await connection.fetch("SELECT id FROM cases ORDER BY id")]
        await agents.see(tx, first, "ada", "Ada", now=now - timedelta(hours=2))
        assert await agents.see(tx, first, "noor", "Noor", now=now - timedelta(minutes=5)) == []
        assert await agents.see(tx, second, "ada", "Ada", now=now) == []
        assert await agents.see(tx, first, "ada", "Ada", now=now) == []
        assert await agents.see(tx, first, "noor", "Noor", now=now) == ["Ada"]
        await agents.see(tx, second, "kim", "Kim", now=now + timedelta(hours=3))
        left = await connection.fetch("SELECT case_id, agent FROM presences")
    assert [tuple(row) for row in left] == [(second, "kim")]
