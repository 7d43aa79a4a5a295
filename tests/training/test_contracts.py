"""What tasks and learners owe: data presented, samples by name, scores of any runner, a rule of their own."""

from types import SimpleNamespace

import edgewright as ew
import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.metrics import Scores
from edgewright.metrics import get as metric_of
from edgewright.models import registry
from edgewright.prune import PruneConfig, prepare_prune
from edgewright.quantize import prepare_qat
from edgewright.training import data, learners, tasks
from edgewright.training.data import Dataset, Head, Split
from edgewright.training.learners import register
from edgewright.training.learners.ensemble import members_of
from edgewright.training.losses import MultiClassHinge
from edgewright.training.runner import KerasRunner, predict
from edgewright.training.train import TrainConfig, evaluate, judged, train

CONFIG = TrainConfig(epochs=1, jit_compile=False)
R = np.random.default_rng(0)


@pytest.fixture
def tables():
    """The tables of tasks and learners, in which a test may enter its own."""
    kept = dict(tasks.table()), dict(learners.table())
    yield
    for table, entries in zip((tasks.TASKS, register.LEARNERS), kept, strict=True):
        table.clear()
        table.update(entries)


@pytest.fixture
def pairs(tables):
    """A task of two networks: how often do they agree on the sign? The unit is a pair of samples."""

    @tasks.task
    class Agreement:
        name = "agreement"
        metric = metric_of("mean_return")

        def present(self, data, networks, **asked):
            assert set(networks) == {"left", "right"} and asked == {"limit": None, "seed": 0}
            splits = {part: Split(x=R.normal(size=(8, 2)).astype("float32"), y=np.zeros(8, np.int32))
                      for part in ("train", "validation", "test")}  # fmt: skip
            return Dataset(name=str(data), task=self.name, **splits)

        def samples(self, dataset, network, n=256, seed=0):
            return {"x": dataset.train.x[:n]}

        def evaluate(self, run, dataset):
            answers = [run(network, {"x": dataset.test.x})["y"] for network in ("left", "right")]
            same = (answers[0] > 0) == (answers[1] > 0)
            return Scores(same.astype(np.float64), np.arange(len(same)) // 2)

        def judge(self, dataset):
            return tasks.Bound(self, dataset)

    def net(name, sign):
        x = keras.Input((2,), name="x")
        start = keras.initializers.Constant([[sign], [0.0]])
        return keras.Model(x, keras.layers.Dense(1, kernel_initializer=start, name="y")(x), name=name)

    return {"left": net("left", 1.0), "right": net("right", 1.0)}


def test_a_task_of_several_networks_is_trained_and_judged_by_its_own_rule(pairs):
    ran = []

    @register.learner("turn")
    def turn(networks, dataset, task, config, run):
        """Keep what validates best of the right net and its opposite."""
        ran.append((list(networks), task.name))
        history = []
        for epoch in (1.0, 2.0):
            networks["right"].set_weights([-weight for weight in networks["right"].get_weights()])
            history.append({"epoch": epoch, **learners.get("turn").validate(networks, dataset, task, config)})
        return history

    result = train(pairs, "made up", CONFIG, task="agreement", learner="turn")
    assert ran == [(["left", "right"], "agreement")]
    assert [row["val_metric"] for row in result.history] == [0.0, 1.0]
    assert (result.metric_name, result.metric) == ("mean_return", 1.0)
    assert result.judged.units.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    dataset = tasks.get("agreement").present("made up", pairs, limit=None, seed=0)
    assert learners.get("turn").best_epoch(result.history, dataset, tasks.of(dataset)) == 1
    assert tasks.of(dataset).judge(dataset).evaluate(KerasRunner(pairs)).rows.mean() == 1.0


def test_derived_networks_are_added_for_judging(pairs):
    """What is trained is one net; the task runs two."""
    left = pairs["left"]

    @register.learner("idle")
    def idle(networks, dataset, task, config, run):
        assert list(networks) == ["left"]
        return [{"epoch": 1.0}]

    dataset = tasks.get("agreement").present("made up", pairs, limit=None, seed=0)
    result = train({"left": left}, dataset, CONFIG, learner="idle", complete=lambda trained: {**trained, **pairs})
    assert result.metric == 1.0


def test_names_that_are_taken_or_unknown_are_refused(pairs):
    with pytest.raises(ValueError, match="agreement"):
        tasks.enter(SimpleNamespace(name="agreement"))
    with pytest.raises(BadInput, match=r"agreement.*cannot be one of several"):
        tasks.get("classification+agreement")
    with pytest.raises(BadInput, match=r"no task 'telepathy'.*regression"):
        tasks.get("telepathy")
    with pytest.raises(BadInput, match=r"agreement.*no loss to minimise"):
        train(pairs, "made up", CONFIG, task="agreement")
    with pytest.raises(BadInput, match=r"no learner 'rote'.*bagging.*multitask"):
        learners.get("rote")


# ---------------------------------------------------------------- supervised tasks through a runner


def test_a_runner_gets_the_score_that_the_model_gets():
    model = registry.build("softmax_regression")
    task = tasks.get("classification")
    dataset = task.present("digits", {"net": model}, limit=200)
    assert (dataset.shown.network, [one.name for one in dataset.shown.inputs]) == ("net", ["inputs"])
    scores = task.judge(dataset).evaluate(KerasRunner({"net": model}))
    np.testing.assert_array_equal(scores.rows, evaluate(model, dataset.test, "classification").scores)
    assert scores.unit.tolist() == list(range(len(dataset.test)))
    samples = task.samples(dataset, "net", 30, seed=1)
    assert {name: array.shape for name, array in samples.items()} == {"inputs": (30, 64)}
    assert judged({"net": model}, dataset).value == scores.rows.mean()
    with pytest.raises(BadInput, match="presented to no network"):
        task.evaluate(KerasRunner({"net": model}), data.load("digits", input_shape=(64,)))


def test_outputs_are_taken_by_name_whatever_their_order():
    x = keras.Input((6,), name="x")
    sides = {name: keras.layers.Dense(size, name=name)(x) for name, size in (("a", 3), ("b", 1))}
    model = keras.Model(x, sides, name="net")
    samples = R.normal(size=(300, 6)).astype("float32")
    dataset = ew.load_data((samples, {"b": samples[:, :1], "a": samples[:, :3].argmax(1)}), outputs=None)
    dataset = tasks.get("classification+regression").present(dataset, {"net": model})

    def backwards(network, inputs):
        answers = KerasRunner({"net": model})(network, inputs)
        return dict(reversed(answers.items()))

    scores = tasks.of(dataset).evaluate(backwards, dataset)
    np.testing.assert_array_equal(scores.rows, evaluate(model, dataset.test, dataset.task).scores)


def test_a_net_that_is_built_anew_for_its_classes_says_nothing_by_its_width():
    model = registry.build("softmax_regression", classes=3)
    task, splits = tasks.get("classification"), Split(x=R.normal(size=(20, 64)).astype("float32"), y=np.arange(20) % 5)
    splits = Split(x=splits.x, y=splits.y.astype("int32"))
    five = Dataset(name="five", task="classification", classes=5, train=splits, validation=splits, test=splits)
    assert task.present(five, {"net": model}, rebuilt=True).shown.outputs[0].shape == (None,)


# ---------------------------------------------------------------- learners that own their loss


def test_a_learner_validates_by_its_own_loss():
    dataset = data.load("digits", input_shape=(64,), limit=300)
    model, task = registry.build("linear_svm"), tasks.get("classification")
    row = learners.get("hinge").validate({"net": model}, dataset, task, CONFIG)
    scores = predict(model, dataset.validation.x)
    assert row["val_loss"] == pytest.approx(float(MultiClassHinge()(dataset.validation.y, scores)))
    assert row["val_accuracy"] == (scores.argmax(-1) == dataset.validation.y).mean()
    assert learners.get("fit").validate({"net": model}, dataset, task, CONFIG)["val_loss"] != row["val_loss"]


@pytest.mark.parametrize(
    ("name", "learner"), [("linear_svm", "hinge"), ("softmax_regression", "fit"), ("multitask_mlp", "multitask")]
)
@pytest.mark.parametrize("quantized", [False, True])
def test_validation_says_what_the_last_epoch_said(name, learner, quantized):
    """The weights kept are those of the only epoch, whose row is in the history."""
    dataset = data.load("digits", input_shape=(64,), limit=300)
    model = registry.build(name, "edge")
    if quantized:
        model, _ = prepare_qat(model, calibration=dataset.train.x[:64])
    history = train(model, dataset, CONFIG, learner=learner).history
    row = learners.get(learner).validate({"net": model}, dataset, tasks.get("classification"), CONFIG)
    own_penalty = sum(float(loss) for loss in model.losses)  # of the weights, which Keras adds in its logs
    assert row["val_accuracy"] == pytest.approx(history[0]["val_accuracy"])
    assert row["val_loss"] + own_penalty == pytest.approx(history[0]["val_loss"], rel=1e-4)


def test_heads_are_validated_by_the_sum_of_their_losses():
    x = keras.Input((6,), name="x")
    sides = {name: keras.layers.Dense(size, name=name)(x) for name, size in (("a", 3), ("b", 1))}
    model = keras.Model(x, sides, name="net")
    samples = R.normal(size=(300, 6)).astype("float32")
    part = Split(x=samples, y={"a": samples[:, :3].argmax(1).astype("int32"), "b": samples[:, :1]})
    heads = {"a": Head(task="classification", classes=3), "b": Head(task="regression", weight=0.5)}
    dataset = Dataset(name="two", task="classification+regression", heads=heads, train=part, validation=part, test=part)
    history = train(model, dataset, CONFIG).history
    row = learners.get("fit").validate({"net": model}, dataset, tasks.of(dataset), CONFIG)
    assert row["val_loss"] == pytest.approx(history[0]["val_loss"], rel=1e-4) and "val_accuracy" not in row


def test_an_ensemble_under_pruning_is_not_cut_up():
    """Its masks are moved by the whole: trained by members it would never grow sparse."""
    model = registry.build("bagging_ensemble", "edge", members=3)
    pruning, _ = prepare_prune(model, PruneConfig(sparsity=0.5))
    assert len(members_of(model)) == 3 and members_of(pruning) == []
    renamed = keras.models.clone_model(model, clone_function=_renamed)
    assert len(members_of(renamed)) == 3  # no name tells a member


def _renamed(layer):
    return type(layer).from_config({**layer.get_config(), "name": f"other_{layer.name}"})


def test_further_heads_are_told_by_the_data():
    part = Split(x=R.normal(size=(40, 64)).astype("float32"), y=(np.arange(40) % 10).astype("int32"))
    known = {"name": "own", "task": "classification", "classes": 10, "train": part, "validation": part, "test": part}
    model = registry.build("multitask_mlp", heads=(("large", 2),))
    with pytest.raises(BadInput, match=r"'large'.*'own' tells nothing"):
        train(model, Dataset(**known), CONFIG, learner="multitask")
    told = Dataset(**known, told={"large": lambda labels: labels >= 5})
    assert "val_large_accuracy" in train(model, told, CONFIG, learner="multitask").history[0]
