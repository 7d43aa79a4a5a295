"""Nets for images after the structure of public tutorials, in small sizes."""

import keras
from keras import layers, ops

from .nets import images, net, normal

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


@net(GROUP)
def unet_pets():
    """Segmentation with separable convolutions, strided residuals, transposed convolutions and upsampling."""
    inputs = keras.Input((32, 32, 3))
    x = layers.Activation("relu")(layers.BatchNormalization()(layers.Conv2D(8, 3, strides=2, padding="same")(inputs)))
    before = x
    for width in (16, 32):
        for _ in range(2):
            x = layers.SeparableConv2D(width, 3, padding="same")(layers.Activation("relu")(x))
            x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        x = before = layers.add([x, layers.Conv2D(width, 1, strides=2, padding="same")(before)])
    for width in (32, 16, 8):
        for _ in range(2):
            x = layers.Conv2DTranspose(width, 3, padding="same")(layers.Activation("relu")(x))
            x = layers.BatchNormalization()(x)
        x = layers.UpSampling2D(2)(x)
        residual = layers.Conv2D(width, 1, padding="same")(layers.UpSampling2D(2)(before))
        x = before = layers.add([x, residual])
    return keras.Model(inputs, layers.Conv2D(3, 3, activation="softmax", padding="same")(x)), images(32, 32)


@net(GROUP)
def unet_with_skips():
    inputs = keras.Input((32, 32, 1))
    skips, x = [], inputs
    for width in (8, 16):
        x = layers.Conv2D(width, 3, padding="same", activation="relu")(x)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Conv2D(32, 3, padding="same", activation="relu")(x)
    for width in (16, 8):
        x = layers.Conv2DTranspose(width, 2, 2)(x)
        x = layers.concatenate([x, skips.pop()])
        x = layers.Conv2D(width, 3, padding="same", activation="relu")(layers.Dropout(0.3)(x))
    return keras.Model(inputs, layers.Conv2D(1, 1, activation="sigmoid")(x)), images(32, 32, 1)


@net(GROUP)
def deeplab_v3_plus():
    """Atrous pyramid with a pooled branch brought back to size, low-level features, two bilinear resizings."""

    def block(x, width=16, size=3, rate=1):
        x = layers.Conv2D(width, size, dilation_rate=rate, padding="same", use_bias=False)(x)
        return ops.nn.relu(layers.BatchNormalization()(x))

    inputs = keras.Input((64, 64, 3))
    low = block(layers.Conv2D(8, 3, strides=4, padding="same")(inputs))
    high = block(layers.Conv2D(16, 3, strides=4, padding="same")(low))
    pooled = block(layers.AveragePooling2D(pool_size=(high.shape[-3], high.shape[-2]))(high), size=1)
    pooled = layers.UpSampling2D(high.shape[1:3], interpolation="bilinear")(pooled)
    x = layers.Concatenate()([pooled, *(block(high, rate=rate) for rate in (1, 2, 3))])
    x = layers.UpSampling2D(4, interpolation="bilinear")(block(x, size=1))
    x = block(block(layers.Concatenate()([x, block(low, width=8, size=1)])))
    x = layers.UpSampling2D(4, interpolation="bilinear")(x)
    return keras.Model(inputs, layers.Conv2D(4, 1)(x)), images(64, 64)


@net(GROUP)
def fully_convolutional():
    """FCN-8: pooled stages of a backbone are scored, enlarged and added."""
    inputs = keras.Input((64, 64, 3))
    x, stages = inputs, []
    for width in (8, 8, 16, 16, 16):
        x = layers.MaxPooling2D()(layers.Conv2D(width, 3, padding="same", activation="relu")(x))
        stages.append(x)
    scores = [layers.Conv2D(4, 1, padding="same")(stage) for stage in stages[-3:]]
    x = layers.UpSampling2D(2, interpolation="bilinear")(scores[2])
    x = layers.UpSampling2D(2, interpolation="bilinear")(layers.Add()([x, scores[1]]))
    x = layers.UpSampling2D(8, interpolation="bilinear")(layers.Add()([x, scores[0]]))
    return keras.Model(inputs, layers.Activation("softmax")(x)), images(64, 64)


