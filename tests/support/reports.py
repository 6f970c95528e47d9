"""Builders of deliveries that have been sent, and of reports about them."""

import itertools
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from foundation.database import Tx
from notify import Report
from notify.reports import Kind
from tests.support.directory import a_customer
from tests.support.outbox import a_dispatch

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
_serial = itertools.count(1)


async def a_component(tx: Tx) -> None:
    await tx.execute(
        text("INSERT INTO components (key, name) VALUES ('DL 1', 'DL 1') ON CONFLICT DO NOTHING"),
    )


async def told(tx: Tx, *customers: tuple[str, str], state: str = "accepted", update: int = 1) -> dict[str, int]:
    """Tell each (number, mail) and bring the deliveries to `state`; customer number → delivery id."""
    await a_component(tx)
    for number, mail in customers:
        await a_customer(tx, number, mail, exposures=[("DL 1", "", None)])
    return await told_again(tx, state=state, update=update)


async def told_again(tx: Tx, *, state: str = "accepted", update: int = 2) -> dict[str, int]:
    """Another update to everybody in the directory, brought to `state`; customer number → delivery id."""
    await a_dispatch(tx, f"storm{update}", update)
    if state != "planned":
        await tx.execute(
            text("UPDATE deliveries SET state = :state, final_at = now() WHERE state = 'planned'"), {"state": state}
        )
    rows = await tx.execute(
        text(
            "SELECT c.number, d.id FROM deliveries d JOIN customers c ON c.id = d.customer_id"
            " JOIN dispatches p ON p.id = d.dispatch_id WHERE p.topic = :topic"
        ),
        {"topic": f"incident:storm{update}"},
    )
    return {row[0]: row[1] for row in rows}


def a_report(
    delivery: int | None,
    kind: Kind,
    *,
    key: str = "",
    days: float = 0,
    reference: str | None = None,
    status: str | None = None,
) -> Report:
    """A report on `delivery` that came `days` after noon of a fixed day."""
    return Report(
        source="mail",
        key=key or f"report {next(_serial)}",
        raw=b"the very bytes",
        delivery_id=delivery,
        kind=kind,
        status=status,
        text="its words",
        received_at=NOON + timedelta(days=days),
        reference=reference,
    )
