"""A reader of passages: both attentions, by hand and in the net; highways; words that are known by their letters."""

import keras
import numpy as np
import pytest
from edgewright.models import registry
from edgewright.models.reading import Highway, Weighed, attended, passage

SMALL = {"input_shape": passage(7, 3, 5), "vocabulary": 12, "units": 4, "filters": 5, "letter": 3}


def questions(net, count=2):
    random = np.random.default_rng(0)
    given = {each.name: random.integers(1, 12, (count, *each.shape[1:])).astype("int32") for each in net.inputs}
    for kind, there in (("context", 5), ("question", 2)):
        mask = np.zeros(given[f"{kind}_mask"].shape, "int32")
        mask[:, :there] = 1
        given[f"{kind}_mask"] = mask
    return given


def test_both_attentions_sum_to_one_and_leave_padding_out():
    net = registry.build("bidaf", "edge", **SMALL)
    looks = keras.Model(net.inputs, [net.get_layer(name).output for name in ("to_question", "to_context")])
    given = questions(net)
    to_question, to_context = (np.asarray(each) for each in looks([given[each.name] for each in net.inputs]))
    assert to_question.shape == (2, 7, 3) and to_context.shape == (2, 7)
    np.testing.assert_allclose(to_question.sum(-1), 1, rtol=1e-5)
    np.testing.assert_allclose(to_context.sum(-1), 1, rtol=1e-5)
    assert not to_question[..., 2].any() and not to_context[:, 5:].any()


def test_attention_flow_by_hand():
    h, u = keras.Input((2, 2), name="h"), keras.Input((2, 2), name="u")
    there, asked = keras.Input((2,), dtype="bool", name="there"), keras.Input((2,), dtype="bool", name="asked")
    net = keras.Model([h, u, there, asked], attended(h, u, there, asked))
    net.get_layer("weighed").set_weights([np.array([1.0, 1.0])])
    for name in ("of_context", "of_question"):
        net.get_layer(name).set_weights([np.zeros((2, 1))])
    yes = np.ones((1, 2), bool)
    words, told = np.array([[[9.0, 0], [0, 9]]], "float32"), np.array([[[0, 9.0], [8, 0]]], "float32")
    flow = np.asarray(net([words, told, yes, yes]))[0]
    np.testing.assert_allclose(flow[0, :4], [9, 0, 8, 0], atol=1e-4)  # the first word is told of by the second
    np.testing.assert_allclose(flow[1, :6], [0, 9, 0, 9, 0, 81], atol=1e-4)
    np.testing.assert_allclose(flow[:, 6:], [[0, 0], [0, 81]], atol=0.1)  # similarities 72 and 81: it is about the last
    alone = np.asarray(net([words, told, np.array([[True, False]]), yes]))[0]
    np.testing.assert_allclose(alone[:, 6:], [[81, 0], [0, 0]], atol=1e-4)


def test_a_shut_highway_leads_past_its_layer():
    layer, x = Highway(), np.random.default_rng(0).normal(size=(2, 3)).astype("float32")
    layer(x)
    layer.gate.set_weights([np.zeros((3, 3)), np.full(3, -50.0)])
    np.testing.assert_allclose(np.asarray(layer(x)), x, atol=1e-6)
    layer.gate.set_weights([np.zeros((3, 3)), np.full(3, 50.0)])
    np.testing.assert_allclose(np.asarray(layer(x)), np.asarray(layer.carried(x)), atol=1e-6)


def test_unknown_words_differ_by_their_letters():
    net = registry.build("bidaf", "edge", **SMALL)
    given = questions(net, 1)
    before = net(given)
    given["context_letters"] = given["context_letters"][..., ::-1]
    assert np.abs(np.asarray(before["start"]) - np.asarray(net(given)["start"])).max() > 1e-6
    assert np.asarray(Weighed()(np.ones((1, 4), "float32"))) == pytest.approx(0.5)
