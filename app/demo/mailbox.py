"""The mailbox of everybody in the demo: a small SMTP server that counts, and keeps samples a person can open.

A process of its own. It speaks enough of RFC 5321 for any client, with PIPELINING, 8BITMIME and SIZE, and nothing
else: aiosmtpd takes a tenth of the messages a second, and here the receiver must not be what is measured. It knows
nothing of Stormdesk but two habits: a Message-ID stays the same when a message is sent again, and every update has a
subject of its own.
"""

import asyncio
import email
import email.policy
import json
import re
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import uvloop

LARGEST = 1 << 20
SAMPLES = 3
_GREETING = b"220 mailbox.example ESMTP\r\n"
_EHLO = b"250-mailbox.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE %d\r\n" % LARGEST
_OK, _GO_ON = b"250 2.0.0 OK\r\n", b"354 End with a dot\r\n"
_GONE = b"550 5.1.1 No such mailbox here\r\n"
_BAD_ORDER, _UNKNOWN = b"503 5.5.1 Bad order of commands\r\n", b"500 5.5.2 Unknown command\r\n"
_TOO_BIG, _TOO_LONG = b"552 5.3.4 Message too big\r\n", b"500 5.5.6 Line too long\r\n"
_LONGEST_LINE = 2048


@dataclass(slots=True)
class Counts:
    """What came in for one subject. `distinct` below `messages` means that something was sent again."""

    messages: int = 0
    distinct: set[bytes] = field(default_factory=set)
    samples: list[str] = field(default_factory=list)


