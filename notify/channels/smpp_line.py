"""Keeps one bind to one SMS centre standing, made again as often as it is lost, for all who send over it.

Also while there is nothing to send: receipts and texts come in on the same bind.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import structlog

import metrics
from notify.channels import Result, Unsent
from notify.channels.centres import Centre
from notify.channels.inbound import Inbox
from notify.channels.smpp_bind import Bind, Segment, SmsTimeouts, bind
from notify.channels.smpp_pace import Pace
from notify.channels.smpp_session import CannotBind

_log = structlog.get_logger()


class Line:
    """The bind to `centre`. It stands while somebody has joined; `inbox` gets what comes in."""

    def __init__(self, centre: Centre, inbox: Inbox, timeouts: SmsTimeouts) -> None:
        self.centre = centre
        self.pace = Pace(centre.window, centre.rate)
        self._inbox = inbox
        self._timeouts = timeouts
        self._members = 0
        self._bind: Bind | None = None
        self._bound = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def is_bound(self) -> bool:
        return self._bind is not None and not self._bind.lost

    def join(self) -> None:
        """Keep the bind standing until `leave`."""
        self._members += 1
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep())

    async def leave(self) -> None:
        """The last one to leave ends the bind. What has come in by then is handed on."""
        self._members -= 1
        if self._members == 0 and self._keeper is not None:
            keeper, self._keeper = self._keeper, None
            keeper.cancel()
            with suppress(asyncio.CancelledError):
                await keeper

    async def ready(self, stop: asyncio.Event) -> None:
        """Return when the bind stands, or when `stop` is set."""
        assert self._keeper is not None
        stopped = asyncio.ensure_future(stop.wait())
        bound = asyncio.ensure_future(self._bound.wait())
        try:
            await asyncio.wait({stopped, bound, self._keeper}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            bound.cancel()
        if self._keeper.done():
            self._keeper.result()  # it ends by an error only, and that is not ours to hide

    async def send(self, segments: Sequence[Segment], stop: asyncio.Event) -> list[Result]:
        """One result for each segment; all of them unsent while there is no bind."""
        bound = self._bind
        if bound is None or not segments:
            return [Unsent()] * len(segments)
        results = await bound.send(segments, stop)
        if bound.lost:
            self._let_go(bound)
            if not bound.under_way:  # others still wait for answers on it
                await bound.close()
        return results

    def _let_go(self, bound: Bind) -> None:
        if self._bind is bound:
            self._bind = None
            self._bound.clear()
            metrics.record_centre(self.centre.name, bound=False)

    async def _keep(self) -> None:
        """Bind, listen until the session ends, and bind again, until cancelled."""
        while True:
            await asyncio.sleep(self.centre.seconds_until_next())
            try:
                bound = await bind(self.centre, self.pace, self._inbox, self._timeouts)
            except CannotBind as error:
                self.centre.failed()
                metrics.record_centre(self.centre.name, bound=False)
                _log.warning("SMS centre is away", centre=self.centre.name, error=str(error))
                continue
            self.centre.answered()
            self._bind = bound
            self._bound.set()
            metrics.record_centre(self.centre.name, bound=True)
            try:
                await bound.over()
            finally:
                self._let_go(bound)
                # Also when cancelled: an unbind tells the centre to keep what it still has for us.
                await bound.close()
            _log.warning("SMS centre ended the session", centre=self.centre.name)
            self.centre.failed()
