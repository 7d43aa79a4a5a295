"""The report's charts: results in, inline SVG out.

Colours are written as placeholders that become CSS variables, so one drawing serves the light and the dark page.
Text stays text: it takes the page's font, can be selected, and is escaped by Matplotlib, which never reads it as math.
"""

import io
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

WIDTH = 460  # design width in px; the page scales a chart to its column
_INK, _MUTED, _RULE, _PAPER = "#010101", "#020202", "#030303", "#040404"
_VARIABLES = {_INK: "var(--ink)", _MUTED: "var(--muted)", _RULE: "var(--rule)", _PAPER: "var(--paper)"}
_SERIES = tuple(f"#0{index}0{index}f0" for index in range(6))
_VARIABLES |= {colour: f"var(--series-{index})" for index, colour in enumerate(_SERIES)}
_PRECISIONS = ("float32", "float16", "w8", "w8a8-ptq", "w8a8-qat")
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "edgewright",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 11,
    "text.color": _INK,
    "axes.labelcolor": _MUTED,
    "axes.edgecolor": _RULE,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "axes.axisbelow": True,
    "xtick.color": _RULE,
    "ytick.color": _RULE,
    "xtick.labelcolor": _MUTED,
    "ytick.labelcolor": _INK,
    "grid.color": _RULE,
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "figure.facecolor": "none",
}


@dataclass(frozen=True, kw_only=True)
class Mark:
    """How one artifact looks in every chart: colour by precision, shape by format, hollow where it is pruned."""

    colour: str
    shape: str
    hollow: bool

    @classmethod
    def of(cls, artifact: Mapping[str, Any]) -> "Mark":
        """Return the mark of a row of `artifacts`."""
        precision = artifact.get("precision")
        index = _PRECISIONS.index(precision) if precision in _PRECISIONS else len(_PRECISIONS)
        return cls(
            colour=_SERIES[index],
            shape="s" if artifact.get("format") == "onnx" else "o",
            hollow=bool(artifact.get("sparsity")),
        )

    def line(self, **more: Any) -> dict[str, Any]:
        """Return Matplotlib's arguments for a marker of this kind."""
        face = _PAPER if self.hollow else self.colour
        return {"color": self.colour, "marker": self.shape, "markerfacecolor": face, "markersize": 7,
                "markeredgewidth": 1.6, **more}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Point:
    """An artifact with what was measured on it."""

    name: str
    mark: Mark
    bytes: int = 0
    latency_us: Mapping[str, float] = field(default_factory=dict)
    latency_ci95: Sequence[float] | None = None
    value: float | None = None
    value_ci95: Sequence[float] | None = None
    key: str = ""


def intervals(verdicts: Sequence[Mapping], marks: Mapping[str, Mark], max_drop: float | None) -> str:
    """Draw the two intervals behind each verdict: speed-up over the baseline, and gain of the metric in points."""
    rows = [verdict for verdict in verdicts if verdict.get("speedup_ci95")]
    if not rows:
        return ""
    with _figure(height=64 + 30 * len(rows)) as (figure, svg):
        speed, metric = figure.subplots(1, 2, sharey=True, gridspec_kw={"wspace": 0.12})
        for row, verdict in enumerate(rows):
            look = marks[verdict["artifact"]].line(linewidth=2)
            _interval(speed, row, verdict["speedup"], verdict["speedup_ci95"], look)
            kind = "metric_gain" if "metric_gain" in verdict else "metric_delta"  # earlier runs have but the latter
            if verdict.get(kind) is not None and verdict.get(f"{kind}_ci95"):
                points = [100 * bound for bound in verdict[f"{kind}_ci95"]]
                _interval(metric, row, 100 * verdict[kind], points, look)
        speed.axvline(1, color=_MUTED, linewidth=1)
        metric.axvline(0, color=_MUTED, linewidth=1)
        if max_drop is not None:
            metric.axvline(-100 * max_drop, color=_MUTED, linewidth=1, linestyle=(0, (3, 3)))
        speed.set_xlabel("speed-up (×)")
        metric.set_xlabel("metric change (points)")
        speed.margins(x=0.1)
        metric.margins(x=0.1)
        speed.set_yticks(range(len(rows)), [_short(verdict["artifact"]) for verdict in rows])
        speed.set_ylim(len(rows) - 0.5, -0.5)
        for axes in (speed, metric):
            _tidy(axes, grid="x")
            axes.tick_params(axis="y", length=0)
            axes.xaxis.set_major_locator(MaxNLocator(4))
        return svg()


