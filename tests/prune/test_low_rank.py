"""Kernels as products of two thin ones: the bound exact, the identity at full rank, an ordinary model that goes on.

The file runs on the backend of KERAS_BACKEND; `test_jax.py` runs it once more on JAX.
"""

import keras
import numpy as np
import pytest
from edgewright.cli import main
from edgewright.errors import BadInput, WrongOrder
from edgewright.prune import LowRankConfig, factorize, prepare_cluster, prepare_prune
from keras import layers
from random_nets import draw_net

FULL = LowRankConfig(energy=1.0, always=True)


def samples_for(model, count=3):
    random = np.random.default_rng(0)
    return [random.normal(size=(count, *(size or 5 for size in leaf.shape[1:]))) for leaf in model.inputs]


def computes_the_same(one, other, bound=1e-5):
    x = samples_for(one)
    pairs = [keras.tree.flatten(each.predict(x if len(x) > 1 else x[0], verbose=0)) for each in (one, other)]
    return all(np.abs(a - b).max() <= bound * max(1.0, np.abs(a).max()) for a, b in zip(*pairs, strict=True))


def net(width=24):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((12, 12, 8), name="image")
    x = layers.Conv2D(width, 3, strides=2, padding="same", activation="relu", name="conv")(inputs)
    x = layers.Conv2D(width, 1, use_bias=False, name="pointwise")(x)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = layers.Conv2D(width, 3, groups=4, name="grouped")(x)
    x = layers.Dense(32, activation="tanh", name="hidden")(layers.Flatten(name="flatten")(x))
    return keras.Model(inputs, layers.Dense(16, name="logits")(x), name="net")


# ---------------------------------------------------------------- what is lost


@pytest.mark.parametrize("rank", [1, 5, 11])
def test_what_it_is_off_by_is_what_the_report_says(rank):
    model = net()
    made, report = factorize(model, LowRankConfig(rank=rank))
    kernels = {"conv": (72, 24), "pointwise": (24, 24), "hidden": (96, 32)}
    rows = {row["name"]: row for row in report.factorised}
    assert set(rows) >= set(kernels)
    for name, shape in kernels.items():
        kernel = np.asarray(model.get_layer(name).kernel, np.float64).reshape(shape)
        u, v = (np.asarray(made.get_layer(f"{name}_{half}").kernel, np.float64) for half in "uv")
        off = kernel - u.reshape(-1, rank) @ v.reshape(rank, -1)
        assert rows[name]["error"] == pytest.approx(np.linalg.norm(off), rel=1e-5)
        assert rows[name]["spectral"] == pytest.approx(np.linalg.norm(off, 2), rel=1e-5)
        assert rows[name]["relative"] == pytest.approx(np.linalg.norm(off) / np.linalg.norm(kernel), rel=1e-5)


def test_parameters_and_multiply_adds_by_hand():
    model = net()
    made, report = factorize(model, LowRankConfig(rank=4))
    rows = {row["name"]: row for row in report.rows}
    assert rows["conv"]["parameters"] == (72 * 24 + 24, 4 * (72 + 24) + 24)
    assert rows["conv"]["macs"] == (36 * 72 * 24, 36 * 4 * (72 + 24))  # 6 x 6 places
    assert rows["hidden"]["macs"] == (96 * 32, 4 * (96 + 32))
    saved = sum(row["parameters"][0] - row["parameters"][1] for row in report.factorised)
    assert made.count_params() == model.count_params() - saved


def test_each_budget_by_hand():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="diagonal")], name="one")
    model.layers[0].set_weights([np.diag([4.0, 2.0, 2.0, 1.0]), np.zeros(4)])  # squares 16, 4, 4, 1 of 25
    ranks = {
        (("energy", 0.64),): 1, (("energy", 0.8),): 2, (("energy", 0.81),): 3, (("error", 0.2),): 3,
        (("error", 0.6),): 1, (("share", 0.0),): 2, (("share", 0.5),): 1, (("rank", 9),): 4,
    }  # fmt: skip
    for budget, rank in ranks.items():
        _, report = factorize(model, LowRankConfig(**dict(budget), always=True))
        assert report.rows[0]["rank"] == rank, budget


# ---------------------------------------------------------------- the identity


@pytest.mark.parametrize("seed", range(12))
def test_full_rank_is_the_identity_on_random_nets(seed):
    model = draw_net(seed)
    made, report = factorize(model, FULL)
    assert report.factorised and computes_the_same(model, made)


