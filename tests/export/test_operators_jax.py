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
from kernel_agreement import Agreement, Tally
from operator_cases import CASES, build, config

NAMES = sorted(CASES) if os.environ.get("EDGEWRIGHT_JAX_CASES") == "all" else [*sorted(CASES)[::8], "lstm_fused"]
SCRIPT = """
import json, pathlib, sys, numpy as np
from edgewright.export import export_tflite
from edgewright.export.tflite_writer import write_tflite
from edgewright.quantize import find_quantized, prepare_qat
from int8_run import output_step
from kernel_agreement import agreements, probe, run_all
from operator_cases import build, config
folder, facts, probes = pathlib.Path(sys.argv[1]), {}, {}
for name in sys.argv[2:]:
    model, x = build(name)
    qat, _ = prepare_qat(model, config(name), calibration=x)
    layer, artifact = find_quantized(qat), export_tflite(qat)
    given = probe(layer, name)
    probes[name] = layer, x, given
    (folder / f"{name}.tflite").write_bytes(artifact.data)
    (folder / f"{name}.probe.tflite").write_bytes(write_tflite(given.program))
    np.save(folder / f"{name}.npy", x)
    np.save(folder / f"{name}.probe.npy", x)
    facts[name] = {"step": output_step(layer), "operators": [each["op"] for each in artifact.manifest["layers"]]}
    np.save(folder / f"{name}@jax.npy", np.asarray(qat(x, training=False)))
run_all(folder, ["xnnpack"])
for name, (layer, x, given) in probes.items():
    values = given.parts(np.load(folder / f"{name}.probe@xnnpack.npy"))
    facts[name]["kernels"] = [vars(kernel) for kernel in agreements(layer, x, {"xnnpack": values})["xnnpack"]]
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
    off = np.abs(np.load(folder / f"{name}@xnnpack.npy") - np.load(folder / f"{name}@jax.npy")) / facts[name]["step"]
    assert (off < 1.5).mean() >= 0.99
    model, x = build(name)
    qat, _ = prepare_qat(model, config(name), calibration=x)
    assert facts[name]["operators"] == [layer["op"] for layer in export_tflite(qat).manifest["layers"]]


def test_kernels_of_files_from_jax_give_the_integers_of_training(from_jax):
    _, facts = from_jax
    tally = Tally("xnnpack")
    for name in NAMES:
        kernels = [Agreement(**kernel) for kernel in facts[name]["kernels"]]
        assert not any(kernel.fault for kernel in kernels), "\n".join(kernel.fault for kernel in kernels)
        tally.add(kernels, name)
    shortcomings = [said for operator in tally.by_operator if (said := tally.shortcoming(operator))]
    assert not shortcomings, "\n".join(shortcomings)
