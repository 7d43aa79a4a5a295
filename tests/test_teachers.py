"""Teachers of the stages: what may be one, what is found for the learner, and the commands that name one."""

import json
from dataclasses import replace

import edgewright as ew
import keras
import numpy as np
import pytest
from edgewright import metrics
from edgewright.cli import main
from edgewright.errors import BadInput
from edgewright.pipeline import find, pruning, quantizing, teachers
from edgewright.pipeline.chain import holding, stages_of
from edgewright.pipeline.recipe import Recipe, Step
from edgewright.pipeline.saved import note, save_model
from edgewright.prune import PruneConfig
from edgewright.quantize import find_quantized
from edgewright.training.data import Dataset, Head, Split, load
from edgewright.training.distillation import Distillation
from edgewright.training.train import taught_by
from keras import ops

CONFIG = ew.TrainConfig(epochs=2, batch_size=16, learning_rate=0.01)


def net(width=8, name="small", classes=3):
    keras.utils.set_random_seed(width)
    given = keras.Input((5,), name="x")
    hidden = keras.layers.Dense(width, "relu", name="hidden")(given)
    return keras.Model(given, keras.layers.Dense(classes, name="last")(hidden), name=name)


def samples(count=48, labels=()):
    x = np.random.default_rng(1).normal(size=(count, 5)).astype(np.float32)
    split = Split(x=x, y=(np.arange(count) % 3).astype(np.int32))
    return Dataset(name="made", task="classification", classes=3, train=split, validation=split, test=split,
                   labels=labels)  # fmt: skip


def answers(model, dataset):
    """Return probabilities of classes, (N, 3)."""
    return ops.convert_to_numpy(ops.softmax(model(dataset.train.x)))


def work_of(model, dataset=None):
    return find.of(model, dataset or samples())[1]


@pytest.fixture
def heard(monkeypatch):
    """What the learner was told, without any training."""
    found = []
    monkeypatch.setattr(
        "edgewright.training.learners.register.Learner.__call__",
        lambda self, networks, dataset, task, config, run, *, teaching=None: found.append((networks, teaching)) or [],
    )
    return found


# ---------------------------------------------------------------- what the learner gets


