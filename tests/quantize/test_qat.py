"""Quantization-aware training: purity, report, configuration, saved models, pruned zeros, refusals."""

import keras
import numpy as np
import pytest
from edgewright.errors import BadInput, WrongOrder
from edgewright.quantize import QatConfig, find_quantized, prepare_qat
from int8_run import MODELS, cnn, output_step, samples


def fit(model, x, y, epochs=1, learning_rate=1e-3):
    """Train eagerly: for a few steps that is faster than to trace an unrolled recurrence."""
    optimizer = keras.optimizers.Adam(learning_rate)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True)
    return model.fit(x, y, epochs=epochs, batch_size=32, shuffle=False, verbose=0).history["loss"]


def outputs_of(model, x):
    return np.asarray(model(x, training=False))


@pytest.mark.parametrize("name", MODELS)
def test_prepared_model_is_close_to_the_model_and_leaves_it_untouched(name):
    model = MODELS[name]()
    x = samples(model)
    expected, weights = outputs_of(model, x), model.get_weights()
    qat, _ = prepare_qat(model, calibration=x)
    # Rounding errors of some ten operators add up to a few steps of the output, whose range is 255 steps.
    assert np.abs(outputs_of(qat, x) - expected).mean() < 5 * output_step(find_quantized(qat))
    assert not np.array_equal(outputs_of(qat, x), expected)
    fit(qat, x, np.arange(len(x)) % 4)
    np.testing.assert_array_equal(outputs_of(model, x), expected)
    for old, new in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_calibration_samples_are_not_changed_and_equal_ones_give_equal_models():
    x = samples(cnn())
    kept = x.copy()
    first, second = (prepare_qat(cnn(), calibration=x)[0] for _ in range(2))
    np.testing.assert_array_equal(x, kept)
    np.testing.assert_array_equal(outputs_of(first, x), outputs_of(second, x))


def test_outputs_lie_on_the_steps_of_their_scale():
    model = cnn()
    x = samples(model)
    qat, _ = prepare_qat(model, calibration=x)
    steps = outputs_of(qat, x) / output_step(find_quantized(qat))
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)


def test_report_lists_every_operator():
    _, report = prepare_qat(cnn(), calibration=samples(cnn()))
    assert [row["operator"] for row in report.rows] == [
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "ADD",
        "MAX_POOL_2D",
        "MEAN",
        "FULLY_CONNECTED",
    ]
    assert report.float_ops == ()
    assert {row["precision"] for row in report.rows} == {"w8a8"}
    assert all(row["range"][0] <= 0 <= row["range"][1] for row in report.rows)
    assert str(report) == "6 of 6 operators quantized to w8a8"


@pytest.mark.parametrize(
    ("config", "floats"),
    [
        (QatConfig(by_name={"stem": None}), [("CONV_2D", "by_name['stem'] is None")]),
        (QatConfig(by_name={"*wise": None}), [("DEPTHWISE_CONV_2D", "by_name['*wise'] is None")]),
        (QatConfig(by_type={"Conv": None}), [("CONV_2D", "by_type['Conv'] is None")]),
        (QatConfig(by_name={"stem": "w8a8"}, by_type={"Conv": None}), []),  # name before type
        (QatConfig(by_type={"Conv": "w8a8"}, default=None), None),  # type before default
    ],
)
def test_what_the_configuration_leaves_in_float_is_listed_with_its_reason(config, floats):
    model = cnn()
    qat, report = prepare_qat(model, config, calibration=samples(model))
    assert np.isfinite(outputs_of(qat, samples(model))).all()
    if floats is None:
        assert [row["operator"] for row in report.rows if row["precision"] == "w8a8"] == ["CONV_2D"]
        return
    steps = [step for step in find_quantized(qat).plan.operators if step.rule is None]
    listed = [(step.row.builtin_op, row["reason"]) for step, row in zip(steps, report.float_ops, strict=True)]
    assert {operator for operator, _ in floats} <= {operator for operator, _ in listed}
    assert all(any(reason.endswith(expected) for _, expected in floats) for _, reason in listed)
    assert all(reason in str(report) for _, reason in listed)


