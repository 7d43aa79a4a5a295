"""Moves ahead of a discriminator: what a generator that learns through them minimises, by hand and by differences."""

from pathlib import Path

import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.gradients import slopes
from edgewright.quantize import prepare_qat
from edgewright.quantize.fake_quant import fake_quantize, nudge
from edgewright.training.config import TrainConfig
from edgewright.training.learners.adversaries import Rules, moves
from edgewright.training.learners.games import cost
from edgewright.training.learners.unrolling import named
from edgewright.untyped import ops

NOTHING = np.zeros((2, 1), np.float32)
SGD = {"optimizer": "sgd", "momentum": 0.0, "learning_rate": 0.1, "warmup": 0, "jit_compile": False}
GIVEN = {"real": np.float32([[1.2], [0.4]]), "z": np.float32([[0.5], [1.0]])}


def pair(scale: float, weight: float) -> dict[str, keras.Model]:
    """Return G(z) = scale z and D(x) = weight x."""

    def times(factor: float, given: str, output: str, name: str) -> keras.Model:
        x = keras.Input((1,), name=given)
        network = keras.Model(x, keras.layers.Dense(1, use_bias=False, name=output)(x), name=name)
        network.set_weights([np.float32([[factor]])])
        return network

    return {"generator": times(scale, "z", "sample", "generator"),
            "discriminator": times(weight, "images", "logit", "discriminator")}  # fmt: skip


def number(network: keras.Model) -> float:
    """Return the one weight of a network."""
    return float(np.asarray(network.get_weights()[0])[0, 0])


def with_ahead(given: dict, count: int) -> dict:
    """Return a batch with the same batch for each move ahead."""
    return {**given, **{named(name, move): each for move in range(count) for name, each in given.items()}}


def learned(networks: dict, rules: Rules, settings: dict, given: dict, moved: int = 0) -> tuple[float, float]:
    """Return what the generator's move costs and its slope, after the discriminator made `moved` moves."""
    telling, drawing = moves(networks, rules, TrainConfig(**settings))
    for _ in range(moved):  # an optimizer that remembers something
        telling.make(given, NOTHING)
    drawing.prepare(cost, keras.optimizers.SGD(0.1), TrainConfig(jit_compile=False))
    kept = [np.array(each) for each in (*telling.optimizer.variables, *networks["discriminator"].variables)]
    before, said = number(networks["generator"]), drawing.make(with_ahead(given, rules.unrolling), NOTHING)
    for value, now in zip(kept, (*telling.optimizer.variables, *networks["discriminator"].variables), strict=True):
        np.testing.assert_array_equal(value, np.array(now))  # nobody made the moves ahead
    return said, (before - number(networks["generator"])) / 0.1


def test_a_generator_learns_how_the_discriminator_will_answer_it():
    """Of critics with G(z) = s z, D(x) = w x, real samples 0, z 1, rate 0.1: each move ahead takes 0.1 s from w.

    After two of them w is 0.3 - 0.2 s, so the cost is -(0.3 - 0.2 s) s, -0.1 at s = 1, and its slope is
    -(0.3 - 0.4 s) = 0.1. Without a gradient through the moves it would be -(0.3 - 0.2 s) = -0.1, the other way.
    """
    given = {"real": np.zeros((2, 1), "f4"), "z": np.ones((2, 1), "f4")}
    found = learned(pair(1.0, 0.3), Rules(clip=10.0, unrolling=2), SGD, given)
    np.testing.assert_allclose(found, (-0.1, 0.1), atol=1e-6)


def test_weights_of_a_critic_stay_within_the_clip_on_the_way():
    """Likewise from w = 0.4 within 0.25: 0.4 - 0.1 s is cut to 0.25, whose slope by s is 0, then 0.25 - 0.1 s."""
    given = {"real": np.zeros((2, 1), "f4"), "z": np.ones((2, 1), "f4")}
    found = learned(pair(1.0, 0.4), Rules(clip=0.25, unrolling=2), SGD, given)
    np.testing.assert_allclose(found, (-0.15, -(0.25 - 0.2)), atol=1e-6)


