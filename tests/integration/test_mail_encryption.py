"""Encryption to relays, over the wire: who is trusted, who is not, and that nothing is said in the clear instead."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from foundation.tokens import Tokens
from notify.channels import Accepted, Outgoing, Result, Unsent
from notify.channels.email import MailChannel
from notify.channels.replies import Timeouts
from notify.mail import MailFactory
from notify.messages import Message
from tests.support.certificates import ServerTls, self_signed, signed
from tests.support.relays import MoodyRelay, Temper

MESSAGE = Message(1, "incident:ab12", "en", "News", "Dear {name},\nthere is news.\n")
TAKEN = Accepted(250, "2.0.0 queued as 1A2B")
both_ways = pytest.mark.parametrize("pipelining", [True, False], ids=["pipelined", "in lockstep"])


def _batch(count: int) -> list[Outgoing]:
    not_after = datetime.now(UTC) + timedelta(hours=1)
    return [Outgoing(n, 1, MESSAGE, f"p{n}@example.org", {"name": "Zoë"}, not_after) for n in range(count)]


async def _try(url: str, count: int = 3) -> tuple[list[Result], str]:
    """What became of some mails, and what the relay is said to be in trouble for."""
    factory = MailFactory("updates@example.com", Tokens([b"a signing key that only tests use"]))
    channel = MailChannel([url], factory, timeouts=Timeouts(connect=5, command=2, data=2, block=2, final_dot=2))
    lane = channel.lane()
    results = await lane.send(_batch(count), asyncio.Event())
    await lane.close()
    return results, channel.relays.health()[0].trouble


def _nothing_was_said(relay: MoodyRelay) -> bool:
    """Neither mail nor password, in the clear or otherwise: nothing but greetings."""
    return not relay.mails and set(relay.commands) <= {"EHLO", "STARTTLS", "QUIT"}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> ServerTls:
    return signed(tmp_path_factory.mktemp("good"))


@pytest.fixture(scope="module")
def wrong_name(tmp_path_factory: pytest.TempPathFactory) -> ServerTls:
    return signed(tmp_path_factory.mktemp("wrong"), host="mail.example.net")


@pytest.fixture(scope="module")
def expired(tmp_path_factory: pytest.TempPathFactory) -> ServerTls:
    return signed(tmp_path_factory.mktemp("expired"), expired=True)


@pytest.fixture(scope="module")
def lonely(tmp_path_factory: pytest.TempPathFactory) -> ServerTls:
    return self_signed(tmp_path_factory.mktemp("lonely"))


@both_ways
async def test_mail_is_encrypted_when_the_relay_offers_it_whatever_the_certificate(
    lonely: ServerTls, pipelining: bool
) -> None:
    relay = MoodyRelay(tls=lonely.context, pipelining=pipelining)
    async with relay.running() as port:
        results, _ = await _try(f"smtp://127.0.0.1:{port}", 30)
    assert results == [TAKEN] * 30
    assert relay.commands[:3] == ["EHLO", "STARTTLS", "EHLO"]
    assert relay.connections == 1


async def test_mail_goes_in_the_clear_when_that_is_asked_for_or_nothing_else_is_offered(good: ServerTls) -> None:
    willing, plain = MoodyRelay(tls=good.context), MoodyRelay()
    async with willing.running() as port, plain.running() as other:
        assert (await _try(f"smtp://localhost:{port}?tls=off"))[0] == [TAKEN] * 3
        assert (await _try(f"smtp://localhost:{other}"))[0] == [TAKEN] * 3
    assert "STARTTLS" not in willing.commands


@both_ways
@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_a_certificate_that_our_ca_vouches_for_is_trusted(good: ServerTls, scheme: str, pipelining: bool) -> None:
    relay = MoodyRelay(tls=good.context if scheme == "smtp" else None, pipelining=pipelining)
    async with relay.running(tls=good.context if scheme == "smtps" else None) as port:
        results, _ = await _try(f"{scheme}://localhost:{port}?tls=required&ca={good.ca}", 30)
    assert results == [TAKEN] * 30


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
@pytest.mark.parametrize(
    ("which", "ca", "words"),
    [
        ("good", False, "unable to get local issuer certificate"),
        ("wrong_name", True, "Hostname mismatch"),
        ("expired", True, "certificate has expired"),
        ("lonely", False, "self-signed certificate"),
    ],
)
async def test_a_relay_that_cannot_prove_who_it_is_gets_nothing(
    which: str, ca: bool, words: str, scheme: str, request: pytest.FixtureRequest
) -> None:
    server: ServerTls = request.getfixturevalue(which)
    relay = MoodyRelay(tls=server.context if scheme == "smtp" else None)
    async with relay.running(tls=server.context if scheme == "smtps" else None) as port:
        option = f"&ca={server.ca}" if ca else ""
        results, trouble = await _try(f"{scheme}://localhost:{port}?tls=required{option}")
    assert results == [Unsent()] * 3
    assert words in trouble
    assert _nothing_was_said(relay)


async def test_a_self_signed_certificate_is_trusted_when_its_file_is_named(lonely: ServerTls) -> None:
    relay = MoodyRelay(tls=lonely.context)
    async with relay.running() as port:
        assert (await _try(f"smtp://localhost:{port}?ca={lonely.ca}"))[0] == [TAKEN] * 3


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_a_pinned_certificate_is_known_by_its_fingerprint_alone(lonely: ServerTls, scheme: str) -> None:
    relay = MoodyRelay(tls=lonely.context if scheme == "smtp" else None)
    async with relay.running(tls=lonely.context if scheme == "smtps" else None) as port:
        # By address: the name in the certificate does not matter.
        assert (await _try(f"{scheme}://127.0.0.1:{port}?fingerprint={lonely.fingerprint}"))[0] == [TAKEN] * 3


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_another_certificate_than_the_pinned_one_gets_nothing(
    good: ServerTls, lonely: ServerTls, scheme: str
) -> None:
    relay = MoodyRelay(tls=good.context if scheme == "smtp" else None)
    async with relay.running(tls=good.context if scheme == "smtps" else None) as port:
        url = f"{scheme}://zoe:secret@localhost:{port}?fingerprint={lonely.fingerprint}"
        results, trouble = await _try(url)
    assert results == [Unsent()] * 3
    assert good.fingerprint in trouble  # what to compare, and to put in the URL if it is right
    assert _nothing_was_said(relay)


async def test_one_of_several_pins_will_do_so_that_certificates_can_be_renewed(
    good: ServerTls, lonely: ServerTls
) -> None:
    relay = MoodyRelay(tls=lonely.context)
    async with relay.running() as port:
        url = f"smtp://localhost:{port}?fingerprint={good.fingerprint}&fingerprint={lonely.fingerprint}"
        assert (await _try(url))[0] == [TAKEN] * 3


@pytest.mark.parametrize("options", ["tls=required", "ca={ca}", "fingerprint={pin}"])
async def test_starttls_that_somebody_stripped_is_a_refusal(good: ServerTls, options: str) -> None:
    relay = MoodyRelay()
    async with relay.running() as port:
        chosen = options.format(ca=good.ca, pin=good.fingerprint)
        results, trouble = await _try(f"smtp://localhost:{port}?{chosen}")
    assert results == [Unsent()] * 3
    assert "offers no STARTTLS" in trouble
    assert _nothing_was_said(relay)


async def test_a_password_is_never_sent_in_the_clear() -> None:
    relay = MoodyRelay(temper=Temper(offers=("AUTH PLAIN LOGIN",)))
    async with relay.running() as port:
        results, trouble = await _try(f"smtp://zoe:secret@localhost:{port}")
    assert results == [Unsent()] * 3
    assert "offers no STARTTLS" in trouble
    assert _nothing_was_said(relay)
    assert "secret" not in trouble


class _Kept:
    async def handle_DATA(self, _server: SMTP, _session: Session, _envelope: Envelope) -> str:
        return "250 kept"


@contextmanager
def _aiosmtpd(**options: Any) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    controller = Controller(_Kept(), hostname="127.0.0.1", port=port, **options)
    controller.start()
    try:
        yield port
    finally:
        controller.stop()


async def test_a_password_goes_to_a_relay_that_proved_who_it_is_and_to_no_other(
    good: ServerTls, lonely: ServerTls
) -> None:
    asked: list[object] = []

    def authenticate(_server: object, _session: object, _envelope: object, _mechanism: str, data: object) -> AuthResult:
        asked.append(data)
        return AuthResult(success=True)

    with _aiosmtpd(tls_context=lonely.context, authenticator=authenticate) as port:
        assert (await _try(f"smtp://zoe:secret@localhost:{port}"))[0] == [Unsent()] * 3
    assert not asked
    with _aiosmtpd(tls_context=good.context, authenticator=authenticate) as port:
        results, _ = await _try(f"smtp://zoe:secret@localhost:{port}?ca={good.ca}")
    assert results == [Accepted(250, "kept")] * 3
    assert asked == [LoginPassword(b"zoe", b"secret")]


async def test_a_ca_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    async with MoodyRelay().running() as port:
        results, trouble = await _try(f"smtp://localhost:{port}?ca={tmp_path / 'gone.pem'}")
    assert results == [Unsent()] * 3
    assert "No such file" in trouble
