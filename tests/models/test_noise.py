"""Noise of training: what each scheme draws, and that nothing of it is left at inference."""

import itertools

import keras
import numpy as np
import pytest
from edgewright.models import noise, registry
from edgewright.models.noise import AnnealedDropout, Cutout, DropConnect, MaxPoolingDropout2D, VariationalDropout
from edgewright.quantize.graph.tracing import trace
from edgewright.training.config import TrainConfig
from edgewright.training.data import load
from edgewright.training.train import train
from keras import ops

RANDOM = np.random.default_rng(0)
MLPS = ("dropout_mlp", "dropconnect", "annealed_dropout", "gaussian_dropout", "variational_dropout")
CNNS = ("spatial_dropout_cnn", "cutout_cnn", "max_pooling_dropout_cnn")


def plain(model):
    """Return a net of Keras' own layers that computes what `model` does without noise, with its weights."""
    x = inputs = keras.Input(model.input_shape[1:])
    for layer in model.layers[1:]:
        if isinstance(layer, keras.layers.Dense):
            twin = keras.layers.Dense(layer.units, layer.activation)
        elif isinstance(layer, MaxPoolingDropout2D):
            twin = keras.layers.MaxPooling2D(layer.pool_size)
        elif layer.trainable_weights or isinstance(layer, (keras.layers.ReLU, keras.layers.Flatten)):
            twin = type(layer).from_config(layer.get_config())
        elif isinstance(layer, keras.layers.MaxPooling2D):
            twin = keras.layers.MaxPooling2D(2)
        else:
            continue  # noise
        x = twin(x)
        twin.set_weights([np.asarray(weight) for weight in layer.weights if weight.name in ("kernel", "bias")])
    return keras.Model(inputs, x)


@pytest.mark.parametrize("name", [*MLPS, *CNNS])
def test_at_inference_and_without_a_rate_it_is_the_plain_net(name):
    small = {"input_shape": (12,), "hidden": (8, 6)} if name in MLPS else {"input_shape": (8, 8, 2), "hidden": 6}
    off = {"rates": (0.0, 0.0)} if name in MLPS else {"rate": 0.0}
    model = registry.build(name, "edge", **small)
    x = RANDOM.normal(size=(5, *small["input_shape"])).astype(np.float32)
    expected = np.asarray(plain(model)(x))
    np.testing.assert_array_equal(model(x, training=False), expected)
    assert np.abs(np.asarray(model(x, training=True)) - expected).max() > 1e-3
    if name != "cutout_cnn":  # whose square has no rate
        silent = registry.build(name, "edge", **small, **off)
        np.testing.assert_array_equal(silent(x, training=True), plain(silent)(x))
    kinds = {node.op_type for node in trace(model).nodes} - {"Dropout", "GaussianDropout", "SpatialDropout2D"}
    assert not [kind for kind in kinds if "andom" in kind or "Uniform" in kind or "Where" in kind]
    assert "log_alpha" not in "".join(leaf.name for leaf in trace(model).constants)


@pytest.mark.parametrize("kind", ["units", "weights"])
def test_the_mean_over_all_masks_is_the_plain_layer(monkeypatch, kind):
    """Of n units, or n weights of one output, at p = .5: 2^n masks, all alike probable."""
    layer = AnnealedDropout(0.5) if kind == "units" else DropConnect(1, rate=0.5)
    x = np.float32([[0.3, -1.2, 2.0, 0.7]])
    layer(x)
    seen = []
    for mask in itertools.product((0.25, 0.75), repeat=4):
        monkeypatch.setattr(noise.keras.random, "uniform", lambda shape, seed: ops.reshape(np.float32(mask), shape))  # noqa: B023
        seen.append(np.asarray(layer(x, training=True)))
    np.testing.assert_allclose(np.mean(seen, axis=0), layer(x, training=False), atol=1e-6)
    assert np.ptp(seen, axis=0).max() > 1


@pytest.mark.parametrize(("rate", "variance"), [(0.5, 1.0), (0.2, 0.25)])
def test_variance_of_the_gaussian_multiplier(rate, variance):
    model = registry.build("gaussian_dropout", "edge", rates=(rate, rate), input_shape=(64,), hidden=(4,))
    drawn = np.asarray(model.get_layer("hidden_1_noise")(np.ones((4000, 64), np.float32), training=True))
    assert drawn.mean() == pytest.approx(1, abs=0.02) and drawn.var() == pytest.approx(variance, rel=0.03)


