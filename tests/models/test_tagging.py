"""Taggers, the hidden Markov model and ELMo by hand, by every path, and by what their halves may see."""

import itertools

import keras
import numpy as np
import pytest
from edgewright.models import registry
from edgewright.models.elmo import LayerMix
from edgewright.quantize import prepare_qat
from edgewright.quantize.streaming import derive
from edgewright.training.chains import HIDDEN, viterbi
from edgewright.training.learners.hidden_markov import assign
from edgewright.training.markov import Markov
from edgewright.training.runner import KerasRunner

KINDS, SYMBOLS, STEPS = 3, 6, 4
LENGTHS = np.array([4, 4, 3, 2, 1])


@pytest.fixture(scope="module")
def model():
    random = np.random.default_rng(1)
    return Markov(random.dirichlet(np.ones(KINDS)), random.dirichlet(np.ones(KINDS), KINDS),
                  random.dirichlet(np.ones(SYMBOLS), KINDS).T)  # fmt: skip


@pytest.fixture(scope="module")
def symbols():
    return np.random.default_rng(2).integers(1, SYMBOLS, (len(LENGTHS), STEPS))


def chance(model, symbols, path):
    """Return the joint probability of a path and of what is seen."""
    first = model.start[path[0]]
    moves = np.prod([model.moves[a, b] for a, b in itertools.pairwise(path)])
    return first * moves * np.prod([model.emits[symbol, state] for symbol, state in zip(symbols, path, strict=False)])


def paths(length):
    return list(itertools.product(range(KINDS), repeat=int(length)))


# ---------------------------------------------------------------- hidden Markov model


def test_likelihood_states_and_moves_are_sums_over_all_paths(model, symbols):
    expected = model.expected(symbols, LENGTHS)
    moves = np.zeros((KINDS, KINDS))
    for row, length in enumerate(LENGTHS):
        chances = {path: chance(model, symbols[row], path) for path in paths(length)}
        total = sum(chances.values())
        assert expected.likelihood[row] == pytest.approx(np.log(total))
        states = np.zeros((STEPS, KINDS))
        for path, share in chances.items():
            for place, state in enumerate(path):
                states[place, state] += share / total
            for before, after in itertools.pairwise(path):
                moves[before, after] += share / total
        np.testing.assert_allclose(expected.states[row], states, atol=1e-12)
    np.testing.assert_allclose(expected.moves, moves)


def test_em_never_lowers_the_likelihood(model, symbols):
    likelihoods = []
    for _ in range(30):
        model, before = model.reestimated(symbols, LENGTHS)
        likelihoods.append(before)
    assert (np.diff(likelihoods) >= -1e-9).all() and likelihoods[-1] > likelihoods[0] + 1
    for rows in (model.start[None], model.moves, model.emits.T):
        np.testing.assert_allclose(rows.sum(1), 1)


def test_the_best_path_is_found_by_the_taggers_code_with_logarithms_as_scores(model, symbols):
    found = viterbi(np.log(model.emits[symbols]), LENGTHS, model.table())
    for row, length in enumerate(LENGTHS):
        best = max(paths(length), key=lambda path: chance(model, symbols[row], path))
        np.testing.assert_array_equal(found[row, :length], best)


def test_counts_are_shares_of_what_was_told():
    states = np.array([[0, 0, 1, HIDDEN], [1, 0, HIDDEN, HIDDEN]])
    symbols = np.array([[1, 1, 2, 0], [2, 3, 0, 0]])
    model = Markov.counted(symbols, states, 2, 4, prior=0.0)
    np.testing.assert_allclose(model.start, [0.5, 0.5])
    np.testing.assert_allclose(model.moves, [[0.5, 0.5], [1, 0]])
    np.testing.assert_allclose(model.emits, [[0, 0], [2 / 3, 0], [0, 1], [1 / 3, 0]])


