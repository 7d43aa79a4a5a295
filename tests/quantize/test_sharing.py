"""What is one in the model stays one: weights of shared layers, whatever follows their uses."""

import edgewright as ew
import keras
import numpy as np
import pytest
from edgewright.quantize import find_quantized
from keras import layers

RANDOM = np.random.default_rng(0)


def decibels(want, got):
    return 10 * np.log10(np.square(want).sum() / np.square(want - got).sum())


def same(x):
    return x


BEHIND = {
    "nothing": (same, same),
    "a factor": (same, lambda x: x * 3.0),
    "a factor first": (same, lambda x: 3.0 * x),
    "a quotient": (same, lambda x: x / 10.0),
    "an offset": (same, lambda x: x + 1.0),
    "one factor for both": (lambda x: x * 2.0, lambda x: x * 2.0),
    "a normalisation": (same, layers.BatchNormalization()),
    "one each": (layers.BatchNormalization(), layers.BatchNormalization()),
}


@pytest.mark.parametrize("name", BEHIND)
@pytest.mark.parametrize("kind", ["dense", "conv", "depthwise"])
def test_what_follows_one_use_is_not_folded_into_the_other(name, kind):
    keras.utils.set_random_seed(0)
    shape = (6,) if kind == "dense" else (8, 8, 3)
    layer = {"dense": lambda: layers.Dense(4), "conv": lambda: layers.Conv2D(6, 3),
             "depthwise": lambda: layers.DepthwiseConv2D(3)}[kind]()  # fmt: skip
    first, second = ([type(one).from_config(one.get_config()) if isinstance(one, layers.Layer) else one
                      for one in BEHIND[name]])  # fmt: skip
    a, b = keras.Input(shape), keras.Input(shape)
    model = keras.Model([a, b], [first(layer(a)), second(layer(b))])
    for weight in model.weights:
        if "moving_variance" in weight.path or "gamma" in weight.path:
            weight.assign(RANDOM.uniform(0.5, 1.5, weight.shape))
    x = [RANDOM.normal(size=(64, *shape)).astype("float32") for _ in "ab"]
    qat, _ = ew.prepare_qat(model, calibration=x)
    for want, got in zip(model(x), qat(x), strict=True):
        assert decibels(np.asarray(want), np.asarray(got)) > 30
    kernels = [leaf for leaf in find_quantized(qat).plan.graph.constants if "kernel" in leaf.name]
    assert len(kernels) == 1


def test_a_siamese_tower_stays_one_through_training():
    keras.utils.set_random_seed(0)
    image = keras.Input((12, 12, 3))
    x = layers.BatchNormalization()(layers.Conv2D(8, 3, activation="relu")(image))
    tower = keras.Model(image, layers.Dense(6)(layers.GlobalAveragePooling2D()(x)))
    a, b = keras.Input((12, 12, 3)), keras.Input((12, 12, 3))
    model = keras.Model([a, b], [tower(a), tower(b)])
    left, right, both = (np.random.default_rng(n).normal(size=(64, 12, 12, 3)).astype("float32") for n in range(3))
    qat, _ = ew.prepare_qat(model, calibration=[left, right])
    counts = [sum(int(np.prod(w.shape)) for w in one.trainable_weights) for one in (qat, model)]
    assert counts[0] == counts[1]
    qat.compile(keras.optimizers.Adam(1e-2), loss=["mse", "mse"])
    qat.fit([left, right], [np.zeros((64, 6)), np.ones((64, 6))], epochs=3, verbose=0)
    layer = find_quantized(qat)
    p, q = (np.asarray(one) for one in layer.execute([both, both], quantize=False))
    np.testing.assert_allclose(p, q, atol=1e-6)  # in float; the two inputs have ranges of their own


def test_a_fresh_bias_of_zeros_is_no_pruned_kernel():
    """It was masked, and stayed zero through all of training."""
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, layers.Conv2D(4, 3)(inputs))
    qat, _ = ew.prepare_qat(model, calibration=RANDOM.normal(size=(8, 8, 8, 3)).astype("float32"))
    layer = find_quantized(qat)
    assert layer.mask_of == {}
    qat.compile("sgd", "mse")
    qat.fit(np.ones((8, 8, 8, 3)), np.ones((8, 6, 6, 4)), verbose=0)
    (bias,) = (value for name, value in layer.weight_of.items() if "kernel" not in name)
    assert np.all(np.asarray(bias) != 0)


def test_a_head_on_several_levels_has_ranges_of_their_own():
    inputs = keras.Input((16, 16, 3))
    conv = layers.Conv2D(4, 3, padding="same", activation="relu")
    small = layers.Rescaling(0.01)(layers.AveragePooling2D(4)(inputs))
    model = keras.Model(inputs, [conv(inputs), conv(small)])
    x = RANDOM.normal(size=(16, 16, 16, 3)).astype("float32")
    qat, _ = ew.prepare_qat(model, calibration=x)
    for want, got in zip(model(x), qat(x), strict=True):
        assert decibels(np.asarray(want), np.asarray(got)) > 30


def test_a_name_means_all_uses_of_a_layer():
    a, b = keras.Input((6,)), keras.Input((6,))
    dense = layers.Dense(4, name="shared")
    model = keras.Model([a, b], [dense(a), dense(b)])
    x = [RANDOM.normal(size=(16, 6)).astype("float32") for _ in "ab"]
    _, report = ew.prepare_qat(model, ew.QatConfig(by_name={"shared": None}), calibration=x)
    assert len(report.float_ops) == 2
