"""The step reproduces the sequence model; greedy text; perplexities that are known."""

import numpy as np
import pytest
from edgewright import metrics
from edgewright.models import registry
from edgewright.quantize.streaming import derive
from edgewright.training.runner import KerasRunner
from edgewright.training.tasks.language import continued

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
