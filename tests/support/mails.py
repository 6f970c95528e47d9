"""Mails that come back, of our own making, shaped like what the world's mail systems send: `tests/mails/*.eml`."""

from pathlib import Path

from foundation.tokens import Tokens
from notify.references import delivery_reference

_FOLDER = Path(__file__).resolve().parent.parent / "mails"
NAMES = sorted(path.stem for path in _FOLDER.glob("*.eml"))


def mail(name: str, tokens: Tokens, delivery: int) -> bytes:
    """The mail of that name, about `delivery`."""
    raw = (_FOLDER / f"{name}.eml").read_bytes()
    return raw.replace(b"REFERENCE", delivery_reference(tokens, delivery).encode())
