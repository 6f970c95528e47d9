"""The doctor says what an installation still needs from somebody else: here, what DNS must say."""

from dataclasses import replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.console import Console

from app.doctor import examine
from notify.dkim import DkimKey
from tests.support.web import parts_for


async def test_it_prints_the_record_that_receivers_need_to_verify_our_mail(database_url: str, tmp_path: Path) -> None:
    key = DkimKey("s1", "example.com", Ed25519PrivateKey.generate())
    parts = parts_for(database_url, tmp_path)
    console = Console(record=True, width=400)
    await examine(replace(parts.settings, dkim=(key,), smtp_urls=()), database_url, console)
    assert f's1._domainkey.example.com TXT "{key.record}"' in console.export_text()
