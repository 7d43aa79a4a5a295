"""The step reproduces the sequence model; greedy text; perplexities that are known."""

import numpy as np
import pytest
from edgewright import metrics
from edgewright.models import registry
from edgewright.quantize.streaming import derive
from edgewright.training import tasks
from edgewright.training.config import TrainConfig
from edgewright.training.data import Split, available
from edgewright.training.runner import KerasRunner
from edgewright.training.tasks.language import continued
from edgewright.training.train import train

PERPLEXITY = metrics.get("perplexity")


def perplexity(chances):
    """Return the perplexity of a text whose tokens had these probabilities, first class of (N, K) rows."""
    rows = PERPLEXITY.scores(np.log(np.asarray(chances, np.float64)), np.zeros(len(chances), np.int32))
    return PERPLEXITY.reduce(rows)


@pytest.mark.parametrize("kinds", [2, 6, 65])  # a coin, a die, the characters of Shakespeare
def test_a_uniform_model_has_the_size_of_its_vocabulary(kinds):
    assert perplexity(np.full((10, kinds), 1 / kinds)) == pytest.approx(kinds)


def test_two_words():
    assert perplexity([[0.5, 0.5], [0.25, 0.75]]) == pytest.approx(2.8284, abs=1e-4)
    assert not PERPLEXITY.higher_is_better


@pytest.fixture(scope="module")
def run():
    networks = registry.networks("char_rnn", "edge", seed=3, input_shape=(12,), classes=17)
    for weight in networks["sequence"].weights:  # sharper than fresh weights, whose logits hardly differ
        weight.assign(3 * weight)
    (deployable,) = registry.get("char_rnn").deploy
    step = derive(networks["step"], networks["sequence"], deployable.states)
    return KerasRunner({**networks, "step": step}, [deployable])


def test_the_step_reproduces_the_sequence_model_token_by_token(run):
    tokens = np.random.default_rng(0).integers(0, 17, (5, 12)).astype(np.int32)
    whole = run("sequence", {"tokens": tokens})["logits"]  # (N, T, K)
    stepped = run.unroll("step", {"token": tokens[..., None]})["logits"]
    assert np.ptp(whole) > 1
    np.testing.assert_allclose(stepped.reshape(whole.shape), whole, atol=1e-5)


def test_greedy_text_is_what_the_sequence_model_says(run):
    first = np.arange(6, dtype=np.int32)
    tokens, text = first[:, None], continued(run, first, 11)
    for step in range(11):
        padded = np.pad(tokens, [(0, 0), (0, 12 - tokens.shape[1])])
        said = run("sequence", {"tokens": padded})["logits"][:, step].argmax(-1)
        np.testing.assert_array_equal(text[:, step], said)
        tokens = np.concatenate([tokens, said[:, None].astype(np.int32)], axis=1)
    assert len(np.unique(text)) > 2


# ---------------------------------------------------------------- options, and words


@pytest.mark.parametrize("conditioned", [("input",), ("state",), ("input", "state")])
def test_a_vector_enters_every_step_the_first_state_or_both(conditioned):
    networks = registry.networks("char_rnn", "edge", seed=3, input_shape=(5,), classes=7, units=6, tied=True,
                                 condition=3, conditioned=conditioned)  # fmt: skip
    for weight in networks["sequence"].weights:
        weight.assign(3 * weight)
    states = {**registry.get("char_rnn").deploy[0].states, **({"begun_out": "begun"} if "state" in conditioned else {})}
    step = derive(networks["step"], networks["sequence"], states)
    run = KerasRunner({**networks, "step": step}, [registry.Deployable(network="step", states=states)])
    random = np.random.default_rng(0)
    tokens, topic = random.integers(0, 7, (4, 5)).astype(np.int32), random.normal(size=(4, 3)).astype(np.float32)
    whole = run("sequence", {"tokens": tokens, "condition": topic})["logits"]
    each = np.repeat(topic[:, None], 5, axis=1)
    stepped = run.unroll("step", {"token": tokens[..., None], "condition": each})["logits"]
    np.testing.assert_allclose(stepped.reshape(whole.shape), whole, atol=1e-5)
    other = run("sequence", {"tokens": tokens, "condition": -topic})["logits"]
    assert np.abs(other - whole)[:, 0].max() > 0.01


