"""The refusals of the domain, classed by what happens next. They carry a stable code and no HTTP.

The message of each is a sentence for the person who must act on it.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with an input: the field it concerns and what to do about it."""

    field: str
    message: str


class Refusal(Exception):
    """Something was asked that cannot be done. `code` is stable; the message says what to do.

    `faults` and `retry_after` (seconds): what its classes may add for whoever shows it.
    """

    code = "refused"
    faults: tuple[Fault, ...] = ()
    retry_after: int | None = None

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code


class Invalid(Refusal):
    """The input is wrong; mending it helps. Every fault found is listed, not only the first."""

    code = "invalid"

    def __init__(self, message: str, faults: Sequence[Fault] = (), *, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.faults = tuple(faults)


class NotFound(Refusal):
    """There is no such thing, or the one who asks may not know of it."""

    code = "not_found"


class Conflict(Refusal):
    """The thing is not in a state that allows this; asking again unchanged does not help."""

    code = "conflict"


class Busy(Refusal):
    """Not now: the same call may go through after `retry_after` seconds."""

    code = "busy"
    retry_after: int

    def __init__(self, message: str, *, retry_after: int, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after
