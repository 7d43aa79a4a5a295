"""Training on toy nets: what is kept, what is logged, what is refused; learners and settings."""

import json
from dataclasses import asdict, replace

import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml
from edgewright.errors import BadInput, EdgewrightError
from edgewright.training import data, learners, optimizers, tasks
from edgewright.training.learners import batches as batches_of_training
from edgewright.training.learners import register
from edgewright.training.learners.batches import Batches
from edgewright.training.losses import SmoothedCrossentropy
from edgewright.training.state import RunDir, State, pack, unpack
from edgewright.training.train import TrainConfig, data_for, evaluate, predict, train
from keras import tree


def _blobs(n=90, seed=0):
    """Three well separated clouds in the plane."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    x = (np.array([[0, 2], [2, -1], [-2, -1]])[y] + 0.2 * rng.normal(size=(n, 2))).astype(np.float32)
    return data.Split(x=x, y=y)


def blobs():
    return data.Dataset(
        name="blobs", task="classification", classes=3, train=_blobs(), validation=_blobs(30, 1), test=_blobs(30, 2)
    )


def toy(units=3, dropout=0.0, seed=0):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((2,))
    x = keras.layers.Dense(8, activation="relu")(inputs)
    x = keras.layers.Dropout(dropout)(x)
    outputs = keras.layers.Dense(units)(x)
    return keras.Model(inputs, outputs, name="toy")


QUICK = TrainConfig(epochs=6, batch_size=8, learning_rate=0.02)


def _weights(model):
    return list(pack({"": model.weights}).values())


def _same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """One run: its model, result and folder."""
    model, folder = toy(dropout=0.3), tmp_path_factory.mktemp("run")
    return model, train(model, blobs(), QUICK, out=folder), folder


def test_training_in_place_reaches_the_metric(trained):
    model, result, _ = trained
    assert result.metric_name == "accuracy"
    assert result.metric == 1.0
    assert result.epochs == len(result.history) == 6
    assert evaluate(model, blobs().test, "classification").value == 1.0


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(trained):
    again, other = toy(dropout=0.3), toy(dropout=0.3)
    assert train(again, blobs(), QUICK).history == trained[1].history
    train(other, blobs(), replace(QUICK, seed=1))
    assert _same(_weights(trained[0]), _weights(again))
    assert not _same(_weights(trained[0]), _weights(other))


def test_several_passes_make_one_epoch():
    """90 samples in batches of 8: 11 steps a pass, each pass an order of its own, the short batch dropped."""
    batches = Batches(_blobs(), _blobs().y, replace(QUICK, passes=3))
    assert len(batches) == 33
    batches.begin(4)
    passes = batches._order.reshape(3, 88)
    assert all(len(set(one)) == 88 for one in passes) and not np.array_equal(passes[0], passes[1])
    result = train(toy(), blobs(), replace(QUICK, epochs=2, passes=3))
    assert result.epochs == 2 and result.metric == 1.0


def test_the_best_epochs_weights_are_kept_and_patience_ends_the_run():
    """Half of the training labels are wrong and the rate is high: validation soon gets worse."""
    noisy = blobs()
    wrong = np.where(np.arange(90) % 2, noisy.train.y, (noisy.train.y + np.arange(90) // 2 % 2) % 3)
    noisy = replace(noisy, train=data.Split(x=noisy.train.x, y=wrong))
    model = toy()
    config = TrainConfig(epochs=40, batch_size=8, patience=3, schedule="constant", learning_rate=0.1, label_smoothing=0)
    result = train(model, noisy, config)
    best = result.history[tasks.TASKS["classification"].best_epoch(result.history, len(noisy.validation))]
    assert result.epochs == best["epoch"] + 3 < 40
    logs = model.evaluate(noisy.validation.x, noisy.validation.y, verbose=0, return_dict=True)  # pyright: ignore
    assert logs["loss"] == pytest.approx(best["val_loss"], rel=1e-5)
    assert logs["loss"] != pytest.approx(result.history[-1]["val_loss"], rel=1e-3)


def test_training_ends_when_it_is_good_enough():
    result = train(toy(), blobs(), replace(QUICK, epochs=40, enough=0.8))
    reached = [row["val_accuracy"] >= 0.8 for row in result.history]
    assert result.epochs < 40 and reached == [False] * (len(reached) - 1) + [True]


def test_a_training_step_is_traced_once(monkeypatch):
    """Tracing a deep net takes longer than a brief training of it."""
    traced = []
    model = toy()
    step = model.train_step
    monkeypatch.setattr(model, "train_step", lambda data: traced.append(1) or step(data))
    train(model, blobs(), QUICK)
    assert len(traced) == 1


def test_adam_in_one_kernel_updates_as_keras_does():
    from edgewright.training.adam import FusedAdam

    random = np.random.default_rng(0)
    start, gradients = (random.normal(size=(n, 4, 3)).astype(np.float32) for n in (1, 20))
    reached = []
    for make in (keras.optimizers.Adam, FusedAdam):
        variable, optimizer = keras.Variable(start), make(0.1, weight_decay=0.01)
        for gradient in gradients:
            optimizer.apply([keras.ops.convert_to_tensor(gradient[None])], [variable])
        reached.append([np.asarray(one) for one in (variable, *optimizer.variables)])
    for ours, theirs in zip(*reached, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=2e-5)  # 1 - 0.999^t rounds by up to 6e-5 of itself
    assert np.abs(reached[0][0] - start).max() > 0.1


def test_few_samples_run_uncompiled_give_what_compiled_ones_do():
    model, x = toy(), np.random.default_rng(0).normal(size=(300, *blobs().input_shape)).astype(np.float32)
    np.testing.assert_allclose(predict(model, x), model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)  # pyright: ignore


def test_the_loss_decides_among_accuracies_within_one_standard_error():
    """At 0.9 on 100 samples it is 0.03, on 10,000 0.003."""
    rows = [
        {"val_accuracy": a, "val_loss": b} for a, b in ((0.8, 0.1), (0.9, 0.4), (0.88, 0.3), (0.86, 0.2), (0.89, 0.3))
    ]
    task = tasks.TASKS["classification"]
    assert [task.best_epoch(rows, samples) for samples in (100, 10_000)] == [2, 1]
    assert task.best_epoch([*rows, {"val_accuracy": 0.95, "val_loss": 0.9}], 100) == 5
    assert tasks.TASKS["regression"].best_epoch([{"val_loss": loss} for loss in (3, 1, 2, 1)], 100) == 1


def test_each_epoch_takes_every_sample_once_in_another_order():
    split = data.Split(x=np.arange(40, dtype=np.float32)[:, None], y=np.arange(40))
    batches = Batches(split, split.y, TrainConfig(batch_size=8))
    orders = []
    for epoch in (0, 1, 0):
        batches.begin(epoch)
        orders.append(np.concatenate([batches[k][1] for k in range(len(batches))]).tolist())
    assert sorted(orders[0]) == list(range(40))
    assert orders[0] != orders[1]
    assert orders[0] == orders[2]


class Watching(keras.layers.Layer):
    """Passes on what it is given, and keeps it in training."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def call(self, x, training=False):
        if training:
            tf.py_function(lambda values: self.seen.append(values.numpy()), [x], [])
        return x


