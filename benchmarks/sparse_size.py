"""Bytes of the packed file of an 80% sparse w8a8-qat net over the bytes of the dense float file (bar 0.10).

    python benchmarks/sparse_size.py [--epochs 4] [--samples 2000] [--sparsity 0.8] [--no-peer] [NETWORK...]

Packed: `gzip -9` of the TFLite file. The nets have their published sizes and are trained briefly on real data, which is
enough for the spread of their weights. Beside ours, TFMOT's prune_low_magnitude, then its QAT, which does not keep the
zeros. At 80% no packer goes below 0.2 x 7 bits for what is left and 0.72 bits for where it lies, of 32: 0.066 and what
is no kernel.
"""

import argparse
import gzip
import sys

import edgewright as ew
import keras
import networks
from common import emit
from edgewright.errors import EdgewrightError
from edgewright.export.artifact import sparsity
from edgewright.pipeline.stages import prune_with_tfmot, quantize_with_tfmot
from edgewright.training.data import Dataset, calibration

BAR = "<= 0.10"
DATA = {"resnet8": "cifar10", "ds_cnn": "fsdd", "visual_wake_words": "cifar10"}


def packed(data: bytes) -> int:
    """Return the bytes of `data` in gzip."""
    return len(gzip.compress(data, 9, mtime=0))


def theirs(model: keras.Model, config: ew.PruneConfig, dataset: Dataset, training: ew.TrainConfig) -> bytes | None:
    """Return the int8 file of TFMOT's pruning and QAT, None where it refuses."""
    try:
        sparse, _ = prune_with_tfmot(model, config, dataset, training)
        return quantize_with_tfmot(sparse, dataset, training)[0].data
    except EdgewrightError as refused:
        print(refused, file=sys.stderr)
        return None


def main() -> int:
    """Print one figure a network; 0 if every bar is cleared."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=list(DATA), metavar="NETWORK")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--sparsity", type=float, default=0.8)
    parser.add_argument("--no-peer", action="store_true", help="leave TFMOT out")
    asked, cleared = parser.parse_args(), True
    for name in asked.networks:
        model = networks.build(name, classes=10)
        dataset = ew.load_data(DATA[name], input_shape=model.input_shape[1:], limit=asked.samples, test_limit=500)
        training = ew.TrainConfig(epochs=asked.epochs, batch_size=64, learning_rate=1e-3)
        config = ew.PruneConfig(sparsity=asked.sparsity)
        dense = ew.train(model, dataset, training)
        sparse, _ = ew.prune(model, config, data=dataset, training=training)
        qat, _ = ew.prepare_qat(sparse, calibration=calibration(dataset))
        points = ew.train(qat, dataset, training).metric - dense.metric
        base, int8 = len(ew.export_tflite(model).data), ew.export_tflite(qat).data
        peer = None if asked.no_peer else theirs(model, config, dataset, training)
        ratio = packed(int8) / base
        cleared &= emit(
            f"sparse_size/{name}", [ratio, ratio], 1, BAR, ratio=ratio, packed_bytes=packed(int8), bytes=len(int8),
            float_bytes=base, sparsity=sparsity(sparse), points=100 * points, peer="TFMOT",
            peer_ratio=None if peer is None else packed(peer) / base,
        )  # fmt: skip
        keras.utils.clear_session()
    return 0 if cleared else 1


if __name__ == "__main__":
    sys.exit(main())
