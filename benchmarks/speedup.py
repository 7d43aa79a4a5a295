"""How much faster w8a8 is than float32 on LiteRT with one thread, network by network, weights as initialised."""

import sys
import tempfile
from pathlib import Path

import edgewright as ew
import keras
import numpy as np
from common import emit
from edgewright.devices.verdict.compare import Thresholds


def networks():
    """Yield name, model and bar."""
    yield "resnet8", ew.build("resnet8", preset="paper"), ">= 2.3"
    yield "mobilenet_v2", keras.applications.MobileNetV2(weights=None, classifier_activation=None), ">= 1.55"
    vww = keras.applications.MobileNet((96, 96, 3), alpha=0.25, weights=None, classes=2, classifier_activation=None)
    yield "visual_wake_words", vww, ">= 1.2"
    yield "anomaly_detector", ew.build("anomaly_detector", preset="paper"), ">= 4"


def main() -> int:
    """Print one figure a network; 0 if every bar is cleared."""
    cleared = True
    with tempfile.TemporaryDirectory() as folder:
        for name, model, bar in networks():
            samples = np.random.default_rng(0).normal(size=(32, *model.input_shape[1:])).astype("float32")
            qat, _ = ew.prepare_qat(model, calibration=samples)
            base = ew.export_tflite(model).save(Path(folder, f"{name}-float32.tflite"))
            int8 = ew.export_tflite(qat).save(Path(folder, f"{name}-w8a8.tflite"))
            run = ew.bench([int8], baseline=base, config=ew.BenchConfig(max_seconds=20))
            (verdict,) = ew.compare(run, Thresholds(max_drop=None))
            rounds = len(next(iter(run.raw.latency.values())))
            cleared &= emit(f"speedup/{name}", verdict.speedup_ci95, rounds, bar, ratio=verdict.speedup)
    return 0 if cleared else 1


if __name__ == "__main__":
    sys.exit(main())
