"""The adversarial pair: its sizes, and the game on numbers worked by hand."""

import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.models import registry
from edgewright.training.config import TrainConfig
from edgewright.training.learners.adversarial import Rules, moves

EVEN = {"real": np.zeros((2, 2), np.float32), "z": np.ones((2, 1), np.float32)}


def test_sizes():
    networks = registry.networks("gan_mlp")
    assert networks["generator"].count_params() == 1_486_352
    assert networks["discriminator"].count_params() == 1_460_225
    assert [each.network for each in registry.get("gan_mlp").deploy] == ["generator", "discriminator"]


def test_samples_lie_between_the_ends_of_tanh_and_the_logit_is_one():
    networks = registry.networks("gan_mlp", "edge", seed=1)
    drawn = np.asarray(networks["generator"](100 * np.random.default_rng(0).normal(size=(4, 16)).astype("f4")))
    assert drawn.shape == (4, 64) and np.abs(drawn).max() <= 1 and np.abs(drawn).max() > 0.5
    assert networks["discriminator"](drawn).shape == (4, 1)


def players(slope: float, weight: float) -> dict[str, keras.Model]:
    """G(z) = slope z in both coordinates, D(x) = weight (x1 + x2)."""
    z, x = keras.Input((1,), name="z"), keras.Input((2,), name="images")
    generator = keras.Model(z, keras.layers.Dense(2, use_bias=False, name="sample")(z), name="generator")
    discriminator = keras.Model(x, keras.layers.Dense(1, use_bias=False, name="logit")(x), name="discriminator")
    generator.set_weights([np.full((1, 2), slope, np.float32)])
    discriminator.set_weights([np.full((2, 1), weight, np.float32)])
    return {"generator": generator, "discriminator": discriminator}


@pytest.mark.parametrize("saturating", [False, True])
def test_a_discriminator_without_an_opinion_is_worth_log_2_and_each_move_changes_one_network(saturating):
    networks = players(1.0, 0.0)
    before = {name: network.get_weights()[0] for name, network in networks.items()}
    telling, drawing = moves(networks, Rules(saturating=saturating), TrainConfig(learning_rate=0.1))
    assert telling.make(EVEN, np.tile(np.float32([1, 0]), (2, 1))) == pytest.approx(np.log(2), abs=1e-6)
    np.testing.assert_array_equal(networks["generator"].get_weights()[0], before["generator"])
    assert (networks["discriminator"].get_weights()[0] < 0).all()  # samples are told from zeros by their sum
    telling_weights = networks["discriminator"].get_weights()[0]
    loss = drawing.make({"z": EVEN["z"]}, np.ones((2, 1), np.float32))
    logit = float(telling_weights.sum())
    expected = -np.log1p(np.exp(logit)) if saturating else np.log1p(np.exp(-logit))
    assert loss == pytest.approx(expected, abs=1e-5)
    np.testing.assert_array_equal(networks["discriminator"].get_weights()[0], telling_weights)
    assert (networks["generator"].get_weights()[0] < before["generator"]).all()  # towards what is taken for real


def test_value_of_the_game_at_the_best_discriminator():
    """2 JS - log 4: a loss of the discriminator is -value / 2, it being a mean over real and drawn."""
    p, q = np.array([0.1, 0.2, 0.7]), np.array([0.5, 0.3, 0.2])
    best = p / (p + q)
    value = (p * np.log(best)).sum() + (q * np.log(1 - best)).sum()
    middle = (p + q) / 2
    divergence = ((p * np.log(p / middle)).sum() + (q * np.log(q / middle)).sum()) / 2
    assert divergence == pytest.approx(0.151358, abs=1e-6)
    assert value == pytest.approx(-1.083578, abs=1e-6)
    logits = np.log(best / (1 - best))
    loss = keras.losses.BinaryCrossentropy(from_logits=True, reduction=None)
    terms = [np.asarray(loss(np.full((3, 1), truth, "f4"), logits[:, None].astype("f4"))) for truth in (1, 0)]
    assert -(p * terms[0] + q * terms[1]).sum() == pytest.approx(value, abs=1e-5)


def test_rules_are_checked():
    with pytest.raises(BadInput, match="steps=0"):
        Rules(steps=0)
