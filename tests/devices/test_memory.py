"""Arenas worked out by hand, and the invariant of every plan."""

import pytest
from edgewright.devices.targets.memory import Lifetime, arena_bytes, lifetimes, plan
from edgewright.devices.targets.target import Memory
from hypothesis import given
from hypothesis import strategies as st


def tensor(shape, dtype="int8", computed=True, scales=1):
    return {"shape": shape, "dtype": dtype, "computed": computed, "scales": scales}


# input (1, 4, 4) -> conv with 8 kernels -> (1, 4, 4, 8) -> mean -> (1, 8)
GRAPH = {
    "operators": [{"inputs": [0, 1, 2], "outputs": [3]}, {"inputs": [3], "outputs": [4]}],
    "tensors": {
        "0": tensor([1, 4, 4, 1]),
        "1": tensor([8, 3, 3, 1], computed=False, scales=8),
        "2": tensor([8], "int32", computed=False, scales=8),
        "3": tensor([1, 4, 4, 8]),
        "4": tensor([1, 8]),
    },
}


def test_lifetimes_by_hand():
    assert lifetimes(GRAPH) == [
        Lifetime(size=16, first=0, last=0), Lifetime(size=128, first=0, last=1), Lifetime(size=8, first=1, last=1),
    ]  # fmt: skip


def test_the_input_and_the_result_share_a_place():
    assert plan(lifetimes(GRAPH), 16) == 128 + 16


def test_what_the_runtime_keeps_is_counted():
    memory = Memory(per_tensor_bytes=10, per_operator_bytes=100, per_channel_bytes=8, fixed_bytes=1000)
    assert arena_bytes(GRAPH, memory) == 144 + 1328  # 1000 + 5 * 10 + 2 * 100 + 8 * 8 = 1314, in steps of 16


def test_a_residual_branch_stays_alive():
    operators = [{"inputs": [0], "outputs": [1]}, {"inputs": [1], "outputs": [2]}, {"inputs": [0, 2], "outputs": [3]}]
    graph = {"operators": operators, "tensors": {str(i): tensor([1, 64]) for i in range(4)}}
    assert plan(lifetimes(graph), 16) == 3 * 64


@pytest.mark.parametrize("sizes", [[], [5]])
def test_small_plans(sizes):
    assert plan([Lifetime(size=size, first=0, last=0) for size in sizes], 16) == 16 * len(sizes)


@given(st.lists(st.tuples(st.integers(1, 200), st.integers(0, 9), st.integers(0, 5)), max_size=12))
def test_a_plan_holds_what_is_alive_at_any_moment_and_no_more_than_all(entries):
    tensors = [Lifetime(size=16 * size, first=first, last=first + span) for size, first, span in entries]
    alive = [sum(one.size for one in tensors if one.first <= moment <= one.last) for moment in range(16)]
    assert max(alive) <= plan(tensors, 16) <= sum(one.size for one in tensors)
