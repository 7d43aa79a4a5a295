"""An index that went through a file: what was a tuple has become a list."""

import keras
import numpy as np
from edgewright.quantize import prepare_qat
from keras import layers


def test_a_loaded_model_is_sliced_in_int8_as_it_was(tmp_path):
    inputs = keras.Input((6, 4), name="x")
    model = keras.Model(inputs, layers.Dense(2, name="logits")(layers.Dense(5, name="hidden")(inputs)[:, 0]))
    model.save(tmp_path / "model.keras")
    x = np.random.default_rng(0).normal(size=(32, 6, 4)).astype("float32")
    for made in (model, keras.saving.load_model(tmp_path / "model.keras")):
        aware, report = prepare_qat(made, calibration=x)
        assert not [row for row in report.rows if row["precision"] == "float32"]
        np.testing.assert_allclose(aware(x, training=False), model(x), atol=0.1)
