"""What holds for every test."""

import functools
import gc
import os
import sys
import typing

import pytest
from hypothesis import settings

# The same examples at every run, so that what is green stays green; `--hypothesis-profile default` draws new ones.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")

# A round of the garbage collector for each 700 new objects, Python's choice, took an eighth of the whole; old objects
# go with each file, see `_forget_models`.
gc.set_threshold(50_000, 20, 50)

# TensorFlow asks of every tensor which protocols it follows; from Python 3.12 on a class is asked once.
if sys.version_info < (3, 12):
    typing._get_protocol_attrs = functools.cache(typing._get_protocol_attrs)

FORGETTING = []  # what each file ends with

# One of several workers computes on one thread, and so does what it starts: the others have the other cores. TensorFlow
# reads this when it is imported; what is about numbers of threads sets them itself.
if "PYTEST_XDIST_WORKER" in os.environ:
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Draw the same numbers at every run, whatever ran before: weights and shuffles, also of fixtures."""
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(0)


def pytest_collection_finish(session):
    """Let the garbage collector pass over what was imported, some million objects, at each of its many rounds."""
    if "tensorflow" in sys.modules:
        _keep_kernels()
        _name_no_variables()
    gc.collect()
    gc.freeze()


def _keep_kernels():
    """Let TensorFlow keep its kernels when it is given a seed or a new session; it would make each of them anew.

    They go with each file, see `_forget_models`.
    """
    from tensorflow.python import pywrap_tfe
    from tensorflow.python.eager import context

    real = pywrap_tfe.TFE_ContextClearCaches
    pywrap_tfe.TFE_ContextClearCaches = lambda handle: None

    def forget():
        handle = context.context()._context_handle
        if handle is not None:  # as where Keras computes by JAX
            real(handle)

    FORGETTING.append(forget)


def _name_no_variables():
    """Let TensorFlow have one kernel that makes variables, not one for each name that it could say in a message."""
    from tensorflow.python.eager import context
    from tensorflow.python.ops import gen_resource_variable_ops as operations

    make = operations.var_handle_op

    def unnamed(*, debug_name="", **given):
        return make(debug_name="" if context.executing_eagerly() else debug_name, **given)

    operations.var_handle_op = unnamed


@pytest.fixture(scope="module")
def brief_timing():
    """Let timings of a run end after a second: for tests that ask whether a file is timed, not how fast it is."""
    from edgewright.pipeline import run

    make = run.BenchConfig.__init__

    def shortened(self, **given):
        make(self, **{**given, "max_seconds": 1, "attempts": 1})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run.BenchConfig, "__init__", shortened)
        yield


@pytest.fixture(scope="session")
def on_jax(request):
    """One process on JAX for all scripts: importing takes longer than most of them."""
    pytest.importorskip("jax", reason="the extra jax is not installed")
    from jax_process import OnJax

    runs = OnJax(request.config.cache.mkdir("jax"))
    yield runs
    runs.close()


@pytest.fixture(autouse=True, scope="module")
def _forget_models():
    """Let go of each file's models: two thousand tests in one process would keep some gigabytes of graphs."""
    yield
    if "keras" in sys.modules:
        sys.modules["keras"].backend.clear_session(free_memory=False)
    for forget in FORGETTING:
        forget()
    gc.collect()
    gc.freeze()  # what is left was imported or is kept for good
