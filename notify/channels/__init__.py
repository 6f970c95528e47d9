"""What a channel is to the rest of notify: something with lanes that send batches and say how each message fared.

Knows no protocol and no database; `email.py` beside it is the first to fill it in, another channel (SMS) is one more.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeAlias

from notify.messages import Message


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One claimed delivery: what to send to whom. `attempt` is the fence its result must carry."""

    id: int
    attempt: int
    message: Message
    address: str
    slots: dict[str, str]
    not_after: datetime


# The results are classed by what happens next.


@dataclass(frozen=True, slots=True)
class Accepted:
    """The next system has taken responsibility for it. Nothing more to do.

    `parts`: what it calls each part of the message, in order, where it gave names that later reports will use.
    """

    code: int | None = None
    reply: str = ""
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Deferred:
    """Surely not sent, and the same thing may work later: try again after a pause.

    `pause`: what the other side asked for, if it did; `for_all`: it asked so for everything that goes there.
    """

    reason: str
    code: int | None = None
    reply: str = ""
    pause: timedelta | None = None
    for_all: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """Surely not sent, and it never will be: give up."""

    reason: str
    code: int | None = None
    reply: str = ""


@dataclass(frozen=True, slots=True)
class Unclear:
    """It may have been sent or not, and nobody can tell: do not send again, say so."""

    reason: str
    code: int | None = None
    reply: str = ""


@dataclass(frozen=True, slots=True)
class Unsent:
    """It was not tried (no connection, or we are stopping): plan it again at once."""

    reason: str = "not_tried"
    code: int | None = None
    reply: str = ""


Result: TypeAlias = Accepted | Deferred | Refused | Unclear | Unsent


class Lane(Protocol):
    """One connection's worth of sending. Used by one task at a time."""

    async def ready(self, stop: asyncio.Event) -> None:
        """Return when sending looks possible, or when `stop` is set. Nothing is claimed before."""

    async def send(self, batch: Sequence[Outgoing], stop: asyncio.Event) -> list[Result]:
        """One result for each of `batch`, in its order. After `stop` no new message is begun; open ones are ended."""

    async def close(self) -> None:
        """Take leave of the other side. The lane can be used again afterwards."""


class Channel(Protocol):
    """A way to reach people. `name` is the value of `deliveries.channel` it serves."""

    @property
    def name(self) -> str: ...

    def lane(self) -> Lane:
        """A new lane of its own; nothing connects yet."""
