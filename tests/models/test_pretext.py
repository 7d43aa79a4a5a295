"""Encoders that learn without labels: their sizes, their games on numbers worked by hand, and what was learned."""

import math

import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.keras_internals import without_weights
from edgewright.models import registry
from edgewright.training import data, learners, tasks
from edgewright.training.config import TrainConfig
from edgewright.training.learners import pretext
from edgewright.training.learners.contrastive import Bank, Contrast, validate
from edgewright.training.learners.pretext import Questions, best_epoch, clustered
from edgewright.training.runner import KerasRunner
from edgewright.training.state import RunDir
from edgewright.training.train import train

NAMES = ("rotation_pretext", "jigsaw_pretext", "colorization_pretext", "deep_cluster", "instance_discrimination",
         "momentum_contrast", "next_frame_pretext", "original_or_distorted_pretext")  # fmt: skip
SHORT = TrainConfig(epochs=2, batch_size=32, learning_rate=2e-3)


def encoder_size(name: str) -> int:
    with without_weights():
        encoder = registry.networks(name)["encoder"]
    return sum(math.prod(weight.shape) for weight in encoder.trainable_weights)


def test_encoders_have_the_sizes_of_the_nets_that_they_are_of():
    assert encoder_size("momentum_contrast") == registry.get("resnet50").params - 1000 * 2049
    assert encoder_size("instance_discrimination") == registry.get("resnet18").params - 1000 * 513
    norms = 2 * (96 + 256 + 384 + 384 + 256)  # AlexNet's own convolutions have biases instead
    alexnet = 363 * 96 + 2400 * 256 + 2304 * 384 + 3456 * 384 + 3456 * 256 + norms
    assert encoder_size("colorization_pretext") == alexnet - (363 - 121) * 96  # of grey pictures
    assert encoder_size("deep_cluster") == alexnet + 9217 * 4096 + 4097 * 4096
    assert encoder_size("original_or_distorted_pretext") == alexnet


@pytest.mark.parametrize("name", NAMES)
def test_the_encoder_alone_goes_to_a_device(name):
    entry = registry.get(name)
    assert [each.network for each in entry.deploy] == ["encoder"] and entry.networks == ("encoder", "surrogate")
    assert entry.learner.partition(":")[0] in ("pretext", "contrastive") and entry.task.startswith("linear_probe")


def toy(width: int = 2, answers: int = 2) -> dict[str, keras.Model]:
    """An encoder that flattens and a surrogate without bias; both have weights of one."""
    x, v = keras.Input((1, width, 1), name="images"), keras.Input((width,), name="vector")
    vector = keras.layers.Dense(width, use_bias=False, kernel_initializer="identity", name="code")(
        keras.layers.Flatten(name="flat")(x))  # fmt: skip
    answer = keras.layers.Dense(answers, kernel_initializer="identity", name="logits")(v)
    return {"encoder": keras.Model(x, vector, name="encoder"), "surrogate": keras.Model(v, answer, name="surrogate")}


def test_a_bank_is_told_apart_by_cosines_over_the_temperature_and_follows():
    networks = toy()
    move = Contrast(networks, Bank(temperature=0.5), x=np.ones((3, 1, 2, 1), np.float32), seed=0)
    move.prepare(keras.losses.SparseCategoricalCrossentropy(from_logits=True), keras.optimizers.SGD(0.0), TrainConfig())
    move.bank.assign(np.array([[1.0, 0], [0, 1], [0.6, 0.8]]))
    views = np.array([[3.0, 4], [0, 2]], np.float32).reshape(2, 1, 2, 1)
    loss = move.make({"view": views, "index": np.array([[2], [1]], np.int32)}, np.array([2, 1], np.int32))
    cosines = np.array([[0.6, 0.8, 1.0], [0.0, 1.0, 0.8]]) / 0.5
    chances = np.exp(cosines) / np.exp(cosines).sum(1, keepdims=True)
    assert loss == pytest.approx(-np.log([chances[0, 2], chances[1, 1]]).mean(), abs=1e-5)
    np.testing.assert_allclose(move.bank, [[1, 0], [0, 1], [0.6, 0.8]], atol=1e-6)  # they were there already
    views = np.array([[1.0, 0]], np.float32).reshape(1, 1, 2, 1)
    move.make({"view": np.repeat(views, 2, 0), "index": np.array([[1], [0]], np.int32)}, np.array([1, 0], np.int32))
    np.testing.assert_allclose(move.bank[1], [math.sqrt(0.5), math.sqrt(0.5)], atol=1e-6)  # halfway, at length 1


def test_a_copy_follows_by_its_momentum_and_its_vectors_queue_up():
    networks = toy()
    move = Contrast(
        networks, Bank(temperature=1.0, queue=4, momentum=0.75), x=np.ones((9, 1, 2, 1), np.float32), seed=0
    )
    move.prepare(keras.losses.SparseCategoricalCrossentropy(from_logits=True), keras.optimizers.SGD(0.0), TrainConfig())
    before = np.array(move.bank)
    networks["encoder"].set_weights([2 * np.eye(2)])
    view, other = (np.array(each, np.float32).reshape(2, 1, 2, 1) for each in ([[1, 0], [0, 1]], [[0, 3], [4, 3]]))
    loss = move.make({"view": view, "other": other}, np.zeros(2, np.int32))
    np.testing.assert_allclose(move.copies["encoder"][0], 1.25 * np.eye(2), atol=1e-6)  # 0.75 of 1, 0.25 of 2
    np.testing.assert_allclose(move.bank, np.concatenate([[[0, 1], [0.8, 0.6]], before[:2]]), atol=1e-6)
    near = np.concatenate([[[0.0], [0.6]], before.T], axis=1)  # of the other view, then of what had queued up
    chances = np.exp(near) / np.exp(near).sum(1, keepdims=True)
    assert loss == pytest.approx(-np.log(chances[:, 0]).mean(), abs=1e-5)


