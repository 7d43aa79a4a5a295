"""Float conversions by TensorFlow's converter and tf2onnx, in a process of their own.

A converter can take its process down (one infinite constant is enough), so it never runs in the host. The host freezes
the model to a GraphDef, the one form that both converters read, and a worker process turns it into a file. The worker
lives as long as the host, since starting TensorFlow costs more than most conversions.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import re
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from ..errors import BadInput, EdgewrightError
from ..keras_internals import layers_in, tensorflow_numpy
from ..quantize.graph import nodes as graph
from ..quantize.graph import tracing
from ..quantize.passes.canonicalize import canonicalize
from ..workers import Worker

TIME_LIMIT_S = 600


class InputSpec(NamedTuple):
    """An input of a file: its name, its shape with a batch of 1, its type."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Frozen:
    """A frozen TensorFlow graph: GraphDef bytes and the names of its tensors (`node:0`)."""

    graph_def: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def freeze(model: keras.Model, rewritten: bool | None = None) -> Frozen:
    """Freeze `model` with batch 1 and its weights as constants.

    rewritten: as the operations that an int8 file would have, in float; None for only where that is known to be needed.
    Recurrent layers are unrolled then: their loops over tensor lists need operators that LiteRT does not carry. What
    computes in another precision than float32 is written in it: LiteRT has hardly a kernel for others.
    Raises: BadInput for open dimensions, or if the Keras backend is not TensorFlow.
    """
    inputs = [spec._replace(name=_plain(spec.name)) for spec in inputs_of(model)]
    traced = canonicalize(tracing.trace(model)) if needs_rewriting(model) or rewritten else None
    structure = tracing.symbolic_inputs(model)

    def forward(*arguments: Any) -> Any:
        if traced is not None:
            return graph.run(traced, list(arguments))
        return keras.tree.flatten(model(keras.tree.pack_sequence_as(structure, list(arguments)), training=False))

    return freeze_function(forward, inputs)


def needs_rewriting(model: keras.Model) -> bool:
    """Tell whether the converters are known to make no file, or a bad one, of the model as it is."""
    return any(isinstance(layer, keras.layers.RNN) or layer.compute_dtype != "float32" for layer in layers_in(model))


def inputs_of(model: keras.Model) -> list[InputSpec]:
    """Return what each input of a float file is.

    Raises: BadInput for an input with open dimensions.
    """
    tensors = keras.tree.flatten(tracing.symbolic_inputs(model))
    for tensor in tensors:
        if None in tensor.shape[1:]:
            raise BadInput(
                f"input {tensor.name!r} of model {model.name!r} has open dimensions, {tuple(tensor.shape[1:])}; in a "
                "file all are fixed: export edgewright.fix_shapes(model, [shape]), with a shape of one sample for each "
                "input"
            )
    return [InputSpec(tensor.name, (1, *tensor.shape[1:]), graph.computed_dtype(tensor.dtype)) for tensor in tensors]


