"""Clustering at once and while training: as few values as asked, zeros that stay, nothing of the argument changed.

The file runs on the backend of KERAS_BACKEND; `test_jax.py` runs it once more on JAX.
"""

import itertools

import keras
import numpy as np
import pytest
from edgewright.errors import BadInput, WrongOrder
from edgewright.prune import ClusterConfig, PruneConfig, cluster, prepare_cluster, prune, strip_cluster
from edgewright.prune.kmeans import INITS, Line, kmeans
from keras import layers
from sklearn.cluster import KMeans


def clusterable_net():
    inputs = keras.Input((12,), name="x")
    x = layers.Dense(24, name="hidden")(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    return keras.Model(inputs, layers.Dense(8, name="logits")(layers.ReLU(name="relu")(x)), name="small")


def batch_of(count=64):
    random = np.random.default_rng(0)
    return random.normal(size=(count, 12)).astype("float32"), random.integers(0, 8, count)


def fit_some(model, epochs):
    """Train 8 steps an epoch in a fixed order."""
    if not model.compiled:
        model.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(*batch_of(), batch_size=8, epochs=epochs, verbose=0, shuffle=False)


def kernels_of(model):
    return {weight.path: np.asarray(weight) for weight in model.trainable_weights if len(weight.shape) > 1}


# ---------------------------------------------------------------- k-means


def least_cost(values, clusters):
    """Try every way to cut sorted values into intervals."""
    ordered, best = np.sort(values), np.inf
    for cuts in itertools.combinations(range(1, len(values)), clusters - 1):
        parts = np.split(ordered, cuts)
        best = min(best, sum(float(((part - part.mean()) ** 2).sum()) for part in parts))
    return best


def test_of_few_points_it_finds_the_best_there_is():
    random = np.random.default_rng(0)
    for _ in range(60):
        values, clusters = random.normal(size=random.integers(5, 12)) ** 3, random.integers(2, 5)
        centroids, numbers = kmeans(values, clusters)
        assert ((values - centroids[numbers]) ** 2).sum() == pytest.approx(least_cost(values, clusters), rel=1e-9)


@pytest.mark.parametrize("init", INITS)
def test_each_weight_has_its_nearest_value_which_is_the_mean_of_its_weights(init):
    values = np.random.default_rng(1).normal(size=(40, 25)) ** 3
    centroids, numbers = kmeans(values, 16, init)
    assert numbers.shape == values.shape and len(centroids) <= 16
    assert np.array_equal(numbers, np.abs(values[..., None] - centroids).argmin(-1))
    for number, centroid in enumerate(centroids):
        assert values[numbers == number].mean() == pytest.approx(centroid, rel=1e-9)
    assert Line(values).cost(centroids) == pytest.approx(((values - centroids[numbers]) ** 2).sum())


def test_it_is_as_good_as_scikit_learns():
    values = np.random.default_rng(2).standard_t(4, size=5000)
    theirs = KMeans(16, n_init=5, random_state=0).fit(values[:, None]).inertia_
    assert Line(values).cost(kmeans(values, 16)[0]) <= 1.002 * theirs


def test_values_that_are_few_are_kept_as_they_are():
    values = np.array([[3.0, -1.0], [3.0, 0.5]])
    centroids, numbers = kmeans(values, 4)
    assert centroids.tolist() == [-1.0, 0.5, 3.0] and numbers.tolist() == [[2, 0], [2, 1]]


# ---------------------------------------------------------------- at once


def test_kernels_have_as_few_values_as_asked_and_the_argument_stays():
    model = clusterable_net()
    before = [weight.copy() for weight in model.get_weights()]
    clustered, report = cluster(model, ClusterConfig(clusters=8, by_name={"logits": 4}))
    counts = {path: len(np.unique(kernel)) for path, kernel in kernels_of(clustered).items()}
    assert counts == {"hidden/kernel": 8, "logits/kernel": 4}
    assert {row["name"]: row["clusters"] for row in report.clustered} == counts
    assert all(np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True))
    kernel, moved = before[0], kernels_of(clustered)["hidden/kernel"]
    assert report.rows[0]["error"] == pytest.approx(np.linalg.norm(moved - kernel) / np.linalg.norm(kernel), rel=1e-5)
    reasons = {row["name"]: row["reason"] for row in report.rows if row["clusters"] is None}
    assert "few and matter" in reasons["hidden/bias"] and len(reasons) == 4
    assert "2 of 6 weights clustered" in str(report) and "kept  hidden/bias" in str(report)


