"""Between the binds and the database: gathers what comes in for a moment and stores it, many in one commit.

The library acknowledges receipts and texts before we see them, so what waits here is lost when the process is killed:
at most `capacity` of them, plus what waits inside a bind. Nothing is interpreted before it is stored.
"""

import asyncio
from collections.abc import Sequence

import structlog

from foundation.clock import Clock, system_clock
from foundation.database import Database, DatabaseAway
from notify.channels.inbound import Inbound
from notify.sms_keywords import segment_from
from notify.sms_proof import keep_receipts
from notify.sms_receipts import is_receipt, read_receipt
from notify.sms_texts import keep_segments

_log = structlog.get_logger()


class SmsInbox:
    """Where binds put what comes in. When it is full they wait, and then the centre does."""

    def __init__(self, database: Database, *, capacity: int = 500, clock: Clock = system_clock) -> None:
        self._database = database
        self._queue: asyncio.Queue[Inbound] = asyncio.Queue(capacity)
        self._clock = clock

    async def __call__(self, one: Inbound) -> None:
        await self._queue.put(one)

    async def run(self, stop: asyncio.Event) -> None:
        """Store what comes in until `stop` is set and nothing is left. Set it after the last bind has ended."""
        stopped = asyncio.ensure_future(stop.wait())
        try:
            while not (stop.is_set() and self._queue.empty()):
                getting = asyncio.ensure_future(self._queue.get())
                await asyncio.wait({getting, stopped}, return_when=asyncio.FIRST_COMPLETED)
                if not getting.done():
                    getting.cancel()
                    continue
                batch = [getting.result()]
                while not self._queue.empty():
                    batch.append(self._queue.get_nowait())
                await self._store(batch)
        finally:
            stopped.cancel()

    async def _store(self, batch: Sequence[Inbound]) -> None:
        """In one transaction, as often as it takes: the centre has been told that we have it."""
        now = self._clock()
        receipts = {receipt.key: receipt for one in batch if is_receipt(one) for receipt in (read_receipt(one, now),)}
        segments = [segment_from(one) for one in batch if not is_receipt(one)]
        pause = 0.1
        while True:
            try:
                async with self._database.transaction() as tx:
                    if receipts:
                        await keep_receipts(tx, list(receipts.values()))
                    if segments:
                        await keep_segments(tx, segments, now)
                return
            except DatabaseAway as error:
                _log.warning("database is away, incoming texts wait", waiting=len(batch), reason=str(error))
            await asyncio.sleep(pause)
            pause = min(pause * 2, 2.0)
