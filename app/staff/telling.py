"""Mails to people who work here about changes of their own account, where a colleague's address is known.

Planned in the transaction of the change, so there is no change without its mail. Nothing in it can be followed: a mail
about an account that asks for a click is what people are warned of.
"""

from secrets import token_hex
from typing import Literal

from sqlalchemy import select

import notify
from app.tables import users
from app.templates import render
from foundation.database import Tx
from foundation.errors import NotFound
from foundation.languages import SPOKEN

Change = Literal["password", "link", "roles", "closed", "signed out"]


async def tell_owner(tx: Tx, user_id: int, what: Change) -> None:
    """Mail the owner of an account that it was changed; nothing happens where nobody has said how they are reached."""
    name = await tx.scalar(select(users.c.name).where(users.c.id == user_id))
    if name is None:
        return
    try:
        await notify.colleague(tx, name)
    except NotFound:
        return
    # A topic of its own: none of these is news that makes an earlier one out of date.
    key = f"account:{name}:{token_hex(8)}"
    texts = [_text(language, name, what) for language in SPOKEN]
    audience = notify.colleagues_named([name])
    await notify.enqueue(tx, key=key, topic=key, number=1, messages=texts, audience=audience, urgency=0)


def _text(language: str, name: str, what: Change) -> notify.MessageText:
    said = render("app/account.mail.txt", language, name=name, what=what).strip()
    subject, _, body = said.partition("\n")
    return notify.MessageText("mail", language, notify.escape_slots(subject), notify.escape_slots(body.strip() + "\n"))
