"""One small model for each row of the operator table and each layer that is decomposed into them."""

import keras
import numpy as np
from edgewright.quantize import QatConfig
from keras import layers, ops


def _layer(kind, *arguments, **options):
    """Make the layer when it is called, not when this module is read: initializers draw their seeds then."""
    return lambda x: kind(*arguments, **options)(x)  # noqa: PLW0108


def _attention(x):
    return layers.MultiHeadAttention(2, 4, name="attention")(x, x)


def _recurrence(cell, **options):
    return lambda x: layers.Dense(3)(cell(5, **options)(x))


def _bidirectional(x):
    return layers.Bidirectional(layers.LSTM(4, return_sequences=True))(x)


def _two_in_a_row(x):
    x = layers.LSTM(6, return_sequences=True, go_backwards=True)(x)
    return layers.LSTM(5, use_bias=False)(x)


def _stacked(x):
    return layers.RNN([layers.LSTMCell(4), layers.GRUCell(3)])(x)


def _filled(x):
    first = x[:, :1]
    around = [ops.zeros_like(first), ops.ones_like(first), ops.full_like(first, 0.5)]
    return ops.concatenate([*around, x * ops.full_like(x, 0.3)], axis=1)


def _distributed(x):
    return layers.TimeDistributed(layers.LSTM(4, return_sequences=True))(layers.TimeDistributed(layers.Dense(3))(x))


def _causal(x):
    return layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True)


def _padded(x):
    """Attention over token numbers of which 0 is padding."""
    x = layers.Embedding(10, 8, mask_zero=True)(x)
    return layers.MultiHeadAttention(2, 4, dropout=0.1)(x, x)


def _padded_recurrence(cell, **options):
    return lambda x: layers.Dense(3)(cell(5, **options)(layers.Embedding(10, 4, mask_zero=True)(x)))


def _padded_bidirectional(x):
    x = layers.Embedding(10, 4, mask_zero=True)(x)
    return layers.Bidirectional(layers.GRU(4, return_sequences=True))(x)


def _beside_features(x):
    """A small embedding beside features twenty times as large."""
    return layers.Concatenate()([layers.Embedding(10, 4)(x), 20 * layers.Embedding(10, 4)(x)])


def _tied(x):
    """An embedding that is the last layer, too."""
    table = layers.ReversibleEmbedding(10, 6)
    return table(layers.Dense(6)(table(x)), reverse=True)


def _beside_what_it_becomes(x):
    """An embedding that is read by a layer and stands beside the layer's result."""
    x = layers.Embedding(10, 4)(x)
    return layers.Concatenate()([x, layers.Dense(4)(20 * x)])


def channels_first(x):
    """A residual block, pools and a grouped convolution, all with their channels first."""
    first = {"data_format": "channels_first"}
    x = layers.ReLU()(
        layers.BatchNormalization(axis=1)(layers.Conv2D(6, 3, padding="same", use_bias=False, **first)(x))
    )
    y = layers.BatchNormalization(axis=1)(layers.Conv2D(6, 3, padding="same", **first)(x))
    x = layers.DepthwiseConv2D(3, **first)(layers.MaxPooling2D(2, padding="same", **first)(layers.ReLU()(x + y)))
    return layers.AveragePooling2D((2, 1), **first)(layers.Conv2D(4, 1, groups=2, **first)(x))


def _wide(channels, **options):
    """Return a convolution whose outputs go far beyond 6 on either side."""
    return layers.Conv2D(
        channels, 3, padding="same", kernel_initializer=keras.initializers.RandomNormal(0, 1), **options
    )


def _clipped_beside_wide(x):
    """Maps that are clipped at 6 joined with maps that are not: the common scale reaches beyond the clip."""
    return ops.concatenate([_wide(3, activation="relu6")(x), _wide(4)(x)], axis=-1)


def _pooled_both_ways(x):
    """Maxima and means of the same windows side by side, at the scale of what they are taken of."""
    return ops.concatenate([layers.MaxPooling2D(2)(x), layers.AveragePooling2D(2)(x)], axis=-1)


def _squeeze_and_excite(x):
    """Maps weighted by what their means say (Hu 2018, arXiv:1709.01507)."""
    x = layers.Conv2D(6, 3)(x)
    return x * layers.Dense(6, activation="sigmoid")(ops.mean(x, axis=(1, 2), keepdims=True))


