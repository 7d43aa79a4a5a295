"""The file that a device's int8 kernels are checked on, by our own writer: the kinds that compressed networks spend
their time in, side by side on the same input, their results in a row.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..devices.runtimes import kernels
from ..devices.runtimes.kernels import KernelFile, Kernels
from ..devices.transports.transport import Transport
from ..errors import EdgewrightError
from ..export.program import (
    Array,
    Binary,
    Concatenate,
    Conv2D,
    DepthwiseConv2D,
    Dequantize,
    FullyConnected,
    Operator,
    Program,
    Quantize,
    Reshape,
)
from ..export.tflite_writer import write_tflite

_SHAPE = (1, 9, 9, 12)
_IN, _OUT = (0.05, -3), (0.1, 2)  # (scale, zero point)
_WEIGHT_SCALE = 0.01
_Shape = tuple[int, ...]
_Case = Callable[[str, Array, np.random.Generator], list[Operator]]


def check(device: str | Transport, runtime: str = "litert", n: int = kernels.SAMPLES) -> Kernels:
    """Run `n` inputs on `device` and on this machine's reference kernels. Raises: EdgewrightError if that fails."""
    return kernels.check(device, kernel_file(), runtime, n)


def verified(device: Transport) -> str:
    """Return what a check says. Raises: EdgewrightError if kernels of `device` are wrong."""
    judged = check(device)
    if not judged.ok:
        raise EdgewrightError(f"{judged.device}: {judged}")
    return str(judged)


def kernel_file() -> KernelFile:
    """Return the file: float in, int8 kernels, float out."""
    random = np.random.default_rng(1)
    outside, images = Array("images", _SHAPE, "float32"), _activation("images_int8", _SHAPE, _IN)
    operators: list[Operator] = [Quantize([outside], [images])]
    rows: list[Array] = []
    for name, make in CASES.items():
        operators += make(name, images, random)
        (result,) = operators[-1].outputs
        rows.append(_activation(f"{name} in a row", (1, int(np.prod(result.shape))), _OUT))
        operators.append(Reshape([result], [rows[-1]], shape=rows[-1].shape))
    whole = (1, sum(row.shape[1] for row in rows))
    joined, answers = _activation("joined", whole, _OUT), Array("answers", whole, "float32")
    operators += [Concatenate(rows, [joined], axis=1), Dequantize([joined], [answers])]
    return KernelFile(
        data=write_tflite(Program("kernels", [outside], [answers], operators)),
        shape=_SHAPE[1:],
        sizes={name: row.shape[1] for name, row in zip(CASES, rows, strict=True)},
        scale=_OUT[0],
    )


def _activation(name: str, shape: _Shape, quantization: tuple[float, int]) -> Array:
    scale, zero_point = quantization
    return Array(name, shape, "int8", np.array([scale], np.float32), zero_point)


def _weights(name: str, shape: _Shape, channels: int, random: np.random.Generator) -> list[Array]:
    """Return a kernel of that shape with a scale for each of its output channels, and a bias."""
    fan_in = np.prod(shape) / channels
    scale = (random.uniform(0.5, 1, channels) * _WEIGHT_SCALE / np.sqrt(fan_in)).astype(np.float32)
    kernel = Array(f"{name} kernel", shape, "int8", scale, data=random.integers(-127, 128, shape).astype(np.int8))
    bias = random.integers(-3000, 3000, channels).astype(np.int32)
    return [kernel, Array(f"{name} bias", (channels,), "int32", scale * np.float32(_IN[0]), data=bias)]


def _convolution(height: int, width: int, channels: int, stride: int = 1) -> _Case:
    def make(name: str, images: Array, random: np.random.Generator) -> list[Operator]:
        weights = _weights(name, (height, width, _SHAPE[3], channels), channels, random)
        return [Conv2D([images, *weights], [_images(name, channels, stride)], strides=(stride, stride), padding="same")]

    return make


def _images(name: str, channels: int, stride: int = 1) -> Array:
    height, width = (-(-size // stride) for size in _SHAPE[1:3])
    return _activation(name, (1, height, width, channels), _OUT)


def _depthwise(name: str, images: Array, random: np.random.Generator) -> list[Operator]:
    channels, strides = _SHAPE[3], (1, 1)
    weights = _weights(name, (3, 3, channels, 1), channels, random)
    return [DepthwiseConv2D([images, *weights], [_images(name, channels)], strides=strides, padding="same")]


def _fully_connected(name: str, images: Array, random: np.random.Generator) -> list[Operator]:
    size, channels = int(np.prod(_SHAPE)), 37
    flat = _activation(f"{name} of a row", (1, size), _IN)
    weights = _weights(name, (size, channels), channels, random)
    result = _activation(name, (1, channels), _OUT)
    return [Reshape([images], [flat], shape=flat.shape), FullyConnected([flat, *weights], [result])]


def _addition(name: str, images: Array, random: np.random.Generator) -> list[Operator]:
    return [Binary([images, images], [_images(name, _SHAPE[3])], function="add")]


CASES: dict[str, _Case] = {  # odd sizes reach the kernels' remainders
    "convolution": _convolution(3, 3, 19),
    "strided convolution": _convolution(3, 3, 17, stride=2),
    "pointwise": _convolution(1, 1, 35),
    "depthwise": _depthwise,
    "fully connected": _fully_connected,
    "addition": _addition,
}
