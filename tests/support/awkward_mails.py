"""Mail as the world really sends it, of our own making: each with what it must become.

`person`: a contact that waits for an answer; `machine`: kept where people look, and never answered; `report`: kept as a
report on a delivery. Every person's mail is from an address of its own, so that what is answered can be told apart.
"""

import base64
import io
import zipfile
from collections.abc import Iterator
from typing import Literal, NamedTuple

Fate = Literal["person", "machine", "report"]


class Awkward(NamedTuple):
    """A mail, the sender of its envelope, and its fate. `words`: what must be readable in the contact."""

    name: str
    raw: bytes
    fate: Fate = "person"
    sender: str = "someone@mail.example"
    words: str = ""


def _mail(name: str, *more: str, body: bytes = b"My train did not run.", mid: bool = True, who: str = "") -> bytes:
    head = [f"From: {who or f'Jo <{name}@mail.example>'}", "To: claims@example.com", *more]
    if mid:
        head.append(f"Message-ID: <{name}@mail.example>")
    if not any(one.lower().startswith("date:") for one in more):
        head.append("Date: Tue, 24 Nov 2026 10:00:00 +0000")
    return "\r\n".join(head).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body + b"\r\n"


def _typed(name: str, kind: str, body: bytes, *more: str) -> bytes:
    return _mail(name, "MIME-Version: 1.0", f"Content-Type: {kind}", *more, body=body)


def _charsets() -> Iterator[Awkward]:
    story = "Überfällig: 12 € für Café"
    for charset in ("utf-8", "iso-8859-15", "windows-1252", "utf-16", "macroman", "cp437"):
        text = story if charset not in ("macroman", "cp437") else "Überfällig für Café"
        kind = f"text/plain; charset={charset}"
        body = base64.encodebytes(text.encode(charset))
        yield Awkward(
            f"charset-{charset}",
            _typed(f"charset-{charset}", kind, body, "Content-Transfer-Encoding: base64"),
            words="berf",
        )
    for charset, text in (
        ("shift_jis", "電車が来ない"),
        ("koi8-r", "Поезд не пришёл"),
        ("gb18030", "火车没来"),
        ("iso-2022-jp", "電車"),
    ):
        yield Awkward(
            f"charset-{charset}",
            _typed(f"charset-{charset}", f"text/plain; charset={charset}", text.encode(charset)),
            words=text[:2],
        )
    wrong = {
        "unknown": "text/plain; charset=x-klingon",
        "empty": "text/plain; charset=",
        "nul": 'text/plain; charset="utf\x00-8"',
        "not-a-charset": "text/plain; charset=base64",
        "utf7": "text/plain; charset=utf-7",
        "lies": "text/plain; charset=us-ascii",
        "quoted-badly": 'text/plain; charset="utf-8',
    }
    for name, kind in wrong.items():
        yield Awkward(f"charset-{name}", _typed(f"charset-{name}", kind, "Zug fällt aus".encode()), words="Zug f")
    yield Awkward("raw-8bit-header", _mail("raw-8bit-header", "Subject: Verspätung"), words="My train")
    yield Awkward("latin1-header", _mail("latin1-header", "Subject: Versp\udce4tung"), words="My train")


