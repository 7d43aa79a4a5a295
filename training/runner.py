"""Keras networks as a runner: what a task is evaluated with before there are files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import keras
import numpy as np
from keras import tree

from ..ends import input_names, output_names, symbolic_inputs
from ..errors import BadInput
from ..runners import Arrays

UNCOMPILED, UNCOMPILED_BATCH = 1000, 256  # samples that are run without compiling, and how many at once


class Deployed(Protocol):
    """What a runner knows of a network that becomes a file: its name, and output -> the input it becomes."""

    @property
    def network(self) -> str:
        """Its name."""
        ...

    @property
    def states(self) -> Mapping[str, str]:
        """Output -> input."""
        ...


@dataclass(frozen=True)
class _Ends:
    """What a network takes and returns: symbolic inputs by name, the structure that they lie in, names of outputs."""

    structure: Any
    inputs: Mapping[str, keras.KerasTensor]
    outputs: Sequence[str]


class KerasRunner:
    """Runs Keras networks, float or fake-quantized, by the names that their inputs and outputs have in files."""

    def __init__(
        self,
        networks: Mapping[str, keras.Model],
        deploy: Sequence[Deployed] = (),
        batch_size: int = 256,
        compiled: bool = False,
    ):
        """Take networks.  compiled: batches are whole and of one size again and again, and worth a compilation."""
        self.networks, self.batch_size, self._compiled = dict(networks), batch_size, compiled
        self.states = {each.network: dict(each.states) for each in deploy}
        self._ends: dict[str, _Ends] = {}

    def __call__(self, network: str, inputs: Arrays) -> dict[str, np.ndarray]:
        """Run a batch of any size.  Shapes: input -> (N, ...); output -> (N, ...) float32."""
        ends = self._of(network)
        packed = _packed(ends, network, inputs)
        if self._compiled:
            return _by_output(ends, tree.flatten(self.networks[network].predict_on_batch(packed)))
        return _by_output(ends, predict_all(self.networks[network], packed, self.batch_size))

    def unroll(
        self,
        network: str,
        given: Arrays,
        *,
        first: Arrays | None = None,
        steps: int | None = None,
        feed: Mapping[str, str] | None = None,
        held: Arrays | None = None,
    ) -> dict[str, np.ndarray]:
        """Run a step network once a time step, see `Runner.unroll`.

        Raises: BadInput for an input that is not given at each step, or none to tell how many steps and samples.
        """
        states = self.states.get(network, {})
        said: dict[str, list[np.ndarray]] = {}
        for _, outputs in self._steps(network, given, first, steps, feed, held):
            for name, values in outputs.items():
                if name not in states:
                    said.setdefault(name, []).append(values)
        return {name: np.stack(values, axis=1) for name, values in said.items()}

    def read(self, network: str, given: Arrays) -> dict[str, np.ndarray]:
        """Return what a step network reads at each step of sequences, its own states among it.

        Shapes: given: input -> (N, T, ...); returns input -> (T N, ...), step by step, as `__call__` takes it.
        """
        read: dict[str, list[np.ndarray]] = {}
        for inputs, _ in self._steps(network, given):
            for name, values in inputs.items():
                read.setdefault(name, []).append(values)
        return {name: np.concatenate(values) for name, values in read.items()}

    def _steps(
        self, network: str, given: Arrays, first: Arrays | None = None, steps: int | None = None,
        feed: Mapping[str, str] | None = None, held: Arrays | None = None,
    ) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:  # fmt: skip
        """Yield inputs and outputs of each step."""
        ends, states = self._of(network), self.states.get(network, {})
        fed, greedy = {**states, **(feed or {})}, set((feed or {}).values())
        count, steps = _extent(network, given, {**(first or {}), **(held or {})}, steps)
        zeros = {name: np.zeros((count, *ends.inputs[name].shape[1:]), np.float32) for name in states.values()}
        now: dict[str, np.ndarray] = {**zeros, **(first or {})}
        for step in range(steps):
            now |= {**(held or {}), **{name: _at(ends, name, sequence, step) for name, sequence in given.items()}}
            answers = tree.flatten(self.networks[network].predict_on_batch(_packed(ends, network, now)))
            outputs = _by_output(ends, answers)
            yield dict(now), outputs
            now = {name: _fed(ends.inputs[name], outputs[output], name in greedy) for output, name in fed.items()}

    def table(self, network: str) -> np.ndarray:
        """Return the one weight of a network, see `Runner.table`."""
        return table_of(self._known(network))

    def _known(self, network: str) -> keras.Model:
        if network not in self.networks:
            raise BadInput(f"no network {network!r}; there are {', '.join(self.networks)}")
        return self.networks[network]

    def _of(self, network: str) -> _Ends:
        model = self._known(network)
        if network not in self._ends:
            structure = symbolic_inputs(model)
            inputs = dict(zip(input_names(model), tree.flatten(structure), strict=True))
            self._ends[network] = _Ends(structure, inputs, output_names(model, len(tree.flatten(model.outputs))))
        return self._ends[network]


def table_of(network: keras.Model) -> np.ndarray:
    """Return the one weight of a network, float32.  Raises: BadInput if it has another number of them."""
    if len(network.weights) != 1:
        raise BadInput(f"network {network.name!r} has {len(network.weights)} weights; a table is a network of one")
    return np.asarray(keras.ops.convert_to_numpy(network.weights[0]), np.float32)


def predict(model: keras.Model, x: Any, batch_size: int = 256) -> np.ndarray:
    """Return the outputs (N, ...) of `model` for samples x; of several outputs the first."""
    return predict_all(model, x, batch_size)[0]


def predict_all(model: keras.Model, x: Any, batch_size: int = 256) -> list[np.ndarray]:
    """Return every output (N, ...) of `model` for samples x, in the order of `model.outputs`.

    Few samples are run operation by operation: compiling a deep model for them takes longer than running it.
    """
    count = len(tree.flatten(x)[0])
    if count <= UNCOMPILED and keras.backend.backend() == "tensorflow":

        def some(start: int) -> Any:
            return tree.map_structure(lambda array: array[start : start + UNCOMPILED_BATCH], x)

        batches = [tree.flatten(model(some(start), training=False)) for start in range(0, count, UNCOMPILED_BATCH)]
        return [np.concatenate([np.asarray(part) for part in parts]) for parts in zip(*batches, strict=True)]
    answers = model.predict(x, batch_size=batch_size, verbose=0)  # pyright: ignore[reportArgumentType]
    return [np.asarray(answer) for answer in tree.flatten(answers)]


def _packed(ends: _Ends, network: str, inputs: Arrays) -> Any:
    """Return arrays by name as the model is called: one, or a list or dict of several, of its types and shapes."""
    names = list(ends.inputs)
    if len(names) == len(inputs) == 1:  # a lone input that Keras named may be called otherwise in the next copy
        inputs = {names[0]: next(iter(inputs.values()))}
    if missing := [name for name in names if name not in inputs]:
        raise BadInput(f"network {network!r}: no input {missing[0]!r}; it takes {', '.join(names)}")
    arrays = [
        np.asarray(inputs[name], keras.backend.standardize_dtype(tensor.dtype)) for name, tensor in ends.inputs.items()
    ]
    return tree.pack_sequence_as(ends.structure, arrays)


def _by_output(ends: _Ends, answers: Sequence[Any]) -> dict[str, np.ndarray]:
    return {name: np.asarray(values, np.float32) for name, values in zip(ends.outputs, answers, strict=True)}


def _extent(network: str, given: Arrays, others: Arrays, steps: int | None) -> tuple[int, int]:
    """Return how many samples there are, and how many steps they go. others: arrays without an axis of steps."""
    lengths = {name: np.shape(sequence)[1] for name, sequence in given.items()}
    lengths |= {"steps": steps} if steps is not None else {}
    counts = {name: len(array) for name, array in {**given, **others}.items()}
    for what, sizes in (("samples", counts), ("steps", lengths)):
        if len(set(sizes.values())) != 1:
            told = ", ".join(f"{name} {size}" for name, size in sizes.items()) or "nothing"
            raise BadInput(f"network {network!r}: the number of {what} must be told alike, got {told}")
    return next(iter(counts.values())), next(iter(lengths.values()))


def _at(ends: _Ends, name: str, sequence: np.ndarray, step: int) -> np.ndarray:
    """Return what is read at a step, (N, ...): frames that a step takes as sequences of one get their axis."""
    values, tensor = np.asarray(sequence)[:, step], ends.inputs.get(name)
    if tensor is None or values.ndim == len(tensor.shape) or None in tensor.shape[1:]:
        return values
    return values.reshape(len(values), *tensor.shape[1:])


def _fed(tensor: keras.KerasTensor, values: np.ndarray, greedy: bool) -> np.ndarray:
    """Return an output as the input that it becomes; of integers, where greedy, the index of the largest value."""
    if greedy and "int" in tensor.dtype:
        values = values.argmax(-1)
    return values.reshape(len(values), *tensor.shape[1:])
