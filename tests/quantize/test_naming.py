"""Which operations the names and types of `QatConfig` mean, and that none of them is ignored."""

import edgewright as ew
import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from keras import layers

X = np.random.default_rng(0).normal(size=(16, 8, 8, 3)).astype("float32")


@keras.saving.register_keras_serializable("test_naming")
class Gate(layers.Layer):
    """Two dense layers inside a layer of one's own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.value, self.gate = layers.Dense(4, name="value"), layers.Dense(4, name="gate")

    def build(self, shape):
        self.value.build(shape)
        self.gate.build(shape)

    def call(self, x):
        return self.value(x) * keras.ops.sigmoid(self.gate(x))


def net():
    x = inputs = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 3, name="stem")(x)
    x = layers.BatchNormalization(name="stem_norm")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(layers.ReLU(name="relu")(x))
    shared = layers.Dense(4, name="shared")
    x = shared(shared(x))
    return keras.Model(inputs, layers.Dense(2, name="logits")(Gate(name="gated")(x)), name="named")


def in_float(**config):
    _, report = ew.prepare_qat(net(), ew.QatConfig(**config), calibration=X)
    return [row["name"] for row in report.float_ops]


@pytest.mark.parametrize(
    ("config", "begins"),
    [
        ({"by_type": {"Conv2D": None}}, ["stem"]),
        ({"by_type": {"Dense": None}}, ["shared", "shared#2", "gated/value", "gated/gate", "logits"]),
        ({"by_type": {"Gate": None}}, ["gated/value", "gated/gate", "gated/sigmoid", "gated/multiply"]),
        ({"by_type": {"Gate": None, "Dense": "w8a8"}}, ["gated/sigmoid", "gated/multiply"]),  # the inner class wins
        ({"by_name": {"gated/value": "w8a8"}, "by_type": {"Gate": None}},
         ["gated/gate", "gated/sigmoid", "gated/multiply"]),
        ({"by_name": {"shared": None}}, ["shared", "shared#2"]),  # each call of a shared layer
        ({"by_type": {"Sigmoid": None, "LogSoftmax": None}}, ["gated/sigmoid"]),  # a recipe for a device may say more
    ],
)  # fmt: skip
def test_a_type_is_an_operation_or_the_class_of_a_layer(config, begins):
    found = in_float(**config)
    assert len(found) == len(begins)
    for start in begins:
        assert sum(name == start or name.startswith(f"{start}/") for name in found) == 1, (start, found)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"by_name": {"logit": None}}, r"by_name\['logit'\] names no operation; did you mean logits"),
        ({"by_name": {"encoder_*": "w8a16"}}, r"by_name\['encoder_\*'\] names no operation; allowed: .*stem"),
        ({"by_type": {"Dence": None}}, r"by_type\['Dence'\] .*; did you mean Dense"),
        ({"by_type": {"LSTM": None}}, r"by_type\['LSTM'\] is no operation and no layer's class here"),
        ({"by_name": {"stem_norm": None}}, "layer 'stem_norm' is folded"),
        ({"by_type": {"BatchNormalization": None}}, "layer 'stem_norm' is folded"),
    ],
)
def test_what_means_nothing_is_refused_with_the_nearest_names(config, words):
    with pytest.raises(BadInput, match=words) as caught:
        ew.prepare_qat(net(), ew.QatConfig(**config), calibration=X)
    assert "\n" not in str(caught.value)


def test_classes_hold_in_a_model_that_is_saved_and_loaded(tmp_path):
    qat, _ = ew.prepare_qat(net(), ew.QatConfig(by_type={"Gate": None}), calibration=X)
    ew.save_model(qat, tmp_path / "q.keras")
    again = ew.load_model(tmp_path / "q.keras")
    assert ew.export_tflite(again).manifest["float_ops"] == ew.export_tflite(qat).manifest["float_ops"] > 0


@pytest.mark.parametrize("kind", ["Dence", "LSTM"])
def test_pruning_refuses_the_class_of_no_layer(kind):
    with pytest.raises(BadInput, match=rf"by_type\['{kind}'\] is the class of no layer with weights"):
        ew.prune(net(), ew.PruneConfig(by_type={kind: 0.5}))


@pytest.mark.parametrize(
    ("export", "keyword", "words"),
    [
        ("export_tflite", {"inference_input_type": "uint8"}, "integer_io"),
        ("export_tflite", {"callibration": X}, "did you mean calibration"),
        ("export_onnx", {"integer_io": True}, "'integer_io' is no argument; allowed: precision, calibration"),
        ("export_onnx", {"preprocessing": "none"}, "manifest="),
    ],
)
def test_export_swallows_no_keyword(export, keyword, words):
    with pytest.raises(BadInput, match=words):
        getattr(ew, export)(net(), **keyword)