def test_zeros_stay_and_are_one_of_the_values():
    sparse, _ = prune(clusterable_net(), PruneConfig(sparsity=0.5))
    clustered, _ = cluster(sparse, ClusterConfig(clusters=8))
    for path, kernel in kernels_of(clustered).items():
        assert np.array_equal(kernel == 0, kernels_of(sparse)[path] == 0) and len(np.unique(kernel)) == 8
    mixed, _ = cluster(sparse, ClusterConfig(clusters=2, keep_zeros=False))
    assert all((kernel != 0).all() for kernel in kernels_of(mixed).values())


def test_what_is_left_alone_says_why():
    model = clusterable_net()
    model.get_layer("logits").trainable = False
    _, report = cluster(model, ClusterConfig(by_type={"Dense": 128}))
    reasons = {row["name"]: row["reason"] for row in report.rows}
    assert reasons["hidden/kernel"] == "fewer than 512 weights: 128 values would save nothing"
    assert reasons["logits/kernel"] == "frozen: its layer is not trainable"
    _, report = cluster(clusterable_net(), ClusterConfig(clusters=None))
    assert not report.clustered


# ---------------------------------------------------------------- while training


def test_values_take_the_summed_gradient_of_their_weights():
    clustering, _ = prepare_cluster(clusterable_net(), ClusterConfig(clusters=4))
    shared = clustering.shared[0]
    values, numbers = np.asarray(shared.values).copy(), np.asarray(shared.numbers).copy()
    plain = strip_cluster(clustering)
    for model in (clustering, plain):
        model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.train_on_batch(*batch_of())
    step = kernels_of(plain)["hidden/kernel"] - values[numbers]  # minus the rate times the gradient of each weight
    assert np.array_equal(np.asarray(shared.numbers), numbers)
    sums = np.array([step[numbers == number].sum() for number in range(4)])
    np.testing.assert_allclose(np.asarray(shared.values) - values, sums, rtol=1e-4, atol=1e-6)


def test_training_keeps_number_and_zeros_and_strip_gives_what_was_judged():
    sparse, _ = prune(clusterable_net(), PruneConfig(sparsity=0.5))
    clustering, _ = prepare_cluster(sparse, ClusterConfig(clusters=8))
    start = np.asarray(clustering.shared[0].values).copy()
    fit_some(clustering, 3)
    assert not np.allclose(np.asarray(clustering.shared[0].values), start, atol=1e-3)
    plain, x = strip_cluster(clustering), batch_of()[0]
    assert [layer.name for layer in plain.layers] == [layer.name for layer in sparse.layers]
    assert np.array_equal(clustering.predict(x, verbose=0), plain.predict(x, verbose=0))
    assert all(layer.trainable_weights for layer in plain.layers if layer.name in {"hidden", "logits"})
    for path, kernel in kernels_of(plain).items():
        assert len(np.unique(kernel)) == 8 and np.array_equal(kernel == 0, kernels_of(sparse)[path] == 0)


def test_a_regularizer_of_the_kernel_counts():
    model = clusterable_net()
    kernel = model.get_layer("hidden").kernel
    model.get_layer("hidden").kernel_regularizer = kernel.regularizer = keras.regularizers.L2(0.1)
    clustering, _ = prepare_cluster(model, ClusterConfig(clusters=8))
    clustering(batch_of()[0], training=True)
    clustered = np.asarray(strip_cluster(clustering).get_layer("hidden").kernel)
    assert float(sum(clustering.losses)) == pytest.approx(0.1 * float((clustered**2).sum()), rel=1e-5)


