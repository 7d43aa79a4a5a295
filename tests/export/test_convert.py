"""The converter process: it may die or refuse, the host goes on and says why in one line."""

import os
import signal
import threading

import keras
import numpy as np
import pytest
from edgewright.devices.measure import answers
from edgewright.errors import EdgewrightError
from edgewright.export import convert as converters
from edgewright.export import export_onnx, export_tflite


def dense(name="dense"):
    inputs = keras.Input((4,), name="x")
    return keras.Model(inputs, keras.layers.Dense(3, name="logits")(inputs), name=name)


def test_worker_that_dies_is_one_clear_line_and_the_next_conversion_works(monkeypatch):
    frozen = converters.freeze(dense())
    first = converters.convert(frozen, "tflite")
    worker = converters._converter()
    stopped = worker.process
    os.kill(stopped.pid, signal.SIGSTOP)  # so that it dies with the order on its way, not before
    threading.Timer(1, stopped.kill).start()
    with pytest.raises(EdgewrightError) as caught:
        converters.convert(frozen, "tflite")
    assert "the tflite converter died with status -9 on precision float32: " in str(caught.value)
    assert "\n" not in str(caught.value)
    assert converters.convert(frozen, "tflite") == first and worker.process is not stopped
    monkeypatch.setattr(converters, "TIME_LIMIT_S", 1)
    os.kill(worker.process.pid, signal.SIGSTOP)
    with pytest.raises(EdgewrightError, match="the tflite converter gave no answer in 1 s on precision float32"):
        converters.convert(frozen, "tflite")


def test_refusal_of_the_converter_is_one_line_and_the_worker_lives():
    frozen = converters.freeze(dense())
    converters.convert(frozen, "tflite")
    process = converters._converter().process
    broken = converters.Frozen(frozen.graph_def, ("absent:0",), frozen.outputs)
    with pytest.raises(EdgewrightError, match="refused the model") as caught:
        converters.convert(broken, "tflite")
    assert "absent" in str(caught.value) and "\n" not in str(caught.value)
    assert converters.convert(frozen, "tflite") and converters._converter().process is process


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


def test_float_export_on_jax_is_refused_with_the_remedy(on_jax):
    lines = on_jax.says(JAX).strip().splitlines()
    assert len(lines) == 2
    assert all("TensorFlow backend" in line and "KERAS_BACKEND=tensorflow" in line for line in lines)


def test_argmax_and_argmin_are_converted_without_bitwise_operators(tmp_path):
    inputs = keras.Input((6,), name="x")
    x = keras.layers.Dense(5, name="dense")(inputs)
    model = keras.Model(inputs, keras.ops.stack([keras.ops.argmax(x, axis=-1), keras.ops.argmin(x, axis=-1)], axis=-1))
    samples = np.random.default_rng(0).normal(size=(20, 6)).astype("float32")
    expected = np.asarray(model(samples))
    for kind, export in (("tflite", export_tflite), ("onnx", export_onnx)):
        given = answers(export(model).save(tmp_path / f"net.{kind}"), samples)
        np.testing.assert_array_equal(given, expected)
