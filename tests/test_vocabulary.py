"""The table that an input is looked up in, in a model, its quantization-aware graph and models within models."""

import edgewright as ew
import keras
import numpy as np
import pytest
from edgewright.models import registry
from edgewright.vocabulary import vocabularies
from keras import layers, ops


def classifier(x):
    return layers.Dense(2, name="logits")(layers.GlobalAveragePooling1D()(x))


def with_positions(shift):
    """Tokens by a table of 50, and positions, which come of the tokens, by one of 9."""
    tokens = keras.Input((8,), dtype="int32", name="tokens")
    positions = ops.cumsum(ops.cast(ops.not_equal(tokens, 0), "int32"), axis=1) if shift else ops.arange(8)[None]
    x = layers.Embedding(50, 4, name="words")(tokens) + layers.Embedding(9, 4, name="places")(positions)
    return keras.Model(tokens, classifier(x), name="net")


@pytest.mark.parametrize("shift", [False, True])
def test_a_table_of_positions_is_no_vocabulary(shift):
    assert vocabularies(with_positions(shift)) == {"tokens": 50}


def test_ids_pass_through_what_leaves_them_as_they_are():
    tokens, numbers = keras.Input((2, 4), dtype="int32", name="tokens"), keras.Input((3,), name="numbers")
    x = layers.Embedding(30, 4)(layers.Reshape((8,))(tokens))
    y = layers.Embedding(20, 4)(tokens[:, 0])
    heads = [classifier(x), layers.GlobalAveragePooling1D()(y), layers.Dense(1)(numbers)]
    model = keras.Model({"tokens": tokens, "numbers": numbers}, heads)
    assert vocabularies(model) == {"numbers": None, "tokens": 20}


def test_a_model_within_a_model_is_looked_into():
    inner = with_positions(False)
    tokens = keras.Input((8,), dtype="int32", name="ids")
    assert vocabularies(keras.Model(tokens, inner(tokens))) == {"ids": 50}
    assert list(vocabularies(keras.Sequential([keras.Input((8,), dtype="int32"), inner])).values()) == [50]


def test_a_layer_that_hides_its_tables_tells_nothing_but_a_bound_to_make_samples_up():
    class Both(layers.Layer):
        def __init__(self):
            super().__init__()
            self.words, self.places = layers.Embedding(50, 4), layers.Embedding(8, 4)

        def call(self, x):
            return self.words(x) + self.places(ops.arange(8))

    tokens = keras.Input((8,), dtype="int32", name="tokens")
    model = keras.Model(tokens, classifier(Both()(tokens)))
    assert vocabularies(model) == {"tokens": None} and vocabularies(model, guess=True) == {"tokens": 8}


def test_a_subclassed_model_hides_its_tables_too():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.words, self.head = layers.Embedding(50, 4), layers.Dense(2)

        def call(self, x):
            return self.head(ops.mean(self.words(x), 1))

    model = Own()
    model(keras.Input((8,), dtype="int32", name="tokens"))
    assert list(vocabularies(model).values()) == [None] and list(vocabularies(model, guess=True).values()) == [50]


@pytest.mark.parametrize("name", ["transformer_classifier"])
def test_quantization_does_not_hide_the_vocabulary(name):
    model = registry.build(name, "edge")
    (size,) = vocabularies(model).values()
    samples = np.random.default_rng(0).integers(0, size, (16, *model.input_shape[1:])).astype("int32")
    quantized, _ = ew.prepare_qat(model, calibration=samples)
    assert list(vocabularies(quantized).values()) == [size] == [registry.get(name).arguments("edge")["vocabulary"]]
