"""The status page as plain files: written whole or not at all, read back, and listed in a manifest that comes last.

Readers follow the manifest, so they never mix two editions. It knows names and bytes, not what they say.
"""

import fcntl
import gzip
import hashlib
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import brotli
import msgspec

MANIFEST = "manifest.json"
COMPRESSED = (".html", ".json", ".css", ".js", ".svg", ".atom", ".rss", ".xml", ".ics", ".txt")
# Ending of the compressed file → what HTTP calls it.
ENCODINGS = {".br": "br", ".gz": "gzip"}


class PageNotWritten(Exception):
    """What stands in the folder is not what was written; the page may be out of date. Check disk and rights."""


class Manifest(msgspec.Struct, frozen=True):
    """One edition. `as_of`: the instant it shows (Unix seconds); `files`: name → SHA-256 of its content.

    `fingerprint`, `look` and `stamps` let the next writer see what it need not make again.
    """

    as_of: float
    fingerprint: str
    look: str
    files: dict[str, str]
    stamps: dict[str, str] = {}


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of the edition in `folder`; None when there is none that can be read."""
    try:
        return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def write_edition(folder: Path, manifest: Manifest, contents: Mapping[str, bytes]) -> None:
    """Put `contents` in place, then the manifest. `contents` holds what changed; the rest of `manifest.files` stands.

    Each file is replaced in one step and read back. Raises PageNotWritten, or OSError.
    """
    folders = {folder}
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        folders.add(path.parent)
        _replace(path, content)
        if path.suffix in COMPRESSED:
            # Not flushed one by one: whoever reads them compares them with the file itself.
            _replace(path.with_name(path.name + ".gz"), gzip.compress(content, 6, mtime=0), flush=False)
            _replace(path.with_name(path.name + ".br"), brotli.compress(content, quality=_quality(name)), flush=False)
        if not is_intact(folder, name, manifest.files[name]):
            raise PageNotWritten(f"{path} does not hold what was written to it.")
    for changed in folders:
        _sync_folder(changed)
    _replace(folder / MANIFEST, msgspec.json.encode(manifest))
    _sync_folder(folder)
    if read_manifest(folder) != manifest:
        raise PageNotWritten(f"{folder / MANIFEST} does not hold what was written to it.")


def is_intact(folder: Path, name: str, digest: str) -> bool:
    """Whether the file holds the content with this SHA-256."""
    try:
        return sha256((folder / name).read_bytes()) == digest
    except OSError:
        return False


def compressed_beside(path: Path, content: bytes) -> dict[str, bytes]:
    """What lies compressed beside a file, by its name in HTTP; only what is this very `content`."""
    found = {}
    for ending, encoding in ENCODINGS.items():
        try:
            packed = path.with_name(path.name + ending).read_bytes()
            if (gzip.decompress(packed) if encoding == "gzip" else brotli.decompress(packed)) == content:
                found[encoding] = packed
        except (OSError, EOFError, zlib.error, brotli.error):  # not there, half there, or something else
            continue
    return found


def _quality(name: str) -> int:
    # What is kept for ever may take its time; what is news may not.
    return 11 if name.startswith("static/") else 5


def sha256(content: bytes) -> str:
    """The name of a content."""
    return hashlib.sha256(content).hexdigest()


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Wait until no other process writes `folder`, and keep the others waiting for the block."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _replace(path: Path, content: bytes, *, flush: bool = True) -> None:
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        if flush:
            os.fsync(file.fileno())
    temporary.replace(path)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
