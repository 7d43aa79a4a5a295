"""Glimpses: what is cut out of a picture, steps against the sequence, and what looking is good for."""

import numpy as np
import pytest
from edgewright.models import registry
from edgewright.models.glimpse import cropped
from edgewright.quantize.streaming import derive
from edgewright.training import learners, tasks
from edgewright.training.config import TrainConfig
from edgewright.training.runner import KerasRunner
from edgewright.training.state import RunDir
from edgewright.training.tasks.glimpsing import cut

R = np.random.default_rng(0)


def test_size_by_formula():
    read, place, both = 64 * 128 + 128, 2 * 128 + 128, 128 * 256 + 256 + 128 * 256
    recurrence, ends = 256 * 256 + 256 * 257, 257 * 10 + 257 * 2
    assert registry.get("ram").params == read + place + both + recurrence + ends


def test_patches_by_hand():
    """Of 6x6 pixels the middle 2x2, and 4x4 around it brought to 2x2; in a corner zeros lie outside."""
    picture = np.arange(36, dtype="f4").reshape(1, 6, 6, 1)
    patches = cut(picture, np.zeros((1, 2), "f4"), 2, 2)[0, ..., 0]
    np.testing.assert_array_equal(patches[0], [[14, 15], [20, 21]])
    np.testing.assert_array_equal(patches[1], [[(7 + 8 + 13 + 14) / 4, (9 + 10 + 15 + 16) / 4],
                                               [(19 + 20 + 25 + 26) / 4, (21 + 22 + 27 + 28) / 4]])  # fmt: skip
    corner = cut(picture, np.array([[1, 1]], "f4"), 2, 1)[0, 0, :, :, 0]
    assert corner[0, 0] in (28, 35) and corner[1, 1] in (0, 35)


def test_host_and_network_cut_alike():
    pictures, places = R.random((20, 7, 9, 2), "f4"), R.uniform(-1, 1, (20, 2)).astype("f4")
    np.testing.assert_allclose(cropped(pictures, places, 4, 2), cut(pictures, places, 4, 2), atol=1e-6)


def derived(networks):
    deploy = registry.get("ram").deploy
    step = derive(networks["step"], networks["sequence"], dict(deploy[0].states))
    return KerasRunner({**networks, "step": step}, deploy)


def test_the_host_and_the_step_do_what_the_sequence_does():
    networks = registry.networks("ram", "edge", seed=2, input_shape=(12, 12, 1), size=4, scales=2, units=8)
    for weight in networks["sequence"].trainable_weights:
        weight.assign(2 * np.asarray(weight))
    run, task, pictures = derived(networks), tasks.get("glimpsing"), R.random((5, 12, 12, 1), "f4")
    known = task.present("digits", networks, limit=64)
    whole = run("sequence", {"pictures": pictures, "noise": np.zeros((5, 4, 2), "f4")})
    said, places = task.looked(run, known, pictures)
    assert np.ptp(whole["location"]) > 0.05
    np.testing.assert_allclose(places[:, 1:], whole["location"][:, :-1], atol=1e-5)
    np.testing.assert_allclose(said, whole["logits"], atol=1e-4)


def learned(glimpses):
    """Return the networks of a short training on digits, their task and data."""
    entry, task = registry.get("ram"), tasks.get("glimpsing")
    networks = registry.networks("ram", "edge", seed=0, glimpses=glimpses, input_shape=(20, 20, 1), size=6)
    digits = task.present("digits", networks)
    config = TrainConfig(epochs=6, learning_rate=4e-3)
    learners.get(entry.learner)(registry.trained(networks, entry.deploy), digits, task, config, RunDir(None))
    return networks, task, digits


def test_looking_where_one_wants_is_better_than_a_single_glimpse_at_random():
    networks, task, digits = learned(4)
    several = task.metric.reduce(task.evaluate(derived(networks), digits).rows)
    one, _, _ = learned(1)
    run, x = derived(one), digits.test.x
    anywhere = R.uniform(-1, 1, (len(x), 2)).astype("f4")
    given = {"patches": cut(x, anywhere, 6, 1), "location": anywhere, "hidden": np.zeros((len(x), 96), "f4")}
    single = (run("step", given)["logits"].argmax(-1) == digits.test.y).mean()
    middle = task.metric.reduce(task.evaluate(run, digits).rows)
    assert several > max(middle, single) + 0.05


def test_pictures_show_what_was_looked_at():
    networks = registry.networks("ram", "edge", seed=2, input_shape=(12, 12, 1), size=4)
    task = tasks.get("glimpsing")
    shown = task.pictures(derived(networks), task.present("digits", networks, limit=64))
    assert shown["looked at"].shape == shown["samples"].shape and shown["looked at"].max() == pytest.approx(1, abs=0.2)
