"""Selective search: segments, what is joined first, and boxes of what was drawn, on pictures worked by hand."""

import numpy as np
import pytest
from edgewright.models import registry
from edgewright.training import selective_search as search
from edgewright.training import tasks
from edgewright.training.boxes import iou, there


def halves() -> np.ndarray:
    """Return a grey picture of 16 x 24 with a white square of 8 x 8 in it, its corner at row 4, column 8."""
    image = np.full((16, 24, 3), 0.3, np.float32)
    image[4:12, 8:16] = 1.0
    return image


def test_a_square_is_a_segment():
    labels = search.segments(halves(), 30.0)
    inside = labels[6:10, 10:14]  # but for its rim, which smoothing made grey
    assert len(np.unique(inside)) == 1 and inside[0, 0] != labels[0, 0]
    assert len(np.unique(labels[[0, -1]])) == 1  # around it all is one
    np.testing.assert_array_equal(np.unique(labels), np.arange(labels.max() + 1))


def test_no_segment_is_smaller_than_the_least():
    noisy = np.random.default_rng(0).uniform(size=(24, 24, 3)).astype("f4")
    assert np.bincount(search.segments(noisy, 1.0).ravel()).min() >= search.LEAST


def test_likeness_by_hand():
    """Of 4 x 4 pixels, left half black and right half white, no slope alike nor colour: 2 - all of it - no gap = 1."""
    image = np.zeros((4, 4, 1), np.float32)
    image[:, 2:] = 1
    labels = (image[..., 0] > 0).astype(int)
    regions = search._Regions(image, labels)
    textures = np.minimum(regions.told[1][0], regions.told[1][1]).sum()
    assert np.minimum(regions.told[0][0], regions.told[0][1]).sum() == 0
    assert regions.likeness(0, 1) == pytest.approx(textures + 1.0)
    whole = regions.join(0, 1)
    np.testing.assert_array_equal(regions.boxes[whole], [0, 0, 4, 4])
    np.testing.assert_allclose(regions.told[0][whole], (regions.told[0][0] + regions.told[0][1]) / 2)
    corner = search._Regions(image, np.array([[0, 2, 2, 2], [2, 2, 2, 2], [2, 2, 2, 2], [2, 2, 2, 1]]))
    alike = sum(np.minimum(each[0], each[1]).sum() for each in corner.told)
    assert corner.likeness(0, 1) == pytest.approx(alike + 2 - 2 / 16 - 14 / 16)  # the box around both has 14 others


def test_the_most_alike_are_joined_first():
    """Of three bands side by side, two of almost the same grey, these come first, then all."""
    image = np.zeros((6, 12, 1), np.float32)
    image[:, 4:8], image[:, 8:] = 0.90, 0.91
    boxes = search.grouped(image, np.repeat(np.repeat(np.arange(3), 4)[None], 6, 0))
    np.testing.assert_array_equal(boxes[3:], [[4, 0, 12, 6], [0, 0, 12, 6]])
    assert len(boxes) == 2 * 3 - 1


def test_the_square_is_proposed_and_all_boxes_lie_in_the_picture():
    found = search.proposed(halves(), 8)
    assert found.shape == (8, 4) and found.min() >= 0 and found.max() <= 1
    assert iou(found, np.array([[8 / 24, 4 / 16, 16 / 24, 12 / 16]])).max() > 0.75
    np.testing.assert_array_equal(found, search.proposed(halves(), 8))
    flat = search.proposed(np.zeros((8, 8, 3), np.float32), 3)
    np.testing.assert_array_equal(flat, [[0, 0, 1, 1]] * 3)  # one segment, and it again


def test_more_is_found_than_by_edges_and_each_picture_is_searched_once():
    networks = registry.networks("fast_rcnn", "edge")
    task, other = tasks.get("searched_detection"), tasks.get("proposed_detection")
    dataset = task.present("drawn_shapes", networks, limit=8, test_limit=12)
    x, y = np.asarray(dataset.test.x), dataset.test.y
    shown = {each: each.by_host(dataset, x, dataset.windows) for each in (task, other)}
    hits = {
        each: sum((iou(there(truth)[:, 1:], boxes).max(1) >= 0.5).sum() for truth, boxes in zip(y, found, strict=True))
        for each, found in shown.items()
    }
    assert hits[task] > 1.2 * hits[other] and len(dataset.searched) == len(x)
    for digest in dataset.searched:
        dataset.searched[digest] = np.zeros((dataset.count, 4), np.float32)
    assert not task.by_host(dataset, x, dataset.windows).any()
