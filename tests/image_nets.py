"""Nets on images, volumes and videos, each small and of a shape of its own; see `many_nets`."""

import keras
from keras import layers, ops
from many_nets import conv, ended, image, pooled


@keras.saving.register_keras_serializable("tests")
class ClassToken(layers.Layer):
    """Puts a learned token before all others, and adds a learned place to each."""

    def build(self, shape):
        self.token = self.add_weight(shape=(1, 1, shape[-1]), name="token")
        self.place = self.add_weight(shape=(1, shape[1] + 1, shape[-1]), name="place")

    def call(self, x):
        token = ops.broadcast_to(self.token, (ops.shape(x)[0], 1, x.shape[-1]))
        return ops.concatenate([token, x], axis=1) + self.place


@keras.saving.register_keras_serializable("tests")
class Scale(layers.Layer):
    """ConvNeXt's scale of each channel."""

    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), name="scale")

    def call(self, x):
        return x * self.scale


@keras.saving.register_keras_serializable("tests")
class Capsules(layers.Layer):
    """One round of routing between capsules: (N, P, d) -> (N, K, e)."""

    def __init__(self, count, depth, **kwargs):
        super().__init__(**kwargs)
        self.count, self.depth = count, depth

    def build(self, shape):
        self.kernel = self.add_weight(shape=(self.count, shape[1], shape[2], self.depth), name="kernel")

    def call(self, x):
        votes = ops.einsum("npd,kpde->nkpe", x, self.kernel)
        agreement = ops.softmax(ops.sum(votes * ops.mean(votes, axis=2, keepdims=True), axis=-1), axis=1)
        return squashed(ops.sum(votes * ops.expand_dims(agreement, -1), axis=2))

    def get_config(self):
        return {**super().get_config(), "count": self.count, "depth": self.depth}


def squashed(x):
    size = ops.sum(ops.square(x), axis=-1, keepdims=True)
    return x * ops.sqrt(size + 1e-6) / (1.0 + size)


def class_token():
    inputs, x = image()
    x = ClassToken()(layers.Reshape((16, 12))(layers.Conv2D(12, 2, strides=2)(x)))
    x = x + layers.MultiHeadAttention(4, 3)(x, x)
    x = x + layers.Dense(12)(layers.Dense(24, activation="gelu")(layers.LayerNormalization()(x)))
    return ended(inputs, x[:, 0])


def windows():
    """Attention inside windows of 4 by 4, as Swin's."""
    inputs, x = image()
    x = ops.reshape(ops.transpose(ops.reshape(x, (-1, 2, 4, 2, 4, 8)), (0, 1, 3, 2, 4, 5)), (-1, 4, 16, 8))
    x = x + layers.MultiHeadAttention(2, 4, attention_axes=(2,))(x, x)
    x = ops.reshape(ops.transpose(ops.reshape(x, (-1, 2, 2, 4, 4, 8)), (0, 1, 3, 2, 4, 5)), (-1, 8, 8, 8))
    return pooled(inputs, x)


def layer_scale():
    inputs, x = image()
    for _ in range(2):
        y = layers.LayerNormalization()(layers.DepthwiseConv2D(7, padding="same")(x))
        x = x + Scale()(layers.Dense(8)(layers.Dense(32, activation="gelu")(y)))
    return pooled(inputs, x)


def inception():
    inputs, x = image()
    branches = [conv(x, 6, 1), conv(conv(x, 4, 1), 7), conv(conv(conv(x, 5, 1), 6), 3),
                conv(layers.AveragePooling2D(3, strides=1, padding="same")(x), 4, 1)]  # fmt: skip
    return pooled(inputs, conv(layers.Concatenate()(branches), 9, 1))


def inverted_residual():
    inputs, x = image()
    y = layers.Activation("hard_silu")(layers.BatchNormalization()(layers.Conv2D(24, 1)(x)))
    y = layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same")(y))
    gate = layers.Reshape((1, 1, 24))(layers.GlobalAveragePooling2D()(y))
    gate = layers.Conv2D(24, 1, activation="hard_sigmoid")(layers.Conv2D(6, 1, activation="relu")(gate))
    return pooled(inputs, x + layers.Conv2D(8, 1)(layers.Multiply()([y, gate])))


def resnext():
    inputs, x = image()
    y = conv(conv(x, 16, 1), 16, groups=4)
    return pooled(inputs, layers.ReLU()(x + layers.BatchNormalization()(layers.Conv2D(8, 1)(y))))


def pre_activation():
    inputs, x = image()
    x = layers.Conv2D(12, 1)(x)
    for _ in range(2):
        y = layers.ReLU()(layers.BatchNormalization(scale=False)(x))
        x = x + layers.Conv2D(12, 3, padding="same")(conv(y, 10))
    return pooled(inputs, x)


