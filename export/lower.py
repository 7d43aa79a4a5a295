"""From a quantization-aware model to the integer program that devices execute.

Each fused operator of the plan becomes one operator; scales and zero points are those the model was trained with, so
nothing is calibrated or inferred again and the integers are the ones that training saw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from keras import ops

from ..quantize.graph.nodes import Graph, Tensor, run
from ..quantize.operators import FILLS, INTEGERS_ONLY, Rule
from ..quantize.placement import FusedOp, Scale
from .constants import Constants, Planned, accumulator, as_unsigned
from .convert import InputSpec, freeze_function
from .program import Array, Dequantize, Fragment, Operator, Program, Quantize, Reshape, describe_fragment
from .static_shapes import shapes_of_one
from .translate import Operands, translate

INTEGER_IO = (False, True, "int8", "uint8")  # what the borders of a file may be; True is "int8"


def lower(
    layer: Planned, name: str, *, integer_io: bool | str = False, inputs: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
) -> Program:  # fmt: skip
    """Lower the quantized graph with batch 1. inputs, outputs: what to call them; a graph that was read from a file has
    lost the names of its inputs.

    integer_io: integers at the borders, int8 (or as wide as the graph has them) or "uint8", which takes a change of
    scale at each border.
    Raises: BadInput for an operation that the operator table does not cover, if the backend is not TensorFlow.
    """
    return _Lowering(layer, integer_io, outputs).run(name, inputs)


class _Lowering:
    """The program as far as it is written.

    arrays: what became of each tensor, by id; in_float: its real values where they were asked for; returned: arrays
    that are inputs or outputs already.
    """

    def __init__(self, layer: Planned, integer_io: bool | str, names: Sequence[str] | None = None):
        self.layer, self.plan, self.integer_io, self.names = layer, layer.plan, integer_io, names
        self.shapes = shapes_of_one(self.plan)
        self.constants = Constants(layer)
        self.arrays: dict[int, Array] = {}
        self.in_float: dict[int, Array] = {}
        self.operators: list[Operator] = []
        self.returned: set[int] = set()

    def run(self, name: str, names: Sequence[str] | None = None) -> Program:
        graph = self.plan.graph
        names = names or [tensor.name for tensor in graph.inputs]
        inputs = [self.input(tensor, own) for tensor, own in zip(graph.inputs, names, strict=True)]
        self.returned.update(map(id, inputs))
        for fused in self.plan.operators:
            self.fused(fused)
        outputs = [self.array(tensor) if self.integer_io else self.as_float(tensor) for tensor in graph.outputs]
        outputs = [self.unsigned(array) for array in outputs]
        outputs = [self.output(array, index) for index, array in enumerate(outputs)]
        return Program(name, inputs, outputs, self.operators, self.arrays)

    # ------------------------------------------------------------ borders

    def input(self, tensor: Tensor, name: str) -> Array:
        """Declare an input; return what the file takes for it."""
        outside = Array(name, self.shapes[id(tensor)], tensor.dtype)
        scale = self.plan.scale_of(tensor)
        if scale is None:
            self.arrays[id(tensor)] = outside
            return outside
        inside = self.arrays[id(tensor)] = self.activation(tensor, scale)
        if self.integer_io and not self.is_unsigned(inside):
            inside.name = name
            return inside
        if self.integer_io:
            outside = as_unsigned(inside, name)
        inside.name = f"{name}_{inside.dtype}"
        self.operators.append(Quantize([outside], [inside]))
        return outside

    def is_unsigned(self, array: Array) -> bool:
        """Tell whether `array` is of unsigned bytes outside."""
        return self.integer_io == "uint8" and array.dtype == "int8"

    def unsigned(self, array: Array) -> Array:
        """Return what the file gives away for `array`."""
        if not self.is_unsigned(array):
            return array
        outside = as_unsigned(array, f"{array.name}_uint8")
        self.operators.append(Quantize([array], [outside]))
        return outside

    def output(self, array: Array, index: int) -> Array:
        """Name an output; an input, a constant and what is returned twice is copied by a reshape to its own shape."""
        if id(array) in self.returned or array.data is not None:
            copy = replace(array, data=None)
            self.operators.append(Reshape([array], [copy], shape=array.shape))
            array = copy
        self.returned.add(id(array))
        array.name = self.names[index] if self.names else f"output_{index}"
        return array

    # ------------------------------------------------------------ operators

    def fused(self, fused: FusedOp) -> None:
        """Write a fused operator: as its row says, in float where that is wanted, or as a fragment without a row."""
        rule = fused.row
        if rule is None or (not fused.is_quantized and rule.builtin_op in INTEGERS_ONLY):
            self.fragment(fused)
        elif not rule.builtin_op:  # nothing at inference
            passed = (self.array if fused.is_quantized else self.as_float)(fused.inputs[0])
            self.arrays[id(fused.outputs[0])] = passed
            if not fused.is_quantized:
                self.cross(fused, [passed])
        elif rule.builtin_op == "CONSTANT" or (rule.builtin_op == "QUANTIZE" and fused.inputs[0].is_constant):
            (out,) = fused.outputs
            self.arrays[id(out)] = self.constants.operand(self.filled(fused), self.plan.scale_of(out))
        else:
            self.operator(fused, rule)

    def operator(self, fused: FusedOp, rule: Rule) -> None:
        """Write the operators of a row of the table."""
        inputs = self.operands(fused)
        outputs = []
        for tensor in fused.outputs:
            scale = self.plan.scale_of(tensor) if fused.is_quantized else None
            outputs.append(self.activation(tensor, scale) if scale else self.outside(tensor))
            self.arrays[id(tensor)] = outputs[-1]
        self.operators += translate(Operands(rule.builtin_op, inputs, outputs, fused.options, fused.activation))
        if not fused.is_quantized:
            self.cross(fused, outputs)

    def operands(self, fused: FusedOp) -> list[Array]:
        """Return what an operator reads: activations, kernel and bias, biases of several kernels."""
        bring = self.array if fused.is_quantized else self.as_float
        inputs = [bring(tensor) for tensor in fused.inputs]
        if fused.kernel is not None:
            inputs += self.constants.kernel_and_bias(fused, inputs[0])
        return inputs + [self.accumulated(fused, bias, kernel, inputs[0]) for bias, kernel in fused.biases]

    def accumulated(self, fused: FusedOp, bias: Tensor, kernel: Tensor, data: Array) -> Array:
        """Return one of several biases, an integer of the accumulator's scale where its operator is quantized."""
        values = np.asarray(self.layer.weight(bias), np.float32)
        if not fused.is_quantized:
            return self.constants.in_float(bias.name, values)
        return accumulator(f"{bias.name}.integers", values, data, self.array(kernel))

    def filled(self, fused: FusedOp) -> Tensor:
        """Return the constant that an operator gives whatever its input is."""
        given, out, node = fused.inputs[0], fused.outputs[0], fused.nodes[0]
        if node.op_type not in FILLS:
            return given
        shape = self.shapes[id(out)]
        return Tensor(out.name, shape, out.dtype, np.full(shape, FILLS[node.op_type](node), out.dtype))

    def fragment(self, fused: FusedOp) -> None:
        """Write what the table does not know as a frozen graph in float; of constants alone, as a constant."""
        varying = list({id(tensor): tensor for tensor in fused.inputs if not tensor.is_constant}.values())
        outputs = [self.outside(tensor) for tensor in fused.outputs]
        op_type = fused.nodes[0].op_type
        inputs = [self.as_float(tensor) for tensor in varying]

        def compute(*arguments: Any) -> list[Any]:
            return run(Graph(fused.name, varying, fused.outputs, fused.nodes), list(arguments), self.layer.weight)

        if varying:
            specs = [InputSpec(f"input_{index}", array.shape, array.dtype) for index, array in enumerate(inputs)]
            what = f"{describe_fragment(outputs[0].name, op_type)}, which stays float,"
            graph = freeze_function(compute, specs, what)
            self.operators.append(Fragment(inputs, outputs, op_type=op_type, graph=graph))
        else:
            for out, values in zip(outputs, compute(), strict=True):
                out.data = np.asarray(ops.convert_to_numpy(values))
        self.arrays.update((id(tensor), out) for tensor, out in zip(fused.outputs, outputs, strict=True))
        self.cross(fused, outputs)

    def cross(self, fused: FusedOp, outputs: list[Array]) -> None:
        """Quantize those outputs of a float operator that a quantized one reads."""
        for tensor, out in zip(fused.outputs, outputs, strict=True):
            scale = self.plan.scale_of(tensor)
            if scale is not None:
                self.arrays[id(tensor)] = self.activation(tensor, scale)
                self.in_float[id(tensor)] = out
                self.operators.append(Quantize([out], [self.arrays[id(tensor)]]))

    # ------------------------------------------------------------ arrays

    def array(self, tensor: Tensor) -> Array:
        """Return the array of `tensor`, in integers where it has a scale."""
        if id(tensor) not in self.arrays:
            self.arrays[id(tensor)] = self.constants.operand(tensor, self.plan.scale_of(tensor))
        return self.arrays[id(tensor)]

    def as_float(self, tensor: Tensor) -> Array:
        """Return the array of `tensor` in float32, dequantizing once where needed; truths and numbers as they are."""
        if tensor.is_constant:
            dtype = "float32" if tensor.dtype.startswith("float") else tensor.dtype
            return self.constants.in_float(tensor.name, np.asarray(self.layer.weight(tensor), dtype))
        array = self.array(tensor)
        if array.scale is None:
            return array
        if id(tensor) not in self.in_float:
            self.in_float[id(tensor)] = Array(f"{array.name}_float", array.shape, "float32")
            self.operators.append(Dequantize([array], [self.in_float[id(tensor)]]))
        return self.in_float[id(tensor)]

    def activation(self, tensor: Tensor, scale: Scale) -> Array:
        """Return a new array of integers."""
        size, zero_point = self.constants.quantization(scale)
        return Array(tensor.name, self.shapes[id(tensor)], f"int{scale.bits}", np.array([size]), zero_point)

    def outside(self, tensor: Tensor) -> Array:
        """Return a new array without a scale."""
        return Array(tensor.name, self.shapes[id(tensor)], tensor.dtype)
