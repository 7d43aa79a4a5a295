"""Which outputs of one time step become its inputs in the next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import keras

from ..errors import BadInput
from ..quantize.graph.nodes import nodes_before
from ..quantize.qat import find_quantized


def states_of(
    model: keras.Model, inputs: Sequence[str], outputs: Sequence[str], wanted: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return output -> the input that it becomes in the next call, by the names that a file has; {} for most models.

    wanted: what the caller knows. Without it, what `streaming` made is known, and so are the recurrences of a float
    model that is one time step long.  Raises: BadInput for a name in `wanted` that the file does not have.
    """
    if wanted is None:
        return {outputs[new]: inputs[given] for given, new in _carried(model)}
    for kind, known, named in (("output", outputs, wanted), ("input", inputs, wanted.values())):
        unknown = [name for name in named if name not in known]
        if unknown:
            raise BadInput(
                f"states={dict(wanted)!r}: model {model.name!r} has no {kind} {unknown[0]!r}; allowed: "
                f"{', '.join(map(repr, known))}"
            )
    return dict(wanted)


def _carried(model: keras.Model) -> Sequence[tuple[int, int]]:
    """Return the numbers of inputs, and of the outputs that become them."""
    layer = find_quantized(model)
    if layer is not None:
        return [(given, new) for given, new in layer.carried]
    made = getattr(model, "outputs", None)
    return list(_of_recurrences(model.inputs, made)) if made and model.inputs else []


def _of_recurrences(
    inputs: Sequence[keras.KerasTensor], outputs: Sequence[keras.KerasTensor]
) -> Iterator[tuple[int, int]]:
    """Yield the states of recurrences over sequences of length 1 that come from `inputs` and go to `outputs`."""
    given = {id(tensor): number for number, tensor in enumerate(inputs)}
    new = {id(tensor): number for number, tensor in enumerate(outputs)}
    for node in nodes_before(list(outputs), set()):
        if not isinstance(node.operation, keras.layers.RNN) or not node.operation.return_state:
            continue
        sequence, *before = node.arguments.keras_tensors
        for old, made in zip(before, node.outputs[1:], strict=False):
            if sequence.shape[1] == 1 and id(old) in given and id(made) in new:
                yield given[id(old)], new[id(made)]
