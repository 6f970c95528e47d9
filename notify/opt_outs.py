"""Who wants no more news, of one disruption or of all: asked by planning, changed by the reader's own hand.

Only news can be left. What concerns one person (an answer in their case, a refund) always reaches them.
"""

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import ColumnElement, delete, exists, false, func, select
from sqlalchemy.dialects.postgresql import insert as upsert

from foundation.database import Tx
from notify.messages import is_news
from notify.tables import deliveries, dispatches, messages, opt_outs

# The topic of an opt-out from all news.
ALL_NEWS = "news"

Scope = Literal["topic", "all"]
How = Literal["page", "one_click"]


@dataclass(frozen=True, slots=True)
class Reader:
    """Whoever was sent a delivery, and what they get. `left`: what they want no more of; None: they get it all."""

    customer_id: int
    topic: str
    subject: str
    language: str
    left: Scope | None

    @property
    def may_leave(self) -> bool:
        return is_news(self.topic)


def opted_out(customer_id: ColumnElement[int], topic: str) -> ColumnElement[bool]:
    """A condition: the customer of the column `customer_id` wants no messages of `topic`."""
    if not is_news(topic):
        return false()
    mine = opt_outs.c.customer_id == customer_id
    return exists().where(mine, opt_outs.c.topic.in_([topic, ALL_NEWS])).correlate_except(opt_outs)


async def find_reader(tx: Tx, delivery_id: int) -> Reader | None:
    """The reader of a delivery, None when there is no such delivery."""
    topics = (
        select(func.array_agg(opt_outs.c.topic))
        .where(opt_outs.c.customer_id == deliveries.c.customer_id, opt_outs.c.topic.in_([dispatches.c.topic, ALL_NEWS]))
        .scalar_subquery()
    )
    statement = (
        select(
            deliveries.c.customer_id, dispatches.c.topic, messages.c.subject, messages.c.language, topics.label("left")
        )
        .join(dispatches, dispatches.c.id == deliveries.c.dispatch_id)
        .join(messages, messages.c.id == deliveries.c.message_id)
        .where(deliveries.c.id == delivery_id)
    )
    row = (await tx.execute(statement)).one_or_none()
    if row is None:
        return None
    left: Scope | None = None if not row.left else "all" if ALL_NEWS in row.left else "topic"
    return Reader(row.customer_id, row.topic, row.subject, row.language, left)


async def leave(tx: Tx, reader: Reader, scope: Scope, how: How) -> None:
    """No more messages of the reader's topic, or no more news at all. Repeating it changes nothing."""
    if reader.may_leave:
        topic = ALL_NEWS if scope == "all" else reader.topic
        row = {"customer_id": reader.customer_id, "topic": topic, "how": how}
        await tx.execute(upsert(opt_outs).values(row).on_conflict_do_nothing())


async def come_back(tx: Tx, reader: Reader) -> None:
    """News of the reader's topic again, which takes back an opt-out from all news too."""
    mine = opt_outs.c.customer_id == reader.customer_id
    await tx.execute(delete(opt_outs).where(mine, opt_outs.c.topic.in_([reader.topic, ALL_NEWS])))
