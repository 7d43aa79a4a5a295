"""A network in one of two forms, float or fake-quantized: what it answers, what is seen inside, and how both change.

Both forms run the operators of one graph, so that a place inside has one name in both, and a gradient is taken in the
same way: rounding passes it on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from ..errors import BadInput, nearest
from ..gradients import gradients
from ..quantize.graph.nodes import Tensor
from ..quantize.interpreter import Instead
from ..quantize.qat import QuantizedGraph
from ..untyped import ops

BATCH = 64  # samples whose gradient is taken at once
Score = Callable[[Any], Any]  # what a place says, (N, ...) -> (N,), a number of which the gradient is taken


@dataclass(frozen=True, kw_only=True)
class Net:
    """One form of a network of one input.

    name: what it is called. quantize: whether values are rounded as the integer kernels do. output: the number of the
    answer among the network's outputs, whose logits are meant: a softmax behind them is looked through.
    """

    name: str
    layer: QuantizedGraph
    quantize: bool
    output: int = 0

    def __post_init__(self) -> None:
        if len(self.layer.plan.graph.inputs) != 1:
            names = ", ".join(tensor.name for tensor in self.layer.plan.graph.inputs)
            raise BadInput(f"net {self.name!r} has several inputs, {names}; inspection takes a network of one")

    @property
    def logits(self) -> Tensor:
        """The answer, before a softmax."""
        answer = self.layer.plan.graph.outputs[self.output]
        made = answer.producer
        return made.inputs[0] if made is not None and made.op_type == "Softmax" else answer

    @property
    def places(self) -> dict[str, Tensor]:
        """What operators make, by name in order of execution, of those that make something for each sample."""
        made = (tensor for fused in self.layer.plan.operators for tensor in fused.outputs)
        return {tensor.name: tensor for tensor in made if tensor.shape[:1] == (None,) and None not in tensor.shape[1:]}

    @property
    def maps(self) -> list[str]:
        """The names of places of feature maps, (N, h, w, c) with more than one position."""
        return [name for name, tensor in self.places.items()
                if len(tensor.shape) == 4 and np.prod(size_of(tensor)[:2]) > 1]  # fmt: skip

    def place(self, name: str) -> Tensor:
        """Return a place by its name, or that of a layer, of which the last.  Raises: BadInput that lists some."""
        known = self.places
        named = [tensor for key, tensor in known.items() if key == name or key.startswith(f"{name}/")]
        if not named:
            raise BadInput(f"layer {name!r}: no such place in {self.layer.plan.graph.name!r}; {nearest(name, known)}")
        return named[-1]

    def answers(self, x: np.ndarray) -> np.ndarray:
        """Return the logits.  Shapes: (N, ...) -> (N, K)."""
        return self.seen(x, self.logits)

    def seen(self, x: np.ndarray, place: Tensor) -> np.ndarray:
        """Return what is said at a place.  Shapes: (N, ...) -> (N, ...)."""
        return np.concatenate([ops.convert_to_numpy(self._run(part, [place])[0]) for part in _parts(x)])

    def slopes(
        self, x: np.ndarray, score: Callable[[slice], Score], *, of: Tensor | None = None, by: Tensor | None = None,
        instead: Instead | None = None
    ) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
        """Return the gradient of a score of each sample, and what it is taken by.

        score: which samples -> the score of what they say at `of`, the logits where None. by: the place whose change is
        asked for, the input where None: as it was rounded, or what lies at the end of its range would change nothing.
        instead: see `Execution`.
        Shapes: (N, ...) -> twice those of `by`.
        """
        of, by = of or self.logits, by or self.layer.plan.graph.inputs[0]
        found, start = [], 0
        for part in _parts(x):
            here = slice(start, start := start + len(part))
            found.append(self._slope(part, score(here), of, by, instead))
        slopes, values = zip(*found, strict=True)
        return np.concatenate(slopes), np.concatenate(values)

    def _slope(
        self, x: np.ndarray, score: Score, of: Tensor, by: Tensor, instead: Instead | None
    ) -> tuple[np.ndarray, np.ndarray]:
        def scored(at: Sequence[Any]) -> tuple[Any, Any]:
            """Score what is said when what is asked for is changed by so much."""
            said, changed = self._run(x, [of, by], {id(by): at[0]}, instead)
            return ops.sum(score(said)), changed

        (slope,), value = gradients(scored, [np.zeros((len(x), *size_of(by)), np.float32)])
        return slope, value

    def _run(
        self, x: Any, places: Sequence[Tensor], moved: Mapping[int, Any] = MappingProxyType({}),
        instead: Instead | None = None,
    ) -> list[Any]:  # fmt: skip
        """Run the graph; return what is said at places. moved: by id of a place, what is added there."""
        held: dict[int, Any] = {}

        def after(tensor: Tensor, value: Any) -> Any:
            if id(tensor) in moved:
                value = value + moved[id(tensor)]
            held[id(tensor)] = value
            return value

        self.layer.execute([x], quantize=self.quantize, after=after, instead=instead)
        return [held[id(place)] for place in places]


def size_of(place: Tensor) -> tuple[int, ...]:
    """Return the shape of what a place says of one sample."""
    return tuple(size for size in place.shape[1:] if size is not None)


def _parts(x: np.ndarray) -> Iterator[np.ndarray]:
    return (x[start : start + BATCH] for start in range(0, len(x), BATCH))
