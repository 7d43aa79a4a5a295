"""Distillation: losses worked by hand, what a teacher may be, and a training that resumes with it."""

import os
from dataclasses import replace

import keras
import numpy as np
import pytest
import yaml
from edgewright.errors import BadInput
from edgewright.prune import PruneConfig, prepare_prune
from edgewright.quantize import prepare_qat
from edgewright.training import learners, tasks
from edgewright.training.config import TrainConfig
from edgewright.training.data import Dataset, Head, Split
from edgewright.training.distillation import HOLDING, Distillation
from edgewright.training.learners.fit import fit
from edgewright.training.learners.fitting import resolved
from edgewright.training.learners.taught import Lesson, taught
from edgewright.training.learners.teacher import schooled, shares
from edgewright.training.losses import LEAST_PROBABILITY, Divergence, HintError
from edgewright.training.train import train
from keras import ops

CONFIG = TrainConfig(label_smoothing=0.0)


def value(tensor):
    return np.asarray(ops.convert_to_numpy(tensor), np.float64)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


# ---------------------------------------------------------------- losses


def test_divergence_and_cross_entropy_of_the_worked_example():
    t, s = np.array([[0.7, 0.2, 0.1]], np.float32), np.array([[0.6, 0.3, 0.1]], np.float32)
    divergence = float(Divergence(1.0)(np.log(t), np.log(s)))
    assert divergence == pytest.approx(0.02681, abs=5e-6)
    entropy = -float((t * np.log(t)).sum())
    assert divergence + entropy == pytest.approx(0.82863, abs=5e-5)  # the cross-entropy of s with soft targets t


def test_the_gradient_pulls_towards_the_softened_answers():
    """It is T (s - t); s of equal scores is 1/3 each, t the softmax of (2, 1, .1) at T=2: .5017, .3043, .1940."""
    import tensorflow as tf

    said = tf.Variable([[0.0, 0.0, 0.0]])
    with tf.GradientTape() as tape:
        loss = Divergence(2.0)(np.array([[2.0, 1.0, 0.1]], np.float32), said)
    gradient = tape.gradient(loss, said).numpy()[0]
    assert 1 / 3 - gradient / 2 == pytest.approx([0.5017, 0.3043, 0.1940], abs=5e-5)


def test_divergence_is_that_of_keras():
    random = np.random.default_rng(0)
    told, said = random.normal(0, 3, (2, 16, 5)).astype(np.float32)
    by_class = keras.losses.KLDivergence()  # the default is another loss: findings/keras_logits_distillation.sh
    peer = keras.distillation.LogitsDistillation(temperature=3.0, loss=by_class)
    assert float(Divergence(3.0)(told, said)) == pytest.approx(float(peer.compute_loss(told, said)), rel=1e-4)


def test_divergence_of_yes_or_no_worked_by_hand():
    """t=.8, s=.5: .8 ln 1.6 + .2 ln .4 = .19274; a second label that is agreed upon halves the mean."""
    logit = np.log(4.0)
    told, said = np.array([[logit, 1.0]], np.float32), np.array([[0.0, 1.0]], np.float32)
    assert float(Divergence(1.0, independent=True)(told, said)) == pytest.approx(0.19274 / 2, abs=1e-5)


def test_error_of_features_is_a_share_of_their_size():
    ideal, shown = np.array([[2.0, 2.0]], np.float32), np.array([[1.0, 3.0]], np.float32)
    assert float(HintError()(ideal, shown)) == pytest.approx(1 / 4)
    assert float(HintError()(10 * ideal, 10 * shown)) == pytest.approx(1 / 4)


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"teacher": ""}, "teacher is ''"),
        ({"temperature": 0}, "temperature is 0"),
        ({"temperature": float("inf")}, "temperature is inf"),
        ({"alpha": 1.5}, "alpha is 1.5"),
        ({"beta": -1}, "beta is -1"),
        ({"features": "conv"}, "features is 'conv'"),
        ({"features": [1]}, r"features is \[1\]"),
        ({"alpha": 0}, "would say nothing"),
        ({"untold": -1}, "untold is -1"),
    ],
)
def test_settings_are_refused_with_what_is_allowed(settings, words):
    with pytest.raises(BadInput, match=words):
        Distillation(**{"teacher": "float", **settings})


