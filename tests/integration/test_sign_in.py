"""Signing in over HTTP: who gets in, what ends a session, and how guessing is slowed down without locking out."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import httpx2
import pyotp
import pytest
from argon2.profiles import RFC_9106_LOW_MEMORY
from sqlalchemy import select, update

from app.sessions import begin, find
from app.staff.accounts import add_user, close_account, first_admin_link, open_link, set_roles
from app.staff.passwords import Passwords, fault_of
from app.tables import audit_log, sessions, users
from app.wiring import Parts, make_parts
from foundation.errors import Conflict
from notify import Colleague, note_colleague
from notify.tables import addresses, deliveries, messages
from tests.support.desk import PASSWORD, a_person, field, sign_in, signed_in
from tests.support.web import client, parts_for

ACCOUNT = "/desk/account"


class MovingClock:
    """A clock that tests put forward."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
async def parts(database_url: str, tmp_path: Path) -> AsyncIterator[Parts]:
    made = parts_for(database_url, tmp_path)
    yield replace(made, clock=MovingClock(made.clock()))
    await made.database.close()


def forward(parts: Parts, **by: float) -> None:
    assert isinstance(parts.clock, MovingClock)
    parts.clock.at += timedelta(**by)


async def test_name_password_and_code_open_the_desk(parts: Parts) -> None:
    async with client(parts) as web:
        noor = await a_person(parts)
        assert (await web.get(ACCOUNT)).headers["location"] == "/desk/sign-in?next=%2Fdesk%2Faccount"
        answer = await sign_in(web, " NOOR ", code=noor.code(parts), onward=ACCOUNT)
        assert (answer.status_code, answer.headers["location"]) == (303, ACCOUNT)
        page = await web.get(ACCOUNT)
        assert page.status_code == 200
        assert "Noor" in page.text


@pytest.mark.parametrize(
    ("name", "password", "code"),
    [
        ("noor", "wrong horse battery", None),
        ("noor", PASSWORD, "000000"),
        ("noor", PASSWORD, ""),
        ("nobody", "x", None),
    ],
)
async def test_whatever_is_wrong_is_said_in_the_same_words(
    parts: Parts, name: str, password: str, code: str | None
) -> None:
    async with client(parts) as web:
        noor = await a_person(parts)
        answer = await sign_in(web, name, password=password, code=noor.code(parts) if code is None else code)
        assert answer.status_code == 422
        assert "Name, password and code do not fit together" in answer.text
        assert (await web.get(ACCOUNT)).status_code == 303


async def test_a_code_is_good_once(parts: Parts) -> None:
    noor = await a_person(parts)
    code = noor.code(parts)
    async with client(parts) as web:
        assert (await sign_in(web, "noor", code=code)).status_code == 303
        web.cookies.clear()
        assert (await sign_in(web, "noor", code=code)).status_code == 422
        forward(parts, seconds=30)
        web.cookies.clear()
        assert (await sign_in(web, "noor", code=noor.code(parts))).status_code == 303


async def test_a_session_ends_when_idle_and_after_twelve_hours(parts: Parts) -> None:
    noor = await a_person(parts)
    async with client(parts) as web:
        await signed_in(web, parts, noor)
        forward(parts, minutes=31)
        assert (await web.get(ACCOUNT)).status_code == 303
        await signed_in(web, parts, noor)
        for _ in range(28):
            forward(parts, minutes=25)
            assert (await web.get(ACCOUNT)).status_code == 200
        forward(parts, minutes=25)
        assert (await web.get(ACCOUNT)).status_code == 303


async def test_a_providers_word_counts_for_an_hour(parts: Parts) -> None:
    """Whoever came by it goes by it again then, which is when we hear that a role was taken away there."""
    noor = await a_person(parts)
    async with parts.database.transaction() as tx:
        cookie = await begin(tx, noor.id, "provider", address="", agent="", now=parts.clock())
        for minutes in (25, 25, 9):
            forward(parts, minutes=minutes)
            assert await find(tx, cookie, now=parts.clock()) is not None
        forward(parts, minutes=1)
        assert await find(tx, cookie, now=parts.clock()) is None


