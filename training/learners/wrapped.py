"""A network as it is trained: its samples changed at random, its outputs by head."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import keras

from ...ends import input_names, output_names, symbolic_inputs
from ...untyped import tree
from ..mixing import Mixed, Mixing, judged_twice
from ..moving import Moving


class Changed(NamedTuple):
    """Samples changed at random.

    share: (N,) of their own in those that are mixed, None for all. back: answers to samples that were moved -> to those
    that were given.
    """

    samples: Any
    share: Any
    back: Callable[[Any], Any]


class Augmented(keras.Model):
    """A model whose training samples first go through layers that change them at random.

    These lie in the compiled step, and their random states among the variables: a resumed run goes on with them. Where
    one mixes samples, the model answers `Mixed` in training, and both labels count; where one moves them, it answers
    as if they had not been moved.
    """

    def __init__(self, model: keras.Model, augmentation: Sequence[keras.layers.Layer]):
        super().__init__(name=model.name)
        self.network, self.augmentation = model, list(augmentation)
        for layer in self.augmentation:  # Keras says no for all of TensorFlow's sake, whose kernels of images XLA lacks
            layer.supports_jit |= keras.backend.backend() == "jax"
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Run the network, in training on changed inputs."""
        if not training:
            return self.network(inputs, training=training)
        changed = self.changed(inputs)
        return with_share(changed.back(self.network(changed.samples, training=True)), changed.share)

    def changed(self, inputs: Any) -> Changed:
        """Return samples changed at random."""
        share, moved = None, []
        for layer in self.augmentation:
            if isinstance(layer, Mixing):
                inputs, share = layer(inputs, training=True)
            elif isinstance(layer, Moving):
                inputs, moves = layer(inputs, training=True)
                moved.append((layer, moves))
            else:
                inputs = layer(inputs, training=True)

        def back(answers: Any) -> Any:
            for layer, moves in reversed(moved):
                answers = layer.back(answers, moves)
            return answers

        return Changed(inputs, share, back)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Return the loss, of mixed samples by both labels."""
        if isinstance(y_pred, Mixed):
            y, y_pred, sample_weight = judged_twice(y, y_pred, sample_weight)
        return super().compute_loss(x, y, y_pred, sample_weight, training)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Compare answers with the samples' own targets."""
        said = y_pred.said if isinstance(y_pred, Mixed) else y_pred
        return super().compute_metrics(x, y, said, sample_weight)


def with_share(said: Any, share: Any) -> Any:
    """Return answers with the share that each sample's own label has, where samples were mixed."""
    return said if share is None else Mixed(said, share)


def answered(network: keras.Model, given: Mapping[str, Any], training: bool | None = True) -> dict[str, Any]:
    """Run a network on tensors by name; return its outputs by name."""
    packed = tree.pack_sequence_as(symbolic_inputs(network), [given[name] for name in input_names(network)])
    made = tree.flatten(network(packed, training=training))
    return dict(zip(output_names(network, len(made)), made, strict=True))


class Named(keras.Model):
    """A model that answers a dict by head, whatever form and names its own outputs have.

    beside: further outputs and their places, see `apart`.
    """

    def __init__(self, model: keras.Model, places: Mapping[str, int], beside: Mapping[str, int] | None = None):
        super().__init__(name=model.name)
        self.network, self.places, self.beside = model, dict(places), dict(beside or {})
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Run the network."""
        return self.apart(inputs, training)[0]

    def apart(self, inputs: Any, training: bool | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """Run the network; return the answers by head, and the others."""
        answers = tree.flatten(self.network(inputs, training=training))
        heads, more = ({name: answers[place] for name, place in each.items()} for each in (self.places, self.beside))
        return heads, more