def test_settings_round_trip_through_yaml():
    given = Distillation(teacher="big.keras", temperature=2, alpha=0.9, features=["conv"], unlabelled="digits")
    assert Distillation.read(yaml.safe_load(yaml.safe_dump(given.plain()))) == given
    assert given.features == {"conv": "conv"} and Distillation.read("float") == Distillation(teacher="float")
    with pytest.raises(BadInput, match=r"no setting 'temprature'; did you mean temperature\?"):
        Distillation.read({"teacher": "float", "temprature": 2})
    with pytest.raises(BadInput, match="teacher is missing"):
        Distillation.read({"alpha": 0.5})
    holding = Distillation.read(HOLDING)
    assert Distillation.read(yaml.safe_load(yaml.safe_dump(holding.plain()))) == holding
    assert (holding.teacher, holding.alpha, holding.of_untold) == ("float", 0, 1)
    assert Distillation.read({"untold": 0}).of_untold == 0
    assert (Distillation.read("float").of_untold, Distillation.read("big.keras").of_untold) == (1, 0)
    with pytest.raises(BadInput, match="lies in memory"):
        Distillation(teacher=net()).plain()


# ---------------------------------------------------------------- the loss of a taught network


def net(width=4, name="small", activation=None, classes=3, inputs=5, **options):
    keras.utils.set_random_seed(width)
    x = given = keras.Input((inputs,), name="x")
    x = keras.layers.Dense(width, "relu", name="hidden", **options)(x)
    return keras.Model(given, keras.layers.Dense(classes, activation=activation, name="last")(x), name=name)


def samples(count=24, classes=3, task="classification", y=None):
    random = np.random.default_rng(1)
    x = random.normal(size=(count, 5)).astype(np.float32)
    y = (np.arange(count) % classes).astype(np.int32) if y is None else y(random, count)
    split = Split(x=x, y=y)
    return Dataset(name="made", task=task, classes=classes if y.ndim == 1 and y.dtype == np.int32 else 0, train=split,
                   validation=split, test=split)  # fmt: skip


def lesson(student, dataset, config=CONFIG, overrides=fit, changes=(), **settings):
    """Return a taught model, what it returns in training for all samples, and its loss."""
    task, teaching = tasks.of(dataset), Distillation(**settings)
    networks = {student.name: student}
    fitting = resolved(overrides, networks, dataset, task, config)
    model = taught(fitting, networks, dataset, task, config, teaching=teaching, changes=changes)
    weights = fitting.weights if fitting.weights is not None else fitting.weigh(dataset.train)
    whole = schooled(dataset, teaching).train
    model.compile(loss=fitting.loss, loss_weights=fitting.loss_weights, metrics=fitting.metrics)
    found = model(whole.x, training=True)
    targets = fitting.targets(whole)
    loss = model.compute_loss(whole.x, targets, found, shares(weights, dataset.train, teaching), training=True)
    return model, found, float(value(loss)), targets


def divergences(told, said, temperature):
    t, s = softmax(told / temperature), softmax(said / temperature)
    return temperature**2 * (t * np.log(t / s)).sum(-1)


def test_loss_is_the_mean_over_samples_of_both_parts_by_their_shares():
    """Worked in NumPy: class weights count for both, samples without a label for the teacher alone, l2 in full."""
    student, teacher, dataset = net(kernel_regularizer=keras.regularizers.L2(0.5)), net(9, "big"), samples()
    more = np.random.default_rng(2).normal(size=(8, 5)).astype(np.float32)
    config = replace(CONFIG, class_weights={0: 2.0, 1: 1.0, 2: 0.0})
    _, found, loss, targets = lesson(student, dataset, config, teacher=teacher, temperature=3, alpha=0.25,
                                     unlabelled=more)  # fmt: skip
    said, told = value(found.said), value(teacher(np.concatenate([dataset.train.x, more])))
    weights = np.array([2.0, 1.0, 0.0])[dataset.train.y]
    own = -np.log(softmax(said))[np.arange(24), targets[:24]] * weights
    apart = divergences(told, said, 3) * np.concatenate([weights, np.ones(8)])
    penalty = 0.5 * (value(student.get_layer("hidden").kernel) ** 2).sum()
    assert loss == pytest.approx(0.75 * own.sum() / 32 + 0.25 * apart.sum() / 32 + penalty, rel=1e-5)


def test_validation_is_the_students_alone():
    student, dataset = net(), samples()
    model, _, _, targets = lesson(student, dataset, teacher=net(9, "big"), alpha=1)
    plain = model(dataset.train.x, training=False)
    own = -np.log(softmax(value(student(dataset.train.x))))[np.arange(24), targets].mean()
    loss = model.compute_loss(dataset.train.x, targets, plain, None, training=False)
    assert float(value(loss)) == pytest.approx(own, rel=1e-5)


