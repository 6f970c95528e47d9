"""Files on disk, outside of anything a web server serves, each under a keyed name made from its content.

So the same content is kept once, and nobody who does not have our key can tell a name from a file. A file is whole and
on disk before its row is written: a crash between leaves a file that nobody knows, and `sweep` takes it away in time.
"""

import hashlib
import os
import secrets
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from foundation.tokens import Tokens

_UNUSED = ".unused"
_PARTLY = ".partly"


@dataclass(frozen=True, slots=True)
class Kept:
    """A file on disk, about to be part of a contact. `shown_name`: as people see it; `sha256` of the bytes we keep."""

    name: str
    sha256: bytes
    size: int
    kind: str
    shown_name: str


class FileStore:
    """The folder. Every process of an installation must see the same one."""

    def __init__(self, folder: Path, tokens: Tokens) -> None:
        self._folder = folder
        self._tokens = tokens

    def keep(self, content: bytes, kind: str, shown_name: str) -> Kept:
        """Write `content` down for good; when this returns, it is on disk. Blocks: call it in a thread."""
        sha256 = hashlib.sha256(content).digest()
        name = self._tokens.name("file", sha256.hex())
        path = self.path(name)
        if path.exists():
            os.utime(path)  # as young as its newest use, so that nobody sweeps it before its row is there
        else:
            self._write(path, content)
        return Kept(name, sha256, len(content), kind, shown_name)

    def path(self, name: str) -> Path:
        """Where the file of this name is."""
        return self._folder / name[:2] / name

    def read(self, name: str) -> bytes | None:
        """The content of a file; None when it is not here."""
        path = self.path(name)
        for one in (path, path.with_name(name + _UNUSED)):
            try:
                return one.read_bytes()
            except FileNotFoundError:
                continue
        return None

    def old(self, before: float) -> Iterator[str]:
        """The names of the files last written or used before the moment `before` (seconds since 1970)."""
        for path in self._folder.glob("??/*"):
            if path.name.endswith(_PARTLY):
                if path.stat().st_mtime < before:
                    path.unlink(missing_ok=True)
            elif path.stat().st_mtime < before:
                yield path.name.removesuffix(_UNUSED)

    def sweep(self, names: Collection[str], known: Collection[str]) -> None:
        """Put files away that no row knows, and throw out those that were put away before; bring back the others.

        In two steps, since a row may be written at this moment for a file that was found unknown just before.
        """
        for name in names:
            path = self.path(name)
            away = path.with_name(name + _UNUSED)
            if name in known:
                if away.exists() and not path.exists():
                    away.rename(path)
            elif away.exists():
                away.unlink(missing_ok=True)
            elif path.exists():
                path.rename(away)

    def _write(self, path: Path, content: bytes) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partly = path.with_name(f"{secrets.token_hex(8)}{_PARTLY}")
        with os.fdopen(os.open(partly, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partly.rename(path)
        for folder in (path.parent, self._folder):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
