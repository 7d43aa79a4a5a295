"""Diagnosis takes samples in every form that calibration does, and finds nothing wrong in a good file of any format."""

import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.pipeline import diagnose as module
from edgewright.pipeline.alone import least_kernel
from edgewright.pipeline.diagnose import diagnose
from edgewright.quantize import prepare_qat
from keras import layers, ops

pandas = pytest.importorskip("pandas")


def columns():
    """Return a model of two columns, and samples of them."""
    keras.utils.set_random_seed(0)
    inputs = {name: keras.Input((1,), name=name) for name in ("age", "income")}
    joined = layers.Concatenate()(list(inputs.values()))
    model = keras.Model(inputs, layers.Dense(2)(layers.Dense(4, activation="relu")(joined)), name="columns")
    random = np.random.default_rng(0)
    return model, {name: random.normal(size=(64, 1)).astype("float32") for name in inputs}


def test_a_data_frame_says_what_its_columns_say_as_arrays():
    model, samples = columns()
    qat, _ = prepare_qat(model, calibration=samples)
    frame = pandas.DataFrame({name: values[:, 0] for name, values in samples.items()})
    expected = diagnose(qat, samples)
    assert expected.first_divergence is None and expected.samples == 64
    assert diagnose(qat, frame[["income", "age"]]).rows == expected.rows
    with pytest.raises(BadInput, match="income"):
        diagnose(qat, frame[["age"]])


def test_masks_do_not_flip_by_what_a_dequantizer_is_off(monkeypatch):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,), name="x")
    model = keras.Model(inputs, ops.where(inputs > 0, layers.Dense(6)(inputs), 0.0), name="masked")
    samples = np.maximum(np.random.default_rng(0).normal(size=(64, 6)), 0).astype("float32")  # half of them are 0
    qat, _ = prepare_qat(model, calibration=samples)
    on_device = module._on_device

    def a_little_more(*arguments):
        return {key: values + np.float32(1e-6) for key, values in on_device(*arguments).items()}

    monkeypatch.setattr(module, "_on_device", a_little_more)
    assert [row.kernel_exact for row in diagnose(qat, samples).rows if row.operator == "SELECT_V2"] == [1.0]


@pytest.mark.parametrize("format", ["tflite", "onnx"])
def test_kernels_alone_are_right_in_files_of_both_formats(format):
    model, samples = columns()
    qat, _ = prepare_qat(model, calibration=samples)
    assert least_kernel(qat, samples, {}, format) == diagnose(qat, samples, format=format).least_kernel == 1.0
    with pytest.raises(BadInput, match="'onx'"):
        diagnose(qat, samples, format="onx")


def test_a_kernel_that_is_wrong_alone_is_found_in_a_network_with_states(monkeypatch):
    keras.utils.set_random_seed(0)
    x, total = keras.Input((3,), name="x"), keras.Input((4,), name="total")
    new = layers.Dense(4, activation="tanh", name="cell")(layers.Concatenate()([x, total]))
    model = keras.Model({"x": x, "total": total}, {"y": layers.Dense(2, name="out")(new), "new": new}, name="step")
    random = np.random.default_rng(0)
    samples = {"x": random.normal(size=(64, 3)).astype("float32"), "total": np.tanh(random.normal(size=(64, 4)))}
    qat, _ = prepare_qat(model, calibration=samples)
    given = {"x": random.normal(size=(4, 6, 3)).astype("float32")}
    assert least_kernel(qat, given, {"new": "total"}, "tflite") == 1.0
    on_device = module._on_device

    def half_wrong(*arguments):
        values = on_device(*arguments)
        last = list(values)[-1]
        return values | {last: np.where(np.arange(len(values[last]))[:, None] % 2, values[last] + 1, values[last])}

    monkeypatch.setattr(module, "_on_device", half_wrong)
    assert least_kernel(qat, given, {"new": "total"}, "tflite") == 0.5
