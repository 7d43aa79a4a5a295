"""Attention by hand, against Keras' own layer, and step by step from a cache."""

import keras
import numpy as np
import pytest
from edgewright.models.attention import (
    Block,
    LearnedPositions,
    SelfAttention,
    SinusoidalPositions,
    attention,
    attention_weights,
    cached_block,
    causal,
    decoder_block,
    encoder_block,
    known,
    memory_keys,
    positional_encoding,
    step_at,
)
from edgewright.quantize.streaming import derive
from keras import ops

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(3, 6, 8)).astype("float32")
MEMORY = RANDOM.normal(size=(3, 5, 8)).astype("float32")


def test_a_worked_example():
    x = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    query = x @ np.array([[0.01, 0.03], [0.02, 0.02], [0.03, 0.01]], np.float32)
    key = x @ np.array([[0.05, 0.05], [0.06, 0.05], [0.07, 0.05]], np.float32)
    value = x @ np.array([[0.02, 0.02], [0.01, 0.02], [0.01, 0.01]], np.float32)
    np.testing.assert_allclose(query, [[0.14, 0.10], [0.32, 0.28]], atol=1e-6)
    np.testing.assert_allclose(key, [[0.38, 0.30], [0.92, 0.75]], atol=1e-6)
    np.testing.assert_allclose(value, [[0.07, 0.09], [0.19, 0.24]], atol=1e-6)
    scaled = query / np.sqrt(2)
    np.testing.assert_allclose(attention_weights(scaled, key), [[0.4787, 0.5213], [0.4474, 0.5526]], atol=5e-5)
    np.testing.assert_allclose(attention(scaled, key, value), [[0.1326, 0.1682], [0.1363, 0.1729]], atol=6e-5)


def test_the_worked_example_through_the_layer():
    layer = SelfAttention(1, size=2)
    layer.build((None, 2, 3))
    parts = {
        "query": [[0.01, 0.03], [0.02, 0.02], [0.03, 0.01]],
        "key": [[0.05, 0.05], [0.06, 0.05], [0.07, 0.05]],
        "value": [[0.02, 0.02], [0.01, 0.02], [0.01, 0.01]],
        "output": [[1, 0, 0], [0, 1, 0]],
    }
    for part, kernel in parts.items():
        getattr(layer, f"{part}_projection").set_weights([np.array(kernel, np.float32)])
    mixed, weights = layer(np.array([[[1, 2, 3], [4, 5, 6]]], np.float32), return_weights=True)
    np.testing.assert_allclose(mixed[0], [[0.1326, 0.1682, 0], [0.1363, 0.1729, 0]], atol=6e-5)
    np.testing.assert_allclose(weights[0, 0], [[0.4787, 0.5213], [0.4474, 0.5526]], atol=5e-5)


def test_scores_are_divided_by_the_root_of_the_width():
    query, keys = (
        np.ones((1, 64), np.float32),
        np.stack([np.full(64, 112 / 64), np.full(64, 96 / 64)]).astype("float32"),
    )
    np.testing.assert_allclose(query @ keys.T / 8, [[14, 12]])
    np.testing.assert_allclose(attention_weights(query / 8, keys), [[0.8808, 0.1192]], atol=5e-5)


def test_positions_of_the_literature():
    rows = [[0, 1, 0, 1], [0.84, 0.54, 0.10, 1.0], [0.91, -0.42, 0.20, 0.98], [0.14, -0.99, 0.30, 0.96]]
    np.testing.assert_allclose(positional_encoding(4, 4, base=100), rows, atol=0.0051)
    table = positional_encoding(40, 512)
    np.testing.assert_allclose(table[1, :5], [0.84147, 0.54030, 0.82186, 0.56970, 0.80196], atol=5e-6)
    further = 7
    for pair in (0, 3, 100):
        angle = further / 10_000 ** (2 * pair / 512)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        turned = table[:-further, 2 * pair : 2 * pair + 2] @ turn
        np.testing.assert_allclose(turned, table[further:, 2 * pair : 2 * pair + 2], atol=1e-5)


@pytest.mark.parametrize("use_bias", [False, True])
@pytest.mark.parametrize("of", ["itself", "earlier", "memory", "no padding"])
def test_it_computes_what_keras_own_layer_does(of, use_bias):
    ours, theirs = SelfAttention(2, use_bias, name="ours"), keras.layers.MultiHeadAttention(2, 4, use_bias=use_bias)
    source = MEMORY if of in ("memory", "no padding") else X
    ours.build(X.shape)
    theirs.build(X.shape, source.shape)
    for weight in ours.weights:
        weight.assign(RANDOM.normal(size=weight.shape))
    of_ours = {weight.path.split("ours/")[-1]: np.asarray(weight) for weight in ours.weights}
    for weight in theirs.weights:  # (width, heads, d), (heads, d); of the output (heads, d, width)
        part, kind = weight.path.split("/")[-2:]
        weight.assign(of_ours[f"{part.removeprefix('attention_')}/{kind}"].reshape(weight.shape))
    tokens = np.array([[3, 1, 4, 1, 5], [9, 2, 0, 0, 0], [6, 0, 0, 0, 0]])
    given = {
        "itself": {},
        "earlier": {"keep": causal(6)},
        "memory": {"memory": MEMORY},
        "no padding": {"memory": MEMORY, "keep": known(ops.convert_to_tensor(tokens))},
    }[of]
    expected, weights = theirs(
        X, source, use_causal_mask=of == "earlier", return_attention_scores=True,
        attention_mask=(tokens != 0)[:, None] if of == "no padding" else None,
    )  # fmt: skip
    found, found_weights = ours(X, return_weights=True, **given)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found_weights, weights, atol=1e-6)


