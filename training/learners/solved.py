"""Networks that are solved rather than descended: closed forms, expectation maximisation, fits by scikit-learn.

How the weights are found is a function `(networks, dataset, task, config) -> rows`, which assigns them; the decorator
`solver` makes a learner of it. Rows are those of an iteration (an EM step, a round), None or empty for a closed form.

What happens to a solution that is compressed:

- Pruned while training goes on, its weights are cut once, by the masks that the solved weights give. A solver that
  says `again` solves what is left once more: it is given the networks with the cut weights in place, and `support`,
  id of a variable -> where a weight may be other than zero. Whatever it assigns, zeros stay zero.
- Quantization-aware or clustered, the weights are kept and nothing is trained: it is judged as it was calibrated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from inspect import signature
from typing import Any

import keras
import numpy as np

from ...errors import EdgewrightError
from ...keras_internals import layers_in
from ..config import TrainConfig
from ..data import Dataset
from ..state import Row, RunDir, State, pack, unpack
from ..tasks import Objective
from . import minimise
from .fit import fit
from .register import BestEpoch, Networks, Validate, best_by_metric, learner, validate_by_metric

Solve = Callable[..., Sequence[Row] | None]


def validate(networks: Networks, dataset: Dataset, task: Any, config: TrainConfig) -> Row:
    """Return loss and accuracy where the task has a loss and there is one network, else the task's metric."""
    if _has_loss(task) and len(networks) == 1:
        return minimise.validate(fit, networks, dataset, task, config)
    return validate_by_metric(networks, dataset, task, config)


def best_epoch(history: Sequence[Row], dataset: Dataset, task: Any) -> int:
    """Return the row that `validate`'s figures choose."""
    if "val_loss" in history[0]:
        return minimise.best_epoch(history, dataset, task)
    return best_by_metric(history, dataset, task)


def solver(
    name: str, *, again: bool = False, validate: Validate = validate, best_epoch: BestEpoch = best_epoch,
    options: type | None = None
) -> Callable[[Solve], Solve]:  # fmt: skip
    """Register the learner `name` that assigns the weights which the decorated function finds.

    again: it solves networks that are being pruned too, and takes an argument `support`, see the module. options: it
    takes an argument `options`, see `Learner`. One that trains something on the way takes `run`, to resume that.
    """

    def judge(*given: Any, options: Any = None) -> Row:
        return validate(*given)

    def enter(solve: Solve) -> Solve:
        enter_learner = learner(name, validate=judge if options else validate, best_epoch=best_epoch,
                                steps=lambda dataset, config: 1, options=options)  # fmt: skip
        enter_learner(Solution(solve=solve, again=again, validate=validate))
        return solve

    return enter


@dataclass(frozen=True, kw_only=True)
class Solution:
    """A learner's `fit`: solves what is to be solved, judges the networks once, and saves them.

    A run that is done is restored; what is in between has no state.
    """

    solve: Solve
    again: bool
    validate: Validate

    def __call__(
        self, networks: Networks, dataset: Dataset, task: Any, config: TrainConfig, run: RunDir, **options: Any
    ) -> list[Row]:
        """Assign the weights.  Returns: a row for each of the solver's, or one; the last says what it validates at."""
        moving = {name: network.variables for name, network in networks.items()}
        if (state := run.restore()) is not None and state.done:
            unpack(state.arrays, moving)
            run.finish(state.history)
            return state.history
        more = {**options, "run": run} if "run" in signature(self.solve).parameters else options
        rows = [dict(row) for row in self._assigned(networks, dataset, task, config, **more)] or [{}]
        rows[-1] |= self.validate(networks, dataset, task, config)
        if "loss" not in rows[-1]:
            seen = self.validate(networks, replace(dataset, validation=dataset.train), task, config)
            rows[-1]["loss"] = next(iter(seen.values()))
        history = [{"epoch": float(number), **row} for number, row in enumerate(rows, 1)]
        for row in history:
            if not all(map(math.isfinite, row.values())):
                raise EdgewrightError(f"the solution is not finite: {row}. Check the scale of the samples")
            run.log(row)
        run.save(State(arrays=pack(moving), history=history, done=True))
        run.finish(history)
        return history

    def _assigned(
        self, networks: Networks, dataset: Dataset, task: Any, config: TrainConfig, **options: Any
    ) -> Sequence[Row]:
        """Assign the weights where they are open.  Returns: the solver's rows."""
        if not any(map(changed, networks.values())):
            more: dict[str, Any] = {**options, **({"support": {}} if self.again else {})}
            return self.solve(networks, dataset, task, config, **more) or ()
        if not self.again or not all(_pruned(network) or not changed(network) for network in networks.values()):
            return ()
        support: dict[int, np.ndarray] = {}
        for variable, values in [pair for network in networks.values() for pair in _cut(network)]:
            variable.assign(values)
            support[id(variable)] = _numbers(values) != 0
        inner: dict[str, Any] = {name: getattr(network, "inner", network) for name, network in networks.items()}
        rows = self.solve(inner, dataset, task, config, support=support, **options) or ()
        for variable in [variable for network in inner.values() for variable in network.variables]:
            if id(variable) in support:
                variable.assign(_numbers(variable) * support[id(variable)])
        return rows


def _has_loss(task: Any) -> bool:
    return isinstance(task, Objective)


def _numbers(value: Any) -> Any:
    return keras.ops.convert_to_numpy(value)


def changed(network: keras.Model) -> bool:
    """Tell if `network` is being pruned or clustered, or is quantization-aware."""
    return hasattr(network, "replaced") or any(
        getattr(layer, "is_quantization_aware", False) for layer in layers_in(network)
    )


def _pruned(network: Any) -> bool:
    return hasattr(network, "replaced") and hasattr(network, "masks")


def _cut(network: Any) -> list[tuple[Any, Any]]:
    """Return the variables that have masks, with the values that those leave at their final sparsity."""
    return list(network.replaced(False)) if _pruned(network) else []


__all__ = ["Solve", "best_epoch", "solver", "validate"]
