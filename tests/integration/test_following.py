"""Following: from the form to the confirmed subscriber, and whatever somebody may try on the way."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.templates import render
from claims import Intake
from claims.intake import Arrival
from foundation.actors import SYSTEM
from foundation.database import Database, driver
from foundation.tokens import Tokens
from incidents import Component, define_components
from notify import Clue, find_customers
from notify.confirmations import MOST_PER_HOST
from notify.following import (
    CONFIRM_WITHIN,
    MOST_PER_CLIENT,
    client_name,
    stop_following,
    webhook_is_gone,
)
from notify.subscriptions import confirm_token, read_confirm_token, stop_token
from tests.support.claimants import resolve
from tests.support.followers import a_confirmer, a_subscriber
from tests.support.incidents import a_draft, declared, say
from tests.support.web import client, parts_for

ANNA = "anna@example.org"


@pytest.fixture
async def stranger(database_url: str, tmp_path: Path) -> AsyncIterator[httpx2.AsyncClient]:
    async with client(parts_for(database_url, tmp_path)) as made:
        yield made


async def rows(database: Database, query: str, *values: Any) -> list[Any]:
    async with database.transaction() as tx:
        return [tuple(row) for row in await (await driver(tx)).fetch(query, *values)]


async def everything(database: Database) -> dict[str, list[Any]]:
    """What is stored of following, to see whether anything changed."""
    tables = ("customers", "addresses", "followers", "follow_requests", "dispatches", "messages", "deliveries")
    return {name: await rows(database, f"SELECT xmin::text, * FROM {name} ORDER BY 1, 2") for name in tables}


async def handled(database: Database, tokens: Tokens, *, after: timedelta = timedelta(0)) -> None:
    """Let a worker handle what waits, `after` from now."""
    later = datetime.now(UTC) + after
    confirmer = a_confirmer(database, tokens, render=render, clock=lambda: later)
    while await confirmer.step():
        pass


async def mails(database: Database) -> list[tuple[str, str]]:
    """(address, body) of every mail that was planned, the oldest first."""
    return await rows(
        database,
        "SELECT a.value, m.body FROM deliveries d JOIN messages m ON m.id = d.message_id"
        " JOIN addresses a ON a.id = d.address_id ORDER BY d.id",
    )


def link_in(body: str) -> str:
    found = re.search(r"https://status\.example\.com(/follow/confirm/\S+)", body)
    assert found is not None
    return found[1]


async def an_incident(database: Database) -> str:
    """An incident the public knows of."""
    async with database.transaction() as tx:
        await define_components(tx, [Component("check-in", "Check-in")])
        incident = await declared(tx)
        await say(tx, incident, a_draft())
        return incident


# --- the way of somebody who wants news -----------------------------------------------------------------------------


async def test_somebody_follows_once_they_press_the_button_in_their_mail(
    database: Database, tokens: Tokens, stranger: httpx2.AsyncClient
) -> None:
    answer = await stranger.post("/follow?lang=nl", data={"email": " Anna@Example.ORG ", "language": "nl"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/follow/asked?by=mail&lang=nl")
    assert await mails(database) == []
    await handled(database, tokens)
    [(address, body)] = await mails(database)
    assert address == ANNA
    assert "Iemand, waarschijnlijk u, heeft ons gevraagd om elk bericht van Northwind Air te sturen" in body
    assert await rows(database, "SELECT * FROM followers") == []
    shown = await stranger.get(link_in(body))
    assert "anna@example.org" in shown.text
    assert await rows(database, "SELECT * FROM followers") == []
    confirmed = await stranger.post(link_in(body))
    assert confirmed.status_code == 200
    assert await rows(database, "SELECT incident_id FROM followers") == [(None,)]
    [(number, kind, language)] = await rows(database, "SELECT number, kind, language FROM customers")
    assert re.fullmatch("S-[A-Z2-9]{12}", number)
    assert (kind, language) == ("subscriber", "nl")
    again = await stranger.post(link_in(body))
    assert again.status_code == 200
    assert len(await rows(database, "SELECT FROM followers")) == 1


async def test_the_link_to_stop_stops_by_its_button_only(
    database: Database, tokens: Tokens, stranger: httpx2.AsyncClient
) -> None:
    async with database.transaction() as tx:
        await a_subscriber(tx, "S-ANNA", ANNA, None)
        await a_subscriber(tx, "S-BERT", "bert@example.org", None)
    path = f"/follow/stop/{stop_token(tokens, 'S-ANNA')}"
    before = await everything(database)
    assert (await stranger.get(path)).status_code == 200
    assert (await stranger.head(path)).status_code == 200
    assert await everything(database) == before
    assert "No more updates" in (await stranger.post(path)).text
    found = "SELECT c.number FROM followers f JOIN customers c ON c.id = f.customer_id"
    assert await rows(database, found) == [("S-BERT",)]
    assert (await stranger.post(path)).status_code == 200


async def test_one_incident_can_be_stopped_alone(database: Database) -> None:
    incident = await an_incident(database)
    async with database.transaction() as tx:
        await a_subscriber(tx, "S-ANNA", ANNA, None, incident)
        await stop_following(tx, "S-ANNA", incident)
    assert await rows(database, "SELECT incident_id FROM followers") == [(None,)]


async def test_one_incident_or_all_of_them(database: Database, tokens: Tokens, stranger: httpx2.AsyncClient) -> None:
    incident = await an_incident(database)
    page = await stranger.get(f"/follow?incident={incident}")
    assert "Check-in is not available" in page.text
    await stranger.post("/follow", data={"email": ANNA, "incident": incident, "scope": "incident"})
    await stranger.post("/follow", data={"email": "b@example.org", "incident": incident, "scope": "page"})
    await stranger.post("/follow", data={"email": "c@example.org", "incident": "nosuchincide"})
    await handled(database, tokens)
    for _, body in await mails(database):
        await stranger.post(link_in(body))
    found = "SELECT a.value, f.incident_id FROM followers f JOIN addresses a USING (customer_id) ORDER BY 1"
    assert await rows(database, found) == [(ANNA, incident), ("b@example.org", None), ("c@example.org", None)]


async def test_an_incident_the_public_does_not_know_is_not_named(
    database: Database, stranger: httpx2.AsyncClient
) -> None:
    async with database.transaction() as tx:
        await define_components(tx, [Component("check-in", "Check-in")])
        hidden = await declared(tx)
    assert "Check-in is not available" not in (await stranger.get(f"/follow?incident={hidden}")).text
    await stranger.post("/follow", data={"email": ANNA, "incident": hidden})
    assert await rows(database, "SELECT incident_id FROM follow_requests") == [(None,)]


async def test_a_link_grows_old_and_an_unconfirmed_address_is_forgotten(
    database: Database, tokens: Tokens, stranger: httpx2.AsyncClient
) -> None:
    await stranger.post("/follow", data={"email": ANNA})
    await handled(database, tokens)
    [(_, body)] = await mails(database)
    await handled(database, tokens, after=CONFIRM_WITHIN + timedelta(minutes=1))
    assert (await stranger.post(link_in(body))).status_code == 404
    assert await rows(database, "SELECT FROM followers") == []
    assert await rows(database, "SELECT FROM follow_requests") == []
    found = await rows(database, "SELECT left(a.value, 6), a.health, c.name = c.number FROM addresses a, customers c")
    assert found == [("erased", "suppressed", True)]


async def test_whoever_confirmed_is_not_forgotten(
    database: Database, tokens: Tokens, stranger: httpx2.AsyncClient
) -> None:
    await stranger.post("/follow", data={"email": ANNA})
    await handled(database, tokens)
    [(_, body)] = await mails(database)
    await stranger.post(link_in(body))
    await handled(database, tokens, after=CONFIRM_WITHIN + timedelta(minutes=1))
    assert await rows(database, "SELECT value, health FROM addresses") == [(ANNA, "usable")]
    assert len(await rows(database, "SELECT FROM followers")) == 1


async def test_a_machine_says_yes_by_sending_the_challenge_back(
    database: Database, tokens: Tokens, stranger: httpx2.AsyncClient
) -> None:
    answer = await stranger.post("/follow", data={"by": "webhook", "url": "https://Hooks.example.com/in?x=1"})
    assert answer.headers["location"] == "/follow/asked?by=webhook&lang=en"
    await handled(database, tokens)
    [(url, body)] = await mails(database)
    assert url == "https://hooks.example.com/in?x=1"
    asked = json.loads(body.replace("{{", "{").replace("}}", "}"))
    challenge = asked["confirmation"]["challenge"]
    assert asked["confirmation"]["confirm_url"] == f"https://status.example.com/follow/confirm/{challenge}"
    accepted = "UPDATE deliveries SET state = 'accepted', final_at = now(), reply = $1"
    await rows(database, accepted, "thanks, got it")
    await handled(database, tokens)
    assert await rows(database, "SELECT FROM followers") == []
    await rows(database, accepted, json.dumps({"challenge": challenge}))
    await handled(database, tokens)
    assert await rows(database, "SELECT incident_id FROM followers") == [(None,)]
    shown = await stranger.post(f"/follow/confirm/{challenge}")
    [(number,)] = await rows(database, "SELECT number FROM customers")
    assert tokens.name("webhook-secret", number) in shown.text


async def test_a_webhook_that_is_gone_gets_no_more_until_it_is_asked_for_again(
    database: Database, tokens: Tokens, stranger: httpx2.AsyncClient
) -> None:
    async with database.transaction() as tx:
        await a_subscriber(tx, "S-HOOK", "https://hooks.example.com/", None, channel="webhook")
        await webhook_is_gone(tx, "https://hooks.example.com/")
    state = "SELECT health, suppressed_because FROM addresses"
    assert await rows(database, state) == [("suppressed", "gone")]
    await stranger.post("/follow", data={"by": "webhook", "url": "https://hooks.example.com/"})
    await handled(database, tokens)
    assert await rows(database, state) == [("usable", None)]
    journal = "SELECT actor, event, reason FROM address_journal ORDER BY id"
    assert await rows(database, journal) == [(str(SYSTEM), "suppressed", "gone"), (str(SYSTEM), "lifted", "gone")]


# --- mistakes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "typed",
    [
        {"email": ""},
        {"email": "anna"},
        {"email": "anna@example.org\r\nBcc: everybody@example.org"},
        {"email": "anna@example.org,bert@example.org"},
        {"email": "anna@example.org>"},
        {"email": '"anna b"@example.org'},
        {"email": "x" * 300 + "@example.org"},
        {"email": "\ud800".encode("utf-8", "surrogatepass").decode("latin-1") + "@example.org"},
        {"by": "webhook", "url": "http://hooks.example.com/"},
        {"by": "webhook", "url": "https://127.0.0.1/"},
        {"by": "webhook", "url": "https://169.254.169.254/latest/meta-data/"},
        {"by": "webhook", "url": "https://hooks.example.com/a\r\nX: y"},
        {"by": "webhook", "url": ""},
    ],
)
async def test_what_cannot_be_an_address_is_told_and_nothing_is_kept(
    database: Database, stranger: httpx2.AsyncClient, typed: dict[str, str]
) -> None:
    answer = await stranger.post("/follow", data=typed)
    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.text
    assert await rows(database, "SELECT FROM follow_requests") == []


async def test_hostile_text_comes_back_as_text(stranger: httpx2.AsyncClient) -> None:
    evil = '"><script>alert(1)</script>{{ 7*7 }}'
    answer = await stranger.post("/follow", data={"email": evil, "incident": evil, "language": evil, "by": evil})
    assert answer.status_code == 422
    assert "<script" not in answer.text
    assert "{{ 7*7 }}" in answer.text


async def test_a_form_that_is_far_too_long_is_refused(stranger: httpx2.AsyncClient) -> None:
    assert (await stranger.post("/follow", content=b"email=" + b"a" * 20_000)).status_code == 413


# --- what somebody may try ------------------------------------------------------------------------------------------


async def test_enumeration_the_answer_is_the_same_for_a_known_address_and_an_unknown(
    database: Database, stranger: httpx2.AsyncClient
) -> None:
    async with database.transaction() as tx:
        await a_subscriber(tx, "S-ANNA", ANNA, None)
    seen = []
    for address in (ANNA, "nobody@example.org", ANNA):
        answer = await stranger.post("/follow", data={"email": address})
        shown = await stranger.get(answer.headers["location"])
        assert address not in answer.text + shown.text
        seen.append((answer.status_code, dict(answer.headers), answer.content, dict(shown.headers), shown.content))
    assert seen[0] == seen[1] == seen[2]


async def test_enumeration_by_time_is_no_use_because_nobody_is_looked_up(
    database: Database, stranger: httpx2.AsyncClient
) -> None:
    """With the tables of addresses locked against every reader the form is answered: so it does not read them.

    (`customers` is not locked: a foreign key to it makes PostgreSQL open it, though it looks nothing up for NULL.)
    """
    async with database.transaction() as tx:
        await a_subscriber(tx, "S-ANNA", ANNA, None)
    async with database.transaction() as tx:
        await (await driver(tx)).execute("LOCK addresses, followers, deliveries IN ACCESS EXCLUSIVE MODE")
        async with asyncio.timeout(20):
            for address in (ANNA, "nobody@example.org"):
                assert (await stranger.post("/follow", data={"email": address})).status_code == 303


async def test_mail_bombing_an_address_is_asked_once_an_hour_whoever_wishes_it(
    database: Database, tokens: Tokens, database_url: str, tmp_path: Path
) -> None:
    for number in range(6):
        async with client(parts_for(database_url, tmp_path), address=f"198.51.100.{number}") as stranger:
            answer = await stranger.post("/follow", data={"email": [ANNA, "ANNA@example.org"][number % 2]})
            assert answer.status_code == 303
        await handled(database, tokens)
    assert [address for address, _ in await mails(database)] == [ANNA]
    async with client(parts_for(database_url, tmp_path)) as stranger:
        await stranger.post("/follow", data={"email": ANNA})
    await handled(database, tokens, after=timedelta(minutes=61))
    assert [address for address, _ in await mails(database)] == [ANNA, ANNA]
    assert len(await rows(database, "SELECT FROM customers")) == 1


async def test_one_mail_counts_for_everything_that_was_asked_meanwhile(
    database: Database, tokens: Tokens, stranger: httpx2.AsyncClient
) -> None:
    incident = await an_incident(database)
    await stranger.post("/follow", data={"email": ANNA, "incident": incident})
    await handled(database, tokens)
    await stranger.post("/follow", data={"email": ANNA})
    await handled(database, tokens)
    [(_, body)] = await mails(database)
    page = (await stranger.get(link_in(body))).text
    assert "Check-in is not available" in page
    assert "Every disruption on this page" in page
    await stranger.post(link_in(body))
    assert len(await rows(database, "SELECT FROM followers")) == 2


async def test_mail_bombing_one_client_is_stopped(
    database: Database, tokens: Tokens, database_url: str, tmp_path: Path
) -> None:
    async with database.transaction() as tx:
        await (await driver(tx)).execute(
            "INSERT INTO follow_requests (channel, address, host, language, client, created_at)"
            " SELECT 'mail', 'p' || n || '@example.org', 'example.org', 'en', $1, now()"
            "   FROM generate_series(1, $2) n",
            client_name(tokens, "8.8.4.4"),
            MOST_PER_CLIENT - 1,
        )
    async with client(parts_for(database_url, tmp_path), address="8.8.4.4") as stranger:
        assert (await stranger.post("/follow", data={"email": "last@example.org"})).status_code == 303
        refused = await stranger.post("/follow", data={"email": "more@example.org"})
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "3600")
        assert 'value="more@example.org"' in refused.text
    async with client(parts_for(database_url, tmp_path), address="8.8.4.5") as other:
        assert (await other.post("/follow", data={"email": "more@example.org"})).status_code == 303


async def test_a_server_is_not_flooded_with_challenges_to_made_up_paths(
    database: Database, tokens: Tokens, stranger: httpx2.AsyncClient
) -> None:
    for number in range(MOST_PER_HOST + 5):
        await stranger.post("/follow", data={"by": "webhook", "url": f"https://victim.example.com/{number}"})
    await stranger.post("/follow", data={"by": "webhook", "url": "https://other.example.com/"})
    await handled(database, tokens)
    urls = [url for url, _ in await mails(database)]
    assert len([url for url in urls if "victim" in url]) == MOST_PER_HOST
    assert "https://other.example.com/" in urls


def test_a_client_is_named_without_keeping_its_address(tokens: Tokens) -> None:
    assert "8.8.4.4" not in client_name(tokens, "8.8.4.4")
    assert client_name(tokens, "8.8.4.4") == client_name(tokens, "::ffff:8.8.4.4")
    assert client_name(tokens, "2600:1::1") == client_name(tokens, "2600:1::ffff:2")
    assert client_name(tokens, "2600:1::1") != client_name(tokens, "2600:1:0:1::1")
    for inside in ("127.0.0.1", "10.0.0.1", "::1", None, "unix"):
        assert client_name(tokens, inside).startswith("proxy:")


async def test_get_changes_nothing(database: Database, tokens: Tokens, stranger: httpx2.AsyncClient) -> None:
    """Scanners in front of mailboxes open every link: of 497 unsubscribes at one sender 489 were theirs."""
    await stranger.post("/follow", data={"email": ANNA})
    await handled(database, tokens)
    [(_, body)] = await mails(database)
    async with database.transaction() as tx:
        await a_subscriber(tx, "S-BERT", "bert@example.org", None)
    before = await everything(database)
    stop = f"/follow/stop/{stop_token(tokens, 'S-BERT')}"
    for path in (link_in(body), stop, "/follow", f"/follow?email={ANNA}&by=mail", "/follow/asked"):
        for method in ("GET", "HEAD"):
            assert (await stranger.request(method, path)).status_code == 200, path
    assert await everything(database) == before


async def test_token_tampering_leads_nowhere(database: Database, tokens: Tokens, stranger: httpx2.AsyncClient) -> None:
    await stranger.post("/follow", data={"email": ANNA})
    await handled(database, tokens)
    [(_, body)] = await mails(database)
    token = link_in(body).removeprefix("/follow/confirm/").partition("?")[0]
    request_id = read_confirm_token(tokens, token)
    assert request_id is not None
    async with database.transaction() as tx:
        await a_subscriber(tx, "S-ANNA", "other@example.org", None)
    strange = Tokens([b"another key that is not the site's"])
    bad = [
        token[:-1],
        token + "A",
        ("B" if token[0] != "B" else "C") + token[1:],
        token.swapcase(),
        confirm_token(strange, request_id),
        confirm_token(tokens, request_id + 1),
        stop_token(tokens, "S-ANNA"),
        str(request_id),
        "x",
        "%00",
        "é",
    ]
    before = await everything(database)
    for one in bad:
        for method in ("GET", "POST"):
            assert (await stranger.request(method, f"/follow/confirm/{one}")).status_code == 404, one
    for one in (token, stop_token(strange, "S-ANNA"), stop_token(tokens, "C1"), "S-ANNA", "x"):
        for method in ("GET", "POST"):
            assert (await stranger.request(method, f"/follow/stop/{one}")).status_code == 404, one
    assert await everything(database) == before


async def test_a_subscriber_is_never_taken_for_a_customer(database: Database) -> None:
    async with database.transaction() as tx:
        await a_subscriber(tx, "S-ANNA", ANNA, None)
        clues = [Clue(1, "mail", ANNA), Clue(2, "customer_number", "SANNA"), Clue(3, "reference", "")]
        assert await find_customers(tx, clues, limit=5) == []


async def test_what_a_subscriber_answers_is_a_case_about_the_incident_without_a_customer(
    database: Database, tokens: Tokens
) -> None:
    """The address an answer came to proves who was sent the news; that somebody follows proves nothing more."""
    incident = await an_incident(database)
    async with database.transaction() as tx:
        subscriber = await a_subscriber(tx, "S-ANNA", ANNA, incident)
        await say(tx, incident, a_draft())
    [(delivery,)] = await rows(database, "SELECT id FROM deliveries WHERE customer_id = $1", subscriber)
    said = json.dumps({"message": "When do we leave?"}).encode()
    async with Intake(database).running() as intake:
        await intake.accept(Arrival("api", "en", said, None, delivery))
    await resolve(database)
    [(about, customer)] = await rows(database, "SELECT incident_id, customer_id FROM contacts")
    assert (about, customer) == (incident, None)
