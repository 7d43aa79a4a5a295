"""Kernels of few values, as clustering leaves them: found before anything is folded into them, and kept through that.

A batch normalization folded into a kernel multiplies each output by another factor, and then it has many values. It is
kept as what it was, few values shared by all outputs, and a factor for each output. Its scale follows the largest of
the values of all outputs, not those that one output has: then each value is one integer, and there are as few of these.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .graph.nodes import Graph, Tensor
from .kernels import KernelForm
from .placement import Plan

MOST_CLUSTERS = 64
A_VALUE = 4  # weights at least that share one: in a few random numbers each is alone
SAME = 1e-5  # of a weight: rounding of one product
APART = 8  # times that the largest values of two outputs may differ: one scale takes as many steps from the smaller


@dataclass(frozen=True, eq=False)
class Clusters:
    """A kernel as `centroids[numbers] * factors`; factors: one an output, in the shape of the kernel's scale."""

    centroids: np.ndarray
    numbers: np.ndarray
    factors: np.ndarray


def few_valued(graph: Graph) -> dict[str, np.ndarray]:
    """Return the trainable kernels of a graph that hold few distinct values, by name."""
    return {tensor.name: tensor.value for tensor in graph.constants if tensor.trainable and _has_few(tensor.value)}


def clusters_in(plan: Plan, before: Mapping[str, np.ndarray]) -> dict[str, Clusters]:
    """Return the kernels of few values by name; before: those that had few before the graph was rewritten."""
    forms: dict[int, set[KernelForm | None]] = {}
    for fused in plan.operators:
        if fused.kernel is not None:
            forms.setdefault(id(fused.kernel), set()).add(fused.form)
    found = {}
    for tensor in plan.graph.constants:
        form, *others = forms.get(id(tensor), {None})
        if tensor.trainable and not others:
            clusters = _clusters(tensor, form, before.get(tensor.name))
            found |= {} if clusters is None else {tensor.name: clusters}
    return found


def factor_shape(shape: tuple[int, ...], form: KernelForm | None) -> tuple[int, ...]:
    """Return the shape of the factors of a kernel's outputs: 1 on the other axes."""
    kept = {axis % len(shape) for axis in form.channels} if form else set()
    return tuple(size if axis in kept else 1 for axis, size in enumerate(shape))


def _clusters(tensor: Tensor, form: KernelForm | None, original: np.ndarray | None) -> Clusters | None:
    value = tensor.value
    if original is not None and original.shape == value.shape:
        factors = _factors(original, value, factor_shape(value.shape, form))
        if np.all(np.abs(value - original * factors) <= SAME * np.abs(value)):
            return _as_clusters(original, factors)
    return _as_clusters(value, np.ones(factor_shape(value.shape, form), np.float32)) if _has_few(value) else None


def _as_clusters(values: np.ndarray, factors: np.ndarray) -> Clusters | None:
    """Return the clusters, None where a scale for all outputs would be too coarse for one of them."""
    inner = tuple(axis for axis, size in enumerate(factors.shape) if size == 1)
    largest = np.abs(values).max(inner)
    if (largest[largest > 0] * APART < largest.max()).any():
        return None
    centroids, numbers = np.unique(values, return_inverse=True)
    return Clusters(centroids, numbers.reshape(values.shape).astype(np.int32), factors.astype(np.float32))


def _factors(original: np.ndarray, value: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return how often larger `value` is than `original`, for each output; 1 where that is all zeros."""
    inner = tuple(axis for axis, size in enumerate(shape) if size == 1)
    size = np.abs(original).max(inner, keepdims=True)
    there = np.abs(original) == size
    factors = np.where(there & (original != 0), value / np.where(original == 0, 1, original), 0)
    return np.where(size == 0, 1, factors.sum(inner, keepdims=True) / there.sum(inner, keepdims=True))


def _has_few(values: np.ndarray) -> bool:
    if len(values.shape) < 2:
        return False
    if len(np.unique(values.reshape(-1)[: 16 * MOST_CLUSTERS])) > MOST_CLUSTERS:
        return False
    count = len(np.unique(values))
    return 2 <= count <= MOST_CLUSTERS and A_VALUE * count <= math.prod(values.shape)