class DepthToSpace(layers.Layer):
    """Sub-pixel shuffle by reshape and transpose."""

    def __init__(self, block: int, **kwargs):
        super().__init__(**kwargs)
        self.block = block

    def call(self, x):
        batch, height, width, depth = ops.shape(x)
        rest = depth // self.block**2
        x = ops.reshape(x, [batch, height, width, self.block, self.block, rest])
        x = ops.transpose(x, [0, 1, 3, 2, 4, 5])
        return ops.reshape(x, [batch, height * self.block, width * self.block, rest])

    def get_config(self):
        return {**super().get_config(), "block": self.block}


@net(GROUP)
def super_resolution():
    """Sizes of image left open, as the tutorial has them."""
    inputs = keras.Input((None, None, 1))
    x = inputs
    for width in (16, 16, 8):
        x = layers.Conv2D(width, 3, activation="relu", padding="same")(x)
    return keras.Model(inputs, DepthToSpace(3)(layers.Conv2D(9, 3, padding="same", activation="relu")(x))), images(
        20, 20, 1
    )


@net(GROUP)
def enhanced_deep_super_resolution():
    inputs = keras.Input((16, 16, 3))
    x = first = layers.Conv2D(16, 3, padding="same")(layers.Rescaling(1 / 255)(inputs))
    for _ in range(3):
        y = layers.Conv2D(16, 3, padding="same")(layers.Conv2D(16, 3, padding="same", activation="relu")(x))
        x = layers.Add()([x, y])
    x = layers.Add()([first, layers.Conv2D(16, 3, padding="same")(x)])
    x = DepthToSpace(2)(layers.Conv2D(64, 3, padding="same")(x))
    x = layers.Conv2D(3, 3, padding="same")(x)
    return keras.Model(inputs, layers.Rescaling(255.0)(x)), images(16, 16, high=255.0)


@net(GROUP)
def zero_dce():
    """Low light: curves of eight iterations, applied inside the model."""
    inputs = keras.Input((24, 24, 3))
    a = layers.Conv2D(8, 3, activation="relu", padding="same")(inputs)
    b = layers.Conv2D(8, 3, activation="relu", padding="same")(a)
    c = layers.Conv2D(8, 3, activation="relu", padding="same")(b)
    d = layers.Conv2D(8, 3, activation="relu", padding="same")(layers.Concatenate()([b, c]))
    curves = layers.Conv2D(24, 3, activation="tanh", padding="same")(layers.Concatenate()([a, d]))
    x = inputs
    for index in range(8):
        r = curves[:, :, :, 3 * index : 3 * index + 3]
        x = x + r * (ops.square(x) - x)
    return keras.Model(inputs, x), images(24, 24)


@net(GROUP)
def mirnet_selective_fusion():
    """Branches of three sizes weighed by a softmax over stacked channel descriptors."""
    inputs = keras.Input((16, 16, 3))
    branches = [layers.Conv2D(8, size, padding="same", activation="relu")(inputs) for size in (1, 3, 5)]
    pooled = layers.GlobalAveragePooling2D(keepdims=True)(layers.Add()(branches))
    narrow = layers.Conv2D(4, 1, activation="relu")(pooled)
    weights = ops.softmax(ops.stack([layers.Conv2D(8, 1)(narrow) for _ in branches], axis=1), axis=1)
    x = layers.Add()([branch * weights[:, index] for index, branch in enumerate(branches)])
    return keras.Model(inputs, layers.Conv2D(3, 3, padding="same")(x) + inputs), images(16, 16)


@net(GROUP)
def convolutional_block_attention():
    """Channel and spatial attention: means and maxima, a shared perceptron, sigmoids."""
    inputs = keras.Input((24, 24, 3))
    x = layers.Conv2D(16, 3, padding="same", activation="relu")(inputs)
    shared = keras.Sequential([layers.Dense(4, activation="relu"), layers.Dense(16)])
    channel = shared(layers.GlobalAveragePooling2D()(x)) + shared(layers.GlobalMaxPooling2D()(x))
    x = x * ops.sigmoid(channel)[:, None, None, :]
    maps = ops.concatenate([ops.mean(x, -1, keepdims=True), ops.max(x, -1, keepdims=True)], axis=-1)
    x = x * layers.Conv2D(1, 7, padding="same", activation="sigmoid")(maps)
    return keras.Model(inputs, layers.Dense(5)(layers.GlobalMaxPooling2D()(x))), images(24, 24)


