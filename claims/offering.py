"""Sends offers once what they need is true, takes them back when it stops being so, and hears yes and no.

One offer a transaction, with the components it rests on locked: whatever changes at the same time comes before or
after it, and the next step puts right what came after. A customer is told once that an offer is off, and not at all
where the offer never left us.
"""

from datetime import datetime
from typing import Literal

import asyncpg

import notify
from claims.answering import tell_offer
from claims.cases import Held, hold, journal
from claims.letters import Offered, Writer
from claims.offers import PLACED, TRUE, holds
from foundation.actors import SYSTEM, Actor
from foundation.clock import Clock
from foundation.database import Database, Tx, driver
from foundation.errors import Conflict

Answer = Literal["accept", "decline"]


class Offering:
    """What a worker does for offers. Any number of workers may: each takes what no other has in hand."""

    def __init__(self, database: Database, writer: Writer, clock: Clock) -> None:
        self._database = database
        self._writer = writer
        self._clock = clock

    async def step(self) -> bool:
        """Release one offer, or withdraw one, or end one that nobody answered. Whether there was any."""
        async with self._database.transaction() as tx:
            now = self._clock()
            connection = await driver(tx)
            await connection.execute(_EXPIRE, now)
            row = await connection.fetchrow(_DUE, now)
            if row is None:
                return False
            if row["state"] == "held":
                await release(tx, self._writer, row["id"], now=now)
            elif not await holds(connection, row["id"]):
                await withdraw(tx, SYSTEM, self._writer, row["id"], now=now)
            return True


# Held and all of it true, or out and some of it not. Rare ones wait for nobody: the row is skipped while in hand.
_DUE = f"""
SELECT f.id, f.state FROM offers locked JOIN ({PLACED}) f ON f.id = locked.id
  JOIN LATERAL (SELECT bool_and({TRUE}) AS so FROM offer_conditions o WHERE o.offer_id = f.id) all_of ON true
 WHERE (locked.state = 'held' AND all_of.so AND f.case_state = 'open' AND locked.answer_by > $1)
    OR (locked.state IN ('released', 'accepted') AND NOT all_of.so AND coalesce(locked.at, locked.answer_by) > $1)
 ORDER BY locked.state = 'held', locked.id LIMIT 1
   FOR UPDATE OF locked SKIP LOCKED
"""  # noqa: S608 (all of it is ours)
_EXPIRE = """
UPDATE offers SET state = 'expired', ended_at = $1 WHERE state IN ('held', 'released') AND answer_by <= $1
"""


async def release(tx: Tx, writer: Writer, offer_id: int, *, now: datetime) -> bool:
    """Send a held offer, if all it needs is true; whether it went."""
    connection = await driver(tx)
    if not await holds(connection, offer_id):
        return False
    offer = await connection.fetchrow(
        "UPDATE offers SET state = 'released', released_at = $2 WHERE id = $1 AND state = 'held' RETURNING *",
        offer_id,
        now,
    )
    if offer is None:
        return False
    case = await _case(tx, offer_id)
    await _tell(tx, writer, case, offer, withdrawn=False)
    await journal(tx, SYSTEM, case.id, "offer_released", offer=offer_id)
    return True


async def withdraw(tx: Tx, actor: Actor, writer: Writer, offer_id: int, *, now: datetime) -> bool:
    """Take back an offer that is out, and say so to whoever may have got it; whether this did it."""
    connection = await driver(tx)
    offer = await connection.fetchrow(
        """
        UPDATE offers SET state = 'withdrawn', ended_at = $2
         WHERE id = $1 AND state IN ('released', 'accepted') RETURNING *
        """,
        offer_id,
        now,
    )
    if offer is None:
        return False
    case = await _case(tx, offer_id)
    await _tell(tx, writer, case, offer, withdrawn=True)
    await journal(tx, actor, case.id, "offer_withdrawn", offer=offer_id)
    return True


async def answer(tx: Tx, actor: Actor, writer: Writer, offer_id: int, said: Answer, *, now: datetime) -> str:
    """A customer says yes or no to an offer; the state it is in then.

    A yes to what is no longer true withdraws it: the caller commits that and shows it. Saying the same again changes
    nothing. Raises Conflict for an offer that is not to be answered any more.
    """
    connection = await driver(tx)
    offer = await connection.fetchrow("SELECT state, answer_by FROM offers WHERE id = $1 FOR UPDATE", offer_id)
    wanted = "accepted" if said == "accept" else "declined"
    if offer is not None and offer["state"] == wanted:
        return wanted
    if offer is None or offer["state"] not in ("released", "accepted") or offer["answer_by"] <= now:
        raise Conflict("This offer cannot be answered any more.", code="offer_over")
    if said == "accept" and not await holds(connection, offer_id):
        await withdraw(tx, SYSTEM, writer, offer_id, now=now)
        return "withdrawn"
    await connection.execute(
        """
        UPDATE offers SET state = $2::text, answered_at = $3::timestamptz,
                          ended_at = CASE WHEN $2::text = 'declined' THEN $3::timestamptz END
         WHERE id = $1
        """,
        offer_id,
        wanted,
        now,
    )
    case = await _case(tx, offer_id)
    await journal(tx, actor, case.id, f"offer_{wanted}", offer=offer_id)
    return wanted


async def _case(tx: Tx, offer_id: int) -> Held:
    number = await (await driver(tx)).fetchval(
        f"SELECT f.number FROM ({PLACED}) f WHERE f.id = $1",  # noqa: S608 (all of it is ours)
        offer_id,
    )
    return await hold(tx, number)


async def _tell(tx: Tx, writer: Writer, case: Held, offer: asyncpg.Record, *, withdrawn: bool) -> None:
    """Write it to the customer. Before it says that an offer is off, what of it is unsent is called off."""
    if withdrawn and offer["dispatch"] is not None:
        await notify.cancel(tx, offer["dispatch"])
    made = await tell_offer(
        tx,
        SYSTEM,
        writer,
        case,
        contact_ids=[] if offer["contact_id"] is None else [offer["contact_id"]],
        offered=Offered(offer["kind"], offer["words"], offer["at"], offer["answer_by"], withdrawn),
    )
    if not withdrawn:
        await (await driver(tx)).execute(
            "UPDATE offers SET dispatch = (SELECT dispatch FROM replies WHERE id = $2) WHERE id = $1", offer["id"], made
        )
