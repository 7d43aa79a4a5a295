"""The planned graph as a Keras layer: weights, masks, clusters and ranges are its variables."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

import keras
import numpy as np

from ..errors import BadInput
from ..keras_internals import value_of
from ..untyped import ops
from .clusters import Clusters, factor_shape
from .config import QatConfig
from .fake_quant import fake_quantize, fake_quantize_bias, nudged, steps, value_range
from .graph.nodes import Tensor
from .graph.operations import NEVER
from .interpreter import After, Execution, Instead, Watch
from .narrow import narrowest
from .placement import FusedOp, Plan, Scale
from .planning import make_plan
from .samples import build, from_config


@dataclass(frozen=True)
class Unsaved:
    """Stands for the configuration of a model that has none: it can be trained and exported, but not saved."""

    reason: str


class _Untracked:
    """Keeps an object out of Keras' attribute tracking: its constants are not this layer's variables."""

    def __init__(self, target: Any):
        self._target = target

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)


@keras.saving.register_keras_serializable("edgewright")
class QuantizedGraph(keras.Layer):
    """The planned graph as a layer: weights, masks and ranges are its variables; `call` executes the operators.

    Built again from its configuration it traces the source model anew, arrives at the same plan, and loads its
    variables.
    """

    is_quantization_aware = True  # for those who may not import this class

    def __init__(
        self,
        source: dict[str, Any] | Unsaved,
        config: dict[str, Any],
        *,
        masked: Sequence[str] = (),
        clustered: Mapping[str, int] | None = None,
        carried: Sequence[tuple[int, int]] = (),
        symmetric: Sequence[str] = (),
        inputs: Any = None,
        plan: Plan | None = None,
        **kwargs: Any,
    ):
        super().__init__(**{**kwargs, "dtype": "float32"})  # also where the model has half precision
        self.config, self.masked = QatConfig.from_dict(config), list(masked)
        self.clustered = dict(clustered or {})
        self.carried = [(given, new) for given, new in carried]
        self.symmetric = list(symmetric)
        self._described = _Untracked(_Description(source, inputs))
        plan = self._plan_again() if plan is None else plan
        for scale in plan.distinct_scales:
            scale.symmetric = scale.symmetric or scale.name in self.symmetric
        self.plan: Plan = _Untracked(plan)  # type: ignore[assignment]
        self.leaves = [node.op for node in plan.graph.nodes if isinstance(node.op, keras.Layer)]
        self.weight_of: dict[str, Any] = {}
        self.mask_of: dict[str, Any] = {}
        self.cluster_of: dict[str, Any] = {}
        self.factor_of: dict[str, Any] = {}
        self.range_of: dict[str, Any] = {}
        self.width_of: dict[str, Any] = {}
        self._make_weights(plan)
        self._make_ranges(plan)
        self.steps_taken = None
        if self.config.freeze_after is not None:
            self.steps_taken = self._new("steps_taken", np.zeros((), np.int32), False)
        self.built = True

    # ------------------------------------------------------------ building and saving

    @property
    def source(self) -> dict[str, Any] | Unsaved:
        """The configuration of the model that was prepared."""
        return self._described.source

    def _plan_again(self) -> Plan:
        """Trace the source model anew."""
        model = keras.saving.deserialize_keras_object(copy.deepcopy(self.source))
        given = None if self._described.inputs is None else from_config(copy.deepcopy(self._described.inputs))
        if given is not None:
            build(model, given)
        return make_plan(model, self.config, self.carried, given)

    def _make_weights(self, plan: Plan) -> None:
        for tensor in plan.graph.constants:
            if tensor.name in self.clustered:
                self._new_clusters(tensor)
            elif tensor.shape or tensor.trainable:  # a number that was learned is a weight, one that was written is not
                self.weight_of[tensor.name] = self._new(tensor.name, tensor.value, tensor.trainable, tensor.regularizer)
            if tensor.name in self.masked:
                self.mask_of[tensor.name] = self._new(
                    f"{tensor.name}.mask", (tensor.value != 0).astype(np.float32), False
                )

    def _make_ranges(self, plan: Plan) -> None:
        for scale in plan.distinct_scales:
            if scale.source not in ("observed", "state"):
                continue
            self.range_of[scale.name] = self._new(f"{scale.name}.range", np.array([-1.0, 1.0]), False)
            if self.config.ranges == "learned" and scale.source == "observed":
                # how often as wide as calibrated, as a logarithm
                self.width_of[scale.name] = self._new(f"{scale.name}.width", np.zeros(()), True)

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

    def _new_clusters(self, tensor: Tensor) -> None:
        """Make a clustered kernel of its centroids, which are trained, the number of each place's, and factors."""
        count, known = self.clustered[tensor.name], self.plan.clusters.get(tensor.name)
        if known is None or len(known.centroids) != count:  # built from a configuration, it is filled afterwards
            form = next((fused.form for fused in self.plan.operators if fused.kernel is tensor), None)
            ones = np.ones(factor_shape(tensor.value.shape, form), np.float32)
            known = Clusters(np.zeros(count, np.float32), np.zeros(tensor.value.shape, np.int32), ones)
        self.weight_of[tensor.name] = self._new(f"{tensor.name}.centroids", known.centroids, tensor.trainable)
        self.cluster_of[tensor.name] = self._new(f"{tensor.name}.clusters", known.numbers, False)
        self.factor_of[tensor.name] = self._new(f"{tensor.name}.factors", known.factors, False)

    def trained_kernels(self) -> list[tuple[Any, tuple[int, ...]]]:
        """Return the kernels that are learned, and of each the axes of its outputs; none that is clustered.

        Of weights that no operator multiplies by as its kernel those are taken that are matrices.
        """
        forms = {fused.kernel.name: fused.form for fused in self.plan.operators if fused.kernel and fused.form}
        return [
            (weight, forms[name].channels if name in forms else (-1,))
            for name, weight in self.weight_of.items()
            if weight.trainable
            and name not in self.cluster_of
            and (name in forms or sum(size > 1 for size in weight.shape) > 1)
        ]

    def get_config(self) -> dict[str, Any]:
        """Return what `__init__` takes.  Raises: BadInput if the model that was prepared cannot be saved."""
        if isinstance(self.source, Unsaved):
            raise BadInput(
                f"model {self.name!r} cannot be saved: {self.source.reason} Give each layer of your own a get_config() "
                "that returns what its __init__ takes; without one the model can still be trained and exported here"
            )
        own = {"source": self.source, "config": asdict(self.config), "masked": self.masked}
        own |= {"clustered": self.clustered, "carried": self.carried, "symmetric": self.symmetric}
        own |= {"inputs": self._described.inputs}
        return copy.deepcopy({**super().get_config(), **own})

    # ------------------------------------------------------------ computing

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return what the int8 file would, in real numbers; in training, ranges may follow the batch."""
        if not training or self.config.ranges == "frozen":
            return self.execute(inputs, training=training)
        seen: dict[str, list[tuple[Any, Any]]] = {}

        def watch(tensor: Tensor, value: Any) -> None:
            scale = self.plan.scale_of(tensor)
            if scale is not None:
                values = ops.where(value > NEVER, value, 0.0)
                seen.setdefault(scale.name, []).append((ops.min(values), ops.max(values)))

        follows = self.config.ranges == "moving-average"
        result = self.execute(inputs, training=training, watch=watch if follows else None)
        for scale in self.plan.distinct_scales if follows else ():
            if scale.source == "observed":
                self._follow(scale, seen[scale.name])
        if self.steps_taken is not None:
            self.steps_taken.assign(self.steps_taken + 1)
        return result

    def compute_output_spec(self, inputs: Any, training: bool | None = None) -> Any:
        """Return the symbolic outputs."""
        specs = [keras.KerasTensor(tensor.shape, dtype=tensor.dtype) for tensor in self.plan.graph.outputs]
        return specs[0] if len(specs) == 1 else specs

    def execute(
        self,
        inputs: Any,
        *,
        training: bool | None = None,
        quantize: bool = True,
        watch: Watch | None = None,
        after: After | None = None,
        instead: Instead | None = None,
    ) -> Any:
        """Run the operators once, see `Execution`; return the output, or a list of several."""
        run = Execution(self, training=training, quantize=quantize, watch=watch, after=after, instead=instead)
        results = run.run(inputs)
        return results[0] if len(results) == 1 else results

    def weight(self, tensor: Tensor) -> Any:
        """Return the present value of a weight or constant, its mask applied."""
        if tensor.name not in self.weight_of:
            return ops.convert_to_tensor(tensor.value)
        weight = value_of(self.weight_of[tensor.name])
        if tensor.name in self.cluster_of:
            weight = ops.take(weight, self.cluster_of[tensor.name], axis=0) * value_of(self.factor_of[tensor.name])
        return weight * self.mask_of[tensor.name] if tensor.name in self.mask_of else weight

    def kernel_scale(self, fused: FusedOp, kernel: Any, bits: int) -> Any:
        """Return the scale of each output of an operator's kernel, in the shape of `kernel` with 1 on the other axes.

        That of a clustered one follows the largest centroid: each is one integer then, in whatever outputs it is.
        """
        assert fused.form is not None and fused.kernel is not None
        if fused.kernel.name in self.cluster_of:
            largest = ops.max(ops.abs(value_of(self.weight_of[fused.kernel.name])))
            kernel = value_of(self.factor_of[fused.kernel.name]) * largest
        return fused.form.scale(kernel, bits)

    def bias(self, fused: FusedOp, scale: Any) -> Any:
        """Return the bias of a quantized operator on the grid of its accumulator; `scale` is that of its kernel."""
        assert fused.bias is not None
        data = self._scale(fused.inputs[0])
        return fake_quantize_bias(self.weight(fused.bias), self.range(data), scale, data.bits)

    def accumulated(self, fused: FusedOp, bias: Tensor, kernel: Tensor) -> Any:
        """Return one of several biases of a quantized operator on the grid of its accumulator."""
        data, weights = self._scale(fused.inputs[0]), self._scale(kernel)
        low, high = self.range(weights)
        return fake_quantize_bias(self.weight(bias), self.range(data), (high - low) / steps(weights.bits), data.bits)

    def rounding(self, tensor: Tensor) -> Callable[[Any], Any]:
        """Return what rounds values to the scale of `tensor`."""
        scale = self._scale(tensor)
        return lambda values: fake_quantize(values, *self.range(scale), scale.bits)

    def _scale(self, tensor: Tensor) -> Scale:
        scale = self.plan.scale_of(tensor)
        assert scale is not None  # what a quantized operator reads or makes has one
        return scale

    # ------------------------------------------------------------ ranges

    def range(self, scale: Scale) -> tuple[Any, Any]:
        """Return the real values that the smallest and the largest integer of `scale` stand for."""
        if scale.source == "fixed" and scale.fixed is not None:
            return scale.fixed.range(scale.bits)
        if scale.source == "values":
            constant = next(tensor for tensor in scale.tensors if tensor.is_constant)
            return value_range(self.weight(constant), scale.symmetric, scale.bits)
        if scale.name in self.width_of:
            low, high = self.gradient_range(scale)
            return ops.stop_gradient(low), ops.stop_gradient(high)
        low, high = ops.unstack(value_of(self.range_of[scale.name]), 2)
        return nudged(low, high, scale.symmetric, scale.bits) if self.config.ranges == "moving-average" else (low, high)

    def gradient_range(self, scale: Scale) -> tuple[Any, Any]:
        """Return a learned range as something to differentiate by, until it is frozen."""
        low, high = ops.unstack(value_of(self.range_of[scale.name]), 2)
        width = value_of(self.width_of[scale.name])
        factor = ops.exp(ops.where(self._is_free(), width, ops.stop_gradient(width)))
        return low * factor, high * factor

    def _follow(self, scale: Scale, extremes: list[tuple[Any, Any]]) -> None:
        """Move a range a little towards the extremes of this batch, unless it is frozen."""
        low = ops.min(ops.stack([low for low, _ in extremes])) - scale.range_margin
        high = ops.max(ops.stack([high for _, high in extremes]))
        for fused in self.plan.makers[scale.name] if scale.bits == 8 else ():
            high = ops.maximum(high, low + narrowest(self, fused))
        old = value_of(self.range_of[scale.name])
        moved = self.config.momentum * old + (1 - self.config.momentum) * ops.stack([low, high])
        self.range_of[scale.name].assign(ops.where(self._is_free(), moved, old))

    def _is_free(self) -> Any:
        return True if self.steps_taken is None else ops.less(self.steps_taken, self.config.freeze_after)

    # ------------------------------------------------------------ reporting

    def describe(self, noise: Mapping[int, float] = MappingProxyType({})) -> list[dict[str, Any]]:
        """Return one row per operator: name, operator, precision, output range and the reason where it is float.

        noise: by id of a tensor, the decibels of its signal above its noise.
        """
        rows = []
        for fused in self.plan.operators:
            if fused.rule is not None and not fused.rule.builtin_op:
                continue
            scale = self.plan.scale_of(fused.outputs[0])
            rows.append(
                {
                    "name": fused.name,
                    "operator": fused.rule.builtin_op if fused.rule else fused.nodes[0].op_type,
                    "precision": fused.precision_name,
                    "range": [float(end) for end in self.range(scale)] if scale else None,
                    "reason": fused.reason,
                    "snr_db": noise.get(id(fused.outputs[0])),
                }
            )
        return rows


@dataclass(frozen=True)
class _Description:
    """What a layer is built again from: the configuration of the model that was prepared, and its inputs' sizes."""

    source: dict[str, Any] | Unsaved
    inputs: Any
