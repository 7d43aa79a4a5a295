"""Keras networks run by name: a batch, and a step once a time step."""

import os
from dataclasses import dataclass, field

import edgewright as ew
import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.training.runner import KerasRunner
from keras import layers

R = np.random.default_rng(0)


@dataclass(frozen=True)
class Deploy:
    network: str
    states: dict = field(default_factory=dict)


def counter():
    """Return a step that adds what it reads to its state, and says twice the sum."""
    x, total = keras.Input((1,), name="x"), keras.Input((1,), name="total")
    new = layers.Add(name="sum")([x, total])
    return keras.Model({"x": x, "total": total}, {"said": layers.Rescaling(2.0, name="twice")(new), "next": new})


def speller(symbols=5):
    """Return a step that answers each symbol with the next one of a ring."""
    token = keras.Input((1,), dtype="int32", name="token")
    table = np.roll(np.eye(symbols, dtype=np.float32), 1, axis=1)
    embedding = layers.Embedding(
        symbols, symbols, embeddings_initializer=keras.initializers.Constant(table), name="ring"
    )
    return keras.Model(token, layers.Flatten(name="logits")(embedding(token)), name="speller")


def test_networks_are_run_by_the_names_of_their_ends():
    image, table = keras.Input((4,), name="image"), keras.Input((2,), name="table")
    sides = [layers.Dense(3, name="left")(image), layers.Dense(2, name="right")(table)]
    nets = {"two": keras.Model([image, table], sides), "one": keras.Model(image, layers.Dense(1, name="y")(image))}
    run = KerasRunner(nets)
    x, t = R.normal(size=(9, 4)).astype("float32"), R.normal(size=(9, 2)).astype("float32")
    answers = run("two", {"table": t, "image": x})
    np.testing.assert_allclose(answers["left"], nets["two"].predict([x, t], verbose=0)[0], rtol=1e-5)
    assert answers["right"].shape == (9, 2) and list(run("one", {"image": x})) == ["y"]
    with pytest.raises(BadInput, match=r"'table'.*image, table"):
        run("two", {"image": x})
    with pytest.raises(BadInput, match=r"'three'.*two, one"):
        run("three", {"image": x})


def test_a_quantization_aware_network_has_the_same_names_and_its_own_values():
    x = keras.Input((6,), name="x")
    model = keras.Model(x, layers.Dense(4, name="logits")(layers.Dense(8, "relu", name="hidden")(x)), name="net")
    samples = R.normal(size=(64, 6)).astype("float32")
    quantized, _ = ew.prepare_qat(model, calibration=samples)
    plain, rounded = (KerasRunner({"net": net})("net", {"x": samples})["logits"] for net in (model, quantized))
    assert 0 < np.abs(plain - rounded).max() < 0.2
    np.testing.assert_allclose(rounded, quantized(samples, training=False), atol=1e-6)  # compiled: some ulps


def test_states_start_at_zero_and_are_fed_back():
    run = KerasRunner({"counter": counter()}, [Deploy("counter", {"next": "total"})])
    x = R.integers(0, 9, (3, 7)).astype("float32")
    answers = run.unroll("counter", {"x": x[..., None]})
    assert list(answers) == ["said"]  # states are left out
    np.testing.assert_allclose(answers["said"][..., 0], 2 * x.cumsum(1))
    np.testing.assert_array_equal(run.unroll("counter", {"x": x})["said"], answers["said"])  # an axis of 1 is left out
    later = run.unroll("counter", {"x": x[..., None]}, first={"total": np.full((3, 1), 10.0, np.float32)})
    np.testing.assert_allclose(later["said"][..., 0], 2 * (x.cumsum(1) + 10))


def test_what_is_said_comes_in_the_order_of_the_outputs():
    x, total = keras.Input((1,), name="x"), keras.Input((1,), name="total")
    said = {f"said_{k}": layers.Rescaling(float(k), name=f"by_{k}")(x) for k in range(8)}
    network = keras.Model({"x": x, "total": total}, {**said, "new": layers.Add(name="sum")([x, total])}, name="many")
    run = KerasRunner({"many": network}, [Deploy("many", {"new": "total"})])
    given, first = np.ones((2, 3, 1), np.float32), np.zeros((2, 1), np.float32)
    outputs = [name for name in run("many", {"x": given[:, 0], "total": first}) if name != "new"]
    assert list(run.unroll("many", {"x": given})) == outputs == sorted(said)


