"""Calibration samples in the forms that people have them in, and models that Keras has not built yet."""

import edgewright as ew
import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.quantize.samples import gather
from keras import layers

X = np.random.default_rng(0).normal(size=(64, 8, 8, 1)).astype("float32")


def image_net():
    inputs = keras.Input((8, 8, 1))
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(layers.Conv2D(4, 3)(inputs))), name="net")


def representative():
    for sample in X:
        yield [sample[None]]


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 8

    def __getitem__(self, index):
        return X[8 * index : 8 * index + 8], np.zeros(8)


def of_tensorflow(*arrays):
    return __import__("tensorflow").data.Dataset.from_tensor_slices(arrays if len(arrays) > 1 else arrays[0])


FORMS = {
    "an array": lambda: X,
    "a list of one array": lambda: [X],
    "a list of samples": lambda: list(X),
    "a generator function": lambda: representative,
    "a generator": representative,
    "a data set": lambda: of_tensorflow(X).batch(8),
    "a data set of single samples": lambda: of_tensorflow(X),
    "a data set with labels": lambda: of_tensorflow(X, np.zeros(64)).batch(8),
    "a PyDataset": Batches,
    "doubles": lambda: X.astype("float64"),
}


@pytest.mark.parametrize("form", FORMS)
def test_samples_are_taken_in_every_form(form):
    _, (found,) = gather(image_net(), FORMS[form]())
    np.testing.assert_array_equal(np.asarray(found, np.float32), X)


WRONG = {
    r"shape \(8, 8, 1\), the model takes \(N, 8, 8, 1\); .*samples\[None\]": X[0],
    r"shape \(64, 9, 9, 1\), the model takes \(N, 8, 8, 1\)": np.zeros((64, 9, 9, 1), "float32"),
    "no samples": X[:0],
    "no numbers": np.array(["a", "b"]),
    r"sample 3, feature \(0, 0, 0\) is nan": np.where(np.arange(64)[:, None, None, None] == 3, np.nan, X),
    "has no samples for input": {"other": X},
}


@pytest.mark.parametrize("message", WRONG)
def test_what_the_model_cannot_take_is_refused(message):
    with pytest.raises(BadInput, match=message):
        gather(image_net(), WRONG[message])


def two_inputs():
    zeta, alpha = keras.Input((5,), name="zeta"), keras.Input((5,), name="alpha")
    return keras.Model([zeta, alpha], layers.Dense(3)(layers.Concatenate()([zeta * 0.01, alpha * 10])))


def test_a_dict_goes_by_name_as_in_keras():
    random = np.random.default_rng(0)
    large, small = (random.normal(size=(64, 5)) * 100).astype("f4"), (random.normal(size=(64, 5)) * 0.1).astype("f4")
    by_name = gather(two_inputs(), {"alpha": small, "zeta": large})[1]
    in_order = gather(two_inputs(), [large, small])[1]
    for one, other, wanted in zip(by_name, in_order, (large, small), strict=True):
        np.testing.assert_array_equal(one, wanted)
        np.testing.assert_array_equal(other, wanted)
    with pytest.raises(BadInput, match="1 array for a model of 2 inputs"):
        gather(two_inputs(), [large])
    with pytest.raises(BadInput, match="different numbers of samples"):
        gather(two_inputs(), [large, small[:3]])


class Frame:
    """What a data frame has, as far as it is asked."""

    def __init__(self, **columns):
        self.data = columns
        self.columns = list(columns)

    def __getitem__(self, name):
        return Column(self.data[name])

    def to_numpy(self):
        return np.stack(list(self.data.values()), -1)


class Column(np.ndarray):
    def __new__(cls, values):
        return np.asarray(values).view(cls)

    def to_numpy(self):
        return np.asarray(self)


def test_the_columns_of_a_frame_are_one_input_or_several():
    table = np.random.default_rng(0).normal(size=(9, 3)).astype("float32")
    frame = Frame(a=table[:, 0], b=table[:, 1], c=table[:, 2])
    one = keras.Input((3,))
    _, (found,) = gather(keras.Model(one, layers.Dense(1)(one)), frame)
    np.testing.assert_array_equal(found, table)
    inputs = {name: keras.Input((1,), name=name) for name in "ab"}
    _, found = gather(keras.Model(inputs, layers.Add()(list(inputs.values()))), Frame(b=table[:, 1], a=table[:, 0]))
    np.testing.assert_array_equal(found[0][:, 0], table[:, 0])


def test_token_numbers_may_come_as_floats():
    inputs = keras.Input((4,), dtype="int32")
    model = keras.Model(inputs, layers.Embedding(9, 2)(inputs))
    assert gather(model, np.full((2, 4), 3.0))[1][0].dtype == "int32"
    with pytest.raises(BadInput, match="with fractions"):
        gather(model, np.full((2, 4), 3.5))


class Own(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(3)

    def call(self, x):
        return self.dense(x)


@pytest.mark.parametrize("build", [Own, lambda: keras.Sequential([layers.Dense(4), layers.Dense(3)])])
def test_models_that_were_never_built_take_the_shape_of_the_samples(build):
    model, x = build(), X[:, :, 0, 0]
    qat, _ = ew.prepare_qat(model, calibration=x)
    assert qat.output_shape == (None, 3) and ew.export_tflite(qat).manifest["inputs"][0]["shape"] == [1, 8]


def test_outputs_keep_their_names_for_losses_by_name(tmp_path):
    inputs = keras.Input((4,), name="x")
    heads = [layers.Dense(3, name="cls")(inputs), layers.Dense(2, name="box")(inputs)]
    for outputs in (heads, dict(zip(("cls", "box"), heads, strict=True))):
        model = keras.Model(inputs, outputs)
        qat, _ = ew.prepare_qat(model, calibration=np.ones((8, 4), "float32"))
        qat.compile("sgd", {"cls": "mse", "box": "mse"})
        qat.fit(np.ones((8, 4)), {"cls": np.zeros((8, 3)), "box": np.zeros((8, 2))}, verbose=0)
        qat.save(tmp_path / "q.keras")
        assert ew.load_model(tmp_path / "q.keras").output_names == qat.output_names
