"""Pictures of pictures: sizes, what a patch sees, and games on digits."""

import math

import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.gradients import gradients
from edgewright.keras_internals import without_weights
from edgewright.metrics import METRICS
from edgewright.models import image_translation, registry
from edgewright.training import learners, tasks
from edgewright.training.config import TrainConfig
from edgewright.training.data import load
from edgewright.training.data.edges import edges
from edgewright.training.runner import KerasRunner
from edgewright.training.state import RunDir
from edgewright.training.tasks.generative import unsigned
from edgewright.training.tasks.image_translation import holes


def sizes(name: str) -> dict[str, int]:
    """Return trainable parameters by network."""
    with without_weights():
        networks = registry.networks(name)
    return {role: sum(math.prod(weight.shape) for weight in network.trainable_weights)
            for role, network in networks.items()}  # fmt: skip


def test_sizes_are_those_of_the_published_code():
    assert sizes("pix2pix") == {"generator": 54_413_955, "discriminator": 2_768_705}
    assert set(sizes("cyclegan").values()) == {11_378_179, 2_764_737}
    assert [each.network for each in registry.get("cyclegan").deploy] == ["generator_there", "generator_back"]


def test_a_map_at_a_time_costs_a_weight_for_each_two_places():
    """m n^2 weights for m maps of n places, where a dense layer has m^2 n^2; no map sees another."""
    x = keras.Input((2, 3, 5))
    model = keras.Model(x, image_translation.channelwise_dense(x, "channelwise"))
    assert model.count_params() == 5 * 6 * 6 + 5 * 6
    given = np.random.default_rng(0).normal(size=(1, 2, 3, 5)).astype("f4")
    other = given.copy()
    other[0, 1, 2, 3] += 1
    changed = np.abs(np.asarray(model(given)) - np.asarray(model(other))).max((0, 1, 2)) > 0
    np.testing.assert_array_equal(changed, np.arange(5) == 3)
    kernel = model.get_layer("channelwise").get_weights()[0]  # (2, 3, maps, places)
    expected = np.einsum("hwc,hwcp->pc", given[0], kernel).reshape(2, 3, 5)
    np.testing.assert_allclose(np.asarray(model(given))[0], expected, rtol=1e-4, atol=1e-5)


