"""A whole benchmark on this machine, and the document it leaves."""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest
from device_models import SAMPLES, dense
from edgewright import files
from edgewright.devices import timing, workbench
from edgewright.devices.measure import BenchConfig, ModelFile, Run, bench
from edgewright.devices.transports.transport import run_job
from edgewright.devices.verdict.compare import Thresholds, compare
from edgewright.devices.verdict.document import compose, save
from edgewright.errors import BadInput
from edgewright.export import export_tflite
from edgewright.quantize import QatConfig

SHORT = BenchConfig(min_rounds=10, max_rounds=10, block_ms=2)
SCHEMA = {
    "artifacts": {"name", "format", "precision", "sparsity", "bytes", "gzip_bytes", "sha256", "path",
                  "quantized_ops", "float_ops"},
    "measurements": {"artifact", "device", "runtime", "latency_us", "peak_ram_bytes", "metric", "value", "n"},
    "verdicts": {"artifact", "baseline", "device", "speedup", "speedup_ci95", "metric_delta", "metric_delta_ci95",
                 "agreement", "verdict"},
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tflite, onnx, tmp_path_factory) -> Run:
    """Both formats, each judged against its own float file, and one file that is broken."""
    folder = tmp_path_factory.mktemp("bench")
    (folder / "broken.tflite").write_bytes(tflite["int8"].read_bytes()[:300])
    named = {
        "float.tflite": tflite["float"], "int8.tflite": tflite["int8"], "broken.tflite": folder / "broken.tflite",
        "float.onnx": onnx["float"], "qdq.onnx": onnx["qdq"],
    }  # fmt: skip
    baselines = {name: "float.onnx" if name.endswith("onnx") else "float.tflite" for name in named}
    return bench(
        list(named.values()), baseline=baselines, inputs=SAMPLES, targets=dense(SAMPLES).argmax(-1), metric="accuracy",
        config=SHORT, model="dense", data="made up",
    )  # fmt: skip


def test_every_file_is_measured_or_classed(run):
    assert {name: found["status"] for name, found in run.measured.items()} == {
        "float.tflite": "ok", "int8.tflite": "ok", "broken.tflite": "rejected", "float.onnx": "ok", "qdq.onnx": "ok",
    }  # fmt: skip
    assert run.measured["float.tflite"]["value"] == run.measured["float.onnx"]["value"] == 1.0
    assert run.measured["int8.tflite"]["value"] >= 0.9
    assert run.measured["float.tflite"]["runtime"] == "litert"
    assert any("broken.tflite: rejected" in note for note in run.notes)


def test_what_is_called_int8_and_mostly_computes_in_float_is_said(tmp_path):
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((8,), name="x")
    for width in (6, 5, 4):
        x = keras.layers.Dense(width, name=f"dense_{width}")(x)
    model, samples = keras.Model(inputs, x), np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    paths = {"float.tflite": export_tflite(model).save(tmp_path / "float.tflite")}
    for name, left in (("whole", {}), ("rest", {"dense_6": None, "dense_5": None})):
        artifact = export_tflite(model, precision="w8a8-ptq", calibration=samples, config=QatConfig(by_name=left))
        paths[name] = artifact.save(tmp_path / f"{name}.tflite")
    found = bench(list(paths.values()), baseline="float.tflite", inputs=samples, config=replace(SHORT, latency=False))
    said = [note for note in found.notes if "compute in float" in note]
    assert len(said) == 1 and said[0].startswith("rest.tflite: is called w8a8-ptq, but "), found.notes


def test_raw_samples_are_kept(run):
    assert set(run.raw.latency) == {"float.tflite", "int8.tflite", "float.onnx", "qdq.onnx"}
    assert set(run.raw.control) == {"float.tflite", "float.onnx"}
    for timed in (*run.raw.latency.values(), *run.raw.control.values()):
        assert len(timed) == len(run.raw.seconds) == 10
        assert all((block > 0).all() for block in timed)
    assert (np.diff(run.raw.seconds) > 0).all()