def test_the_last_layer_begins_by_telling_the_clusters():
    random = np.random.default_rng(0)
    centres = np.array([[0.0, 0], [8, 0], [0, 90]])
    x = (np.repeat(centres, 20, axis=0) + random.normal(0, [0.5, 5], (60, 2))).astype(np.float32).reshape(60, 1, 2, 1)
    networks = toy(answers=3)
    labels = clustered(networks, x, seed=0)
    assert all(len(np.unique(labels[k : k + 20])) == 1 for k in (0, 20, 40)) and len(np.unique(labels)) == 3
    said = np.asarray(networks["surrogate"](networks["encoder"](x)))
    np.testing.assert_array_equal(said.argmax(1), labels)


def test_clusters_are_of_samples_and_may_be_asked_of_views(monkeypatch):
    networks, x = toy(), np.random.default_rng(0).random((64, 1, 2, 1)).astype(np.float32)
    asked, found = [], []
    monkeypatch.setattr(pretext, "views", lambda images, random: asked.append(images) or 0 * images)
    monkeypatch.setattr(pretext, "clustered", lambda nets, given, seed: found.append(given) or np.arange(64) % 2)
    split = data.Split(x=x, y=np.zeros(64, np.int32))
    dataset = data.Dataset(name="made up", task="linear_probe", classes=2, train=split, validation=split, test=split)
    before = networks["encoder"].get_weights()
    learner = learners.get("pretext:surrogate=clusters,views=1")
    learner(networks, dataset, tasks.get("linear_probe"), TrainConfig(epochs=1, batch_size=32), RunDir(None))
    assert found[0] is x and sum(map(len, asked)) == 64
    np.testing.assert_array_equal(before, networks["encoder"].get_weights())  # views that show nothing teach nothing


def test_the_epoch_of_the_least_loss_is_kept_and_of_clusters_the_last():
    rows = [{"val_loss": 2.0}, {"val_loss": 1.0}, {"val_loss": 3.0}]
    assert best_epoch(rows, None, None) == 1 and best_epoch([{}, {}, {}], None, None) == 2


@pytest.mark.parametrize(("options", "said"), [({"temperature": 0.0}, "above 0"), ({"queue": -1}, "from 0"),
                                               ({"momentum": 1.0}, r"\[0, 1\)")])  # fmt: skip
def test_options_outside_their_range_are_refused(options, said):
    with pytest.raises(BadInput, match=said):
        Bank(**options)


def test_other_questions_and_networks_are_refused():
    with pytest.raises(BadInput, match="jigsaw"):
        Questions(surrogate="poetry")
    with pytest.raises(BadInput, match="surrogate=clusters"):
        Questions(surrogate="jigsaw", views=1)
    with pytest.raises(BadInput, match="encoder and surrogate"):
        validate({"net": toy()["encoder"]}, None, None, SHORT, options=Bank())


@pytest.mark.parametrize(
    ("name", "smaller"),
    [
        ("deep_cluster", {"input_shape": (8, 8, 1)}),
        ("instance_discrimination", {"input_shape": (8, 8, 1), "depths": (1, 1, 1)}),
    ],
)
def test_what_was_learned_beats_a_random_encoder(name, smaller):
    entry, networks = registry.get(name), registry.networks(name, "edge", seed=0, **smaller)
    task = tasks.get(entry.task)
    dataset = task.present("digits", networks)
    before = task.metric.reduce(task.evaluate(KerasRunner(networks), dataset).rows)
    after = train(networks, dataset, TrainConfig(epochs=6, batch_size=32), learner=entry.learner).metric
    assert after > before + 0.02


class Stopped(RunDir):
    """A run that ends in its second epoch, when the first was saved."""

    def log(self, row):
        if row["epoch"] == 2:
            raise InterruptedError
        super().log(row)


def test_a_run_that_was_stopped_goes_on_to_the_same_bits(tmp_path):
    learner, task = learners.get("contrastive:queue=64,momentum=0.9"), tasks.get("linear_probe")

    def run(folder: RunDir, seed: int = 0) -> list[np.ndarray]:
        networks = registry.networks("momentum_contrast", "edge", seed=seed, depths=(1,), directions=8)
        learner(networks, task.present("digits", networks, limit=64), task, SHORT, folder)
        return [weight for network in networks.values() for weight in network.get_weights()]

    whole = run(RunDir(tmp_path / "whole"))
    with pytest.raises(InterruptedError):
        run(Stopped(tmp_path / "stopped"))
    for one, same in zip(whole, run(RunDir(tmp_path / "stopped"), seed=1), strict=True):
        np.testing.assert_array_equal(one, same)
