"""SMTP with PIPELINING on a connected transport: the next MAIL, RCPT and DATA travel behind the current body.

One round trip a mail, and one write. It takes over after EHLO, STARTTLS and AUTH, which others do; it knows nothing of
relays, of messages' contents or of the outbox. Rules: RFC 2920 and RFC 5321; what a reply means stands in `replies.py`.
"""

import asyncio
import enum
from collections.abc import Sequence

from notify.channels import Result, Unclear
from notify.channels.replies import Envelope, Reply, Timeouts, after_body, before_body, lost_before_body

_LONGEST_LINE = 8192
_MOST_LINES = 100
_DOT = b".\r\n"
_RESET = b"RSET\r\n"


class _Phase(enum.Enum):
    """Which reply comes next. Replies come in the order of the commands, so this is all there is to know."""

    IDLE = enum.auto()
    MAIL = enum.auto()
    RCPT = enum.auto()
    DATA = enum.auto()
    BODY = enum.auto()  # the reply to the final dot: from here on the message may have been sent
    CLEARING = enum.auto()  # the reply to RSET or to a lone dot, after a refusal


class PipelinedConnection(asyncio.Protocol):
    """One connection. `send` may be called again and again until `spent`; one call at a time."""

    def __init__(self, transport: asyncio.Transport, timeouts: Timeouts) -> None:
        self.spent = False
        self.slow_down = False
        self._transport = transport
        self._timeouts = timeouts
        self._loop = asyncio.get_running_loop()
        self._unread = b""
        self._reply_text: list[bytes] = []
        self._phase = _Phase.IDLE
        self._batch: Sequence[Envelope] = ()
        self._stop = asyncio.Event()
        self._results: list[Result] = []
        self._begun = 0
        self._refusal: Result | None = None
        self._done: asyncio.Future[None] | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        transport.set_protocol(self)
        if transport.is_closing():
            self.spent = True

    async def send(self, batch: Sequence[Envelope], stop: asyncio.Event) -> list[Result]:
        """Send `batch` in order; the results of those that were begun. Fewer than asked: `stop` was set, or `spent`.

        A message that is missing in the answer was surely not sent.
        """
        if self.spent or not batch:
            return []
        self._batch, self._stop = batch, stop
        self._results, self._begun = [], 0
        self._done = self._loop.create_future()
        self._transport.write(self._next_opening())
        self._await_reply(_Phase.MAIL, self._timeouts.command)
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
        return self._results

    def close(self) -> None:
        """Say goodbye, without waiting for the answer."""
        if not self.spent:
            self.spent = True
            self._transport.write(b"QUIT\r\n")
            self._transport.close()

    # Called by the transport.

    def data_received(self, data: bytes) -> None:
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            if self._phase is _Phase.IDLE:
                break
            self._reply_text.append(line[4:])
            if line[3:4] != b"-":
                text, self._reply_text = b" ".join(self._reply_text), []
                self._take_reply(line[:3], text)
        else:
            if len(self._unread) > _LONGEST_LINE or len(self._reply_text) > _MOST_LINES:
                self._break_off("unreadable_reply", Reply(0, self._unread))
            if self._phase is not _Phase.IDLE or not self._unread:
                return
        # More than was asked for: "421 closing", or a server whose replies we would pair with the wrong commands.
        self._give_up()

    def connection_lost(self, exc: Exception | None) -> None:
        self.spent = True
        # Before any reply to MAIL it may be a connection that was kept for too long, or has carried its fill.
        self._break_off("connection_lost", blamed=self._phase is not _Phase.MAIL)

    def pause_writing(self) -> None:
        self._deadline = self._loop.time() + self._timeouts.block

    def resume_writing(self) -> None:
        self._deadline = self._loop.time() + self._timeouts.final_dot

    # The conversation.

    def _take_reply(self, digits: bytes, text: bytes) -> None:
        if not digits.isdigit() or digits[:1] not in b"2345":
            self._break_off("unreadable_reply", Reply(0, text))
            return
        phase = self._phase
        if phase is _Phase.MAIL:
            self._refusal = before_body(digits, b"2", text, at_mail=True)
            self._await_reply(_Phase.RCPT, self._timeouts.command)
        elif phase is _Phase.RCPT:
            self._refusal = self._refusal or before_body(digits, b"2", text)
            self._await_reply(_Phase.DATA, self._timeouts.data)
        elif phase is _Phase.DATA:
            self._answer_data(before_body(digits, b"3", text))
        elif phase is _Phase.BODY:
            result = after_body(Reply(int(digits), text))
            self._finish(result)
            if isinstance(result, Unclear):
                self._break_off("unreadable_reply", blamed=False)
        elif self._refusal is not None:
            self._finish(self._refusal)
        if digits == b"421":
            self.slow_down = True
            self._break_off("service_closing", blamed=False)

    def _answer_data(self, refused_by_data: Result | None) -> None:
        """Write what the reply to DATA asks for, and the next message's opening behind it."""
        self._refusal = self._refusal or refused_by_data
        if self._refusal is None:
            self._await_reply(_Phase.BODY, self._timeouts.final_dot)
            answer = (self._batch[len(self._results)].content, _DOT, self._next_opening())
        else:
            # 354 although no recipient was taken: RFC 2920 section 3.1 has us send an empty body. After a refusal by
            # DATA the envelope may still stand open, and the next MAIL would be refused for that.
            self._await_reply(_Phase.CLEARING, self._timeouts.final_dot)
            answer = (b"", _RESET if refused_by_data else _DOT, self._next_opening())
        # No need to wait for resume_writing: this answers a reply to DATA, and the server can have read that command
        # only after the whole body before it.
        self._transport.write(b"".join(answer))

    def _next_opening(self) -> bytes:
        """The commands of the next message, once it is decided that it is begun. Begun messages are always ended."""
        if self._begun == len(self._batch) or (self._begun and self._stop.is_set()):
            return b""
        self._begun += 1
        return self._batch[self._begun - 1].opening

    def _finish(self, result: Result) -> None:
        self._results.append(result)
        self._refusal = None
        if len(self._results) == self._begun:
            self._end()
        else:
            self._await_reply(_Phase.MAIL, self._timeouts.command)

    def _end(self) -> None:
        self._phase = _Phase.IDLE
        if self._done is not None and not self._done.done():
            self._done.set_result(None)

    def _break_off(self, reason: str, reply: Reply | None = None, *, blamed: bool = True) -> None:
        """The connection is of no more use. Settle the message in hand; those behind it were surely not sent.

        `blamed`: if the message in hand was not sent, it counts as tried, so that it cannot break every connection.
        """
        if self._phase is _Phase.BODY:
            self._results.append(Unclear(reason, None, reply.words if reply else ""))
        elif self._refusal is not None:
            self._results.append(self._refusal)
        elif blamed and self._phase is not _Phase.IDLE:
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
        self._deadline = self._loop.time() + seconds

    def _look_at_clock(self) -> None:
        if self._phase is _Phase.IDLE:
            return
        if self._loop.time() >= self._deadline:
            self._break_off("no_answer_in_time")
        else:
            self._timer = self._loop.call_later(self._timeouts.shortest, self._look_at_clock)
