"""Magnitude pruning at once and while training: exact counts, zeros that stay, nothing of the argument changed.

The file runs on the backend of KERAS_BACKEND; `test_jax.py` runs it once more on JAX.
"""

import itertools

import keras
import numpy as np
import pytest
from edgewright.errors import BadInput, WrongOrder
from edgewright.prune import PruneConfig, PruningModel, prepare_prune, prune, strip_prune
from edgewright.prune.selection import zeros
from keras import layers


def prunable_net(dropout=0.0):
    inputs = keras.Input((6,), name="x")
    x = layers.Dense(8, name="hidden")(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.Dropout(dropout, seed=1, name="dropout")(layers.ReLU(name="relu")(x))
    return keras.Model(inputs, layers.Dense(3, name="logits")(x), name="small")


def batch_of(count=64):
    random = np.random.default_rng(0)
    return random.normal(size=(count, 6)).astype("float32"), random.integers(0, 3, count)


def compiled(model):
    if not model.compiled:
        model.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def fit_some(model, epochs):
    """Train 8 steps an epoch in a fixed order."""
    compiled(model).fit(*batch_of(), batch_size=8, epochs=epochs, verbose=0, shuffle=False)


def zero_count(variable):
    return int((np.asarray(variable) == 0).sum())


def kernels_of(model):
    return {weight.path: np.asarray(weight) for weight in model.trainable_weights if len(weight.shape) > 1}


# ---------------------------------------------------------------- at once


def test_cuts_the_smallest_of_each_tensor_and_leaves_the_argument():
    model = prunable_net()
    model.get_layer("hidden").set_weights([-np.arange(1, 49, dtype="float32").reshape(6, 8), np.zeros(8)])
    before = [weight.copy() for weight in model.get_weights()]
    sparse, _ = prune(model, PruneConfig(sparsity=0.25))
    kernel = np.asarray(sparse.get_layer("hidden").kernel).reshape(-1)
    assert (kernel[:12] == 0).all() and not np.signbit(kernel[:12]).any()
    assert np.array_equal(kernel[12:], before[0].reshape(-1)[12:])
    assert zero_count(sparse.get_layer("logits").kernel) == 6  # of 24
    assert all(np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize("sparsity", [0.0, 0.1, 1 / 3, 0.5, 0.99])
def test_count_is_exact_even_where_all_are_tied(sparsity):
    model = prunable_net()
    model.get_layer("hidden").set_weights([np.ones((6, 8)), np.zeros(8)])
    sparse, _ = prune(model, PruneConfig(sparsity=sparsity))
    assert zero_count(sparse.get_layer("hidden").kernel) == min(round(sparsity * 48), 47)


def test_keeps_one_weight_of_a_tensor():
    assert zeros(0.9, 1) == 0 and zeros(0.99, 10) == 9


def test_refuses_what_cannot_be_copied():
    class Unregistered(layers.Layer):
        def __init__(self, factor):
            super().__init__(name="own")
            self.factor = factor

        def call(self, x):
            return x * self.factor

    inputs = keras.Input((4,))
    model = keras.Model(inputs, Unregistered(2.0)(inputs), name="own_net")
    with pytest.raises(BadInput, match=r"'own_net' cannot be copied: .*get_config"):
        prune(model)


# ---------------------------------------------------------------- while training


@pytest.mark.parametrize("schedule", ["polynomial", "constant"])
def test_zeros_only_grow_and_end_at_what_was_asked(schedule):
    config = PruneConfig(sparsity=0.5, schedule=schedule, begin_step=4, end_step=20, frequency=4)
    pruning, _ = prepare_prune(prunable_net(), config)
    seen = []
    for _ in range(25):
        compiled(pruning).train_on_batch(*batch_of(8))
        seen.append([np.asarray(mask.keep) for mask in pruning.masks])
    counts = [[int((~keep).sum()) for keep in masks] for masks in seen]
    assert counts[3] == [0, 0] and counts[-1] == [24, 12]
    if schedule == "constant":
        assert counts[4] == [24, 12]
    else:  # steps 0, 4, 8, 12, 16 of 16: 1 - (1 - t)^3 = 0, .578, .875, .984, 1 of 24 and 12
        assert [counts[step] for step in (4, 8, 12, 16, 20)] == [[0, 0], [14, 7], [21, 10], [24, 12], [24, 12]]
    for earlier, later in itertools.pairwise(seen):
        assert all((~old <= ~new).all() for old, new in zip(earlier, later, strict=True))


def test_share_is_the_published_cubic():
    pruning, _ = prepare_prune(prunable_net(), PruneConfig(begin_step=100, end_step=300))
    shares = [
        float(keras.ops.convert_to_numpy(pruning.masks[0].schedule.share(step)))
        for step in (0, 100, 150, 200, 300, 999)
    ]
    assert shares == pytest.approx([0, 0, 1 - 0.75**3, 0.875, 1, 1], abs=1e-6)


def test_inference_is_what_strip_gives_whenever_it_is_called():
    pruning, _ = prepare_prune(prunable_net(), PruneConfig(sparsity=0.75, end_step=24, frequency=4))
    x = batch_of()[0]
    for _ in range(4):  # before training, on the way, and after the end
        plain = strip_prune(pruning)
        assert {path: zero_count(kernel) for path, kernel in kernels_of(plain).items()} == {
            "hidden/kernel": 36,
            "logits/kernel": 18,
        }
        assert np.array_equal(pruning.predict(x, verbose=0), plain.predict(x, verbose=0))
        fit_some(pruning, 1)


def test_strip_gives_a_plain_model_and_leaves_its_argument():
    pruning, _ = prepare_prune(prunable_net(), PruneConfig(end_step=8, frequency=4))
    fit_some(pruning, 2)
    before = [np.asarray(weight).copy() for weight in pruning.weights]
    plain = strip_prune(pruning)
    assert not isinstance(plain, PruningModel) and [layer.name for layer in plain.layers] == [
        layer.name for layer in prunable_net().layers
    ]
    assert all(np.array_equal(old, np.asarray(new)) for old, new in zip(before, pruning.weights, strict=True))


def test_zeros_of_an_earlier_pruning_stay():
    sparse, _ = prune(prunable_net(), PruneConfig(sparsity=0.5))
    pruning, _ = prepare_prune(sparse, PruneConfig(sparsity=0.25, begin_step=100, end_step=200))
    fit_some(pruning, 1)
    was, now = kernels_of(sparse), kernels_of(strip_prune(pruning))
    assert all((now[path][was[path] == 0] == 0).all() and zero_count(now[path]) == now[path].size // 2 for path in was)


def test_masked_weights_get_no_gradient_and_the_others_learn():
    pruning, _ = prepare_prune(prunable_net(), PruneConfig(schedule="constant"))
    start = np.asarray(pruning.masks[0].kernel).copy()
    fit_some(pruning, 2)
    moved, keep = np.asarray(pruning.masks[0].kernel) != start, np.asarray(pruning.masks[0].keep)
    assert not moved[~keep].any() and moved[keep].mean() > 0.5  # not all: a unit may be dead


def test_at_sparsity_zero_trains_as_the_plain_model_does():
    """Batch statistics, dropout and added losses all pass through the masks' scope."""
    plain = prunable_net(dropout=0.5)
    plain.get_layer("hidden").activity_regularizer = keras.regularizers.L2(0.1)
    plain.get_layer("logits").kernel_regularizer = plain.get_layer("logits").kernel.regularizer = keras.regularizers.L2(
        0.1
    )
    pruning, _ = prepare_prune(plain, PruneConfig(sparsity=0.0, end_step=8))
    for ours, theirs in zip(pruning.inner.variables, plain.variables, strict=True):
        ours.assign(np.asarray(theirs).copy())
    fit_some(plain, 2)
    fit_some(pruning, 2)
    for ours, theirs in zip(pruning.inner.variables, plain.variables, strict=True):
        np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=1e-5, atol=1e-6, err_msg=ours.path)


def test_training_resumes_from_a_saved_model(tmp_path):
    config = PruneConfig(end_step=20, frequency=4)
    whole, _ = prepare_prune(prunable_net(), config)
    halves, _ = prepare_prune(prunable_net(), config)
    halves.set_weights(whole.get_weights())
    fit_some(halves, 1)
    halves.save(tmp_path / "half.keras")
    halves = keras.saving.load_model(tmp_path / "half.keras")
    fit_some(halves, 2)
    fit_some(whole, 3)
    for ours, theirs in zip(halves.variables, whole.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs), err_msg=ours.path)


def test_recurrent_nested_and_several_inputs():
    inner_inputs = keras.Input((5, 4))
    inner = keras.Model(inner_inputs, layers.LSTM(6, name="lstm")(inner_inputs), name="inner")
    inputs = {"a": keras.Input((5, 4), name="a"), "b": keras.Input((3,), name="b")}
    joined = layers.Concatenate(name="join")([inner(inputs["a"]), layers.Dense(4, name="side")(inputs["b"])])
    model = keras.Model(inputs, layers.Dense(2, name="logits")(joined), name="two")
    pruning, report = prepare_prune(model, PruneConfig(schedule="constant"))
    pruning.compile("sgd", "mse")
    random = np.random.default_rng(0)
    x = {"a": random.normal(size=(8, 5, 4)), "b": random.normal(size=(8, 3))}
    pruning.fit(x, random.normal(size=(8, 2)), verbose=0)
    assert len(report.pruned) == 4
    assert all(zero_count(kernel) == kernel.size // 2 for kernel in kernels_of(strip_prune(pruning)).values())


def test_weights_of_like_paths_are_told_apart():
    """Cells made again from their configurations are built before their recurrences, whose names paths then lack."""
    inputs = keras.Input((5, 4))
    x = layers.RNN(layers.SimpleRNNCell(6, name="cell"), return_sequences=True, name="first")(inputs)
    x = layers.RNN(layers.SimpleRNNCell(8, name="cell"), name="second")(x)
    pruning, _ = prepare_prune(keras.Model(inputs, layers.Dense(2, name="logits")(x)), PruneConfig(by_name={"*": 0.5}))
    kernels = [weight for weight in strip_prune(pruning).trainable_weights if len(weight.shape) == 2]
    assert [kernel.shape for kernel in kernels] == [(4, 6), (6, 6), (6, 8), (8, 8), (8, 2)]
    assert all(zero_count(np.asarray(kernel)) == np.size(kernel) // 2 for kernel in kernels)


# ---------------------------------------------------------------- the order of calls


def test_wrong_order_names_the_right_call():
    pruning, _ = prepare_prune(prunable_net())
    with pytest.raises(WrongOrder, match=r"then call strip_prune\(model\)"):
        prepare_prune(pruning)
    with pytest.raises(WrongOrder, match=r"then call strip_prune\(model\)"):
        prune(pruning)
    with pytest.raises(WrongOrder, match=r"call pruning, report = prepare_prune\(model\)"):
        strip_prune(prunable_net())


def test_cannot_be_quantized_before_it_is_stripped():
    from edgewright.quantize.qat import prepare_qat

    pruning, _ = prepare_prune(prunable_net())
    with pytest.raises(WrongOrder, match=r"is being pruned: call strip_prune\(model\) first"):
        prepare_qat(pruning, calibration=batch_of()[0])


def test_copy_leaves_the_users_own_loss_behind():
    def own_loss(y_true, y_pred):
        return keras.ops.mean(keras.ops.abs(y_true - y_pred))

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8)])
    model.compile("sgd", own_loss)
    pruned, _ = prune(model, PruneConfig(sparsity=0.5))
    assert model.compiled and not pruned.compiled
