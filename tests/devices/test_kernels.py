"""The check of a device's int8 kernels: this machine passes, and a device one bit off does not."""

import numpy as np
import pytest
from edgewright.devices.runtimes import environments, kernels
from edgewright.devices.runtimes.kernels import Kernels
from edgewright.pipeline import kernel_check


def test_this_machine_computes_rightly():
    found = kernel_check.check("local")
    assert found.ok, found
    assert found.n == 256 and set(found.steps) == set(kernel_check.CASES)
    assert found.equal > 0.99


def test_tflite_runtime_computes_rightly():
    if not environments.ready("tflite-runtime"):
        pytest.skip("no tflite-runtime: edgewright devices setup tflite-runtime")
    assert kernel_check.check("tflite-runtime", "tflite-runtime").ok


@pytest.mark.parametrize(("shift", "ok"), [(0, True), (0.1, True), (0.2, False)])
def test_more_than_one_step_is_red(shift, ok, monkeypatch):
    """One value of one kernel is moved by that many times the output's scale of 0.1."""
    sizes = kernel_check.kernel_file().sizes
    right = np.zeros((4, sum(sizes.values())), np.float32)

    def answers(path, inputs, *, device, **config):
        assert inputs.shape == (4, 9, 9, 12)
        moved = right.copy()
        moved[2, sizes["convolution"]] += 0 if device == "local" else shift
        return moved

    monkeypatch.setattr(kernels, "answers", answers)
    found = kernel_check.check("local://?python=other", n=4)
    assert found.ok is ok
    assert found.steps["strided convolution"] == round(shift / 0.1)
    assert found.steps["convolution"] == 0


def test_the_words_name_the_wrong_kernel():
    words = str(Kernels(device="x", steps={"addition": 3, "pointwise": 1}, equal=0.5, n=4))
    assert "addition 3 steps off" in words and "pointwise" not in words
