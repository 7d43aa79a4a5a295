"""The JAX backend trains the same quantized graph and exports the same operators."""

import json

from edgewright.export import export_tflite
from edgewright.quantize import prepare_qat
from int8_run import MODELS, samples

JAX = """
import json, sys
import numpy as np
from int8_run import MODELS, samples
import keras
from edgewright.export import export_tflite
from edgewright.quantize import QatConfig, find_quantized, prepare_qat
names = json.loads(sys.argv[1])
assert keras.backend.backend() == "jax"
found = {}
for name in names:
    model = MODELS[name]()
    x = samples(model)
    qat, _ = prepare_qat(model, calibration=x)
    qat.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    losses = qat.fit(x, np.arange(len(x)) % 4, epochs=2, batch_size=32, verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    found[name] = export_tflite(qat).manifest["layers"]
for ranges in ("moving-average", "learned"):
    qat, _ = prepare_qat(MODELS["cnn"](), QatConfig(ranges=ranges, freeze_after=3, momentum=0.5), calibration=0.5 * x)
    layer = find_quantized(qat)
    scale = layer.plan.scale_of(layer.plan.graph.inputs[0])
    qat.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    widths = [float(layer.range(scale)[1])]
    for _ in range(3):
        qat.fit(x, np.arange(len(x)) % 4, batch_size=32, shuffle=False, verbose=0)
        widths.append(float(layer.range(scale)[1]))
    assert widths[0] != widths[1] != widths[2] and int(layer.steps_taken) == 6, widths
    if ranges == "moving-average":
        assert widths[2] == widths[3] > 1.5 * widths[0], widths
print(json.dumps(found))
"""


def test_jax_trains_and_exports_the_same_operators(on_jax):
    names = ["cnn"]
    found = json.loads(on_jax.says(JAX, json.dumps(names)).splitlines()[-1])
    for build in map(MODELS.get, names):
        qat, _ = prepare_qat(build(), calibration=samples(build()))
        assert found[qat.name] == export_tflite(qat).manifest["layers"]
