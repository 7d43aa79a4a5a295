"""Zeros and clusters by ours and by TFMOT: the same trained net, data, epochs, rate and batch; then the same exporter.

    python benchmarks/prune_peer.py [--data mnist] [--train 12000] [--epochs 3] [--seeds 3] [NETWORK]

For each case, 50% and 80% of the weights at zero by the polynomial schedule, and 16 clusters a kernel: points of
accuracy lost (float model, whole test set), and the kilobytes that the float32 and the w8a8-ptq file have once packed
by gzip. Then the seconds of a training step, ours and TFMOT's, each over its own float step, in turns. The interval of
a difference resamples test samples, each the mean over the seeds.
"""

import argparse
import sys
from collections.abc import Callable

import edgewright as ew
import keras
import numpy as np
from common import emit, paired_ratio
from edgewright.quantize.tfmot import engine as tfmot
from edgewright.training.data import Dataset, calibration
from peers import Peer
from train_steps import own_steps, paired_seconds, peer_steps

RATE, BATCH = 1e-3, 64
CASES = ("zeros 50%", "zeros 80%", "16 clusters")
Made = tuple[keras.Model, keras.Model]  # ours, TFMOT's


def steps_of(x: np.ndarray, epochs: int) -> int:
    """Return how many training steps there are."""
    return -(-len(x) // BATCH) * epochs


def pruned(model: keras.Model, x: np.ndarray, y: np.ndarray, epochs: int, sparsity: float) -> Made:
    """Return `model` with zeros by both, the schedule at its end after half of the steps."""
    schedule = {"begin_step": 0, "end_step": steps_of(x, epochs) // 2, "frequency": 50}
    pruning, _ = ew.prepare_prune(model, ew.PruneConfig(sparsity=sparsity, **schedule))
    theirs, _ = tfmot.prune(model, x, y, sparsity=sparsity, training=training(epochs), **schedule)
    return ew.strip_prune(fitted(pruning, x, y, epochs)), theirs


def clustered(model: keras.Model, x: np.ndarray, y: np.ndarray, epochs: int) -> Made:
    """Return `model` with 16 values a kernel by both."""
    clustering, _ = ew.prepare_cluster(model, ew.ClusterConfig(clusters=16))
    theirs, _ = tfmot.cluster(model, x, y, clusters=16, training=training(epochs))
    return ew.strip_cluster(fitted(clustering, x, y, epochs)), theirs


DONE: dict[str, Callable[..., Made]] = {
    "zeros 50%": lambda *given: pruned(*given, 0.5),
    "zeros 80%": lambda *given: pruned(*given, 0.8),
    "16 clusters": clustered,
}


def training(epochs: int) -> tfmot.TfmotTraining:
    """Return how TFMOT trains."""
    return tfmot.TfmotTraining(epochs=epochs, batch_size=BATCH, learning_rate=RATE)


def fitted(model: keras.Model, x: np.ndarray, y: np.ndarray, epochs: int) -> keras.Model:
    """Train as TFMOT's model is trained: Adam at a fixed rate, the last epoch kept."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(RATE), loss, jit_compile=False)
    model.fit(x, y, batch_size=BATCH, epochs=epochs, verbose=0)
    return model


def hits(model: keras.Model, dataset: Dataset) -> np.ndarray:
    """Return 1 for each test sample that is answered rightly, else 0."""
    return (model.predict(dataset.test.x, batch_size=500, verbose=0).argmax(-1) == dataset.test.y).astype(np.float64)


def packed_kb(model: keras.Model, dataset: Dataset) -> tuple[float, float]:
    """Return the packed size of the float32 and of the w8a8-ptq file."""
    plain = ew.export_tflite(model)
    quantized = ew.export_tflite(model, precision="w8a8-ptq", calibration=calibration(dataset))
    return plain.manifest["gzip_bytes"] / 1e3, quantized.manifest["gzip_bytes"] / 1e3


def difference(ours: list[np.ndarray], theirs: list[np.ndarray]) -> tuple[float, list[float]]:
    """Return by how many points ours is better, and the 95% bootstrap interval over test samples."""
    apart = 100 * (np.mean(ours, axis=0) - np.mean(theirs, axis=0))
    random = np.random.default_rng(0)
    means = [random.choice(apart, len(apart)).mean() for _ in range(2000)]
    return float(apart.mean()), np.percentile(means, [2.5, 97.5]).tolist()


def judged(name: str, dataset: Dataset, count: int, epochs: int, seeds: int) -> bool:
    """Print what each case costs; True if none of ours is worse by more than half a point."""
    x, y = dataset.train.x[:count], dataset.train.y[:count]
    right: dict[str, list[list[np.ndarray]]] = {case: [[], [], []] for case in CASES}
    sizes: dict[str, list[tuple[float, float]]] = {}
    for seed in range(seeds):
        keras.utils.set_random_seed(seed)
        model = fitted(ew.build(name, preset="edge", seed=seed), x, y, 2 * epochs)
        base, size = hits(model, dataset), packed_kb(model, dataset) if seed == 0 else None
        for case in CASES:
            made = DONE[case](model, x, y, epochs)
            for place, found in enumerate((base, *(hits(each, dataset) for each in made))):
                right[case][place].append(found)
            if size is not None:
                sizes[case] = [size, *(packed_kb(each, dataset) for each in made)]
            lost = [round(float(100 * (base.mean() - found[-1].mean())), 2) for found in right[case][1:]]
            print(f"{name}, seed {seed}, {case}: points lost by ours, TFMOT {lost}", file=sys.stderr, flush=True)
    cleared = True
    for case in CASES:
        before, ours, theirs = right[case]
        apart, ci95 = difference(ours, theirs)
        lost = [round(float(100 * (np.mean(before) - np.mean(each))), 3) for each in (ours, theirs)]
        packed = np.round(sizes[case], 1).tolist()  # of the first seed
        cleared &= emit(f"prune_peer/{name}/{case}", ci95, len(dataset.test), ">= -0.5", value=apart,
                        float_accuracy=round(float(100 * np.mean(before)), 3), ours_lost=lost[0], peer_lost=lost[1],
                        packed_kb={"float": packed[0], "ours": packed[1], "peer": packed[2]}, seeds=seeds)  # fmt: skip
    return cleared


def timed(name: str) -> bool:
    """Print what each way adds to a training step; True if ours adds no more than TFMOT's."""
    cleared = True
    for what in ("prune", "cluster"):
        model = ew.build(name, preset="edge")
        options = {"final_sparsity": 0.5, "begin_step": 0, "end_step": 1000, "frequency": 100}
        options = options if what == "prune" else {"clusters": 16}
        made, _ = (
            ew.prepare_prune(model, ew.PruneConfig(end_step=1000, frequency=100))
            if what == "prune"
            else ew.prepare_cluster(model, ew.ClusterConfig(clusters=16))
        )
        with Peer() as peer:
            steps = own_steps({"float": model, "ours": made}) | peer_steps(peer, model, what, options=options)
            seconds = paired_seconds(steps, rounds=60)
        ours, ci95 = paired_ratio(seconds["ours"], seconds["float"])
        theirs, peer_ci95 = paired_ratio(seconds["peer"], seconds["peer float"])
        milliseconds = {key: round(1e3 * float(np.median(each)), 2) for key, each in seconds.items()}
        cleared &= emit(f"prune_peer/{name}/step of {what}", ci95, 60, f"<= {peer_ci95[1]:.3f}", ratio=ours,
                        peer_ratio=theirs, peer_ci95=peer_ci95, median_ms=milliseconds)  # fmt: skip
    return cleared


def main() -> int:
    """Print the figures; 0 if all bars are cleared."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", nargs="?", default="lenet5")
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--train", type=int, default=12_000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    (shape,) = [tuple(leaf.shape[1:]) for leaf in ew.build(asked.network, preset="edge").inputs]
    dataset = ew.load_data(asked.data, input_shape=shape)
    cleared = judged(asked.network, dataset, asked.train, asked.epochs, asked.seeds)
    return 0 if timed(asked.network) and cleared else 1


if __name__ == "__main__":
    sys.exit(main())
