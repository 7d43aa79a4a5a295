"""A user's day: an own net of two inputs, 3% positives and data frames, by `edgewright run` and by an own fit loop.

The same numbers are wanted in memory, once loaded again, in the files and on the device.
"""

import json
import sys

import edgewright as ew
import keras
import numpy as np
import pytest
from edgewright.cli import verbs
from edgewright.cli.commands import main
from edgewright.devices import measure
from edgewright.errors import BadInput
from keras import layers

LOANS = '''
"""Loans of a small bank: 3,000 rows, of which 3% defaulted."""
import keras
import numpy as np
from keras import layers

try:
    from pandas import DataFrame
except ImportError:  # what of it is needed here

    class Series:
        def __init__(self, values, name):
            self.values, self.name, self.shape = values, name, values.shape

        def __len__(self):
            return len(self.values)

        def to_numpy(self):
            return self.values

    class DataFrame:
        def __init__(self, columns):
            self.held, self.columns = columns, list(columns)
            self.shape = (len(self), len(columns))

        def __len__(self):
            return len(next(iter(self.held.values())))

        def __getitem__(self, which):
            if isinstance(which, slice):
                return DataFrame({name: values[which] for name, values in self.held.items()})
            if isinstance(which, list):
                return DataFrame({name: self.held[name] for name in which})
            return Series(self.held[which], which)

        def to_numpy(self):
            return np.stack(list(self.held.values()), axis=1)

NUMBERS, BRANCHES = ["age", "income", "debt", "months"], 12

def table(n=3000):
    random = np.random.default_rng(0)
    found = {
        "age": random.integers(18, 80, n),
        "income": random.lognormal(3.5, 0.5, n).round(3),  # thousands
        "debt": random.exponential(4.0, n).round(3),
        "months": random.integers(1, 120, n),
        "branch": random.integers(0, BRANCHES, n),
    }
    risk = found["debt"] / found["income"] * 8 - found["months"] / 60 + 1.5 * np.isin(found["branch"], [3, 7])
    risk = risk + random.normal(0, 0.3, n)
    return DataFrame({**found, "default": (risk > np.quantile(risk, 0.97)).astype(int)})

def part(rows):
    return {"numbers": rows[NUMBERS], "branch": rows["branch"]}, rows["default"]

def load():
    return part(table()[:2000]), part(table()[2000:])

def build():
    scaled = layers.Normalization(name="scaled")
    scaled.adapt(table()[:2000][NUMBERS].to_numpy())
    numbers = keras.Input((4,), name="numbers")
    branch = keras.Input((1,), dtype="int32", name="branch")
    place = layers.Flatten(name="flat")(layers.Embedding(BRANCHES, 4, name="places")(branch))
    x = layers.Concatenate(name="together")([scaled(numbers), place])
    x = layers.Dense(16, activation="relu", name="second")(layers.Dense(32, activation="relu", name="first")(x))
    return keras.Model([numbers, branch], layers.Dense(1, activation="sigmoid", name="risk")(x), name="loans")
'''
QUIET = ew.BenchConfig(max_seconds=1, min_rounds=10, attempts=1, precision=None, max_rounds=10)


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """Return the user's folder, which holds the package `shop`."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "shop").mkdir()
    (folder / "shop" / "__init__.py").touch()
    (folder / "shop" / "loans.py").write_text(LOANS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "path", [str(folder), *sys.path])
        yield folder
    sys.modules.pop("shop.loans", None)


@pytest.fixture(scope="module")
def loans(desk):
    """Return the user's module."""
    import importlib

    return importlib.import_module("shop.loans")


def arrays(frames):
    return {name: one.to_numpy() for name, one in frames.items()}


def fit(model, frames, targets, rate, epochs):
    model.compile(keras.optimizers.Adam(rate), "binary_crossentropy", metrics=["accuracy"])
    weights = {0: 1.0, 1: 8.0}
    model.fit(arrays(frames), targets.to_numpy(), epochs=epochs, class_weight=weights, batch_size=64, verbose=0)
    return model


@pytest.fixture(scope="module")
def own(loans):
    """Return the net, trained by an own loop, and what quantization-aware training by an own loop made of it."""
    keras.utils.set_random_seed(1)
    frames, targets = loans.load()[0]
    net = fit(loans.build(), frames, targets, 5e-3, 15)
    quantized, _ = ew.prepare_qat(net, calibration=frames)
    return net, fit(quantized, frames, targets, 1e-4, 2)


# ---------------------------------------------------------------- by `edgewright run`


