"""Blocks that several families share."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import KerasTensor, layers, ops

# Keras' default of 0.99 needs some 500 steps to forget its start; a short training on a small set has fewer.
MOMENTUM = 0.9

Size = int | tuple[int, int]  # of a square window, or height and width


def maxout(x: KerasTensor, units: int, pieces: int, name: str):
    """Add `units` maxima of `pieces` affine maps each.  Shapes: (N, n) -> (N, units).  Source: arXiv:1302.4389."""
    x = layers.Dense(units * pieces, name=f"{name}_pieces")(x)
    x = layers.Reshape((units * pieces, 1), name=f"{name}_column")(x)
    x = layers.MaxPooling1D(pieces, name=f"{name}_max")(x)  # (N, units, 1)
    return layers.Flatten(name=name)(x)


# ---------------------------------------------------------------- convolutions and their normalisation


def conv_norm(
    x: KerasTensor, maps: int, size: Size, strides: int = 1, *, name: str, activation: str | None = None,
    padding: str = "same", bias: bool = False, gamma: bool = True, epsilon: float = 0.001
):  # fmt: skip
    """Add a convolution, its batch normalisation and, where one is named, an activation.

    Shapes: (N, H, W, C) -> (N, H', W', maps).
    """
    x = layers.Conv2D(maps, size, strides, padding, use_bias=bias, kernel_initializer="he_normal", name=name)(x)
    return norm(x, activation, gamma=gamma, epsilon=epsilon, name=name)


def depthwise_norm(
    x: KerasTensor, size: Size, strides: int = 1, *, name: str, activation: str | None = None, bias: bool = False,
    epsilon: float = 0.001
):  # fmt: skip
    """Add a depthwise convolution, its batch normalisation and, where one is named, an activation."""
    x = layers.DepthwiseConv2D(size, strides, "same", use_bias=bias, depthwise_initializer="he_normal", name=name)(x)
    return norm(x, activation, epsilon=epsilon, name=name)


def norm(x: KerasTensor, activation: str | None = None, *, name: str, gamma: bool = True, epsilon: float = 1e-3):
    """Add batch normalisation and, where one is named, an activation."""
    x = layers.BatchNormalization(momentum=MOMENTUM, epsilon=epsilon, scale=gamma, name=f"{name}_norm")(x)
    return x if activation is None else layers.Activation(activation, name=f"{name}_{activation}")(x)


def divisible(maps: float, by: int = 8):
    """Round a scaled number of maps to a multiple of `by`, never down by more than a tenth (TF-slim's rule)."""
    rounded = max(by, int(maps + by / 2) // by * by)
    return rounded if rounded >= 0.9 * maps else rounded + by


# ---------------------------------------------------------------- blocks


def squeeze_excite(x: KerasTensor, squeezed: int, *, name: str, activation: str = "relu", gate: str = "sigmoid"):
    """Weigh the maps by a gate computed from their means, through `squeezed` units.  Source: arXiv:1709.01507."""
    s = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_squeeze")(x)  # (N, 1, 1, C)
    s = layers.Dense(squeezed, activation, kernel_initializer="he_normal", name=f"{name}_reduce")(s)
    s = layers.Dense(x.shape[-1], gate, name=f"{name}_expand")(s)
    return layers.Multiply(name=f"{name}_scale")([x, s])


def inverted_residual(
    x: KerasTensor, maps: int, *, expanded: int, name: str, size: Size = 3, strides: int = 1,
    activation: str = "relu6", squeezed: int = 0, squeeze_activation: str = "relu", gate: str = "sigmoid",
    drop: float = 0.0
):  # fmt: skip
    """Add MobileNetV2's block: widen to `expanded` maps, filter each, narrow to `maps` without activation, and add the
    input where the shape stays.

    squeezed: units of squeeze-and-excitation, 0 for none. drop: chance that a sample skips the block in training.
    Source: arXiv:1801.04381, fig. 4b; with squeeze-and-excitation arXiv:1807.11626.
    """
    shortcut = x
    if expanded != x.shape[-1]:
        x = conv_norm(x, expanded, 1, activation=activation, name=f"{name}_expand")
    x = depthwise_norm(x, size, strides, activation=activation, name=f"{name}_depthwise")
    if squeezed:
        x = squeeze_excite(x, squeezed, activation=squeeze_activation, gate=gate, name=f"{name}_se")
    x = conv_norm(x, maps, 1, name=f"{name}_project")
    if shortcut.shape != x.shape:
        return x
    if drop:
        x = layers.Dropout(drop, noise_shape=(None, 1, 1, 1), name=f"{name}_drop")(x)
    return layers.Add(name=f"{name}_add")([shortcut, x])


@keras.saving.register_keras_serializable("edgewright")
class LocalResponseNormalization(layers.Layer):
    """Divide each map by (bias + alpha * sum of squares of the `depth` maps around it) ** beta.

    The defaults are AlexNet's. The sum is a product with a band of ones, which has an integer kernel.
    Shapes: (N, H, W, C) -> the same.  Source: Krizhevsky 2012, section 3.3.
    """

    def __init__(self, depth: int = 5, bias: float = 2.0, alpha: float = 1e-4, beta: float = 0.75, **kwargs: Any):
        super().__init__(**kwargs)
        self.depth, self.bias, self.alpha, self.beta = depth, bias, alpha, beta

    def call(self, inputs: KerasTensor):
        """Compute the layer.  Shapes: see the class."""
        maps = np.arange(inputs.shape[-1])
        band = np.abs(maps[:, None] - maps) <= self.depth // 2
        power: Any = ops.matmul(ops.square(inputs), self.alpha * band.astype("float32"))
        logarithm: Any = ops.log(power + self.bias)
        return inputs * ops.exp(-self.beta * logarithm)

    def compute_output_shape(self, input_shape: Sequence[int]):
        """Return the shape of the outputs, batch included."""
        return input_shape

    def get_config(self):
        """Return the constructor\'s arguments."""
        mine = {"depth": self.depth, "bias": self.bias, "alpha": self.alpha, "beta": self.beta}
        return {**super().get_config(), **mine}


@keras.saving.register_keras_serializable("edgewright")
class StandardizedConv2D(layers.Conv2D):
    """A convolution whose kernel has mean 0 and variance 1 for each output map.  Source: arXiv:1903.10520, eq. 4.

    Zeros stay zero and are not counted, so that a pruned kernel is as sparse where it is used.
    """

    def convolution_op(self, inputs: KerasTensor, kernel: Any):
        """Convolve with the standardised kernel."""
        present = ops.cast(ops.not_equal(kernel, 0), kernel.dtype)
        count = ops.maximum(_sum_per_map(present), 1)
        centred: Any = (kernel - _sum_per_map(kernel) / count) * present
        variance: Any = _sum_per_map(ops.square(centred)) / count
        return super().convolution_op(inputs, centred * ops.rsqrt(variance + 1e-10))


def _sum_per_map(kernel: Any) -> Any:
    return ops.sum(kernel, axis=(0, 1, 2), keepdims=True)


@keras.saving.register_keras_serializable("edgewright")
class LocallyConnected2D(layers.Layer):
    """A convolution without weight sharing: every position has a kernel and a bias of its own, and no padding.

    Shapes: (N, H, W, C) -> (N, (H - size) // strides + 1, (W - size) // strides + 1, maps).
    Source: LeCun 1989, Generalization and network design strategies.
    """

    def __init__(self, maps: int, size: int, strides: int = 1, activation: Any = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.maps, self.size, self.strides = maps, size, strides
        self.activation = keras.activations.get(activation)

    def build(self, input_shape: Sequence[int]):
        """Make the weights."""
        _, height, width, _ = self.compute_output_shape(input_shape)
        window = self.size**2 * input_shape[-1]
        reach = (6 / (window + self.maps)) ** 0.5  # Glorot's, of one unit: the shape of all kernels would mislead it
        start: Any = keras.initializers.RandomUniform(-reach, reach)
        self.kernel = self.add_weight(shape=(height * width, window, self.maps), initializer=start, name="kernel")
        self.bias = self.add_weight(shape=(height, width, self.maps), initializer="zeros", name="bias")

    def call(self, inputs: KerasTensor):
        """Compute the layer.  Shapes: see the class."""
        _, height, width, _ = shape = self.compute_output_shape(inputs.shape)
        windows = ops.reshape(self._windows(inputs, height, width), (-1, height * width, 1, self.kernel.shape[1]))
        x = ops.matmul(windows, self.kernel)  # (N, H' W', 1, maps)
        return self.activation(ops.reshape(x, (-1, *shape[1:])) + self.bias)

    def _windows(self, x: KerasTensor, height: int, width: int):
        """Lay out what each position sees.  Shapes: (N, H, W, C) -> (N, H', W', size^2 C)."""
        step, far = self.strides, (self.strides * (height - 1) + 1, self.strides * (width - 1) + 1)
        offsets = [(row, column) for row in range(self.size) for column in range(self.size)]
        return ops.concatenate(
            [x[:, row : row + far[0] : step, column : column + far[1] : step] for row, column in offsets], axis=-1
        )

    def compute_output_shape(self, input_shape: Sequence[int]):
        """Return the shape of the outputs, batch included."""
        batch, *sides, _ = input_shape
        return (batch, *((side - self.size) // self.strides + 1 for side in sides), self.maps)

    def get_config(self):
        """Return the constructor\'s arguments."""
        mine = {"maps": self.maps, "size": self.size, "strides": self.strides}
        return {**super().get_config(), **mine, "activation": keras.activations.serialize(self.activation)}
