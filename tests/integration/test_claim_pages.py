"""What claims says over HTTP: receipts, states, refusals, and pages that show nobody what is not theirs."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest

from claims import Resolver
from claims.receipts import new_receipt
from foundation.database import Database, driver
from foundation.tokens import Tokens
from tests.support.claimants import OUTAGES, a_customer, an_incident, partition, resolve
from tests.support.incidents import a_draft, declared, say
from tests.support.site import site
from tests.support.web import parts_for, staff_token

SECRET = "The other person's secret words"


@pytest.fixture
async def web(database: Database, database_url: str, tmp_path: Path) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the whole application, over real HTTP, on a database with one incident and one customer."""
    await an_incident(database)
    await a_customer(database, "Anna Jansen", number="N-0001", mails=["anna@x.example"])
    await a_customer(database, "Ben Bos", number="N-0002")
    parts = parts_for(database_url, tmp_path)
    async with site(parts) as address, httpx2.AsyncClient(base_url=address) as client:
        client.headers["x-staff"] = await staff_token(parts)
        yield client
    await parts.database.close()


def staff(web: httpx2.AsyncClient) -> dict[str, str]:
    return {"Authorization": f"Bearer {web.headers['x-staff']}"}


def path_of(answer: httpx2.Response) -> str:
    """The path of the link in a 202."""
    url: str = answer.json()["track_url"]
    return url.removeprefix("https://status.example.com")


async def test_a_contact_gets_a_receipt_and_a_link(web: httpx2.AsyncClient) -> None:
    answer = await web.post("/api/v1/contacts", json={"message": "Help", "customer_number": "N-0001"})
    assert answer.status_code == 202
    assert re.fullmatch(r"([0-9A-HJKMNP-TV-Z]{4}-){2}[0-9A-HJKMNP-TV-Z]{4}", answer.json()["receipt"])
    page = await web.get(path_of(answer))
    assert page.status_code == 200
    assert "Received, and being sorted" in page.text
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert "noindex" in page.headers["x-robots-tag"]


async def test_the_state_says_where_it_is_and_nothing_else(web: httpx2.AsyncClient, database: Database) -> None:
    answer = await web.post("/api/v1/contacts", json={"message": "Help", "customer_number": "N-0001"})
    receipt = answer.json()["receipt"]
    assert (await web.get(f"/api/v1/contacts/{receipt}")).json() == {"state": "received"}
    await resolve(database)
    assert (await web.get(f"/api/v1/contacts/{receipt.lower()}")).json() == {"state": "in_a_case"}


async def test_an_unknown_receipt_and_no_receipt_at_all_get_the_same_answer(web: httpx2.AsyncClient) -> None:
    answers = [await web.get(f"/api/v1/contacts/{text}") for text in (new_receipt(), "nonsense", "%00", "a" * 500)]
    assert {(answer.status_code, answer.text) for answer in answers} == {(404, answers[0].text)}
    assert answers[0].json()["code"] == "no_such_contact"


async def test_what_is_wrong_is_a_problem_document(web: httpx2.AsyncClient) -> None:
    answer = await web.post("/api/v1/contacts", json={"phone": 612345678})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert answer.json()["errors"] == [{"field": "phone", "message": "Expected `str | null`, got `int`."}]
    too_large = await web.post("/api/v1/contacts", content=b'{"message": "' + b"x" * 300_000 + b'"}')
    assert too_large.status_code == 413
    assert (await web.put("/api/v1/contacts", json={})).status_code == 405


async def test_idempotency_keys_over_http(web: httpx2.AsyncClient) -> None:
    async def post(key: str, message: str) -> httpx2.Response:
        return await web.post("/api/v1/contacts", json={"message": message}, headers={"Idempotency-Key": key})

    first, again, quoted = await post("k-1", "Help"), await post("k-1", "Help"), await post('"k-1"', "Help")
    assert first.status_code == again.status_code == 202
    assert first.json() == again.json() == quoted.json()
    other = await post("k-1", "Other words")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert (await post("x" * 201, "Help")).json()["code"] == "invalid_idempotency_key"