def pixel_shuffle():
    inputs, x = image()
    x = ops.reshape(layers.Conv2D(12 * 4, 3, padding="same")(conv(x, 10)), (-1, 8, 8, 2, 2, 12))
    x = ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, 16, 16, 12))
    return keras.Model(inputs, layers.Conv2D(3, 3, padding="same", name="larger")(x))


def space_to_depth():
    inputs, x = image()
    x = ops.reshape(ops.transpose(ops.reshape(x, (-1, 4, 2, 4, 2, 8)), (0, 1, 3, 2, 4, 5)), (-1, 4, 4, 32))
    return pooled(inputs, conv(x, 12))


def pyramid():
    inputs, x = image()
    low = conv(x, 12, strides=2)
    top = layers.Conv2D(10, 1)(conv(low, 16, strides=2))
    middle = layers.Conv2D(10, 1)(low) + layers.UpSampling2D()(top)
    heads = [layers.Conv2D(4, 3, padding="same", name=name)(y) for name, y in (("far", top), ("near", middle))]
    return keras.Model(inputs, heads)


def scales_fused():
    """Two resolutions that are added into each other, as HRNet's."""
    inputs, x = image()
    y = conv(x, 12, strides=2)
    x, y = conv(x, 8), conv(y, 12)
    high = layers.ReLU()(x + layers.UpSampling2D(interpolation="bilinear")(layers.Conv2D(8, 1)(y)))
    low = layers.ReLU()(y + layers.Conv2D(12, 3, strides=2, padding="same")(x))
    return pooled(inputs, layers.Concatenate()([high, layers.UpSampling2D()(low)]))


def volume():
    inputs = keras.Input((4, 6, 6, 2), name="volume")
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv3D(8, 3, padding="same")(inputs)))
    y = layers.Conv3D(12, 3, padding="same", activation="relu")(layers.MaxPooling3D()(x))
    x = layers.Concatenate()([x, layers.Conv3DTranspose(6, 2, strides=2)(y)])
    return ended(inputs, layers.GlobalAveragePooling3D()(layers.Conv3D(5, 1)(x)))


def capsules():
    inputs, x = image()
    x = layers.Conv2D(24, 3, strides=2, padding="valid")(x)
    x = Capsules(3, 6)(squashed(layers.Reshape((-1, 4))(x)))
    return keras.Model(inputs, ops.sqrt(ops.sum(ops.square(x), axis=-1) + 1e-6))


def maxout():
    inputs, x = image()
    x = layers.Reshape((8, 8, 6, 3))(layers.Conv2D(18, 3, padding="same")(x))
    x = layers.Dense(20)(layers.GlobalAveragePooling2D()(ops.max(x, axis=-1)))
    return ended(inputs, ops.max(layers.Reshape((10, 2))(x), axis=-1))


def coordinates():
    inputs, x = image()
    places = ops.zeros_like(x[..., :2]) + ops.reshape(ops.arange(16, dtype="float32") / 8, (1, 8, 1, 2))
    return pooled(inputs, conv(layers.Concatenate()([x, places]), 10))


def spatial_gate():
    """CBAM: what is read over all channels leaves them whole."""
    inputs, x = image()
    x = conv(x, 12)
    seen = ops.concatenate([ops.mean(x, axis=-1, keepdims=True), ops.max(x, axis=-1, keepdims=True)], axis=-1)
    return pooled(inputs, conv(x * layers.Conv2D(1, 3, padding="same", activation="sigmoid")(seen), 10))


def channel_window():
    """ECA: a window that moves along the channels."""
    inputs, x = image()
    scale = layers.Reshape((8, 1))(layers.GlobalAveragePooling2D()(x))
    scale = layers.Reshape((1, 1, 8))(layers.Conv1D(1, 3, padding="same", activation="sigmoid")(scale))
    return pooled(inputs, conv(x * scale, 10))


def ghost():
    inputs, x = image()
    first = conv(x, 6, 1)
    second = layers.ReLU()(layers.DepthwiseConv2D(3, padding="same")(first))
    return pooled(inputs, conv(layers.Concatenate()([first, second])[..., :10], 8))


def cross_stage():
    inputs, x = image()
    x = conv(x, 16)
    kept, x = x[..., :6], x[..., 6:]
    return pooled(inputs, conv(layers.Concatenate()([kept, x + conv(x, 10)]), 9, 1))