def test_what_was_read_at_each_step_is_told_with_the_states():
    run = KerasRunner({"counter": counter()}, [Deploy("counter", {"next": "total"})])
    x = R.integers(0, 9, (3, 7)).astype("float32")
    read = run.read("counter", {"x": x})
    np.testing.assert_array_equal(read["x"].reshape(7, 3), x.T)  # step by step
    np.testing.assert_array_equal(read["total"].reshape(7, 3), x.T.cumsum(0) - x.T)
    said = run("counter", read)["said"].reshape(7, 3).T
    np.testing.assert_array_equal(said, run.unroll("counter", {"x": x})["said"][..., 0])


def test_what_is_said_becomes_the_next_input():
    """Of integers the index of the largest value; of numbers the values: x doubles, and the total follows."""
    ring = KerasRunner({"speller": speller()}).unroll(
        "speller", {}, first={"token": np.array([[3], [0]])}, steps=4, feed={"logits": "token"}
    )
    np.testing.assert_array_equal(ring["logits"].argmax(-1), [[4, 0, 1, 2], [1, 2, 3, 4]])
    run = KerasRunner({"counter": counter()}, [Deploy("counter", {"next": "total"})])
    doubled = run.unroll("counter", {}, first={"x": np.ones((1, 1), np.float32)}, steps=3, feed={"said": "x"})
    np.testing.assert_allclose(doubled["said"].ravel(), [2, 6, 18])


def test_what_is_held_is_read_at_every_step():
    run = KerasRunner({"counter": counter()}, [Deploy("counter", {"next": "total"})])
    x = np.array([[1], [5], [-2]], np.float32)
    summed = run.unroll("counter", {}, held={"x": x}, steps=4)["said"]
    np.testing.assert_allclose(summed[..., 0], 2 * x * np.arange(1, 5))
    ring = KerasRunner({"looking": looking()})
    rolled = ring.unroll("looking", {}, first={"token": x[:, :1] * 0}, held={"memory": np.eye(3, 5)}, steps=3,
                         feed={"logits": "token"})  # fmt: skip
    np.testing.assert_array_equal(rolled["logits"].argmax(-1), [[0, 0, 0], [1, 1, 1], [2, 2, 2]])


def looking(symbols=5):
    """Return a step that says what it holds, whatever the token."""
    token, memory = keras.Input((1,), dtype="int32", name="token"), keras.Input((symbols,), name="memory")
    nothing = layers.Embedding(symbols, symbols, embeddings_initializer="zeros", name="nothing")(token)
    added = layers.Add(name="add")([layers.Flatten(name="flat")(nothing), memory])
    return keras.Model({"token": token, "memory": memory}, {"logits": layers.Identity(name="logits")(added)})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"given": {"x": np.zeros((2, 3, 1))}, "held": {"total": np.zeros((4, 1))}}, "x 2, total 4"),
        ({"given": {}}, "samples must be told alike, got nothing"),
        ({"given": {"x": np.zeros((2, 3, 1))}, "steps": 4}, "x 3, steps 4"),
        ({"given": {"x": np.zeros((2, 3, 1))}, "first": {"total": np.zeros((1, 1))}}, "x 2, total 1"),
        ({"given": {}, "first": {"x": np.zeros((2, 1))}, "steps": 2}, "no input 'x'"),
    ],
)
def test_an_unroll_that_cannot_be_is_refused(given, words):
    run = KerasRunner({"counter": counter()}, [Deploy("counter", {"next": "total"})])
    with pytest.raises(BadInput, match=words):
        run.unroll("counter", **given)


def test_jax_runs_networks_and_steps_and_what_a_training_puts_around_them(on_jax):
    script = f"""
import sys
sys.path.insert(0, {os.path.dirname(__file__)!r})
import keras
assert keras.backend.backend() == "jax"
import test_carrying, test_mixing, test_restraints, test_runner
test_runner.test_states_start_at_zero_and_are_fed_back()
test_runner.test_what_is_said_becomes_the_next_input()
test_runner.test_what_is_held_is_read_at_every_step()
test_runner.test_networks_are_run_by_the_names_of_their_ends()
test_runner.test_a_quantization_aware_network_has_the_same_names_and_its_own_values()
test_carrying.test_a_text_in_pieces_is_read_as_the_whole(lambda model: model)
test_mixing.test_the_loss_is_that_of_the_mixed_label()
for form in test_restraints.PREPARED:
    test_restraints.test_every_form_of_a_network_has_its_kernels_restrained(form)
"""
    on_jax.says(script)