async def test_signing_out_ends_the_session_and_not_only_the_cookie(parts: Parts) -> None:
    noor = await a_person(parts)
    async with client(parts) as web:
        await signed_in(web, parts, noor)
        kept = dict(web.cookies)
        csrf = field(await web.get(ACCOUNT))
        assert (await web.post("/desk/sign-out", data={"csrf": csrf})).status_code == 303
        web.cookies.update(kept)
        assert (await web.get(ACCOUNT)).status_code == 303


async def test_changed_roles_and_closed_accounts_end_sessions(parts: Parts) -> None:
    noor = await a_person(parts)
    async with client(parts) as web:
        await signed_in(web, parts, noor)
        async with parts.database.transaction() as tx:
            await set_roles(tx, noor.id, ["analyst"], now=parts.clock())
        assert (await web.get(ACCOUNT)).status_code == 303
        forward(parts, seconds=60)
        await signed_in(web, parts, noor)
        async with parts.database.transaction() as tx:
            await close_account(tx, noor.id, now=parts.clock())
        assert (await web.get(ACCOUNT)).status_code == 303
        forward(parts, seconds=60)
        assert (await sign_in(web, "noor", code=noor.code(parts))).status_code == 422


async def test_a_new_password_ends_every_other_session(parts: Parts) -> None:
    noor = await a_person(parts)
    async with client(parts) as web:
        await signed_in(web, parts, noor)
        other = httpx2.Cookies(web.cookies)
        web.cookies.clear()
        forward(parts, seconds=60)
        await signed_in(web, parts, noor)
        forward(parts, seconds=60)
        typed = {"csrf": field(await web.get(ACCOUNT)), "old": PASSWORD, "new": "four purple herons argue"}
        assert (await web.post(f"{ACCOUNT}/password", data={**typed, "code": "123"})).status_code == 422
        changed = await web.post(f"{ACCOUNT}/password", data={**typed, "code": noor.code(parts)})
        assert changed.status_code == 303
        assert (await web.get(ACCOUNT)).status_code == 200
        web.cookies = other
        assert (await web.get(ACCOUNT)).status_code == 303


async def test_the_first_administrator_comes_in_by_a_link_that_works_once(parts: Parts) -> None:
    async with parts.database.transaction() as tx:
        token = await first_admin_link(tx, now=parts.clock())
    async with client(parts) as web:
        page = await web.get(f"/desk/welcome/{token}")
        assert (await web.get(f"/desk/welcome/{token}")).status_code == 200  # looking does not use it up
        secret = field(page, "enrolment")
        typed = {"csrf": field(page), "enrolment": secret, "password": PASSWORD, "code": "000000"}
        assert (await web.post(f"/desk/welcome/{token}", data=typed)).status_code == 422
        typed["code"] = parts_code(parts, secret)
        weak = await web.post(f"/desk/welcome/{token}", data={**typed, "password": "stormdesk123"})
        assert "would be guessed soon" in weak.text
        assert (await web.post(f"/desk/welcome/{token}", data={**typed, "code": ""})).status_code == 422
        assert (await web.post(f"/desk/welcome/{token}", data=typed)).status_code == 303
        assert (await web.get("/desk/users")).status_code == 200
        assert (await web.get(f"/desk/welcome/{token}")).status_code == 404
    async with parts.database.transaction() as tx:
        assert await first_admin_link(tx, now=parts.clock()) is None


def parts_code(parts: Parts, enrolment: str) -> str:
    return pyotp.TOTP(parts.tokens.read("enrol", enrolment).decode()).at(parts.clock())


async def test_a_link_is_too_old_after_a_day_and_a_newer_one_replaces_it(parts: Parts) -> None:
    async with parts.database.transaction() as tx:
        user = await add_user(tx, "sam", ["agent"])
        first = await open_link(tx, user, now=parts.clock())
        second = await open_link(tx, user, now=parts.clock())
    async with client(parts) as web:
        assert (await web.get(f"/desk/welcome/{first}")).status_code == 404
        assert (await web.get(f"/desk/welcome/{second}")).status_code == 200
        forward(parts, hours=25)
        assert (await web.get(f"/desk/welcome/{second}")).status_code == 404


async def test_the_last_administrator_cannot_be_lost(parts: Parts) -> None:
    boss = await a_person(parts, "boss", "admin")
    async with parts.database.transaction() as tx:
        await add_user(tx, "invited", ["admin"])  # who never came is no administrator
    for change in (close_account, lambda tx, user, now: set_roles(tx, user, ["agent"], now=now)):
        with pytest.raises(Conflict, match="last administrator"):
            async with parts.database.transaction() as tx:
                await change(tx, boss.id, now=parts.clock())
    await a_person(parts, "second", "admin")
    async with parts.database.transaction() as tx:
        await close_account(tx, boss.id, now=parts.clock())


