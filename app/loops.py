"""Keeps a process's loops going side by side, and ends all of them when one fails. It knows nothing of their work."""

import asyncio
import gc
import signal
from collections.abc import Awaitable, Callable, Mapping

import structlog

from foundation.database import DatabaseAway

_log = structlog.get_logger()

Step = Callable[[], Awaitable[bool]]
Loop = Callable[[asyncio.Event], Awaitable[None]]


def settle_memory() -> None:
    """Tell the garbage collector that what is loaded stays, and to look less often: a worker's batches come and go.

    A look at everything, each few hundred mails, was a tenth of what a mail costs.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def stop_on_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set, so that loops end after the work in hand."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    return stop


async def keep(step: Step, stop: asyncio.Event, *, idle_seconds: float) -> None:
    """Call `step` again and again: at once while it found work (True), after `idle_seconds` while it found none.

    While the database is away it waits, at most five seconds at a time. Any other error ends the loop: the supervisor
    starts a fresh process, which is safer than going on with unknown state.
    """
    patience = 0.2
    while not stop.is_set():
        try:
            found = await step()
            patience = 0.2
        except DatabaseAway as error:
            _log.warning("database is away, waiting", seconds=patience, reason=str(error))
            found, idle = False, patience
            patience = min(patience * 2, 5.0)
        else:
            idle = idle_seconds
        if not found:
            await wait(stop, idle)


async def wait(stop: asyncio.Event, seconds: float) -> None:
    """Wait `seconds`, or less when `stop` is set."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass


async def run(loops: Mapping[str, Loop], stop: asyncio.Event) -> None:
    """Run the named loops until `stop` is set or one of them fails; the others then end their work in hand.

    Raises an ExceptionGroup of what failed, once all have ended: a loop is never cancelled, because a sender cut off in
    the middle of a mail would not know whether it was sent.
    """

    async def one(name: str, loop: Loop) -> None:
        try:
            await loop(stop)
        except Exception:
            _log.exception("loop failed", loop=name)
            raise
        finally:
            stop.set()

    ended = await asyncio.gather(*(one(name, loop) for name, loop in loops.items()), return_exceptions=True)
    if failures := [one for one in ended if isinstance(one, Exception)]:
        raise ExceptionGroup("Loops failed.", failures)
