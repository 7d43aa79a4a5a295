"""Frechet distances in a feature space of our own."""

from types import SimpleNamespace

import numpy as np
import pytest
from edgewright.metrics import METRICS
from edgewright.models import registry
from edgewright.training import feature_space, tasks
from edgewright.training.data import load
from edgewright.training.tasks import resemblance
from edgewright.training.tasks.generative import unsigned

R = np.random.default_rng(0)


def test_the_distance_of_two_normal_distributions():
    """N(0, 1) and N(1, 1): 1, the means' distance; N(0, 1) and N(0, 4): (1 - 2)^2 = 1, that of deviations."""
    metric, values = METRICS["frechet_distance"], R.normal(size=100_000)
    values = (values - values.mean()) / values.std()
    for other in (values + 1, 2 * values):
        rows = metric.scores(values[:, None], R.permutation(other)[:, None])
        assert metric.reduce(rows) == pytest.approx(1.0, abs=1e-6)


def test_the_space_is_a_function_of_the_data_and_knows_its_classes():
    data = load("digits", task="classification", input_shape=(8, 8, 1))
    one, other = (feature_space.feature_space(data, 150) for _ in range(2))
    assert one.accuracy > 0.85
    images = np.asarray(data.test.x)[:20]
    assert one.features(images).shape == (20, feature_space.FEATURES)
    np.testing.assert_allclose(one.features(images), other.features(images), rtol=1e-4, atol=1e-5)


def test_real_images_resemble_themselves_and_noise_does_not(monkeypatch):
    space = SimpleNamespace(features=lambda images: np.asarray(images).reshape(len(images), -1)[:, 20:24])
    monkeypatch.setattr(resemblance, "feature_space", lambda data: space)
    networks, task = registry.networks("dcgan", "edge", widths=(8, 4)), tasks.get("resemblance")
    dataset = task.present("digits", networks, limit=64)
    real, noise = np.asarray(dataset.test.x), R.uniform(-1, 1, dataset.test.x.shape).astype("f4")
    assert unsigned(real).min() == 0
    found = []
    for drawn in (real, noise):
        scores = task.evaluate(lambda network, given, drawn=drawn: {"sample": drawn}, dataset)
        found.append(task.metric.reduce(scores.rows))
    same, unlike = found
    assert same == pytest.approx(0, abs=1e-6) and unlike > 0.05