def test_the_document_has_the_schema(run):
    document = json.loads(json.dumps(compose(run, compare(run), Thresholds()), allow_nan=False))
    assert document["schema"] == 1
    assert (document["model"], document["data"]) == ("dense", "made up")
    for table, keys in SCHEMA.items():
        assert document[table]
        assert all(keys <= set(row) for row in document[table]), table
    times = document["measurements"][0]["latency_us"]
    assert set(times) == {"min", "p50", "p90", "p99", "mean", "n"}
    assert times["min"] <= times["p50"] <= times["p90"] <= times["p99"]
    assert document["measurements"][2]["latency_us"] is None
    assert document["measurements"][0]["peak_ram_bytes"] > 0
    assert document["thresholds"]["max_drop"] == 0.01
    packages = document["environment"]["packages"]
    assert packages["ai-edge-litert"] and packages["onnxruntime"]


def test_what_the_device_saw_is_recorded(run):
    rows = {row["name"]: row for row in run.artifacts}
    assert (rows["int8.tflite"]["quantized_ops"], rows["int8.tflite"]["float_ops"]) == (1, 0)
    assert (rows["int8.tflite"]["precision"], rows["float.onnx"]["precision"]) == ("w8a8", "float32")
    assert rows["qdq.onnx"]["precision"] == "w8a8"
    assert rows["broken.tflite"]["quantized_ops"] is None
    assert {layer["op"] for layer in run.layers["int8.tflite"]} == {"QUANTIZE", "FULLY_CONNECTED", "DEQUANTIZE"}


def test_verdicts_are_against_the_own_format(run):
    found = {verdict.artifact: verdict for verdict in compare(run)}
    assert {name: verdict.baseline for name, verdict in found.items()} == {
        "int8.tflite": "float.tflite", "broken.tflite": "float.tflite", "qdq.onnx": "float.onnx",
    }  # fmt: skip
    assert found["broken.tflite"].verdict == "fail"


def test_doubtful_times_are_taken_again_and_it_is_said(tflite, monkeypatch):
    doubted = iter([["noisy"], []])
    monkeypatch.setattr(timing, "doubts", lambda *_: next(doubted))
    found = bench([tflite["float"]], baseline=tflite["float"], inputs=SAMPLES, config=SHORT)
    assert found.notes == ["timing 1 was set aside and repeated: noisy"]
    assert len(found.raw.latency["float.tflite"]) == 10


def test_saved_and_loaded_it_judges_the_same(run, tmp_path):
    verdicts = compare(run)
    path = save(run, tmp_path / "out", verdicts)
    assert path.name == "results.json"
    again = Run.load(tmp_path / "out")
    assert compare(again) == verdicts
    assert compose(again, verdicts) == compose(run, verdicts)
    for name, samples in run.samples().items():
        assert np.array_equal(again.samples()[name], samples)


def test_load_refuses_what_is_no_run(tmp_path):
    (tmp_path / "results.json").write_text('{"schema": 2}')
    with pytest.raises(BadInput, match="schema 1"):
        Run.load(tmp_path)


