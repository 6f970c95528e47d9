"""SMTP on a connected transport: with PIPELINING the next MAIL, RCPT and DATA travel behind the current body.

One round trip, one read and one write a mail. It takes over after EHLO, STARTTLS and AUTH, which others do; it knows
nothing of relays, of messages' contents or of the outbox. Rules: RFC 2920 and RFC 5321; what a refusal means stands in
`replies.py`. Without PIPELINING it is the same conversation, one command at a time.

Replies come in the order of the commands, so the phase (which reply comes next) is all there is to know. Nearly all
wake-ups bring the same four lines, "the last one is taken, the next may come": `_USUAL` knows them at a glance, and
everything else goes line by line (docs/decisions/0017-mail-at-wire-speed.md).
"""

import asyncio
import enum
import re
from collections.abc import Iterable, Iterator

from notify.channels import Deferred, Refused, Result, Unclear
from notify.channels.envelopes import Envelope, Extensions
from notify.channels.replies import UNWELCOME, Reply, Timeouts, after_body, before_body, lost_before_body

_LONGEST_LINE = 8192
_MOST_LINES = 100
_DOT = b".\r\n"
_RESET = b"RSET\r\n"
# How many messages in a row may be refused for who we are before the rest is given back, untried.
_PATIENCE = 10
# The reply to the final dot; and, when another message was begun, those to its MAIL, RCPT and DATA.
_USUAL = re.compile(rb"250 ([^\r\n]*)\r\n(250 [^\r\n]*\r\n250 [^\r\n]*\r\n354 [^\r\n]*\r\n)?").fullmatch


class _Phase(enum.Enum):
    """Which reply comes next."""

    IDLE = enum.auto()
    MAIL = enum.auto()
    RCPT = enum.auto()
    DATA = enum.auto()
    BODY = enum.auto()  # the reply to the final dot: from here on the message may have been sent
    CLEARING = enum.auto()  # the reply to RSET or to a lone dot, after a refusal


_IDLE, _MAIL, _RCPT, _DATA, _BODY, _CLEARING = _Phase


