"""Rows to bytes, in a thread beside the event loop: PostgreSQL or a snapshot at one end, a format at the other.

Loaded when somebody exports: Arrow is large, and most processes never need it.
"""

import asyncio
import io
from collections.abc import AsyncGenerator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from foundation.database import Tx
from metrics import kept_rows
from metrics.dictionary import columns_of
from metrics.formats import WRITERS
from metrics.pseudonyms import hidden
from metrics.questions import EXPORTS, Question
from metrics.rows import Bridge, Copying, Left, schema_of
from metrics.snapshots import Snapshots

_CHUNKS_AHEAD = 4
_CHUNK = 256 << 10  # bytes


def live(tx: Tx, question: Question, form: str) -> AsyncGenerator[bytes]:
    """The rows of `question` as they are in `tx`, in the format `form`."""
    return _written(question, form, _Live(tx, question))


def kept(snapshots: Snapshots, snapshot: str, question: Question, form: str) -> AsyncGenerator[bytes]:
    """The rows of `question` as they were in `snapshot`, in the format `form`."""
    return _written(question, form, _Kept(snapshots, snapshot, question))


async def keep(tx: Tx, name: str, key: bytes, folder: Path) -> int:
    """Write every row of the export `name` into a file in `folder`; how many there are."""
    query = kept_rows.everything(name)
    bridge, schema = Bridge(), schema_of(query)
    copying = Copying(tx, query, schema, bridge)
    await copying.start()
    try:
        return await asyncio.to_thread(kept_rows.write, copying, schema, key, folder / f"{name}.parquet")
    finally:
        bridge.close()
        await copying.finish()


class _Source(Protocol):
    schema: pa.Schema

    async def start(self) -> None: ...

    def batches(self) -> Iterator[pa.RecordBatch]: ...

    async def finish(self) -> None: ...


class _Live:
    """Rows as they come out of the database, people hidden unless they were asked for."""

    def __init__(self, tx: Tx, question: Question) -> None:
        rows = question.rows()
        self.schema = schema_of(rows)
        self._question = question
        self._bridge = Bridge()
        self._copying = Copying(tx, rows, self.schema, self._bridge)

    async def start(self) -> None:
        await self._copying.start()

    def batches(self) -> Iterator[pa.RecordBatch]:
        question = self._question
        return (hidden(one, question.hidden, question.key) for one in self._copying.batches())

    async def finish(self) -> None:
        self._bridge.close()
        await self._copying.finish()


class _Kept:
    """Rows out of a snapshot."""

    def __init__(self, snapshots: Snapshots, snapshot: str, question: Question) -> None:
        self.schema = schema_of(question.rows())
        self._asked = snapshots, snapshot, question

    async def start(self) -> None:
        """Nothing has to run beside."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        return kept_rows.kept(*self._asked)

    async def finish(self) -> None:
        """Nothing ran beside."""


async def _written(question: Question, form: str, source: _Source) -> AsyncGenerator[bytes]:
    columns = columns_of(question.name, EXPORTS[question.name])
    chunks: asyncio.Queue[bytes | None] = asyncio.Queue(_CHUNKS_AHEAD)
    bridge = Bridge()

    def work() -> None:
        try:
            with io.BufferedWriter(_Sink(chunks, bridge), _CHUNK) as sink:
                WRITERS[form](source.batches(), source.schema, columns, sink)
        finally:
            with suppress(Left):
                bridge.call(lambda: chunks.put(None))

    await source.start()
    writing = asyncio.create_task(asyncio.to_thread(work))
    try:
        while (chunk := await chunks.get()) is not None:
            yield chunk
    finally:
        bridge.close()
        await source.finish()
        with suppress(Left):
            await writing


class _Sink(io.RawIOBase):
    """A file that a thread writes and the event loop hands on."""

    def __init__(self, chunks: "asyncio.Queue[bytes | None]", bridge: Bridge) -> None:
        super().__init__()
        self._chunks = chunks
        self._bridge = bridge
        self._size = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._size

    def write(self, data: object) -> int:
        chunk = bytes(data)  # type: ignore[call-overload]  # any buffer
        self._bridge.call(lambda: self._chunks.put(chunk))
        self._size += len(chunk)
        return len(chunk)
