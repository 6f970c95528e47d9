"""No case is reached by guessing, counting, somebody else's words or an old link; and nobody is told what was wrong."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from claims.links import LASTS, person_token, read_link, track_token
from claims.receipts import new_receipt
from claims.tracking import follow
from foundation.database import Database
from tests.support.casework import Office, office
from tests.support.claimants import a_customer
from tests.support.web import client

SECRET = "The other person's secret words"


@pytest.fixture
async def desk(database: Database, database_url: str, tmp_path: Path) -> AsyncIterator[Office]:
    await a_customer(database, "Anna Jansen", number="N-0001", mails=["anna@x.example"], references=["ABC123"])
    async with office(database, database_url, tmp_path) as made:
        yield made


async def test_every_miss_by_number_or_receipt_looks_the_same(desk: Office) -> None:
    link = await desk.tell(message="Help", name="Anna Jansen", email="anna@x.example", customer_number="N-0001")
    number = await desk.number_of(link)
    misses = [
        (number, "wrong@x.example"),
        (number, "Anna Jansen"),  # numbers can be counted up to, and many have the same name
        (number, ""),
        ("C-100999", "anna@x.example"),
        ("C-1", "anna@x.example"),
        (f"{number}' OR 1=1", "anna@x.example"),
        (new_receipt(), "anna@x.example"),
        ("nonsense", "anna@x.example"),
    ]
    shown = set()
    for named, fact in misses:
        page = await desk.web.post("/track", data={"receipt": named, "fact": fact})
        shown.add((page.status_code, re.sub(r'value="[^"]*"', "", page.text)))
    assert len(shown) == 1
    assert next(iter(shown))[0] == 422


@pytest.mark.parametrize("fact", ["anna@x.example", "n 0001", "abc-123"])
async def test_a_number_and_a_fact_of_ones_own_lead_to_ones_own_words_only(desk: Office, fact: str) -> None:
    await desk.tell(message=SECRET, customer_number="N-0001", phone="+31612345678")
    own = await desk.tell(message="Mine", customer_number="N-0001", email="anna@x.example", reference="ABC123")
    number = await desk.number_of(own)
    answer = await desk.web.post("/track", data={"receipt": number.lower(), "fact": fact})
    assert answer.status_code == 303
    page = await desk.see(answer.headers["location"])
    assert (SECRET in page, "Mine" in page) in ((False, True), (True, False))
    assert "+31612345678" not in page or SECRET.split("'", maxsplit=1)[0] in page


async def test_numbers_cannot_be_tried_with_one_fact_nor_facts_with_one_number(desk: Office) -> None:
    async with client(desk.parts, address="198.51.100.7") as web:
        for n in range(10):
            page = await web.post("/track", data={"receipt": f"C-{100500 + n}", "fact": "anna@x.example"})
            assert page.status_code == 422
        page = await web.post("/track", data={"receipt": "C-100777", "fact": "ANNA@x.example "})
        assert page.status_code == 429
        for n in range(10):
            page = await web.post("/track", data={"receipt": "C-100888", "fact": f"N-{n:04}"})
            assert page.status_code == 422
        page = await web.post("/track", data={"receipt": "C-100888", "fact": "N-0011"})
        assert page.status_code == 429
        assert "We cannot find a message" in page.text


async def test_only_links_that_we_made_for_this_open_anything(desk: Office) -> None:
    link = await desk.tell(message="Help", customer_number="N-0001")
    token = link.removeprefix("/t/")
    receipt = read_link(desk.parts.tokens, token).receipt  # type: ignore[union-attr]  # it is one of ours
    [customer] = await desk.rows("SELECT id FROM customers WHERE number = 'N-0001'")
    sign = desk.parts.tokens.sign
    forged = [
        token[:-1] + ("A" if token[-1] != "A" else "B"),
        sign("track", receipt.encode()),
        sign("post", receipt.encode()),
        sign("follow-confirm", b"p" + desk.incident.encode() + customer["id"].to_bytes(8, "big") + bytes(3)),
        person_token(desk.parts.tokens, desk.incident, customer["id"] + 1),
        person_token(desk.parts.tokens, "0" * 12, customer["id"]),
        track_token(desk.parts.tokens, new_receipt()),
        track_token(desk.parts.tokens, receipt, turn=1),
    ]
    unknown = set()
    for bad in forged:
        page = await desk.web.get(f"/t/{bad}")
        unknown.add((page.status_code, page.text.replace(bad, "")))
        assert (await desk.web.post(f"/t/{bad}/add", data={"message": "x"})).status_code == 404
        assert (await desk.web.get(f"/t/{bad}/data")).status_code == 404
    assert {status for status, _ in unknown} == {404}
    assert len(unknown) == 1
    assert (await desk.web.get(link)).status_code == 200


async def test_a_link_that_was_given_up_leads_nowhere_and_the_new_one_does(desk: Office) -> None:
    link = await desk.tell(message="Help", customer_number="N-0001", email="anna@x.example")
    moved = await desk.act(link, "new-link")
    fresh = moved.headers["location"].partition("?")[0]
    assert "Help" in await desk.see(fresh)
    await desk.see(link, status=404)
    await desk.act(link, "add", message="From whoever found it", status=404)
    assert (await desk.web.get(f"{link}/data")).status_code == 404
    # By receipt and fact one gets to the new one.
    receipt = read_link(desk.parts.tokens, fresh.removeprefix("/t/")).receipt  # type: ignore[union-attr]  # one of ours
    found = await desk.web.post("/track", data={"receipt": receipt, "fact": "anna@x.example"})
    assert "Help" in await desk.see(found.headers["location"])


async def test_links_last_while_the_case_is_open_and_half_a_year_longer(desk: Office) -> None:
    path = await desk.tell(message="Help", customer_number="N-0001")
    number = await desk.number_of(path)
    link = read_link(desk.parts.tokens, path.removeprefix("/t/"))
    assert link is not None
    later = desk.parts.clock() + LASTS + timedelta(days=1)
    async with desk.database.transaction() as tx:
        assert await follow(tx, link, now=later) is not None
    await desk.call(f"cases/{number}/reply", {"text": "Done"})
    await desk.call(f"cases/{number}/close", {"tell": False})
    async with desk.database.transaction() as tx:
        assert await follow(tx, link, now=later) is None
        assert await follow(tx, link, now=later - timedelta(days=3)) is not None


async def test_who_typed_somebody_elses_number_can_do_nothing_to_their_case(desk: Office) -> None:
    anna = await desk.tell(message=SECRET, customer_number="N-0001", email="anna@x.example", asks_for="refund")
    stranger = await desk.tell(message="Me", customer_number="N-0001", email="thief@y.example", asks_for="refund")
    number = await desk.number_of(anna)
    assert await desk.number_of(stranger) == number
    await desk.act(stranger, "reach", address="thief@y.example")
    refusal = {"kind": "expenses", "outcome": "rejected", "reason": "no_proof", "text": "No", "next_steps": ["appeal"]}
    hers = await desk.tell(message="And my hotel", customer_number="N-0001", asks_for="expenses")
    await desk.call(f"cases/{number}/decide", refusal)
    await desk.call(f"cases/{number}/reply", {"text": "Only for Anna", "contacts": [1]})
    assert {one["address"] for one in await desk.letters()} == {"anna@x.example"}
    seen, data = await desk.see(stranger), (await desk.web.get(f"{stranger}/data")).text
    for private in (SECRET, SECRET.split("'", maxsplit=1)[0], "anna@x.example", "No proof", "And my hotel", "Only for"):
        assert private not in seen
        assert private not in data
    decision = re.search(r'name="decision" value="(\d+)"', await desk.see(hers))
    assert decision is not None
    await desk.act(stranger, "appeal", decision=decision[1], words="Pay me", status=409)
    await desk.act(stranger, "withdraw")
    claims = await desk.rows("SELECT contact_id, kind, state FROM claims ORDER BY id")
    assert [tuple(one) for one in claims] == [
        (1, "refund", "open"),
        (2, "refund", "withdrawn"),
        (3, "expenses", "decided"),
    ]
    assert (await desk.call(f"cases/{number}"))["state"] == "open"


async def test_a_mailed_link_shows_the_customers_own_case_but_not_words_in_another_name(desk: Office) -> None:
    await desk.tell(message="This is me", customer_number="N-0001", name="Anna Jansen")
    await desk.tell(message=SECRET, customer_number="N-0001", email="anna@x.example", name="Kim Kok")
    number = (await desk.call("cases"))["cases"][0]["number"]
    await desk.call(f"cases/{number}/reply", {"text": "Here you are"})
    [letter] = await desk.letters()
    mailed = re.search(r"https://status.example.com(/t/\S+?)\?", letter["body"])
    assert mailed is not None
    page = await desk.see(mailed[1])
    assert "This is me" in page
    assert "Here you are" in page
    assert SECRET.split("'", maxsplit=1)[0] not in page


async def test_forms_of_one_case_can_be_sent_so_often_and_no_more(desk: Office) -> None:
    link = await desk.tell(message="Help", customer_number="N-0001")
    async with client(desk.parts, address="198.51.100.9") as web:
        answers = await asyncio.gather(*(web.post(f"{link}/add", data={"message": ""}) for _ in range(45)))
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {422, 429}
    assert statuses.count(422) <= 35  # thirty a minute, and a slow machine may see two of them begin
