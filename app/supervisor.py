"""Keeps child processes running on one machine: starts them, starts them again when they end, stops them together."""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from app.loops import wait

_log = structlog.get_logger()
_RESTART_SECONDS = 1.0
_STOP_SECONDS = 30.0


def own_command(*arguments: str) -> list[str]:
    """The command line that runs `stormdesk …` with this very Python and checkout."""
    return [sys.executable, "-m", "app.cli", *arguments]


@dataclass(frozen=True, slots=True)
class Child:
    """A command to keep running, with what its environment has besides ours."""

    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


async def supervise(children: Sequence[Child], stop: asyncio.Event) -> None:
    """Run every child until `stop` is set; one that ends early is started again after a second."""
    async with asyncio.TaskGroup() as group:
        for child in children:
            group.create_task(_keep_alive(child, stop))


async def _keep_alive(spec: Child, stop: asyncio.Event) -> None:
    name = spec.command[-1]
    while not stop.is_set():
        # A session of its own: Ctrl-C at the terminal reaches us, and we tell the children in our own time.
        child = await asyncio.create_subprocess_exec(
            *spec.command, env={**os.environ, **spec.environment}, start_new_session=True
        )
        ended, stopped = asyncio.create_task(child.wait()), asyncio.create_task(stop.wait())
        await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not ended.done():
            child.terminate()
            try:
                async with asyncio.timeout(_STOP_SECONDS):
                    await ended
            except TimeoutError:
                _log.error("did not stop in time, killed", command=name)
                child.kill()
                await child.wait()
        elif not stop.is_set():
            _log.error("ended unexpectedly, starting again", command=name, code=child.returncode)
            await wait(stop, _RESTART_SECONDS)
