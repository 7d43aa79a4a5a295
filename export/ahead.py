"""The processes that exports need, forked before any work, which spares them their imports."""

from __future__ import annotations

import threading

from ..children import forkable
from .convert import fork_converter
from .verify import fork_runner


def fork_ahead() -> None:
    """Fork this process for what will convert files and try them, while it has imported TensorFlow and done nothing.

    Later it cannot be forked, nor on another backend: those processes start by themselves then, when first asked.
    """
    if not forkable() or threading.active_count() > 1:
        return
    from tensorflow.python.eager.context import context_safe

    if context_safe() is None:  # TensorFlow has computed nothing, and has no threads
        fork_converter()
        fork_runner()