def tradeoff(points: Sequence[Point], metric_name: str, *, front: Collection[str] = ()) -> str:
    """Draw the metric against the median latency, both with their 95% intervals.

    front: keys of the points that a line joins.
    """
    shown = [point for point in points if point.value is not None and point.latency_us]
    if not shown:
        return ""
    with _figure(height=250 + 17 * ((len(shown) + 1) // 2)) as (figure, svg):
        axes = figure.subplots()
        joined = sorted((point.latency_us["p50"], point.value) for point in shown if point.key in front)
        if len(joined) > 1:
            axes.plot(*zip(*joined, strict=True), color=_MUTED, linewidth=1, zorder=0)
        for point in shown:
            x, y = point.latency_us["p50"], point.value or 0.0
            axes.errorbar(x, y, xerr=_arms(x, point.latency_ci95), yerr=_arms(y, point.value_ci95), linestyle="none",
                          ecolor=point.mark.colour, elinewidth=1.2, **point.mark.line())  # fmt: skip
        medians = [point.latency_us["p50"] for point in shown]
        _from_zero(axes, [(point.latency_ci95 or [0, 0])[1] for point in shown], medians)
        axes.margins(y=0.12)
        axes.set_xlabel("median latency (µs)")
        axes.set_ylabel(metric_name.replace("_", " "))
        axes.yaxis.label.set_color(_MUTED)
        _tidy(axes, grid="both")
        _legend(figure, [(point.name, point.mark) for point in shown])
        return svg()


def confusion(names: Sequence[str], ours: np.ndarray, base: np.ndarray) -> str:
    """Draw which classes the baseline takes for which, and beside it by how many samples a file does otherwise.

    ours, base: counts (K, K), rows true. Left: the darker, the larger the share of a true class.
    """
    count, short = len(names), [_short(name, 12) for name in names]
    upright = sum(map(len, short)) > 30
    with _figure(height=90 + max(150, 14 * count) + upright * 5 * max(map(len, short))) as (figure, svg):
        left, right = figure.subplots(1, 2, sharey=True, gridspec_kw={"wspace": 0.08})
        shares = base / np.maximum(base.sum(1, keepdims=True), 1)
        for row, column in np.argwhere(shares > 0):
            left.add_patch(
                Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=_SERIES[0], alpha=shares[row, column] ** 0.5)
            )
        for row, column in np.argwhere(ours != base):
            change = int(ours[row, column] - base[row, column])
            better = (change > 0) == (row == column)
            right.annotate(f"{change:+d}".replace("-", "\N{MINUS SIGN}"), (column, row), ha="center", va="center",
                           fontsize=9, color=_SERIES[0] if better else _SERIES[1])  # fmt: skip
        for axes, title in ((left, "float"), (right, "int8 less float")):
            axes.set_xlim(-0.5, count - 0.5)
            axes.set_ylim(count - 0.5, -0.5)
            axes.set_xticks(range(count), short, rotation=90 * upright)
            axes.set_xlabel(f"said, {title}")
            axes.tick_params(axis="both", length=0)
        left.set_yticks(range(count), short)
        left.set_ylabel("true")
        return svg()


def sizes(points: Sequence[Point]) -> str:
    """Draw the size of every file as a bar from zero, its value beside it."""
    if not points:
        return ""
    with _figure(height=44 + 26 * len(points)) as (figure, svg):
        axes = figure.subplots()
        kilobytes = [point.bytes / 1000 for point in points]
        for row, point in enumerate(points):
            axes.barh(row, kilobytes[row], height=0.58, linewidth=1.4, edgecolor=point.mark.colour,
                      color=_PAPER if point.mark.hollow else point.mark.colour)  # fmt: skip
            axes.annotate(f"{kilobytes[row]:,.1f}", (kilobytes[row], row), (5, 0), textcoords="offset points",
                          va="center", color=_INK)  # fmt: skip
        axes.set_xlim(0, max(kilobytes) * 1.17)
        axes.set_xlabel("size (kB)")
        _rows(axes, [point.name for point in points])
        return svg()


def latencies(points: Sequence[Point], samples: Mapping[str, np.ndarray]) -> str:
    """Draw every latency distribution from its minimum to its 90th percentile, with the median marked.

    A shape where raw samples are at hand, else a line.
    """
    shown = [point for point in points if point.latency_us]
    if not shown:
        return ""
    with _figure(height=44 + 32 * len(shown)) as (figure, svg):
        axes = figure.subplots()
        for row, point in enumerate(shown):
            _distribution(axes, row, point, samples.get(point.name))
            axes.plot([point.latency_us["p50"]] * 2, [row - 0.33, row + 0.33], color=_INK, linewidth=1.6)
        _from_zero(axes, [point.latency_us["p90"] for point in shown], [point.latency_us["p50"] for point in shown])
        axes.set_xlabel("latency (µs)")
        _rows(axes, [point.name for point in shown])
        return svg()


def curves(histories: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Draw loss and metric over epochs: a colour a stage, solid for validation, thin and dashed for training."""
    stages = {name: rows for name, rows in histories.items() if rows}
    metric = next((_metric_key(rows[0]) for rows in stages.values()), None)
    quantities = ["loss", *([metric] if metric else [])]
    if not stages:
        return ""
    with _figure(height=250 + 17 * ((len(stages) + 1) // 2)) as (figure, svg):
        panels = np.atleast_1d(figure.subplots(1, len(quantities)))
        for axes, quantity in zip(panels, quantities, strict=True):
            for index, rows in enumerate(stages.values()):
                colour = _SERIES[index % len(_SERIES)]
                _curve(axes, rows, quantity, Line2D([], [], color=colour, linewidth=0.9, linestyle=(0, (3, 2))))
                _curve(axes, rows, f"val_{quantity}", Line2D([], [], color=colour, linewidth=1.8))
            axes.set_xlabel("epoch")
            axes.set_title(quantity.replace("_", " "), fontsize=11, loc="left", color=_MUTED)
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            _tidy(axes, grid="y")
        panels[0].set_yscale("log")
        panels[0].yaxis.set_minor_formatter(NullFormatter())
        panels[0].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        handles = [Line2D([], [], color=_SERIES[index % len(_SERIES)], linewidth=1.8) for index in range(len(stages))]
        figure.legend(handles, [_short(name) for name in stages], loc="outside lower left", ncols=2, fontsize=11)
        return svg()


class _figure:
    """A figure in the report's style, and the function that turns it into inline SVG."""

    def __init__(self, height: float) -> None:
        self._style = matplotlib.rc_context(_STYLE)
        self._height = height

    def __enter__(self):
        self._style.__enter__()
        self._drawing = Figure(figsize=(WIDTH / 72, self._height / 72), layout="constrained")
        return self._drawing, self._svg

    def __exit__(self, *error: Any) -> None:
        self._style.__exit__(*error)

    def _svg(self) -> str:
        text = io.StringIO()
        self._drawing.savefig(text, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
        return _inline(text.getvalue())


def _inline(svg: str) -> str:
    """Make Matplotlib's document a part of a page: no prologue, no ids, theme variables, the page's font."""
    svg = svg[svg.index("<svg ") :]
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(?<=<g) id="[^"<>]*"', "", svg)
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"', "", svg).replace("xlink:href", "href")
    svg = re.sub(r'^<svg [^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" role="img" aria-hidden="true">', svg)
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", svg)
    for placeholder, variable in _VARIABLES.items():
        svg = svg.replace(placeholder, variable)
    return svg


def _interval(axes: Axes, row: int, centre: float, bounds: Sequence[float], look: dict[str, Any]) -> None:
    axes.plot(list(bounds), [row, row], color=look["color"], linewidth=look["linewidth"], solid_capstyle="butt")
    axes.plot([centre], [row], **look)


def _arms(centre: float, bounds: Sequence[float] | None) -> list[list[float]] | None:
    if bounds is None:
        return None
    return [[max(0.0, centre - bounds[0])], [max(0.0, bounds[1] - centre)]]


def _distribution(axes: Axes, row: int, point: Point, samples: np.ndarray | None) -> None:
    low, high = point.latency_us["min"], point.latency_us["p90"]
    if samples is None or len(samples) < 20 or high <= low:
        axes.plot([low, high], [row, row], color=point.mark.colour, linewidth=5)
        return
    counts, edges = np.histogram(samples, bins=48, range=(low, high))
    heights = np.convolve(counts, [0.25, 0.5, 0.25], mode="same")
    heights = 0.42 * heights / max(heights.max(), 1e-9)
    centres = [(left + right) / 2 for left, right in pairwise(edges)]
    axes.fill_between(centres, row - heights, row + heights, color=point.mark.colour, alpha=0.55, linewidth=0)


def _curve(axes: Axes, rows: Sequence[Mapping[str, float]], key: str, line: Line2D) -> None:
    values = [(number, row[key]) for number, row in enumerate(rows, 1) if row.get(key) is not None]
    if not values:
        return
    line.set_data(*zip(*values, strict=True))
    if len(values) == 1:
        line.set_marker("o")
        line.set_markersize(4)
    axes.add_line(line)
    axes.autoscale_view()


def _metric_key(row: Mapping[str, Any]) -> str | None:
    return next((key[4:] for key in row if key.startswith("val_") and key != "val_loss"), None)


def _from_zero(axes: Axes, reach: Sequence[float], medians: Sequence[float]) -> None:
    """Start a latency axis at zero; where the medians lie more than a factor 30 apart, make it logarithmic."""
    if min(medians) > 0 and max(medians) / min(medians) > 30:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_xlim(0, max(*medians, *(min(high, 3 * max(medians)) for high in reach)) * 1.08)


def _rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), [_short(name) for name in names])
    axes.set_ylim(len(names) - 0.45, -0.55)
    axes.tick_params(axis="y", length=0)
    _tidy(axes, grid="x")


def _tidy(axes: Axes, grid: Any) -> None:
    axes.grid(axis=grid)
    axes.tick_params(axis="both", width=0.7, length=3)
    if grid != "y":
        axes.spines["left"].set_visible(grid == "both")


def _legend(figure: Figure, entries: Sequence[tuple[str, Mark]]) -> None:
    handles = [Line2D([], [], **mark.line(linewidth=0)) for _, mark in entries]
    labels = [_short(name) for name, _ in entries]
    figure.legend(handles, labels, loc="outside lower left", ncols=2, fontsize=11, handletextpad=0.3)


def _short(name: str, longest: int = 26) -> str:
    return name if len(name) <= longest else f"{name[: longest - 8]}…{name[-7:]}"