@pytest.mark.parametrize(
    "layer",
    [
        layers.Conv2D(5, (3, 2), strides=(2, 1), dilation_rate=1, padding="valid", name="one"),
        layers.Conv2D(5, 3, dilation_rate=2, padding="same", name="one"),
        layers.Conv1D(5, 3, padding="causal", name="one"),
        layers.Conv3D(5, 2, strides=2, padding="same", activation="relu", name="one"),
        layers.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="de", name="one"),
        layers.EinsumDense("abc,bcd->ad", 5, activation="tanh", bias_axes="d", name="one"),
        layers.EinsumDense("...x,xy->...y", 5, bias_axes="y", name="one"),
    ],
    ids=lambda layer: f"{type(layer).__name__}-{getattr(layer, 'equation', '')}",
)
def test_full_rank_is_the_identity_for_every_form(layer):
    shape = {"Conv2D": (8, 9, 4), "Conv1D": (9, 4), "Conv3D": (6, 6, 6, 3), "EinsumDense": (6, 4)}[type(layer).__name__]
    inputs = keras.Input(shape)
    model = keras.Model(inputs, layers.Activation("tanh", name="end")(layer(inputs)), name="net")
    for weight in model.weights:
        weight.assign(np.random.default_rng(1).normal(size=weight.shape))
    made, report = factorize(model, FULL)
    assert [row["rank"] is not None for row in report.rows] == [True]
    assert {"one_u", "one_v"} <= {each.name for each in made.layers} and computes_the_same(model, made)


def test_nested_sequential_and_shared_layers_stay_what_they_are():
    tower = keras.Sequential([keras.Input((6,)), layers.Dense(8, activation="relu", name="inner")], name="tower")
    one, other = keras.Input((6,), name="one"), keras.Input((6,), name="other")
    shared = layers.Dense(8, name="shared")
    joined = layers.Concatenate(name="join")([shared(tower(one)), shared(tower(other))])
    model = keras.Model([one, other], {"left": layers.Dense(4, name="left")(joined), "sum": joined}, name="two")
    made, report = factorize(model, FULL)
    assert {row["name"]: row["macs"][0] for row in report.rows} == {"inner": 96, "shared": 128, "left": 64}
    assert computes_the_same(model, made) and set(made.output) == {"left", "sum"}
    assert [layer.name for layer in made.get_layer("tower").layers] == ["inner_u", "inner_v"]
    assert made.count_params() == sum(row["parameters"][1] for row in report.rows)  # each once
    alone, _ = factorize(tower, FULL)
    assert isinstance(alone, keras.Sequential) and computes_the_same(tower, alone)


# ---------------------------------------------------------------- what is left whole


def test_only_what_becomes_smaller_and_the_argument_stays():
    model = net()
    before = [weight.copy() for weight in model.get_weights()]
    made, report = factorize(model, LowRankConfig(rank=10, by_name={"hidden": None}))
    reasons = {row["name"]: row["reason"] for row in report.rows if row["rank"] is None}
    assert reasons["hidden"] == "LowRankConfig.by_name['hidden'] is None"
    assert "groups of its kernel" in reasons["grouped"] and "DepthwiseConv2D is not known" in reasons["depthwise"]
    _, small = factorize(model, LowRankConfig(rank=20))
    reasons = {row["name"]: row["reason"] for row in small.rows}
    assert reasons["pointwise"] == "two of rank 20 would have 960 weights, it has 576"
    assert all(np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True))
    assert made.output_names == model.output_names and [one.name for one in made.inputs] == ["image"]
    names = [layer.name for layer in made.layers]
    two = ["conv_u", "conv_v", "pointwise_u", "pointwise_v", "logits_u"]
    assert [name for name in names if name[-2:] in ("_u", "_v")] == two
    assert "hidden" in names and "logits" in names and "logits_v" not in names  # an output keeps its name
    assert "layers became two" in str(report) and "whole  hidden" in str(report)


