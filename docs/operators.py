"""Writes docs/operators.md and operator_cases.md from the operator table and its cases: python docs/operators.py"""

import sys
import textwrap
from functools import cache
from pathlib import Path

from edgewright.devices.report.report import table
from edgewright.quantize.graph.layer_rules import ACTIVATIONS, LAYERS
from edgewright.quantize.operators import NARROW, NOT_WIDE, TABLE, FixedOutputScale, Rule
from edgewright.quantize.passes.decompose import OPERATIONS
from edgewright.quantize.passes.elementwise import UNARY
from edgewright.quantize.qat import make_plan

ROOT = Path(__file__).parent.parent
WIDTH = 120
sys.path.insert(0, str(ROOT / "tests"))
from operator_cases import CASES, build, config  # noqa: E402

INTRODUCTION = """# Operators

What becomes of each Keras operation in int8. A model is traced to operations; layers and operations that LiteRT has no
kernel for are first written in terms of others. The rows below then say which scales are shared or fixed, which kernels
are per-channel and what is fused. An operation that is in no row stays in float and is reported.

Scale: *own*: calibrated and trained; *same*: inputs and output share one; a range: prescribed by the kernel. Each row
is tested by `tests/export/test_operators.py` on LiteRT with XNNPACK, with its own kernels, with its reference kernels,
and on ONNX Runtime, which has no fused int8 recurrence: outputs within one step of the fake-quantized model's on at
least 99%. [Which case tests which row](operator_cases.md) is a page of its own.
"""
CASES_INTRODUCTION = """# Operator cases

Which models test each row of [the operator table](operators.md). A case is a small model of that name in
`tests/operator_cases.py`; `tests/export/test_operators.py` runs them all.
"""
HEADER = ("Keras operation", "LiteRT", "scale", "kernel", "fuses", "rounding")
ALWAYS = 3  # columns that a table has even where they say nothing
OTHERS = "Recurrences and constants"
KINDS = {  # heading: the LiteRT operators below it
    "Arithmetic": {"ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM"},
    "Activations": {"RELU", "RELU6", "RELU_N1_TO_1", "LEAKY_RELU", "ELU", "GELU", "TABLE", "LOGISTIC", "TANH",
                    "SOFTMAX", "LOG_SOFTMAX", "RSQRT"},
    "Reductions, pools and resizing": {"MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "ARG_MAX", "ARG_MIN", "MAX_POOL_2D",
                                       "AVERAGE_POOL_2D", "RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR"},
    "Movement": {"RESHAPE", "TRANSPOSE", "CONCATENATION", "PACK", "UNPACK", "SPLIT", "STRIDED_SLICE", "PAD", "GATHER"},
    "Truths and masks": {"EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "LOGICAL_AND",
                         "LOGICAL_OR", "LOGICAL_NOT", "REDUCE_ANY", "REDUCE_ALL", "CAST", "SELECT_V2"},
}  # fmt: skip


@cache
def cases_by_rule() -> dict[int, list[str]]:
    """Map id(rule) to the names of the cases that use it."""
    found: dict[int, list[str]] = {}
    for name in CASES:
        for step in make_plan(build(name)[0], config(name)).operators:
            fused = [rule for rule in TABLE if rule.builtin_op == step.activation and step.activation]
            for rule in {id(rule): rule for rule in [step.rule, *fused] if rule is not None}.values():
                if name not in found.setdefault(id(rule), []):
                    found[id(rule)].append(name)
    return found


def by_kind() -> dict[str, list[Rule]]:
    """Return the rows under the headings of the page; those that leave nothing in a file are not among them."""
    kinds: dict[str, list[Rule]] = {heading: [] for heading in ("Convolutions and products", *KINDS, OTHERS)}
    for rule in TABLE:
        if rule.builtin_op:
            kinds[_kind(rule)].append(rule)
    return kinds


def text() -> str:
    """Return the page."""
    tables = "\n\n".join(f"## {heading}\n\n{_table(rules)}" for heading, rules in by_kind().items())
    nothing = ", ".join(sorted(rule.op_type for rule in TABLE if not rule.builtin_op))
    narrow = ", ".join(sorted(NOT_WIDE))
    layers = ", ".join(sorted(layer.__name__ for layer in LAYERS))
    activations = ", ".join(sorted(function.__name__ for function in ACTIVATIONS))
    page = f"""{INTRODUCTION}
{tables}

## Nothing at inference

These leave nothing in a file; input and output share one scale: {nothing}.

## Other precisions

16-bit activations (`w8a16`): all scales are symmetric, and every LiteRT operator above has a kernel but {narrow}, which
stay in 8 bits.

4-bit kernels (`w4a8`): {", ".join(sorted(NARROW))}. Both are tested by `tests/export/test_precisions.py`.

## Written in terms of others

Operations: {", ".join(sorted(OPERATIONS))}.

Layers opened by a rule of their own: {layers}; activations: {activations}. All others are opened by their `call`.

## Tables

A function of one value, alone or in a chain, that has no row becomes a table of 256 entries, exact whatever it is:
{", ".join(sorted(UNARY))}.
"""
    return _filled(page)


def cases_text() -> str:
    """Return the page on cases."""
    covered = cases_by_rule()
    silent = [rule for rule in TABLE if not rule.builtin_op and id(rule) in covered]
    sections = []
    for heading, rules in {**by_kind(), "Nothing at inference": silent}.items():
        lines = [
            f"- `{rule.op_type}` to {rule.builtin_op or 'nothing'}: {', '.join(covered[id(rule)])}" for rule in rules
        ]
        sections.append(f"## {heading}\n\n" + "\n".join(lines))
    return _filled(CASES_INTRODUCTION + "\n" + "\n\n".join(sections) + "\n")


def _kind(rule: Rule) -> str:
    if rule.kernel is not None or (rule.symmetric and not rule.states):
        return "Convolutions and products"
    if rule.op_type == "AveragePool":  # of which one is written as a convolution
        return "Reductions, pools and resizing"
    return next((heading for heading, operators in KINDS.items() if rule.builtin_op in operators), OTHERS)


def _table(rules: list[Rule]) -> str:
    """Return the rows as a table without the columns that say nothing here."""
    rows = [
        (rule.op_type, rule.builtin_op, _scale(rule), _kernel(rule), ", ".join(sorted(rule.fuses)), _rounding(rule))
        for rule in rules
    ]
    shown = [place for place in range(len(HEADER)) if place < ALWAYS or any(row[place] for row in rows)]
    return table([HEADER[place] for place in shown], [[row[place] for place in shown] for row in rows])


def _filled(page: str) -> str:
    """Return the page with its long lines broken, tables left alone."""
    return "".join(
        line if line.startswith("|") or len(line) <= WIDTH else _broken(line) for line in page.splitlines(keepends=True)
    )


def _broken(line: str) -> str:
    indent = "  " if line.startswith("- ") else ""
    return textwrap.fill(line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False) + "\n"


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
    (ROOT / "docs" / "operator_cases.md").write_text(cases_text())
