"""What the benchmarks share: the JSON line each prints, its intervals, and models to measure where none is given.

A benchmark is run as `python benchmarks/NAME.py`. It prints one JSON line per figure, with `name`, `value` or `ratio`,
`ci95`, `n`, `bar` and `ok`, and ends with code 0 only if every bar is cleared by the whole interval.
"""

import itertools
import json
import operator
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import stats

_RELATIONS: dict[str, Callable[[float, float], bool]] = {"<=": operator.le, ">=": operator.ge}


def paired_ratio(numerator: np.ndarray, denominator: np.ndarray, seed: int = 0) -> tuple[float, list[float]]:
    """Return the median of the ratios and its 95% bootstrap interval. Both arrays hold one number a repetition."""
    return median(np.asarray(numerator) / np.asarray(denominator), seed)


def median(values: np.ndarray, seed: int = 0) -> tuple[float, list[float]]:
    """Return the median of independent values and its 95% bootstrap interval."""
    values = np.asarray(values, np.float64)
    found = stats.bootstrap(
        (values,), np.median, n_resamples=5000, method="percentile", rng=np.random.default_rng(seed)
    )
    return float(np.median(values)), [float(each) for each in found.confidence_interval]


def told_of_seeds(name: str, values: np.ndarray) -> None:
    """Print the mean of values (seeds, samples), its 95% interval over samples, and the mean of each seed; no bar."""
    of_sample = values.mean(0)
    found = stats.bootstrap((of_sample,), np.mean, n_resamples=5000, method="percentile", rng=np.random.default_rng(0))
    line = {
        "name": name,
        "value": float(of_sample.mean()),
        "ci95": [float(end) for end in found.confidence_interval],
        "n": len(of_sample),
        "each": [round(float(mean), 5) for mean in values.mean(1)],
    }
    print(json.dumps(line), flush=True)


def share(hits: int, n: int) -> tuple[float, list[float]]:
    """Return hits / n and its exact 95% interval (Clopper and Pearson 1934)."""
    low, high = stats.binomtest(hits, n).proportion_ci()
    return hits / n, [float(low), float(high)]


def emit(name: str, ci95: list[float], n: int, bar: str, *, value: float | None = None, ratio: float | None = None,
         **more: object) -> bool:  # fmt: skip
    """Print the JSON line and return whether the whole interval clears the bar, such as "<= 1.15" or "0.98 .. 1.02"."""
    ok = clears(ci95, bar)
    number = {"value": value} if ratio is None else {"ratio": ratio}
    print(json.dumps({"name": name, **number, "ci95": ci95, "n": n, "bar": bar, "ok": ok, **more}), flush=True)
    return ok


def clears(ci95: list[float], bar: str) -> bool:
    low, high = ci95
    if ".." in bar:
        first, last = map(float, bar.split(".."))
        return first <= low and high <= last
    relation, limit = bar.split()
    return _RELATIONS[relation](high if relation == "<=" else low, float(limit))


def write_convnet(path: Path, *, width: int = 32, size: int = 64, int8: bool = False) -> Path:
    """Write a TFLite file of three convolutions and a classifier on (1, size, size, 3), float or all int8 inside."""
    import tensorflow as tf

    random = np.random.default_rng(0)
    channels = [3, width, 2 * width, 2 * width]
    kernels = [
        tf.constant(random.normal(size=(3, 3, a, b), scale=(2 / (9 * a)) ** 0.5), tf.float32)
        for a, b in itertools.pairwise(channels)
    ]
    head = tf.constant(random.normal(size=(channels[-1], 10)), tf.float32)

    @tf.function(input_signature=[tf.TensorSpec((1, size, size, 3), tf.float32, name="x")])
    def convnet(x):
        for kernel in kernels:
            x = tf.nn.relu(tf.nn.conv2d(x, kernel, 2 if x.shape[1] == size else 1, "SAME"))
        return tf.matmul(tf.reduce_mean(x, [1, 2]), head)

    converter = tf.lite.TFLiteConverter.from_concrete_functions([convnet.get_concrete_function()])
    if int8:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([each[None]] for each in samples(32, size))
    path.write_bytes(converter.convert())
    return path


def samples(n: int = 16, size: int = 64) -> np.ndarray:
    """Return n random samples for `write_convnet`, (n, size, size, 3) float32."""
    return np.random.default_rng(1).normal(size=(n, size, size, 3)).astype(np.float32)
