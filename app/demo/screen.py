"""What the terminal shows: a calm table that changes in place, or a line now and then when it is not a terminal.

It shows figures and texts handed to it, and knows nothing of where they come from.
"""

import time
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

_LINE_EVERY = 3.0  # seconds, where nothing can change in place


@dataclass(frozen=True, slots=True)
class Figures:
    """How things stand. `rate`: mails a second of late; `oldest`: seconds that the oldest unsent mail has waited."""

    sent: int = 0
    mail_is_open: bool = False
    rate: float = 0.0
    oldest: float = 0.0
    contacts: int = 0
    contact_rate: float = 0.0
    unplaced: int = 0
    cases: int = 0


class Screen:
    """The terminal. `say` leaves a line for good; `show` replaces the figures below it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._started = time.monotonic()
        self._last_line = 0.0
        self._news = ""

    def __enter__(self) -> "Screen":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def say(self, text: str) -> None:
        """A line that stays, with the time since the start."""
        line = Text.assemble((f"{time.monotonic() - self._started:6.1f} s  ", "dim"), text)
        self._console.print(line, highlight=False, soft_wrap=True)

    def news(self, title: str) -> None:
        """The headline of the latest update."""
        self._news = title

    def show(self, figures: Figures) -> None:
        """The figures as they are now."""
        if self._console.is_terminal:
            self._live.update(_table(self._news, figures), refresh=True)
            return
        now = time.monotonic()
        if now - self._last_line >= _LINE_EVERY and (figures.sent or figures.contacts):
            self._last_line = now
            self.say(_line(figures))

    def clear(self) -> None:
        """Take the figures away."""
        self._live.update(Text(""), refresh=True)


def _waiting(figures: Figures) -> str:
    return f"oldest waiting {figures.oldest:.0f} s" if figures.mail_is_open else "nothing waiting"


def _line(figures: Figures) -> str:
    return (
        f"mail {figures.sent:,} ({figures.rate:,.0f}/s, {_waiting(figures)}) · "
        f"contacts {figures.contacts:,} ({figures.contact_rate:,.0f}/s, {figures.unplaced:,} not in a case yet) · "
        f"cases {figures.cases:,}"
    )


def _table(news: str, figures: Figures) -> Table:
    table = Table.grid(padding=(0, 3))
    table.add_column(style="bold", min_width=10)
    table.add_column(justify="right", min_width=10)
    table.add_column(justify="right", min_width=10)
    table.add_column()
    table.add_row("", "", "", "")
    table.add_row("Update", "", "", news)
    table.add_row("Mail", f"{figures.sent:,}", f"{figures.rate:,.0f}/s", _waiting(figures))
    unplaced = f"{figures.unplaced:,} not in a case yet" if figures.unplaced else ""
    table.add_row("Contacts", f"{figures.contacts:,}", f"{figures.contact_rate:,.0f}/s", unplaced)
    table.add_row("Cases", f"{figures.cases:,}", "", "")
    return table
