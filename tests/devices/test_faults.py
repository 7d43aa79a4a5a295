"""A device that vanishes at any moment leaves "incomplete", never a number, and nothing open."""

import json
import tempfile

import pytest
from device_models import SAMPLES, dense
from edgewright.devices.measure import BenchConfig, bench
from edgewright.devices.transports.local import Local
from edgewright.devices.transports.transport import DeviceLost
from edgewright.devices.verdict.compare import compare
from edgewright.devices.verdict.document import compose
from fake_devices import Faulty, Null
from processes import running

CONFIG = BenchConfig(min_rounds=3, max_rounds=3, attempts=1, block_ms=1)


def run_on(device, files):
    return bench(files, baseline="float.onnx", inputs=SAMPLES, targets=dense(SAMPLES).argmax(-1), metric="accuracy",
                 device=device, config=CONFIG)  # fmt: skip


@pytest.fixture
def files(tmp_path):
    """Two files that nobody opens: the null device answers without looking."""
    paths = [tmp_path / "float.onnx", tmp_path / "qdq.onnx"]
    for path in paths:
        path.write_bytes(path.name.encode())
    return paths


def incomplete(run):
    """Check that what is missing is called so; return what is."""
    document = json.loads(json.dumps(compose(run, compare(run)), allow_nan=False))
    missing = [row for row in document["measurements"] if row["status"] == "incomplete"]
    for row in missing:
        assert "vanished" in row["reason"]
        assert row["latency_us"] is None and row["value"] is None and row["n"] is None
    assert not any(row["latency_us"] for row in document["measurements"])  # no time where timing did not end
    assert all(verdict["speedup"] is None for verdict in document["verdicts"])
    assert {row["artifact"] for row in document["measurements"]} == {"float.onnx", "qdq.onnx"}
    return missing, document["notes"]


def test_the_null_device_answers(files):
    counted = Faulty(Null())
    run = run_on(counted, files)
    assert all(found["status"] == "ok" for found in run.measured.values())
    assert set(run.raw.latency) == {"float.onnx", "qdq.onnx"}
    assert counted.calls > 30


def test_vanishing_at_every_call(files):
    counted = Faulty(Null())
    run_on(counted, files)
    for at in range(2, counted.calls + 1):
        device = Null()
        missing, notes = incomplete(run_on(Faulty(device, at), files))
        assert missing or any("timing is incomplete" in note for note in notes), at
        assert not device.open, at


def test_a_device_that_was_never_there_is_an_error(files):
    with pytest.raises(DeviceLost, match="vanished at call 1"):
        run_on(Faulty(Null(), 1), files)


def test_a_real_agent_is_killed_when_its_device_vanishes(onnx, tmp_path, monkeypatch):
    """Some moments of real jobs: while placing files, at the first line of a job, and between its blocks."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for at in (3, 6, 8, 30):
        missing, notes = incomplete(run_on(Faulty(Local(), at), [onnx["float"], onnx["qdq"]]))
        assert missing or any("timing is incomplete" in note for note in notes), at
        assert not running(str(tmp_path)), at
        assert not list(tmp_path.iterdir()), at
