"""Linear models against scikit-learn, from the same weights, and against sums done by hand."""

import math

import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.models import registry
from edgewright.models.linear import Monomials, RandomFourierFeatures
from edgewright.training import data
from sklearn import linear_model, svm
from sklearn.kernel_approximation import RBFSampler
from sklearn.preprocessing import PolynomialFeatures

POLYNOMIAL = PolynomialFeatures(2, include_bias=False)


@pytest.mark.parametrize(
    ("name", "estimator"),
    [
        ("perceptron", linear_model.Perceptron()),
        ("logistic_regression", linear_model.LogisticRegression()),
        ("softmax_regression", linear_model.LogisticRegression()),
        ("linear_svm", svm.LinearSVC()),
        ("linear_regression", linear_model.LinearRegression()),
        ("ridge_regression", linear_model.Ridge(10.0)),
        ("polynomial_regression", linear_model.Ridge(77.0)),
    ],
)
def test_the_weights_of_scikit_learn_give_its_decisions(name, estimator):
    offline = registry.get(name).data[-1]
    dataset = data.load(offline, input_shape=registry.get(name).input_shape)
    features = POLYNOMIAL.fit_transform if name == "polynomial_regression" else np.asarray
    estimator.fit(features(dataset.train.x), dataset.train.y)
    model = registry.build(name)
    kernel = np.atleast_2d(estimator.coef_).T.astype(np.float32)
    model.set_weights([kernel, np.atleast_1d(estimator.intercept_).astype(np.float32)])
    ours = np.asarray(model(dataset.test.x))
    decide = getattr(estimator, "decision_function", estimator.predict)
    theirs = decide(features(dataset.test.x))
    if ours.shape[-1] == 2:  # two classes: (0, score)
        assert (ours[:, 0] == 0).all()
        ours = ours[:, 1]
    np.testing.assert_allclose(ours, theirs.reshape(ours.shape), atol=1e-4)
    judged = estimator.score(features(dataset.test.x), dataset.test.y)
    assert judged > (0.9 if dataset.classes else 0.4)  # what the data allows a linear model


def test_one_score_is_refused_for_three_classes():
    with pytest.raises(BadInput, match="softmax_regression"):
        registry.build("logistic_regression", classes=3)


@pytest.mark.parametrize(("weight", "cost"), [(1.0, 0.0), (0.0, 2.3333), (0.5, 0.5833), (-0.5, 5.25)])
def test_cost_of_a_line_through_the_origin(weight, cost):
    """J(w) = 1/(2m) sum (w x - y)^2 over (1,1), (2,2), (3,3)."""
    model = registry.build("linear_regression", input_shape=(1,))
    model.set_weights([np.array([[weight]], np.float32), np.zeros(1, np.float32)])
    x = np.array([[1.0], [2.0], [3.0]], np.float32)
    model.compile(loss="mse", jit_compile=False)
    assert model.test_on_batch(x, x) / 2 == pytest.approx(cost, abs=1e-4)


def test_monomials_are_those_of_scikit_learn():
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    for degree in (2, 3):
        expected = PolynomialFeatures(degree, include_bias=False).fit_transform(x)
        found = Monomials(degree)(x)
        assert found.shape == (5, math.comb(4 + degree, degree) - 1)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_random_features_are_those_of_scikit_learn_from_its_draws():
    x = np.random.default_rng(0).uniform(size=(6, 8)).astype(np.float32)
    sampler = RBFSampler(gamma=0.5, n_components=32, random_state=0).fit(x)
    layer = RandomFourierFeatures(32, gamma=0.5)
    layer.build((None, 8))
    layer.set_weights([sampler.random_weights_, sampler.random_offset_])
    np.testing.assert_allclose(layer(x), sampler.transform(x), atol=1e-5)


def test_inner_products_of_random_features_approach_the_kernel():
    """Their error falls with the root of the feature count: 64 times as many make it about an eighth."""
    x = np.random.default_rng(0).uniform(size=(20, 8)).astype(np.float32)
    kernel = np.exp(-0.5 * np.square(x[:, None] - x[None]).sum(-1))

    def error(features):
        model = registry.build("kernel_machine", input_shape=(8,), features=features, gamma=0.5)
        mapped = np.asarray(model.get_layer("features")(x))
        return np.abs(mapped @ mapped.T - kernel).mean()

    assert error(8192) < 0.01
    assert 4 < error(128) / error(8192) < 16
