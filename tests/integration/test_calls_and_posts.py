"""The phone at the desk, a call centre's evening as a file, and public posts: all contacts like any other."""

import hashlib
import hmac
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from app.call_import import take_calls
from app.wiring import Parts
from claims.call_file import BadLine, GoodLine, read_calls
from claims.intake import Intake
from foundation.database import driver
from foundation.errors import Invalid
from tests.support.claimants import a_customer, an_incident, partition, resolve
from tests.support.desk import a_person, field, signed_in
from tests.support.web import open_client, parts_for

KEY = b"what readers of networks sign with"


@pytest.fixture
async def parts(database_url: str, tmp_path: Path) -> AsyncIterator[Parts]:
    made = parts_for(database_url, tmp_path, posts_key=KEY)
    yield made
    await made.database.close()


async def rows(parts: Parts, query: str) -> list[tuple[object, ...]]:
    async with parts.database.transaction() as tx:
        return [tuple(row) for row in await (await driver(tx)).fetch(query)]


async def test_a_call_is_looked_up_first_and_lands_in_the_callers_case(parts: Parts) -> None:
    await an_incident(parts.database)
    johanna = await a_customer(
        parts.database, "Johanna Velde", number="NY-7", phones=["+31612345678"], references=["7QX4ZD"]
    )
    await a_customer(parts.database, "Johanna Smit", number="NY-8")
    async with open_client(parts) as web:
        await signed_in(web, parts, await a_person(parts))
        both = await web.get("/desk/calls", params={"q": "johanna"})
        assert "Johanna Velde" in both.text
        assert "Johanna Smit" in both.text
        for typed in ("7qx4zd", "ny7", "06 12345678", "Johanna Velde"):
            page = await web.get("/desk/calls", params={"q": typed})
            assert field(page, "customer_number") == "NY-7", typed
        note = {name: field(page, name) for name in ("csrf", "form", "customer_number", "name", "phone", "language")}
        empty = await web.post("/desk/calls", data={**note, "message": " "})
        assert empty.status_code == 422
        said = {**note, "message": "Is stranded in Boston", "asks_for": "rebooking"}
        noted = await web.post("/desk/calls", data=said)
        again = await web.post("/desk/calls", data=said)
        assert noted.status_code == 303
        assert noted.headers["location"] == again.headers["location"]
        receipt = noted.headers["location"].rpartition("=")[2]
        assert re.search(r"receipt is [0-9A-Z]{4}-", (await web.get(noted.headers["location"])).text)
        unknown = await web.get("/desk/calls", params={"q": "<b>Nobody</b>"})
        assert "&lt;b&gt;Nobody" in unknown.text
        assert "<b>Nobody" not in unknown.text
    await resolve(parts.database)
    [(number, customer)] = (await partition(parts.database)).values()
    assert customer == johanna
    [(channel, raw)] = await rows(parts, "SELECT channel, raw FROM contacts")
    assert channel == "phone"
    assert isinstance(raw, bytes)
    assert json.loads(raw)["agent"] == "staff:noor"
    assert [row[0] for row in await rows(parts, f"SELECT receipt FROM contacts WHERE receipt = '{receipt}'")]
    async with open_client(parts) as web:
        await signed_in(web, parts, await a_person(parts, "lee"))
        for typed in (receipt, str(number)):
            assert "NY-7" in (await web.get("/desk/calls", params={"q": typed})).text


EVENING = (
    "call_id;Name;reference;asks_for;message\n"
    '1;Jo Jones;7QX4ZD;refund;"No train; no taxi,\nno money"\n'
    "2;Ann;;;\n"
    "3;Bo;;a pony;Wants a pony\n"
    "4;Cy;;;Second line says enough\n"
    "5;Di;;;too;many;columns\n"
)


def test_bad_lines_are_named_by_number_and_the_rest_is_read() -> None:
    lines = list(read_calls(EVENING.encode("utf-8-sig")))
    good = [one.line for one in lines if isinstance(one, GoodLine)]
    bad = {one.line: one.reason for one in lines if isinstance(one, BadLine)}
    assert good == [3, 6]
    assert bad.keys() == {4, 5, 7}
    assert bad[5].startswith("asks_for: must be one of")
    assert "more columns" in bad[7]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"name,phone\nJo,1\n"])
def test_what_is_no_such_file_is_refused_as_a_whole(content: bytes) -> None:
    with pytest.raises(Invalid):
        list(read_calls(content))


