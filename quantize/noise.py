"""What rounding does to a prepared model, measured on a few of its samples.

Three questions, answered before anybody trains or ships it. Does the traced graph compute what the model does? Which
operators keep too little of their signal in 8 bits? And do the columns of an input, or of an output, differ so much in
size that one scale leaves nothing of the small ones?
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from ..backends import computed
from ..errors import BadInput
from ..untyped import ops, tree
from .fake_quant import steps
from .graph.nodes import Tensor
from .graph.operations import NEVER
from .kernels import LINEAR
from .placement import FusedOp

if TYPE_CHECKING:
    from .layer import QuantizedGraph

Pairs = dict[int, tuple[np.ndarray, np.ndarray]]  # likewise: in float, and fake-quantized
SAMPLES = 16
TRACED = 2**19, 4  # values of samples that a trace is compared on, and samples at least: few large ones tell as much
SAME_DB = 30.0  # what two computations of one function in float agree to at the very least
UNEVEN = 32  # times the size of another column, whose values then share eight steps at most
NEARLY_ZERO = 1e-6  # of what is zero but for rounding, decibels say nothing
PIECE = 2**15  # values that are squared at once
LOST_DB = 10.0  # a column below that is smaller than a step of its tensor's scale


@dataclass(frozen=True)
class Reference:
    """What the float graph gave on the first samples, by id of a tensor.

    available: how many samples calibration ran at once; it compares so many at most.
    """

    available: int
    values: dict[int, np.ndarray]

    @property
    def count(self) -> int:
        """How many samples are compared."""
        return min(SAMPLES, self.available)


def decibels(signal: np.ndarray, noise: np.ndarray) -> float:
    """Return how far the power of `signal` lies above that of `noise`."""
    power, lost = _power(signal), _power(noise)
    return 10 * float(np.log10(max(power, 1e-30) / max(lost, 1e-30)))


def _power(values: np.ndarray) -> float:
    """Return the sum of squares, in double precision; a piece at a time, which stays in the processor's cache."""
    flat = values.reshape(-1)
    pieces = (flat[start : start + PIECE] for start in range(0, flat.size, PIECE))
    return sum(float(np.square(piece, dtype=np.float64).sum()) for piece in pieces)


def check_trace(
    layer: QuantizedGraph, model: keras.Model, inputs: Any, samples: list[np.ndarray], real: Reference
) -> None:
    """Compare the traced graph, in float, with the model it came from.

    real: what the graph gave on the first samples.
    Raises: BadInput if an output has another shape or other values: whatever was exported would be wrong.
    """
    batch = _batch_of(model, samples, min(real.count, _compared(samples)))
    given = tree.pack_sequence_as(inputs, [ops.convert_to_tensor(array) for array in batch])
    answers = computed(lambda: model(given, training=False))
    wanted = [np.asarray(ops.convert_to_numpy(answer)) for answer in tree.flatten(answers)]
    ran, kept = len(batch[0]), real.count
    for index, (out, want) in enumerate(zip(layer.plan.graph.outputs, wanted, strict=True)):
        got = np.asarray(real.values.get(id(out), out.value))  # an output may be a constant
        parts = (of_first(out, values, size, min(ran, kept)) for values, size in ((want, ran), (got, kept)))
        how = _difference(*parts)
        if how:  # perhaps for a sum over the batch, of which there were more samples
            how = _difference(want, np.asarray(tree.flatten(layer.execute(batch, quantize=False))[index]))
        if how:
            raise BadInput(
                f"model {model.name!r}, traced to operations, gives {how} for output {index}: what it computes depends "
                "on more than its inputs, or a layer of it has no right form here; leave out its layers one by one to "
                "find which"
            )


