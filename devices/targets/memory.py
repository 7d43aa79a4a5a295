"""How much memory a graph of tensors takes on a device that plans one arena ahead, as TensorFlow Lite Micro does.

A tensor lives from the operator that writes it to the last that reads it; tensors alive at once may not overlap. The
plan places large tensors first, each at the lowest free address, which is what TFLM's greedy planner does
(tensorflow/lite/micro/memory_planner/greedy_memory_planner.cc).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .target import Memory


@dataclass(frozen=True, kw_only=True)
class Lifetime:
    """A tensor of `size` bytes that exists from operator `first` to operator `last`, both included."""

    size: int
    first: int
    last: int


def lifetimes(graph: Mapping[str, Any], inputs: Sequence[int] = (), outputs: Sequence[int] = ()) -> list[Lifetime]:
    """Return the lifetimes of all computed tensors of the agent's `graph` event.

    Tensors that nothing writes, and `inputs`, live from the start; those nothing reads, and `outputs`, to the end.
    """
    operators = graph["operators"]
    end = max(len(operators) - 1, 0)
    found = []
    for key, tensor in graph["tensors"].items():
        index = int(key)
        if not tensor["computed"]:
            continue
        written = [i for i, one in enumerate(operators) if index in one["outputs"]]
        read = [i for i, one in enumerate(operators) if index in one["inputs"]]
        first = 0 if index in inputs or not written else min(written)
        last = end if index in outputs or not read else max(read)
        found.append(Lifetime(size=tensor_bytes(tensor), first=first, last=max(first, last)))
    return found


def tensor_bytes(tensor: Mapping[str, Any]) -> int:
    """Return the size of a tensor in bytes; a size that is open (below 1) counts as 1."""
    return int(np.prod([max(1, size) for size in tensor["shape"]], dtype=np.int64)) * np.dtype(tensor["dtype"]).itemsize


def plan(tensors: Sequence[Lifetime], alignment: int) -> int:
    """Return the bytes that all `tensors` take in one arena."""
    placed: list[tuple[int, int, Lifetime]] = []  # offset, end, tensor
    for tensor in sorted(tensors, key=lambda one: (-one.size, one.first)):
        size = _aligned(tensor.size, alignment)
        offset = 0
        for start, stop, other in sorted(placed, key=lambda entry: entry[0]):
            if other.last < tensor.first or tensor.last < other.first:
                continue
            if offset + size <= start:
                break
            offset = max(offset, stop)
        placed.append((offset, offset + size, tensor))
    return max((stop for _, stop, _ in placed), default=0)


def arena_bytes(graph: Mapping[str, Any], memory: Memory) -> int:
    """Estimate the arena: planned activations, and what the runtime keeps of each tensor, operator and channel."""
    tensors = graph["tensors"].values()
    channels = sum(one["scales"] for one in tensors if not one["computed"] and len(one["shape"]) > 1)
    kept = (
        memory.fixed_bytes
        + memory.per_tensor_bytes * len(tensors)
        + memory.per_operator_bytes * len(graph["operators"])
        + memory.per_channel_bytes * channels
    )
    return plan(lifetimes(graph), memory.alignment_bytes) + _aligned(kept, memory.alignment_bytes)


def _aligned(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment
