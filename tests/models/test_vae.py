"""Variational autoencoders: divergences and bounds by hand, disentanglement."""

import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.models import registry
from edgewright.training import learners, tasks
from edgewright.training.config import TrainConfig
from edgewright.training.data import Split, load
from edgewright.training.data.shapes import LEVELS, NAMES, Scenes, drawn
from edgewright.training.learners.autoencoding import Coder, OneFactor, Penalties, clamp
from edgewright.training.runner import KerasRunner
from edgewright.training.tasks.autoencoding import DEVIATION, divergence
from edgewright.training.tasks.disentanglement import FIXED, trials

R = np.random.default_rng(0)


@pytest.mark.parametrize(("mean", "deviation", "nats"), [(0, 1, 0), (1, 1, 0.5), (0, 2, 0.806853)])
def test_divergence_from_the_standard_normal_distribution(mean, deviation, nats):
    found = divergence(np.array([[mean]]), np.array([[2 * np.log(deviation)]]))
    assert found[0] == pytest.approx(nats, abs=1e-6)


def test_the_divergence_is_the_mean_of_what_samples_say():
    """log q(z) - log p(z) of drawn z, the estimator that is sampled throughout, has the closed form as its mean."""
    mean, log_variance, noise = np.array([0.7, -0.2]), np.array([-1.0, 0.4]), R.normal(size=(200_000, 2))
    z = mean + np.exp(log_variance / 2) * noise
    sampled = (z**2 / 2 - noise**2 / 2 - log_variance / 2).sum(1)
    exact = divergence(mean[None], log_variance[None])[0]
    assert sampled.mean() == pytest.approx(exact, abs=4 * sampled.std() / len(z) ** 0.5)
    assert sampled.var() > 0  # where the closed form has none


@pytest.mark.parametrize("off", [0.0, 0.5])
def test_the_bound_lies_below_the_log_likelihood_and_touches_it_at_the_true_posterior(off):
    """x = w z + b + noise of one latent: log p(x) and the posterior are known; noise by quadrature."""
    weight, offset, x = np.array([0.2, -0.1, 0.3]), np.array([0.1, 0.5, 0.4]), np.array([[0.3, 0.2, 0.9]])
    task = tasks.get("gaussian_autoencoding")
    covariance = np.outer(weight, weight) + DEVIATION**2 * np.eye(3)
    apart = x[0] - offset
    exact = -(apart @ np.linalg.solve(covariance, apart) + np.linalg.slogdet(2 * np.pi * covariance)[1]) / 2
    precision = 1 + weight @ weight / DEVIATION**2
    mean, variance = weight @ apart / DEVIATION**2 / precision + off, 1 / precision
    nodes, shares = np.polynomial.hermite_e.hermegauss(20)
    made = (mean + variance**0.5 * nodes)[:, None] * weight + offset
    likely = task.log_likelihood(made, np.repeat(x, len(nodes), 0)) @ shares / shares.sum()
    bound = likely - divergence(np.array([[mean]]), np.log(np.array([[variance]])))[0]
    assert (bound == pytest.approx(exact, abs=1e-9)) if off == 0 else (bound < exact - 0.1)


@pytest.fixture(scope="module")
def small():
    networks = registry.networks("vae_bernoulli", "edge", input_shape=(16,), latent=2, hidden=(8,), seed=3)
    task = tasks.get("bernoulli_autoencoding")
    return networks, task, task.present("digits", networks, limit=64, test_limit=32)


def test_what_training_minimises_is_the_bound_per_value_and_beta_1_is_the_bound_itself(small):
    networks, task, dataset = small
    x = np.asarray(dataset.test.x)
    answers = {beta: np.asarray(Coder(networks, Penalties(beta=beta), 0)(x)) for beta in (1.0, 4.0)}
    said = KerasRunner(networks)("encoder", {"inputs": x, "noise": np.zeros((32, 2), "f4")})
    nats = divergence(said["mean"], said["log_variance"]) / 16
    np.testing.assert_allclose(answers[1.0][:, -1], nats, rtol=1e-4)
    np.testing.assert_allclose(answers[4.0][:, -1], 4 * nats, rtol=1e-4)
    alike = np.asarray(Coder(networks, Penalties(beta_norm=4.0 * 2 / 16), 0)(x))  # of 2 latents and 16 values
    np.testing.assert_allclose(alike, answers[4.0], rtol=1e-5)
    plain = task.loss(0.0)(x, answers[1.0][:, :-1])
    assert float(plain) == pytest.approx(-task.log_likelihood(answers[1.0][:, :-1], x).mean() / 16, rel=1e-5)
    rows = [learners.get(name).validate(networks, dataset, task, TrainConfig())
            for name in ("autoencoding", "autoencoding:beta=1")]  # fmt: skip
    assert rows[0] == rows[1]


