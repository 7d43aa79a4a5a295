"""Verdicts on real files that judge all that a model answers: nothing ruined passes."""

import dataclasses
import json

import edgewright as ew
import keras
import numpy as np
import pytest
from edgewright.cli import commands as cli
from edgewright.cli import verbs
from edgewright.devices.measure import BenchConfig, ModelFile, out_of_range
from edgewright.devices.runner import open_runner
from edgewright.devices.verdict.document import compose, save
from edgewright.errors import BadInput, EdgewrightError
from edgewright.pipeline import judged, stages
from edgewright.pipeline.saved import note, noted, refuse_other, save_model
from edgewright.training import tasks
from edgewright.training.presented import data_for
from fake_devices import Null
from keras import layers

QUIET = BenchConfig(latency=False)
R = np.random.default_rng(0)
X = R.normal(size=(2000, 6)).astype("float32")


def linear(*heads, name="net"):
    """Return a net whose heads are given: (name, kernel (6, k), bias, activation)."""
    x = keras.Input((6,), name="x")
    outputs = [layers.Dense(np.shape(kernel)[1], activation=end, name=head)(x) for head, kernel, _, end in heads]
    model = keras.Model(x, outputs if len(outputs) > 1 else outputs[0], name=name)
    for head, kernel, bias, _ in heads:
        kernel = np.asarray(kernel, "float32")
        model.get_layer(head).set_weights([kernel, np.full(kernel.shape[1], bias, "float32")])
    return model


def first(k):
    return np.eye(6)[:, :k] * 4


def judge(good, bad, data):
    run = ew.bench([ew.export_tflite(bad, name="bad")], baseline=ew.export_tflite(good, name="good"), data=data,
                   config=QUIET)  # fmt: skip
    (verdict,) = ew.compare(run)
    return run, verdict


@pytest.mark.parametrize("end", ["sigmoid", None])
def test_one_output_that_says_the_opposite_fails(end):
    y = (X[:, 0] > 0).astype(int)
    run, found = judge(linear(("h", first(1), 0, end)), linear(("h", -first(1), 0, end)), (X, y))
    values = {name: one["value"] for name, one in run.measured.items()}
    assert values == {"bad.tflite": 0, "good.tflite": 1}
    assert found.verdict == "fail" and found.metric_delta == -1 and found.agreement == 0
    assert run.measured["good.tflite"]["figures"][""]["roc_auc"] == 1


@pytest.mark.parametrize("end", ["sigmoid", None])
def test_own_masks_go_the_whole_way_in_both_formats(end, tmp_path):
    """Of ONNX a transposition stands behind the sigmoid, and copies of a model name their lone input anew."""
    keras.utils.set_random_seed(0)
    images = R.random((120, 8, 8, 1)).astype("float32")
    masks = (images > 0.5).astype("uint8")
    x = keras.Input((8, 8, 1), name="pixels")
    net = keras.Model(
        x, layers.Conv2D(1, 1, activation=end, name="mask")(layers.Conv2D(8, 3, padding="same", activation="relu")(x))
    )
    trained = ew.train(net, (images, masks), ew.TrainConfig(epochs=40, learning_rate=0.02))
    assert trained.metric_name == "binary_mean_iou" and trained.metric > 0.7
    assert trained.judged.figures[""]["pixel_error"] < 0.2
    qat, _ = ew.prepare_qat(net, calibration=images)
    files = [ew.export_tflite(qat, name="lite"), ew.export_onnx(qat, name="onnx")]
    run = ew.bench(files, baseline=ew.export_tflite(net, name="float"), data=(images, masks), config=QUIET)
    assert all(row["value"] == pytest.approx(trained.metric, abs=0.05) for row in run.measured.values())
    given = keras.Input((8, 8, 1), name="otherwise")
    task, data = tasks.get("binary_segmentation"), data_for(keras.Model(given, net(given)), (images, masks))
    with open_runner({"net": ModelFile.read(files[0].save(tmp_path / "net.tflite"))}, "local") as runner:
        shown = task.pictures(runner, data)
    assert shown["truth"].shape == (8, 8, 8) and shown["said"].shape == (8, 8, 8, 1)
    assert (shown["said"][..., 0] > 0.5)[shown["truth"] == 1].mean() > 0.7


