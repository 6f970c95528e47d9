"""What somebody's file really is, whether we take it, and what is taken out of it before we keep it. Pure.

A kind is read from the bytes, never from the name or from what the sender calls it. Pictures are drawn anew, so what a
camera wrote beside them (place, time, owner) is gone, and so is anything hidden behind them.
"""

import io
import re
import unicodedata
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import puremagic
from PIL import Image, ImageOps

MB = 1024 * 1024
LARGEST_FILE = 10 * MB
LARGEST_MESSAGE = 25 * MB  # all files of one message
LARGEST_CASE = 200 * MB
MOST_FILES = 10
_MOST_PIXELS = 50_000_000  # of all frames together; a picture of a few kilobytes can unpack to gigabytes
_PICTURES = ("JPEG", "PNG", "GIF", "WEBP")
_LONGEST_NAME = 120

WhyNot = Literal["empty", "too_large", "too_many", "case_full", "kind", "unreadable"]

# Code → what to do then. Message ids.
WHY_NOT: Mapping[WhyNot, str] = {
    "empty": "One of the files is empty. Please choose it again.",
    "too_large": "One of the files is too large: a file may have 10 MB, all of them together 25 MB.",
    "too_many": "These are too many files at once: send ten at most, and the others with a second message.",
    "case_full": "There is no more room for files in your case. Please tell us in words what they show.",
    "kind": "We can take pictures (JPEG, PNG, GIF, WebP), PDF, plain text, docx, xlsx, odt and ods. One of the files "
    "is something else.",
    "unreadable": "One of the files is damaged, so that we cannot open it. Please choose another.",
}

# Media type → how such a file's name ends.
_ENDINGS = {
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/gif": "gif",
    "image/webp": "webp",
    "application/pdf": "pdf",
    "text/plain": "txt",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.oasis.opendocument.text": "odt",
    "application/vnd.oasis.opendocument.spreadsheet": "ods",
}
_OFFICE = {"word/": "docx", "xl/": "xlsx"}
_OPEN = {b"application/vnd.oasis.opendocument.text": "odt", b"application/vnd.oasis.opendocument.spreadsheet": "ods"}
_TYPES = {ending: kind for kind, ending in _ENDINGS.items()}


class NotTaken(Exception):
    """A file is not one that we keep. `why` is a code; the page has the words for it."""

    def __init__(self, why: WhyNot) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class Taken:
    """A file as it is kept: its bytes, what it is by them, and a harmless name."""

    content: bytes
    kind: str
    name: str


def take(content: bytes, name: str) -> Taken:
    """The file as we keep it. Raises `NotTaken`."""
    if not content:
        raise NotTaken("empty")
    if len(content) > LARGEST_FILE:
        raise NotTaken("too_large")
    kind = kind_of(content)
    if kind.startswith("image/"):
        content = _drawn_anew(content)
    return Taken(content, kind, harmless_name(name, kind))


def kind_of(content: bytes) -> str:
    """The media type of what is in `content`. Raises `NotTaken` for what is none of those we take."""
    if content.startswith(b"PK\x03\x04"):
        return _TYPES[_in_a_zip(content)]
    try:
        found = {one.mime_type for one in puremagic.magic_string(content)[:6]}
    except (puremagic.PureError, ValueError):
        found = set()
    for kind in ("image/jpeg", "image/png", "image/gif", "image/webp", "application/pdf"):
        if kind in found and _begins_as(kind, content):
            return kind
    if _is_plain_text(content):
        return "text/plain"
    raise NotTaken("kind")


def harmless_name(name: str, kind: str) -> str:
    """`name` without folders, controls and marks that turn the writing around, ending as such a file ends."""
    last = re.split(r"[/\\]", name)[-1]
    kept = "".join(one for one in last if unicodedata.category(one)[0] != "C" and one not in '<>:"|?*;')
    stem = kept.rpartition(".")[0] or kept
    return f"{stem.strip(' .')[:_LONGEST_NAME] or 'file'}.{_ENDINGS[kind]}"


def _begins_as(kind: str, content: bytes) -> bool:
    """puremagic also looks at the end of a file and further in; a reader of such a file looks at its beginning."""
    head = content[:1024]
    if kind == "application/pdf":
        return b"%PDF-" in head and b"<html" not in head.lower() and b"<script" not in head.lower()
    signs = {"image/jpeg": b"\xff\xd8\xff", "image/png": b"\x89PNG\r\n", "image/gif": b"GIF8", "image/webp": b"RIFF"}
    return head.startswith(signs[kind])


def _in_a_zip(content: bytes) -> str:
    """The ending of the office document that a zip holds, by its list of contents; one short line of it is unpacked."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
            opened = b""
            if "mimetype" in names and archive.getinfo("mimetype").file_size < 100:
                opened = archive.read("mimetype").strip()
    except (zipfile.BadZipFile, zipfile.LargeZipFile, RuntimeError, ValueError, OSError, KeyError, zlib.error):
        raise NotTaken("unreadable") from None
    ending = _OPEN.get(opened, "")
    if "[Content_Types].xml" in names:
        ending = next((one for folder, one in _OFFICE.items() if any(name.startswith(folder) for name in names)), "")
    if not ending or any(name.endswith("vbaProject.bin") or "/Scripts/" in name for name in names):  # macros
        raise NotTaken("kind")
    return ending


def _is_plain_text(content: bytes) -> bool:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return False
    if any(unicodedata.category(one) == "Cc" and one not in "\t\r\n\f" for one in text[:100_000]) or "\x00" in text:
        return False
    # What a browser could be talked into running is not plain text to us.
    return not re.search(r"(?i)<\s*(?:!doctype|html|script|svg|body|iframe|head|\?xml)", text[:100_000])


def _drawn_anew(content: bytes) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(io.BytesIO(content), formats=_PICTURES) as picture:
                return _without_what_is_beside(picture)
        except NotTaken:
            raise
        except Exception:  # noqa: BLE001 (strangers' bytes: its decoders fail in as many ways as there are formats)
            raise NotTaken("unreadable") from None


def _without_what_is_beside(picture: Image.Image) -> bytes:
    frames = getattr(picture, "n_frames", 1)
    if picture.width * picture.height * frames > _MOST_PIXELS:
        raise NotTaken("too_large")
    written, form = io.BytesIO(), picture.format
    kept: dict[str | tuple[int, int], Any] = {}
    for name in ("transparency", "duration", "loop", "icc_profile"):
        if name in picture.info:
            kept[name] = picture.info[name]
    options: dict[str, Any] = {str(name): value for name, value in kept.items() if name != "transparency"}
    if frames > 1 and form in ("GIF", "WEBP"):
        picture.info.pop("comment", None)
        picture.save(written, form, save_all=True, **options)
        return written.getvalue()
    upright = ImageOps.exif_transpose(picture)
    upright.info = kept  # nothing else of what stood beside it
    if form == "JPEG":
        options |= {"quality": 90, "optimize": False}
    upright.save(written, form, **options)
    return written.getvalue()
