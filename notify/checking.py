"""What we said, for a reader who asks whether a message is ours: only what is the same for everybody."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from foundation.database import Tx
from notify.markup import PERSONAL_SLOTS, fill_slots
from notify.messages import is_news
from notify.tables import dispatches, messages

_LEFT_OUT = "…"


@dataclass(frozen=True, slots=True)
class Said:
    """A message of ours. `subject` and `text` are None when it was for one person: then we say only that it is ours."""

    sent_at: datetime
    language: str
    subject: str | None
    text: str | None


async def what_we_said(tx: Tx, message_id: int, code: str) -> Said | None:
    """The message, with the places left out that differ per recipient; None when there is no such message.

    `code`: its check code, as it stood in the text.
    """
    statement = (
        select(dispatches.c.topic, dispatches.c.created_at, messages.c.language, messages.c.subject, messages.c.body)
        .join(dispatches, dispatches.c.id == messages.c.dispatch_id)
        .where(messages.c.id == message_id)
    )
    row = (await tx.execute(statement)).one_or_none()
    if row is None:
        return None
    if not is_news(row.topic):
        return Said(row.created_at, row.language, None, None)
    values = {**dict.fromkeys(PERSONAL_SLOTS, _LEFT_OUT), "check_code": code}
    return Said(row.created_at, row.language, row.subject, fill_slots(row.body, values, small_print=False).strip())
