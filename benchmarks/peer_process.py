"""The process behind `peers.Peer`: one JSON job a line on standard input, one JSON answer a line on standard output."""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
from edgewright.quantize.tfmot import worker as tfmot_worker

HELD: dict[str, Any] = {}


def hold(name: str, described: dict[str, Any], weights: str) -> None:
    """Rebuild a Keras 3 model in tf-keras."""
    with np.load(weights, allow_pickle=False) as arrays:
        HELD[name] = tfmot_worker.rebuild(described, arrays)


def quantize(source: str, name: str) -> None:
    """Make a held model quantization-aware."""
    HELD[name] = tfmot.quantization.keras.quantize_model(HELD[source])


def prune(source: str, name: str, options: dict[str, Any]) -> None:
    """Put a held model under pruning, its masks following a polynomial schedule as `UpdatePruningStep` drives it."""
    schedule: Any = tfmot.sparsity.keras.PolynomialDecay(0.0, **options)
    HELD[name] = tfmot.sparsity.keras.prune_low_magnitude(HELD[source], pruning_schedule=schedule)


def cluster(source: str, name: str, options: dict[str, Any]) -> None:
    """Put a held model under clustering."""
    start = tfmot.clustering.keras.CentroidInitialization.KMEANS_PLUS_PLUS
    HELD[name] = tfmot.clustering.keras.cluster_weights(
        HELD[source], number_of_clusters=options["clusters"], cluster_centroids_init=start
    )


def observe(name: str, samples: str) -> None:
    """Let the quantizers see samples; no weight changes."""
    HELD[name](np.load(samples, allow_pickle=False), training=True)


def compile_step(name: str, x: str, y: str) -> None:
    """Compile a held model and take the first training steps on one batch."""
    model = HELD[name]
    tfmot_worker.compile_for(model, {"loss": "sparse_categorical_crossentropy", "learning_rate": 1e-3})
    HELD["batch"] = np.load(x, allow_pickle=False), np.load(y, allow_pickle=False)
    HELD[f"{name}/callback"] = callback = tfmot.sparsity.keras.UpdatePruningStep()
    callback.set_model(model)
    callback.on_train_begin()
    for _ in range(5):
        step(name)


def step(name: str) -> float:
    """Take one training step, pruning's own bookkeeping included, and return its seconds."""
    model, callback = HELD[name], HELD[f"{name}/callback"]
    started = time.perf_counter()
    callback.on_train_batch_begin(0)
    model.train_on_batch(*HELD["batch"])
    return time.perf_counter() - started


def convert(name: str, out: str, samples: str | None) -> float:
    """Convert a held model to TFLite, with samples to int8, and return the seconds it took."""
    started = time.perf_counter()
    converter = tf.lite.TFLiteConverter.from_keras_model(HELD[name])
    return _converted(converter, out, samples, started, int8=name == "quantized")


def convert_saved(saved: str, out: str, samples: str | None) -> float:
    """Convert a SavedModel to TFLite, with samples to int8, and return the seconds it took."""
    started = time.perf_counter()
    return _converted(tf.lite.TFLiteConverter.from_saved_model(saved), out, samples, started)


def _converted(converter: Any, out: str, samples: str | None, started: float, int8: bool = False) -> float:
    if int8 or samples is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if samples is not None:
        loaded = np.load(samples, allow_pickle=False)
        converter.representative_dataset = lambda: ([sample[None]] for sample in loaded)
    Path(out).write_bytes(converter.convert())
    return time.perf_counter() - started


JOBS: dict[str, Callable[..., Any]] = {
    job.__name__: job for job in (hold, quantize, prune, cluster, observe, compile_step, step, convert, convert_saved)
}


def main() -> None:
    """Serve until standard input closes. What libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        job = json.loads(line)
        try:
            answer = {"result": JOBS[job.pop("what")](**job)}
        except Exception as error:
            first = str(error).strip().partition("\n")[0]
            answer = {"error": f"{type(error).__name__}: {first[:300]}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