def _logic_on_tokens(x):
    some = ops.cast(ops.equal(x, 3) | ops.less_equal(x, 1), "float32")
    return some + 0.3 * ops.cast(ops.all(ops.not_equal(x, 7), axis=-1, keepdims=True), "float32")


def _own_mask(x):
    scores = ops.matmul(x, ops.swapaxes(x, 1, 2))
    return ops.softmax(scores - 1e9 * ops.cast(ops.greater(x[:, None, :, 0], 0.0), "float32"))


@keras.saving.register_keras_serializable("tests")
class ClassToken(layers.Layer):
    """Puts a weight before each sequence."""

    def build(self, shape):
        self.token = self.add_weight(shape=(1, 1, shape[-1]), initializer="random_normal", name="token")

    def call(self, x):
        return ops.concatenate([ops.broadcast_to(self.token, (ops.shape(x)[0], 1, x.shape[-1])), x], axis=1)


@keras.saving.register_keras_serializable("tests")
class Patches(layers.Layer):
    """Cuts images into patches of 2 x 2, asking for the size of the batch."""

    def call(self, x):
        batch, height, width, channels = ops.shape(x)
        x = ops.reshape(x, (batch, height // 2, 2, width // 2, 2, channels))
        return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (batch, height * width // 4, 4 * channels))


@keras.saving.register_keras_serializable("tests")
class Windows(layers.Layer):
    """Cuts images into windows of 4 x 4 pixels, all of which stand where the samples did."""

    def call(self, x):
        _, height, width, channels = x.shape
        x = ops.reshape(x, (-1, height // 4, 4, width // 4, 4, channels))
        return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, 16, channels))


def _within_windows(x):
    """Attention inside each window (Liu 2021, Swin Transformer), and the windows side by side."""
    x = Windows()(x)
    x = layers.MultiHeadAttention(2, 4)(x, x)
    return ops.reshape(x, (-1, 4, *x.shape[1:]))


ACTIVATIONS = """celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_tanh log_sigmoid log_softmax mish
selu sigmoid silu soft_shrink softmax softplus softsign sparse_plus sparse_sigmoid squareplus tanh tanh_shrink"""
IMAGE, SEQUENCE, FLAT, TOKENS = (8, 8, 4), (6, 4), (12,), (7,)
CASES = {
    # convolutions
    "conv2d": (IMAGE, _layer(layers.Conv2D, 6, 3)),
    "conv2d_same_stride": (IMAGE, _layer(layers.Conv2D, 6, 3, strides=2, padding="same", activation="relu")),
    "conv2d_uneven": (IMAGE, _layer(layers.Conv2D, 6, (3, 2), strides=(2, 1), padding="same")),
    "conv2d_dilated": (IMAGE, _layer(layers.Conv2D, 6, 3, dilation_rate=2, activation="relu6")),
    "conv2d_dilated_same": (IMAGE, _layer(layers.Conv2D, 6, 3, dilation_rate=2, padding="same")),
    "conv2d_grouped": (IMAGE, _layer(layers.Conv2D, 6, 3, groups=2)),
    "channels_first": ((3, 12, 8), channels_first),
    "conv1d_channels_first": ((4, 16), _layer(layers.Conv1D, 6, 3, data_format="channels_first")),
    "conv1d": ((16, 4), _layer(layers.Conv1D, 6, 3)),
    "conv1d_causal": ((16, 4), _layer(layers.Conv1D, 6, 3, padding="causal", dilation_rate=2)),
    "conv1d_strided": ((16, 4), _layer(layers.Conv1D, 6, 3, strides=2, padding="same", activation="relu")),
    "conv2d_clipped_beside_wide": (IMAGE, _clipped_beside_wide),
    "squeeze_and_excite": (IMAGE, _squeeze_and_excite),
    "depthwise_conv2d": (IMAGE, _layer(layers.DepthwiseConv2D, 3, depth_multiplier=2)),
    "depthwise_conv1d": ((16, 4), _layer(layers.DepthwiseConv1D, 3, padding="same")),
    "separable_conv2d": (IMAGE, _layer(layers.SeparableConv2D, 6, 3)),
    "separable_conv1d": ((16, 4), _layer(layers.SeparableConv1D, 6, 3)),
    "conv2d_transpose": (IMAGE, _layer(layers.Conv2DTranspose, 6, 3, strides=2, padding="same")),
    "conv2d_transpose_valid": (IMAGE, _layer(layers.Conv2DTranspose, 6, 3, strides=2)),
    "conv1d_transpose": ((8, 4), _layer(layers.Conv1DTranspose, 6, 3, strides=2, padding="same")),
    # products
    "dense": (FLAT, _layer(layers.Dense, 7, activation="relu")),
    "dense_without_bias": (FLAT, _layer(layers.Dense, 7, use_bias=False)),
    "dense_on_sequence": (SEQUENCE, _layer(layers.Dense, 7)),
    "einsum_dense": (SEQUENCE, _layer(layers.EinsumDense, "abc,cde->abde", output_shape=(None, 3, 2), bias_axes="de")),
    "einsum_of_activations": ((6, 2, 4), lambda x: ops.einsum("btnh,bsnh->bnts", x, x * 0.5)),
    "matmul": (SEQUENCE, lambda x: ops.matmul(x, ops.swapaxes(x, 1, 2))),
    "attention": (SEQUENCE, _attention),
    "dot_attention": (SEQUENCE, lambda x: layers.Attention()([x, x])),
    "additive_attention": (SEQUENCE, lambda x: layers.AdditiveAttention()([x, x])),
    # elementwise
    "add": (SEQUENCE, lambda x: x + layers.Dense(4)(x)),
    "subtract": (SEQUENCE, lambda x: x - layers.Dense(4)(x)),
    "multiply": (SEQUENCE, lambda x: x * layers.Dense(4)(x)),
    "divide": (SEQUENCE, lambda x: x / (2.0 + ops.square(layers.Dense(4)(x)))),
    "maximum": (SEQUENCE, lambda x: ops.maximum(x, _layer(layers.Dense, 4)(x))),
    "minimum": (SEQUENCE, lambda x: ops.minimum(x, _layer(layers.Dense, 4)(x))),
    "negative": (SEQUENCE, lambda x: -layers.Dense(4)(x)),
    "scalars": (SEQUENCE, lambda x: 0.3 * x + 1.5),
    "small_offset": (SEQUENCE, lambda x: x * layers.Dense(4)(x) + 0.04),  # two thirds of a step
    "power": (SEQUENCE, lambda x: ops.power(x, 2.0)),
    # activations
    "relu": (SEQUENCE, _layer(layers.ReLU)),
    "relu6": (SEQUENCE, _layer(layers.ReLU, 6.0)),
    "relu_leaky": (SEQUENCE, _layer(layers.LeakyReLU, 0.2)),
    "relu_clipped_leaky": (SEQUENCE, _layer(layers.ReLU, 1.0, 0.1, 0.2)),
    "relu_with_slope": (SEQUENCE, _layer(layers.ReLU, negative_slope=0.3)),
    "prelu": (SEQUENCE, _layer(layers.PReLU, alpha_initializer=keras.initializers.Constant(0.25))),
    **{name: (SEQUENCE, _layer(layers.Activation, name)) for name in ACTIVATIONS.split()},
    "gelu_tanh": (SEQUENCE, lambda x: ops.gelu(x, approximate=True)),
    "softmax_over_time": (SEQUENCE, _layer(layers.Softmax, axis=1)),
    "own_pointwise": (SEQUENCE, lambda x: ops.sin(x) * ops.exp(-ops.square(x)) + 0.1 * x),
    # normalization
    "batch_normalization": (IMAGE, _layer(layers.BatchNormalization)),
    "layer_normalization": (SEQUENCE, _layer(layers.LayerNormalization)),
    "group_normalization": (IMAGE, _layer(layers.GroupNormalization, 2)),
    "rms_normalization": (SEQUENCE, _layer(layers.RMSNormalization)),
    "unit_normalization": (SEQUENCE, _layer(layers.UnitNormalization)),
    "rescaling": (IMAGE, _layer(layers.Rescaling, 0.5, 0.1)),
    # pools and reductions
    "max_pool2d": (IMAGE, _layer(layers.MaxPooling2D, 2)),
    "max_pool1d": ((16, 4), _layer(layers.MaxPooling1D, 3, padding="same")),
    "average_pool2d": (IMAGE, _layer(layers.AveragePooling2D, 2)),
    "average_pool2d_same": ((7, 7, 4), _layer(layers.AveragePooling2D, 3, strides=2, padding="same")),
    "pooled_both_ways": (IMAGE, _pooled_both_ways),
    "average_pool1d": ((16, 4), _layer(layers.AveragePooling1D, 2)),
    "max_pool3d": ((4, 5, 6, 2), _layer(layers.MaxPooling3D, 2, padding="same")),
    "average_pool3d": ((4, 5, 6, 2), _layer(layers.AveragePooling3D, (1, 2, 3), strides=2)),
    "global_average": (IMAGE, _layer(layers.GlobalAveragePooling2D)),
    "global_max": (IMAGE, _layer(layers.GlobalMaxPooling2D)),
    "mean": (SEQUENCE, lambda x: ops.mean(x, axis=1)),
    "sum": (SEQUENCE, lambda x: ops.sum(x, axis=-1)),
    "max": (SEQUENCE, lambda x: ops.max(x, axis=-1)),
    "min": (SEQUENCE, lambda x: ops.min(x, axis=1)),
    "argmax": (SEQUENCE, lambda x: x * ops.cast(ops.argmax(x, axis=-1, keepdims=True) >= 2, "float32")),
    "argmin": (SEQUENCE, lambda x: x * ops.cast(ops.argmin(x, axis=1) >= 2, "float32")[:, None]),
    "adaptive_average": (IMAGE, _layer(layers.AdaptiveAveragePooling2D, (4, 2))),
    "cumsum": (SEQUENCE, lambda x: ops.cumsum(x, axis=1)),
    "norm": (SEQUENCE, lambda x: ops.norm(x, axis=-1)),
    "log_sum_exp": (SEQUENCE, lambda x: ops.logsumexp(3 * x, axis=-1)),
    "variance": (SEQUENCE, lambda x: ops.var(x, axis=-1)),
    # movement
    "reshape": (SEQUENCE, _layer(layers.Reshape, (2, 12))),
    "permute": (SEQUENCE, _layer(layers.Permute, (2, 1))),
    "concatenate": (SEQUENCE, lambda x: ops.concatenate([x, ops.tanh(x)], axis=-1)),
    "stack_unstack": (SEQUENCE, lambda x: ops.stack(ops.unstack(x, axis=1)[::-1], axis=1)),
    "split": (SEQUENCE, lambda x: ops.concatenate(ops.split(x, 2, axis=-1)[::-1], axis=-1)),
    "slice": (SEQUENCE, lambda x: x[:, 1::2, :3]),
    "take": (SEQUENCE, lambda x: ops.take(x, (2, 0, 1), axis=-1) * ops.take(x, np.array([3, 3, 1]), axis=2)),
    "flip": (SEQUENCE, lambda x: ops.flip(x, axis=1)),
    "pad": (IMAGE, _layer(layers.ZeroPadding2D, ((1, 0), (0, 2)))),
    "crop": (IMAGE, _layer(layers.Cropping2D, 1)),
    "turned_and_rolled": (IMAGE, lambda x: ops.roll(ops.rot90(ops.moveaxis(x, -1, 1), axes=(2, 3)), (1, -3), (1, 2))),
    "pixels_and_channels": (IMAGE, lambda x: ops.depth_to_space(x, 2) * ops.depth_to_space(ops.flip(x, 1), 2)),
    "overlapping_patches": (IMAGE, lambda x: ops.image.extract_patches(x, 3, strides=2, padding="same")),
    "mirrored": (IMAGE, lambda x: ops.pad(x, ((0, 0), (2, 0), (1, 5), (0, 0)), mode="reflect")),
    "triangle": (SEQUENCE, lambda x: ops.tril(x) + 2 * ops.triu(ops.flip(x, 2), 1)),
    "filled": (SEQUENCE, _filled),
    "repeat": (FLAT, _layer(layers.RepeatVector, 3)),
    "tile": (SEQUENCE, lambda x: ops.tile(x, (1, 2, 1))),
    "class_token": (SEQUENCE, lambda x: layers.Dense(3)(ClassToken()(x))),
    "patches": (IMAGE, lambda x: layers.Dense(3)(Patches()(x))),
    "up_sampling": ((4, 4, 3), _layer(layers.UpSampling2D, 2)),
    "up_sampling_bilinear": ((4, 4, 3), _layer(layers.UpSampling2D, 2, interpolation="bilinear")),
    "up_sampling1d": (SEQUENCE, _layer(layers.UpSampling1D, 2)),
    "one_hot": (TOKENS, lambda x: layers.Dense(3)(ops.one_hot(x, 10))),
    "embedding": (TOKENS, _layer(layers.Embedding, 10, 5)),
    "embedding_tied": (TOKENS, _tied),
    "embedding_beside_features": (TOKENS, _beside_features),
    "embedding_beside_what_it_becomes": (TOKENS, _beside_what_it_becomes),
    # recurrence
    "simple_rnn": (SEQUENCE, _recurrence(layers.SimpleRNN)),
    "lstm": (SEQUENCE, _recurrence(layers.LSTM)),
    "gru": (SEQUENCE, _recurrence(layers.GRU)),
    "gru_reset_before": (SEQUENCE, _recurrence(layers.GRU, reset_after=False)),
    "bidirectional": (SEQUENCE, _bidirectional),
    "stacked_cells": (SEQUENCE, _stacked),
    "conv_lstm": ((2, 5, 5, 2), _layer(layers.ConvLSTM2D, 3, 3, padding="same")),
    "lstm_fused": (SEQUENCE, _recurrence(layers.LSTM)),
    "lstm_fused_twice": (SEQUENCE, _two_in_a_row),
    "bidirectional_fused": (SEQUENCE, _bidirectional),
    "time_distributed": ((3, 4, 6), _distributed),
    "index_with_new_axis": (SEQUENCE, lambda x: x[..., None, 1] * x[:, 0, None, :1]),
    # masks
    "attention_causal": (SEQUENCE, _causal),
    "attention_in_windows": (IMAGE, _within_windows),
    "attention_padded": (TOKENS, _padded),
    "dot_attention_causal": (SEQUENCE, lambda x: layers.Attention()([x, x], use_causal_mask=True)),
    "lstm_padded": (TOKENS, _padded_recurrence(layers.LSTM)),
    "gru_padded": (TOKENS, _padded_recurrence(layers.GRU, go_backwards=True)),
    "bidirectional_padded": (TOKENS, _padded_bidirectional),
    "lstm_masked": (SEQUENCE, lambda x: layers.LSTM(5, return_sequences=True)(x, mask=x[:, :, 0] > 0)),
    "lstm_masking": (
        SEQUENCE,
        lambda x: layers.Dense(3)(layers.LSTM(5)(layers.Masking()(layers.Dense(3, activation="relu")(x)))),
    ),
    "softmax_masked": (SEQUENCE, lambda x: layers.Softmax()(x, mask=x < 1.0)),
    "logic_on_tokens": (TOKENS, _logic_on_tokens),
    "own_mask": (SEQUENCE, _own_mask),
    "where": (SEQUENCE, lambda x: ops.where(x > 0.5, layers.Dense(4)(x), 0.0)),
    "logic": (SEQUENCE, lambda x: x * ops.cast(((x > 0) & (x < 1)) | ~(x >= -1), "float32")),
}


def config(name):
    """Return how a case is quantized."""
    return QatConfig(recurrence="fused" if "fused" in name else "unrolled")


def build(name):
    """Return the model of a case with weights of varied size, and 64 samples for it."""
    shape, body = CASES[name]
    keras.utils.set_random_seed(0)
    tokens = shape == TOKENS
    inputs = keras.Input(shape, dtype="int32" if tokens else "float32", name="x")
    model = keras.Model(inputs, body(inputs), name=name)
    random = np.random.default_rng(0)
    for weight in model.weights:
        if weight.path.endswith(("gamma", "moving_variance")):
            weight.assign(random.uniform(0.5, 1.5, weight.shape))
        elif len(weight.shape) == 1:
            weight.assign(random.normal(0, 0.2, weight.shape))
    return model, random.integers(0, 10, (64, *shape), "int32") if tokens else random.normal(size=(64, *shape)).astype(
        "f4"
    )
