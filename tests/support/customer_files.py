"""Builders of customer files, a place for their rejected lines, and a picture of the directory to compare."""

import io

from sqlalchemy import text

from foundation.database import Tx
from incidents import register_components
from notify.customer_file import Bad, Header
from notify.customer_import import ImportResult, import_customers
from notify.customer_row import COLUMNS

HEADER = ",".join(COLUMNS)


def a_line(**changes: str) -> str:
    """One good line, with `changes` to its columns."""
    values = {
        "customer_number": "C1",
        "name": "Anna Jansen",
        "language": "nl",
        "time_zone": "America/New_York",
        "email": "anna@example.org",
        "phone": "+12125552368",
        "component": "DL 1117",
        "reference": "ABC123",
        "needed_at": "2013-02-08T14:30:00-05:00",
    }
    return ",".join({**values, **changes}[name] for name in COLUMNS)


def a_file(*lines: str | bytes, header: str = HEADER, end: str = "\n") -> bytes:
    """A customer file of `lines`."""
    return b"".join((line.encode() if isinstance(line, str) else line) + end.encode() for line in (header, *lines))


class Kept:
    """Rejected lines, kept for looking at."""

    def __init__(self) -> None:
        self.bad: list[Bad] = []

    def begin(self, header: Header) -> None: ...

    def add(self, bad: Bad) -> None:
        self.bad.append(bad)

    @property
    def reasons(self) -> dict[int, str]:
        return {bad.line: bad.reason for bad in self.bad}


async def load(tx: Tx, content: bytes, rejects: Kept | None = None) -> ImportResult:
    """Import `content` as a file would be."""
    return await import_customers(
        tx, io.BytesIO(content), register_components=register_components, rejects=rejects or Kept()
    )


async def directory(tx: Tx) -> dict[str, list[tuple[object, ...]]]:
    """Every row of the directory with its place on disk: a row written again differs even if it says the same."""
    return {
        name: [tuple(row) for row in await tx.execute(text(f"SELECT ctid::text, * FROM {name} ORDER BY 1"))]
        for name in ("components", "customers", "addresses", "exposures")
    }
