"""Analysts' exports: one question each, streamed with flat memory, live or out of a snapshot.

PostgreSQL writes rows by COPY, Arrow gives them types in a thread beside the event loop, and a format makes bytes of
them. It knows no package's tables.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path
from secrets import token_bytes

from foundation.clock import Clock, system_clock
from foundation.database import Database, Tx
from foundation.errors import Invalid
from metrics.questions import EXPORTS, Question
from metrics.snapshots import Snapshot, Snapshots

FORMATS = {
    "csv": "text/csv; charset=utf-8; header=present",
    "ndjson": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


class Exports:
    """Exports of what happened. `folder`: where snapshots are kept."""

    def __init__(self, database: Database, folder: Path, *, clock: Clock = system_clock) -> None:
        self._database = database
        self._clock = clock
        self.snapshots = Snapshots(folder)

    async def stream(self, question: Question, form: str, *, snapshot: str | None = None) -> AsyncGenerator[bytes]:
        """The rows of `question` in the format `form`, of this moment or of a snapshot, as chunks of bytes.

        They come in no order, but a snapshot's always in the same. Raises NotFound and Invalid before the first chunk.
        """
        check(question, form)
        if snapshot is not None:
            self.snapshots.file(snapshot, question.name)
            from metrics import streaming  # noqa: PLC0415 (large, loaded when it is needed)

            async with aclosing(streaming.kept(self.snapshots, snapshot, question, form)) as chunks:
                async for chunk in chunks:
                    yield chunk
            return
        async with self._database.snapshot() as tx, aclosing(export(tx, question, form)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def sweep(self, kept: timedelta) -> bool:
        """One step of a worker: snapshots end `kept` after they were taken. False: nothing is left to do."""
        await asyncio.to_thread(self.snapshots.sweep, self._clock(), kept)
        return False

    async def take(self) -> Snapshot:
        """Keep every export as it is now, all of them from one moment."""
        from metrics import streaming  # noqa: PLC0415 (large, loaded when it is needed)

        now, key = self._clock(), token_bytes(32)
        name, place = await asyncio.to_thread(self.snapshots.begin, now)
        try:
            async with self._database.snapshot() as tx:
                rows = {one: await streaming.keep(tx, one, key, place) for one in EXPORTS}
            taken = Snapshot(name, now, rows)
            await asyncio.to_thread(self.snapshots.keep, taken)
        except BaseException:
            self.snapshots.drop(name)
            raise
        return taken


def check(question: Question, form: str) -> None:
    """Raises NotFound for an export there is not, Invalid for a format or a filter that cannot be."""
    question.check()
    if form not in FORMATS:
        raise Invalid(f"Exports have the formats {', '.join(FORMATS)}, not {form[:50]!r}.", code="no_such_format")


def export(tx: Tx, question: Question, form: str = "csv") -> AsyncGenerator[bytes]:
    """The rows of `question` in `tx`, which should be a snapshot and serves this alone until the last chunk.

    Closing the generator before that ends it, and the connection. Raises NotFound and Invalid at once.
    """
    check(question, form)
    from metrics import streaming  # noqa: PLC0415 (large, loaded when it is needed)

    return streaming.live(tx, question, form)
