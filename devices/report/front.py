"""The picture of a search: metric against latency, every file a dot as large as the file, the front joined."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter

WIDTH, HEIGHT = 9.0, 6.0  # inches
LARGEST = 700.0  # square points of the largest file's dot
_LEAST = 25.0
_WIDE = 8.0  # latencies further apart than by this factor are drawn on a logarithmic axis
_SIDES = ((0, 26), (24, 14), (26, -12), (0, -26), (-26, -12), (-24, 14))  # of a dot, in points
_INK, _MUTED, _CHOSEN = "#222222", "#777777", "#c0392b"
_COLOURS = ("#7f7f7f", "#1f77b4", "#17becf", "#2ca02c", "#ff7f0e", "#9467bd", "#8c564b", "#e377c2", "#bcbd22")
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "edgewright",
    "text.parse_math": False,
    "font.size": 10,
}


@dataclass(frozen=True, kw_only=True)
class Dot:
    """A file. kind: what its colour says; latency_us: median; bytes: of the file."""

    name: str
    kind: str
    latency_us: float
    value: float
    bytes: int
    on_front: bool = False
    baseline: bool = False
    chosen: bool = False


def picture(dots: Sequence[Dot], metric: str, limit: float | None = None, format: str = "svg") -> bytes:
    """Draw files by latency and metric, as svg, png or pdf. limit: what the metric may fall (or rise) to."""
    with rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
        axes = figure.subplots()
        if dots:
            _draw(axes, dots, limit)
        axes.set_xlabel("median latency (µs), by its ratio to the float file measured beside it")
        axes.set_ylabel(metric.replace("_", " "))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        drawn = io.BytesIO()
        figure.savefig(drawn, format=format, dpi=150, metadata={"Date": None} if format == "svg" else None)
    return drawn.getvalue()


def _draw(axes: Axes, dots: Sequence[Dot], limit: float | None) -> None:
    kinds = list(dict.fromkeys(dot.kind for dot in dots))
    colour = {kind: _COLOURS[place % len(_COLOURS)] for place, kind in enumerate(kinds)}
    largest = max(dot.bytes for dot in dots)
    for dot in sorted(dots, key=lambda dot: -dot.bytes):  # small ones above
        axes.scatter(
            dot.latency_us, dot.value, s=_area(dot.bytes, largest), color=colour[dot.kind],
            alpha=0.9 if dot.on_front or dot.baseline or dot.chosen else 0.3,
            edgecolor=_CHOSEN if dot.chosen else _INK if dot.on_front else "none",
            linewidth=2.5 if dot.chosen else 1.0, zorder=3 if dot.on_front or dot.chosen else 2,
        )  # fmt: skip
    joined = sorted((dot for dot in dots if dot.on_front), key=lambda dot: dot.latency_us)
    axes.plot([dot.latency_us for dot in joined], [dot.value for dot in joined], color=_MUTED, linewidth=1, zorder=1)
    _axes_of(axes, dots, limit)
    listed = [*joined, *(dot for dot in dots if dot.chosen and not dot.on_front)]
    for number, dot in enumerate(listed, 1):
        _number(axes, number, dot)
    _legend(axes, colour, largest)
    _list(axes, listed)


def _axes_of(axes: Axes, dots: Sequence[Dot], limit: float | None) -> None:
    latencies = [dot.latency_us for dot in dots]
    if max(latencies) / min(latencies) > _WIDE:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlim(min(latencies) * 0.7, max(latencies) * 1.4)
    else:
        axes.set_xlim(0, max(latencies) * 1.15)
    base = next((dot for dot in dots if dot.baseline), None)
    values = [*(dot.value for dot in dots), *([] if limit is None else [limit])]
    room = max(values) - min(values) or abs(max(values)) * 0.02 or 1.0
    axes.set_ylim(min(values) - 0.2 * room, max(values) + 0.2 * room)
    if base is not None:
        axes.axvline(base.latency_us, color=_MUTED, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
        axes.annotate("float", (base.latency_us, 1), xycoords=("data", "axes fraction"), xytext=(4, -2), va="top",
                      textcoords="offset points", color=_MUTED, fontsize=9)  # fmt: skip
    if limit is not None:
        axes.axhline(limit, color=_MUTED, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
        axes.annotate("allowed", (1, limit), va="top", ha="right", xycoords=("axes fraction", "data"), xytext=(0, -2),
                      textcoords="offset points", color=_MUTED, fontsize=9)  # fmt: skip


def _number(axes: Axes, number: int, dot: Dot) -> None:
    """Put the number of a dot beside it, on a side that turns with the number: dots lie upon each other."""
    x, y = _SIDES[number % len(_SIDES)]
    colour = _CHOSEN if dot.chosen else _INK
    axes.annotate(str(number), (dot.latency_us, dot.value), xytext=(x, y), textcoords="offset points", ha="center",
                  va="center", color=colour, fontsize=9, fontweight="bold" if dot.chosen else "normal", zorder=5,
                  arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.6, "shrinkA": 1})  # fmt: skip


def _list(axes: Axes, listed: Sequence[Dot]) -> None:
    """Write below what the numbers are."""
    handles = [Line2D([], [], linestyle="none", label=f"{number}  {'ship: ' * dot.chosen}{dot.name}")
               for number, dot in enumerate(listed, 1)]  # fmt: skip
    drawn = axes.figure.legend(handles=handles, loc="outside lower left", ncols=2, frameon=False, fontsize=9,
                               handlelength=0, handletextpad=0)  # fmt: skip
    for text, dot in zip(drawn.get_texts(), listed, strict=True):
        text.set_color(_CHOSEN if dot.chosen else _INK)


def _legend(axes: Axes, colour: dict[str, str], largest: int) -> None:
    handles = [Line2D([], [], linestyle="none", marker="o", color=one, label=kind) for kind, one in colour.items()]
    for share in (1.0, 0.25):
        size = _area(int(share * largest), largest) ** 0.5
        handles.append(Line2D([], [], linestyle="none", marker="o", markersize=size, markerfacecolor="none",
                              color=_MUTED, label=f"{share * largest / 1000:,.0f} kB"))  # fmt: skip
    axes.figure.legend(handles=handles, loc="outside right upper", frameon=False, labelspacing=1.4, fontsize=9)


def _area(size: int, largest: int) -> float:
    return max(_LEAST, LARGEST * size / max(1, largest))
