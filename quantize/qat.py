"""Quantization-aware training: a model rebuilt from its operations with fake-quantizers where its int8 kernels round.

    qat, report = prepare_qat(model, calibration=samples)
    qat.compile(...); qat.fit(...)          # any learner, TensorFlow or JAX

Batch normalisation is folded before training, ranges start from calibration, exact zeros of kernels stay zero.
Source: Jacob et al. 2018, arXiv:1712.05877.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields
from fnmatch import fnmatch
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from ..errors import BadInput, WrongOrder
from .fake_quant import (
    fake_quantize,
    fake_quantize_bias,
    fake_quantize_kernel,
    kernel_scale,
    nudge,
    to_even,
    value_range,
)
from .graph import Graph, Node, Tensor, symbolic_inputs, trace
from .operations import NEVER
from .placement import Plan, Scale, Step, place, sparse_kernels
from .simplify import simplify

OBSERVERS = ("minmax", "percentile")
# Inputs often lie on a grid of their own (sixteenths, 1/255). A range a little wider than theirs keeps them off the
# midpoints between two steps, where the kernels of different runtimes round differently.
SLACK = 1.001


@dataclass(frozen=True, kw_only=True)
class QatConfig:
    """How to quantize. Precedence: `by_name` (layer path, shell wildcards), then `by_type` (operation), then `default`.

    Values are "w8a8" or None, which leaves the operation in float. observer: "minmax" takes the extremes of the
    calibration samples, "percentile" clips each tail to `percentile` of the values.
    """

    default: str | None = "w8a8"
    by_name: dict[str, str | None] = field(default_factory=dict)
    by_type: dict[str, str | None] = field(default_factory=dict)
    observer: str = "minmax"
    percentile: float = 99.99

    def __post_init__(self) -> None:
        for name, value in [("default", self.default), *self.by_name.items(), *self.by_type.items()]:
            if value not in ("w8a8", None):
                raise BadInput(
                    f"QatConfig: {name}={value!r} is not a precision; allowed: 'w8a8', or None to stay in float"
                )
        if self.observer not in OBSERVERS:
            raise BadInput(f"QatConfig: observer={self.observer!r} is unknown; allowed: {', '.join(OBSERVERS)}")
        if not 50 < self.percentile <= 100:
            raise BadInput(f"QatConfig: percentile={self.percentile} must be above 50 and at most 100")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> QatConfig:
        """Build from a mapping, as read from YAML. Raises: BadInput naming an unknown key."""
        unknown = set(values) - {known.name for known in fields(cls)}
        if unknown:
            raise BadInput(
                f"QatConfig: unknown key {sorted(unknown)[0]!r}; "
                f"allowed: {', '.join(known.name for known in fields(cls))}"
            )
        return cls(**values)

    def reason_for_float(self, node: Node) -> str | None:
        """Return why `node` stays in float by this configuration, or None."""
        for pattern, precision in self.by_name.items():
            if fnmatch(node.site, pattern) or fnmatch(node.site, f"{pattern}/*"):
                return None if precision else f"QatConfig.by_name[{pattern!r}] is None"
        if node.kind in self.by_type:
            return None if self.by_type[node.kind] else f"QatConfig.by_type[{node.kind!r}] is None"
        return None if self.default else "QatConfig.default is None"


@dataclass(frozen=True)
class QatReport:
    """What happened to each operator: rows of `{name, operator, precision, range, reason}`."""

    rows: tuple[dict[str, Any], ...]

    @property
    def float_ops(self) -> tuple[dict[str, Any], ...]:
        """The operators left in float; each row's `reason` says why."""
        return tuple(row for row in self.rows if row["precision"] == "float32")

    def __str__(self) -> str:
        real = [row for row in self.rows if row["precision"] in ("w8a8", "float32")]
        lines = [f"{len(real) - len(self.float_ops)} of {len(real)} operators quantized to w8a8"]
        lines += [f"  float32  {row['name']}: {row['reason']}" for row in self.float_ops]
        return "\n".join(lines)


