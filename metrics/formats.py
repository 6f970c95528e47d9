"""The formats of exports: record batches in, bytes out. They know no database and no HTTP."""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import xlsxwriter

from metrics.dictionary import Column
from metrics.rows import gathered

Batches = Iterable[pa.RecordBatch]
# A cell that starts so is a formula to a spreadsheet (OWASP, CSV injection); the wide forms are what Excel folds.
_FORMULA = r"^\s*[-=+@＝＋－＠]"
_LINE_BREAKS = r"[\r\n]+"
_ROWS_OF_A_SHEET = 1_048_575  # Excel's most, without the header
_LONGEST_CELL = 32_767  # characters, Excel's most
_PIECE = 1 << 20
_AT_ONCE = 1000  # rows that are Python objects at the same time


def write_csv(batches: Batches, schema: pa.Schema, columns: Iterable[Column], sink: BinaryIO) -> None:
    """RFC 4180 with a header. Texts that a spreadsheet would run get an apostrophe; line breaks become spaces."""
    sink.write(",".join(schema.names).encode() + b"\r\n")
    options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="needed")
    for batch in batches:
        cells = pa.RecordBatch.from_arrays([_cell(one) for one in batch.columns], names=schema.names)
        buffer = pa.BufferOutputStream()
        pyarrow.csv.write_csv(cells, buffer, options)
        # No text holds a line break any more, so each of these ends a row.
        sink.write(buffer.getvalue().to_pybytes().replace(b"\n", b"\r\n"))


def _cell(one: pa.Array) -> pa.Array:
    if pa.types.is_timestamp(one.type):
        return _moments(one)
    if not pa.types.is_string(one.type) or not (values := one.dictionary_encode()).dictionary:
        return one
    # Most texts are one of a few words, so each is looked at once a batch.
    words = pc.replace_substring_regex(values.dictionary, _LINE_BREAKS, " ")
    risky = pc.match_substring_regex(values.dictionary, _FORMULA)
    if pc.any(risky).as_py():
        words = pc.if_else(risky, pc.binary_join_element_wise("'", words, ""), words)
    return words.take(values.indices)


def _moments(one: pa.Array) -> pa.Array:
    """Times in UTC as ISO 8601 writes them. Arrow looks up the zone of each, and takes ten times as long as without."""
    plain = pc.cast(one.view(pa.timestamp("us")), pa.string())
    return pc.binary_join_element_wise(pc.replace_substring(plain, " ", "T", max_replacements=1), "Z", "")


def write_ndjson(batches: Batches, schema: pa.Schema, columns: Iterable[Column], sink: BinaryIO) -> None:
    """One JSON object a line, texts as they are, times as in CSV."""
    encoder = msgspec.json.Encoder()
    for batch in batches:
        plain = [_cell(one) if pa.types.is_timestamp(one.type) else one for one in batch.columns]
        rows = pa.RecordBatch.from_arrays(plain, names=schema.names)
        for start in range(0, rows.num_rows, _AT_ONCE):
            lines = encoder.encode_lines(rows.slice(start, _AT_ONCE).to_pylist())
            sink.write(lines)


def write_parquet(batches: Batches, schema: pa.Schema, columns: Iterable[Column], sink: BinaryIO) -> None:
    """Parquet with types, compressed; what each column means stands in the schema."""
    meant = {one.name: {"meaning": one.meaning, "unit": one.unit, "source": one.source} for one in columns}
    described = pa.schema([one.with_metadata(meant.get(one.name)) for one in schema])
    with pq.ParquetWriter(sink, described, compression="zstd") as writer:
        for part in gathered(iter(batches)):
            writer.write_table(part.cast(described))


def write_xlsx(batches: Batches, schema: pa.Schema, columns: Iterable[Column], sink: BinaryIO) -> None:
    """A workbook for people: what the columns mean, then the rows; a new sheet where Excel can hold no more."""
    with tempfile.TemporaryFile() as file:
        options = {
            "constant_memory": True,
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "strings_to_numbers": False,
            "default_date_format": "yyyy-mm-dd hh:mm:ss",
            "remove_timezone": True,
        }
        with xlsxwriter.Workbook(file, options) as book:
            bold = book.add_format({"bold": True})
            about = book.add_worksheet("About")
            about.set_column(0, 0, 24)
            about.set_column(3, 3, 90)
            for place, line in enumerate(_about(columns)):
                about.write_row(place, 0, line, None if place else bold)
            for rows in _sheets(batches):
                _fill(book, bold, schema, rows)
        file.seek(0)
        while piece := file.read(_PIECE):
            sink.write(piece)


def _about(columns: Iterable[Column]) -> Iterator[tuple[str, ...]]:
    yield "column", "type", "unit", "meaning", "source"
    for one in columns:
        yield one.name, one.type, "UTC" if one.type == "time" else one.unit, one.meaning, one.source


def _sheets(batches: Batches) -> Iterator[Iterator[tuple[Any, ...]]]:
    """The rows, parted into as many as a sheet holds; the first part is there even when it has none."""
    parts = (batch.slice(start, _AT_ONCE) for batch in batches for start in range(0, batch.num_rows, _AT_ONCE))
    rows = (row for part in parts for row in zip(*(one.to_pylist() for one in part.columns), strict=True))
    first = next(rows, None)
    if first is None:
        yield iter(())
    while first is not None:
        left = [first]

        def part(begin: list[tuple[Any, ...]] = left) -> Iterator[tuple[Any, ...]]:
            yield begin[0]
            for count, row in enumerate(rows, 2):
                yield row
                if count == _ROWS_OF_A_SHEET:
                    return

        yield part()
        first = next(rows, None)


def _fill(book: Any, bold: Any, schema: pa.Schema, rows: Iterable[tuple[Any, ...]]) -> None:
    sheet = book.add_worksheet(f"Rows {len(book.worksheets())}")
    sheet.freeze_panes(1, 0)
    sheet.set_column(0, len(schema) - 1, 20)
    sheet.write_row(0, 0, schema.names, bold)
    for place, row in enumerate(rows, 1):
        for at, value in enumerate(row):
            if isinstance(value, str):
                sheet.write_string(place, at, value[:_LONGEST_CELL])
            elif value is not None:
                sheet.write(place, at, value)


Writer = Callable[[Batches, pa.Schema, Iterable[Column], BinaryIO], None]
WRITERS: dict[str, Writer] = {
    "csv": write_csv,
    "ndjson": write_ndjson,
    "parquet": write_parquet,
    "xlsx": write_xlsx,
}
