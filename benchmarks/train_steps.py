"""Training steps of several models, timed in turns: ours in this process, TFMOT's in a process of their own."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from common import paired_ratio
from peers import Peer

FusedOp = Callable[[], float]
BATCH = 64


def resnet8() -> keras.Model:
    """The MLPerf Tiny image classifier on 32x32x3."""
    import edgewright as ew

    return ew.build("resnet8", preset="paper")


def batch_for(model: keras.Model, size: int = BATCH) -> tuple[np.ndarray, np.ndarray]:
    """Return one random batch of samples and class numbers."""
    random = np.random.default_rng(0)
    x = random.normal(size=(size, *model.inputs[0].shape[1:])).astype("float32")
    return x, random.integers(0, model.outputs[0].shape[-1], size)


def own_steps(models: Mapping[str, keras.Model]) -> dict[str, FusedOp]:
    """Return for each model what takes one compiled training step and returns its seconds."""
    return {name: _own_step(model) for name, model in models.items()}


def _own_step(model: keras.Model) -> FusedOp:
    x, y = batch_for(model)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, jit_compile=False)
    for _ in range(5):
        model.train_on_batch(x, y)

    def step() -> float:
        start = time.perf_counter()
        model.train_on_batch(x, y)
        return time.perf_counter() - start

    return step


def peer_steps(peer: Peer, model: keras.Model, what: str, **options: object) -> dict[str, FusedOp]:
    """Return the steps of `model` in tf-keras, plain and under TFMOT; what: "quantize", "prune" or "cluster"."""
    x, y = (peer.folder / f"{name}.npy" for name in "xy")
    for path, values in zip((x, y), batch_for(model), strict=True):
        np.save(path, values)
    peer.hold("peer float", model)
    peer.hold("source", model)
    peer.ask(what, source="source", name="peer", **options)
    for name in ("peer float", "peer"):
        peer.ask("compile_step", name=name, x=str(x), y=str(y))
    return {name: lambda name=name: peer.ask("step", name=name) for name in ("peer float", "peer")}


def paired_seconds(steps: Mapping[str, FusedOp], rounds: int = 40) -> dict[str, np.ndarray]:
    """Return the seconds of each step by round; the order changes every round."""
    random = np.random.default_rng(0)
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name in random.permutation(list(steps)):
            taken[name].append(steps[name]())
    return {name: np.array(seconds) for name, seconds in taken.items()}


def beside(seconds: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return the peer's own ratio for the JSON line."""
    ratio, ci95 = paired_ratio(seconds["peer"], seconds["peer float"])
    median = {name: round(1000 * float(np.median(each)), 2) for name, each in seconds.items()}
    return {"peer": "TFMOT", "peer_ratio": ratio, "peer_ci95": ci95, "median_ms": median}
