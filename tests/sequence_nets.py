"""Nets on sequences, words, tables and graphs, each small and of a shape of its own; see `many_nets`."""

import keras
import numpy as np
from keras import layers, ops
from many_nets import FusedAttention, ended, sequence


@keras.saving.register_keras_serializable("tests")
class SplitAttention(layers.Layer):
    """One kernel for queries, keys and values that is split, a root mean square norm on heads, rotated places."""

    def __init__(self, heads, depth, **kwargs):
        super().__init__(**kwargs)
        self.heads, self.depth = heads, depth
        self.norms = [layers.RMSNormalization(name=f"norm_{each}") for each in ("query", "key")]

    def build(self, shape):
        width = self.heads * self.depth
        self.qkv = self.add_weight(shape=(shape[-1], 3 * width), name="qkv")
        self.out = self.add_weight(shape=(width, shape[-1]), name="out")
        angle = np.arange(shape[1])[:, None] / 10.0 ** (2 * np.arange(self.depth // 2) / self.depth)
        self.turn = np.cos(angle).astype("float32"), np.sin(angle).astype("float32")
        for norm in self.norms:
            norm.build((None, self.heads, shape[1], self.depth))

    def call(self, x):
        steps = x.shape[1]
        parts = ops.split(ops.matmul(x, self.qkv), 3, axis=-1)
        parts = [ops.swapaxes(ops.reshape(part, (-1, steps, self.heads, self.depth)), 1, 2) for part in parts]
        query, key = (self.turned(norm(part)) for norm, part in zip(self.norms, parts[:2], strict=True))
        seen = ops.matmul(ops.softmax(ops.matmul(query, ops.swapaxes(key, -1, -2))), parts[2])
        return ops.matmul(ops.reshape(ops.swapaxes(seen, 1, 2), (-1, steps, self.heads * self.depth)), self.out)

    def turned(self, x):
        first, second = ops.split(x, 2, axis=-1)
        cos, sin = self.turn
        return ops.concatenate([first * cos - second * sin, first * sin + second * cos], axis=-1)

    def get_config(self):
        return {**super().get_config(), "heads": self.heads, "depth": self.depth}


@keras.saving.register_keras_serializable("tests")
class Experts(layers.Layer):
    """A mixture of experts that are all asked: (N, T, C) -> (N, T, C)."""

    def __init__(self, count, width, **kwargs):
        super().__init__(**kwargs)
        self.count, self.width = count, width

    def build(self, shape):
        self.gate = self.add_weight(shape=(shape[-1], self.count), name="gate")
        self.up = self.add_weight(shape=(self.count, shape[-1], self.width), name="up")
        self.down = self.add_weight(shape=(self.count, self.width, shape[-1]), name="down")

    def call(self, x):
        weights = ops.softmax(ops.matmul(x, self.gate))
        inner = ops.gelu(ops.einsum("ntc,ecd->nted", x, self.up))
        return ops.einsum("nted,edc,nte->ntc", inner, self.down, weights)

    def get_config(self):
        return {**super().get_config(), "count": self.count, "width": self.width}


@keras.saving.register_keras_serializable("tests")
class Transposed(layers.Layer):
    """A dense layer with the kernel of another one, transposed."""

    def __init__(self, of, **kwargs):
        super().__init__(**kwargs)
        self.of = of

    def build(self, shape):
        self.bias = self.add_weight(shape=(self.of.kernel.shape[0],), name="bias")

    def call(self, x):
        return ops.matmul(x, ops.transpose(self.of.kernel)) + self.bias

    def get_config(self):
        return {**super().get_config(), "of": keras.saving.serialize_keras_object(self.of)}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "of": keras.saving.deserialize_keras_object(config["of"])})


def averaged(inputs, x):
    return ended(inputs, layers.GlobalAveragePooling1D()(x))


def cross_attention():
    inputs, x = sequence()
    other = keras.Input((7, 4), name="memory")
    memory = layers.Dense(10, activation="relu")(other)
    x = x + layers.MultiHeadAttention(4, 3)(x, x, use_causal_mask=True)
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 4, value_dim=5)(x, memory))
    return averaged([inputs, other], x + layers.Dense(8)(layers.Dense(16, activation="relu")(x)))


def split_attention():
    inputs, x = sequence()
    return averaged(inputs, x + SplitAttention(4, 4)(x))


def deep_attention(depth=6):
    inputs, x = sequence()
    for _ in range(depth):
        x = x + FusedAttention(4, 3)(layers.LayerNormalization()(x))
        x = x + layers.Dense(8)(layers.Dense(16, activation="gelu")(layers.LayerNormalization()(x)))
    return averaged(inputs, x)


