"""Linear models against scikit-learn, from the same weights, and against sums done by hand."""

import math

import keras
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


def cost(model, x, y, kernel):
    """Return mean squared error and penalty of a line without intercept."""
    model.set_weights([np.reshape(kernel, (-1, 1)).astype(np.float32)])
    error = np.square(np.asarray(model(np.float32([x]))) - y).mean()
    return float(error), float(np.sum([np.asarray(loss) for loss in model.losses]))


def test_least_squares_on_xor_is_a_half_everywhere():
    x, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32), np.array([[0], [1], [1], [0]], np.float32)
    solution, *_ = np.linalg.lstsq(np.hstack([x, np.ones((4, 1))]), y, rcond=None)
    np.testing.assert_allclose(solution, [[0], [0], [0.5]], atol=1e-12)
    model = registry.build("linear_regression", input_shape=(2,))
    model.set_weights([solution[:2], solution[2]])
    assert np.square(np.asarray(model(x)) - y).mean() == 0.25


@pytest.mark.parametrize(("options", "least"), [({"lasso": 1.0}, (0.5, 0.0)), ({"decay": 1.0}, (0.49505, 0.04950))])
def test_the_least_weights_that_solve_one_equation(options, least):
    """10 w1 + w2 = 5: the L1 penalty leaves one weight, L2 spreads by size."""
    model = registry.build("linear_regression", input_shape=(2,), intercept=False, **options)
    first = least[0] + np.array([0, -0.1, -0.01, -0.001, 0.001, 0.01, 0.1])
    found = [cost(model, (10, 1), 5, (w, 5 - 10 * w)) for w in first]
    assert max(error for error, _ in found) < 1e-9
    assert np.argmin([penalty for _, penalty in found]) == 0
    assert 5 - 10 * first[0] == pytest.approx(least[1], abs=1e-4)


@pytest.mark.parametrize(
    ("lasso", "decay", "shrunk"),
    [
        (1.2, 0.0, 0.9 - 0.6),  # sign(v) max(|v| - a/l, 0) at v = .9, l = 2
        (2.0, 0.0, 0.0),
        (0.0, 0.6, 0.9 * 2 / (2 + 1.2)),  # v l / (l + a): a w^2 / 2 is decay w^2 for a = 2 decay
        (1.2, 0.6, (0.9 - 0.6) * 2 / (2 + 1.2)),  # the elastic net does both
    ],
)
def test_penalties_shrink_a_weight_as_by_hand(lasso, decay, shrunk):
    """J = l (w - v)^2 / 2 is the squared error of one sample at l = 2."""
    model = registry.build("linear_regression", input_shape=(1,), intercept=False, lasso=lasso, decay=decay)
    least, *others = (sum(cost(model, (1,), 0.9, shrunk + step)) for step in (0, -0.01, 0.01, -0.2, 0.2))
    assert all(least < other - 5e-5 for other in others)


@pytest.mark.parametrize(("curvature", "stopped", "decayed"), [(0.001, 0.0020, 0.0020), (0.01, 0.0198, 0.0196)])
def test_stopping_early_shrinks_nearly_as_weight_decay(curvature, stopped, decayed, penalty=0.5, rate=0.01):
    """1 / (rate penalty) steps from zero: v (1 - (1 - rate l)^steps), the penalty a w^2 / 2 gives v l / (l + a)."""
    model = registry.build("linear_regression", input_shape=(1,), intercept=False)
    model.set_weights([np.zeros((1, 1))])
    x = np.float32([[(curvature / 2) ** 0.5]])  # (w x - x)^2 = l (w - 1)^2 / 2
    model.compile(keras.optimizers.SGD(rate), "mse", jit_compile=False, steps_per_execution=50)
    steps = round(1 / (rate * penalty))
    model.fit(np.repeat(x, steps, 0), np.repeat(x, steps, 0), batch_size=1, verbose=0)
    assert model.get_weights()[0].item() == pytest.approx(stopped, abs=6e-5)
    assert curvature / (curvature + penalty) == pytest.approx(decayed, abs=6e-5)


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
