"""Files of integers: the quantized graph of a model, lowered, written and compared with the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from ..errors import BadInput, WrongOrder
from ..keras_internals import layers_in
from ..precision import EXPORTS
from ..quantize.qat import QatConfig, QuantizedGraph, find_quantized, prepare_qat
from ..shortlists import Shortlist
from .facts import Facts, of_program
from .layouts import Layout, channels_first
from .lower import lower
from .program import Program
from .reference import quantized_reference
from .shortlist import cut_program
from .states import states_of
from .verify import scales_of, verify


@dataclass(frozen=True, kw_only=True)
class Source:
    """What a file is made of. layer: the quantized graph to lower, None for float precisions; answering: the model
    that the file has to answer like.
    """

    layer: QuantizedGraph | None
    precision: str
    answering: keras.Model


def source_of(
    model: keras.Model, precision: str | None, samples: Sequence[np.ndarray], config: QatConfig | None = None
) -> Source:
    """Return what a file of `model` is made of in `precision`, by default the one it was trained in.

    Raises: BadInput for an unknown precision or one that lacks samples; WrongOrder naming the call that comes first.
    """
    layer = find_quantized(model)
    _refuse_kept_states(model)
    trained = f"{layer.config.default or 'w8a8'}-qat" if layer is not None else ""
    precision = precision or trained or "float32"
    if precision not in EXPORTS:
        raise BadInput(f"precision={precision!r} is unknown; allowed: {', '.join(EXPORTS)}")
    bits, _, how = precision.partition("-")
    if how == "qat" and layer is None:
        raise WrongOrder(
            f"model {model.name!r} has no quantizers: "
            "call qat, report = prepare_qat(model, calibration=samples), train qat, then export it"
        )
    if layer is not None and precision not in (trained, trained.replace("-qat", "-ptq")):
        raise WrongOrder(
            f"model {model.name!r} is quantization-aware: "
            f"export it as {trained}, or the model it was made from as {precision}"
        )
    if how == "ptq" and layer is None:
        if not samples:
            raise BadInput(f"precision={precision!r} needs calibration=samples: some hundred from the training data")
        model, _ = prepare_qat(model, replace(config or QatConfig(), default=bits), calibration=list(samples))
        layer = find_quantized(model)
    return Source(layer=layer, precision=precision, answering=model)


def _refuse_kept_states(model: keras.Model) -> None:
    """Refuse a recurrence that goes on where it was left, which no file does.  Raises: BadInput naming the layer."""
    layers = [each for each in layers_in(model) if isinstance(each, keras.layers.RNN)]
    kept = next((each.name for each in layers if each.stateful), None)
    if kept is not None:
        raise BadInput(
            f"layer {kept!r} of model {model.name!r} keeps its state from call to call (stateful=True), a file forgets "
            "it: build the layer with stateful=False, or export edgewright.streaming(model), whose states go in and out"
        )


def quantized_file(
    model: keras.Model,
    source: Source,
    format: str,
    write: Callable[[Program], bytes],
    samples: Sequence[np.ndarray] = (),
    *,
    states: Mapping[str, str] | None = None,
    integer_io: bool | str = False,
    layout: Layout = "nhwc",
    shortlist: Shortlist | None = None,
) -> tuple[bytes, Facts, dict[str, Any]]:
    """Lower the quantized graph of `source` and `write` it; return the file, what it is, and how it was verified.

    Raises: BadInput for answers of NaN or `states` that are none; EdgewrightError where the file answers otherwise.
    """
    assert source.layer is not None
    reference = quantized_reference(source.answering, source.layer, samples)
    carried = states_of(model, reference.inputs, reference.outputs, states)
    reference.answers()  # before any work: what answers NaN has no integers
    program = lower(source.layer, model.name, integer_io=integer_io, inputs=reference.inputs, outputs=reference.outputs)
    if shortlist is not None:
        program, reference = cut_program(program, shortlist), replace(reference, shortlist=shortlist)
    first = channels_first(layout, {array.name: array.shape for array in program.inputs}, carried, model.name)
    program = replace(program, channels_first=[array for array in program.inputs if array.name in first])
    data = write(program)
    facts = of_program(program, carried)
    return data, facts, verify(data, format, source.precision, reference, scales_of(facts["outputs"]), first)
