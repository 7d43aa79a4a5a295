"""Judge the operators of a file by a target's tables: its own, and that of the processor beside an accelerator."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..targets import kernels
from ..targets.graph import Graph, Operator
from ..targets.limits import exceeded
from ..targets.target import Target, advice, load

CONVERSIONS = ("QUANTIZE", "DEQUANTIZE", "QuantizeLinear", "DequantizeLinear")
OK, FALLBACK, NO = "yes", "fallback", "no"
Against = Literal["", "kernel", "policy", "tool"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One operator. layer: the Keras layer it belongs to; supported: yes, no, or fallback (by the processor beside).

    against: what stands against it: no kernel, a policy of the target although there is one, or the tool, which gives
    up the whole file.
    """

    operator: str
    name: str
    layer: str
    dtype: str
    supported: str
    reason: str = ""
    swap: str = ""
    against: Against = ""


@dataclass(frozen=True)
class Refusal:
    """Why a target does not run an operator."""

    against: Against
    reason: str


def operators_of(layers: Sequence[Mapping[str, Any]], graph: Graph | None) -> list[Operator]:
    """Return a file's operators: of its graph where that is known, else of what the runtime tells of `layers`."""
    if graph is None:
        return [Operator(op=layer["op"], name=layer["name"], dtype=layer["dtype"]) for layer in layers]
    told = [layer["dtype"] for layer in layers] if len(layers) == len(graph.operators) else []
    found = []
    for place, operation in enumerate(graph.operators):
        outputs = tuple(graph.of(operation.outputs))
        inputs = tuple(graph.tensors[index] if index >= 0 else None for index in operation.inputs)
        dtype = outputs[0].dtype if outputs else "none"
        found.append(Operator(
            op=operation.op, name=outputs[0].name if outputs else "", dtype=told[place] if told else dtype,
            words=graph.words(operation), tensors=(*(one for one in inputs if one), *outputs), inputs=inputs,
            outputs=outputs, options=operation.options,
        ))  # fmt: skip
    return found


def rows_of(operators: Sequence[Operator], format: str, target: Target, known: Mapping[str, str]) -> list[Row]:
    """Return a row for every operator. known: Keras layer -> class."""
    quantized = any(op.dtype in ("int8", "int16") for op in operators if op.op not in CONVERSIONS)
    return [_row(each, format, target, known, quantized, refusal(each, format, target)) for each in operators]


def as_compiled(
    rows: Sequence[Row], operators: Sequence[Operator], refused: Mapping[str, str], format: str,
    target: Target, known: Mapping[str, str],
) -> list[Row]:  # fmt: skip
    """Let the compiler decide: what it refused, by name, is left to the processor, all else is on the accelerator."""
    quantized = any(row.dtype in ("int8", "int16") for row in rows if row.operator not in CONVERSIONS)

    def judged(row: Row, operator: Operator) -> Row:
        reason = refused.get(row.name)
        if (reason is None) == (row.supported == OK):
            return row
        return _row(operator, format, target, known, quantized, (reason and Refusal("kernel", reason)) or None)

    return [judged(row, operator) for row, operator in zip(rows, operators, strict=True)]


def refusal(operator: Operator, format: str, target: Target) -> Refusal | None:
    """Return why a target does not run an operator, None if it does."""
    found = _tool(operator, target) or _kernel(operator, format, target)
    return found or _policy(operator, target)


def _tool(operator: Operator, target: Target) -> Refusal | None:
    if not target.kernels or operator.words is None:
        return None
    table = kernels.load(target.kernels)
    if not table.stop(operator.op, *operator.words):
        return None
    return Refusal("tool", f"{table.tool} gives up the whole file at it: {_typed(operator)}")


def _kernel(operator: Operator, format: str, target: Target) -> Refusal | None:
    if target.kernels and operator.words is not None:
        reason = kernels.load(target.kernels).refusal(operator.op, *operator.words)
    else:
        reason = "" if target.runs(format, operator.op) else "no kernel"
    if not reason and not target.per_channel(operator.op) and any(
        one.scales > 1 and one.is_constant for one in operator.tensors
    ):  # fmt: skip
        reason = "weights with a scale for each channel; the kernel takes one"
    rank = max((len(one.shape) for one in operator.tensors), default=0)
    if target.model.max_rank and rank > target.model.max_rank:
        reason = reason or f"a tensor of rank {rank}, at most {target.model.max_rank}"
    reason = reason or exceeded(operator, target.limits)
    return Refusal("kernel", reason) if reason else None


def _policy(operator: Operator, target: Target) -> Refusal | None:
    foreign = sorted(operator.dtypes - {*target.model.dtypes, "none", "int4"})
    if not foreign or operator.op in target.model.converts:
        return None
    if target.kernels:
        return Refusal("policy", f"policy: {', '.join(foreign)} tensors; there is a kernel, {target.model.policy}")
    return Refusal("kernel", f"{', '.join(foreign)} tensors; kernels take {', '.join(target.model.dtypes)}")


def _typed(operator: Operator) -> str:
    assert operator.words is not None
    return " > ".join(" ".join(words) for words in operator.words) + " tensors"


def _row(
    operator: Operator, format: str, target: Target, known: Mapping[str, str], quantized: bool, why: Refusal | None
) -> Row:
    where = layer_of(operator.name, known)
    row = Row(operator=operator.op, name=operator.name, layer=where, dtype=operator.dtype, supported=OK)
    if why is None:
        return row
    reason, against, supported = why.reason, why.against, NO
    if target.fallback and why.against != "tool":
        # A processor beside an accelerator runs integers or, where it can, floats as well.
        beside = refusal(operator, format, load(target.fallback))
        supported = NO if beside else FALLBACK
        if beside:
            against = beside.against
            reason = reason if beside.reason == reason else f"{reason}; on {target.fallback}: {beside.reason}"
    swap = swap_for(operator.op, known.get(where, ""))
    if " tensors; " in reason and "float" in reason.split(";")[0] and operator.op not in CONVERSIONS:
        swap = advice()["dtypes"]["mixed" if quantized else "float"]
    return Row(operator=operator.op, name=operator.name, layer=where, dtype=operator.dtype, supported=supported,
               reason=reason, swap=swap, against=against if supported == NO else "")  # fmt: skip


def swap_for(operator: str, layer_class: str) -> str:
    """Return what to use instead of an operator or of the layer that it belongs to."""
    known = advice()
    return known["layers"].get(layer_class) or known["operators"].get(operator, "")


def layer_of(name: str, layers: Mapping[str, str]) -> str:
    """Return the Keras layer that an operator's name speaks of, or "" if none can be told.

    Names are paths of scopes, fused operators join several by semicolons, and tracing appends numbers.
    """
    if not layers:
        scope, _, _ = name.partition(";")[0].rpartition("/")
        return scope
    for path in name.split(";"):
        parts = [part if part in layers else re.sub(r"_\d+$", "", part) for part in path.split("/")]
        found = [part for part in parts if part in layers]
        if found:
            return found[-1]
    return ""


def left(rows: Sequence[Row]) -> Iterator[Row]:
    """Yield what an accelerator leaves over."""
    yield from (row for row in rows if row.supported != OK)
