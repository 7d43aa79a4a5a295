"""Verdicts on made-up runs whose right answer is known."""

import numpy as np
import pytest
from edgewright import metrics
from edgewright.devices.verdict import words
from edgewright.devices.verdict.compare import Thresholds, compare
from edgewright.devices.verdict.document import save
from edgewright.devices.verdict.results import Bundle, Raw, Run
from edgewright.errors import BadInput
from made_up_run import a_run, verdict


def test_a_faster_file_that_errs_alike_passes():
    found = verdict(a_run(lost=2, won=2))
    assert (found.verdict, found.speed) == ("pass", "faster")
    assert found.speedup == pytest.approx(2, rel=0.02)
    assert found.speedup_ci95[0] < 2 < found.speedup_ci95[1]
    assert found.metric_delta == 0
    assert found.mcnemar_p == 1.0
    assert found.agreement == pytest.approx(0.996)


def test_a_large_drop_fails_and_says_by_how_much():
    found = verdict(a_run(lost=50))
    assert found.verdict == "fail"
    assert "accuracy -5.00 points" in found.reasons[0]
    assert "more than the 1 allowed" in found.reasons[0]
    assert found.mcnemar_p == pytest.approx(2 / 2**50)


def test_a_drop_at_the_limit_is_inconclusive_and_says_what_would_decide():
    found = verdict(a_run(lost=8, won=0))  # 0.8 points, interval about 0.3 to 1.4
    assert found.verdict == "inconclusive"
    assert "more samples would decide" in found.reasons[0]


def test_few_samples_that_never_differ_do_not_pass():
    found = verdict(a_run(n=100))
    assert found.verdict == "inconclusive"
    assert "about 200 more samples" in found.reasons[0]


def test_a_slower_file_that_keeps_the_metric_is_called_slower():
    found = verdict(a_run(us=150))
    assert (found.verdict, found.speed) == ("slower", "slower")
    assert any("slower: 0.67" in reason or "slower: 0.66" in reason for reason in found.reasons)


@pytest.mark.parametrize(("limit", "expected"), [(1.5, "pass"), (3.0, "fail"), (2.0, "inconclusive")])
def test_a_wanted_speedup_is_judged(limit, expected):
    found = verdict(a_run(), min_speedup=limit)
    assert found.verdict == expected
    if expected == "inconclusive":
        assert "rounds would decide" in found.reasons[-1]


def test_equal_speed_is_called_the_same():
    assert verdict(a_run(us=100, noise=0.002)).speed == "same"
    assert verdict(a_run(us=100, noise=0.1)).speed == "unclear"


@pytest.mark.parametrize("thresholds", [{"min_speedup": 1.5}, {"max_drop": None, "min_speedup": 1.5}])
def test_a_control_that_differs_from_itself_leaves_speed_undecided(thresholds):
    found = verdict(a_run(control=110), **thresholds)
    assert (found.verdict, found.speed) == ("inconclusive", "unclear")
    assert "the baseline against itself comes out at 0.909x" in found.reasons[-1]


def test_a_device_that_slows_down_is_flagged():
    found = verdict(a_run(trend=1.4), min_speedup=1.5)
    assert (found.verdict, found.speed) == ("inconclusive", "unclear")
    assert "slower while measuring" in found.reasons[-1]
    assert found.speedup is not None  # reported all the same


def test_emulated_times_are_not_ranked():
    found = verdict(a_run(emulated=True), min_speedup=1.5)
    assert found.verdict == "inconclusive"
    assert "emulated" in found.reasons[-1]


def test_accuracy_is_judged_even_where_time_is_in_doubt():
    assert verdict(a_run(emulated=True)).verdict == "pass"
    assert verdict(a_run(emulated=True, lost=50)).verdict == "fail"


@pytest.mark.parametrize(
    ("who", "status", "expected"),
    [
        ("small", "rejected", "fail"),
        ("small", "crashed", "fail"),
        ("small", "timeout", "fail"),
        ("small", "incomplete", "inconclusive"),
        ("float", "crashed", "inconclusive"),
    ],
)
def test_files_that_do_not_run(who, status, expected):
    run = a_run()
    run.measured[who].update(status=status, reason="because")
    found = verdict(run)
    assert found.verdict == expected
    assert status in found.reasons[0]
    assert "because" in found.reasons[0]
    assert found.speedup is None


def test_nothing_judged_is_nothing_passed():
    run = a_run()
    run.raw.scores.clear()
    assert verdict(run).verdict == "inconclusive"
    assert verdict(run, min_speedup=1.5).verdict == "pass"


def test_timing_that_broke_off_leaves_speed_unmeasured():
    run = a_run()
    run.raw = Raw(scores=run.raw.scores)
    assert verdict(run).verdict == "pass"
    assert verdict(run, min_speedup=1.5).verdict == "inconclusive"


@pytest.mark.parametrize("wrong", [{"max_drop": 5}, {"min_speedup": 0}, {"margin": -0.1}])
def test_thresholds_are_validated(wrong):
    (name,) = wrong
    with pytest.raises(BadInput, match=f"{name}="):
        Thresholds(**wrong)


