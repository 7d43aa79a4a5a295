"""What holds for every test."""

import gc
import sys

import pytest


@pytest.fixture(autouse=True, scope="module")
def _forget_models():
    """Let go of each file's models: two thousand tests in one process would keep some gigabytes of graphs."""
    yield
    if "keras" in sys.modules:
        sys.modules["keras"].backend.clear_session(free_memory=False)
    gc.collect()
