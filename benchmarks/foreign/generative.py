"""Generators, discriminators, autoencoders and diffusion nets after the structure of public tutorials."""

import math

import keras
import numpy as np
from keras import layers, ops

from .nets import images, integers, net, normal, uniform

GROUP = "tutorial, generative"


@net(GROUP)
def denoising_autoencoder():
    inputs = keras.Input((28, 28, 1))
    x = inputs
    for _ in range(2):
        x = layers.MaxPooling2D(padding="same")(layers.Conv2D(16, 3, activation="relu", padding="same")(x))
    for _ in range(2):
        x = layers.Conv2DTranspose(16, 3, strides=2, activation="relu", padding="same")(x)
    return keras.Model(inputs, layers.Conv2D(1, 3, activation="sigmoid", padding="same")(x)), images(28, 28, 1)


class Sampling(layers.Layer):
    """A latent drawn from its mean and log variance."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(1337)

    def call(self, inputs):
        mean, log_variance = inputs
        batch, width = ops.shape(mean)[0], ops.shape(mean)[1]
        noise = keras.random.normal(shape=(batch, width), seed=self.seed_generator)
        return mean + ops.exp(0.5 * log_variance) * noise


@net(GROUP)
def vae_encoder():
    """Its third output is drawn at random: to be refused in words, or replaced by the mean and said so."""
    inputs = keras.Input((28, 28, 1))
    x = layers.Conv2D(8, 3, activation="relu", strides=2, padding="same")(inputs)
    x = layers.Conv2D(16, 3, activation="relu", strides=2, padding="same")(x)
    x = layers.Dense(16, activation="relu")(layers.Flatten()(x))
    mean, log_variance = layers.Dense(2, name="z_mean")(x), layers.Dense(2, name="z_log_var")(x)
    return keras.Model(inputs, [mean, log_variance, Sampling()([mean, log_variance])]), images(28, 28, 1)


@net(GROUP)
def vae_decoder():
    inputs = keras.Input((2,))
    x = layers.Reshape((7, 7, 16))(layers.Dense(7 * 7 * 16, activation="relu")(inputs))
    x = layers.Conv2DTranspose(16, 3, activation="relu", strides=2, padding="same")(x)
    x = layers.Conv2DTranspose(8, 3, activation="relu", strides=2, padding="same")(x)
    return keras.Model(inputs, layers.Conv2DTranspose(1, 3, activation="sigmoid", padding="same")(x)), normal(2)


class Quantizer(layers.Layer):
    """The nearest of several codes for each place, the gradient passed straight through."""

    def __init__(self, codes: int, width: int, **kwargs):
        super().__init__(**kwargs)
        self.codes, self.width = codes, width

    def build(self, shape):
        self.table = self.add_weight(shape=(self.width, self.codes), initializer="random_uniform", name="table")

    def call(self, x):
        shape = ops.shape(x)
        flat = ops.reshape(x, [-1, self.width])
        distances = (
            ops.sum(flat**2, axis=1, keepdims=True) + ops.sum(self.table**2, axis=0) - 2 * ops.matmul(flat, self.table)
        )
        chosen = ops.one_hot(ops.argmin(distances, axis=1), self.codes)
        found = ops.reshape(ops.matmul(chosen, ops.transpose(self.table)), shape)
        return x + ops.stop_gradient(found - x)

    def get_config(self):
        return {**super().get_config(), "codes": self.codes, "width": self.width}


@net(GROUP)
def vq_vae():
    inputs = keras.Input((28, 28, 1))
    x = layers.Conv2D(8, 3, activation="relu", strides=2, padding="same")(inputs)
    x = layers.Conv2D(4, 1, padding="same")(layers.Conv2D(16, 3, activation="relu", strides=2, padding="same")(x))
    x = Quantizer(8, 4)(x)
    x = layers.Conv2DTranspose(16, 3, activation="relu", strides=2, padding="same")(x)
    x = layers.Conv2DTranspose(8, 3, activation="relu", strides=2, padding="same")(x)
    return keras.Model(inputs, layers.Conv2DTranspose(1, 3, padding="same")(x)), images(28, 28, 1)


@net(GROUP)
def dcgan_discriminator():
    model = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Conv2D(16, 4, strides=2, padding="same"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Conv2D(32, 4, strides=2, padding="same"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Flatten(),
            layers.Dropout(0.2),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    return model, images(32, 32)


@net(GROUP)
def dcgan_generator():
    model = keras.Sequential(
        [
            keras.Input((16,)),
            layers.Dense(8 * 8 * 16),
            layers.Reshape((8, 8, 16)),
            layers.Conv2DTranspose(16, 4, strides=2, padding="same"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Conv2DTranspose(32, 4, strides=2, padding="same"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Conv2D(3, 5, padding="same", activation="sigmoid"),
        ]
    )
    return model, normal(16)


class ReflectionPadding2D(layers.Layer):
    """Borders mirrored by `ops.pad`."""

    def __init__(self, padding=(1, 1), **kwargs):
        super().__init__(**kwargs)
        self.padding = tuple(padding)

    def call(self, x):
        width, height = self.padding
        return ops.pad(x, [[0, 0], [height, height], [width, width], [0, 0]], mode="reflect")

    def get_config(self):
        return {**super().get_config(), "padding": self.padding}


@net(GROUP)
def cyclegan_generator():
    def normed(x, active=True):
        x = layers.GroupNormalization(groups=-1)(x)
        return layers.Activation("relu")(x) if active else x

    inputs = keras.Input((32, 32, 3))
    x = normed(layers.Conv2D(8, 7, use_bias=False)(ReflectionPadding2D((3, 3))(inputs)))
    x = normed(layers.Conv2D(16, 3, 2, padding="same", use_bias=False)(x))
    for _ in range(2):
        y = normed(layers.Conv2D(16, 3, use_bias=False)(ReflectionPadding2D()(x)))
        y = normed(layers.Conv2D(16, 3, use_bias=False)(ReflectionPadding2D()(y)), active=False)
        x = layers.add([x, y])
    x = normed(layers.Conv2DTranspose(8, 3, 2, padding="same", use_bias=False)(x))
    x = layers.Conv2D(3, 7)(ReflectionPadding2D((3, 3))(x))
    return keras.Model(inputs, layers.Activation("tanh")(x)), uniform(32, 32, 3, low=-1.0)


@net(GROUP)
def cyclegan_discriminator():
    inputs = keras.Input((32, 32, 3))
    x = layers.LeakyReLU(0.2)(layers.Conv2D(8, 4, 2, padding="same")(inputs))
    for width, stride in ((16, 2), (32, 1)):
        x = layers.Conv2D(width, 4, stride, padding="same", use_bias=False)(x)
        x = layers.LeakyReLU(0.2)(layers.GroupNormalization(groups=-1)(x))
    return keras.Model(inputs, layers.Conv2D(1, 4, padding="same")(x)), uniform(32, 32, 3, low=-1.0)


@net(GROUP)
def wgan_critic():
    inputs = keras.Input((28, 28, 1))
    x = layers.ZeroPadding2D(2)(inputs)
    for width in (8, 16, 32):
        x = layers.LeakyReLU(0.2)(layers.Conv2D(width, 5, 2, padding="same")(x))
        x = layers.Dropout(0.3)(x)
    return keras.Model(inputs, layers.Dense(1)(layers.Flatten()(x))), uniform(28, 28, 1, low=-1.0)


@net(GROUP)
def wgan_generator():
    inputs = keras.Input((32,))
    x = layers.BatchNormalization()(layers.Dense(4 * 4 * 16, use_bias=False)(inputs))
    x = layers.Reshape((4, 4, 16))(layers.LeakyReLU(0.2)(x))
    for width in (16, 8, 1):
        x = layers.Conv2D(width, 3, padding="same", use_bias=False)(layers.UpSampling2D(2)(x))
        x = layers.BatchNormalization()(x)
        x = layers.LeakyReLU(0.2)(x) if width > 1 else layers.Activation("tanh")(x)
    return keras.Model(inputs, layers.Cropping2D(2)(x)), normal(32)


@net(GROUP)
def conditional_gan_generator():
    """Noise and a one-hot class joined before the first layer."""
    noise, label = keras.Input((16,), name="noise"), keras.Input((10,), name="label")
    x = layers.LeakyReLU(negative_slope=0.2)(layers.Dense(7 * 7 * 26)(layers.Concatenate()([noise, label])))
    x = layers.Reshape((7, 7, 26))(x)
    for _ in range(2):
        x = layers.LeakyReLU(negative_slope=0.2)(layers.Conv2DTranspose(16, 4, strides=2, padding="same")(x))
    return keras.Model([noise, label], layers.Conv2D(1, 7, padding="same", activation="sigmoid")(x)), {
        "noise": normal(16),
        "label": np.eye(10, dtype="float32")[integers(top=10)],
    }


@net(GROUP)
def conditional_gan_discriminator():
    """A class as images of one value, joined to the channels."""
    image, label = keras.Input((28, 28, 1), name="image"), keras.Input((10,), name="label")
    planes = ops.repeat(label[:, :, None, None], 28 * 28)
    planes = ops.reshape(planes, (-1, 28, 28, 10))
    x = layers.Concatenate()([image, planes])
    for _ in range(2):
        x = layers.LeakyReLU(negative_slope=0.2)(layers.Conv2D(16, 3, strides=2, padding="same")(x))
    return keras.Model([image, label], layers.Dense(1)(layers.GlobalMaxPooling2D()(x))), {
        "image": images(28, 28, 1),
        "label": np.eye(10, dtype="float32")[integers(top=10)],
    }


class AdaptiveInstanceNorm(layers.Layer):
    """A map's own mean and deviation replaced by those of a style."""

    def build(self, shapes):
        channels = shapes[0][-1]
        self.scale, self.shift = layers.Dense(channels), layers.Dense(channels)
        self.scale.build(shapes[1])
        self.shift.build(shapes[1])

    def call(self, inputs):
        x, style = inputs
        mean, variance = ops.moments(x, axes=[1, 2], keepdims=True)
        scale = ops.reshape(self.scale(style), (-1, 1, 1, x.shape[-1])) + 1.0
        return scale * (x - mean) / ops.sqrt(variance + 1e-5) + ops.reshape(self.shift(style), (-1, 1, 1, x.shape[-1]))


