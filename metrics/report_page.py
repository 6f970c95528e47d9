"""The report as one page that needs nothing else: HTML with its style and plots in it, for the screen and for paper.

Its words stand in the template; here is what the template cannot do: order the timeline, and draw.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from metrics import report_plots
from metrics.report import Promised, Report, Said
from metrics.report_people import ANY

Render = Callable[..., str]
_MARKS = 10  # shapes along a line
_MANY = 8  # contacts in a case: from here on counted together in the plot


@dataclass(frozen=True, slots=True)
class Moment:
    """A line of the timeline: began, known, said (an update), promised (its time came), over."""

    at: datetime
    kind: str
    said: Said | None = None
    promised: Promised | None = None


class Svg(str):
    """A plot: markup that may stand in a page as it is."""

    __slots__ = ()

    def __html__(self) -> str:
        return str(self)


def report_page(render: Render, report: Report, language: str, *, page_name: str, zone: str) -> str:
    """The report in `language` (en, nl), as one HTML page. Draws, which takes a second of CPU: call it in a thread."""
    return render(
        "metrics/report.html",
        language,
        report=report,
        moments=timeline(report),
        reach=reach_rows(report),
        draw=_Draw(report, language),
        page_name=page_name,
        zone=zone,
    )


def timeline(report: Report) -> list[Moment]:
    """What happened, in order."""
    told = report.incident
    moments = [Moment(told.started_at, "began"), Moment(told.aware_at, "known")]
    moments += [Moment(one.published_at, "said", said=one) for one in report.updates]
    moments += [Moment(one.due_at, "promised", promised=one) for one in report.promises]
    if told.resolved_at is not None:
        moments.append(Moment(told.resolved_at, "over"))
    return sorted(moments, key=lambda one: one.at)


def reach_rows(report: Report) -> tuple[list[str], list[tuple[float, list[int]]]]:
    """The curve as a table: its channels (any first), and (seconds, people of each channel) where one of them grew."""
    channels = sorted({one.channel for one in report.curve}, key=lambda one: (one != ANY, one))
    now = dict.fromkeys(channels, 0)
    rows: dict[float, list[int]] = {}
    for point in report.curve:
        now[point.channel] = point.people
        rows[point.seconds] = list(now.values())
    return channels, sorted(rows.items())


class _Draw:
    """The plots, each with the words that the template gives."""

    def __init__(self, report: Report, language: str) -> None:
        self._report = report
        self._language = language

    def reach(self, names: Mapping[str, str], *, x: str, y: str, line: str) -> Svg:
        people, (channels, rows) = self._report.people, reach_rows(self._report)
        limit = people.limit / 60
        until = max(limit, (rows[-1][0] / 60) if rows else 0.0)
        table = [(0.0, [0] * len(channels)), *((seconds / 60, counts) for seconds, counts in rows)]
        if table[-1][0] < until:
            table.append((until, table[-1][1]))
        every = max(len(table) // _MARKS, 1)
        points = [
            {"name": names[channel], "minute": minute, "share": counts[at] / people.people, "mark": place % every == 0}
            for place, (minute, counts) in enumerate(table)
            for at, channel in enumerate(channels)
        ]
        return Svg(
            report_plots.reach_plot(
                points,
                names=[names[one] for one in channels],
                limit=limit,
                until=until,
                x=x,
                y=y,
                line=line,
                language=self._language,
            )
        )

    def outcomes(self, states: Mapping[str, str], channels: Mapping[str, str], *, x: str) -> Svg:
        sums: dict[tuple[str, str], int] = {}
        for one in self._report.outcomes:
            key = (one.state, one.channel)
            sums[key] = sums.get(key, 0) + one.deliveries
        rows = [{"name": states[s], "channel": channels[c], "count": count} for (s, c), count in sums.items()]
        return Svg(report_plots.outcome_plot(rows, x=x, language=self._language))

    def storm(self, *, x: str, y: str) -> Svg:
        report = self._report
        rows = [{"minute": one.minute, "contacts": one.contacts} for one in report.bars]
        said = [{"minute": one.after / 60, "text": str(one.number)} for one in report.updates]
        return Svg(
            report_plots.storm_plot(rows, updates=said, minutes=report.bar_minutes, x=x, y=y, language=self._language)
        )

    def per_case(self, *, x: str, y: str) -> Svg:
        held = dict(self._report.per_case)
        rows = [{"name": str(n), "cases": held.get(n, 0)} for n in range(min(held), min(max(held) + 1, _MANY))]
        if many := sum(cases for n, cases in self._report.per_case if n >= _MANY):
            rows.append({"name": f"{_MANY}+", "cases": many})
        return Svg(report_plots.case_plot(rows, x=x, y=y, language=self._language))

    def comparison(self, names: Sequence[str], *, y: str) -> Svg:
        """`names`: of the incidents, in their order (the newest first)."""
        shares = [(name, one.people.share_in_time) for name, one in zip(names, self._report.others, strict=True)]
        known: list[tuple[str, float]] = [(name, share) for name, share in reversed(shares) if share is not None]
        rows = [{"name": name, "share": share, "place": place} for place, (name, share) in enumerate(known)]
        return Svg(report_plots.comparison_plot(rows, y=y, language=self._language))
