"""Between the binds and the database: gathers what comes in for a moment and stores it, many in one commit.

A centre is told that we have something once that has been committed, so what waits here is not lost with the process:
the centre sends it again. Nothing is interpreted before it is stored.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from foundation.clock import Clock, system_clock
from foundation.database import Database, DatabaseAway
from notify.channels.inbound import Inbound
from notify.sms_keywords import segment_from
from notify.sms_proof import keep_receipts
from notify.sms_receipts import is_receipt, read_receipt
from notify.sms_texts import keep_segments

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """What came in, and whoever waits for it to be kept."""

    one: Inbound
    kept: asyncio.Future[None]


class SmsInbox:
    """Where binds put what comes in. The call returns once it is stored; a caller that gives up is forgotten."""

    def __init__(self, database: Database, *, clock: Clock = system_clock) -> None:
        self._database = database
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue()  # bounded by what the binds let in
        self._clock = clock

    async def __call__(self, one: Inbound) -> None:
        kept = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(_Waiting(one, kept))
        await kept

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

    async def _store(self, batch: Sequence[_Waiting]) -> None:
        """In one transaction, as often as it takes, as long as anybody waits for it."""
        pause = 0.1
        while batch := [one for one in batch if not one.kept.done()]:
            try:
                await self._keep([one.one for one in batch])
            except DatabaseAway as error:
                _log.warning("database is away, incoming texts wait", waiting=len(batch), reason=str(error))
            else:
                for one in batch:
                    if not one.kept.done():
                        one.kept.set_result(None)
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, 2.0)

    async def _keep(self, batch: Sequence[Inbound]) -> None:
        now = self._clock()
        receipts = {receipt.key: receipt for one in batch if is_receipt(one) for receipt in (read_receipt(one, now),)}
        segments = [segment_from(one) for one in batch if not is_receipt(one)]
        async with self._database.transaction() as tx:
            if receipts:
                await keep_receipts(tx, list(receipts.values()))
            if segments:
                await keep_segments(tx, segments, now)
