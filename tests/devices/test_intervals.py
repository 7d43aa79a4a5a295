"""Estimates against hand-worked numbers and against what they must hold for any samples."""

import numpy as np
import pytest
from edgewright.devices.verdict import intervals
from edgewright.devices.verdict.intervals import Estimate
from edgewright.metrics import METRICS, Scores
from hypothesis import given, settings
from hypothesis import strategies as st

ACCURACY = METRICS["accuracy"]


def scores(*values):
    return np.array(values, np.float64)[:, None]


def test_block_medians_by_hand():
    assert intervals.block_medians([np.array([1.0, 9.0, 2.0]), np.array([4.0, 5.0])]).tolist() == [2.0, 4.5]


def test_speedup_pairs_rounds():
    baseline = np.array([10.0, 20.0, 40.0, 10.0, 80.0])  # the machine's speed jumps about
    found = intervals.speedup(baseline, baseline / 2)
    assert found == Estimate(2.0, 2.0, 2.0)  # and cancels in every round


def test_metric_delta_by_hand():
    baseline = scores(*[1] * 90, *[0] * 10)
    candidate = scores(*[1] * 85, *[0] * 15)
    found = intervals.metric_delta(ACCURACY, Scores.by_row(baseline), Scores.by_row(candidate))
    assert found.value == pytest.approx(-0.05)
    # Five lost of a hundred: the binomial 2.5% and 97.5% quantiles are 1 and 10.
    assert found.low == pytest.approx(-0.10, abs=0.011)
    assert found.high == pytest.approx(-0.01, abs=0.011)


def test_no_difference_in_n_samples_is_the_rule_of_three():
    same = Scores.by_row(scores(*[1] * 90, *[0] * 10))
    assert intervals.metric_delta(ACCURACY, same, same) == Estimate(0.0, -0.03, 0.03, rate=1.0)


def test_explained_variance_of_the_same_outputs_is_exactly_the_same():
    metric = METRICS["explained_variance"]
    random = np.random.default_rng(0)
    targets = random.normal(size=(50, 3))
    each = Scores.by_row(metric.scores(targets + 0.1, targets))
    assert intervals.metric_delta(metric, each, each) == Estimate(0.0, 0.0, 0.0)


def test_mcnemar_by_hand():
    baseline, candidate = scores(1, 1, 1, 1, 1, 1, 0, 1), scores(0, 0, 0, 0, 0, 0, 0, 1)
    assert intervals.mcnemar(baseline, candidate) == pytest.approx(2 / 2**6)  # six lost, none won, two-sided
    assert intervals.mcnemar(baseline, baseline) == 1.0


def test_right_or_wrong():
    assert intervals.right_or_wrong(scores(0, 1, 1))
    assert not intervals.right_or_wrong(scores(0, 0.5))
    assert not intervals.right_or_wrong(np.zeros((3, 2)))


@pytest.mark.parametrize("change", [np.linspace(1, 1.5, 40), np.where(np.arange(40) < 30, 1, 1.3)])
def test_a_device_that_becomes_slower_is_found(change):
    noise = np.random.default_rng(0).lognormal(0, 0.02, (2, 40))
    slower, p_value = intervals.slowdown(np.array([[100], [7]]) * change * noise)
    assert slower == pytest.approx(np.median(change[30:]) / np.median(change[:20]) - 1, abs=0.1)
    assert p_value < 0.001


def test_a_steady_device_and_one_that_becomes_faster_are_not():
    random = np.random.default_rng(0)
    steady = [intervals.slowdown(random.lognormal(0, 0.1, (2, 40))) for _ in range(40)]
    assert sum(slower > 0.1 and p_value < 0.01 for slower, p_value in steady) <= 3  # of 40 at 1%: 4 have p = 0.0006
    assert intervals.slowdown(np.linspace(2, 1, 40)[None])[1] > 0.9


@pytest.mark.parametrize(
    ("found", "limit", "n", "more"),
    [
        (Estimate(0.0, -0.02, 0.02), -0.01, 100, 300),  # half as wide takes four times as many
        (Estimate(0.0, -0.03, 0.03, rate=1.0), -0.01, 100, 200),  # 3/n
        (Estimate(-0.01, -0.02, 0.0), -0.01, 100, None),
        (Estimate(1.0, 0.99, 1.01), 2.0, 30, 1),
    ],
)
def test_more_needed_by_hand(found, limit, n, more):
    assert intervals.more_needed(found, limit, n) == more


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(1, 1e6), min_size=3, max_size=40), st.floats(0.01, 100))
def test_median_is_inside_scales_and_stays_in_range(values, factor):
    array = np.array(values)
    found = intervals.median(array)
    assert array.min() <= found.low <= found.value <= found.high <= array.max()
    scaled = intervals.median(array * factor)
    assert scaled.ci95 == pytest.approx([factor * found.low, factor * found.high], rel=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=5, max_size=60))
def test_delta_is_antisymmetric_and_contains_its_value(pairs):
    a, b = (Scores.by_row(scores(*column)) for column in zip(*pairs, strict=True))
    there, back = intervals.metric_delta(ACCURACY, a, b), intervals.metric_delta(ACCURACY, b, a)
    assert there.value == pytest.approx(-back.value)
    assert there.ci95 == pytest.approx([-back.high, -back.low], abs=1e-9)
    assert there.low - 1e-9 <= there.value <= there.high + 1e-9


def test_intervals_cover_what_they_should():
    """Of 200 intervals at 95%, at least 178 hold the truth but with probability 0.0004 (binomial)."""
    random = np.random.default_rng(0)
    held = 0
    for seed in range(200):
        noise = random.lognormal(0, 0.05, (2, 60))
        found = intervals.speedup(130 * noise[0], 100 * noise[1], seed)
        held += found.low <= 1.3 <= found.high
    assert held >= 178


def test_median_of_three_does_not_leave_their_range():
    values = np.array([1.0, 1.0, 678221.7451358802])  # whose last interpolates to 678221.7451358803
    assert intervals.median(values).high == values.max()


def test_units_are_resampled_whole():
    """Rows of a unit are copies of each other: as many as there are units is known, however many rows there are."""
    random = np.random.default_rng(0)
    alone = [Scores.by_row(random.normal(size=(50, 1)) + shift) for shift in (0, 0.1)]
    copied = [Scores.of_samples(np.repeat(each.rows, 20, axis=0), 50) for each in alone]
    apart = [Scores.by_row(each.rows) for each in copied]
    metric = METRICS["mean_return"]
    by_row, by_unit, wrong = (intervals.metric_delta(metric, *each) for each in (alone, copied, apart))
    assert by_unit.ci95 == pytest.approx(by_row.ci95)
    assert wrong.high - wrong.low < 0.5 * (by_unit.high - by_unit.low)


def test_units_may_have_other_rows_in_each_model_but_must_be_the_same():
    metric = METRICS["mean_return"]
    short = Scores(np.ones((3, 1)), np.array([0, 1, 2]))
    long = Scores(np.full((5, 1), 2.0), np.array([2, 0, 1, 1, 1]))
    assert intervals.metric_delta(metric, short, long) == Estimate(1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="cannot be paired"):
        intervals.metric_delta(metric, short, Scores(np.ones((3, 1)), np.array([0, 1, 3])))


def test_a_gain_is_the_difference_bit_for_bit_where_points_are_hundredths():
    random = np.random.default_rng(0)
    a, b = (Scores.by_row((random.random((200, 1)) < share).astype(float)) for share in (0.9, 0.8))
    assert intervals.metric_gain(ACCURACY, a, b) == intervals.metric_delta(ACCURACY, a, b)
