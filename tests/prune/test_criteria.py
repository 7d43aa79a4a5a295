"""Criteria that look at training, and regrowth: numbers by hand, loops in NumPy, and an exact resume.

The file runs on the backend of KERAS_BACKEND; `test_jax.py` runs it once more on JAX.
"""

import itertools
import math

import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.prune import PruneConfig, prepare_prune, prune, strip_prune
from keras import layers

RATE = 0.1
ONES = np.ones((1, 4), "float32")


def linear(weights, name="d"):
    """Return y = x W of `weights` (inputs, outputs)."""
    weights = np.asarray(weights, "float32")
    inputs = keras.Input((weights.shape[0],))
    model = keras.Model(inputs, layers.Dense(weights.shape[1], use_bias=False, name=name)(inputs))
    model.set_weights([weights])
    return model


def pruning_of(model, optimizer=None, **config):
    pruning, _ = prepare_prune(model, PruneConfig(**{"sparsity": None, "by_name": {"d": 0.5}, **config}))
    pruning.compile(optimizer or keras.optimizers.SGD(RATE), "mse")
    return pruning


def score_of(pruning):
    return np.asarray(pruning.masks[0]._evidence.score())


def kernel_of(model):
    return np.asarray(model.get_layer("d").kernel)


EACH_STEP = {"schedule": "constant", "frequency": 1, "end_step": 100}


def test_two_steps_of_movement_by_hand():
    """w = 1, -2, 3, 0.5; x = 1, 1, 1, 1; loss y^2; rate 0.1; half of the weights, chosen anew at each step.

    Step 1: no score yet, so magnitude: -2 and 3 are left, y = 1, the gradient 2 everywhere. S = -w g = -2, 4, -6, -1;
    w = 1, -2.2, 2.8, 0.5. Step 2: the scores keep -2.2 and 0.5: y = -1.7, the gradient -3.4. S += 3.4 w gives
    1.4, -3.48, 3.52, 0.7; w = 1, -1.86, 2.8, 0.84. The first and third are left: they come back with their values.
    """
    pruning = pruning_of(linear([[1], [-2], [3], [0.5]]), criterion="movement", **EACH_STEP)
    pruning.train_on_batch(ONES, np.zeros((1, 1)))
    np.testing.assert_allclose(score_of(pruning)[:, 0], [-2, 4, -6, -1], rtol=1e-6)
    pruning.train_on_batch(ONES, np.zeros((1, 1)))
    np.testing.assert_allclose(score_of(pruning)[:, 0], [1.4, -3.48, 3.52, 0.7], rtol=1e-5)
    np.testing.assert_allclose(np.asarray(pruning.masks[0].kernel)[:, 0], [1, -1.86, 2.8, 0.84], rtol=1e-6)
    np.testing.assert_allclose(kernel_of(strip_prune(pruning))[:, 0], [1, 0, 2.8, 0], rtol=1e-6)


def test_two_steps_of_gradient_by_hand():
    """The same net: |w g| = 2, 4, 6, 1, then with -2.2 and 2.8 left y = 0.6, g = 1.2: 1.2, 2.64, 3.36, 0.6."""
    pruning = pruning_of(linear([[1], [-2], [3], [0.5]]), criterion="gradient", **EACH_STEP)
    pruning.train_on_batch(ONES, np.zeros((1, 1)))
    np.testing.assert_allclose(score_of(pruning)[:, 0], [0.2, 0.4, 0.6, 0.1], rtol=1e-6)
    pruning.train_on_batch(ONES, np.zeros((1, 1)))
    np.testing.assert_allclose(score_of(pruning)[:, 0], [0.3, 0.624, 0.876, 0.15], rtol=1e-6)


