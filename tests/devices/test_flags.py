"""Flags and rules on made-up runs: each is raised by its cause alone."""

import pytest
from edgewright.devices.verdict.document import compose
from edgewright.devices.verdict.measurement_warnings import controls, measurement_warnings
from edgewright.devices.verdict.mlperf import mlperf
from made_up_run import a_run, verdict

STEADY = {
    "involuntary_switches": 3, "stable_after_warm_up": True, "pinned": [1],
    "first": {"load": 0.5, "mhz": 2000.0, "governor": "performance"}, "last": {"mhz": 1990.0},
}  # fmt: skip


def run_with(telemetry=None, **more):
    run = a_run(**more)
    run.environment = {"cores": 2, "telemetry": {**STEADY, **(telemetry or {})}}
    return run


def kinds(run):
    return {one["kind"] for one in measurement_warnings(run)}


def test_a_steady_run_has_no_flag():
    assert kinds(run_with()) == set()


@pytest.mark.parametrize(
    ("telemetry", "more", "kind"),
    [
        ({"last": {"mhz": 1500.0}}, {}, "throttling"),
        ({"involuntary_switches": 800}, {}, "interrupted"),
        ({"stable_after_warm_up": False}, {}, "warm-up"),
        ({"pinned": None}, {}, "unpinned"),
        ({"first": {"load": 5.0}}, {}, "busy"),
        ({"first": {"governor": "ondemand"}}, {}, "clock"),
        ({}, {"emulated": True}, "emulated"),
        ({}, {"trend": 1.4}, "drift"),
        ({}, {"control": 110}, "noise"),
    ],
)
def test_each_flag_has_its_cause(telemetry, more, kind):
    assert kinds(run_with(telemetry, **more)) == {kind}


def test_a_wide_tail_is_flagged():
    run = run_with()
    for block in run.raw.latency["small"]:
        block[:4] *= 3
    assert kinds(run) == {"tail"}
    assert "small" in measurement_warnings(run)[0]["text"]


def test_a_throttled_device_is_not_judged_for_speed():
    found = verdict(run_with({"last": {"mhz": 1000.0}}), min_speedup=1.5)
    assert (found.verdict, found.speed) == ("inconclusive", "unclear")
    assert "throttled: the clock fell from 2,000 to 1,000 MHz" in found.reasons[-1]


def test_the_control_is_part_of_the_results():
    (row,) = compose(run_with())["controls"]
    assert row["artifact"] == "float" and row["speedup_ci95"][0] < 1 < row["speedup_ci95"][1]
    assert controls(run_with()) == [row]


def test_the_tail_has_an_interval_of_its_own():
    found = verdict(a_run())
    assert found.speedup_p90 == pytest.approx(2, rel=0.05)
    assert found.speedup_p90_ci95[0] < found.speedup_p90 < found.speedup_p90_ci95[1]


def met(run):
    return {(row["suite"], row["rule"]): row["met"] for row in mlperf(run)}


def test_rules_are_counted_over_the_files():
    found = met(run_with())  # two files, 800 inferences of 100 and of 50 us
    assert found["MLPerf Tiny", "at least 10 inferences"] == 2
    assert found["MLPerf Tiny", "at least 10 s of inference"] == 0
    assert found["MLPerf Mobile", "at least 1,024 queries"] == 0
    assert found["MLPerf Mobile", "clock as the device comes, no boost"] == 0
    assert found["MLPerf Tiny", "model, data set and quality target of the suite"] is None
    assert met(run_with(emulated=True))["MLPerf Tiny", "a real device"] == 0


def test_the_quality_target_is_that_of_model_and_data():
    run = run_with(model="resnet8", data="cifar10")
    run.measured["float"]["value"], run.measured["small"]["value"] = 0.86, 0.84
    assert met(run)["MLPerf Tiny", "model, data set and quality target of the suite"] == 1
