"""Scales of a picture: which windows a detector sees, and how what it finds in them becomes one answer."""

from dataclasses import replace

import numpy as np
import pytest
from edgewright.models import registry
from edgewright.training import pyramid, tasks
from edgewright.training.box_heads import DefaultBoxes
from edgewright.training.runner import KerasRunner


def test_windows_cover_a_picture_and_share_half_of_their_sides():
    np.testing.assert_array_equal(pyramid.windows(1.0), [[0, 0, 1, 1]])
    np.testing.assert_allclose(pyramid.windows(0.5), [[-0.5, -0.5, 1.5, 1.5]])
    twice = pyramid.windows(2.0)
    assert len(twice) == 9 and {tuple(each) for each in twice[:, :2]} == {(x, y) for x in (0, 0.25, 0.5)
                                                                          for y in (0, 0.25, 0.5)}  # fmt: skip
    np.testing.assert_allclose(twice[:, 2:] - twice[:, :2], 0.5)
    assert [len(pyramid.windows(scale)) for scale in (1.5, 3.0)] == [4, 25]
    assert len(pyramid.of_scales((1.0, 2.0))) == 10


def test_a_window_is_seen_enlarged_and_beyond_the_edge_it_goes_on():
    image = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    seen = pyramid.crops(image, np.array([[0.5, 0, 1, 0.5], [0, 0, 1, 1]]), (2, 2))
    np.testing.assert_array_equal(seen[0, ..., 0], [[2, 3], [6, 7]])
    np.testing.assert_array_equal(seen[1, ..., 0], [[2.5, 4.5], [10.5, 12.5]])  # means of four
    small = pyramid.crops(image, pyramid.windows(0.5), (4, 4))[0, ..., 0]
    np.testing.assert_array_equal(
        small, [[0, 0.5, 2.5, 3], [2, 2.5, 4.5, 5], [10, 10.5, 12.5, 13], [12, 12.5, 14.5, 15]]
    )


def test_boxes_of_windows_become_boxes_of_the_picture_and_cut_ones_do_not_count():
    """The window right of the middle: its half is the picture's 0.75; it is cut at its left, not at its right."""
    within = np.array([[0.5, 0.0, 1.0, 0.5]])
    boxes = np.array([[[0.0, 0.0, 0.5, 0.5], [-0.2, 0.1, 0.5, 0.5], [0.5, 0.1, 1.3, 0.5], [0.5, 0.5, 1.0, 1.1]]])
    placed, scores = pyramid.joined(boxes, np.full((1, 4, 2), 0.8), within)
    np.testing.assert_allclose(placed[0, 0], [0.5, 0.0, 0.75, 0.25])
    np.testing.assert_array_equal(scores[0, :, 0], [0.8, 0.0, 0.8, 0.0])  # cut, at the picture's own edge, cut


class Bright:
    """A detector that knows squares of a quarter of the picture's side: at each place of 4 x 4 how bright it is."""

    def __call__(self, network, given):
        (x,) = given.values()
        means = x.reshape(len(x), 4, x.shape[1] // 4, 4, x.shape[2] // 4).mean((2, 4)).reshape(len(x), 16, 1)
        spread = x.reshape(len(x), 4, x.shape[1] // 4, 4, x.shape[2] // 4).std((2, 4)).reshape(len(x), 16, 1)
        return {
            "boxes": np.zeros((len(x), 16, 4)),
            "scores": np.concatenate([0 * means, 20 * (means - 0.7 - 3 * spread)], -1),
        }

    def table(self, network):
        x, y = np.meshgrid(np.arange(4) / 4 + 0.125, np.arange(4) / 4 + 0.125)
        return np.stack([x.ravel(), y.ravel(), np.full(16, 0.25), np.full(16, 0.25)], -1)


@pytest.fixture
def scene():
    """A picture of 32 x 32 with a bright square of a quarter of its side, and one of half that size; and its task."""
    networks = registry.networks("overfeat", "edge", input_shape=(16, 16, 1), classes=1)
    task = replace(tasks.get("detection"), scales=(1.0, 2.0))
    image = np.zeros((1, 32, 32, 1), np.float32)
    image[0, 8:16, 16:24] = image[0, 24:28, 4:8] = 1
    dataset = task.present("drawn_shapes", networks, limit=8, test_limit=4)
    return task, replace(dataset, classes=1), image


def test_what_is_too_small_for_one_scale_is_found_at_the_next(scene):
    task, dataset, image = scene
    large, small = (0.5, 0.25, 0.75, 0.5), (0.125, 0.75, 0.25, 0.875)
    (both,) = task.detected(Bright(), dataset, image, floor=0.9)
    assert {tuple(each) for each in both[:, 2:]} >= {large, small}
    (alone,) = replace(task, scales=(0.999,)).detected(Bright(), dataset, image, floor=0.9)
    assert small not in {tuple(each) for each in np.round(alone[:, 2:], 2)} and len(alone) == 1


def test_training_sees_one_scale_and_the_test_all(scene):
    task, dataset, _ = scene
    sizes = {part: np.asarray(split.x).shape[1:3] for part, split in dataset.splits.items()}
    assert sizes == {"train": (16, 16), "validation": (16, 16), "test": (32, 32)}
    networks = registry.networks("overfeat", "edge", input_shape=(16, 16, 1), classes=dataset.classes)
    data = task.present("drawn_shapes", networks, limit=8, test_limit=4)
    scores = task.evaluate(KerasRunner(registry.networks("overfeat", "edge", input_shape=(16, 16, 1), classes=3)), data)
    assert len(scores.units) == 4 and isinstance(task.head, DefaultBoxes)