async def test_a_form_sent_twice_is_one_contact(web: httpx2.AsyncClient, database: Database) -> None:
    page = await web.get("/claim")
    found = re.search(r'name="form" value="([^"]+)"', page.text)
    assert found is not None
    typed = {"form": found.group(1), "message": "Help", "name": "Anna"}
    answers = await asyncio.gather(*(web.post("/claim", data=typed) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {303}
    assert len({answer.headers["location"] for answer in answers}) == 1
    mended = await web.post("/claim", data={**typed, "message": "Help, please"})
    assert mended.headers["location"] != answers[0].headers["location"]
    async with database.transaction() as tx:
        assert await (await driver(tx)).fetchval("SELECT count(*) FROM contacts") == 2


async def test_a_form_sent_back_has_no_link_that_would_lose_what_was_typed(web: httpx2.AsyncClient) -> None:
    assert 'hreflang="nl"' in (await web.get("/claim")).text
    sent_back = await web.post("/claim", data={"message": "Help", "email": "not an address"})
    assert sent_back.status_code == 422
    assert "hreflang" not in sent_back.text


async def test_no_one_reads_another_persons_words(web: httpx2.AsyncClient, database: Database) -> None:
    """Somebody types Anna's number; both are in her case, and each sees only what they wrote."""
    anna = await web.post("/api/v1/contacts", json={"message": SECRET, "email": "anna@x.example", "name": "Anna"})
    stranger = await web.post("/api/v1/contacts", json={"message": "Hello", "customer_number": "N-0001"})
    await resolve(database)
    assert len({number for number, _ in (await partition(database)).values()}) == 1
    seen = await web.get(path_of(stranger))
    assert "Everything you sent us" in seen.text
    assert seen.text.count("-••••-••••") == 2
    for private in (SECRET, SECRET.split("'", maxsplit=1)[0], "anna@x.example", anna.json()["receipt"]):
        assert private not in seen.text
    assert "secret words" in (await web.get(path_of(anna))).text


async def test_after_a_split_a_link_follows_its_own_contact(web: httpx2.AsyncClient, database: Database) -> None:
    async def tell(**said: str) -> httpx2.Response:
        answer = await web.post("/api/v1/contacts", json=said)
        await resolve(database)
        return answer

    kim = await tell(message="I am Kim", email="agent@trips.example", name="Kim Kok")
    await tell(message="I am Anna", email="agent@trips.example", customer_number="N-0001")
    assert (await web.get(path_of(kim))).text.count("-••••-••••") == 2
    await tell(message="I am Ben", email="agent@trips.example", customer_number="N-0002")
    assert (await web.get(path_of(kim))).text.count("-••••-••••") == 1


async def test_a_link_we_did_not_make_shows_nothing(web: httpx2.AsyncClient) -> None:
    answer = await web.post("/api/v1/contacts", json={"message": "Help"})
    token = path_of(answer).removeprefix("/t/")
    forged = Tokens([b"a key that is not ours, long enough"]).sign("track", b"0" * 12)
    for bad in (forged, token[:-1] + ("A" if token[-1] != "A" else "B"), "x", "%00", token + "="):
        assert (await web.get(f"/t/{bad}")).status_code == 404, bad


async def test_every_failure_to_find_a_case_looks_the_same(web: httpx2.AsyncClient) -> None:
    answer = await web.post("/api/v1/contacts", json={"message": "Help", "email": "anna@x.example"})
    receipt = answer.json()["receipt"]
    typed = [(receipt, "wrong@x.example"), (new_receipt(), "anna@x.example"), ("nonsense", ""), (receipt, "\0")]
    pages = [await web.post("/track", data={"receipt": one, "fact": fact}) for one, fact in typed]
    shown = {re.sub(r'value="[^"]*"', "", page.text) for page in pages}
    assert ({page.status_code for page in pages}, len(shown)) == ({422}, 1)
    right = await web.post("/track", data={"receipt": receipt.lower(), "fact": " ANNA@x.example"})
    assert right.status_code == 303
    assert right.headers["location"].startswith("/t/")


async def test_the_desk_lists_and_opens_cases(web: httpx2.AsyncClient, database: Database) -> None:
    for n in range(5):
        await web.post("/api/v1/contacts", json={"message": f"Help {n}"})
    await web.post("/api/v1/contacts", json={"message": "Help", "customer_number": "N-0001"})
    await resolve(database)
    seen: list[str] = []
    after: int | None = 0
    while after is not None:
        answer = await web.get("/api/v1/cases", params={"limit": 2, "after": after}, headers=staff(web))
        seen += [case["number"] for case in answer.json()["cases"]]
        after = answer.json()["next"]
    assert len(seen) == len(set(seen)) == 6
    known = await web.get("/api/v1/cases", params={"customer": "N-0001"}, headers=staff(web))
    [case] = known.json()["cases"]
    assert (case["contacts"], case["customer_number"], case["state"]) == (1, "N-0001", "open")
    opened = (await web.get(f"/api/v1/cases/{case['number']}", headers=staff(web))).json()
    assert opened["contacts"][0]["said"]["message"] == "Help"
    assert opened["journal"][0]["detail"]["because"] == "customer_number"
    assert (
        await web.get("/api/v1/cases", params={"limit": "x", "state": "odd"}, headers=staff(web))
    ).status_code == 422
    assert (await web.get("/api/v1/cases/C-1", headers=staff(web))).status_code == 404
    assert (await web.get("/api/v1/cases", headers={"Authorization": "Bearer no"})).status_code == 401


async def test_sixteen_at_once_for_one_person_end_in_one_case(web: httpx2.AsyncClient, database: Database) -> None:
    """Over real HTTP, in every spelling, while several workers resolve."""
    spellings = [
        {"customer_number": "n-0001"},
        {"customer_number": "N 0001", "email": "p@home.example"},
        {"email": "ANNA@x.example"},
        {"email": "p@home.example", "name": "A. Jansen"},
    ]
    sending = True

    async def submit(n: int) -> None:
        for turn in range(10):
            said = {"message": f"Help {n} {turn}", **spellings[(n + turn) % len(spellings)]}
            assert (await web.post("/api/v1/contacts", json=said)).status_code == 202

    async def work() -> None:
        resolver = Resolver(database, OUTAGES, batch=9)
        while sending or await resolver.step():
            if sending and not await resolver.step():
                await asyncio.sleep(0.005)

    workers = [asyncio.create_task(work()) for _ in range(3)]
    await asyncio.gather(*(submit(n) for n in range(16)))
    sending = False
    await asyncio.gather(*workers)
    await resolve(database)
    found = await partition(database)
    assert len(found) == 160
    assert len(set(found.values())) == 1


async def test_the_form_is_about_the_incident_of_the_link_also_when_that_is_over(
    web: httpx2.AsyncClient, database: Database
) -> None:
    now = datetime.now(UTC)
    soon, line = now + timedelta(minutes=20), ["LINE-1"]
    async with database.transaction() as tx:
        storm, another = {"en": "The storm", "nl": "De storm"}, {"en": "Something else", "nl": "Iets anders"}
        over = await declared(tx, now=now, title=storm, components=line)
        await say(tx, over, a_draft(next_update_at=soon), now=now)
        ending = a_draft(phase="resolved", next_update_at=None, component_status=None)
        await say(tx, over, ending, now=now)
        other = await declared(tx, now=now, title=another, components=line)
        await say(tx, other, a_draft(next_update_at=soon), now=now)
    form = await web.get(f"/claim?incident={over}")
    assert "The storm" in form.text
    assert f'name="incident" value="{over}"' in form.text
    assert "Something else" not in form.text
    everything = await web.get("/claim")
    assert "The storm" in everything.text
    assert "Something else" in everything.text
