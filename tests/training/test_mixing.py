"""Mixed samples: label by share, whatever the loss; patches by whole pixels; the same for the same seed."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.training import augmentations, data
from edgewright.training.config import TrainConfig
from edgewright.training.distillation import Distillation
from edgewright.training.learners.wrapped import Augmented
from edgewright.training.mixing import CutMix, Mixed, MixUp
from edgewright.training.train import train


def constant(*values, shape=(32, 32, 3)):
    return np.stack([np.full(shape, value, np.float32) for value in values])


def as_numpy(values):
    return np.asarray(keras.ops.convert_to_numpy(values))


def test_a_patch_of_16_pixels_in_32_is_a_quarter_of_the_label():
    own, other = constant(1.0, 1.0), constant(0.0, 0.0)
    mixed, share = map(as_numpy, CutMix(1.0, 0).mixed(own, other, np.full(2, 0.75, np.float32)))
    assert share.tolist() == [0.75, 0.75] and mixed.mean((1, 2, 3)).tolist() == [0.75, 0.75]
    for image in mixed[..., 0]:
        rows, columns = np.flatnonzero((image == 0).any(1)), np.flatnonzero((image == 0).any(0))
        assert len(rows) == len(columns) == 16 == np.ptp(rows) + 1 == np.ptp(columns) + 1
        assert (image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] == 0).all()


def test_the_share_of_a_patch_is_that_of_whole_pixels():
    mixed, share = map(as_numpy, CutMix(1.0, 0)(np.eye(64, dtype="float32")[:, :, None, None] * np.ones((1, 1, 7, 64))))
    assert 0.3 < share.mean() < 0.7 and np.all((share >= 0) & (share <= 1))
    np.testing.assert_allclose(share * 64 * 7, np.round(share * 64 * 7), atol=1e-3)
    assert mixed.shape == (64, 64, 7, 64)


def test_mixed_samples_are_weighted_means_with_the_sample_before():
    x = np.arange(4, dtype=np.float32)[:, None]
    mixed, share = map(as_numpy, MixUp(0.2, 0)(x))
    np.testing.assert_allclose(mixed[:, 0], share * x[:, 0] + (1 - share) * np.roll(x[:, 0], 1), atol=1e-6)
    again, other = (as_numpy(MixUp(0.2, seed)(x)[0]) for seed in (0, 1))
    assert np.array_equal(mixed, again) and not np.array_equal(mixed, other)


def test_the_loss_is_that_of_the_mixed_label():
    """Cross-entropy of .75 a + .25 b by Keras, of samples that are weighted, besides a penalty that counts once."""
    inputs = keras.Input((3,))
    model = Augmented(keras.Model(inputs, keras.layers.Dense(4, kernel_regularizer="l2")(inputs)), [MixUp(0.2, 0)])
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    logits = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    y, weight, share = np.array([0, 1, 2, 3, 1]), np.float32([1, 2, 1, 0.5, 1]), np.float32([0.75, 1, 0.5, 0, 0.25])
    own = np.eye(4)[y] * weight[:, None]
    soft = share[:, None] * own + (1 - share)[:, None] * np.roll(own, 1, 0)
    truth = as_numpy(keras.losses.categorical_crossentropy(soft, logits, from_logits=True)).mean()
    found = model.compute_loss(None, y, Mixed(logits, share), weight)
    assert float(found) == pytest.approx(float(truth) + sum(map(float, model.losses)), rel=1e-5)


def test_a_spectrogram_loses_a_stretch_and_a_band_to_its_mean():
    x = np.random.default_rng(0).normal(size=(50, 20, 10, 1)).astype(np.float32)
    hidden = as_numpy(augmentations.SpecAugment(0.3, 0)(x)) != x
    times, bands = hidden.all(2)[..., 0].sum(1), hidden.all(1)[..., 0].sum(1)  # of the whole other axis
    assert times.max() == 6 and bands.max() == 3 and times.min() == bands.min() == 0
    np.testing.assert_array_equal(hidden.sum((1, 2, 3)), 10 * times + 20 * bands - times * bands)


def fitted(change, **more):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)], name="small")
    config = TrainConfig(epochs=2, passes=2, learning_rate=0.02, augment=(change,), class_weights="balanced")
    return model, train(model, "digits", config, limit=600, **more).metric


def test_trainings_with_mixed_samples_learn_and_repeat():
    model, reached = fitted("mixup")
    again, _ = fitted("mixup")
    assert reached > 0.75 and fitted("cutmix")[1] > 0.75
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_teacher_sees_the_mixed_samples_that_its_student_does():
    teacher = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)], name="teacher")
    assert fitted("mixup", teaching=Distillation(teacher=teacher, alpha=0.1))[1] > 0.75


def test_what_cannot_be_mixed_is_refused():
    images = data.load("digits", input_shape=(8, 8, 1))
    for dataset, changes, words in (
        (images, ("mixup", "cutmix"), "name one of them"),
        (data.load("digits", input_shape=(64,)), ("cutmix",), "an image is"),
        (data.load("digits", input_shape=(64,)), ("specaugment",), "a spectrogram is"),
        (replace(images, classes=0), ("mixup",), "its class"),
    ):
        with pytest.raises(BadInput, match=words):
            augmentations.layers(dataset, TrainConfig(augment=changes))