def _headers() -> Iterator[Awkward]:
    yield Awkward("no-message-id", _mail("no-message-id", mid=False), words="My train")
    yield Awkward("no-headers", b"\r\nJust words, no header at all.\r\n")
    yield Awkward("no-body", _mail("no-body", "Subject: Where is my train?", body=b""), words="Where is my train")
    yield Awkward("empty", b"\r\n")
    yield Awkward("absurd-date", _mail("absurd-date", "Date: Thu, 99 Foo 99999 99:99:99 +9999"), words="My train")
    yield Awkward("year-1970", _mail("year-1970", "Date: Thu, 1 Jan 1970 00:00:00 +0000"), words="My train")
    yield Awkward(
        "two-senders", _mail("two-senders", who="A <two-senders@mail.example>, B <b@mail.example>"), words="My train"
    )
    yield Awkward("group-sender", _mail("group-sender", who="Family: group-sender@mail.example;"), words="My train")
    yield Awkward("sender-in-the-name", _mail("x1", who='"victim@bank.example" <sender-in-the-name@mail.example>'))
    yield Awkward("no-sender", _mail("no-sender", who="<>"), words="My train")
    yield Awkward(
        "comments", _mail("comments", who="Jo (" * 50 + ")" * 50 + " <comments@mail.example>"), words="My train"
    )
    yield Awkward("split-word", _mail("split-word", "Subject: =?utf-8?Q?Z=C3?=\r\n =?utf-8?Q?=BCrich?="), words="rich")
    yield Awkward("broken-word", _mail("broken-word", "Subject: =?utf-8?B?!!!?= =?x?Z?y?="), words="My train")
    yield Awkward("bidi", _mail("bidi", "Subject: refund \u202e000,1"), words="My train")
    yield Awkward("long-subject", _mail("long-subject", "Subject: " + "a " * 20_000), words="a a a")
    yield Awkward("10000-headers", _mail("10000-headers", *(f"X-{n}: y" for n in range(10_000))), words="My train")
    yield Awkward("folded-forever", _mail("folded-forever", "X-Fold: a" + "\r\n b" * 900), words="My train")
    yield Awkward("bare-newlines", _mail("bare-newlines").replace(b"\r\n", b"\n"), words="My train")
    yield Awkward("control-bytes", _mail("control-bytes", body=b"Train\x00 \x07 gone \x1b[31m"), words="gone")
    yield Awkward(
        "injection", _mail("injection", "Subject: =?utf-8?Q?Hi=0D=0ABcc:_victim@bank.example?="), words="My train"
    )


def _shapes() -> Iterator[Awkward]:
    yield Awkward(
        "html-only", _typed("html-only", "text/html", b"<p>My <b>bag</b> is lost<script>alert(1)</script>"), words="bag"
    )
    nested = b"innermost words"
    for depth in range(30):
        edge = f"e{depth}".encode()
        inner = b"" if depth == 0 else f"Content-Type: multipart/mixed; boundary=e{depth - 1}\r\n".encode()
        nested = b"--" + edge + b"\r\n" + inner + b"\r\n" + nested + b"\r\n--" + edge + b"--\r\n"
    yield Awkward("nested", _typed("nested", "multipart/mixed; boundary=e29", nested))
    yield Awkward("no-boundary", _typed("no-boundary", "multipart/mixed", b"--x\r\n\r\nwords\r\n"))
    yield Awkward(
        "never-closed",
        _typed("never-closed", "multipart/mixed; boundary=x", b"--x\r\n\r\nopen ended"),
        words="open ended",
    )
    many = b"".join(b"--x\r\n\r\npart\r\n" for _ in range(2000)) + b"--x--"
    yield Awkward("many-parts", _typed("many-parts", "multipart/mixed; boundary=x", many))
    inner_mail = _mail("inner", "Subject: Forwarded", body=b"The letter I got.")
    yield Awkward("forwarded", _typed("forwarded", "message/rfc822", inner_mail))
    yield Awkward(
        "bad-base64",
        _typed("bad-base64", "text/plain", b"TXkgdHJhaW4=!!!!\r\n====", "Content-Transfer-Encoding: base64"),
    )
    yield Awkward(
        "bad-quoted",
        _typed("bad-quoted", "text/plain", b"My train =ZZ =\r\n= gone", "Content-Transfer-Encoding: quoted-printable"),
        words="My train",
    )
    yield Awkward(
        "odd-encoding",
        _typed("odd-encoding", "text/plain", b"My train", "Content-Transfer-Encoding: x-uuencode-2"),
        words="My train",
    )
    ics = b"BEGIN:VCALENDAR\r\nMETHOD:REPLY\r\nBEGIN:VEVENT\r\nUID:1\r\nEND:VEVENT\r\nEND:VCALENDAR"
    yield Awkward(
        "calendar",
        _typed("calendar", "text/calendar; method=REPLY", ics, "Subject: Accepted: call back"),
        words="Accepted",
    )
    yield Awkward(
        "winmail",
        _mixed("winmail", "application/ms-tnef", "winmail.dat", b"\x78\x9f\x3e\x22" + bytes(500)),
        words="My train",
    )
    yield Awkward(
        "smime-signed",
        _typed(
            "smime-signed",
            'multipart/signed; boundary=s; micalg=sha-256; protocol="application/pkcs7-signature"',
            b"--s\r\n\r\nSigned words\r\n--s\r\nContent-Type: application/pkcs7-signature; name=smime.p7s\r\nContent-Transfer-Encoding: base64\r\n\r\nMIIB\r\n--s--",
        ),
        words="Signed words",
    )
    yield Awkward(
        "smime-encrypted",
        _typed(
            "smime-encrypted",
            "application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m",
            b"MIIB",
            "Content-Transfer-Encoding: base64",
            "Subject: Encrypted",
        ),
        words="Encrypted",
    )
    yield Awkward(
        "pgp",
        _typed(
            "pgp",
            'multipart/encrypted; boundary=p; protocol="application/pgp-encrypted"',
            b"--p\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n--p\r\nContent-Type: application/octet-stream\r\n\r\n-----BEGIN PGP MESSAGE-----\r\n--p--",
            "Subject: Secret",
        ),
        words="Secret",
    )
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(30_000_000))
    yield Awkward("zip-bomb", _mixed("zip-bomb", "application/zip", "invoice.pdf", bomb.getvalue()), words="My train")
    yield Awkward(
        "exe-as-picture", _mixed("exe-as-picture", "image/jpeg", "a.jpg", b"MZ" + bytes(500)), words="My train"
    )
    yield Awkward(
        "path-in-name", _mixed("path-in-name", "text/plain", "../../../etc/passwd", b"root"), words="My train"
    )
    yield Awkward("10-mb", _mixed("10-mb", "application/octet-stream", "big.bin", bytes(6_000_000)), words="My train")
    reply = (
        b"Sunday please\r\n\r\nOn Mon, 3 Mar 2025 at 10:00, Desk <d@x.example> wrote:\r\n> C-100001 booking ZZZZZZ\r\n"
    )
    yield Awkward("quoting", _mail("quoting", "Subject: Re: your case", body=reply), words="Sunday please")


