"""Numbers worked by hand, which a wrong net would miss."""

import itertools

import keras
import numpy as np
import pytest
from edgewright.models import registry
from edgewright.models.attention import attention, positional_encoding
from edgewright.models.cnn import CONNECTIONS
from keras import ops


def params(model, layer):
    return model.get_layer(layer).count_params()


@pytest.mark.parametrize(
    ("scores", "chances"),
    [((2, 1, 0.1), (0.66, 0.24, 0.10)), ((3, 1, -3), (0.88, 0.12, 0.00)), ((3.2, 5.1, -1.7), (0.13, 0.87, 0.00))],
)
def test_softmax(scores, chances):
    np.testing.assert_allclose(ops.softmax(np.array(scores, np.float32)), chances, atol=0.005)


def test_softmax_regression_loses_two_nats_on_the_wrong_class():
    model = registry.build("softmax_regression", input_shape=(3,), classes=3)
    model.set_weights([np.eye(3), np.zeros(3)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    assert float(loss(np.array([0]), model(np.array([[3.2, 5.1, -1.7]])))) == pytest.approx(2.0404, abs=1e-4)


def test_averaging_over_all_input_dropout_masks_halves_the_weights():
    """The geometric mean of the softmax over all masks is softmax(W x / 2 + b) (arXiv:1312.6197)."""
    model = registry.build("softmax_regression", input_shape=(4,), classes=3, seed=1)
    kernel, bias = model.get_weights()
    bias = np.array([0.1, -0.4, 0.2], np.float32)
    x = np.array([1.0, -2.0, 0.5, 3.0], np.float32)
    masks = np.array(list(itertools.product((0, 1), repeat=4)), np.float32)
    chances = np.asarray(ops.softmax(masks * x @ kernel + bias))
    mean = np.exp(np.log(chances).mean(0))
    np.testing.assert_allclose(mean / mean.sum(), ops.softmax(x @ kernel / 2 + bias), atol=1e-6)


def test_sigmoid_net_by_hand():
    model = registry.build("mlp", input_shape=(2,), classes=2, hidden=(2, 2), activation="sigmoid")
    layers = [([[1, -2], [-1, 1]], [1, 0]), ([[2, -1], [-2, -1]], [0, 0]), ([[3, -1], [-1, 4]], [-2, 2])]
    model.set_weights([np.array(part, np.float32) for w, b in layers for part in (np.array(w).T, b)])
    np.testing.assert_allclose(ops.sigmoid(model(np.array([[1.0, -1.0]]))), [[0.62, 0.83]], atol=0.005)


def test_first_layer_of_an_mlp_on_images():
    assert params(registry.build("shallow_mlp"), "hidden_1") == 78_500  # 784 * 100 + 100


def test_lenet5_layer_by_layer():
    model = registry.build("lenet5")
    assert params(model, "c1") == 156 and model.get_layer("c1").output.shape == (None, 28, 28, 6)
    assert params(model, "c3") == 2_416
    assert model.count_params() == 61_706
    table = registry.build("lenet5", connections=CONNECTIONS)
    assert sum(params(table, f"c3_{index}") for index in range(16)) == 1_516


def test_resnet8_layer_by_layer():
    model = registry.build("resnet8")
    assert model.count_params() == 78_666  # moving statistics of the norms among them
    assert params(model, "stem") == 448  # 3 * 3 * 3 * 16 + 16
    assert params(model, "block_3_conv2") == 36_928  # 3 * 3 * 64 * 64 + 64
    assert [model.get_layer(f"block_{i}_add").output.shape[1:] for i in (1, 2, 3)] == [
        (32, 32, 16),
        (16, 16, 32),
        (8, 8, 64),
    ]


def test_ds_cnn_layer_by_layer():
    model = registry.build("ds_cnn")
    assert params(model, "stem") == 2_624 and model.get_layer("stem").output.shape == (None, 25, 5, 64)
    assert params(model, "block_1_depthwise") == 640 and params(model, "block_1_pointwise") == 4_160
    assert model.count_params() == 24_908


def lstm_with_gates(forget, enter):
    """Return an LSTM cell of one unit whose gates are wide open (+20) or shut (-20), and whose candidate is tanh(x)."""
    cell = keras.layers.LSTMCell(1, unit_forget_bias=False)
    cell.build((None, 1))
    kernel, recurrent, bias = np.zeros((1, 4)), np.zeros((1, 4)), np.array([enter, forget, 0.0, 20.0])  # i, f, c, o
    kernel[0, 2] = 1.0
    cell.set_weights([kernel, recurrent, bias])
    return cell


def test_lstm_keeps_its_cell_when_it_forgets_nothing_and_lets_nothing_in():
    state = [np.array([[0.3]], np.float32), np.array([[0.7]], np.float32)]
    _, (_, kept) = lstm_with_gates(forget=20.0, enter=-20.0)(np.array([[5.0]], np.float32), state)
    assert float(kept[0, 0]) == pytest.approx(0.7, abs=1e-6)
    _, (_, replaced) = lstm_with_gates(forget=-20.0, enter=20.0)(np.array([[0.5]], np.float32), state)
    assert float(replaced[0, 0]) == pytest.approx(np.tanh(0.5), abs=1e-6)


@pytest.mark.parametrize(("code", "expected"), [(100, 157_684), (500, 785_284), (900, 1_412_884)])
def test_autoencoder_parameters(code, expected):
    assert registry.build("autoencoder", code=code).count_params() == expected


def test_anomaly_detector_parameters():
    assert registry.build("anomaly_detector").count_params() == 269_992  # moving statistics of the norms among them


def test_linear_autoencoder_spans_the_principal_components():
    from sklearn.decomposition import PCA

    random = np.random.default_rng(0)
    x = (random.normal(size=(400, 2)) @ random.normal(size=(2, 6)) + 0.05 * random.normal(size=(400, 6))).astype(
        "float32"
    )
    x -= x.mean(0)
    model = registry.build("autoencoder", input_shape=(6,), code=2, activation="linear")
    model.compile(keras.optimizers.Adam(0.05), "mse", jit_compile=False, steps_per_execution=8)
    model.fit(x, x, epochs=150, batch_size=200, verbose=0)
    rebuilt = PCA(2).fit(x)
    best = np.square(x - rebuilt.inverse_transform(rebuilt.transform(x))).mean()
    assert np.square(x - np.asarray(model(x))).mean() < 1.1 * best


def test_positions_by_hand():
    table = positional_encoding(4, 4)
    np.testing.assert_allclose(table[0], [0, 1, 0, 1], atol=1e-7)
    np.testing.assert_allclose(table[1], [np.sin(1), np.cos(1), np.sin(0.01), np.cos(0.01)], atol=1e-6)


def test_attention_picks_the_key_that_agrees():
    query = np.array([[[20.0, 0.0]]], np.float32)
    key, value = np.array([[[1.0, 0.0], [0.0, 1.0]]], np.float32), np.array([[[1.0, 2.0], [3.0, 4.0]]], np.float32)
    np.testing.assert_allclose(attention(query, key, value), [[[1.0, 2.0]]], atol=1e-6)
    np.testing.assert_allclose(attention(0 * query, key, value), [[[2.0, 3.0]]], atol=1e-6)
