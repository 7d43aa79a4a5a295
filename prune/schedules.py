"""How much of the final sparsity is due after so many training steps, and at which steps a mask is chosen anew."""

from __future__ import annotations

import math
from typing import Any

from ..untyped import ops
from .config import PruneConfig

SHARES = {  # progress from begin_step to end_step, in [0, 1] -> share of the final sparsity
    "polynomial": lambda progress: 1 - (1 - progress) ** 3,  # arXiv:1710.01878, eq. 1
    "linear": lambda progress: progress,
    "constant": ops.ones_like,
}


class Schedule:
    """The schedule of a configuration, of which a step may be a tensor."""

    def __init__(self, config: PruneConfig):
        self._config = config
        self._once = config.schedule == "constant" and config.looks_at_training is None
        self.last = config.begin_step if self._once else config.end_step

    def share(self, step: Any) -> Any:
        """Return the share of the final sparsity due after `step` steps, in [0, 1]."""
        begun = ops.cast(step >= self._config.begin_step, "float32")
        return begun * SHARES[self._config.schedule](self._progress(step))

    def due(self, step: Any) -> Any:
        """Tell if the mask is chosen anew after `step` steps."""
        config = self._config
        if self._once:
            return step == config.begin_step
        in_stride = ops.logical_or((step - config.begin_step) % config.frequency == 0, step == config.end_step)
        return ops.logical_and(in_stride, ops.logical_and(step >= config.begin_step, step <= config.end_step))

    def regrown(self, step: Any) -> Any:
        """Return the share of the weights left that is exchanged after `step` steps: a cosine from its start to zero.

        The first choice exchanges nothing: nothing grows before there was a step.  Source: arXiv:1911.11134, section 3.
        """
        if self._config.regrow is None:
            return 0.0
        fallen = self._config.regrow_share / 2 * (1 + ops.cos(math.pi * self._progress(step)))
        return ops.where(step > self._config.begin_step, fallen, 0.0)

    def _progress(self, step: Any) -> Any:
        begin, end = self._config.begin_step, self._config.end_step
        if begin == end:
            return ops.cast(step >= begin, "float32")
        return ops.clip(ops.cast(step - begin, "float32") / (end - begin), 0.0, 1.0)
