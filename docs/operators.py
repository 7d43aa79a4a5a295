"""Writes docs/operators.md from the operator table and the cases that test it: python docs/operators.py"""

import sys
from functools import cache
from pathlib import Path

from edgewright.devices.report.report import table
from edgewright.quantize.graph.layer_rules import ACTIVATIONS, LAYERS
from edgewright.quantize.operators import NARROW, NOT_WIDE, TABLE, FixedOutputScale, Rule
from edgewright.quantize.passes.decompose import OPERATIONS
from edgewright.quantize.passes.elementwise import UNARY
from edgewright.quantize.qat import make_plan

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from operator_cases import CASES, build, config  # noqa: E402

INTRODUCTION = """# Operators

What becomes of each Keras operation in int8. A model is traced to operations; layers and operations that LiteRT has no
kernel for are first written in terms of others. The rows below then say which scales are shared or fixed, which kernels
are per-channel and what is fused. An operation that is in no row stays in float and is reported.

Scale: *own*: calibrated and trained; *same*: inputs and output share one; a range: prescribed by the kernel. Each row
is tested by `tests/export/test_operators.py` on LiteRT with XNNPACK, with its own kernels, with its reference kernels,
and on ONNX Runtime, which has no fused int8 recurrence: outputs within one step of the fake-quantized model's on at
least 99%.
"""


@cache
def cases_by_rule() -> dict[int, list[str]]:
    """Map id(rule) to the names of the cases that use it."""
    found: dict[int, list[str]] = {}
    for name in CASES:
        for step in make_plan(build(name)[0], config(name)).steps:
            fused = [rule for rule in TABLE if rule.builtin_op == step.activation and step.activation]
            for rule in {id(rule): rule for rule in [step.rule, *fused] if rule is not None}.values():
                if name not in found.setdefault(id(rule), []):
                    found[id(rule)].append(name)
    return found


def text() -> str:
    """Return the page."""
    covered = cases_by_rule()
    header = ("Keras operation", "LiteRT", "scale", "kernel", "fuses", "rounding", "cases")
    cells = [
        (rule.op_type, rule.builtin_op or "nothing", _scale(rule), _kernel(rule), ", ".join(sorted(rule.fuses)),
         _rounding(rule), ", ".join(covered.get(id(rule), [])))
        for rule in TABLE
    ]  # fmt: skip
    layers = ", ".join(sorted(layer.__name__ for layer in LAYERS))
    activations = ", ".join(sorted(function.__name__ for function in ACTIVATIONS))
    return f"""{INTRODUCTION}
{table(header, cells)}

16-bit activations (`w8a16`): every LiteRT operator above but {", ".join(sorted(NOT_WIDE))}, which stay in 8 bits; all
scales are then symmetric. 4-bit kernels (`w4a8`): {", ".join(sorted(NARROW))}.
Both are tested by `tests/export/test_precisions.py`.

## Written in terms of others

Operations: {", ".join(sorted(OPERATIONS))}.

Layers opened by a rule of their own: {layers}; activations: {activations}. All others are opened by their `call`.

## Tables

A function of one value, alone or in a chain, that has no row becomes a table of 256 entries, exact whatever it is:
{", ".join(sorted(UNARY))}.
"""


def _scale(rule: Rule) -> str:
    return f"{rule.scale.low:g} to {rule.scale.high:g}" if isinstance(rule.scale, FixedOutputScale) else rule.scale


def _kernel(rule: Rule) -> str:
    if rule.biases:
        return "per gate"
    if rule.symmetric:
        return "second operand symmetric"
    return "" if rule.kernel is None else f"per channel, axis {', '.join(map(str, rule.channels))}"


def _rounding(rule: Rule) -> str:
    return "none" if rule.passthrough else f"halves {rule.rounding}" if rule.rounding else "nearest"


if __name__ == "__main__":
    (ROOT / "docs" / "operators.md").write_text(text())
