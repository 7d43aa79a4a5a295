"""Nets for text after the structure of public tutorials, in small sizes."""

import keras
import numpy as np
from keras import layers, ops

from .nets import integers, net, normal, padded

GROUP = "tutorial, sequences"
WORDS, LENGTH = 80, 16


@net(GROUP)
def imdb_bidirectional_lstm():
    """Lengths left open, one sigmoid."""
    inputs = keras.Input((None,), dtype="int32")
    x = layers.Embedding(WORDS, 16)(inputs)
    x = layers.Bidirectional(layers.LSTM(8, return_sequences=True))(x)
    x = layers.Bidirectional(layers.LSTM(8))(x)
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(x)), integers(LENGTH, top=WORDS)


@net(GROUP)
def text_convolutions():
    inputs = keras.Input((None,), dtype="int64")
    x = layers.Dropout(0.5)(layers.Embedding(WORDS, 16)(inputs))
    for _ in range(2):
        x = layers.Conv1D(16, 4, padding="valid", activation="relu", strides=2)(x)
    x = layers.Dropout(0.5)(layers.Dense(16, activation="relu")(layers.GlobalMaxPooling1D()(x)))
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(x)), integers(LENGTH, top=WORDS).astype("int64")


@net(GROUP)
def masked_lstm():
    """mask_zero, so that padding at the end does not count."""
    inputs = keras.Input((LENGTH,), dtype="int32")
    x = layers.Embedding(WORDS, 16, mask_zero=True)(inputs)
    x = layers.LSTM(16)(x)
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(x)), padded(LENGTH, WORDS)[0]


class TransformerBlock(layers.Layer):
    """Attention and a perceptron with norms after, as first examples write it."""

    def __init__(self, width: int, heads: int, inner: int, rate: float = 0.1, **kwargs):
        super().__init__(**kwargs)
        self.width, self.heads, self.inner, self.rate = width, heads, inner, rate
        self.attend = layers.MultiHeadAttention(num_heads=heads, key_dim=width)
        self.ffn = keras.Sequential([layers.Dense(inner, activation="relu"), layers.Dense(width)])
        self.first, self.second = (layers.LayerNormalization(epsilon=1e-6) for _ in range(2))
        self.first_drop, self.second_drop = layers.Dropout(rate), layers.Dropout(rate)

    def call(self, x, training=False):
        y = self.first(x + self.first_drop(self.attend(x, x), training=training))
        return self.second(y + self.second_drop(self.ffn(y), training=training))

    def get_config(self):
        return {**super().get_config(), "width": self.width, "heads": self.heads, "inner": self.inner,
                "rate": self.rate}  # fmt: skip


class TokensAndPositions(layers.Layer):
    """Embeddings of tokens and places; the length is read from the call, padding is masked if asked."""

    def __init__(self, length: int, words: int, width: int, mask_zero: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.length, self.words, self.width, self.mask_zero = length, words, width, mask_zero
        self.tokens = layers.Embedding(words, width, mask_zero=mask_zero)
        self.places = layers.Embedding(length, width)

    def call(self, x):
        return self.tokens(x) + self.places(ops.arange(0, ops.shape(x)[-1], 1))

    def compute_mask(self, x, mask=None):
        return self.tokens.compute_mask(x) if self.mask_zero else None

    def get_config(self):
        return {**super().get_config(), "length": self.length, "words": self.words, "width": self.width,
                "mask_zero": self.mask_zero}  # fmt: skip


@net(GROUP)
def text_transformer():
    inputs = keras.Input((LENGTH,), dtype="int32")
    x = TransformerBlock(16, 2, 32)(TokensAndPositions(LENGTH, WORDS, 16)(inputs))
    x = layers.Dropout(0.1)(layers.GlobalAveragePooling1D()(x))
    x = layers.Dropout(0.1)(layers.Dense(20, activation="relu")(x))
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(x)), integers(LENGTH, top=WORDS)


class Router(layers.Layer):
    """The expert with the highest probability for each token, and its probability."""

    def __init__(self, experts: int, **kwargs):
        super().__init__(**kwargs)
        self.experts = experts
        self.route = layers.Dense(experts)

    def call(self, x, training=False):
        chances = ops.softmax(self.route(x))
        gate, index = ops.top_k(chances, k=1)
        return ops.one_hot(ops.squeeze(index, -1), self.experts), gate

    def get_config(self):
        return {**super().get_config(), "experts": self.experts}


