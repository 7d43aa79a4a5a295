"""The operator cases prepared and exported on JAX: LiteRT rounds as JAX did, by the same operators as from TensorFlow.

EDGEWRIGHT_JAX_CASES=all takes every case; by default each eighth.
"""

import json
import os

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
from kernel_agreement import Server, agreements, probe
from operator_cases import build, config
folder, facts = pathlib.Path(sys.argv[1]), {}
with Server(folder) as server:
    for name in sys.argv[2:]:
        model, x = build(name)
        qat, _ = prepare_qat(model, config(name), calibration=x)
        layer, artifact, given = find_quantized(qat), export_tflite(qat), probe(find_quantized(qat), name)
        values = given.parts(server.run(write_tflite(given.program), "xnnpack", x))
        off = np.abs(server.run(artifact.data, "xnnpack", x) - np.asarray(qat(x, training=False))) / output_step(layer)
        facts[name] = {
            "operators": [each["op"] for each in artifact.manifest["layers"]],
            "within_one": float((off < 1.5).mean()),
            "kernels": [vars(kernel) for kernel in agreements(layer, x, {"xnnpack": values})["xnnpack"]],
        }
(folder / "facts.json").write_text(json.dumps(facts))
"""


@pytest.fixture(scope="module")
def from_jax(tmp_path_factory, on_jax):
    folder = tmp_path_factory.mktemp("jax")
    on_jax.says(SCRIPT, folder, *NAMES)
    return json.loads((folder / "facts.json").read_text())


@pytest.mark.parametrize("name", NAMES)
def test_file_from_jax_rounds_as_jax_did(from_jax, name):
    assert from_jax[name]["within_one"] >= 0.99
    model, x = build(name)
    qat, _ = prepare_qat(model, config(name), calibration=x)
    assert from_jax[name]["operators"] == [layer["op"] for layer in export_tflite(qat).manifest["layers"]]


def test_kernels_of_files_from_jax_give_the_integers_of_training(from_jax):
    tally, faults = Tally("xnnpack"), []
    for name in NAMES:
        kernels = [Agreement(**kernel) for kernel in from_jax[name]["kernels"]]
        faults += [said for kernel in kernels if (said := kernel.fault_on("xnnpack"))]
        tally.add(kernels, name)
    faults += [said for operator in tally.by_operator if (said := tally.shortcoming(operator))]
    assert not faults, "\n".join(faults)