def test_a_lost_rare_class_fails_where_accuracy_passes():
    data = (X, (X[:, 0] > 2.6).astype(int))
    assert 5 <= data[1].sum() <= 20
    good, bad = linear(("h", first(1), -10.4, "sigmoid")), linear(("h", first(1), -40, "sigmoid"))
    run, found = judge(good, bad, data)
    assert abs(found.metric_delta) < 0.01
    assert found.verdict == "fail" and "recall of class 1 -100.00 points" in "; ".join(found.reasons)
    assert run.measured["bad.tflite"]["figures"][""]["recall"] == [1, 0]
    again = dataclasses.replace(run)
    assert stages.compare(again, ew.Thresholds(max_drop=0.05, max_part_drop=1.0))[0].verdict == "pass"


def test_what_is_kept_of_a_run_gives_the_same_verdict(tmp_path):
    y = np.array(["no", "yes"])[(X[:, 0] > 2.6).astype(int)]
    run, found = judge(linear(("h", first(1), -10.4, "sigmoid")), linear(("h", first(1), -40, "sigmoid")), (X, y))
    assert "recall of class yes" in "; ".join(found.reasons)
    save(run, tmp_path, [found])
    assert ew.compare(type(run).load(tmp_path))[0] == found
    document = json.loads((tmp_path / "results.json").read_text())
    assert document["labels"] == {"": ["no", "yes"]} and document["verdicts"][0]["parts"][0]["part"] == "class yes"


def heads(scale, end=None):
    return linear(("cls", first(3), 0, None), ("box", first(4) * scale, 0, end), name="heads")


def test_a_second_output_is_judged_by_its_targets_or_the_baseline():
    y = [X[:, :3].argmax(1), X[:, :4] * 4]
    run, found = judge(heads(1), heads(-3), (X, y))
    assert run.metric == "accuracy+explained_variance" and found.verdict == "fail"
    assert [one["metric"] for one in found.heads] == ["accuracy", "explained_variance"]
    assert found.metric_delta == found.heads[1]["metric_delta"] < -1 and "output " in "; ".join(found.reasons)
    part = ew.Split(x=X, y=y[0].astype("int32"))
    data = ew.Dataset(name="d", task="classification", classes=3, train=part, validation=part, test=part)
    _, untold = judge(heads(1), heads(-3), data)
    assert untold.verdict == "fail" and "has no targets; it agrees with the baseline's to" in "; ".join(untold.reasons)
    assert judge(heads(1), heads(1), data)[1].verdict == "pass"


def test_a_value_of_small_size_is_judged_by_itself():
    truth = X[:, :2] * [400, 0.04]
    good = linear(("h", np.eye(6)[:, :2] * [400, 0.04], 0, None))
    bad = linear(("h", np.eye(6)[:, :2] * [400, 0], 0, None))
    _, found = judge(good, bad, (X, truth))
    assert found.metric_delta > -1e-6
    assert found.verdict == "fail" and "explained variance of value 1 -100" in "; ".join(found.reasons)


def test_a_baseline_that_answers_by_chance_decides_nothing():
    _, found = judge(linear(("h", first(3), 0, None)), linear(("h", first(3), 0, None)), (X, R.integers(0, 3, len(X))))
    assert found.verdict == "inconclusive" and "by chance it would be 33.3%" in "; ".join(found.reasons)


