"""How to quantize: the configuration of quantization-aware training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import keras

from ..errors import BadInput, refuse_unknown
from ..precision import PRECISIONS
from . import naming
from .graph.layer_rules import RECURRENCES
from .graph.nodes import Graph, Node
from .observers import OBSERVERS
from .operators import NARROW, rule_for
from .passes.roots import ROOTS
from .placement import Choice
from .stream import residual_stream

RANGES = ("frozen", "moving-average", "learned")
ARITHMETICS = ("xnnpack", "reference")
FLOAT = "float32"


@dataclass(frozen=True, kw_only=True)
class QatConfig:
    """How to quantize. Precedence: `by_name` (layer path, shell wildcards), then `by_type` (operation such as "Matmul",
    else class of a layer such as "Dense"), then `default`. `prepare_qat` refuses names and types that mean nothing.

    Values: "w8a8"; "w8a16", 16-bit activations, for what is sensitive; "w4a8", 4-bit kernels where LiteRT has them
    (8-bit elsewhere); "w7a8", kernels of reduced range for ONNX Runtime on processors without VNNI; None leaves the
    operation in float. equalize, correct_biases: the corrections of `correct`, before training.

    observer: how calibration chooses a range: "minmax" takes the extremes of the samples, "percentile" clips each tail
    to `percentile` of the values, "mse" makes the squared error least. ranges: what becomes of them in training:
    "frozen" keeps them, "moving-average" follows the extremes of each batch (`momentum` of the old stays), "learned"
    trains their width with the weights, as LSQ does (Esser et al. 2020, arXiv:1902.08153) in the logarithm
    (arXiv:1903.08066). freeze_after: steps after which they stay as they are.

    recurrence: "unrolled" writes every step of a recurrence with shared weights, which is fast; "fused" makes an LSTM
    one operator, small and slower, whose states the runtime keeps and must reset between sequences.

    reciprocal_root: "table" looks the reciprocal square root of a normalization up, exactly but by three operators that
    NPUs lack; "operator" writes the one of that name, whose kernel is a step off on up to 3 of 256 integers.

    rounding: whose kernels the fake-quantizers round as: "xnnpack", LiteRT's on processors, or "reference", LiteRT's
    reference kernels and TensorFlow Lite Micro, which multiply in integers.

    narrow: the operators that "w4a8" gives 4-bit kernels; runtimes of microcontrollers lack those of FULLY_CONNECTED.

    residual_stream: the precision of what blocks read, add to and hand on, found in the wiring of the model (see
    `stream`): "float32", or one of the above as "w8a16"; None gives it what all else has. Names and types go before it.

    least_db: operators that keep less of their signal than so many decibels on the calibration samples, where their
    inputs had more, are left in float, and so is what reads an input whose columns differ too much in size for one
    scale; None quantizes them all the same. kept: what `prepare_qat` left in float for that, and why, by place.
    """

    default: str | None = "w8a8"
    by_name: dict[str, str | None] = field(default_factory=dict)
    by_type: dict[str, str | None] = field(default_factory=dict)
    observer: str = "minmax"
    percentile: float = 99.99
    ranges: str = "frozen"
    momentum: float = 0.99
    freeze_after: int | None = None
    equalize: bool = False
    correct_biases: bool = False
    recurrence: str = "unrolled"
    reciprocal_root: str = "table"
    rounding: str = "xnnpack"
    narrow: Sequence[str] = tuple(sorted(NARROW))
    residual_stream: str | None = None
    least_db: float | None = 15.0
    kept: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in [("default", self.default), *self.by_name.items(), *self.by_type.items()]:
            if value is not None and value not in PRECISIONS:
                allowed = ", ".join(map(repr, PRECISIONS))
                raise BadInput(f"QatConfig: {name}={value!r} is not a precision; allowed: {allowed}, or None for float")
        if self.residual_stream not in (None, FLOAT, *PRECISIONS):
            allowed = ", ".join(map(repr, (FLOAT, *PRECISIONS)))
            raise BadInput(
                f"QatConfig: residual_stream={self.residual_stream!r} is not a precision; allowed: {allowed}, or None "
                "for that of all else"
            )
        forms = {
            "observer": OBSERVERS, "ranges": RANGES, "recurrence": RECURRENCES, "reciprocal_root": ROOTS,
            "rounding": ARITHMETICS,
        }  # fmt: skip
        for name, known in forms.items():
            if getattr(self, name) not in known:
                raise BadInput(f"QatConfig: {name}={getattr(self, name)!r} is unknown; allowed: {', '.join(known)}")
        if unknown := sorted(set(self.narrow) - NARROW):
            allowed = ", ".join(sorted(NARROW))
            raise BadInput(f"QatConfig: narrow={unknown[0]!r} has no kernel for 4-bit weights; allowed: {allowed}")
        if not 0 <= self.momentum < 1:
            raise BadInput(f"QatConfig: momentum={self.momentum} must be at least 0 and below 1")
        if self.freeze_after is not None and (self.freeze_after < 0 or self.ranges == "frozen"):
            raise BadInput(
                f"QatConfig: freeze_after={self.freeze_after} must be a number of steps, at least 0, "
                "with ranges='moving-average' or 'learned'"
            )
        if not 50 < self.percentile <= 100:
            raise BadInput(f"QatConfig: percentile={self.percentile} must be above 50 and at most 100")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> QatConfig:
        """Build from a mapping, as read from YAML. Raises: BadInput naming an unknown key."""
        refuse_unknown("QatConfig", values, [known.name for known in fields(cls)])
        return cls(**values)

    def chooser(self, model: keras.Model, graph: Graph) -> Callable[[Node], Choice]:
        """Return what gives the precision of a node of `graph`, that of `model`, and why it is another than was asked
        for; None for float.
        """
        classes = naming.classes_in(model)
        stream = residual_stream(graph) if self.residual_stream else ()

        def choose(node: Node) -> Choice:
            precision, reason = chosen(node)
            rule = rule_for(node) if precision is not None and PRECISIONS[precision].weights == 4 else None
            if rule is not None and rule.builtin_op in NARROW - set(self.narrow):
                return "w8a8", f"QatConfig.narrow leaves out {rule.builtin_op}"
            return precision, reason

        def chosen(node: Node) -> Choice:
            for pattern, precision in self.by_name.items():
                if naming.names(pattern, node):
                    return precision, "" if precision else f"QatConfig.by_name[{pattern!r}] is None"
            for kind in (*node.op_types, *classes(node)) if self.by_type else ():
                if kind in self.by_type:
                    precision = self.by_type[kind]
                    return precision, "" if precision else f"QatConfig.by_type[{kind!r}] is None"
            if node.scope in self.kept:
                return None, self.kept[node.scope]
            if id(node) in stream:
                precision = None if self.residual_stream == FLOAT else self.residual_stream
                return precision, "" if precision else f"QatConfig.residual_stream={FLOAT!r}"
            return self.default, "" if self.default else "QatConfig.default is None"

        return choose

    def check_used(self, nodes: Sequence[Node], model: keras.Model) -> None:
        """Raise BadInput for names and types that mean none of `nodes`, the operations of `model`."""
        if self.by_name or self.by_type:
            naming.check_used(self.by_name, self.by_type, nodes, model)