def _embedder(size=24):
    return keras.Sequential(
        [
            keras.Input((size, size, 3)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.BatchNormalization(),
            layers.Conv2D(16, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(16),
        ],
        name="embedder",
    )


@net(GROUP)
def siamese_contrastive():
    """A tower used twice, a Euclidean distance by Lambda, one sigmoid."""
    left, right, tower = keras.Input((24, 24, 3)), keras.Input((24, 24, 3)), _embedder()

    def distance(pair):
        squares = ops.sum(ops.square(pair[0] - pair[1]), axis=1, keepdims=True)
        return ops.sqrt(ops.maximum(squares, keras.backend.epsilon()))

    merged = layers.Lambda(distance, output_shape=(1,))([tower(left), tower(right)])
    out = layers.Dense(1, activation="sigmoid")(layers.BatchNormalization()(merged))
    return keras.Model([left, right], out), [images(24, 24), images(24, 24, seed=1)]


class Distances(layers.Layer):
    """Squared distances of the anchor to the positive and to the negative."""

    def call(self, anchor, positive, negative):
        return tuple(ops.sum(ops.square(anchor - other), -1) for other in (positive, negative))


@net(GROUP)
def siamese_triplet():
    inputs = [keras.Input((24, 24, 3), name=name) for name in ("anchor", "positive", "negative")]
    tower = _embedder()
    return keras.Model(inputs, Distances()(*map(tower, inputs))), [images(24, 24, seed=seed) for seed in range(3)]


@net(GROUP)
def supervised_contrastive():
    """An encoder inside, a projection head with unit norm."""
    inputs = keras.Input((24, 24, 3))
    x = layers.Dense(16, activation="relu")(_embedder()(inputs))
    return keras.Model(inputs, layers.UnitNormalization()(layers.Dense(8)(x))), images(24, 24)


@net(GROUP)
def metric_learning_similarity():
    """Anchors against positives of the same call, a Gram matrix of one sample's parts."""
    inputs = keras.Input((4, 24, 24, 3))
    x = layers.TimeDistributed(_embedder())(inputs)
    x = ops.nn.normalize(x, axis=-1) if hasattr(ops.nn, "normalize") else ops.normalize(x, axis=-1)
    similar = ops.einsum("bae,bpe->bap", x, x) / 0.2
    import numpy as np

    return keras.Model(inputs, similar), np.stack([images(24, 24, seed=seed) for seed in range(4)], 1)


@net(GROUP)
def ocr_captcha_ctc():
    """Convolutions, columns as steps, two bidirectional LSTMs, characters with a blank."""
    inputs = keras.Input((48, 16, 1))  # (width, height)
    x = inputs
    for width in (8, 16):
        x = layers.MaxPooling2D()(layers.Conv2D(width, 3, activation="relu", padding="same")(x))
    x = layers.Dense(16, activation="relu")(layers.Reshape((12, 64))(x))
    for units in (16, 8):
        x = layers.Bidirectional(layers.LSTM(units, return_sequences=True, dropout=0.25))(x)
    return keras.Model(inputs, layers.Dense(12, activation="softmax")(x)), images(48, 16, 1)


@net(GROUP)
def crnn_handwriting():
    inputs = keras.Input((16, 64, 1))
    x = inputs
    for width, pool in ((8, (2, 2)), (16, (2, 2)), (16, (2, 1))):
        x = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
        x = layers.MaxPooling2D(pool)(layers.LeakyReLU(0.01)(layers.BatchNormalization()(x)))
    x = layers.Reshape((16, 32))(layers.Permute((2, 1, 3))(x))
    x = layers.Bidirectional(layers.GRU(16, return_sequences=True))(x)
    return keras.Model(inputs, layers.Dense(20)(x)), images(16, 64, 1)


@net(GROUP)
def retinanet_head_shared():
    """A feature pyramid, one head on all of its levels, boxes and classes joined."""

    def head(outputs, name):
        return keras.Sequential(
            [
                keras.Input((None, None, 16)),
                layers.Conv2D(16, 3, padding="same"),
                layers.ReLU(),
                layers.Conv2D(outputs, 3, padding="same"),
            ],
            name=name,
        )

    inputs = keras.Input((64, 64, 3))
    c3 = layers.Conv2D(16, 3, 8, padding="same", activation="relu")(inputs)
    c4 = layers.Conv2D(16, 3, 2, padding="same", activation="relu")(c3)
    c5 = layers.Conv2D(16, 3, 2, padding="same", activation="relu")(c4)
    p5 = layers.Conv2D(16, 1)(c5)
    p4 = layers.Conv2D(16, 1)(c4) + layers.UpSampling2D()(p5)
    p3 = layers.Conv2D(16, 1)(c3) + layers.UpSampling2D()(p4)
    levels = [layers.Conv2D(16, 3, padding="same")(p) for p in (p3, p4, p5)]
    classes, boxes = head(6, "classes"), head(8, "boxes")
    outputs = [
        layers.Concatenate(axis=1)([layers.Reshape((-1, last))(part(level)) for level in levels])
        for part, last in ((classes, 3), (boxes, 4))
    ]
    return keras.Model(inputs, outputs), images(64, 64)


@net(GROUP)
def bifpn():
    """Weighted fusion: learned weights, relu, divided by their sum."""

    class Fuse(layers.Layer):
        def build(self, shapes):
            self.w = self.add_weight(shape=(len(shapes),), initializer="ones", name="w")

        def call(self, tensors):
            w = ops.relu(self.w)
            w = w / (ops.sum(w) + 1e-4)
            return ops.silu(sum(w[index] * each for index, each in enumerate(tensors)))

    def conv(x):
        return layers.BatchNormalization()(layers.SeparableConv2D(8, 3, padding="same")(x))

    inputs = keras.Input((32, 32, 3))
    levels = [layers.Conv2D(8, 3, stride, padding="same")(inputs) for stride in (2, 4, 8)]
    for _ in range(2):
        a, b, c = levels
        middle = conv(Fuse()([b, layers.UpSampling2D()(c)]))
        low = conv(Fuse()([a, layers.UpSampling2D()(middle)]))
        middle = conv(Fuse()([b, middle, layers.MaxPooling2D()(low)]))
        levels = [low, middle, conv(Fuse()([c, layers.MaxPooling2D()(middle)]))]
    return keras.Model(inputs, [layers.Conv2D(4, 1)(level) for level in levels]), images(32, 32)


@net(GROUP)
def yolo_decoding():
    """A grid head whose boxes are decoded inside: sigmoid offsets, exponents of sizes, anchors."""
    import numpy as np

    inputs = keras.Input((32, 32, 3))
    x = inputs
    for width in (8, 16, 16):
        x = layers.Conv2D(width, 3, 2, padding="same", use_bias=False)(x)
        x = layers.LeakyReLU(0.1)(layers.BatchNormalization()(x))
    x = layers.Reshape((4, 4, 2, 8))(layers.Conv2D(16, 1)(x))
    grid = np.stack(np.meshgrid(np.arange(4), np.arange(4)), -1).reshape(1, 4, 4, 1, 2).astype("float32")
    anchors = np.array([[1.0, 1.5], [2.0, 1.0]], "float32").reshape(1, 1, 1, 2, 2)
    centres = (ops.sigmoid(x[..., 0:2]) + grid) / 4
    sizes = ops.exp(x[..., 2:4]) * anchors / 4
    return keras.Model(inputs, [centres, sizes, ops.sigmoid(x[..., 4:])]), images(32, 32)


@net(GROUP)
def keypoints():
    """Coordinates by a separable head that ends in a sigmoid."""
    base = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(64, 64, 3), alpha=0.35)
    inputs = keras.Input((64, 64, 3))
    x = layers.Dropout(0.3)(base(keras.applications.mobilenet_v2.preprocess_input(inputs)))
    x = layers.SeparableConv2D(16, 2, strides=1, activation="relu")(x)
    x = layers.SeparableConv2D(48, 1, activation="sigmoid")(x)
    return keras.Model(inputs, x), images(64, 64, high=255.0)


@net(GROUP)
def depth_estimation():
    """Down and up with LeakyReLU, skips by concatenation, tanh at the end."""
    inputs = keras.Input((32, 32, 3))
    x, skips = inputs, []
    for width in (8, 16):
        y = layers.LeakyReLU(0.2)(layers.BatchNormalization()(layers.Conv2D(width, 3, padding="same")(x)))
        y = layers.BatchNormalization()(layers.Conv2D(width, 3, padding="same")(y))
        skips.append(y)
        x = layers.MaxPooling2D()(y)
    x = layers.LeakyReLU(0.2)(layers.Conv2D(32, 3, padding="same")(x))
    for width in (16, 8):
        x = layers.Concatenate()([layers.UpSampling2D(interpolation="bilinear")(x), skips.pop()])
        x = layers.LeakyReLU(0.2)(layers.BatchNormalization()(layers.Conv2D(width, 3, padding="same")(x)))
    return keras.Model(inputs, layers.Conv2D(1, 1, activation="tanh")(x)), images(32, 32)


@net(GROUP)
def involution():
    """Kernels made from the image itself, applied to unfolded patches."""

    class Involution(layers.Layer):
        def __init__(self, channels, size, **kwargs):
            super().__init__(**kwargs)
            self.channels, self.size = channels, size
            self.make = keras.Sequential(
                [layers.Conv2D(4, 1), layers.BatchNormalization(), layers.ReLU(), layers.Conv2D(size * size, 1)]
            )

        def build(self, shape):
            self.make.build(shape)

        def call(self, x):
            _, height, width, channels = x.shape
            kernel = ops.reshape(self.make(x), (-1, height, width, self.size**2, 1, 1))
            patches = ops.image.extract_patches(x, self.size, strides=1, padding="same")
            patches = ops.reshape(patches, (-1, height, width, self.size**2, channels // 1, 1))
            return ops.squeeze(ops.sum(kernel * patches, axis=3), -1)

        def get_config(self):
            return {**super().get_config(), "channels": self.channels, "size": self.size}

    inputs = keras.Input((16, 16, 3))
    x = layers.ReLU()(Involution(3, 3)(inputs))
    x = layers.MaxPooling2D()(x)
    x = layers.ReLU()(Involution(3, 3)(x))
    return keras.Model(inputs, layers.Dense(10)(layers.Flatten()(x))), images(16, 16)


@net(GROUP)
def forward_forward_features():
    """Layers whose inputs are normalized by their own norm."""
    inputs = keras.Input((28, 28))
    x = layers.Flatten()(inputs)
    for width in (32, 32):
        x = x / (ops.norm(x, ord=2, axis=1, keepdims=True) + 1e-4)
        x = layers.Dense(width, activation="relu")(x)
    goodness = ops.mean(ops.power(x, 2), axis=1, keepdims=True)
    return keras.Model(inputs, goodness), images(28, 28, 1)[..., 0]


@net(GROUP)
def spatial_transformer():
    """An affine transform predicted from the image; sampled bilinearly."""
    inputs = keras.Input((24, 24, 1))
    x = layers.MaxPooling2D()(layers.Conv2D(4, 5, activation="relu")(inputs))
    x = layers.Dense(16, activation="tanh")(layers.Flatten()(x))
    theta = layers.Dense(8, kernel_initializer=keras.initializers.RandomNormal(stddev=0.001))(x)
    import numpy as np

    theta = theta * 0.01 + np.array([1, 0, 0, 0, 1, 0, 0, 0], "float32")
    x = ops.image.affine_transform(inputs, theta)
    return keras.Model(inputs, layers.Dense(10)(layers.Flatten()(x))), images(24, 24, 1)


@net(GROUP)
def video_frames_3d():
    """A small 3D convnet for volumes."""
    inputs = keras.Input((8, 16, 16, 1))
    x = inputs
    for width in (8, 16):
        x = layers.Conv3D(width, 3, activation="relu", padding="same")(x)
        x = layers.BatchNormalization()(layers.MaxPooling3D(2)(x))
    x = layers.Dense(16, activation="relu")(layers.GlobalAveragePooling3D()(x))
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(layers.Dropout(0.3)(x))), normal(8, 16, 16, 1)


@net(GROUP)
def video_conv_lstm():
    inputs = keras.Input((4, 12, 12, 1))
    x = layers.BatchNormalization()(layers.ConvLSTM2D(4, 3, padding="same", return_sequences=True)(inputs))
    x = layers.ConvLSTM2D(4, 3, padding="same", return_sequences=True, activation="relu")(x)
    return keras.Model(inputs, layers.Conv3D(1, 3, activation="sigmoid", padding="same")(x)), normal(4, 12, 12, 1)


@net(GROUP)
def video_tubelets():
    """A video transformer: tubelets by a 3D convolution."""
    inputs = keras.Input((8, 16, 16, 1))
    x = layers.Reshape((-1, 16))(layers.Conv3D(16, 8, 8)(inputs))
    x = x + layers.Embedding(4, 16)(ops.arange(4))
    for _ in range(2):
        y = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(2, 8)(y, y)
        x = x + mlp(layers.LayerNormalization()(x), [32, 16])
    return keras.Model(inputs, layers.Dense(4)(layers.GlobalAveragePooling1D()(x))), normal(8, 16, 16, 1)
