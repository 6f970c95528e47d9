"""How a relay has been doing lately, and how much of its share it gets for that. Pure, but for a clock it is given.

Three things are told apart: a relay that is *away* (does not answer, closes, says 421) is left at once and asked again
after a pause that doubles; one that is *braked* (refuses nearly everything for who we are, or breaks nearly every
conversation) is left for longer; one that is back is *recovering*: it gets a part of its share that grows with time, so
that a server which falls over under load is not knocked down again the moment it stands.
"""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

State = Literal["well", "recovering", "away", "braked"]

_TURNED_AWAY = 3


@dataclass(frozen=True, slots=True)
class Patience:
    """When a relay is left and how it comes back. Times in seconds."""

    first_pause: float = 0.25
    longest_pause: float = 30.0
    window: float = 60.0
    least_tried: int = 10  # below that, a window says nothing
    worst_share: float = 0.8  # of a window: refused for who we are, or broken
    first_brake: float = 30.0
    longest_brake: float = 600.0
    lowest_share: float = 0.1
    recovery: float = 60.0


class Health:
    """The health of one relay. `now`: a clock in seconds that never goes back."""

    def __init__(self, now: Callable[[], float], patience: Patience) -> None:
        self._now = now
        self._patience = patience
        self.failures = 0  # in a row, since a mail was last taken
        self.sent = 0
        self.refused = 0
        self.trouble = ""  # what it last said or did when it was left
        self.until = float("-inf")
        self._braked = False
        self._brakes = 0
        self._share = 1.0
        self._window: deque[tuple[float, int, int]] = deque()  # when, tried, gone wrong
        self._tried = self._wrong = 0  # their sums: a busy window holds thousands of batches

    @property
    def usable(self) -> bool:
        return self.until <= self._now()

    @property
    def state(self) -> State:
        if not self.usable:
            return "braked" if self._braked else "away"
        return "well" if self.share >= 1 else "recovering"

    @property
    def share(self) -> float:
        """The part of its usual share that it gets now, above 0 up to 1."""
        if self._share >= 1:
            return 1.0
        grown = max(0.0, self._now() - self.until) / self._patience.recovery
        return min(1.0, self._share + (1 - self._share) * grown)

    def failed(self, trouble: str, *, hard: bool, refused: bool = False) -> None:
        """It did not answer or said 421: leave it alone for a while, once however many lanes find out together.

        `hard`: it could not be reached or spoken to at all; otherwise it may just have had enough for the moment, and
        gets half of its share. `refused`: it answered, and turned us away for good; at the third time in a row that is
        a brake.
        """
        if not self.usable:
            return
        if refused and self.failures >= _TURNED_AWAY - 1:
            self.failures += 1
            self._brake(trouble)
            return
        pause = min(self._patience.first_pause * 2 ** min(self.failures, 10), self._patience.longest_pause)
        self.failures += 1
        self._leave(pause, trouble, braked=False, share=0.0 if hard else self.share / 2)

    def counted(self, *, sent: int, refused: int, broken: int, others: int, trouble: str) -> None:
        """What a batch came to. `refused`: for who we are; `broken`: conversations that broke down; `others`: refused
        for what the recipient is, which says nothing about the relay."""
        now = self._now()
        self.sent += sent
        self.refused += refused
        if sent or others:
            self.failures = 0
        if sent and self.share >= 1:
            self._brakes, self._share = 0, 1.0
        self._slide(now, sent + refused + broken + others, refused + broken)
        # One that was braked before has to prove itself: half as many tries will do.
        least = self._patience.least_tried / (2 if self._brakes else 1)
        if self._tried >= least and self._wrong >= self._tried * self._patience.worst_share and self.usable:
            self._brake(trouble)

    def _slide(self, now: float, tried: int, wrong: int) -> None:
        window = self._window
        window.append((now, tried, wrong))
        self._tried += tried
        self._wrong += wrong
        while window[0][0] < now - self._patience.window:
            _, tried, wrong = window.popleft()
            self._tried -= tried
            self._wrong -= wrong

    def _brake(self, trouble: str) -> None:
        pause = min(self._patience.first_brake * 2 ** min(self._brakes, 10), self._patience.longest_brake)
        self._brakes += 1
        self._leave(pause, trouble, braked=True, share=0.0)

    def _leave(self, pause: float, trouble: str, *, braked: bool, share: float) -> None:
        # With jitter, so that many workers do not come back in the same moment.
        self.until = self._now() + pause * random.uniform(1, 1.5)  # noqa: S311 (jitter)
        self._braked = braked
        self._share = max(self._patience.lowest_share, share)
        self.trouble = trouble
        self._window.clear()
        self._tried = self._wrong = 0
