"""How much memory a graph of tensors takes on a device that plans one arena ahead, as TensorFlow Lite Micro does.

A tensor lives from the operator that writes it to the last that reads it; tensors alive at once may not overlap. The
plan places large tensors first, each at the lowest free address, which is what TFLM's greedy planner does
(tensorflow/lite/micro/memory_planner/greedy_memory_planner.cc). Before there are activations, the same place holds what
preparing takes: tensors as a kernel looks at them, with a zero point for each channel, and the planner's own lists
(micro_allocator.cc). So an arena is what is kept and the larger of the two.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from .graph import Graph, Operation
from .target import Memory

SCRATCH_REQUESTS = 12  # for which TFLM makes room while an operator is prepared
PLANNED_BYTES = 40  # of the planner's lists, for each buffer that it places
MULTIPLIER_BYTES = 8  # of a channel's multiplier and shift
# Kernels that keep a multiplier and shift for each channel of their result
BY_CHANNEL = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
Kept = Mapping[str, Mapping[str, int]]
# Kernels that unpack one of 4 bits into scratch memory
UNPACKING = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
# Bytes of a sum in scratch memory, for each value of the result
SUMS = {("MEAN", "int8"): 4, ("MEAN", "int16"): 4, ("SUM", "int8"): 4, ("SUM", "int16"): 4,
        ("TRANSPOSE_CONV", "int8"): 4, ("TRANSPOSE_CONV", "int16"): 8}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Lifetime:
    """A tensor of `size` bytes that exists from operator `first` to operator `last`, both included.

    offset: where it has to be, None for wherever there is room.
    """

    size: int
    first: int
    last: int
    offset: int | None = None


@dataclass(frozen=True)
class Records:
    """Sizes of TFLM's records on a processor whose addresses take `pointer` bytes."""

    pointer: int

    @property
    def tensor(self) -> int:
        """Return what is kept of each tensor: two addresses and a type (TfLiteEvalTensor)."""
        return 3 * self.pointer

    @property
    def node(self) -> int:
        """Return what is kept of each operator: six addresses, a size, its kernel (NodeAndRegistration)."""
        return 8 * self.pointer

    @property
    def full_tensor(self) -> int:
        """Return a tensor as kernels see it while they are prepared, and inputs and outputs always (TfLiteTensor)."""
        return 16 + 6 * self.pointer

    @property
    def request(self) -> int:
        """Return the record of memory that a kernel asks for (ScratchBufferRequest)."""
        return 8 + self.pointer

    @property
    def planned(self) -> int:
        """Return what planning holds of each tensor (AllocationInfo)."""
        return 16 + 2 * self.pointer

    def scales(self, number: int) -> int:
        """Return the scales of a tensor: two addresses, an axis, a zero point for each (TfLiteAffineQuantization)."""
        return 3 * self.pointer + 4 * (number + 1) if number else 0


def lifetimes(graph: Graph) -> list[Lifetime]:
    """Return the lifetimes of all computed tensors: inputs live from the start, outputs to the end, states always."""
    end = max(len(graph.operators) - 1, 0)
    written: dict[int, int] = {}
    read: dict[int, int] = {}
    for place, operator in enumerate(graph.operators):
        for index in operator.outputs:
            written.setdefault(index, place)
        for index in operator.inputs:
            read[index] = place
    used = {*written, *read, *graph.inputs}
    found = []
    for index, tensor in enumerate(graph.tensors):
        if tensor.is_constant or tensor.is_state or index not in used:
            continue
        first = 0 if index in graph.inputs else written.get(index, 0)
        last = end if index in graph.outputs else read.get(index, end)
        place = graph.offsets[index] if index < len(graph.offsets) else -1
        found.append(
            Lifetime(size=tensor.bytes, first=first, last=max(first, last), offset=place if place >= 0 else None)
        )
    return found


def plan(tensors: Sequence[Lifetime], alignment: int) -> int:
    """Return the bytes that all `tensors` take in one arena.

    What has its place comes first, then the largest; of tensors alike in size the last comes first, as TFLM fills
    the list that it sorts from its end.
    """
    fixed = [tensor for tensor in tensors if tensor.offset is not None]
    free = [tensor for tensor in reversed(tensors) if tensor.offset is None]
    placed: list[tuple[int, int, Lifetime]] = []  # offset, end, tensor
    for tensor in [*fixed, *sorted(free, key=lambda tensor: -_aligned(tensor.size, alignment))]:
        size = _aligned(tensor.size, alignment)
        offset = _room(placed, tensor, size) if tensor.offset is None else tensor.offset
        placed.append((offset, offset + size, tensor))
    return max((stop for _, stop, _ in placed), default=0)