def test_a_kernel_that_another_layer_reads_stays_whole():
    @keras.saving.register_keras_serializable("test_low_rank")
    class Transposed(layers.Layer):
        def __init__(self, dense, **kwargs):
            super().__init__(**kwargs)
            self.dense = dense

        def call(self, x):
            return keras.ops.matmul(x, keras.ops.transpose(self.dense.kernel))

        def get_config(self):
            return {**super().get_config(), "dense": keras.saving.serialize_keras_object(self.dense)}

    inputs = keras.Input((8,))
    dense = layers.Dense(8, name="dense")
    model = keras.Model(inputs, Transposed(dense, name="back")(dense(inputs)), name="tied")
    with pytest.raises(BadInput, match="cannot be copied"):
        factorize(model, LowRankConfig(rank=1))


def test_frozen_layers_stay_frozen_and_regularizers_stay():
    model = net()
    model.get_layer("conv").trainable = False
    model.get_layer("hidden").kernel_regularizer = keras.regularizers.L2(0.1)
    made, _ = factorize(model, LowRankConfig(rank=4))
    assert not made.get_layer("conv_u").trainable_weights and not made.get_layer("conv_v").trainable_weights
    assert made.get_layer("hidden_u").kernel.regularizer is not None


# ---------------------------------------------------------------- afterwards


def test_it_is_trained_saved_and_resumed_exactly(tmp_path):
    def fit(model, epochs):
        if not model.compiled:
            model.compile("adam", "mse")
        x = np.random.default_rng(0).normal(size=(32, 12, 12, 8))
        model.fit(x, np.zeros((32, 16)), batch_size=8, epochs=epochs, shuffle=False, verbose=0)

    whole, _ = factorize(net(), LowRankConfig(share=0.5))
    halves = keras.models.clone_model(whole)
    halves.set_weights(whole.get_weights())
    fit(halves, 1)
    halves.save(tmp_path / "half.keras")
    halves = keras.saving.load_model(tmp_path / "half.keras")
    fit(halves, 1)
    fit(whole, 2)
    for ours, theirs in zip(halves.variables, whole.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs), err_msg=ours.path)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "no budget given; give one of share, rank, energy, error"),
        ({"share": 0.5, "rank": 4}, "share and rank given"),
        ({"share": 1.0}, r"share=1.0 must lie in \[0, 1\)"),
        ({"rank": 0}, "rank=0 must be a whole number of at least 1"),
        ({"energy": 0.0}, r"energy=0.0 must lie in \(0, 1\]"),
        ({"error": 0.1, "by_name": {"conv": 2}}, "conv=2 must lie"),
        ({"ranks": 3}, "unknown key 'ranks'.*did you mean rank"),
    ],
)
def test_bad_values_are_refused_with_what_is_allowed(values, words):
    with pytest.raises(BadInput, match=words):
        LowRankConfig.from_dict(values)


def test_wrong_order_and_names_that_mean_nothing():
    with pytest.raises(BadInput, match=r"by_name\['convs'\] names no layer with a kernel; did you mean conv"):
        factorize(net(), LowRankConfig(rank=2, by_name={"convs": 3}))
    with pytest.raises(WrongOrder, match="strip_prune"):
        factorize(prepare_prune(net())[0])
    with pytest.raises(WrongOrder, match=r"strip_cluster\(model\) first, then factorize"):
        factorize(prepare_cluster(net())[0])


def test_verbs(tmp_path, capsys):
    net().save(tmp_path / "net.keras")
    given = ["prune", str(tmp_path / "net.keras"), "--out", str(tmp_path / "made.keras")]
    assert main([*given, "--low-rank", "0.5"]) == 0
    made = keras.saving.load_model(tmp_path / "made.keras")
    assert made.get_layer("hidden_u").units == 12 and "layers became two" in capsys.readouterr().out  # 1536 / 128
    assert main([*given, "--clusters", "8"]) == 0
    clustered = keras.saving.load_model(tmp_path / "made.keras")
    assert len(np.unique(np.asarray(clustered.get_layer("hidden").kernel))) == 8
    assert "weights clustered" in capsys.readouterr().out
    for wrong, words in (
        (["--clusters", "8", "--low-rank", "0.5"], "one at a time"),
        (["--clusters", "1"], "--clusters 1: must be at least 2"),
        (["--clusters", "300"], "clusters=300 must be a whole number in 2..256"),
        (["--low-rank", "1"], "between 0 and 1"),
        (["--clusters", "8", "--engine", "tfmot"], "--clusters 8: engine tfmot prunes single weights"),
    ):
        assert main([*given, *wrong]) == 2
        assert words in capsys.readouterr().err
