"""Maps, attacks and distances on nets small enough to be worked by hand."""

import json

import inspected
import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.inspection import attacks, attention, features, maps, methods
from edgewright.inspection.net import Net
from edgewright.inspection.scores import confidence, log_probability, of_class, predicted
from edgewright.models import registry
from edgewright.quantize import find_quantized, prepare_qat
from keras import layers

X = np.array([[1.0, -1.0, 2.0, -2.0]], np.float32)
ABOVE = np.array([[3.0], [4.0], [-5.0], [-6.0]], np.float32)


def net_of(model, x, quantize=False):
    prepared, _ = prepare_qat(model, calibration=x)
    return Net(name="net", layer=find_quantized(prepared), quantize=quantize)


def one_relu(ceiling=None):
    inputs = keras.Input((4,))
    dense = layers.Dense(1, use_bias=False, name="logits")
    model = keras.Model(inputs, dense(layers.ReLU(ceiling, name="relu")(inputs)))
    dense.set_weights([ABOVE])
    return model


@pytest.mark.parametrize("quantize", [False, True])
@pytest.mark.parametrize(("rule", "expected"), [
    (maps.saliency_rule, [3, 0, -5, 0]), (maps.deconvnet_rule, [3, 4, 0, 0]), (maps.guided_rule, [3, 0, 0, 0]),
])  # fmt: skip
def test_one_relu(rule, expected, quantize):
    net = net_of(one_relu(), X, quantize)
    found = maps.backward(net, X, np.array([1]), rule)
    np.testing.assert_allclose(found, [expected], rtol=0.01)
    np.testing.assert_allclose(maps.backward(net, X, np.array([0]), maps.saliency_rule), [[-3, 0, 5, 0]], rtol=0.01)


def test_a_relu_that_ends_passes_nothing_on_beyond():
    x = np.array([[1.0, -1.0, 2.0, 7.0]], np.float32)
    net = net_of(one_relu(6), x)
    np.testing.assert_allclose(maps.backward(net, x, np.array([1])), [[3, 0, -5, 0]], rtol=1e-5)
    np.testing.assert_allclose(maps.backward(net, x, np.array([1]), maps.deconvnet_rule), [[3, 4, 0, 0]], rtol=1e-5)


@pytest.fixture(scope="module")
def cam():
    """Return the zoo's net whose map is an output, with samples."""
    model = registry.build("grad_cam", "edge", input_shape=(12, 12, 1), classes=3, seed=1)
    return model, np.random.default_rng(0).random((6, 12, 12, 1), np.float32)


@pytest.mark.parametrize("quantize", [False, True])
def test_the_map_of_a_net_that_ends_in_pool_and_dense_is_what_gradients_say(cam, quantize):
    model, x = cam
    net = net_of(model, x, quantize)
    net = Net(name=net.name, layer=net.layer, quantize=quantize, output=1)  # "cam", "logits"
    classes, positions = np.array([0, 1, 2, 0, 1, 2]), 9
    place = net.place("conv_3")
    slopes, _ = net.slopes(x, of_class(classes), by=place)
    kernel = np.asarray(model.get_layer("scores").kernel)
    np.testing.assert_allclose(maps.cam_weights(slopes), kernel.T[classes] / positions, atol=5e-4)
    shown = net.seen(x, net.layer.plan.graph.outputs[0])[np.arange(6), ..., classes]
    found = maps.grad_cam(net, x, classes, place)
    np.testing.assert_allclose(found * positions, shown, atol=0.02 * shown.max() if quantize else 1e-5)


def test_a_gradient_inside_is_what_a_small_change_there_makes(cam):
    model, x = cam
    net = Net(name="net", layer=net_of(model, x).layer, quantize=False, output=1)
    place, classes = net.place("pool_2"), np.zeros(6, int)
    slopes, values = net.slopes(x, of_class(classes), by=place)
    assert slopes.shape == values.shape == (6, 3, 3, 16)
    direction = np.random.default_rng(1).normal(size=values.shape).astype(np.float32)
    inner = keras.Model(model.get_layer("pool_2").output, model.output["logits"])
    here, there = (np.asarray(inner(values + step * direction))[:, 0] for step in (-1e-4, 1e-4))
    np.testing.assert_allclose(
        (slopes * direction).sum((1, 2, 3)), (there - here) / 2e-4, atol=0.01
    )  # a ReLU may bend between


def test_a_softmax_at_the_end_is_looked_through():
    inputs = keras.Input((4,))
    logits = layers.Dense(3, name="logits")(inputs)
    plain, model = keras.Model(inputs, logits), keras.Model(inputs, layers.Softmax(name="shares")(logits))
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    np.testing.assert_allclose(net_of(model, x).answers(x), np.asarray(plain(x)), rtol=1e-5)


