"""Data functions of users: every form they may return, and what is refused."""

import textwrap

import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.training import data

MODULE = """
import numpy as np

rng = np.random.default_rng(0)
x, y = rng.random((60, 4)), np.arange(60) % 3

def pairs(): return (x[:40], y[:40]), (x[40:], y[40:])
def triples(): return (x[:30], y[:30]), (x[30:40], y[30:40]), (x[40:], y[40:])
def splits(): return {"train": (x[:40], y[:40]), "val": (x[40:50], y[40:50]), "test": (x[50:], y[50:])}
def columns(): return (x[:40], y[:40, None]), (x[40:], y[40:, None])
def targets(): return (x[:40], x[:40].sum(1)), (x[40:], x[40:].sum(1))
def itself(): return (x[:40], x[:40]), (x[40:], x[40:])
def tokens(): return ((x[:40] * 9).astype(int), y[:40]), ((x[40:] * 9).astype(int), y[40:])
def nan():
    bad = x.copy(); bad[7, 2] = np.nan
    return (bad[:40], y[:40]), (x[40:], y[40:])
def one(): return x, y
def words(): return (x.astype(str)[:40], y[:40]), (x[40:], y[40:])
def empty(): return (x[:40], y[:40]), (x[:0], y[:0])
def negative(): return (x[:40], y[:40] - 1), (x[40:], y[40:])
def one_hot(): return (x[:40], np.eye(3)[y[:40]]), (x[40:], np.eye(3)[y[40:]])
def named(): return ({"a": x[:40], "b": x[:40, :1]}, y[:40]), ({"a": x[40:], "b": x[40:, :1]}, y[40:])
def keyed(): return {"training": 1, "test": 2}
def number(): return 5

def batches():
    import keras

    class Batches(keras.utils.PyDataset):
        def __init__(self, start, stop):
            super().__init__()
            self.span = list(range(start, stop, 7)), stop
        def __len__(self): return len(self.span[0])
        def __getitem__(self, k):
            a = self.span[0][k]; b = min(a + 7, self.span[1])
            return x[a:b], y[a:b]
    return Batches(0, 40), Batches(40, 60)

def made():
    from edgewright.training.data import Dataset, Split
    part = Split(x=x.astype("float32"), y=y)
    return Dataset(name="made", task="classification", classes=3, train=part, validation=part, test=part)
"""


@pytest.fixture
def spec(tmp_path, monkeypatch):
    """The module in a package of the working directory; returns function name -> spec."""
    package = tmp_path / f"own_{abs(hash(str(tmp_path)))}"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "nets.py").write_text(textwrap.dedent(MODULE))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    return lambda name: f"{package.name}.nets:{name}"


@pytest.mark.parametrize("form", ["pairs", "columns", "batches"])
def test_two_splits_of_any_form_are_the_same_data(spec, form):
    own, reference = data.load(spec(form)), data.load(spec("pairs"))
    assert own.task == "classification"
    assert own.classes == 3
    assert (len(own.train), len(own.validation), len(own.test)) == (36, 4, 20) or len(own.validation) in (3, 4, 5)
    for part in ("train", "validation", "test"):
        assert own.splits[part].x.dtype == np.float32
        assert np.array_equal(own.splits[part].x, reference.splits[part].x)
        assert np.array_equal(own.splits[part].y, reference.splits[part].y)


@pytest.mark.parametrize(("form", "sizes"), [("triples", [30, 10, 20]), ("splits", [40, 10, 10]), ("made", [60] * 3)])
def test_a_given_validation_split_is_used(spec, form, sizes):
    assert [len(split) for split in data.load(spec(form)).splits.values()] == sizes


@pytest.mark.parametrize(
    ("form", "task", "dtype"),
    [
        ("targets", "regression", np.float32),
        ("itself", "reconstruction", np.float32),
        ("tokens", "classification", np.int32),
    ],
)
def test_targets_tell_the_task(spec, form, task, dtype):
    own = data.load(spec(form))
    assert own.task == task
    assert own.train.x.dtype == dtype


def test_named_inputs_stay_named(spec):
    assert data.load(spec("named")).input_shape == {"a": (4,), "b": (1,)}


def test_integers_become_floats_for_a_model_of_floats(spec):
    assert data.load(spec("tokens"), dtype="float32").train.x.dtype == np.float32


@pytest.mark.parametrize(
    ("form", "asked", "message"),
    [
        ("nan", {}, r"nets:nan train: sample \d+, feature \(2,\) is nan"),
        ("one", {}, "a tuple of ndarray, ndarray; it may return"),
        ("number", {}, "a int; it may return"),
        ("keyed", {}, "a dict with keys training, test"),
        ("words", {}, "numbers are wanted"),
        ("empty", {}, "test: empty"),
        ("negative", {}, "is -1, outside"),
        ("one_hot", {"task": "classification"}, "one-hot"),
        ("pairs", {"input_shape": (5,)}, r"shape \(4,\), the model takes \(5,\)"),
        ("pairs", {"dtype": "int32"}, "the model takes token ids"),
        ("absent", {}, "has no function 'absent'"),
        ("made", {"task": "regression"}, "is for task 'classification', asked is 'regression'"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(spec, form, asked, message):
    with pytest.raises(BadInput, match=message):
        data.load(spec(form), **asked)


def test_a_module_that_is_not_there_is_named():
    with pytest.raises(BadInput, match="no module 'no_such_package'"):
        data.load("no_such_package.data:load")


def test_an_import_error_inside_the_users_module_comes_through(tmp_path, monkeypatch):
    (tmp_path / "own_broken.py").write_text("import no_such_dependency\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency"):
        data.load("own_broken:load")
