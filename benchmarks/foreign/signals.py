"""Nets for time series and sound after the structure of public tutorials, in small sizes."""

import keras
import numpy as np
from keras import layers, ops

from .nets import images, integers, net, normal
from .sequences import TokensAndPositions, TransformerBlock

GROUP = "tutorial, sequences"
WORDS, LENGTH = 80, 16


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
