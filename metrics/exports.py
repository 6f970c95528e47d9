"""Analysts' exports: one SELECT over a facts view each, streamed out of PostgreSQL by COPY with flat memory.

Texts are written by the server, so a million rows cost this process little. It knows no package's tables.
"""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from sqlalchemy import ColumnElement, DateTime, Select, Text, case, func, literal_column, select
from sqlalchemy.dialects.postgresql import dialect

from foundation.database import Driver, Tx, driver
from foundation.errors import Invalid, NotFound
from metrics.facts import case_facts, contact_facts, delivery_facts, incident_facts, promise_facts, update_facts

EXPORTS = {
    "deliveries": delivery_facts,
    "contacts": contact_facts,
    "cases": case_facts,
    "incidents": incident_facts,
    "updates": update_facts,
    "promises": promise_facts,
}
FORMATS = {"csv": "text/csv; charset=utf-8; header=present", "ndjson": "application/x-ndjson"}

_INCIDENT = re.compile(r"[a-z0-9]{12}")
# A cell that starts so is a formula to a spreadsheet (OWASP, CSV injection); the wide forms are what Excel folds.
_FORMULA = r"^\s*[-=+@＝＋－＠]"
_CHUNKS_AHEAD = 4
_POSTGRESQL = dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's, without types


def export(
    tx: Tx,
    name: str,
    *,
    incident: str | None = None,
    format: str = "csv",  # noqa: A002 (the option's own name)
) -> AsyncGenerator[bytes]:
    """The rows of `name` (a key of `EXPORTS`), of one `incident` or of all, as chunks of bytes, in no order.

    `csv` follows RFC 4180 with a header; a text that a spreadsheet would run gets an apostrophe in front, and line
    breaks in a text become spaces. `ndjson` has one object a line with texts as they are. Times are ISO 8601 in UTC
    with Z. `tx` should be a snapshot; it serves this export alone until the last chunk; closing the generator before
    that ends it. What cannot be exported is refused at once: `NotFound` for a name, `Invalid` for a format or an id.
    """
    if name not in EXPORTS:
        raise NotFound(
            f"There is no export called {name[:50]!r}. There are: {', '.join(EXPORTS)}.", code="no_such_export"
        )
    if format not in FORMATS:
        raise Invalid(f"Exports have the formats {' and '.join(FORMATS)}, not {format[:50]!r}.", code="no_such_format")
    if incident is not None and _INCIDENT.fullmatch(incident) is None:
        raise Invalid("An incident id has 12 characters, a-z and 0-9; `export incidents` lists them.")
    return _csv(tx, name, incident) if format == "csv" else _ndjson(tx, name, incident)


async def _csv(tx: Tx, name: str, incident: str | None) -> AsyncGenerator[bytes]:
    facts = EXPORTS[name]
    rows = _of(incident, name, select(*(_cell(one).label(one.name) for one in facts.c)))
    async with aclosing(_copied(tx, rows, format="csv", header=True)) as chunks:
        async for chunk in chunks:
            yield chunk.replace(b"\n", b"\r\n")


async def _ndjson(tx: Tx, name: str, incident: str | None) -> AsyncGenerator[bytes]:
    facts = EXPORTS[name]
    fact = _of(incident, name, select(*(_plain(one).label(one.name) for one in facts.c))).subquery("fact")
    rows = select(func.row_to_json(literal_column("fact"))).select_from(fact)
    # JSON holds no raw control characters, so with these as quote and delimiter COPY writes it untouched.
    async with aclosing(_copied(tx, rows, format="csv", delimiter="\x01", quote="\x02")) as chunks:
        async for chunk in chunks:
            yield chunk


def _of(incident: str | None, name: str, rows: Select[Any]) -> Select[Any]:
    return rows if incident is None else rows.where(EXPORTS[name].c.incident_id == incident)


def _plain(one: ColumnElement[Any]) -> ColumnElement[Any]:
    if isinstance(one.type, DateTime):
        return func.to_char(func.timezone("UTC", one), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
    return one


def _cell(one: ColumnElement[Any]) -> ColumnElement[Any]:
    if not isinstance(one.type, Text):
        return _plain(one)
    line = func.regexp_replace(one, r"[\r\n]+", " ", "g")
    return case((one.regexp_match(_FORMULA), func.concat("'", line)), else_=line)


async def _copied(tx: Tx, rows: Select[Any], **options: Any) -> AsyncGenerator[bytes]:
    """The output of COPY, pulled: it runs beside us and waits while `_CHUNKS_AHEAD` chunks are not taken."""
    connection = await driver(tx)
    query = str(rows.compile(dialect=_POSTGRESQL, compile_kwargs={"literal_binds": True})).replace("%%", "%")
    chunks: asyncio.Queue[bytes | None] = asyncio.Queue(_CHUNKS_AHEAD)

    async def copy() -> None:
        try:
            await connection.copy_from_query(query, output=chunks.put, **options)
        except Exception:
            await chunks.put(None)
            raise
        await chunks.put(None)

    copying = asyncio.create_task(copy())
    try:
        while (chunk := await chunks.get()) is not None:
            yield bytes(chunk)
        await copying
    finally:
        if not copying.done():
            await _abandon(tx, connection, copying)


async def _abandon(tx: Tx, connection: Driver, copying: asyncio.Task[None]) -> None:
    # The reader left. A COPY broken off leaves the driver waiting for a server that goes on writing, so the connection
    # is no use to anybody; the pool makes another.
    connection.terminate()
    copying.cancel()
    await asyncio.wait([copying])
    await tx.invalidate()
    await tx.rollback()
