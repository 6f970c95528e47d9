"""Files that survive a crash, folders with one owner, and locks that die with their holder.

What the files say is their callers' business.
"""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write(path: Path, text: str, *, group: int | None = None) -> None:
    """Replace a file in one step, 0600, or 0640 for a group; it is on disk when this returns."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=path.name + "-", delete=False) as file:
        file.write(text)
        if group is not None:
            os.fchown(file.fileno(), -1, group)
            os.fchmod(file.fileno(), 0o640)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).replace(path)
    sync(path.parent)


def sync(folder: Path) -> None:
    """Put on disk which files the folder holds."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def lock_file(path: Path) -> Iterator[int]:
    """Open a lock file. Children do not inherit it, and closing it, or dying, gives up whatever is held."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def held_alone(path: Path) -> Iterator[None]:
    """Wait for a lock file and hold it."""
    with lock_file(path) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def share(lock: int) -> None:
    """Hold an open lock file together with others."""
    fcntl.flock(lock, fcntl.LOCK_SH)


def nobody_else(lock: int) -> bool:
    """Whether nobody else holds this open lock file; if so, we hold it alone from here on."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
