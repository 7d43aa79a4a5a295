"""Nets of whole graphs and of scenes: what an order of nodes leaves, what padding leaves, and who learns what."""

import numpy as np
import pytest
from edgewright.models import registry
from edgewright.training.data import load


@pytest.fixture(scope="module")
def graphs():
    x = load("drawn_graphs").test.x
    return {name: array[:6] for name, array in x.items()}


@pytest.mark.parametrize("pooled", ["sum", "mean", "learned"])
def test_a_graph_s_answer_knows_no_order_and_no_padding(graphs, pooled):
    net = registry.build("nn4g", pooled=pooled, units=5, seed=1)
    order = np.random.default_rng(0).permutation(16)
    other = {"features": graphs["features"][:, order], "links": graphs["links"][:, order][:, :, order],
             "mask": graphs["mask"][:, order]}  # fmt: skip
    plain = np.asarray(net(graphs))
    assert np.ptp(plain, axis=0).min() > 1e-3
    np.testing.assert_allclose(net(other), plain, atol=1e-5)
    noisy = graphs["features"] + 9 * (1 - graphs["mask"][..., None])
    np.testing.assert_allclose(net({**graphs, "features": noisy}), plain, atol=1e-5)


def test_relations_of_things_go_with_the_things():
    net, boxes = registry.build("scene_graph", "edge", seed=1), load("box_scenes").test.x[:4]
    order = np.array([2, 0, 4, 1, 3])
    plain = np.asarray(net(boxes))
    np.testing.assert_allclose(net(boxes[:, order]), plain[:, order][:, :, order], atol=1e-5)
    assert np.abs(plain - np.swapaxes(plain, 1, 2)).max() > 1e-3  # what one is to the other is not what that is to it


def test_messages_of_a_third_thing_reach_a_pair():
    one, none = (registry.build("scene_graph", "edge", steps=steps, seed=1) for steps in (2, 0))
    boxes = load("box_scenes").test.x[:1].copy()
    moved = boxes.copy()
    moved[0, 4] += 0.5
    for net, reaches in ((one, True), (none, False)):
        change = np.abs(np.asarray(net(moved)) - np.asarray(net(boxes)))[0, 0, 1].max()
        assert (change > 1e-5) == reaches
