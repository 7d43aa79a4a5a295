"""Series whose next value is told, and the readouts and filters that are solved on them."""

import subprocess
import sys

import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.export import export_tflite
from edgewright.models import registry
from edgewright.prune import prepare_prune, strip_prune
from edgewright.quantize import prepare_qat
from edgewright.quantize.streaming import derive
from edgewright.training import learners, tasks
from edgewright.training.config import TrainConfig
from edgewright.training.data import forecasts, load, sets
from edgewright.training.runner import KerasRunner
from edgewright.training.state import RunDir


def presented(name, **options):
    entry = registry.get(name)
    networks = registry.networks(name, "edge", **options)
    task = tasks.get(entry.task)
    return networks, task, task.present("mackey_glass", networks, rebuilt=True, limit=400, test_limit=50)


def learned(name, networks, task, dataset, out=None):
    return learners.get(registry.get(name).learner)(networks, dataset, task, TrainConfig(), RunDir(out))


# ---------------------------------------------------------------- series


def test_the_delay_equation():
    assert forecasts.delayed(20, start=1.0) == pytest.approx(1)  # where rise and fall are equal, 0.2 / 2 = 0.1
    assert forecasts.delayed(3, start=0.0) == pytest.approx(0)
    series = forecasts.delayed(400, start=1.2)
    assert 0.2 < series.min() < 0.5 and 1.2 < series.max() < 1.4 and series.std() > 0.2
    np.testing.assert_array_equal(series, forecasts.delayed(400, start=1.2))


def test_each_sample_obeys_the_equation():
    """Between samples 6 units of time apart x'' is small enough for a fine grid: checked on one of 0.1."""
    kept = forecasts.SPACED
    try:
        forecasts.SPACED = forecasts.STEP
        x = forecasts.delayed(2000, start=1.2)
    finally:
        forecasts.SPACED = kept
    past, now = x[:-171], x[170:-1]
    slope = (x[171:] - now) / 0.1
    np.testing.assert_allclose(slope, 0.2 * past / (1 + past**10) - 0.1 * now, atol=1e-9)


def test_windows_follow_one_another_and_no_border_is_crossed():
    dataset = load("mackey_glass", input_shape=(20, 1))
    series = forecasts.delayed(sum(forecasts.COUNTS.values()), start=1.2)
    scaled = (series - series[:1600].mean()) / series[:1600].std()
    assert [len(split) for split in dataset.splits.values()] == [1580, 230, 380]
    np.testing.assert_allclose(dataset.train.x[7, :, 0], scaled[7:27], atol=1e-5)
    np.testing.assert_allclose(dataset.train.y[7], scaled[27:28], atol=1e-5)
    np.testing.assert_allclose(dataset.validation.x[0, :, 0], scaled[1600:1620], atol=1e-5)
    np.testing.assert_allclose(dataset.test.y[-1], scaled[-1:], atol=1e-5)
    with pytest.raises(BadInput, match="1 columns"):
        load("mackey_glass", input_shape=(20, 2))


@pytest.mark.skipif(not sets.source("ett").here(), reason="the official file of ETT is not on this machine")
def test_ett_is_split_as_published():
    whole = load("ett", input_shape=(32, 7))
    assert [len(split) for split in whole.splits.values()] == [2152, 712, 712]
    oil = load("ett", input_shape=(32, 1))
    for part, split in whole.splits.items():
        np.testing.assert_array_equal(split.x[..., 6:], oil.splits[part].x)
        np.testing.assert_array_equal(split.y[:, 6:], oil.splits[part].y)
    first = np.array([30.531, 27.787])  # as the file begins
    spread = np.diff(first) / np.diff(oil.train.x[0, :2, 0])
    mean = first[0] - oil.train.x[0, 0, 0] * spread
    assert (spread.item(), mean.item()) == pytest.approx((9.1768, 17.1283), abs=0.01)  # of the first 8,640 hours
    with pytest.raises(BadInput, match="steps"):
        load("ett", input_shape=(3000, 1))


# ---------------------------------------------------------------- solutions


