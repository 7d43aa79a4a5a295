"""Efficient attention: the pairs that each form looks at, sums against a double loop, steps, and what it costs."""

import numpy as np
import pytest
from edgewright.models import registry
from edgewright.models.attention import SelfAttention
from edgewright.models.efficient import LinearAttentionCell, LocalAttention, SegmentAttention, SparseAttention
from edgewright.pipeline.cost import multiply_adds
from edgewright.quantize.streaming import derive
from edgewright.training.runner import KerasRunner
from keras import layers

LENGTH, WINDOW, WIDTH = 12, 4, 8
X = np.random.default_rng(0).normal(size=(2, LENGTH, WIDTH)).astype("float32")
LOOKS = {  # kind -> does the query at t look at the key at s <= t
    LocalAttention: lambda t, s: t - s < WINDOW,
    SegmentAttention: lambda t, s: t // WINDOW - s // WINDOW < 2,
    SparseAttention: lambda t, s: s // WINDOW == t // WINDOW or s % WINDOW == WINDOW - 1,
}
NAMES = ("local_attention", "sparse_attention", "segment_recurrent_transformer", "linear_attention")


@pytest.mark.parametrize("kind", LOOKS)
def test_blocks_are_full_attention_to_the_pairs_that_count(kind):
    layer, full = kind(2, WINDOW), SelfAttention(2)
    found = layer(X)
    full.build(X.shape)
    full.set_weights(layer.get_weights())
    pairs = [[s <= t and LOOKS[kind](t, s) for s in range(LENGTH)] for t in range(LENGTH)]
    np.testing.assert_allclose(found, full(X, keep=np.array(pairs)[None, None]), atol=1e-5)
    with pytest.raises(ValueError, match="window=4 must divide the length 10"):
        layer(X[:, :10])


def test_sums_are_the_double_loop_over_tokens():
    cell = LinearAttentionCell(WIDTH, 2, LENGTH)
    found = np.asarray(layers.RNN(cell, return_sequences=True)(X))
    query, key, value, output = (np.asarray(weight, np.float64) for weight in cell.get_weights())

    def heads(x):
        return x.reshape(2, LENGTH, 2, WIDTH // 2)

    def features(x):
        return np.where(x > 0, x + 1, np.exp(np.minimum(x, 0)))  # elu(x) + 1

    q, k, v = heads(features(X @ query)), heads(features(X @ key)), heads(X @ value)
    expected = np.zeros((2, LENGTH, 2, WIDTH // 2))
    for n, t, h in np.ndindex(2, LENGTH, 2):
        likeness = np.array([q[n, t, h] @ k[n, s, h] for s in range(t + 1)])
        expected[n, t, h] = likeness @ v[n, : t + 1, h] / likeness.sum()
    np.testing.assert_allclose(found, expected.reshape(2, LENGTH, WIDTH) @ output, atol=1e-5)


def networks(name, length=16, **options):
    sizes = {"depth": 1, "width": 8, "heads": 2, "feed_forward": 8, "window": 4, **options}
    return registry.networks(name, "edge", input_shape=(length,), classes=7, seed=1, **sizes)


@pytest.mark.parametrize("name", NAMES)
def test_the_step_reproduces_the_sequence_token_by_token(name):
    built = networks(name, depth=2)
    for weight in built["sequence"].weights:
        weight.assign(3 * weight)
    (deployable,) = registry.with_states(registry.get(name).deploy, built)
    assert len(deployable.states) == 2 * {"local_attention": 2, "linear_attention": 3}.get(name, 4)
    step = derive(built["step"], built["sequence"], deployable.states)
    run = KerasRunner({**built, "step": step}, [deployable])
    tokens = np.random.default_rng(0).integers(0, 7, (3, 16)).astype(np.int32)
    whole = run("sequence", {"tokens": tokens})["logits"]
    position = np.broadcast_to(np.arange(16, dtype=np.int32)[None, :, None], (3, 16, 1))
    stepped = run.unroll("step", {"token": tokens[..., None], "position": position})["logits"]
    assert np.ptp(whole) > 1
    np.testing.assert_allclose(stepped.reshape(whole.shape), whole, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_cost_grows_as_the_papers_claim(name):
    """Multiply-adds of a sequence net less its projections, which are linear; those of one step."""

    def costs(length, window):
        built = networks(name, length, window=window)
        rest = length * (4 * 8 * 8 + 2 * 8 * 8 + 8 * 7)  # attention's projections, feed-forward net, logits
        return multiply_adds(built["sequence"]) - rest, multiply_adds(built["step"])

    if name == "sparse_attention":  # in T sqrt(T), with blocks of sqrt(T)
        (few, _), (many, _) = costs(16, 4), costs(64, 8)
        assert few == 2 * 16 * (4 + 4) * 8 and many == 8 * few
    else:
        (few, one), (many, other) = costs(8, 4), costs(16, 4)
        assert many == 2 * few > 0
        assert one == other
