"""A network as it is trained: its samples changed at random, its outputs by head."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras


class Augmented(keras.Model):
    """A model whose training samples first go through layers that change them at random.

    These lie in the compiled step, and their random states among the variables: a resumed run goes on with them.
    """

    def __init__(self, model: keras.Model, augmentation: Sequence[keras.layers.Layer]):
        super().__init__(name=model.name)
        self.network, self.augmentation = model, list(augmentation)
        for layer in self.augmentation:  # Keras says no for all of TensorFlow's sake, whose kernels of images XLA lacks
            layer.supports_jit |= keras.backend.backend() == "jax"
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Run the network, in training on changed inputs."""
        return self.network(self.changed(inputs) if training else inputs, training=training)

    def changed(self, inputs: Any) -> Any:
        """Return samples changed at random."""
        for layer in self.augmentation:
            inputs = layer(inputs, training=True)
        return inputs


class Named(keras.Model):
    """A model that answers a dict by head, whatever form and names its own outputs have."""

    def __init__(self, model: keras.Model, places: Mapping[str, int]):
        super().__init__(name=model.name)
        self.network, self.places = model, dict(places)
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Run the network."""
        answers = keras.tree.flatten(self.network(inputs, training=training))
        return {head: answers[place] for head, place in self.places.items()}
