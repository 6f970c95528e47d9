"""Tells open pages that there is a new edition, by server-sent events; what is new they fetch like everybody else.

A luxury, so it is the first thing to go: the number of listeners is bounded, and whoever is turned away asks again each
minute instead. One look at the folder serves all listeners. It knows editions, not what is in them.
"""

import asyncio
import resource
from collections.abc import AsyncIterator

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.problems import problem
from app.public_page import LOOK_EVERY, Edition, PageStore
from foundation.access import for_anybody

MOST_LISTENERS = 1000
# Of the files a process may have open: a listener needs three (the client's, and two ends of a pipe).
_SHARE_OF_FILES = 8
BREATH = 15.0  # seconds; silence longer than this makes something on the way close the line
LONGEST = 600.0  # seconds; then the browser comes again, perhaps to another process
# Seconds over which the listeners come for an edition: soon when something was said, at leisure when only time passed.
SPREAD_OF_NEWS, SPREAD_OF_TIME = 2.0, 20.0
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class Live:
    """The listeners of one process. `most`: how many at once."""

    def __init__(self, store: PageStore, *, most: int | None = None) -> None:
        self._store = store
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._most = min(MOST_LISTENERS, files // _SHARE_OF_FILES) if most is None else most
        self._listeners = 0
        self._edition = Edition(0.0, "")
        self._news = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._closed = False

    @for_anybody
    async def events(self, request: Request) -> Response:
        """GET: a stream that never says anything about its reader, and ends after ten minutes."""
        if self._closed or self._listeners >= self._most:
            return problem(503, "too_many_listeners", "Load the page again instead.", retry_after=60)
        return StreamingResponse(self._stream(), media_type="text/event-stream", headers=_HEADERS)

    def close(self) -> None:
        """Let every listener go: the process ends."""
        self._closed = True
        self._news.set()

    async def _stream(self) -> AsyncIterator[bytes]:
        self._listeners += 1
        if self._looking is None:
            self._edition = self._store.edition()
            self._looking = asyncio.create_task(self._look())
        try:
            yield b"retry: 5000\n\n"
            until = asyncio.get_running_loop().time() + LONGEST
            while not self._closed and asyncio.get_running_loop().time() < until:
                known = self._edition
                try:
                    await asyncio.wait_for(self._news.wait(), BREATH)
                except TimeoutError:
                    yield b": still here\n\n"
                else:
                    if not self._closed:
                        yield _event(known, self._edition)
        finally:
            self._listeners -= 1
            if self._listeners == 0 and self._looking is not None:
                self._looking.cancel()
                self._looking = None

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            edition = self._store.edition()
            if edition != self._edition:
                self._edition, news, self._news = edition, self._news, asyncio.Event()
                news.set()


def _event(before: Edition, now: Edition) -> bytes:
    spread = SPREAD_OF_NEWS if now.fingerprint != before.fingerprint else SPREAD_OF_TIME
    data = msgspec.json.encode({"as_of": now.as_of, "spread": spread})
    return b"event: edition\ndata: " + data + b"\n\n"
