"""The tables of kernels: their notation, and what was measured of the tools themselves, case by case."""

import pytest
from edgewright.devices.preflight import judge
from edgewright.devices.targets import kernels, target
from edgewright.devices.targets.graph import Graph, Operation, Tensor

RELU8 = ("RELU", "int8 > int8")
CONV8 = ("CONV_2D", "int8 int8*! int32! > int8")
CONV16 = ("CONV_2D", "int16 int8*! int64! > int16")
CONV4 = ("CONV_2D", "int8 int4*! int32! > int8")
DENSE8 = ("FULLY_CONNECTED", "int8 int8*! int32! > int8")
DENSE16 = ("FULLY_CONNECTED", "int16 int8*! int64! > int16")
DENSE4 = ("FULLY_CONNECTED", "int8 int4*! int32! > int8")
EMBEDDING16 = ("GATHER", "int16! int32 > int16")
TABLE = ("GATHER", "int8! int32 > int8")
STEP = ("CAST", "int8 > int32")
MATMUL16 = ("BATCH_MATMUL", "int16 int16 > int16")
FLOAT = ("CONV_2D", "float32 float32! float32! > float32")
MASK = ("SELECT", "bool float32 float32 > float32")
SWISH = ("HARD_SWISH", "float32 > float32")
IN, OUT = ("QUANTIZE", "float32 > int8"), ("DEQUANTIZE", "int8 > float32")
_WEIGHTS = " ".join(["int8!"] * 8)
LSTM = ("UNIDIRECTIONAL_SEQUENCE_LSTM",
        f"int8 {_WEIGHTS} - - - int32! int32! int32! int32! - - int8 int16 - - - - > int8")  # fmt: skip


def operator(name, types):
    """Return an operator as it is judged, of tensors of two dimensions."""
    inputs, outputs = ([_tensor(word) for word in end.split()] for end in types.split(">"))
    tensors = [one for one in [*inputs, *outputs] if one]
    place = {id(one): index for index, one in enumerate(tensors)}
    ends = [tuple(place[id(one)] if one else -1 for one in end) for end in (inputs, outputs)]
    graph = Graph(tensors=tuple(tensors), operators=(Operation(op=name, inputs=ends[0], outputs=ends[1]),),
                  inputs=(0,), outputs=ends[1])  # fmt: skip
    return judge.operators_of([], graph)[0]


def _tensor(word):
    if word == "-":
        return None
    return Tensor(name="x", shape=(1, 8), dtype=word.rstrip("*!"), scales=8 if "*" in word else 1,
                  is_constant="!" in word)  # fmt: skip


def row(where, case):
    return judge.rows_of([operator(*case)], "tflite", target.load(where), {})[0]


MICRO, U55, U65, U85 = "cortex-m", "ethos-u55-128", "ethos-u65-256", "ethos-u85-256"
YES = {
    MICRO: (RELU8, CONV8, CONV16, CONV4, DENSE8, DENSE16, TABLE, STEP, MATMUL16, IN, OUT, LSTM),
    U55: (RELU8, CONV8, CONV16, DENSE8, DENSE16, LSTM),
    U65: (RELU8, CONV8, CONV16, DENSE8, DENSE16, LSTM),
    U85: (RELU8, CONV8, CONV16, DENSE8, DENSE16, LSTM, TABLE, STEP, MATMUL16, EMBEDDING16),
}
LEFT = {U55: (TABLE, STEP, MATMUL16, IN, OUT), U65: (TABLE, STEP, MATMUL16, IN, OUT), U85: (IN, OUT)}
# against: there is no kernel, the target's policy, or the tool gives up the whole file
REFUSED = {
    MICRO: {DENSE4: "kernel", EMBEDDING16: "kernel", MASK: "kernel", FLOAT: "policy"},
    U55: {DENSE4: "tool", CONV4: "tool", EMBEDDING16: "kernel", FLOAT: "policy", SWISH: "tool"},
    U65: {DENSE4: "tool", CONV4: "tool", EMBEDDING16: "kernel", FLOAT: "policy", SWISH: "tool"},
    U85: {DENSE4: "tool", CONV4: "tool", FLOAT: "policy", SWISH: "tool"},
}