def prepare_qat(
    model: keras.Model, config: QatConfig | None = None, *, calibration: Any
) -> tuple[keras.Model, QatReport]:
    """Return a model that computes as `model`'s int8 export will, trainable by any learner, and a report. `model` is
    untouched.

    calibration: samples as the model takes them, (N, ...) float32 or a list of arrays for several inputs; some hundred
    from the training data. Raises: BadInput for samples that are not finite, or a model that cannot be traced (naming
    the layer).
    """
    if find_quantized(model) is not None:
        raise WrongOrder(f"model {model.name!r} is quantization-aware already: train it, then export_tflite(model)")
    config = config or QatConfig()
    samples = [_checked(array, index) for index, array in enumerate(_as_list(calibration))]
    plan = _plan(model, config)
    layer = QuantizedGraph(
        source=keras.saving.serialize_keras_object(model),
        config=asdict(config),
        masked=[leaf.name for leaf in sparse_kernels(plan)],
        plan=plan,
        name=f"{model.name}_int8",
    )
    layer.calibrate(samples)
    inputs = tree.map_structure(lambda x: keras.Input(x.shape[1:], dtype=x.dtype, name=x.name), symbolic_inputs(model))
    outputs = layer(inputs)
    if isinstance(structure := getattr(model, "output", None), dict):
        outputs = tree.pack_sequence_as(structure, outputs if isinstance(outputs, list) else [outputs])
    return keras.Model(inputs, outputs, name=model.name), QatReport(tuple(layer.describe()))


def find_quantized(model: keras.Model) -> QuantizedGraph | None:
    """Return the quantization-aware part of a model made by `prepare_qat`, or None."""
    return next((layer for layer in getattr(model, "layers", ()) if isinstance(layer, QuantizedGraph)), None)


def _plan(model: keras.Model, config: QatConfig) -> Plan:
    return place(simplify(trace(model)), config.reason_for_float)


def _as_list(samples: Any) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in tree.flatten(samples)]


def _checked(array: np.ndarray, index: int) -> np.ndarray:
    """Refuse samples that would ruin a range: one infinite value is enough."""
    if not len(array):
        raise BadInput(f"calibration: input {index} has no samples; give some hundred from the training data")
    if array.dtype.kind == "f":
        bad = np.argwhere(~np.isfinite(array) | (np.abs(array) > 1e6))
        if len(bad):
            sample, *feature = bad[0].tolist()
            raise BadInput(
                f"calibration: input {index}, sample {sample}, feature {tuple(feature)} is {array[tuple(bad[0])]}; "
                "values must be finite and within 1e6"
            )
    return array


