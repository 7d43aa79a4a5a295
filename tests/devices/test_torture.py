"""Faults on purpose, a few of each; `make torture` runs them in full (docs/reliability.md)."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torture
from edgewright.devices import measure
from edgewright.devices.preflight import compile as compiling
from edgewright.devices.preflight.compile import compile_file
from edgewright.devices.targets import target
from edgewright.devices.transports.local import Local
from edgewright.errors import BadInput
from edgewright.export.artifact import Artifact
from edgewright.files import write

MUTANTS = 40  # of each model; 500 in full
KILLS = 12  # 100 in full


@pytest.mark.parametrize(("kind", "name", "other"), [
    ("tflite", "float", "int8"), ("tflite", "int8", "float"), ("onnx", "float", "qdq"), ("onnx", "qdq", "float"),
])  # fmt: skip
def test_no_mutant_ends_but_in_a_class(kind, name, other, request):
    made = request.getfixturevalue(kind)
    runtime = {"tflite": "litert", "onnx": "onnxruntime"}[kind]
    command = [sys.executable, torture.__file__, made[name], made[other], runtime, "4,8", "0", str(MUTANTS)]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["wrong"] == []
    assert sum(found["counts"].values()) == MUTANTS
    assert found["counts"]["rejected"] > 0


def test_mutants_are_the_same_for_the_same_seed():
    data, other = bytes(range(256)) * 8, bytes(2048)
    assert [torture.mutant(data, seed, other) for seed in range(50)] == [
        torture.mutant(data, seed, other) for seed in range(50)
    ]
    assert sum(torture.mutant(data, seed, other) != data for seed in range(50)) >= 49


def test_a_forked_agent_says_what_a_started_one_says(tflite, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((4, 8), np.float32))
    for data in (tflite["float"].read_bytes(), tflite["float"].read_bytes()[:300]):
        forked = torture.open_mutant(torture.ForkedSession(tmp_path), data, "litert", tmp_path / "x.npy", tmp_path)
        with Local().session() as session:
            started = torture.open_mutant(session, data, "litert", tmp_path / "x.npy", tmp_path)
        assert (forked.status, forked.reason) == (started.status, started.reason)


@pytest.mark.skipif(compiling.compiler(target.load("ethos-u55-128").compile) is None, reason="vela is not here")
def test_vela_may_die_of_a_mutant_and_we_do_not(tflite, tmp_path):
    data, other = (tflite[name].read_bytes() for name in ("int8", "float"))
    for seed in range(4):
        path = tmp_path / "m.tflite"
        path.write_bytes(torture.mutant(data, seed, other))
        found = compile_file(path, target.load("ethos-u55-128"), time_limit_s=10)
        assert found.status in torture.CLASSES and "Traceback" not in found.reason


@pytest.mark.filterwarnings("ignore")  # Keras and zipfile warn of what they skip
def test_every_hostile_keras_file_is_refused_and_nothing_is_written(tmp_path, monkeypatch):
    from edgewright.pipeline.saved import load_model

    (tmp_path / "made").mkdir()
    (tmp_path / "here").mkdir()
    cases = list(torture.keras_files(tmp_path / "made"))
    before = set(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path / "here")
    assert len(cases) >= 25
    for name, path in cases:
        with pytest.raises(BadInput):
            load_model(path)
            pytest.fail(f"{name} was loaded")
    assert set(tmp_path.rglob("*")) == before
    load_model(tmp_path / "made" / "honest.keras")


def test_onnx_weights_outside_the_folder_are_not_read(onnx, tmp_path):
    import onnx as library

    (tmp_path / "in").mkdir()
    (tmp_path / "secret.bin").write_bytes(np.ones(32, np.float32).tobytes())
    for location in ("../secret.bin", str(tmp_path / "secret.bin")):
        model = library.load(onnx["float"])
        weights = next(one for one in model.graph.initializer if one.name == "w")
        weights.ClearField("raw_data")
        weights.data_location = library.TensorProto.EXTERNAL
        entry = weights.external_data.add()
        entry.key, entry.value = "location", location
        path = tmp_path / "in" / "m.onnx"
        path.write_bytes(model.SerializeToString())
        assert measure.inspect(path).status == "rejected"
        with pytest.raises(Exception, match="rejected"):
            measure.answers(path, np.zeros((2, 8), np.float32))


def test_killed_writers_leave_whole_files_or_none(tmp_path):
    contents = [np.random.default_rng(i).bytes(300_000 + i) for i in range(2)]
    pages = [f"<html>{i}{'x' * 200_000}</html>" for i in range(2)]
    seen = Counter()

    def work():
        for i in range(2):
            Artifact(contents[i], {"name": "m", "format": "tflite"}).save(tmp_path / "m.tflite")
            write(tmp_path / "report.html", pages[i])

    def check():
        for path, allowed in (
            (tmp_path / "m.tflite", contents),
            (tmp_path / "report.html", [p.encode() for p in pages]),
        ):
            if path.exists():
                seen[path.name] += 1
                assert path.read_bytes() in allowed

    torture.kill_while(work, KILLS, 0, check, 0.04)
    assert seen["m.tflite"] > KILLS // 2


@pytest.mark.parametrize("place", [0, 100, -1])
def test_a_flipped_bit_in_a_file_is_found(tflite, tmp_path, place):
    data = tflite["float"].read_bytes()
    path = Artifact(data, {"name": "m", "format": "tflite", "sha256": torture.files.sha256(data)}).save(
        tmp_path / "m.tflite"
    )
    changed = bytearray(data)
    changed[place] ^= 1
    path.write_bytes(changed)
    with pytest.raises(BadInput, match="sha256 differs"):
        measure.ModelFile.read(path)


def test_the_full_run_is_one_command():
    makefile = Path(torture.__file__).parent.parent / "Makefile"
    assert "benchmarks/torture.py" in makefile.read_text()