def test_the_step_filters_as_the_sequence_does_and_as_the_sum_over_paths(model, symbols):
    networks = registry.networks("hidden_markov_model", classes=KINDS, input_shape=(STEPS, KINDS), vocabulary=SYMBOLS)
    (deployable,) = registry.get("hidden_markov_model").deploy
    trained = registry.trained(networks, [deployable])
    assign(trained, model)
    networks["step"] = derive(networks["step"], networks["filter"], deployable.states)
    run = KerasRunner(networks, [deployable])
    rows = run.table("words")[symbols]  # (N, T, K)
    whole, stepped = run("filter", {"emission": rows}), run.unroll("step", {"emission": rows})
    for name in ("joint", "log_scale"):
        np.testing.assert_allclose(stepped[name].reshape(whole[name].shape), whole[name], atol=1e-5)
    largest = np.log(model.emits.max(1))[symbols]  # which rows are short of
    np.testing.assert_allclose((whole["log_scale"][..., 0] + largest)[:2].sum(1),
                               model.expected(symbols, LENGTHS).likelihood[:2], atol=0.02)  # fmt: skip
    last = np.exp(whole["joint"][0, -1])
    np.testing.assert_allclose(last / last.sum(), model.expected(symbols, LENGTHS).states[0, -1], atol=2e-3)
    np.testing.assert_allclose(run.table("transitions"), model.table())


# ---------------------------------------------------------------- taggers


def test_sparse_features_are_a_linear_model():
    networks = registry.networks("crf", "edge", classes=4, input_shape=(3, 5), vocabulary=50)
    random = np.random.default_rng(0)
    weights = random.normal(size=(50, 4)).astype("f4")
    networks["emissions"].set_weights([weights])
    features = random.integers(0, 50, (2, 3, 5)).astype("i4")
    counts = np.stack([[np.bincount(word, minlength=50) for word in sentence] for sentence in features])
    np.testing.assert_allclose(networks["emissions"](features), counts @ weights, atol=1e-5)


def test_the_backward_half_of_a_tagger_sees_what_follows_and_the_forward_one_does_not():
    tokens = np.random.default_rng(0).integers(1, 30, (1, 6)).astype("i4")
    other = tokens.copy()
    other[0, 4] = 31
    for name, sees in (("lstm_crf", False), ("bilstm_crf", True)):
        network = registry.networks(name, "edge", input_shape=(6,), vocabulary=32, classes=3)["emissions"]
        differ = np.abs(np.asarray(network(tokens)) - np.asarray(network(other)))[0].max(-1) > 0
        np.testing.assert_array_equal(differ, [sees] * 4 + [True] * 2)


# ---------------------------------------------------------------- ELMo


def test_each_half_of_a_vector_sees_one_side():
    network = registry.networks("elmo", "edge", input_shape=(6,), classes=40, units=8)["vectors"]
    tokens = np.random.default_rng(0).integers(1, 30, (1, 6)).astype("i4")
    other = tokens.copy()
    other[0, 3] = 39
    differ = np.abs(np.asarray(network(tokens)) - np.asarray(network(other)))[0] > 0  # (T, 2 units)
    forward, backward = differ[:, :8].any(1), differ[:, 8:].any(1)
    np.testing.assert_array_equal(forward, [False] * 3 + [True] * 3)  # it ignores the future
    np.testing.assert_array_equal(backward, [True] * 4 + [False] * 2)


def test_layers_are_mixed_by_a_softmax_and_scaled():
    network = registry.networks("elmo", "edge", input_shape=(3,), classes=9, units=2)["vectors"]
    mix = network.get_layer("mixed")
    layers = [np.full((1, 3, 4), value, "f4") for value in (1.0, 2.0, 4.0)]
    np.testing.assert_allclose(mix(layers), np.full((1, 3, 4), 7 / 3), rtol=1e-6)
    mix.set_weights([np.log([1.0, 1.0, 2.0]), np.array(3.0)])
    np.testing.assert_allclose(mix(layers), np.full((1, 3, 4), 3 * (1 + 2 + 8) / 4), rtol=1e-6)


def test_learned_numbers_are_weights_of_a_quantized_net_too(tmp_path):
    ends = [keras.Input((4, 3), name=name) for name in "ab"]
    net = keras.Model(ends, LayerMix(name="mixed")(ends))
    net.get_layer("mixed").set_weights([np.log([1.0, 3.0]), np.array(2.0)])
    samples = dict(zip("ab", np.random.default_rng(0).normal(size=(2, 8, 4, 3)).astype("f4"), strict=True))
    qat, _ = prepare_qat(net, calibration=samples)
    assert len(qat.trainable_weights) == 2  # the share of each, times the scale
    qat.save(tmp_path / "q.keras")
    read = keras.saving.load_model(tmp_path / "q.keras", compile=False)
    x = list(samples.values())
    np.testing.assert_array_equal(read(x), qat(x))
    np.testing.assert_allclose(qat(x), 0.5 * x[0] + 1.5 * x[1], atol=0.05)
