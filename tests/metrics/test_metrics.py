"""Figures against hand-worked numbers: what accuracy hides."""

import numpy as np
import pytest
from edgewright import metrics
from edgewright.devices.verdict import parts
from edgewright.metrics import METRICS
from edgewright.metrics.calibration import accuracy_of_kept, top

DIGITS = np.array(
    [[5725, 3, 24, 9, 10, 49, 50, 10, 39, 4], [2, 6493, 43, 25, 7, 40, 5, 10, 109, 8],
     [51, 41, 5321, 104, 89, 26, 87, 60, 166, 13], [47, 46, 141, 5342, 1, 231, 40, 50, 141, 92],
     [19, 29, 41, 10, 5366, 9, 56, 37, 86, 189], [73, 45, 36, 193, 64, 4582, 111, 30, 193, 94],
     [29, 34, 44, 2, 42, 85, 5627, 10, 45, 0], [25, 24, 74, 32, 54, 12, 6, 5787, 15, 236],
     [52, 161, 73, 156, 10, 163, 61, 25, 5027, 123], [43, 35, 26, 92, 178, 28, 2, 223, 82, 5240]]
)  # fmt: skip
THREE = np.array([[5, 3, 0], [2, 3, 1], [0, 2, 11]])


def answers(confusion):
    """Return outputs (N, K) and labels (N,) that have this confusion matrix."""
    truth, said = (np.repeat(each.ravel(), confusion.ravel()) for each in np.indices(confusion.shape))
    return np.eye(len(confusion), dtype=np.float32)[said], truth


def of(confusion):
    return metrics.figures(METRICS["accuracy"], *answers(np.array(confusion)))


def test_ten_digits_by_hand():
    outputs, truth = answers(DIGITS)
    assert METRICS["accuracy"].scores(outputs, truth).mean() == pytest.approx(54_510 / 60_000)
    found = of(DIGITS)
    assert [round(found["macro"][name], 4) for name in ("precision", "recall", "f1")] == [0.9074, 0.9072, 0.9072]
    assert found["confusion"] == DIGITS.tolist()


def test_three_classes_by_hand():
    found = of(THREE)
    first = {name: found[name][0] for name in ("precision", "recall", "f1", "specificity")}
    assert first == pytest.approx({"precision": 5 / 7, "recall": 0.625, "f1": 2 / 3, "specificity": 17 / 19})
    assert found["micro"]["f1"] == pytest.approx(19 / 27)
    assert found["support"] == [8, 6, 13]


@pytest.mark.parametrize(
    ("confusion", "precision", "npv", "f1"),
    [([[576, 24], [8, 392]], 0.9423, 0.9863, 0.9608), ([[912, 38], [1, 49]], 0.5632, 0.9989, 0.7153)],
)
def test_prevalence_moves_precision_and_not_recall(confusion, precision, npv, f1):
    found = of(confusion)
    assert (found["recall"][1], found["specificity"][1]) == (0.98, 0.96)
    assert [round(found[name][1], 4) for name in ("precision", "npv", "f1")] == [precision, npv, f1]


def test_a_class_in_a_million():
    never = of([[999_999, 0], [1, 0]])
    assert never["recall"] == [1.0, 0.0] and never["micro"]["recall"] == 0.999999
    always = of([[0, 999_999], [0, 1]])
    assert (always["recall"][1], always["precision"][1]) == (1.0, 1e-6)


def test_one_output_is_judged_by_its_side_of_the_threshold():
    metric = METRICS["binary_accuracy"]
    truth = np.array([0, 0, 1, 1])
    probabilities = np.array([[0.1], [0.5], [0.6], [0.4]], np.float32)  # exactly half says no, as in Keras
    given = metrics.centred(metric, probabilities, True)
    assert metric.scores(given, truth)[:, 0].tolist() == [1, 1, 1, 0]
    logits = metrics.centred(metric, np.array([[-2.0], [0.1], [3.0], [-0.5]], np.float32), False)
    assert metric.scores(logits, truth)[:, 0].tolist() == [1, 0, 1, 0]
    assert metrics.figures(metric, given, truth)["roc_auc"] == 0.75
    with pytest.raises(ValueError, match="judges nothing"):
        METRICS["accuracy"].scores(probabilities, truth)


