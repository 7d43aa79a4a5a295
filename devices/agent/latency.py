"""How long inferences take: several models in turns, in blocks of random order."""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from .faults import refusing
from .kinds import Job, Say
from .machine import involuntary_switches, microseconds_since, peak_bytes, pin, telemetry
from .runtimes import open_model, verify
from .samples import load_arrays
from .states import samples_of
from .timing import SETTLE, enough, run_timed

FEEDS = 16  # samples that the timed loop cycles through
WINDOW_US = 100_000  # of warming up, where the job does not say
MOST_IN_BLOCK = 500  # inferences
LOAD_BLOCKS = 3.0  # loading anew for each block may take this many times as long as the blocks


def latency(job: Job, say: Say):
    """Time several models in turns, in blocks of many inferences, each round in a new random order.

    Reads `inputs` of a model, or else of the job, `cores` (list to run on, or null), `block_us`, `min_rounds`,
    `max_rounds`, `max_seconds`, `seed`, `window_us` to warm up in, and for an early end `pairs` [[candidate, baseline],
    ...] and `precision`: stop once the interval of every pair's speed-up is that narrow (relative half width).

    Where its memory happens to lie makes one load of a small model up to 2% faster than another (measured). So each
    block runs on a fresh load, shifted by a random amount: that luck is averaged out, and what is left of it shows in
    the interval. Only where loading would take several times as long as the blocks, every model keeps its first load.
    """
    pinned = pin(job.get("cores"))
    random = np.random.default_rng(job.get("seed", 0))
    timed = []
    for index, spec in enumerate(job["models"]):
        say("load", model=index)
        verify(spec)
        timed.append(Timed(spec, spec.get("inputs") or job["inputs"], random))
    for index, model in enumerate(timed):
        stable = model.warm_up(job["block_us"], job.get("window_us", WINDOW_US))
        say("warm", model=index, stable=stable, block=model.count)
    reload = sum(model.load_ns for model in timed) < LOAD_BLOCKS * sum(model.block_ns for model in timed)
    say("rounds", pinned=pinned, reload=reload)
    gc.disable()
    _rounds(job, say, timed, pinned, random, reload)


def _rounds(job: Job, say: Say, timed: Sequence, pinned: Any, random: Any, reload: bool):
    """Let the models take turns until enough is known."""
    begun = time.monotonic()
    medians = []
    while not enough(medians, time.monotonic() - begun, job, random):
        if len(medians) % 10 == 0:
            say("telemetry", t=round(time.monotonic() - begun, 4), **telemetry(pinned))
        row = np.zeros(len(timed))
        for index in random.permutation(len(timed)).tolist():
            if reload:
                timed[index].load()
            switches = involuntary_switches()
            nanoseconds = timed[index].block()
            switches = involuntary_switches() - switches
            row[index] = np.median(nanoseconds)
            told = {"t": round(time.monotonic() - begun, 4), "switches": switches}
            say("block", model=index, round=len(medians), **told, us=[value / 1000 for value in nanoseconds])
        medians.append(row)
    say("telemetry", t=round(time.monotonic() - begun, 4), peak_ram_bytes=peak_bytes(), **telemetry(pinned))


class Timed:
    """A model with what it takes to time it."""

    def __init__(self, spec: Job, inputs: Any, random: Any):
        self._spec, self._inputs, self._random = spec, inputs, random
        self.count = 1  # inferences in a block
        self.block_ns = 0.0
        self.load()

    def load(self):
        """Open the file anew, at another place in memory."""
        self._feed = self._invoke = self._pad = None  # free the load before
        self._pad = np.ones(64 * int(self._random.integers(1, 4096)), np.uint8)
        started = time.perf_counter_ns()
        model = open_model(self._spec)
        self.load_ns = time.perf_counter_ns() - started
        self._feed = samples_of(self._spec, load_arrays(self._inputs), model).feed(FEEDS)
        self._invoke = model.invoke

    def warm_up(self, block_us: float, window_us: float = WINDOW_US, tolerance: float = 0.03, windows: int = 10):
        """Run until the medians of two windows in a row agree; return whether they ever did. Then size the block."""
        self.load()  # the first load also paid for starting the runtime
        typical_ns = previous_ns = 0.0
        for _ in range(windows):
            typical_ns, previous_ns = float(np.median(self._window(window_us))), typical_ns
            if abs(typical_ns - previous_ns) < tolerance * typical_ns:
                break
        self.count = int(min(MOST_IN_BLOCK, max(5, round(1000 * block_us / typical_ns))))
        self.block_ns = self.count * typical_ns
        return abs(typical_ns - previous_ns) < tolerance * typical_ns

    def _window(self, window_us: float):
        times = []
        started = time.perf_counter_ns()
        with refusing():
            while not times or microseconds_since(started) < window_us:
                times += run_timed(self._feed, self._invoke, 8 if times else 1)
        return times

    def block(self):
        """Return the nanoseconds of each inference of one block."""
        with refusing():
            run_timed(self._feed, self._invoke, max(2, min(SETTLE, self.count // 4)))
            return run_timed(self._feed, self._invoke, self.count)
