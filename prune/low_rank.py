"""Low-rank factorisation: a kernel becomes two thin ones, so that a layer costs less.

A dense kernel W, (inputs, outputs), is nearly U V with U of r columns; the k x k kernel of a convolution, as a matrix
of (k * k * inputs, outputs), is a k x k convolution into r maps and a 1 x 1 one out of them (Zhang et al. 2016,
arXiv:1505.06798, section 2). U V of the singular value decomposition is the nearest there is of its rank (Eckart and
Young 1936), and what it lacks is known: ||W - U V||, Frobenius, is the root of the sum of squares of the singular
values that were dropped, and the first of them is the spectral norm.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import keras
import numpy as np

from ..copies import copy_model
from ..errors import BadInput, nearest, refuse_unknown
from ..keras_internals import layers_in, origin_of
from ..quantize.graph.tracing import trace_calls
from ..untyped import tree
from .config import matches
from .factors import Factors, form_of, rank_for
from .inside import refuse_unfinished
from .structured.parts import is_composed, operations_in
from .structured.rebuild import Builder

BUDGETS = ("share", "rank", "energy", "error")


@dataclass(frozen=True, kw_only=True)
class LowRankConfig:
    """How thin the kernels of dense layers and convolutions become.

    Exactly one budget: `share`, of the weights of each kernel that go at least, in [0, 1); `rank`, of all; `energy`,
    the share of the sum of squares that each kernel keeps at least, in (0, 1]; `error`, what each may be off by at most
    as a share of its norm, in [0, 1). The last two choose a rank for each kernel. by_name: the same for single layers,
    by name with shell wildcards; the first that matches wins, None leaves a layer whole. A layer that two thin ones
    would not make smaller stays whole, unless `always`.
    """

    share: float | None = None
    rank: int | None = None
    energy: float | None = None
    error: float | None = None
    by_name: dict[str, float | None] = field(default_factory=dict)
    always: bool = False

    def __post_init__(self) -> None:
        given = [name for name in BUDGETS if getattr(self, name) is not None]
        if len(given) != 1:
            raise BadInput(
                f"LowRankConfig: {' and '.join(given) or 'no budget'} given; give one of {', '.join(BUDGETS)}, for "
                "example share=0.5"
            )
        name, value = self.budget
        for entry, each in [(name, value), *self.by_name.items()]:
            if each is not None and not _ALLOWED[name][0](each):
                raise BadInput(f"LowRankConfig: {entry}={each!r} must {_ALLOWED[name][1]}")

    @property
    def budget(self) -> tuple[str, float]:
        """The name of the budget that was given, and its value."""
        return next((name, getattr(self, name)) for name in BUDGETS if getattr(self, name) is not None)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LowRankConfig:
        """Build from a mapping, as read from YAML. Raises: BadInput naming an unknown key."""
        refuse_unknown("LowRankConfig", values, [one.name for one in fields(cls)])
        return cls(**values)

    def asked_for(self, path: str) -> tuple[float | None, str]:
        """Return the value of the budget for a kernel's path, and the entry that says so."""
        for pattern, value in self.by_name.items():
            if matches(path, pattern):
                return value, f"by_name[{pattern!r}]"
        return self.budget[1], self.budget[0]


_ALLOWED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "share": (lambda value: 0 <= value < 1, "lie in [0, 1): it is the share of the weights that goes"),
    "rank": (lambda value: value == int(value) and value >= 1, "be a whole number of at least 1"),
    "energy": (lambda value: 0 < value <= 1, "lie in (0, 1]: it is the share of the squares that stays"),
    "error": (lambda value: 0 <= value < 1, "lie in [0, 1): it is a share of the kernel's norm"),
}


@dataclass(frozen=True)
class LowRankReport:
    """What happens to each layer: rows of `{name, shape, rank, parameters, macs, error, relative, spectral, reason}`.

    shape: of the kernel; rank: None of a layer that stays whole, and `reason` says why; parameters, macs: of the layer
    before and after, the multiply-adds of one sample; error: ||W - U V||, Frobenius, relative: as a share of ||W||,
    spectral: the largest singular value that was dropped.
    """

    rows: tuple[dict[str, Any], ...]

    @property
    def factorised(self) -> tuple[dict[str, Any], ...]:
        """The rows of the layers that became two."""
        return tuple(row for row in self.rows if row["rank"] is not None)

    def __str__(self) -> str:
        before, after = (sum(row["parameters"][place] for row in self.factorised) for place in (0, 1))
        macs = [sum(row["macs"][place] for row in self.factorised) for place in (0, 1)]
        lines = [
            f"{len(self.factorised)} of {len(self.rows)} layers became two; of these parameters {before:,} -> "
            f"{after:,}, multiply-adds {macs[0]:,} -> {macs[1]:,}"
        ]
        lines += [f"  rank {row['rank']:4}  {row['name']}: off by {row['relative']:.1%}" for row in self.factorised]
        lines += [f"  whole  {row['name']}: {row['reason']}" for row in self.rows if row["rank"] is None]
        return "\n".join(lines)