@pytest.mark.parametrize("reader", ["Python", "TensorFlow"])
def test_the_network_sees_the_order_of_each_epoch(reader, monkeypatch):
    """Keras reads batches ahead, and by default shuffles them once more: neither may touch the order."""
    if reader == "Python":
        monkeypatch.setattr(batches_of_training, "MOST_BYTES", 0)
    expected, order = Batches(blobs().train, blobs().train.y, QUICK), []
    assert isinstance(expected.read(), tf.data.Dataset) == (reader == "TensorFlow")
    for epoch in range(3):
        expected.begin(epoch)
        order += [expected[k][0] for k in range(len(expected))]
    inputs, watching = keras.Input((2,)), Watching()
    train(keras.Model(inputs, keras.layers.Dense(3)(watching(inputs))), blobs(), replace(QUICK, epochs=3))
    assert _same(watching.seen, order)


@pytest.mark.parametrize("weights", [None, np.linspace(0, 2, 90)])
def test_a_pipeline_reads_the_batches_that_python_does(weights):
    split = _blobs()
    batches = Batches(split, {"a": split.y, "b": split.x.astype(np.float64)}, QUICK, weights)
    for epoch in (1, 0):
        pipeline = batches.read()
        batches.begin(epoch)
        for k, read in enumerate(pipeline):
            for one, other in zip(tree.flatten(read), tree.flatten(batches[k]), strict=True):
                assert one.dtype.name == other.dtype.name and np.array_equal(one, other)
        assert k == len(batches) - 1


def test_logs_agree_with_the_history(trained):
    _, result, folder = trained
    rows = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert rows == result.history
    assert (folder / "learning_curve.svg").read_text().startswith("<?xml")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    logged = [(event.step, event.value) for event in events.Scalars("val_loss")]
    assert logged == [(row["epoch"], pytest.approx(row["val_loss"])) for row in rows]


