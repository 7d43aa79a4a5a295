"""A convolution whose kernels are given, and what is learned of its maps."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

from .registry import Deployable, register

FAMILY = "cnn"
FILTERS = {
    "identity": [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
    "corners": [[1, 0, -1], [0, 0, 0], [-1, 0, 1]],
    "laplace": [[0, 1, 0], [1, -4, 1], [0, 1, 0]],
    "outline": [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]],
    "sharpen": [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
    "box": np.full((3, 3), 1 / 9),
    "gauss": np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16,
    "sobel_x": [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
    "sobel_y": [[1, 2, 1], [0, 0, 0], [-1, -2, -1]],
    "prewitt_x": [[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]],
    "prewitt_y": [[1, 1, 1], [0, 0, 0], [-1, -1, -1]],
    "blur": [[3, 4, 3], [4, 5, 4], [3, 4, 3]],
}


@register(
    task="classification",
    input_shape=(28, 28, 1),
    classes=10,
    params=5_080,
    paper="Sobel 1968, A 3x3 isotropic gradient operator for image processing; LeCun 1989, section 1",
    data=("mnist", "digits"),
    networks=("classifier", "maps"),
    deploy=("classifier", Deployable(network="maps", derived_from="classifier")),
)
def fixed_filter_cnn(
    input_shape: tuple[int, int, int], classes: int, filters: Sequence[str] = ("sobel_x", "sobel_y", "blur"),
    kernels: Sequence[Any] = ()
):  # fmt: skip
    """Build one convolution with given 3x3 kernels, of which nothing is trained, a max pool and a linear classifier.

    filters: names in `FILTERS`; kernels: further ones, (3, 3) each. Of several channels the mean is filtered.
    Shapes: classifier, images (N, H, W, C) -> logits (N, classes); maps, the same -> (N, H - 2, W - 2, filters).
    """
    if unknown := [name for name in filters if name not in FILTERS]:
        raise ValueError(f"filters: {unknown[0]!r} is unknown; allowed: {', '.join(FILTERS)}")
    bank = [np.asarray(kernel, np.float32) for kernel in (*(FILTERS[name] for name in filters), *kernels)]
    inputs, seen = (keras.Input(input_shape, name="inputs") for _ in range(2))
    x = layers.MaxPooling2D(2, name="pool")(_filtered(inputs, bank))
    x = layers.Flatten(name="flatten")(x)
    classifier = keras.Model(inputs, layers.Dense(classes, name="logits")(x), name="classifier")
    return {"classifier": classifier, "maps": keras.Model(seen, _filtered(seen, bank), name="maps")}


def _filtered(x: Any, bank: Sequence[np.ndarray]):
    """Add the convolution.  Shapes: (N, H, W, C) -> (N, H - 2, W - 2, kernels)."""
    channels = x.shape[-1]
    kernel = np.repeat(np.stack(bank, axis=-1)[:, :, None] / channels, channels, axis=2)  # (3, 3, C, kernels)
    given: Any = keras.initializers.Constant(kernel.tolist())
    return layers.Conv2D(len(bank), 3, use_bias=False, trainable=False, kernel_initializer=given, name="maps")(x)
