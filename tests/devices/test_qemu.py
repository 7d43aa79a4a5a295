"""The emulated ARM processor, where `edgewright devices setup qemu-aarch64` has been run."""

import json
import shutil

import pytest
from edgewright.cli import commands as cli
from edgewright.devices.runtimes import environments
from edgewright.devices.transports.transport import connect
from edgewright.errors import BadInput
from edgewright.pipeline import kernel_check


@pytest.fixture(autouse=True)
def set_up():
    if shutil.which("qemu-aarch64") is None or not environments.ready("qemu-aarch64"):
        pytest.skip("no emulator: apt-get install qemu-user; edgewright devices setup qemu-aarch64")


def test_says_what_it_is(capsys):
    assert connect("qemu-aarch64").emulated
    assert cli.main(["devices", "probe", "qemu-aarch64", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "aarch64" in found["system"] and found["cpu"].startswith("cortex-a72")
    assert found["kernels"]["ok"] and found["kernels"]["inputs"] == 256


def test_wrong_kernels_are_caught():
    found = kernel_check.check("qemu-aarch64://?cpu=max", n=8)
    assert not found.ok
    assert "wrong int8 kernels" in str(found)
    assert found.steps["convolution"] > 100  # it was seen 169 steps off


@pytest.mark.parametrize("option", ["cpu=max -g 1", "cpu=-g", "cpu="])
def test_hostile_processors_are_refused(option):
    with pytest.raises(BadInput):
        connect(f"qemu-aarch64://?{option}")