def test_manifest_describes_its_own_file_only(tflite, tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(tflite["int8"].read_bytes())
    manifest = {"sha256": files.sha256(path), "precision": "w8a8-qat", "sparsity": 0.5}
    beside = tmp_path / "m.tflite.json"
    beside.write_text(json.dumps(manifest))
    assert (ModelFile.read(path).precision, ModelFile.read(path).sparsity) == ("w8a8-qat", 0.5)
    beside.write_text(json.dumps({**manifest, "sha256": "0" * 64}))
    with pytest.raises(BadInput, match="is not the file that m"):
        ModelFile.read(path)
    beside.write_text("{")
    with pytest.raises(BadInput, match="is not JSON"):
        ModelFile.read(path)


def test_targets_of_the_wrong_shape_are_named(tflite):
    with pytest.raises(BadInput, match=r"outputs of shape \(64, 4\) by targets of shape \(64, 3\)"):
        bench([tflite["float"]], baseline=tflite["float"], inputs=SAMPLES, targets=np.zeros((64, 3)),
              metric="explained_variance", config=BenchConfig(latency=False))  # fmt: skip


def test_files_are_checked_before_any_work(tflite, tmp_path):
    with pytest.raises(BadInput, match="not a file"):
        ModelFile.read(tmp_path / "absent.tflite")
    with pytest.raises(BadInput, match=r"allowed: \.tflite, \.onnx"):
        ModelFile.read(tmp_path / "model.pb")
    with pytest.raises(BadInput, match="appear twice"):
        bench([tflite["float"], tflite["float"]], baseline=tflite["float"], inputs=SAMPLES)
    with pytest.raises(BadInput, match=r"\['no.tflite'\]"):
        bench([tflite["float"]], baseline={"float.tflite": "no.tflite"}, inputs=SAMPLES)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"inputs": SAMPLES[:1]}, "at least 2"),
        ({"inputs": {"a": SAMPLES, "b": SAMPLES[:3]}}, "same number"),
        ({"inputs": SAMPLES, "targets": np.zeros(3)}, "targets holds 3"),
        ({"inputs": SAMPLES, "metric": "vibes"}, "metric='vibes'"),
        ({"inputs": SAMPLES, "device": "toaster"}, "device='toaster'"),
    ],
)
def test_arguments_that_do_not_fit_together(tflite, arguments, match):
    with pytest.raises(BadInput, match=match):
        bench([tflite["float"]], baseline=tflite["float"], **arguments)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"threads": 0}, "threads=0"),
        ({"min_rounds": 1}, "min_rounds=1"),
        ({"min_rounds": 50, "max_rounds": 20}, "max_rounds=20"),
        ({"precision": 2}, "precision=2"),
        ({"samples": 1}, "samples=1"),
        ({"tflite_runtime": "mine"}, "tflite_runtime='mine'"),
    ],
)
def test_config_is_validated(wrong, match):
    with pytest.raises(BadInput, match=match):
        BenchConfig(**wrong)


def test_a_file_whose_manifest_tells_its_output_is_looked_at_by_one_process(tflite, onnx, tmp_path, monkeypatch):
    """And all that is said of it is what two processes say; a broken one is told as such either way."""
    asked = []

    def watched(session, job, *listeners):
        asked.append(job["mode"])
        return run_job(session, job, *listeners)

    monkeypatch.setattr(workbench, "run_job", watched)
    told = {}
    for folder in ("told", "untold"):
        (tmp_path / folder).mkdir()
        for name, content in {
            "float.tflite": tflite["float"].read_bytes(),
            "broken.tflite": tflite["int8"].read_bytes()[:300],
            "float.onnx": onnx["float"].read_bytes(),
        }.items():
            path = tmp_path / folder / name
            path.write_bytes(content)
            manifest = {"sha256": files.sha256(path), "outputs": [{"name": "y"}], "stateful": False}
            if folder == "told":
                path.with_name(f"{name}.json").write_text(json.dumps(manifest))
        asked.clear()
        measured = bench([tmp_path / folder / name for name in ("broken.tflite", "float.tflite", "float.onnx")],
                         baseline="float.onnx", inputs=SAMPLES, config=BenchConfig(latency=False))  # fmt: skip
        told[folder] = measured, list(asked)
    (one, by_one), (two, by_two) = told["told"], told["untold"]
    assert by_one == ["accuracy", "inspect", "accuracy", "accuracy"]
    assert by_two == ["inspect", "inspect", "accuracy", "inspect", "accuracy"]
    assert one.layers == two.layers
    assert {name: (found["status"], found["reason"]) for name, found in one.measured.items()} == {
        name: (found["status"], found["reason"]) for name, found in two.measured.items()
    }
    assert one.measured["broken.tflite"]["status"] == "rejected"
    assert set(one.answers) == set(two.answers) == {"float.tflite", "float.onnx"}
    assert all(np.array_equal(one.answers[name][0], two.answers[name][0]) for name in one.answers)
    assert all(one.measured[name]["peak_ram_bytes"] > 0 for name in one.answers)
