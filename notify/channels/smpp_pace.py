"""How fast one bind goes: halves when the centre throttles, comes back slowly. Pure, but for the time it is told."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 10.0


class Pace:
    """The window of one bind and the moment of its next message. `most`: the agreed window; `rate`: messages a second.

    Times are seconds of any clock that does not jump.
    """

    def __init__(self, most: int, rate: float | None = None) -> None:
        self._most = most
        self._gap = 1 / rate if rate else 0.0
        self._window = float(most)
        self._pause = 0.0
        self._not_before = 0.0

    @property
    def window(self) -> int:
        """How many may be unanswered now."""
        return int(self._window)

    def slowed(self) -> bool:
        """Whether we go slower than was agreed."""
        return self.window < self._most

    def wait(self, now: float) -> float:
        """Seconds until the next message may go."""
        return max(0.0, self._not_before - now)

    def sent(self, now: float) -> None:
        if self._gap:
            # Falling behind by a moment may be made up for, by a second not.
            self._not_before = max(self._not_before, now - 0.1) + self._gap

    def throttled(self, now: float) -> None:
        """The centre asked for less. Answers to what was under way already do not count again."""
        if now < self._not_before and self._pause:
            return
        self._pause = min(max(self._pause * 2, _FIRST_PAUSE), _LONGEST_PAUSE)
        self._not_before = now + self._pause
        self._window = max(1.0, self._window / 2)

    def accepted(self) -> None:
        """One message more goes through in the time of a whole window."""
        self._window = min(float(self._most), self._window + 1 / self._window)
        if not self.slowed():
            self._pause = 0.0