def gated_feed_forward():
    """As in Llama: root mean square norms, a gated hidden layer, few heads of keys."""
    inputs, x = sequence(8)
    for _ in range(2):
        y = layers.RMSNormalization()(x)
        x = x + layers.GroupQueryAttention(4, 4, 2, use_bias=False)(y, y, use_causal_mask=True)
        y = layers.RMSNormalization()(x)
        gate, up = (layers.Dense(20, use_bias=False)(y) for _ in range(2))
        x = x + layers.Dense(8, use_bias=False)(ops.silu(gate) * up)
    return averaged(inputs, x)


def tied_embedding():
    """A language model whose embedding is its last layer too."""
    ids = keras.Input((6,), dtype="int32", name="ids")
    table = layers.ReversibleEmbedding(20, 12, name="table")
    x = table(ids)
    x = x + layers.MultiHeadAttention(3, 4)(x, x, use_causal_mask=True)
    x = x + layers.Dense(12)(layers.Dense(24, activation="gelu")(layers.LayerNormalization()(x)))
    return keras.Model(ids, table(x, reverse=True))


def tied_autoencoder():
    inputs = keras.Input((6,), name="x")
    first, second = layers.Dense(16, activation="relu"), layers.Dense(10, activation="relu")
    code = second(first(inputs))
    return keras.Model(inputs, Transposed(first)(layers.ReLU()(Transposed(second)(code))))


def experts():
    inputs, x = sequence()
    return averaged(inputs, x + Experts(3, 10)(x))


def attention_of_keras():
    inputs, x = sequence()
    query, value = layers.Dense(10)(x), layers.Conv1D(10, 2, padding="same")(x)
    seen = layers.Attention(use_scale=True)([query, value])
    return averaged(inputs, layers.Concatenate()([query, seen, layers.AdditiveAttention()([query, value])]))


def wavenet():
    inputs, x = sequence(steps=8)
    skips = []
    for dilation in (1, 2, 4):
        parts = [layers.Conv1D(10, 2, padding="causal", dilation_rate=dilation)(x) for _ in range(2)]
        gated = ops.tanh(parts[0]) * ops.sigmoid(parts[1])
        skips.append(layers.Conv1D(12, 1)(gated))
        x = x + layers.Conv1D(8, 1)(gated)
    return averaged(inputs, layers.Conv1D(9, 1, activation="relu")(layers.ReLU()(layers.Add()(skips))))


def temporal():
    """A TCN: causal dilated convolutions in residual blocks, the first with a projection."""
    inputs, x = sequence(steps=8)
    for dilation, width in ((1, 12), (2, 12)):
        y = layers.Conv1D(width, 3, padding="causal", dilation_rate=dilation, activation="relu")(x)
        y = layers.SpatialDropout1D(0.1)(layers.LayerNormalization()(y))
        y = layers.Conv1D(width, 3, padding="causal", dilation_rate=dilation, activation="relu")(y)
        x = layers.ReLU()((x if x.shape[-1] == width else layers.Conv1D(width, 1)(x)) + y)
    return ended(inputs, x[:, -1])


def u_net_1d():
    inputs, x = sequence(steps=8)
    down = layers.Conv1D(12, 3, strides=2, padding="same", activation="relu")(x)
    up = layers.Conv1DTranspose(8, 2, strides=2)(layers.DepthwiseConv1D(3, padding="same")(down))
    x = layers.SeparableConv1D(10, 3, padding="same")(layers.Concatenate()([x, up]))
    return keras.Model(inputs, layers.Conv1D(2, 1, name="mask")(x))


def repeat_vector():
    inputs, x = sequence()
    code = layers.LSTM(10)(x)
    x = layers.GRU(9, return_sequences=True)(layers.RepeatVector(4)(code))
    return keras.Model(inputs, layers.TimeDistributed(layers.Dense(3), name="steps")(x))


def states_handed_on():
    inputs, x = sequence()
    later = keras.Input((4, 5), name="later")
    _, hidden, cell = layers.LSTM(10, return_state=True)(x)
    x = layers.LSTM(10, return_sequences=True)(layers.Dense(7)(later), initial_state=[hidden, cell])
    return keras.Model([inputs, later], layers.Dense(3, name="words")(x))


def stacked_cells():
    inputs, x = sequence()
    cells = [layers.LSTMCell(10), layers.GRUCell(8), layers.SimpleRNNCell(6)]
    return ended(inputs, layers.RNN(cells)(x))


def both_ways_added():
    inputs, x = sequence()
    x = layers.Bidirectional(layers.GRU(9, return_sequences=True, reset_after=False), merge_mode="sum")(x)
    return averaged(inputs, layers.Bidirectional(layers.SimpleRNN(6, return_sequences=True))(x))


