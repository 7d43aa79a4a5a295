"""A hand-made results.json with what a run holds, and with less."""

import numpy as np

ROWS = (  # name, format, precision, sparsity, bytes, p50, value, integer operators, float operators
    ("float32.tflite", "tflite", "float32", 0.0, 248_116, 118.0, 0.9833, 0, 9),
    ("float16.tflite", "tflite", "float16", 0.0, 126_520, 118.9, 0.9833, 0, 13),
    ("w8.tflite", "tflite", "w8", 0.0, 68_900, 61.0, 0.9833, 4, 5),
    ("w8a8-ptq.tflite", "tflite", "w8a8-ptq", 0.0, 68_004, 41.2, 0.9778, 9, 0),
    ("w8a8-qat.tflite", "tflite", "w8a8-qat", 0.0, 68_004, 40.7, 0.9833, 9, 0),
    ("pruned-w8a8-qat.tflite", "tflite", "w8a8-qat", 0.5, 68_004, 40.9, 0.9806, 9, 0),
    ("float32.onnx", "onnx", "float32", 0.0, 247_005, 64.0, 0.9833, 0, 9),
    ("w8a8-qat.onnx", "onnx", "w8a8-qat", 0.0, 71_233, 66.3, 0.9833, 9, 0),
)
STAGES = (("train", 1.6, 20), ("prune", 0.3, 8), ("qat", 0.12, 6), ("pruned-qat", 0.2, 6))  # name, loss, epochs


def sample(model: str = "lenet5") -> dict:
    """Return a full results document: eight artifacts, six verdicts, curves, layers, environment."""
    artifacts, measurements, verdicts = [], [], []
    for name, format_, precision, sparsity, size, p50, value, integer, floating in ROWS:
        artifacts.append(
            {"name": name, "format": format_, "precision": precision, "sparsity": sparsity, "bytes": size,
             "sha256": "0" * 64, "path": f"artifacts/{name}", "quantized_ops": integer, "float_ops": floating}
        )  # fmt: skip
        latency = {"min": 0.97 * p50, "p50": p50, "p90": 1.06 * p50, "p99": 1.31 * p50, "mean": 1.02 * p50, "n": 400}
        measurements.append(
            {"artifact": name, "device": "local", "runtime": "litert" if format_ == "tflite" else "onnxruntime",
             "latency_us": latency, "latency_us_ci95": [0.995 * p50, 1.006 * p50], "peak_ram_bytes": 41_200_000,
             "metric": "accuracy", "value": value, "value_ci95": [value - 0.012, value + 0.009], "n": 360}
        )  # fmt: skip
        baseline = ROWS[0] if format_ == "tflite" else ROWS[6]
        if name != baseline[0]:
            speedup, delta = baseline[5] / p50, value - baseline[6]
            verdicts.append(
                {"artifact": name, "baseline": baseline[0], "device": "local", "speedup": speedup,
                 "speedup_ci95": [0.99 * speedup, 1.01 * speedup], "metric_delta": delta,
                 "metric_delta_ci95": [delta - 0.004, delta + 0.003], "agreement": 0.9944,
                 "verdict": "inconclusive" if name.startswith("w8a8-ptq") else "fail" if "onnx" in name else "pass",
                 "reason": "speed-up interval below 1" if "onnx" in name else ""}
            )  # fmt: skip
    names = ["conv1", "pool1", "conv2", "pool2", "flatten", "dense1", "dense2", "logits"]
    return {
        "schema": 1, "model": model, "data": "digits", "artifacts": artifacts, "measurements": measurements,
        "verdicts": verdicts, "thresholds": {"max_drop": 0.01, "min_speedup": None}, "created": "2026-11-21 10:00 UTC",
        "layers": {
            "pruned-w8a8-qat.tflite": [
                {"name": layer, "op": "CONV_2D" if "conv" in layer else "FULLY_CONNECTED", "dtype": "int8",
                 "sparsity": 0.5 if layer != "logits" else None} for layer in names
            ]
        },
        "curves": {
            stage: [
                {"epoch": epoch, "loss": start * 0.8**epoch, "val_loss": start * 0.82**epoch + 0.05,
                 "accuracy": 1 - 0.3 * start * 0.8**epoch, "val_accuracy": 0.985 - 0.3 * start * 0.82**epoch}
                for epoch in range(epochs)
            ]
            for stage, start, epochs in STAGES
        },
        "environment": {"system": "Linux 6.1 x86_64", "cpu": "Example CPU @ 2.0 GHz", "cores": 2, "python": "3.11.9",
                        "packages": {"keras": "3.15.1", "tensorflow": "2.21.0", "ai-edge-litert": "2.3.0"}},
        "command": "edgewright run lenet5 --data digits --out runs/lenet5-digits --seed 0",
        "notes": ["ONNX Runtime gains nothing from int8 on a model this small."],
    }  # fmt: skip


def latency_samples(seed: int = 0) -> dict[str, np.ndarray]:
    """Return skewed latencies in microseconds around each artifact's median."""
    random = np.random.default_rng(seed)
    return {row[0]: row[5] * (0.97 + random.gamma(2.0, 0.02, 400)) for row in ROWS}
