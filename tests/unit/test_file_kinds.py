"""What a file is, by its bytes; what we take, and what is gone from it then."""

import io
import zipfile
import zlib

import pytest
from PIL import Image

from claims.file_kinds import LARGEST_FILE, NotTaken, harmless_name, kind_of, take

PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n%%EOF\n"


def picture(form: str = "JPEG", size: tuple[int, int] = (60, 30), **options: object) -> bytes:
    written = io.BytesIO()
    Image.new("RGB", size, "red").save(written, form, **options)
    return written.getvalue()


def located_picture() -> bytes:
    """A picture that says where it was taken, by whom, and that it lies on its side."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x9003] = 6, "Owner of this phone", "2026:11:24 10:00:00"
    exif.get_ifd(0x8825)[2] = (52.0, 22.0, 12.0)
    return picture(exif=exif, comment=b"a secret in a comment")


def a_zip(*names: str, mimetype: bytes = b"") -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        if mimetype:
            archive.writestr("mimetype", mimetype)
        for name in names:
            archive.writestr(name, "x")
    return written.getvalue()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP"])
def test_pictures_are_known_by_their_bytes(form: str) -> None:
    taken = take(picture(form), "holiday.exe")
    assert taken.kind == f"image/{form.lower()}"
    assert taken.name.rpartition(".")[2] in ("jpg", "png", "gif", "webp")
    assert taken.name.startswith("holiday.")


def test_what_a_camera_wrote_beside_a_picture_is_gone_and_it_stands_upright() -> None:
    before = located_picture()
    assert b"Owner of this phone" in before
    taken = take(before, "photo.jpg")
    assert b"Owner" not in taken.content
    assert b"secret" not in taken.content
    assert b"Exif" not in taken.content
    with Image.open(io.BytesIO(taken.content)) as shown:
        assert shown.size == (30, 60)
        assert not shown.getexif()


def test_what_hangs_behind_a_picture_is_gone() -> None:
    assert b"<script>" not in take(picture() + b"<script>alert(1)</script>", "a.jpg").content


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (PDF, "application/pdf"),
        ("Reçu: 12 €\n".encode(), "text/plain"),
        (a_zip("[Content_Types].xml", "word/document.xml"), "wordprocessingml.document"),
        (a_zip("[Content_Types].xml", "xl/workbook.xml"), "spreadsheetml.sheet"),
        (a_zip(mimetype=b"application/vnd.oasis.opendocument.text"), "opendocument.text"),
    ],
)
def test_documents_are_known_by_their_bytes(content: bytes, kind: str) -> None:
    assert kind_of(content).endswith(kind)


@pytest.mark.parametrize(
    "content",
    [
        b"MZ\x90\x00" + bytes(300),
        b"\x7fELF" + bytes(300),
        b"<html><script>alert(1)</script>",
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        b"<?xml version='1.0'?><x/>",
        a_zip("evil.exe"),
        a_zip("[Content_Types].xml", "word/vbaProject.bin"),
        b"PK\x03\x04" + bytes(100),
        b"\x00\x01\x02" * 50,
        b"#!/bin/sh\x00",
    ],
)
def test_everything_else_is_refused_whatever_it_is_called(content: bytes) -> None:
    with pytest.raises(NotTaken):
        take(content, "invoice.pdf")


def test_a_picture_that_unpacks_to_gigabytes_is_refused_before_it_is_unpacked() -> None:
    bomb = bytearray(picture("PNG"))
    width = (60_000).to_bytes(4, "big") * 2
    bomb[16:24] = width
    bomb[29:33] = zlib.crc32(bytes(bomb[12:29])).to_bytes(4, "big")
    with pytest.raises(NotTaken):
        take(bytes(bomb), "bomb.png")


def test_a_broken_picture_and_an_empty_or_too_large_file_are_refused() -> None:
    for content, why in ((picture()[:400], "unreadable"), (b"", "empty"), (b"a" * (LARGEST_FILE + 1), "too_large")):
        with pytest.raises(NotTaken) as refused:
            take(content, "x")
        assert refused.value.why == why


@pytest.mark.parametrize(
    ("name", "harmless"),
    [
        ("../../etc/passwd", "passwd.pdf"),
        ("C:\\Users\\me\\Beleg.PDF", "Beleg.pdf"),
        ("a\r\nSet-Cookie: x.pdf", "aSet-Cookie x.pdf"),
        ("annexe\u202efdp.exe", "annexefdp.pdf"),
        ("...", "file.pdf"),
        ("", "file.pdf"),
        ("x" * 500, "x" * 120 + ".pdf"),
    ],
)
def test_names_are_made_harmless(name: str, harmless: str) -> None:
    assert harmless_name(name, "application/pdf") == harmless
