"""Builders of deliveries, made the way a publication makes them."""

from sqlalchemy import func, select

from foundation.database import Tx
from notify import MessageText, enqueue, exposures

_soonest = func.min(exposures.c.needed_at).label("needed_at")
_EVERYBODY = select(exposures.c.customer_id, _soonest).group_by(exposures.c.customer_id)


async def a_dispatch(tx: Tx, incident: str, number: int = 1) -> None:
    """Plan update `number` of `incident` for everybody in the directory who relies on anything."""
    planned = await enqueue(
        tx,
        key=f"update:{incident}:{number}",
        topic=f"incident:{incident}",
        number=number,
        messages=[MessageText("mail", language, "News", "There is news.") for language in ("en", "nl")],
        audience=_EVERYBODY,
    )
    assert planned