@net(GROUP)
def stylegan_synthesis():
    """A learned constant as long as the batch, styles by a mapping net, noise as inputs."""

    class Start(layers.Layer):
        def build(self, shape):
            self.start = self.add_weight(shape=(1, 4, 4, 16), initializer="ones", name="start")

        def call(self, style):
            return ops.repeat(self.start, ops.shape(style)[0], axis=0)

    latent, noise = keras.Input((16,), name="latent"), keras.Input((8, 8, 1), name="noise")
    style = latent / ops.sqrt(ops.mean(ops.square(latent), axis=-1, keepdims=True) + 1e-8)
    for _ in range(2):
        style = layers.LeakyReLU(0.2)(layers.Dense(16)(style))
    x = AdaptiveInstanceNorm()([layers.LeakyReLU(0.2)(Start()(style)), style])
    x = layers.Conv2D(16, 3, padding="same")(layers.UpSampling2D()(x)) + layers.Dense(16, use_bias=False)(noise)
    x = AdaptiveInstanceNorm()([layers.LeakyReLU(0.2)(x), style])
    return keras.Model([latent, noise], layers.Conv2D(3, 1)(x)), {"latent": normal(16), "noise": normal(8, 8, 1)}


@net(GROUP)
def gaugan_spade():
    """A mask resized to each map modulates its normalized values."""
    mask, latent = keras.Input((16, 16, 4), name="mask"), keras.Input((16,), name="latent")
    x = layers.Reshape((4, 4, 8))(layers.Dense(128)(latent))
    for size in (4, 8, 16):
        small = layers.Conv2D(8, 3, padding="same", activation="relu")(ops.image.resize(mask, (size, size), "nearest"))
        gamma, beta = (layers.Conv2D(8, 3, padding="same")(small) for _ in range(2))
        mean, variance = ops.moments(x, axes=(1, 2), keepdims=True)
        x = gamma * ((x - mean) / ops.sqrt(variance + 1e-5)) + beta
        x = layers.Conv2D(8, 3, padding="same")(layers.LeakyReLU(0.2)(x))
        x = layers.UpSampling2D()(x) if size < 16 else x
    return keras.Model([mask, latent], layers.Conv2D(3, 4, padding="same", activation="tanh")(x)), {
        "mask": np.eye(4, dtype="float32")[integers(16, 16, top=4)],
        "latent": normal(16),
    }