@pytest.mark.parametrize("endings", [(None, None), ("softmax", "softmax"), (None, "softmax"), ("softmax", None)])
def test_equal_networks_do_not_differ_whatever_they_end_in(endings):
    student, teacher = (net(activation=each, name=f"n{place}") for place, each in enumerate(endings))
    teacher.set_weights(student.get_weights())
    *_, loss, _ = lesson(student, samples(), teacher=teacher, alpha=1)
    assert loss == pytest.approx(0, abs=1e-5)


def test_probabilities_become_logits_before_they_are_softened():
    student, teacher = net(activation="softmax"), net(9, "big")
    _, found, loss, _ = lesson(student, samples(), teacher=teacher, temperature=4, alpha=1)
    told, said = (np.log(each + LEAST_PROBABILITY) for each in (softmax(value(found.told[""])), value(found.said)))
    assert loss == pytest.approx(divergences(told, said, 4).mean(), rel=1e-4)


def test_several_labels_are_compared_one_by_one():
    dataset = samples(task="multilabel", y=lambda random, n: random.integers(0, 2, (n, 3)).astype(np.float32))
    _, found, loss, _ = lesson(net(), dataset, teacher=net(9, "big", "sigmoid"), temperature=2, alpha=1)
    said, told = value(found.said), value(found.told[""])
    t, s = (1 / (1 + np.exp(-each / 2)) for each in (np.log(told) - np.log(1 - told), said))
    assert loss == pytest.approx(4 * (t * np.log(t / s) + (1 - t) * np.log((1 - t) / (1 - s))).mean(), rel=1e-4)


def test_values_are_compared_by_their_squared_error():
    dataset = samples(task="regression", y=lambda random, n: random.normal(size=(n, 3)).astype(np.float32))
    _, found, loss, targets = lesson(net(), dataset, teacher=net(9, "big"), temperature=2, alpha=0.5)
    said = value(found.said)
    want = ((said - targets) ** 2).mean() / 2 + ((said - value(found.told[""])) ** 2).mean() / 2
    assert loss == pytest.approx(want, rel=1e-5)


def two_heads(width, name):
    keras.utils.set_random_seed(width)
    given = keras.Input((5,), name="x")
    x = keras.layers.Dense(width, "relu", name="hidden")(given)
    answers = {"kind": keras.layers.Dense(3, name="kind")(x), "size": keras.layers.Dense(1, name="size")(x)}
    return keras.Model(given, answers, name=name)


def test_each_of_several_outputs_is_compared_in_its_own_form_and_by_its_weight():
    plain = samples()
    y = {"kind": plain.train.y, "size": plain.train.x[:, :1]}
    split = Split(x=plain.train.x, y=y)
    heads = {"kind": Head(task="classification", classes=3), "size": Head(task="regression", weight=3.0)}
    dataset = replace(plain, task="classification+regression", classes=0, train=split, validation=split, test=split,
                      heads=heads)  # fmt: skip
    more = np.ones((6, 5), np.float32)
    _, found, loss, _ = lesson(two_heads(4, "small"), dataset, teacher=two_heads(9, "big"), alpha=1, unlabelled=more)
    of_kind = divergences(value(found.told["kind"]), value(found.said["kind"]), 4)
    of_size = (value(found.told["size"]) - value(found.said["size"])) ** 2
    assert len(of_kind) == 30 and loss == pytest.approx(of_kind.mean() + 3 * of_size.mean(), rel=1e-5)


def partly_told(count=24):
    """Return samples with targets for one of the outputs of `two_heads`, which a size far from zero is beside."""
    plain = samples(count)
    split = replace(plain.train, y={"kind": plain.train.y})
    heads = {"kind": Head(task="classification", classes=3)}
    return replace(plain, classes=0, train=split, validation=split, test=split, heads=heads)


def unexplained(told, said):
    """Return the squared error as a share of the variance over samples, which 8 bits of the size itself add to."""
    rounded = (told**2).mean() / (12 * 255**2)
    return ((said - told) ** 2).mean() / (told.var(0).mean() + rounded)


