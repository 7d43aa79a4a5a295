"""Nets of keras.applications, untrained, through tracing, quantization, export and LiteRT; writes docs/applications.md.

python -m benchmarks.applications [NAME...]
"""

import argparse
import gc
import json
import sys
import time
from pathlib import Path

import keras
import numpy as np
from edgewright.devices.report.report import table
from edgewright.errors import EdgewrightError
from edgewright.export import export_tflite
from edgewright.pipeline.diagnose import diagnose
from edgewright.quantize import prepare_qat

# Input sizes: the smallest that the net takes.
SIZES = {
    "VGG16": 32, "VGG19": 32, "ResNet50": 32, "ResNet50V2": 32, "ResNet101": 32, "ResNet101V2": 32, "ResNet152V2": 32,
    "InceptionV3": 75, "InceptionResNetV2": 75, "Xception": 71, "MobileNet": 32, "MobileNetV2": 32,
    "MobileNetV3Small": 32, "MobileNetV3Large": 32, "DenseNet121": 32, "DenseNet169": 32, "DenseNet201": 32,
    "NASNetMobile": 32, "EfficientNetB0": 32, "EfficientNetB1": 32, "EfficientNetV2B0": 32, "EfficientNetV2S": 32,
    "ConvNeXtTiny": 32,
}  # fmt: skip
SAMPLES = 16
INTRODUCTION = """Untrained, with random batch statistics: traced, calibrated on 16 samples, exported to int8 TFLite,
run in LiteRT with XNNPACK. "Worst kernel" gives each operator the inputs it had on the device and compares its outputs
with the fake-quantizer's: what is left is one operator's rounding. Between the ends of a deep untrained net a single
step is enlarged from layer to layer, so outputs agree less; signal to noise is measured against the float model and is
the same for both. Made by `python -m benchmarks.applications`."""


def examine(name: str) -> dict:
    """Return one row: parameters, operators, agreement of the fake-quantized model with the file, seconds."""
    size = SIZES[name]
    started = time.monotonic()
    keras.utils.set_random_seed(0)
    model = getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3), classes=10,
                                              classifier_activation=None)  # fmt: skip
    randomize(model)
    x = np.random.default_rng(0).uniform(0, 1, (SAMPLES, size, size, 3)).astype("float32")
    row = {"name": name, "size": size, "params": model.count_params()}
    try:
        qat, _ = prepare_qat(model, calibration=x)
        found = diagnose(qat, x)
        last = found.rows[-1]
        row |= {
            "operators": len(found.rows),
            "float_ops": export_tflite(qat).manifest["float_ops"],
            "steps": last.steps_used,
            "kernel_exact": min(one.kernel_exact for one in found.rows),
            "kernel_within_one": min(one.kernel_within_one for one in found.rows),
            "exact": last.device_exact,
            "within_one": last.device_within_one,
            "snr_db": last.snr_db,
            "device_snr_db": last.device_snr_db,
            "error": "",
        }
    except EdgewrightError as error:
        row["error"] = str(error)
    return row | {"seconds": time.monotonic() - started}


def randomize(model: keras.Model) -> None:
    """Give batch norms statistics as training leaves them; a fresh net has none."""
    random = np.random.default_rng(0)
    for weight in model.weights:
        if weight.path.endswith(("moving_mean", "beta", "bias")):
            weight.assign(random.normal(0, 0.1, weight.shape))
        elif weight.path.endswith(("moving_variance", "gamma")):
            weight.assign(random.uniform(0.8, 1.2, weight.shape))


def main() -> None:
    """Examine the nets named on the command line, or all, and write the table where all were examined."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *SIZES], default=[])
    names = parser.parse_args().names or list(SIZES)
    rows = []
    for name in names:
        row = examine(name)
        rows.append(row)
        print(json.dumps(row), file=sys.stderr, flush=True)
        keras.backend.clear_session()
        gc.collect()
    done = [row for row in rows if not row["error"]]
    header = ("net", "input", "parameters", "int8 operators", "float", "worst kernel exact", "outputs within one step",
              "SNR dB fake-quantized", "SNR dB file", "s")  # fmt: skip
    cells = [
        (row["name"], f"{row['size']}²", f"{row['params']:,}", row["operators"], row["float_ops"],
         f"{row['kernel_exact']:.3%}", f"{row['within_one']:.1%}", f"{row['snr_db']:.1f}",
         f"{row['device_snr_db']:.1f}", f"{row['seconds']:.0f}")
        for row in done
    ]  # fmt: skip
    if len(names) == len(SIZES):
        text = Path(__file__).parent.parent / "docs" / "applications.md"
        text.write_text(f"# Nets of keras.applications\n\n{INTRODUCTION}\n\n{table(header, cells)}\n")
    exact = min((row["kernel_within_one"] for row in done), default=0.0)
    ok = len(done) >= 20 and exact >= 0.99
    print(
        json.dumps({"name": "applications", "value": exact, "n": len(done), "bar": ">= 0.99 for >= 20 nets", "ok": ok})
    )


if __name__ == "__main__":
    main()
