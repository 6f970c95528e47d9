"""Plans deliveries: from an audience, as a SELECT, to one row per customer, in the caller's transaction.

Who may be reached and over what is decided in `choosing`, when is decided here, and neither anywhere else: so no caller
can forget consent. It knows nothing of sending.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    DateTime,
    Interval,
    Select,
    SmallInteger,
    Subquery,
    Time,
    and_,
    case,
    cast,
    func,
    insert,
    literal,
    literal_column,
    null,
    or_,
    select,
    text,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.dialects.postgresql import insert as upsert

from foundation.database import Tx, driver
from foundation.errors import Conflict, Invalid
from notify import order, paced
from notify.choosing import Audience, Choice
from notify.exercises import drilled, is_drill, marked
from notify.messages import ChannelName, MessageText, faults_in
from notify.tables import BATCH, batches, customers, deliveries, dispatches, messages, seeds

_TIME = Time()
_INTERVAL = Interval()
# Incident news has lost its use by then, whatever the publisher said; it is also the horizon of retries.
LONGEST_USE = "48 hours"
# Of a dispatch with a hold, what goes out before somebody has looked.
FIRST_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class QuietHours:
    """When people are left in peace, by their own clock: from `start` to `end`, over midnight too, on `channels`."""

    start: time = time(22)
    end: time = time(7)
    channels: tuple[ChannelName, ...] = ("sms",)


async def enqueue(
    tx: Tx,
    *,
    key: str,
    topic: str,
    number: int,
    messages: Sequence[MessageText],
    audience: Audience,
    urgency: int = 1,
    not_after: datetime | None = None,
    corrects: str | None = None,
    quiet: QuietHours | None = None,
    hold: bool = False,
    fallback_after: timedelta | None = None,
) -> bool:
    """Plan one delivery for every customer of `audience`, over the best channel of `messages` that reaches them.

    `audience` has the columns customer_id and needed_at (when they next need what is disrupted; soonest is sent first).
    The channel is the one a customer prefers, else the first of `messages` they can be reached on.
    Within `topic` a higher `number` is newer news: whatever older of the topic is unsent for the same customers is
    superseded in this transaction. `urgency`: 0 before 1, and 0 does not wait for `quiet` hours to end. `not_after`: no
    use in arriving later (48 hours at most). `corrects`: the key of a dispatch that was wrong; what is unsent of it is
    withdrawn, and `audience` should be `told_of(corrects)`. `hold`: colleagues (`seeds`) are told first, and after the
    first hundredth nothing more until it is released. `fallback_after`: texts for those whose mail failed, or was not
    accepted within that time. What is about a drill reaches seeds only, see `exercises`.
    Returns False, having done nothing, when `key` was enqueued before. Raises Invalid and Conflict.
    """
    if faults := faults_in(messages):
        raise Invalid("These messages cannot be sent.", faults)
    drill = await is_drill(tx, topic)
    if drill:
        messages, audience = marked(messages), drilled(audience, topic, corrects=corrects is not None)
    # One publication of a topic at a time: what counts as older must not change under our hands.
    await tx.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(topic, 0))))
    wrong_id = await _dispatch_of(tx, corrects) if corrects is not None else None
    dispatch_id = await _new_dispatch(
        tx,
        {
            "key": key,
            "topic": topic,
            "number": number,
            "urgency": urgency,
            "not_after": func.least(
                cast(not_after, DateTime(timezone=True)), text(f"now() + interval '{LONGEST_USE}'")
            ),
            "corrects_id": wrong_id,
            "fallback_after": fallback_after,
        },
    )
    if dispatch_id is None:
        return False
    await _store_messages(tx, dispatch_id, messages)
    if hold and not drill:
        audience = _with_seeds(audience)
    await _plan(tx, dispatch_id, Choice(topic, audience, _channels(messages)), urgency, quiet if urgency else None)
    if any(one.channel == "webhook" for one in messages):
        await paced.begin_gently(await driver(tx), dispatch_id)
    if hold:
        await _hold(tx, dispatch_id)
    await _supersede(tx, dispatch_id, topic, number)
    if wrong_id is not None:
        await _withdraw(tx, wrong_id)
    return True


def told_of(key: str) -> Audience:
    """Everyone who got, or may have got, the dispatch `key`: the audience of its correction.

    Those whose delivery is out at this moment are among them: their correction waits for what becomes of it.
    """
    may_have_it = or_(deliveries.c.state.in_(("accepted", "delivered", "unknown")), _is_out(deliveries.c.id))
    return (
        select(deliveries.c.customer_id, func.min(deliveries.c.needed_at).label("needed_at"))
        .join(dispatches, dispatches.c.id == deliveries.c.dispatch_id)
        .where(dispatches.c.key == key, may_have_it)
        .group_by(deliveries.c.customer_id)
    )


def notified_of(topic: str, *, farewells: Select[Any]) -> Audience:
    """Everyone who was told of `topic`, may have been, or is about to be; not those whose last news was a farewell.

    `farewells`: the keys of the dispatches that said that it concerns them no longer.
    """
    reached = ("planned", "deferred", "accepted", "delivered", "unknown")
    is_farewell = dispatches.c.key.in_(farewells)
    last, bye = func.max(dispatches.c.number).filter(~is_farewell), func.max(dispatches.c.number).filter(is_farewell)
    return (
        select(deliveries.c.customer_id, func.min(deliveries.c.needed_at).label("needed_at"))
        .join(dispatches, dispatches.c.id == deliveries.c.dispatch_id)
        .where(dispatches.c.topic == topic, deliveries.c.state.in_(reached))
        .group_by(deliveries.c.customer_id)
        .having(last > func.coalesce(bye, 0))
    )


async def _dispatch_of(tx: Tx, key: str) -> int:
    found: int | None = await tx.scalar(select(dispatches.c.id).where(dispatches.c.key == key))
    if found is None:
        raise Conflict("What is to be corrected was never sent.", code="nothing_to_correct")
    return found


async def _new_dispatch(tx: Tx, row: dict[str, Any]) -> int | None:
    taken = select(dispatches.c.key).where(dispatches.c.topic == row["topic"], dispatches.c.number == row["number"])
    if (await tx.execute(taken)).scalar_one_or_none() not in (None, row["key"]):
        raise Conflict(
            f"Number {row['number']} of {row['topic']} was already used for something else.", code="number_taken"
        )
    statement = upsert(dispatches).values(row).on_conflict_do_nothing(index_elements=["key"])
    found: int | None = (await tx.execute(statement.returning(dispatches.c.id))).scalar_one_or_none()
    return found


async def _store_messages(tx: Tx, dispatch_id: int, texts: Sequence[MessageText]) -> None:
    await tx.execute(
        insert(messages),
        [
            {
                "dispatch_id": dispatch_id,
                "channel": one.channel,
                "language": one.language,
                "subject": one.subject,
                "body": one.body,
            }
            for one in texts
        ],
    )


def _channels(texts: Sequence[MessageText]) -> list[tuple[ChannelName, list[str]]]:
    """Each channel with the languages there is a text in, in the order given."""
    found: dict[ChannelName, list[str]] = {}
    for one in texts:
        found.setdefault(one.channel, []).append(one.language)
    return list(found.items())


def _with_seeds(audience: Audience) -> Audience:
    """`audience` and our own colleagues, these before everybody."""
    people = audience.subquery("concerned")
    first: ColumnElement[datetime] = literal_column("timestamptz '-infinity'")
    everybody = union_all(
        select(people.c.customer_id, people.c.needed_at), select(seeds.c.customer_id, first.label("needed_at"))
    ).subquery("everybody")
    soonest = func.min(everybody.c.needed_at).label("needed_at")
    return select(everybody.c.customer_id, soonest).group_by(everybody.c.customer_id)


async def _plan(tx: Tx, dispatch_id: int, choice: Choice, urgency: int, quiet: QuietHours | None) -> None:
    """One statement: the deliveries, and the batches they wait in."""
    one = _waiting(_made(dispatch_id, choice, urgency), quiet)
    due = cast(one.c.due_at, DateTime(timezone=True))
    place = func.row_number().over(partition_by=(one.c.channel, due), order_by=one.c.id)
    parted = select(
        one.c.id, one.c.channel, one.c.needed_at, due.label("due_at"), ((place - 1) // BATCH).label("part")
    ).subquery("parted")
    queued = (
        select(
            literal(dispatch_id, BigInteger),
            parted.c.channel,
            literal(urgency, SmallInteger),
            func.min(parted.c.needed_at),
            func.array_agg(aggregate_order_by(parted.c.id, parted.c.id)),
            case((parted.c.due_at.is_not(None), "time")),
            parted.c.due_at,
        )
        .group_by(parted.c.channel, parted.c.due_at, parted.c.part)
        .order_by(parted.c.part)
    )
    columns = ["dispatch_id", "channel", "urgency", "needed_at", "delivery_ids", "waits", "due_at"]
    await tx.execute(insert(batches).from_select(columns, queued))


def _made(dispatch_id: int, choice: Choice, urgency: int) -> CTE:
    """The deliveries, inserted: those that can be reached are planned, the others are over at once."""
    people = choice.subquery()
    reachable = people.c.address_id.is_not(None)
    message = and_(
        messages.c.dispatch_id == dispatch_id,
        messages.c.channel == people.c.channel,
        messages.c.language == people.c.language,
    )
    row = {
        "dispatch_id": literal(dispatch_id, BigInteger),
        "message_id": messages.c.id,
        "customer_id": people.c.customer_id,
        "address_id": people.c.address_id,
        "channel": people.c.channel,
        "state": case((reachable, "planned"), else_="suppressed"),
        "reason": people.c.reason,
        "urgency": literal(urgency, SmallInteger),
        "needed_at": people.c.needed_at,
        "final_at": case((reachable, null()), else_=func.now()),
    }
    # In the order of sending, so that a batch lies side by side in the table and its ids are in that order.
    rows = select(*row.values()).select_from(people.join(messages, message)).order_by(people.c.needed_at)
    d = deliveries.c
    made = insert(deliveries).from_select(list(row), rows)
    return made.returning(d.id, d.customer_id, d.channel, d.needed_at, d.final_at).cte("made")


def _waiting(made: CTE, quiet: QuietHours | None) -> Subquery:
    """What of `made` is to be sent: id, channel, needed_at, due_at (None: now)."""
    m = made.c
    if quiet is None:
        waiting = select(m.id, m.channel, m.needed_at, null().label("due_at"))
    else:
        due = _due(m.channel, quiet).label("due_at")
        waiting = select(m.id, m.channel, m.needed_at, due).join(customers, customers.c.id == m.customer_id)
    return waiting.where(m.final_at.is_(None)).subquery("one")


def _due(channel: ColumnElement[str], quiet: QuietHours) -> ColumnElement[datetime]:
    """When a message may be sent that would come in the customer's quiet hours: their end; None outside of them."""
    local = func.timezone(customers.c.time_zone, func.now())
    clock = cast(local, _TIME)
    start, end = literal(quiet.start, _TIME), literal(quiet.end, _TIME)
    over_midnight = quiet.start > quiet.end
    is_quiet = or_(clock >= start, clock < end) if over_midnight else and_(clock >= start, clock < end)
    day, until = func.date_trunc("day", local), timedelta(hours=quiet.end.hour, minutes=quiet.end.minute)
    late = clock >= start if over_midnight else literal(False)
    ends = day + literal(until, _INTERVAL) + case((late, text("interval '1 day'")), else_=text("interval '0'"))
    return case((and_(channel.in_(quiet.channels), is_quiet), func.timezone(customers.c.time_zone, ends)))


