"""Boxes, their heads and their losses: numbers worked by hand, and what is written is read again."""

import numpy as np
import pytest
from edgewright import metrics
from edgewright.metrics.average_precision import average_precisions
from edgewright.training import box_losses, boxes
from edgewright.training.box_heads import AnchoredCells, Cells, DefaultBoxes

TRUTH = np.array([(1, 0.1, 0.2, 0.4, 0.6), (0, 0.55, 0.5, 0.95, 0.9), (-1, 0, 0, 0, 0)])


def test_overlap_and_suppression_by_hand():
    """Boxes [0, 0, 2, 2] and [1, 1, 3, 3] share 1 of 7."""
    two = np.array([[0, 0, 2, 2], [1, 1, 3, 3]], float)
    assert boxes.iou(two, two)[0, 1] == pytest.approx(1 / 7)
    assert list(boxes.suppressed(two, np.array([0.5, 0.9]))) == [1, 0]
    assert list(boxes.suppressed(two, np.array([0.5, 0.9]), overlap=0.1)) == [1]
    assert list(boxes.suppressed(two, np.array([0.5, 0.9]), most=1)) == [1]


@pytest.mark.parametrize("most", [None, 7, 60])
@pytest.mark.parametrize("sides", [0.05, 0.6])
def test_suppression_of_many_boxes_is_that_of_one_after_the_other(sides, most):
    """More boxes than are compared at once, of which few or many are left; scores are tied here and there."""
    random = np.random.default_rng(0)
    first = random.random((3 * boxes.AT_ONCE + 1, 2))
    many = np.concatenate([first, first + sides * random.uniform(0.5, 1, first.shape)], 1)
    scores = random.integers(0, 50, len(many)) / 50
    expected: list[int] = []
    for place in np.argsort(-scores, kind="stable"):
        if all(boxes.iou(many[[place]], many[[other]])[0, 0] <= boxes.OVERLAP for other in expected):
            expected.append(int(place))
    assert list(boxes.suppressed(many, scores, most=most)) == expected[:most]


def test_average_precision_by_hand():
    """Hit, miss, hit of 2 true boxes: precision 1 up to recall .5, 2/3 behind it."""
    rows = np.array([(0, 0.9, 1, 0), (0, 0.8, 0, 0), (0, 0.7, 1, 0), (0, 0, 0, 2)], float)
    expected = (6 + 5 * 2 / 3) / 11
    assert expected == pytest.approx(0.8485, abs=1e-4)
    metric = metrics.get("mean_average_precision")
    assert metric.reduce(rows) == pytest.approx(expected)
    assert metric.reduce(rows[[3, 1, 0, 2]]) == pytest.approx(expected)
    missing = np.vstack([rows, [(1, 0, 0, 3)]])
    assert average_precisions(missing) == {0: pytest.approx(expected), 1: 0.0}
    assert metric.reduce(missing) == pytest.approx(expected / 2)
    assert metric.reduce(np.zeros((1, 4))) == 0


def test_a_true_box_is_found_once():
    truth = boxes.there(TRUTH)
    said = np.array([(1, 0.9, *TRUTH[0, 1:]), (1, 0.8, *TRUTH[0, 1:]), (0, 0.7, *TRUTH[0, 1:])])
    rows = boxes.judged(said, truth)
    hits = {(label, score): hit for label, score, hit, _ in rows if score}
    assert hits == {(1, 0.9): 1, (1, 0.8): 0, (0, 0.7): 0}
    assert rows[:, 3].sum() == 2
    assert boxes.judged(np.zeros((0, 6)), np.zeros((0, 5))).shape == (1, 4)


def test_offsets_are_read_again():
    default = np.array([(0.5, 0.5, 0.2, 0.4)])
    told = boxes.offsets(TRUTH[:1, 1:], default)
    np.testing.assert_allclose(boxes.placed(told, default), TRUTH[:1, 1:], atol=1e-6)
    np.testing.assert_allclose(told[0], [(0.25 - 0.5) / 0.2 / 0.1, (0.4 - 0.5) / 0.4 / 0.1, np.log(1.5) / 0.2, 0],
                               atol=1e-5)  # fmt: skip


def test_each_true_box_has_its_best_default_box():
    default = np.array([(0.25, 0.25, 0.5, 0.5), (0.75, 0.75, 0.5, 0.5), (0.75, 0.25, 0.5, 0.5)])
    chosen = boxes.matched(boxes.corners(default), TRUTH[:2, 1:])
    assert list(chosen) == [0, 1, -1]
    assert list(boxes.matched(boxes.corners(default), np.zeros((0, 4)))) == [-1] * 3


def found_again(head, answers, table):
    """Return what is found where outputs are what the truth asks for."""
    corners, scores = head.boxes({name: each[None] for name, each in answers.items()}, table, 2)
    return boxes.found(corners[0], scores[0], floor=0.5)


def check_found(said):
    assert sorted(said[:, 0]) == [0, 1]
    for label, *box in boxes.there(TRUTH):
        np.testing.assert_allclose(said[said[:, 0] == label][0, 2:], box, atol=1e-3)


def test_default_boxes_read_what_they_ask_for():
    head, default = DefaultBoxes(), np.array([(0.25, 0.4, 0.3, 0.3), (0.7, 0.7, 0.4, 0.4), (0.5, 0.1, 0.1, 0.1)])
    targets = head.targets(TRUTH, {}, default, 2)
    assert list(targets["scores"]) == [2, 1, 0] and list(targets["boxes"][:, 4]) == [1, 1, 0]
    logits = 20.0 * np.eye(3)[targets["scores"].astype(int)]
    check_found(found_again(head, {"boxes": targets["boxes"][:, :4], "scores": logits}, default))
    of_each = np.where(np.eye(3)[targets["scores"].astype(int)] > 0, 9.0, -9.0)[:, 1:]
    check_found(found_again(head, {"boxes": targets["boxes"][:, :4], "scores": of_each}, default))


