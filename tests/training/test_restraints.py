"""Penalties and constraints of kernels, by hand; on plain, pruning and quantization-aware networks alike."""

import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.prune import prepare_prune
from edgewright.quantize import prepare_qat
from edgewright.training.config import TrainConfig
from edgewright.training.data import Dataset, Split
from edgewright.training.restraints import kernels_of, restrained
from edgewright.training.train import train


def line(values):
    """Return samples x = 1 of a target each, so that the mean squared error of w x is (w - v)^2."""
    split = Split(x=np.ones((32, 1), np.float32), y=np.tile(np.float32(values), (32, 1)))
    return Dataset(name="line", task="regression", train=split, validation=split, test=split)


def learned(values, **settings):
    """Return what weights come to that shall be `values`, by gradient descent."""
    inputs = keras.Input((1,), name="x")
    model = keras.Model(inputs, keras.layers.Dense(len(values), use_bias=False, name="line")(inputs), name="line")
    train(model, line(values), TrainConfig(
        optimizer="sgd", momentum=0.0, schedule="constant", learning_rate=0.2, epochs=1, passes=40, **settings
    ))  # fmt: skip
    (kernel,) = model.weights
    assert kernel.regularizer is None and kernel.constraint is None  # for as long as the training lasts
    return np.asarray(kernel)[0]


def test_penalties_shrink_as_their_closed_forms_say():
    """J = l (w - v)^2 / 2: a |w| gives sign(v) max(|v| - a/l, 0), a w^2 / 2 gives v l / (l + a).

    Of two values the loss is their mean, l = 1 each.
    """
    values = (0.8, -0.1)
    np.testing.assert_allclose(learned(values, l1=0.2), [0.6, 0.0], atol=0.05)  # 0 is stepped over, by rate x penalty
    np.testing.assert_allclose(learned(values, l2=0.25), np.array(values) / 1.5, atol=1e-4)
    np.testing.assert_allclose(learned(values, l1=0.2, l2=0.25)[0], (0.8 - 0.2) / 1.5, atol=1e-4)


def test_constraints_hold_after_every_update():
    np.testing.assert_allclose(learned((3.0, 0.2), weight_clip=0.5), [0.5, 0.2], atol=1e-4)
    np.testing.assert_allclose(learned((3.0, 0.2), max_norm=1.5), [1.5, 0.2], atol=1e-4)


def net():
    inputs = keras.Input((6, 6, 2), name="image")
    x = keras.layers.Conv2D(3, 3, name="conv")(inputs)
    x = keras.layers.DepthwiseConv2D(3, name="depthwise")(keras.layers.ReLU()(keras.layers.BatchNormalization()(x)))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    return keras.Model(inputs, keras.layers.Dense(4, name="dense")(x), name="net")


SAMPLES = np.random.default_rng(0).normal(size=(16, 6, 6, 2)).astype(np.float32)
PREPARED = {
    "plain": lambda model: model,
    "pruning": lambda model: prepare_prune(model)[0],
    "aware": lambda model: prepare_qat(model, calibration=SAMPLES)[0],
}


@pytest.mark.parametrize("form", PREPARED)
def test_every_form_of_a_network_has_its_kernels_restrained(form):
    model = PREPARED[form](net())
    kernels = kernels_of({"net": model})
    assert sorted(tuple(weight.shape) for weight, _ in kernels) == [(3, 3, 2, 3), (3, 3, 3, 1), (3, 4)]
    values = [np.random.default_rng(1).normal(size=tuple(weight.shape)).astype(np.float32) for weight, _ in kernels]
    for (weight, _), value in zip(kernels, values, strict=True):
        weight.assign(3 * value)
    rule = keras.optimizers.SGD(0.0)
    rule.build(model.trainable_variables)
    plain = sum(map(float, model.losses))
    with restrained({"net": model}, TrainConfig(l1=0.5, l2=0.1, max_norm=2.0)):
        added = sum(map(float, model.losses)) - plain
        rule.apply([keras.ops.zeros(weight.shape) for weight in model.trainable_variables])
    assert added == pytest.approx(sum((0.5 * np.abs(3 * v) + 0.1 * (3 * v) ** 2).sum() for v in values), rel=1e-4)
    assert sum(map(float, model.losses)) == pytest.approx(plain)
    for (weight, _), value in zip(kernels, values, strict=True):
        inputs = (0, 1) if weight.shape[-1] == 1 else tuple(range(len(weight.shape) - 1))  # depthwise: of one channel
        norm = np.sqrt((9 * value**2).sum(inputs, keepdims=True))
        np.testing.assert_allclose(np.asarray(weight), 3 * value * np.minimum(1, 2 / norm), rtol=1e-5)


def test_what_cannot_be_restrained_is_refused():
    for settings in ({"l1": -1.0}, {"max_norm": 0.0}, {"weight_clip": -0.1}, {"l2": float("nan")}):
        with pytest.raises(BadInput, match=f"setting {next(iter(settings))} is .*; allowed is a number"):
            TrainConfig(**settings)
    table = keras.Sequential([keras.Input((3,), dtype="int32"), keras.layers.Embedding(5, 2)], name="table")
    with (
        pytest.raises(BadInput, match=r"setting l2 is .*: table trains no kernel"),
        restrained({"table": table}, TrainConfig(l2=0.1)),
    ):
        pass
