"""The tests of pruning once more, on the JAX backend, in a process of their own."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

# Of each file all tests, or those of which the words hold.
PARTS = {
    "test_magnitude": "",
    "test_clustering": "",
    "test_low_rank": "form or nested or resumed or off_by",
    "test_patterns": "step_by_step or tied_table",
    "test_criteria": "by_hand or rigl or passes or rows or (resumes and SET)",
    "test_structured": "not slow and (taylor or rebuilt and residual)",
}


@pytest.fixture(scope="module")
def done(tmp_path_factory, on_jax):
    """Return the outcomes of all parts by part, and what was said: one run, which compiles an operation once."""
    words = " or ".join(f"({part} and ({chosen}))" if chosen else part for part, chosen in PARTS.items())
    log = tmp_path_factory.mktemp("jax") / "outcomes.xml"
    files = [str(Path(__file__).parent / f"{part}.py") for part in PARTS]
    given = ["-q", "-p", "no:cacheprovider", "-k", words, f"--junitxml={log}", *files]
    _, said = on_jax.ends("import sys, pytest; pytest.main(sys.argv[1:])", given)
    assert log.exists(), said[-4000:]
    outcomes = {part: [] for part in PARTS}
    for case in ElementTree.parse(log).iter("testcase"):
        part = case.get("classname", "").rpartition(".")[2]
        outcomes[part].append((case.get("name"), [each.tag for each in case]))
    return outcomes, said


@pytest.mark.parametrize("part", PARTS)
def test_pruning_on_jax(done, part):
    outcomes, said = done
    assert outcomes[part]
    assert not [(name, tags) for name, tags in outcomes[part] if tags], said[-4000:]
