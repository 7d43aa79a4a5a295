"""Nets that classify images, after the structure of public tutorials, in small sizes."""

import keras
from keras import layers, ops

from .nets import images, net

GROUP = "tutorial, images"


@net(GROUP)
def mnist_convnet():
    inputs = keras.Input((28, 28, 1))
    x = inputs
    for width in (16, 32):
        x = layers.MaxPooling2D()(layers.Conv2D(width, 3, activation="relu")(x))
    x = layers.Dropout(0.5)(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x)), images(28, 28, 1)


@net(GROUP)
def mnist_sequential_without_input():
    """As first lessons have it: a Sequential that no one has built yet but the first call."""
    model = keras.Sequential([layers.Flatten(), layers.Dense(64, activation="relu"), layers.Dense(10)])
    return model, images(28, 28, 1)


class _Small(keras.Model):
    """A model as the guide on subclassing has it: layers as attributes, a call."""

    def __init__(self):
        super().__init__()
        self.first = layers.Conv2D(8, 3, activation="relu")
        self.flat = layers.Flatten()
        self.hidden = layers.Dense(32, activation="relu")
        self.drop = layers.Dropout(0.3)
        self.out = layers.Dense(10)

    def call(self, x, training=False):
        return self.out(self.drop(self.hidden(self.flat(self.first(x))), training=training))


@net(GROUP)
def mnist_subclassed():
    return _Small(), images(28, 28, 1)


@net(GROUP)
def cats_and_dogs():
    """From uint8-like values on, with augmentation inside and one sigmoid at the end."""
    inputs = keras.Input((48, 48, 3))
    x = layers.RandomRotation(0.1)(layers.RandomFlip("horizontal")(inputs))
    x = layers.Rescaling(1 / 255)(x)
    x = layers.Activation("relu")(layers.BatchNormalization()(layers.Conv2D(16, 3, strides=2, padding="same")(x)))
    before = x
    for width in (16, 32):
        for _ in range(2):
            x = layers.SeparableConv2D(width, 3, padding="same")(layers.Activation("relu")(x))
            x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        x = before = layers.add([x, layers.Conv2D(width, 1, strides=2, padding="same")(before)])
    x = layers.Dropout(0.25)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(x)), images(48, 48, 3, high=255.0)


@net(GROUP)
def flowers_uint8():
    """Bytes as input, augmentation, then Rescaling."""
    inputs = keras.Input((32, 32, 3), dtype="uint8")
    x = layers.RandomFlip("horizontal")(inputs)
    x = layers.Rescaling(1 / 255)(x)
    for width in (8, 16):
        x = layers.MaxPooling2D()(layers.Conv2D(width, 3, padding="same", activation="relu")(x))
    return keras.Model(inputs, layers.Dense(5)(layers.Flatten()(x))), images(32, 32, 3, high=255.0).astype("uint8")


@net(GROUP)
def transfer_learning():
    """A backbone as one layer of another model, frozen, with its rescaling before it."""
    base = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(64, 64, 3), alpha=0.35)
    base.trainable = False
    inputs = keras.Input((64, 64, 3))
    x = layers.Rescaling(scale=1 / 127.5, offset=-1)(layers.RandomFlip()(inputs))
    x = layers.GlobalAveragePooling2D()(base(x, training=False))
    return keras.Model(inputs, layers.Dense(1)(layers.Dropout(0.2)(x))), images(64, 64, 3, high=255.0)


