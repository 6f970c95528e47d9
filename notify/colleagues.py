"""Colleagues as people who can be told: those who must act, by mail or by text. It knows nothing of how they sign in.

A colleague is a row of `customers` of the kind 'staff', numbered by the name they sign in with, so that the outbox
proves that they were called. Nobody looks for customers among them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ARRAY, DateTime, Select, Text, any_, bindparam, func, null, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from foundation.database import Tx
from foundation.errors import Fault, Invalid, NotFound
from notify.addresses import BadAddress, normalise_mail, normalise_phone
from notify.tables import addresses, customers

_NUMBER = "staff:"


@dataclass(frozen=True, slots=True)
class Colleague:
    """How somebody who works here is reached. None: not that way. `name`: what they sign in with."""

    name: str
    mail: str | None
    phone: str | None
    language: str
    time_zone: str


async def note_colleague(tx: Tx, one: Colleague) -> None:
    """Keep how a colleague is reached from now on, instead of what was known. Raises Invalid with every fault."""
    found = {"mail": one.mail, "sms": one.phone}
    read = {"mail": ("mail", normalise_mail), "sms": ("phone", normalise_phone)}
    faults = []
    for channel, value in found.items():
        if value is None:
            continue
        field, normalise = read[channel]
        try:
            found[channel] = normalise(value)
        except BadAddress as error:
            faults.append(Fault(field, f"{error}"))
    if faults:
        raise Invalid("A colleague cannot be reached there.", faults)
    number = _NUMBER + one.name
    row = upsert(customers).values(
        number=number, name=one.name, name_key="", language=one.language, time_zone=one.time_zone, kind="staff"
    )
    made = row.on_conflict_do_update(
        index_elements=["number"],
        set_={"language": one.language, "time_zone": one.time_zone, "updated_at": func.now()},
        where=customers.c.kind == "staff",
    )
    key = (await tx.execute(made.returning(customers.c.id))).scalar_one()
    # The old ones stay where proof points to them, and nothing is sent there any more.
    kept = [value for value in found.values() if value is not None]
    await tx.execute(
        update(addresses).where(addresses.c.customer_id == key, addresses.c.value.not_in(kept)).values(consent=False)
    )
    for channel, value in found.items():
        if value is not None:
            known = upsert(addresses).values(customer_id=key, channel=channel, value=value)
            same = ["customer_id", "channel", "value"]
            await tx.execute(known.on_conflict_do_update(index_elements=same, set_={"consent": True}))


async def colleague(tx: Tx, name: str) -> Colleague:
    """How somebody is reached. Raises NotFound when nobody has said."""
    c = customers.c
    query = (
        select(c.language, c.time_zone, addresses.c.channel, addresses.c.value)
        .outerjoin(addresses, (addresses.c.customer_id == c.id) & addresses.c.consent)
        .where(c.number == _NUMBER + name, c.kind == "staff")
    )
    rows = (await tx.execute(query)).all()
    if not rows:
        raise NotFound("Nobody has said how this colleague is reached.", code="no_such_colleague")
    found = {row.channel: row.value for row in rows}
    return Colleague(name, found.get("mail"), found.get("sms"), rows[0].language, rows[0].time_zone)


def colleagues_named(names: Sequence[str]) -> Select[tuple[int, object]]:
    """An audience of colleagues, by the names they sign in with; those nobody can reach are left out."""
    numbers = bindparam("numbers", [_NUMBER + name for name in names], ARRAY(Text))
    never = null().cast(DateTime(timezone=True)).label("needed_at")
    return select(customers.c.id.label("customer_id"), never).where(
        customers.c.number == any_(numbers), customers.c.kind == "staff"
    )
