"""Walks of stochastic autoencoders: noise as the papers have it, what is learned on the way, what is judged."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.models import registry
from edgewright.models.walks import Salted
from edgewright.training import tasks
from edgewright.training.learners.autoencoding import Coder, Penalised, Penalties
from edgewright.training.runner import KerasRunner
from edgewright.training.tasks import walking
from edgewright.training.tasks.generative import WIDTHS, log_likelihoods


def shaken(networks, seed=0, size=0.6):
    random = np.random.default_rng(seed)
    for network in networks.values():
        for weight in network.trainable_weights:
            weight.assign(random.normal(0, size, weight.shape))
    return networks


def test_a_code_is_moved_by_the_jacobian_and_its_transpose():
    networks = shaken(registry.networks("stacked_cae", "edge", input_shape=(5,), hidden=(4,), code=3, spread=50.0))
    run, random = KerasRunner(networks), np.random.default_rng(1)
    x, noise, step = random.normal(size=(1, 5)).astype("f4"), random.normal(size=(1, 3)).astype("f4"), 1e-3

    def code(given):
        return np.asarray(run("encoder", {"inputs": given, "noise": np.zeros((len(given), 3), "f4")})["code"])

    nearby = np.eye(5, dtype="f4") * step
    jacobian = ((code(x + nearby) - code(x - nearby)) / (2 * step)).T  # (3, 5)
    moved = np.asarray(run("encoder", {"inputs": x, "noise": noise})["code"])
    np.testing.assert_allclose(moved - code(x), 50.0 * noise @ (jacobian @ jacobian.T).T, atol=2e-3)
    assert np.abs(moved - code(x)).max() > 0.01


def test_salt_and_pepper_fall_on_two_values_in_five():
    x = np.full((200, 100), 0.5, np.float32)
    made = np.asarray(Salted()([x, np.random.default_rng(2).standard_normal(x.shape).astype("f4")]))
    for value, share in ((0.0, 0.2), (0.5, 0.6), (1.0, 0.2)):
        assert (made == value).mean() == pytest.approx(share, abs=4 * 0.5 / made.size**0.5)


def test_hidden_layers_see_both_sides_and_their_noise():
    networks = shaken(registry.networks("deep_gsn", "edge", input_shape=(3,), hidden=(4, 2), deviation=0.5))
    encoder, random = networks["encoder"], np.random.default_rng(3)
    x, noise = random.random((2, 3)).astype("f4"), random.normal(size=(2, 3 + 8 + 4 + 8)).astype("f4")
    noise[:, :3] = 0  # nothing falls on the samples
    (w, b), (v, c, d) = (
        [np.asarray(each) for each in encoder.get_layer(name).weights] for name in ("hidden_1", "hidden_2")
    )
    told = x @ w + b
    below = np.tanh(told + 0.5 * noise[:, 3:7]) + 0.5 * noise[:, 7:11]
    above = np.tanh(below @ v + c + 0.5 * noise[:, 11:13]) + 0.5 * noise[:, 13:15]
    wanted = np.tanh(told + above @ v.T + d + 0.5 * noise[:, 15:19]) + 0.5 * noise[:, 19:]
    found = KerasRunner(networks)("encoder", {"inputs": x, "noise": noise})["code"]
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_each_step_of_a_walk_is_to_say_the_first_sample():
    networks = shaken(registry.networks("deep_gsn", "edge", input_shape=(6,), hidden=(4, 2)), size=0.2)
    x = np.random.default_rng(4).integers(0, 2, (5, 6)).astype("f4")
    said = np.asarray(Coder(networks, Penalties(walks=3), 0)(x, training=False))
    assert said.shape == (5, 3 * 6 + 1)
    loss = Penalised(keras.losses.BinaryCrossentropy(from_logits=True), 3).call(x, keras.ops.convert_to_tensor(said))
    each = np.logaddexp(0, said[:, :-1]) - np.tile(x, (1, 3)) * said[:, :-1]
    np.testing.assert_allclose(loss, each.mean(1) + said[:, -1], rtol=1e-5)
    assert np.abs(said[:, :6] - said[:, 6:12]).max() > 0  # another sample, and other noise
    with pytest.raises(BadInput, match="walks=0"):
        Penalties(walks=0)


def test_a_quiet_encoder_learns_without_noise():
    networks = shaken(registry.networks("stacked_cae", "edge", input_shape=(5,), hidden=(4,), code=3))
    x = np.random.default_rng(5).random((2, 5)).astype("f4")
    silent = {"inputs": x, "noise": np.zeros((2, 3), "f4")}
    run = KerasRunner(networks)
    (wanted,) = run("decoder", {"code": run("encoder", silent)["code"]}).values()
    said = np.asarray(Coder(networks, Penalties(quiet=1), 0)(x, training=True))
    np.testing.assert_allclose(said[:, :-1], wanted, atol=1e-6)


@pytest.mark.parametrize(("name", "end"), [("deep_gsn", "sampled_walk"), ("stacked_cae", "walk")])
def test_the_task_judges_what_walks_come_to(monkeypatch, name, end):
    monkeypatch.setattr(walking, "SKIPPED", 2)
    monkeypatch.setattr(walking, "DRAWN", 40)
    monkeypatch.setattr(walking, "CHAINS", 10)
    networks, task = registry.networks(name, "edge", hidden=(8, 4)[: 1 + (name == "deep_gsn")]), tasks.get(end)
    for weight in networks["decoder"].weights:  # whatever comes, all values are a half
        weight.assign(np.zeros(weight.shape))
    if end == "walk":
        networks["decoder"].get_layer("values").bias.assign(np.full(64, 0.5))
    dataset = task.present("digits", networks, limit=60, test_limit=7)
    run = KerasRunner(networks)
    grey = np.full((1, 64), 0.5, np.float32)
    validation, test = (np.asarray(each.x) for each in (dataset.validation, dataset.test))
    width = WIDTHS[log_likelihoods(validation, grey, WIDTHS).mean(1).argmax()]
    wanted = log_likelihoods(test, grey, np.array([width]))[0] / 64
    np.testing.assert_allclose(task.evaluate(run, dataset).rows[:, 0], wanted, atol=1e-5)
    assert {key: value.shape for key, value in task.pictures(run, dataset).items()} == dict.fromkeys(
        ("samples", "reconstructions", "drawn"), (7, 64)
    )


def test_a_walk_takes_the_spread_that_validation_likes_best():
    networks, walk = registry.networks("stacked_cae", "edge"), tasks.get("walk")
    dataset = walk.present("digits", networks, limit=300, test_limit=50)

    def moved(by):  # samples are said as they are, beside noise
        def run(network, inputs):
            if network == "decoder":
                return {"values": inputs["code"]}
            return {"code": inputs["inputs"] + np.float32(by) * inputs["noise"][:, :64]}

        return run

    def judged(by, *spreads):
        return replace(walk, spreads=spreads).evaluate(moved(by), dataset).rows

    little, much = judged(1, 0.0625), judged(1, 0.5)
    assert little.mean() > much.mean() + 0.1
    for spreads in ((0.0625, 0.5), (0.5, 0.0625)):
        np.testing.assert_array_equal(judged(1, *spreads), little)
    np.testing.assert_array_equal(judged(0.25, 0.25, 2.0), little)  # what moves less by the same noise is walked wider
    widest = max(walk.spreads)
    given = walk.samples(dataset, "encoder", 100)  # by which ranges are calibrated
    assert given["noise"].std() == pytest.approx(widest, rel=0.05)
