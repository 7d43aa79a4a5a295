"""From a float model to a quantization-aware one: planned, calibrated, checked against the model it came from."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import Any

import keras
import numpy as np

from ..ends import distinct
from ..errors import BadInput, WrongOrder
from ..keras_internals import layers_in
from ..precision import PRECISIONS
from ..progress import say
from ..untyped import tree
from .calibration import calibrate
from .config import QatConfig
from .graph.nodes import Graph
from .layer import QuantizedGraph, Unsaved
from .noise import Pairs, check_trace, measure, signal_to_noise, too_coarse, weak_operators
from .placement import sparse_kernels
from .planning import make_plan
from .samples import gather, to_config

WEAK_DB = 20.0  # an output that keeps less of its signal is worth a word
ROUNDS = 3  # of keeping operators in float that 8 bits are too coarse for


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
        others = Counter((row["precision"], row["reason"]) for row in real if row["reason"])
        lines += [f"  {name}  {count}: {reason}" for (name, reason), count in others.items() if name != "float32"]
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
    real = calibrate(layer, samples)
    check_trace(layer, model, inputs, samples, real)
    seen = measure(layer, samples, real)
    if config.least_db is not None:
        layer, seen = _with_float_where_8_bits_are_too_coarse(layer, seen, model, inputs, samples, config.least_db)
    weak = weak_operators(layer, seen, WEAK_DB)
    for line in weak:
        say(f"{model.name}: {line}")
    noise = {key: signal_to_noise(pair) for key, pair in seen.items()}
    report = QatReport(tuple(layer.describe(noise)), tuple(layer.plan.graph.losses), tuple(weak))
    return as_model(layer, model, inputs), report


def _planned(model: keras.Model, config: QatConfig, inputs: Any, source: dict[str, Any] | Unsaved) -> QuantizedGraph:
    plan = make_plan(model, config, inputs=inputs)
    config.check_used(plan.graph.nodes, model)
    _refuse_broken_weights(plan.graph)
    return QuantizedGraph(
        source=source,
        config=asdict(config),
        masked=[tensor.name for tensor in sparse_kernels(plan)],
        clustered={name: len(clusters.centroids) for name, clusters in plan.clusters.items()},
        inputs=to_config(inputs),
        plan=plan,
        name=f"{model.name}_int8",
    )


def _with_float_where_8_bits_are_too_coarse(
    layer: QuantizedGraph, seen: Pairs, model: keras.Model, inputs: Any, samples: list[np.ndarray], least_db: float
) -> tuple[QuantizedGraph, Pairs]:
    """Keep in float what `too_coarse` finds, until that finds no more or helps no more."""
    for _ in range(ROUNDS):
        kept = {**too_coarse(layer, seen, least_db), **layer.config.kept}
        if len(kept) == len(layer.config.kept):
            break
        other = _planned(model, replace(layer.config, kept=kept), inputs, layer.source)
        theirs = measure(other, samples, calibrate(other, samples))
        if _worst(other, theirs) < _worst(layer, seen):
            break
        layer, seen = other, theirs
    return layer, seen


def _worst(layer: QuantizedGraph, seen: Pairs) -> float:
    """Return the decibels of the output that keeps least."""
    outputs = [seen[id(tensor)] for tensor in layer.plan.graph.outputs if id(tensor) in seen]
    return min((signal_to_noise(pair) for pair in outputs), default=0.0)


def _refuse_broken_weights(graph: Graph) -> None:
    for tensor in graph.constants:
        if tensor.dtype.startswith("float") and not np.all(np.isfinite(tensor.value)):
            raise BadInput(
                f"weight {tensor.name} holds values that are not finite: training has diverged; take an earlier state"
            )


def source_of(model: keras.Model) -> dict[str, Any] | Unsaved:
    """Return the configuration of `model`, without what it was compiled with, or why it has none."""
    models = [layer for layer in layers_in(model) if isinstance(layer, keras.Model)]
    for inner in models:
        inner.__dict__["get_compile_config"] = lambda: None
    try:
        config: Any = keras.saving.serialize_keras_object(model)
        return config
    except (NotImplementedError, TypeError, ValueError, AttributeError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return Unsaved(" ".join(lines[:2]) if lines else type(error).__name__)
    finally:
        for inner in models:
            inner.__dict__.pop("get_compile_config", None)


def as_model(layer: QuantizedGraph, source: keras.Model, inputs: Any) -> keras.Model:
    """Return `layer` as a model that takes `inputs` and returns what `source` does, under its names."""
    given = tree.map_structure(lambda x: keras.Input(x.shape[1:], dtype=x.dtype, name=x.name), inputs)
    outputs = tree.flatten(layer(given))
    structure = getattr(source, "output", None) if hasattr(source, "outputs") else None
    if len(outputs) > 1:
        taken = {layer.name, *(tensor.name for tensor in tree.flatten(given))}
        names = distinct(getattr(source, "output_names", None) or [], len(outputs), taken)
        outputs = [keras.layers.Identity(name=name)(out) for name, out in zip(names, outputs, strict=True)]
    if isinstance(structure, dict):
        return keras.Model(given, tree.pack_sequence_as(structure, outputs), name=source.name)
    return keras.Model(given, outputs if len(outputs) > 1 else outputs[0], name=source.name)


def find_quantized(model: keras.Model) -> QuantizedGraph | None:
    """Return the quantization-aware part of a model made by `prepare_qat`, or None.

    Raises: WrongOrder if the model has more around that part: an export would leave it out.
    """
    inside = [layer for layer in layers_in(model) if isinstance(layer, QuantizedGraph)]
    if not inside:
        return None
    around = [
        layer.name
        for layer in getattr(model, "layers", ())
        if not isinstance(layer, (QuantizedGraph, keras.layers.InputLayer, keras.layers.Identity))
    ]
    if around or len(inside) > 1:
        others = around or [layer.name for layer in inside]
        raise WrongOrder(
            f"model {model.name!r} has {', '.join(map(repr, others[:3]))} around a quantization-aware model: put all "
            "layers into the model first, then call prepare_qat(model, calibration=samples)"
        )
    return inside[0]


def refuse_quantized(model: keras.Model) -> None:
    """Raise WrongOrder if `model`, or a part of it, is quantization-aware."""
    if find_quantized(model) is not None:
        raise WrongOrder(f"model {model.name!r} is quantization-aware already: train it, then export_tflite(model)")
