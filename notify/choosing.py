"""Who of an audience is reached over which channel, at which address and in which language; and how many that makes.

It chooses and counts; nothing is written here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Select, String, Subquery, and_, case, cast, func, literal, null, select

from foundation.database import Tx
from notify.exercises import drilled, is_drill
from notify.messages import ChannelName
from notify.opt_outs import opted_out
from notify.tables import addresses, customers

# Columns customer_id and needed_at.
Audience: TypeAlias = Select[Any]


@dataclass(frozen=True, slots=True)
class Reach:
    """How many of an audience a channel reaches in one language. `unreachable`: no address that may be used."""

    channel: ChannelName
    language: str
    recipients: int
    unreachable: int


async def preview(
    tx: Tx,
    audience: Audience,
    languages: Sequence[str],
    channels: Sequence[ChannelName] = ("mail",),
    *,
    topic: str = "",
) -> list[Reach]:
    """Whom `enqueue` would reach now with messages in `languages`, by the same statement, storing nothing."""
    audience, channels = await _allowed(tx, topic, audience, channels)
    plan = Choice(topic, audience, [(channel, list(languages)) for channel in channels]).subquery()
    reached = func.count(plan.c.address_id)
    statement = select(plan.c.channel, plan.c.language, reached, func.count() - reached)
    found = {
        (row[0], row[1]): (row[2], row[3])
        for row in await tx.execute(statement.group_by(plan.c.channel, plan.c.language))
    }
    return [
        Reach(channel, language, *found.get((channel, language), (0, 0)))
        for channel in channels
        for language in languages
    ]


async def phones_by_prefix(
    tx: Tx,
    audience: Audience,
    languages: Sequence[str],
    channels: Sequence[ChannelName],
    *,
    topic: str = "",
) -> list[tuple[str, str, int]]:
    """The phones that `enqueue` would text now, counted: (language, one of them, how many begin alike).

    Numbers that begin alike for eight characters are of one country, so a price can be told from one of them.
    """
    audience, channels = await _allowed(tx, topic, audience, channels)
    plan = Choice(topic, audience, [(channel, list(languages)) for channel in channels]).subquery()
    statement = (
        select(plan.c.language, func.min(addresses.c.value), func.count())
        .select_from(plan.join(addresses, addresses.c.id == plan.c.address_id))
        .where(plan.c.channel == "sms")
        .group_by(plan.c.language, func.left(addresses.c.value, 8))
    )
    return [(row[0], row[1], row[2]) for row in await tx.execute(statement)]


def reachable(audience: Audience, channel: ChannelName) -> Subquery:
    """customer_id, address_id (None: unreachable) and reason, over one channel, for what nobody opts out of."""
    return Choice("", audience, [(channel, ["en"])]).subquery()


async def _allowed(
    tx: Tx, topic: str, audience: Audience, channels: Sequence[ChannelName]
) -> tuple[Audience, Sequence[ChannelName]]:
    """Whom and by what a topic may reach: all of it, or in a drill the seeds."""
    if not await is_drill(tx, topic):
        return audience, channels
    return drilled(audience, topic), [channel for channel in channels if channel != "webhook"]


@dataclass(frozen=True, slots=True)
class Choice:
    """Who gets what, one row per customer of `audience`. `channels`: each with the languages there is a text in."""

    topic: str
    audience: Audience
    channels: Sequence[tuple[ChannelName, Sequence[str]]]

    def subquery(self) -> Subquery:
        """customer_id, needed_at, channel, language, address_id (None: unreachable), reason."""
        people = self.audience.subquery("people")
        usable = and_(addresses.c.consent, addresses.c.health == "usable")
        # The oldest usable address of each channel, until addresses carry a preference.
        found = {
            channel: func.min(addresses.c.id).filter(usable, addresses.c.channel == channel)
            for channel, _ in self.channels
        }
        ours = addresses.c.channel.in_([channel for channel, _ in self.channels])
        reason = case(
            (func.count(addresses.c.id) == 0, "no_address"),
            (func.bool_or(addresses.c.consent), func.coalesce(func.min(addresses.c.suppressed_because), "suppressed")),
            else_="no_consent",
        )
        reached = (
            select(
                people.c.customer_id,
                func.min(people.c.needed_at).label("needed_at"),
                *(address.label(f"{channel}_address") for channel, address in found.items()),
                cast(reason, String).label("reason"),
                customers.c.language.label("wanted"),
                customers.c.prefers,
            )
            .select_from(people)
            .join(customers, customers.c.id == people.c.customer_id)
            .outerjoin(addresses, and_(addresses.c.customer_id == people.c.customer_id, ours))
            .group_by(people.c.customer_id, customers.c.id)
            .subquery("reached")
        )
        at = {channel: reached.c[f"{channel}_address"] for channel, _ in self.channels}
        preferred = [(and_(reached.c.prefers == channel, one.is_not(None)), channel) for channel, one in at.items()]
        possible = [(one.is_not(None), channel) for channel, one in at.items()]
        channel = case(*preferred, *possible, else_=self.channels[0][0])
        left = opted_out(reached.c.customer_id, self.topic).label("left")
        # OFFSET 0: else PostgreSQL works out each of these anew wherever it is mentioned.
        chosen = select(reached, channel.label("channel"), left).offset(0).subquery("chosen")
        address = case(
            (chosen.c.left, null()), *((chosen.c.channel == name, chosen.c[f"{name}_address"]) for name in at)
        )
        language = case(
            *((chosen.c.channel == name, _language(chosen.c.wanted, languages)) for name, languages in self.channels)
        )
        plan = select(
            chosen.c.customer_id,
            chosen.c.needed_at,
            chosen.c.channel,
            language.label("language"),
            address.label("address_id"),
            case((chosen.c.left, "opted_out"), (address.is_(None), chosen.c.reason)).label("reason"),
        )
        return plan.offset(0).subquery("plan")


def _language(wanted: ColumnElement[str], languages: Sequence[str]) -> ColumnElement[str]:
    """The customer's language if there is a text in it (nl for nl-BE too), else English, else the first."""
    fallback = "en" if "en" in languages else languages[0]
    general = func.split_part(wanted, "-", 1)
    return case((wanted.in_(languages), wanted), (general.in_(languages), general), else_=literal(fallback))