def test_fgsm_moves_each_pixel_against_its_class():
    inputs = keras.Input((2, 1, 1))
    dense = layers.Dense(1, use_bias=False, name="logits")
    model = keras.Model(inputs, dense(layers.Flatten(name="flatten")(inputs)))
    dense.set_weights([np.array([[2.0], [-3.0]], np.float32)])
    x = np.array([0.5, 0.9], np.float32).reshape(1, 2, 1, 1)
    net = net_of(model, x)
    assert predicted(net.answers(x)).tolist() == [0]  # 1.0 - 2.7
    np.testing.assert_allclose(attacks.fgsm(net, x, np.array([0]), 0.2).ravel(), [0.7, 0.7], rtol=1e-5)
    np.testing.assert_allclose(attacks.fgsm(net, x, np.array([1]), 0.2).ravel(), [0.3, 1.0], rtol=1e-5)  # cut at 1
    moved = attacks.targeted(net, x, np.array([1]), far=0.3, steps=40, rate=0.02)
    np.testing.assert_allclose(moved.ravel(), [0.8, 0.6], atol=1e-5)
    score = log_probability(np.array([1]))(slice(0, 1))
    assert float(score(np.array([[0.0]], np.float32))[0]) == pytest.approx(np.log(0.5))


def test_confidence_of_one_logit_and_of_several():
    assert confidence(np.array([[0.0], [np.log(3)]]), np.array([0, 1])).tolist() == pytest.approx([0.5, 0.75])
    assert confidence(np.log([[1.0, 3.0]]), np.array([1])).tolist() == pytest.approx([0.75])


def test_one_key_20_pixels_away_with_half_of_the_weight():
    weights = np.zeros((1, 1, 5, 5))  # a token of no place, and four patches of 20 x 20 pixels
    weights[0, 0, 0, 0] = 1
    for query, neighbour in ((1, 2), (2, 1), (3, 4), (4, 3)):
        weights[0, 0, query, [query, neighbour]] = 0.5
    np.testing.assert_allclose(attention.distances(weights, (40, 40)), np.full((1, 1, 4), 10.0))
    diagonal = np.zeros((1, 1, 4, 4))
    diagonal[0, 0, :, 3] = 1
    np.testing.assert_allclose(attention.distances(diagonal, (40, 40))[0, 0], [np.sqrt(800), 20, 20, 0])
    np.testing.assert_allclose(attention.distances(np.eye(8)[None, None], (20, 40)), np.zeros((1, 1, 8)))
    with pytest.raises(BadInput, match="attention among 7 tokens"):
        attention.distances(np.eye(7)[None, None], (20, 40))


def test_ranks_agree_oppose_and_are_nothing_where_all_is_alike():
    one = np.array([[1.0, 2, 3], [1, 2, 3], [1, 1, 1]])
    other = np.array([[10.0, 20, 21], [3, 2, 1], [1, 2, 3]])
    np.testing.assert_allclose(methods.rank_correlation(one, other), [1, -1, np.nan])


def test_a_segment_grows_from_its_seed_through_what_is_next_to_it():
    values = np.zeros((1, 20, 20))
    values[0, 3:8, 3:8] = 1.0
    values[0, 5, 5] = 3.0
    values[0, 15:18, 15:18] = 0.5  # high enough to be grown through, but apart
    found = maps.saliency_mask(values)[0]
    assert found[4:7, 4:7].all() and not found[14:].any() and not found[:, 14:].any()


def test_patches_are_what_a_unit_sees():
    inputs = keras.Input((8, 8, 1))
    model = keras.Model(inputs, layers.Conv2D(1, 3, kernel_initializer="ones", name="conv")(inputs))
    x = np.zeros((3, 8, 8, 1), np.float32)
    x[1, 3:6, 4:7] = 1
    x[2, 0:3, 0:3] = 2
    net = net_of(model, x)
    order, boxes = maps.exciting(net, x, net.place("conv"), 0, 2)
    assert order.tolist() == [2, 1] and boxes.tolist() == [[0, 0, 3, 3], [3, 4, 6, 7]]
    with pytest.raises(BadInput, match=r"unit 1: conv.* has units 0 to 0"):
        maps.activation_gradient(net, x, net.place("conv"), 1)


def test_neighbours_in_two_spaces():
    one = np.arange(6.0)[:, None]
    assert features.common_neighbours(one, 2 * one, 2).tolist() == [1] * 6
    assert features.common_neighbours(one, one[[5, 1, 2, 3, 4, 0]], 1)[0] == 0


def test_jax_sees_what_tensorflow_sees(on_jax):
    code = "import json, inspected; print(json.dumps(inspected.found()))"
    there = json.loads(on_jax.says(code).splitlines()[-1])
    for one, other in zip(there, inspected.found(), strict=True):
        assert np.abs(one).max() > 0
        np.testing.assert_allclose(one, other, atol=2e-3 * np.abs(other).max())