def test_an_npz_with_targets_for_each_output(tmp_path):
    files = [str(ew.export_tflite(heads(scale)).save(tmp_path / f"s{scale}.tflite")) for scale in (1, -3)]
    np.savez(tmp_path / "d.npz", x=X, y=X[:, :3].argmax(1))
    known = {"baseline": files[0], "data": str(tmp_path / "d.npz"), "device": "local", "out": None, "max_drop": 0.01,
             "min_speedup": None, "max_seconds": 0.3}  # fmt: skip
    answer = verbs.bench([files[1]], **known)
    assert not answer.ok and "| fail " in answer.text and "has no targets" in answer.text
    names = [one.name for one in judged.ends([ModelFile.read(files[0])])[1]]
    np.savez(tmp_path / "d.npz", x=X, **{f"y_{names[0]}": X[:, :3].argmax(1), f"y_{names[1]}": X[:, :4] * 4})
    heads_judged = verbs.bench([files[1]], **known).document["verdicts"][0]["heads"]
    assert [one["head"] for one in heads_judged] == names


@pytest.mark.parametrize("y", [X[:1900, 0] > 0, X[:, :1] * np.nan])
def test_targets_that_do_not_fit_are_refused_before_anything_is_measured(y):
    with pytest.raises(BadInput, match=r"2000 samples, 1900 targets|sample 0, feature \(0,\) is nan"):
        judge(linear(("h", first(1), 0, None)), linear(("h", first(1), 0, None)), (X, y))


def test_a_data_set_is_not_bent_to_another_shape(tmp_path):
    x = keras.Input((24, 24, 3))
    net = keras.Model(x, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)), name="net")
    path = ew.export_tflite(net).save(tmp_path / "net.tflite")
    with pytest.raises(BadInput, match=r"samples have shape \(8, 8, 1\), net.tflite takes \(24, 24, 3\)"):
        ew.bench([path], baseline=path, data="digits", config=QUIET)
    manifest = json.loads((tmp_path / "net.tflite.json").read_text())
    shown = ew.load_data("digits", input_shape=(24, 24, 3))
    (tmp_path / "net.tflite.json").write_text(json.dumps({**manifest, "preprocessing": shown.preprocessing}))
    assert ew.bench([path], baseline=path, data="digits", config=QUIET).measured["net.tflite"]["value"] is not None


class Bare(Null):
    """A device whose Python has no runtime."""


def test_a_device_without_a_runtime_is_no_result(tmp_path, monkeypatch, capsys):
    path = ew.export_tflite(linear(("h", first(2), 0, None))).save(tmp_path / "n.tflite")
    from edgewright.devices import asking, measure, workbench
    from edgewright.devices.transports.transport import Outcome

    gone = Outcome(status="incomplete", reason="the device's Python has no ai-edge-litert")
    for module in (asking, workbench):
        monkeypatch.setattr(module, "run_job", lambda *arguments, **more: gone)
    command = ["bench", str(path), "--baseline", str(path)]
    np.savez(tmp_path / "d.npz", x=X, y=X[:, 0] > 0)
    for more in ([], ["--data", str(tmp_path / "d.npz")]):
        assert cli.main([*command, *more]) in (1, 2)
        assert "has no ai-edge-litert" in capsys.readouterr().err
    with pytest.raises(EdgewrightError, match="has no ai-edge-litert"):
        measure.bench([path], baseline=path, inputs=X)


def test_samples_of_another_scale_than_the_calibration_are_said(tmp_path):
    images = R.random((200, 6)).astype("float32")
    for calibrated, given in ((images, images * 255), (images * 255, images)):
        quantized, _ = ew.prepare_qat(linear(("h", first(2), 0, None)), calibration=calibrated)
        file = ModelFile.read(ew.export_tflite(quantized).save(tmp_path / "q.tflite"))
        assert not list(out_of_range(file, calibrated))
        (said,) = out_of_range(file, given)
        assert "was calibrated on" in said and ("are cut off" in said or "is their scale another?" in said)


