"""What targets are taken for, and what users bring: lists, dicts, frames, data sets of Keras and TensorFlow."""

import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.training import data
from edgewright.training.data import Dataset, Input, Output, Split

X = np.random.default_rng(0).normal(size=(60, 4)).astype("float32")
Y = np.arange(60) % 3
B = np.arange(60) % 2
TEXTS = np.array(["rose", "iris", "lily"])[Y]


def out(width, ending=None, name="y"):
    return Output(name=name, shape=(width,), ending=ending)


def load(y, *outputs, x=X, **more):
    """Read one (x, y) for a model of these outputs."""
    return data.load((x, y), outputs=outputs or None, **more)


@pytest.mark.parametrize(
    ("y", "output", "task", "classes"),
    [
        (Y, out(3), "classification", 3),
        (np.eye(3, dtype="float32")[Y], out(3, "softmax"), "classification", 3),
        (np.eye(3, dtype="int64")[Y], out(3), "classification", 3),
        (np.eye(3)[Y], None, "classification", 3),
        (Y.astype("float32"), out(3), "classification", 3),
        (B, out(1, "sigmoid"), "binary_classification", 2),
        (B[:, None].astype("float64"), out(1, "linear"), "binary_classification", 2),
        (B.astype(bool), out(1), "binary_classification", 2),
        (B, out(2), "classification", 2),
        (np.stack([B, 1 - B, Y > 0], 1), out(3, "sigmoid"), "multilabel", 0),
        (np.eye(3)[Y], out(3, "sigmoid"), "multilabel", 0),
        (X[:, :2] * 3, out(2), "regression", 0),
        (Y * 7, out(1), "regression", 0),
        (X.copy(), out(4), "reconstruction", 0),
        (TEXTS, out(3), "classification", 3),
    ],
)
def test_targets_and_outputs_tell_the_task(y, output, task, classes):
    found = load(y, *([output] if output else []))
    assert (found.task, found.classes) == (task, classes)
    assert len(found.train) + len(found.validation) + len(found.test) == 60


MASKS = (np.random.default_rng(1).random((60, 4, 6)) > 0.5).astype("int64")


@pytest.mark.parametrize(
    ("y", "kinds", "ending", "task", "classes"),
    [
        (MASKS, 3, None, "segmentation", 2),
        (2 * MASKS[..., None].astype("float32"), 3, None, "segmentation", 3),
        (np.eye(2, dtype="float32")[MASKS], 2, "softmax", "segmentation", 2),
        (MASKS[..., None].astype("uint8"), 1, None, "binary_segmentation", 2),
        (MASKS.astype(bool), 1, "sigmoid", "binary_segmentation", 2),
        (MASKS[..., None].astype("float32"), 1, "sigmoid", "binary_segmentation", 2),
        (MASKS[..., None].astype("float32"), 1, None, "reconstruction", 0),
    ],
)
def test_masks_tell_segmentation(y, kinds, ending, task, classes):
    images = np.random.default_rng(2).random((60, 4, 6, 1), "float32")
    found = load(y, Output(name="y", shape=(4, 6, kinds), ending=ending), x=images)
    assert (found.task, found.classes) == (task, classes)
    if classes:
        assert found.train.y.shape[1:] == (4, 6) and found.train.y.dtype == np.int32 and set(np.unique(
            found.train.y)) <= {0, 1, 2}  # fmt: skip


def test_texts_are_mapped_in_sorted_order_and_the_names_are_kept():
    found = load(TEXTS, out(3), whole=True)
    assert found.labels == ("iris", "lily", "rose")
    assert np.array(found.labels)[found.test.y].tolist() == TEXTS.tolist()
    assert load(np.array([b"no", b"yes"])[B], out(1, "sigmoid")).labels == ("no", "yes")


def test_numbers_that_are_no_class_numbers_are_mapped():
    found = load(np.array([10.0, 20.0, 50.0])[Y], out(3), whole=True)
    assert (found.labels, found.classes) == (("10", "20", "50"), 3)
    assert found.test.y.tolist() == Y.tolist()


@pytest.mark.parametrize(
    ("y", "outputs", "message"),
    [
        (Y[:55], [out(3)], "60 samples, 55 targets; give one target a sample"),
        (TEXTS, [out(1, "sigmoid")], r"3 labels \(iris, lily, rose\), but the model has one output"),
        (np.array(["a", None, "b"], dtype=object)[Y], [out(2)], "target of sample 1 is None"),
        ({"cls": Y, "bax": X}, [out(3, name="cls"), out(4, name="box")], "the model's outputs are cls, box"),
        ({"cls": Y, "box": X[:50]}, [out(3, name="cls"), out(4, name="box")], "50 targets 'box'"),
        ([Y, X, Y], [out(3, name="cls"), out(4, name="box")], "targets of 3 outputs, the model has 2"),
    ],
)
def test_targets_that_do_not_fit_are_refused_by_name(y, outputs, message):
    with pytest.raises(BadInput, match=message):
        load(y, *outputs)


def test_the_sample_that_is_not_a_number_is_counted_as_the_user_counts():
    x = X.copy()
    x[41, 2] = np.nan
    with pytest.raises(BadInput, match=r"sample 41, feature \(2,\) is nan"):
        load(Y, out(3), x=x)


