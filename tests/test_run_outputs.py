"""A run ends whatever a net's outputs are: of a float operation, of integers, the same tensor twice."""

import json
import sys

import pytest
from edgewright.pipeline.run import RunConfig, RunPlan, execute

NETS = """
import keras, numpy as np
from keras import layers, ops

def x(): return keras.Input((6,), name="x")

def sorted_last():
    inputs = x()
    return keras.Model(inputs, ops.sort(layers.Dense(3, name="hidden")(inputs), axis=-1), name="sorted_last")

def with_classes():
    inputs = x()
    scores = layers.Dense(3, name="scores")(inputs)
    beside = layers.Dense(2, name="beside")(inputs)
    return keras.Model(inputs, {"scores": scores, "top": ops.argmax(scores, axis=-1), "beside": beside},
                       name="with_classes")

def twice():
    inputs = x()
    values = layers.Dense(3, name="values")(inputs)
    return keras.Model(inputs, {"first": values, "second": values}, name="twice")

def data(*names):
    random = np.random.default_rng(0)
    x = random.normal(size=(300, 6)).astype("float32")
    y = np.sort(x[:, :3], axis=-1)
    y = {name: y for name in names} or y
    test = y[200:] if not names else {name: one[200:] for name, one in y.items()}
    train = y[:200] if not names else {name: one[:200] for name, one in y.items()}
    return (x[:200], train), (x[200:], test)

def plain(): return data()
def scores(): return data("scores")
def both(): return data("first", "second")
"""
PLAN = RunPlan(files=(("float", "tflite", "float32"), ("qat", "tflite", "w8a8-qat")), brief=True)


@pytest.mark.usefixtures("brief_timing")
@pytest.mark.parametrize(
    ("net", "data", "compared", "integer"),
    [
        ("sorted_last", "plain", 0, (False, False)),
        ("with_classes", "scores", 1, (True, False)),
        ("twice", "both", 1, (True, True)),
    ],
)
def test_a_run_ends_whatever_the_outputs_are(tmp_path, monkeypatch, net, data, compared, integer):
    (tmp_path / "odd_nets.py").write_text(NETS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "odd_nets", raising=False)
    config = RunConfig(model=f"odd_nets:{net}", data=f"odd_nets:{data}", quick=True, epochs=1)
    results, folder = execute(config, tmp_path / "run", PLAN)
    assert [row["status"] for row in results["measurements"]] == ["ok", "ok"]
    assert len(results["parity"]) == compared  # outputs without a scale are compared by the metric alone
    assert all(row["within_one_step"] > 0.99 for row in results["parity"].values())
    manifest = json.loads((folder / "artifacts" / f"{net}-w8a8-qat.tflite.json").read_text())
    held = {"train": None, "qat": ["beside"] if net == "with_classes" else None}
    assert {stage: told.get("held") for stage, told in results["training"].items()} == held
    scales = [output["scale"] for output in manifest["outputs"]]
    assert (any(scales), all(scales)) == integer
