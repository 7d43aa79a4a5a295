"""Style transfer: Grams by hand, losses that fall, nets that score and paint."""

import math

import numpy as np
import pytest
from edgewright.keras_internals import without_weights
from edgewright.models import registry
from edgewright.models.scoring import Gram
from edgewright.runners import Runner
from edgewright.training import learners, tasks
from edgewright.training.config import TrainConfig
from edgewright.training.learners.style import stylised
from edgewright.training.runner import KerasRunner
from edgewright.training.state import RunDir
from edgewright.training.tasks import style as tasks_style
from edgewright.training.tasks.style import content_loss, said_by, stripes, style_loss, style_of

R = np.random.default_rng(0)


def test_grams_are_sums_over_places_whatever_their_order():
    maps = R.normal(size=(2, 4, 5, 64)).astype("f4")
    grams = np.asarray(Gram()(maps))
    assert grams.shape == (2, 64, 64)
    np.testing.assert_allclose(grams, np.swapaxes(grams, 1, 2), atol=1e-5)
    np.testing.assert_allclose(grams[1, 3, 7], (maps[1, :, :, 3] * maps[1, :, :, 7]).sum(), atol=1e-4)
    moved = maps.reshape(2, 20, 64)[:, R.permutation(20)].reshape(maps.shape)
    np.testing.assert_allclose(np.asarray(Gram()(moved)), grams, atol=1e-4)


def test_losses_are_shares_of_what_was_to_be_reached():
    """Features 0 where 2 was wanted: all of it is missing, 1. Grams (3, 1) for (1, 1): (4 + 0) / 2 over 1."""
    said = {"features": np.zeros((1, 2, 2, 1), "f4"), "gram_1": np.float32([[[3, 1]]]), "gram_2": np.float32([[[2]]])}
    assert float(np.asarray(content_loss(said, np.full((1, 2, 2, 1), 2, "f4"))).item()) == pytest.approx(1)
    wanted = {"gram_1": np.float32([[[1, 1]]]), "gram_2": np.float32([[[1]]])}
    assert float(np.asarray(style_loss(said, wanted)).item()) == pytest.approx(2 + 1)


def test_the_published_size():
    with without_weights():
        network = registry.networks("feed_forward_style_transfer")["feed_forward_style_transfer"]
    assert sum(math.prod(weight.shape) for weight in network.trainable_weights) == 1_679_235
    scorer = registry.networks("pixel_style_transfer", "edge", widths=(64,))["pixel_style_transfer"]
    assert {output.shape[1:] for output in scorer.outputs} == {(10,), (16, 16, 64), (64, 64)}


def test_both_losses_fall_as_pixels_descend_from_noise():
    scorer = registry.networks("pixel_style_transfer", "edge", input_shape=(8, 8, 1), widths=(4, 8))
    (network,) = scorer.values()
    weights = [np.array(each) for each in network.get_weights()]
    content = np.zeros((1, 8, 8, 1), "f4")
    content[:, 2:6, 3:5] = 1
    start = R.uniform(size=content.shape).astype("f4")
    made, (before, after) = stylised(network, content, stripes((8, 8, 1)), start=start, steps=60, rate=0.05)
    assert made.shape == content.shape and np.abs(made - start).max() > 0.1
    assert after[0] < before[0] and after[1] < before[1]
    for kept, now in zip(weights, network.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, now)


def test_the_nearest_in_style_is_of_the_same_class():
    """Grams that are one-hot of the class, or all alike: of these the nearest is the first."""
    networks, task = registry.networks("pixel_style_transfer", "edge", widths=(2, 2)), tasks.get("style_scoring")
    dataset = task.present("digits", networks, limit=200, test_limit=50)
    classes = {id_of(x): label for split in (dataset.train, dataset.test)
               for x, label in zip(split.x, split.y["label"], strict=True)}  # fmt: skip

    def run(network, given):
        (x,) = given.values()
        found = np.eye(10, dtype="f4")[[classes[id_of(each)] for each in x]]
        return {"gram_1": found[:, :, None] * found[:, None], "label": found}

    assert task.metric.reduce(task.evaluate(run, dataset).rows) == 1
    blind: Runner = lambda network, given: {"gram_1": np.ones((len(next(iter(given.values()))), 2, 2), "f4")}  # noqa: E731
    assert task.metric.reduce(task.evaluate(blind, dataset).rows) < 0.4
    (row,) = learners.get("fit")(networks, dataset, task, TrainConfig(epochs=1, jit_compile=False), RunDir(None))
    assert np.isfinite(row["val_loss"])


def id_of(image: np.ndarray) -> bytes:
    """Return what tells images apart."""
    return np.asarray(image, np.float32).tobytes()


def test_held_out_images_come_nearer_to_the_style(monkeypatch):
    monkeypatch.setattr(tasks_style, "fit_classes", lambda classifier, split: None)  # random maps tell styles too
    networks = registry.networks("feed_forward_style_transfer", "edge", input_shape=(8, 8, 1), width=4, seed=1)
    task = tasks.get("stylisation")
    dataset = task.present("digits", networks, limit=256, test_limit=32)
    config = TrainConfig(epochs=8, batch_size=16, learning_rate=3e-3, jit_compile=False)
    learners.get("perceptual")(networks, dataset, task, config, RunDir(None))
    images, run = np.asarray(dataset.test.x), KerasRunner(networks)
    made = task.made(run, dataset)
    before, after = (task.losses(dataset, images, each)[1].mean() for each in (images, made))
    assert after < before
    shown = task.pictures(run, dataset)
    assert shown["stylised"].shape == shown["images"].shape == (8, 8, 8, 1)
    again = style_of(dataset.scorer, stripes((8, 8, 1)))
    assert set(again) == set(dataset.style) == {"gram_1", "gram_2"}
    assert said_by(dataset.scorer, images)["features"].shape == (32, 4, 4, 32)