def highway():
    inputs = keras.Input((6,), name="x")
    x = layers.Dense(12)(inputs)
    for _ in range(3):
        gate = layers.Dense(12, activation="sigmoid")(x)
        x = gate * layers.Dense(12, activation="relu")(x) + (1 - gate) * x
    return ended(inputs, x)


def text_windows():
    """Kim's: windows of several widths over the same words."""
    ids = keras.Input((7,), dtype="int32", name="ids")
    x = layers.Embedding(20, 10)(ids)
    widths = [layers.GlobalMaxPooling1D()(layers.Conv1D(6, width, activation="relu")(x)) for width in (2, 3, 4)]
    return ended(ids, layers.Dropout(0.5)(layers.Concatenate()(widths)))


def wide_and_deep():
    ids = keras.Input((2,), dtype="int32", name="ids")
    numbers = keras.Input((5,), name="numbers")
    first = layers.Flatten()(layers.Embedding(9, 6)(ids))
    x = layers.Concatenate()([first, layers.BatchNormalization()(numbers)])
    deep = layers.Dense(10, activation="relu")(layers.Dense(16, activation="relu")(x))
    return ended([ids, numbers], layers.Concatenate()([deep, numbers]))


def interactions():
    """DLRM: every pair of embeddings is multiplied."""
    ids = keras.Input((3,), dtype="int32", name="ids")
    numbers = keras.Input((5,), name="numbers")
    rows = layers.Embedding(9, 8)(ids)
    dense = layers.Dense(8, activation="relu")(layers.Dense(12, activation="relu")(numbers))
    rows = ops.concatenate([rows, layers.Reshape((1, 8))(dense)], axis=1)
    pairs = layers.Flatten()(ops.matmul(rows, ops.swapaxes(rows, 1, 2)))
    return ended([ids, numbers], layers.Dense(10, activation="relu")(layers.Concatenate()([pairs, dense])))


def factorization():
    """A factorization machine: the square of the sum less the sum of the squares."""
    ids = keras.Input((4,), dtype="int32", name="ids")
    rows = layers.Embedding(9, 10)(ids)
    crossed = 0.5 * (ops.square(ops.sum(rows, axis=1)) - ops.sum(ops.square(rows), axis=1))
    return ended(ids, layers.Dense(8, activation="relu")(crossed))


def distance():
    given = keras.Input((6,), name="given")
    tower = keras.Model(given, layers.Dense(10)(layers.Dense(16, activation="relu")(given)), name="tower")
    ends = [keras.Input((6,), name=name) for name in ("left", "right")]
    left, right = map(tower, ends)
    apart = ops.norm(left - right, axis=-1, keepdims=True)
    return keras.Model(ends, [apart, layers.Dot(1)([left, right])])


def graph_attention():
    nodes, edges = keras.Input((6, 5), name="nodes"), keras.Input((6, 6), name="edges")
    x = nodes
    for width in (12, 10):
        x = layers.Dense(width, use_bias=False)(x)
        scores = layers.Dense(1)(x) + ops.swapaxes(layers.Dense(1)(x), 1, 2)
        x = ops.elu(ops.matmul(ops.softmax(ops.leaky_relu(scores) + edges), x))
    return keras.Model([nodes, edges], layers.Dense(3, name="logits")(x))


def mixer():
    """Tokens are mixed across the transpose, twice."""
    inputs, x = sequence(steps=6)
    for _ in range(2):
        y = ops.swapaxes(layers.LayerNormalization()(x), 1, 2)
        x = x + ops.swapaxes(layers.Dense(6)(layers.Dense(10, activation="gelu")(y)), 1, 2)
        x = x + layers.Dense(8)(layers.Dense(20, activation="gelu")(layers.LayerNormalization()(x)))
    return averaged(inputs, x)


def several_ends():
    inputs = [keras.Input((6,), name="a"), keras.Input((4,), name="b")]
    a, b = layers.Dense(12, activation="relu")(inputs[0]), layers.Dense(12, activation="relu")(inputs[1])
    x = layers.Average()([a, b])
    y = layers.Subtract()([a, layers.Minimum()([a, b])])
    inner = layers.Dense(5, activation="relu")(b)
    return keras.Model(inputs, {"x": layers.Dense(2, name="x")(x), "y": layers.Dense(3, name="y")(y), "inner": inner})


SEQUENCE_NETS = [
    cross_attention, split_attention, deep_attention, gated_feed_forward, tied_embedding, tied_autoencoder, experts,
    attention_of_keras, wavenet, temporal, u_net_1d, repeat_vector, states_handed_on, stacked_cells, both_ways_added,
    highway, text_windows, wide_and_deep, interactions, factorization, distance, graph_attention, mixer, several_ends,
]  # fmt: skip
