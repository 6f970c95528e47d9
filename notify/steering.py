"""What people decide about a dispatch that is under way: release what is held, pause, go on, call it off.

Also who is told first (`seeds`) and which channel a customer prefers. Use cases: the caller commits.
"""

from collections.abc import Sequence
from typing import Literal

from sqlalchemy import Update, delete, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from foundation.database import Tx, driver
from foundation.errors import Conflict, NotFound
from notify import order
from notify.tables import batches, customers, dispatches, seeds


async def release(tx: Tx, key: str) -> None:
    """Send the rest of a dispatch that was held after its first hundredth. Again changes nothing."""
    dispatch_id, status = await _locked(tx, key)
    waits = "paused" if status == "paused" else None
    await tx.execute(_waiting(dispatch_id, "held").values(waits=waits))


async def pause(tx: Tx, key: str) -> None:
    """Begin no more of this dispatch. What is out with a worker is ended. Raises Conflict when it was called off."""
    dispatch_id, status = await _locked(tx, key)
    if status == "cancelled":
        raise Conflict("This was called off. Write a new update instead.", code="cancelled")
    await _set_status(tx, dispatch_id, "paused")
    ready = batches.c.waits.is_(None) & batches.c.lease_until.is_(None)
    await tx.execute(update(batches).where(batches.c.dispatch_id == dispatch_id, ready).values(waits="paused"))


async def resume(tx: Tx, key: str) -> None:
    """Go on with a dispatch that was paused. Raises Conflict when it was called off."""
    dispatch_id, status = await _locked(tx, key)
    if status == "cancelled":
        raise Conflict("This was called off. Write a new update instead.", code="cancelled")
    await _set_status(tx, dispatch_id, "running")
    await tx.execute(_waiting(dispatch_id, "paused").values(waits=None))


async def cancel(tx: Tx, key: str) -> None:
    """Call it off: what is unsent never is. What is out with a worker may still arrive, and is not tried again."""
    dispatch_id, _ = await _locked(tx, key)
    await _set_status(tx, dispatch_id, "cancelled")
    await order.withdraw(await driver(tx), dispatch_id, "suppressed", "cancelled")


async def prefer(tx: Tx, customer_number: str, channel: Literal["mail", "sms"] | None) -> None:
    """Note which channel a customer would rather be told on; None: whichever reaches them first. Raises NotFound."""
    changed = update(customers).where(customers.c.number == customer_number).values(prefers=channel)
    if not (await tx.execute(changed)).rowcount:
        raise NotFound("There is no customer with this number.", code="no_such_customer")


async def set_seeds(tx: Tx, customer_numbers: Sequence[str]) -> None:
    """Make these customers, and no others, the colleagues who are told first. Raises NotFound naming an unknown one."""
    found = (
        await tx.execute(select(customers.c.number, customers.c.id).where(customers.c.number.in_(customer_numbers)))
    ).all()
    if missing := set(customer_numbers) - {row[0] for row in found}:
        raise NotFound(f"There is no customer {min(missing)}.", code="no_such_customer")
    await tx.execute(delete(seeds))
    if found:
        await tx.execute(upsert(seeds).values([{"customer_id": row[1]} for row in found]))


async def _locked(tx: Tx, key: str) -> tuple[int, str]:
    row = (
        await tx.execute(select(dispatches.c.id, dispatches.c.status).where(dispatches.c.key == key).with_for_update())
    ).one_or_none()
    if row is None:
        raise NotFound("This was not sent to anybody yet.", code="not_sent")
    return row[0], row[1]


async def _set_status(tx: Tx, dispatch_id: int, status: str) -> None:
    await tx.execute(update(dispatches).where(dispatches.c.id == dispatch_id).values(status=status))


def _waiting(dispatch_id: int, waits: str) -> Update:
    return update(batches).where(batches.c.dispatch_id == dispatch_id, batches.c.waits == waits)
