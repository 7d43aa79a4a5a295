"""Time series whose next value is to be told: the delay equation of Mackey and Glass, and an oil temperature by the
hour (ETT).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...errors import BadInput
from . import sources
from .dataset import Dataset, Split
from .sets import Asked, dataset, present

ETT = "ett/ETTh1.csv"
HOURS = {"train": 8640, "validation": 2880, "test": 2880}  # 12, 4 and 4 months, in time order; the rest is unused
COLUMNS = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")
COUNTS = {"train": 1600, "validation": 250, "test": 400}  # samples of the generated series
FORMS = {("float32", 2): "windows of {} steps"}

DELAY, RISE, FALL, POWER = 17.0, 0.2, 0.1, 10  # of the equation, where it is mildly chaotic
STEP, SPACED = 0.1, 6.0  # of integration, and between samples
SETTLED = 500.0  # time until the start is forgotten


@dataset(input_shape=(32, 1), tasks=("regression",), floor=0.9)
def mackey_glass(asked: Asked) -> Dataset:
    """Return windows of the series of Mackey and Glass, and the sample behind each, six units of time later."""
    series = delayed(sum(COUNTS.values()), start=1.2)
    return windows("mackey_glass", series[:, None], COUNTS, asked, every=1, source=("generated",),
                   about=f"delay {DELAY:g}, a sample every {SPACED:g} units of time")  # fmt: skip


@dataset(input_shape=(32, 1), tasks=("regression",), here=lambda: sources.find(ETT) is not None, floor=0.9)
def ett(asked: Asked) -> Dataset:
    """Return windows of hours of a power transformer, and the hour behind each, one a quarter of the hours.

    Frames of one value are the oil temperature, of seven all columns.
    """
    rows = list(csv.reader(io.StringIO(sources.read(ETT).decode())))
    assert tuple(rows[0][1:]) == COLUMNS
    values = np.array([row[1:] for row in rows[1:]], np.float64)
    width = asked.input_shape[-1]
    about = "all columns" if width == len(COLUMNS) else "the oil temperature"
    return windows("ett", values if width == len(COLUMNS) else values[:, -1:], HOURS, asked, every=4,
                   source=sources.describe([ETT]), about=about)  # fmt: skip


def delayed(count: int, start: float) -> np.ndarray:
    """Return samples (count,) of dx/dt = 0.2 x(t - 17) / (1 + x(t - 17)^10) - 0.1 x, from x = `start` before time 0.

    Source: Mackey and Glass 1977, Oscillation and chaos in physiological control systems; by Euler's method as in
    Jaeger 2001, The "echo state" approach.
    """
    lag, every, settled = round(DELAY / STEP), round(SPACED / STEP), round(SETTLED / STEP)
    total = settled + count * every
    x = [start] * (lag + 1)
    for step in range(total):
        past = x[step]
        x.append(x[-1] + STEP * (RISE * past / (1 + past**POWER) - FALL * x[-1]))
    return np.array(x[lag + 1 + settled :: every])[:count]


def windows(
    name: str, series: np.ndarray, counts: Mapping[str, int], asked: Asked, *, every: int, source: tuple[str, ...],
    about: str,
) -> Dataset:  # fmt: skip
    """Return windows (N, T, F) of a series (n, F), and as targets the values behind them, (N, F).

    Splits follow one another in time, and no window reaches over their borders; columns are brought to mean 0 and
    deviation 1 of the training part.  Raises: BadInput for windows that do not fit.
    """
    words = present(FORMS, name, asked)
    length, width = asked.input_shape
    if width != series.shape[1] or length >= min(counts.values()):
        raise BadInput(f"data set {name!r} cannot be shown as {asked.input_shape}: it has {series.shape[1]} columns, "
                       f"and {min(counts.values())} steps in the shortest part")  # fmt: skip
    known = series[: counts["train"]]
    scaled = ((series - known.mean(0)) / known.std(0)).astype(np.float32)
    splits: dict[str, Any] = {}
    first = 0
    for part, count in counts.items():
        starts = first + np.arange(0, count - length, every)
        splits[part] = Split(x=scaled[starts[:, None] + np.arange(length)], y=scaled[starts + length])
        first += count
    return Dataset(
        name=name,
        task=asked.task,
        preprocessing=f"{about}; each column by mean and deviation of the training part; {words.format(length)}, one "
        f"in {every}, and the step behind each",
        source=source,
        **splits,
    )
