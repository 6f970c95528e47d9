"""What a worker does with the files of contacts: takes them out of mail, has them scanned, sweeps what no row knows.

Every step may be done twice, by two workers or after a crash, and changes nothing the second time.
"""

import asyncio
import time
from collections.abc import Sequence
from itertools import islice

import structlog

from claims.attachments import (
    Packed,
    SetAside,
    claim_unscanned,
    known_files,
    packed_mail,
    room_in_case,
    scanned,
    unpacked,
)
from claims.file_kinds import LARGEST_MESSAGE, MOST_FILES, NotTaken, take
from claims.file_store import FileStore, Kept
from foundation.clock import Clock
from foundation.database import Database
from notify import mail_files, parse_mail

_log = structlog.get_logger()

_LARGEST_MAIL = 12 * 1024 * 1024
_MOST_NAMED = 50  # files of one mail that are spoken of at all
_SCAN_SECONDS = 120.0
_SWEEP_AFTER = 24 * 3600.0
_EVERY = 3600.0
_CLEAN, _HARMFUL = 0, 1  # exit codes, as clamdscan and most others have them


class FileKeeping:
    """The steps. `scanner`: a command that gets the path of a file; none: everything is taken for clean."""

    def __init__(self, database: Database, store: FileStore, clock: Clock, *, scanner: Sequence[str] = ()) -> None:
        self._database = database
        self._store = store
        self._clock = clock
        self._scanner = tuple(scanner)
        self._swept = time.monotonic()

    async def step(self) -> bool:
        """One round. True: there may be more to do."""
        found = await self.unpack_step()
        found = await self.scan_step() or found
        if time.monotonic() - self._swept > _EVERY:
            self._swept = time.monotonic()
            await self.sweep()
        return found

    async def unpack_step(self) -> bool:
        """Take the files out of some mails."""
        async with self._database.transaction() as tx:
            waiting = await packed_mail(tx)
        for mail in waiting:
            async with self._database.transaction() as tx:
                room = await room_in_case(tx, mail.id)  # what the mail before it left, in the same case
            files = await asyncio.to_thread(self._files_in, mail, room)
            async with self._database.transaction() as tx:
                await unpacked(tx, mail, files, self._clock())
        return bool(waiting)

    def _files_in(self, mail: Packed, room: int) -> list[Kept | SetAside]:
        files: list[Kept | SetAside] = []
        for name, content in islice(mail_files(parse_mail(mail.raw, most=_LARGEST_MAIL)), _MOST_NAMED):
            kept = [one for one in files if isinstance(one, Kept)]
            try:
                files.append(self._one_more(kept, name, content, room))
            except NotTaken as error:
                files.append(SetAside(name[:200] or "file", error.why))
        return files

    def _one_more(self, kept: Sequence[Kept], name: str, content: bytes, room: int) -> Kept:
        used = sum(one.size for one in kept)
        if len(kept) >= MOST_FILES:
            raise NotTaken("too_many")
        if used + len(content) > LARGEST_MESSAGE:
            raise NotTaken("too_large")
        taken = take(content, name)
        if used + len(taken.content) > room:
            raise NotTaken("case_full")
        return self._store.keep(taken.content, taken.kind, taken.name)

    async def scan_step(self) -> bool:
        """Have one file looked at. One that the scanner cannot judge now waits, and is not handed out."""
        async with self._database.transaction() as tx:
            waiting = await claim_unscanned(tx, self._clock())
        if waiting is None:
            return False
        state, verdict = await self._look_at(waiting.name)
        if state:
            async with self._database.transaction() as tx:
                await scanned(tx, waiting.id, state, verdict, self._clock())
        return True

    async def _look_at(self, name: str) -> tuple[str, str]:
        """(clean, refused, or nothing yet; what was said)."""
        if not self._scanner:
            return "clean", "no scanner"
        process = await asyncio.create_subprocess_exec(
            *self._scanner,
            str(self._store.path(name)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(_SCAN_SECONDS):
                said, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            said = b""
        if process.returncode in (_CLEAN, _HARMFUL):
            return "clean" if process.returncode == _CLEAN else "refused", said.decode("utf-8", "replace")[-500:]
        _log.error("a file could not be scanned, it waits", exit_code=process.returncode)
        return "", ""

    async def sweep(self) -> None:
        """Put away files that no row knows: of forms that were never sent, and of crashes."""
        names = await asyncio.to_thread(lambda: sorted(self._store.old(time.time() - _SWEEP_AFTER)))
        async with self._database.transaction() as tx:
            known = await known_files(tx, names)
        await asyncio.to_thread(self._store.sweep, names, known)
