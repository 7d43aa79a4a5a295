"""Files that somebody else made: arrays of an .npz, or random inputs and no accuracy."""

import json
import shutil

import numpy as np
import pytest
from edgewright.cli import commands as cli
from edgewright.cli import verbs
from edgewright.errors import BadInput
from edgewright.pipeline.foreign import random_inputs, read_npz

LIMITS = {"max_drop": 0.01, "min_speedup": None, "max_seconds": 0.5, "device": "local", "out": None}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    import device_models

    folder = tmp_path_factory.mktemp("foreign")
    written = device_models.write_tflite(folder)
    written["onnx"] = device_models.write_onnx(folder)["float"]
    return written


@pytest.fixture(scope="module")
def random_run(files, tmp_path_factory):
    out = tmp_path_factory.mktemp("random") / "run"
    named = [str(files["int8_io"]), str(files["onnx"])]
    return out, verbs.bench(named, baseline=str(files["float"]), data=None, **{**LIMITS, "out": out})


def test_random_inputs_give_speed_and_say_that_there_is_no_accuracy(random_run):
    answer = random_run[1]
    found = answer.document
    assert found["data"] == "random inputs" and len(found["verdicts"]) == 2
    assert {one["value"] for one in found["measurements"]} == {None}
    assert all(one["latency_us"]["n"] > 100 for one in found["measurements"])
    assert any("no accuracy was measured" in note for note in found["notes"])
    assert answer.ok and {one["metric_delta"] for one in found["verdicts"]} == {None}
    json.dumps(found, allow_nan=False)


def test_an_npz_gives_inputs_and_targets(files, tmp_path):
    from device_models import SAMPLES, dense

    np.savez(tmp_path / "d.npz", anything=SAMPLES, y=dense(SAMPLES).argmax(-1))
    answer = verbs.bench([str(files["int8"])], baseline=str(files["float"]), data=str(tmp_path / "d.npz"), **LIMITS)
    values = {one["artifact"]: one["value"] for one in answer.document["measurements"]}
    assert values["float.tflite"] == 1.0 and values["int8.tflite"] >= 0.9
    assert answer.document["verdicts"][0]["agreement"] >= 0.9


def test_an_npz_without_targets_says_so(files, tmp_path):
    np.savez(tmp_path / "d.npz", x=np.zeros((4, 8), np.float32))
    answer = verbs.bench([str(files["int8"])], baseline=str(files["float"]), data=str(tmp_path / "d.npz"), **LIMITS)
    assert any("no accuracy was measured" in note for note in answer.document["notes"])


def hostile_pickle(path):
    np.savez(path, x=np.array([{"a": 1}], dtype=object), y=np.zeros(1, int))


def broken(path):
    path.write_bytes(b"PK\x03\x04 not an archive")


def infinite(path):
    np.savez(path, x=np.array([[0.0], [np.inf]]))


def only_targets(path):
    np.savez(path, y=np.zeros(3, int))


def words(path):
    np.savez(path, x=np.array(["a", "b"]))


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (hostile_pickle, "plain arrays"),
        (broken, "not a zip archive"),
        (infinite, "NaN or infinity in sample 1"),
        (only_targets, "no inputs"),
        (words, "'x' is <U1"),
    ],
)
def test_a_bad_npz_is_refused_by_name(tmp_path, write, message):
    write(tmp_path / "d.npz")
    with pytest.raises(BadInput, match=message):
        read_npz(tmp_path / "d.npz")


def test_a_missing_npz_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"absent\.npz"):
        read_npz(tmp_path / "absent.npz")


def tensor(name, dtype, scale=None, zero_point=None):
    return {"name": name, "shape": [1, 50], "dtype": dtype, "scale": scale, "zero_point": zero_point}


def test_random_inputs_fill_the_range_that_a_file_reads():
    (values,) = random_inputs([[tensor("x", "int8", 0.5, 28)], [tensor("x", "float32")]]).values()
    assert values.dtype == np.float32 and values.shape == (64, 50)
    assert values.min() == (-128 - 28) * 0.5 and values.max() == (127 - 28) * 0.5


def test_tokens_are_zeros_and_floats_are_normal():
    found = random_inputs([[tensor("ids", "int32"), tensor("x", "float32")]])
    assert not found["ids"].any() and 0.9 < found["x"].std() < 1.1


def test_measuring_is_chosen_at_the_command_line(files, tmp_path, capsys):
    command = ["bench", str(files["int8"]), "--baseline", str(files["float"]), "--profile", "--kernels", "builtin"]
    assert cli.main([*command, "--max-seconds", "0.3", "--out", str(tmp_path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["config"]["kernels"], document["config"]["profile"]) == ("builtin", True)
    assert {entry["artifact"] for entry in document["profiles"]} == {"int8.tflite", "float.tflite"}
    page = (tmp_path / "report.html").read_text()
    assert "builtin kernels" in page and "Operator hot spots" in page
    assert cli.main([*command, "--kernels", "fast"]) == 2


def test_two_runs_are_compared_and_shown_on_one_page(random_run, tmp_path):
    folders = [str(shutil.copytree(random_run[0], tmp_path / name)) for name in ("a", "b")]
    answer = verbs.compare(folders, max_drop=0.01, min_speedup=None)
    assert answer.ok and {one["quantity"] for one in answer.document["changes"]} >= {"size", "speed"}
    page = verbs.render(folders, tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    named = {one["artifact"] for one in page.document["leaderboard"]}
    assert named == {"int8_io.tflite", "float.tflite", "float.onnx"}
    with pytest.raises(BadInput, match="--out is missing"):
        verbs.render(folders, None)
    with pytest.raises(BadInput, match="3 were given"):
        verbs.compare([*folders, folders[0]], max_drop=0.01, min_speedup=None)
