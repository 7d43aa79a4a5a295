"""Bounds on shapes and options, worked out by hand from what the compiler's report says."""

import pytest
from edgewright.devices.preflight import judge
from edgewright.devices.targets import target
from edgewright.devices.targets.graph import Graph, Operation, Tensor
from edgewright.devices.targets.limits import exceeded

MICRO, U55, U85 = "cortex-m", "ethos-u55-128", "ethos-u85-256"
BOTH = (U55, U85)


def operator(op, shape, result=None, axes=None, scale=0.1, inputs=1, **options):
    tensors = [Tensor(name="x", shape=shape, dtype="int8", scales=1, scale=0.1, zero_point=0)] * inputs
    if axes is not None:
        tensors.append(Tensor(name="a", shape=(len(axes),), dtype="int32", is_constant=True, values=axes))
    tensors.append(Tensor(name="y", shape=result or shape, dtype="int8", scales=1, scale=scale, zero_point=0))
    last = len(tensors) - 1
    operation = Operation(op=op, inputs=tuple(range(last)), outputs=(last,), options=options)
    graph = Graph(tensors=tuple(tensors), operators=(operation,), inputs=(0,), outputs=(last,))
    return judge.operators_of([], graph)[0]


@pytest.mark.parametrize(
    ("case", "words", "where"),
    [
        (operator("MEAN", (1, 8, 8, 4), axes=(1, 2)), "", BOTH),
        (operator("MEAN", (1, 16, 16, 4, 4), axes=(1, 2)), "batch", BOTH),
        (operator("MEAN", (1, 5000, 1, 4), axes=(1,)), "more than 4,095", BOTH),
        (operator("MEAN", (1, 1, 4, 5000), axes=(2,)), "", BOTH),
        (operator("MAXIMUM", (1, 8)), "", BOTH),
        (operator("MAXIMUM", (1, 8), scale=0.2), "different scales", BOTH),
        (operator("SOFTMAX", (1, 256, 256, 4)), "65,535", BOTH),
        (operator("AVERAGE_POOL_2D", (1, 32, 32, 4), filterHeight=9, filterWidth=2, padding=0), "window", BOTH),
        (operator("AVERAGE_POOL_2D", (1, 32, 32, 4), filterHeight=9, filterWidth=2, padding=1), "", BOTH),
        (operator("ARG_MAX", (1, 128), axes=(1,)), "depth above 127", (U55,)),
        (operator("ARG_MAX", (1, 127), axes=(-1,)), "", (U55,)),
        (operator("ARG_MAX", (1, 4, 8), axes=(1,)), "another axis", (U55,)),
        (operator("RESIZE_NEAREST_NEIGHBOR", (1, 4, 4, 8), (1, 12, 12, 8)), "sizes", (U55,)),
        (operator("RESIZE_NEAREST_NEIGHBOR", (1, 4, 4, 8), (1, 8, 8, 8)), "", BOTH),
        (operator("RESIZE_NEAREST_NEIGHBOR", (1, 4, 4, 8), (1, 8, 16, 8)), "both ways", (U55,)),
        (operator("RESIZE_BILINEAR", (1, 4, 4, 8), (1, 16, 16, 8), halfPixelCenters=True), "centers", (U55,)),
        (operator("RESIZE_BILINEAR", (1, 4, 4, 8), (1, 16, 16, 8)), "", BOTH),
        (operator("RESIZE_BILINEAR", (1, 1, 1, 8), (1, 7, 7, 8)), "", BOTH),
        (operator("CONV_2D", (1, 8, 8, 4), strideH=4, strideW=4, padding=0), "strides", (U55,)),
        (operator("CONV_2D", (1, 8, 8, 4), strideH=4, strideW=4, padding=1), "", BOTH),
        (operator("CONV_2D", (1, 8, 8, 4), strideH=3, strideW=3, padding=0), "", BOTH),
        (operator("CONCATENATION", (1, 8), (1, 80), inputs=10), "", (MICRO, *BOTH)),
        (operator("CONCATENATION", (1, 8), (1, 88), inputs=11), "10 inputs", (MICRO,)),
    ],
)
def test_a_bound_is_held_and_said(case, words, where):
    for name in where:
        found = exceeded(case, target.load(name).limits)
        assert words in found and bool(words) == bool(found), name
