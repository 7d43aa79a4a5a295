"""Magnitude pruning: exact shares, the schedule by hand, zeros that stay, on both backends."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from edgewright.errors import BadInput, WrongOrder
from edgewright.prune import PruneConfig, prepare_prune, prune, strip_prune


def small():
    inputs = keras.Input((6,), name="x")
    hidden = keras.layers.Dense(8, activation="relu", name="hidden")(inputs)
    return keras.Model(inputs, keras.layers.Dense(3, name="logits")(hidden), name="small")


def batch():
    random = np.random.default_rng(0)
    return random.normal(size=(64, 6)).astype("float32"), random.integers(0, 3, 64)


def fit(model, epochs):
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
    model.fit(*batch(), batch_size=8, epochs=epochs, verbose=0)


def zeros(model):
    return {w.path: float((np.asarray(w) == 0).mean()) for w in model.trainable_weights if len(w.shape) > 1}


def test_one_shot_zeroes_the_smallest_and_leaves_the_argument():
    model = small()
    model.layers[1].set_weights([np.arange(1, 49, dtype="float32").reshape(6, 8), np.zeros(8)])
    before = [w.copy() for w in model.get_weights()]
    sparse, report = prune(model, PruneConfig(sparsity=0.25))
    kernel = np.asarray(sparse.layers[1].kernel)
    assert (kernel.reshape(-1)[:12] == 0).all() and (kernel.reshape(-1)[12:] != 0).all()
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert [row["name"] for row in report.rows if row["sparsity"] is None] == ["hidden/bias", "logits/bias"]
    assert all(row["reason"] for row in report.rows if row["sparsity"] is None)


@pytest.mark.parametrize("schedule", ["polynomial", "constant"])
def test_training_reaches_the_sparsity_and_zeros_stay(schedule):
    pruning, _ = prepare_prune(small(), PruneConfig(sparsity=0.5, schedule=schedule, end_step=24, frequency=4))
    fit(pruning, 4)  # 32 steps
    first = [np.asarray(mask.mask) for mask in pruning.masks]
    assert zeros(strip_prune(pruning)) == {"hidden/kernel": 0.5, "logits/kernel": 0.5}
    pruning.fit(*batch(), batch_size=8, epochs=2, verbose=0)
    assert all(np.array_equal(a, np.asarray(mask.mask)) for a, mask in zip(first, pruning.masks, strict=True))
    plain = strip_prune(pruning)
    assert type(plain) is type(small()) and zeros(plain) == {"hidden/kernel": 0.5, "logits/kernel": 0.5}


def test_schedule_is_the_published_cubic():
    pruning, _ = prepare_prune(small(), PruneConfig(sparsity=0.8, begin_step=100, end_step=300))
    shares = [float(pruning.masks[0].share(step)) for step in (100, 200, 300)]
    assert shares == pytest.approx([0.0, 0.8 * (1 - 0.125), 0.8], abs=1e-6)


def test_saving_keeps_masks_and_outputs(tmp_path):
    pruning, _ = prepare_prune(small(), PruneConfig(sparsity=0.5, end_step=8, frequency=4))
    fit(pruning, 2)
    pruning.save(tmp_path / "p.keras")
    loaded = keras.saving.load_model(tmp_path / "p.keras")
    x = batch()[0]
    assert np.array_equal(pruning.predict(x, verbose=0), loaded.predict(x, verbose=0))
    assert zeros(strip_prune(loaded)) == zeros(strip_prune(pruning))


def test_precedence_and_refusals():
    _, report = prune(small(), PruneConfig(sparsity=0.5, by_type={"Dense": 0.25}, by_name={"logits": None}))
    assert {row["name"]: row["sparsity"] for row in report.rows if len(row["shape"]) > 1} == {
        "hidden/kernel": 0.25,
        "logits/kernel": None,
    }
    with pytest.raises(BadInput, match=r"sparsity=1\.0 must lie in \[0, 1\)"):
        PruneConfig(sparsity=1.0)
    with pytest.raises(BadInput, match="unknown key 'sparcity'"):
        PruneConfig.from_dict({"sparcity": 0.5})
    with pytest.raises(WrongOrder, match="prepare_prune"):
        strip_prune(small())
    with pytest.raises(WrongOrder, match="strip_prune"):
        prepare_prune(prepare_prune(small())[0])


JAX = """
import keras, numpy as np
from edgewright.prune import PruneConfig, prepare_prune, strip_prune
x = keras.Input((6,)); m = keras.Model(x, keras.layers.Dense(3, name="logits")(keras.layers.Dense(8, activation="relu", name="hidden")(x)))
p, _ = prepare_prune(m, PruneConfig(sparsity=0.5, end_step=12, frequency=4))
p.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
r = np.random.default_rng(0)
p.fit(r.normal(size=(64, 6)).astype("float32"), r.integers(0, 3, 64), batch_size=8, epochs=3, verbose=0)
print(keras.backend.backend(), [float((np.asarray(w) == 0).mean()) for w in strip_prune(p).trainable_weights if len(w.shape) > 1])
"""


def test_jax_prunes_the_same_share():
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    done = subprocess.run([sys.executable, "-c", JAX], env=environment, capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == "jax [0.5, 0.5]", done.stderr[-2000:]
