"""Model files in headless Chromium, where `edgewright devices setup browser` has been run."""

import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request

import hostile
import numpy as np
import pytest
from device_models import SAMPLES
from edgewright.devices.measure import BenchConfig, answers, bench, inspect, profile
from edgewright.devices.runtimes import environments
from edgewright.devices.transports import browser
from edgewright.devices.transports.browser import Browser
from edgewright.devices.transports.transport import connect, run_job
from processes import await_no, running

CHROMIUM = any(map(shutil.which, browser._PROGRAMS))
needs_chromium = pytest.mark.skipif(
    not CHROMIUM or not environments.ready("browser"),
    reason="no browser: apt-get install chromium npm; edgewright devices setup browser",
)


@needs_chromium
def test_answers_as_this_machine(tflite, onnx):
    for path in (tflite["int8"], onnx["qdq"]):
        here, there = answers(path, SAMPLES), answers(path, SAMPLES, device="browser")
        step = np.unique(here)[1]  # the smallest answer above nothing is one step
        assert here.shape == there.shape
        assert np.abs(here - there).max() <= 1.01 * step, path


@needs_chromium
def test_times_are_raw_samples_of_the_browser(tflite, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    config = BenchConfig(min_rounds=10, max_rounds=10, block_ms=2, attempts=1)
    run = bench([tflite["float"]], baseline=tflite["float"], inputs=SAMPLES, device="browser", config=config)
    assert run.device == "browser"
    assert run.measured["float.tflite"]["runtime"] == "litert.js"
    assert len(run.raw.latency["float.tflite"]) == len(run.raw.control["float.tflite"]) == 10
    assert all((block > 0).all() for block in run.raw.latency["float.tflite"])
    assert "Chrome" in run.environment["system"] and run.environment["packages"]["@litertjs/core"]
    assert "involuntary_switches" not in run.environment["telemetry"]  # the browser cannot know
    await_no(str(tmp_path))
    assert not list(tmp_path.iterdir())


@needs_chromium
def test_what_goes_wrong_has_its_class(tflite, tmp_path):
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(tflite["float"].read_bytes()[:500])
    assert inspect(broken, device="browser").status in ("rejected", "crashed")
    with Browser().session() as session:
        job = {"mode": "inspect", "time_limit_s": 30}
        model = {"path": session.put(tflite["float"], "m"), "sha256": "0" * 64, "runtime": "litert.js", "threads": 1}
        outcome = run_job(session, {**job, "models": [model]})
        assert (outcome.status, "sha256" in outcome.reason) == ("incomplete", True)
        outcome = run_job(session, {**job, "models": [{**model, "runtime": "webgl"}]})
        assert (outcome.status, "webgl" in outcome.reason) == ("incomplete", True)


@needs_chromium
def test_operators_are_not_timed_and_it_is_said(tflite):
    found = profile(tflite["float"], SAMPLES, device="browser")
    assert found["rows"] is None and "do not say how long" in found["reason"]


@needs_chromium
def test_a_hang_is_a_timeout(tflite):
    started = time.monotonic()
    run = bench([tflite["endless"]], baseline="endless.tflite", inputs=SAMPLES, device="browser",
                config=BenchConfig(time_limit_s=3, latency=False))  # fmt: skip
    assert run.measured["endless.tflite"]["status"] == "timeout"
    assert time.monotonic() - started < 60


@needs_chromium
def test_the_browser_dies_with_us(tflite, tmp_path):
    code = (
        "import sys, numpy as np\n"
        "from edgewright.devices.measure import bench, BenchConfig\n"
        "samples = np.ones((2, 8), np.float32)\n"
        "bench([sys.argv[1]], baseline='endless.tflite', inputs=samples, device='browser',\n"
        "      config=BenchConfig(latency=False))"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    host = subprocess.Popen([sys.executable, "-c", code, tflite["endless"]], env=environment)
    try:
        deadline = time.monotonic() + 60
        while not running(f"{tmp_path}/edgewright-"):
            assert time.monotonic() < deadline, "the browser never started"
            time.sleep(0.1)
    finally:
        host.kill()
        host.wait()
    await_no(f"{tmp_path}/edgewright-")


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="POSIX only")
def test_a_browser_that_ends_is_the_devices_fault(tmp_path):
    """A program that is no browser: it ends at once, and says why."""
    program = tmp_path / "chromium"
    program.write_text("#!/bin/sh\necho no display >&2\nexit 3\n")
    program.chmod(0o755)
    with Browser(program=str(program), folder=tmp_path).session() as session:
        outcome = run_job(session, {"mode": "probe", "models": [], "time_limit_s": 5})
    assert outcome.status == "incomplete"
    assert "no display" in outcome.reason


def test_the_server_gives_nothing_away(tmp_path):
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "secret").write_text("x")
    (tmp_path / "model").write_text("bytes")
    with browser._Server(tmp_path, tmp_path / "node_modules") as server:
        shared = server.share(tmp_path / "model").removeprefix("./")
        page = server.begin({"mode": "probe"})
        base = page.removesuffix("page")

        def status(address, body=None):
            try:
                with urllib.request.urlopen(address, data=body, timeout=5) as answer:
                    return answer.status, answer.headers
            except urllib.error.HTTPError as error:
                return error.code, error.headers

        code, headers = status(page)
        assert code == 200
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        assert status(base + shared)[0] == 200
        root = base.rsplit("/", 2)[0]
        for address in (
            f"{root}/page", f"{root}/x/page", f"{base}modules/../secret", f"{base}modules/..%2fsecret", f"{base}secret",
            f"{base}files/../secret", f"{base}files/model", f"{base}modules/%2e%2e/secret",
        ):  # fmt: skip
            assert status(address)[0] == 404, address
        for address in (f"{root}/events", f"{base}files/file-0", f"{base}files/new", f"{base}page"):
            assert status(address, b"{}")[0] == 404, address
        assert (tmp_path / "model").read_text() == "bytes"
        server.begin({"mode": "probe"})
        assert status(page)[0] == 404  # an earlier page has no say any more


def test_hostile_names_never_reach_an_address(tmp_path):
    (tmp_path / "node_modules").mkdir()
    with Browser(folder=tmp_path, program="true").session() as session:
        for name in hostile.NAMES:
            source = tmp_path / f"{name}x"
            source.write_text(name)
            assert session.put(source, name).removeprefix("./files/file-").isdigit()
            assert session.path(name).removeprefix("./files/result-").isdigit()


def test_an_address_is_refused():
    with pytest.raises(ValueError, match="write `browser`"):
        connect("browser://example.org")
