"""Which tensors are pruned, and the reasons why the others are not."""

import keras
import pytest
from edgewright.errors import BadInput
from edgewright.prune import PruneConfig, prune
from keras import layers


def assorted_net():
    tokens = keras.Input((4,), dtype="int32", name="tokens")
    x = layers.Embedding(10, 8, name="embedding")(tokens)
    x = layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    x = layers.LayerNormalization(axis=(1, 2), name="norm")(x)
    x = layers.Reshape((4, 4, 2), name="image")(x)
    x = layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = layers.Dense(4, name="frozen")(layers.Flatten(name="flat")(x))
    model = keras.Model(tokens, layers.Dense(2, name="logits")(x), name="assorted")
    model.get_layer("frozen").trainable = False
    return model


def reasons(config):
    _, report = prune(assorted_net(), config)
    return {row["name"]: row["reason"] if row["sparsity"] is None else row["sparsity"] for row in report.rows}


def test_default_prunes_products_and_says_why_not_the_rest():
    found = reasons(PruneConfig(sparsity=0.5))
    pruned = {name for name, value in found.items() if value == 0.5}
    attention = {f"attention/{part}/kernel" for part in ("query", "key", "value", "attention_output")}
    assert pruned == {*attention, "logits/kernel"}
    assert found["embedding/embeddings"].startswith("a table is looked up")
    assert found["depthwise/kernel"].startswith("a depthwise kernel")
    assert found["norm/gamma"] == "scales of a normalisation are few and matter"
    assert found["attention/query/bias"] == "biases, scales and offsets are few and matter"  # of shape (heads, d)
    assert found["frozen/kernel"] == "frozen: its layer is not trainable"
    assert len(found) == 17  # each trainable weight has its row


def test_a_handful_of_weights_is_spared_unless_asked_for():
    """XOR needs every one of its six weights."""
    inputs = keras.Input((2,))
    model = keras.Model(inputs, layers.Dense(1, name="out")(layers.Dense(2, name="hidden")(inputs)))
    for config, expected in ((PruneConfig(), None), (PruneConfig(by_name={"hidden": 0.5}), 0.5)):
        _, report = prune(model, config)
        (row,) = [row for row in report.rows if row["name"] == "hidden/kernel"]
        assert row["sparsity"] == expected and ("fewer than 8 weights" in row["reason"]) == (expected is None)


def test_what_is_spared_can_be_asked_for():
    found = reasons(PruneConfig(sparsity=None, by_type={"Embedding": 0.25}, by_name={"depthwise": 0.5}))
    assert found["embedding/embeddings"] == 0.25 and found["depthwise/kernel"] == 0.5
    assert found["logits/kernel"] == "PruneConfig.sparsity is None"


def test_none_skips_by_name_and_by_type():
    found = reasons(PruneConfig(by_name={"attention/query": None}, by_type={"Dense": None}))
    assert found["attention/query/kernel"] == "PruneConfig.by_name['attention/query'] is None"
    assert found["logits/kernel"] == "PruneConfig.by_type['Dense'] is None"
    assert found["attention/key/kernel"] == 0.5


def test_a_name_that_fits_nothing_is_refused_with_neighbours():
    with pytest.raises(BadInput, match=r"by_name\['logit'\] names no weight of the model; did you mean logits"):
        prune(assorted_net(), PruneConfig(by_name={"logit": None}))


def test_a_shared_layer_is_listed_once():
    shared = layers.Dense(4, use_bias=False, name="shared")
    inputs = keras.Input((4,))
    _, report = prune(keras.Model(inputs, shared(shared(inputs))))
    assert [row["name"] for row in report.rows] == ["shared/kernel"]