async def test_an_evening_of_calls_is_taken_in_once(parts: Parts) -> None:
    async with Intake(parts.database).running() as intake:
        first = await take_calls(intake, EVENING.encode())
        again = await take_calls(intake, EVENING.encode())
        other = await take_calls(intake, EVENING.replace("Second line", "Another line").encode())
    assert (first.taken, len(first.bad)) == (again.taken, len(again.bad)) == (2, 3)
    assert (other.taken, [one.line for one in other.bad]) == (1, [4, 5, 6, 7])
    assert await rows(parts, "SELECT count(*) FROM contacts") == [(2,)]


async def test_the_desk_takes_a_file_too_and_only_from_its_own_page(parts: Parts) -> None:
    async with open_client(parts) as web:
        await signed_in(web, parts, await a_person(parts))
        csrf = field(await web.get("/desk/calls"))
        file = {"file": ("evening.csv", EVENING.encode(), "text/csv")}
        shown = await web.post("/desk/calls/file", data={"csrf": csrf}, files=file)
        assert shown.status_code == 422
        assert "2 calls taken in" in shown.text
        assert "line 5" in shown.text
        assert (await web.post("/desk/calls/file", data={"csrf": "x"}, files=file)).status_code == 403
        assert (
            await web.post("/desk/calls/file", data={"csrf": csrf}, files={"file": ("x", b"\xff")})
        ).status_code == 422
    assert await rows(parts, "SELECT count(*) FROM contacts") == [(2,)]


async def a_post(
    web: httpx2.AsyncClient, parts: Parts, *, key: bytes = KEY, late: int = 0, **post: str
) -> httpx2.Response:
    body = json.dumps({"network": "mastodon", "id": "1", "author": "@jo", "text": "No train!", **post}).encode()
    at = str(int(parts.clock().timestamp()) - late)
    signature = hmac.new(key, f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    headers = {"Stormdesk-Signature": f"t={at},v1={signature}"}
    return await web.post("/api/v1/posts", content=body, headers=headers)


async def test_a_post_gets_a_link_in_public_and_nothing_about_anybody(parts: Parts) -> None:
    await an_incident(parts.database)
    await a_customer(parts.database, "Jo Jones", number="NY-7", mails=["jo@mail.example"])
    async with open_client(parts) as web:
        for refused in (await a_post(web, parts, key=b"x" * 32), await a_post(web, parts, late=600)):
            assert (refused.status_code, refused.json()["code"]) == (422, "bad_signature")
        taken = await a_post(web, parts, language="nl", url="javascript:alert(1)")
        assert taken.status_code == 202, taken.text
        assert (await a_post(web, parts, language="nl", url="javascript:alert(1)")).json() == taken.json()
        answer = taken.json()["answer"]
        assert answer.startswith("Vervelend dat dit is gebeurd")
        [link] = re.findall(r"https://\S+", answer)
        assert "Jo" not in answer.replace(link, "")
        edited = await a_post(web, parts, event="edited", text="Still no train!", language="nl")
        assert edited.json() == taken.json()
        assert await rows(parts, "SELECT count(*), count(continues_id) FROM contacts") == [(2, 1)]
        [(minutes,)] = await rows(
            parts,
            "SELECT extract(epoch FROM min(answer_by - received_at)) / 60 FROM contacts WHERE continues_id IS NULL",
        )
        assert minutes == 15
        await worked_at_the_desk(parts, web, link)


async def worked_at_the_desk(parts: Parts, web: httpx2.AsyncClient, link: str) -> None:
    await signed_in(web, parts, await a_person(parts))
    queue = await web.get("/desk/posts")
    assert "min left" in queue.text
    assert "javascript:" not in queue.text
    assert link in queue.text
    [path] = set(re.findall(r"/desk/posts/\d+/answered", queue.text))
    assert (await web.post(path, data={"csrf": field(queue)})).status_code == 303
    assert (await web.post(path, data={"csrf": field(queue)})).status_code == 303
    assert "No post waits" in (await web.get("/desk/posts")).text
    assert await rows(parts, "SELECT state, ended_by FROM posts") == [("answered", "staff:noor")]
    # Whoever follows the link says who they are; the post is what their message continues.
    form = await web.get(link.removeprefix("https://status.example.com"))
    told = {"message": "It was me", "email": "jo@mail.example", "post": field(form, "post")}
    assert (await web.post("/claim", data=told)).status_code == 303
    await resolve(parts.database)
    [(continues, channel)] = await rows(
        parts,
        "SELECT b.channel, k.channel FROM contacts k JOIN contacts b ON b.id = k.continues_id WHERE k.channel = 'web'",
    )
    assert (continues, channel) == ("post", "web")
    await a_post(web, parts, id="2")
    assert (await a_post(web, parts, id="2", event="deleted")).json() == {"answer": ""}
    assert await rows(parts, "SELECT state FROM posts WHERE post_id = '2'") == [("deleted",)]
