"""What training says of each weight, gathered from the gradients that any learner takes, on any backend.

A forward pass sees no gradient, and on JAX a backward pass can change no variable. But a trainable variable that Keras
is told to overwrite with its gradient (as it does with scales of float8) holds after a step whatever a gradient of our
own says: here what a function makes of the kernel's gradient, at the weights of that step and also where the mask is
False. The next forward pass in training reads it there. Nothing of it goes through the optimizer's rule, its clipping
or its decay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from ..errors import BadInput
from ..keras_internals import value_of
from ..untyped import ops

MOMENTUM = 0.9  # of the running mean; Molchanov et al. 2019 (arXiv:1906.10771), section 4.1


@dataclass(frozen=True, kw_only=True)
class Sign:
    """One kind of evidence. caught(w, g): what a step leaves; folded(score, caught): the score after it."""

    caught: Callable[[Any, Any], Any]
    folded: Callable[[Any, Any], Any]


SIGNS = {
    "movement": Sign(caught=lambda w, g: w * g, folded=lambda score, caught: score - caught),
    "gradient": Sign(
        caught=lambda w, g: w * g,
        folded=lambda score, caught: MOMENTUM * score + (1 - MOMENTUM) * ops.abs(caught),
    ),
    "growth": Sign(caught=lambda w, g: g, folded=lambda score, caught: ops.abs(caught)),
}


class Evidence:
    """The score of each weight of one kernel, and what the last step left of it.

    Several forward passes of one step add up; several without a step count once: `stamp` tells steps apart by the sum
    of the numbers of their passes.
    """

    def __init__(self, owner: keras.Model, kernel: keras.Variable, sign: str):
        self._sign = SIGNS[sign]

        def variable(name: str, shape: tuple[int, ...], *, caught: bool) -> keras.Variable:
            path = f"{kernel.path.replace('/', '.')}.{sign}_{name}"
            return owner.add_weight(shape=shape, initializer="zeros", dtype="float32", autocast=False, name=path,
                                    trainable=caught, overwrite_with_gradient=caught)  # fmt: skip

        shape = tuple(kernel.shape)
        self._caught, self._stamp = variable("caught", shape, caught=True), variable("stamp", (), caught=True)
        self._score, self._read = variable("score", shape, caught=False), variable("read", (), caught=False)

    def score(self) -> Any:
        """Return the score of each weight after all steps so far, of the kernel's shape."""
        score, caught = value_of(self._score), value_of(self._caught)
        new = ops.not_equal(value_of(self._stamp), value_of(self._read))
        return ops.where(new, self._sign.folded(score, caught), score)

    def gather(self) -> None:
        """Take what the last step left into the score."""
        self._score.assign(self.score())
        self._read.assign(value_of(self._stamp))

    def watch(self, weight: Any, masked: Callable[[Any], Any], keep: Any, step: Any) -> Any:
        """Return `masked(weight)`, whose gradient is caught on the way back as well as masked."""
        sign = self._sign

        @ops.custom_gradient
        def watched(weight: Any, caught: Any, stamp: Any) -> tuple[Any, Callable[..., Any]]:
            def gradients(*args: Any, upstream: Any = None) -> Any:
                dense = ops.convert_to_tensor(args[0] if upstream is None else upstream)
                return masked(dense), ops.cast(sign.caught(weight, dense), caught.dtype), ops.cast(step + 1, "float32")

            return masked(weight), gradients

        return watched(weight, value_of(self._caught), value_of(self._stamp))


def refuse_changed_gradients(optimizer: Any) -> None:
    """Raise BadInput for what Keras does to gradients before it overwrites a variable with one."""
    scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer) or optimizer.loss_scale_factor
    for name, value in (("gradient_accumulation_steps", optimizer.gradient_accumulation_steps),
                        ("a loss scale (float16)", scaled)):  # fmt: skip
        if value:
            raise BadInput(
                f"optimizer {optimizer.name!r} has {name}, under which gradients do not arrive as they are: leave it "
                "out, or prune with criterion='magnitude' and regrow=None or 'random'"
            )