def test_an_output_without_targets_is_held_to_the_teachers_as_a_share_of_its_variance():
    """Worked in NumPy: labels count in full, whatever the size of the other output is and wherever it lies."""
    dataset, losses = partly_told(), {}
    for size, offset in ((1.0, 0.0), (100.0, 700.0)):
        student, teacher = two_heads(4, "small"), two_heads(9, "big")
        for model in (student, teacher):
            last = model.get_layer("size")
            last.set_weights([size * last.get_weights()[0], np.full(1, offset, np.float32)])
        _, found, loss, targets = lesson(student, dataset, teacher=teacher, alpha=0, untold=0.5)
        said, told = (value(each) for each in reversed(found.untold["size"]))
        own = -np.log(softmax(value(found.said["kind"])))[np.arange(24), targets["kind"]].mean()
        assert set(found.said) == set(found.told) == {"kind"}
        assert loss == pytest.approx(own + 0.5 * unexplained(told, said), rel=1e-4)
        losses[size] = loss
    assert losses[1.0] == pytest.approx(losses[100.0], rel=1e-2)


def test_each_output_without_targets_counts_alike_and_one_that_is_always_zero_is_asked_for_nothing():
    def three(width, name):
        both = two_heads(width, name)
        more = {"still": both.output["size"] * 0.0, "far": keras.layers.Dense(2, name="far")(both.output["kind"])}
        return keras.Model(both.input, {**both.output, **more}, name=name)

    *_, found, loss, targets = lesson(three(4, "small"), partly_told(), teacher=three(9, "big"), alpha=0, untold=3)
    pairs = {name: [value(each) for each in pair] for name, pair in found.untold.items()}
    assert set(pairs) == {"size", "still", "far"} and not pairs["still"][1].any()
    own = -np.log(softmax(value(found.said["kind"])))[np.arange(24), targets["kind"]].mean()
    assert loss == pytest.approx(own + unexplained(*pairs["size"]) + unexplained(*pairs["far"]), rel=1e-4)


def test_the_first_step_of_a_training_holds_outputs_without_targets():
    """Through Keras' own loop, with one batch of all samples; validation is by the labels alone."""
    config, dataset = replace(CONFIG, epochs=1, batch_size=24), partly_told()
    settings = {"teacher": two_heads(9, "big"), "alpha": 0, "untold": 1.0}
    loss = lesson(two_heads(4, "small"), dataset, **settings)[2]
    student = two_heads(4, "small")
    (row,) = train(student, dataset, config, teaching=Distillation(**settings)).history
    assert row["loss"] == pytest.approx(loss, rel=1e-5)
    said = value(student(dataset.train.x)["kind"])
    own = -np.log(softmax(said))[np.arange(24), dataset.train.y["kind"]].mean()
    assert row["val_loss"] == pytest.approx(own, rel=1e-5)


def test_another_teacher_holds_no_output_without_targets_unless_it_is_told_to():
    student, teacher = two_heads(4, "small"), two_heads(9, "big")
    assert not lesson(student, partly_told(), teacher=teacher)[1].untold
    alone = keras.Model(teacher.input, {"kind": teacher.output["kind"]}, name="alone")
    assert not lesson(student, partly_told(), teacher=alone, untold=1)[1].untold
    wide = keras.Model(teacher.input, {**teacher.output, "size": teacher.output["kind"]}, name="wide")
    with pytest.raises(BadInput, match=r"'wide' answers \(3,\) a sample at output 'size', student 'small' \(1,\)"):
        lesson(student, partly_told(), teacher=wide, untold=1)


def test_outputs_without_targets_are_found_in_order_where_names_were_lost():
    student = two_heads(4, "small")
    given = keras.Input((5,), name="x")
    unnamed = keras.Model(given, list(student(given).values()), name="unnamed")
    found = lesson(unnamed, partly_told(), teacher=student, alpha=0, untold=1)[1]
    ((told, said),) = found.untold.values()
    np.testing.assert_allclose(value(told), value(said), atol=1e-6)


def test_every_member_of_an_ensemble_hears_the_same():
    from edgewright.training.learners.ensemble import bagging

    given = keras.Input((5,), name="x")
    members = [keras.layers.Dense(3, name=f"member{place}")(given) for place in range(2)]
    student = keras.Model(given, keras.layers.Average()(members), name="pair")
    _, found, loss, _ = lesson(student, samples(), overrides=bagging, teacher=net(9, "big"), alpha=1)
    draws = np.random.default_rng(0).integers(0, 24, (2, 24))
    counts = np.stack([np.bincount(drawn, minlength=24) for drawn in draws], 1)
    told = value(found.told[""])
    np.testing.assert_array_equal(told[:, 0], told[:, 1])
    assert loss == pytest.approx((counts * divergences(told, value(found.said), 4)).mean(), rel=1e-5)