def test_a_metric_by_group_by_hand():
    """Three of four are right, of theo one of two; of values errors and spreads are summed within the group."""
    right, whose = np.array([[1.0], [0], [1], [1]]), np.array(["theo", "theo", "a", "a"])
    assert metrics.by_group(METRICS["accuracy"], right, whose) == {
        "a": {"value": 1.0, "n": 2}, "theo": {"value": 0.5, "n": 2},
    }  # fmt: skip
    errors = np.array([[1.0, 4], [0, 4], [2, 2]])
    assert metrics.by_group(METRICS["explained_variance"], errors, np.array([7, 7, 8])) == {
        "7": {"value": 0.875, "n": 2}, "8": {"value": 0.0, "n": 1},
    }  # fmt: skip


def test_confidence_of_eight_tenths_that_is_right_in_eight_of_ten_is_calibrated():
    chances = np.tile(np.array([[0.8, 0.1, 0.1]], np.float32), (10, 1))
    truth = np.array([0] * 8 + [1, 2])
    found = metrics.figures(METRICS["accuracy"], chances, truth)
    assert found["ece"] == pytest.approx(0, abs=1e-7)
    assert found["log_loss"] == pytest.approx(-0.8 * np.log(0.8) - 0.2 * np.log(0.1))
    assert found["brier"] == pytest.approx(0.8 * (0.04 + 0.02) + 0.2 * (0.64 + 0.81 + 0.01))
    assert found["kept"][0] == [0.0, pytest.approx(0.8)]  # nothing rejected: the accuracy
    (row,) = found["reliability"]
    assert row == [pytest.approx(0.8), pytest.approx(0.8), 10]
    logits = metrics.figures(METRICS["accuracy"], np.log(chances) + 3, truth)
    assert logits["brier"] == pytest.approx(found["brier"], rel=1e-5)
    sure = metrics.figures(METRICS["accuracy"], np.eye(3, dtype="f4")[np.zeros(10, int)], truth)
    assert sure["ece"] == pytest.approx(0.2) and sure["brier"] == pytest.approx(0.4)


def test_the_class_among_the_first_five_and_what_is_kept_of_the_unsure():
    outputs = np.tile(np.arange(10.0)[::-1], (10, 1))  # class 0 first, then 1, 2, ...
    assert metrics.figures(METRICS["accuracy"], outputs, np.arange(10))["top_5"] == 0.5
    assert "top_5" not in metrics.figures(METRICS["accuracy"], outputs[:, :9], np.arange(9).repeat(2)[:10])
    assert top(np.zeros((10, 10)), np.arange(10), 1) == 0.1  # of ties one is right
    random = np.random.default_rng(0)
    logits, truth = random.normal(size=(200, 4)) * random.uniform(0, 4, (200, 1)), random.integers(0, 4, 200)
    assert accuracy_of_kept(logits, truth, 0.0) == (logits.argmax(-1) == truth).mean()
    sure = np.argsort(-np.exp(logits).max(-1) / np.exp(logits).sum(-1))[:50]
    assert accuracy_of_kept(logits, truth, 0.75) == (logits[sure].argmax(-1) == truth[sure]).mean()


def test_errors_of_values_by_hand():
    found = metrics.figures(METRICS["explained_variance"], np.array([[1.0], [-2.0], [3.0]]), np.zeros((3, 1)))
    assert found == {"mae": 2.0, "rmse": pytest.approx(2.1602, abs=1e-4)}


def test_several_labels_are_judged_each():
    metric = METRICS["label_accuracy"]
    truth = np.array([[1, 0], [1, 1], [0, 0], [1, 0]])
    given = np.array([[2.0, -1.0], [1.0, -1.0], [-1.0, -1.0], [-1.0, -2.0]])
    assert metric.scores(given, truth)[:, 0].tolist() == [1, 0.5, 1, 0.5]
    assert metrics.figures(metric, given, truth)["recall"] == [pytest.approx(2 / 3), 0.0]


