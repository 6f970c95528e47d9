"""The demo's real operating-system processes: started together, watched, and gone when the demo is.

Each writes to a log of its own. It knows nothing of what they do.
"""

import asyncio
import ctypes
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")

_STOP_SECONDS = 15.0
_LAST_LINES = 15


class ProcessEnded(Exception):
    """A process of the demo ended on its own; the message shows the end of its log."""


class Processes:
    """Child processes by name. At the end of the block they are stopped, the latest first."""

    def __init__(self, logs: Path, environment: Mapping[str, str]) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self._logs = logs
        self._environment = dict(environment)
        self._children: dict[str, asyncio.subprocess.Process] = {}

    async def start(
        self, name: str, module: str, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> asyncio.subprocess.Process:
        """Run `python -m module arguments` with this very Python. Its standard output is a pipe."""
        with self._log(name).open("wb") as log:
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", module, *arguments),
                env={**self._environment, **(environment or {})},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                # Ctrl-C at the terminal reaches us alone, and we stop the children in our own order.
                start_new_session=True,
                preexec_fn=_end_with(os.getpid()),
            )
        self._children[name] = child
        return child

    def add_to_environment(self, more: Mapping[str, str]) -> None:
        """What processes started from now on see besides."""
        self._environment.update(more)

    async def unless_one_ends(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, unless one of the processes ends meanwhile. Raises `ProcessEnded` then."""
        working, watching = asyncio.create_task(work), asyncio.create_task(self._watch())
        try:
            await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                await watching
            return await working
        finally:
            watching.cancel()
            working.cancel()
            await asyncio.gather(working, watching, return_exceptions=True)

    async def _watch(self) -> NoReturn:
        endings = {asyncio.create_task(child.wait()): name for name, child in self._children.items()}
        try:
            done, _ = await asyncio.wait(endings, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for ending in endings:
                ending.cancel()
        name = endings[done.pop()]
        log = self._log(name)
        last = "\n".join(log.read_text(errors="replace").splitlines()[-_LAST_LINES:])
        raise ProcessEnded(f"The process “{name}” ended with code {self._children[name].returncode}. {log}:\n{last}")

    async def __aenter__(self) -> "Processes":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in reversed(self._children.values()):
            if child.returncode is None:
                child.terminate()
        await asyncio.gather(*(self._stopped(child) for child in self._children.values()))

    async def _stopped(self, child: asyncio.subprocess.Process) -> None:
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await child.wait()
        except TimeoutError:
            child.kill()
            await child.wait()

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"


def reserve_port(wanted: int) -> socket.socket:
    """A socket that holds `wanted`, or any free port when somebody else has that one. Close it to hand the port on."""
    for port in (wanted, 0):
        try:
            # It listens, because only that keeps others away; what was just closed counts as free.
            return socket.create_server(("127.0.0.1", port))
        except OSError:
            continue
    raise OSError("There is no free port on this machine.")


def _end_with(parent: int) -> Callable[[], None] | None:
    """What makes a child end when we are killed (Linux: prctl, PR_SET_PDEATHSIG); elsewhere nothing does."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def ask() -> None:
        prctl(1, int(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != parent:  # killed between the fork and the request
            os._exit(1)

    return ask