class Switch(layers.Layer):
    """Each token goes through all experts, the router's choice is kept."""

    def __init__(self, experts: int, width: int, **kwargs):
        super().__init__(**kwargs)
        self.experts, self.width = experts, width
        self.router = Router(experts)
        self.several = [
            keras.Sequential([layers.Dense(width, activation="relu"), layers.Dense(width)]) for _ in range(experts)
        ]

    def call(self, x):
        chosen, gate = self.router(x)
        answers = ops.stack([expert(x) for expert in self.several], axis=-2)  # (batch, T, experts, width)
        return ops.sum(answers * ops.expand_dims(chosen, -1), axis=-2) * gate

    def get_config(self):
        return {**super().get_config(), "experts": self.experts, "width": self.width}


@net(GROUP)
def switch_transformer():
    inputs = keras.Input((LENGTH,), dtype="int32")
    x = TokensAndPositions(LENGTH, WORDS, 16)(inputs)
    y = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 16)(x, x))
    x = layers.LayerNormalization()(y + Switch(3, 16)(y))
    x = layers.Dense(16, activation="relu")(layers.GlobalAveragePooling1D()(x))
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(x)), integers(LENGTH, top=WORDS)


class FourierEncoder(layers.Layer):
    """Mixing of tokens by a Fourier transform."""

    def __init__(self, width: int, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.ffn = keras.Sequential([layers.Dense(2 * width, activation="relu"), layers.Dense(width)])
        self.first, self.second = layers.LayerNormalization(), layers.LayerNormalization()

    def call(self, x):
        mixed = ops.fft2((x, ops.zeros_like(x)))[0]
        x = self.first(x + mixed)
        return self.second(x + self.ffn(x))

    def get_config(self):
        return {**super().get_config(), "width": self.width}


@net(GROUP)
def fnet_text():
    """Eight bits of a Fourier transform: to be refused in words."""
    inputs = keras.Input((LENGTH,), dtype="int32")
    x = FourierEncoder(16)(TokensAndPositions(LENGTH, WORDS, 16)(inputs))
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(layers.GlobalAveragePooling1D()(x))), integers(
        LENGTH, top=WORDS
    )


def causal_mask(batch, queries, keys):
    """Return a triangle for each sample of a batch whose size is known only in the call."""
    rows, columns = ops.arange(queries)[:, None], ops.arange(keys)
    mask = ops.cast(rows >= columns - keys + queries, "bool")
    return ops.tile(ops.reshape(mask, [1, queries, keys]), (batch, 1, 1))


class CausalBlock(layers.Layer):
    """A decoder block with its mask made inside the call."""

    def __init__(self, width: int, heads: int, **kwargs):
        super().__init__(**kwargs)
        self.width, self.heads = width, heads
        self.attend = layers.MultiHeadAttention(heads, width)
        self.ffn = keras.Sequential([layers.Dense(2 * width, activation="relu"), layers.Dense(width)])
        self.first, self.second = (layers.LayerNormalization(epsilon=1e-6) for _ in range(2))

    def call(self, x):
        shape = ops.shape(x)
        mask = causal_mask(shape[0], shape[1], shape[1])
        y = self.first(x + self.attend(x, x, attention_mask=mask))
        return self.second(y + self.ffn(y))

    def get_config(self):
        return {**super().get_config(), "width": self.width, "heads": self.heads}


@net(GROUP)
def miniature_gpt():
    """Two outputs: scores of the next token, and the states they come from."""
    inputs = keras.Input((LENGTH,), dtype="int32")
    x = CausalBlock(16, 2)(TokensAndPositions(LENGTH, WORDS, 16)(inputs))
    return keras.Model(inputs, [layers.Dense(WORDS)(x), x]), integers(LENGTH, top=WORDS)


