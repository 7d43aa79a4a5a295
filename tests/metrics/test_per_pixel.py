"""Mean IoU, pixel error and the error of depths, worked by hand."""

import numpy as np
import pytest
from edgewright import metrics
from edgewright.metrics import per_pixel

R = np.random.default_rng(0)


def box(left, top, right, bottom):
    mask = np.zeros((1, 3, 3), np.int32)
    mask[:, top:bottom, left:right] = 1
    return mask


def logits(classes, kinds=2):
    return np.eye(kinds, dtype=np.float32)[classes]


def test_two_boxes_that_share_one_pixel_of_seven():
    rows = per_pixel.counts(logits(box(0, 0, 2, 2)), box(1, 1, 3, 3))
    ground, shape = per_pixel.of_classes(rows)
    assert shape == pytest.approx(1 / 7) and ground == pytest.approx(2 / 8)
    assert per_pixel.mean_iou(rows) == pytest.approx((1 / 7 + 1 / 4) / 2)
    assert per_pixel.pixel_error(rows) == pytest.approx(6 / 9)


def test_the_whole_set_is_reduced_from_sums_of_its_images():
    said, truth = R.integers(0, 3, (5, 4, 6)), R.integers(0, 3, (5, 4, 6))
    rows = metrics.get("mean_iou").scores(logits(said, 3), truth)
    at_once = metrics.get("mean_iou").scores(logits(said.reshape(1, -1), 3), truth.reshape(1, -1))
    np.testing.assert_array_equal(rows.sum(0), at_once[0])
    assert per_pixel.pixel_error(rows) == pytest.approx((said != truth).mean())
    each = [((said == k) & (truth == k)).sum() / ((said == k) | (truth == k)).sum() for k in range(3)]
    assert metrics.get("mean_iou").reduce(rows) == pytest.approx(np.mean(each))


def test_a_class_that_neither_has_does_not_count():
    rows = per_pixel.counts(logits(box(0, 0, 2, 2), 3), box(0, 0, 2, 2))
    assert per_pixel.mean_iou(rows) == 1 and np.isnan(per_pixel.of_classes(rows)[2])
    found = metrics.figures(metrics.get("mean_iou"), logits(box(0, 0, 2, 2), 3), box(0, 0, 2, 2))
    assert found["iou"] == [1.0, 1.0, None] and found["pixel_error"] == 0


def test_figures_are_those_of_pixels_as_scikit_learn_counts_them():
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    said, truth = R.integers(0, 3, (4, 5, 5)), R.integers(0, 3, (4, 5, 5))
    found = metrics.figures(metrics.get("mean_iou"), logits(said, 3), truth)
    assert found["confusion"] == confusion_matrix(truth.ravel(), said.ravel()).tolist()
    precision, recall, f1, support = precision_recall_fscore_support(truth.ravel(), said.ravel())
    for name, wanted in (("precision", precision), ("recall", recall), ("f1", f1), ("support", support)):
        np.testing.assert_allclose(found[name], wanted)
    assert found["micro"]["f1"] == pytest.approx((said == truth).mean())


def test_depths_twice_as_far_are_off_by_the_logarithm_of_two():
    metric = metrics.get("log_depth_rmse")
    truth = np.full((2, 4, 4, 1), 0.5, np.float32)  # 2 m
    assert metric.reduce(metric.scores(truth / 2, truth)) == pytest.approx(np.log(2))
    half = np.concatenate([truth[:1], truth[1:] / 2])
    assert metric.reduce(metric.scores(half, truth)) == pytest.approx(np.log(2) / np.sqrt(2))
    sky = np.zeros_like(truth)
    assert metric.reduce(metric.scores(sky - 1, sky)) == 0  # all that is farther than 20 m is as far
    assert metric.gain(0.1, 0.2) > 0
