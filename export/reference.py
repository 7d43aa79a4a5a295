"""The model that a file was made from, what to ask it, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np

from ..backends import computed
from ..ends import input_names, output_names
from ..errors import BadInput
from ..keras_internals import layers_in
from ..quantize.graph.nodes import Graph, Tensor, computed_dtype
from ..quantize.graph.tracing import symbolic_inputs
from ..quantize.qat import QuantizedGraph
from ..quantize.samples import gather
from ..shortlists import Shortlist

SAMPLES = 8
Arrays = list[np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Domain:
    """What values an input takes. shape: of one sample. low, high: its range where it was calibrated. vocabulary: token
    ids are below it.
    """

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
class ReferenceModel:
    """The model that a file has to answer like. inputs, outputs: their names in the file; samples: real ones, (N, ...)
    an input, taken in place of made-up ones; shortlist: what the file has of one of the outputs.
    """

    model: keras.Model
    inputs: list[str]
    outputs: list[str]
    domains: Sequence[Domain]
    samples: Sequence[np.ndarray] = ()
    shortlist: Shortlist | None = None
    _known: list[Answers] = field(default_factory=list, repr=False)

    def answers(self) -> Answers | None:
        """Return what the model answers, None if it takes none of the samples.

        Raises: BadInput if each sample has NaN in its answer.
        """
        if not self._known:
            answers = _answers(self)
            if answers is None:
                return None
            self._known.append(answers)
        return self._cut(self._known[0])

    def again(self) -> Answers:
        """Ask once more, for each sample by itself."""
        answers = self.answers()
        assert answers is not None
        return self._cut(Answers(answers.samples, _one_by_one(self.model, answers.samples), True))

    def _cut(self, answers: Answers) -> Answers:
        if self.shortlist is None:
            return answers
        pairs = zip(self.outputs, answers.outputs, strict=True)
        kept = [self.shortlist.cut(each) if name == self.shortlist.output else each for name, each in pairs]
        return replace(answers, outputs=kept)


def samples_of(model: keras.Model, calibration: Any) -> Arrays:
    """Return calibration samples in whatever form as one array (N, ...) an input, in the model's order; [] for none.

    Raises: BadInput for samples that the model cannot take.
    """
    return [] if calibration is None else gather(model, calibration)[1]


def quantized_reference(
    model: keras.Model, layer: QuantizedGraph, samples: Sequence[np.ndarray] = ()
) -> ReferenceModel:
    """Describe a model with quantizers: samples that are made up lie in its calibrated ranges."""
    graph = layer.plan.graph
    return ReferenceModel(
        model=model,
        inputs=input_names(model),
        outputs=output_names(model, len(graph.outputs)),
        domains=[_calibrated(layer, tensor) for tensor in graph.inputs],
        samples=[array[:SAMPLES] for array in samples],
    )


def _calibrated(layer: QuantizedGraph, tensor: Tensor) -> Domain:
    scale = layer.plan.scale_of(tensor)
    low, high = (float(end) for end in layer.range(scale)) if scale is not None else (None, None)
    vocabulary = _vocabulary(layer.plan.graph, id(tensor))
    return Domain(shape=_of_sample(tensor.shape), dtype=tensor.dtype, low=low, high=high, vocabulary=vocabulary)


def float_reference(model: keras.Model, outputs: int, samples: Sequence[np.ndarray] = ()) -> ReferenceModel:
    """Describe a model without quantizers, with that many outputs."""
    tables = [layer.input_dim for layer in layers_in(model) if isinstance(layer, keras.layers.Embedding)]
    vocabulary = min(tables, default=None)
    return ReferenceModel(
        model=model,
        inputs=input_names(model),
        outputs=output_names(model, outputs),
        domains=[
            Domain(shape=_of_sample(tensor.shape), dtype=tensor.dtype, vocabulary=vocabulary)
            for tensor in keras.tree.flatten(symbolic_inputs(model))
        ],
        samples=[array[:SAMPLES] for array in samples],
    )


def _of_sample(shape: Sequence[int | None]) -> tuple[int, ...]:
    """Return the shape of one sample, what is open being 1."""
    return tuple(1 if size is None else size for size in shape[1:])


def _vocabulary(graph: Graph, source: int) -> int | None:
    """Return the size of the smallest constant table that is indexed by what comes of an input."""
    reached, sizes = {source}, []
    for node in graph.nodes:
        if not any(id(tensor) in reached for tensor in node.inputs):
            continue
        if node.op_type == "Take" and node.inputs[0].is_constant:
            sizes.append(node.inputs[0].shape[(node.op.axis or 0) % len(node.inputs[0].shape)])
        else:
            reached.update(id(tensor) for tensor in node.outputs)
    return min(sizes, default=None)


# ---------------------------------------------------------------- asking


def ask(model: keras.Model, arrays: Sequence[Any]) -> Arrays:
    """Return what `model` answers at inference to inputs with their batch, in flat order."""
    structure = symbolic_inputs(model)

    def forward() -> list[Any]:
        tensors = [
            keras.ops.convert_to_tensor(array, tensor.dtype)
            for array, tensor in zip(arrays, keras.tree.flatten(structure), strict=True)
        ]
        return keras.tree.flatten(model(keras.tree.pack_sequence_as(structure, tensors), training=False))

    answers = computed(forward)
    return [np.asarray(keras.ops.convert_to_numpy(answer)) for answer in answers]


def _answers(reference: ReferenceModel) -> Answers | None:
    """Try samples of several kinds: some models take positive numbers only, or the first of token ids."""
    bad = ""
    for samples in [reference.samples] if reference.samples else _made_up(reference.domains):
        try:
            answers = _together(reference.model, list(samples))
        except Exception:  # whatever a model of the user's raises about numbers that we made up
            continue
        broken = [name for name, each in zip(reference.outputs, answers.outputs, strict=False) if _is_broken(each)]
        if not broken:
            return answers
        bad = bad or broken[0]
    if bad:
        raise BadInput(
            f"model {reference.model.name!r} answers every sample with NaN or infinity at output {bad!r}"
            f"{_broken_weight(reference.model)}: mend what divides by zero or takes the logarithm of it, or give "
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


def _made_up(domains: Sequence[Domain]) -> Iterator[Arrays]:
    """Yield samples of several kinds, the same at every call; mostly the first kind is good enough."""
    kinds: list[Callable[[Domain, np.random.Generator], np.ndarray]] = [_spread, _positive, _zeros]
    for kind in kinds:
        random = np.random.default_rng(0)
        yield [kind(domain, random) for domain in domains]


def _spread(domain: Domain, random: np.random.Generator) -> np.ndarray:
    """Normal numbers, inside the calibrated range where there is domain; token ids of the whole vocabulary."""
    shape = (SAMPLES, *domain.shape)
    if domain.dtype == "bool" or "int" in domain.dtype:
        top = 2 if domain.dtype == "bool" else domain.vocabulary or (256 if domain.dtype == "uint8" else 2)
        return random.integers(0, top, shape).astype(domain.dtype)
    values = random.normal(size=shape)
    if domain.low is not None and domain.high is not None:
        values = np.clip(
            (domain.low + domain.high) / 2 + values * (domain.high - domain.low) / 4, domain.low, domain.high
        )
    return values.astype(computed_dtype(domain.dtype))


def _positive(domain: Domain, random: np.random.Generator) -> np.ndarray:
    """Numbers well above zero; zeros and ones where they are integers."""
    if domain.dtype == "bool" or "int" in domain.dtype:
        return random.integers(0, 2, (SAMPLES, *domain.shape)).astype(domain.dtype)
    high = domain.high if domain.high is not None and domain.high > 0 else 1.0
    return random.uniform(high / 8, high, (SAMPLES, *domain.shape)).astype(computed_dtype(domain.dtype))


def _zeros(domain: Domain, random: np.random.Generator) -> np.ndarray:
    return np.zeros((SAMPLES, *domain.shape), computed_dtype(domain.dtype))
