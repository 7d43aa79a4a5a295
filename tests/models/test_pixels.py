"""Densities in the order of reading: nothing is seen before its turn, probabilities sum to 1, a step is the whole."""

import itertools
from dataclasses import replace

import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.models import registry
from edgewright.models.cells import ConvLSTMCell
from edgewright.models.nonlocal_net import non_local
from edgewright.models.pixels import masked
from edgewright.quantize.streaming import derive
from edgewright.training import tasks
from edgewright.training.data import Split
from edgewright.training.data.waves import companded
from edgewright.training.runner import KerasRunner
from edgewright.training.tasks.pixel_likelihood import drawn_in_order

SIZES = {
    "pixel_cnn": {"input_shape": (3, 4, 1), "depth": 1, "width": 2, "stem": 3},
    "pixel_rnn": {"input_shape": (3, 4, 1), "depth": 1, "width": 2, "stem": 3},
    "video_pixel_network": {"input_shape": (2, 4, 4, 1), "width": 2, "encoder": 1, "decoder": 1, "stem": 3},
}
WAVE = {"input_shape": (12,), "classes": 5, "dilations": (1, 2, 4), "stacks": 1, "width": 3, "skip": 4}


def shaken(networks, seed=0):
    """Return networks of which no weight is so small, or so large, that something is not seen."""
    random = np.random.default_rng(seed)
    for network in networks.values():
        for weight in network.trainable_weights:
            weight.assign(random.normal(0, 0.6, weight.shape))
    return networks


def seen(network, x, changed):
    """Return which outputs of one sample change with each of its values, (values, outputs)."""
    rows = np.repeat(x, 1 + x.size, 0).reshape(1 + x.size, -1)
    for place in range(x.size):
        rows[1 + place, place] = changed(rows[1 + place, place])
    said = network.predict_on_batch(rows.reshape(-1, *x.shape[1:])).reshape(1 + x.size, -1)
    return said[1:] != said[0]


def check_order(name):
    """Each pixel's logit changes with pixels before it alone, and with the one just before it in its row."""
    network = shaken(registry.networks(name, "edge", **SIZES[name]))["density"]
    x = np.random.default_rng(1).integers(0, 2, (1, *SIZES[name]["input_shape"])).astype(np.float32)
    found = seen(network, x, lambda value: 1 - value)
    assert not found[np.tril_indices(len(found))].any()
    across = x.shape[-2]
    beside = [place for place in range(len(found) - 1) if (place + 1) % across]
    assert all(found[place, place + 1] for place in beside)
    frame = x[0].size // 2 if x.ndim == 5 else len(found)
    assert found[0, across : across + 2].all() and (x.ndim == 4 or found[:frame, frame:].any())


def check_waves():
    """A stack of three layers sees 2^3 values: the last one and seven before it."""
    network = shaken(registry.networks("wavenet", "edge", **WAVE))["sequence"]
    x = np.random.default_rng(1).integers(0, 5, (1, 12)).astype(np.int32)
    found = seen(network, x, lambda value: (value + 1) % 5).reshape(12, 12, 5).any(-1)
    apart = np.arange(12) - np.arange(12)[:, None]  # how far behind a value an output lies
    np.testing.assert_array_equal(found, (apart >= 0) & (apart < 8))


@pytest.mark.parametrize("name", SIZES)
def test_no_pixel_is_seen_before_its_turn(name):
    check_order(name)


def test_a_stack_of_dilated_layers_sees_two_to_the_power_of_its_depth():
    check_waves()


def test_the_same_on_jax(on_jax):
    script = "import test_pixels as t; t.check_order('video_pixel_network'); t.check_waves()"
    places = f"import sys; sys.path.insert(0, {str(__file__.rpartition('/')[0])!r}); "
    on_jax.says(places + script)


@pytest.mark.parametrize("centre", [False, True])
def test_two_plain_convolutions_are_the_masked_one(centre):
    inputs = keras.Input((5, 6, 2))
    network = shaken({"": keras.Model(inputs, masked(inputs, 3, 5, "m", centre=centre))})[""]
    kernel = np.zeros((5, 5, 2, 3))
    kernel[:2] = network.get_layer("m_above").kernel
    kernel[2:3, : 2 + centre] = network.get_layer("m_left").kernel
    x = np.random.default_rng(2).normal(size=(1, 5, 6, 2))
    padded = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5), axis=(1, 2))  # (1, 5, 6, 2, 5, 5)
    wanted = np.einsum("nhwcij,ijco->nhwo", windows, kernel) + np.asarray(network.get_layer("m_left").bias)
    np.testing.assert_allclose(network(x), wanted, atol=1e-4)


def test_a_step_of_the_row_lstm_by_hand():
    cell = ConvLSTMCell((3,), 1)
    cell.build((None, 12))
    kernel = np.random.default_rng(3).normal(size=(3, 1, 4))
    cell.recurrent_kernel.assign(kernel)
    x, h, c = (np.random.default_rng(seed).normal(size=(1, size)) for seed, size in ((4, 12), (5, 3), (6, 3)))
    beside = np.pad(h[0], 1)
    new, memory = [], []
    for place in range(3):
        sums = x[0, 4 * place : 4 * place + 4] + sum(beside[place + k] * kernel[k, 0] for k in range(3))
        let_out, forget, let_in = 1 / (1 + np.exp(-sums[:3]))
        memory.append(forget * c[0, place] + let_in * np.tanh(sums[3]))
        new.append(let_out * np.tanh(memory[-1]))
    hidden, states = cell(x, [h, c])
    np.testing.assert_allclose(hidden[0], new, atol=1e-5)
    np.testing.assert_allclose(states[1][0], memory, atol=1e-5)


