"""The operator cases prepared and exported on JAX: LiteRT rounds as JAX did, by the same operators as from TensorFlow.

EDGEWRIGHT_JAX_CASES=all takes every case; by default each eighth, in two minutes less.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from edgewright.export import export_tflite
from edgewright.quantize import prepare_qat
from int8_run import LITERT
from operator_cases import CASES, build, config

NAMES = sorted(CASES) if os.environ.get("EDGEWRIGHT_JAX_CASES") == "all" else [*sorted(CASES)[::8], "lstm_fused"]
SCRIPT = """
import json, pathlib, sys, numpy as np
from edgewright.export import export_tflite
from edgewright.quantize import find_quantized, prepare_qat
from int8_run import output_step
from operator_cases import build, config
folder, facts = pathlib.Path(sys.argv[1]), {}
for name in sys.argv[2:]:
    model, x = build(name)
    qat, _ = prepare_qat(model, config(name), calibration=x)
    artifact = export_tflite(qat)
    (folder / f"{name}.tflite").write_bytes(artifact.data)
    np.save(folder / f"{name}.npy", x)
    np.save(folder / f"{name}@jax.npy", np.asarray(qat(x, training=False)))
    facts[name] = [output_step(find_quantized(qat)), [layer["op"] for layer in artifact.manifest["layers"]]]
(folder / "facts.json").write_text(json.dumps(facts))
"""


@pytest.fixture(scope="module")
def from_jax(tmp_path_factory):
    pytest.importorskip("jax", reason="the extra jax is not installed")
    folder = tmp_path_factory.mktemp("jax")
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    command = [sys.executable, "-c", SCRIPT, folder, *NAMES]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder, json.loads((folder / "facts.json").read_text())


@pytest.mark.parametrize("name", NAMES)
def test_file_from_jax_rounds_as_jax_did(from_jax, name):
    folder, facts = from_jax
    step, operators = facts[name]
    command = [sys.executable, "-c", LITERT, folder / f"{name}.tflite", folder / f"{name}.npy", folder / "y.npy"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    off = np.abs(np.load(folder / "y.npy") - np.load(folder / f"{name}@jax.npy")) / step
    assert (off < 1.5).mean() >= 0.99
    model, x = build(name)
    qat, _ = prepare_qat(model, config(name), calibration=x)
    assert operators == [layer["op"] for layer in export_tflite(qat).manifest["layers"]]
