"""The converter process: it may die or refuse, the host goes on and says why in one line."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from edgewright.errors import EdgewrightError
from edgewright.export import convert as converters
from edgewright.export import export_tflite


def dense(name="dense"):
    inputs = keras.Input((4,), name="x")
    return keras.Model(inputs, keras.layers.Dense(3, name="logits")(inputs), name=name)


def test_worker_that_dies_is_one_clear_line_and_the_next_conversion_works():
    frozen = converters.freeze(dense())
    first = converters.convert(frozen, "tflite")
    worker = converters._shared_worker()
    real_run = worker.process.stdin.write

    class KillingPipe:
        """Kills the process once a job is on its way."""

        def write(self, data):
            worker.process.kill()
            worker.process.wait()
            return real_run(data)

        def flush(self):
            pass

    pipe, worker.process.stdin = worker.process.stdin, KillingPipe()
    with pytest.raises(EdgewrightError) as caught:
        worker.run(
            {"graph": "none", "out": "none", "inputs": (), "outputs": (), "kind": "tflite", "precision": "float32"}
        )
    worker.process.stdin = pipe
    message = str(caught.value)
    assert "died with status -9" in message and "tflite" in message
    assert "\n" not in message
    assert converters.convert(frozen, "tflite") == first
    assert converters._shared_worker() is not worker


def test_worker_killed_between_two_conversions_is_replaced():
    frozen = converters.freeze(dense())
    first = converters.convert(frozen, "tflite")
    worker = converters._shared_worker()
    worker.process.kill()
    worker.process.wait()
    assert converters.convert(frozen, "tflite") == first


def test_refusal_of_the_converter_is_one_line_and_the_worker_lives():
    frozen = converters.freeze(dense())
    converters.convert(frozen, "tflite")
    worker = converters._shared_worker()
    broken = converters.Frozen(frozen.graph_def, ("absent:0",), frozen.outputs)
    with pytest.raises(EdgewrightError, match="refused the model") as caught:
        converters.convert(broken, "tflite")
    assert "absent" in str(caught.value) and "\n" not in str(caught.value)
    assert converters._shared_worker() is worker
    assert converters.convert(frozen, "tflite")


def test_freezing_leaves_the_model_as_it_was():
    model = dense()
    x = np.ones((2, 4), np.float32)
    expected, weights = np.asarray(model(x)), model.get_weights()
    converters.freeze(model)
    np.testing.assert_array_equal(np.asarray(model(x)), expected)
    for old, new in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_names_of_inputs_need_not_be_names_of_tensorflow():
    inputs = keras.Input((4,), name="my input (raw)")
    model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    assert export_tflite(model).manifest["inputs"][0]["name"] == "my input (raw)"


JAX = """
import keras
from edgewright.errors import BadInput
from edgewright.export import export_onnx, export_tflite
inputs = keras.Input((4,))
model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
for export in (export_tflite, export_onnx):
    try:
        export(model, precision="float32")
    except BadInput as error:
        print(error)
"""


def test_float_export_on_jax_is_refused_with_the_remedy():
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", JAX], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = done.stdout.strip().splitlines()
    assert len(lines) == 2
    assert all("TensorFlow backend" in line and "KERAS_BACKEND=tensorflow" in line for line in lines)
