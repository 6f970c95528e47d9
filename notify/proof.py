"""Who was told what, when and with what outcome: counts of a dispatch, and the history of one person. Reads only."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import TypedDict

from sqlalchemy import ColumnElement, and_, case, func, select, text

from foundation.database import Tx
from foundation.errors import NotFound
from notify.delivery import STATES
from notify.reports import ReportShown, reports_about
from notify.tables import (
    addresses,
    batches,
    customers,
    deliveries,
    delivery_attempts,
    dispatches,
    messages,
)


class Attempt(TypedDict):
    """A try that did not end its delivery."""

    number: int
    at: datetime
    reason: str | None
    reply_code: int | None
    reply: str | None


class Told(TypedDict):
    """One delivery as proof: what was said to this person, where, and what came of it."""

    topic: str
    number: int
    channel: str
    address: str | None
    language: str
    subject: str
    text: str
    state: str
    reason: str | None
    attempts: int
    doubtful_attempts: int
    reply_code: int | None
    reply: str | None
    planned_at: datetime
    final_at: datetime | None
    instead_of: str | None
    earlier_attempts: Sequence[Attempt]
    reports: Sequence[ReportShown]


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
    return all_states({row[0]: row[1] for row in await tx.execute(statement)})


def all_states(counts: dict[str, int] | Counter[str]) -> dict[str, int]:
    """`counts` by state, with every state named."""
    return {state: counts.get(state, 0) for state in STATES}


async def customer_history(tx: Tx, customer_number: str) -> list[Told]:
    """Everything this customer was told or was to be told, newest first: every try, every report. Raises NotFound."""
    known = select(customers.c.id).where(customers.c.number == customer_number)
    if (await tx.execute(known)).scalar_one_or_none() is None:
        raise NotFound("There is no customer with this number.", code="no_such_customer")
    first = deliveries.alias("first")
    statement = (
        select(
            deliveries.c.id,
            dispatches.c.topic,
            dispatches.c.number,
            deliveries.c.channel,
            addresses.c.value.label("address"),
            messages.c.language,
            messages.c.subject,
            messages.c.body.label("text"),
            _state().label("state"),
            deliveries.c.reason,
            deliveries.c.attempt.label("attempts"),
            deliveries.c.doubtful.label("doubtful_attempts"),
            deliveries.c.reply_code,
            deliveries.c.reply,
            deliveries.c.created_at.label("planned_at"),
            deliveries.c.final_at,
            first.c.channel.label("instead_of"),
        )
        .select_from(deliveries)
        .join(customers, customers.c.id == deliveries.c.customer_id)
        .join(dispatches, dispatches.c.id == deliveries.c.dispatch_id)
        .join(messages, messages.c.id == deliveries.c.message_id)
        .outerjoin(addresses, addresses.c.id == deliveries.c.address_id)
        .outerjoin(first, first.c.id == deliveries.c.instead_of)
        .outerjoin(_OUT, _OUT.c.id == deliveries.c.id)
        .where(customers.c.number == customer_number)
        .order_by(deliveries.c.id.desc())
    )
    rows = [dict(row) for row in (await tx.execute(statement)).mappings()]
    ids = [row.pop("id") for row in rows]
    attempts, reports = await _attempts(tx, ids), await _reports(tx, ids)
    return [
        Told(**row, earlier_attempts=attempts[key], reports=reports[key])  # type: ignore[typeddict-item]  # columns, by their labels
        for key, row in zip(ids, rows, strict=True)
    ]


async def _reports(tx: Tx, delivery_ids: Sequence[int]) -> dict[int, list[ReportShown]]:
    found: defaultdict[int, list[ReportShown]] = defaultdict(list)
    for one in await reports_about(tx, delivery_ids):
        found[one["delivery_id"]].append(one)
    return found


async def _attempts(tx: Tx, delivery_ids: Sequence[int]) -> dict[int, list[Attempt]]:
    statement = select(delivery_attempts).where(delivery_attempts.c.delivery_id.in_(delivery_ids))
    found: defaultdict[int, list[Attempt]] = defaultdict(list)
    for row in await tx.execute(statement.order_by(delivery_attempts.c.attempt)):
        found[row.delivery_id].append(
            Attempt(number=row.attempt, at=row.at, reason=row.reason, reply_code=row.reply_code, reply=row.reply)
        )
    return found
