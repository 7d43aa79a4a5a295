"""ADB against a stand-in: no phone is here, so `adb` is a script that runs the line in a shell of this machine.

It takes the arguments of the real one, knows one serial, and says what the real one says of others.
"""

import os
import signal
import sys
from pathlib import Path
from urllib.parse import urlencode

import hostile
import numpy as np
import pytest
from device_models import SAMPLES
from edgewright import files
from edgewright.devices.measure import BenchConfig, bench
from edgewright.devices.transports.transport import DeviceLost, connect, run_job
from edgewright.errors import BadInput
from processes import await_no, pids, running

ADB = """#!/bin/sh
[ "$1" = -s ] || { echo "adb: unknown option $1" >&2; exit 1; }
[ "$2" = PHONE:5555 ] || { echo "adb: device '$2' not found" >&2; exit 1; }
[ "$3 $4" = "shell -T" ] || { echo "adb: unknown command $3" >&2; exit 1; }
[ $# = 5 ] || { echo "adb: $# words" >&2; exit 1; }
exec sh -c "$5"
"""


@pytest.fixture
def phone(tmp_path, monkeypatch):
    """Return (the device's name, the folder in which it makes its temporary ones)."""
    program, folder = tmp_path / "bin" / "adb", tmp_path / "device"
    program.parent.mkdir()
    folder.mkdir()
    program.write_text(ADB)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return f"adb://PHONE:5555?{urlencode({'python': sys.executable, 'folder': str(folder)})}", folder


def test_answers_as_this_machine(phone, onnx):
    name, folder = phone
    config = BenchConfig(min_rounds=2, max_rounds=2, block_ms=1, attempts=1)
    far = bench([onnx["qdq"]], baseline=onnx["float"], inputs=SAMPLES, device=name, config=config)
    near = bench([onnx["qdq"]], baseline=onnx["float"], inputs=SAMPLES, config=BenchConfig(latency=False))
    assert all(found["status"] == "ok" for found in far.measured.values())
    assert all(np.array_equal(far.outputs[each], near.outputs[each]) for each in near.outputs)
    assert set(far.raw.latency) == {"float.onnx", "qdq.onnx"}
    assert far.environment["telemetry"]["pinned"] == [max(os.sched_getaffinity(0))]
    assert not list(folder.iterdir())


def test_a_phone_lost_at_work_is_incomplete_and_leaves_nothing(phone, tflite):
    name, folder = phone
    np.save("x.npy", SAMPLES)

    def lose(event):
        for process in pids("agent.zip watch", folder):
            os.kill(process, signal.SIGKILL)

    with connect(name).session() as session:
        model = {"path": session.put(tflite["endless"], "m.tflite"), "sha256": files.sha256(tflite["endless"])}
        job = {"mode": "accuracy", "time_limit_s": 60, "inputs": {"": session.put(Path("x.npy"), "x.npy")},
               "outputs": session.path("y"), "models": [{**model, "runtime": "litert", "threads": 1}]}  # fmt: skip
        outcome = run_job(session, job, lose)
    assert outcome.status == "incomplete"
    await_no(str(folder))
    assert not list(folder.iterdir())


def test_another_phone_is_not_found(phone):
    with pytest.raises(DeviceLost, match="`adb devices` lists"), connect("adb://OTHER").session():
        pass


@pytest.mark.parametrize("serial", [*hostile.NAMES, "", "-s", "x" * 200])
def test_hostile_serials_are_refused(phone, serial, tmp_path):
    before = sorted(tmp_path.iterdir())
    with pytest.raises(BadInput):
        connect(f"adb://{serial}")
    assert sorted(tmp_path.iterdir()) == before


def test_hostile_file_names_arrive_as_they_are(phone, tmp_path):
    name, folder = phone
    names = [name for name in hostile.NAMES if name != ".."]
    before = set(tmp_path.iterdir())
    source = tmp_path / "source"
    with connect(name).session() as session:
        for each in names:
            source.write_text(each)
            session.put(source, each)
            session.get(each, tmp_path / "back")
            assert (tmp_path / "back").read_text() == each
        (there,) = folder.iterdir()
        assert {path.name for path in there.iterdir()} == {"agent.zip", *names}
    assert set(tmp_path.iterdir()) - before <= {source, tmp_path / "back", tmp_path / "cache"}
    assert not running(str(folder))


def test_without_adb_it_is_said(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BadInput, match="apt-get install adb"):
        connect("adb://PHONE")
