"""Reads the CSV in which a call centre hands over its evening: a contact a line, or why that line is none. Pure.

The same line handed over again is the same contact, in whatever file: by its `call_id`, else by all it says.
"""

import csv
import hashlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from claims.calls import NOTED, as_call, call_faults
from claims.intake import Arrival
from claims.submissions import ASKS_FOR
from foundation.errors import Invalid

COLUMNS = (*NOTED, "agent", "called_at", "call_id")
_LONGEST_LINE = 64 * 1024


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is no contact: its number, as an editor counts, and what to mend."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class GoodLine:
    """A line that is a contact."""

    line: int
    call: Arrival


def read_calls(content: bytes) -> Iterator[GoodLine | BadLine]:
    """Every line of the file as a contact, or what is wrong with it. Raises `Invalid` when it is no such file."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Invalid("This file is not UTF-8. Save it as CSV UTF-8 and send it again.", code="not_utf8") from None
    csv.field_size_limit(_LONGEST_LINE)
    delimiter = ";" if text.partition("\n")[0].count(";") > text.partition("\n")[0].count(",") else ","
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    names = [name.strip().lower() for name in _header(rows)]
    if "message" not in names:
        raise Invalid(
            f"The first line must name the columns, `message` among them. Known are {', '.join(COLUMNS)}.",
            code="no_header",
        )
    rows.fieldnames = names
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield BadLine(rows.line_num, f"This line cannot be read: {error}.")
            continue
        yield _one(row, rows.line_num)


def _header(rows: "csv.DictReader[str]") -> list[str]:
    try:
        return list(rows.fieldnames or ())
    except csv.Error:
        return []


def _one(row: Mapping[str | None, str | None], line: int) -> GoodLine | BadLine:
    if None in row:
        return BadLine(line, "This line has more columns than the first line names. Is a quote missing?")
    said = {str(name): (value or "").strip() for name, value in row.items()}
    if faults := call_faults(said):
        return BadLine(line, f"{faults[0].field}: {faults[0].message}")
    if said.get("asks_for") and said["asks_for"] not in ASKS_FOR:
        return BadLine(line, f"asks_for: must be one of {', '.join(ASKS_FOR)}, or empty.")
    telling = said.get("call_id") or "\n".join(f"{name}={said.get(name, '')}" for name in COLUMNS)
    key = f"calls:{hashlib.blake2b(telling.encode('utf-8', 'replace'), digest_size=16).hexdigest()}"
    called_at = said.get("called_at", "")[:60]
    return GoodLine(line, as_call(said, said.get("agent", "")[:200], key=key, called_at=called_at))