def test_both_see_the_same_changed_samples():
    """A network that is taught by its own twin never differs from it, though samples change at random."""
    student = net()
    teacher = keras.models.clone_model(student)
    teacher.set_weights(student.get_weights())
    noise = keras.layers.GaussianNoise(1.0, seed=3)
    _, found, loss, _ = lesson(student, samples(), changes=[noise], teacher=teacher, alpha=1)
    assert loss == pytest.approx(0, abs=1e-6)
    assert not np.allclose(value(found.said), value(student(samples().train.x)))


def test_inputs_of_other_names_are_fed_in_order():
    def pair(first, second, name):
        keras.utils.set_random_seed(0)
        a, b = keras.Input((5,), name=first), keras.Input((2,), name=second)
        x = keras.layers.Dense(3, name="a")(a) - keras.layers.Dense(3, name="b")(b)
        return keras.Model([a, b], x, name=name)

    plain = samples()
    split = replace(plain.train, x={"z": plain.train.x, "y": plain.train.x[:, :2]})
    dataset = replace(plain, train=split, validation=split, test=split)
    *_, loss, _ = lesson(pair("z", "y", "small"), dataset, teacher=pair("left", "right", "big"), alpha=1)
    assert loss == pytest.approx(0, abs=1e-6)


def test_a_teachers_weights_are_no_part_of_the_student():
    student, teacher = net(), net(9, "big")
    model, found, _, _ = lesson(student, samples(), teacher=teacher, features=["hidden"])
    assert isinstance(found, Lesson) and teacher.trainable
    of_teacher = {id(variable) for variable in teacher.variables}
    assert not of_teacher & {id(variable) for variable in [*model.variables, *model.trainable_weights]}
    assert of_teacher <= {id(variable) for variable in model.non_trainable_variables}
    assert [v.path for v in model.trainable_variables if "regressor" in v.path] == ["regressor_0/kernel"]


# ---------------------------------------------------------------- features


def test_features_of_another_width_go_through_a_learned_matrix():
    student, teacher, dataset = net(), net(9, "big"), samples()
    model, _, loss, _ = lesson(student, dataset, teacher=teacher, alpha=0, features={"hidden": "hidden"}, beta=2)
    own = lesson(student, dataset, teacher=teacher, alpha=0, features={"hidden": "hidden"}, beta=1)[2]
    kernel = value(model.regressors["hidden"].kernel)
    hidden = value(keras.Model(student.input, student.get_layer("hidden").output)(dataset.train.x))
    ideal = value(keras.Model(teacher.input, teacher.get_layer("hidden").output)(dataset.train.x))
    error = ((hidden @ kernel - ideal) ** 2).mean() / (ideal**2).mean()
    assert kernel.shape == (4, 9) and loss - own == pytest.approx(error, rel=1e-4)


def test_same_takes_the_layers_with_a_kernel_but_for_the_last():
    model, found, _, _ = lesson(net(), samples(), teacher=net(4, "twin"), features="same")
    assert len(found.hints) == 1 and not model.regressors


def test_features_are_had_from_a_network_that_is_being_pruned():
    student, dataset = net(), samples()
    pruning, _ = prepare_prune(student, PruneConfig(sparsity=0.5))
    _, found, _, _ = lesson(pruning, dataset, teacher=net(9, "big"), features=["hidden"])
    ((ideal, shown),) = found.hints
    assert ideal.shape == shown.shape == (24, 9)


def test_features_that_cannot_be_compared_are_refused():
    dataset, student = samples(), net()
    with pytest.raises(BadInput, match=r"student 'small' has no layer 'hiden'; did you mean hidden\?"):
        lesson(student, dataset, teacher=net(9, "big"), features=["hiden"])
    with pytest.raises(BadInput, match="teacher 'big' has no layer 'other'"):
        lesson(student, dataset, teacher=net(9, "big"), features={"hidden": "other"})
    aware, _ = prepare_qat(student, calibration=dataset.train.x)
    with pytest.raises(BadInput, match="is quantization-aware"):
        lesson(aware, dataset, teacher=net(9, "big"), features="same")
    given = keras.Input((5,), name="x")
    wide = keras.layers.Reshape((5, 1))(given)
    wide = keras.layers.GlobalAveragePooling1D()(keras.layers.Dense(3, name="hidden")(wide))
    with pytest.raises(BadInput, match=r"gives \(4,\) a sample, the teacher's 'hidden' \(5, 3\)"):
        lesson(student, dataset, teacher=keras.Model(given, wide, name="other"), features=["hidden"])