def test_cells_read_what_they_ask_for():
    head = Cells()
    grid = head.targets(TRUTH, {"grid": (7, 7, 12)}, None, 2)["grid"]
    assert grid[..., 0].sum() == 2 and grid[2, 1, 6] == 1  # the middle (.25, .4) lies in column 1, row 2
    said = np.concatenate([grid[..., :5], np.zeros((7, 7, 5)), grid[..., 5:]], -1)
    check_found(found_again(head, {"grid": said}, None))
    assert float(box_losses.Grid().call(grid[None], said[None].astype("float32"))[0]) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("aware", [False, True])
def test_anchored_cells_read_what_they_ask_for(aware):
    head = AnchoredCells(aware=aware)
    table = np.array([[(0.3, 0.4), (0.6, 0.6)], [(0.1, 0.1), (0.4, 0.4)]])
    each = 8 if aware else 7
    shapes = {"grid_1": (2, 2, 2 * each), "grid_2": (4, 4, 2 * each)}
    targets = head.targets(TRUTH, shapes, table, 2)
    assert targets["grid_1"][0, 0, 0, 0] == 1 and (targets["grid_2"][..., 0] == 1).sum() == 1
    answers = {}
    for name, target in targets.items():
        there = target[..., :1] == 1
        place = np.log(np.clip(target[..., 2:4], 1e-6, 1 - 1e-6) / (1 - np.clip(target[..., 2:4], 1e-6, 1 - 1e-6)))
        sure = np.where(there, 12.0, -12.0)
        parts = [place, target[..., 4:6], sure, *([sure] if aware else []), 24 * target[..., 6:] - 12]
        answers[name] = np.concatenate(parts, -1).reshape(*target.shape[:2], -1)
    check_found(found_again(head, answers, table))


@pytest.mark.parametrize(("gamma", "nats"), [(0, 0.105361), (1, 0.0105361), (2, 0.00105361)])
def test_focal_loss_by_hand(gamma, nats):
    """Of a chance of .9."""
    assert float(box_losses.focal(0.9, gamma)) == pytest.approx(nats, rel=1e-5)


def test_focal_loss_of_classes_is_the_same_but_for_its_weight():
    logit = np.log(0.9 / 0.1)
    loss = box_losses.FocalClasses(gamma=2.0).call(np.array([[1.0]]), np.array([[[logit]]], "float32"))
    assert float(loss[0]) == pytest.approx(0.25 * 0.00105361, rel=1e-4)


def test_hard_negatives_are_three_for_each_true_box():
    """Of one true box and five others, those three count that are taken for something most."""
    classes = np.array([[1.0, 0, 0, 0, 0, 0]])
    logits = np.zeros((1, 6, 2), "float32")
    logits[0, :, 1] = [0, 3, 2, 1, -1, -2]
    expected = np.log(2) + sum(np.log1p(np.exp(each)) for each in (3, 2, 1))
    assert float(box_losses.HardNegatives(negatives=3.0).call(classes, logits)[0]) == pytest.approx(expected, rel=1e-5)


def test_loss_of_offsets_by_hand():
    """Errors .5 and 2: smooth L1 .125 and 1.5, squared .125 and 2."""
    true = np.array([[(0.5, 2, 0, 0, 1), (9, 9, 9, 9, 0)]], "float32")
    said = np.zeros((1, 2, 4), "float32")
    for squared, expected in ((0, 1.625), (1, 2.125)):
        loss = box_losses.Offsets(squared=squared, weight=1.0).call(true, said)
        assert float(loss[0]) == pytest.approx(expected)


def test_loss_of_masks_by_hand():
    """Two of four cells are said rightly, by logits of 0 and 2: the mean of ln 2 and ln(1 + e^-2); of other classes and
    of the background nothing counts."""
    logits = np.full((1, 2, 2, 2, 3), 9.0, "float32")
    logits[0, 0, ..., 1] = [[0, 2], [0, 2]]
    true = np.array([[(2, 1, 1, 0, 1), (0, 0, 0, 0, 0)]], "float32")
    loss = box_losses.Masks().call(true, logits)
    assert loss.shape == (1,) and float(loss[0]) == pytest.approx((np.log(2) + np.log1p(np.exp(-2))) / 2, rel=1e-5)
    true[..., 0] = 0
    assert float(box_losses.Masks().call(true, logits)[0]) == 0


def test_detections_are_judged_by_the_overlap_that_is_told():
    """Boxes that lie apart, but masks of which the second is the second true one's."""
    said = np.array([(0, 0.9, 0, 0, 0.1, 0.1), (0, 0.8, 0, 0, 0.1, 0.1)])
    true = np.array([(0, 0.5, 0.5, 1, 1), (1, 0, 0, 0.1, 0.1), (0, 0.5, 0, 1, 0.5)])
    rows = boxes.judged(said, true, shared=np.array([(0.4, 1, 0), (0, 0, 0.5)]))
    assert rows.tolist() == [[0, 0, 0, 2], [0, 0.9, 0, 0], [0, 0.8, 1, 0], [1, 0, 0, 1]]


def test_boxes_are_drawn_at_their_edges():
    image = np.zeros((1, 10, 10, 1), np.float32)
    shown = boxes.drawn(image, [np.array([(0, 0.2, 0.3, 0.8, 0.9)])], np.array([(1.0, 0, 0)]))
    assert shown.shape == (1, 10, 10, 3) and shown[0, 3, 2:9, 0].all() and not shown[0, 5, 3:8].any()