@pytest.mark.parametrize("bad", ["short", "x" * 129, "aaaaaaaaaaaaaaaa", "stormdesk2026", "noor noor noor"])
def test_a_bad_password_is_refused_in_a_sentence(bad: str) -> None:
    assert fault_of(bad, ["noor"])


def test_a_good_password_is_taken() -> None:
    assert fault_of(PASSWORD, ["noor"]) is None


# --- showing again who one is -----------------------------------------------------------------------------------------


async def test_people_and_rights_are_changed_only_by_who_has_just_shown_who_they_are(parts: Parts) -> None:
    boss = await a_person(parts, "boss", "admin")
    sam = await a_person(parts, "sam")
    changes = [("/desk/users", {"name": "new", "roles": "agent"})]
    changes += [(f"/desk/users/{sam.id}/{act}", {"roles": "admin"}) for act in ("roles", "link", "close", "sign-out")]
    async with client(parts) as web:
        await signed_in(web, parts, boss)
        form = {"csrf": field(await web.get(ACCOUNT))}
        assert (await web.post("/desk/users", data={**form, "name": "early", "roles": "agent"})).status_code == 200
        forward(parts, minutes=16)
        for path, typed in changes:
            answer = await web.post(path, data={**form, **typed})
            assert (answer.status_code, answer.headers["location"]) == (303, "/desk/again?next=%2Fdesk%2Fusers"), path
        told = await web.put("/api/v1/colleagues/sam", json={}, headers={"X-CSRF-Token": form["csrf"]})
        assert (told.status_code, told.json()["code"]) == (403, "forbidden")
        assert "new" not in re.findall(r'class="quiet">([a-z]+)<', (await web.get("/desk/users")).text)

        again = {"csrf": field(await web.get("/desk/again?next=/desk/users")), "next": "/desk/users"}
        wrong = await web.post("/desk/again", data={**again, "password": PASSWORD, "code": "000000"})
        assert wrong.status_code == 422
        before = web.cookies["__Host-stormdesk-session"]
        shown = await web.post("/desk/again", data={**again, "password": PASSWORD, "code": boss.code(parts)})
        assert (shown.status_code, shown.headers["location"]) == (303, "/desk/users")
        assert web.cookies["__Host-stormdesk-session"] != before
        form = {"csrf": field(await web.get(ACCOUNT))}
        assert (await web.post("/desk/users", data={**form, "name": "new", "roles": "agent"})).status_code == 200


async def test_a_proof_is_of_one_session_and_cannot_be_carried_to_another(parts: Parts) -> None:
    boss = await a_person(parts, "boss", "admin")
    async with client(parts) as web:
        await signed_in(web, parts, boss)
        early = web.cookies["__Host-stormdesk-proof"]
        web.cookies.clear()
        forward(parts, seconds=60)
        await signed_in(web, parts, boss)
        form = {"csrf": field(await web.get(ACCOUNT)), "name": "new", "roles": "agent"}
        for forged in (early, "", "x"):
            web.cookies.delete("__Host-stormdesk-proof")
            web.cookies.set("__Host-stormdesk-proof", forged, domain="status.example.com", path="/")
            assert (await web.post("/desk/users", data=form)).status_code == 303


# --- guessing ---------------------------------------------------------------------------------------------------------


async def guess(web: httpx2.AsyncClient, name: str, times: int) -> list[int]:
    return [(await sign_in(web, name, password="wrong")).status_code for _ in range(times)]


async def test_guessing_is_slowed_down_and_the_name_need_not_exist(parts: Parts) -> None:
    await a_person(parts)
    for name in ("noor", "nobody"):
        async with client(parts) as web:
            assert await guess(web, name, 7) == [422] * 5 + [429] * 2
            answer = await sign_in(web, name, password=PASSWORD)
            assert answer.status_code == 429
            assert int(answer.headers["retry-after"]) > 0
            forward(parts, minutes=16)
            assert await guess(web, name, 1) == [422]