def test_training_resumes_from_a_saved_model(tmp_path):
    whole, _ = prepare_cluster(clusterable_net(), ClusterConfig(clusters=8))
    halves, _ = prepare_cluster(clusterable_net(), ClusterConfig(clusters=8))
    halves.set_weights(whole.get_weights())
    fit_some(halves, 1)
    halves.save(tmp_path / "half.keras")
    halves = keras.saving.load_model(tmp_path / "half.keras")
    fit_some(halves, 2)
    fit_some(whole, 3)
    for ours, theirs in zip(halves.variables, whole.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs), err_msg=ours.path)
    for path, kernel in kernels_of(strip_cluster(halves)).items():
        np.testing.assert_array_equal(kernel, kernels_of(strip_cluster(whole))[path])


def test_a_layer_that_is_shared_stays_one():
    one, other = keras.Input((12,), name="one"), keras.Input((12,), name="other")
    tower = layers.Dense(12, name="tower")
    outputs = layers.Dense(12, name="last")(layers.Add(name="sum")([tower(one), tower(other)]))
    model = keras.Model([one, other], outputs, name="towers")
    clustering, report = prepare_cluster(model, ClusterConfig(clusters=4))
    assert [row["name"] for row in report.clustered] == ["tower/kernel", "last/kernel"]
    clustering.compile("sgd", "mse")
    x = [batch_of(8)[0]] * 2
    clustering.fit(x, np.zeros((8, 12)), verbose=0)
    plain = strip_cluster(clustering)
    assert all(len(np.unique(kernel)) == 4 for kernel in kernels_of(plain).values()) and len(kernels_of(plain)) == 2
    np.testing.assert_allclose(plain.predict(x, verbose=0), clustering.predict(x, verbose=0), atol=1e-6)


def test_recurrent_embedding_and_nested():
    inner_inputs = keras.Input((5,), dtype="int32")
    inner = keras.Model(
        inner_inputs, layers.LSTM(6, name="lstm")(layers.Embedding(30, 8, name="table")(inner_inputs)), name="inner"
    )
    inputs = keras.Input((5,), dtype="int32", name="tokens")
    model = keras.Model(inputs, layers.Dense(12, name="logits")(inner(inputs)), name="text")
    clustering, report = prepare_cluster(model, ClusterConfig(clusters=8))
    assert len(report.clustered) == 4
    clustering.compile("sgd", "mse")
    clustering.fit(np.arange(20).reshape(4, 5), np.zeros((4, 12)), verbose=0)
    assert all(len(np.unique(kernel)) == 8 for kernel in kernels_of(strip_cluster(clustering)).values())


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"clusters": 1}, r"clusters=1 must be a whole number in 2..256"),
        ({"clusters": 2.5}, r"clusters=2.5 must be"),
        ({"by_name": {"logits": 300}}, r"logits=300 must be"),
        ({"init": "random"}, r"init='random' is unknown; allowed: kmeans\+\+, linear, density"),
        ({"cluster": 4}, r"unknown key 'cluster'.*did you mean clusters"),
    ],
)
def test_bad_values_are_refused_with_what_is_allowed(values, words):
    with pytest.raises(BadInput, match=words):
        ClusterConfig.from_dict(values)


def test_names_that_mean_nothing_are_refused():
    with pytest.raises(BadInput, match=r"by_name\['logit'\] names no weight of the model; did you mean logits"):
        cluster(clusterable_net(), ClusterConfig(by_name={"logit": 4}))
    with pytest.raises(BadInput, match=r"by_type\['Dens'\] is the class of no layer"):
        cluster(clusterable_net(), ClusterConfig(by_type={"Dens": 4}))


def test_wrong_order_names_the_right_call():
    from edgewright.quantize.qat import prepare_qat

    clustering, _ = prepare_cluster(clusterable_net())
    with pytest.raises(WrongOrder, match=r"then call strip_cluster\(model\)"):
        cluster(clustering)
    with pytest.raises(WrongOrder, match=r"is being clustered: .*strip_cluster\(model\) first, then prune"):
        prune(clustering)
    with pytest.raises(WrongOrder, match=r"call clustering, report = prepare_cluster\(model\)"):
        strip_cluster(clusterable_net())
    with pytest.raises(WrongOrder, match=r"call strip_cluster\(model\) first"):
        prepare_qat(clustering, calibration=batch_of()[0])
