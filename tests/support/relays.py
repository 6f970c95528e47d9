"""Mail servers for tests: Postfix's smtp-sink, and one of our own that misbehaves exactly as asked."""

import asyncio
import os
import re
import shutil
import ssl
import subprocess
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from tests.support.ports import free_port, wait_until_open

_SBIN = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
SMTP_SINK = shutil.which("smtp-sink", path=_SBIN)

needs_smtp_sink = pytest.mark.skipif(
    SMTP_SINK is None, reason="smtp-sink is not installed (Debian: apt-get install postfix)"
)


@dataclass(frozen=True)
class Sink:
    """A running smtp-sink. `dump` holds every mail it took."""

    port: int
    dump: Path

    def copies(self) -> Counter[str]:
        """How often it took each Message-ID."""
        text = self.dump.read_text(encoding="ascii") if self.dump.exists() else ""
        return Counter(re.findall(r"(?m)^Message-ID: <(.+)>$", text))


@contextmanager
def smtp_sink(*options: str) -> Iterator[Sink]:
    """Run smtp-sink with `options`; it keeps what it takes when they include none that refuse it."""
    assert SMTP_SINK is not None
    # Not pytest's folder: as root, smtp-sink becomes somebody who may not enter that.
    with tempfile.TemporaryDirectory(prefix="smtp-sink-") as folder:
        Path(folder).chmod(0o777)
        sink = Sink(free_port(), Path(folder, "mails"))
        command = [SMTP_SINK, *options, "-D", str(sink.dump)]
        if os.geteuid() == 0:
            command += ["-u", "nobody"]
        process = subprocess.Popen([*command, f"127.0.0.1:{sink.port}", "256"])
        try:
            wait_until_open(sink.port)
            yield sink
        finally:
            process.terminate()
            process.wait()


@dataclass(frozen=True)
class Temper:
    """What a relay does to everybody, whoever the recipient.

    `speech`: how its replies travel. "trickle": byte by byte; "fragments": broken anywhere; "lump": as many at once as
    can be; "lf": with LF alone at the end. `pause`: seconds between the pieces of the first two. `answers`: what it
    says to a verb instead of the usual. `dies_after`: having taken that many mails it closes everything, without a
    word. `closes_after`: the 421 that a connection gets when it has carried that many. `offers`: extensions besides
    PIPELINING, STARTTLS and SIZE. `greylists`: who is new has to come back. `thinks`: seconds between a mail and its
    answer.
    """

    speech: Literal["usual", "trickle", "fragments", "lump", "lf"] = "usual"
    pause: float = 0
    answers: Mapping[str, str] = field(default_factory=dict)
    dies_after: int | None = None
    closes_after: int | None = None
    offers: tuple[str, ...] = ()
    greylists: bool = False
    thinks: float = 0


