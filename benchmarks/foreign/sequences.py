"""Nets for text, sound and time series after the structure of public tutorials, in small sizes."""

import keras
import numpy as np
from keras import layers, ops

from .nets import images, integers, net, normal, padded

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


@net(GROUP)
def weather_lstm():
    """Adapted normalization of columns inside the model."""
    x = normal(24, 7) * np.array([1, 10, 0.1, 5, 2, 100, 1], "float32") + np.array([0, 20, 0, 5, 0, 990, 3], "float32")
    norm = layers.Normalization()
    norm.adapt(x.reshape(-1, 7))
    inputs = keras.Input((24, 7))
    return keras.Model(inputs, layers.Dense(1)(layers.LSTM(16)(norm(inputs)))), x


@net(GROUP)
def anomaly_autoencoder():
    inputs = keras.Input((48, 1))
    x = layers.Conv1D(16, 7, padding="same", strides=2, activation="relu")(inputs)
    x = layers.Conv1D(8, 7, padding="same", strides=2, activation="relu")(layers.Dropout(0.2)(x))
    x = layers.Conv1DTranspose(8, 7, padding="same", strides=2, activation="relu")(x)
    x = layers.Conv1DTranspose(16, 7, padding="same", strides=2, activation="relu")(layers.Dropout(0.2)(x))
    return keras.Model(inputs, layers.Conv1DTranspose(1, 7, padding="same")(x)), normal(48, 1)


@net(GROUP)
def traffic_graph_lstm():
    """A graph convolution over sensors with a fixed adjacency, then an LSTM over time."""
    random = np.random.default_rng(0)
    links = (random.uniform(size=(6, 6)) < 0.4).astype("float32") + np.eye(6, dtype="float32")
    links /= links.sum(1, keepdims=True)
    inputs = keras.Input((12, 6, 1))  # (time, nodes, features)
    own = layers.Dense(4, use_bias=False)
    x = ops.einsum("ij,btjf->btif", links, own(inputs))
    x = ops.relu(ops.concatenate([own(inputs), x], axis=-1))
    x = ops.reshape(ops.transpose(x, [0, 2, 1, 3]), (-1, 12, 8))
    x = layers.Dense(3)(layers.LSTM(8, activation="relu")(x))
    return keras.Model(inputs, ops.transpose(ops.reshape(x, (-1, 6, 3)), [0, 2, 1])), normal(12, 6, 1)


@net(GROUP)
def speaker_recognition():
    """Residual convolutions over a spectrum that was made outside."""

    def block(x, filters, convs):
        short = layers.Conv1D(filters, 1, padding="same")(x)
        for _ in range(convs - 1):
            x = layers.Activation("relu")(layers.Conv1D(filters, 3, padding="same")(x))
        x = layers.Add()([layers.Conv1D(filters, 3, padding="same")(x), short])
        return layers.MaxPool1D(pool_size=2, strides=2)(layers.Activation("relu")(x))

    inputs = keras.Input((64, 1))
    x = inputs
    for filters, convs in ((8, 2), (16, 2), (16, 3)):
        x = block(x, filters, convs)
    x = layers.Flatten()(layers.AveragePooling1D(pool_size=3, strides=3)(x))
    return keras.Model(inputs, layers.Dense(5, activation="softmax")(layers.Dense(16, activation="relu")(x))), np.abs(
        normal(64, 1)
    )


@net(GROUP)
def mel_spectrogram_inside():
    """Sound to spectrum inside the net: to be refused in words."""
    inputs = keras.Input((1024,))
    x = layers.MelSpectrogram(fft_length=128, sequence_stride=64, num_mel_bins=16, sampling_rate=8000)(inputs)
    x = layers.Conv2D(8, 3, activation="relu")(layers.Reshape((*x.shape[1:], 1))(x))
    return keras.Model(inputs, layers.Dense(4)(layers.GlobalAveragePooling2D()(x))), normal(1024)


@net(GROUP)
def keyword_spotting():
    """Spectrograms resized and normalized inside."""
    inputs = keras.Input((62, 33, 1))
    x = layers.Normalization(mean=0.5, variance=0.1)(layers.Resizing(32, 32)(inputs))
    x = layers.Conv2D(16, 3, activation="relu")(layers.Conv2D(8, 3, activation="relu")(x))
    x = layers.Flatten()(layers.Dropout(0.25)(layers.MaxPooling2D()(x)))
    return keras.Model(inputs, layers.Dense(8)(layers.Dense(32, activation="relu")(x))), images(62, 33, 1)