def freeze_function(
    function: Callable[..., list[Any]],
    inputs: Sequence[InputSpec],
    what: str = "float export",
) -> Frozen:
    """Freeze a function of tensors, which returns a list of tensors.

    Raises: BadInput if the Keras backend is not TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise BadInput(
            f"{what} needs the TensorFlow backend, this process runs Keras on {keras.backend.backend()}: "
            "save the model and export it under KERAS_BACKEND=tensorflow"
        )
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    def forward(*arguments: Any) -> Any:
        with _as_formats_have_it():
            return [tf.identity(tensor) for tensor in function(*arguments)]

    specs = [tf.TensorSpec(shape, dtype, name=name) for name, shape, dtype in inputs]
    concrete = tf.function(forward, autograph=False).get_concrete_function(*specs)
    try:
        frozen = convert_variables_to_constants_v2(concrete, lower_control_flow=False)
    except ValueError as error:
        if "AssignVariableOp" not in str(error):
            raise
        place = re.search(r"node (\S+)/\w*AssignVariableOp", str(error))
        raise BadInput(
            f"{what}: {place.group(1) if place else 'a layer'} changes a variable each time it is called, as random "
            "numbers and counters do, which a file cannot: let what it computes be an input of the model"
        ) from None
    return Frozen(
        frozen.graph.as_graph_def().SerializeToString(),
        tuple(tensor.name for tensor in frozen.inputs),
        tuple(tensor.name for tensor in frozen.outputs),
    )


@contextlib.contextmanager
def _as_formats_have_it() -> Iterator[None]:
    """Let Keras compute by what formats have, and rightly in a batch of 1.

    Argmax and argmin take -0.0 for 0.0: Keras tells them apart by bitwise operators. A sum is never one with a bias:
    of (1, n, 1) and (1, 1, n) Keras 3.15 takes one for the other's bias.
    """
    import tensorflow as tf

    backend = tensorflow_numpy()
    signbit, add = backend.signbit, backend.add

    def sum_of(left: Any, right: Any) -> Any:
        shapes = [tuple(getattr(term, "shape", ())) for term in (left, right)]
        if None in sum(shapes, ()) or np.broadcast_shapes(*shapes) in shapes:
            return add(left, right)
        dtype = keras.backend.result_type(left.dtype, right.dtype)
        return tf.add(tf.cast(left, dtype), tf.cast(right, dtype))

    backend.signbit, backend.add = lambda x: x < 0, sum_of
    try:
        yield
    finally:
        backend.signbit, backend.add = signbit, add


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)


def convert(
    frozen: Frozen,
    kind: str,
    precision: str = "float32",
    what: str = "the model",
    names: tuple[Sequence[str], Sequence[str]] | None = None,
    first: Collection[str] = (),
) -> bytes:
    """Convert to `kind` ("tflite" or "onnx") in the worker. what: its name in errors. names: of inputs and outputs in
    the file. first: those of the inputs that an .onnx file takes with their channels first.

    Raises: EdgewrightError with the converter's last words.
    """
    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
        source, target = Path(folder, "graph.pb"), Path(folder, "model")
        source.write_bytes(frozen.graph_def)
        job = {
            "graph": str(source),
            "out": str(target),
            "inputs": frozen.inputs,
            "outputs": frozen.outputs,
            "kind": kind,
            "precision": precision,
            "names": names,
            "first": [name for name, own in zip(frozen.inputs, names[0], strict=True) if own in first] if names else [],
        }
        try:
            answer = _converter().ask(job, TIME_LIMIT_S)
        except EdgewrightError as lost:
            raise EdgewrightError(
                f"the {kind} converter {lost} on precision {precision}: {_converter().last_words()}"
            ) from None
        if "error" in answer:
            raise EdgewrightError(f"the {kind} converter refused {what}: {_explained(answer['error'], frozen)}")
        return target.read_bytes()


def _explained(words: str, frozen: Frozen) -> str:
    """Say where the operation is that a converter does not know, and what to do about it."""
    unknown = re.search(r"'tf\.(\w+)' op is neither|No Op registered for (\w+)", words)
    if unknown is None:
        return words
    from tensorflow.core.framework.graph_pb2 import GraphDef

    graph, kind = GraphDef(), next(filter(None, unknown.groups()))
    graph.ParseFromString(frozen.graph_def)
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    places = [node.name for node in nodes if node.op == kind]
    where = f", which {places[0]!r} computes" if places else ""
    return f"it has no operator {kind}{where}: leave that out of the model, and compute it outside"


def fork_converter() -> None:
    """Have this process, which has imported TensorFlow and computed nothing yet, be forked for the conversions."""
    _converter().fork()


@functools.cache
def _converter() -> Worker:
    """Return the converter of this process."""
    worker = Worker(f"{__package__}.worker", environment={"CUDA_VISIBLE_DEVICES": "-1"}, quiet=True)
    atexit.register(worker.stop)
    return worker