class MoodyRelay:
    """An SMTP server whose answer depends on the recipient's local part (see `_MOODS`) and on its temper.

    `mails`: every content it took, by recipient. `connections`: how many it accepted. `commands`: verbs; `lines`: all
    that was said to it outside of bodies. `open_now`, `most_open`: connections at once. `under_way`, `most_under_way`:
    mails between their MAIL and its last word on them. `taken_at`: when it took each, by the loop's clock.
    `ports`: those it was found at; one relay may serve several.
    """

    def __init__(
        self,
        *,
        pipelining: bool = True,
        tls: ssl.SSLContext | None = None,
        greeting: str = "220 moody",
        temper: Temper | None = None,
    ) -> None:
        self.mails: dict[str, list[bytes]] = {}
        self.connections = self.open_now = self.most_open = 0
        self.under_way = self.most_under_way = 0
        self.taken_at: list[float] = []
        self.ports: Counter[int] = Counter()
        self.commands: list[str] = []
        self.lines: list[str] = []
        self.temper = temper or Temper()
        self.met: set[str] = set()
        self.dead = False
        self._pipelining = pipelining
        self._tls = tls
        self._greeting = greeting
        self._conversations: list[asyncio.Task[None]] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    @property
    def taken(self) -> int:
        """Mails it took, copies counted."""
        return sum(map(len, self.mails.values()))

    def die(self) -> None:
        """Close everything at once, as a process does that was killed."""
        assert self._server is not None
        self.dead = True
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    @asynccontextmanager
    async def running(self, port: int = 0, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
        """Serve at `port`, or at any, until the block ends. `tls`: encrypted from the first byte (smtps)."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", port, limit=1 << 20, ssl=tls)
        self._server = server
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for one in self._conversations:
                one.cancel()
            await asyncio.gather(*self._conversations, return_exceptions=True)

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.ports[writer.get_extra_info("sockname")[1]] += 1
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        self._writers.add(writer)
        self._conversations.append(asyncio.create_task(self._hold(reader, writer)))

    async def _hold(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _Conversation(self, reader, writer, pipelining=self._pipelining, tls=self._tls).hold(self._greeting)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open_now -= 1
            self._writers.discard(writer)
            writer.close()


_MOODS: dict[str, tuple[str, str]] = {
    "busy": ("RCPT", "450 4.2.1 mailbox busy"),
    "full": ("RCPT", "452 4.2.2 mailbox full"),
    "nobody": ("RCPT", "550 5.1.1 no such user"),
    "other2xx": ("RCPT", "251 2.1.5 will forward"),
    "sender550": ("MAIL", "550 5.7.1 sender refused"),
    "closing": ("RCPT", "421 4.3.2 closing"),
    "nodata": ("DATA", "451 4.3.0 not now"),
    "neverdata": ("DATA", "554 5.7.0 no"),
    "dot451": (".", "451 4.3.0 not now"),
    "dot552": (".", "552 5.3.4 too much"),
    "dot421": (".", "421 4.3.2 closing"),
    "dot251": (".", "251 2.0.0 taken all the same"),
    "dot354": (".", "354 what?"),
    "multiline": (".", "250-2.0.0 first\r\n250 2.0.0 second"),
    "garbage": (".", "well, thanks"),
    "garbagercpt": ("RCPT", "well, thanks"),
    "hang": (".", "hang"),
    "hangdata": ("DATA", "hang"),
    "drop": ("body", "close"),
    "dropdot": (".", "close"),
    "droprcpt": ("RCPT", "close"),
    "listed": ("RCPT", "554 5.7.1 Service unavailable; Client host blocked using zen.spamhaus.org"),
    "dot421slow": (".", "421 4.7.28 unusual rate of mail, try again in 10 minutes"),
    "dot452": (".", "452 4.3.1 no room on the disk"),
    "dot550": (".", "550 5.7.1 this looks like spam"),
    "data550": ("DATA", "550 5.3.0 no"),
    "rcpt451": ("RCPT", "451 4.3.0 not now"),
    "twice": (".", "250 2.0.0 queued as 1A2B\r\n250 2.0.0 and again"),
    "thenclosing": (".", "250 2.0.0 queued as 1A2B\r\n421 4.3.2 closing"),
    "hangrcpt": ("RCPT", "hang"),
}


class _Conversation:
    def __init__(
        self,
        relay: MoodyRelay,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        pipelining: bool,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._relay, self._reader, self._writer = relay, reader, writer
        self._pipelining, self._tls = pipelining, tls
        self._sender = self._recipient = ""
        self._carried = 0
        self._held = b""
        self._opened = self._accepted = False

    async def hold(self, greeting: str) -> None:
        await self._say(greeting)
        while line := (await self._line()).decode("ascii").rstrip("\r\n"):
            verb = line.split(" ")[0].upper()
            self._relay.commands.append(verb)
            self._relay.lines.append(line)
            if reply := self._relay.temper.answers.get(verb):
                await self._say(reply)
                continue
            answer: Callable[[str], object] = getattr(self, f"_{verb.lower()}")
            await answer(line)  # type: ignore[misc]  # all of them are coroutines

    async def _say(self, reply: str) -> None:
        if reply == "hang":
            await self._reader.read()
        elif reply == "close":
            self._writer.transport.abort()
            raise ConnectionAbortedError
        else:
            await self._utter(reply.encode() + b"\r\n")
            if reply.startswith("421") or "\r\n421" in reply:
                await self._flush()
                self._writer.close()
                raise ConnectionAbortedError

    async def _utter(self, reply: bytes) -> None:
        temper = self._relay.temper
        if temper.speech == "lump":
            self._held += reply
            return
        if temper.speech == "lf":
            reply = reply.replace(b"\r\n", b"\n")
        size = {"trickle": 1, "fragments": 7}.get(temper.speech, len(reply))
        for start in range(0, len(reply), size):
            self._writer.write(reply[start : start + size])
            await self._writer.drain()
            if size < len(reply):
                await asyncio.sleep(temper.pause)

    async def _line(self) -> bytes:
        """The next line from the client; what is held back leaves first when nothing of it is here yet."""
        if self._held and not self._reader._buffer:  # type: ignore[attr-defined]  # no other way to look without waiting
            await self._flush()
        return await self._reader.readline()

    async def _flush(self) -> None:
        self._writer.write(self._held)
        self._held = b""
        await self._writer.drain()

    def _mood(self, moment: str, otherwise: str) -> str:
        moment_of, reply = _MOODS.get(self._recipient.partition("@")[0], ("", ""))
        return reply if moment_of == moment else otherwise

    async def _ehlo(self, _: str) -> None:
        offers = [*["PIPELINING"] * self._pipelining, *["STARTTLS"] * (self._tls is not None)]
        offers += [*self._relay.temper.offers, "SIZE"]
        await self._say("\r\n".join(["250-moody", *(f"250-{one}" for one in offers[:-1]), f"250 {offers[-1]}"]))

    async def _starttls(self, _: str) -> None:
        assert self._tls is not None
        await self._say("220 go ahead")
        await self._writer.start_tls(self._tls)
        self._tls = None

    async def _auth(self, _: str) -> None:
        await self._say("235 2.7.0 welcome")

    async def _mail(self, line: str) -> None:
        if self._carried == self._relay.temper.closes_after:
            await self._say("421 4.7.0 too many messages in this connection")
        if self._opened:
            await self._say("503 nested MAIL")
            return
        self._opened, self._accepted = True, False
        self._relay.under_way += 1
        self._relay.most_under_way = max(self._relay.most_under_way, self._relay.under_way)
        # The next line is needed to know the mood; both pipelining and lockstep clients get one reply for each.
        self._sender = line
        self._recipient = ""
        if "sender550" in line:
            self._opened = False
            await self._say(_MOODS["sender550"][1])
            return
        await self._say("250 2.1.0 sender ok")

    async def _rcpt(self, line: str) -> None:
        self._recipient = line[line.index("<") + 1 : line.index(">")]
        if not self._opened:
            await self._say("503 MAIL first")
            return
        reply = self._mood("RCPT", "250 2.1.5 ok")
        if self._relay.temper.greylists and self._recipient not in self._relay.met:
            self._relay.met.add(self._recipient)
            reply = "451 4.7.1 Greylisted, try again in 300 seconds"
        self._accepted = reply[0] == "2"
        await self._say(reply)

    async def _data(self, _: str) -> None:
        lenient = self._recipient.startswith("busy")  # says 354 though it took no recipient, as RFC 2920 foresees
        if not self._accepted and not (lenient and self._opened):
            await self._say("503 no recipients")
            return
        reply = self._mood("DATA", "354 go on")
        await self._say(reply)
        await self._flush()
        if reply.startswith("354"):
            await self._body()

    async def _body(self) -> None:
        lines = []
        while (line := await self._reader.readuntil(b"\r\n")) != b".\r\n":
            assert b"\n" not in line[:-2]
            assert b"\r" not in line[:-2]
            assert len(line) <= 1000
            lines.append(line.removeprefix(b"."))
            if self._mood("body", "") == "close":
                await self._say("close")
        self._opened = False
        if self._relay.dead:  # what was read but not yet answered dies with the process
            raise ConnectionAbortedError
        if self._accepted:
            self._relay.mails.setdefault(self._recipient, []).append(b"".join(lines))
            self._relay.taken_at.append(asyncio.get_running_loop().time())
            self._carried += 1
            if self._relay.taken == self._relay.temper.dies_after:
                self._relay.die()
                raise ConnectionAbortedError
        else:
            assert not lines, "a body although no recipient was taken"
        if self._relay.temper.thinks:
            await asyncio.sleep(self._relay.temper.thinks)
        self._relay.under_way -= 1
        await self._say(self._mood(".", "250 2.0.0 queued as 1A2B") if self._accepted else "554 no recipients")

    async def _rset(self, _: str) -> None:
        self._opened = self._accepted = False
        await self._say("250 2.0.0 forgotten")

    async def _quit(self, _: str) -> None:
        await self._say("221 bye")
        raise ConnectionAbortedError
