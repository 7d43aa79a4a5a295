"""Writes a `Program` as a .tflite flatbuffer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import BadInput
from .flatbuffer import Table, number, packed, table, unpacked, with_select_v2
from .program import Array, Fragment, Operator, Program, Reshape, name_of_numbers
from .tflite_operators import Kernel, Numbers, Operand, Spelled, spell
from .tflite_versions import version_of


def write_tflite(program: Program, description: str = "") -> bytes:
    """Return the program as the bytes of a .tflite file, the same bytes for the same program.

    Raises: BadInput for a fragment that becomes a loop or a branch; EdgewrightError for one that LiteRT lacks.
    """
    writer = _Writer()
    inputs = [writer.tensor(array) for array in program.inputs]
    operators = [entry for operator in program.operators for entry in writer.operators(operator)]
    outputs = [writer.tensor(array) for array in program.outputs]
    subgraph = table(
        "SubGraph", name=program.name, inputs=inputs, outputs=outputs, operators=operators, tensors=writer.tensors
    )
    signature = table(
        "SignatureDef",
        signatureKey="serving_default",
        subgraphIndex=0,
        inputs=_named(program.inputs, inputs),
        outputs=_named(program.outputs, outputs),
    )
    model = table(
        "Model",
        version=3,
        description=description,
        operatorCodes=writer.codes,
        buffers=writer.buffers,
        subgraphs=[subgraph],
        signatureDefs=[signature],
    )
    return packed(model, shares=True)


def _named(arrays: Sequence[Array], indices: Sequence[int]) -> list[Table]:
    return [
        table("TensorMap", name=array.name, tensorIndex=index) for array, index in zip(arrays, indices, strict=True)
    ]


class _Writer:
    """Tensors, buffers and operator codes as far as they are written.

    index: of tensors, by the array that they are written for, and the layout of kernels; kept: what is known by its id.
    """

    def __init__(self):
        self.buffers = [table("Buffer")]  # buffer 0 is empty by definition
        self.tensors: list[Table] = []
        self.codes: list[Table] = []
        self.index: dict[int | tuple[int, int], int] = {}
        self.code_index: dict[str, int] = {}
        self.stored: dict[bytes, int] = {}
        self.numbered: dict[tuple[tuple[int, ...], bytes], Array] = {}
        self.kept: list[object] = []

    # ------------------------------------------------------------ tensors

    def operand(self, operand: Operand) -> int:
        """Return the number of the tensor of an operand, -1 for none."""
        if operand is None:
            return -1
        if isinstance(operand, Kernel):
            return self.kernel(operand)
        return self.tensor(self.numbers(operand) if isinstance(operand, Numbers) else operand)

    def tensor(self, array: Array) -> int:
        """Return the number of the tensor of an array."""
        if id(array) not in self.index:
            self.index[id(array)] = self.add(array, array.data)
        return self.index[id(array)]

    def kernel(self, kernel: Kernel) -> int:
        """Return the number of the tensor of a kernel in its layout."""
        array, layout = kernel.array, kernel.layout
        key = id(array), id(layout)
        if key not in self.index:
            self.index[key] = self.add(array, layout.arrange(array.values), layout.channels)
        return self.index[key]

    def numbers(self, operand: Numbers) -> Array:
        """Return equal integers as one array."""
        values = operand.values
        key = values.shape, values.tobytes()
        if key not in self.numbered:
            self.numbered[key] = Array(name_of_numbers(values), values.shape, "int32", data=values)
        return self.numbered[key]

    def add(self, array: Array, data: np.ndarray | None, channels: int = 0) -> int:
        """Add a tensor with contents `data`, its scales along axis `channels`; return its number."""
        quantization = table("QuantizationParameters")
        if array.scale is not None:
            quantization.scale = array.scale.astype(np.float32)
            quantization.zeroPoint = np.full(array.scale.shape, array.zero_point, np.int64)
            quantization.quantizedDimension = channels
        self.tensors.append(
            table(
                "Tensor",
                name=array.name,
                shape=np.array(array.shape if data is None else data.shape, np.int32),
                type=number("TensorType", array.dtype.upper()),
                hasRank=True,
                buffer=self.buffer(_in_pairs(data) if array.dtype == "int4" and data is not None else data),
                quantization=quantization,
                isVariable=array.is_state,
            )
        )
        return len(self.tensors) - 1

    def buffer(self, data: np.ndarray | None) -> int:
        """Return the number of the buffer that holds `data`."""
        if data is None:
            return 0
        content = np.ascontiguousarray(data).tobytes()
        if content not in self.stored:
            self.stored[content] = len(self.buffers)
            self.buffers.append(table("Buffer", data=np.frombuffer(content, np.uint8)))
        return self.stored[content]

    # ------------------------------------------------------------ operators

    def operators(self, operator: Operator) -> list[Table]:
        """Return the operators of the file for one of the program."""
        if isinstance(operator, Fragment):
            return self.fragment(operator)
        spelled = spell(operator)
        self.kept += spelled
        return [self.spelled(each) for each in spelled]

    def spelled(self, spelled: Spelled) -> Table:
        """Return an operator that LiteRT has, its tensors added."""
        entry = table(
            "Operator",
            opcodeIndex=self.code(spelled.name, version_of(spelled)),
            inputs=np.array([self.operand(operand) for operand in spelled.inputs], np.int32),
            outputs=np.array([self.tensor(array) for array in spelled.outputs], np.int32),
        )
        if spelled.intermediates:
            entry.intermediates = np.array([self.tensor(array) for array in spelled.intermediates], np.int32)
        if spelled.options is not None:
            entry.builtinOptions = spelled.options
            entry.builtinOptionsType = number("BuiltinOptions", type(spelled.options).__name__.removesuffix("T"))
        return entry

    def code(self, name: str, version: int) -> int:
        """Return the number of a built-in operator's code, for `version` at least."""
        if name not in self.code_index:
            self.code_index[name] = len(self.codes)
            builtin = number("BuiltinOperator", name)
            self.codes.append(table("OperatorCode", builtinCode=builtin, deprecatedBuiltinCode=min(builtin, 127)))
        code = self.codes[self.code_index[name]]
        code.version = max(code.version, version)
        return self.code_index[name]

    # ------------------------------------------------------------ fragments

    def fragment(self, fragment: Fragment) -> list[Table]:
        """Convert a frozen graph and return its operators, their tensors put among ours."""
        from .convert import convert  # which loads TensorFlow: only what was frozen there needs it

        model = with_select_v2(unpacked(convert(fragment.graph, "tflite", what=fragment.described)))
        if len(model.subgraphs) > 1:
            raise BadInput(
                f"{fragment.described} becomes a loop or a branch in LiteRT, which an integer program cannot hold: "
                f"leave the layer that holds it out of the model, or export in float"
            )
        (graph,) = model.subgraphs
        arrays, copies = _ends(fragment, graph)
        for index in set(arrays) - set(graph.inputs):
            stored = model.buffers[graph.tensors[index].buffer].data
            if stored is not None:  # the converter computed it
                dtype = np.dtype(arrays[index].dtype)
                arrays[index].data = np.frombuffer(bytes(stored), dtype).reshape(arrays[index].shape)
        ours = {index: self.tensor(array) for index, array in arrays.items()}
        self.take_over(model, graph, ours)
        self.kept += copies
        return [*(graph.operators or []), *(entry for copy in copies for entry in self.operators(copy))]

    def take_over(self, model: Table, graph: Table, ours: dict[int, int]) -> None:
        """Add the tensors and codes of a converted graph; `ours` says which tensors are ours already."""
        for index, entry in enumerate(graph.tensors):
            if index not in ours:
                entry.buffer = self.buffer(model.buffers[entry.buffer].data)
                ours[index] = len(self.tensors)
                self.tensors.append(entry)
        for entry in graph.operators:
            entry.opcodeIndex = self.converted_code(model.operatorCodes[entry.opcodeIndex])
            for end in ("inputs", "outputs"):
                indices = [ours[index] if index >= 0 else index for index in getattr(entry, end)]
                setattr(entry, end, np.array(indices, np.int32))

    def converted_code(self, code: Table) -> int:
        """Return the number of an operator code that a converter wrote."""
        key = f"{code.builtinCode} {code.customCode} version {code.version}"
        if key not in self.code_index:
            self.code_index[key] = len(self.codes)
            self.codes.append(code)
        return self.code_index[key]


def _ends(fragment: Fragment, graph: Table) -> tuple[dict[int, Array], list[Reshape]]:
    """Return our array for each end of a converted graph, and what copies those that another end has already."""
    given = {f"input_{index}": array for index, array in enumerate(fragment.inputs)}
    arrays = {index: given[graph.tensors[index].name.decode()] for index in graph.inputs}
    copies = []
    for index, out in zip(graph.outputs, fragment.outputs, strict=True):
        if arrays.setdefault(index, out) is not out:  # an input as it is, or the same result twice
            copies.append(Reshape([arrays[index]], [out], shape=out.shape))
    return arrays, copies


def _in_pairs(integers: np.ndarray) -> np.ndarray:
    """Return two 4-bit integers a byte, the first in the low half."""
    flat = integers.reshape(-1).astype(np.uint8) & 0xF
    flat = np.append(flat, np.zeros(flat.size % 2, np.uint8))
    return flat[::2] | flat[1::2] << 4