def test_an_annealed_rate_falls_linearly_and_is_saved_with_the_run(tmp_path):
    def net():
        return registry.build("annealed_dropout", "edge", hidden=(8,), rates=(0.4, 0.5), seed=1)

    dataset, seen = load("digits", input_shape=(64,), limit=64), []
    model = net()
    layer = model.get_layer("hidden_1_noise")

    class Watch(AnnealedDropout):
        def begin_epoch(self, epoch, epochs):
            super().begin_epoch(epoch, epochs)
            seen.append(float(self.present))

    layer.__class__ = Watch
    config = TrainConfig(epochs=4, batch_size=64, jit_compile=False)
    history = train(model, dataset, config, out=tmp_path).history
    np.testing.assert_allclose(seen, [0.4, 0.3, 0.2, 0.1], atol=1e-6)  # p (1 - e / E)
    again = net()
    assert train(again, dataset, config, out=tmp_path).history == history
    np.testing.assert_array_equal(again.get_layer("hidden_1_noise").present, layer.present)
    states = [np.asarray(one.seed_generator.state) for one in (layer, again.get_layer("hidden_1_noise"))]
    np.testing.assert_array_equal(*states)


def test_variational_noise_has_the_variance_that_it_learns():
    layer = VariationalDropout(2, alpha=0.25)
    x = np.tile(np.float32([[1.0, 2.0]]), (20_000, 1))
    layer(x)
    layer.set_weights([np.float32([[1, 0.5], [0.5, 2]]), np.zeros(2), np.log(np.float32([0.25, 0.5]))])
    drawn = np.asarray(layer(x, training=True))
    # x^2 alpha w^2 summed over the inputs
    np.testing.assert_allclose(drawn.var(0), [0.25 + 4 * 0.5 * 0.25, 0.25 * 0.25 + 4 * 0.5 * 4], rtol=0.05)
    np.testing.assert_allclose(drawn.mean(0), [2, 4.5], atol=0.06)


def test_the_divergence_is_that_of_the_integral():
    """KL = E log q - E log p: -(log alpha) / 2 + E log |e| for e of N(1, alpha), but for a constant."""

    def exact(alpha):
        e = 1 + np.sqrt(alpha) * np.linspace(-12, 12, 2_000_001)
        weights = np.exp(-((e - 1) ** 2) / (2 * alpha))
        return -0.5 * np.log(alpha) + (weights * np.log(np.abs(e) + 1e-12)).sum() / weights.sum()

    ours = np.asarray(noise.divergence(np.log(np.float32([0.05, 0.3, 0.9]))))
    theirs = np.array([exact(alpha) for alpha in (0.05, 0.3, 0.9)])
    np.testing.assert_allclose(ours - ours[0], theirs - theirs[0], atol=0.02)


def test_whole_maps_are_dropped_or_scaled():
    model = registry.build("spatial_dropout_cnn", "edge", rate=0.25)
    dropped = np.asarray(model.get_layer("dropout_1")(np.ones((64, 4, 4, 16), np.float32), training=True))
    np.testing.assert_allclose(np.unique(dropped), [0, 4 / 3], rtol=1e-6)
    assert (dropped == dropped[:, :1, :1]).all() and 0.15 < (dropped == 0).mean() < 0.35


def test_chances_of_each_value_of_a_window():
    """The i-th smallest of n comes out with (1 - q) q^(n - i), 0 with q^n: of 1 to 4 at q = .5 3.0625 on average."""
    window = np.float32([[1, 2], [3, 4]])
    pooled = np.asarray(MaxPoolingDropout2D(2, 0.5)(np.tile(window[None, ..., None], (20_000, 1, 1, 1)), training=True))
    shares = [(pooled == value).mean() for value in range(5)]
    expected = [0.5**4, *(0.5 * 0.5 ** (4 - i) for i in (1, 2, 3, 4))]
    np.testing.assert_allclose(shares, expected, atol=0.015)
    assert np.dot(expected, range(5)) == 3.0625 and pooled.mean() == pytest.approx(3.0625, abs=0.04)


def test_a_cut_is_a_square_of_half_a_side_that_may_hang_over_the_border():
    cut = np.asarray(Cutout(0.5)(np.ones((400, 8, 8, 3), np.float32), training=True)) == 0
    assert (cut == cut[..., :1]).all()
    heights, widths = (cut[..., 0].any(axis).sum(-1) for axis in (2, 1))
    np.testing.assert_array_equal(cut[..., 0].sum((1, 2)), heights * widths)  # one rectangle
    assert heights.max() == widths.max() == 4 and heights.min() == widths.min() == 2
    assert len({(h, w) for h, w in zip(heights, widths, strict=True)}) > 4