@keras.saving.register_keras_serializable("edgewright")
class QuantizedGraph(keras.Layer):
    """The planned graph as a layer: weights, masks and ranges are its variables; `call` executes the steps.

    Built again from its configuration it traces the source model anew, arrives at the same plan, and loads its
    variables.
    """

    def __init__(self, source: dict, config: dict, masked: Sequence[str] = (), plan: Plan | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.source, self.settings, self.masked = source, config, list(masked)
        if plan is None:
            plan = _plan(keras.saving.deserialize_keras_object(source), QatConfig.from_dict(config))
        self.plan = _Untracked(plan)
        self.leaves = [node.op for node in plan.graph.nodes if isinstance(node.op, keras.Layer)]
        self.weight_of: dict[str, Any] = {}
        self.mask_of: dict[str, Any] = {}
        self.range_of: dict[str, Any] = {}
        for leaf in plan.graph.constants:
            if leaf.shape:
                self.weight_of[leaf.name] = self._new(leaf.name, leaf.value, leaf.trainable)
            if leaf.name in self.masked:
                self.mask_of[leaf.name] = self._new(f"{leaf.name}.mask", np.float32(leaf.value != 0), False)
        for scale in plan.distinct_scales:
            if scale.source == "observed":
                self.range_of[scale.name] = self._new(f"{scale.name}.range", np.array([-1.0, 1.0]), False)
        self.built = True

    def _new(self, name: str, value: np.ndarray, trainable: bool) -> Any:
        dtype = "float32" if value.dtype.kind == "f" else str(value.dtype)
        return self.add_weight(
            shape=value.shape,
            initializer=lambda shape, dtype=None: ops.cast(value, dtype),
            trainable=trainable,
            name=name.replace("/", "."),
            dtype=dtype,
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "source": self.source, "config": self.settings, "masked": self.masked}

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return self.execute(inputs, training=training)

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

        def store(leaf: Tensor, value: Any, rounded: bool, halves: bool = False) -> None:
            scale = plan.scale_of(leaf)
            if scale is not None:
                watch(leaf, value)
            if quantize and scale and rounded:
                low_high = self.range(scale)
                value = fake_quantize(to_even(value, *low_high) if halves else value, *low_high)
            held[id(leaf)] = after(leaf, value)

        def value(leaf: Tensor) -> Any:
            if id(leaf) not in held:
                store(leaf, self.weight(leaf), True)
            return held[id(leaf)]

        def kernel(step: Step) -> Any:
            key = id(step.kernel), step.rule is None
            if key not in kernels:
                weight = self.weight(step.kernel)
                kernels[key] = fake_quantize_kernel(weight, step.rule.channels) if quantize and step.rule else weight
            return kernels[key]

        for leaf, given in zip(plan.graph.inputs, tree.flatten(inputs), strict=True):
            store(leaf, ops.cast(given, leaf.dtype), True)
        for step in plan.steps:
            inner: dict[int, Any] = {}
            if step.kernel is not None:
                inner[id(step.kernel)] = kernel(step)
            if step.bias is not None:
                inner[id(step.bias)] = self.bias(step) if quantize and step.rule else self.weight(step.bias)
            for node in step.nodes:
                extra = {"training": training} if isinstance(node.op, keras.Layer) else {}
                results = node.run(
                    lambda leaf, inner=inner: inner[id(leaf)] if id(leaf) in inner else value(leaf), **extra
                )
                inner.update((id(out), result) for out, result in zip(node.outputs, results, strict=True))
            for out in step.outputs:
                rule = step.rule
                store(out, inner[id(out)], rule is None or not rule.exact, rule is not None and rule.to_even)
        results = [value(leaf) for leaf in plan.graph.outputs]
        return results[0] if len(results) == 1 else results

    def weight(self, leaf: Tensor) -> Any:
        """Return the present value of a weight or constant, its mask applied."""
        if leaf.name not in self.weight_of:
            return ops.convert_to_tensor(leaf.value)
        weight = ops.convert_to_tensor(self.weight_of[leaf.name])
        return weight * self.mask_of[leaf.name] if leaf.name in self.mask_of else weight

    def bias(self, step: Step) -> Any:
        """Return the bias of a quantized step on the grid of its accumulator."""
        scale = kernel_scale(self.weight(step.kernel), step.rule.channels)
        return fake_quantize_bias(self.weight(step.bias), self.range(self.plan.scale_of(step.inputs[0])), scale)

    def range(self, scale: Scale) -> tuple[Any, Any]:
        """Return the real values that the smallest and the largest integer of `scale` stand for."""
        if scale.source == "fixed":
            return scale.fixed.low, scale.fixed.high
        if scale.source == "values":
            constant = next(leaf for leaf in scale.tensors if leaf.is_constant)
            return value_range(self.weight(constant), scale.symmetric)
        low, high = ops.unstack(ops.convert_to_tensor(self.range_of[scale.name]), 2)
        return low, high

    def calibrate(self, samples: list[np.ndarray], batch_size: int = 64) -> None:
        """Set the observed ranges from float activations on `samples`."""
        config = QatConfig.from_dict(self.settings)
        clip = config.percentile if config.observer == "percentile" else 100.0
        seen: dict[str, list[tuple[float, float]]] = {}
        for start in range(0, len(samples[0]), batch_size):
            batch: dict[str, tuple[float, float]] = {}

            def watch(leaf: Tensor, value: Any, batch=batch) -> None:
                name, values = self.plan.scale_of(leaf).name, np.asarray(value)
                values = values[values > NEVER]  # what is masked has no value
                if not values.size:
                    return
                low, high = _tails(values, clip)
                if name in batch:
                    low, high = min(low, batch[name][0]), max(high, batch[name][1])
                batch[name] = low, high

            self.execute([array[start : start + batch_size] for array in samples], quantize=False, watch=watch)
            for name, extremes in batch.items():
                seen.setdefault(name, []).append(extremes)
        scales = {scale.name: scale for scale in self.plan.distinct_scales}
        for name, variable in self.range_of.items():
            lows, highs = zip(*seen[name], strict=True)
            widest = clip == 100.0
            low = min(lows) if widest else float(np.mean(lows))
            high = max(highs) if widest else float(np.mean(highs))
            low -= scales[name].headroom
            variable.assign(np.array(nudge(low * SLACK, high * SLACK, scales[name].symmetric), np.float32))

    def describe(self) -> list[dict[str, Any]]:
        """Return one row per step: name, operator, precision, output range and the reason where it is float."""
        rows = []
        for step in self.plan.steps:
            if step.rule is not None and not step.rule.litert:
                continue
            scale = self.plan.scale_of(step.outputs[0])
            low_high = [float(x) for x in self.range(scale)] if scale else None
            precision = "float32" if step.rule is None else "w8a8" if scale else step.outputs[0].dtype
            operator = step.rule.litert if step.rule else step.nodes[0].kind
            rows.append(
                {
                    "name": step.name,
                    "operator": operator,
                    "precision": precision,
                    "range": low_high,
                    "reason": step.reason,
                }
            )
        return rows


class _Untracked:
    """Keeps an object out of Keras' attribute tracking: the plan's constants are not this layer's variables."""

    def __init__(self, target: Any):
        self._target = target

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)


def _tails(values: np.ndarray, percentile: float) -> tuple[float, float]:
    if percentile == 100.0:
        return float(values.min()), float(values.max())
    low, high = np.percentile(values, [100 - percentile, percentile])
    return float(low), float(high)


__all__ = ["Graph", "QatConfig", "QatReport", "QuantizedGraph", "find_quantized", "prepare_qat"]
