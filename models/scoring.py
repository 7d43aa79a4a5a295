"""A classifier whose maps say what is in an image and in which style it is."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import KerasTensor, layers, ops


@keras.saving.register_keras_serializable("edgewright")
class Gram(layers.Layer):
    """How much maps are there at the same places: the sum of their products over places.

    Shapes: (N, H, W, C) -> (N, C, C).  Source: Gatys 2016, Image style transfer using convolutional neural networks.
    """

    def call(self, inputs: Any) -> Any:
        """Compute the layer."""
        maps = ops.reshape(inputs, (-1, inputs.shape[1] * inputs.shape[2], inputs.shape[3]))
        return ops.matmul(ops.transpose(maps, (0, 2, 1)), maps)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Return (N, C, C)."""
        return (input_shape[0], input_shape[-1], input_shape[-1])


def scored(inputs: KerasTensor, classes: int, widths: Sequence[int]) -> dict[str, KerasTensor]:
    """Add two convolutions and a pool for each width, the mean over positions and a dense layer.

    Shapes: images (N, H, W, C) -> label (N, classes), logits; features (N, h, w, the last width), the content; gram_1
    and on (N, C, C), one a width, the style.
    """
    x, features, said = inputs, inputs, {}
    for index, width in enumerate(widths, 1):
        x = layers.Conv2D(width, 3, padding="same", activation="relu", name=f"conv_{index}_a")(x)
        x = layers.Conv2D(width, 3, padding="same", activation="relu", name=f"conv_{index}_b")(x)
        said[f"gram_{index}"] = Gram(name=f"gram_{index}")(x)
        features = x
        x = layers.AveragePooling2D(2, name=f"pool_{index}")(x)
    x = layers.GlobalAveragePooling2D(name="pooled")(x)
    return {"label": layers.Dense(classes, name="label")(x), "features": features, **said}
