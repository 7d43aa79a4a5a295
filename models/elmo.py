"""Word vectors that depend on the sentence: two language models, one a direction, and a learned mix of their layers."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import KerasTensor, layers, ops

from .registry import Bars, Deployable, register

FAMILY = "transformer"


@register(
    task="two_way_language_model",
    learner="two_way",
    input_shape=(35,),
    dtype="int32",
    classes=10_001,
    params=18_637_828,
    paper="Peters 2018, Deep contextualized word representations, arXiv:1802.05365; words in place of characters, 512 "
    "units without projection",
    data=("ptb", "scikit_learn_words"),
    learning_rate=5e-3,
    training={"clip_norm": 1.0},
    edge={"input_shape": (16,), "units": 32},
    networks=("vectors", "softmax"),
    deploy=(Deployable(network="vectors", tables=("softmax",)),),
    bars=Bars(floor=400.0),  # perplexity: of words by their frequency alone 639 on ptb, 41 on scikit_learn_words
)
def elmo(input_shape: tuple[int, ...], classes: int, units: int = 512, depth: int = 2):
    """Build both language models on the same embedding, and the softmax that both predict words by.

    A vector is the scaled mean, with learned weights, of the embedding and of every layer, the forward model's in its
    first half, the backward one's in its second. So each half predicts words: the mix is learned with the models.
    Shapes: vectors: tokens (N, T) int32 -> (N, T, 2 units); softmax: word (N,) int32 -> its vector (N, units), a table.
    """
    tokens = keras.Input(tuple(input_shape), dtype="int32", name="tokens")
    forward: Any = layers.Embedding(classes, units, name="embedding")(tokens)  # (N, T, units)
    backward = forward
    told = [_both(forward, backward, 0)]
    for layer in range(1, depth + 1):
        forward = _layer(forward, f"forward_{layer}", residual=layer > 1)
        backward = _layer(backward, f"backward_{layer}", residual=layer > 1, turned=True)
        told.append(_both(forward, backward, layer))
    vectors = LayerMix(name="mixed")(told)  # (N, T, 2 units)
    word = keras.Input((), dtype="int32", name="word")
    softmax = layers.Embedding(classes, units, embeddings_initializer="glorot_uniform", name="softmax")(word)
    return {
        "vectors": keras.Model(tokens, vectors, name="vectors"),
        "softmax": keras.Model(word, softmax, name="softmax"),
    }


def _layer(x: KerasTensor, name: str, *, residual: bool, turned: bool = False):
    y: Any = layers.LSTM(x.shape[-1], return_sequences=True, go_backwards=turned, name=name)(x)
    y = ops.flip(y, axis=1) if turned else y
    return layers.Add(name=f"{name}_add")([x, y]) if residual else y


def _both(forward: KerasTensor, backward: KerasTensor, layer: int):
    return layers.Concatenate(name=f"both_{layer}")([forward, backward])


@keras.saving.register_keras_serializable("edgewright")
class LayerMix(layers.Layer):
    """A scale times the mean of layers by the softmax of learned weights.

    Shapes: L tensors (N, T, d) -> (N, T, d).  Source: arXiv:1802.05365, equation 1.
    """

    def build(self, input_shape: Sequence[Any]):
        """Make the weights: all layers count alike to begin with."""
        self.share = self.add_weight(shape=(len(input_shape),), initializer="zeros", name="share")
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

    def call(self, inputs: Sequence[Any]):
        """Compute the layer.  Shapes: see the class."""
        shares: Any = ops.softmax(self.share) * self.scale
        mixed = inputs[0] * shares[0]
        for place, x in enumerate(inputs[1:], 1):
            mixed = mixed + x * shares[place]
        return mixed

    def compute_output_shape(self, input_shape: Sequence[Any]):
        """Return the shape of the outputs, batch included."""
        return input_shape[0]