async def _hold(tx: Tx, dispatch_id: int) -> None:
    """Keep back all but the first hundredth of each channel, one batch at least."""
    ours = (
        select(
            batches.c.id,
            func.row_number()
            .over(partition_by=batches.c.channel, order_by=(batches.c.needed_at, batches.c.id))
            .label("place"),
            func.count().over(partition_by=batches.c.channel).label("of"),
        )
        .where(batches.c.dispatch_id == dispatch_id)
        .subquery("ours")
    )
    first = func.greatest(func.ceil(ours.c.of * FIRST_SHARE), 1)
    rest = select(ours.c.id).where(ours.c.place > first)
    await tx.execute(update(batches).where(batches.c.id.in_(rest), batches.c.waits.is_(None)).values(waits="held"))


def _is_out(delivery_id: ColumnElement[int]) -> ColumnElement[bool]:
    out = select(func.unnest(batches.c.delivery_ids).label("id")).where(batches.c.lease_until.is_not(None))
    return delivery_id.in_(select(out.subquery("out").c.id))


async def _supersede(tx: Tx, dispatch_id: int, topic: str, number: int) -> None:
    """Let newer news of the topic overtake what is unsent; news that comes out of order is overtaken itself."""
    others = select(dispatches.c.id, dispatches.c.number).where(
        dispatches.c.topic == topic, dispatches.c.id != dispatch_id
    )
    numbers = (await tx.execute(others)).all()
    older = [row.id for row in numbers if row.number < number]
    newer = [row.id for row in numbers if row.number > number]
    connection = await driver(tx)
    if older:
        behind = await order.overtake(connection, older, [dispatch_id])
        await order.hold_back(connection, dispatch_id, behind)
    if newer:
        await order.overtake(connection, [dispatch_id], newer)


async def _withdraw(tx: Tx, wrong_id: int) -> None:
    """What is unsent of wrong news is never sent, to whomever."""
    await order.withdraw(await driver(tx), wrong_id)