def factorize(model: keras.Model, config: LowRankConfig | None = None) -> tuple[keras.Model, LowRankReport]:
    """Return a copy of `model` whose kernels are products of two thin ones, and a report. `model` is untouched.

    It is an ordinary Keras model with the same inputs and outputs. A layer `conv` that became two is `conv_u`, into few
    maps and without bias, and `conv_v` with the bias and activation, or `conv` where it is an output; a shared layer
    becomes two shared ones.
    Raises: BadInput if `config` names a layer that is not there, or `model` is no graph of layers; WrongOrder if
    `model` is being pruned or clustered, or is quantization-aware.
    """
    config = config or LowRankConfig(share=0.5)
    _refuse(model)
    copy_model(model)  # which refuses a model that cannot be made again
    layers = [each for each in _distinct(model) if isinstance(getattr(each, "kernel", None), keras.Variable)]
    _refuse_idle(config, layers)
    tied = _tied(layers, model)
    found = [_factors(layer, config, tied) for layer in layers]
    made = _Factorising(model, {id(each.layer): each for each in found if each.rank is not None}).build(model)
    places = _places(model, layers)
    return made, LowRankReport(tuple(each.row(places[id(each.layer)]) for each in found))


def _factors(layer: Any, config: LowRankConfig, tied: set[int]) -> Factors:
    """Return the product that is nearest to a layer's kernel, or why that stays whole."""
    value, asked_by = config.asked_for(layer.kernel.path)
    form, reason = form_of(layer)
    if value is None:
        reason = f"LowRankConfig.{asked_by} is None"
    elif id(layer.kernel) in tied:
        reason = "another layer reads its kernel too"
    elif form is not None:
        matrix = form.matrix(layer)
        left, singular, right = np.linalg.svd(matrix, full_matrices=False)
        rank = rank_for(config.budget[0], value, matrix.shape, singular)
        if config.always or rank * sum(matrix.shape) < matrix.size:
            root = np.sqrt(singular[:rank])
            return Factors(layer, form, rank, left[:, :rank] * root, root[:, None] * right[:rank], singular[rank:])
        reason = f"two of rank {rank} would have {rank * sum(matrix.shape):,} weights, it has {matrix.size:,}"
    return Factors(layer, reason=reason)


class _Factorising(Builder):
    """Builds a model again with two layers in place of one that has factors."""

    def __init__(self, model: Any, factors: Mapping[int, Factors]):
        super().__init__()
        self.factors = factors
        self.outputs = {id(origin.operation) for leaf in tree.flatten(model.outputs) if (origin := origin_of(leaf))}
        self.two: dict[int, list[keras.Layer]] = {}

    def build(self, model: keras.Model) -> keras.Model:
        """Return `model` made again, with its weights."""
        made = super().build(model)
        for key, (first, second) in self.two.items():
            self.factors[key].fill(first, second)
        return made

    def _compose(self, model: Any, inputs: Any) -> keras.Model:
        if not isinstance(model, keras.Sequential):
            return super()._compose(model, inputs)
        made = keras.Sequential(tree.flatten(inputs), name=model.name)
        for layer in model.layers:
            for each in self._made(layer, lambda: (tuple(made.outputs),)):
                made.add(each)
        return made

    def _call(self, operation: Any, *args: Any, **kwargs: Any) -> Any:
        if id(operation) not in self.factors:
            return super()._call(operation, *args, **kwargs)
        first, second = self._made(operation, lambda: args)
        return second(first(*args, **kwargs))

    def _made(self, operation: Any, args: Any) -> list[Any]:
        """Return the layers that stand for one."""
        if id(operation) not in self.factors:
            return [self._inner(operation, args)]
        if id(operation) not in self.two:
            name = operation.name if id(operation) in self.outputs else f"{operation.name}_v"
            self.two[id(operation)] = self.factors[id(operation)].layers(name)
        return self.two[id(operation)]


def _distinct(model: keras.Model) -> list[Any]:
    """Return the layers and operations of a model, each once."""
    return list({id(each): each for each in operations_in(model)}.values())


def _tied(layers: list[Any], model: keras.Model) -> set[int]:
    """Return the ids of the kernels that several layers hold, or that a layer reads which is inside another one too."""
    holders = Counter(id(layer.kernel) for layer in layers)
    inside = {
        id(part) for layer in _distinct(model) if isinstance(layer, keras.Layer)
        for part in layers_in(layer, itself=False)
    }  # fmt: skip
    return {id(layer.kernel) for layer in layers if holders[id(layer.kernel)] > 1 or id(layer) in inside}


def _places(model: keras.Model, layers: list[Any]) -> dict[int, int]:
    """Return for each layer how often its kernel is multiplied in one sample: once for each place of its output."""
    trace = trace_calls(model)
    reading: Counter[int] = Counter()
    for node in trace.graph.nodes:
        for leaf in node.inputs:
            reading[id(leaf)] += math.prod(size or 1 for size in node.output.shape)
    found = {}
    for layer in layers:
        form, _ = form_of(layer)
        tensor = trace.weights.get(id(layer.kernel))
        outputs = 1 if form is None else form.matrix(layer).shape[1]
        found[id(layer)] = 0 if form is None or tensor is None else reading[id(tensor)] // outputs
    return found


def _refuse_idle(config: LowRankConfig, layers: list[Any]) -> None:
    for pattern in config.by_name:
        if not any(matches(layer.kernel.path, pattern) for layer in layers):
            near = nearest(pattern, sorted({layer.name for layer in layers}))
            raise BadInput(f"LowRankConfig: by_name[{pattern!r}] names no layer with a kernel; {near}")


def _refuse(model: keras.Model) -> None:
    refuse_unfinished(model, "factorize", "prepare_qat(factorised, calibration=samples)")
    if not is_composed(model):
        raise BadInput(f"model {model.name!r} is no graph of layers: build it by the functional API or Sequential")


__all__ = ["LowRankConfig", "LowRankReport", "factorize"]
