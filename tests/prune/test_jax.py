"""The tests of pruning once more, on the JAX backend, in a process of their own."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

STRUCTURED = "taylor or rebuilt and residual"
PARTS = {
    "test_magnitude.py": [],
    "test_clustering.py": [],
    "test_low_rank.py": ["-k", "form or nested or resumed or off_by"],
    "test_patterns.py": ["-k", "step_by_step or tied_table"],
    "test_criteria.py": ["-k", "by_hand or rigl or passes or rows or (resumes and SET)"],
    "test_structured.py": ["-m", "not slow", "-k", STRUCTURED],
}


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")
@pytest.mark.parametrize("part", PARTS)
def test_pruning_on_jax(part):
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        str(Path(__file__).parent / part),
        *PARTS[part],
    ]
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout and "skipped" not in done.stdout