@net(GROUP)
def tied_language_model():
    """Pre-norm decoder with the argument use_causal_mask; the embedding's table gives the scores."""
    inputs = keras.Input((LENGTH,), dtype="int32")
    table = layers.Embedding(WORDS, 16)
    x = table(inputs) + layers.Embedding(LENGTH, 16)(ops.arange(LENGTH))
    for _ in range(2):
        y = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(2, 8)(y, y, use_causal_mask=True)
        x = x + layers.Dense(16)(layers.Dense(32, activation="gelu")(layers.LayerNormalization()(x)))
    scores = ops.matmul(layers.LayerNormalization()(x), ops.transpose(table.embeddings))
    return keras.Model(inputs, scores), integers(LENGTH, top=WORDS)


@net(GROUP)
def masked_language_model():
    """BERT from scratch: fixed sinusoidal places, scores of all words."""
    rates = np.arange(LENGTH)[:, None] / 10000 ** (2 * (np.arange(16) // 2) / 16)
    places = np.where(np.arange(16) % 2, np.cos(rates), np.sin(rates)).astype("float32")
    inputs = keras.Input((LENGTH,), dtype="int32")
    x = layers.Embedding(WORDS, 16)(inputs) + places
    for _ in range(2):
        attended = layers.MultiHeadAttention(2, 8)(query=x, key=x, value=x)
        x = layers.LayerNormalization(epsilon=1e-6)(x + layers.Dropout(0.1)(attended))
        hidden = keras.Sequential([layers.Dense(16, activation="relu"), layers.Dense(16)])(x)
        x = layers.LayerNormalization(epsilon=1e-6)(x + hidden)
    return keras.Model(inputs, layers.Dense(WORDS, activation="softmax")(x)), integers(LENGTH, top=WORDS)


@net(GROUP)
def translation_transformer():
    """Encoder and decoder with padding masks from both texts and a causal one."""
    source, target = (
        keras.Input((LENGTH,), dtype="int32", name="source"),
        keras.Input((10,), dtype="int32", name="target"),
    )
    x = TokensAndPositions(LENGTH, WORDS, 16, mask_zero=True)(source)
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 8)(x, x))
    memory = layers.LayerNormalization()(x + layers.Dense(16)(layers.Dense(32, activation="relu")(x)))
    y = TokensAndPositions(10, WORDS, 16, mask_zero=True)(target)
    y = layers.LayerNormalization()(y + layers.MultiHeadAttention(2, 8)(y, y, use_causal_mask=True))
    y = layers.LayerNormalization()(y + layers.MultiHeadAttention(2, 8)(y, memory))
    y = layers.LayerNormalization()(y + layers.Dense(16)(layers.Dense(32, activation="relu")(y)))
    return keras.Model([source, target], layers.Dense(WORDS)(y)), {
        "source": padded(LENGTH, WORDS)[0],
        "target": padded(10, WORDS, seed=1)[0],
    }


@net(GROUP)
def sequence_to_sequence_addition():
    """One-hot digits in, an LSTM's last state repeated, digits out."""
    inputs = keras.Input((7, 12))
    x = layers.RepeatVector(4)(layers.LSTM(16)(inputs))
    x = layers.LSTM(16, return_sequences=True)(x)
    return keras.Model(inputs, layers.Dense(12, activation="softmax")(x)), np.eye(12, dtype="float32")[
        integers(7, top=12)
    ]


@net(GROUP)
def sequence_to_sequence_characters():
    """Encoder states handed to a decoder."""
    encoder, decoder = keras.Input((None, 10), name="encoder"), keras.Input((None, 12), name="decoder")
    _, *states = layers.LSTM(16, return_state=True)(encoder)
    x, _, _ = layers.LSTM(16, return_sequences=True, return_state=True)(decoder, initial_state=states)
    return keras.Model([encoder, decoder], layers.Dense(12, activation="softmax")(x)), [
        np.eye(10, dtype="float32")[integers(6, top=10)],
        np.eye(12, dtype="float32")[integers(8, top=12, seed=1)],
    ]