async def test_a_known_device_gets_in_while_strangers_guess(parts: Parts) -> None:
    noor = await a_person(parts)
    async with client(parts, address="198.51.100.7") as web:
        await signed_in(web, parts, noor)
        own = httpx2.Cookies(web.cookies)
    for number in range(8):  # more networks than all strangers together may fail
        async with client(parts, address=f"203.0.113.{number}") as web:
            await guess(web, "noor", 5)
    code = noor.code(parts, later=1)
    async with client(parts, address="192.0.2.1") as web:
        assert (await sign_in(web, "noor", code=code)).status_code == 429  # a stranger waits
    async with client(parts, address="192.0.2.1") as web:
        web.cookies = own
        web.cookies.delete("__Host-stormdesk-session")
        assert (await sign_in(web, "noor", code=code)).status_code == 303


async def test_guessing_at_one_account_holds_nobody_else_up(parts: Parts) -> None:
    await a_person(parts)
    sam = await a_person(parts, "sam")
    async with client(parts) as web:
        await guess(web, "noor", 8)
        assert (await sign_in(web, "sam", code=sam.code(parts))).status_code == 303


async def test_one_password_on_many_accounts_is_slowed_down(parts: Parts) -> None:
    async with client(parts) as web:
        statuses = [(await sign_in(web, f"somebody{n}", password="Winter2026!")).status_code for n in range(52)]
    assert statuses[:50] == [422] * 50
    assert 429 in statuses[50:]


async def test_an_ipv6_subscriber_counts_as_one(parts: Parts) -> None:
    await a_person(parts)
    statuses = []
    for number in range(6):
        async with client(parts, address=f"2001:db8:1:2::{number}") as web:
            statuses += await guess(web, "noor", 1)
    assert statuses == [422] * 5 + [429]


async def test_the_database_holds_no_password_no_token_and_no_open_secret(parts: Parts) -> None:
    noor = await a_person(parts)
    async with client(parts) as web:
        await signed_in(web, parts, noor)
        cookie = web.cookies["__Host-stormdesk-session"]
        async with parts.database.transaction() as tx:
            kept = [str(row) for table in (users, sessions, audit_log) for row in await tx.execute(select(table))]
    for secret in (cookie, noor.secret, PASSWORD):
        assert all(secret not in row for row in kept)
    assert "$argon2id$" in "".join(kept)


async def test_a_password_costs_a_guesser_what_rfc_9106_says(parts: Parts) -> None:
    """The other tests have it cheaper, by the same code; here is what an installation has."""
    installed = make_parts(parts.settings, "postgresql://nobody@127.0.0.1:1/none")
    assert installed.password_cost == RFC_9106_LOW_MEMORY
    passwords = Passwords(installed.password_cost)
    kept = await passwords.hash(PASSWORD)
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert await passwords.fits(kept, PASSWORD)
    assert not await passwords.fits(kept, PASSWORD + " ")
    assert not await passwords.fits(None, PASSWORD)


async def test_an_account_without_roles_opens_nothing(parts: Parts) -> None:
    noor = await a_person(parts)
    async with parts.database.transaction() as tx:
        await tx.execute(update(users).values(roles=[]))
    async with client(parts) as web:
        assert (await sign_in(web, "noor", code=noor.code(parts))).status_code == 422


async def test_who_can_be_reached_is_told_of_changes_to_their_account(parts: Parts) -> None:
    noor, other = await a_person(parts), await a_person(parts, "other")
    async with parts.database.transaction() as tx:
        await note_colleague(tx, Colleague("noor", "noor@example.com", None, "nl", "Europe/Amsterdam"))
        await set_roles(tx, noor.id, ["analyst"], now=parts.clock())
        await set_roles(tx, other.id, ["analyst"], now=parts.clock())
        await close_account(tx, noor.id, now=parts.clock())
        query = select(addresses.c.value, messages.c.subject, messages.c.body).where(
            addresses.c.id == deliveries.c.address_id, messages.c.id == deliveries.c.message_id
        )
        told = [tuple(row) for row in await tx.execute(query.order_by(deliveries.c.id))]
    assert [(address, subject) for address, subject, _ in told] == [
        ("noor@example.com", "Je account noor is gewijzigd"),
        ("noor@example.com", "Je account noor is gewijzigd"),
    ]
    assert "De rollen zijn gewijzigd." in told[0][2]
    assert "Het is gesloten." in told[1][2]