def test_verdict_as_json_has_one_reason():
    document = verdict(a_run(lost=2, won=2)).to_json()
    assert {"artifact", "baseline", "device", "speedup", "speedup_ci95", "metric_delta", "metric_delta_ci95",
            "agreement", "verdict"} <= set(document)  # fmt: skip
    assert document["reason"].startswith("accuracy +0.00 points")


def judged(change, metric="perplexity", **limits):
    """Return the verdict on a file whose nats of 200 texts of 10 words each are `change` more than the baseline's."""
    run = a_run()
    nats = np.random.default_rng(0).exponential(2.0, (2000, 1))
    run.metric, run.raw.scores = metric, {"float": nats, "small": nats + change}
    run.raw.units = {name: np.repeat(np.arange(200), 10) for name in ("float", "small")}
    return verdict(run, **limits)


def test_lower_perplexity_is_better_and_its_point_is_a_percent():
    better, worse, much = (judged(np.log(1 + change)) for change in (-0.05, 0.005, 0.05))
    assert (better.verdict, worse.verdict, much.verdict) == ("pass", "pass", "fail")
    assert better.metric_delta < 0 < better.metric_gain and much.metric_gain == pytest.approx(-0.05)
    assert "worse, more than the 0.0" in much.because and "better" in better.because
    assert much.mcnemar_p is None and much.metric == "perplexity"


def test_files_of_a_bundle_are_judged_together_and_timed_each():
    run = a_run(lost=200)
    for name in ("float", "small"):
        for role in ("encoder", "step"):
            run.measured[f"{name}-{role}"] = dict(run.measured[name])
            run.raw.latency[f"{name}-{role}"] = run.raw.latency[name]
    run.measured = {name: each for name, each in run.measured.items() if "-" in name}
    run.baselines = {name: f"float-{name.partition('-')[2]}" for name in run.measured}
    run.bundles = {
        name: Bundle(files={role: f"{name}-{role}" for role in ("encoder", "step")}) for name in ("float", "small")
    }
    encoder, step, both = compare(run)
    assert (encoder.artifact, step.artifact, both.artifact) == ("small-encoder", "small-step", "small")
    assert both.verdict == "fail" and both.metric_delta == pytest.approx(-0.2) and both.speedup is None
    assert both.files == {"encoder": "small-encoder", "step": "small-step"} and both.baseline == "float"
    assert encoder.speedup == pytest.approx(2, rel=0.05) and encoder.metric_delta is None
    assert encoder.verdict == step.verdict == "fail" and encoder.because == encoder.reasons[0]
    assert encoder.reasons[0] == "judged with the other files of its model: fail"
    run.raw.scores["small"] = run.raw.scores["float"]
    encoder, step, both = compare(run)
    assert {each.verdict for each in (encoder, step, both)} == {"pass"}
    run.bundles["small"].unasked = ["encoder"]
    encoder, step, both = compare(run)
    assert [each.verdict for each in (encoder, step, both)] == ["inconclusive", "pass", "pass"]
    assert encoder.reasons[0] == "the task that judges the model does not run it"
    run.bundles["small"].unasked = []
    run.raw.latency["small-step"] = [5 * block for block in run.raw.latency["small-step"]]
    encoder, step, both = compare(run)
    assert [each.verdict for each in (encoder, step, both)] == ["pass", "slower", "pass"]


def test_units_and_bundles_are_saved_and_loaded(tmp_path):
    run = a_run()
    run.raw.units = {"small": np.arange(1000) // 2}
    assert "cannot be paired" in verdict(run).because
    run.bundles = {name: Bundle(files={"net": name}, value=0.9, n=1000, rows=1000) for name in ("float", "small")}
    save(run, tmp_path, compare(run))
    again = Run.load(tmp_path)
    assert again.bundles == run.bundles
    assert again.raw.units.keys() == {"small"} and np.array_equal(again.raw.units["small"], run.raw.units["small"])
    assert len(again.raw.scored("small").units) == 500 and len(again.raw.scored("float").units) == 1000


@pytest.mark.parametrize(
    ("metric", "delta", "ci95", "said"),
    [
        ("accuracy", 0.0013, (0.0002, 0.0024), "+0.13 points [+0.02, +0.24]"),
        ("accuracy", -0.0013, (-0.0042, 0.0024), "-0.13 points [-0.42, +0.24]"),
        ("perplexity", 0.31, (0.1, 0.52), "+0.31 [+0.1, +0.52], worse"),
        ("perplexity", -0.31, (-0.52, -0.1), "-0.31 [-0.52, -0.1], better"),
        ("perplexity", -0.31, (-0.72, 0.1), "-0.31 [-0.72, +0.1], no clear change"),
        ("perplexity", -0.31, None, "-0.31, better"),
    ],
)
def test_a_change_is_called_better_or_worse_only_where_its_interval_tells(metric, delta, ci95, said):
    assert words.change(metrics.get(metric), delta, ci95) == said
