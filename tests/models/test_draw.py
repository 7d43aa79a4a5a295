"""DRAW: filters by hand, a step that says what the sequence says, and a bound that is minimised."""

import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.models import registry
from edgewright.models.glimpse import Writing
from edgewright.quantize.streaming import derive
from edgewright.training import learners, tasks
from edgewright.training.config import TrainConfig
from edgewright.training.learners.variational import Bounded
from edgewright.training.runner import KerasRunner
from edgewright.training.state import RunDir
from edgewright.untyped import ops

TINY = {"steps": 3, "units": 8, "latent": 4, "read": 2, "write": 3}


def built(**sizes):
    return registry.networks("draw", "edge", seed=1, **{**TINY, **sizes})


def test_filters_by_hand():
    """5 pixels, 3 lines: around the middle, 2 apart, of variance 1, each a Gaussian of sum 1."""
    writing = Writing(units=2, size=3, name="writing")
    writing.build((None, 4), (None, 5, 5))
    window = writing.chosen
    window.kernel.assign(np.zeros((2, 5)))
    gauss = np.exp(-((np.arange(5) - np.array([[0], [2], [4]])) ** 2) / 2)
    rows, columns, strength = map(np.asarray, writing.filters(ops.ones((1, 2)), 5, 5))
    np.testing.assert_allclose(rows[0], gauss / gauss.sum(1, keepdims=True), atol=1e-6)
    np.testing.assert_allclose(rows[0, 0], [0.5704, 0.3459, 0.0772, 0.0063, 0.0002], atol=1e-4)
    np.testing.assert_allclose(columns, rows, atol=1e-6)
    assert strength.item() == 0
    # One pixel down, a third of one to the left, half as far apart, of deviation 1/2, 3 times as strong.
    window.bias.assign([1 / 3, -1 / 9, np.log(1 / 4), np.log(1 / 2), np.log(3)])
    rows, columns, strength = map(np.asarray, writing.filters(ops.ones((1, 2)), 5, 5))
    for found, middle in ((rows[0], 3), (columns[0], 2 - 1 / 3)):
        gauss = np.exp(-((np.arange(5) - (middle + np.array([[-1], [0], [1]]))) ** 2) / (2 / 4))
        np.testing.assert_allclose(found, gauss / gauss.sum(1, keepdims=True), atol=1e-5)
    np.testing.assert_allclose(np.exp(strength), 3, rtol=1e-6)


def test_the_step_draws_what_the_sequence_draws_of_codes_that_are_noise():
    networks, random = built(), np.random.default_rng(0)
    networks["sequence"].get_layer("drawing").writing.empty.assign(random.normal(size=(8, 8)))
    for said in ("mean", "log_variance"):
        layer = getattr(networks["sequence"].get_layer("drawing").reading, said)
        layer.set_weights([np.zeros(weight.shape) for weight in layer.weights])
    deploy = registry.with_states(registry.get("draw").deploy, networks)
    step = derive(networks["step"], networks["sequence"], dict(deploy[0].states))
    noise = random.standard_normal((5, 3, 4), np.float32)
    pictures = random.random((5, 8, 8, 1), np.float32)
    whole = networks["sequence"]({"pictures": pictures, "noise": noise})["logits"]
    drawn = KerasRunner({**networks, "step": step}, deploy).unroll("step", {"noise": noise})["logits"]
    np.testing.assert_allclose(drawn[:, -1], whole, atol=1e-4)
    assert np.abs(drawn[:, 0] - drawn[:, 1]).max() > 1e-3


def test_size_by_formula():
    """LSTMs of 2 2^2 + 256 and of 100 numbers, codes, windows of 5, a patch of 5^2, and the empty canvas."""
    lstms = sum(4 * 256 * (width + 256 + 1) for width in (2 * 2**2 + 256, 100))
    assert registry.get("draw").params == lstms + 2 * 257 * 100 + 2 * 257 * 5 + 257 * 25 + 28**2


def test_the_divergence_is_counted_a_value():
    """3 steps of 4 codes of mean 2 and deviation 1 are 3 4 2^2 / 2 nats apart from noise, a 64th for each pixel."""
    networks = built()
    reading = networks["sequence"].get_layer("drawing").reading
    for layer, bias in ((reading.mean, 2.0), (reading.log_variance, 0.0)):
        kernel, old = layer.weights
        layer.set_weights([np.zeros(kernel.shape), np.full(old.shape, bias)])
    said = np.asarray(Bounded(networks["sequence"], 0)(np.zeros((2, 8, 8, 1), "float32")))
    assert said.shape == (2, 65)
    np.testing.assert_allclose(said[:, -1], 24 / 64, rtol=1e-6)


def test_pictures_are_learned_and_drawn():
    networks, entry = built(steps=2), registry.get("draw")
    task = tasks.get(entry.task)
    data = task.present("digits", networks, limit=400)
    before = float(np.mean(task.evaluate(_run(networks), data).rows))
    history = learners.get(entry.learner)(registry.trained(networks, entry.deploy), data, task,
                                          TrainConfig(epochs=8, learning_rate=1e-2), RunDir(None))  # fmt: skip
    assert history[-1]["val_loss"] < 0.6  # nats a value, of grey 0.69
    run = _run(networks)
    assert float(np.mean(task.evaluate(run, data).rows)) > before + 0.2
    shown = task.pictures(run, data)
    assert shown["drawn"].shape == shown["samples"].shape
    assert shown["drawn"].min() >= 0 and shown["drawn"].max() <= 1
    with pytest.raises(BadInput, match="trains 'sequence', got step"):
        learners.get(entry.learner)({"step": networks["step"]}, data, task, TrainConfig(epochs=1), RunDir(None))


def _run(networks):
    deploy = registry.with_states(registry.get("draw").deploy, networks)
    step = derive(networks["step"], networks["sequence"], dict(deploy[0].states))
    return KerasRunner({**networks, "step": step}, deploy)


def test_a_network_that_is_missing_is_named():
    with pytest.raises(BadInput, match="needs a network 'step', got sequence"):
        tasks.get("stepwise_sampling").present("digits", {"sequence": built()["sequence"]})
