"""Observers against brute force; ranges that follow the data or are learnt, on the backend at hand."""

import keras
import numpy as np
import pytest
from edgewright.quantize import QatConfig, find_quantized, prepare_qat
from edgewright.quantize.fake_quant import fake_quantize, learned_steps, nudge
from edgewright.quantize.observers import OBSERVERS, Seen
from keras import layers, ops


def observe(observer, batches, percentile=99.0):
    return OBSERVERS[observer](lambda: [[("x", Seen(batch))] for batch in batches], {"x": 8}, percentile)["x"]


def test_observers_by_hand():
    batches = [np.linspace(0, 100, 101), np.linspace(0, 200, 101)]
    assert observe("minmax", batches) == (0, 200)
    assert observe("percentile", batches) == pytest.approx((1.5, 148.5))  # (1 + 2) / 2, (99 + 198) / 2


def test_least_squared_error_agrees_with_brute_force():
    random = np.random.default_rng(0)
    values = random.standard_t(3, size=20000)  # heavy tails: the extremes are a waste of steps
    _, high = observe("mse", [values])

    def error(shrink):
        ends = nudge(values.min() * shrink, values.max() * shrink)
        return np.square(np.asarray(fake_quantize(values.astype("f4"), *ends)) - values).mean()

    best = min(error(shrink) for shrink in np.linspace(0.05, 1, 96))
    assert high < values.max() and error(high / values.max()) <= 1.05 * best


def net():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,), name="x")
    x = layers.Dense(8, activation="relu", name="hidden")(inputs)
    return keras.Model(inputs, layers.Dense(3, name="logits")(x), name="net")


def range_of_input(qat):
    layer = find_quantized(qat)
    return [float(end) for end in layer.range(layer.plan.scale_of(layer.plan.graph.inputs[0]))]


def train(qat, x, steps, rate=1e-3):
    qat.compile(keras.optimizers.SGD(rate), keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                jit_compile=False)  # fmt: skip
    qat.fit(x, np.arange(len(x)) % 3, batch_size=len(x), epochs=steps, verbose=0)


def test_moving_average_by_hand_and_frozen_after_its_steps():
    """Calibrated on [0, 1.001]; each step sees [0, 2]: 1.001 x 0.9 + 2 x 0.1, then again, then it stays."""
    calibration, x = (
        np.tile(np.linspace(0, 1, 6, dtype="f4"), (16, 1)),
        np.tile(np.linspace(0, 2, 6, dtype="f4"), (16, 1)),
    )
    config = QatConfig(ranges="moving-average", momentum=0.9, freeze_after=2)
    qat, _ = prepare_qat(net(), config, calibration=calibration)
    assert range_of_input(qat)[1] == pytest.approx(1.001, rel=1e-5)
    expected = 1.001
    for _ in range(2):
        train(qat, x, 1)
        expected = expected * 0.9 + 2 * 0.1
        assert range_of_input(qat)[1] == pytest.approx(expected, rel=1e-5)
    train(qat, x, 3)
    assert range_of_input(qat)[1] == pytest.approx(expected, rel=1e-5)
    outputs = np.asarray(qat(x, training=False))
    assert range_of_input(qat)[1] == pytest.approx(expected, rel=1e-5) and np.isfinite(outputs).all()


def test_gradient_of_a_learned_step_by_hand():
    """Step 0.5, limits -128 and 127: 0.6 rounds to 1 step, 1 - 1.2 = -0.2; 100 is cut off at 127; / sqrt(2 x 127)."""
    values, damping = ops.convert_to_tensor(np.array([[0.6, 100.0]], "f4")), 1 / np.sqrt(2 * 127)

    def total(step):
        low, high = step * -128.0, step * 127.0
        rounded = fake_quantize(values, ops.convert_to_tensor(-64.0), ops.convert_to_tensor(63.5))
        return learned_steps(values, rounded, low, high)

    slopes = np.asarray((total(ops.convert_to_tensor(0.5)),))
    np.testing.assert_array_equal(slopes, 0)  # in value nothing is added
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        step = tf.Variable(0.5)
        with tf.GradientTape() as tape:
            value = ops.sum(total(step))
        assert float(tape.gradient(value, step)) == pytest.approx((-0.2 + 127) * damping, rel=1e-4)


def test_learned_ranges_train_save_and_keep_the_grid(tmp_path):
    x = np.random.default_rng(0).normal(size=(48, 6)).astype("f4")
    qat, _ = prepare_qat(net(), QatConfig(ranges="learned"), calibration=x)
    before = range_of_input(qat)
    train(qat, x, 20, rate=0.5)
    after = range_of_input(qat)
    assert after != before
    assert after[0] / before[0] == pytest.approx(after[1] / before[1], rel=1e-4)  # the zero point stays
    path = tmp_path / "net.keras"
    qat.save(path)
    again = keras.models.load_model(path)
    np.testing.assert_array_equal(np.asarray(again(x, training=False)), np.asarray(qat(x, training=False)))


def test_a_change_of_scale_goes_by_an_odd_number_of_256ths():
    """XNNPACK multiplies by 256ths: other ratios put every eighth value one step off."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((16,), name="x")
    total = keras.layers.Dense(16)(inputs) + inputs
    outputs = keras.layers.Dense(4)(keras.layers.ReLU(name="positive")(total)) + keras.ops.sum(total)
    model = keras.Model(inputs, outputs)
    x = np.random.default_rng(0).normal(size=(64, 16)).astype("float32")
    layer = find_quantized(prepare_qat(model, calibration=x)[0])
    (step,) = (step for step in layer.plan.operators if step.name.startswith("positive"))
    (low, high), (least, most) = (
        [float(end) for end in layer.range(layer.plan.scale_of(leaf))] for leaf in (step.inputs[0], step.outputs[0])
    )
    parts = 256 * (high - low) / (most - least)
    assert parts == pytest.approx(round(parts), rel=1e-6) and round(parts) % 2 == 1
    assert least == 0 and most >= np.asarray(model.layers[2](model.layers[1](x) + x)).max() * 0.99
