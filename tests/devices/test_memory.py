"""Arenas worked out by hand, and the invariant of every plan."""

import pytest
from edgewright.devices.targets.graph import Graph, Operation, Tensor
from edgewright.devices.targets.memory import Lifetime, arena_bytes, kept_bytes, lifetimes, plan
from edgewright.devices.targets.target import Memory
from hypothesis import given
from hypothesis import strategies as st


def tensor(shape, dtype="int8", computed=True, scales=1):
    return Tensor(name="", shape=tuple(shape), dtype=dtype, is_constant=not computed, scales=scales)


def operation(op, inputs, outputs):
    return Operation(op=op, inputs=tuple(inputs), outputs=tuple(outputs))


# input (1, 4, 4) -> conv with 8 kernels -> (1, 4, 4, 8) -> mean -> (1, 8)
GRAPH = Graph(
    operators=(operation("CONV_2D", [0, 1, 2], [3]), operation("MEAN", [3], [4])),
    tensors=(
        tensor([1, 4, 4, 1]),
        tensor([8, 3, 3, 1], computed=False, scales=8),
        tensor([8], "int32", computed=False, scales=8),
        tensor([1, 4, 4, 8]),
        tensor([1, 8]),
    ),
    inputs=(0,),
    outputs=(4,),
)


def test_lifetimes_by_hand():
    assert lifetimes(GRAPH) == [
        Lifetime(size=16, first=0, last=0), Lifetime(size=128, first=0, last=1), Lifetime(size=8, first=1, last=1),
    ]  # fmt: skip


def test_the_input_and_the_result_share_a_place():
    assert plan(lifetimes(GRAPH), 16) == 128 + 16


def test_what_the_runtime_keeps_is_counted():
    memory = Memory(pointer_bytes=4, per_operator_bytes=100, fixed_bytes=1000)
    # records of 5 tensors (12), 2 operators (32 + 100), multipliers of 8 channels (8, and 24 of alignment), and 2 ends
    # (40, their scale 20, an address 4)
    assert kept_bytes(GRAPH, memory, {}) == 1000 + 5 * 12 + 2 * 132 + 88 + 2 * 64
    wide = Memory(pointer_bytes=8, per_operator_bytes=100, fixed_bytes=1000)
    assert kept_bytes(GRAPH, wide, {}) == 1000 + 5 * 24 + 2 * 164 + 88 + 2 * (64 + 32 + 8)


def test_what_preparing_takes_is_no_less_than_activations():
    memory = Memory(pointer_bytes=4)
    small = arena_bytes(GRAPH, memory) - kept_bytes(GRAPH, memory, {})
    # 12 requests of 12; planning: 5 records of 24 and 4 entries of 40, less than the operands of the convolution:
    # 4 of 40, 8 zero points twice and one of one twice, each behind 3 addresses and a count
    # while the records of the two ends are not there yet
    assert small >= 12 * 12 + 4 * 40 + 2 * (16 + 4 * 8) + 2 * (16 + 4) - 2 * 64


def test_a_fully_connected_layer_is_prepared_with_the_zero_points_of_kernel_and_bias():
    tensors = (tensor([1, 8]), tensor([640, 8], computed=False, scales=640),
               tensor([640], "int32", computed=False, scales=640), tensor([1, 640]))  # fmt: skip
    graph = Graph(operators=(operation("FULLY_CONNECTED", [0, 1, 2], [3]),), tensors=tensors, inputs=(0,), outputs=(3,))
    memory = Memory(pointer_bytes=4)
    passing = arena_bytes(graph, memory) - kept_bytes(graph, memory, {})
    assert passing > 2 * 4 * 640 > plan(lifetimes(graph), 16)


def test_a_kernel_of_4_bits_is_unpacked_into_scratch_memory():
    tensors = (tensor([1, 8, 8, 4]), tensor([64, 3, 3, 4], "int4", computed=False), tensor([1, 8, 8, 64]))
    graph = Graph(operators=(operation("CONV_2D", [0, 1], [2]),), tensors=tensors, inputs=(0,), outputs=(2,))
    memory = Memory(pointer_bytes=4)
    assert arena_bytes(graph, memory) >= 8 * 8 * 68 + 64 * 9 * 4


def test_what_a_compiler_has_placed_stays_there():
    tensors = [Lifetime(size=64, first=0, last=1, offset=16), Lifetime(size=16, first=0, last=0),
               Lifetime(size=32, first=0, last=1)]  # fmt: skip
    assert plan(tensors, 16) == 16 + 64 + 32


def test_a_residual_branch_stays_alive():
    operators = (operation("RELU", [0], [1]), operation("RELU", [1], [2]), operation("ADD", [0, 2], [3]))
    graph = Graph(operators=operators, tensors=(tensor([1, 64]),) * 4, inputs=(0,), outputs=(3,))
    assert plan(lifetimes(graph), 16) == 3 * 64


@pytest.mark.parametrize("sizes", [[], [5]])
def test_small_plans(sizes):
    assert plan([Lifetime(size=size, first=0, last=0) for size in sizes], 16) == 16 * len(sizes)


@given(st.lists(st.tuples(st.integers(1, 200), st.integers(0, 9), st.integers(0, 5)), max_size=12))
def test_a_plan_holds_what_is_alive_at_any_moment_and_no_more_than_all(entries):
    tensors = [Lifetime(size=16 * size, first=first, last=first + span) for size, first, span in entries]
    alive = [sum(one.size for one in tensors if one.first <= moment <= one.last) for moment in range(16)]
    assert max(alive) <= plan(tensors, 16) <= sum(one.size for one in tensors)


def test_of_tensors_alike_in_size_the_last_is_placed_first():
    """What TensorFlow Lite Micro's planner does to the first maps of MobileNet: 8,192 bytes, where 7,168 would do."""
    sizes = [(3072, 0, 0), (2048, 0, 1), (2048, 1, 2), (4096, 2, 3)]
    assert plan([Lifetime(size=size, first=first, last=last) for size, first, last in sizes], 16) == 8192