def test_a_patch_is_seen_whole_and_nothing_else():
    """By the gradient of one cell: 70 x 70 pixels by the published strides, 16 x 16 by those of the small preset.

    Of kernels above 0, so that no two ways cancel out.
    """
    for widths, shape, cell, patch in (((4, 4, 4, 4), (128, 128, 1), 7, 70), ((4, 4), (48, 48, 1), 11, 16)):
        network = image_translation.patch_gan(shape, widths, beside_source=False)
        for layer in network.layers:
            if layer.name.startswith(("conv", "logit")):
                layer.set_weights([np.abs(weight) for weight in layer.get_weights()])
        x = np.random.default_rng(0).normal(size=(1, *shape)).astype("f4")
        (slope,), _ = gradients(lambda at, of=network, at_cell=cell: (of(at[0])[0, at_cell, at_cell, 0], ()), [x])
        seen = slope[0, :, :, 0] > 0
        rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
        assert len(rows) == len(columns) == patch == rows[-1] - rows[0] + 1 == columns[-1] - columns[0] + 1
        assert seen[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all() and not (slope < 0).any()


def test_edges_are_where_it_is_steep():
    """A step of 1 between columns 2 and 3: central differences of 1/2 on both sides of it."""
    image = np.zeros((1, 4, 6, 1), "f4")
    image[:, :, 3:] = 1
    np.testing.assert_array_equal(edges(image)[0, :, :, 0], np.tile([0, 0, 1, 1, 0, 0], (4, 1)))
    assert not edges(0.1 * image).any()


def test_decibels():
    """A mean squared error of 1/100 are 20 dB; one decibel's tenth is a point."""
    metric = METRICS["psnr"]
    assert metric.reduce(np.array([[0.005], [0.015]])) == pytest.approx(20.0)
    assert metric.gain(20.1, 20.0) == pytest.approx(0.01) and metric.reduce(np.zeros((2, 1))) == 100


def few(name: str, data: str, limit: int = 256, **sizes):
    """Return small networks, a task and its data."""
    networks, task = registry.networks(name, "edge", seed=1, **sizes), tasks.get(registry.get(name).task)
    return networks, task, task.present(data, networks, limit=limit)


def play(name: str, parts: tuple, epochs: int, **settings) -> float:
    """Return the metric of the test split after a game of its own."""
    networks, task, dataset = parts
    keras.utils.set_random_seed(1)
    config = TrainConfig(epochs=epochs, batch_size=32, seed=1, jit_compile=False, **settings)
    learners.get(registry.get(name).learner)(networks, dataset, task, config, RunDir(None))
    return task.metric.reduce(task.evaluate(KerasRunner(networks), dataset).rows)


def test_pictures_of_edges_are_nearer_than_the_mean_picture():
    parts = few("pix2pix", "digits_edges", widths=(8, 16), judging=(8, 8))
    _, task, dataset = parts
    mean = np.broadcast_to(dataset.train.y.mean(0), dataset.test.y.shape)
    assert play("pix2pix", parts, 6, learning_rate=3e-3) > 1 + task.metric.reduce(task.errors(mean, dataset.test.y))
    shown = task.pictures(KerasRunner(parts[0]), dataset)
    assert set(shown) == {"sources", "targets", "drawn"} and shown["drawn"].shape == (8, 16, 16, 1)


def test_holes_are_filled_better_than_by_the_mean():
    """On held-out masks, of held-out pictures: in the hole the mean picture of training is further away."""
    parts = few("context_encoder", "digits", limit=512, widths=(8, 16, 32), judging=(8, 8))
    _, task, dataset = parts
    mask, target = dataset.test.x["mask"], dataset.test.y
    assert (mask.sum((1, 2, 3)) == 64).all()
    np.testing.assert_array_equal(dataset.test.x["source"], target * (1 - mask))
    mean = np.broadcast_to(dataset.train.y.mean(0), target.shape)
    filled = task.metric.reduce(task.errors(mean, target, mask))
    assert play("context_encoder", parts, 10, learning_rate=3e-3) > filled + 0.3
    shown = task.pictures(KerasRunner(parts[0]), dataset)
    outside = np.broadcast_to(mask[:8] == 0, shown["drawn"].shape)
    np.testing.assert_array_equal(shown["drawn"][outside], unsigned(target[:8])[outside])  # pasted


def test_the_error_is_that_in_the_hole():
    task = tasks.get("inpainting")
    made, target = np.float32([[[[1], [-1]]]]), np.float32([[[[-1], [-1]]]])
    for mask, expected in (([1, 1], 0.5), ([0, 1], 0.0), ([1, 0], 1.0)):
        found = task.errors(made, target, np.float32(mask).reshape(1, 1, 2, 1))
        np.testing.assert_allclose(found, [[expected]])
    drawn = holes(200, (8, 6), np.random.default_rng(0))
    assert drawn.shape == (200, 8, 6, 1) and (drawn.sum((1, 2, 3)) == 9).all()
    assert drawn.max(0).min() == 1  # anywhere


def test_both_ways_are_judged_and_learned_of_what_does_not_belong_together():
    _, task, dataset = few("cyclegan", "digits_edges", limit=64, width=2, blocks=1, judging=(4, 4))
    pools = dataset.pools()
    assert [list(pool) for pool in pools] == [["real_there"], ["real_back"]]
    back = {"generator_there": dataset.test.y, "generator_back": dataset.test.x + 0.2}

    def run(network, given):
        return {"sample": back[network]}

    scores = task.evaluate(run, dataset)
    half = len(dataset.test.y)
    assert len(scores.rows) == 2 * half and len(scores.units) == half
    np.testing.assert_allclose(scores.rows[:half], 0)
    np.testing.assert_allclose(scores.rows[half:], 0.01, rtol=1e-4)  # 0.2 of [-1, 1] is 0.1 of [0, 1]
    assert task.beside(run, dataset)["cycle_error"] > 0.05  # those targets are no sources
    seen = task.observed(lambda network, given: {"sample": given["source"] + 1}, dataset, "generator_back", 16)
    assert {len(values) for values in seen.values()} == {16}


def test_how_far_pictures_come_back_from_where_they_were_sent():
    """There adds 0.1 to [-1, 1] and back takes 0.4, so either cycle ends 0.3 off: 0.15 grey levels of [0, 1]."""
    _, task, dataset = few("cyclegan", "digits_edges", limit=64, width=2, blocks=1, judging=(4, 4))
    moved = {"generator_there": 0.1, "generator_back": -0.4}
    run = type("Run", (), {"__call__": lambda self, network, given: {"sample": given["source"] + moved[network]}})()
    assert task.judge(dataset).beside(run) == {"cycle_error": pytest.approx(0.15, abs=1e-6)}
    _, lone, pairs = few("pix2pix", "digits_edges", limit=64, widths=(2, 2), judging=(2, 2))
    assert lone.judge(pairs).beside(run) == {}


def test_what_does_not_fit_is_refused():
    networks = registry.networks("pix2pix", "edge")
    with pytest.raises(BadInput, match="needs a network 'generator'"):
        tasks.get("image_translation").present("digits_edges", {"encoder": networks["generator"]})
    with pytest.raises(BadInput, match="cannot serve task"):
        load("digits", task="image_translation")
    with pytest.raises(ValueError, match="halved 3 times"):
        registry.get("pix2pix").builder((12, 12, 1), widths=(4, 4, 4))
