"""What rounding does is measured when a model is prepared: wrong traces, hopeless operators, uneven columns."""

import edgewright as ew
import keras
import numpy as np
import pytest
from edgewright.errors import BadInput, WrongOrder
from edgewright.quantize import find_quantized
from edgewright.quantize.calibration import calibrate
from edgewright.quantize.graph import layer_rules as composites
from edgewright.quantize.noise import measure, too_coarse
from keras import layers, ops

RANDOM = np.random.default_rng(0)


def decibels(want, got):
    return 10 * np.log10(np.square(want).sum() / np.square(want - got).sum())


@keras.saving.register_keras_serializable("tests")
class Sines(layers.Layer):
    def call(self, t):
        speeds = 2.0 * np.pi * np.exp(np.linspace(0.0, np.log(1000.0), 16)).astype("float32")
        return ops.concatenate([ops.sin(speeds * t), ops.cos(speeds * t)], axis=-1)


def sines():
    inputs = keras.Input((1,))
    x = Sines(name="embed")(inputs)
    return keras.Model(inputs, layers.Dense(8)(x)), RANDOM.uniform(0, 1, (32, 1)).astype("float32")


def test_an_embedding_of_sines_stays_in_float_and_the_report_says_why():
    model, t = sines()
    qat, report = ew.prepare_qat(model, calibration=t)
    assert decibels(np.asarray(model(t)), np.asarray(qat(t))) > 35
    assert all("8 bits leave" in row["reason"] for row in report.float_ops) and len(report.float_ops) == 4
    coarse, report = ew.prepare_qat(model, ew.QatConfig(least_db=None), calibration=t)
    assert decibels(np.asarray(model(t)), np.asarray(coarse(t))) < 0
    assert report.float_ops == () and "embed/" in report.weak[0] and "w8a16" in report.weak[0]


def test_what_stays_in_float_is_remembered(tmp_path):
    model, t = sines()
    qat, _ = ew.prepare_qat(model, calibration=t)
    kept = find_quantized(qat).config.kept
    qat.save(tmp_path / "q.keras")
    again = ew.load_model(tmp_path / "q.keras")
    assert find_quantized(again).config.kept == kept
    np.testing.assert_array_equal(np.asarray(again(t)), np.asarray(qat(t)))


def test_positions_of_very_different_size_are_normalised_in_float():
    inputs = keras.Input((16, 8))
    model = keras.Model(inputs, layers.Dense(4)(layers.LayerNormalization(epsilon=1e-6)(inputs)))
    x = RANDOM.normal(size=(32, 16, 8)) * np.exp(RANDOM.uniform(-np.log(30), 0, (32, 16, 1)))
    qat, report = ew.prepare_qat(model, calibration=x.astype("float32"))
    assert decibels(np.asarray(model(x)), np.asarray(qat(x))) > 15 and report.float_ops


def test_columns_of_different_size_are_normalised_before_they_are_rounded():
    columns = np.stack([RANDOM.normal(40, 12, 500), RANDOM.normal(50000, 20000, 500), RANDOM.normal(0, 0.01, 500)], 1)
    columns = columns.astype("float32")
    scale = layers.Normalization()
    scale.adapt(columns)
    inputs = keras.Input((3,))
    model = keras.Model(inputs, layers.Dense(3, kernel_initializer="identity")(scale(inputs)))
    qat, report = ew.prepare_qat(model, calibration=columns)
    want, got = np.asarray(model(columns)), np.asarray(qat(columns))
    assert min(decibels(want[:, k], got[:, k]) for k in range(3)) > 25
    assert {row["operator"] for row in report.float_ops} == {"Subtract", "Multiply"}
    ew.export_tflite(qat)  # is compared with the model by itself


def test_an_outlier_does_not_make_columns_uneven():
    inputs = keras.Input((3,))
    x = RANDOM.normal(size=(64, 3)).astype("float32")
    x[0, 0] = 1000.0
    _, report = ew.prepare_qat(keras.Model(inputs, layers.Dense(2)(inputs)), calibration=x)
    assert report.float_ops == ()


def test_values_of_different_size_in_one_output_keep_the_small_ones():
    inputs = keras.Input((8,))
    parts = [layers.Dense(2)(inputs) * 1000.0, layers.Dense(2)(inputs)]
    model = keras.Model(inputs, layers.Concatenate()(parts))
    x = RANDOM.normal(size=(64, 8)).astype("float32")
    qat, report = ew.prepare_qat(model, calibration=x)
    want, got = np.asarray(model(x)), np.asarray(qat(x))
    assert min(decibels(want[:, k], got[:, k]) for k in range(4)) > 25
    assert [row["operator"] for row in report.float_ops] == ["Concatenate"]


