"""Copies of the page elsewhere: a folder or an object store, for the day on which this very machine is what failed.

A copy is plain files behind any web server: each page stands at an address of its own per language (`/nl/incidents/…`),
and forms lead back to us. It follows the folder, lags when it must, says by how much, and never holds up a publication.
"""

import asyncio
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import obstore
import structlog
from obstore.exceptions import BaseError
from obstore.store import S3Store

import metrics
from app.answers import type_of
from app.setting_values import Mirror
from foundation.clock import Clock
from foundation.languages import SPOKEN
from incidents.page_files import MANIFEST, Manifest, read_manifest, sha256

if TYPE_CHECKING:
    from obstore.store import S3Config

_log = structlog.get_logger()

AT_ONCE = 8  # files on their way to one target
LONGEST_PAUSE = 60.0  # seconds between two tries
# Pages of the application: a copy has none of them.
_OF_THE_APPLICATION = re.compile(r'(href|action)="/(claim|follow|track|search|check)([?"])')
_SPOKEN_LINK = re.compile(r'href="(/[^"?]*)\?lang=([a-z]{2})(?:&amp;remember=1)?(#[^"]*)?"')
_SAME_PAGE = re.compile(r'href="\?(?:[^"]*&amp;)?lang=([a-z]{2})(?:&amp;remember=1)?"')


class NotCopied(Exception):
    """A target did not take a file; the next try begins where this one ended."""


class Target(Protocol):
    """Somewhere files can be put. `name` says where, without anything secret."""

    name: str

    async def put(self, name: str, content: bytes) -> None:
        """Put a file in place in one step. Raises NotCopied."""


class FolderTarget:
    """A folder, such as one that another machine serves or fetches."""

    def __init__(self, folder: Path) -> None:
        self.name = str(folder)
        self._folder = folder

    async def put(self, name: str, content: bytes) -> None:
        """As `Target.put`."""
        try:
            await asyncio.to_thread(self._write, self._folder / name, content)
        except OSError as error:
            raise NotCopied(str(error)) from error

    @staticmethod
    def _write(path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.new")
        temporary.write_bytes(content)
        os.replace(temporary, path)  # noqa: PTH105 (pathlib's would do; this says that it is one step)


class BucketTarget:
    """A bucket of an S3-compatible store; credentials come from the environment, as its own tools read them."""

    def __init__(self, store: S3Store, name: str) -> None:
        self.name = name
        self._store = store

    async def put(self, name: str, content: bytes) -> None:
        """As `Target.put`. What is news is kept by nobody on the way for longer than a few seconds."""
        lasting = name.startswith("static/")
        about = {
            "Content-Type": type_of(name),
            "Cache-Control": "public, max-age=31536000, immutable" if lasting else "public, max-age=10",
        }
        try:
            await obstore.put_async(self._store, name, content, attributes=about)
        except (BaseError, OSError) as error:
            raise NotCopied(str(error)[:300]) from error


@dataclass(slots=True)
class Copying:
    """Keeps one target at the edition in `folder`. `public_url`: where the application is."""

    folder: Path
    target: Target
    public_url: str
    clock: Clock
    first_pause: float = 0.5  # seconds; doubled with each try that fails
    _there: dict[str, str] = field(default_factory=dict)
    _as_of: float = 0.0
    _pause: float = 0.0

    async def step(self) -> bool:
        """Copy what differs; for a loop. True when something was copied."""
        manifest = await asyncio.to_thread(read_manifest, self.folder)
        if manifest is None or manifest.as_of == self._as_of:
            return False
        metrics.set_page_copy_lag(self.target.name, self._lag(manifest))
        try:
            copied = await self._copy(manifest)
        except NotCopied as error:
            self._pause = min(LONGEST_PAUSE, self._pause * 2 or self.first_pause)
            _log.warning(
                "copy of the page lags", target=self.target.name, seconds=round(self._lag(manifest)), reason=str(error)
            )
            await asyncio.sleep(self._pause)
            return False
        self._pause, self._as_of = 0.0, manifest.as_of
        metrics.set_page_copy_lag(self.target.name, 0.0)
        return copied

    def _lag(self, manifest: Manifest) -> float:
        """Seconds by which what is there is older than what is here."""
        return max(0.0, manifest.as_of - self._as_of if self._as_of else self.clock().timestamp() - manifest.as_of)

    async def _copy(self, manifest: Manifest) -> bool:
        changed = [name for name, digest in manifest.files.items() if self._there.get(name) != digest]
        # What pages need comes before them, and data, which programs act on, comes last.
        changed.sort(key=lambda name: (not name.startswith("static/"), name.endswith(".json"), name))
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(name: str) -> None:
            async with gate:
                content = await asyncio.to_thread(self._read, name, manifest.files[name])
                for address, copy in as_copied(name, content, self.public_url).items():
                    await self.target.put(address, copy)
                self._there[name] = manifest.files[name]

        for batch in (changed[at : at + 64] for at in range(0, len(changed), 64)):
            ended = await asyncio.gather(*(one(name) for name in batch), return_exceptions=True)
            for failure in ended:
                if isinstance(failure, BaseException):
                    raise failure
        await self.target.put(MANIFEST, await asyncio.to_thread((self.folder / MANIFEST).read_bytes))
        return bool(changed)

    def _read(self, name: str, digest: str) -> bytes:
        try:
            content = (self.folder / name).read_bytes()
        except OSError as error:
            raise NotCopied(str(error)) from error
        if sha256(content) != digest:
            raise NotCopied(f"{name} is being replaced")
        return content


def as_copied(name: str, content: bytes, public_url: str) -> Mapping[str, bytes]:
    """Where a file stands in a copy, and as what: a spoken one under its language, English under both."""
    stem, _, rest = name.partition(".")
    language, _, kind = rest.rpartition(".")
    if language not in SPOKEN:
        return {name: content}
    place = stem.removesuffix("index").removesuffix("/") if kind == "html" else stem
    if kind == "html":
        content = _led_home(content.decode(), place, public_url).encode()
        place = f"{place}/index.html".lstrip("/")
    else:
        place = f"{place}.{kind}"
    copies = {f"{language}/{place}": content}
    return {**copies, place: content} if language == SPOKEN[0] else copies


def _led_home(page: str, place: str, public_url: str) -> str:
    page = _OF_THE_APPLICATION.sub(rf'\1="{public_url}/\2\3', page)
    page = _SAME_PAGE.sub(lambda found: f'href="/{found[1]}/{place}"', page)
    return _SPOKEN_LINK.sub(lambda found: f'href="/{found[2]}{found[1]}{found[3] or ""}"', page)


def targets(mirrors: tuple[Mirror, ...]) -> list[Target]:
    """The targets of the settings."""
    return [_target(one) for one in mirrors]


def _target(mirror: Mirror) -> Target:
    if mirror.bucket is None:
        return FolderTarget(Path(mirror.path))
    config: S3Config = {}
    if mirror.endpoint:
        config |= {"endpoint": mirror.endpoint, "virtual_hosted_style_request": False}
    if mirror.region:
        config |= {"region": mirror.region}
    store = S3Store(
        mirror.bucket,
        prefix=mirror.path or None,
        config=config,
        client_options={"allow_http": mirror.endpoint.startswith("http://"), "timeout": "10s"},
        retry_config={"max_retries": 1},
    )
    return BucketTarget(store, f"s3://{mirror.bucket}/{mirror.path}")