def generator():
    inputs = keras.Input((6,), name="noise")
    x = layers.Reshape((3, 3, 12))(layers.Dense(108, use_bias=False)(inputs))
    x = layers.LeakyReLU()(layers.BatchNormalization()(x))
    x = layers.Conv2DTranspose(8, 3, strides=2, padding="same", use_bias=False)(x)
    x = layers.LeakyReLU()(layers.BatchNormalization()(x))
    return keras.Model(inputs, layers.Conv2DTranspose(1, 3, padding="same", activation="tanh", name="picture")(x))


def bilinear():
    inputs, x = image()
    left, right = layers.Reshape((64, 10))(conv(x, 10)), layers.Reshape((64, 6))(conv(x, 6))
    return ended(inputs, layers.Flatten()(ops.einsum("nia,nib->nab", left, right) / 64))


def one_channel_between():
    """One channel goes in, is filtered, and becomes many again: neither depthwise nor grouped."""
    inputs, x = image()
    x = layers.Conv2D(1, 3, padding="same", activation="relu")(x)
    return pooled(inputs, conv(layers.DepthwiseConv2D(3, padding="same", depth_multiplier=6)(x), 8))


def instance_norm():
    inputs, x = image()
    x = layers.PReLU(shared_axes=(1, 2))(layers.GroupNormalization(-1)(layers.Conv2D(12, 3)(x)))
    x = layers.GroupNormalization(12)(x)
    return pooled(inputs, layers.SpatialDropout2D(0.2)(layers.GaussianNoise(0.1)(x)))


def unit_length():
    inputs, x = image()
    x = layers.UnitNormalization()(layers.Dense(12)(layers.GlobalMaxPooling2D()(conv(x, 10))))
    return ended(inputs, x)


def spectral():
    inputs, x = image()
    x = layers.SpectralNormalization(layers.Conv2D(12, 3, padding="same"))(conv(x, 10))
    return pooled(inputs, conv(x, 6))


def repeated():
    """One block four times over, with norms of its own each time."""
    inputs, x = image()
    shared = layers.Conv2D(8, 3, padding="same")
    for _ in range(4):
        x = x + layers.ReLU()(layers.BatchNormalization()(shared(x)))
    return pooled(inputs, x)


def video():
    inputs = keras.Input((3, 8, 8, 2), name="video")
    frame = keras.Sequential([keras.Input((8, 8, 2)), layers.Conv2D(10, 3, activation="relu"),
                              layers.BatchNormalization(), layers.GlobalAveragePooling2D()], name="frame")  # fmt: skip
    return ended(inputs, layers.GRU(8)(layers.TimeDistributed(frame)(inputs)))


def conv_lstm():
    inputs = keras.Input((3, 6, 6, 2), name="video")
    x = layers.BatchNormalization()(layers.ConvLSTM2D(6, 3, padding="same", return_sequences=True)(inputs))
    return pooled(inputs, layers.ConvLSTM2D(5, 3, padding="same")(x))


def line_of_text():
    """CRNN: the rows of a picture are read as steps."""
    inputs, x = image()
    x = layers.Reshape((8, 32))(layers.Permute((2, 1, 3))(conv(layers.MaxPooling2D((2, 1))(x), 8)))
    x = layers.Bidirectional(layers.LSTM(6, return_sequences=True))(layers.Dense(10, activation="relu")(x))
    return keras.Model(inputs, layers.Dense(5, name="letters")(x))


def variational():
    inputs, x = image()
    x = layers.Dense(16, activation="relu")(layers.Flatten()(conv(x, 6, strides=2)))
    mean, spread = layers.Dense(4, name="mean")(x), layers.Dense(4, name="spread")(x)
    y = layers.Dense(96, activation="relu")(mean)
    picture = layers.Conv2DTranspose(3, 3, strides=2, padding="same", name="picture")(layers.Reshape((4, 4, 6))(y))
    return keras.Model(inputs, {"mean": mean, "spread": spread, "picture": picture})


def in_a_row():
    return keras.Sequential([
        keras.Input((8, 8, 3)), layers.Conv2D(10, 3), layers.BatchNormalization(), layers.ReLU(),
        layers.DepthwiseConv2D(3), layers.Conv2D(8, 1, activation="relu"), layers.Flatten(), layers.Dense(3),
    ])  # fmt: skip


IMAGE_NETS = [
    class_token, windows, layer_scale, inception, inverted_residual, resnext, pre_activation, pixel_shuffle,
    space_to_depth, pyramid, scales_fused, volume, capsules, maxout, coordinates, spatial_gate, channel_window, ghost,
    cross_stage, generator, bilinear, one_channel_between, instance_norm, unit_length, spectral, repeated, video,
    conv_lstm, line_of_text, variational, in_a_row,
]  # fmt: skip
