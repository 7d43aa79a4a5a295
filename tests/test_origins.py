"""How a model is trained travels with it: in the library, beside its file, and into the next stage."""

import json

import edgewright as ew
import keras
import numpy as np
import pytest
from edgewright.cli.commands import main
from edgewright.errors import BadInput
from edgewright.pipeline import find, origins
from edgewright.training import learners
from edgewright.training.config import TrainConfig

BRIEF = TrainConfig(epochs=1)


@pytest.fixture
def asked(monkeypatch):
    """Return the learners that were asked to fit, in order, with their peak rates; they do."""
    calls = []
    get = learners.get

    def noting(name):
        learner = get(name)

        def fit(networks, dataset, task, config, run):
            calls.append((name, round(config.learning_rate, 6)))
            return learner.fit(networks, dataset, task, config, run)

        return type(learner)(name=name, fit=fit, validate=learner.validate, best_epoch=learner.best_epoch)

    monkeypatch.setattr(learners, "get", noting)
    return calls


def by_learner(learner):
    """Return the name and the entry of a small row of the zoo that has another learner than `fit`."""
    from edgewright.models import registry

    entries = [registry.get(name) for name in registry.names()]
    return next(entry for entry in entries if entry.learner == learner and "digits" in entry.data)


def test_the_library_trains_a_model_of_the_zoo_by_its_own_learner_through_every_stage(asked):
    entry = by_learner("hinge")
    model = ew.build(entry.name, "edge")
    ew.train(model, "digits", BRIEF)
    sparse, _ = ew.prune(model, data="digits", training=BRIEF)
    quantized, _ = ew.prepare_qat(sparse, calibration=ew.load_data("digits", input_shape=model.input_shape[1:]).train.x)
    ew.train(quantized, "digits", BRIEF)
    assert [name for name, _ in asked] == ["hinge"] * 3
    ew.train(model, "digits", BRIEF, learner="fit")
    assert asked[-1][0] == "fit"  # who says otherwise is heard


def test_a_model_of_ones_own_is_fitted(asked):
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(10)], name="linear_svm")
    ew.train(model, "digits", BRIEF)
    assert asked == [("fit", 0.002)] and origins.of(model) is None


def test_for_another_task_a_model_is_fitted():
    entry = by_learner("hinge")
    model = ew.build(entry.name, "edge", input_shape=(6,), classes=2)
    x = np.random.default_rng(0).normal(size=(200, 6)).astype("float32")
    _, work = find.of(model, (x, x[:, :2]))
    assert work.dataset.task == "regression" and work.learner == "fit"


def test_the_verbs_go_on_with_the_learner_and_the_rate_of_training(asked, tmp_path, capfd):
    entry = by_learner("hinge")
    names = [str(tmp_path / f"{name}.keras") for name in ("a", "b", "c")]
    data = ["--data", "digits", "--quick", "--epochs", "1"]
    assert main(["train", entry.name, "--out", names[0], *data]) == 0, capfd.readouterr().err
    assert main(["prune", names[0], "--out", names[1], *data]) == 0, capfd.readouterr().err
    assert main(["qat", names[1], "--out", names[2], *data]) == 0, capfd.readouterr().err
    rate = entry.learning_rate
    assert asked == [("hinge", round(share * rate, 6)) for share in (1.0, 0.5, 0.1)]
    for name in names:
        beside = json.loads((tmp_path / f"{name}.json").read_text())
        assert (beside["model"], beside["learner"], beside["task"]) == (entry.name, "hinge", "classification")
        assert beside["learning_rate"] == rate and "networks" not in beside
    assert origins.of(ew.load_model(names[2])).learner == "hinge"


def test_pruned_at_once_it_is_still_known(tmp_path, capfd):
    entry = by_learner("hinge")
    path = ew.save_model(ew.build(entry.name, "edge"), tmp_path / "m.keras")
    assert main(["prune", str(path), "--out", str(tmp_path / "p.keras")]) == 0, capfd.readouterr().err
    assert origins.of(ew.load_model(tmp_path / "p.keras")).learner == "hinge"


def test_the_name_of_a_data_set_is_shown_for_the_task_that_a_model_was_trained_for():
    model = ew.build("autoencoder", "edge", input_shape=(64,))
    assert find.of(model, "digits")[1].dataset.task == "reconstruction"


def test_a_sibling_that_is_gone_is_named(tmp_path):
    from edgewright.pipeline.saved import note, save_model

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)], name="generator")
    path = save_model(model, tmp_path / "g.keras")
    facts = {"task": "generation", "learner": "adversarial", "model": "gan_mlp", "network": "generator"}
    note(path, {**facts, "networks": {"generator": "g.keras", "discriminator": "d.keras"}})
    with pytest.raises(BadInput, match=r"d.keras, its discriminator, which is not there"):
        find.of_file(path, "digits")
