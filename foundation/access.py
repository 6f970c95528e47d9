"""Who may enter a route, said beside its handler. What a right means and which role has it is `app`'s to say.

A handler says `@needs("cases.read")` or `@for_anybody`; where the routes are put together, each is shut to everybody
else, and one that says nothing keeps the application from starting.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

H = TypeVar("H", bound=Callable[..., Any])
_MARK = "entry"


@dataclass(frozen=True, slots=True)
class Entry:
    """Who may enter: whoever has `right`; anybody when that is None.

    `changes`: False for what is posted only because it is long, such as a text to be shown as it would look.
    """

    right: str | None
    changes: bool = True


ANYBODY = Entry(None)  # for handlers that are objects: `entry = ANYBODY` in their class


def needs(right: str, *, changes: bool = True) -> Callable[[H], H]:
    """Marks a handler: only for those who have `right`. `changes=False`: see `Entry`."""

    def mark(handler: H) -> H:
        setattr(handler, _MARK, Entry(right, changes))
        return handler

    return mark


def for_anybody(handler: H) -> H:
    """Marks a handler: open to strangers, on purpose."""
    setattr(handler, _MARK, ANYBODY)
    return handler


def entry_of(handler: object) -> Entry | None:
    """What a handler says; None when it says nothing."""
    entry = getattr(handler, _MARK, None)
    return entry if isinstance(entry, Entry) else None