def test_a_complete_run_is_not_trained_again(trained, monkeypatch):
    model, result, folder = trained
    again = toy(dropout=0.3, seed=5)
    monkeypatch.setattr(keras.Model, "fit", lambda *_, **__: pytest.fail("trained again"))
    assert train(again, blobs(), QUICK, out=folder).history == result.history
    assert _same(_weights(model), _weights(again))


@pytest.mark.parametrize(
    ("units", "config", "dataset", "message"),
    [
        (3, replace(QUICK, seed=3), blobs(), r"config\.seed 0 -> 3"),
        (4, QUICK, blobs(), r"networks\.toy"),
        (3, QUICK, replace(blobs(), train=_blobs(90, 9)), r"data\.content"),
    ],
    ids=["settings", "network", "data"],
)
def test_the_folder_of_another_run_is_refused(trained, units, config, dataset, message):
    with pytest.raises(BadInput, match=message):
        train(toy(units, dropout=0.3), dataset, config, out=trained[2])


def test_a_damaged_checkpoint_is_refused(tmp_path):
    run = RunDir(tmp_path, {"a": 1})
    run.save(State(arrays={"x": np.arange(1000.0)}))
    assert run.restore().arrays["x"][7] == 7
    content = bytearray((tmp_path / "checkpoint.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "checkpoint.npz").write_bytes(content)
    with pytest.raises(BadInput, match=r"checkpoint\.npz is damaged"):
        run.restore()


def test_packed_variables_come_back_bit_for_bit():
    variables = [keras.Variable(np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)) for _ in range(2)]
    kept = pack({"group": variables})
    before = list(pack({"": variables}).values())
    for variable in variables:
        variable.assign(variable * 0)
    unpack(kept, {"group": variables})
    assert _same(before, list(pack({"": variables}).values()))


def test_a_diverging_run_stops_with_a_reason():
    huge = blobs()
    with pytest.raises(EdgewrightError, match=r"diverged.*learning_rate"):
        train(
            keras.Sequential([keras.Input((2,)), keras.layers.Dense(2), keras.layers.Dense(2)]),
            replace(huge, task="reconstruction", classes=0, **{
                part: data.Split(x=split.x * 4e5, y=split.x * 4e5) for part, split in huge.splits.items()
            }),
            TrainConfig(optimizer="sgd", learning_rate=90.0, epochs=3),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": 4}, "3 outputs, data 'blobs' has 4 classes; give it one a class"),
        ({"task": "divination"}, "no task 'divination'"),
        ({"task": "reconstruction", "classes": 0}, r"returns samples of shape \(3,\), data 'blobs' has \(\)"),
    ],
)
def test_networks_that_do_not_fit_the_data_are_refused(change, message):
    changed = replace(blobs(), **change)
    if changed.task == "reconstruction":
        changed = replace(
            changed, **{n: data.Split(x=s.x, y=s.y.astype(np.float32)) for n, s in changed.splits.items()}
        )
    with pytest.raises(BadInput, match=message):
        train(toy(), changed, QUICK)


def test_unknown_learner_and_too_many_networks_are_refused():
    with pytest.raises(BadInput, match="no learner 'telepathic'; there are fit"):
        train(toy(), blobs(), QUICK, learner="telepathic")
    with pytest.raises(BadInput, match="one network, got a, b"):
        train({"a": toy(), "b": toy()}, blobs(), QUICK)


def test_a_learner_of_two_networks_fits_the_contract(monkeypatch):
    @learners.learner("swap-for-test")
    def swap(networks, dataset, task, config, run):
        run.restore()
        first, second = networks.values()
        first.set_weights(second.get_weights())
        run.finish([])
        return []

    monkeypatch.setattr(register, "LEARNERS", dict(learners.table()))
    with pytest.raises(ValueError, match="twice"):
        learners.learner("fit")(swap)
    pair = {"a": toy(), "b": toy(seed=3)}
    assert train(pair, blobs(), QUICK, learner="swap-for-test").epochs == 0
    assert _same(_weights(pair["a"]), _weights(pair["b"]))


def test_data_is_loaded_as_the_models_input_takes_it():
    tokens = keras.Input((64,), dtype="int32")
    embedded = keras.layers.Embedding(20, 4)(tokens)
    model = keras.Model(tokens, keras.layers.Dense(10)(keras.layers.GlobalAveragePooling1D()(embedded)))
    digits = data_for(model, "digits", limit=40)
    assert digits.train.x.shape == (40, 64)
    assert digits.train.x.dtype == np.int32
    assert digits.vocabulary == 20


