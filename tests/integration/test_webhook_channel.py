"""The webhook channel on the wire: signed, once per id, and never to an address inside, however the name lies."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import notify.channels.webhook as channel_module
from foundation.tokens import Tokens
from notify.channels import Accepted, Deferred, Outgoing, Refused, Result, Unsent
from notify.channels.webhook import WebhookChannel
from notify.references import delivery_reference
from notify.subscriptions import read_stop_token
from notify.webhook_urls import is_public
from tests.support.followers import INSIDE, NEAR, OUTSIDE, Call, Machine, certificate, outgoing, reply, resolver
from tests.support.ports import free_port

AT = datetime(2026, 2, 8, 14, 10, tzinfo=UTC)


def a_channel(tokens: Tokens, **more: Any) -> WebhookChannel:
    options: dict[str, Any] = {"reach": NEAR, "resolve": resolver([OUTSIDE]), "clock": lambda: AT}
    return WebhookChannel(tokens, public_url="https://status.example.com", **{**options, **more})


async def send(channel: WebhookChannel, *batch: Outgoing) -> list[Result]:
    lane = channel.lane()
    try:
        return await lane.send(batch, asyncio.Event())
    finally:
        await lane.close()


async def told(tokens: Tokens, answer: Callable[[Call], bytes | None], **more: Any) -> tuple[Result, Machine]:
    """What becomes of one delivery to a machine that answers so."""
    machine = Machine(answer)
    async with machine.running() as port:
        [result] = await send(a_channel(tokens, **more), outgoing(f"http://hooks.example.com:{port}/in?a=1"))
    return result, machine


# --- what is sent ---------------------------------------------------------------------------------------------------


async def test_a_post_is_signed_named_and_unsubscribable(tokens: Tokens) -> None:
    result, machine = await told(tokens, lambda _: reply("200 OK", "thanks"))
    assert result == Accepted(200, "thanks")
    [call] = machine.calls
    assert call.head.split("\r\n")[0] == "POST /in?a=1 HTTP/1.1"
    assert call.headers["host"].startswith("hooks.example.com:")
    assert call.headers["content-type"] == "application/json; charset=utf-8"
    assert call.headers["stormdesk-delivery"] == delivery_reference(tokens, 7)
    secret = tokens.name("webhook-secret", "S-ABC")
    t = int(AT.timestamp())
    expected = hmac.new(secret.encode(), f"{t}.".encode() + call.body, hashlib.sha256).hexdigest()
    assert call.headers["stormdesk-signature"] == f"t={t},v1={expected}"
    assert call.json["incident"] == {"name": "Ærø {x}"}
    assert set(call.json["meta"]) == {"unsubscribe", "documentation"}
    start = "https://status.example.com/follow/stop/"
    assert read_stop_token(tokens, call.json["meta"]["unsubscribe"].removeprefix(start)) == "S-ABC"


async def test_the_secret_is_told_with_the_question_only(tokens: Tokens) -> None:
    machine = Machine()
    async with machine.running() as port:
        await send(a_channel(tokens), outgoing(f"http://hooks.example.com:{port}/", topic="follow:1"))
    assert machine.calls[0].json["meta"]["secret"] == tokens.name("webhook-secret", "S-ABC")


async def test_after_a_rotation_both_keys_sign() -> None:
    old, new = b"o" * 32, b"n" * 32
    _, machine = await told(Tokens([new, old]), lambda _: reply("204 No Content"))
    body = machine.calls[0].body
    t = int(AT.timestamp())
    for key in (old, new):
        secret = Tokens([key]).name("webhook-secret", "S-ABC")
        signature = hmac.new(secret.encode(), f"{t}.".encode() + body, hashlib.sha256).hexdigest()
        assert f"v1={signature}" in machine.calls[0].headers["stormdesk-signature"]


async def test_a_repeat_carries_the_same_id(tokens: Tokens) -> None:
    machine = Machine()
    async with machine.running() as port:
        one = outgoing(f"http://hooks.example.com:{port}/")
        await send(a_channel(tokens), one)
        await send(a_channel(tokens), one)
    first, second = machine.calls
    assert first.headers["stormdesk-delivery"] == second.headers["stormdesk-delivery"]


async def test_https_shows_the_name_and_checks_the_certificate(tokens: Tokens, tmp_path: Path) -> None:
    server, trusting = certificate(tmp_path, "hooks.example.com")
    machine = Machine()
    async with machine.running(tls=server) as port:
        [good] = await send(a_channel(tokens, tls=trusting), outgoing(f"https://hooks.example.com:{port}/"))
        [other] = await send(a_channel(tokens, tls=trusting), outgoing(f"https://other.example.com:{port}/"))
        [untrusted] = await send(a_channel(tokens), outgoing(f"https://hooks.example.com:{port}/"))
    assert isinstance(good, Accepted)
    for refused in (other, untrusted):
        assert isinstance(refused, Deferred)
        assert refused.reason == "no_connection"
    assert len(machine.calls) == 1


# --- what comes back ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("200 OK", Accepted(200)),
        ("202 Accepted", Accepted(202)),
        ("400 Bad Request", Refused("refused", 400)),
        ("401 Unauthorized", Refused("refused", 401)),
        ("404 Not Found", Refused("refused", 404)),
        ("410 Gone", Refused("gone", 410)),
        ("408 Request Timeout", Deferred("refused_for_now", 408)),
        ("429 Too Many Requests", Deferred("throttled", 429)),
        ("500 Oops", Deferred("refused_for_now", 500)),
        ("503 Later", Deferred("throttled", 503)),
    ],
)
async def test_each_answer_leads_where_it_should(tokens: Tokens, status: str, expected: Result) -> None:
    result, _ = await told(tokens, lambda _: reply(status))
    assert result == expected


async def test_gone_is_passed_on(tokens: Tokens) -> None:
    gone: list[str] = []

    async def keep(url: str) -> None:
        gone.append(url)

    await told(tokens, lambda _: reply("410 Gone"), gone=keep)
    assert [url.startswith("http://hooks.example.com:") for url in gone] == [True]


async def test_a_host_that_asks_for_a_pause_gets_it(tokens: Tokens) -> None:
    now = [1000.0]
    machine = Machine(lambda _: reply("429 Slow down", Retry_After="120"))
    channel = a_channel(tokens, monotonic=lambda: now[0])
    async with machine.running() as port:
        one = outgoing(f"http://hooks.example.com:{port}/")
        pause = timedelta(seconds=120)
        assert (await send(channel, one))[0] == Deferred("throttled", 429, "", pause, for_all=True)
        now[0] += 119
        [held] = await send(channel, one)
        assert isinstance(held, Deferred)
        assert len(machine.calls) == 1
        now[0] += 2
        await send(channel, one)
        assert len(machine.calls) == 2


async def test_silence_is_tried_again(tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_module, "ANSWER_SECONDS", 0.2)
    result, machine = await told(tokens, lambda _: None)
    assert result == Deferred("no_answer_in_time")
    assert len(machine.calls) == 1


async def test_a_trickle_does_not_hold_a_lane(tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_module, "ALL_SECONDS", 0.3)

    async def trickle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while True:
                writer.write(b".")
                await writer.drain()
                await asyncio.sleep(0.02)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(trickle, OUTSIDE, 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        [result] = await send(a_channel(tokens), outgoing(f"http://hooks.example.com:{port}/"))
    assert result == Deferred("no_answer_in_time")


async def test_an_answer_is_read_to_a_measure_only(tokens: Tokens) -> None:
    result, _ = await told(tokens, lambda _: reply("200 OK", "x" * 5_000_000))
    assert isinstance(result, Accepted)
    assert len(result.reply) == 300


async def test_a_flood_of_headers_is_cut_off(tokens: Tokens) -> None:
    flood = b"HTTP/1.1 200 OK\r\n" + b"X-A: " + b"a" * 400_000 + b"\r\n\r\n"
    result, _ = await told(tokens, lambda _: flood)
    assert result == Deferred("unreadable_reply")


async def test_what_is_not_http_is_tried_again(tokens: Tokens) -> None:
    result, _ = await told(tokens, lambda _: b"220 mail.example.com ESMTP\r\n")
    assert result == Deferred("unreadable_reply")


async def test_nobody_listening_is_tried_again(tokens: Tokens) -> None:
    [result] = await send(a_channel(tokens), outgoing(f"http://hooks.example.com:{free_port()}/"))
    assert isinstance(result, Deferred)
    assert result.reason == "no_connection"


async def test_a_name_that_does_not_exist_is_tried_again(tokens: Tokens) -> None:
    async def nowhere(_: str, __: int) -> list[str]:
        raise OSError("no such name")

    [result] = await send(a_channel(tokens, resolve=nowhere), outgoing("http://hooks.example.com/"))
    assert isinstance(result, Deferred)


async def test_a_slow_machine_makes_nobody_else_wait(tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_module, "ANSWER_SECONDS", 1.0)
    slow, quick = Machine(lambda _: None), Machine()
    async with slow.running() as one, quick.running() as other:
        batch = [outgoing(f"http://hooks.example.com:{port}/", id=n) for n, port in enumerate([one] * 5 + [other] * 5)]
        results = await send(a_channel(tokens), *batch)
    assert [type(result) for result in results] == [Deferred] * 5 + [Accepted] * 5
    assert slow.connections == 5


async def test_after_stop_nothing_begins(tokens: Tokens) -> None:
    stop = asyncio.Event()
    stop.set()
    assert await a_channel(tokens).lane().send([outgoing("http://hooks.example.com/")], stop) == [Unsent()]


# --- where it never goes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.100.100.200", "0.0.0.0"),
        *("224.0.0.1", "255.255.255.255", "168.63.129.16", "::1", "::", "fe80::1", "fd00:ec2::254", "ff02::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::"),
    ],
)
async def test_ssrf_a_name_that_leads_inside_is_not_called(tokens: Tokens, address: str) -> None:
    """By the rule in force outside tests. A machine listens on every address of this one, and hears nothing."""
    machine = Machine()
    async with machine.running("0.0.0.0") as port:
        channel = WebhookChannel(
            tokens, public_url="https://status.example.com", resolve=resolver([address]), clock=lambda: AT
        )
        assert channel.reach.may_connect is is_public
        [result] = await send(channel, outgoing(f"https://hooks.example.com:{port}/"))
    assert isinstance(result, Refused)
    assert result.reason == "forbidden_address"
    assert machine.connections == 0


async def test_ssrf_one_address_inside_among_others_spoils_the_name(tokens: Tokens) -> None:
    machine = Machine()
    async with machine.running() as port:
        channel = a_channel(tokens, resolve=resolver([OUTSIDE, INSIDE]))
        [result] = await send(channel, outgoing(f"http://hooks.example.com:{port}/"))
    assert isinstance(result, Refused)
    assert machine.connections == 0


async def test_ssrf_only_https_is_spoken(tokens: Tokens) -> None:
    channel = WebhookChannel(tokens, public_url="https://status.example.com", resolve=resolver(["8.8.8.8"]))
    [result] = await send(channel, outgoing("http://hooks.example.com/"))
    assert result == Refused("bad_address")


async def test_ssrf_a_stored_literal_address_is_refused(tokens: Tokens) -> None:
    [result] = await send(a_channel(tokens), outgoing(f"http://{INSIDE}:{free_port()}/"))
    assert result == Refused("bad_address")


async def test_dns_rebinding_between_check_and_connection_reaches_nobody(tokens: Tokens) -> None:
    """The name server says outside first, and inside from then on: asked once, connected to what it said."""
    inside, outside = Machine(), Machine()
    names = resolver([OUTSIDE], [INSIDE])
    async with outside.running() as port, inside.running(INSIDE, port):
        channel = a_channel(tokens, resolve=names)
        one = outgoing(f"http://hooks.example.com:{port}/")
        [first] = await send(channel, one)
        assert names.asked == ["hooks.example.com"]  # type: ignore[attr-defined]  # see resolver
        [second] = await send(channel, one)
    assert isinstance(first, Accepted)
    assert isinstance(second, Refused)
    assert (outside.connections, inside.connections) == (1, 0)


async def test_dns_rebinding_to_the_names_it_was_asked_for_again_within_a_lane(tokens: Tokens) -> None:
    """A connection is not kept for the next message, so a later one is judged again also in the same lane."""
    inside, outside = Machine(), Machine(lambda _: reply("200 OK"))
    async with outside.running() as port, inside.running(INSIDE, port):
        lane = a_channel(tokens, resolve=resolver([OUTSIDE], [INSIDE])).lane()
        one = outgoing(f"http://hooks.example.com:{port}/")
        [first] = await lane.send([one], asyncio.Event())
        [second] = await lane.send([one], asyncio.Event())
        await lane.close()
    assert isinstance(first, Accepted)
    assert isinstance(second, Refused)
    assert inside.connections == 0


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
async def test_redirect_not_followed(tokens: Tokens, status: str) -> None:
    inside = Machine()
    async with inside.running(INSIDE) as port:
        result, machine = await told(tokens, lambda _: reply(status, Location=f"http://127.0.0.1:{port}/"))
    assert isinstance(result, Refused)
    assert result.reason == "redirected"
    assert len(machine.calls) == 1
    assert inside.connections == 0


async def test_header_injection_through_a_stored_url_sends_nothing(tokens: Tokens) -> None:
    machine = Machine()
    async with machine.running() as port:
        for evil in ("/a HTTP/1.1\r\nX-Evil: 1\r\n", "/\r\nX-Evil: 1", "/\nX-Evil:1", "/\x00"):
            [result] = await send(a_channel(tokens), outgoing(f"http://hooks.example.com:{port}{evil}"))
            assert result == Refused("bad_address")
    assert machine.connections == 0


async def test_what_a_machine_answers_is_kept_as_one_harmless_line(tokens: Tokens) -> None:
    result, _ = await told(tokens, lambda _: reply("400 No", "a\r\nb\x00\x1b[31m\u202e" + json.dumps({"x": 1})))
    assert isinstance(result, Refused)
    assert result.reply == 'a b[31m{"x": 1}'
