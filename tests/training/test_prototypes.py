"""Tables that are solved for: against scikit-learn, and by what must hold of them whatever the data."""

import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.models import registry
from edgewright.training import tasks
from edgewright.training.config import TrainConfig
from edgewright.training.learners import tables
from edgewright.training.runner import KerasRunner
from edgewright.training.tasks.prototypes import names_of
from edgewright.training.train import train


def digits(name, limit=None, **options):
    """Return a net and the digits as its task presents them."""
    networks = registry.networks(name, "edge", **options)
    entry = registry.get(name)
    return networks, tasks.get(entry.task).present("digits", networks, limit=limit)


@pytest.fixture(scope="module")
def machine():
    """Return a kernel machine that is solved, its data, and the machines of scikit-learn."""
    from sklearn.svm import SVC

    networks, dataset = digits("kernel_svm", vectors=720)
    tables.support_vectors(networks, dataset, None, TrainConfig())
    x, y = dataset.train.x, dataset.train.y
    return networks["kernel_svm"], dataset, [SVC(C=tables.COST, gamma=0.1).fit(x, y == label) for label in range(10)]


def test_the_net_is_the_machine(machine):
    model, dataset, machines = machine
    scores = np.asarray(model(dataset.test.x))
    for label, fitted in enumerate(machines):
        np.testing.assert_allclose(scores[:, label], fitted.decision_function(dataset.test.x), atol=1e-5)


def test_samples_outside_the_margin_change_nothing(machine):
    model, dataset, _ = machine
    table, kernel, bias = model.get_weights()
    coefficients = {row.tobytes(): kernel[place] for place, row in enumerate(table.T) if kernel[place].any()}
    scores, signs = np.asarray(model(dataset.train.x)), 2.0 * (dataset.train.y[:, None] == np.arange(10)) - 1
    outside = signs * scores > 1 + 1e-2
    for sample, far in zip(dataset.train.x, outside, strict=True):
        assert not coefficients.get(sample.tobytes(), np.zeros(10))[far].any()
    used = kernel.any(1)
    assert used.sum() < 720 < len(dataset.train)
    alone = np.exp(-0.1 * np.square(dataset.test.x[:20, None] - table.T[used]).sum(-1)) @ kernel[used] + bias
    np.testing.assert_allclose(model(dataset.test.x[:20]), alone, atol=2e-5)


def test_random_features_come_closer_to_the_machine_the_more_there_are(machine):
    model, dataset, _ = machine
    table, kernel, bias = model.get_weights()
    exact, apart = np.asarray(model(dataset.test.x)), []
    for count in (64, 512, 4096):
        features = registry.build("kernel_machine", features=count, gamma=0.1, seed=3).get_layer("features")
        scores = np.asarray(features(dataset.test.x)) @ (np.asarray(features(table.T)).T @ kernel) + bias
        apart.append(np.abs(scores - exact).mean())
    assert apart[1] < apart[0] / 2 and apart[2] < apart[1] / 2


def test_too_many_support_vectors_are_refused():
    networks, dataset = digits("kernel_svm", vectors=20)
    with pytest.raises(BadInput, match="vectors="):
        tables.support_vectors(networks, dataset, None, TrainConfig())


def test_centres_never_leave_their_samples_further_and_are_those_of_scikit_learn():
    from sklearn.cluster import KMeans

    _, dataset = digits("k_means")
    start = dataset.train.x[:12]
    centres, losses = tables.lloyd(dataset.train.x, start)
    assert len(losses) > 3 and np.all(np.diff(losses) <= 1e-7)
    fitted = KMeans(12, init=start, n_init=1, tol=0).fit(dataset.train.x)
    np.testing.assert_allclose(centres, fitted.cluster_centers_, atol=1e-5)
    assert losses[-1] * len(dataset.train) == pytest.approx(fitted.inertia_, rel=1e-5)


def test_the_nearest_neighbour_of_a_training_sample_is_itself():
    networks, dataset = digits("k_nearest_neighbours")
    tables.training_samples(networks, dataset, None, TrainConfig())
    (model,) = networks.values()
    task = tasks.get("prototypes")  # one vote
    run = KerasRunner(networks)
    votes = task.votes(np.asarray(model(dataset.train.x)), names_of(run, dataset), 10)
    np.testing.assert_array_equal(votes.argmax(1), dataset.train.y)


def test_five_neighbours_vote_as_those_of_scikit_learn():
    from sklearn.neighbors import KNeighborsClassifier

    networks, dataset = digits("k_nearest_neighbours", limit=400, entries=300)
    (model,) = networks.values()
    result = train(model, dataset, learner="training_samples")
    table = np.asarray(model.get_layer("nearness").table).T
    labels = {row.tobytes(): label for row, label in zip(dataset.train.x, dataset.train.y, strict=True)}
    peer = KNeighborsClassifier(5).fit(table, [labels[row.tobytes()] for row in table])
    assert result.metric == pytest.approx(peer.score(dataset.test.x, dataset.test.y), abs=0.01)  # ties


def test_votes_by_hand():
    task = tasks.get("nearest_neighbours")
    names = np.array([0, 1, 1, 2, 2, 0])
    votes = task.votes(np.array([[-1.0, -2.0, -3.0, -4.0, -5.0, -6.0], [-9.0, -1.0, -8.0, -2.0, -3.0, -9.5]]), names, 3)
    np.testing.assert_array_equal(votes.astype(int), [[1, 2, 2], [1, 2, 2]])
    np.testing.assert_array_equal(votes.argmax(1), [1, 1])  # ranks 2, 3 against 4, 5; ranks 1, 4 against 2, 3


def test_the_likelihood_never_falls_and_is_what_the_net_says():
    from scipy.special import logsumexp

    networks, dataset = digits("gaussian_mixture", limit=500, entries=12)
    rows = tables.gaussian_mixture(networks, dataset, None, TrainConfig())
    losses = [row["loss"] for row in rows]
    assert len(losses) > 3 and np.all(np.diff(losses) <= 1e-6)
    answers = np.asarray(networks["gaussian_mixture"](dataset.train.x), np.float64)
    mixture, again = tables.expectation_maximisation(dataset.train.x, 12, 0)
    assert again == losses
    np.testing.assert_allclose(logsumexp(answers, axis=1), mixture.score_samples(dataset.train.x), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(
        np.exp(answers - logsumexp(answers, axis=1)[:, None]), mixture.predict_proba(dataset.train.x), atol=1e-3
    )


def test_with_one_variance_near_zero_responsibilities_are_the_assignment_of_k_means():
    networks, dataset = digits("gaussian_mixture", entries=8)
    centres = registry.build("k_means", "edge", entries=8)
    table = dataset.train.x[:8].T
    centres.set_weights([table])
    (model,) = networks.values()
    model.set_weights([table, np.full_like(table, 1e-4), np.full(8, 1 / 8, np.float32)])
    answers = np.asarray(model(dataset.test.x), np.float64)
    chances = np.exp(answers - answers.max(1, keepdims=True))
    chances /= chances.sum(1, keepdims=True)
    nearest = np.asarray(centres(dataset.test.x)).argmax(1)
    clear = np.partition(np.asarray(centres(dataset.test.x)), -2, axis=1)
    clear = clear[:, -1] - clear[:, -2] > 5e-3
    assert clear.mean() > 0.97
    np.testing.assert_allclose(chances[clear], np.eye(8)[nearest[clear]], atol=1e-6)
