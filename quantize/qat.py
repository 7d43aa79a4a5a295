"""Quantization-aware training: a model rebuilt from its operations with fake-quantizers where its int8 kernels round.

    qat, report = prepare_qat(model, calibration=samples)
    qat.compile(...); qat.fit(...)          # any learner, TensorFlow or JAX

Batch normalisation is folded before training, ranges start from calibration, exact zeros of kernels stay zero, and the
kernels of a clustered model keep their number of values.
Source: Jacob et al. 2018, arXiv:1712.05877.
"""

from __future__ import annotations

import copy
import functools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from ..ends import distinct
from ..errors import BadInput, WrongOrder, refuse_unknown
from ..precision import PRECISIONS
from ..progress import say, track
from . import naming
from .fake_quant import (
    ROUNDINGS,
    SMALLEST_RANGE,
    fake_quantize,
    fake_quantize_bias,
    fake_quantize_kernel,
    kernel_scale,
    learned_steps,
    limits,
    nudge,
    nudged,
    steps,
    to_power_of_two,
    value_range,
)
from .graph.layer_rules import RECURRENCES
from .graph.nodes import Graph, Node, Tensor
from .graph.operations import NEVER
from .graph.tracing import trace
from .noise import check_trace, measure, of_first, signal_to_noise, too_coarse, weak_operators
from .observers import OBSERVERS
from .operators import NOTHING, PRODUCTS, RESCALES, SUMS, refuse_what_no_file_holds
from .passes.canonicalize import canonicalize
from .passes.correct import bias_shift, equalize
from .placement import Choice, FusedOp, Plan, Scale, clustered_kernels, place, sparse_kernels
from .samples import build, from_config, gather, to_config

RANGES = ("frozen", "moving-average", "learned")
# Inputs often lie on a grid of their own (sixteenths, 1/255). A range a little wider than theirs keeps them off the
# midpoints between two steps, where the kernels of different runtimes round differently.
SLACK = 1.001
HELD_AT_ONCE = 2**30  # bytes of activations that calibration holds
WEAK_DB = 20.0  # an output that keeps less of its signal is worth a word
ROUNDS = 3  # of keeping operators in float that 8 bits are too coarse for
FEWEST_PARTS = 17  # of 256 in a ratio of scales, which widens a range by less than an eighth


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
    least_db: float | None = 15.0
    kept: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in [("default", self.default), *self.by_name.items(), *self.by_type.items()]:
            if value is not None and value not in PRECISIONS:
                allowed = ", ".join(map(repr, PRECISIONS))
                raise BadInput(f"QatConfig: {name}={value!r} is not a precision; allowed: {allowed}, or None for float")
        for name, known in (("observer", OBSERVERS), ("ranges", RANGES), ("recurrence", RECURRENCES)):
            if getattr(self, name) not in known:
                raise BadInput(f"QatConfig: {name}={getattr(self, name)!r} is unknown; allowed: {', '.join(known)}")
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

    def chooser(self, model: keras.Model) -> Callable[[Node], Choice]:
        """Return what gives the precision of a node of `model`, or None and why it stays in float."""
        classes = naming.classes_in(model)

        def choose(node: Node) -> Choice:
            for pattern, precision in self.by_name.items():
                if naming.names(pattern, node):
                    return precision, "" if precision else f"QatConfig.by_name[{pattern!r}] is None"
            for kind in (*node.op_types, *classes(node)) if self.by_type else ():
                if kind in self.by_type:
                    precision = self.by_type[kind]
                    return precision, "" if precision else f"QatConfig.by_type[{kind!r}] is None"
            if node.scope in self.kept:
                return None, self.kept[node.scope]
            return self.default, "" if self.default else "QatConfig.default is None"

        return choose

    def check_used(self, nodes: Sequence[Node], model: keras.Model) -> None:
        """Raise BadInput for names and types that mean none of `nodes`, the operations of `model`."""
        naming.check_used(self.by_name, self.by_type, nodes, model)


