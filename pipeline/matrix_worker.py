"""A process of the matrix: reads one JSON order a line on standard input, answers one JSON line on standard output.

It ends when its input closes, so it never outlives the matrix. What training prints goes to the order's log.
"""

import gc
import os
import sys
from pathlib import Path
from typing import Any

from .. import imports, workers
from ..workers import Order


def main(threads: int, *, brief: bool) -> None:
    """Serve orders, computing on `threads` cores."""
    imports.load("keras")
    import keras

    from .matrix import serve

    def answer(order: Order) -> Order:
        keras.backend.clear_session()  # of the order before
        gc.collect()
        with _logging(Path(order["log"])):
            return dict(serve(order))

    _settle(threads, brief=brief)
    workers.serve(answer)


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
