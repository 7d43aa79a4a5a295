"""The same jobs over a real sshd on this machine: same answers, same times, and nothing left however it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import device_models
import hostile
import loopback
import numpy as np
import pytest
from device_models import SAMPLES
from edgewright.devices.measure import BenchConfig, bench, inspect
from edgewright.devices.transports.transport import DeviceLost, connect, run_job
from edgewright.devices.verdict import intervals
from edgewright.errors import BadInput
from processes import await_no, running

QUICK = BenchConfig(latency=False)
TIMED = BenchConfig(answers=False, min_rounds=20, max_rounds=20, block_ms=5)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with loopback.serving(tmp_path_factory.mktemp("sshd")) as found:
        yield found


@pytest.fixture
def there(tmp_path):
    """The folder in which the device makes its temporary ones."""
    folder = tmp_path / "device"
    folder.mkdir()
    return folder


def nothing_left(there):
    await_no(str(there))
    deadline = time.monotonic() + 10
    while list(there.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not list(there.iterdir())


def test_answers_as_this_machine(server, onnx, there):
    files = [onnx["float"], onnx["qdq"]]
    far = bench(files, baseline="float.onnx", inputs=SAMPLES, device=server.url(folder=str(there)), config=QUICK)
    near = bench(files, baseline="float.onnx", inputs=SAMPLES, config=QUICK)
    assert {name: found["status"] for name, found in far.measured.items()} == {"float.onnx": "ok", "qdq.onnx": "ok"}
    for name in near.outputs:
        assert np.array_equal(far.outputs[name], near.outputs[name])
    assert far.device == server.url().partition("?")[0]
    assert nothing_left(there)


def test_times_as_this_machine(server, onnx):
    """Speed-ups, not times: the two are measured one after the other, and a shared machine is not steady."""
    files = [onnx["float"], onnx["qdq"]]

    def speedup(device):
        run = bench(files, baseline="float.onnx", inputs=SAMPLES, device=device, config=TIMED)
        blocks = [intervals.block_medians(run.raw.latency[name]) for name in ("float.onnx", "qdq.onnx")]
        return intervals.speedup(*blocks)

    for _ in range(3):
        near, far = speedup("local"), speedup(server.url())
        if far.low < 1.05 * near.high and near.low < 1.05 * far.high:
            return
    pytest.fail(f"local {near}, over SSH {far}")


def test_a_timeout_and_a_crash_are_outcomes(server, tflite, there, tmp_path):
    url = server.url(folder=str(there))
    assert inspect(device_models.write_crashing(tmp_path / "crash.tflite"), device=url).reason.endswith("SIGSEGV")
    run = bench([tflite["endless"]], baseline=tflite["float"], inputs=SAMPLES, device=url,
                config=BenchConfig(time_limit_s=4, latency=False))  # fmt: skip
    assert run.measured["endless.tflite"]["status"] == "timeout"
    assert run.measured["float.tflite"]["status"] == "ok"
    assert nothing_left(there)


def endless(session, tflite):
    """Return a job that runs until someone ends it."""
    from edgewright import files

    path = session.path("x.npy")
    np.save("x.npy", SAMPLES)
    session.put(Path("x.npy"), "x.npy")
    model = {"path": session.put(tflite["endless"], "m.tflite"), "sha256": files.sha256(tflite["endless"])}
    return {"mode": "accuracy", "time_limit_s": 60, "inputs": {"": path}, "outputs": session.path("y.npy"),
            "models": [{**model, "runtime": "litert", "threads": 1}]}  # fmt: skip


def test_a_broken_connection_is_incomplete_and_leaves_nothing(server, tflite, there, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def cut(event):
        assert running(str(there))
        children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
        for child in children:  # the server's end of the connection
            os.kill(int(child), signal.SIGKILL)

    with connect(server.url(folder=str(there))).session() as session:
        outcome = run_job(session, endless(session, tflite), cut)
        assert outcome.status == "incomplete"
        assert "127.0.0.1" in outcome.reason
        with pytest.raises(DeviceLost, match="connection ended"):
            session.put(Path("x.npy"), "again.npy")
    assert nothing_left(there)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_nothing_outlives_us(server, tflite, there, tmp_path, end):
    code = (
        "import sys, numpy as np\n"
        "from edgewright.devices.measure import bench, BenchConfig\n"
        "samples = np.ones((2, 8), np.float32)\n"
        "bench([sys.argv[1]], baseline=sys.argv[1], inputs=samples, device=sys.argv[2],\n"
        "      config=BenchConfig(latency=False))"
    )
    host = subprocess.Popen([sys.executable, "-c", code, tflite["endless"], server.url(folder=str(there))],
                            stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        deadline = time.monotonic() + 40
        while not list(there.glob("*/input-0.npy")) or not running(f"{there}/"):
            assert time.monotonic() < deadline, "the agent never started"
            time.sleep(0.05)
        time.sleep(0.5)
        host.send_signal(end)
        host.wait(20)
    finally:
        host.kill()
        host.wait()
    assert nothing_left(there)


def test_an_unknown_host_key_is_refused(server, tmp_path):
    accepted = (server.folder / "log").read_text().count("Accepted")
    lax = tmp_path / "config"
    lax.write_text(
        server.config.read_text().replace("known_hosts", "nobody_known") + " StrictHostKeyChecking accept-new\n"
    )
    with pytest.raises(DeviceLost, match="host key is unknown"), connect(server.url(config=str(lax))).session():
        pass
    assert (server.folder / "log").read_text().count("Accepted") == accepted  # nobody logged in, so nothing ran
    assert not (server.folder / "nobody_known").exists()


def test_a_changed_host_key_is_refused(server, tmp_path):
    accepted = (server.folder / "log").read_text().count("Accepted")
    (tmp_path / "known").write_text(f"[127.0.0.1]:{server.port} {loopback.make_key(tmp_path / 'other')}\n")
    config = tmp_path / "config"
    config.write_text(server.config.read_text().replace(f"{server.folder}/known_hosts", f"{tmp_path}/known"))
    with pytest.raises(DeviceLost, match="host key has changed"), connect(server.url(config=str(config))).session():
        pass
    assert (server.folder / "log").read_text().count("Accepted") == accepted


def test_refused_keys_and_absent_pythons_are_named(server, tmp_path):
    config = tmp_path / "config"
    loopback.make_key(tmp_path / "stranger")
    config.write_text(server.config.read_text().replace(f"{server.folder}/user", f"{tmp_path}/stranger"))
    with pytest.raises(DeviceLost, match="refuses our keys"), connect(server.url(config=str(config))).session():
        pass
    with connect(server.url(python="/no/such/python")).session() as session:
        outcome = run_job(session, {"mode": "inspect", "models": [], "time_limit_s": 5})
    assert outcome.status == "incomplete"
    assert "/no/such/python" in outcome.reason


def test_nobody_there_is_said():
    with pytest.raises(DeviceLost, match="refused"), connect("ssh://127.0.0.1:1").session():
        pass


@pytest.mark.parametrize("name", hostile.NAMES)
def test_hostile_addresses_are_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for address in (name, f"{name}@host", f"user@{name}", f"host:{name}"):
        with pytest.raises(BadInput):
            connect(f"ssh://{address}")
    assert not list(tmp_path.iterdir())


def test_hostile_file_names_arrive_as_they_are(server, there, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [name for name in hostile.NAMES if name != ".."]
    with connect(server.url(folder=str(there))).session() as session:
        for name in names:
            source = tmp_path / f"{name}x"
            source.write_text(name)
            session.put(source, name)
        (folder,) = there.iterdir()
        found = {path.name: path.read_bytes() for path in folder.iterdir()}
        assert set(found) == {*names, "agent.zip"}
        assert all(found[name] == name.encode() for name in names)
        session.get(names[0], tmp_path / "back")
    assert (tmp_path / "back").read_text() == names[0]
    assert nothing_left(there)