def test_targets_of_several_outputs_by_name_or_in_order():
    outputs = (out(3, name="cls"), out(4, name="box"))
    named = load({"box": X, "cls": Y}, *outputs, whole=True)
    listed = load([Y, X], *outputs, whole=True)
    for found in (named, listed):
        assert (found.task, list(found.heads)) == ("classification+reconstruction", ["cls", "box"])
        assert found.test.y["cls"].tolist() == Y.tolist() and found.heads["cls"].classes == 3
    assert named.named_labels == {"cls": (), "box": ()}


def test_a_data_set_of_two_classes_serves_a_model_of_one_output():
    split = Split(x=X, y=B.astype("int32"))
    two = Dataset(name="d", task="classification", classes=2, train=split, validation=split, test=split)
    assert data.load(two, outputs=(out(1),)).task == "binary_classification"
    assert data.load(two, outputs=(out(2),)).task == "classification"
    assert data.load("breast_cancer", input_shape=(30,), outputs=(out(1),)).task == "binary_classification"


# ---------------------------------------------------------------- what users bring

TWO = (Input(name="zeta", shape=(4,)), Input(name="alpha", shape=(2,)))


def tensorflow(batched):
    import tensorflow as tf

    made = tf.data.Dataset.from_tensor_slices((X, Y))
    return made.batch(7) if batched else made


def batches():
    import keras

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 6

        def __getitem__(self, k):
            return X[10 * k : 10 * k + 10], Y[10 * k : 10 * k + 10]

    return Batches()


class Frame:
    """As much of a pandas DataFrame as is used, for those who do not have it."""

    def __init__(self, columns):
        self.data, self.columns = columns, list(columns)

    shape = property(lambda self: (len(self), len(self.columns)))

    def __len__(self):
        return len(next(iter(self.data.values())))

    def __getitem__(self, name):
        return Series(self.data[name], name)

    def to_numpy(self):
        return np.stack(list(self.data.values()), 1)


class Series:
    def __init__(self, values, name):
        self.values, self.name, self.shape = np.asarray(values), name, np.shape(values)

    def __len__(self):
        return len(self.values)

    def to_numpy(self):
        return self.values


def frame(**more):
    return Frame({f"c{k}": X[:, k] for k in range(4)} | more)


@pytest.mark.parametrize(
    "given",
    [
        lambda: (X, Y),
        lambda: [X.tolist(), Y.tolist()],
        lambda: (list(X), list(Y)),
        lambda: Split(x=X, y=Y),
        lambda: (frame(), Series(Y, "label")),
        lambda: (frame(), Frame({"label": Y})),
        lambda: tensorflow(True),
        lambda: tensorflow(False),
        batches,
        lambda: ({"x": X}, Y),
    ],
)
def test_one_x_and_y_of_any_form(given):
    found = data.load(given(), inputs=(Input(name="x", shape=(4,)),), outputs=(out(3),), whole=True)
    assert found.test.x.dtype == np.float32 and np.allclose(found.test.x, X) and found.test.y.tolist() == Y.tolist()
    assert data.load(given(), inputs=(Input(name="x", shape=(4,)),), outputs=(out(3),)).task == "classification"


@pytest.mark.parametrize("x", [[X, X[:, :2]], (X, X[:, :2]), {"alpha": X[:, :2], "zeta": X}])
def test_several_inputs_in_order_or_by_name(x):
    found = data.load((x, Y), inputs=TWO, outputs=(out(3),), whole=True).test.x
    assert list(found) == ["zeta", "alpha"] and found["zeta"].shape == (60, 4) and found["alpha"].shape == (60, 2)


def test_columns_feed_inputs_by_name():
    inputs = [Input(name=f"c{k}", shape=(1,) if k else ()) for k in (2, 0)]
    given = Frame({"c0": X[:, 0], "c2": X[:, 2]})
    found = data.load((given, Y), inputs=inputs, outputs=(out(3),), whole=True).test.x
    assert [(name, part.shape) for name, part in found.items()] == [("c2", (60, 1)), ("c0", (60,))]
    assert np.array_equal(found["c2"][:, 0], X[:, 2])


@pytest.mark.parametrize(
    ("x", "inputs", "message"),
    [
        (lambda: frame(town=np.array(["a"] * 60, object)), TWO[:1], "column 'town' holds 'a' in row 0"),
        (lambda: frame(age=np.where(np.arange(60) == 9, np.nan, 1.0)), TWO[:1], "column 'age' is nan in row 9"),
        (frame, TWO, "the frame has no column zeta, alpha"),
        (lambda: {"zeta": X, "beta": X}, TWO, "the model's are zeta, alpha: name them so"),
        (lambda: [X, X, X], TWO, "3 inputs, the model has 2: zeta, alpha"),
        (lambda: [X, X], TWO, r"input 'alpha': samples have shape \(4,\), the model takes \(2,\)"),
        (lambda: X, TWO, "one array, the model has 2 inputs"),
        (lambda: [[1.0, 2.0], [3.0]] * 30, TWO[:1], "not all of one shape"),
    ],
)
def test_samples_that_do_not_fit_are_refused_by_name(x, inputs, message):
    with pytest.raises(BadInput, match=message):
        data.load((x(), Y), inputs=inputs, outputs=(out(3),))


def test_what_has_no_end_is_refused():
    with pytest.raises(BadInput, match="has no end; leave "):
        data.load(tensorflow(True).repeat(), inputs=TWO[:1])


def test_real_frames_do_as_ours():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(X, columns=list("abcd"))
    found = data.load((table, pandas.Series(TEXTS)), inputs=TWO[:1], outputs=(out(3),), whole=True)
    assert found.labels == ("iris", "lily", "rose") and np.array_equal(found.test.x, X)
