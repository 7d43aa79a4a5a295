"""Linear factor models against singular values, closed forms and brute force."""

import numpy as np
import pytest
from edgewright.models import registry
from edgewright.prune import PruneConfig, prepare_prune, prune, strip_prune
from edgewright.training import learners, tasks
from edgewright.training.config import TrainConfig
from edgewright.training.learners.factors import logistic, of_one_variance, posterior
from edgewright.training.runner import KerasRunner
from edgewright.training.state import RunDir
from scipy.linalg import subspace_angles

R = np.random.default_rng(0)


def solved(name, learner=None, **options):
    entry = registry.get(name)
    networks, task = registry.networks(name, "edge", **options), tasks.get(entry.task)
    dataset = task.present("digits", networks, limit=400)
    learners.get(learner or entry.learner)(networks, dataset, task, TrainConfig(), RunDir(None))
    return networks, task, dataset


def code_of(networks, dataset):
    return np.asarray(networks["encoder"](dataset.train.x), np.float64)


def test_principal_components_are_singular_directions_and_lose_the_values_left_out():
    networks, _, dataset = solved("pca", factors=6)
    x = np.asarray(dataset.train.x, np.float64)
    mean = x.mean(0)
    left, values, right = np.linalg.svd(x - mean, full_matrices=False)
    code = code_of(networks, dataset)
    signs = np.sign((code * left[:, :6]).sum(0))
    np.testing.assert_allclose(code * signs, left[:, :6] * values[:6], atol=1e-3)
    made = np.asarray(networks["decoder"](code.astype("f4")))
    assert ((made - x) ** 2).sum() == pytest.approx((values[6:] ** 2).sum(), rel=1e-4)
    np.testing.assert_allclose(np.asarray(networks["decoder"].get_layer("reconstruction").kernel) * signs[:, None],
                               right[:6], atol=1e-4)  # fmt: skip


def test_whitened_codes_have_unit_covariance():
    networks, task, dataset = solved("pca", "principal_components:whiten=1")
    np.testing.assert_allclose(np.cov(code_of(networks, dataset), rowvar=False), np.eye(10), atol=1e-3)
    plain, *_ = solved("pca")
    values = [task.metric.reduce(task.evaluate(KerasRunner(each), dataset).rows) for each in (networks, plain)]
    assert values[0] == pytest.approx(values[1], abs=1e-5)


def test_without_noise_probabilistic_components_span_what_principal_ones_do():
    x = R.normal(size=(300, 3)) @ R.normal(size=(3, 8)) + 0.3 * R.normal(size=(300, 8))
    _, _, right = np.linalg.svd(x - x.mean(0), full_matrices=False)
    loadings, _, mean = of_one_variance(x, 3, variance=1e-9)
    assert subspace_angles(loadings, right[:3].T).max() < 1e-6
    made = (x - mean) @ posterior(loadings, 1e-6).T @ loadings.T
    np.testing.assert_allclose(made, (x - mean) @ right[:3].T @ right[:3], atol=1e-4)
    found = of_one_variance(x, 3)
    left_out = np.linalg.eigvalsh(np.cov(x, rowvar=False, bias=True))[:5].mean()
    assert found[1] == pytest.approx(left_out) and found[1] == pytest.approx(0.09, rel=0.2)


def test_the_posterior_of_factors_is_that_of_a_joint_normal_distribution():
    loadings, variance = R.normal(size=(5, 2)), R.uniform(0.1, 1, 5)
    covariance = loadings @ loadings.T + np.diag(variance)
    np.testing.assert_allclose(posterior(loadings, variance), loadings.T @ np.linalg.inv(covariance), atol=1e-10)


def test_factor_analysis_and_independent_components_explain_the_digits():
    for name in ("factor_analysis", "ica", "ppca"):
        networks, task, dataset = solved(name)
        assert task.metric.reduce(task.evaluate(KerasRunner(networks), dataset).rows) > 0.6
        if name == "ica":
            np.testing.assert_allclose(np.cov(code_of(networks, dataset), rowvar=False), np.eye(10), atol=1e-2)


def test_affine_samples_have_covariance_l_l():
    networks, task, dataset = solved("affine_generator")
    layer = networks["generator"].get_layer("sample")
    root, x = np.asarray(layer.kernel).T, np.asarray(dataset.train.x, np.float64)
    covariance = np.cov(x, rowvar=False, bias=True)
    np.testing.assert_allclose(root @ root.T, covariance, atol=1e-5)
    made = KerasRunner(networks)("generator", task.samples(dataset, "generator", 20_000))["sample"]
    np.testing.assert_allclose(np.cov(made, rowvar=False), covariance, atol=0.01)
    np.testing.assert_allclose(made.mean(0), x.mean(0), atol=0.02)
    assert set(task.pictures(KerasRunner(networks), dataset)) == {"samples", "drawn"}


def test_the_bound_of_binary_factors_rises_and_stays_below_the_likelihood():
    truth = R.normal(size=(6, 1)) * 2
    x = (R.random((80, 6)) < 1 / (1 + np.exp(-(R.normal(size=(80, 1)) @ truth.T + 0.3)))).astype(float)
    weights, offset, bounds = logistic(x, 1, np.random.default_rng(0), rounds=60)
    assert bounds[-1] > bounds[0]
    assert (np.diff(bounds[5:]) > -1e-3).all()  # what pulls weights to zero is not in the bound
    nodes, shares = np.polynomial.hermite_e.hermegauss(60)
    logits = nodes[:, None] * weights.T + offset  # (points, values)
    each = x[:, None] * logits[None] - np.logaddexp(0, logits)[None]
    exact = np.log((np.exp(each.sum(-1)) * shares).sum(1) / shares.sum()).mean()
    independent = x.mean(0).clip(1e-9, 1 - 1e-9)
    alone = (x * np.log(independent) + (1 - x) * np.log(1 - independent)).sum(1).mean()
    assert bounds[-1] < exact + 1e-2 and exact > alone


def test_what_pruning_left_is_fitted_again():
    networks, task, dataset = solved("pca")

    def value(nets):
        return task.metric.reduce(task.evaluate(KerasRunner(nets), dataset).rows)

    cut = {name: prune(network, PruneConfig(sparsity=0.5))[0] for name, network in networks.items()}
    training = {name: prepare_prune(network, PruneConfig(sparsity=0.5))[0] for name, network in networks.items()}
    learners.get("principal_components")(training, dataset, task, TrainConfig(), RunDir(None))
    again = {name: strip_prune(network) for name, network in training.items()}
    for network in again.values():
        kernel = np.asarray(network.weights[0])
        assert (kernel == 0).mean() == pytest.approx(0.5, abs=0.02)
    assert value(cut) < value(again) < value(networks)
