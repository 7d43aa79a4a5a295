"""Learners by hand-worked gradients, bounds and closed forms."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from edgewright.errors import BadInput
from edgewright.export import export_tflite
from edgewright.models import registry
from edgewright.pipeline.find import find
from edgewright.pipeline.pruning import learned_by_heart, scheduled
from edgewright.prune import PruneConfig, prepare_prune
from edgewright.quantize import prepare_qat
from edgewright.training import data, learners
from edgewright.training.data import Dataset, Split
from edgewright.training.losses import (
    MultiClassHinge,
    OfProbabilities,
    PerceptronCriterion,
    SigmoidSquaredError,
    SmoothedCrossentropy,
)
from edgewright.training.state import RunDir
from edgewright.training.tasks import objective
from edgewright.training.train import TrainConfig, evaluate, train
from keras import ops

GATES = TrainConfig(epochs=12, batch_size=4, learning_rate=1.0, patience=None, jit_compile=False)


@pytest.mark.parametrize(("gate", "separable"), [("logic_and", True), ("logic_or", True), ("logic_not", True),
                                                 ("xor_corners", False)])  # fmt: skip
def test_the_perceptron_learns_every_gate_but_xor(gate, separable):
    if separable:
        dataset = data.load(gate)
    else:
        both = data.load("logic_and")
        rows = Split(x=both.train.x, y=np.array([0, 1, 1, 0], np.int32))
        dataset = Dataset(name=gate, task="classification", classes=2, train=rows, validation=rows, test=rows)
    model = registry.build("perceptron", input_shape=dataset.input_shape)
    result = train(model, dataset, GATES, learner="perceptron")
    assert result.metric == 1.0 if separable else result.metric <= 0.75


def test_perceptron_updates_stay_below_the_bound_of_novikoff():
    """From w = 0, sample by sample, at most (R / gamma)^2 updates, gamma being the margin of a unit separator."""
    random = np.random.default_rng(0)
    x = random.normal(size=(60, 2)).astype(np.float32)
    separator = np.array([0.6, 0.8, 0.0], np.float32)  # with the bias as a weight of a constant input of 1
    distance = x @ separator[:2]
    kept = np.abs(distance) > 0.2
    x, y = x[kept], (distance[kept] > 0).astype(np.int32)
    bound = (np.square(x).sum(1).max() + 1) / np.abs(distance[kept]).min() ** 2
    model = registry.build("perceptron", input_shape=(2,))
    criterion, rule, updates = PerceptronCriterion(), keras.optimizers.SGD(1.0), 0
    for _ in range(10):
        mistakes = 0
        for sample, label in zip(x, y, strict=True):
            with tf.GradientTape() as tape:
                loss = criterion(label[None], model(sample[None]))
            gradients = tape.gradient(loss, model.trainable_variables)
            mistakes += any(np.any(gradient) for gradient in gradients)
            rule.apply(gradients, model.trainable_variables)
        updates += mistakes
        if not mistakes:
            break
    assert mistakes == 0
    assert 0 < updates <= bound


def test_a_step_of_the_criterion_is_the_perceptron_rule():
    """t = +1 judged wrong at x = (2, -3): w += eta x, b += eta; a sample judged right changes nothing."""
    model = registry.build("perceptron", input_shape=(2,))
    model.set_weights([np.array([[-1.0], [0.0]], np.float32), np.zeros(1, np.float32)])
    model.compile(keras.optimizers.SGD(0.5), PerceptronCriterion(), jit_compile=False)
    model.train_on_batch(np.array([[2.0, -3.0], [-1.0, 5.0]], np.float32), np.array([1, 1]))
    np.testing.assert_allclose(model.get_weights()[0], [[0.0], [-1.5]])
    np.testing.assert_allclose(model.get_weights()[1], [0.5])


def test_hinge_of_cat_car_and_frog():
    scores = np.array([[3.2, 5.1, -1.7], [1.3, 4.9, 2.0], [2.2, 2.5, -3.1]], np.float32)
    hinge = MultiClassHinge(margin=1.0)
    np.testing.assert_allclose(hinge.call(np.array([0, 1, 2]), scores), [2.9, 0, 12.9], atol=1e-5)
    assert float(hinge(np.array([0, 1, 2]), scores)) == pytest.approx(5.2667, abs=1e-4)


def gradient_of(loss, weight, x, y):
    """Return d loss / dw of logistic_regression without bias, summed over the batch."""
    model = registry.build("logistic_regression", input_shape=(len(weight),))
    model.set_weights([np.array(weight, np.float32)[:, None], np.zeros(1, np.float32)])
    with tf.GradientTape() as tape:
        value = loss(np.array(y), model(np.array(x, np.float32))) * len(y)
    return np.asarray(tape.gradient(value, model.trainable_variables[0]))[:, 0]


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def test_gradient_of_cross_entropy_for_a_positive_label():
    """dL/dw = -(1 - sigma(w.x)) x."""
    w, x = np.array([0.5, -1.0]), np.array([2.0, 3.0])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    np.testing.assert_allclose(gradient_of(loss, w, [x], [1]), -(1 - sigmoid(w @ x)) * x, atol=1e-6)


def test_cross_entropy_of_one_score_is_a_softplus():
    model = registry.build("logistic_regression", input_shape=(1,))
    model.set_weights([np.ones((1, 1), np.float32), np.zeros(1, np.float32)])
    z = np.array([[-30.0], [-1.5], [0.0], [2.0], [40.0]], np.float32)
    for label in (0, 1):
        found = keras.losses.sparse_categorical_crossentropy(np.full(5, label), model(z), from_logits=True)
        np.testing.assert_allclose(found, np.logaddexp(0, (1 - 2 * label) * z[:, 0]), atol=1e-5)


def test_gradient_of_the_squared_loss_unit():
    """dE/dw = sum x yhat (1 - yhat) (yhat - y)."""
    w, x, y = np.array([0.3, -0.7]), np.array([[1.0, 2.0], [-1.0, 0.5], [3.0, 1.0]]), np.array([1, 0, 0])
    hat = sigmoid(x @ w)
    expected = (x * (hat * (1 - hat) * (hat - y))[:, None]).sum(0)
    np.testing.assert_allclose(gradient_of(SigmoidSquaredError(), w, x, y), expected, atol=1e-6)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_gradient_descent_reaches_the_closed_form(decay):
    """Ridge: (X'X + a I)^-1 X'y with a = n decay; the bias, of centred data, is the mean of y."""
    random, count = np.random.default_rng(0), 8192
    x = random.normal(size=(count, 3)).astype(np.float32)
    x -= x.mean(0)
    y = (x @ np.array([[1.0], [-2.0], [0.5]]) + 3 + 0.1 * random.normal(size=(count, 1))).astype(np.float32)
    rows = Split(x=x, y=y)
    dataset = Dataset(name="line", task="regression", train=rows, validation=rows, test=rows)
    model = registry.build("linear_regression", input_shape=(3,), decay=decay)
    config = TrainConfig(epochs=12, batch_size=512, learning_rate=0.1, optimizer="sgd", jit_compile=False)
    train(model, dataset, config)
    weight, bias = model.get_weights()
    closed = np.linalg.solve(x.T @ x + count * decay * np.eye(3), x.T @ (y - y.mean()))
    np.testing.assert_allclose(weight, closed, atol=5e-3)  # ridge moves the largest by 0.18
    assert bias[0] == pytest.approx(y.mean(), abs=5e-3)


def test_the_mean_of_a_bagged_ensemble_is_no_worse_than_its_members():
    dataset = data.load("digits", input_shape=(64,))
    model = registry.build("bagging_ensemble", "edge", members=3, hidden=(8,))
    config = TrainConfig(epochs=4, learning_rate=0.01, jit_compile=False)
    result = train(model, dataset, config, learner="bagging")
    members = [keras.Model(model.input, model.get_layer(f"member_{k}_logits").output) for k in (1, 2, 3)]
    alone = [evaluate(member, dataset.test, "classification").value for member in members]
    assert result.metric >= np.mean(alone) > 0.7
    kernels = [model.get_layer(f"member_{k}_logits").get_weights()[0] for k in (1, 2, 3)]
    assert not np.allclose(kernels[0], kernels[1]) and not np.allclose(kernels[1], kernels[2])


def test_both_heads_of_a_multitask_net_learn():
    dataset = data.load("digits", input_shape=(64,))
    model = registry.build("multitask_mlp", "edge")
    config = TrainConfig(epochs=5, learning_rate=0.005, jit_compile=False)
    result = train(model, dataset, config, learner="multitask")
    outputs = model.predict(dataset.test.x, verbose=0)
    assert result.metric == (outputs["logits"].argmax(-1) == dataset.test.y).mean() > 0.85
    assert (outputs["parity"].argmax(-1) == dataset.test.y % 2).mean() > 0.85
    assert {"val_accuracy", "val_parity_accuracy"} <= result.history[-1].keys()


def test_a_quantization_aware_net_keeps_the_names_of_its_heads_and_its_learner():
    dataset = data.load("digits", input_shape=(64,), limit=200)
    model = registry.build("multitask_mlp", hidden=(8,))
    qat, _ = prepare_qat(model, calibration=dataset.train.x[:64])
    assert list(qat.output) == ["logits", "parity"]
    before = qat.get_weights()
    result = train(qat, dataset, TrainConfig(epochs=1, jit_compile=False), learner="multitask")
    assert {"val_accuracy", "val_parity_accuracy"} <= result.history[-1].keys()
    assert any(not np.array_equal(old, new) for old, new in zip(before, qat.get_weights(), strict=True))
    assert [tuple(one["shape"]) for one in export_tflite(qat).manifest["outputs"]] == [(1, 10), (1, 2)]


def test_a_head_without_targets_is_refused():
    model = registry.build("multitask_mlp", heads=(("colour", 3),))
    with pytest.raises(BadInput, match=r"colour.*parity"):
        train(model, data.load("digits", input_shape=(64,)), GATES, learner="multitask")


@pytest.mark.slow
def test_xor_is_learnt_from_random_starts():
    """Nine weights can be caught where one corner is given up: 98% of the starts are not, nor these."""
    truth = np.array([[0], [1], [1], [0]], np.float32)
    corners = data.load("logic_and").train.x
    rows = Split(x=np.tile(corners, (400, 1)), y=np.tile(truth, (400, 1)))
    dataset = Dataset(name="corners", task="regression", train=rows, validation=rows, test=rows)
    config = TrainConfig(epochs=8, batch_size=32, learning_rate=0.03, jit_compile=False, steps_per_execution=50)
    for seed in range(3):
        model = registry.build("xor_mlp", seed=seed)
        train(model, dataset, config)
        np.testing.assert_allclose(model.predict(corners, verbose=0), truth, atol=1e-2)


def softmax_classifier(activation, classes=10):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Flatten()(keras.layers.Conv2D(8, 3, activation="relu")(inputs))
    return keras.Model(inputs, keras.layers.Dense(classes, activation=activation)(x), name="classifier")


def test_the_loss_of_probabilities_is_that_of_the_logits_they_come_from():
    z = np.random.default_rng(0).normal(size=(32, 5)).astype("float32")
    y = np.arange(32) % 5
    of_logits = SmoothedCrossentropy(0.1)
    of_probabilities = OfProbabilities(of_logits)
    assert float(of_probabilities(y, ops.softmax(z))) == pytest.approx(float(of_logits(y, z)), rel=0.02)
    never = np.float32([[0, 1, 0]])  # what an int8 softmax can say: -log(1/512), 512/515 being that of the sum
    loss = OfProbabilities(SmoothedCrossentropy(0.0))(np.array([0]), never)
    assert float(loss) == pytest.approx(np.log(515))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(of_probabilities))
    assert float(again(y, ops.softmax(z))) == float(of_probabilities(y, ops.softmax(z)))


@pytest.mark.parametrize("quantized", [False, True])
def test_a_model_that_ends_in_a_softmax_is_trained_on_its_probabilities(quantized):
    digits, found = data.load("digits"), {}
    for activation in (None, "softmax"):
        model = softmax_classifier(activation)
        if quantized:
            model, _ = prepare_qat(model, calibration=digits.train.x[:100])
        found[activation] = train(model, digits, TrainConfig(epochs=2)).history[-1]["val_loss"]
    assert found["softmax"] == pytest.approx(found[None], rel=0.1)


@pytest.mark.parametrize("classes", [2, 10, 300])
@pytest.mark.parametrize("activation", [None, "relu", "sigmoid", "softmax"])
def test_softmax_is_told_from_other_ends(activation, classes):
    digits = data.load("digits")
    model = softmax_classifier(activation, classes)
    assert objective._are_probabilities(model(digits.train.x[:8])) == (activation == "softmax")


# ---------------------------------------------------------------- how many steps a learner takes


@pytest.mark.parametrize("name", ["gan_mlp", "gcn", "tabular_q", "softmax_regression"])
def test_a_schedule_laid_over_a_training_ends_at_half_of_it_whatever_the_learner(name):
    """What the masks count while the learner trains is what it said that it would."""
    work = find(name, None, quick=True)
    few = replace(work.dataset, train=work.dataset.train.take(np.arange(min(96, len(work.dataset.train)))))
    config = TrainConfig(epochs=1, passes=3, batch_size=16, learning_rate=1e-3)
    plan = scheduled(PruneConfig(), config, few, work.learner)
    networks = {network: prepare_prune(model, plan)[0] for network, model in work.make().items()}
    learners.get(work.learner)(networks, few, work.task, config, RunDir(None))
    counted, steps = int(next(iter(networks.values())).step), learners.get(work.learner).steps
    assert counted == steps(few, config) and plan.end_step == counted // 2
    assert steps(few, replace(config, epochs=4)) == 4 * counted


def test_a_net_that_learns_its_samples_by_heart_while_it_is_pruned_is_known_by_both_losses():
    def curve(losses, validated):
        return [{"loss": a, "val_loss": b} for a, b in zip(losses, validated, strict=True)]

    overfitted = curve([3.99, 3.23, 2.76, 2.41], [4.66, 4.67, 4.73, 4.95])  # of recurrent_dropout, four times the steps
    assert learned_by_heart(overfitted).endswith("fell from 2.76 to 2.41, that of validation rose from 4.73 to 4.95")
    for history in ([], overfitted[:1], [{"loss": 1.0}] * 3, curve([2.0, 1.0, 0.9], [1.0, 3.0, 2.0]),
                    curve([1.0, 1.0, 1.1], [1.0, 1.0, 2.0])):  # fmt: skip
        assert learned_by_heart(history) == ""
