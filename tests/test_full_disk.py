"""Every stage on a full disk: one line with the path, nothing broken, and the same command succeeds with room."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

STAGES = ("train", "prune", "qat", "export tflite", "export onnx", "bench", "report")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("disk")
    driver = Path(__file__).with_name("full_disk.py")
    done = subprocess.run(
        [sys.executable, driver, folder], cwd=driver.parent, capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    disk, *lines = map(json.loads, done.stdout.splitlines())
    if disk["disk"] != "tmpfs":
        print("no tmpfs may be mounted here: sizes of files were limited instead")
    return lines


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_full_disk_is_one_line_and_no_harm(found, stage):
    trials = [trial for trial in found if trial["stage"] == stage]
    assert [trial["again"] for trial in trials if "again" in trial] == [0]
    full = [trial for trial in trials if "left" in trial]
    assert [trial["left"] > 0 for trial in full] == [False, True]
    for trial in full:
        assert trial["code"] == 1 and trial["kept"]
        assert "Traceback" not in trial["said"]
        complaints = [line for line in trial["said"].splitlines() if line.startswith("edgewright:")]
        assert len(complaints) == 1 and complaints[0].startswith("edgewright: cannot write /"), trial["said"]
        assert complaints[0].endswith(("No space left on device", "File too large")), trial["said"]
