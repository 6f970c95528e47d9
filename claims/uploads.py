"""Reads forms with files (multipart/form-data, RFC 7578) and puts the files on disk, before anything is promised.

Few at once, since each may hold 25 MB: whoever comes when all places are taken is asked to come back, words by
themselves never. It speaks HTTP; what a file may be stands in `file_kinds`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import msgspec
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request

from claims.file_kinds import LARGEST_FILE, LARGEST_MESSAGE, MB, MOST_FILES, NotTaken, WhyNot, take
from claims.file_store import FileStore, Kept
from claims.submissions import LARGEST_FORM, MOST_FIELDS
from foundation.clock import Clock
from foundation.errors import Busy
from foundation.tokens import BadToken, Tokens

# The request around files of `LARGEST_MESSAGE`; Starlette refuses more while it is still coming in.
LARGEST_UPLOAD = LARGEST_MESSAGE + 2 * MB
_AT_ONCE = 6
_PURPOSE = "kept files"
# Files nobody wrote a row for are swept after a day.
_LASTS = 12 * 3600


@dataclass(frozen=True, slots=True)
class NotKept:
    """A file that we did not take, by the name it came with."""

    shown_name: str
    why: WhyNot


@dataclass(frozen=True, slots=True)
class Upload:
    """What a form held: its fields, and each file: on disk, or why not."""

    fields: Mapping[str, str]
    kept: Sequence[Kept]
    refused: Sequence[NotKept]


class _Slip(msgspec.Struct, array_like=True, frozen=True):
    """Files on disk, as our own form brings them back after it was sent back to be mended."""

    at: int
    files: list[tuple[str, bytes, int, str, str]]


class Uploads:
    """Takes forms with files. One for a process."""

    def __init__(self, store: FileStore, tokens: Tokens, clock: Clock) -> None:
        self.store = store
        self._tokens = tokens
        self._clock = clock
        self._places = asyncio.Semaphore(_AT_ONCE)

    @staticmethod
    def is_one(request: Request) -> bool:
        """Whether the request is a form with files."""
        return request.headers.get("content-type", "").partition(";")[0].strip().lower() == "multipart/form-data"

    async def read(self, request: Request) -> Upload:
        """The fields, and the files on disk. Raises `Busy`, and HTTPException for what is no such form."""
        if self._places.locked():
            raise Busy("Too many files come in at once. Please send it again in a moment.", retry_after=5)
        async with self._places:
            try:
                async with request.form(
                    max_files=MOST_FILES + 1, max_fields=MOST_FIELDS, max_part_size=LARGEST_FORM
                ) as form:
                    fields: dict[str, str] = {}
                    kept: list[Kept] = []
                    refused: list[NotKept] = []
                    for name, value in form.multi_items():
                        if isinstance(value, str):
                            fields.setdefault(name, value)
                        elif value.filename or value.size:  # an empty field for a file is none
                            await self._one(value, kept, refused)
            except ClientDisconnect:
                raise HTTPException(400, "The connection ended before the form did.") from None
            except MultiPartException as error:
                raise HTTPException(400, f"This form cannot be read: {error.message}") from None
        return Upload(fields, kept, refused)

    async def _one(self, file: UploadFile, kept: list[Kept], refused: list[NotKept]) -> None:
        name = file.filename or "file"
        try:
            _check_size(file.size or 0, kept)
            content = await file.read()
            kept.append(await asyncio.to_thread(self._keep, content, name))
        except NotTaken as error:
            refused.append(NotKept(name, error.why))

    def _keep(self, content: bytes, name: str) -> Kept:
        taken = take(content, name)
        return self.store.keep(taken.content, taken.kind, taken.name)

    def slip(self, kept: Sequence[Kept]) -> str:
        """What a form that goes back to be mended carries, so that nobody must choose their files again."""
        if not kept:
            return ""
        files = [(one.name, one.sha256, one.size, one.kind, one.shown_name) for one in kept]
        return self._tokens.sign(_PURPOSE, msgspec.msgpack.encode(_Slip(int(self._clock().timestamp()), files)))

    def from_slip(self, text: str) -> list[Kept]:
        """The files of a form that was sent back, while they are sure to be there; others must be chosen again."""
        with suppress(BadToken, msgspec.MsgspecError):
            slip = msgspec.msgpack.decode(self._tokens.read(_PURPOSE, text), type=_Slip)
            if self._clock().timestamp() - slip.at < _LASTS:
                files = [Kept(name, sha256, size, kind, shown) for name, sha256, size, kind, shown in slip.files]
                return [one for one in files if self.store.path(one.name).exists()]
        return []


def _check_size(size: int, kept: Sequence[Kept]) -> None:
    if len(kept) >= MOST_FILES:
        raise NotTaken("too_many")
    if size > LARGEST_FILE or size + sum(one.size for one in kept) > LARGEST_MESSAGE:
        raise NotTaken("too_large")
