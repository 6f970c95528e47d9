"""What comes in on a bind, as it came in. Values only; reading them is the work of others."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from notify.channels.centres import Centre

_INTERNATIONAL = 1


@dataclass(frozen=True, slots=True)
class Inbound:
    """One `deliver_sm`: a receipt or a text. Everything in it is an outsider's word.

    `source` and `destination`: with a plus when the centre says that they are international. `options`: the optional
    parameters, by tag.
    """

    centre: Centre
    source: str
    destination: str
    esm_class: int
    data_coding: int
    content: bytes
    options: dict[int, bytes] = field(default_factory=dict)


# Called for each; returns once it is on disk, and then the centre is told that we have it. May be cancelled before.
Inbox: TypeAlias = Callable[[Inbound], Awaitable[None]]


def international(address: str, type_of_number: int) -> str:
    """An address as people write it."""
    return f"+{address}" if type_of_number == _INTERNATIONAL and address.isdigit() else address
