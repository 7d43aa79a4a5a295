"""A model file's operators and tensors, as targets judge them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .kernels import ABSENT


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """A tensor of a file. scales: how many it has, 0 for a tensor without any; values: of a short integer constant."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scales: int = 0
    scale: float | None = None
    zero_point: int | None = None
    is_constant: bool = False
    is_state: bool = False
    is_open: bool = False
    values: tuple[int, ...] | None = None

    @property
    def word(self) -> str:
        """Return the tensor as tables of kernels name it; the scales of a bias say nothing, its kernel has them."""
        return self.dtype + "*" * (self.scales > 1 and len(self.shape) > 1) + "!" * self.is_constant

    @property
    def elements(self) -> int:
        """Return how many values it has; a size that is open counts as 1."""
        return int(np.prod([max(1, size) for size in self.shape], dtype=np.int64))

    @property
    def bytes(self) -> int:
        """Return how many bytes its values take."""
        if self.dtype == "int4":
            return -(-self.elements // 2)
        return self.elements * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, kw_only=True)
class Operation:
    """An operator of a file. inputs: numbers of tensors, -1 for one left out; options: as the schema has them."""

    op: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    intermediates: tuple[int, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Graph:
    """The main graph of a file. offsets: where a compiler has put each tensor in the arena, -1 for anywhere."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operation, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    subgraphs: int = 1
    offsets: tuple[int, ...] = ()

    @property
    def constant_bytes(self) -> int:
        """Return how many bytes its constants take."""
        return sum(tensor.bytes for tensor in self.tensors if tensor.is_constant)

    def words(self, operation: Operation) -> tuple[list[str], list[str]]:
        """Return the types of an operator's operands and results as tables of kernels name them."""
        inputs = [self.tensors[index].word if index >= 0 else ABSENT for index in operation.inputs]
        return inputs, [self.tensors[index].word for index in operation.outputs]

    def of(self, indices: tuple[int, ...]) -> list[Tensor]:
        """Return tensors by their numbers, without those left out."""
        return [self.tensors[index] for index in indices if index >= 0]


@dataclass(frozen=True, kw_only=True)
class Operator:
    """An operator as it is judged. words: types of operands and results, where the file's graph is known."""

    op: str
    name: str
    dtype: str
    words: tuple[Sequence[str], Sequence[str]] | None = None
    tensors: tuple[Tensor, ...] = ()
    inputs: tuple[Tensor | None, ...] = ()
    outputs: tuple[Tensor, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def dtypes(self) -> set[str]:
        """Return the types of its tensors."""
        return {one.dtype for one in self.tensors} or {self.dtype.split()[0]} - {"none"}