@pytest.fixture(scope="module")
def a_run(desk, brief_timing):
    line = "run shop.loans:build --data shop.loans:load --quick --class-weights balanced --epochs 4 --out run"
    assert main(line.split()) == 0
    return desk / "run", json.loads((desk / "run" / "results.json").read_text())


def test_run_judges_every_file_and_passes_the_good_ones(a_run):
    folder, results = a_run
    verdicts = {one["artifact"].removeprefix("build-"): one["verdict"] for one in results["verdicts"]}
    assert {"w8a8-qat.tflite", "w8a8-ptq.tflite", "w8a8-qat.onnx", "float16.tflite"} <= verdicts.keys()
    assert {verdicts["w8a8-qat.tflite"], verdicts["w8a8-qat.onnx"]} <= {"pass", "slower"}  # so small a net may be
    assert all(one["exact"] >= 0.99 and one["within_one_step"] == 1 for one in results["parity"].values())
    assert len(results["parity"]) == 3
    assert "class_weights: balanced" in (folder / "config.yaml").read_text()


def test_every_file_of_a_run_was_verified_and_has_the_names_of_the_net(a_run):
    folder, _ = a_run
    manifests = [json.loads(path.read_text()) for path in (folder / "artifacts").glob("*.json")]
    assert len(manifests) == 8
    for manifest in manifests:
        assert manifest["verified"] is True, manifest
        assert [one["name"] for one in manifest["inputs"]] == ["numbers", "branch"]
        assert [one["name"] for one in manifest["outputs"]] == ["risk"]
        assert manifest["task"] == "binary_classification"


def test_the_models_of_a_run_answer_as_its_files_do(a_run, loans):
    folder, _ = a_run
    test = arrays(loans.load()[1][0])
    model = ew.load_model(folder / "models" / "qat.keras")
    wanted = model.predict(test, verbose=0)
    given = {"numbers": test["numbers"].astype("float32"), "branch": test["branch"][:, None].astype("int32")}
    for name in ("build-w8a8-qat.tflite", "build-w8a8-qat.onnx"):
        found = measure.answers(folder / "artifacts" / name, given)
        assert np.abs(found.reshape(wanted.shape) - wanted).max() <= 1 / 256


# ---------------------------------------------------------------- by an own loop


def test_the_same_numbers_in_memory_loaded_in_the_files_and_on_the_device(own, loans, tmp_path):
    net, quantized = own
    frames, targets = loans.load()[1]
    wanted = quantized.predict(arrays(frames), verbose=0)
    path = ew.save_model(quantized, tmp_path / "q.keras") or tmp_path / "q.keras"
    again = ew.load_model(path)
    assert np.array_equal(again.predict(arrays(frames), verbose=0), wanted)
    files = [ew.export_tflite(again, integer_io="uint8"), ew.export_tflite(quantized, name="plain"),
             ew.export_onnx(again)]  # fmt: skip
    run = ew.bench(files, baseline=ew.export_tflite(net), data=(frames, targets), config=QUIET)
    assert len(run.answers) == 4
    for file in files:
        (found,) = run.answers[f"{file.name}{file.suffix}"]
        assert np.abs(found.reshape(wanted.shape) - wanted).max() <= 1 / 256
        assert (found.reshape(wanted.shape) == wanted).mean() > 0.99
    assert {one.verdict for one in ew.compare(run)} <= {"pass", "slower"}


def test_uint8_at_the_borders_and_the_category_as_it_is(own):
    manifest = ew.export_tflite(own[1], integer_io="uint8").manifest
    numbers, branch = manifest["inputs"]
    assert (numbers["dtype"], branch["dtype"], manifest["outputs"][0]["dtype"]) == ("uint8", "int32", "uint8")
    assert numbers["range"][0] == 0 and 100 < numbers["range"][1] < 300 and branch["scale"] is None


def test_what_cannot_be_integers_at_the_border_is_said(loans, capfd):
    frames, _ = loans.load()[0]
    numbers = frames["numbers"].to_numpy() * np.array([1, 1000, 1, 1])  # income in full
    net = loans.build()
    net.get_layer("scaled").adapt(numbers)
    quantized, _ = ew.prepare_qat(net, calibration={"numbers": numbers, "branch": frames["branch"]})
    assert ew.export_tflite(quantized, integer_io="uint8").manifest["inputs"][0]["dtype"] == "float32"
    assert "input 'numbers' stays float32: the operator that reads it is in float" in capfd.readouterr().err


