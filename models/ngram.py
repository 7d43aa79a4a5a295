"""The count baseline of language models: sorted tables of the runs of words that occur."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import KerasTensor, layers

from ..untyped import ops
from .registry import Bars, register

FAMILY = "embedding"
NOTHING = 2**31 - 1  # behind the last entry of a sorted table
LEAST = 1e-30  # of probabilities whose logarithm is taken


@register(
    task="next_token",
    learner="ngram_counts",
    input_shape=(2,),
    dtype="int32",
    classes=10_001,
    params=0,  # counts are no weights that are trained
    paper="Kneser and Ney 1995, Improved backing-off for m-gram language modeling; Chen and Goodman 1999",
    data=("ptb", "scikit_learn_words"),
    edge={"classes": 1_000, "contexts": 20_000, "runs": 40_000},
    deploy="none: tables of counts and lookups, no arithmetic for a runtime",
    bars=Bars(floor=400.0),  # perplexity
)
def ngram_lm(inputs: KerasTensor, classes: int, *, contexts: int = 200_000, runs: int = 800_000):
    """Build interpolated n-grams, n - 1 words being given.  Shapes: ids (N, n - 1) int32 -> logits (N, classes).

    contexts, runs: room for as many of each length; a context that finds none leaves all to the shorter one.
    """
    return Interpolated(classes, contexts, runs, name="logits")(inputs)


@keras.saving.register_keras_serializable("edgewright")
class Interpolated(layers.Layer):
    """Logarithms of p(w | a b) = seen(a b w) + left(a b) p(w | b), and so on down to the chances of single words.

    A context is known by the number of the one without its last word, times the number of words, plus that word; a run
    by the number of its context likewise. Keys are sorted.  Shapes: (N, n - 1) int32 -> (N, words).
    """

    def __init__(self, words: int, contexts: int, runs: int, **kwargs: Any):
        super().__init__(**kwargs)
        if contexts * words > NOTHING:
            raise ValueError(
                f"contexts={contexts}: keys of {words} words are below 2**31; give {NOTHING // words} at most"
            )
        self.words, self.contexts, self.runs = words, contexts, runs

    def build(self, input_shape: Sequence[int]):
        """Make the tables: empty, all words alike."""
        even: Any = keras.initializers.Constant(1 / self.words)
        self.chances = self._table("chances", self.words, even, "float32")
        self.longer = []
        for length in range(1, input_shape[-1] + 1):
            tables = {name: self._table(f"{name}_{length}", size, keras.initializers.Constant(NOTHING), "int32")
                      for name, size in (("contexts", self.contexts), ("runs", self.runs))}  # fmt: skip
            tables |= {name: self._table(f"{name}_{length}", size, "zeros", "float32")
                       for name, size in (("left", self.contexts), ("seen", self.runs))}  # fmt: skip
            self.longer.append(tables)

    def call(self, inputs: Any) -> Any:
        """Compute the layer.  Shapes: see the class."""
        chances = ops.expand_dims(self.chances, 0)  # (1, words), then (N, words)
        length = inputs.shape[-1]
        for tables, size in zip(self.longer, range(1, length + 1), strict=True):
            number: Any = ops.zeros_like(inputs[:, 0])
            known: Any = ops.ones_like(number, dtype="bool")
            for prefix, place in zip(self.longer[:size], range(length - size, length), strict=True):
                number, found = self._find(prefix["contexts"], number * self.words + inputs[:, place])
                known = ops.logical_and(known, found)
            keys = ops.expand_dims(number * self.words, 1) + ops.arange(self.words, dtype="int32")  # (N, words)
            place, found = self._find(tables["runs"], ops.reshape(keys, (-1,)))
            seen = ops.where(found, ops.take(tables["seen"], place), 0.0)
            left = ops.where(known, ops.take(tables["left"], number), 1.0)
            there = ops.cast(known, seen.dtype)
            chances = ops.reshape(seen, (-1, self.words)) * there[:, None] + left[:, None] * chances
        return ops.log(ops.maximum(chances, LEAST))

    def _find(self, keys: Any, wanted: Any) -> tuple[Any, Any]:
        """Return where keys (M,) lie in a sorted table, and whether they do; elsewhere the place says nothing."""
        place = ops.minimum(ops.cast(ops.searchsorted(keys, wanted), "int32"), keys.shape[0] - 1)
        return place, ops.equal(ops.take(keys, place), wanted)

    def _table(self, name: str, size: int, initializer: Any, dtype: str) -> Any:
        return self.add_weight(shape=(size,), initializer=initializer, dtype=dtype, trainable=False, name=name)

    def compute_output_shape(self, input_shape: Sequence[Any]):
        """Return the shape of the outputs, batch included."""
        return (*input_shape[:-1], self.words)

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "words": self.words, "contexts": self.contexts, "runs": self.runs}
