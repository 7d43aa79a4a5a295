"""How much faster a net is of which channels were taken out: float32 on LiteRT with one thread, weights as initialised.

`realised` is the speed-up over the reduction in multiply-adds (Torch-Pruning's ResNet-50 realises 0.57).
"""

import sys
import tempfile
from pathlib import Path

import edgewright as ew
import keras
from common import emit
from edgewright.devices.verdict.compare import Thresholds

SHARE, MULTIPLE = 0.5, 8


def networks():
    """Yield name and model."""
    yield "resnet8", ew.build("resnet8", preset="paper")
    yield "ds_cnn", ew.build("ds_cnn", preset="paper")
    net = keras.applications.MobileNet((96, 96, 3), alpha=0.25, weights=None, classes=10, classifier_activation=None)
    yield "mobilenet_v1", net


def main() -> int:
    """Print two figures a network; 0 if every bar is cleared."""
    cleared = True
    for name, model in networks():
        smaller, report = ew.prune_channels(model, ew.ChannelConfig(channels=SHARE, multiple_of=MULTIPLE))
        reduction = report.macs[0] / report.macs[1]
        with tempfile.TemporaryDirectory() as folder:
            base = ew.export_tflite(model).save(Path(folder, f"{name}-float32.tflite"))
            file = ew.export_tflite(smaller).save(Path(folder, f"{name}-smaller.tflite"))
            run = ew.bench([file], baseline=base, config=ew.BenchConfig(max_seconds=20))
        (verdict,) = ew.compare(run, Thresholds(max_drop=None))
        rounds = len(next(iter(run.raw.latency.values())))
        latency = [1 / end for end in verdict.speedup_ci95[::-1]]
        cleared &= emit(f"structured/{name}/latency", latency, rounds, "<= 0.60", ratio=1 / verdict.speedup,
                        macs=report.macs, parameters=report.parameters)  # fmt: skip
        realised = [end / reduction for end in verdict.speedup_ci95]
        cleared &= emit(f"structured/{name}/realised", realised, rounds, ">= 0.80", ratio=verdict.speedup / reduction)
    return 0 if cleared else 1


if __name__ == "__main__":
    sys.exit(main())
