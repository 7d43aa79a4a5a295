"""Tasks beyond one class a sample, trained, judged and retrained with quantizers in the loop."""

import edgewright as ew
import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.training import tasks
from edgewright.training.answers import outputs_of
from edgewright.training.data import Dataset, Head, Split
from edgewright.training.losses import LEAST_PROBABILITY, OfProbabilities
from edgewright.training.tasks import sample_weights
from keras import layers

R = np.random.default_rng(0)
X = R.normal(size=(1500, 6)).astype("float32")
CONFIG = ew.TrainConfig(epochs=8, learning_rate=2e-2, label_smoothing=0.0)


def net(*heads, name="net"):
    """Return a small net with one Dense head for each (width, activation)."""
    x = keras.Input((6,))
    body = layers.Dense(16, activation="relu")(x)
    outputs = [layers.Dense(width, activation=end, name=f"h{k}")(body) for k, (width, end) in enumerate(heads)]
    return keras.Model(x, outputs if len(outputs) > 1 else outputs[0], name=name)


@pytest.mark.parametrize("end", ["sigmoid", None])
def test_two_classes_by_one_output(end):
    keras.utils.set_random_seed(0)
    model, y = net((1, end)), (X[:, 0] + X[:, 1] > 0).astype(int)
    result = ew.train(model, (X, y), CONFIG)
    assert result.metric_name == "binary_accuracy" and sum(result.judged.figures[""]["support"]) == 300
    assert result.metric > 0.95 and result.judged.figures[""]["roc_auc"] > 0.98
    assert result.history[-1]["val_accuracy"] > 0.95  # Keras' own, by the same threshold
    quantized, _ = ew.prepare_qat(model, calibration=X[:256])
    assert ew.train(quantized, (X, y), ew.TrainConfig(epochs=1, learning_rate=1e-3)).metric > 0.95


def test_the_last_operation_tells_a_sigmoid_from_logits():
    model = net((1, "sigmoid"), (2, None), (3, "softmax"))
    quantized, _ = ew.prepare_qat(model, calibration=X[:64])
    nested = keras.Sequential([keras.Input((6,)), net((4, "sigmoid")), layers.Reshape((2, 2))])
    assert [one.ending for one in outputs_of(model)] == ["sigmoid", "linear", "softmax"]
    assert [one.ending for one in outputs_of(quantized)] == ["sigmoid", "linear", "softmax"]
    assert [one.ending for one in outputs_of(nested)] == ["sigmoid"]


def test_several_labels():
    keras.utils.set_random_seed(0)
    y = (X[:, :3] > 0.3).astype(int)
    model = net((3, None))
    result = ew.train(model, (X, y), CONFIG)
    assert result.metric_name == "label_accuracy" and result.metric > 0.95
    assert min(result.judged.figures[""]["recall"]) > 0.85


def test_several_outputs_each_with_its_task():
    keras.utils.set_random_seed(0)
    model = net((3, None), (2, None), (1, "sigmoid"))
    y = [X[:, :3].argmax(1), X[:, :2] @ np.array([[1.0, 0.5], [0, 2]]), X[:, 3] > 0]
    result = ew.train(model, (X, y), CONFIG)
    assert result.metric_name == "accuracy+explained_variance+binary_accuracy" and result.metric > 0.9
    assert set(result.judged.figures) == {"h0", "h1", "h2"} and result.judged.all_outputs["h1"].shape == (300, 2)
    quantized, _ = ew.prepare_qat(model, calibration=X[:256])
    assert ew.train(quantized, (X, y), ew.TrainConfig(epochs=1, learning_rate=1e-3)).metric > 0.9


def test_an_output_may_weigh_nothing_and_have_a_loss_of_its_own():
    keras.utils.set_random_seed(0)
    split = Split(x=X, y={"h0": X[:, :1], "h1": X[:, 1:2]})
    heads = {"h0": Head(task="regression", loss="mae"), "h1": Head(task="regression", weight=0.0)}
    data = Dataset(name="d", task="regression+regression", train=split, validation=split, test=split, heads=heads)
    model = net((1, None), (1, None))
    before = model.get_layer("h1").get_weights()
    ew.train(model, data, ew.TrainConfig(epochs=2))
    assert np.array_equal(before[0], model.get_layer("h1").get_weights()[0])
    loss = tasks.of(data).heads["h0"].loss(0.0)
    assert float(loss(np.array([[0.0], [0.0]]), np.array([[1.0], [-3.0]]))) == 2.0
    wrong = Dataset(name="d", task="regression", train=split, validation=split, test=split, heads={"h0": Head(
        task="regression", loss="mea")})  # fmt: skip
    with pytest.raises(BadInput, match="'mea' of a head"):
        tasks.of(wrong)


def test_targets_for_one_of_several_outputs_are_refused():
    with pytest.raises(BadInput, match="has 2 outputs, data 'data' has targets for one"):
        ew.train(net((2, None), (2, None)), (X, X[:, 0] > 0), CONFIG)


def test_balanced_weights_by_hand():
    y = np.repeat([0, 1, 2], [90, 9, 1]).astype(np.int32)
    split = Split(x=X[:100], y=y)
    data = Dataset(
        name="d", task="classification", classes=3, labels=("a", "b", "c"), train=split, validation=split, test=split
    )
    assert sample_weights(data, np.arange(3), "balanced") == pytest.approx([0.3704, 3.7037, 33.3333], abs=1e-4)
    assert sample_weights(data, np.arange(3), {"b": 5}).tolist() == [1, 5, 1]
    with pytest.raises(BadInput, match="no class 'd'; there are a, b, c"):
        sample_weights(data, y, {"d": 5})
    with pytest.raises(BadInput, match="class_weights is 'even'"):
        ew.TrainConfig(class_weights="even")


def test_balanced_weights_find_a_rare_class():
    y = ((X[:, 0] + 0.5 * R.normal(size=1500)) > 2.2).astype(int)
    assert 0.01 < y.mean() < 0.04
    recalls = []
    for weights in (None, "balanced"):
        keras.utils.set_random_seed(0)
        result = ew.train(net((1, "sigmoid")), (X, y), ew.TrainConfig(epochs=8, class_weights=weights))
        recalls.append(result.judged.figures[""]["recall"][1])
    assert recalls[1] > recalls[0] + 0.3


def test_models_without_inputs_are_built_from_the_samples():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(3)

        def call(self, inputs):
            return self.dense(inputs)

    y = X[:, :3].argmax(1)
    for model in (keras.Sequential([layers.Dense(3)]), Own()):
        assert ew.train(model, (X, y), CONFIG).metric > 0.9
        assert (np.asarray(model(X)).argmax(1) == y).mean() > 0.9  # trained in place
    with pytest.raises(BadInput, match=r"cannot be called on samples of shape \(6,\)"):
        ew.train(keras.Sequential([layers.Conv2D(2, 3)]), (X, y), CONFIG)


def test_a_sigmoid_is_turned_back_into_logits():
    loss = OfProbabilities(keras.losses.BinaryCrossentropy(from_logits=True), independent=True)
    y, p = np.array([[1.0], [0.0]], "float32"), np.array([[0.8], [0.3]], "float32")
    assert float(loss(y, p)) == pytest.approx(float(keras.losses.binary_crossentropy(y, p).numpy().mean()), abs=4e-3)
    assert float(loss(y, 1 - y)) == pytest.approx(np.log(1 / LEAST_PROBABILITY), abs=0.01)  # never infinite
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert again.independent and float(again(y, p)) == float(loss(y, p))
