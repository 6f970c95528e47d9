"""Mails that come back, of our own making, shaped like what the world's mail systems send: `tests/mails/*.eml`."""

from email.message import EmailMessage
from pathlib import Path

from foundation.tokens import Tokens
from notify.references import delivery_reference

_FOLDER = Path(__file__).resolve().parent.parent / "mails"
NAMES = sorted(path.stem for path in _FOLDER.glob("*.eml"))


def mail(name: str, tokens: Tokens, delivery: int) -> bytes:
    """The mail of that name, about `delivery`."""
    raw = (_FOLDER / f"{name}.eml").read_bytes()
    return raw.replace(b"REFERENCE", delivery_reference(tokens, delivery).encode())


def mail_with_files(
    *files: tuple[str, str, bytes], text: str = "See what I attached.", sender: str = "jo@example.org"
) -> bytes:
    """A person's mail with files: (name, media type as they call it, content)."""
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "jo@example.org", "claims@example.com", "My receipts"
    made["Message-ID"], made["Date"] = "<receipts@example.org>", "Tue, 24 Nov 2026 10:00:00 +0000"
    made.set_content(text)
    for name, kind, content in files:
        main, sub = kind.split("/")
        made.add_attachment(content, maintype=main, subtype=sub, filename=name)
    return made.as_bytes()
