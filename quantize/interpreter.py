"""Runs the fused operators of a plan on the backend's tensors, rounding where their integer kernels do."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..untyped import ops, tree
from .fake_quant import ROUNDINGS, fake_quantize, learned_steps
from .graph.nodes import Node, Tensor
from .placement import FusedOp
from .reference import Rounding, reference_rounding

if TYPE_CHECKING:
    from .layer import QuantizedGraph

Watch = Callable[[Tensor, Any], None]
After = Callable[[Tensor, Any], Any]
Instead = Callable[[Node], Callable[[Any], Any] | None]


class Execution:
    """One run of the plan of `layer`, with its present weights and ranges.

    quantize: False for the float model. watch(tensor, value) sees every tensor that has a scale, before it is rounded;
    after(tensor, value) returns what to go on with. instead: node -> the function of its first input that is
    computed in its place, as one with a gradient of its own, or None.
    """

    def __init__(
        self, layer: QuantizedGraph, *, training: bool | None, quantize: bool, watch: Watch | None,
        after: After | None, instead: Instead | None = None
    ):  # fmt: skip
        self.layer, self.plan = layer, layer.plan
        self.training, self.quantize, self.watch, self.after = training, quantize, watch, after
        self.instead = instead
        self.batch: Any = 1
        self._held: dict[int, Any] = {}  # by id of a tensor, as operators in integers read it
        self._real: dict[int, Any] = {}  # likewise, what was made in float, as operators in float read it
        self._kernels: dict[tuple[int, bool], tuple[Any, Any]] = {}
        self._ranges: dict[str, tuple[Any, Any]] = {}

    def run(self, inputs: Any) -> list[Any]:
        """Return the outputs of the graph in their flat order."""
        given = tree.flatten(inputs)
        self.batch = ops.shape(given[0])[0]
        for tensor, value in zip(self.plan.graph.inputs, given, strict=True):
            self._store(tensor, ops.cast(value, tensor.dtype))
        for fused in self.plan.operators:
            self._execute(fused)
        return [self._real_value(tensor) for tensor in self.plan.graph.outputs]

    def _execute(self, fused: FusedOp) -> None:
        """Run the nodes of one operator; only its outputs are rounded and kept."""
        inner = self._weights(fused)
        given = self._real_value if fused.rule is None else self._value

        def value(tensor: Tensor) -> Any:
            return inner[id(tensor)] if id(tensor) in inner else given(tensor)

        for node in fused.nodes:
            if self.instead is not None and (other := self.instead(node)) is not None:
                results = [other(value(node.inputs[0]))]
            else:
                how = {"training": self.training, "batch": self.batch, **self._roundings(fused, node)}
                results = node.run(value, **how)
            inner.update((id(out), result) for out, result in zip(node.outputs, results, strict=True))
        moves = fused.rule is not None and fused.rule.passthrough
        rounding = self._rounding(fused)
        for out in fused.outputs:
            self._store(out, inner[id(out)], rounded=not moves, rounding=rounding)
            if fused.rule is None and self.plan.scale_of(out) is not None:
                self._real[id(out)] = inner[id(out)]

    def _weights(self, fused: FusedOp) -> dict[int, Any]:
        """Return the kernel and biases of an operator as its kernel has them: on the grid of the accumulator."""
        weights: dict[int, Any] = {}
        scale = None
        if fused.kernel is not None:
            weights[id(fused.kernel)], scale = self._kernel(fused, fused.kernel)
        if fused.bias is not None:
            is_float = scale is None
            weights[id(fused.bias)] = self.layer.weight(fused.bias) if is_float else self.layer.bias(fused, scale)
        for bias, kernel in fused.biases:
            quantized = self.quantize and fused.rule is not None
            weights[id(bias)] = self.layer.accumulated(fused, bias, kernel) if quantized else self.layer.weight(bias)
        return weights

    def _kernel(self, fused: FusedOp, tensor: Tensor) -> tuple[Any, Any]:
        """Return the kernel of an operator and its scale, None in float; once for all operators that share it."""
        key = id(tensor), fused.rule is None
        if key not in self._kernels:
            weight, scale = self.layer.weight(tensor), None
            if self.quantize and fused.rule is not None and fused.form is not None:
                bits = fused.precision.weights
                scale = self.layer.kernel_scale(fused, weight, bits)
                weight = fused.form.fake_quantize(weight, bits, scale)
            self._kernels[key] = weight, scale
        return self._kernels[key]

    def _rounding(self, fused: FusedOp) -> Rounding | None:
        """Return what the kernel does with results between two steps, where that has to be said."""
        if fused.rule is None or not self.quantize:
            return None
        if self.layer.config.rounding == "reference":
            scale = None if fused.kernel is None else self._kernel(fused, fused.kernel)[1]
            return reference_rounding(self.layer, fused, scale)
        return ROUNDINGS.get(fused.rule.rounding)

    def _roundings(self, fused: FusedOp, node: Node) -> dict[str, Any]:
        """Return what an operator over a whole sequence rounds its states with at each step."""
        if self.quantize and fused.rule is not None and fused.rule.states:
            return {"rounded": [self.layer.rounding(tensor) for tensor in node.outputs]}
        return {}

    def _value(self, tensor: Tensor) -> Any:
        if id(tensor) not in self._held:
            self._store(tensor, self.layer.weight(tensor))
        return self._held[id(tensor)]

    def _real_value(self, tensor: Tensor) -> Any:
        """Return what an operator in float reads: where float made it, or it is a constant, it is not rounded."""
        if tensor.is_constant and id(tensor) not in self._real:
            self._real[id(tensor)] = self.layer.weight(tensor)
        return self._real[id(tensor)] if id(tensor) in self._real else self._value(tensor)

    def _store(self, tensor: Tensor, value: Any, rounded: bool = True, rounding: Rounding | None = None) -> None:
        scale = self.plan.scale_of(tensor)
        if scale is not None and self.watch is not None:
            self.watch(tensor, value)
        if self.quantize and scale is not None and rounded:
            if scale.name not in self._ranges:
                self._ranges[scale.name] = self.layer.range(scale)
            low_high = self._ranges[scale.name]
            given = value if rounding is None else rounding(value, *low_high, scale.bits)
            result = fake_quantize(given, *low_high, scale.bits)
            if scale.name in self.layer.width_of:
                result = result + learned_steps(value, result, *self.layer.gradient_range(scale), scale.bits)
            value = result
        self._held[id(tensor)] = value if self.after is None else self.after(tensor, value)
