"""The model that a file was made from, what to ask it, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from ..backends import computed
from ..errors import BadInput
from ..quantize.graph.nodes import Graph, computed_dtype
from ..quantize.graph.tracing import symbolic_inputs
from ..quantize.qat import QuantizedGraph
from ..quantize.samples import gather
from .names import input_names, output_names

SAMPLES = 8
Arrays = list[np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Input:
    """An input of a model. shape: of one sample. low, high: its range where it was calibrated. vocabulary: token ids
    are below it.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    low: float | None = None
    high: float | None = None
    vocabulary: int | None = None


@dataclass(frozen=True)
class Answers:
    """Samples (N, ...) for each input, and what a model answers to each (N, n, ...), n being mostly 1.

    one_by_one: it was asked for each sample by itself.
    """

    samples: Arrays
    outputs: Arrays
    one_by_one: bool


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What a file was made from. samples: real ones, taken in place of made-up ones."""

    model: keras.Model
    inputs: Sequence[Input]
    outputs: Sequence[str]
    samples: Sequence[np.ndarray] = ()
    _known: list[Answers] = field(default_factory=list, repr=False)

    def answers(self) -> Answers | None:
        """Return what the model answers, None if it takes none of the samples.

        Raises: BadInput if each sample has NaN in its answer.
        """
        if not self._known:
            found = _answers(self)
            if found is None:
                return None
            self._known.append(found)
        return self._known[0]

    @property
    def names(self) -> dict[str, list[str]]:
        """What inputs and outputs are called, as `lower` takes it."""
        return {"inputs": [one.name for one in self.inputs], "outputs": list(self.outputs)}

    def again(self) -> Answers:
        """Ask once more, for each sample by itself."""
        answers = self.answers()
        assert answers is not None
        return Answers(answers.samples, _one_by_one(self.model, answers.samples), True)


def samples_of(model: keras.Model, calibration: Any) -> Arrays:
    """Return calibration samples in whatever form as one array (N, ...) an input, in the model's order; [] for none.

    Raises: BadInput for samples that the model cannot take.
    """
    return [] if calibration is None else gather(model, calibration)[1]


def quantized_subject(model: keras.Model, layer: QuantizedGraph, samples: Sequence[np.ndarray] = ()) -> Subject:
    """Describe a model with quantizers: samples that are made up lie in its calibrated ranges."""
    graph, inputs = layer.plan.graph, []
    for name, leaf in zip(input_names(model), graph.inputs, strict=True):
        scale = layer.plan.scale_of(leaf)
        low, high = (float(end) for end in layer.range(scale)) if scale is not None else (None, None)
        size = _vocabulary(graph, id(leaf))
        inputs.append(Input(name=name, shape=leaf.shape[1:], dtype=leaf.dtype, low=low, high=high, vocabulary=size))
    names = output_names(model, len(graph.outputs))
    return Subject(model=model, inputs=inputs, outputs=names, samples=[array[:SAMPLES] for array in samples])


def float_subject(model: keras.Model, outputs: int, samples: Sequence[np.ndarray] = ()) -> Subject:
    """Describe a model without quantizers, with that many outputs."""
    tables = [layer.input_dim for layer in model._flatten_layers() if isinstance(layer, keras.layers.Embedding)]
    inputs = [
        Input(name=leaf.name, shape=tuple(leaf.shape[1:]), dtype=leaf.dtype, vocabulary=min(tables, default=None))
        for leaf in keras.tree.flatten(symbolic_inputs(model))
    ]
    names = output_names(model, outputs)
    return Subject(model=model, inputs=inputs, outputs=names, samples=[array[:SAMPLES] for array in samples])


def _vocabulary(graph: Graph, source: int) -> int | None:
    """Return the size of the smallest constant table that is indexed by what comes of an input."""
    reached, sizes = {source}, []
    for node in graph.nodes:
        if not any(id(leaf) in reached for leaf in node.inputs):
            continue
        if node.op_type == "Take" and node.inputs[0].is_constant:
            sizes.append(node.inputs[0].shape[(node.op.axis or 0) % len(node.inputs[0].shape)])
        else:
            reached.update(id(leaf) for leaf in node.outputs)
    return min(sizes, default=None)


# ---------------------------------------------------------------- asking


def ask(model: keras.Model, arrays: Sequence[Any]) -> Arrays:
    """Return what `model` answers at inference to inputs with their batch, in flat order."""
    structure = symbolic_inputs(model)

    def forward() -> list[Any]:
        tensors = [
            keras.ops.convert_to_tensor(array, leaf.dtype)
            for array, leaf in zip(arrays, keras.tree.flatten(structure), strict=True)
        ]
        return keras.tree.flatten(model(keras.tree.pack_sequence_as(structure, tensors), training=False))

    answers = computed(forward)
    return [keras.ops.convert_to_numpy(answer) for answer in answers]


def _answers(subject: Subject) -> Answers | None:
    """Try samples of several kinds: some models take positive numbers only, or the first of token ids."""
    bad = ""
    for samples in [subject.samples] if subject.samples else _made_up(subject.inputs):
        try:
            found = _together(subject.model, list(samples))
        except Exception:  # whatever a model of the user's raises about numbers that we made up
            continue
        broken = [name for name, each in zip(subject.outputs, found.outputs, strict=False) if _is_broken(each)]
        if not broken:
            return found
        bad = bad or broken[0]
    if bad:
        raise BadInput(
            f"model {subject.model.name!r} answers every sample with NaN or infinity at output {bad!r}"
            f"{_broken_weight(subject.model)}: mend what divides by zero or takes the logarithm of it, or give "
            "calibration=samples as it was made for"
        )
    return None


def _broken_weight(model: keras.Model) -> str:
    broken = [weight.path for weight in model.weights if not np.all(np.isfinite(np.asarray(weight, np.float32)))]
    return f" (weight {broken[0]!r} is not finite)" if broken else ""


def _is_broken(values: np.ndarray) -> bool:
    """Tell whether NaN is in the answer to each sample, or nothing in any answer is finite."""
    if values.dtype.kind != "f" or not values.size:
        return False
    rows = values.reshape(len(values), -1)
    return bool(np.isnan(rows).any(axis=1).all()) or not np.isfinite(rows).any()


def _together(model: keras.Model, samples: Arrays) -> Answers:
    """Ask about all samples at once where the model takes any batch."""
    count = len(samples[0])
    try:
        answers = ask(model, samples)
    except Exception:  # whatever a model of the user's raises for a batch of another size than its own
        answers = []
    if answers and all(answer.ndim and answer.shape[0] and answer.shape[0] % count == 0 for answer in answers):
        apart = [answer.reshape(count, answer.shape[0] // count, *answer.shape[1:]) for answer in answers]
        return Answers(samples, apart, False)
    return Answers(samples, _one_by_one(model, samples), True)


def _one_by_one(model: keras.Model, samples: Arrays) -> Arrays:
    answers = [ask(model, [array[i : i + 1] for array in samples]) for i in range(len(samples[0]))]
    return [np.stack(parts) for parts in zip(*answers, strict=True)]


# ---------------------------------------------------------------- samples


def _made_up(inputs: Sequence[Input]) -> list[Arrays]:
    """Return samples of several kinds, the same at every call."""
    kinds: list[Callable[[Input, np.random.Generator], np.ndarray]] = [_spread, _positive, _zeros]
    return [[kind(one, random) for one in inputs] for kind in kinds for random in [np.random.default_rng(0)]]


def _spread(one: Input, random: np.random.Generator) -> np.ndarray:
    """Normal numbers, inside the calibrated range where there is one; token ids of the whole vocabulary."""
    shape = (SAMPLES, *one.shape)
    if one.dtype == "bool" or "int" in one.dtype:
        top = 2 if one.dtype == "bool" else one.vocabulary or (256 if one.dtype == "uint8" else 2)
        return random.integers(0, top, shape).astype(one.dtype)
    values = random.normal(size=shape)
    if one.low is not None and one.high is not None:
        values = np.clip((one.low + one.high) / 2 + values * (one.high - one.low) / 4, one.low, one.high)
    return values.astype(computed_dtype(one.dtype))


def _positive(one: Input, random: np.random.Generator) -> np.ndarray:
    """Numbers well above zero; zeros and ones where they are integers."""
    if one.dtype == "bool" or "int" in one.dtype:
        return random.integers(0, 2, (SAMPLES, *one.shape)).astype(one.dtype)
    high = one.high if one.high is not None and one.high > 0 else 1.0
    return random.uniform(high / 8, high, (SAMPLES, *one.shape)).astype(computed_dtype(one.dtype))


def _zeros(one: Input, random: np.random.Generator) -> np.ndarray:
    return np.zeros((SAMPLES, *one.shape), computed_dtype(one.dtype))
