"""Passes over samples: what ranges activations have in float, and what rounding kernels does to biases on average."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import BadInput
from ..progress import track
from .fake_quant import nudge, steps, to_power_of_two
from .graph.nodes import Tensor
from .graph.operations import NEVER
from .narrow import narrowest
from .noise import Reference, of_first
from .observers import OBSERVERS, Seen
from .operators import NOTHING
from .passes.correct import bias_shift
from .placement import FusedOp, Scale

if TYPE_CHECKING:
    from .layer import QuantizedGraph

# Inputs often lie on a grid of their own (sixteenths, 1/255). A range a little wider than theirs keeps them off the
# midpoints between two steps, where the kernels of different runtimes round differently.
SLACK = 1.001
HELD_AT_ONCE = 2**30  # bytes of activations that calibration holds
FEWEST_PARTS = 17  # of 256 in a ratio of scales, which widens a range by less than an eighth
_NOTHING_BELOW = frozenset({"Concatenate", "Masked", "Pad", "Select", "Where"})  # may hold -inf, as a mask or border


def calibrate(layer: QuantizedGraph, samples: list[np.ndarray]) -> Reference:
    """Set the observed ranges of `layer` from float activations on `samples`.

    Return those of the first samples, to compare others with.  Raises: BadInput for values that are not finite.
    """
    return _Calibration(layer, samples).run()


class _Calibration:
    def __init__(self, layer: QuantizedGraph, samples: list[np.ndarray]):
        self.layer, self.plan, self.samples = layer, layer.plan, samples
        self.batch_size = min(self._largest_batch(), len(samples[0]))
        self.first = Reference(self.batch_size, {})

    def run(self) -> Reference:
        self._observe()
        self._widen_the_narrow()
        if self.layer.config.rounding == "xnnpack":
            self._choose_exact_ratios()
        if self.layer.config.correct_biases:
            self._correct_biases()
        return self.first

    # ------------------------------------------------------------ passes

    def _largest_batch(self) -> int:
        """Return how many samples at once have activations that fit into memory."""
        made = (tensor for node in self.plan.graph.nodes for tensor in node.outputs)
        bytes_each = sum(4 * math.prod(size or 1 for size in tensor.shape) for tensor in made)
        # what is averaged over batches depends on their size
        most = 256 if self.layer.config.observer == "minmax" else 64
        return max(1, min(most, HELD_AT_ONCE // max(1, bytes_each)))

    def _batches(self, keep_first: bool = False) -> Iterator[list[tuple[Tensor, Seen]]]:
        """Yield, batch by batch, the float values of every tensor that has a scale.

        keep_first: note what the first samples give.
        """
        count = len(self.samples[0])
        with track(f"calibrate {self.plan.graph.name}", count) as advance:
            for start in range(0, count, self.batch_size):
                batch = [array[start : start + self.batch_size] for array in self.samples]
                yield self._run(batch, start, keep_first and not start)
                advance(len(batch[0]))

    def _run(self, batch: list[np.ndarray], start: int, keep: bool) -> list[tuple[Tensor, Seen]]:
        seen: list[tuple[Tensor, Seen]] = []
        returned = {id(tensor) for tensor in self.plan.graph.outputs}

        def watch(tensor: Tensor, value: Any) -> None:
            values = Seen(np.asarray(value))
            _refuse_what_is_not_finite(tensor, values, start)
            seen.append((tensor, values))

        def note(tensor: Tensor, value: Any) -> Any:
            if (tensor.dtype.startswith("float") and not tensor.is_constant) or id(tensor) in returned:
                self.first.values[id(tensor)] = of_first(tensor, np.asarray(value), len(batch[0]))
            return value

        self.layer.execute(batch, quantize=False, watch=watch, after=note if keep else None)
        return seen

    # ------------------------------------------------------------ ranges

    def _observe(self) -> None:
        """Give each range what the observer makes of its values."""
        scales = {scale.name: scale for scale in self.plan.distinct_scales}
        kept: list[bool] = []

        def batches() -> Iterator[Iterator[tuple[str, Seen]]]:
            is_first = not kept
            kept.append(True)
            for batch in self._batches(is_first):
                named = ((self._scale_name(tensor), _present(values)) for tensor, values in batch)
                yield ((name, values) for name, values in named if values.array.size)

        config = self.layer.config
        bits = {name: scale.bits for name, scale in scales.items()}
        ranges = OBSERVERS[config.observer](batches, bits, config.percentile)
        for name, variable in self.layer.range_of.items():
            low, high = (end * SLACK for end in ranges[name])
            scale = scales[name]
            if scale.source == "state":
                low, high = to_power_of_two(low, high, scale.bits)
            ends = nudge(low - scale.range_margin, high, scale.symmetric, scale.bits)
            variable.assign(np.array(ends, np.float32))

    def _scale_name(self, tensor: Tensor) -> str:
        scale = self.plan.scale_of(tensor)
        assert scale is not None  # those that have one are watched
        return scale.name

    def _ends(self, scale: Scale) -> tuple[float, float]:
        low, high = self.layer.range(scale)
        return float(low), float(high)

    def _widen_the_narrow(self) -> None:
        """Give what was (nearly) always zero on the samples, a dead unit for one, a range that kernels take."""
        for fused in self.plan.operators:
            made = self.plan.scale_of(fused.outputs[0])
            if made is not None and made.source == "observed" and made.bits == 8:
                low, high = self._ends(made)
                if high - low < (least := float(narrowest(self.layer, fused, np))):
                    ends = nudge(low, low + least, made.symmetric)
                    self.layer.range_of[made.name].assign(np.array(ends, np.float32))

    def _choose_exact_ratios(self) -> None:
        """Widen the ranges that a mere change of scale leads to until the ratio of the scales is one that XNNPACK has.

        It multiplies by 256ths. Of an odd number of them hardly any result lies halfway between two steps.
        """
        chosen: set[str] = set()
        for fused in self.plan.operators:
            pair = self._rescaled(fused, chosen)
            if pair is None:
                continue
            given, made = pair
            (low, high), (least, most) = self._ends(made), self._ends(given)
            ratio = (most - least) / (high - low)
            parts = int(256 * ratio) - 1 | 1
            if parts >= FEWEST_PARTS:
                wider = 256 * ratio / parts
                self.layer.range_of[made.name].assign(np.array([low * wider, high * wider], np.float32))
                chosen.add(made.name)

    def _rescaled(self, fused: FusedOp, chosen: set[str]) -> tuple[Scale, Scale] | None:
        """Return the scales of input and output of an operator that only changes the scale, in 8 bits; else None."""
        # not an input of the model
        data = next((tensor for tensor in fused.inputs if tensor.producer is not None), fused.outputs[0])
        given, made = self.plan.scale_of(data), self.plan.scale_of(fused.outputs[0])
        if given is None or made is None or given is made or made.source != "observed" or made.name in chosen:
            return None
        if (given.bits, made.bits) != (8, 8) or not self._only_rescales(fused, made):
            return None
        return given, made

    def _only_rescales(self, fused: FusedOp, made: Scale) -> bool:
        if fused.rule is None or fused.rule.arithmetic == "rescaling":
            return fused.rule is not None
        constants = [tensor for tensor in fused.inputs if tensor.is_constant]
        if fused.rule.builtin_op != "ADD" or fused.activation is not None or len(constants) != 1:
            return False
        low, high = self._ends(made)
        return np.abs(np.asarray(self.layer.weight(constants[0]))).max() < (high - low) / steps(made.bits) / NOTHING

    # ------------------------------------------------------------ biases

    def _correct_biases(self) -> None:
        """Take from each bias what rounding its kernel adds on average."""
        corrected = {
            id(fused.bias): fused
            for fused in self.plan.operators
            if fused.rule and fused.bias is not None and fused.nodes[0].op_type != "TransposedConv"
        }
        means = self._means({id(fused.inputs[0]) for fused in corrected.values()})
        for fused in corrected.values():
            assert fused.kernel is not None and fused.bias is not None and fused.form is not None
            kernel = self.layer.weight(fused.kernel)
            bits = fused.precision.weights
            scale = self.layer.kernel_scale(fused, kernel, bits)
            shift = bias_shift(fused.form, kernel, means[id(fused.inputs[0])], bits, scale)
            bias = self.layer.weight_of[fused.bias.name]
            bias.assign(np.asarray(bias) - shift.reshape(bias.shape).astype(np.float32))

    def _means(self, wanted: set[int]) -> dict[int, np.ndarray]:
        """Return the mean by channel, (channels,), of the tensors with these ids."""
        sums: dict[int, tuple[Any, int]] = {}
        for batch in self._batches():
            for tensor, values in batch:
                if id(tensor) in wanted:
                    rows = values.array.reshape(-1, values.array.shape[-1]).astype(np.float64)
                    total, count = sums.get(id(tensor), (0.0, 0))
                    sums[id(tensor)] = total + rows.sum(0), count + len(rows)
        return {key: total / count for key, (total, count) in sums.items()}


def _refuse_what_is_not_finite(tensor: Tensor, values: Seen, start: int) -> None:
    if tensor.is_constant or (np.isfinite(values.low) and np.isfinite(values.high)):
        return
    meant = tensor.producer is not None and tensor.producer.op_type in _NOTHING_BELOW
    broken = ~np.isfinite(values.array) & ~(meant & np.isneginf(values.array))
    if np.any(broken):
        raise BadInput(
            f"calibration: {tensor.name} is not finite for sample {start + int(np.argwhere(broken)[0][0])} "
            "(a logarithm of zero, a mean over nothing?): leave that sample out, or keep the operation off such values"
        )


def _present(values: Seen) -> Seen:
    """Return the values that are not masked."""
    return values if values.low > NEVER else Seen(values.array[values.array > NEVER])