def test_an_embedding_too_small_for_the_tokens_is_refused():
    tokens = keras.Input((64,), dtype="int32")
    embedded = keras.layers.Embedding(10, 4)(tokens)
    model = keras.Model(tokens, keras.layers.Dense(10)(keras.layers.GlobalAveragePooling1D()(embedded)))
    with pytest.raises(BadInput, match=r"token id .* outside \[0, 10\)"):
        data_for(model, "digits")


def test_anomaly_detection_learns_normal_samples_and_is_judged_by_labels():
    keras.utils.set_random_seed(1)
    inputs = keras.Input((64,))
    outputs = keras.layers.Dense(64)(keras.layers.Dense(6, activation="relu")(inputs))
    model = keras.Model(inputs, outputs)
    result = train(model, "digits", TrainConfig(epochs=6, learning_rate=0.02), task="anomaly_detection")
    assert result.metric_name == "auc"
    assert result.metric > 0.6
    digits = data_for(model, "digits", task="anomaly_detection")
    with pytest.raises(BadInput, match="test split"):
        evaluate(model, digits.validation, "anomaly_detection")


def test_reconstruction_targets_take_the_networks_shape():
    inputs = keras.Input((8, 8, 1))
    outputs = keras.layers.Dense(64)(keras.layers.Dense(16, activation="relu")(keras.layers.Flatten()(inputs)))
    model = keras.Model(inputs, outputs)
    result = train(model, "digits", TrainConfig(epochs=5, learning_rate=0.02), task="reconstruction")
    assert result.metric_name == "explained_variance"
    assert result.metric > 0.3


def test_evaluate_gives_scores_of_each_sample():
    model = toy()
    judged = evaluate(model, _blobs(30, 2), "classification")
    assert judged.outputs.shape == (30, 3)
    assert judged.scores.shape == (30, 1)
    assert judged.value == pytest.approx(judged.scores.mean())


def test_smoothed_crossentropy_by_hand():
    # logits (ln 2, 0, 0): probabilities 1/2, 1/4, 1/4; of class 0, smoothed by 0.3:
    # 0.7 ln 2 + 0.3 (ln 2 + 2 ln 4) / 3 = (0.7 + 0.5) ln 2
    logits = np.array([[np.log(2), 0, 0]], np.float32)
    assert float(SmoothedCrossentropy(0.3)(np.array([0]), logits)) == pytest.approx(1.2 * np.log(2), rel=1e-6)
    assert float(SmoothedCrossentropy(0.0)(np.array([0]), logits)) == pytest.approx(np.log(2), rel=1e-6)


def test_the_learning_rate_rises_to_its_peak_and_falls_to_zero():
    optimizer = optimizers.optimizer(TrainConfig(learning_rate=0.1, warmup=10), 1000)
    rate = optimizer._learning_rate
    assert float(rate(10)) == pytest.approx(0.1)
    assert float(rate(0)) == pytest.approx(0.001)
    assert float(rate(10 + 495)) == pytest.approx(0.05, rel=1e-3)
    assert float(rate(1000)) == pytest.approx(0, abs=1e-8)


def test_settings_go_through_yaml_and_back():
    config = TrainConfig(epochs=3, optimizer="adamw", weight_decay=0.01, patience=4)
    assert TrainConfig.read(yaml.safe_load(yaml.safe_dump(asdict(config)))) == config


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"epochs": 0}, "epochs is 0; allowed is an integer from 1"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
        ({"optimizer": "lion"}, "optimizer is 'lion'; allowed is adam, adamw"),
        ({"schedule": "sine"}, "schedule is 'sine'"),
        ({"label_smoothing": 1.0}, "label_smoothing is 1.0"),
        ({"seed": -1}, "seed is -1"),
        ({"epoch": 3}, "no setting 'epoch'; did you mean epochs"),
    ],
)
def test_bad_settings_are_refused_by_name(setting, message):
    with pytest.raises(BadInput, match=message):
        TrainConfig.read(setting)


@pytest.mark.parametrize(
    ("samples", "steps", "batch", "epochs"), [(1259, 39, 32, 40), (55000, 859, 64, 5), (6, 1, 6, 40)]
)
def test_open_settings_follow_the_size_of_the_data(samples, steps, batch, epochs):
    config = TrainConfig()
    assert config.batch_for(samples) == batch
    assert config.epochs_for(steps) == epochs
