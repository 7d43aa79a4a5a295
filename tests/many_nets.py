"""Nets of many shapes, each small, with random weights and statistics: what tools for channels have stumbled over."""

import keras
import numpy as np
from keras import layers, ops


@keras.saving.register_keras_serializable("tests")
class FusedAttention(layers.Layer):
    """Attention with one kernel for queries, keys and values, and a norm on each head."""

    def __init__(self, heads, depth, **kwargs):
        super().__init__(**kwargs)
        self.heads, self.depth = heads, depth
        self.qkv = layers.Dense(3 * heads * depth, name="qkv")
        self.norms = [layers.LayerNormalization(name=f"norm_{each}") for each in ("query", "key")]

    def build(self, shape):
        self.out = layers.Dense(shape[-1], name="out")
        self.qkv.build(shape)
        for norm in self.norms:
            norm.build((None, self.heads, shape[1], self.depth))
        self.out.build((*shape[:-1], self.heads * self.depth))

    def call(self, x):
        steps = x.shape[1]
        parts = ops.reshape(self.qkv(x), (-1, steps, 3, self.heads, self.depth))
        query, key, value = ops.unstack(ops.transpose(parts, (2, 0, 3, 1, 4)), 3)
        query, key = self.norms[0](query), self.norms[1](key)
        seen = ops.matmul(ops.softmax(ops.matmul(query, ops.swapaxes(key, -1, -2))), value)
        return self.out(ops.reshape(ops.transpose(seen, (0, 2, 1, 3)), (-1, steps, self.heads * self.depth)))

    def get_config(self):
        return {**super().get_config(), "heads": self.heads, "depth": self.depth}


