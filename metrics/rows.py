"""Rows of the facts as Arrow record batches, some thousands at a time: out of PostgreSQL by COPY.

COPY runs on the event loop; Arrow reads what it brings in a thread, and waits when there is none, so memory stays flat.
"""

import asyncio
import io
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.csv
from sqlalchemy import BigInteger, DateTime, Select
from sqlalchemy.dialects.postgresql import dialect

from foundation.database import Driver, Tx, driver

T = TypeVar("T")
_CHUNKS_AHEAD = 4
# PostgreSQL sends 8 KiB at a time; to hand each over to the thread would cost more than to read it.
_CHUNK = 128 << 10  # bytes
_BLOCK = 1 << 20  # bytes of CSV that become one batch: some thousand rows
_PART = 50_000  # rows
_POSTGRESQL = dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's, without types


def schema_of(rows: Select[Any]) -> pa.Schema:
    """The types that `rows` have in files: whole numbers, UTC times in microseconds, and texts."""
    return pa.schema([(one.name, _type(one.type)) for one in rows.selected_columns])


def _type(kind: object) -> pa.DataType:
    if isinstance(kind, BigInteger):
        return pa.int64()
    return pa.timestamp("us", "UTC") if isinstance(kind, DateTime) else pa.string()


def gathered(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The rows in parts of a size that suits a Parquet file; its readers skip whole parts."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(one.num_rows for one in waiting) >= _PART:
            yield pa.Table.from_batches(waiting)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting)


class Bridge:
    """Lets a thread wait for the event loop, until it is `closed`; then its thread gets `Left` at once."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: Future[Any] | None = None
        self._left = False

    def call(self, work: Callable[[], Awaitable[T]]) -> T:
        """In the thread: what `work` gives, done on the loop."""
        if self._left:
            raise Left

        async def run() -> T:
            return await work()

        self._waiting = asyncio.run_coroutine_threadsafe(run(), self._loop)
        try:
            return self._waiting.result()  # type: ignore[no-any-return]  # of the work
        except CancelledError:
            raise Left from None

    def close(self) -> None:
        """On the loop: nobody waits any more."""
        self._left = True
        if self._waiting is not None:
            self._waiting.cancel()


class Left(Exception):
    """The reader went away."""


class Copying:
    """One COPY under way in `tx`, and its rows as batches. Start it, read `batches` in a thread, then `finish`."""

    def __init__(self, tx: Tx, rows: Select[Any], schema: pa.Schema, bridge: Bridge) -> None:
        self._tx = tx
        self._rows = rows
        self._schema = schema
        self._bridge = bridge
        self._chunks: asyncio.Queue[bytearray | None] = asyncio.Queue(_CHUNKS_AHEAD)

    async def start(self) -> None:
        """Begin to copy, beside us."""
        self._connection: Driver = await driver(self._tx)
        query = str(self._rows.compile(dialect=_POSTGRESQL, compile_kwargs={"literal_binds": True})).replace("%%", "%")
        self._copying = asyncio.create_task(self._copy(query))

    async def _copy(self, query: str) -> None:
        held = bytearray()

        async def hold(data: bytes) -> None:
            nonlocal held
            held += data
            if len(held) >= _CHUNK:
                full, held = held, bytearray()
                await self._chunks.put(full)

        try:
            await self._connection.copy_from_query(query, output=hold, format="csv")
            await self._chunks.put(held)
        finally:
            with suppress(asyncio.CancelledError):
                await self._chunks.put(None)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """In a thread: the rows, in no order."""
        moments = {one.name: pa.timestamp("us") for one in self._schema if pa.types.is_timestamp(one.type)}
        source = io.BufferedReader(_Feed(self._chunks, self._bridge))
        try:
            reader = pyarrow.csv.open_csv(
                source,
                pyarrow.csv.ReadOptions(use_threads=False, block_size=_BLOCK, column_names=self._schema.names),
                pyarrow.csv.ParseOptions(newlines_in_values=True),
                # COPY writes nothing for NULL and "" for an empty text.
                pyarrow.csv.ConvertOptions(
                    column_types={one.name: moments.get(one.name, one.type) for one in self._schema},
                    null_values=[""],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                ),
            )
        except pa.ArrowInvalid as error:
            if "Empty CSV file" in str(error):
                return
            raise
        for batch in reader:
            # The server said UTC without writing it behind each of them.
            columns = [
                column.view(one.type) if one.name in moments else column
                for one, column in zip(self._schema, batch.columns, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=self._schema)

    async def finish(self) -> None:
        """See the copy end; when the reader has left before, break it off, and the connection with it."""
        if self._copying.done():
            await self._copying
            return
        # A COPY broken off leaves the driver waiting for a server that goes on writing, so the connection is no use to
        # anybody; the pool makes another.
        self._connection.terminate()
        self._copying.cancel()
        await asyncio.wait([self._copying])
        await self._tx.invalidate()
        await self._tx.rollback()


class _Feed(io.RawIOBase):
    """What COPY brings, as a file that a thread reads."""

    def __init__(self, chunks: "asyncio.Queue[bytearray | None]", bridge: Bridge) -> None:
        super().__init__()
        self._chunks = chunks
        self._bridge = bridge
        self._rest: memoryview | None = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while self._rest is not None and not self._rest:
            chunk = self._bridge.call(self._chunks.get)
            self._rest = None if chunk is None else memoryview(chunk)
        if self._rest is None:
            return 0
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size