class Shelf:
    """Everything received: counts by subject, and the first few messages of each as files in `folder`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.refused = 0
        self._counts: dict[bytes, Counts] = {}

    def take(self, message: bytes) -> None:
        """Count one message (with its dots unstuffed or not) and keep it when it is among the first."""
        head = message[: message.find(b"\r\n\r\n")]
        subject = _header(_SUBJECT, head)
        counts = self._counts.get(subject)
        if counts is None:
            counts = self._counts[subject] = Counts()
        counts.messages += 1
        counts.distinct.add(_header(_MESSAGE_ID, head))
        if len(counts.samples) < SAMPLES:
            counts.samples.append(self._keep(message, len(self._counts), len(counts.samples) + 1))

    def summary(self) -> dict[str, object]:
        """The counts as plain values; `subjects` in the order in which they first came in."""
        return {
            "messages": sum(counts.messages for counts in self._counts.values()),
            "distinct": sum(len(counts.distinct) for counts in self._counts.values()),
            "refused": self.refused,
            "subjects": [
                {
                    "subject": _readable(subject),
                    "messages": counts.messages,
                    "distinct": len(counts.distinct),
                    "samples": counts.samples,
                }
                for subject, counts in self._counts.items()
            ],
        }

    def _keep(self, message: bytes, subject: int, copy: int) -> str:
        language = re.search(rb"(?im)^Content-Language:\s*([a-z-]{2,10})", message)
        name = f"{subject:02d}-{language[1].decode().lower() if language else 'mail'}-{copy}.eml"
        (self.folder / name).write_bytes(_unstuffed(message))
        return name


# A header and its folded lines.
_SUBJECT = re.compile(rb"(?im)^Subject:[ \t]*([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)")
_MESSAGE_ID = re.compile(rb"(?im)^Message-ID:[ \t]*([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)")


def _header(pattern: re.Pattern[bytes], head: bytes) -> bytes:
    found = pattern.search(head)
    return found[1].rstrip() if found else b""


def _readable(subject: bytes) -> str:
    return str(email.message_from_bytes(b"Subject: " + subject + b"\r\n\r\n", policy=email.policy.default)["Subject"])


def _unstuffed(message: bytes) -> bytes:
    """The message without the dots that SMTP adds to lines that begin with one (RFC 5321 section 4.5.2)."""
    text = message.removeprefix(b".") if message.startswith(b"..") else message
    return text.replace(b"\r\n..", b"\r\n.")


class Session(asyncio.Protocol):
    """One connection. Whole envelopes may come in one packet (RFC 2920), so a packet is worked through to its end."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._sender = False
        self._recipients = 0
        self._in_data = False
        self._searched = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        self._transport.write(_GREETING)

    def data_received(self, data: bytes) -> None:
        transport = self._transport
        assert transport is not None
        self._buffer = self._buffer + data if self._buffer else data
        answers: list[bytes] = []
        while not transport.is_closing():
            answer = self._message() if self._in_data else self._command()
            if answer is None:
                break
            answers.append(answer)
            if answer.startswith((b"221", _TOO_LONG)):
                transport.write(b"".join(answers))
                transport.close()
                return
        if answers:
            transport.write(b"".join(answers))

    def _command(self) -> bytes | None:
        """The answer to the next command, or None when it is not complete yet."""
        line, found, rest = self._buffer.partition(b"\n")
        if not found:
            return _TOO_LONG if len(line) > _LONGEST_LINE else None
        self._buffer = rest
        handler = _COMMANDS.get(line[:4].upper())
        return handler(self, line) if handler else _UNKNOWN

    def _message(self) -> bytes | None:
        """The answer to the message being received, or None when its final dot has not come yet."""
        buffer = self._buffer
        if buffer.startswith(b".\r\n"):
            end, after = 0, 3
        else:
            found = buffer.find(b"\r\n.\r\n", self._searched)
            if found < 0:
                self._searched = max(0, len(buffer) - 4)
                return None
            end, after = found + 2, found + 5
        self._buffer, self._in_data, self._searched = buffer[after:], False, 0
        self._forget()
        if end > LARGEST:
            return _TOO_BIG
        self._shelf.take(buffer[:end])
        return _OK

    def hello(self, line: bytes) -> bytes:
        self._forget()
        return _EHLO if line[:4].upper() == b"EHLO" else b"250 mailbox.example\r\n"

    def mail(self, _: bytes) -> bytes:
        if self._sender:
            return _BAD_ORDER
        self._sender = True
        return _OK

    def recipient(self, line: bytes) -> bytes:
        if not self._sender:
            return _BAD_ORDER
        if b"@gone.example>" in line.lower():
            self._shelf.refused += 1
            return _GONE
        self._recipients += 1
        return _OK

    def data(self, _: bytes) -> bytes:
        if not self._recipients:
            return _BAD_ORDER
        self._in_data = True
        return _GO_ON

    def reset(self, _: bytes) -> bytes:
        self._forget()
        return _OK

    def _forget(self) -> None:
        self._sender, self._recipients = False, 0


_COMMANDS: dict[bytes, Callable[[Session, bytes], bytes]] = {
    b"EHLO": Session.hello,
    b"HELO": Session.hello,
    b"MAIL": Session.mail,
    b"RCPT": Session.recipient,
    b"DATA": Session.data,
    b"RSET": Session.reset,
    b"NOOP": lambda _, __: _OK,
    b"VRFY": lambda _, __: b"252 2.1.5 Send it and see\r\n",
    b"QUIT": lambda _, __: b"221 2.0.0 Goodbye\r\n",
}


async def serve(folder: Path, port: int = 0, *, host: str = "127.0.0.1", every: float = 0.1) -> None:
    """Receive on `port` (0: any free one) until SIGTERM; rewrite `folder`/counts.json ten times a second.

    Prints the port as its only line, once it listens.
    """
    shelf = Shelf(folder)
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    server = await loop.create_server(lambda: Session(shelf), host, port, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    while not stop.is_set():
        try:
            async with asyncio.timeout(every):
                await stop.wait()
        except TimeoutError:
            pass
        _write(folder, shelf)
    server.close()


def _write(folder: Path, shelf: Shelf) -> None:
    # Written aside and renamed, so that a reader never sees half of it.
    aside = folder / "counts.json.new"
    aside.write_text(json.dumps(shelf.summary(), ensure_ascii=False, indent=1), encoding="utf-8")
    aside.rename(folder / "counts.json")


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
