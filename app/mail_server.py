"""SMTP (RFC 5321) and LMTP (RFC 2033) on aiosmtpd, with the limits that a server facing strangers needs.

It takes mail for addresses that `Filing` knows, and relays nothing. It says 250 only after `file` returned; when that
cannot be now, 451, so that the sender keeps the mail. It knows nothing of what a mail means.
"""

import asyncio
import re
import ssl
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import structlog
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Envelope, Session

import metrics
from foundation.database import DatabaseAway
from foundation.errors import Busy

_log = structlog.get_logger()

LARGEST_MAIL = 10 * 1024 * 1024  # bytes
LONGEST_LINE = 64 * 1024  # bytes; RFC 5321 has 1000, and there are mail programs that never heard of it
LARGEST_HEADER = 256 * 1024  # bytes
MOST_HEADERS = 20_000  # lines; the first thousand are read
MOST_RECIPIENTS = 50
MOST_STRANGERS = 20  # unknown recipients in one connection
MOST_COMMANDS = {"MAIL": 1000, "RCPT": 2000, "DATA": 1000, "RSET": 1000, "NOOP": 50, "*": 50}

TAKEN = "250 2.0.0 Taken, it is on disk"
NOT_NOW = "451 4.3.0 Not now, please send it again later"
NOT_OURS = "550 5.1.1 There is no such mailbox here"
_BUSY = b"421 4.3.2 Too many connections, please come again later\r\n"
_HEADER_END = re.compile(rb"\r\n\r\n")


class Filing(Protocol):
    """Where mail goes. `file` raises Busy and DatabaseAway."""

    def is_ours(self, recipient: str) -> bool: ...
    async def file(self, raw: bytes, *, sender: str, recipient: str) -> None: ...


class MailDoor:
    """Makes a protocol for each connection, and knows those that are open. One for every socket listened on.

    `patience`: seconds without a command, or for a whole body, until a client is let go.
    """

    def __init__(
        self,
        filing: Filing,
        protocol: Literal["smtp", "lmtp"],
        *,
        name: str,
        most: int = 60,
        patience: float = 300,
        largest: int = LARGEST_MAIL,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._make = _Lmtp if protocol == "lmtp" else _Smtp
        self._handler = _Handler(filing, each=protocol == "lmtp")
        self._name = name
        self._most = most
        self._patience = patience
        self._largest = largest
        self._tls = tls
        self._open: set[SMTP] = set()

    def connection(self) -> asyncio.Protocol:
        """What serves the next connection."""
        if len(self._open) >= self._most:
            metrics.record_refused_mail("too_many_connections")
            return _Full()
        server = self._make(
            self._handler,
            data_size_limit=self._largest,
            enable_SMTPUTF8=True,
            hostname=self._name,
            ident="ESMTP",
            tls_context=self._tls,
            timeout=self._patience,
            command_call_limit=MOST_COMMANDS,
            auth_exclude_mechanism=("LOGIN", "PLAIN"),
        )
        self._open.add(server)
        server.whenever_closed = lambda: self._open.discard(server)
        return server

    async def close(self, seconds: float = 20) -> None:
        """Let mails that are being filed be answered, then end every connection."""
        try:
            async with asyncio.timeout(seconds):
                while self._handler.filing_now:
                    await asyncio.wait(list(self._handler.filing_now))
        except TimeoutError:
            pass  # they get no answer, and send again
        for server in list(self._open):
            if server.transport is not None:
                server.transport.close()


class _Full(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(_BUSY)
        transport.close()


class _Conversation(Session):
    """What is known of a client. `strangers`: how often it asked for somebody who is not here."""

    strangers = 0


class _Limits(SMTP):
    """What both protocols share: lines as long as they come, and a word to the door when the connection is gone."""

    line_length_limit = LONGEST_LINE
    whenever_closed: Callable[[], None]

    def _create_session(self) -> Session:
        return _Conversation(self.loop)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self.whenever_closed()


class _Smtp(_Limits):
    pass


class _Lmtp(_Limits, LMTP):
    """After the body, one reply for each recipient, also where the library has only one to say."""

    _answers = 0

    async def push(self, status: str | bytes) -> None:
        text = status if isinstance(status, str) else status.decode("ascii", "replace")
        assert self.envelope is not None
        if text.startswith("354"):
            self._answers = len(self.envelope.rcpt_tos)
        elif self._answers:
            if "\r\n" not in text:
                text = "\r\n".join([text] * self._answers)
            self._answers = 0
        await super().push(text)


class _Handler:
    """aiosmtpd's hooks. `each`: a reply for each recipient (LMTP), not one for all."""

    def __init__(self, filing: Filing, *, each: bool) -> None:
        self._filing = filing
        self._each = each
        self.filing_now: set[asyncio.Task[Sequence[str]]] = set()

    async def handle_EHLO(  # noqa: N802 (the library looks for this name)
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        offers = [line for line in responses[:-1] if not line.startswith("250-AUTH")]
        return [*offers, "250 PIPELINING"]

    async def handle_RCPT(  # noqa: N802 (the library looks for this name)
        self, server: SMTP, session: _Conversation, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if len(envelope.rcpt_tos) >= MOST_RECIPIENTS:
            metrics.record_refused_mail("too_many_recipients")
            return "452 4.5.3 Too many recipients at once"
        if not self._filing.is_ours(address):
            metrics.record_refused_mail("unknown_recipient")
            session.strangers += 1
            if session.strangers > MOST_STRANGERS and server.transport is not None:
                # Once the reply is written, which happens before anything else gets its turn.
                asyncio.get_running_loop().call_soon(server.transport.close)
                return "421 4.7.0 Too many mailboxes that are not here"
            return NOT_OURS
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 (the library looks for this name)
        # A task of its own: a client that goes away in the middle must not undo what is half done.
        task = asyncio.create_task(self._take(envelope))
        self.filing_now.add(task)
        task.add_done_callback(self.filing_now.discard)
        return "\r\n".join(await asyncio.shield(task))

    async def handle_exception(self, error: Exception) -> str:
        # Never what went wrong: that is about people, or about us.
        _log.error("mail conversation failed", error=type(error).__name__)
        return NOT_NOW

    async def _take(self, envelope: Envelope) -> Sequence[str]:
        raw, recipients = envelope.content, list(dict.fromkeys(envelope.rcpt_tos))
        assert isinstance(raw, bytes)
        if _head_is_too_long(raw):
            metrics.record_refused_mail("header_too_long")
            return ["554 5.6.0 The header of this mail is too long"] * (len(envelope.rcpt_tos) if self._each else 1)
        sender = (envelope.mail_from or "").strip("<>")
        outcomes = {one: await self._file(raw, sender, one) for one in recipients}
        if self._each:
            return [outcomes[one] for one in envelope.rcpt_tos]
        return [max(outcomes.values())]  # one that must come again makes all of it come again; repeats are nothing new

    async def _file(self, raw: bytes, sender: str, recipient: str) -> str:
        try:
            await self._filing.file(raw, sender=sender, recipient=recipient)
        except (Busy, DatabaseAway):
            metrics.record_refused_mail("not_now")
            return NOT_NOW
        except Exception as error:  # noqa: BLE001 (whatever broke: the sender must keep the mail, and hear so)
            metrics.record_refused_mail("not_now")
            _log.error("mail could not be filed", error=type(error).__name__)
            return NOT_NOW
        return TAKEN


def _head_is_too_long(raw: bytes) -> bool:
    end = _HEADER_END.search(raw)
    head = raw[: end.start()] if end else raw
    return len(head) > LARGEST_HEADER or head.count(b"\n") > MOST_HEADERS