@pytest.mark.parametrize(("sizes", "coarse"), [((1000.0, 1.0), True), ((1.0, 1.0), False)])
def test_a_stack_is_too_coarse_for_small_parts_not_for_small_columns_of_each(sizes, coarse):
    inputs = keras.Input((8,))
    columns = np.array([1000.0, 1000.0, 1.0, 1.0], "float32")  # of any part: a scale for each would not mend that
    parts = [layers.Dense(4)(inputs) * (columns * size) for size in sizes]
    x = RANDOM.normal(size=(64, 8)).astype("float32")
    model = keras.Model(inputs, ops.stack(parts, axis=1))
    qat, _ = ew.prepare_qat(model, ew.QatConfig(least_db=None), calibration=x)
    layer = find_quantized(qat)
    found = too_coarse(layer, measure(layer, [x], calibrate(layer, [x])), least_db=20.0)
    assert any("stack" in scope for scope in found) == coarse


@pytest.mark.parametrize("size", [4, 2**18])  # samples so large that a few of them are compared
def test_a_trace_that_computes_something_else_is_refused(monkeypatch, size):
    monkeypatch.setitem(composites.LAYERS, layers.Rescaling, lambda layer, x: x * 3.0)
    inputs = keras.Input((size,))
    model = keras.Model(inputs, layers.Dense(2)(layers.Rescaling(2.0)(inputs)))
    with pytest.raises(BadInput, match=r"traced to operations, gives values only .* dB"):
        ew.prepare_qat(model, calibration=np.ones((8, size), "float32"))


def test_a_trace_of_large_samples_is_compared_on_a_few(monkeypatch):
    ran, call = [], keras.Model.__call__

    def counted(model, given, **kwargs):
        ran.append(len(given[0] if isinstance(given, list) else given))
        return call(model, given, **kwargs)

    inputs = keras.Input((2**18,))
    model = keras.Model(inputs, layers.Dense(2)(inputs))
    samples = RANDOM.normal(size=(12, 2**18)).astype("float32")
    monkeypatch.setattr(keras.Model, "__call__", counted)
    ew.prepare_qat(model, calibration=samples)
    assert ran and max(ran) == 4


def test_what_is_not_finite_inside_is_refused_with_operator_and_sample():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(2)(ops.log(layers.ReLU(name="cut")(inputs))))
    x = np.abs(RANDOM.normal(size=(48, 4))).astype("float32")
    x[5, 2] = -1.0
    with pytest.raises(BadInput, match=r"log.* is not finite for sample 5"):
        ew.prepare_qat(model, calibration=x)


def test_probabilities_near_zero_are_no_lost_signal():
    inputs = keras.Input((4,))
    model = keras.Model(
        inputs, layers.Dense(1, activation="sigmoid", bias_initializer=keras.initializers.Constant(-9))(inputs)
    )
    _, report = ew.prepare_qat(model, calibration=RANDOM.normal(size=(64, 4)).astype("float32"))
    assert report.weak == () and report.float_ops == ()


def test_a_border_of_minus_infinity_before_a_pool_is_meant():
    inputs = keras.Input((8, 8, 3))
    x = ops.pad(layers.Conv2D(4, 3, padding="same")(inputs), ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(layers.MaxPooling2D(3, 2)(x))))
    images = RANDOM.normal(size=(8, 8, 8, 3)).astype("float32")
    qat, _ = ew.prepare_qat(model, calibration=images)
    assert decibels(np.asarray(model(images)), np.asarray(qat(images))) > 25
    ew.export_tflite(qat)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_weight_that_is_not_finite_is_refused_by_name(value):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(2, name="broken")(inputs))
    kernel, bias = model.get_weights()
    kernel[0, 0] = value
    model.set_weights([kernel, bias])
    with pytest.raises(BadInput, match=r"broken\.kernel holds values that are not finite"):
        ew.prepare_qat(model, calibration=np.ones((4, 4), "float32"))


def test_layers_around_a_quantized_model_are_refused():
    inputs = keras.Input((4,))
    qat, _ = ew.prepare_qat(keras.Model(inputs, layers.Dense(3)(inputs)), calibration=np.ones((8, 4), "float32"))
    other = keras.Input((4,))
    for model in (
        keras.Model(qat.input, layers.Softmax()(qat.output)),
        keras.Sequential([qat, layers.Softmax()]),
        keras.Model([qat.input, other], layers.Add()([qat.output, layers.Dense(3)(other)])),
    ):
        with pytest.raises(WrongOrder, match="around a quantization-aware model"):
            ew.export_tflite(model)


class Holds(layers.Layer):
    """Takes an object, and has no get_config that says which."""

    def __init__(self, inner, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner

    def call(self, x):
        return self.inner(x)


def test_layers_without_a_configuration_are_quantized_and_only_saving_is_refused(tmp_path):
    inputs = keras.Input((None, 4))
    model = keras.Model(inputs, Holds(layers.Dense(3))(inputs))
    model.compile("sgd", lambda a, b: ops.mean(a - b))
    qat, _ = ew.prepare_qat(model, calibration=np.ones((8, 5, 4), "float32"))
    ew.export_tflite(qat)
    with pytest.raises(BadInput, match="get_config"):
        ew.save_model(qat, tmp_path / "q.keras")
    assert not (tmp_path / "q.keras").exists()
