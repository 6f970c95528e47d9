"""Loads a customer file into the directory: COPY into staging, then a few statements over all of it.

What the file says is true for what it names. A customer's name, language and time zone are those of their last line.
All mail addresses and phone numbers on their lines are kept; one we knew is *replaced* when the file gives that
customer another, usable one on the same channel and no longer this one. A channel the file leaves empty for a customer
says nothing about the addresses we have, and neither does a file in which one of the customer's lines was rejected:
rather somebody told at an old address than nobody told. A replaced address becomes usable again when a file names it
again; one suppressed for another reason (bounced, complained) stays so, and consent is never touched. An exposure the
file does not name stays: files are often one day's or one region's. The same file again changes nothing, not even a
time stamp.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO, Protocol

from sqlalchemy import ColumnClause, Select, column, select, table

from foundation.database import Driver, Tx, driver
from notify.customer_file import Bad, Header, read_header, read_rows
from notify.customer_upsert import CLEAR, LOCK, ROOM, STAGED_COLUMNS, STAGING, STATEMENTS

Progress = Callable[[str, int], None]
_EVERY = 2_000

_NOTHING = (None,) * 9
STEPS = len(STATEMENTS)

Record = tuple[int | str | datetime | None, ...]


class RegisterComponents(Protocol):
    """What the import needs from whoever owns components: create those of `keys` that do not exist."""

    async def __call__(self, tx: Tx, keys: Select[Any]) -> object: ...


class Rejects(Protocol):
    """Where lines go that cannot be loaded."""

    def begin(self, header: Header) -> None:
        """The file's first line is known."""

    def add(self, bad: Bad) -> None:
        """One more line is rejected."""


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What an import did. `rows` good rows and `rejected` bad ones were read; the rest counts rows of the directory."""

    rows: int
    rejected: int
    customers_new: int
    customers_changed: int
    customers_unchanged: int
    addresses_new: int
    addresses_replaced: int
    addresses_returned: int
    exposures_new: int
    exposures_changed: int
    ignored_columns: tuple[str, ...] = ()

    @property
    def customers(self) -> int:
        """Customers the file names on good rows."""
        return self.customers_new + self.customers_changed + self.customers_unchanged


async def import_customers(
    tx: Tx,
    file: BinaryIO,
    *,
    register_components: RegisterComponents,
    rejects: Rejects,
    progress: Progress = lambda step, done: None,
) -> ImportResult:
    """Load `file`, open for reading bytes, into the directory; bad lines go to `rejects`.

    `progress` is told the step at work (`reading` with the bytes read, then `storing` with the statements done). One
    import at a time: a second waits. Raises `UnusableFile` when the first line cannot be understood.
    """
    header = read_header(file)
    rejects.begin(header)
    connection = await driver(tx)
    for statement in (LOCK, ROOM, STAGING):
        await connection.execute(statement)
    reading = _Reading(file, header, rejects, progress)
    await connection.copy_records_to_table("staged_customers", records=reading.records(), columns=STAGED_COLUMNS)
    await connection.execute("ANALYZE staged_customers")
    await register_components(tx, _COMPONENTS)
    counts = await _store(connection, progress)
    total = await connection.fetchval("SELECT count(*) FROM latest_customers")
    await connection.execute(CLEAR)
    return ImportResult(
        rows=reading.rows,
        rejected=reading.rejected,
        customers_unchanged=total - counts["customers_new"] - counts["customers_changed"],
        ignored_columns=header.ignored,
        **counts,
    )


class _Reading:
    """The file as records for COPY, counted on the way."""

    def __init__(self, file: BinaryIO, header: Header, rejects: Rejects, progress: Progress) -> None:
        self._file, self._header, self._rejects, self._progress = file, header, rejects, progress
        self.rows = 0
        self.rejected = 0

    def records(self) -> Iterator[Record]:
        for count, one in enumerate(read_rows(self._file, self._header)):
            if count % _EVERY == 0:
                self._progress("reading", self._file.tell())
            if isinstance(one, Bad):
                self.rejected += 1
                self._rejects.add(one)
                if one.number is not None:
                    yield (one.line, one.number, *_NOTHING)
            else:
                self.rows += 1
                yield (one.line, *one.row)
        self._progress("reading", self._file.tell())


async def _store(connection: Driver, progress: Progress) -> dict[str, int]:
    counts: dict[str, int] = {}
    for done, (name, statement) in enumerate(STATEMENTS):
        progress("storing", done)
        status = await connection.execute(statement)
        if name:
            counts[name] = int(status.rpartition(" ")[2])
    progress("storing", STEPS)
    return counts


_component: ColumnClause[str] = column("component")
_COMPONENTS = select(_component).select_from(table("staged_customers")).where(_component.is_not(None)).distinct()