@pytest.mark.parametrize(("where", "case"), [(name, case) for name, cases in YES.items() for case in cases])
def test_what_was_seen_to_run(where, case):
    assert row(where, case).supported == judge.OK


@pytest.mark.parametrize(("where", "case"), [(name, case) for name, cases in LEFT.items() for case in cases])
def test_what_was_seen_to_be_left_to_the_processor_whose_kernels_take_it(where, case):
    assert row(where, case).supported == judge.FALLBACK


@pytest.mark.parametrize(
    ("where", "case", "against"), [(name, case, why) for name, cases in REFUSED.items() for case, why in cases.items()]
)
def test_what_was_seen_to_be_refused_and_why(where, case, against):
    found = row(where, case)
    assert (found.supported, found.against) == (judge.NO, against)


def test_a_reason_names_types_and_form():
    assert row(MICRO, EMBEDDING16).reason == "int16 tensors; kernels take float32, int8"
    assert row(MICRO, DENSE4).reason == "int4 weights with a scale for each channel; the kernel takes one"
    assert row(MICRO, FLOAT).reason.startswith("policy: float32 tensors; there is a kernel, but")
    assert "ethos-u-vela 5.2.0 gives up the whole file" in row(U55, CONV4).reason
    assert "on cortex-m: int16 tensors" in row(U55, EMBEDDING16).reason


def test_a_layer_kept_in_float_is_a_policy_too_and_so_told():
    found = row(MICRO, FLOAT)
    assert "qat" in found.swap and "quantize" in found.reason


def test_int4_with_one_scale_is_another_kernel_than_with_many():
    table = kernels.load("tflite-micro")
    assert table.refusal("FULLY_CONNECTED", ["int8", "int4!", "int32!"], ["int8"]) == ""
    assert table.refusal("FULLY_CONNECTED", ["int8", "int4*!", "int32!"], ["int8"])


@pytest.mark.parametrize(
    ("pattern", "inputs", "outputs", "takes"),
    [
        ("int8 int8|int4 > int8", ["int8", "int4"], ["int8"], True),
        ("int8 int8|int4 > int8", ["int8", "int4*"], ["int8"], False),
        ("int8 int8*! > int8", ["int8", "int8!"], ["int8"], True),
        ("int8 int8*! > int8", ["int8", "int8*"], ["int8"], False),
        ("int8 int8 > int8", ["int8", "int8!"], ["int8"], True),
        ("int8 -|int32! > int8", ["int8"], ["int8"], True),
        ("int8 int32! > int8", ["int8"], ["int8"], False),
        ("int8 > int8", ["int8", "-", "-"], ["int8"], True),
        ("int8 > int8", ["int8", "int8"], ["int8"], False),
        ("int8... > int8", ["int8"] * 5, ["int8"], True),
        ("int8... > int8", ["int8", "int16"], ["int8"], False),
        ("int8 > int8...", ["int8"], ["int8"] * 3, True),
        ("int8 > int8...", ["int8"], [], False),
    ],
)
def test_the_notation(pattern, inputs, outputs, takes):
    assert kernels.Row.parse(pattern).takes(inputs, outputs) == takes


@pytest.mark.parametrize("name", sorted(path.stem for path in kernels.FOLDER.glob("*.toml")))
def test_tables_say_which_tool_was_asked_and_when(name):
    table = kernels.load(name)
    assert table.tool.split()[-1][0].isdigit() and table.date.startswith("20")
    assert table.kernels
    used = {each for each in target.names() if target.load(each).kernels == name}
    assert used, f"no target judges by {name}"