@net(GROUP)
def speech_recognition_ctc():
    """Two-dimensional convolutions, stacked bidirectional GRUs, characters."""
    inputs = keras.Input((None, 24))
    x = layers.Reshape((-1, 24, 1))(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(4, (5, 9), (2, 2), padding="same", use_bias=False)(x)))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(4, (5, 5), (1, 2), padding="same", use_bias=False)(x)))
    x = layers.Reshape((-1, x.shape[-2] * x.shape[-1]))(x)
    for _ in range(2):
        x = layers.Bidirectional(layers.GRU(8, return_sequences=True, reset_after=True))(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(layers.Dense(16, activation="relu")(x))), normal(
        20, 24
    )


@net(GROUP)
def speech_recognition_transformer():
    """Strided convolutions over sound, a decoder over characters with cross-attention."""
    sound, text = keras.Input((32, 8), name="sound"), keras.Input((10,), dtype="int32", name="text")
    x = sound
    for _ in range(2):
        x = layers.Conv1D(16, 5, strides=2, padding="same", activation="relu")(x)
    x = TransformerBlock(16, 2, 32)(x)
    y = TokensAndPositions(10, WORDS, 16)(text)
    mask = ops.tril(ops.ones((1, 10, 10), dtype="bool"))
    y = layers.LayerNormalization()(y + layers.MultiHeadAttention(2, 8)(y, y, attention_mask=mask))
    y = layers.LayerNormalization()(y + layers.MultiHeadAttention(2, 8)(y, x))
    return keras.Model([sound, text], layers.Dense(WORDS)(y)), [normal(32, 8), integers(10, top=WORDS)]


@net(GROUP)
def dilated_wavenet():
    """Gated causal convolutions with skips."""
    inputs = keras.Input((32, 2))
    x, skips = layers.Conv1D(8, 2, padding="causal")(inputs), []
    for rate in (1, 2, 4):
        gate = layers.Conv1D(8, 2, dilation_rate=rate, padding="causal", activation="sigmoid")(x)
        y = layers.Conv1D(8, 2, dilation_rate=rate, padding="causal", activation="tanh")(x) * gate
        skips.append(layers.Conv1D(8, 1)(y))
        x = x + layers.Conv1D(8, 1)(y)
    return keras.Model(inputs, layers.Conv1D(2, 1)(layers.ReLU()(layers.Add()(skips)))), normal(32, 2)


@net(GROUP)
def eeg_classification():
    inputs = keras.Input((64, 1))
    x = inputs
    for width in (8, 16, 16):
        x = layers.BatchNormalization()(layers.Conv1D(width, 3, strides=2, activation="relu", padding="same")(x))
    x = layers.Dense(16, activation="relu")(layers.Flatten()(layers.Dropout(0.2)(x)))
    x = layers.Dense(8, activation="relu", kernel_regularizer=keras.regularizers.L2())(layers.Dropout(0.2)(x))
    return keras.Model(inputs, layers.Dense(7, activation="softmax")(x)), normal(64, 1)


@net(GROUP)
def next_frame_recurrence_of_own():
    """A cell written by hand in keras.layers.RNN."""

    class Cell(layers.Layer):
        def __init__(self, units, **kwargs):
            super().__init__(**kwargs)
            self.units = self.state_size = units

        def build(self, shape):
            self.w = self.add_weight(shape=(shape[-1], self.units), name="w")
            self.u = self.add_weight(shape=(self.units, self.units), name="u")

        def call(self, x, states):
            state = ops.tanh(ops.matmul(x, self.w) + ops.matmul(states[0], self.u))
            return state, [state]

        def get_config(self):
            return {**super().get_config(), "units": self.units}

    inputs = keras.Input((10, 5))
    return keras.Model(inputs, layers.Dense(2)(layers.RNN(Cell(12))(inputs))), normal(10, 5)


@net(GROUP)
def quantile_forecast():
    """N-BEATS-like stacks: a backcast is taken away, forecasts are added; three quantiles."""
    inputs = keras.Input((24,))
    rest, total = inputs, None
    for _ in range(3):
        x = layers.Dense(32, activation="relu")(layers.Dense(32, activation="relu")(rest))
        rest = layers.Subtract()([rest, layers.Dense(24, use_bias=False)(x)])
        part = layers.Reshape((6, 3))(layers.Dense(18, use_bias=False)(x))
        total = part if total is None else layers.Add()([total, part])
    return keras.Model(inputs, total), normal(24)