class Patches(layers.Layer):
    """Images cut into flat patches by `ops.image`, batch size taken from the shape."""

    def __init__(self, size: int, **kwargs):
        super().__init__(**kwargs)
        self.size = size

    def call(self, x):
        batch, height, width, channels = ops.shape(x)
        x = ops.image.extract_patches(x, size=self.size)
        return ops.reshape(x, (batch, (height // self.size) * (width // self.size), self.size**2 * channels))

    def get_config(self):
        return {**super().get_config(), "size": self.size}


class PatchEncoder(layers.Layer):
    """Patches projected, a learned position added."""

    def __init__(self, count: int, width: int, **kwargs):
        super().__init__(**kwargs)
        self.count, self.width = count, width
        self.project = layers.Dense(width)
        self.position = layers.Embedding(count, width)

    def call(self, patches):
        places = ops.expand_dims(ops.arange(self.count), 0)
        return self.project(patches) + self.position(places)

    def get_config(self):
        return {**super().get_config(), "count": self.count, "width": self.width}


def mlp(x, widths, rate=0.1):
    for width in widths:
        x = layers.Dropout(rate)(layers.Dense(width, activation=keras.activations.gelu)(x))
    return x


@net(GROUP)
def vit_from_scratch():
    inputs = keras.Input((32, 32, 3))
    x = PatchEncoder(16, 16)(Patches(8)(inputs))
    for _ in range(2):
        y = layers.LayerNormalization(epsilon=1e-6)(x)
        x = layers.Add()([layers.MultiHeadAttention(2, 16, dropout=0.1)(y, y), x])
        x = layers.Add()([mlp(layers.LayerNormalization(epsilon=1e-6)(x), [32, 16]), x])
    x = layers.Dropout(0.5)(layers.Flatten()(layers.LayerNormalization(epsilon=1e-6)(x)))
    return keras.Model(inputs, layers.Dense(10)(mlp(x, [32]))), images(32, 32)


class ClassToken(layers.Layer):
    """A learned token put before the sequence, repeated by the batch size of the call."""

    def build(self, shape):
        self.token = self.add_weight(shape=(1, 1, shape[-1]), initializer="random_normal", name="token")

    def call(self, x):
        return ops.concatenate([ops.tile(self.token, (ops.shape(x)[0], 1, 1)), x], axis=1)


@net(GROUP)
def vit_with_class_token():
    inputs = keras.Input((32, 32, 3))
    x = layers.Reshape((16, 16))(layers.Conv2D(16, 8, 8)(inputs))
    x = ClassToken()(x)
    for _ in range(2):
        y = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(4, 4)(y, y)
        x = x + mlp(layers.LayerNormalization()(x), [32, 16])
    return keras.Model(inputs, layers.Dense(10)(layers.LayerNormalization()(x)[:, 0])), images(32, 32)


def _mixer_model(block, blocks=2):
    """block: () -> layer, asked once for each of `blocks`."""
    inputs = keras.Input((32, 32, 3))
    x = PatchEncoder(16, 16)(Patches(8)(inputs))
    for _ in range(blocks):
        x = block()(x)
    x = layers.Dropout(0.2)(layers.GlobalAveragePooling1D()(x))
    return keras.Model(inputs, layers.Dense(10)(x)), images(32, 32)


class MixerBlock(layers.Layer):
    """Two small perceptrons, over patches and over channels, each a Sequential inside."""

    def __init__(self, patches: int, width: int, **kwargs):
        super().__init__(**kwargs)
        self.patches, self.width = patches, width
        self.over_patches = keras.Sequential([layers.Dense(patches, activation="gelu"), layers.Dense(patches)])
        self.over_channels = keras.Sequential([layers.Dense(width, activation="gelu"), layers.Dense(width)])
        self.first, self.second = (layers.LayerNormalization(epsilon=1e-6) for _ in range(2))

    def build(self, shape):
        for part, last in ((self.over_patches, self.patches), (self.over_channels, self.width)):
            part.build((None, None, last))
        self.first.build(shape)
        self.second.build(shape)

    def call(self, x):
        y = ops.transpose(self.first(x), (0, 2, 1))
        x = x + ops.transpose(self.over_patches(y), (0, 2, 1))
        return x + self.over_channels(self.second(x))

    def get_config(self):
        return {**super().get_config(), "patches": self.patches, "width": self.width}


@net(GROUP)
def mlp_mixer():
    return _mixer_model(lambda: MixerBlock(16, 16))


@net(GROUP)
def mlp_mixer_shared_block():
    """One block used three times."""
    shared = MixerBlock(16, 16)
    return _mixer_model(lambda: shared, blocks=3)


class GatingBlock(layers.Layer):
    """gMLP: half of the channels gate the other half after a projection over patches."""

    def __init__(self, patches: int, width: int, **kwargs):
        super().__init__(**kwargs)
        self.patches, self.width = patches, width
        self.widen = keras.Sequential([layers.Dense(2 * width, activation="gelu"), layers.Dropout(0.1)])
        self.over_patches = layers.Dense(patches, bias_initializer="ones")
        self.narrow = layers.Dense(width)
        self.norm, self.gate_norm = (layers.LayerNormalization(epsilon=1e-6) for _ in range(2))

    def call(self, x):
        y = self.widen(self.norm(x))
        u, v = ops.split(y, 2, axis=2)
        v = ops.transpose(self.over_patches(ops.transpose(self.gate_norm(v), (0, 2, 1))), (0, 2, 1))
        return x + self.narrow(u * v)

    def get_config(self):
        return {**super().get_config(), "patches": self.patches, "width": self.width}


@net(GROUP)
def gmlp():
    return _mixer_model(lambda: GatingBlock(16, 16))


class FourierBlock(layers.Layer):
    """FNet: the real part of a Fourier transform mixes patches."""

    def __init__(self, width: int, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.ffn = keras.Sequential([layers.Dense(2 * width, activation="gelu"), layers.Dense(width)])
        self.first, self.second = (layers.LayerNormalization(epsilon=1e-6) for _ in range(2))

    def call(self, x):
        real, _ = ops.fft2((x, ops.zeros_like(x)))
        x = self.first(x + real)
        return self.second(x + self.ffn(x))

    def get_config(self):
        return {**super().get_config(), "width": self.width}


@net(GROUP)
def fnet_images():
    """Eight bits of a Fourier transform: to be refused in words."""
    return _mixer_model(lambda: FourierBlock(16))


class WindowAttention(layers.Layer):
    """Attention within a window, with a table of relative positions as bias and a mask for shifted windows."""

    def __init__(self, width: int, window: int, heads: int, **kwargs):
        super().__init__(**kwargs)
        self.width, self.window, self.heads = width, window, heads
        self.qkv, self.project = layers.Dense(3 * width), layers.Dense(width)

    def build(self, shape):
        import numpy as np

        side = 2 * self.window - 1
        self.table = self.add_weight(shape=(side * side, self.heads), initializer="random_normal", name="table")
        grid = np.stack(np.meshgrid(np.arange(self.window), np.arange(self.window), indexing="ij")).reshape(2, -1)
        offsets = (grid[:, :, None] - grid[:, None, :]).transpose(1, 2, 0) + self.window - 1
        self.places = (offsets[..., 0] * side + offsets[..., 1]).reshape(-1)
        self.qkv.build(shape)
        self.project.build(shape)

    def call(self, x, mask=None):
        _, size, channels = x.shape
        each = channels // self.heads
        qkv = ops.reshape(self.qkv(x), (-1, size, 3, self.heads, each))
        qkv = ops.transpose(qkv, (2, 0, 3, 1, 4))
        q, k, v = qkv[0], qkv[1], qkv[2]
        scores = (q * each**-0.5) @ ops.transpose(k, (0, 1, 3, 2))
        bias = ops.reshape(ops.take(self.table, self.places, axis=0), (size, size, -1))
        scores = scores + ops.expand_dims(ops.transpose(bias, (2, 0, 1)), 0)
        if mask is not None:
            windows = mask.shape[0]
            scores = ops.reshape(scores, (-1, windows, self.heads, size, size)) + mask[None, :, None]
            scores = ops.reshape(scores, (-1, self.heads, size, size))
        x = ops.transpose(ops.softmax(scores) @ v, (0, 2, 1, 3))
        return self.project(ops.reshape(x, (-1, size, channels)))

    def get_config(self):
        return {**super().get_config(), "width": self.width, "window": self.window, "heads": self.heads}


class ShiftedWindowBlock(layers.Layer):
    """A Swin block on (batch, side * side, width), its windows moved by `shift`."""

    def __init__(self, side: int, width: int, window: int, shift: int, **kwargs):
        super().__init__(**kwargs)
        self.side, self.width, self.window, self.shift = side, width, window, shift
        self.attend = WindowAttention(width, window, heads=2)
        self.ffn = keras.Sequential([layers.Dense(2 * width, activation="gelu"), layers.Dense(width)])
        self.first, self.second = (layers.LayerNormalization(epsilon=1e-5) for _ in range(2))

    def build(self, shape):
        import numpy as np

        self.mask = None
        if self.shift:
            marks = np.zeros((1, self.side, self.side, 1))
            parts = (slice(0, -self.window), slice(-self.window, -self.shift), slice(-self.shift, None))
            for count, (rows, columns) in enumerate((r, c) for r in parts for c in parts):
                marks[:, rows, columns] = count
            marks = np.reshape(self._cut(marks), (-1, self.window**2))
            self.mask = np.where(marks[:, None] == marks[:, :, None], 0.0, -100.0).astype("float32")
        self.attend.build((None, self.window**2, self.width))
        self.ffn.build((None, None, self.width))
        self.first.build(shape)
        self.second.build(shape)

    def _cut(self, x):
        count, channels = self.side // self.window, x.shape[-1]
        xp = ops.reshape(x, (-1, count, self.window, count, self.window, channels))
        return ops.reshape(ops.transpose(xp, (0, 1, 3, 2, 4, 5)), (-1, self.window**2, channels))

    def call(self, x):
        count = self.side // self.window
        y = ops.reshape(self.first(x), (-1, self.side, self.side, self.width))
        y = ops.roll(y, shift=[-self.shift, -self.shift], axis=[1, 2]) if self.shift else y
        y = self.attend(self._cut(y), mask=self.mask)
        y = ops.reshape(y, (-1, count, count, self.window, self.window, self.width))
        y = ops.reshape(ops.transpose(y, (0, 1, 3, 2, 4, 5)), (-1, self.side, self.side, self.width))
        y = ops.roll(y, shift=[self.shift, self.shift], axis=[1, 2]) if self.shift else y
        x = x + ops.reshape(y, (-1, self.side**2, self.width))
        return x + self.ffn(self.second(x))

    def get_config(self):
        return {**super().get_config(), "side": self.side, "width": self.width, "window": self.window,
                "shift": self.shift}  # fmt: skip


@net(GROUP)
def swin_from_scratch():
    inputs = keras.Input((32, 32, 3))
    x = layers.Reshape((64, 16))(layers.Conv2D(16, 4, 4)(inputs))
    x = ShiftedWindowBlock(8, 16, 4, 0)(x)
    x = ShiftedWindowBlock(8, 16, 4, 2)(x)
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x)), images(32, 32)


class SequencePooling(layers.Layer):
    """A mean over the sequence, weighted by a softmax of its own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.score = layers.Dense(1)

    def build(self, shape):
        self.score.build(shape)

    def call(self, x):
        weights = ops.transpose(ops.softmax(self.score(x), axis=1), (0, 2, 1))
        return ops.squeeze(ops.matmul(weights, x), -2)


class StochasticDepth(layers.Layer):
    """A branch dropped for whole samples in training."""

    def __init__(self, rate: float, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate
        self.seed = keras.random.SeedGenerator(0)

    def call(self, x, training=False):
        if not training:
            return x
        keep = 1 - self.rate
        shape = (ops.shape(x)[0],) + (1,) * (len(x.shape) - 1)
        return x / keep * ops.floor(keep + keras.random.uniform(shape, 0, 1, seed=self.seed))

    def get_config(self):
        return {**super().get_config(), "rate": self.rate}


@net(GROUP)
def compact_convolutional_transformer():
    inputs = keras.Input((32, 32, 3))
    x = inputs
    for width in (8, 16):
        x = layers.Conv2D(width, 3, padding="valid", use_bias=False, activation="relu")(layers.ZeroPadding2D(1)(x))
        x = layers.MaxPooling2D(3, 2, "same")(x)
    x = layers.Reshape((64, 16))(x)
    for rate in (0.0, 0.1):
        y = layers.LayerNormalization(epsilon=1e-5)(x)
        x = layers.Add()([StochasticDepth(rate)(layers.MultiHeadAttention(2, 16, dropout=0.1)(y, y)), x])
        y = mlp(layers.LayerNormalization(epsilon=1e-5)(x), [16, 16])
        x = layers.Add()([StochasticDepth(rate)(y), x])
    x = SequencePooling()(layers.LayerNormalization(epsilon=1e-5)(x))
    return keras.Model(inputs, layers.Dense(10)(x)), images(32, 32)


@net(GROUP)
def conv_mixer():
    def activated(x):
        return layers.BatchNormalization()(layers.Activation("gelu")(x))

    inputs = keras.Input((32, 32, 3))
    x = activated(layers.Conv2D(16, 2, 2)(layers.Rescaling(1 / 255)(inputs)))
    for _ in range(3):
        x = layers.Add()([activated(layers.DepthwiseConv2D(5, padding="same")(x)), x])
        x = activated(layers.Conv2D(16, 1)(x))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x)), images(32, 32, high=255.0)


def _external_attention(x, width, heads, memory=8):
    count = x.shape[1]
    x = layers.Reshape((count, heads, width // heads))(layers.Dense(width)(x))
    x = ops.transpose(x, (0, 2, 1, 3))
    scores = layers.Softmax(axis=2)(layers.Dense(memory)(x))
    scores = scores / (1e-9 + ops.sum(scores, axis=-1, keepdims=True))
    x = ops.transpose(layers.Dense(width // heads)(scores), (0, 2, 1, 3))
    return layers.Dense(width)(layers.Reshape((count, width))(x))


@net(GROUP)
def external_attention():
    inputs = keras.Input((32, 32, 3))
    x = PatchEncoder(16, 16)(Patches(8)(inputs))
    for _ in range(2):
        x = x + _external_attention(layers.LayerNormalization()(x), 16, 2)
        x = x + mlp(layers.LayerNormalization()(x), [16, 16])
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling1D()(x))), images(32, 32)


class Latents(layers.Layer):
    """A learned array as long as the batch, from which a perceiver asks."""

    def __init__(self, count: int, width: int, **kwargs):
        super().__init__(**kwargs)
        self.count, self.width = count, width

    def build(self, shape):
        self.array = self.add_weight(shape=(self.count, self.width), initializer="random_normal", name="array")

    def call(self, x):
        return ops.broadcast_to(self.array[None], (ops.shape(x)[0], self.count, self.width))

    def get_config(self):
        return {**super().get_config(), "count": self.count, "width": self.width}


@net(GROUP)
def perceiver():
    """Cross-attention from latents to patches, then a transformer over latents, both used twice."""
    inputs = keras.Input((32, 32, 3))
    patches = PatchEncoder(16, 16)(Patches(8)(inputs))
    cross, own = layers.MultiHeadAttention(1, 16), layers.MultiHeadAttention(2, 8)
    cross_norm, own_norm, dense = layers.LayerNormalization(), layers.LayerNormalization(), layers.Dense(16, "gelu")
    x = Latents(8, 16)(patches)
    for _ in range(2):
        x = x + cross(cross_norm(x), patches)
        x = x + own(own_norm(x), own_norm(x))
        x = x + dense(x)
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling1D()(x))), images(32, 32)


@net(GROUP)
def mobile_vit_block():
    """Convolutions, patches unfolded, a transformer over them, folded again."""
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(16, 3, 2, padding="same", activation="swish")(inputs)
    local = layers.Conv2D(16, 3, padding="same", activation="swish")(x)
    y = layers.Reshape((4, 64, 16))(layers.Conv2D(16, 1)(local))
    for _ in range(2):
        z = layers.LayerNormalization()(y)
        y = layers.Add()([layers.MultiHeadAttention(2, 16)(z, z), y])
        y = layers.Add()([mlp(layers.LayerNormalization()(y), [32, 16]), y])
    y = layers.Conv2D(16, 1, activation="swish")(layers.Reshape((16, 16, 16))(y))
    y = layers.Conv2D(16, 3, padding="same", activation="swish")(layers.Concatenate()([x, y]))
    return keras.Model(inputs, layers.Dense(5)(layers.GlobalAveragePooling2D()(y))), images(32, 32)
