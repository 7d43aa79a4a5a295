"""Which axes of a kernel are the inputs of its matrix product, which the outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The axes of a kernel by what they are to the product.

    inputs are summed over, outputs are not; `apart` are those of which each index has a matrix of its own, such as the
    places of a convolution's kernel. A pattern N:M counts along the inputs, in the order of the axes.
    """

    apart: tuple[int, ...] = ()
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def layout_of(layer: keras.Layer, weight: keras.Variable) -> Layout:
    """Return the layout of one weight.

    Dense, recurrent, embeddings (in, out): the first axis. Conv (places..., in, out): the input channels at each place,
    as sparse hardware reads them; transposed (places..., out, in) likewise. Depthwise (places..., channels,
    multiplier): the places, for it sums over nothing else. EinsumDense: the axes of the kernel that its equation sums
    over. What is not known is taken as (apart..., in, out).
    """
    if weight.name == "depthwise_kernel":
        return _depthwise(layer, weight)
    rule = next((RULES[kind] for kind in type(layer).__mro__ if kind in RULES), _product)
    return rule(layer, weight)


def _product(layer: keras.Layer, weight: keras.Variable) -> Layout:
    last = len(weight.shape) - 1
    return Layout(apart=tuple(range(last - 1)), inputs=(last - 1,), outputs=(last,))


def _transposed(layer: keras.Layer, weight: keras.Variable) -> Layout:
    last = len(weight.shape) - 1
    return Layout(apart=tuple(range(last - 1)), inputs=(last,), outputs=(last - 1,))


def _depthwise(layer: keras.Layer, weight: keras.Variable) -> Layout:
    last = len(weight.shape) - 1
    return Layout(inputs=tuple(range(last - 1)), outputs=(last - 1, last))


def _einsum(layer: keras.layers.EinsumDense, weight: keras.Variable) -> Layout:
    read, _, made = layer.equation.replace(" ", "").replace("...", "").partition("->")
    read, _, kernel = read.partition(",")
    if len(kernel) != len(weight.shape):
        return _product(layer, weight)
    axes = {letter: (letter in read, letter in made) for letter in kernel}
    return Layout(
        apart=tuple(axis for axis, letter in enumerate(kernel) if axes[letter] == (True, True)),
        inputs=tuple(axis for axis, letter in enumerate(kernel) if not axes[letter][1]),
        outputs=tuple(axis for axis, letter in enumerate(kernel) if axes[letter] == (False, True)),
    )


RULES: dict[type, Callable[..., Layout]] = {
    keras.layers.Conv1DTranspose: _transposed,
    keras.layers.Conv2DTranspose: _transposed,
    keras.layers.Conv3DTranspose: _transposed,
    keras.layers.DepthwiseConv1D: _depthwise,
    keras.layers.DepthwiseConv2D: _depthwise,
    keras.layers.EinsumDense: _einsum,
}
