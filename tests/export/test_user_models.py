"""Architectures as people write them, by layers and operations of their own: integers throughout, in both formats."""

import edgewright as ew
import keras
import numpy as np
import pytest
from edgewright.devices.measure import answers
from keras import layers, ops

WINDOW, HEADS, WIDTH = 4, 2, 16


@keras.saving.register_keras_serializable("tests")
class WindowAttention(layers.Layer):
    """Attention within windows, with a bias for each relative position. Source: Liu 2021, arXiv:2103.14030."""

    def __init__(self, shifted=False, **kwargs):
        super().__init__(**kwargs)
        self.mask = _strangers() if shifted else None
        self.inner, self.outer = layers.Dense(3 * WIDTH), layers.Dense(WIDTH)

    def build(self, shape):
        self.inner.build(shape)
        self.outer.build(shape)
        place = np.stack(np.meshgrid(*[np.arange(WINDOW)] * 2, indexing="ij")).reshape(2, -1)
        rows, columns = place[:, :, None] - place[:, None] + WINDOW - 1
        self.index = (rows * (2 * WINDOW - 1) + columns).reshape(-1)
        self.table = self.add_weight(shape=((2 * WINDOW - 1) ** 2, HEADS), initializer="random_normal", name="table")

    def call(self, x):
        size = x.shape[1]
        parts = ops.reshape(self.inner(x), (-1, size, 3, HEADS, WIDTH // HEADS))
        query, key, value = (ops.transpose(parts, (2, 0, 3, 1, 4))[index] for index in range(3))
        scores = ops.matmul(query * (WIDTH // HEADS) ** -0.5, ops.swapaxes(key, -1, -2))
        bias = ops.reshape(ops.take(self.table, self.index, axis=0), (size, size, HEADS))
        scores = scores + ops.expand_dims(ops.transpose(bias, (2, 0, 1)), 0)
        if self.mask is not None:
            scores = ops.reshape(scores, (-1, len(self.mask), HEADS, size, size)) + self.mask[None, :, None]
            scores = ops.reshape(scores, (-1, HEADS, size, size))
        seen = ops.matmul(ops.softmax(scores), value)
        return self.outer(ops.reshape(ops.transpose(seen, (0, 2, 1, 3)), (-1, size, WIDTH)))


def _windows(x):
    _, height, width, maps = x.shape
    x = ops.reshape(x, (-1, height // WINDOW, WINDOW, width // WINDOW, WINDOW, maps))
    return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, WINDOW**2, maps))


def _image(windows, side):
    x = ops.reshape(windows, (-1, side // WINDOW, side // WINDOW, WINDOW, WINDOW, WIDTH))
    return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, side, side, WIDTH))


def _strangers():
    """Hide from each other what the shift brought into one window from opposite borders.  Shape: (windows, 16, 16)."""
    part = np.repeat([0, 1, 2], [4, 2, 2])
    parts = (3 * part[:, None] + part).reshape(2, 4, 2, 4).transpose(0, 2, 1, 3).reshape(4, 16)
    return np.where(parts[:, None] != parts[:, :, None], np.float32(-100), np.float32(0))


def shifted_windows():
    """Two Swin blocks: windows, and windows shifted by half of one."""
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(WIDTH, 2, strides=2)(inputs)
    for shift in (0, 2):
        y = ops.roll(layers.LayerNormalization()(x), (-shift, -shift), (1, 2))
        y = _image(WindowAttention(shift > 0)(_windows(y)), 8)
        x = x + ops.roll(y, (shift, shift), (1, 2))
        x = x + layers.Dense(WIDTH)(layers.Dense(24, activation="gelu")(layers.LayerNormalization()(x)))
    return keras.Model(inputs, layers.Dense(5)(layers.GlobalAveragePooling2D()(x)))


def _squash(x):
    power = ops.sum(ops.square(x), axis=-1, keepdims=True)
    return power / (1 + power) * x / ops.sqrt(power + 1e-7)


def capsules():
    """Capsules with two rounds of routing by agreement. Source: Sabour 2017, arXiv:1710.09829."""
    inputs = keras.Input((12, 12, 1))
    x = layers.Conv2D(16, 3, strides=2)(layers.Conv2D(16, 5, activation="relu")(inputs))
    votes = layers.EinsumDense("bni,nijd->bnjd", output_shape=(36, 3, 4))(_squash(ops.reshape(x, (-1, 36, 4))))
    agreement = ops.zeros_like(votes[..., 0])
    for _ in range(2):
        weights = ops.expand_dims(ops.softmax(agreement, axis=-1), -1)
        capsule = _squash(ops.sum(weights * votes, axis=1))
        agreement = agreement + ops.sum(votes * ops.expand_dims(capsule, 1), -1)
    return keras.Model(inputs, ops.norm(capsule, axis=-1))


@keras.saving.register_keras_serializable("tests")
class Codebook(layers.Layer):
    """The nearest of 16 learned vectors for each pixel. Source: van den Oord 2017, arXiv:1711.00937."""

    def build(self, shape):
        self.codes = self.add_weight(shape=(shape[-1], 16), initializer="random_normal", name="codes")

    def call(self, x):
        flat = ops.reshape(x, (-1, x.shape[-1]))
        far = ops.sum(flat**2, axis=1, keepdims=True) + ops.sum(self.codes**2, axis=0) - 2 * flat @ self.codes
        nearest = ops.one_hot(ops.argmin(far, axis=1), 16)
        return ops.reshape(ops.matmul(nearest, ops.transpose(self.codes)), (-1, *x.shape[1:]))


def codebook():
    inputs = keras.Input((8, 8, 1))
    x = Codebook()(layers.Conv2D(4, 3, strides=2, padding="same")(inputs))
    return keras.Model(inputs, layers.Conv2DTranspose(1, 3, strides=2, padding="same")(x))


def unfolded_patches():
    """Attention over patches and their pixels at once. Source: Mehta 2021, MobileViT, arXiv:2110.02178."""
    inputs = keras.Input((8, 8, 8))
    x = layers.Reshape((4, 16, 8))(layers.Conv2D(8, 3, padding="same", activation="swish")(inputs))
    y = layers.LayerNormalization()(x)
    x = layers.Reshape((8, 8, 8))(x + layers.MultiHeadAttention(2, 8)(y, y))
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(layers.Concatenate()([inputs, x]))))


@pytest.mark.parametrize("build", [shifted_windows, capsules, codebook, unfolded_patches])
def test_they_become_integers_and_compute_what_training_saw(build, tmp_path):
    keras.utils.set_random_seed(0)
    model = build()
    x = np.random.default_rng(0).normal(size=(64, *model.input_shape[1:])).astype("float32")
    qat, report = ew.prepare_qat(model, calibration=x)
    assert report.float_ops == ()
    expected, near = qat.predict(x, verbose=0), model.predict(x, verbose=0)
    for kind, export in (("tflite", ew.export_tflite), ("onnx", ew.export_onnx)):
        artifact = export(qat)
        given = answers(artifact.save(tmp_path / f"net.{kind}"), x)
        step = artifact.manifest["outputs"][0]["scale"]
        assert (np.abs(given - expected) < 1.5 * step).mean() >= 0.99
    if build is not codebook:  # which takes another vector where two are as near
        assert np.sqrt(np.mean((expected - near) ** 2)) < 0.15 * near.std()
