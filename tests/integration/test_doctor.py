"""The doctor says what an installation still needs: what DNS must say, and which relays cannot be used as they are."""

from dataclasses import replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.console import Console

from app.doctor import examine
from app.migrations import with_database
from app.postgres import application_url
from notify.dkim import DkimKey
from tests.conftest import SERVER
from tests.support.certificates import signed
from tests.support.relays import MoodyRelay
from tests.support.web import parts_for


async def test_it_prints_the_record_that_receivers_need_to_verify_our_mail(database_url: str, tmp_path: Path) -> None:
    key = DkimKey("s1", "example.com", Ed25519PrivateKey.generate())
    parts = parts_for(database_url, tmp_path)
    console = Console(record=True, width=400)
    await examine(replace(parts.settings, dkim=(key,), smtp_urls=()), database_url, console)
    assert f's1._domainkey.example.com TXT "{key.record}"' in console.export_text()


async def test_a_role_that_could_change_the_record_is_told_and_the_lesser_one_is_not(
    database_url: str, tmp_path: Path
) -> None:
    settings = replace(parts_for(database_url, tmp_path).settings, smtp_urls=(), database_url=database_url)
    name = database_url.partition("?")[0].rpartition("/")[2]
    for url, advised in ((database_url, True), (with_database(application_url(SERVER), name), False)):
        console = Console(record=True, width=600)
        await examine(settings, url, console)
        said = console.export_text()
        assert ("put the owner's address in STORMDESK_OWNER_URL" in said) is advised, said
        assert ("✓ record of who did what" in said) is not advised


async def test_a_relay_is_examined_up_to_its_certificate_and_gets_no_mail(database_url: str, tmp_path: Path) -> None:
    server = signed(tmp_path, host="mail.example.net")
    good, stranger, stripped = MoodyRelay(), MoodyRelay(tls=server.context), MoodyRelay()
    console = Console(record=True, width=400)
    async with good.running() as one, stranger.running() as two, stripped.running() as three:
        urls = (
            f"smtp://127.0.0.1:{one}",
            f"smtp://localhost:{two}?ca={server.ca}",
            f"smtp://zoe:secret@127.0.0.1:{three}",
        )
        settings = replace(parts_for(database_url, tmp_path).settings, smtp_urls=urls)
        assert await examine(settings, database_url, console) is False
    said = console.export_text()
    assert f"✓ mail relay 127.0.0.1:{one}" in said
    assert f"✗ mail relay localhost:{two}: cannot be used" in said
    assert "Hostname mismatch" in said
    assert "offers no STARTTLS" in said
    assert "secret" not in said
    assert {"MAIL", "AUTH"}.isdisjoint(good.commands + stranger.commands + stripped.commands)