def test_everything_in_float_is_the_float_model():
    model = cnn()
    x = samples(model)
    qat, report = prepare_qat(model, QatConfig(default=None), calibration=x)
    assert len(report.float_ops) == len(report.rows)
    np.testing.assert_allclose(outputs_of(qat, x), outputs_of(model, x), atol=2e-6)


@pytest.mark.parametrize("name", MODELS)
def test_saved_and_loaded_model_gives_equal_outputs(name, tmp_path):
    model = MODELS[name]()
    x = samples(model)
    qat, _ = prepare_qat(model, calibration=x)
    fit(qat, x, np.arange(len(x)) % 4)
    qat.save(tmp_path / "qat.keras")
    loaded = keras.saving.load_model(tmp_path / "qat.keras")
    np.testing.assert_array_equal(outputs_of(loaded, x), outputs_of(qat, x))
    fit(loaded, x, np.arange(len(x)) % 4)  # it goes on training


def test_zeros_of_pruned_kernels_stay_zero():
    model = cnn()
    x = samples(model)
    kernel = model.get_layer("logits").kernel
    pruned = np.where(np.arange(24).reshape(6, 4) % 2, np.asarray(kernel), 0)
    kernel.assign(pruned)
    qat, _ = prepare_qat(model, calibration=x)
    fit(qat, x, np.arange(len(x)) % 4, epochs=2, learning_rate=0.05)
    layer = find_quantized(qat)
    leaf = next(leaf for leaf in layer.plan.graph.constants if leaf.name == "logits.kernel")
    trained = np.asarray(layer.weight(leaf))
    assert (trained[pruned == 0] == 0).all()
    assert (trained[pruned != 0] != pruned[pruned != 0]).all()


@pytest.mark.parametrize("name", MODELS)
def test_loss_decreases(name):
    model = MODELS[name]()
    x = samples(model)
    y = outputs_of(model, x).argmax(-1)[::-1].copy()  # labels it does not know yet
    qat, _ = prepare_qat(model, calibration=x)
    losses = fit(qat, x, y, epochs=6, learning_rate=2e-2)
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("place", [(0, 0, 0, 0), (0, 7, 7, 2), (3, 2, 5, 1), (7, 0, 0, 0), (7, 7, 7, 2)])
def test_calibration_that_would_ruin_a_range_is_refused(value, place):
    x = samples(cnn(), 8)
    x[place] = value
    with pytest.raises(BadInput) as caught:
        prepare_qat(PLAIN, calibration=x)
    assert f"sample {place[0]}, feature {place[1:]}" in str(caught.value)


PLAIN = cnn()


def test_empty_calibration_is_refused():
    with pytest.raises(BadInput, match="no samples"):
        prepare_qat(PLAIN, calibration=np.zeros((0, 8, 8, 3), "float32"))


def test_percentile_observer_clips_an_outlier():
    x = samples(PLAIN)
    x[0, 0, 0, 0] = 1000.0
    ranges = {}
    for config in (QatConfig(), QatConfig(observer="percentile", percentile=99.0)):
        layer = find_quantized(prepare_qat(PLAIN, config, calibration=x)[0])
        ranges[config.observer] = float(layer.range(layer.plan.scale_of(layer.plan.graph.inputs[0]))[1])
    assert ranges["minmax"] >= 1000
    assert ranges["percentile"] < 10


def test_second_preparation_is_refused():
    qat, _ = prepare_qat(PLAIN, calibration=samples(PLAIN, 8))
    with pytest.raises(WrongOrder, match="export_tflite"):
        prepare_qat(qat, calibration=samples(PLAIN, 8))


def test_unknown_key_is_refused_by_name():
    with pytest.raises(BadInput, match=r"'observers'.*observer"):
        QatConfig.from_dict({"observers": "minmax"})


@pytest.mark.parametrize(
    "values",
    [
        {"default": "w4"},
        {"ranges": "trained"},
        {"momentum": 1.0},
        {"freeze_after": 10},
        {"by_name": {"stem": "int8"}},
        {"by_type": {"Conv": "float32"}},
        {"observer": "entropy"},
        {"percentile": 50.0},
        {"percentile": 100.5},
        {"percentile": float("nan")},
    ],
)
def test_bad_values_are_refused_with_what_is_allowed(values):
    with pytest.raises(BadInput) as caught:
        QatConfig.from_dict(values)
    assert "QatConfig" in str(caught.value) and repr(next(iter(values))) not in str(caught.value)
    assert any(word in str(caught.value) for word in ("allowed", "must be"))