def _mixed(name: str, kind: str, file: str, content: bytes) -> bytes:
    coded = base64.encodebytes(content).replace(b"\n", b"\r\n")
    body = b"--m\r\nContent-Type: text/plain\r\n\r\nMy train did not run.\r\n--m\r\nContent-Type: " + kind.encode()
    body += b'\r\nContent-Disposition: attachment; filename="' + file.encode() + b'"\r\n'
    body += b"Content-Transfer-Encoding: base64\r\n\r\n" + coded + b"--m--"
    return _typed(name, "multipart/mixed; boundary=m", body)


def _machines() -> Iterator[Awkward]:
    away = {
        "en": "Out of office: Re: update",
        "nl": "Automatisch antwoord: afwezig",
        "de": "Automatische Antwort: abwesend",
        "fr": "Réponse automatique : absence du bureau",
        "es": "Respuesta automática: fuera de la oficina",
    }
    for language, subject in away.items():
        yield Awkward(f"away-{language}", _mail(f"away-{language}", f"Subject: {subject}"), "machine")
    for name, field in {
        "auto-submitted": "Auto-Submitted: auto-replied",
        "suppressing": "X-Auto-Response-Suppress: All",
        "precedence": "Precedence: auto_reply",
        "bulk": "Precedence: bulk",
        "list": "List-Id: <passengers.lists.example>",
        "x-loop": "X-Loop: claims@example.com",
    }.items():
        yield Awkward(name, _mail(name, field), "machine")
    yield Awkward("null-sender", _mail("null-sender"), "machine", sender="")
    bounce = _typed(
        "dsn",
        "multipart/report; report-type=delivery-status; boundary=d",
        b"--d\r\n\r\nNo such user.\r\n--d\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\nFinal-Recipient: rfc822; a@b.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n--d--",
    )
    yield Awkward("dsn", bounce, "report", sender="")


def awkward_mails() -> list[Awkward]:
    """All of them."""
    return [*_charsets(), *_headers(), *_shapes(), *_machines()]
