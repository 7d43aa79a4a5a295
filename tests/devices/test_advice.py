"""The sentence that says which file to ship, on made-up runs whose right answer is known."""

import numpy as np
import pytest
from edgewright.devices.verdict.advice import advice
from edgewright.devices.verdict.compare import Thresholds, compare
from edgewright.devices.verdict.document import compose
from edgewright.devices.verdict.results import Run
from made_up_run import a_run, blocks


def advised(run: Run, sizes=(1000, 300, 200), **thresholds) -> str:
    run.artifacts = [{"name": name, "bytes": size} for name, size in zip(run.measured, sizes, strict=False)]
    return advice(run, compare(run, Thresholds(**thresholds)))


def three(other_us: float, **more) -> Run:
    """Return a run of float (100 us), small (50 us) and other, of which all keep the metric."""
    run = a_run(**more)
    run.baselines["other"], run.measured["other"] = "float", {**run.measured["small"]}
    run.raw.scores["other"] = run.raw.scores["small"]
    run.raw.latency["other"] = blocks(other_us, noise=0.001, seed=4)
    return run


@pytest.mark.parametrize(
    ("us", "chosen", "rank"),
    [(30, "other", "the fastest here"), (80, "small", "the fastest here"), (50.1, "other", "as fast here and smaller")],
)
def test_the_fastest_is_taken_and_of_those_alike_the_smallest(us, chosen, rank):
    found = advised(three(us, noise=0.001))
    assert found.startswith(f"ship {chosen}: of the 2 files that keep the metric") and rank in found


def test_what_fails_is_not_shipped():
    assert advised(a_run(lost=50)) == ""
    run = three(30)
    run.raw.scores["other"] = np.zeros_like(run.raw.scores["small"])
    assert advised(run).startswith("ship small: the only file that passes (")


@pytest.mark.parametrize("more", [{"emulated": True}, {"control": 120}])
def test_without_times_to_trust_the_smallest_is_taken(more):
    assert advised(three(80, **more)) == (
        "ship other: of the 2 files that keep the metric the smallest; no times to choose by"
    )


def test_a_slower_file_is_called_so_and_the_document_has_the_sentence():
    run = a_run(us=150)
    assert advised(run).endswith("; its baseline is faster")
    assert compose(run, compare(run))["advice"].startswith("ship small")
    assert compose(run)["advice"] == ""
