"""A customer file as it comes from elsewhere: bytes become rows, and every line that cannot says why.

One physical line is one row, so a quote somebody forgot to close costs one line and not the rest of the file. Memory
stays flat however long the file or a line is. Files about other things are read the same way, up to the texts of their
columns. It knows nothing of the database.
"""

import csv
import re
import unicodedata
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import BinaryIO, NamedTuple

from foundation.errors import Invalid
from notify.customer_row import COLUMNS, BadRow, CustomerRow, check_row

LONGEST_LINE = 65_536
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
_NOT_TEXT = {
    b"PK\x03\x04": "a spreadsheet or zip file",
    b"\x1f\x8b": "a gzip file",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}


class UnusableFile(Invalid):
    """Nothing in the file can be read as rows. The message says how to make it readable."""

    code = "unusable_file"


class Header(NamedTuple):
    """The first line: how columns are told apart, how many there are, and which of them we know. `raw`: its bytes.

    `places`: where each column we know stands; `width`, which is past the last, for one that is not there.
    """

    raw: bytes
    delimiter: str
    width: int
    places: tuple[int, ...]
    ignored: tuple[str, ...]


class Texts(NamedTuple):
    """A line that can be read: the texts of the columns we know, in our order, empty where the file has no such one."""

    line: int
    raw: bytes
    texts: Sequence[str]


class Good(NamedTuple):
    """A row that can be stored."""

    line: int
    row: CustomerRow


class Bad(NamedTuple):
    """A line that cannot be loaded. `number` is the customer it speaks of, when that much can be read."""

    line: int
    raw: bytes
    reason: str
    number: str | None


def read_header(file: BinaryIO, columns: Sequence[str] = COLUMNS, required: Sequence[str] = COLUMNS) -> Header:
    """Read the first line of `file`, which names `columns`. Raises `UnusableFile` when they cannot be known."""
    raw = file.readline(LONGEST_LINE)
    kind = next((kind for start, kind in _NOT_TEXT.items() if raw.startswith(start)), None)
    if kind is not None:
        raise UnusableFile(f"This is {kind}. Save it as CSV, in UTF-8, and import that.")
    if _is_cut(raw):
        raise UnusableFile("The first line never ends. Is this a CSV file with one row on each line?")
    try:
        text = raw.removeprefix(b"\xef\xbb\xbf").decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise UnusableFile("The first line is not UTF-8. Save the file as CSV in UTF-8.") from None
    if not text.strip():
        raise UnusableFile(f"The file has no first line with column names. They are: {','.join(columns)}.")
    delimiter = max(",;\t", key=text.count)
    names = [name.strip().strip('"').strip().lower() for name in text.split(delimiter)]
    missing = [name for name in required if name not in names]
    if missing:
        rest = "may be empty" if required == columns else "may be left out"
        raise UnusableFile(
            f"The first line must name the columns; missing: {', '.join(missing)}. It must be {','.join(columns)} "
            f"(in any order; a column nobody uses {rest})."
        )
    twice = sorted({name for name in columns if names.count(name) > 1})
    if twice:
        raise UnusableFile(f"The first line names a column twice: {', '.join(twice)}. Remove one of the two.")
    places = tuple(names.index(name) if name in names else len(names) for name in columns)
    ignored = tuple(name for name in names if name not in columns)
    return Header(raw.removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n"), delimiter, len(names), places, ignored)


def read_rows(file: BinaryIO, header: Header) -> Iterator[Good | Bad]:
    """Every line of a customer `file` after its header, in order; blank lines are no rows."""
    for one in read_texts(file, header):
        if isinstance(one, Bad):
            yield one
            continue
        try:
            yield Good(one.line, check_row(one.texts))
        except BadRow as error:
            yield Bad(one.line, one.raw, str(error), _number(one.raw, header))


def read_texts(file: BinaryIO, header: Header) -> Iterator[Texts | Bad]:
    """Every line of `file` after its header, in order; what the texts mean is for others to check."""
    pick = itemgetter(*header.places)
    for line, raw in _lines(file):
        if not raw.strip() and not _is_cut(raw):
            continue
        try:
            yield Texts(line, raw, pick([*_fields(raw, header), ""]))
        except BadRow as error:
            yield Bad(line, raw, str(error), _number(raw, header))


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Physical lines and their numbers. Of an overlong line only the beginning; the rest is skipped unread."""
    number = 1
    while raw := file.readline(LONGEST_LINE):
        number += 1
        yield number, raw
        while _is_cut(raw):
            raw = file.readline(LONGEST_LINE)


def _is_cut(raw: bytes) -> bool:
    return len(raw) == LONGEST_LINE and not raw.endswith(b"\n")


def _fields(raw: bytes, header: Header) -> list[str]:
    if _is_cut(raw):
        raise BadRow(f"the line is longer than {LONGEST_LINE} bytes (only its beginning is kept here)")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise BadRow(f"not UTF-8 (byte {error.start + 1} of the line); save the file in UTF-8") from None
    text = text.removesuffix("\n").removesuffix("\r")
    found = _CONTROL.search(text)
    if found is not None:
        raise BadRow(_control(found.group()))
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    fields = text.split(header.delimiter) if '"' not in text else _quoted(text, header.delimiter)
    if len(fields) != header.width:
        raise BadRow(f"{len(fields)} columns, where the first line has {header.width}")
    return fields


def _quoted(text: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True))
    except (csv.Error, StopIteration):
        raise BadRow("a quote is not closed, or text follows it; a row must stand on one line") from None


def _control(character: str) -> str:
    if character == "\x00":
        return "holds a NUL byte"
    return f"holds a control character (U+{ord(character):04X})"


def _number(raw: bytes, header: Header) -> str | None:
    """The customer number of a line we cannot load, as well as it can be read."""
    fields = raw.decode(errors="replace").split(header.delimiter)
    number = fields[header.places[0]].strip().strip('"').strip() if len(fields) > header.places[0] else ""
    usable = 0 < len(number) <= 60 and "�" not in number and _CONTROL.search(number) is None
    return unicodedata.normalize("NFC", number) if usable else None
