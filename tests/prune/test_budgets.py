"""What a budget counts, by hand; shares of what was there at first, in one step and in several."""

import json

import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.prune import ChannelConfig, prune_channels
from edgewright.prune.structured.cost import file_bytes, peak_bytes
from edgewright.prune.structured.cut import Cut
from edgewright.prune.structured.importance import importance
from edgewright.prune.structured.units import Anatomy
from edgewright.quantize.graph.tracing import trace_calls
from many_nets import build_net, residual


def net(skip=True):
    """Maps of 4 x 4: 2 channels, then 4, then 4, added to the first 4, then 8."""
    x = keras.Input((4, 4, 2))
    a = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="a")(x)
    b = keras.layers.BatchNormalization(name="norm")(keras.layers.Conv2D(4, 3, padding="same", name="b")(a))
    both = keras.layers.ReLU(name="relu")(keras.layers.Add(name="both")([a, b])) if skip else b
    return keras.Model(x, keras.layers.Conv2D(8, 1, name="c")(both))


def whole(model):
    return Cut(Anatomy(trace_calls(model)))


def test_activations_alive_at_once_by_hand():
    one = 4 * 4 * 4  # bytes of a channel in float32
    # x a | a b | a b both | both c: the sum of three maps of 4 channels is as much as 4 and 8
    assert peak_bytes(whole(net())) == 12 * one
    assert peak_bytes(whole(net()), "w8a8") == 12 * one // 4
    assert peak_bytes(whole(net()), "w8a16") == 12 * one // 2
    x = keras.Input((4, 4, 2))
    chain = keras.Model(x, keras.layers.Conv2D(3, 1)(keras.layers.Conv2D(4, 1, activation="relu")(x)))
    assert peak_bytes(whole(chain)) == 7 * one  # what a bias and a bound make is where the product is
    tanh = keras.Model(x, keras.layers.Conv2D(1, 1)(keras.layers.Conv2D(4, 1, activation="tanh")(x)))
    assert peak_bytes(whole(tanh)) == 8 * one  # no kernel has it: an operator of its own


def test_bytes_of_weights_by_hand():
    """Kernels and one bias each; the normalization is folded into the convolution before it."""
    assert file_bytes(whole(net())) == 4 * ((9 * 2 * 4 + 4) + (9 * 4 * 4 + 4) + (4 * 8 + 8))


def test_memory_is_a_budget():
    _, report = prune_channels(net(), ChannelConfig(memory=0.2))
    assert report.costs["memory"] == (12 * 64, 9 * 64)  # 8 channels are an output, 1 of 4 is left
    assert "bytes of activations alive at once 768 -> 576 (0.75x)" in str(report)
    with pytest.raises(BadInput, match=r"at most 0.25 of the memory go"):
        prune_channels(net(), ChannelConfig(memory=0.3))


@pytest.mark.parametrize("scope", ["group", "global"])
def test_steps_take_what_one_takes(scope):
    model = build_net(residual)
    at_once = prune_channels(model, ChannelConfig(channels=0.75, scope=scope))[1]
    smaller, report = prune_channels(model, ChannelConfig(channels=0.75, scope=scope, steps=3))
    assert [(row.name, row.before) for row in report.groups] == [(row.name, row.before) for row in at_once.groups]
    assert sum(row.after for row in report.groups) == pytest.approx(sum(row.after for row in at_once.groups), abs=2)
    assert report.macs[0] == at_once.macs[0] and report.parameters == (model.count_params(), smaller.count_params())


def test_each_step_takes_the_same_share_of_what_is_left():
    steps = ChannelConfig(macs=0.875, steps=3, criterion="l2").in_steps()
    assert [step.macs for step in steps] == pytest.approx([0.5, 0.75, 0.875])
    assert {(step.steps, step.criterion) for step in steps} == {(1, "l2")}


@pytest.mark.parametrize("budget", ["macs", "parameters", "memory"])
def test_steps_meet_a_budget_of_the_whole(budget):
    model = build_net(residual)
    _, report = prune_channels(model, ChannelConfig(**{budget: 0.5}, steps=2))
    after = {"macs": report.macs, "parameters": report.parameters, **report.costs}[budget][1]
    assert 0.3 * report.before(budget) < after <= 0.5 * report.before(budget)


def test_a_cost_that_is_given():
    """The cost is the number of channels of the convolution a, squared."""
    model = net(skip=False)

    def cost(cut):
        (kernel,) = (leaf for leaf in cut.anatomy.trace.weights.values() if leaf.name.replace(".", "/") == "a/kernel")
        return cut.shape(kernel)[-1] ** 2

    smaller, report = prune_channels(model, ChannelConfig(latency=0.4), cost=cost)
    assert report.costs["latency"] == (16, 9)
    assert smaller.get_layer("a").get_weights()[0].shape[-1] == 3
    with pytest.raises(BadInput, match=r"latency=0.4 needs cost=.*edgewright.prune"):
        prune_channels(model, ChannelConfig(latency=0.4))
    with pytest.raises(BadInput, match="cpu-x86"):
        prune_channels(model, ChannelConfig(channels=0.4, target="cpu-x86"))


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"latency": 0.5, "macs": 0.5}, "macs and latency given"), ({"max_drop": -0.1}, "max_drop=-0.1"),
     ({"memory": 1.0}, "memory=1.0"), ({"memory": 0.5, "precision": "w4"}, "precision='w4'"),
     ({"channels": 0.5, "steps": 0}, "steps=0"), ({"max_drop": 0.1, "trial_epochs": -1}, "trial_epochs=-1")],
)  # fmt: skip
def test_bad_budgets(settings, words):
    with pytest.raises(BadInput, match=words):
        ChannelConfig(**settings)


def test_a_configuration_goes_through_json():
    config = ChannelConfig(latency=0.5, device="ssh://pi@board", target="cortex-m", steps=3, skip=("stem*",))
    assert ChannelConfig.from_dict(json.loads(json.dumps(vars(config)))) == config


def test_taylor_by_hand():
    """y = v (W x): without unit j the loss, the mean of y, changes by v_j (W_j x) for each of W_j and v_j."""
    x = keras.Input((3,))
    model = keras.Model(x, keras.layers.Dense(1, use_bias=False)(keras.layers.Dense(4, use_bias=False)(x)))
    inner, outer = (weight.numpy() if hasattr(weight, "numpy") else np.asarray(weight) for weight in model.weights)
    given = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    signs = (1.0, -1.0)
    changes = [2 * outer[:, 0] * (part.mean(0) @ inner) for part in given]
    expected = np.sqrt(np.mean(np.square(changes), axis=0))
    batches = [(part, lambda outputs, sign=sign: sign * keras.ops.mean(outputs))
               for part, sign in zip(given, signs, strict=True)]  # fmt: skip
    config = ChannelConfig(channels=0.5, criterion="taylor")
    (found,) = importance(Anatomy(trace_calls(model)), model, config, None, batches)
    np.testing.assert_allclose(found, expected / expected.mean(), rtol=1e-4)