def _room(placed: Sequence[tuple[int, int, Lifetime]], tensor: Lifetime, size: int) -> int:
    offset = 0
    for start, stop, other in sorted(placed, key=lambda entry: entry[0]):
        if other.last < tensor.first or tensor.last < other.first:
            continue
        if offset + size <= start:
            break
        offset = max(offset, stop)
    return offset


def arena_bytes(graph: Graph, memory: Memory, kernels: Kept | None = None) -> int:
    """Estimate the arena: what is kept, and the larger of planned activations and what preparing takes.

    kernels: operator -> type of its result -> bytes that its kernel keeps, beside a multiplier for each channel.
    """
    scratch = list(scratches(graph))
    activations = [*lifetimes(graph), *scratch]
    kept = kept_bytes(graph, memory, kernels or {}, len(scratch))
    passing = max(plan(activations, memory.alignment_bytes), _preparing(graph, memory, len(scratch), len(activations)))
    return _aligned(passing, memory.alignment_bytes) + _aligned(kept, memory.alignment_bytes)


def scratches(graph: Graph) -> Iterator[Lifetime]:
    """Yield the memory that kernels work in: a kernel of 4 bits unpacked, sums of more bits than the result."""
    for place, operator in enumerate(graph.operators):
        size = _scratch(graph, operator)
        if size:
            yield Lifetime(size=size, first=place, last=place)


def _scratch(graph: Graph, operator: Operation) -> int:
    second = next(iter(graph.of(operator.inputs[1:2])), None)
    if operator.op in UNPACKING and second is not None and second.dtype == "int4":
        return second.elements
    result = graph.tensors[operator.outputs[0]]
    return SUMS.get((operator.op, result.dtype), 0) * result.elements


def transposed_bytes(graph: Graph, operator: Operation) -> int:
    """Return the size of the copy that a product of matrices keeps of a second factor that lies in rows."""
    if operator.op != "BATCH_MATMUL" or operator.options.get("adjY"):
        return 0
    return graph.tensors[operator.inputs[1]].bytes


def kept_bytes(graph: Graph, memory: Memory, kernels: Kept, scratch: int = 0) -> int:
    """Return what the runtime keeps beside activations: of tensors, operators, kernels, channels, ends and states."""
    records = Records(memory.pointer_bytes)
    each = memory.per_operator_bytes
    states = sum(_aligned(tensor.bytes, memory.alignment_bytes) for tensor in graph.tensors if tensor.is_state)
    return (
        memory.fixed_bytes
        + records.tensor * len(graph.tensors)
        + sum(records.node + _kernel(graph, operator, kernels, each) for operator in graph.operators)
        + sum(_multipliers(graph, operator) + transposed_bytes(graph, operator) for operator in graph.operators)
        + _ends(graph, records)
        + scratch * records.pointer
        + states
    )


def _ends(graph: Graph, records: Records) -> int:
    ends = graph.of((*graph.inputs, *graph.outputs))
    return sum(records.full_tensor + records.scales(tensor.scales) + records.pointer for tensor in ends)


def _kernel(graph: Graph, operator: Operation, kernels: Kept, unknown: int) -> int:
    known = kernels.get(operator.op, {})
    return known.get(graph.tensors[operator.outputs[0]].dtype, max(known.values(), default=unknown))


def _multipliers(graph: Graph, operator: Operation) -> int:
    if operator.op not in BY_CHANNEL:
        return 0
    ends = graph.of(operator.inputs[1:2])
    channels = ends[0].scales if operator.op == "FULLY_CONNECTED" else graph.tensors[operator.outputs[0]].shape[-1]
    return MULTIPLIER_BYTES * channels + 2 * 12 if channels > 1 else 0  # two arrays, each in steps of 16 bytes


def _preparing(graph: Graph, memory: Memory, scratch: int, planned: int) -> int:
    """Return what preparing takes for a while: of the operator that takes most, or of planning."""
    records = Records(memory.pointer_bytes)
    room = records.request * (SCRATCH_REQUESTS + scratch)

    def looked_at(operator: Operation) -> int:
        ends = graph.of((*operator.inputs, *operator.outputs, *operator.intermediates))
        return sum(records.full_tensor + records.scales(tensor.scales) for tensor in ends)

    planning = records.planned * (len(graph.tensors) + scratch) + PLANNED_BYTES * (planned + 1)
    # Inputs and outputs get their records when all this is over
    return room + max(planning, max(map(looked_at, graph.operators), default=0)) - _ends(graph, records)


def _aligned(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment
