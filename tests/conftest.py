"""What holds for every test."""

import gc
import sys

import pytest
from hypothesis import settings

# The same examples at every run, so that what is green stays green; `--hypothesis-profile default` draws new ones.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Draw the same numbers at every run, whatever ran before: weights and shuffles, also of fixtures."""
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(0)


@pytest.fixture(autouse=True, scope="module")
def _forget_models():
    """Let go of each file's models: two thousand tests in one process would keep some gigabytes of graphs."""
    yield
    if "keras" in sys.modules:
        sys.modules["keras"].backend.clear_session(free_memory=False)
    gc.collect()
