"""What can go wrong with a job, on the local transport: each has its class, and nothing survives it."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import device_models
import numpy as np
import pytest
from device_models import SAMPLES
from edgewright import files
from edgewright.devices.measure import BenchConfig, ModelFile, bench, inspect
from edgewright.devices.transports.local import Local
from edgewright.devices.transports.transport import DeviceLost, Exit, connect, run_job
from edgewright.errors import BadInput
from processes import await_no, running


class Scripted:
    """A session whose agent says and does what a test wants."""

    def __init__(self, lines=(), code=0, timed_out=False, lost=False):
        self._lines, self._exit, self._lost = (
            lines,
            Exit(code=code, timed_out=timed_out, stderr="a\nlast words\n"),
            lost,
        )

    def run(self, job, on_line):
        for line in self._lines:
            on_line(line)
        if self._lost:
            raise DeviceLost("the board is gone")
        return self._exit


@pytest.mark.parametrize(
    ("session", "status", "reason"),
    [
        (Scripted(['{"event":"done"}']), "ok", ""),
        (Scripted(['{"event":"rejected","reason":"bad graph"}']), "rejected", "bad graph"),
        (Scripted(['{"event":"unavailable","reason":"no runtime"}']), "incomplete", "no runtime"),
        (Scripted(['{"event":"block"}']), "crashed", "last words"),  # it ended early, whatever its code says
        (Scripted([], code=-signal.SIGSEGV), "crashed", "SIGSEGV"),
        (Scripted(['{"event":"done"}'], code=-signal.SIGABRT), "crashed", "SIGABRT"),
        (Scripted([], code=128 + signal.SIGSEGV), "crashed", "SIGSEGV"),  # as a remote shell puts it
        (Scripted([], code=1), "crashed", "last words"),
        (Scripted([], code=-signal.SIGALRM), "timeout", "7 s"),
        (Scripted([], code=-signal.SIGKILL, timed_out=True), "timeout", "7 s"),
        (Scripted(['{"event":']), "crashed", "garbled"),
        (Scripted(["3"]), "crashed", "garbled"),
        (Scripted(['{"event":"start"}'], lost=True), "incomplete", "the board is gone"),
    ],
)
def test_classes(session, status, reason):
    outcome = run_job(session, {"time_limit_s": 7})
    assert outcome.status == status
    assert reason in outcome.reason


def test_truncated_files_are_rejected(tflite, onnx, tmp_path):
    for path in (tflite["float"], onnx["float"]):
        content = path.read_bytes()
        for length in (0, 3, len(content) // 2, len(content) - 40):
            broken = tmp_path / path.name
            broken.write_bytes(content[:length])
            outcome = inspect(broken, time_limit_s=10)
            assert outcome.status == "rejected", (path.name, length, outcome)
            assert outcome.reason


def test_seeded_mutants_are_classed(tflite, tmp_path):
    random = np.random.default_rng(0)
    content = np.frombuffer(tflite["int8"].read_bytes(), np.uint8)
    path = tmp_path / "mutant.tflite"
    for _ in range(8):
        mutant = content.copy()
        places = random.integers(0, len(content), 8)
        mutant[places] = random.integers(0, 256, 8)
        path.write_bytes(mutant.tobytes())
        assert inspect(path, time_limit_s=5).status in ("ok", "rejected", "crashed", "timeout")


def test_a_crash_is_an_outcome(tmp_path):
    outcome = inspect(device_models.write_crashing(tmp_path / "crash.tflite"))
    assert (outcome.status, outcome.reason) == ("crashed", "the runtime's process died of SIGSEGV")


def test_a_hang_in_the_runtime_is_a_timeout_and_leaves_nothing(tflite, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    started = time.monotonic()
    run = bench(
        [tflite["endless"]], baseline=tflite["float"], inputs=SAMPLES,
        config=BenchConfig(time_limit_s=2, latency=False),
    )  # fmt: skip
    assert time.monotonic() - started < 20
    assert run.measured["endless.tflite"]["status"] == "timeout"
    assert run.measured["float.tflite"]["status"] == "ok"
    assert not running(str(tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_not_the_one_sent_is_not_run(tflite):
    with Local().session() as session:
        job = {"mode": "inspect", "time_limit_s": 20, "models": [
            {"path": session.put(tflite["float"], "m.tflite"), "sha256": "0" * 64, "runtime": "litert", "threads": 1}
        ]}  # fmt: skip
        outcome = run_job(session, job)
    assert outcome.status == "incomplete"
    assert "sha256" in outcome.reason


def test_memory_limit_ends_a_job(tflite):
    assert inspect(tflite["float"], memory_bytes=100_000_000).status in ("crashed", "incomplete", "rejected")


def test_an_absent_runtime_is_the_devices_fault(tflite):
    outcome = inspect(tflite["float"], tflite_runtime="tflite-runtime")
    assert outcome.status == "incomplete"
    assert "tflite-runtime" in outcome.reason


def test_children_die_with_a_killed_host(tflite, tmp_path):
    code = (
        "import sys, numpy as np\n"
        "from edgewright.devices.measure import bench, BenchConfig\n"
        "samples = np.ones((2, 8), np.float32)\n"
        "bench([sys.argv[1]], baseline=sys.argv[1], inputs=samples, config=BenchConfig(latency=False))"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    host = subprocess.Popen([sys.executable, "-c", code, str(tflite["endless"])], env=environment)
    try:
        deadline = time.monotonic() + 30
        while not list(tmp_path.glob("edgewright-*/input-0.npy")) or not running(f"{tmp_path}/edgewright-"):
            assert time.monotonic() < deadline, "the agent never started"
            time.sleep(0.05)
        time.sleep(1)  # the second job, which never ends, is under way
        assert running(f"{tmp_path}/edgewright-")
    finally:
        host.kill()
        host.wait()
    await_no(f"{tmp_path}/edgewright-")


def test_the_folder_is_gone_after_a_session():
    with Local().session() as session:
        folder = Path(session.path("x")).parent
        assert (folder / "agent.zip").is_file()
    assert not folder.exists()


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system cannot pin")
def test_cores_are_held_by_one_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    code = (
        "from edgewright.devices.transports.local import Local\n"
        "with Local().exclusive(1) as cores: print(cores, flush=True)"
    )  # fmt: skip
    with Local().exclusive(1) as cores:
        assert cores == [max(os.sched_getaffinity(0))]
        other = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(2)
    out, error = other.communicate(timeout=20)
    assert out.strip() == str(cores)
    assert "another run is timing" in error


def test_more_threads_than_cores_is_refused():
    with pytest.raises(BadInput, match="threads=4096"), Local().exclusive(4096):
        pass


def test_unknown_device_lists_the_known():
    with pytest.raises(BadInput, match=r"allowed: .*local, "):
        connect("toaster://1")


def test_put_names_nothing_after_the_users_file(tflite, tmp_path):
    hostile = tmp_path / "a b;$(touch x)'.tflite"
    hostile.write_bytes(tflite["float"].read_bytes())
    file = ModelFile.read(hostile)
    assert file.name == hostile.name
    assert inspect(file).ok
    assert files.sha256(hostile) == files.sha256(tflite["float"])