def test_the_readout_is_solved_again_in_what_is_pruned():
    networks, task, dataset = presented("echo_state_network", units=24)
    sequence = networks["sequence"]
    learned("echo_state_network", {"sequence": sequence}, task, dataset)
    reservoir, solved = sequence.get_weights()[1], sequence.get_layer("readout").get_weights()[0]
    pruning, _ = prepare_prune(sequence)
    history = learned("echo_state_network", {"sequence": pruning}, task, dataset)
    plain = strip_prune(pruning)
    kernel = plain.get_layer("readout").get_weights()[0]
    assert (kernel == 0).sum() == 12 and (kernel[kernel != 0] != solved[kernel != 0]).all()
    np.testing.assert_array_equal(plain.get_weights()[1], reservoir)
    cut = sequence.get_layer("readout").kernel
    cut.assign(np.where(kernel == 0, 0, solved))
    worse = learners.get("readout").validate({"sequence": sequence}, dataset, task, TrainConfig())
    assert history[-1]["val_loss"] < worse["val_loss"]


@pytest.mark.parametrize("name", ["esn_intrinsic_plasticity", "liquid_state_machine", "kalman_filter"])
def test_steps_of_the_quantized_sequence_tell_what_it_does(name):
    """In float the same; in eight bits as far as rounding goes, which a unit that fires or not makes more of."""
    own = {"esn_intrinsic_plasticity": {"units": 16}, "liquid_state_machine": {"units": 48}}.get(name, {})
    networks, task, dataset = presented(name, input_shape=(8, 1), **own)
    trained, states = {"sequence": networks["sequence"]}, registry.get(name).deploy[0].states
    learned(name, trained, task, dataset)
    answers = {}
    for kind in ("float", "int8"):
        sequence = trained["sequence"]
        if kind == "int8":
            sequence, _ = prepare_qat(sequence, calibration=task.samples(dataset, "sequence", 64)["frames"])
        step = derive(networks["step"], sequence, states)
        said = KerasRunner({"step": step}, registry.get(name).deploy).unroll("step", {"frame": dataset.test.x})
        answers[kind] = next(iter(said.values()))[:, -1].reshape(50, 1)
        if kind == "float":
            np.testing.assert_allclose(answers[kind], np.asarray(sequence(dataset.test.x)), atol=1e-4)
    error = ((answers["int8"] - answers["float"]) ** 2).mean() / dataset.test.y.var()
    assert error < (0.1 if name == "liquid_state_machine" else 0.02)


CONSTANTS = """
import sys, numpy as np
from ai_edge_litert.interpreter import Interpreter
file = Interpreter(model_path=sys.argv[1])
kept = [each["index"] for each in file.get_tensor_details() if list(each["shape"]) == [20, 20]]
print(max((file.get_tensor(index) == 0).mean() for index in kept))
"""


@pytest.mark.slow
def test_the_zeros_of_a_reservoir_are_zeros_in_its_file(tmp_path):
    networks, task, dataset = presented("echo_state_network", units=20, links=0.2, input_shape=(6, 1))
    learned("echo_state_network", {"sequence": networks["sequence"]}, task, dataset)
    samples = task.samples(dataset, "sequence", 64)["frames"]
    aware, _ = prepare_qat(networks["sequence"], calibration=samples)
    states = registry.get("echo_state_network").deploy[0].states
    file = tmp_path / "step.tflite"
    file.write_bytes(export_tflite(derive(networks["step"], aware, states), states=states).data)
    said = subprocess.run([sys.executable, "-c", CONSTANTS, file], capture_output=True, text=True, check=True)
    zeros = float((np.asarray(networks["sequence"].get_weights()[1]) == 0).mean())
    assert zeros == 0.8 and float(said.stdout) >= zeros  # of the smallest weights some more round to zero


def test_only_networks_that_end_in_a_readout_are_solved():
    networks, task, dataset = presented("kalman_filter")
    with pytest.raises(BadInput, match="fits a Dense"):
        learned("echo_state_network", {"sequence": networks["sequence"]}, task, dataset)
    networks, task, dataset = presented("echo_state_network", units=8)
    with pytest.raises(BadInput, match="KalmanCell"):
        learned("kalman_filter", {"sequence": networks["sequence"]}, task, dataset)