def test_a_code_is_drawn_by_the_noise_that_is_given(small):
    networks, task, dataset = small
    x, noise = np.asarray(dataset.test.x), R.normal(size=(32, 2)).astype("f4")
    said = KerasRunner(networks)("encoder", {"inputs": x, "noise": noise})
    np.testing.assert_allclose(said["code"], said["mean"] + np.exp(said["log_variance"] / 2) * noise, atol=1e-5)
    first, second = (task.evaluate(KerasRunner(networks), dataset).rows for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert set(task.pictures(KerasRunner(networks), dataset)) == {"samples", "reconstructions", "drawn"}


def test_clamped_latents_are_their_mean_and_are_drawn_to_it():
    import tensorflow as tf

    code = tf.Variable(R.normal(size=(6, 4)).astype("f4"))
    free, weights = np.zeros((6, 4), "f4"), R.normal(size=(6, 4)).astype("f4")
    free[:, 1] = 1
    with tf.GradientTape() as tape:
        made, pull = clamp(code, free)
        loss = tf.reduce_sum(made * weights) + tf.reduce_sum(pull)
    values = code.numpy()
    for place in range(4):
        expected = values[:, 1] if place == 1 else np.full(6, values[:, place].mean())
        np.testing.assert_allclose(made[:, place], expected, atol=1e-6)
    np.testing.assert_array_equal(pull, np.zeros((6, 1)))
    gradient = np.asarray(tape.gradient(loss, code))
    np.testing.assert_allclose(gradient[:, 1], weights[:, 1], atol=1e-6)
    np.testing.assert_allclose(np.delete(gradient, 1, 1), np.delete(values - values.mean(0), 1, 1), atol=1e-6)


def test_in_a_batch_one_factor_changes_or_the_rest_does():
    asked = []
    splits = {part: Split(x=np.zeros((64, 4), "f4"), y=np.zeros(64)) for part in ("train", "validation", "test")}
    scenes = Scenes(name="told", task="reconstruction", **splits,
                    draw=lambda factors: asked.append(factors) or np.zeros((len(factors), 4), "f4"))  # fmt: skip
    batches = OneFactor(scenes, 5, 3, TrainConfig(batch_size=16))
    kinds = []
    for epoch in range(30):
        batches.begin(epoch)
        for index in range(len(batches)):
            (given, _), factors = batches[index], asked[-1]
            moved = {NAMES[k] for k in range(5) if len(set(factors[:, k])) > 1}
            free = tuple(np.flatnonzero(given["free"][0]))
            kinds.append(free)
            assert (given["free"] == given["free"][0]).all()
            assert moved <= {(0,): {"orientation"}, (1,): {"x"}, (2,): {"y"}, (3, 4): {"shape", "scale"}}[free]
    assert kinds.count((3, 4)) / len(kinds) == pytest.approx(10 / 13, abs=0.1)


# ---------------------------------------------------------------- shapes


def test_shapes_lie_where_their_factors_say():
    corners = np.array([[k, 5, 0, x, y] for k in range(3) for x in (0, 31) for y in (0, 31)])
    pictures = drawn(corners, 32)
    assert pictures.shape == (12, 32, 32) and pictures.min() == 0 and pictures.max() == 1
    assert pictures[:, [0, -1]].max() == 0 and pictures[:, :, [0, -1]].max() == 0  # all of it is inside
    places = np.arange(32) + 0.5
    for picture, (kind, _, _, x, y) in zip(pictures, corners, strict=True):
        right, down = ((picture.sum(axis) @ places) / picture.sum() / 32 for axis in (0, 1))
        assert right == pytest.approx(0.25 + 0.5 * (x > 0), abs=0.02)
        assert down == pytest.approx(0.25 + 0.5 * (y > 0), abs=0.02 + 0.03 * (kind == 2))
    sizes = drawn(np.array([[0, scale, 0, 16, 16] for scale in range(6)]), 64).sum((1, 2))
    assert sizes[-1] / sizes[0] == pytest.approx(4, rel=0.05) and (np.diff(sizes) > 0).all()
    turned = drawn(np.array([[1, 5, 0, 16, 16], [1, 5, 10, 16, 16]]), 32)
    widths = (turned.max(1) > 0).sum(1)
    assert widths[0] > 1.4 * widths[1]


def test_pairs_of_a_trial_share_one_factor():
    first, second, shared = trials(50, np.random.default_rng(1))
    for one, other, place in zip(first, second, shared, strict=True):
        assert (one[:, FIXED[place]] == other[:, FIXED[place]]).all()
    assert (first >= 0).all() and (first < LEVELS).all() and (first != second).mean() > 0.6


def test_true_factors_score_a_hundred_and_noise_does_not():
    networks = registry.networks("beta_vae", "edge", latent=5, hidden=(4,), back=(4,))
    task = tasks.get("disentanglement")
    dataset = task.present("shapes", networks, limit=8, test_limit=8)
    asked = []

    def draw(factors):
        asked.append(factors)
        return np.zeros((len(factors), 256), "f4")

    told = keras.tree.map_structure(lambda each: each, dataset).__class__(**{**vars(dataset), "draw": draw})

    def knows(network, inputs):
        return {"mean": asked[-1] / np.array(LEVELS), "code": None}

    def guesses(network, inputs):
        return {"mean": R.normal(size=(len(inputs["inputs"]), 5)), "code": None}

    assert task.metric.reduce(task.evaluate(knows, told).rows) == 1
    assert task.metric.reduce(task.evaluate(guesses, told).rows) < 0.45
    with pytest.raises(BadInput, match="shapes or dsprites"):
        task.present("digits", networks)


def test_shapes_are_square():
    with pytest.raises(BadInput, match="square"):
        load("shapes", input_shape=(250,))
