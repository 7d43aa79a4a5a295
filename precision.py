"""The precisions that models are quantized to, by name."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Precision:
    """How many bits the kernels and the activations of an operator have."""

    weights: int
    activations: int


# Seven bits: kernels of processors without VNNI add two products in 16 bits, and 8-bit ones can overflow those.
PRECISIONS = {"w8a8": Precision(8, 8), "w8a16": Precision(8, 16), "w7a8": Precision(7, 8), "w4a8": Precision(4, 8)}

WEIGHTS_ONLY = ("w4", "w8-weight-only", "w4-weight-only")  # by AI Edge Quantizer
EXPORTS = (
    "float32",
    "float16",
    "w8",
    *WEIGHTS_ONLY,
    *(f"{name}-{how}" for name in PRECISIONS for how in ("ptq", "qat")),
)


def is_quantized(precision: str) -> bool:
    """Tell whether activations are integers in `precision`."""
    return precision.endswith(("-ptq", "-qat"))


def of_format(format: str) -> list[str]:
    """Return the precisions that files of a format can have."""
    return [name for name in EXPORTS if format == "tflite" or name == "float32" or is_quantized(name)]
