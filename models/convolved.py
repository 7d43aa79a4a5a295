"""A classifier as a convolution over images larger than those it was trained on, and back from coarse to fine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import KerasTensor, layers, ops

from ..errors import BadInput


def as_convolution(dense: layers.Dense, window: tuple[int, int] = (1, 1)) -> tuple[layers.Conv2D, list[np.ndarray]]:
    """Return the convolution that gives at each position what `dense` gives to a flattened window, and its weights.

    Where the input is as large as the window, there is one position.
    Shapes: kernel (h w c, units) -> (h, w, c, units).
    """
    activation: Any = dense.activation
    convolution = layers.Conv2D(dense.units, window, activation=activation, use_bias=dense.use_bias, name=dense.name)
    kernel, *bias = dense.get_weights()
    return convolution, [kernel.reshape(*window, -1, dense.units), *bias]


def fully_convolutional(classifier: keras.Model) -> keras.Model:
    """Return `classifier`, whose Dense layers behind a Flatten become convolutions, with the same weights.

    Shapes: images (N, H, W, C) of any size that its windows fit into -> scores (N, H', W', classes): at the size of
    `classifier` one position, with the same scores.  Raises: BadInput for a net without a Flatten of maps.
    Source: Long 2015, arXiv:1411.4038, section 3.1.
    """
    flat: list[Any] = [
        layer for layer in classifier.layers if isinstance(layer, layers.Flatten) and len(_maps_of(layer)) == 4
    ]
    if len(flat) != 1:
        raise BadInput(f"model {classifier.name!r} flattens maps {len(flat)} times; a classifier to convolve does once")
    weights: dict[str, list[np.ndarray]] = {}

    def cloned(layer: Any) -> Any:
        if layer is flat[0]:
            return layers.Identity(name=layer.name)
        if not isinstance(layer, layers.Dense):
            return layer.__class__.from_config(layer.get_config())
        first = not weights and _maps_of(layer)[-1] == math.prod(_maps_of(flat[0])[1:])
        window: Any = _maps_of(flat[0])[1:3] if first else (1, 1)
        made, weights[layer.name] = as_convolution(layer, window)
        return made

    inputs: Any = keras.Input((None, None, classifier.inputs[0].shape[-1]), name=classifier.inputs[0].name)
    convolved: Any = keras.models.clone_model(classifier, input_tensors=inputs, clone_function=cloned)
    for layer in classifier.layers:
        if layer.weights:
            convolved.get_layer(layer.name).set_weights(weights.get(layer.name) or layer.get_weights())
    return convolved


def _maps_of(layer: Any) -> tuple[int, ...]:
    return tuple(layer.input.shape)


# ---------------------------------------------------------------- back to the pixels


@keras.saving.register_keras_serializable("edgewright")
class Bilinear(keras.initializers.Initializer):
    """A transposed convolution with twice its stride as kernel that interpolates each map for itself.

    Shapes: (size, size, maps, maps).  Source: Long 2015, arXiv:1411.4038, section 3.3.
    """

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """Return the kernel."""
        size = shape[0]
        stride = (size + 1) // 2
        middle = stride - 1 if size % 2 else stride - 0.5
        weight = 1 - np.abs(np.arange(size) - middle) / stride
        kernel = weight[:, None, None, None] * weight[:, None, None] * np.eye(*shape[2:])
        return ops.convert_to_tensor(kernel.astype("float32"), dtype)

    def get_config(self) -> dict[str, Any]:
        """Return nothing: the shape says all."""
        return {}


@keras.saving.register_keras_serializable("edgewright")
class MaxUnpooling2D(layers.Layer):
    """Values put back to where the maxima of a pool were, zeros elsewhere; of windows that overlap their sum.

    The place of a maximum is where what was pooled equals it, which runtimes can tell: they have no pool that returns
    places. Of equal maxima all get the value.
    strides: of the pool, as large as its windows of `size`, or 1 with zeros elsewhere.
    Shapes: pooled (N, H, W, C), maxima and values (N, H', W', C) -> (N, H, W, C).  Source: arXiv:1511.00561, section 3.
    """

    def __init__(self, size: int = 2, strides: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.size, self.strides = size, strides or size
        if self.strides not in (1, self.size):
            raise BadInput(f"strides={strides} of windows of {size}: a pool is undone for strides of 1 or {size}")

    def call(self, inputs: Sequence[KerasTensor]):
        """Compute the layer of what was pooled, its maxima, and values.  Shapes: see the class."""
        pooled, maxima, values = inputs
        if self.strides == self.size:
            there = ops.equal(pooled, self._repeated(maxima))
            spread = self._repeated(values)
            return ops.where(there, spread, ops.zeros_like(spread))
        height, width = maxima.shape[1:3]
        total: Any = 0
        for row in range(self.size):
            for column in range(self.size):
                there = ops.equal(pooled[:, row : row + height, column : column + width], maxima)
                part = ops.where(there, values, ops.zeros_like(values))
                rest = self.size - 1
                total = total + ops.pad(part, [(0, 0), (row, rest - row), (column, rest - column), (0, 0)])
        return total

    def _repeated(self, x: KerasTensor):
        height, width = (side * self.size for side in x.shape[1:3])
        return ops.image.resize(x, (height, width), interpolation="nearest", data_format="channels_last")

    def compute_output_shape(self, input_shape: Sequence[Any]):
        """Return the shape of what was pooled."""
        return input_shape[0]

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "size": self.size, "strides": self.strides}