def test_clusters_survive_training_and_saving(tmp_path):
    clusters = np.linspace(-0.5, 0.5, 9).astype("f4")
    inputs = keras.Input((40,), name="x")
    x = keras.layers.Dense(16, activation="relu", name="clustered")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(4, name="logits")(x), name="net")
    layer = model.get_layer("clustered")
    layer.kernel.assign(np.random.default_rng(0).choice(clusters, (40, 16)))
    x = samples(model)
    qat, _ = prepare_qat(model, calibration=x)
    fit(qat, x, np.arange(len(x)) % 4, epochs=2, learning_rate=1e-2)
    quantized = find_quantized(qat)
    (leaf,) = [leaf for leaf in quantized.plan.graph.constants if leaf.shape == (40, 16)]
    trained = np.unique(np.asarray(quantized.weight(leaf)))
    assert len(trained) <= 9 and not np.allclose(trained[: len(clusters)], clusters[: len(trained)], atol=1e-4)
    qat.save(tmp_path / "net.keras")
    again = keras.models.load_model(tmp_path / "net.keras")
    np.testing.assert_array_equal(outputs_of(again, x), outputs_of(qat, x))
    zero = (np.asarray(layer.kernel) == 0).sum()
    assert zero and (np.asarray(quantized.weight(leaf)) == 0).sum() == zero  # the zeros of a pruned cluster stay


def frozen_below(regularizer=None):
    inputs = keras.Input((8, 8, 3), name="image")
    x = inputs
    for name in ("first", "second"):
        x = keras.layers.Conv2D(4, 3, name=name, kernel_regularizer=regularizer)(x)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization(name=f"{name}_norm")(x))
    base = keras.Model(inputs, x, name="base")
    base.trainable = regularizer is not None
    x = keras.layers.GlobalAveragePooling2D()(base(inputs))
    return keras.Model(inputs, keras.layers.Dense(3, name="head", kernel_regularizer=regularizer)(x))


def test_what_is_frozen_stays_frozen(tmp_path):
    qat, _ = prepare_qat(frozen_below(), calibration=np.random.default_rng(0).normal(size=(32, 8, 8, 3)))
    qat.save(tmp_path / "qat.keras")
    for model in (qat, keras.saving.load_model(tmp_path / "qat.keras")):
        assert [weight.path.rpartition("/")[2] for weight in model.trainable_weights] == ["head.kernel", "head.bias"]


def test_regularizers_stay_with_their_kernels(tmp_path):
    model = frozen_below("l2")
    qat, _ = prepare_qat(model, calibration=np.random.default_rng(0).normal(size=(32, 8, 8, 3)))
    qat.save(tmp_path / "qat.keras")
    for one in (qat, keras.saving.load_model(tmp_path / "qat.keras")):
        kernels = [np.asarray(weight) for weight in one.trainable_weights if weight.path.endswith("kernel")]
        assert len(kernels) == 3
        assert float(sum(one.losses)) == pytest.approx(sum(0.01 * float(np.sum(kernel**2)) for kernel in kernels))


class SmallActivations(keras.layers.Layer):
    """Adds the mean square of what passes to the loss."""

    def call(self, x):
        self.add_loss(keras.ops.mean(keras.ops.square(x)))
        return x


def test_layers_that_add_to_the_loss_are_named_and_go_on_doing_so_in_the_model():
    keras.saving.register_keras_serializable("tests")(SmallActivations)
    inputs = keras.Input((6,), name="x")
    x = keras.layers.Dense(8, name="sparse", activity_regularizer="l1")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(3)(SmallActivations(name="small")(x)))
    x = np.random.default_rng(0).normal(size=(32, 6)).astype("float32")
    model(x)
    before = [float(loss) for loss in model.losses]
    _, report = prepare_qat(model, calibration=x)
    assert report.losses == ("sparse", "small")
    assert "without what small adds to the loss" in str(report)
    model(x)
    assert [float(loss) for loss in model.losses] == before and len(before) == 2
