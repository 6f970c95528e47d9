"""The rows of a snapshot: written once out of the database, read as often as somebody asks. See `snapshots.py`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset
import pyarrow.parquet as pq
from sqlalchemy import Select, select

from metrics.dictionary import PERSONAL
from metrics.pseudonyms import pseudonyms
from metrics.questions import EXPORTS, TIMES, Question, in_utc
from metrics.rows import Copying, gathered
from metrics.snapshots import Snapshots

_HIDDEN = " pseudonym"  # behind a column's name: what stands for it when people are not asked for
_ROWS_AT_ONCE = 65_536


def kept(snapshots: Snapshots, snapshot: str, question: Question) -> Iterator[pa.RecordBatch]:
    """In a thread: the rows of `question` as they were. Raises NotFound."""
    data = pyarrow.dataset.dataset(snapshots.file(snapshot, question.name), format="parquet")
    columns = {one.name: pyarrow.dataset.field(_column(one.name, question)) for one in EXPORTS[question.name].c}
    scanner = data.scanner(columns, filter=_filter(snapshots, snapshot, question), batch_size=_ROWS_AT_ONCE)
    yield from scanner.to_batches()


def _filter(snapshots: Snapshots, snapshot: str, question: Question) -> Any:
    field = pyarrow.dataset.field
    found = pc.scalar(True)
    if question.incident is not None:
        found &= field("incident_id") == question.incident
    if question.component is not None:
        affected = pq.read_table(snapshots.file(snapshot, "affected"), columns=["incident_id", "component_key"])
        concerned = affected.filter(pc.field("component_key") == question.component)["incident_id"]
        found &= field("incident_id").isin(concerned.combine_chunks())
    if question.channel is not None:
        found &= field("channel") == question.channel
    time = TIMES[question.name]
    if time is not None and question.since is not None:
        found &= field(time) >= question.since
    if time is not None and question.until is not None:
        found &= field(time) < question.until
    return found


def _column(name: str, question: Question) -> str:
    return f"{name}{_HIDDEN}" if name in PERSONAL and not question.personal else name


def everything(name: str) -> Select[Any]:
    """All rows of the export `name`."""
    return select(*(in_utc(one).label(one.name) for one in EXPORTS[name].c))


def write(copying: Copying, schema: pa.Schema, key: bytes, file: Path) -> int:
    """In a thread: fill the file of one export, people by number and by pseudonym; how many rows it has."""
    people = [one for one in schema.names if one in PERSONAL]
    whole = pa.schema([*schema, *(pa.field(f"{one}{_HIDDEN}", pa.string()) for one in people)])
    batches = (
        pa.RecordBatch.from_arrays(
            [*batch.columns, *(pseudonyms(batch.column(one), key) for one in people)], schema=whole
        )
        for batch in copying.batches()
    )
    rows = 0
    with pq.ParquetWriter(file, whole, compression="zstd") as writer:
        for part in gathered(batches):
            writer.write_table(part)
            rows += part.num_rows
    return rows
