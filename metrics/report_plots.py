"""The plots of the report as SVG: legible in black and white and to colour-blind readers, drawn without a browser.

Lines differ by dash and shape as well as by colour (Okabe and Ito's). Every text comes from the caller.
Vega-Altair says what is drawn, vl-convert draws it; both are large, so they are loaded with the first plot.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import vl_convert

Rows = Sequence[Mapping[str, Any]]
_INK, _QUIET, _BLUE, _RED = "#17202e", "#55617a", "#0072b2", "#d55e00"
_COLOURS = (_INK, _BLUE, _RED, "#009e73", "#8a4f7d", "#7a6a00")
_DASHES = ([1, 0], [8, 3], [2, 2], [8, 3, 2, 3], [4, 4], [12, 2])
_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
_WIDTH = 660
_CONFIG = {
    "background": "white",
    # Readers' fonts are wider than those that widths were measured with here.
    "padding": {"left": 12, "top": 5, "right": 12, "bottom": 5},
    "font": "sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelColor": _INK,
        "titleColor": _INK,
        "gridColor": "#e3e7ee",
        "domainColor": _QUIET,
        "tickColor": _QUIET,
    },
    "legend": {
        "orient": "top",
        "labelFontSize": 12,
        "title": None,
        "symbolSize": 90,
        "labelColor": _INK,
    },
}


def _numbers(language: str) -> Mapping[str, Any]:
    comma = language == "nl"
    return {"decimal": "," if comma else ".", "thousands": "." if comma else ",", "grouping": [3], "currency": ["", ""]}


def _drawn(chart: alt.TopLevelMixin, language: str) -> str:
    spec = {**chart.to_dict(), "config": _CONFIG}
    svg: str = vl_convert.vegalite_to_svg(spec, format_locale=dict(_numbers(language)))
    # Widths are the page's to choose, and ids must not meet those of another plot.
    return re.sub(r'^<svg([^>]*?) width="[^"]*" height="[^"]*"', r"<svg\1", svg, count=1)


def reach_plot(
    rows: Rows, *, names: Sequence[str], limit: float, until: float, x: str, y: str, line: str, language: str
) -> str:
    """Share told by minute. Rows: name, minute, share; `limit`: the minute of the line; `until`: the last one."""
    scale = alt.Scale(domain=[0, max(until, limit) * 1.02])
    base = alt.Chart(alt.InlineData(list(rows))).encode(
        x=alt.X("minute:Q", title=x, scale=scale),
        y=alt.Y("share:Q", title=y, scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format=".0%")),
    )

    def by(values: Sequence[Any]) -> alt.Scale:
        return alt.Scale(domain=list(names), range=list(values[: len(names)]))

    # The legend shows dash and colour together, as a line; shapes need none beside it.
    stroke = alt.Legend(symbolType="stroke", symbolStrokeWidth=2.5, symbolSize=150)
    lines = base.mark_line(interpolate="step-after", strokeWidth=2.5).encode(
        color=alt.Color("name:N", scale=by(_COLOURS), sort=list(names), legend=stroke),
        strokeDash=alt.StrokeDash("name:N", scale=by(_DASHES), sort=list(names), legend=stroke),
    )
    marks = base.mark_point(filled=True, size=70, opacity=1).encode(
        color=alt.Color("name:N", scale=by(_COLOURS), sort=list(names), legend=None),
        shape=alt.Shape("name:N", scale=by(_SHAPES), sort=list(names), legend=None),
    )
    marked = marks.transform_filter("datum.mark")
    rule = alt.Chart(alt.InlineData([{"minute": limit, "text": line}]))
    at = rule.mark_rule(color=_INK, strokeDash=[3, 3], strokeWidth=1.5).encode(x="minute:Q")
    label = rule.mark_text(align="right", baseline="bottom", dx=-5, fontSize=12, color=_INK).encode(
        x="minute:Q", y=alt.value(258), text="text:N"
    )
    chart = alt.layer(lines, marked, at, label).resolve_legend("independent")
    return _drawn(chart.properties(width=_WIDTH, height=260), language)


def outcome_plot(rows: Rows, *, x: str, language: str) -> str:
    """Messages by outcome, one bar each with its number. Rows: name (outcome), channel, count."""
    channels = list(dict.fromkeys(row["channel"] for row in rows))
    names = list(dict.fromkeys(row["name"] for row in rows))
    base = alt.Chart(alt.InlineData(list(rows))).encode(
        x=alt.X("count:Q", title=x, axis=alt.Axis(format=",d", tickMinStep=1)),
        y=alt.Y("name:N", sort=names, title=None, axis=alt.Axis(labelLimit=240)),
        yOffset=alt.YOffset("channel:N", sort=channels),
    )
    fills = ["#4a5d7a", "#ffffff", "#9db7d5", "#d9d9d9"][: len(channels)]
    colour = alt.Color("channel:N", sort=channels, scale=alt.Scale(domain=channels, range=fills))
    bars = base.mark_bar(stroke=_INK, strokeWidth=1).encode(color=colour)
    numbers = base.mark_text(align="left", dx=4, fontSize=12, color=_INK).encode(text=alt.Text("count:Q", format=",d"))
    height = alt.Step(22 if len(channels) == 1 else 18)
    chart = (bars + numbers).properties(width=_WIDTH - 180, height=height, padding={"left": 45, "right": 25})
    return _drawn(chart, language)


def storm_plot(rows: Rows, *, updates: Rows, minutes: int, x: str, y: str, language: str) -> str:
    """Contacts by time, and the updates. Rows: minute, contacts. Updates: minute, text."""
    ends = [{**row, "end": row["minute"] + minutes} for row in rows]
    bars = (
        alt.Chart(alt.InlineData(ends))
        .mark_bar(color="#9db7d5", stroke=_INK, strokeWidth=0.6)
        .encode(
            x=alt.X("minute:Q", title=x),
            x2="end:Q",
            y=alt.Y("contacts:Q", title=y, axis=alt.Axis(format=",d", tickMinStep=1)),
            y2=alt.Y2Datum(0),
        )
    )
    said = alt.Chart(alt.InlineData(list(updates)))
    rules = said.mark_rule(color=_RED, strokeWidth=2, strokeDash=[6, 3]).encode(x="minute:Q")
    names = said.mark_text(align="center", baseline="bottom", fontSize=12, fontWeight="bold", color=_INK).encode(
        x="minute:Q", y=alt.value(-4), text="text:N"
    )
    return _drawn(alt.layer(bars, rules, names).properties(width=_WIDTH, height=240), language)


def case_plot(rows: Rows, *, x: str, y: str, language: str) -> str:
    """Cases by how many contacts they hold. Rows: name, cases."""
    base = alt.Chart(alt.InlineData(list(rows))).encode(
        x=alt.X("name:N", sort=None, title=x, axis=alt.Axis(labelAngle=0)),
        y=alt.Y("cases:Q", title=y, axis=alt.Axis(format=",d", tickMinStep=1)),
    )
    bars = base.mark_bar(color="#9db7d5", stroke=_INK, strokeWidth=1)
    numbers = base.mark_text(dy=-7, fontSize=12, color=_INK).encode(text=alt.Text("cases:Q", format=",d"))
    return _drawn((bars + numbers).properties(width=_WIDTH, height=200), language)


def comparison_plot(rows: Rows, *, y: str, language: str) -> str:
    """Reach within the limit, one point an incident, in their order. Rows: name, share, place (from 0)."""
    names = [row["name"] for row in rows]
    axis = alt.Axis(labelAngle=-30, labelLimit=170, labelExpr=f"{json.dumps(names)}[datum.value]")
    base = alt.Chart(alt.InlineData(list(rows))).encode(
        x=alt.X("place:O", title=None, axis=axis),
        y=alt.Y("share:Q", title=y, scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format=".0%")),
    )
    line = base.mark_line(color=_INK, strokeWidth=2, point=alt.OverlayMarkDef(filled=True, size=80, color=_INK))
    numbers = base.mark_text(dy=-12, fontSize=12, color=_INK).encode(text=alt.Text("share:Q", format=".0%"))
    return _drawn((line + numbers).properties(width=_WIDTH, height=200), language)
