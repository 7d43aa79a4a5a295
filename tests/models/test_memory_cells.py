"""Memories of rows: addressing by hand, allocation against a sort, and the cells' weights over time."""

import numpy as np
import pytest
from edgewright.models import registry
from edgewright.models.memory_cells import (
    DNCCell,
    MANNCell,
    NTMCell,
    allocated,
    before,
    by_content,
    first_row,
    interpolated,
    least_used,
    linked,
    scalar_shift,
    sharpened,
    shifted,
    used,
    written,
)
from edgewright.quantize import QatConfig, prepare_qat
from edgewright.quantize.derived import derive
from edgewright.training.runner import KerasRunner
from keras import layers

CELLS = {"neural_turing_machine": NTMCell, "dnc": DNCCell, "mann": MANNCell}


def values(*rows):
    return np.array(rows, np.float32)


def weights_of_rows(count, rows, seed=0):
    return np.random.default_rng(seed).dirichlet(np.ones(rows), count).astype(np.float32)


# ---------------------------------------------------------------- parts


def test_a_scalar_shift_lies_between_two_places():
    shift = np.asarray(scalar_shift(values([6.7]), range(10)))
    np.testing.assert_allclose(shift, [[0, 0, 0, 0, 0, 0, 0.3, 0.7, 0, 0]], atol=1e-6)  # arXiv:1410.5401, 3.3.2


def test_a_shift_goes_round_the_memory():
    weights = values([0, 0, 0.25, 0.75])
    for shift, expected in (([0, 0, 1], [0.75, 0, 0, 0.25]), ([1, 0, 0], [0, 0.25, 0.75, 0]), ([0, 1, 0], weights[0])):
        np.testing.assert_allclose(np.asarray(shifted(weights, values(shift)))[0], expected, atol=1e-6)
    both = np.asarray(shifted(weights, values([0.5, 0, 0.5])))[0]
    np.testing.assert_allclose(both, [0.375, 0.125, 0.375, 0.125], atol=1e-6)


def test_a_gate_of_zero_keeps_the_last_weights():
    found, last = weights_of_rows(2, 5)[:, None]
    np.testing.assert_allclose(np.asarray(interpolated(0.0, found, last)), last)
    np.testing.assert_allclose(np.asarray(interpolated(1.0, found, last)), found, atol=1e-7)


def test_sharpening_keeps_the_sum():
    weights = weights_of_rows(4, 6)
    for power in (1.0, 2.0, 5.0):
        sharp = np.asarray(sharpened(weights, values(*[[power]] * 4)))
        np.testing.assert_allclose(sharp.sum(-1), 1, rtol=1e-5)
        exact = weights**power / (weights**power).sum(-1, keepdims=True)
        np.testing.assert_allclose(sharp, exact, atol=6 * power * 1e-3)  # a thousandth is added to each weight


def test_a_write_with_one_hot_weights_replaces_that_row_alone():
    memory = np.random.default_rng(0).normal(size=(1, 4, 3)).astype(np.float32)
    new = values([1, -2, 3])
    after = np.asarray(written(memory, values([0, 0, 1, 0]), np.ones((1, 3), np.float32), new))[0]
    np.testing.assert_allclose(after[2], new[0], atol=1e-6)
    np.testing.assert_array_equal(after[[0, 1, 3]], memory[0, [0, 1, 3]])


def test_weights_by_content_are_a_softmax_of_cosines():
    memory, key = values([3, 0], [0, 5], [-2, 0])[None], values([7, 0])[None]
    found = np.asarray(by_content(memory, key, values([2])[None]))[0, 0]
    exact = np.exp([2, 0, -2]) / np.exp([2, 0, -2]).sum()
    np.testing.assert_allclose(found, exact, rtol=5e-3)  # a square length of 0.01 more than it is
    assert np.asarray(by_content(np.zeros((1, 4, 2), np.float32), key, values([2])[None])) == pytest.approx(0.25)


def sorted_allocation(usage):
    """Return equation 1 of Graves 2016, by a sort."""
    order, taken, free = np.argsort(usage, kind="stable"), 1.0, np.zeros(len(usage))
    for row in order:
        free[row] = (1 - usage[row]) * taken
        taken *= usage[row]
    return free


@pytest.mark.parametrize("usage", [[0.9, 0.1, 0.5, 0.3], [0, 0, 0, 0], [1, 1, 0.2, 0.2], [0.5, 1, 0.5, 0.25, 0]])
def test_allocation_without_a_sort_is_the_sorted_one(usage):
    usage = np.array(usage, np.float32)
    np.testing.assert_allclose(np.asarray(allocated(usage[None]))[0], sorted_allocation(usage), atol=5e-3)


def test_allocation_of_drawn_usages_is_the_sorted_one():
    usages = np.random.default_rng(0).random((16, 12)).astype(np.float32)
    exact = [sorted_allocation(usage) for usage in usages]
    np.testing.assert_allclose(np.asarray(allocated(usages)), exact, atol=5e-3)


def test_the_order_of_usage_breaks_ties_by_the_row():
    usage = values([0.5, 0.1, 0.5, 0.1])
    np.testing.assert_array_equal(np.asarray(before(usage))[0].sum(1), [2, 0, 3, 1])
    np.testing.assert_array_equal(np.asarray(least_used(usage)), [[0, 1, 0, 0]])


