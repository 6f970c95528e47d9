"""People at the desk, for tests: accounts as they are made, and a client that signs in and fills in forms."""

import html
import re
from dataclasses import dataclass
from datetime import timedelta

import httpx2
import pyotp

from app.staff.accounts import add_user, open_link, use_link
from app.staff.passwords import Passwords
from app.staff.seal import Seal
from app.staff.second_factor import new_secret
from app.wiring import Parts

PASSWORD = "seven lanterns drift northward"


@dataclass(frozen=True)
class Person:
    """An account that can sign in. `secret`: of its second factor."""

    id: int
    name: str
    secret: str

    def code(self, parts: Parts, *, later: int = 0) -> str:
        """What their authenticator app shows now, or some steps later."""
        return pyotp.TOTP(self.secret).at(parts.clock() + timedelta(seconds=30 * later))


async def a_person(parts: Parts, name: str = "noor", *roles: str) -> Person:
    """An account with these roles (agent), PASSWORD and a second factor."""
    kept = await Passwords(parts.password_cost).hash(PASSWORD)
    secret, now = new_secret(), parts.clock()
    async with parts.database.transaction() as tx:
        user_id = await add_user(tx, name, list(roles) or ["agent"], shown_name=name.title())
        token = await open_link(tx, user_id, now=now)
        sealed = Seal("second factor", parts.settings.secret_keys).close(secret)
        await use_link(tx, token, password_hash=kept, second_factor=sealed, step=0, now=now)
    return Person(user_id, name, secret)


def field(page: httpx2.Response, name: str = "csrf") -> str:
    """The value of a hidden field."""
    found = re.search(rf'name="{name}" value="([^"]*)"', page.text)
    assert found is not None, page.text
    return html.unescape(found[1])


async def sign_in(
    web: httpx2.AsyncClient, name: str, *, password: str = PASSWORD, code: str = "", onward: str = "/desk/"
) -> httpx2.Response:
    """Open the form, fill it in and send it."""
    page = await web.get("/desk/sign-in", params={"next": onward})
    typed = {"csrf": field(page), "next": field(page, "next"), "name": name, "password": password, "code": code}
    return await web.post("/desk/sign-in", data=typed)


async def signed_in(web: httpx2.AsyncClient, parts: Parts, person: Person) -> None:
    """Sign somebody in, who must be let in."""
    answer = await sign_in(web, person.name, code=person.code(parts))
    assert answer.status_code == 303, answer.text