def sinusoidal(x, width=16):
    """Sines and cosines of a number at logarithmic frequencies."""
    frequencies = ops.exp(ops.linspace(ops.log(1.0), ops.log(1000.0), width // 2))
    angles = ops.cast(2.0 * math.pi * frequencies, "float32")
    return ops.concatenate([ops.sin(angles * x), ops.cos(angles * x)], axis=3)


def _diffusion(embed):
    """DDIM: residual blocks down and up with skips, the noise's level as maps."""

    def residual(x, width):
        short = x if x.shape[3] == width else layers.Conv2D(width, 1)(x)
        x = layers.BatchNormalization(center=False, scale=False)(x)
        x = layers.Conv2D(width, 3, padding="same", activation="swish")(x)
        return layers.Add()([layers.Conv2D(width, 3, padding="same")(x), short])

    noisy = keras.Input((16, 16, 3), name="noisy")
    level = keras.Input((1, 1, 1), name="level")
    e = layers.UpSampling2D(16, interpolation="nearest")(embed(level))
    x, skips = layers.Concatenate()([layers.Conv2D(8, 1)(noisy), e]), []
    for width in (8, 16):
        x = residual(x, width)
        skips.append(x)
        x = layers.AveragePooling2D(2)(x)
    x = residual(x, 16)
    for width in (16, 8):
        x = layers.Concatenate()([layers.UpSampling2D(2, interpolation="bilinear")(x), skips.pop()])
        x = residual(x, width)
    return keras.Model([noisy, level], layers.Conv2D(3, 1)(x)), [normal(16, 16, 3), uniform(1, 1, 1)]


@net(GROUP)
def ddim_unet():
    return _diffusion(layers.Lambda(sinusoidal, output_shape=(1, 1, 16)))


@net(GROUP)
def ddim_unet_low_frequencies():
    """The same with frequencies that eight bits of a level can hold."""

    def embed(level):
        angles = level * np.array([1.0, 2.0, 4.0], "float32")
        return ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=3)

    return _diffusion(embed)


class TimeEmbedding(layers.Layer):
    """Steps of a diffusion as sinusoids, from integers."""

    def __init__(self, width: int, **kwargs):
        super().__init__(**kwargs)
        self.width, self.half = width, width // 2
        self.rate = math.log(10000) / (self.half - 1)

    def call(self, steps):
        steps = ops.cast(steps, "float32")
        angles = steps[:, None] * ops.exp(ops.arange(self.half, dtype="float32") * -self.rate)[None, :]
        return ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=-1)

    def get_config(self):
        return {**super().get_config(), "width": self.width}