def test_padding_has_no_weight():
    tokens = np.array([[3, 1, 0, 0], [0, 0, 0, 0]])
    keys = RANDOM.normal(size=(2, 1, 4, 2)).astype("float32")
    weights = np.asarray(attention_weights(5 * keys, keys, known(ops.convert_to_tensor(tokens))))
    assert (weights[0, :, :, 2:] == 0).all()
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-6)  # nothing at all to look at: no NaN


BLOCKS = {
    "post-norm": Block(heads=2, feed_forward=16, dropout=0),
    "pre-norm": Block(heads=2, feed_forward=16, norm_first=True, activation="gelu", use_bias=True, weight_dropout=0.1),
    "rms": Block(heads=2, feed_forward=16, norm_first=True, rms=True, size=3),
}


def networks_of(block, length=6, memory=5):
    """Return a decoder of two blocks over whole sequences, the memory's part of it, and one step of it."""
    inner = block.heads * (block.size or 8 // block.heads)
    x, of = keras.Input((length, 8), name="x"), keras.Input((memory, 8), name="memory")
    y = LearnedPositions(length, name="positions")(x)
    for name in ("one", "two"):
        y = decoder_block(y, block, name, memory=of, keep=causal(length))
    given = {name: memory_keys(of, block, name) for name in ("one", "two")}
    encoder = keras.Model(of, given)
    token, position = keras.Input((1, 8), name="x"), keras.Input((1,), dtype="int32", name="position")
    here, past = step_at(position, length)
    z, inputs, outputs = LearnedPositions(length, name="positions")(token, position), [], []
    for name in ("one", "two"):
        cache = tuple(keras.Input((length, inner)) for _ in range(2))
        keys = tuple(keras.Input((memory, inner)) for _ in range(2))
        z, *new = cached_block(z, block, name, cache, here, keep=past, keys=keys)
        inputs, outputs = [*inputs, *cache, *keys], [*outputs, *new]
    return keras.Model([x, of], y), encoder, keras.Model([token, position, *inputs], [z, *outputs])


@pytest.mark.parametrize("kind", BLOCKS)
def test_steps_from_a_cache_give_what_the_whole_decoder_does(kind):
    keras.utils.set_random_seed(1)
    whole, encoder, step = networks_of(BLOCKS[kind])
    expected = np.asarray(whole([X, MEMORY]))
    encoder, step = derive(encoder, whole), derive(step, whole, {})
    keys = {name: [np.asarray(part) for part in pair] for name, pair in encoder(MEMORY).items()}
    caches = [np.zeros((3, *leaf.shape[1:]), np.float32) for leaf in step.inputs[2:4]] * 2
    for place in range(6):
        given = [*caches[:2], *keys["one"], *caches[2:], *keys["two"]]
        position = np.full((3, 1), place, np.int32)
        made, *caches = (np.asarray(part) for part in step([X[:, place : place + 1], position, *given]))
        np.testing.assert_allclose(made[:, 0], expected[:, place], atol=2e-5)


def test_what_follows_changes_nothing_before():
    keras.utils.set_random_seed(1)
    x = keras.Input((6, 8))
    model = keras.Model(x, encoder_block(x, BLOCKS["pre-norm"], "block", keep=causal(6)))
    changed = X.copy()
    changed[:, 3] = X[:, 5]
    before, after = np.asarray(model(X)), np.asarray(model(changed))
    np.testing.assert_array_equal(before[:, :3], after[:, :3])
    assert (np.abs(before - after)[:, 3:].max(-1) > 1e-3).all()


def test_a_step_adds_the_encoding_of_its_position():
    whole = np.asarray(SinusoidalPositions()(X))
    step = SinusoidalPositions(6)
    for place in range(6):
        found = step(X[:, place : place + 1], np.full((3, 1), place))
        np.testing.assert_array_equal(found[:, 0], whole[:, place])


def test_a_position_bias_is_added_to_the_scores():
    query, key = X[:, None, :, :4], X[:, None, :, 4:]
    bias = RANDOM.normal(size=(1, 1, 6, 6)).astype("float32")
    scores = query @ key.swapaxes(-1, -2) + bias
    expected = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    np.testing.assert_allclose(attention_weights(query, key, bias=bias), expected, rtol=1e-4)


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"memory": True, "return_weights": True},
        {"memory": True, "project_only": True},
        {"return_keys": True, "return_weights": True},
        {"cache": True, "return_keys": True},
    ],
    ids=lambda how: "-".join(how) or "itself",
)
def test_it_announces_what_a_trace_finds(how):
    x, memory, cache = (keras.Input((length, 8)) for length in (1 if "cache" in how else 4, 5, 6))
    given = {word: how[word] for word in how if word not in ("memory", "cache")}
    if "cache" in how:
        given |= {"cache": (cache, cache), "here": keras.Input((6, 1), dtype="bool")}
    layer = SelfAttention(2, name="attention")
    layer.build(x.shape)
    args = (x, memory) if "memory" in how else (x,)
    announced = layer.compute_output_spec(*args, **given)
    traced = keras.layers.Layer.compute_output_spec(layer, *args, **given)
    assert type(announced) is type(traced)
    announced, traced = keras.tree.flatten(announced), keras.tree.flatten(traced)
    assert [(one.shape, one.dtype) for one in announced] == [(one.shape, one.dtype) for one in traced]
    assert len(set(map(id, announced))) == len(announced)
