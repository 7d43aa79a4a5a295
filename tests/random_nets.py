"""Small nets drawn at random, of everything that makes dependencies between channels."""

import keras
import numpy as np
from keras import layers, ops


def draw_net(seed, steps=6):
    """Return a functional model with random weights, none of them zero."""
    random = np.random.default_rng(seed)
    keras.utils.set_random_seed(seed)
    shape = [(6, 6, 3), (4, 4, 4), (3, 4), (6,)][random.integers(4)]
    x = inputs = keras.Input(shape, name="x")
    x = _start(x, random)
    for _ in range(random.integers(2, steps + 1)):
        bodies = {4: _on_images, 3: _on_sequences, 2: _on_vectors}[len(x.shape)](x, random)
        x = bodies[sorted(bodies)[random.integers(len(bodies))]]()
    outputs = layers.Dense(2, name="logits")(x)
    model = keras.Model(inputs, outputs, name=f"drawn_{seed}")
    for weight in model.weights:
        low = 0.5 if weight.path.endswith(("gamma", "moving_variance")) else -1.0
        weight.assign(random.uniform(low, 1.2, weight.shape))
    return model


def _start(x, random):
    width = int(random.integers(3, 6))
    return {4: layers.Conv2D(width, 3, padding="same"), 3: layers.Dense(width), 2: layers.Dense(width)}[len(x.shape)](x)


def _on_images(x, random):
    channels, width = x.shape[-1], int(random.integers(2, 5))
    shared = layers.Conv2D(channels, 1)
    return {
        "conv": lambda: layers.Conv2D(width, 3, padding="same", activation="tanh")(x),
        "depthwise": lambda: layers.DepthwiseConv2D(3, padding="same", depth_multiplier=int(random.integers(1, 3)))(x),
        "separable": lambda: layers.SeparableConv2D(width, 3, padding="same")(x),
        "grouped": lambda: layers.Conv2D(4, 3, padding="same", groups=2)(x) if channels % 2 == 0 else x,
        "transposed": lambda: layers.Conv2DTranspose(width, 2)(x),
        "one_channel": lambda: x * layers.Conv2D(1, 1, activation="sigmoid")(x),
        "norm": lambda: layers.BatchNormalization()(x),
        "group_norm": lambda: layers.GroupNormalization(2)(x) if channels % 2 == 0 else x,
        "activation": lambda: layers.Activation("silu")(x),
        "residual": lambda: x + layers.Conv2D(channels, 3, padding="same")(x),
        "concat": lambda: ops.concatenate([x, layers.Conv2D(width, 1)(x)], axis=-1),
        "twice": lambda: layers.Concatenate()([x, ops.tanh(x)]),
        "itself": lambda: layers.Concatenate()([x, x]),
        "halves": lambda: _swapped(x) if channels % 2 == 0 else x,
        "shuffle": lambda: _shuffled(x) if channels % 2 == 0 else x,
        "scale": lambda: x * layers.Dense(channels, activation="sigmoid")(ops.mean(x, axis=(1, 2), keepdims=True)),
        "shared": lambda: shared(ops.tanh(shared(x))),
        "pad": lambda: ops.pad(x, ((0, 0), (0, 0), (1, 0), (0, 2))),
        "pool": lambda: layers.MaxPooling2D(2, padding="same")(x),
        "flatten": lambda: layers.Flatten()(layers.Conv2D(2, 1)(x)),
        "average": lambda: layers.GlobalAveragePooling2D()(x),
        "rows": lambda: layers.Reshape((-1, channels))(x),
    }


def _swapped(x):
    left, right = ops.split(x, 2, axis=-1)
    return ops.concatenate([right, ops.sigmoid(left)], axis=-1)


def _shuffled(x):
    _, height, width, channels = x.shape
    grouped = ops.reshape(x, (-1, height, width, 2, channels // 2))
    return ops.reshape(ops.swapaxes(grouped, 3, 4), (-1, height, width, channels))


def _on_sequences(x, random):
    _, steps, width = x.shape
    made = int(random.integers(2, 5))
    return {
        "dense": lambda: layers.Dense(made, activation="gelu")(x),
        "conv": lambda: layers.Conv1D(made, 2, padding="same")(x),
        "attention": lambda: x + layers.MultiHeadAttention(2, 2)(x, x),
        "fused": lambda: layers.Dense(width)(_fused_attention(layers.Dense(3 * 2 * 3)(x), 2, 3)),
        "norm": lambda: layers.LayerNormalization()(x),
        "gate": lambda: x * layers.Dense(width, activation="sigmoid")(x),
        "permute": lambda: layers.Permute((2, 1))(x),
        "lstm": lambda: layers.LSTM(made, return_sequences=True)(x) if steps < 4 else x,
        "gru": lambda: layers.Bidirectional(layers.GRU(made, return_sequences=True))(x) if steps < 4 else x,
        "mean": lambda: ops.mean(x, axis=1),
        "flatten": lambda: layers.Flatten()(x),
        "distributed": lambda: layers.TimeDistributed(layers.Dense(made))(x),
        "residual": lambda: x + layers.Dense(width)(layers.Dense(made * 2, activation="relu")(x)),
    }


def _fused_attention(qkv, heads, depth):
    steps = qkv.shape[1]
    parts = ops.transpose(ops.reshape(qkv, (-1, steps, 3, heads, depth)), (2, 0, 3, 1, 4))
    query, key, value = ops.unstack(parts, 3)
    query, key = layers.LayerNormalization()(query), layers.LayerNormalization()(key)
    weights = ops.softmax(ops.matmul(query, ops.swapaxes(key, -1, -2)))
    return ops.reshape(ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3)), (-1, steps, heads * depth))


def _on_vectors(x, random):
    width, made = x.shape[-1], int(random.integers(2, 6))
    return {
        "dense": lambda: layers.Dense(made * 2, activation="tanh")(x),
        "residual": lambda: x - layers.Dense(width, activation="sigmoid")(x),
        "product": lambda: ops.maximum(x, layers.Dense(width)(x)),
        "concat": lambda: ops.concatenate([layers.Dense(made)(x), x, layers.Dense(2)(x)], axis=-1),
        "unit": lambda: x / (1.0 + ops.norm(x, axis=-1, keepdims=True)),
        "slices": lambda: ops.concatenate([x[:, 1:], x[:, :1]], axis=-1) if width > 2 else x,
        "einsum": lambda: ops.einsum("na,nb->nab", x, layers.Dense(made)(x)),
        "table": lambda: ops.log(2.0 + ops.square(x)),
    }
