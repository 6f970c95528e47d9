"""Who was told what, when and with what outcome: counts of a dispatch, and the history of one person. Reads only."""

from datetime import datetime
from typing import TypedDict

from sqlalchemy import ColumnElement, and_, case, func, select, text

from foundation.database import Tx
from foundation.errors import NotFound
from notify.delivery import STATES
from notify.tables import addresses, batches, customers, deliveries, dispatches, messages


class Told(TypedDict):
    """One delivery as proof: what was said to this person, where, and what came of it."""

    topic: str
    number: int
    channel: str
    address: str | None
    language: str
    subject: str
    state: str
    reason: str | None
    attempts: int
    doubtful_attempts: int
    reply_code: int | None
    reply: str | None
    planned_at: datetime
    final_at: datetime | None


# What is out with a worker now: sending stands in the lease of a batch, not in the row.
_OUT = select(func.unnest(batches.c.delivery_ids).label("id")).where(batches.c.lease_until.is_not(None)).subquery("out")


def _state() -> ColumnElement[str]:
    """The state of a delivery joined with `_OUT`."""
    is_out = and_(_OUT.c.id.is_not(None), deliveries.c.final_at.is_(None))
    return case((is_out, "sending"), else_=deliveries.c.state)


async def delivery_summary(tx: Tx, key: str) -> dict[str, int]:
    """How many deliveries of the dispatch `key` stand in each state, zeros included. They add up to its audience."""
    statement = (
        select(_state(), func.count())
        .select_from(deliveries)
        .join(dispatches, dispatches.c.id == deliveries.c.dispatch_id)
        .outerjoin(_OUT, _OUT.c.id == deliveries.c.id)
        .where(dispatches.c.key == key)
        .group_by(text("1"))
    )
    counts = {row[0]: row[1] for row in await tx.execute(statement)}
    return {state: counts.get(state, 0) for state in STATES}


async def customer_history(tx: Tx, customer_number: str) -> list[Told]:
    """Everything this customer was told or was to be told, newest first. Raises NotFound."""
    known = select(customers.c.id).where(customers.c.number == customer_number)
    if (await tx.execute(known)).scalar_one_or_none() is None:
        raise NotFound("There is no customer with this number.", code="no_such_customer")
    statement = (
        select(
            dispatches.c.topic,
            dispatches.c.number,
            deliveries.c.channel,
            addresses.c.value.label("address"),
            messages.c.language,
            messages.c.subject,
            _state().label("state"),
            deliveries.c.reason,
            deliveries.c.attempt.label("attempts"),
            deliveries.c.doubtful.label("doubtful_attempts"),
            deliveries.c.reply_code,
            deliveries.c.reply,
            deliveries.c.created_at.label("planned_at"),
            deliveries.c.final_at,
        )
        .join(customers, customers.c.id == deliveries.c.customer_id)
        .join(dispatches, dispatches.c.id == deliveries.c.dispatch_id)
        .join(messages, messages.c.id == deliveries.c.message_id)
        .outerjoin(addresses, addresses.c.id == deliveries.c.address_id)
        .outerjoin(_OUT, _OUT.c.id == deliveries.c.id)
        .where(customers.c.number == customer_number)
        .order_by(deliveries.c.id.desc())
    )
    return [Told(**row) for row in (await tx.execute(statement)).mappings()]  # type: ignore[typeddict-item]  # columns, by their labels
