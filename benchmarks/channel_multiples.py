"""Which multiple of channels pays on this machine: pointwise and 3x3 convolutions of 8 to 64 channels, LiteRT.

For each count the microseconds of one convolution (24x24, as many channels in as out), float32 and int8, all timed in
turns; and for each multiple how much longer the counts that are none take, for each channel, than those that are.
`python benchmarks/channel_multiples.py` prints a table; docs/targets.md keeps what came of it.
"""

from __future__ import annotations

import sys

import keras
import numpy as np
from edgewright.devices.turns import timed_in_turns
from edgewright.pipeline.latency import exported, saved

COUNTS = (8, 12, 15, 16, 17, 20, 24, 28, 31, 32, 33, 40, 44, 47, 48, 49, 56, 60, 63, 64)
SIZE = 24


def convolution(count: int, kernel: int) -> keras.Model:
    """Return one convolution of as many channels in as out."""
    given = keras.Input((SIZE, SIZE, count))
    return keras.Model(given, keras.layers.Conv2D(count, kernel, padding="same")(given), name=f"conv_{count}")


def times(kernel: int, precision: str) -> dict[int, float]:
    """Return microseconds by count."""
    with saved({str(count): exported(convolution(count, kernel), precision) for count in COUNTS}) as files:
        return {int(name): float(np.median(rounds)) for name, rounds in timed_in_turns(files).items()}


def main() -> int:
    """Print microseconds by count, and what each multiple saves."""
    found = {(kernel, precision): times(kernel, precision) for kernel in (1, 3) for precision in ("float32", "w8a8")}
    columns = [f"{kernel}x{kernel} {precision}" for kernel, precision in found]
    print("count".ljust(8), *(column.rjust(14) for column in columns))
    for count in COUNTS:
        print(str(count).ljust(8), *(f"{of[count]:14.2f}" for of in found.values()))
    for below in (15, 31, 47, 63):
        share = [of[below] / of[below + 1] for of in found.values()]
        over = [of.get(below + 2, np.nan) / of[below + 1] for of in found.values()]
        print(f"{below}/{below + 1}".ljust(8), *(f"{value:14.2f}" for value in share))
        print(f"{below + 2}/{below + 1}".ljust(8), *(f"{value:14.2f}" for value in over))
    return 0


if __name__ == "__main__":
    sys.exit(main())