@pytest.mark.parametrize("kind", ["Adam", "SGD"])
def test_no_rule_of_the_optimizer_touches_a_score(kind):
    optimizer = getattr(keras.optimizers, kind)(0.1, clipnorm=1e-3, weight_decay=0.1, use_ema=True)
    pruning = pruning_of(linear([[1], [-2], [3], [0.5]]), optimizer, criterion="movement", **EACH_STEP)
    pruning.train_on_batch(ONES, np.zeros((1, 1)))
    np.testing.assert_allclose(score_of(pruning)[:, 0], [-2, 4, -6, -1], rtol=1e-6)


class Twice(keras.Model):
    """Runs a network on x and on 2x in one step."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def call(self, x, training=None):
        return self.network(x, training=training) + self.network(2 * x, training=training)


def test_passes_of_one_step_add_up_and_passes_without_a_step_count_once():
    """y = (w1 + w2)(1 + 2) = 3, loss y^2, g = 2 y 3 = 18 for all four: S = -18 w, whatever is run in between."""
    pruning = pruning_of(linear([[1], [-2], [3], [0.5]]), criterion="movement", **EACH_STEP)
    twice = Twice(pruning)
    twice.compile(keras.optimizers.SGD(0.0), "mse")
    twice.train_on_batch(ONES, np.zeros((1, 1)))
    for _ in range(3):
        pruning(ONES, training=True)
    np.testing.assert_allclose(score_of(pruning)[:, 0], [-18, 36, -54, -9], rtol=1e-6)


def test_zeros_of_an_earlier_pruning_stay_under_movement():
    start = np.array([[1.0], [-2], [3], [0.5], [0], [0], [4], [0]])
    pruning = pruning_of(linear(start), criterion="movement", **EACH_STEP)
    x = np.random.default_rng(0).normal(size=(4, 8))
    for _ in range(5):
        pruning.train_on_batch(x, x[:, :1])
    now = kernel_of(strip_prune(pruning))
    assert (now[start == 0] == 0).all() and (now == 0).sum() == 4


def test_movement_of_rows_of_a_table():
    """Words that are looked up by chance of the data get gradients, those never seen none: they move nowhere."""
    tokens = keras.Input((3,), dtype="int32")
    x = layers.Flatten()(layers.Embedding(8, 4, name="words")(tokens))
    model = keras.Model(tokens, layers.Dense(1, use_bias=False, name="d")(x))
    pruning = pruning_of(model, criterion="movement", pattern="row", sparsity=0.25, by_name={}, **EACH_STEP)
    random = np.random.default_rng(0)
    tokens, before = random.integers(0, 6, (16, 3)), np.asarray(pruning.masks[0].kernel)
    pruning.train_on_batch(tokens, random.normal(size=(16, 1)))
    score = score_of(pruning)
    assert score.shape == (8, 4) and (score[6:] == 0).all() and (score[:6] != 0).all()
    moved = np.asarray(pruning.masks[0].kernel) - before  # -rate x gradient, masked
    seen = moved != 0
    np.testing.assert_allclose(score[seen], (before * moved)[seen] / RATE, rtol=1e-2, atol=1e-6)
    gone = np.flatnonzero(~np.asarray(strip_prune(pruning).get_layer("words").embeddings).any(axis=1))
    rows = score.sum(axis=1)  # those never seen are equal: either may go
    np.testing.assert_array_equal(np.sort(rows[gone]), np.sort(rows)[:2])


# ---------------------------------------------------------------- regrowth


def rigl_by_hand(weights, batches, *, sparsity, share, frequency, end, pattern_group=None):
    """RigL in NumPy on y = x W by SGD on the mean square: yields mask and weights before each step.

    The gradient that decides is that of the step before, as ours.
    """
    w, size = weights.astype("float64").copy(), pattern_group or weights.size
    groups = w.T.reshape(-1, size) if pattern_group else w.reshape(1, -1)
    indices = np.arange(w.size).reshape(w.shape)
    groups = (indices.T if pattern_group else indices).reshape(-1, size)
    zeros = round(sparsity * size)
    mask, dense = np.ones(w.size, bool), np.zeros(w.size)
    for step, (x, y) in enumerate(batches):
        if step % frequency == 0 and step <= end:
            exchanged = 0 if step == 0 else round(share / 2 * (1 + math.cos(math.pi * step / end)) * (size - zeros))
            old, flat = mask.copy(), w.reshape(-1)
            for group in groups:
                alive = np.where(old[group], np.abs(flat[group]), -1)
                keep = set(np.argsort(alive, kind="stable")[zeros + exchanged :].tolist())
                rest = [index for index in range(size) if index not in keep]
                grow = sorted(rest, key=lambda index: -abs(dense[group[index]]))[:exchanged]
                mask[group] = [index in keep or index in grow for index in range(size)]
            flat[mask & ~old] = 0
        yield mask.reshape(w.shape).copy(), w.copy()
        masked = np.where(mask.reshape(w.shape), w, 0)
        dense = (x.T @ (2 * (x @ masked - y)) / y.size).reshape(-1)
        w -= RATE * np.where(mask, dense, 0).reshape(w.shape)


@pytest.mark.parametrize("pattern", ["unstructured", "4:8"])
def test_rigl_is_a_loop_in_numpy(pattern):
    random = np.random.default_rng(0)
    start = random.normal(size=(16, 3)).astype("float32")
    batches = [(random.normal(size=(8, 16)), random.normal(size=(8, 3))) for _ in range(14)]
    config = {"regrow": "gradient", "regrow_share": 0.5, "schedule": "constant", "frequency": 2, "end_step": 8}
    pruning = pruning_of(linear(start), pattern=pattern, **config)
    group = 8 if pattern == "4:8" else None
    by_hand = list(rigl_by_hand(start, batches, sparsity=0.5, share=0.5, frequency=2, end=8, pattern_group=group))
    changed, before = 0, None
    for (x, y), (mask, _) in zip(batches, by_hand, strict=True):
        pruning.train_on_batch(x, y)
        keep = np.asarray(pruning.masks[0].keep)
        np.testing.assert_array_equal(keep, mask)
        assert keep.sum() == 24
        changed += int(before is not None and (keep & ~before).sum() > 0)
        before = keep
    assert changed >= 2  # at 2, 4 and 6 a share goes, of which some may come back at once
    (x, y), (mask, weights) = batches[-1], by_hand[-1]
    masked = np.where(mask, weights, 0)
    masked -= RATE * np.where(mask, x.T @ (2 * (x @ masked - y)) / y.size, 0)
    np.testing.assert_allclose(kernel_of(strip_prune(pruning)), masked, rtol=1e-4, atol=1e-6)


def test_one_exchange_by_hand():
    """w = 4, 3, 2, 1, half: 4 and 3 are left, y = 7, g = 14 x. With x = 1, 1, 2, 3 the last zero has most: 42.

    A share of one half of two weights: the smaller, 3 - 0.01 x 14 = 2.86, goes, and the last grows from zero.
    """
    pruning = pruning_of(linear([[4], [3], [2], [1]]), keras.optimizers.SGD(0.01), regrow="gradient", regrow_share=0.99,
                         schedule="constant", frequency=1, end_step=2)  # fmt: skip
    x = np.array([[1.0, 1, 2, 3]])
    pruning.train_on_batch(x, np.zeros((1, 1)))
    pruning(x, training=True)
    np.testing.assert_array_equal(np.asarray(pruning.masks[0].keep)[:, 0], [True, False, False, True])
    weights = np.asarray(pruning.masks[0].in_training(keras.ops.convert_to_tensor(1)))[:, 0]
    np.testing.assert_allclose(weights, [4 - 0.14, 0, 0, 0], rtol=1e-6)


def test_random_growth_keeps_the_count_starts_at_zero_and_is_drawn_by_the_seed():
    def masks(seed):
        config = {"regrow": "random", "schedule": "constant", "frequency": 1, "end_step": 10, "seed": seed}
        model = linear(np.random.default_rng(1).normal(size=(16, 4)))
        pruning = pruning_of(model, keras.optimizers.SGD(0.0), **config)
        seen = []
        for _ in range(8):
            pruning.train_on_batch(np.ones((1, 16)), np.zeros((1, 4)))
            seen.append(np.asarray(pruning.masks[0].keep))
        start = seen[0]
        assert all(keep.sum() == 32 for keep in seen) and all((a != b).any() for a, b in itertools.pairwise(seen))
        grown = seen[-1] & ~start
        assert grown.any() and (kernel_of(pruning.inner)[grown] != 0).all()  # the value of old is still there
        assert (np.asarray(pruning.masks[0].in_training(keras.ops.convert_to_tensor(9)))[grown] == 0).all()
        return np.stack(seen)

    np.testing.assert_array_equal(masks(0), masks(0))
    assert (masks(0) != masks(1)).any()


# ---------------------------------------------------------------- whatever is chosen

CONFIGS = {
    "movement": {"criterion": "movement"},
    "gradient in blocks": {"criterion": "gradient", "pattern": "block:2x2"},
    "movement 2:4 linear": {"criterion": "movement", "pattern": "2:4", "schedule": "linear"},
    "RigL": {"regrow": "gradient", "schedule": "constant"},
    "SET 4:8": {"regrow": "random", "pattern": "4:8"},
}


def net():
    inputs = keras.Input((8,))
    x = layers.ReLU(name="relu")(layers.BatchNormalization(name="norm")(layers.Dense(16, name="hidden")(inputs)))
    return keras.Model(inputs, layers.Dense(4, name="logits")(x), name="small")


def fit_some(model, epochs):
    random = np.random.default_rng(0)
    x, y = random.normal(size=(64, 8)).astype("float32"), random.integers(0, 4, 64)
    if not model.compiled:
        model.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, y, batch_size=8, epochs=epochs, verbose=0, shuffle=False)


SLOW = ("gradient in blocks", "RigL")


@pytest.mark.parametrize("config", [
    pytest.param(config, id=name, marks=[pytest.mark.slow] * (name in SLOW)) for name, config in CONFIGS.items()
])  # fmt: skip
def test_resumes_from_a_saved_model_to_the_bit_and_strips_to_what_inference_was(config, tmp_path):
    config = PruneConfig(end_step=20, frequency=3, **config)
    whole, _ = prepare_prune(net(), config)
    halves, _ = prepare_prune(net(), config)
    halves.set_weights(whole.get_weights())
    fit_some(halves, 1)
    halves.save(tmp_path / "half.keras")
    halves = keras.saving.load_model(tmp_path / "half.keras")
    fit_some(halves, 2)
    fit_some(whole, 3)
    for ours, theirs in zip(halves.variables, whole.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs), err_msg=ours.path)
    plain = strip_prune(whole)
    assert [(np.asarray(plain.get_layer(name).kernel) == 0).mean() for name in ("hidden", "logits")] == [0.5, 0.5]
    x = np.random.default_rng(1).normal(size=(4, 8)).astype("float32")
    np.testing.assert_array_equal(np.asarray(plain(x, training=False)), np.asarray(whole(x, training=False)))


@pytest.mark.parametrize("config", [{"criterion": "movement"}, {"criterion": "gradient"}, {"regrow": "random"}])
def test_without_training_is_refused_with_the_remedy(config):
    with pytest.raises(BadInput, match=r"looks at training, and here is none: give data .*or call prepare_prune"):
        prune(net(), PruneConfig(**config))


def test_an_optimizer_that_changes_gradients_is_refused():
    def gathered():
        return keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)

    def scaled():
        return keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1))

    net = linear(np.ones((4, 1)))
    for make, name in ((gathered, "gradient_accumulation_steps"), (scaled, "a loss scale")):
        with pytest.raises(BadInput, match=rf"has {name}.*: leave it out, or prune with criterion='magnitude'"):
            pruning_of(net, make(), criterion="movement").train_on_batch(ONES, ONES[:, :1])
        pruning_of(net, make(), regrow="random").train_on_batch(ONES, ONES[:, :1])