class SpatialAttention(layers.Layer):
    """Attention over all places of a map by einsum with capitals and blanks."""

    def __init__(self, units: int, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.norm = layers.GroupNormalization(groups=4)
        self.query, self.key, self.value, self.project = (layers.Dense(units) for _ in range(4))

    def call(self, x):
        batch, height, width = ops.shape(x)[0], ops.shape(x)[1], ops.shape(x)[2]
        y = self.norm(x)
        q, k, v = self.query(y), self.key(y), self.value(y)
        scores = ops.einsum("bhwc, bHWc->bhwHW", q, k) * self.units**-0.5
        scores = ops.softmax(ops.reshape(scores, [batch, height, width, height * width]), -1)
        scores = ops.reshape(scores, [batch, height, width, height, width])
        return x + self.project(ops.einsum("bhwHW,bHWc->bhwc", scores, v))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@net(GROUP)
def ddpm_unet():
    """Steps as integers, swish, group norms, attention at the smallest map."""

    def residual(x, t, width):
        short = layers.Conv2D(width, 1)(x)
        shift = layers.Dense(width)(keras.activations.swish(t))[:, None, None, :]
        x = layers.Conv2D(width, 3, padding="same")(keras.activations.swish(layers.GroupNormalization(groups=4)(x)))
        x = layers.Add()([x, shift])
        x = layers.Conv2D(width, 3, padding="same")(keras.activations.swish(layers.GroupNormalization(groups=4)(x)))
        return layers.Add()([x, short])

    noisy, step = keras.Input((16, 16, 3), name="noisy"), keras.Input((), dtype="int64", name="step")
    t = layers.Dense(16)(layers.Dense(16, activation="swish")(TimeEmbedding(16)(step)))
    x = residual(layers.Conv2D(8, 3, padding="same")(noisy), t, 8)
    small = layers.Conv2D(16, 3, 2, padding="same")(x)
    small = residual(SpatialAttention(16)(residual(small, t, 16)), t, 16)
    x = layers.Concatenate()([layers.Conv2D(8, 3, padding="same")(layers.UpSampling2D(2)(small)), x])
    return keras.Model([noisy, step], layers.Conv2D(3, 3, padding="same")(residual(x, t, 8))), [
        normal(16, 16, 3),
        integers(top=1000).astype("int64"),
    ]


@net(GROUP)
def nerf():
    """Coordinates encoded by sines and cosines of rising frequency, a skip after some layers."""
    inputs = keras.Input((32, 3))
    encoded = [inputs]
    for power in range(4):
        encoded += [ops.sin(2.0**power * inputs), ops.cos(2.0**power * inputs)]
    x = first = ops.concatenate(encoded, axis=-1)
    for index in range(4):
        x = layers.Dense(32, activation="relu")(x)
        x = ops.concatenate([x, first], axis=-1) if index == 2 else x
    return keras.Model(inputs, layers.Dense(4)(x)), uniform(32, 3, low=-1.0)


@net(GROUP)
def pixel_cnn():
    """Kernels masked by a constant, residual blocks of them."""

    class Masked(layers.Layer):
        def __init__(self, kind, filters, size, **kwargs):
            super().__init__(**kwargs)
            self.op_type, self.filters, self.size = kind, filters, size
            self.conv = layers.Conv2D(filters, size, padding="same", activation="relu")

        def build(self, shape):
            self.conv.build(shape)
            mask = np.zeros((self.size, self.size, 1, 1), "float32")
            middle = self.size // 2
            mask[:middle], mask[middle, :middle] = 1.0, 1.0
            mask[middle, middle] = float(self.op_type == "B")
            self.mask = mask

        def call(self, x):
            kernel = self.conv.kernel * self.mask
            return ops.relu(ops.conv(x, kernel, padding="same") + self.conv.bias)

        def get_config(self):
            return {**super().get_config(), "kind": self.op_type, "filters": self.filters, "size": self.size}

    inputs = keras.Input((16, 16, 1))
    x = Masked("A", 8, 7)(inputs)
    for _ in range(2):
        y = Masked("B", 8, 3)(layers.ReLU()(layers.Conv2D(8, 1)(x)))
        x = layers.add([x, layers.Conv2D(8, 1)(y)])
    return keras.Model(inputs, layers.Conv2D(1, 1, activation="sigmoid")(x)), images(16, 16, 1)


@net(GROUP)
def real_nvp_coupling():
    """Masked affine couplings: exponents and products."""
    inputs = keras.Input((2,))
    x, total = inputs, 0.0
    for index in range(4):
        mask = np.array([index % 2, 1 - index % 2], "float32")
        kept = x * mask
        s = layers.Dense(2, activation="tanh")(layers.Dense(16, activation="relu")(kept)) * (1 - mask)
        t = layers.Dense(2)(layers.Dense(16, activation="relu")(kept)) * (1 - mask)
        x = (x * ops.exp(s) + t) * (1 - mask) + kept
        total = total + ops.sum(s, axis=1)
    return keras.Model(inputs, [x, total]), normal(2)


@net(GROUP)
def neural_style_features():
    """Gram matrices of a frozen backbone's maps."""
    inputs = keras.Input((32, 32, 3))
    x, grams = inputs, []
    for width in (8, 16):
        x = layers.Conv2D(width, 3, padding="same", activation="relu")(x)
        flat = ops.reshape(x, (-1, x.shape[1] * x.shape[2], width))
        grams.append(ops.matmul(ops.transpose(flat, (0, 2, 1)), flat) / (x.shape[1] * x.shape[2]))
        x = layers.AveragePooling2D(2)(x)
    return keras.Model(inputs, grams), images(32, 32)


@net(GROUP)
def adain_transfer():
    """The content's maps with the style's moments, decoded."""
    content, style = keras.Input((24, 24, 3), name="content"), keras.Input((24, 24, 3), name="style")
    encoder = keras.Sequential(
        [keras.Input((24, 24, 3)), layers.Conv2D(8, 3, 2, padding="same", activation="relu"),
         layers.Conv2D(16, 3, padding="same", activation="relu")]
    )  # fmt: skip
    a, b = encoder(content), encoder(style)

    def statistics(x):
        mean = ops.mean(x, axis=(1, 2), keepdims=True)
        return mean, ops.sqrt(ops.var(x, axis=(1, 2), keepdims=True) + 1e-5)

    (mean_a, deviation_a), (mean_b, deviation_b) = statistics(a), statistics(b)
    x = deviation_b * (a - mean_a) / deviation_a + mean_b
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(layers.UpSampling2D()(x))
    return keras.Model([content, style], layers.Conv2D(3, 3, padding="same")(x)), {
        "content": images(24, 24),
        "style": images(24, 24, seed=1),
    }
