"""A process of the matrix: reads one JSON order a line on standard input, answers one JSON line on standard output.

It ends when its input closes, so it never outlives the matrix. What training prints goes to the order's log.
"""

import gc
import importlib
import os
import sys
from pathlib import Path
from typing import Any

from .. import imports, workers
from ..children import forkable
from ..workers import Order

# What is imported on the way of every order, where it is needed.
LATER = ("edgewright.devices.agent.agent", "edgewright.training.adam", "matplotlib.backends.backend_svg",
         "sklearn.datasets", "sklearn.metrics", "tensorboard.summary.writer.record_writer")  # fmt: skip


def main(threads: int, *, brief: bool) -> None:
    """Serve orders, computing on `threads` cores."""
    imports.load("keras")
    import keras

    from ..export.ahead import fork_ahead
    from .matrix import serve

    def answer(order: Order) -> Order:
        with _logging(Path(order["log"])):
            return dict(serve(order))

    def begin(order: Order) -> None:
        if not order["timing"]:
            fork_ahead()
        _settle(threads, brief=brief)

    def answer_after_others(order: Order) -> Order:
        keras.backend.clear_session(free_memory=False)  # of the order before
        gc.collect()
        return answer(order)

    if forkable():
        _warm_up()
        workers.serve_in_forks(answer, begin)
    else:
        _settle(threads, brief=brief)
        workers.serve(answer_after_others)


def _warm_up() -> None:
    """Do what every order would do first, for all; what lies in memory now is no garbage and is not looked through."""
    from ..models import registry
    from ..training import learners, tasks
    from ..training.data import sets
    from .run import CODE
    from .steps import digest_of_ours

    for table in (registry.names, learners.table, tasks.table, sets.sources):
        table()
    for module in LATER:
        importlib.import_module(module)
    for modules in CODE.values():
        digest_of_ours(modules)
    gc.collect()
    gc.freeze()


def _settle(threads: int, *, brief: bool) -> None:
    """Share the cores out. Where training is short, optimising TensorFlow's graphs takes longer than it saves."""
    import keras

    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    if brief:
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


class _logging:
    """Send standard error, that of libraries included, to a file."""

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(path, "ab")  # noqa: SIM115
        self._kept = os.dup(2)

    def __enter__(self) -> None:
        os.dup2(self._file.fileno(), 2)

    def __exit__(self, *exception: Any) -> None:
        os.dup2(self._kept, 2)
        os.close(self._kept)
        self._file.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), brief="brief" in sys.argv[2:])