def test_a_tied_output_layer_is_the_embedding():
    plain, tied = (registry.networks("word_rnn_lm", "edge", classes=50, units=8, tied=tied)["sequence"]
                   for tied in (False, True))  # fmt: skip
    assert plain.count_params() - tied.count_params() == 50 * 8 + 50


def test_weights_of_the_neural_probabilistic_language_model():
    model = registry.build("nnlm", "paper", input_shape=(3,), classes=100, width=30, hidden=50)
    kernels = [weight for weight in model.weights if weight.ndim == 2]
    assert sum(int(np.prod(weight.shape)) for weight in kernels) == 100 * 30 + 3 * 30 * 50 + 50 * 100  # VN+(n-1)NH+HV


# ---------------------------------------------------------------- against counting


def frequencies(train, asked, kinds, order):
    """Return of each word asked how often it came behind its last `order - 1` words in training, as a share."""

    def codes(x, y):
        before = np.zeros(len(y), np.int64)
        for column in x.T[x.shape[1] - order + 1 :]:
            before = before * kinds + column
        return before, before * kinds + y

    def times(seen, wanted):
        values, counts = np.unique(seen, return_counts=True)
        place = np.searchsorted(values, wanted).clip(max=len(values) - 1)
        return np.where(values[place] == wanted, counts[place], 0)

    (before, whole), (its_before, its_whole) = codes(train.x, train.y), codes(asked.x, asked.y)
    return times(whole, its_whole) / np.maximum(times(before, its_before), 1)


def trigram_perplexity(dataset):
    """Return that of test words by interpolated frequencies, shares learned on validation words.

    Source: Jelinek and Mercer 1980, Interpolated estimation of Markov source parameters from sparse data.
    """

    def parts(split):
        found = [frequencies(dataset.train, split, dataset.classes, order) for order in (1, 2, 3)]
        return np.stack([np.full(len(split), 1 / dataset.classes), *found])

    shares, held_out = np.full(4, 0.25), parts(dataset.validation)
    for _ in range(50):
        weighed = shares[:, None] * held_out
        shares = (weighed / weighed.sum(0)).mean(1)
    return float(np.exp(-np.log(shares @ parts(dataset.test)).mean()))


def test_frequencies_by_hand():
    train = Split(x=np.array([[1, 2], [2, 1], [1, 2]]), y=np.array([1, 2, 3]))
    asked = Split(x=np.array([[1, 2], [3, 1]]), y=np.array([1, 2]))
    found = [frequencies(train, asked, 4, order).tolist() for order in (1, 2, 3)]
    assert found == [[1 / 3, 1 / 3], [1 / 2, 1.0], [1 / 2, 0.0]]


def learned(data, **settings):
    """Return the perplexity of test words by a network that reads the last four, and by trigrams."""
    task = tasks.get("next_token")
    dataset = task.present(data, registry.networks("nnlm", "edge"), rebuilt=True)
    model = registry.build("nnlm", "edge", classes=dataset.classes)
    train(model, dataset, TrainConfig(**settings))
    return task.metric.reduce(task.evaluate(KerasRunner({"nnlm": model}), dataset).rows), trigram_perplexity(dataset)


@pytest.mark.data
@pytest.mark.slow
def test_a_network_of_the_last_words_is_better_than_trigrams_of_the_treebank():
    if not available("ptb"):
        pytest.skip("ptb is not in $EDGEWRIGHT_DATA")
    network, trigrams = learned("ptb", epochs=1, batch_size=256, learning_rate=0.01)
    assert network < trigrams