@pytest.mark.parametrize("name", ["pixel_cnn", "pixel_rnn"])
def test_probabilities_of_all_images_sum_to_1_and_are_drawn_by(name):
    sizes = {**SIZES[name], "input_shape": (2, 2, 1)}
    networks, task = shaken(registry.networks(name, "edge", **sizes), seed=1), tasks.get("ordered_likelihood")
    every = np.array(list(itertools.product([0, 1], repeat=4)), np.float32).reshape(16, 2, 2, 1)
    dataset = task.present("digits", networks, limit=32, test_limit=4)
    run = KerasRunner(networks)
    whole = task.evaluate(run, replace(dataset, test=Split(x=every, y=every)))
    chances = np.exp(4 * whole.rows[:, 0])
    assert chances.sum() == pytest.approx(1, abs=1e-5)
    assert chances.max() > 0.1
    count = 20_000
    uniform = np.random.default_rng(2).random((count, 2, 2, 1), np.float32)
    made = drawn_in_order(lambda x: np.asarray(run("density", {"inputs": x})["logits"]), uniform, uniform)
    share = np.bincount((made.reshape(count, 4) @ [8, 4, 2, 1]).astype(int), minlength=16) / count
    np.testing.assert_allclose(share, chances, atol=4 * 0.5 / count**0.5)


def test_the_task_scores_images_and_continues_clips():
    task = tasks.get("ordered_likelihood")
    networks = registry.networks("video_pixel_network", "edge", **SIZES["video_pixel_network"])
    for weight in networks["density"].weights:
        weight.assign(np.zeros(weight.shape))
    dataset = task.present("moving_digits", networks, limit=16, test_limit=4)
    assert set(np.unique(dataset.train.x)) == {0, 1}
    rows = task.evaluate(KerasRunner(networks), dataset).rows
    np.testing.assert_allclose(rows, np.full((4, 1), -np.log(2)), rtol=1e-6)  # logits 0: a half for each pixel
    shown = task.pictures(KerasRunner(networks), dataset)
    assert shown["samples"].shape == shown["continued"].shape == (3, 4, 2 * 4, 1)
    np.testing.assert_array_equal(shown["samples"][:, :, :4], shown["continued"][:, :, :4])  # the first half is given
    with pytest.raises(BadInput, match="density"):
        task.present("digits", {"other": networks["density"]})


def test_the_step_of_a_waveform_is_the_whole_and_draws():
    networks = shaken(registry.networks("wavenet", "edge", **WAVE))
    deploy = registry.with_states(registry.get("wavenet").deploy, networks)
    assert deploy[0].states == {f"past_{k}_out": f"past_{k}" for k in (1, 2, 3)}
    step = derive(networks["step"], networks["sequence"], deploy[0].states)
    run = KerasRunner({"sequence": networks["sequence"], "step": step}, deploy)
    task = tasks.get("waveform_model")
    dataset = task.present("made_up_waves", networks, limit=16, test_limit=4)
    x = np.asarray(dataset.test.x)
    whole = np.asarray(run("sequence", {"tokens": x})["logits"])
    stepped = np.asarray(run.unroll("step", {"token": x[..., None]})["logits"])
    np.testing.assert_allclose(stepped.reshape(whole.shape), whole, atol=1e-5)
    np.testing.assert_allclose(task.evaluate(run, dataset).rows, task.metric.scores(whole, dataset.test.y), atol=1e-5)
    shown = task.pictures(run, dataset)
    assert shown["drawn"].shape == (4, 5, 12, 1) and (shown["drawn"].sum(1) == 1).all()
    np.testing.assert_array_equal(shown["drawn"], task.pictures(run, dataset)["drawn"])


def test_levels_of_the_mu_law():
    said = companded(np.array([-1, -0.5, 0, 0.5, 1, 2.0]), 256)
    bent = np.log1p(255 * 0.5) / np.log(256)  # 0.8757
    assert said.tolist() == [0, int((1 - bent) * 128), 128, int((1 + bent) * 128), 255, 255]
    assert (np.diff(companded(np.linspace(-1, 1, 1001), 16)) >= 0).all()


def test_attention_between_places_knows_no_order():
    inputs = keras.Input((2, 2, 3, 4))
    network = shaken({"": keras.Model(inputs, non_local(inputs, "attention"))})[""]
    x, order = np.random.default_rng(4).normal(size=(1, 12, 4)), np.random.default_rng(5).permutation(12)
    plain, moved = (np.asarray(network(each.reshape(1, 2, 2, 3, 4))).reshape(12, 4) for each in (x, x[:, order]))
    np.testing.assert_allclose(moved, plain[order], atol=1e-4)
    assert np.abs(plain - x[0]).max() > 0.1