def test_float_is_a_copy_of_what_the_stage_began_with(heard):
    model = net()
    work = work_of(model)
    teaching = Distillation(teacher="float", alpha=0.7)
    ran = {
        "zeros": lambda: pruning.prune({"small": model}, work, PruneConfig(), CONFIG, teaching=teaching),
        "channels": lambda: pruning.prune({"small": model}, work, ew.ChannelConfig(channels=0.5), CONFIG,
                                          teaching=teaching),
        "qat": lambda: quantizing.quantize({"small": model}, work, CONFIG, teaching=teaching),
    }  # fmt: skip
    for stage, run in ran.items():
        run()
        networks, found = heard[-1]
        (student,), teacher = networks.values(), found.teacher
        assert found.alpha == 0.7 and teacher is not model and student is not model, stage
        for ours, theirs in zip(model.get_weights(), teacher.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert find_quantized(student) and not find_quantized(teacher)


def test_a_file_of_any_name_teaches_a_lone_network(heard, tmp_path):
    path = save_model(net(16, "big"), tmp_path / "big.keras")
    ew.train(net(), samples(), CONFIG, teacher=path)
    assert heard[-1][1].teacher.get_layer("hidden").units == 16


def test_a_model_in_memory_is_copied_and_says_how_in_a_record(heard):
    big = net(16, "big")
    ew.prune(net(), data=samples(), training=CONFIG, teacher=Distillation(teacher=big, temperature=2))
    found = heard[-1][1]
    assert found.teacher is not big and found.teacher.name == "big" and found.temperature == 2


def test_of_several_networks_those_that_are_trained_teach_theirs(heard):
    networks = ew.build("char_rnn", preset="edge")
    _, work = find.of(networks, load_texts(networks))
    quantizing.quantize(networks, work, CONFIG, teaching=Distillation(teacher="float"))
    (learned, found) = heard[-1]
    assert set(learned) == {"sequence"} and found.teacher.name == networks["sequence"].name


def load_texts(networks):
    """Return texts in place of Shakespeare's, as the task presents them."""
    tokens = np.random.default_rng(0).integers(0, 20, (40, networks["sequence"].inputs[0].shape[1])).astype(np.int32)
    split = Split(x=tokens, y=np.roll(tokens, -1, 1))
    return Dataset(name="made", task="language_model", classes=networks["sequence"].output_shape[-1], train=split,
                   validation=split, test=split, vocabulary=networks["sequence"].output_shape[-1])  # fmt: skip


def test_samples_without_a_label_come_as_the_training_data_are(heard):
    digits = load("digits", input_shape=(8, 8, 1), limit=100)
    given = keras.Input((8, 8, 1))
    model = keras.Model(given, keras.layers.Dense(10)(keras.layers.Flatten()(given)), name="flat")
    ew.train(model, digits, CONFIG, teacher=Distillation(teacher=model, unlabelled="digits"))
    found = heard[-1][1].unlabelled
    np.testing.assert_array_equal(found, load("digits", input_shape=(8, 8, 1)).train.x)
    for wrong, words in ((np.zeros((4, 8, 8)), "shape"), ({"a": np.zeros(4)}, "one array"), (3, "int"),
                         (np.full((4, 8, 8, 1), np.nan), "nan")):  # fmt: skip
        with pytest.raises(BadInput, match=words):
            ew.train(model, digits, CONFIG, teacher=Distillation(teacher=model, unlabelled=wrong))


def test_the_schedule_of_pruning_counts_samples_without_a_label(monkeypatch):
    seen = {}
    monkeypatch.setattr(
        "edgewright.training.learners.register.Learner.__call__",
        lambda self, networks, *rest, **more: seen.update(networks) or [],
    )
    model, more = net(), np.ones((48, 5), np.float32)
    ends = []
    for unlabelled in (None, more):
        teaching = Distillation(teacher="float", unlabelled=unlabelled)
        pruning.prune({"small": model}, work_of(model), PruneConfig(), CONFIG, teaching=teaching)
        ends.append(next(iter(seen.values())).settings["end_step"])
    assert ends == [3, 6]  # half of 2 epochs of 48 / 16, and of 96 / 16, updates


# ---------------------------------------------------------------- outputs without targets


def two(width=32):
    """Return a net of classes, and of features that no targets are for."""
    keras.utils.set_random_seed(0)
    given = x = keras.Input((5,), name="x")
    for name in ("first", "second"):
        x = keras.layers.Dense(width, "relu", name=name)(x)
    outputs = {each: keras.layers.Dense(3, name=each)(x) for each in ("features", "logits")}
    return keras.Model(given, outputs, name="two")


def partly_told(count=48):
    plain = samples(count)
    y = plain.train.x[:, :3].argmax(-1).astype(np.int32)
    split = replace(plain.train, y={"logits": y})
    return replace(plain, classes=0, train=split, validation=split, test=split,
                   heads={"logits": Head(task="classification", classes=3)})  # fmt: skip


def test_outputs_without_targets_are_held_where_nobody_else_teaches(heard):
    model, dataset = two(), partly_told()
    networks, work = find.of(model, dataset)
    assert networks["two"] is model
    ran = {
        "zeros": lambda **more: pruning.prune(networks, work, PruneConfig(), CONFIG, **more),
        "channels": lambda **more: pruning.prune(networks, work, ew.ChannelConfig(channels=0.5), CONFIG, **more),
        "qat": lambda **more: quantizing.quantize(networks, work, CONFIG, **more),
    }
    for stage, run in ran.items():
        assert list(run().held) == ["features"], stage
        found = heard[-1][1]
        assert (found.alpha, found.untold, found.features) == (0, 1, {}) and found.teacher is not model
        for ours, theirs in zip(model.get_weights(), found.teacher.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        assert not run(teaching=Distillation.read({"untold": 0})).held and heard[-1][1] is None, stage
        assert run(teaching=Distillation(teacher="float")).held and heard[-1][1].untold == 1
        assert not run(teaching=Distillation(teacher=two(8))).held and heard[-1][1].untold == 0


def test_a_model_with_targets_for_all_outputs_has_no_teacher_of_its_own(heard):
    model = net()
    work = work_of(model)
    assert not pruning.prune({"small": model}, work, PruneConfig(), CONFIG).held and heard[-1][1] is None
    for weight in (0, 2):
        ew.prune(model, data=samples(), training=CONFIG, teacher=Distillation.read({"untold": weight}))
        assert heard[-1][1] is None
    ew.prune(model, data=samples(), training=CONFIG, teacher=Distillation(teacher="float"))
    assert heard[-1][1].untold == 0 and "untold" not in taught_by(heard[-1][1])["teaching"]


def test_what_carries_states_or_heeds_no_teacher_goes_without_one():
    model = two()
    work = work_of(model, partly_told())
    assert teachers.of_stage(None, work, CONFIG) == Distillation.read({"untold": 1})
    assert teachers.of_stage(None, work, replace(CONFIG, carry_states=True)) is None
    playing = replace(work, origin=replace(work.origin, learner="q_learning"))
    assert teachers.of_stage(None, playing, CONFIG) is None


def test_a_step_of_a_run_names_what_holds_its_outputs():
    work, told = work_of(two(), partly_told()), work_of(net())
    float_, zeros, qat = stages_of([Recipe(steps=(Step.read("zeros"), Step.read("qat")))])
    assert holding(float_, work, CONFIG) is float_
    for stage in (zeros, qat):
        assert holding(stage, told, CONFIG) is stage
        assert holding(stage, work, CONFIG).step.to_dict()[stage.step.kind]["untold"] == 1
        free = replace(stage, step=Step.read({stage.step.kind: {"untold": 0}}))
        assert holding(free, work, CONFIG) is free
        assert not teachers.speaks(free.step.teacher, work) and teachers.speaks(free.step.teacher, told) is False
    with pytest.raises(BadInput, match="alpha is of a teacher and none is named"):
        Step.read({"qat": {"untold": 1, "alpha": 0.5}})


def test_an_output_without_targets_stays_what_it_was_though_most_weights_go():
    """At 80% zeros it drifts to something else where nobody holds it; what has targets is as good as there."""
    dataset, model = partly_told(480), two()
    config = ew.TrainConfig(epochs=12, batch_size=16, learning_rate=0.01)
    ew.train(model, dataset, config)

    def said(other):
        return {name: ops.convert_to_numpy(values) for name, values in other(dataset.train.x).items()}

    def judged(other):
        found = said(other)
        right = (found["logits"].argmax(-1) == dataset.train.y["logits"]).mean()
        return metrics.fidelity(before["features"], found["features"]), right

    before = said(model)
    pruned = {
        weight: ew.prune(model, PruneConfig(sparsity=0.8), data=dataset, training=config,
                         teacher=None if weight else Distillation.read({"untold": 0}))[0]
        for weight in (0, 1)
    }  # fmt: skip
    (free, least), (held, right) = (judged(pruned[weight]) for weight in (0, 1))
    assert held > 0.9 and free < 0.6 and right >= least - 0.005, (free, held, least, right)
    aware, _ = ew.prepare_qat(pruned[1], calibration=dataset.train.x)
    ew.train(aware, dataset, replace(config, epochs=2))
    assert judged(aware)[0] > 0.9


@pytest.mark.filterwarnings("error:Gradients do not exist")
def test_nobody_is_warned_of_weights_that_only_outputs_without_targets_need():
    ew.train(two(), partly_told(), CONFIG)


# ---------------------------------------------------------------- what is refused


def test_what_knows_nothing_is_no_teacher(tmp_path):
    dataset, model = samples(), net()
    for teacher, words in (
        ("lenet5", "net of the zoo, which knows nothing yet: train it first"),
        ("float", "training begins anew: give the .keras file"),
        (tmp_path / "none.keras", "no such file"),
        ("net.tflite", "cannot be changed any more"),
        (3, "teacher is a int"),
    ):
        with pytest.raises(BadInput, match=words):
            ew.train(model, dataset, CONFIG, teacher=teacher)
    with pytest.raises(BadInput, match="data is missing: a teacher teaches while training goes on"):
        ew.prune(model, teacher="float")


def test_a_file_that_was_trained_for_something_else_is_refused(tmp_path):
    path = save_model(net(16, "big"), tmp_path / "big.keras")
    note(path, {"task": "classification", "labels": ["cat", "dog", "cow"]})
    with pytest.raises(BadInput, match=r"tells the classes cat, dog, cow apart, the data 'made' has a, b, c"):
        ew.train(net(), samples(labels=("a", "b", "c")), CONFIG, teacher=path)
    note(path, {"task": "multilabel"})
    with pytest.raises(BadInput, match="was trained for multilabel, the data are for classification"):
        ew.train(net(), samples(), CONFIG, teacher=path)


def test_a_learner_that_heeds_no_teacher_says_so_before_any_work():
    model = net()
    work = work_of(model)
    playing = replace(work, origin=replace(work.origin, learner="q_learning"))
    with pytest.raises(BadInput, match="learner 'q_learning' heeds no teacher"):
        pruning.prune({"small": model}, playing, PruneConfig(), CONFIG, teaching=Distillation(teacher="float"))


# ---------------------------------------------------------------- keys of steps


def test_a_key_of_a_step_changes_with_the_teachers_file_and_samples(tmp_path):
    path = save_model(net(16, "big"), tmp_path / "big.keras")
    work, teaching = work_of(net()), Distillation(teacher=str(path))
    first = teachers.identity(teaching, work)
    assert json.loads(json.dumps(first)) == first == teachers.identity(teaching, work)
    assert teachers.identity(None, work) == {}
    assert "digest" not in teachers.identity(Distillation(teacher="float"), work)
    assert teachers.identity(replace(teaching, alpha=0.1), work) != first
    save_model(net(17, "big"), path)
    assert teachers.identity(teaching, work)["digest"] != first["digest"]


# ---------------------------------------------------------------- the command line


def refused(capsys, *arguments):
    assert main(list(arguments)) == 2
    return capsys.readouterr().err


def test_commands_refuse_before_any_work(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_model(net(), "small.keras")
    out = ("--out", "out.keras")
    for arguments, words in (
        (("train", "lenet5", "--teacher", "float"), "--teacher float: is the model itself before"),
        (("train", "lenet5", "--teacher", "lenet5"), "--teacher lenet5: a net of the zoo knows nothing yet"),
        (("train", "lenet5", "--teacher", "gone.keras"), "gone.keras: no such file"),
        (("train", "lenet5", "--temperature", "2"), "--teacher is missing: --temperature says how one teaches"),
        (("train", "lenet5", "--teacher", "small.keras", "--alpha", "2"), "--alpha 2.0: must lie between 0 and 1"),
        (("train", "lenet5", "--teacher", "small.keras", "--unlabelled", "digitz"), "no data set 'digitz'"),
        (("prune", "small.keras", "--teacher", "float"), "--data is missing"),
        (("prune", "small.keras", "--untold", "0"), "--data is missing: --untold 0.0 is of fine-tuning"),
        (("train", "lenet5", "--untold", "1"), "--teacher is missing: --untold says how one teaches"),
        (("qat", "small.keras", "--data", "digits", "--untold", "-1"), "--untold -1.0: must be at least 0"),
        (("qat", "small.keras", "--data", "digits", "--untold", "1", "--engine", "tfmot"), "heeds no teacher"),
        (("prune", "small.keras", "--data", "digits", "--teacher", "float", "--engine", "tfmot"), "heeds no teacher"),
    ):
        assert words in refused(capsys, *arguments, *out), arguments
    assert not list(tmp_path.glob("out*"))


def test_commands_hand_on_what_is_told_of_the_teacher(tmp_path, monkeypatch, heard):
    monkeypatch.chdir(tmp_path)
    digits = load("digits", input_shape=(64,), limit=60)
    given = keras.Input((64,))
    model = keras.Model(given, keras.layers.Dense(10)(keras.layers.Dense(6, name="hidden")(given)), name="flat")
    save_model(model, "net.keras")
    assert digits.classes == 10
    told = ("--temperature", "2", "--alpha", "0.9", "--unlabelled", "digits")
    common = ("--data", "digits", "--quick", "--out", "out.keras", *told)
    assert main(["prune", "net.keras", "--channels", "0.5", "--teacher", "float", "--features", "same", *common]) == 0
    assert main(["qat", "net.keras", "--teacher", "net.keras", *common]) == 0
    assert main(["train", "net.keras", "--teacher", "net.keras", "--features", "hidden=hidden", *common]) == 0
    (_, of_prune), (_, of_qat), (_, of_train) = heard
    for found in (of_prune, of_qat, of_train):
        assert (found.temperature, found.alpha, found.teacher.name) == (2, 0.9, "flat")
        assert len(found.unlabelled) > 1000
    assert (of_prune.features, of_qat.features, of_train.features) == ("same", {}, {"hidden": "hidden"})


def test_commands_say_what_they_held(tmp_path, monkeypatch, heard, capsys):
    monkeypatch.chdir(tmp_path)
    given = keras.Input((64,))
    hidden = keras.layers.Dense(6, name="hidden")(given)
    save_model(
        keras.Model(given, {"logits": keras.layers.Dense(10)(hidden), "hidden": hidden}, name="two"), "net.keras"
    )
    common = ("net.keras", "--data", "digits", "--quick", "--out", "out.keras", "--json")
    for verb in ("prune", "qat"):
        assert main([verb, *common]) == 0 and heard[-1][1].untold == 1
        assert json.loads(capsys.readouterr().out)["held"] == ["hidden"]
        assert main([verb, *common, "--untold", "0"]) == 0 and heard[-1][1] is None
        assert "held" not in json.loads(capsys.readouterr().out)


# ---------------------------------------------------------------- trained indeed


def test_a_pruned_net_is_taught_by_itself_while_it_grows_sparse(tmp_path):
    """With alpha 1 labels say nothing: the pruned net comes nearer to what it was, which stays as it was."""
    dataset, model = samples(96), net(24)
    of_its_own = replace(dataset.train, y=answers(model, dataset).argmax(-1).astype(np.int32))
    dataset = replace(dataset, train=of_its_own, validation=of_its_own, test=of_its_own)
    before = [weight.copy() for weight in model.get_weights()]
    config = ew.TrainConfig(epochs=12, batch_size=16, learning_rate=0.02)
    pruned, _ = ew.prune(model, PruneConfig(sparsity=0.7), data=dataset, training=config, out=tmp_path,
                         teacher=Distillation(teacher="float", alpha=1, temperature=1))  # fmt: skip
    cut, _ = ew.prune(model, PruneConfig(sparsity=0.7))

    def apart(other):
        return float(np.abs(answers(other, dataset) - answers(model, dataset)).mean())

    assert apart(pruned) < 0.5 * apart(cut)
    kernel = ops.convert_to_numpy(pruned.get_layer("hidden").kernel)
    assert (kernel == 0).mean() == pytest.approx(0.7, abs=0.01)
    for was, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(was, now)