class Conversation(asyncio.Protocol):
    """One connection. `send` may be called again and again until `spent`; one call at a time.

    `closing`: what it said with 421, when it wants us to leave it alone for a while. `begun`: messages begun so far.
    """

    def __init__(self, transport: asyncio.Transport, offers: Extensions, timeouts: Timeouts) -> None:
        self.spent = False
        self.closing = ""
        self.begun = 0
        self.error: Exception | None = None
        self._transport = transport
        self._write = transport.write
        self._offers = offers
        self._timeouts = timeouts
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time
        self._unread = b""
        self._reply_text: list[bytes] = []
        self._phase = _IDLE
        self._batch: Iterator[Envelope] = iter(())
        self._content = b""  # of the message begun last
        self._stop = asyncio.Event()
        self._results: list[Result] = []
        self._begun = 0
        self._commands: list[bytes] = []  # without PIPELINING: those that wait for the reply to the one before
        self._refusal: Result | None = None
        self._unwelcome = 0
        self._taken_text, self._taken = b"", after_body(Reply(250, b""))
        self._done: asyncio.Future[None] | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        transport.set_protocol(self)
        if transport.is_closing():
            self.spent = True

    async def send(self, batch: Iterable[Envelope], stop: asyncio.Event) -> list[Result]:
        """Send `batch` in order; the results of those that were begun.

        Fewer than asked: `stop` was set, the connection is `spent`, or we are unwelcome. A message that is missing in
        the answer was surely not sent. Each envelope is fetched when it is begun: what was just made is still near.
        Should that fail, the messages before it end as usual and `error` says why; when it was the first, it is raised.
        """
        if self.spent:
            return []
        self._batch, self._stop = iter(batch), stop
        self._results, self._begun, self._unwelcome, self.error = [], 0, 0, None
        opening = self._next_opening()
        if self.error is not None:
            raise self.error
        if not opening:
            return []
        self._done = self._loop.create_future()
        self._write(opening)
        self._await_reply(_MAIL, self._timeouts.command)
        # Looked at now and then, not set anew at each reply: a deadline may be noticed late, never early.
        self._timer = self._loop.call_later(self._timeouts.shortest, self._look_at_clock)
        try:
            await self._done
        except asyncio.CancelledError:
            # A late reply must never be paired with a later message.
            self._give_up()
            raise
        finally:
            self._timer.cancel()
            self.begun += self._begun
        return self._results

    def close(self) -> None:
        """Say goodbye, without waiting for the answer."""
        if not self.spent:
            self.spent = True
            self._transport.write(b"QUIT\r\n")
            self._transport.close()

    # Called by the transport.

    def data_received(self, data: bytes) -> None:
        # Of one piece, nothing before it, and as many replies as we wait for.
        if (
            self._phase is _BODY
            and (usual := _USUAL(data))
            and not self._unread
            and not self._reply_text
            and (usual[2] is None) is (self._begun == len(self._results) + 1)
            and self._offers.pipelining
        ):
            self._take_usual(usual[1])
        else:
            self._take_lines(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.spent = True
        # Before any reply to MAIL it may be a connection that was kept for too long, or has carried its fill.
        self._break_off("connection_lost", blamed=self._phase is not _MAIL)

    def pause_writing(self) -> None:
        self._deadline = self._now() + self._timeouts.block

    def resume_writing(self) -> None:
        self._deadline = self._now() + self._timeouts.final_dot

    # The conversation.

    def _take_usual(self, text: bytes) -> None:
        """The message in hand was taken, and the next one, if begun, is let in."""
        if text != self._taken_text:
            self._taken_text, self._taken = text, after_body(Reply(250, text))
        self._unwelcome = 0
        results = self._results
        results.append(self._taken)
        if len(results) == self._begun:
            self._end()
            return
        self._deadline = self._now() + self._timeouts.final_dot
        # No need to wait for resume_writing: this answers a reply to DATA, and the server can have read that command
        # only after the whole body before it.
        self._write(b"".join((self._content, _DOT, self._next_opening())))

    def _take_lines(self, data: bytes) -> None:
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            if self._phase is _IDLE:
                break
            self._reply_text.append(line[4:])
            if line[3:4] != b"-":
                text, self._reply_text = b" ".join(self._reply_text), []
                self._take_reply(line[:3], text)
        else:
            if len(self._unread) > _LONGEST_LINE or len(self._reply_text) > _MOST_LINES:
                self._break_off("unreadable_reply", Reply(0, self._unread))
            if self._phase is not _IDLE or not self._unread:
                return
        # More than was asked for: "421 closing", or a server whose replies we would pair with the wrong commands.
        self._give_up()

    def _take_reply(self, digits: bytes, text: bytes) -> None:
        phase = self._phase
        code = int(digits) if digits.isdigit() and digits[:1] in b"2345" else 0
        reply = Reply(code, text)
        if code == 421:
            self.closing = reply.words or "421"
            if phase is _MAIL:  # said to the connection, not to this message
                self._give_up()
                return
        if not code or (code < 400 and code // 100 != (3 if phase is _DATA else 2)):
            # Nothing that can follow here: from now on we would pair replies with the wrong commands.
            self._break_off("unreadable_reply", reply)
        elif phase is _BODY:
            self._finish(after_body(reply))
        elif phase is _CLEARING:
            self._finish(self._refusal or lost_before_body("unreadable_reply", reply))
        else:
            self._take_reply_to_opening(phase, reply)
        if code == 421:
            self._break_off("connection_lost", blamed=False)

    def _take_reply_to_opening(self, phase: _Phase, reply: Reply) -> None:
        if reply.code >= 400 and self._refusal is None:
            self._refusal = before_body(reply, at_mail=phase is _MAIL)
            self._note_welcome(self._refusal)
        if phase is _DATA:
            self._answer_data(refused=reply.code >= 400)
        elif not self._commands:
            self._await_reply(_RCPT if phase is _MAIL else _DATA, self._timeouts.command)
        elif self._refusal is None:
            self._write(self._commands.pop(0))
            self._await_reply(_RCPT if phase is _MAIL else _DATA, self._timeouts.command)
        else:
            self._commands.clear()
            self._write(_RESET)
            self._await_reply(_CLEARING, self._timeouts.command)

    def _answer_data(self, *, refused: bool) -> None:
        """Write what the reply to DATA asks for, and the next message's opening behind it."""
        if self._refusal is None:
            self._await_reply(_BODY, self._timeouts.final_dot)
            answer = (self._content, _DOT)
        else:
            # 354 although no recipient was taken: RFC 2920 section 3.1 has us send an empty body. After a refusal by
            # DATA the envelope may still stand open, and the next MAIL would be refused for that.
            self._await_reply(_CLEARING, self._timeouts.final_dot)
            answer = (b"", _RESET if refused else _DOT)
        self._write(b"".join((*answer, self._next_opening() if self._offers.pipelining else b"")))

    def _next_opening(self) -> bytes:
        """The commands of the next message, once it is decided that it is begun. Begun messages are always ended."""
        if self._begun and (self._unwelcome >= _PATIENCE or self.error is not None or self._stop.is_set()):
            return b""
        try:
            envelope = next(self._batch, None)
        except Exception as error:  # noqa: BLE001 (raised by `send`, once it cannot take results with it)
            self.error = error
            return b""
        if envelope is None:
            return b""
        self._begun += 1
        self._content = envelope.content
        opening = envelope.opening(self._offers)
        if self._offers.pipelining:
            return opening
        first, *self._commands = opening.splitlines(keepends=True)
        return first

    def _finish(self, result: Result) -> None:
        self._results.append(result)
        if self._phase is _BODY:
            self._note_welcome(result)
        self._refusal = None
        if len(self._results) == self._begun and not self.closing and not self._offers.pipelining:
            self._write(self._next_opening())
        if len(self._results) == self._begun:
            self._end()
        else:
            self._await_reply(_MAIL, self._timeouts.command)

    def _note_welcome(self, result: Result) -> None:
        unwelcome = isinstance(result, Deferred | Refused) and result.reason in UNWELCOME
        self._unwelcome = self._unwelcome + 1 if unwelcome else 0

    def _end(self) -> None:
        self._phase = _IDLE
        if self._done is not None and not self._done.done():
            self._done.set_result(None)

    def _break_off(self, reason: str, reply: Reply | None = None, *, blamed: bool = True) -> None:
        """The connection is of no more use. Settle the message in hand; those behind it were surely not sent.

        `blamed`: if the message in hand was not sent, it counts as tried, so that it cannot break every connection.
        """
        if self._phase is _BODY:
            self._results.append(Unclear(reason, reply.code_or_none if reply else None, reply.words if reply else ""))
        elif self._refusal is not None:
            self._results.append(self._refusal)
        elif blamed and self._phase is not _IDLE:
            self._results.append(lost_before_body(reason, reply))
        self._refusal = None
        self._give_up()

    def _give_up(self) -> None:
        self.spent = True
        self._end()
        if not self._transport.is_closing():
            self._transport.abort()

    # Time.

    def _await_reply(self, phase: _Phase, seconds: float) -> None:
        self._phase = phase
        self._deadline = self._now() + seconds

    def _look_at_clock(self) -> None:
        if self._phase is _IDLE:
            return
        if self._now() >= self._deadline:
            self._break_off("no_answer_in_time")
        else:
            self._timer = self._loop.call_later(self._timeouts.shortest, self._look_at_clock)