def test_a_metric_of_several_outputs_is_the_mean_of_theirs():
    metric = metrics.get("accuracy+explained_variance")
    truths = [np.array([0, 1, 1, 0]), np.array([[1.0], [2.0], [3.0], [4.0]])]
    outputs = [np.eye(2)[[0, 1, 0, 0]], truths[1] + 0.0]
    scores = metric.scores(outputs, truths)
    assert scores.shape == (4, 3) and metric.reduce(scores) == pytest.approx((0.75 + 1) / 2)
    assert metric.agreement(outputs, outputs) == 1 and not metrics.known("accuracy+none")


def test_untold_outputs_are_compared_by_value_or_largest_entry():
    base = np.random.default_rng(0).normal(size=(100, 3))
    assert metrics.fidelity(base, base) == 1
    assert metrics.fidelity(base, 3 * base) == 1  # a head trained further: the same answers on another scale
    assert metrics.fidelity(base, -base) < metrics.RUINED
    assert metrics.fidelity(base[:, :1], base[:, :1] * 50 + 3) == 0
    assert metrics.fidelity(np.ones((5, 1)), np.ones((5, 1))) == 1


def test_the_interval_of_a_paired_share():
    low, high = parts.paired_share(lost=20, won=0, n=20)
    assert low == -1.0 and -0.9 < high < -0.7
    assert parts.paired_share(0, 0, 20)[0] > -0.1
    low, high = parts.paired_share(lost=10, won=10, n=1000)
    assert low == pytest.approx(-high) and 0.008 < high < 0.010  # 1.96 sqrt(21) / 1002


@pytest.mark.parametrize("confidence", [0.95, 0.995])
def test_a_value_that_a_sum_of_squares_hides(confidence):
    random = np.random.default_rng(0)
    truth = np.stack([100 * random.normal(size=500), 0.1 * random.normal(size=500)], 1).astype(np.float32)
    ruined = np.stack([truth[:, 0], np.zeros(500, np.float32)], 1)
    metric = METRICS["explained_variance"]
    assert metric.reduce(metric.scores(ruined, truth)) > 0.99999
    large, small = parts.estimate(metric.parts, truth, truth, ruined)
    assert large.delta == 0 and small.delta == pytest.approx(-1, abs=0.01) and small.ci95[1] < -0.8


def test_perplexity_by_hand():
    metric = METRICS["perplexity"]
    logits = np.log(np.array([[[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]]]))  # (N, T, K)
    rows = metric.scores(logits, np.array([[0, 1]]))
    np.testing.assert_allclose(rows[:, 0], [np.log(2), np.log(1.25)])
    assert metric.reduce(rows) == pytest.approx(np.sqrt(2 * 1.25))
    assert metric.gain(10.2, 10.0) == pytest.approx(-0.02)  # 2% worse is two points
    assert metric.allowance(0.01, 10.0) == pytest.approx(0.1)


def test_gains_have_the_direction_and_the_point_of_their_metric():
    assert METRICS["accuracy"].gain(0.7, 0.8) == 0.7 - 0.8  # the difference itself, to the bit
    assert METRICS["mean_return"].gain(-110.0, -100.0) == pytest.approx(-0.1)
    assert METRICS["log_likelihood"].gain(-2.5, -2.0) == pytest.approx(-0.5)
    assert METRICS["frechet_distance"].gain(0.9, 1.0) == pytest.approx(0.1)


def test_frechet_distance_of_two_normal_clouds_by_hand():
    random = np.random.default_rng(0)
    made, real = random.normal(0, 2, (40_000, 2)), random.normal(1, 1, (40_000, 2))
    metric = METRICS["frechet_distance"]
    # A shift of 1 in two dimensions, and in each (2 - 1)^2 of spread.
    assert metric.reduce(metric.scores(made, real)) == pytest.approx(4.0, rel=0.03)
    assert metric.reduce(metric.scores(real, real)) == pytest.approx(0.0, abs=1e-9)