def test_c_source_for_a_microcontroller(own, desk, capfd):
    ew.save_model(own[1], desk / "q.keras")
    assert main(["export", "q.keras", "--target", "cortex-m", "--out", "board"]) == 0
    model = (desk / "board" / "loans-w8a8-qat-cortex-m.tflite").read_bytes()
    source = (desk / "board" / "loans_w8a8_qat_cortex_m.cc").read_text()
    body = source[source.index("{") + 1 : source.index("}")]
    assert bytes(int(one, 16) for one in body.split(",") if one.strip()) == model
    assert "AddGather" in (desk / "board" / "loans_w8a8_qat_cortex_m.h").read_text()


def test_a_file_that_loses_the_few_positives_does_not_pass(own, loans):
    net, blind = own[0], loans.build()
    blind.set_weights(net.get_weights())
    kernel, bias = blind.get_layer("risk").get_weights()
    blind.get_layer("risk").set_weights([kernel, bias - 100])
    run = ew.bench([ew.export_tflite(blind, name="blind")], baseline=ew.export_tflite(net), data=loans.load()[1],
                   config=QUIET)  # fmt: skip
    (found,) = ew.compare(run)
    assert found.metric_delta > -0.04 and found.verdict == "fail"  # which 3% of accuracy would not tell
    assert "recall of class 1" in "; ".join(found.reasons)


def test_two_files_of_one_name_are_not_one(own):
    net, quantized = own
    files = [ew.export_tflite(quantized), ew.export_tflite(quantized, integer_io="uint8")]
    with pytest.raises(BadInput, match=r"two different files are called loans-w8a8-qat\.tflite; tell them apart"):
        ew.bench(files, baseline=ew.export_tflite(net))


# ---------------------------------------------------------------- several inputs by name


def columns():
    """Return a net of one input a column, in another order than their names', and a table of the columns."""
    keras.utils.set_random_seed(0)
    income, age = keras.Input((1,), name="income"), keras.Input((1,), name="age")
    x = layers.Concatenate()([layers.Rescaling(1e-3)(income), layers.Rescaling(1e-1)(age)])
    random = np.random.default_rng(0)
    table = {"age": random.uniform(18, 69, 400), "income": random.uniform(0, 2000, 400)}
    return keras.Model([income, age], layers.Dense(1, name="out")(layers.Dense(8, activation="relu")(x))), table


@pytest.mark.parametrize("form", ["dict", "frame", "data set"])
def test_samples_by_name_reach_the_inputs_of_their_names(form, loans):
    net, table = columns()
    if form == "frame":
        samples = loans.DataFrame(table)
    elif form == "dict":
        samples = {name: one[:, None] for name, one in table.items()}
    else:
        import tensorflow as tf

        samples = tf.data.Dataset.from_tensor_slices({name: one[:, None] for name, one in table.items()}).batch(50)
    for export, extra in ((ew.export_tflite, {"integer_io": True}), (ew.export_onnx, {})):
        made = export(net, precision="w8a8-ptq", calibration=samples, **extra)
        assert made.manifest["verified"] is True
        income, age = made.manifest["inputs"]
        assert (income["name"], age["name"]) == ("income", "age")
        assert income["range"][1] > 1900 and age["range"][1] < 80
        assert export(net, precision="float32", calibration=samples).manifest["verified"] is True


def test_stages_take_samples_by_name(desk):
    net, table = columns()
    y = (table["income"] / 1000 + table["age"] / 30).astype("float32")
    part = {name: one.astype("float32") for name, one in table.items()}, y
    result = ew.train(net, (part, part), ew.TrainConfig(epochs=20, learning_rate=3e-2))
    assert result.metric > 0.9
    ew.save_model(net, desk / "columns.keras")
    np.savez(desk / "columns.npz", y=y, **part[0])
    for name in ("one", "two"):
        made = ew.export_tflite(net, precision="w8a8-ptq", calibration=part[0], name=name)
        made.save(desk / f"{name}.tflite")
    known = {"data": "columns.npz", "device": "local", "out": None, "max_drop": 0.05, "min_speedup": None}
    (found,) = verbs.bench(["one.tflite"], baseline="two.tflite", max_seconds=0.3, **known).document["verdicts"]
    assert found["agreement"] == 1


@pytest.mark.parametrize("line", [
    "prune net.keras --out p.keras --class-weights balanced",
    "qat net.keras --data digits --out q.tflite --engine tfmot --class-weights balanced",
    "train lenet5 --out l.keras --class-weights heavy",
    "sweep lenet5 --out s --recipe class_weights=heavy",
])  # fmt: skip
def test_class_weights_are_refused_where_they_mean_nothing(line, desk, capfd):
    ew.save_model(keras.Sequential([keras.Input((64,)), layers.Dense(10)], name="net"), desk / "net.keras")
    assert main(line.split()) == 2
    err = capfd.readouterr().err
    assert err.count("\n") == 1 and "--class-weights" in err, err