@net(GROUP)
def attention_over_gru():
    """Additive attention of a decoder over an encoder."""
    source, target = (
        keras.Input((LENGTH,), dtype="int32", name="source"),
        keras.Input((8,), dtype="int32", name="target"),
    )
    memory, state = layers.GRU(16, return_sequences=True, return_state=True)(layers.Embedding(WORDS, 16)(source))
    x = layers.GRU(16, return_sequences=True)(layers.Embedding(WORDS, 16)(target), initial_state=state)
    context = layers.AdditiveAttention()([x, memory])
    x = layers.Dense(16, activation="tanh")(layers.Concatenate()([x, context]))
    return keras.Model([source, target], layers.Dense(WORDS)(x)), [
        integers(LENGTH, top=WORDS),
        integers(8, top=WORDS, seed=1),
    ]


@net(GROUP)
def named_entities():
    inputs = keras.Input((LENGTH,), dtype="int32")
    x = TransformerBlock(16, 2, 32)(TokensAndPositions(LENGTH, WORDS, 16)(inputs))
    x = layers.Dense(16, activation="relu")(layers.Dropout(0.1)(x))
    return keras.Model(inputs, layers.Dense(5, activation="softmax")(layers.Dropout(0.1)(x))), integers(
        LENGTH, top=WORDS
    )


@net(GROUP)
def question_answering_spans():
    """Start and end of a span: two softmaxes over places of flattened scores."""
    tokens, kinds = (
        keras.Input((LENGTH,), dtype="int32", name="tokens"),
        keras.Input((LENGTH,), dtype="int32", name="kinds"),
    )
    x = layers.Embedding(WORDS, 16)(tokens) + layers.Embedding(2, 16)(kinds)
    x = TransformerBlock(16, 2, 32)(x)
    ends = [layers.Flatten()(layers.Dense(1, use_bias=False, name=name)(x)) for name in ("start_logit", "end_logit")]
    return keras.Model([tokens, kinds], [layers.Activation("softmax")(end) for end in ends]), {
        "tokens": integers(LENGTH, top=WORDS),
        "kinds": integers(LENGTH, top=2, seed=1),
    }


@net(GROUP)
def semantic_similarity():
    """A shared encoder of two texts and a cosine."""
    left, right = (keras.Input((LENGTH,), dtype="int32", name=name) for name in ("left", "right"))
    tokens = keras.Input((LENGTH,), dtype="int32")
    x = layers.Bidirectional(layers.LSTM(8, return_sequences=True))(layers.Embedding(WORDS, 16)(tokens))
    tower = keras.Model(
        tokens, layers.Concatenate()([layers.GlobalAveragePooling1D()(x), layers.GlobalMaxPooling1D()(x)])
    )
    return keras.Model([left, right], layers.Dot(axes=1, normalize=True)([tower(left), tower(right)])), [
        integers(LENGTH, top=WORDS),
        integers(LENGTH, top=WORDS, seed=1),
    ]


@net(GROUP)
def bag_of_words():
    """One-hot counts, a mean of embeddings and a dense head, multi-label sigmoids."""
    inputs = keras.Input((LENGTH,), dtype="int32")
    counted = layers.CategoryEncoding(num_tokens=WORDS, output_mode="multi_hot")(inputs)
    x = layers.Dense(16, activation="relu")(counted)
    return keras.Model(inputs, layers.Dense(4, activation="sigmoid")(x)), integers(LENGTH, top=WORDS)


# ---- Time series and sound


@net(GROUP)
def timeseries_convolutions():
    inputs = keras.Input((64, 1))
    x = inputs
    for _ in range(3):
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv1D(16, 3, padding="same")(x)))
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(layers.GlobalAveragePooling1D()(x))), normal(64, 1)


@net(GROUP)
def timeseries_transformer():
    """Channels first in the mean, convolutions of width one as feed-forward."""
    inputs = keras.Input((32, 1))
    x = inputs
    for _ in range(2):
        y = layers.Dropout(0.25)(layers.MultiHeadAttention(key_dim=16, num_heads=2, dropout=0.25)(x, x))
        res = layers.LayerNormalization(epsilon=1e-6)(y) + x
        y = layers.Conv1D(4, 1, activation="relu")(res)
        x = layers.LayerNormalization(epsilon=1e-6)(layers.Conv1D(1, 1)(layers.Dropout(0.25)(y))) + res
    x = layers.GlobalAveragePooling1D(data_format="channels_last")(layers.Dense(4)(x))
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(layers.Dense(16, activation="relu")(x))), normal(
        32, 1
    )