@keras.saving.register_keras_serializable("tests")
class Fixed(layers.Layer):
    """A layer whose width stands in its code."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 12), name="kernel")

    def call(self, x):
        return ops.reshape(ops.matmul(x, self.kernel), (-1, 12))


def conv(x, width, size=3, **kwargs):
    x = layers.Conv2D(width, size, padding="same", use_bias=False, **kwargs)(x)
    return layers.ReLU()(layers.BatchNormalization()(x))


def ended(inputs, x):
    return keras.Model(inputs, layers.Dense(3, name="logits")(x))


def image():
    x = keras.Input((8, 8, 3), name="image")
    return x, conv(x, 8)


def sequence(width=6, steps=5):
    x = keras.Input((steps, width), name="sequence")
    return x, layers.Dense(8)(x)


def pooled(inputs, x):
    return ended(inputs, layers.GlobalAveragePooling2D()(x))


def residual():
    inputs, x = image()
    return pooled(inputs, x + conv(conv(x, 16), 8))


def concat_of_producers():
    inputs, x = image()
    return pooled(inputs, conv(layers.Concatenate()([x, conv(x, 12), conv(x, 4, 1)]), 10))


def concat_with_itself():
    inputs, x = image()
    return pooled(inputs, conv(layers.Concatenate()([x, x]), 6))


def dense_block():
    inputs, x = image()
    for _ in range(3):
        x = layers.Concatenate()([x, conv(x, 4)])
    return pooled(inputs, x)


def one_output_channel():
    inputs, x = image()
    return pooled(inputs, x * layers.Conv2D(1, 3, padding="same", activation="sigmoid")(x))


def separable():
    inputs, x = image()
    x = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(x)
    return pooled(inputs, layers.SeparableConv2D(12, 3, padding="same")(conv(x, 10, 1)))


def depthwise_then_reshape():
    inputs, x = image()
    x = layers.DepthwiseConv2D(3, padding="same")(x)
    x = layers.Permute((2, 1))(layers.Reshape((64, 8))(x))
    return ended(inputs, layers.Flatten()(x))


def grouped():
    inputs, x = image()
    return pooled(inputs, conv(conv(conv(x, 16, 1), 16, groups=4), 8, 1))


def shuffled():
    inputs, x = image()
    x = layers.Reshape((8, 8, 2, 4))(conv(x, 8, groups=2))
    x = layers.Reshape((8, 8, 8))(layers.Permute((1, 2, 4, 3))(x))
    left, right = x[..., :4], x[..., 4:]
    return pooled(inputs, conv(ops.concatenate([conv(left, 4), right], axis=-1), 6))


def halves():
    inputs, x = image()
    left, right = ops.split(conv(x, 12), 2, axis=-1)
    return pooled(inputs, conv(left * ops.sigmoid(right), 8))


def squeeze_excite():
    inputs, x = image()
    scale = layers.GlobalAveragePooling2D(keepdims=True)(x)
    scale = layers.Conv2D(8, 1, activation="sigmoid")(layers.Conv2D(4, 1, activation="relu")(scale))
    return pooled(inputs, layers.Multiply()([x, scale]))


def group_norm():
    inputs, x = image()
    return pooled(inputs, layers.GroupNormalization(4)(layers.Conv2D(16, 3)(x)))


def u_net():
    inputs, x = image()
    down = conv(layers.MaxPooling2D()(x), 16)
    up = layers.Conv2DTranspose(8, 2, strides=2)(conv(down, 16))
    return keras.Model(inputs, layers.Conv2D(2, 1, name="map")(conv(layers.Concatenate()([x, up]), 8)))


def flattened():
    inputs, x = image()
    return ended(inputs, layers.Dense(20, activation="relu")(layers.Flatten()(layers.MaxPooling2D()(x))))


def channels_padded():
    inputs, x = image()
    return pooled(inputs, conv(x, 12) + ops.pad(x, ((0, 0), (0, 0), (0, 0), (0, 4))))


def patches():
    inputs, x = image()
    x = layers.Reshape((64, 8))(x)
    x = x + layers.Dense(8)(layers.Dense(24, activation="gelu")(layers.LayerNormalization()(x)))
    x = layers.Permute((2, 1))(x)
    x = layers.Permute((2, 1))(x + layers.Dense(64)(layers.Dense(20, activation="gelu")(x)))
    return ended(inputs, layers.GlobalAveragePooling1D()(x))


def attention():
    inputs, x = sequence()
    x = x + layers.MultiHeadAttention(4, 3)(x, x)
    x = x + layers.Dense(8)(layers.Dense(32, activation="gelu")(layers.LayerNormalization()(x)))
    return ended(inputs, layers.GlobalAveragePooling1D()(x))


def fused_attention():
    inputs, x = sequence()
    return ended(inputs, layers.GlobalAveragePooling1D()(x + FusedAttention(4, 3)(x)))


def grouped_queries():
    inputs, x = sequence()
    return ended(inputs, layers.GlobalAveragePooling1D()(layers.GroupQueryAttention(3, 4, 2)(x, x)))


def recurrent():
    inputs, x = sequence()
    x = layers.GRU(10, return_sequences=True)(layers.LSTM(12, return_sequences=True)(x))
    return ended(inputs, layers.SimpleRNN(8)(x))


def both_ways():
    inputs, x = sequence()
    return ended(inputs, layers.Bidirectional(layers.LSTM(10))(x))


def shared_layer():
    inputs, x = image()
    shared = layers.Conv2D(8, 3, padding="same")
    return pooled(inputs, shared(layers.ReLU()(shared(x))) + x)


def two_towers():
    given = keras.Input((6,), name="given")
    inner = layers.Dense(10, activation="relu")(layers.Dense(16, activation="tanh")(given))
    tower = keras.Model(given, inner, name="tower")
    ends = [keras.Input((6,), name=name) for name in ("left", "right")]
    left, right = map(tower, ends)
    return keras.Model(ends, [layers.Dense(2, name="same")(left * right), layers.Dense(3, name="kind")(left)])


def nested_sequential():
    inputs, x = image()
    block = keras.Sequential([layers.Conv2D(12, 3, padding="same"), layers.ReLU(), layers.Conv2D(8, 1)], name="block")
    return pooled(inputs, x + block(x))


def graph_convolution():
    nodes, edges = keras.Input((7, 5), name="nodes"), keras.Input((7, 7), name="edges")
    x = layers.Dense(12, activation="relu")(ops.matmul(edges, nodes))
    x = layers.Dense(10, activation="relu")(ops.matmul(edges, x))
    return keras.Model([nodes, edges], layers.Dense(3, name="logits")(x))


def words():
    ids = keras.Input((6,), dtype="int32", name="ids")
    x = layers.Conv1D(12, 2, padding="causal", activation="relu")(layers.Embedding(20, 10)(ids))
    return ended(ids, layers.GlobalMaxPooling1D()(layers.TimeDistributed(layers.Dense(9))(x)))


def written_out():
    inputs, x = image()
    return ended(inputs, layers.Dense(10)(Fixed()(layers.Dense(9)(layers.GlobalAveragePooling2D()(x)))))


NETS = [
    residual, concat_of_producers, concat_with_itself, dense_block, one_output_channel, separable,
    depthwise_then_reshape, grouped, shuffled, halves, squeeze_excite, group_norm, u_net, flattened, channels_padded,
    patches, attention, fused_attention, grouped_queries, recurrent, both_ways, shared_layer, two_towers,
    nested_sequential, graph_convolution, words, written_out,
]  # fmt: skip


def build_net(make):
    """Return a net with random weights, none of them zero."""
    keras.backend.clear_session(free_memory=False)
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    model = make()
    for weight in model.weights:
        if weight.dtype == "float32":
            low = 0.5 if weight.path.endswith(("gamma", "moving_variance")) else -0.6
            weight.assign(random.uniform(low, 0.9, weight.shape))
    return model


def sample(model, count=4):
    random = np.random.default_rng(3)
    return [random.integers(0, 5, (count, *x.shape[1:])) if "int" in x.dtype else
            random.normal(size=(count, *x.shape[1:])).astype("float32") for x in model.inputs]  # fmt: skip


def outputs(model, inputs):
    return [np.asarray(y) for y in keras.tree.flatten(model(inputs if len(inputs) > 1 else inputs[0], training=False))]
