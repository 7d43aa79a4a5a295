"""The Vision Transformer (Dosovitskiy 2021, arXiv:2010.11929)."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import KerasTensor, layers, ops

from .attention import Block, feed_forward
from .registry import register

FAMILY = "transformer"
HEADS = ("linear", "tanh", "none")


@register(
    task="classification",
    input_shape=(224, 224, 3),
    classes=1000,
    params=86_567_656,
    paper="Dosovitskiy 2021, An image is worth 16x16 words, arXiv:2010.11929, ViT-B/16",
    data=("mnist", "cifar10", "digits"),
    training={"clip_norm": 1.0},
    learning_rate=1e-3,
    edge={
        "input_shape": (28, 28, 1), "classes": 10, "patch": 7, "depth": 2, "width": 64, "heads": 4,
        "hidden": 128, "dropout": 0.0,
    },
    variants={
        "attention_distance": {
            "family": "inspection",
            "params": 86_567_656,
            "paper": "Dosovitskiy 2021, arXiv:2010.11929, appendix D.7",
            "attention_of": tuple(range(1, 13)),
            "edge": {"attention_of": (1, 2)},
        },
    },
)  # fmt: skip
def vit(
    inputs: KerasTensor, classes: int, *, patch: int = 16, depth: int = 12, width: int = 768, heads: int = 12,
    hidden: int = 3072, dropout: float = 0.1, head: str = "linear", attention_of: Sequence[int] = ()
):  # fmt: skip
    """Build a pre-norm encoder over patches and a class token, from which the logits are read.

    head: "linear"; "tanh", one hidden layer of `width` units before it; "none" for the class token itself.
    attention_of: numbers of blocks, from 1, whose attention (N, heads, T, T) is a further output, "attention_1".
    Shapes: images (N, H, W, C) -> logits (N, classes), or a dict of "logits" and the attentions.
    """
    if head not in HEADS:
        raise ValueError(f"head={head!r}; allowed: linear, tanh, none")
    block = Block(
        heads=heads, feed_forward=hidden, dropout=dropout, norm_first=True, activation="gelu", use_bias=True
    )  # fmt: skip
    x = layers.Conv2D(width, patch, patch, name="patches")(inputs)  # (N, H / patch, W / patch, width)
    x = layers.Reshape((-1, width), name="tokens")(x)  # (N, T, width)
    x = ClassToken(name="class_token")(x)
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    seen = {}
    for index in range(1, depth + 1):
        name = f"encoder_{index}"
        part = f"{name}_attention"
        mixed, weights = block.attend(part)(block.first(x, part), return_weights=True)
        if index in attention_of:
            seen[f"attention_{index}"] = weights
        x = feed_forward(block.add(x, mixed, part), block, name)
    x = layers.Cropping1D((0, x.shape[1] - 1), name="first")(x)
    x = layers.Reshape((width,), name="token")(x)
    x = layers.LayerNormalization(epsilon=block.epsilon, name="norm")(x)  # (N, width)
    if head == "tanh":
        x = layers.Dense(width, "tanh", name="pre_logits")(x)
    logits = layers.Dense(classes, name="logits")(x) if head != "none" else x
    return {"logits": logits, **seen} if seen else logits


@keras.saving.register_keras_serializable("edgewright")
class ClassToken(layers.Layer):
    """Puts a learned token before a sequence, and adds learned positions.  Shapes: (N, T, width) -> (N, T + 1, width).

    Both are one sum with a row of zeros in front, so that nothing has the size of the batch.
    """

    def build(self, input_shape: Sequence[int]):
        """Make the weights."""
        _, length, width = input_shape
        start: Any = keras.initializers.RandomNormal(stddev=0.02)
        self.token = self.add_weight(shape=(1, width), initializer="zeros", name="token")
        self.positions = self.add_weight(shape=(length + 1, width), initializer=start, name="positions")

    def call(self, inputs: KerasTensor):
        """Compute the layer.  Shapes: see the class."""
        behind: Any = ((0, inputs.shape[1]), (0, 0))
        added: Any = ops.pad(self.token, behind) + self.positions
        return ops.pad(inputs, ((0, 0), (1, 0), (0, 0))) + added

    def compute_output_shape(self, input_shape: Sequence[int]):
        """Return the shape of the outputs, batch included."""
        return (input_shape[0], input_shape[1] + 1, input_shape[2])