def _difference(want: np.ndarray, got: np.ndarray) -> str:
    """Return how `got` differs from `want` by more than rounding in float does; nothing if it does not."""
    if want.shape != got.shape:
        return f"shape {got.shape} instead of {want.shape}"
    if not np.issubdtype(want.dtype, np.inexact) and want.dtype.kind != "V":  # bfloat16 is of kind V
        share = float((want == got).mean()) if want.size else 1.0
        return "" if share >= 0.9 else f"only {share:.1%} of its values"
    want, got = np.asarray(want, np.float64), np.asarray(got, np.float64)
    finite = np.isfinite(want)
    if not np.array_equal(finite, np.isfinite(got)):
        return "values that are not finite elsewhere"
    error = want[finite] - got[finite]
    agreed = decibels(want[finite], error)
    is_same = agreed >= SAME_DB or np.abs(error).max(initial=0.0) < NEARLY_ZERO
    return "" if is_same else f"values only {agreed:.1f} dB from the model's"


def _compared(samples: list[np.ndarray]) -> int:
    """Return on how many samples it shows whether a traced graph computes what its model does."""
    values, least = TRACED
    return max(least, values // max(1, sum(array[:1].size for array in samples)))


def _batch_of(model: keras.Model, samples: list[np.ndarray], count: int) -> list[np.ndarray]:
    """Return the first `count` samples, or as many as a model of a fixed batch takes."""
    fixed = [given.shape[0] for given in tree.flatten(getattr(model, "inputs", None) or []) if given.shape[0]]
    size = fixed[0] if fixed else count
    return [np.resize(array, (size, *array.shape[1:])) for array in samples]


def of_first(tensor: Tensor, values: np.ndarray, size: int, count: int = SAMPLES) -> np.ndarray:
    """Return the part of `values`, those of `tensor` for `size` samples, that is of the first `count`."""
    if size <= count:
        return values
    return values[tuple(
        slice(0, there * count // size) if known is None else slice(None)
        for known, there in zip(tensor.shape, values.shape, strict=True)
    )]  # fmt: skip


def measure(layer: QuantizedGraph, samples: list[np.ndarray], real: Reference) -> Pairs:
    """Return, by id of tensor, what the float graph gave on the first samples (`real`) and the fake-quantized gives."""
    seen: Pairs = {}

    def note(tensor: Tensor, value: Any) -> Any:
        known = real.values.get(id(tensor))
        if known is not None and tensor.dtype.startswith("float") and not tensor.is_constant:
            seen[id(tensor)] = known, np.asarray(value)
        return value

    layer.execute([array[: real.count] for array in samples], after=note)
    return seen


def signal_to_noise(pair: tuple[np.ndarray, np.ndarray]) -> float:
    """Return the decibels of what is not masked."""
    real, rounded = pair
    if not real.size or real.min() > NEVER:
        return decibels(real, rounded - real)
    kept = real > NEVER
    return decibels(real[kept], (rounded - real)[kept])


def worst_column(pair: tuple[np.ndarray, np.ndarray]) -> float:
    """Return the decibels of the column (last axis) that loses most; of those that vary at all."""
    real, rounded = (np.asarray(values, np.float64).reshape(-1, values.shape[-1] or 1) for values in pair)
    if real.shape[0] < 2:
        return np.inf
    varying = np.var(real, axis=0)
    lost = np.mean(np.square(rounded - real), axis=0)
    there = varying > 1e-20
    return float((10 * np.log10(varying[there] / np.maximum(lost[there], 1e-30))).min(initial=np.inf))


def too_coarse(layer: QuantizedGraph, seen: Pairs, least_db: float) -> dict[str, str]:
    """Return the scopes of operations that 8 bits are too coarse for, and why: what to keep in float.

    What is lost inside counts where the outputs lose it too.
    """
    kept_in_float = _of_uneven_columns(layer, seen)
    outputs = [_kept_of(layer, tensor, seen[id(tensor)]) for tensor in layer.plan.graph.outputs if id(tensor) in seen]
    if any(kept < least_db for kept in outputs):
        kept_in_float |= _of_lost_signals(layer, seen, least_db)
    return kept_in_float


def _kept_of(layer: QuantizedGraph, tensor: Tensor, pair: tuple[np.ndarray, np.ndarray]) -> float:
    """Return the decibels of an output: of its worst column if these differ in size.

    Errors within a step are nothing to mend: of probabilities near zero alone they leave no signal, and are right.
    """
    if _are_uneven(pair[0]):
        return min(signal_to_noise(pair), worst_column(pair))
    scale = layer.plan.scale_of(tensor)
    if scale is not None:
        low, high = (float(end) for end in layer.range(scale))
        if np.sqrt(np.mean(np.square(pair[1] - pair[0], dtype=np.float64))) < (high - low) / steps(scale.bits):
            return np.inf
    return signal_to_noise(pair)


def _of_uneven_columns(layer: QuantizedGraph, seen: Pairs) -> dict[str, str]:
    """Follow each input whose columns differ in size beyond what one scale holds to where they no longer do."""
    plan, kept_in_float = layer.plan, {}
    uneven: dict[int, tuple[str, float]] = {}
    for tensor in plan.graph.inputs:
        if (
            id(tensor) in seen
            and _are_uneven(seen[id(tensor)][0])
            and (lost := worst_column(seen[id(tensor)])) < LOST_DB
        ):
            uneven[id(tensor)] = tensor.name, lost
    for fused in plan.operators:
        source = next((uneven[id(tensor)] for tensor in fused.inputs if id(tensor) in uneven), None)
        if source is None:
            continue
        if fused.rule is not None and fused.rule.builtin_op:
            why = f"the columns of input {source[0]!r} differ in size: 8 bits leave {source[1]:.0f} dB of the smallest"
            kept_in_float.update((node.scope, why) for node in fused.nodes)
        for out in fused.outputs:
            real = seen[id(out)][0] if id(out) in seen else np.zeros(0)
            if _are_uneven(real) and worst_column(_as_rounded(layer, out, real)) < LOST_DB:
                uneven[id(out)] = source
    return kept_in_float


def _are_uneven(values: np.ndarray) -> bool:
    """Tell whether the columns differ in size, each by most of its values: an outlier in one does not make them so."""
    if values.ndim < 2 or not values.size:
        return False
    rows = values.reshape(-1, values.shape[-1])
    reach = np.percentile(np.abs(rows - np.median(rows, axis=0)), 90, axis=0)
    reach = reach[reach > 0]
    return bool(len(reach)) and float(reach.max() / reach.min()) > UNEVEN


def _is_prescribed(layer: QuantizedGraph, tensor: Tensor) -> bool:
    """Tell if a kernel gives the scale: what is joined has it by itself, and loses nothing by being joined."""
    scale = layer.plan.scale_of(tensor)
    return scale is not None and scale.source == "fixed"


def _as_rounded(layer: QuantizedGraph, tensor: Tensor, real: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return values and what they are once rounded to the scale of `tensor`."""
    scale = layer.plan.scale_of(tensor)
    return real, real if scale is None else np.asarray(layer.rounding(tensor)(real))


def _of_lost_signals(layer: QuantizedGraph, seen: Pairs, least_db: float) -> dict[str, str]:
    """Find the operators that lose what their inputs still had, and what leads up to them from the last product."""
    makers = {id(out): fused for fused in layer.plan.operators for out in fused.outputs}
    outputs = {id(tensor) for tensor in layer.plan.graph.outputs}
    uses = Counter(fused.nodes[-1].scope for fused in layer.plan.operators)
    kept_in_float: dict[str, str] = {}
    for fused in layer.plan.operators:
        out = fused.outputs[0]
        if fused.rule is None or not fused.rule.repairable or id(out) not in seen:
            continue
        if uses[fused.nodes[-1].scope] > 1:  # of a recurrence, where noise gathers from fused to fused
            continue
        joins = fused.rule.builtin_op in ("CONCATENATION", "PACK")
        if joins and _is_prescribed(layer, out):
            continue
        joined = _joined_last(fused, seen[id(out)]) if joins else seen[id(out)]
        moves = _moves_behind(layer, out) if joins and _are_uneven(joined[0]) else None
        if joins and (moves is None or not outputs & {id(out), *(id(move.outputs[0]) for move in moves)}):
            continue
        kept = worst_column(joined) if joins else signal_to_noise(joined)
        before = min((_before(tensor, makers, seen) for tensor in fused.inputs if id(tensor) in seen), default=np.inf)
        if kept < least_db and (joins or before > kept + LOST_DB):  # what is joined has one scale, and lost it before
            why = f"8 bits leave {kept:.0f} dB of {fused.name}"
            beside = _leading_to(fused, makers) if moves is None else moves
            kept_in_float.update((node.scope, why) for each in (fused, *beside) for node in each.nodes)
    return kept_in_float


def _joined_last(fused: FusedOp, pair: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return what was joined, and what it was rounded to, with the parts along the last axis: they share the scale."""
    axis = fused.nodes[0].op.axis
    return np.moveaxis(pair[0], axis, -1), np.moveaxis(pair[1], axis, -1)


def _before(tensor: Tensor, makers: dict[int, FusedOp], seen: Pairs) -> float:
    """Return the decibels of an input; what was computed in float is rounded for its reader alone."""
    maker = makers.get(id(tensor))
    return np.inf if maker is not None and maker.rule is None else signal_to_noise(seen[id(tensor)])


def _leading_to(fused: FusedOp, makers: dict[int, FusedOp]) -> Iterator[FusedOp]:
    """Yield the operators that `fused` is computed from, up to the last products."""
    waiting, seen = [fused], {id(fused)}
    while waiting:
        for tensor in waiting.pop().inputs:
            maker = makers.get(id(tensor))
            if maker is not None and id(maker) not in seen and maker.nodes[0].op_type not in LINEAR:
                seen.add(id(maker))
                waiting.append(maker)
                yield maker


def _moves_behind(layer: QuantizedGraph, tensor: Tensor) -> list[FusedOp]:
    """Return the operators that only move the values of `tensor`."""
    moves, reached = [], {id(tensor)}
    for fused in layer.plan.operators:
        if fused.rule is not None and fused.rule.passthrough and any(id(given) in reached for given in fused.inputs):
            moves.append(fused)
            reached.update(id(out) for out in fused.outputs)
    return moves


def weak_operators(layer: QuantizedGraph, seen: Pairs, least_db: float) -> list[str]:
    """Return a line for each output that keeps too little of its signal, naming the operator where it fell."""
    makers = {id(out): fused for fused in layer.plan.operators for out in fused.outputs}
    lines = []
    for index, tensor in enumerate(layer.plan.graph.outputs):
        if id(tensor) not in seen or (kept := _kept_of(layer, tensor, seen[id(tensor)])) >= least_db:
            continue
        fused = makers.get(id(tensor))
        while fused is not None:  # back along the input that has lost most, to the first below the bound
            known = (given for given in fused.inputs if id(given) in seen)
            below = [given for given in known if signal_to_noise(seen[id(given)]) < least_db]
            if not below or id(below[0]) not in makers:
                break
            fused = makers[id(min(below, key=lambda given: signal_to_noise(seen[id(given)])))]
        name = fused.name if fused is not None else tensor.name
        scope = fused.nodes[0].scope if fused is not None else tensor.name
        lines.append(
            f"output {index} keeps {kept:.1f} dB of its signal on the calibration samples; the first operator below "
            f"{least_db:g} dB is {name}: try QatConfig(by_name={{{scope!r}: 'w8a16'}}), or None in place of 'w8a16' "
            "for float"
        )
    return lines
