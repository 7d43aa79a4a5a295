"""Nets of drawn neighbourhoods by hand: what is read of neighbours, of those not there, and of their order."""

import numpy as np
import pytest
from edgewright.models import registry

NAMES = ("graphsage_mean", "graphsage_pool", "graphsage_lstm")
SHAPES = {"target": (3,), "near": (4, 3), "far": (4, 2, 3), "near_weights": (4,), "far_weights": (4, 2)}


def built(name):
    return registry.build(name, input_shape=SHAPES, classes=5, units=4, hidden=6, seed=1)


@pytest.fixture
def drawn():
    """Return two nodes: all their neighbours are there, but of the second's neighbours the last."""
    random = np.random.default_rng(0)
    given = {name: random.normal(size=(2, *shape)).astype("f4") for name, shape in SHAPES.items()}
    given["near_weights"] = np.array([[1 / 4] * 4, [1 / 3] * 3 + [0]], "f4")
    given["far_weights"] = np.full((2, 4, 2), 0.5, "f4")
    return given


def test_the_mean_by_hand(drawn):
    net = built("graphsage_mean")
    merges = [net.get_layer(f"merge_{at}").get_weights()[0].astype(float) for at in (1, 2)]
    kernel, bias = net.get_layer("logits").get_weights()
    mean_near = np.einsum("nk,nkf->nf", drawn["near_weights"], drawn["near"])
    own = np.maximum(np.concatenate([drawn["target"], mean_near], -1) @ merges[0], 0)
    theirs = np.maximum(np.concatenate([drawn["near"], drawn["far"].mean(2)], -1) @ merges[0], 0)
    mean = np.einsum("nk,nku->nu", drawn["near_weights"], theirs)
    vector = np.concatenate([own, mean], -1) @ merges[1]
    vector /= np.linalg.norm(vector, axis=-1, keepdims=True)
    answers = net(drawn, training=False)
    np.testing.assert_allclose(answers["vector"], vector, atol=1e-5)
    np.testing.assert_allclose(answers["logits"], vector @ kernel + bias, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_neighbours_counts_where_they_are_read_one_by_one(drawn, name):
    net, order = built(name), np.array([2, 0, 3, 1])
    other = {key: value if key == "target" else value[:, order] for key, value in drawn.items()}
    plain, turned = (np.asarray(net(given)["logits"]) for given in (drawn, other))
    assert (np.abs(plain - turned).max() > 1e-3) == (name == "graphsage_lstm")


@pytest.mark.parametrize("name", ["graphsage_mean", "graphsage_pool"])
def test_who_is_not_there_says_nothing(drawn, name):
    net = built(name)
    other = {key: value.copy() for key, value in drawn.items()}
    other["near"][1, 3] += 7
    other["far"][1, 3] -= 7
    np.testing.assert_allclose(net(other)["logits"], net(drawn)["logits"], atol=1e-5)
    other["near"][1, 2] += 7
    assert np.abs(np.asarray(net(other)["logits"]) - np.asarray(net(drawn)["logits"])).max() > 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_vectors_have_norm_one(drawn, name):
    np.testing.assert_allclose(np.linalg.norm(built(name)(drawn)["vector"], axis=-1), 1, atol=1e-5)


def test_another_aggregator_is_refused():
    with pytest.raises(ValueError, match="median"):
        registry.build("graphsage_mean", input_shape=SHAPES, aggregator="median")
