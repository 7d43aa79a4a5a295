"""Two runs of the same files, one later: what is called a regression, and what is not."""

import pytest
from edgewright.devices.verdict.regress import regressions
from made_up_run import a_run


def two(**later):
    earlier, changed = a_run(), a_run(**later)
    for run, size in ((earlier, 1000), (changed, later.get("n", 1000))):
        run.artifacts = [{"name": name, "bytes": size} for name in ("float", "small")]
        for name in run.measured:
            run.measured[name]["reason"] = ""
    return earlier, changed


def change(found, quantity, artifact="small"):
    return next(one for one in found if (one.artifact, one.quantity) == (artifact, quantity))


def slow_down(run):
    for blocks in (*run.raw.latency.values(), *run.raw.control.values()):
        for block in blocks:
            block *= 1.5


def test_the_same_again_is_no_regression():
    found = regressions(*two())
    assert not found.regressed
    assert {one.change for one in found} == {"same"}


def test_a_slower_file_is_found_although_the_whole_session_is_slower():
    earlier, later = two(us=55)
    slow_down(later)
    found = regressions(earlier, later)
    assert found.regressed and change(found, "speed").change == "regressed"
    assert change(found, "speed").value == pytest.approx(50 / 55, rel=0.02)


def test_a_slow_session_alone_is_no_regression():
    earlier, later = two()
    slow_down(later)
    assert not regressions(earlier, later).regressed


def test_a_lost_point_is_a_regression_and_a_won_one_an_improvement():
    assert change(regressions(*two(lost=20)), "accuracy").change == "regressed"
    assert change(regressions(*two(won=20)), "accuracy").change == "improved"
    assert change(regressions(*two(lost=3, won=3)), "accuracy").change == "same"


def test_times_in_doubt_are_not_judged():
    found = change(regressions(*two(us=70, trend=1.4)), "speed")
    assert found.change == "unclear" and "slower while measuring" in found.reason


def test_larger_missing_and_broken_files_are_regressions():
    earlier, later = two()
    later.artifacts[1]["bytes"] = 1100
    assert change(regressions(earlier, later), "size").change == "regressed"
    later.measured["small"].update(status="crashed", reason="SIGSEGV")
    assert change(regressions(earlier, later), "status").change == "regressed"
    del later.measured["small"]
    assert change(regressions(earlier, later), "file").change == "regressed"


def test_what_cannot_be_paired_is_unclear():
    earlier, later = two()
    later.data, later.device = "other", "elsewhere"
    found = regressions(earlier, later)
    assert {change(found, "accuracy").change, change(found, "speed").change} == {"unclear"}
    assert "regress" not in str(found)


def test_times_of_other_kernels_or_threads_are_not_judged():
    earlier, later = two(us=70)
    earlier.config, later.config = {"threads": 1}, {"threads": 2, "kernels": "builtin"}
    found = change(regressions(earlier, later), "speed")
    assert found.change == "unclear"
    assert found.reason == "measured otherwise (threads: 1, then 2; kernels: xnnpack, then builtin)"
    earlier.config, later.config = {"threads": 1}, {}  # a run of before these choices had none
    assert change(regressions(earlier, later), "speed").change == "regressed"
