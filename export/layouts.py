"""How the images at the inputs of a file lie: channels last, as Keras and TFLite have them, or first, as ONNX does."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

import numpy as np

from ..errors import BadInput

Layout = Literal["nhwc", "nchw"]
LAYOUTS: tuple[Layout, ...] = ("nhwc", "nchw")
TO_FIRST, TO_LAST = (0, 3, 1, 2), (0, 2, 3, 1)


def check(layout: str) -> None:
    """Raise BadInput for a layout that there is not."""
    if layout not in LAYOUTS:
        raise BadInput(f"layout={layout!r} is unknown; allowed: {', '.join(LAYOUTS)}")


def channels_first(
    layout: Layout, shapes: Mapping[str, Sequence[int]], states: Mapping[str, str], model: str
) -> list[str]:
    """Return the inputs that are to have their channels first: of rank 4, and no states, which come out as they go in.

    shapes: of each input by name.  Raises: BadInput where "nchw" is asked for and there is none.
    """
    if layout == "nhwc":
        return []
    images = [name for name, shape in shapes.items() if len(shape) == 4 and name not in states.values()]
    if not images:
        raise BadInput(
            f"layout='nchw' is for inputs of images (N, H, W, C), and model {model!r} takes "
            f"{', '.join(str(tuple(shape)) for shape in shapes.values())}: leave it out"
        )
    return images


def shape_of(shape: Sequence[int], is_first: bool) -> list[int]:
    """Return the shape of an input (N, H, W, C) as the file has it."""
    return [shape[axis] for axis in TO_FIRST] if is_first else list(shape)


def arranged(samples: Sequence[np.ndarray], names: Sequence[str], first: Collection[str]) -> list[np.ndarray]:
    """Return samples (N, H, W, C) as the inputs of a file take them."""
    return [array.transpose(TO_FIRST) if name in first else array for array, name in zip(samples, names, strict=True)]