def test_rows_that_were_read_are_free_again():
    reading, writing = values([1, 0, 0])[None], values([0, 0, 1])
    freed = np.asarray(used(values([1, 1, 0]), reading, writing, values([1])))
    np.testing.assert_array_equal(freed, [[0, 1, 1]])
    np.testing.assert_array_equal(np.asarray(used(values([1, 1, 0]), reading, writing, values([0]))), [[1, 1, 1]])


def test_links_lead_from_what_was_written_to_what_was_written_next():
    links, precedence = np.zeros((1, 3, 3), np.float32), np.zeros((1, 3), np.float32)
    for row in (2, 0, 1):
        writing = np.eye(3, dtype=np.float32)[None, row]
        links, precedence = np.asarray(linked(links, precedence, writing)), writing
    np.testing.assert_array_equal(links[0], [[0, 0, 1], [1, 0, 0], [0, 0, 0]])  # 0 after 2, 1 after 0
    np.testing.assert_array_equal(values([0, 0, 1]) @ links[0].T, [[1, 0, 0]])  # ahead of 2
    np.testing.assert_array_equal(values([0, 1, 0]) @ links[0], [[1, 0, 0]])  # back from 1


# ---------------------------------------------------------------- cells


@pytest.mark.parametrize("name", CELLS)
def test_weights_of_every_step_add_up(name):
    steps, rows = 7, 5
    heads = 1 if name == "neural_turing_machine" else 2
    cell = CELLS[name](units=6, rows=rows, width=3, heads=heads)
    given = np.random.default_rng(0).normal(size=(2, steps, 4)).astype(np.float32)
    states = cell.get_initial_state(2)
    cell.build((None, 4))
    cell.interface.kernel.assign(3 * cell.interface.kernel)
    for step in range(steps):
        _, states = cell(given[:, step], states)
        kept = [np.asarray(state) for state in states[4:]]
        weights = {"neural_turing_machine": kept, "dnc": kept[3:], "mann": kept[1:]}[name]
        for each in weights:
            each = each.reshape(2, -1, rows) + (0 if name == "dnc" else first_row(rows))
            sums = each.sum(-1)
            assert (each >= -1e-6).all() and (sums <= 1 + 1e-5).all()
            if name != "dnc":
                np.testing.assert_allclose(sums, 1, rtol=1e-5)


@pytest.mark.parametrize("name", CELLS)
def test_a_step_with_states_is_the_sequence(name):
    small = {"input_shape": (5, 4), "outputs": 3, "units": 6, "rows": 4, "width": 3}
    networks = registry.networks(name, "edge", **small)
    networks["step"].set_weights(networks["sequence"].get_weights())
    frames = np.random.default_rng(0).normal(size=(3, 5, 4)).astype(np.float32)
    whole = np.asarray(networks["sequence"](frames))
    (deployed,) = registry.get(name).deploy
    states = {leaf.name: np.zeros((3, *leaf.shape[1:]), np.float32) for leaf in networks["step"].inputs[1:]}
    assert len(states) == len(deployed.states)
    for step in range(5):
        said = networks["step"]({"frame": frames[:, step : step + 1], **states})
        np.testing.assert_allclose(np.asarray(said["logits"])[:, 0], whole[:, step], atol=1e-5)
        states = {given: np.asarray(said[made]) for made, given in deployed.states.items()}


def test_a_scalar_shift_serves_the_cell_too():
    cell = NTMCell(4, 5, 3, reach=2, shift="scalar")
    output, states = cell(np.ones((1, 2), np.float32), cell.get_initial_state(1))
    assert output.shape == (1, 7) and np.asarray(states[-1]).sum() == pytest.approx(0, abs=1e-5)
    assert layers.RNN(cell).get_config()["cell"]["config"]["shift"] == "scalar"
    with pytest.raises(ValueError, match="scalar"):
        NTMCell(4, 5, 3, shift="both")


@pytest.mark.parametrize("name", ["neural_turing_machine", "mann"])
def test_a_quantized_step_is_the_quantized_sequence(name):
    """From the first step on, whose states are constants of the sequence: calibration sees nothing of them."""
    networks = registry.networks(name, "edge", input_shape=(3, 4), outputs=3, units=6, rows=4, width=3)
    (deployed,) = registry.get(name).deploy
    networks["sequence"].set_weights([4 * weight for weight in networks["sequence"].get_weights()])
    frames = np.random.default_rng(0).normal(size=(16, 3, 4)).astype(np.float32)
    wide = QatConfig(by_name=dict.fromkeys(registry.get(name).wide, "w8a16"))
    aware, _ = prepare_qat(networks["sequence"], wide, calibration=frames)
    networks |= {"sequence": aware, "step": derive(networks["step"], aware, dict(deployed.states))}
    said = KerasRunner(networks, (deployed,)).unroll("step", {"frame": frames})["logits"]
    whole = np.asarray(aware(frames))
    np.testing.assert_allclose(
        np.asarray(said).reshape(whole.shape), whole, atol=0.05 * np.abs(whole).max()
    )  # 8-bit logits