OPTIMIZERS = {"adam": {"optimizer": "adam", "learning_rate": 0.05, "warmup": 0, "jit_compile": False},
              "momentum": {**SGD, "momentum": 0.5, "learning_rate": 0.5},
              "nesterov": {**SGD, "momentum": 0.5, "nesterov": True, "learning_rate": 0.5}}  # fmt: skip


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_slope_is_the_quotient_of_differences_of_moves_that_are_made(optimizer):
    """By three moves that the optimizer makes of a copy, which gave the generator another number before."""

    def played(scale: float, judged_at: float | None = None) -> float:
        networks = pair(1.5, 0.7)
        telling, _ = moves(networks, Rules(), TrainConfig(**OPTIMIZERS[optimizer]))
        for place in range(5):
            if place == 2:
                networks["generator"].set_weights([np.float32([[scale]])])
            telling.make(GIVEN, NOTHING)
        drawn = (scale if judged_at is None else judged_at) * GIVEN["z"].astype(np.float64)
        return float(np.log1p(np.exp(-number(networks["discriminator"]) * drawn)).mean())

    said, slope = learned(pair(1.5, 0.7), Rules(unrolling=3), OPTIMIZERS[optimizer], GIVEN, moved=2)
    assert said == pytest.approx(played(1.5), abs=1e-5)
    assert slope == pytest.approx((played(1.52) - played(1.48)) / 0.04, rel=0.01)
    held = (played(1.5, 1.52) - played(1.5, 1.48)) / 0.04  # of a discriminator that does not answer
    assert abs(slope - held) > 0.1 * abs(slope)


def test_a_gradient_goes_through_a_rounded_discriminator_as_if_it_did_not_round():
    """In wide ranges the slope is nearly that of the float net: 8 bits round by less than a part in a hundred."""
    plain = learned(pair(1.5, 0.7), Rules(unrolling=3), {**SGD, "learning_rate": 0.5}, GIVEN)
    networks = pair(1.5, 0.7)
    aware, _ = prepare_qat(networks["discriminator"], calibration=np.float32([[-2], [2], [1.9], [0.1]]))
    networks["discriminator"] = aware
    rounded = learned(networks, Rules(unrolling=3), {**SGD, "learning_rate": 0.5}, GIVEN)
    np.testing.assert_allclose(rounded, plain, rtol=0.1)


def test_rounding_has_a_second_gradient():
    """sum fq(x^2)^2 has the slope 4 x fq, whose slope is 4 fq + 8 x^2 inside the range and 0 outside."""
    low, high = nudge(-1.0, 1.0)
    x = np.float32([-3.0, -0.5, 0.4, 0.9])
    rounded = np.asarray(fake_quantize(ops.convert_to_tensor(x * x), low, high))  # and compiled, where that is done

    def first(at):
        return slopes(lambda values: ops.sum(ops.square(fake_quantize(ops.square(values[0]), low, high))), at)[0]

    (found,) = slopes(lambda at: ops.sum(first(at)), [ops.convert_to_tensor(x)])
    np.testing.assert_allclose(np.asarray(found), np.where(x > -1, 4 * rounded + 8 * x * x, 0), rtol=1e-5)


def test_on_jax_it_is_the_same(on_jax):
    script = """
import sys
sys.path.insert(0, sys.argv[1])
import keras, test_unrolling as tests
assert keras.backend.backend() == "jax"
tests.test_a_generator_learns_how_the_discriminator_will_answer_it()
tests.test_rounding_has_a_second_gradient()
"""
    on_jax.says(script, Path(__file__).parent)


def test_optimizers_whose_moves_cannot_be_differentiated_are_refused():
    for settings in ({"optimizer": "rmsprop"}, {"optimizer": "sgd", "clip_norm": 1.0}):
        with pytest.raises(BadInput, match=r"unrolling=2: goes through the moves of optimizer adam or sgd without"):
            moves(pair(1.0, 1.0), Rules(unrolling=2), TrainConfig(**settings))