@dataclass(frozen=True)
class QatReport:
    """What happened to each operator: rows of `{name, operator, precision, range, reason, snr_db}`.

    losses: the layers that added to the loss when they were called (`add_loss`, activity regularizers) and do not here.
    weak: what little signal some outputs keep, and what may repair it.
    """

    rows: tuple[dict[str, Any], ...]
    losses: tuple[str, ...] = ()
    weak: tuple[str, ...] = ()

    @property
    def float_ops(self) -> tuple[dict[str, Any], ...]:
        """The operators left in float; each row's `reason` says why."""
        return tuple(row for row in self.rows if row["precision"] == "float32")

    def __str__(self) -> str:
        counts = Counter(row["precision"] for row in self.rows)
        real = [row for row in self.rows if row["precision"] in (*PRECISIONS, "float32")]
        names = [name for name in PRECISIONS if counts[name]] or ["w8a8"]
        lines = [f"{counts[name]} of {len(real)} operators quantized to {name}" for name in names]
        lines += [f"  float32  {row['name']}: {row['reason']}" for row in self.float_ops]
        lines += [f"  without what {name} adds to the loss" for name in self.losses]
        lines += [f"  {line}" for line in self.weak]
        return "\n".join(lines)


def prepare_qat(
    model: keras.Model, config: QatConfig | None = None, *, calibration: Any
) -> tuple[keras.Model, QatReport]:
    """Return a model that computes as `model`'s int8 export will, trainable by any learner, and a report. `model` is
    untouched.

    calibration: some hundred samples from the training data, as the model takes them: arrays (N, ...), a list or dict
    of them for several inputs, a data frame, a data set (see `samples.gather`). Dimensions that the model leaves open
    become those of the samples.
    Raises: BadInput for samples that the model cannot take or that are not finite, for a model that cannot be traced
    (naming the layer), or that traced computes something else.
    """
    refuse_quantized(model)
    config = config or QatConfig()
    inputs, samples = gather(model, calibration)
    source = source_of(model)
    layer = _planned(model, config, inputs, source)
    real = layer.calibrate(samples)
    check_trace(layer, model, inputs, samples, real)
    seen = measure(layer, samples, real)
    if config.least_db is not None:
        layer, seen = _with_float_where_8_bits_are_too_coarse(layer, seen, model, inputs, samples)
    weak = weak_operators(layer, seen, WEAK_DB)
    for line in weak:
        say(f"{model.name}: {line}")
    noise = {key: signal_to_noise(pair) for key, pair in seen.items()}
    report = QatReport(tuple(layer.describe(noise)), tuple(layer.plan.graph.losses), tuple(weak))
    return as_model(layer, model, inputs), report


def _planned(model: keras.Model, config: QatConfig, inputs: Any, source: Any) -> QuantizedGraph:
    plan = make_plan(model, config, inputs=inputs)
    config.check_used(plan.graph.nodes, model)
    _refuse_broken_weights(plan.graph)
    return QuantizedGraph(
        source=source,
        config=asdict(config),
        masked=[leaf.name for leaf in sparse_kernels(plan)],
        clustered={leaf.name: count for leaf, count in clustered_kernels(plan).items()},
        inputs=to_config(inputs),
        plan=plan,
        name=f"{model.name}_int8",
    )


def _with_float_where_8_bits_are_too_coarse(
    layer: QuantizedGraph, seen: dict, model: keras.Model, inputs: Any, samples: list[np.ndarray]
) -> tuple[QuantizedGraph, dict]:
    """Keep in float what `too_coarse` finds, until that finds no more or helps no more."""
    for _ in range(ROUNDS):
        found = too_coarse(layer, seen, layer.config.least_db)
        kept = {**found, **layer.config.kept}
        if len(kept) == len(layer.config.kept):
            break
        other = _planned(model, replace(layer.config, kept=kept), inputs, layer.source)
        theirs = measure(other, samples, other.calibrate(samples))
        if _worst(other, theirs) < _worst(layer, seen):
            break
        layer, seen = other, theirs
    return layer, seen


def _worst(layer: QuantizedGraph, seen: dict) -> float:
    outputs = [seen[id(leaf)] for leaf in layer.plan.graph.outputs if id(leaf) in seen]
    return min((signal_to_noise(pair) for pair in outputs), default=0.0)


def _refuse_broken_weights(graph: Graph) -> None:
    for leaf in graph.constants:
        if leaf.dtype.startswith("float") and not np.all(np.isfinite(leaf.value)):
            raise BadInput(
                f"weight {leaf.name} holds values that are not finite: training has diverged; take an earlier state"
            )