# ---------------------------------------------------------------- what is refused


def test_teachers_of_something_else_are_refused_with_both_shapes():
    with pytest.raises(BadInput, match=r"'big' answers \(4,\) a sample, student 'small' \(3,\)"):
        lesson(net(), samples(), teacher=net(9, "big", classes=4))
    with pytest.raises(BadInput, match=r"takes samples of shape \(6,\), student 'small' of \(5,\)"):
        lesson(net(), samples(), teacher=net(9, "big", inputs=6))
    with pytest.raises(BadInput, match="has 2 outputs: kind, size; student 'small' is taught at one"):
        lesson(net(), samples(), teacher=two_heads(4, "big"))
    with pytest.raises(BadInput, match="has no network 'small', only one, other"):
        lesson(net(), samples(), teacher={"one": net(), "other": net()})


@pytest.mark.parametrize("name", sorted(learners.table()))
def test_learners_without_a_loss_of_samples_heed_no_teacher(name):
    learner = learners.get(name)
    if learner.teachable:
        return learner.check_teachable()
    with pytest.raises(BadInput, match=f"learner '{name}' heeds no teacher"):
        learner({}, None, None, CONFIG, None, teaching=Distillation(teacher="float"))


def test_not_all_learners_are_alike():
    teachable = {name for name, entry in learners.table().items() if entry.teachable}
    assert {"fit", "hinge", "full_batch", "bagging", "multitask"} <= teachable
    assert not {"adversarial", "q_learning"} & teachable


# ---------------------------------------------------------------- training


def test_the_first_step_of_a_training_has_the_loss_that_was_worked():
    """One batch of all samples, through Keras' own loop: weights and samples without a label arrive as they should."""
    dataset, more = samples(), np.random.default_rng(2).normal(size=(8, 5)).astype(np.float32)
    config = replace(CONFIG, class_weights={0: 2.0, 1: 1.0, 2: 0.0}, epochs=1, batch_size=32)
    settings = {"teacher": net(9, "big"), "temperature": 3, "alpha": 0.25, "unlabelled": more, "features": ["hidden"]}
    *_, loss, _ = lesson(net(), dataset, config, **settings)
    result = train(net(), dataset, config, teaching=Distillation(**settings))
    assert result.history[0]["loss"] == pytest.approx(loss, rel=1e-5)


def test_a_student_learns_from_answers_alone(tmp_path):
    """Samples without any label but one: the student comes to agree with the teacher, which is left as it was."""
    dataset, teacher = samples(240), net(32, "big")
    before = [weight.copy() for weight in teacher.get_weights()]
    few = replace(dataset, train=dataset.train.take(np.arange(8)))
    teaching = Distillation(teacher=teacher, alpha=1, temperature=1, unlabelled=dataset.train.x)
    config = TrainConfig(epochs=12, batch_size=31, learning_rate=0.02, augment=False)
    truth = value(teacher(dataset.train.x)).argmax(-1)
    judged = replace(few, validation=replace(dataset.train, y=truth), test=replace(dataset.train, y=truth))
    student = net(8)
    result = train(student, judged, config, out=tmp_path, teaching=teaching)
    untaught = (value(net(8)(dataset.train.x)).argmax(-1) == truth).mean()
    assert untaught < 0.6 and result.metric > 0.7, (untaught, result.metric)
    for was, now in zip(before, teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(was, now)
    if tmp_path is not None:
        with pytest.raises(BadInput, match=r"teaching\.temperature 1 -> 2"):
            train(net(8), judged, config, out=tmp_path, teaching=replace(teaching, temperature=2))


SCRIPT = f"""
import sys
sys.path.insert(0, {os.path.dirname(__file__)!r})
import keras
assert keras.backend.backend() == "jax"
import test_distillation as tests
tests.test_loss_is_the_mean_over_samples_of_both_parts_by_their_shares()
tests.test_features_of_another_width_go_through_a_learned_matrix()
tests.test_the_first_step_of_a_training_has_the_loss_that_was_worked()
tests.test_an_output_without_targets_is_held_to_the_teachers_as_a_share_of_its_variance()
tests.test_the_first_step_of_a_training_holds_outputs_without_targets()
tests.test_a_student_learns_from_answers_alone(None)
print("all of them")
"""


def test_jax_teaches_alike(on_jax):
    assert on_jax.says(SCRIPT).endswith("all of them\n")