def test_emulated_speed_ups_are_in_no_column_and_reasons_in_the_table():
    from edgewright.devices.report import report

    y = (X[:, 0] > 0).astype(int)
    model = linear(("h", first(1), 0, None))
    run = ew.bench([ew.export_tflite(model, name="same")], baseline=ew.export_tflite(model, name="base"), data=(X, y),
                   config=BenchConfig(max_seconds=0.3))  # fmt: skip
    for emulated in (False, True):
        run.emulated = emulated
        results = compose(run, ew.compare(run), ew.Thresholds())
        row = next(line for line in report.markdown(results).splitlines() if line.startswith("| same.tflite | pass"))
        assert ("×" in row.split("|")[3]) != emulated and "binary accuracy +0.00 points" in row.split("|")[6]
    assert "the processor is emulated" in report.markdown(results) and "By class" in report.html(results)


def test_a_file_that_reads_back_as_another_is_refused(tmp_path):
    @keras.saving.register_keras_serializable("tests")
    class Forgetful(layers.Layer):
        shift = 0.0

        def call(self, inputs):
            return inputs + self.shift

    x = keras.Input((6,))
    layer = Forgetful(name="forgetful")
    model = keras.Model(x, layer(x))
    refuse_other(model, save_model(model, tmp_path / "m.keras"), X[:8])
    layer.shift = 3.0
    again = keras.Model(x, layer(x))
    path = save_model(again, tmp_path / "n.keras")
    with pytest.raises(EdgewrightError, match=r"n.keras: read back, output 0 differs from the model's by up to 3"):
        refuse_other(again, path, X[:8])
    assert not path.exists()


def test_what_a_model_was_trained_on_holds_for_this_file_alone(tmp_path):
    path = save_model(linear(("h", first(2), 0, None)), tmp_path / "m.keras")
    note(path, {"task": "classification", "labels": ["a", "b"], "precision": "made up"})
    assert noted(path) == {"task": "classification", "labels": ["a", "b"]}
    save_model(linear(("h", first(3), 0, None)), path)
    assert noted(path) == {}


def test_diagnose_tells_where_the_points_go():
    from edgewright.pipeline.diagnose import points_of

    y = np.array(["no", "yes"])[(X[:, 0] > 0).astype(int)]
    model = linear(("h", first(1), 0, "sigmoid"))
    split = ew.Split(x=X, y=(y == "yes").astype("int32"))
    data = ew.Dataset(name="d", task="binary_classification", classes=2, labels=("no", "yes"), train=split,
                      validation=split, test=split)  # fmt: skip
    quantized, _ = ew.prepare_qat(model, calibration=X / 4)  # three quarters of the values will be cut off
    for original in (model, None):
        rows, notes = points_of(quantized, data, original=original)
        assert [row["stage"] for row in rows] == ["float", "fake-quantized", "file, local"]
        assert rows[0]["value"] == 1 and rows[0]["lowest"].startswith("1.0000 of ") and rows[0]["n"] == 1000
        assert rows[1]["value"] == pytest.approx(rows[2]["value"], abs=0.002)
        assert len(notes) == 1 and "are cut off" in notes[0]


def test_compare_of_two_models_says_so(tmp_path):
    y = X[:, :3].argmax(1)
    for name in ("a", "b"):
        model = linear(("h", first(3), 0, None), name=name)
        for file in ("same", name):
            run = ew.bench([ew.export_tflite(model, name=file)], baseline=ew.export_tflite(model, name=f"{file}-base"),
                           data=(X, y), config=QUIET)  # fmt: skip
            run.model = name
            save(run, tmp_path / name / file)
    limits = {"max_drop": 0.01, "min_speedup": None}
    answer = verbs.compare([str(tmp_path / name / "same") for name in "ab"], **limits)
    assert answer.document["models"] == ["a", "b"] and "two models are compared" in answer.text
    with pytest.raises(BadInput, match="no file is in both"):
        verbs.compare([str(tmp_path / name / name) for name in "ab"], **limits)