def source_of(model: keras.Model) -> dict[str, Any] | Unsaved:
    """Return the configuration of `model`, without what it was compiled with, or why it has none."""
    models = [one for one in model._flatten_layers() if isinstance(one, keras.Model)]
    for one in models:
        one.__dict__["get_compile_config"] = lambda: None
    try:
        return keras.saving.serialize_keras_object(model)
    except (NotImplementedError, TypeError, ValueError, AttributeError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return Unsaved(" ".join(lines[:2]) if lines else type(error).__name__)
    finally:
        for one in models:
            one.__dict__.pop("get_compile_config", None)


@dataclass(frozen=True)
class Unsaved:
    """Stands for the configuration of a model that has none: it can be trained and exported, but not saved."""

    reason: str


def as_model(layer: QuantizedGraph, source: keras.Model, inputs: Any) -> keras.Model:
    """Return `layer` as a model that takes `inputs` and returns what `source` does, under its names."""
    given = tree.map_structure(lambda x: keras.Input(x.shape[1:], dtype=x.dtype, name=x.name), inputs)
    outputs = tree.flatten(layer(given))
    structure = getattr(source, "output", None) if hasattr(source, "outputs") else None
    if len(outputs) > 1:
        taken = {layer.name, *(leaf.name for leaf in tree.flatten(given))}
        names = distinct(getattr(source, "output_names", None) or [], len(outputs), taken)
        outputs = [keras.layers.Identity(name=name)(leaf) for name, leaf in zip(names, outputs, strict=True)]
    if isinstance(structure, dict):
        return keras.Model(given, tree.pack_sequence_as(structure, outputs), name=source.name)
    return keras.Model(given, outputs if len(outputs) > 1 else outputs[0], name=source.name)


def find_quantized(model: keras.Model) -> QuantizedGraph | None:
    """Return the quantization-aware part of a model made by `prepare_qat`, or None.

    Raises: WrongOrder if the model has more around that part: an export would leave it out.
    """
    inside = [one for one in _layers_of(model) if isinstance(one, QuantizedGraph)]
    if not inside:
        return None
    around = [
        one.name
        for one in getattr(model, "layers", ())
        if not isinstance(one, (QuantizedGraph, keras.layers.InputLayer, keras.layers.Identity))
    ]
    if around or len(inside) > 1:
        others = around or [one.name for one in inside]
        raise WrongOrder(
            f"model {model.name!r} has {', '.join(map(repr, others[:3]))} around a quantization-aware model: put all "
            "layers into the model first, then call prepare_qat(model, calibration=samples)"
        )
    return inside[0]


def refuse_quantized(model: keras.Model) -> None:
    """Raise WrongOrder if `model`, or a part of it, is quantization-aware."""
    if find_quantized(model) is not None:
        raise WrongOrder(f"model {model.name!r} is quantization-aware already: train it, then export_tflite(model)")


def _layers_of(model: Any) -> Iterator[keras.Layer]:
    return model._flatten_layers() if hasattr(model, "_flatten_layers") else iter(getattr(model, "layers", ()))


def make_plan(
    model: keras.Model, config: QatConfig, carried: Sequence[tuple[int, int]] = (), inputs: Any = None
) -> Plan:
    """Trace `model` to operations and place the quantizers.

    carried: inputs and the outputs that become them in the next call, which share a scale. inputs: symbolic tensors as
    the model takes them, by default its own.  Raises: BadInput where the model cannot be traced.
    """
    graph = canonicalize(trace(model, RECURRENCES[config.recurrence], inputs))
    refuse_what_no_file_holds(graph)
    if config.equalize:
        equalize(graph)
    return place(graph, config.chooser(model), carried)


@keras.saving.register_keras_serializable("edgewright")
class QuantizedGraph(keras.Layer):
    """The planned graph as a layer: weights, masks and ranges are its variables; `call` executes the steps.

    Built again from its configuration it traces the source model anew, arrives at the same plan, and loads its
    variables.
    """

    is_quantization_aware = True  # for those who may not import this class

    def __init__(
        self,
        source: dict | Unsaved,
        config: dict,
        *,
        masked: Sequence[str] = (),
        clustered: Mapping[str, int] | None = None,
        carried: Sequence[tuple[int, int]] = (),
        inputs: Any = None,
        plan: Plan | None = None,
        **kwargs: Any,
    ):
        super().__init__(**{**kwargs, "dtype": "float32"})  # also where the model has half precision
        self.source, self.config, self.masked = source, QatConfig.from_dict(config), list(masked)
        self.clustered = dict(clustered or {})
        self.carried = [tuple(pair) for pair in carried]
        self.inputs_config = inputs
        if plan is None:
            model = keras.saving.deserialize_keras_object(copy.deepcopy(source))
            given = None if inputs is None else from_config(copy.deepcopy(inputs))
            if given is not None:
                build(model, given)
            plan = make_plan(model, self.config, self.carried, given)
        self.plan = _Untracked(plan)
        self.leaves = [node.op for node in plan.graph.nodes if isinstance(node.op, keras.Layer)]
        self.weight_of: dict[str, Any] = {}
        self.mask_of: dict[str, Any] = {}
        self.cluster_of: dict[str, Any] = {}
        self.range_of: dict[str, Any] = {}
        self.width_of: dict[str, Any] = {}
        for leaf in plan.graph.constants:
            if leaf.name in self.clustered:
                self._new_clusters(leaf)
            elif leaf.shape:
                self.weight_of[leaf.name] = self._new(leaf.name, leaf.value, leaf.trainable, leaf.regularizer)
            if leaf.name in self.masked:
                self.mask_of[leaf.name] = self._new(f"{leaf.name}.mask", np.float32(leaf.value != 0), False)
        for scale in plan.distinct_scales:
            if scale.source in ("observed", "state"):
                self.range_of[scale.name] = self._new(f"{scale.name}.range", np.array([-1.0, 1.0]), False)
                if (
                    self.config.ranges == "learned" and scale.source == "observed"
                ):  # how often as wide as calibrated, as a logarithm
                    self.width_of[scale.name] = self._new(f"{scale.name}.width", np.zeros(()), True)
        self.steps_taken = None
        if self.config.freeze_after is not None:
            self.steps_taken = self._new("steps_taken", np.zeros((), np.int32), False)
        self.built = True

    def _new(self, name: str, value: np.ndarray, trainable: bool, regularizer: Any = None) -> Any:
        dtype = "float32" if value.dtype.kind == "f" else str(value.dtype)
        return self.add_weight(
            shape=value.shape,
            initializer=lambda shape, dtype=None: ops.cast(value, dtype),
            trainable=trainable,
            name=re.sub(r"[^\w.-]", ".", name),  # optimizers make scopes of it
            dtype=dtype,
            regularizer=regularizer,
        )

    def _new_clusters(self, leaf: Tensor) -> None:
        """Make a clustered kernel of its centroids, which are trained, and the number of the one in each place."""
        count = self.clustered[leaf.name]
        values, numbers = np.unique(leaf.value, return_inverse=True)
        centroids = np.resize(values, count)  # a model rebuilt from its configuration is filled afterwards
        self.weight_of[leaf.name] = self._new(f"{leaf.name}.centroids", centroids, leaf.trainable)
        numbers = np.minimum(numbers.reshape(leaf.shape), count - 1).astype(np.int32)
        self.cluster_of[leaf.name] = self._new(f"{leaf.name}.clusters", numbers, False)

    def get_config(self) -> dict[str, Any]:
        if isinstance(self.source, Unsaved):
            raise BadInput(
                f"model {self.name!r} cannot be saved: {self.source.reason} Give each layer of your own a get_config() "
                "that returns what its __init__ takes; without one the model can still be trained and exported here"
            )
        own = {"source": self.source, "config": asdict(self.config), "masked": self.masked}
        own |= {"clustered": self.clustered, "carried": self.carried, "inputs": self.inputs_config}
        return copy.deepcopy({**super().get_config(), **own})

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        if not training or self.config.ranges == "frozen":
            return self.execute(inputs, training=training)
        seen: dict[str, list[tuple[Any, Any]]] = {}

        def watch(leaf: Tensor, value: Any) -> None:
            values = ops.where(value > NEVER, value, 0.0)
            seen.setdefault(self.plan.scale_of(leaf).name, []).append((ops.min(values), ops.max(values)))

        follows = self.config.ranges == "moving-average"
        result = self.execute(inputs, training=training, **({"watch": watch} if follows else {}))
        for scale in self.plan.distinct_scales if follows else ():
            if scale.source == "observed":
                self._follow(scale, seen[scale.name])
        if self.steps_taken is not None:
            self.steps_taken.assign(self.steps_taken + 1)
        return result

    def _follow(self, scale: Scale, extremes: list[tuple[Any, Any]]) -> None:
        """Move a range a little towards the extremes of this batch, unless it is frozen."""
        low = ops.min(ops.stack([low for low, _ in extremes])) - scale.range_margin
        high = ops.max(ops.stack([high for _, high in extremes]))
        for step in self.plan.makers[scale.name] if scale.bits == 8 else ():
            high = ops.maximum(high, low + self._narrowest(step))
        old = ops.convert_to_tensor(self.range_of[scale.name])
        moved = self.config.momentum * old + (1 - self.config.momentum) * ops.stack([low, high])
        self.range_of[scale.name].assign(ops.where(self._is_free(), moved, old))

    def _is_free(self) -> Any:
        return True if self.steps_taken is None else ops.less(self.steps_taken, self.config.freeze_after)

    def compute_output_spec(self, inputs: Any, training: bool | None = None) -> Any:
        specs = [keras.KerasTensor(leaf.shape, dtype=leaf.dtype) for leaf in self.plan.graph.outputs]
        return specs[0] if len(specs) == 1 else specs

    def execute(
        self,
        inputs: Any,
        *,
        training: bool | None = None,
        quantize: bool = True,
        watch: Callable[[Tensor, Any], None] = lambda leaf, value: None,
        after: Callable[[Tensor, Any], Any] = lambda leaf, value: value,
    ) -> Any:
        """Run the steps. `quantize=False` is the float model; `watch(tensor, value)` sees every tensor that has a
        scale.
        """
        plan = self.plan
        held: dict[int, Any] = {}
        kernels: dict[tuple[int, bool], Any] = {}
        ranges: dict[str, tuple[Any, Any]] = {}

        def store(leaf: Tensor, value: Any, rounded: bool, halves: str = "") -> None:
            scale = plan.scale_of(leaf)
            if scale is not None:
                watch(leaf, value)
            if quantize and scale and rounded:
                if scale.name not in ranges:
                    ranges[scale.name] = self.range(scale)
                low_high = ranges[scale.name]
                given = ROUNDINGS[halves](value, *low_high, scale.bits) if halves else value
                value = fake_quantize(given, *low_high, scale.bits)
                if scale.name in self.width_of:
                    value = value + learned_steps(given, value, *self.gradient_range(scale), scale.bits)
            held[id(leaf)] = after(leaf, value)

        def value(leaf: Tensor) -> Any:
            if id(leaf) not in held:
                store(leaf, self.weight(leaf), True)
            return held[id(leaf)]

        def kernel(step: FusedOp) -> tuple[Any, Any]:
            """Return the kernel of a step and its scale, which it has none of in float."""
            key = id(step.kernel), step.rule is None
            if key not in kernels:
                weight, scale = self.weight(step.kernel), None
                if quantize and step.rule:
                    channels, bits = step.rule.channels, step.precision.weights
                    scale = kernel_scale(weight, channels, bits)
                    weight = fake_quantize_kernel(weight, channels, bits, scale)
                kernels[key] = weight, scale
            return kernels[key]

        batch = ops.shape(tree.flatten(inputs)[0])[0]
        for leaf, given in zip(plan.graph.inputs, tree.flatten(inputs), strict=True):
            store(leaf, ops.cast(given, leaf.dtype), True)
        for step in plan.steps:
            inner: dict[int, Any] = {}
            scale = None
            if step.kernel is not None:
                inner[id(step.kernel)], scale = kernel(step)
            if step.bias is not None:
                inner[id(step.bias)] = self.weight(step.bias) if scale is None else self.bias(step, scale)
            for leaf, weight in step.biases:
                inner[id(leaf)] = self.accumulated(step, leaf, weight) if quantize and step.rule else self.weight(leaf)
            for node in step.nodes:
                extra = {}
                if quantize and step.rule and step.rule.states:
                    extra["rounded"] = [self.rounding(leaf) for leaf in node.outputs]
                results = node.run(
                    lambda leaf, inner=inner: inner[id(leaf)] if id(leaf) in inner else value(leaf),
                    training=training,
                    batch=batch,
                    **extra,
                )
                inner.update((id(out), result) for out, result in zip(node.outputs, results, strict=True))
            for out in step.outputs:
                rule = step.rule
                store(out, inner[id(out)], rule is None or not rule.passthrough, rule.rounding if rule else "")
        results = [value(leaf) for leaf in plan.graph.outputs]
        return results[0] if len(results) == 1 else results

    def weight(self, leaf: Tensor) -> Any:
        """Return the present value of a weight or constant, its mask applied."""
        if leaf.name not in self.weight_of:
            return ops.convert_to_tensor(leaf.value)
        weight = ops.convert_to_tensor(self.weight_of[leaf.name])
        if leaf.name in self.cluster_of:
            weight = ops.take(weight, self.cluster_of[leaf.name], axis=0)
        return weight * self.mask_of[leaf.name] if leaf.name in self.mask_of else weight

    def bias(self, step: FusedOp, scale: Any) -> Any:
        """Return the bias of a quantized step on the grid of its accumulator; `scale` is that of its kernel."""
        data = self.plan.scale_of(step.inputs[0])
        return fake_quantize_bias(self.weight(step.bias), self.range(data), scale, data.bits)

    def accumulated(self, step: FusedOp, bias: Tensor, kernel: Tensor) -> Any:
        """Return one of several biases of a quantized step on the grid of its accumulator."""
        data = self.plan.scale_of(step.inputs[0])
        (low, high), bits = self.range(self.plan.scale_of(kernel)), self.plan.scale_of(kernel).bits
        return fake_quantize_bias(self.weight(bias), self.range(data), (high - low) / steps(bits), data.bits)

    def rounding(self, leaf: Tensor) -> Callable[[Any], Any]:
        """Return what rounds values to the scale of `leaf`."""
        scale = self.plan.scale_of(leaf)
        return lambda values: fake_quantize(values, *self.range(scale), scale.bits)

    def range(self, scale: Scale) -> tuple[Any, Any]:
        """Return the real values that the smallest and the largest integer of `scale` stand for."""
        if scale.source == "fixed":
            return scale.fixed.range(scale.bits)
        if scale.source == "values":
            constant = next(leaf for leaf in scale.tensors if leaf.is_constant)
            return value_range(self.weight(constant), scale.symmetric, scale.bits)
        if scale.name in self.width_of:
            low, high = self.gradient_range(scale)
            return ops.stop_gradient(low), ops.stop_gradient(high)
        low, high = ops.unstack(ops.convert_to_tensor(self.range_of[scale.name]), 2)
        return nudged(low, high, scale.symmetric, scale.bits) if self.config.ranges == "moving-average" else (low, high)

    def gradient_range(self, scale: Scale) -> tuple[Any, Any]:
        """Return a learned range as something to differentiate by, until it is frozen."""
        low, high = ops.unstack(ops.convert_to_tensor(self.range_of[scale.name]), 2)
        width = ops.convert_to_tensor(self.width_of[scale.name])
        factor = ops.exp(ops.where(self._is_free(), width, ops.stop_gradient(width)))
        return low * factor, high * factor

    def calibrate(self, samples: list[np.ndarray]) -> dict[int, np.ndarray]:
        """Set the observed ranges from float activations on `samples`.

        Return, by id of tensor, those of the first `noise.SAMPLES`, to compare others with.
        """
        first: dict[int, np.ndarray] = {}
        scales = {scale.name: scale for scale in self.plan.distinct_scales}

        def batches() -> Iterator[Iterator[tuple[str, np.ndarray]]]:
            for batch in self._float_activations(samples, first):
                named = ((self.plan.scale_of(leaf).name, _present(values)) for leaf, values in batch)
                yield ((name, values) for name, values in named if values.size)

        bits = {name: scale.bits for name, scale in scales.items()}
        found = OBSERVERS[self.config.observer](batches, bits, self.config.percentile)
        for name, variable in self.range_of.items():
            low, high = (end * SLACK for end in found[name])
            scale = scales[name]
            if scale.source == "state":
                low, high = to_power_of_two(low, high, scale.bits)
            ends = nudge(low - scale.range_margin, high, scale.symmetric, scale.bits)
            variable.assign(np.array(ends, np.float32))
        self._widen_the_narrow()
        self._choose_exact_ratios()
        if self.config.correct_biases:
            self._correct_biases(samples)
        return first

    def _widen_the_narrow(self) -> None:
        """Give what was (nearly) always zero on the samples, a dead unit for one, a range that kernels take."""
        for step in self.plan.steps:
            made = self.plan.scale_of(step.outputs[0])
            if made is not None and made.source == "observed" and made.bits == 8:
                low, high = (float(end) for end in self.range(made))
                if high - low < (least := float(self._narrowest(step))):
                    self.range_of[made.name].assign(np.array(nudge(low, low + least, made.symmetric), np.float32))

    def _narrowest(self, step: FusedOp) -> Any:
        """Return the narrowest range for what `step` makes: its kernel has to multiply by less than 256.

        Nothing is lost, since one step of the accumulator, or of the coarsest summand, is what a result is known to.
        """
        scales = [scale for leaf in step.inputs if (scale := self.plan.scale_of(leaf)) is not None]
        sizes = [(high - low) / steps(scale.bits) for scale in scales for low, high in [self.range(scale)]]
        if step.rule is None or not sizes:
            return 0.0
        if step.kernel is not None:  # whose scale training may change: a factor of 16 is left for that
            largest = ops.max(ops.abs(self.weight(step.kernel))) / limits(step.precision.weights)[1]
            return steps(8) * sizes[0] * ops.maximum(largest, SMALLEST_RANGE) / 16
        if step.rule.builtin_op in PRODUCTS:
            return steps(8) * sizes[0] * sizes[-1] / 128
        return steps(8) * functools.reduce(ops.maximum, sizes) / 128 if step.rule.builtin_op in SUMS else 0.0

    def _choose_exact_ratios(self) -> None:
        """Widen the ranges that a mere change of scale leads to until the ratio of the scales is one that XNNPACK has.

        It multiplies by 256ths. Of an odd number of them hardly any result lies halfway between two steps.
        """
        chosen: set[str] = set()
        for step in self.plan.steps:
            data = next((leaf for leaf in step.inputs if leaf.producer is not None), None)  # not an input of the model
            given, made = (self.plan.scale_of(leaf) for leaf in (data or step.outputs[0], step.outputs[0]))
            if given is None or made is None or given is made or made.source != "observed" or made.name in chosen:
                continue
            if (given.bits, made.bits) != (8, 8) or not self._only_rescales(step, made):
                continue
            (low, high), (least, most) = ([float(end) for end in self.range(scale)] for scale in (made, given))
            ratio = (most - least) / (high - low)
            parts = int(256 * ratio) - 1 | 1
            if parts >= FEWEST_PARTS:
                wider = 256 * ratio / parts
                self.range_of[made.name].assign(np.array([low * wider, high * wider], np.float32))
                chosen.add(made.name)

    def _only_rescales(self, step: FusedOp, made: Scale) -> bool:
        if step.rule is None or step.rule.builtin_op in RESCALES:
            return step.rule is not None
        constants = [np.asarray(self.weight(leaf)) for leaf in step.inputs if leaf.is_constant]
        low, high = (float(end) for end in self.range(made))
        is_sum = step.rule.builtin_op == "ADD" and step.activation is None and len(constants) == 1
        return is_sum and np.abs(constants[0]).max() < (high - low) / steps(made.bits) / NOTHING

    def _correct_biases(self, samples: list[np.ndarray]) -> None:
        """Take from each bias what rounding its kernel adds on average."""
        steps = {
            id(step.bias): step
            for step in self.plan.steps
            if step.rule and step.bias is not None and step.nodes[0].op_type != "TransposedConv"
        }
        wanted = {id(step.inputs[0]) for step in steps.values()}
        sums: dict[int, tuple[Any, int]] = {}

        for batch in self._float_activations(samples):
            for leaf, values in batch:
                if id(leaf) in wanted:
                    rows = values.reshape(-1, values.shape[-1]).astype(np.float64)
                    total, count = sums.get(id(leaf), (0.0, 0))
                    sums[id(leaf)] = total + rows.sum(0), count + len(rows)
        for step in steps.values():
            total, count = sums[id(step.inputs[0])]
            kernel, kind = self.weight(step.kernel), step.nodes[0].op_type
            shift = bias_shift(kind, kernel, total / count, step.rule.channels, step.precision.weights)
            bias = self.weight_of[step.bias.name]
            bias.assign(np.asarray(bias) - shift.reshape(bias.shape).astype(np.float32))

    def _float_activations(
        self, samples: list[np.ndarray], first: dict[int, np.ndarray] | None = None
    ) -> Iterator[list[tuple[Tensor, np.ndarray]]]:
        """Yield, batch by batch, the float values of every tensor that has a scale.

        first: gets what the first samples give.
        """
        outputs = {id(leaf) for leaf in self.plan.graph.outputs}
        made = (leaf for node in self.plan.graph.nodes for leaf in node.outputs)
        bytes_each = sum(4 * math.prod(size or 1 for size in leaf.shape) for leaf in made)
        most = 256 if self.config.observer == "minmax" else 64  # what is averaged over batches depends on their size
        batch_size = max(1, min(most, HELD_AT_ONCE // max(1, bytes_each)))
        with track(f"calibrate {self.plan.graph.name}", len(samples[0])) as advance:
            for start in range(0, len(samples[0]), batch_size):
                batch = [array[start : start + batch_size] for array in samples]
                seen: list[tuple[Tensor, np.ndarray]] = []

                def watch(leaf: Tensor, value: Any, seen=seen) -> None:
                    seen.append((leaf, np.asarray(value)))

                def keep(leaf: Tensor, value: Any, size: int = len(batch[0])) -> Any:
                    if (leaf.dtype.startswith("float") and not leaf.is_constant) or id(leaf) in outputs:
                        first[id(leaf)] = of_first(leaf, np.asarray(value), size)
                    return value

                after = {} if start or first is None else {"after": keep}
                self.execute(batch, quantize=False, watch=watch, **after)
                _refuse_what_is_not_finite(seen, start)
                yield seen
                advance(len(batch[0]))

    def describe(self, noise: Mapping[int, float] = MappingProxyType({})) -> list[dict[str, Any]]:
        """Return one row per step: name, operator, precision, output range and the reason where it is float.

        noise: by id of a tensor, the decibels of its signal above its noise.
        """
        rows = []
        for step in self.plan.steps:
            if step.rule is not None and not step.rule.builtin_op:
                continue
            scale = self.plan.scale_of(step.outputs[0])
            low_high = [float(x) for x in self.range(scale)] if scale else None
            operator = step.rule.builtin_op if step.rule else step.nodes[0].op_type
            rows.append(
                {
                    "name": step.name,
                    "operator": operator,
                    "precision": step.precision_name,
                    "range": low_high,
                    "reason": step.reason,
                    "snr_db": noise.get(id(step.outputs[0])),
                }
            )
        return rows


_NOTHING_BELOW = frozenset({"Concatenate", "Masked", "Pad", "Select", "Where"})  # may hold -inf, as a mask or border


def _refuse_what_is_not_finite(seen: list[tuple[Tensor, np.ndarray]], start: int) -> None:
    for leaf, values in seen:
        if leaf.is_constant or np.isfinite(np.sum(values, dtype=np.float64)):
            continue
        meant = leaf.producer is not None and leaf.producer.op_type in _NOTHING_BELOW
        broken = ~np.isfinite(values) & ~(meant & np.isneginf(values))
        if np.any(broken):
            raise BadInput(
                f"calibration: {leaf.name} is not finite for sample {start + int(np.argwhere(broken)[0][0])} "
                "(a logarithm of zero, a mean over nothing?): leave that sample out, or keep the operation off such "
                "values"
            )


def _present(values: np.ndarray) -> np.ndarray:
    """Return the values that are not masked."""
    return values if values.size and values.min() > NEVER else values[values > NEVER]


class _Untracked:
    """Keeps an object out of Keras' attribute tracking: the plan's constants are not this layer's variables."""

    def __init__(self, target: Any):
        self._target = target

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)


__all__ = ["Graph", "QatConfig", "QatReport", "QuantizedGraph", "find_quantized", "prepare_qat"]
