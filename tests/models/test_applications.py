"""Our nets and those of keras.applications: same weights, same output."""

import math

import keras
import numpy as np
import pytest
from edgewright.errors import BadInput, EdgewrightError
from edgewright.models import registry
from edgewright.models.weights import PUBLISHED, load_weights, transfer

SMALLEST = {"inception_v3": 75}  # of the images keras.applications takes; 32 else
EQUAL = [
    "vgg16",
    "vgg19",
    "resnet50",
    "inception_v3",
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "efficientnet_b0",
    "nasnet",
]


def application(name, classes=10, size=32):
    """Return the net of keras.applications with random weights and statistics that let the image through to the end."""
    extra = {"include_preprocessing": False} if name.startswith("mobilenet_v3") else {}
    build = getattr(keras.applications, PUBLISHED[name].application)
    model = build(weights=None, input_shape=(size, size, 3), classes=classes, classifier_activation=None, **extra)
    random = np.random.default_rng(0)
    for weight in model.weights:
        if weight.name in ("bias", "beta", "moving_mean"):
            weight.assign(random.normal(0, 0.1, weight.shape))
        elif weight.name in ("gamma", "moving_variance"):
            weight.assign(random.uniform(0.5, 1.5, weight.shape))
        elif "kernel" in weight.name and len(weight.shape) == 4:  # of depthwise convolutions the last axis is 1
            read = math.prod(weight.shape[:-1] if weight.shape[-1] > 1 else weight.shape[:2])
            weight.assign(random.normal(0, (2 / read) ** 0.5, weight.shape))
    return model


@pytest.mark.slow
@pytest.mark.parametrize("name", EQUAL)
def test_same_weights_give_the_same_output(name):
    """Two float32 nets that add in another order agree to 1e-4 of the largest logit.

    EfficientNet of keras.applications divides pixels by 255 first, and normalises; ours takes normalised pixels.
    """
    size = SMALLEST.get(name, 32)
    theirs = application(name, size=size)
    ours = registry.build(name, input_shape=(size, size, 3), classes=10)
    assert transfer(theirs, ours) is None
    pixels = np.random.default_rng(1).normal(size=(2, size, size, 3)).astype("float32")
    expected = np.asarray(theirs(pixels * (255 if name.startswith("efficientnet") else 1), training=False))
    scale = np.abs(expected).max()
    assert np.ptp(expected, axis=0).max() > 1e-3 * scale > 0  # the images are told apart
    np.testing.assert_allclose(ours(pixels, training=False), expected, atol=1e-4 * max(scale, 1))


@pytest.fixture(scope="module")
def published():
    return application("mobilenet_v3_small")


def test_other_classes_keep_fresh_logits(published):
    ours = registry.build("mobilenet_v3_small", input_shape=(32, 32, 3), classes=4)
    before = ours.get_layer("logits").get_weights()
    assert transfer(published, ours) == "logits"
    np.testing.assert_array_equal(ours.get_layer("logits").get_weights()[0], before[0])
    np.testing.assert_array_equal(ours.get_layer("stem").get_weights()[0], published.get_layer("conv").get_weights()[0])


@pytest.mark.parametrize(
    ("options", "words"), [({"width": 0.5}, "'stem'"), ({"head": 8}, "'head'"), ({"blocks": ()}, "paper")]
)
def test_another_topology_is_refused_and_nothing_copied(published, options, words):
    ours = registry.build("mobilenet_v3_small", input_shape=(32, 32, 3), classes=10, **options)
    before = ours.get_weights()
    with pytest.raises(BadInput, match=words):
        transfer(published, ours)
    for old, new in zip(before, ours.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_imagenet_weights_are_asked_of_keras(published, monkeypatch, capsys):
    asked = []

    def fetch(**arguments):
        asked.append(arguments)
        return published

    monkeypatch.setattr(keras.applications, "MobileNetV3Small", fetch)
    ours = registry.build("mobilenet_v3_small", input_shape=(32, 32, 3), classes=4)
    load_weights(ours, "imagenet")
    assert asked == [{"weights": "imagenet"}]
    said = capsys.readouterr().err
    assert "127.5" in said and "logits" in said
    np.testing.assert_array_equal(ours.get_layer("stem").get_weights()[0], published.get_layer("conv").get_weights()[0])


def test_a_failed_download_says_so(monkeypatch):
    def fetch(**arguments):
        raise Exception("URL fetch failure on https://storage.example/weights.h5: None -- unreachable")

    monkeypatch.setattr(keras.applications, "MobileNetV2", fetch)
    with pytest.raises(EdgewrightError, match=r"mobilenet_v2 could not be fetched \(URL fetch failure"):
        load_weights(registry.build("mobilenet_v2", "edge"), "imagenet")


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_weights_of_a_file(tmp_path, suffix):
    one, other = (registry.build("mobilenet_v1", "edge", seed=seed) for seed in (1, 2))
    path = tmp_path / f"net{suffix}"
    one.save(path) if suffix == ".keras" else one.save_weights(path)
    load_weights(other, path)
    for mine, theirs in zip(other.get_weights(), one.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    wider = registry.build("mobilenet_v1", "edge", width=0.5)
    before = wider.get_weights()
    with pytest.raises(BadInput, match=r"not of 'mobilenet_v1'"):
        load_weights(wider, path)
    for mine, theirs in zip(wider.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(
    ("source", "words"),
    [("net.onnx", ".weights.h5"), ("none.keras", "no such file"), ("imagenet", "resnet8.*these have.*vgg16")],
)
def test_bad_sources_are_refused(source, words):
    with pytest.raises(BadInput, match=words):
        load_weights(registry.build("resnet8", "edge"), source)
