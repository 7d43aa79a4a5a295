"""A .tflite file in the LiteRT or tflite-runtime interpreter."""

# ruff: noqa: B905 (zip has no `strict` before Python 3.10)

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from .faults import Unavailable, Untold
from .kinds import Job
from .profiler import CompiledModel, middle, named, repeated
from .tflite_graph import graph_of, keeps_state, layer_of, parts_of, tensor_of
from .timing import SETTLE, run_timed

KERNELS = {  # a job's word: the interpreter's
    "xnnpack": "AUTO",
    "builtin": "BUILTIN_WITHOUT_DEFAULT_DELEGATES",  # without XNNPACK
    "reference": "BUILTIN_REF",
}


class LiteRT:
    """A .tflite file in the LiteRT or tflite-runtime interpreter.

    Kernels are XNNPACK's where it has them, unless the job says otherwise; `delegate` is {"path", "options"}.
    """

    def __init__(self, module: Any, spec: Job):
        self._module, self._spec = module, spec
        self._interpreter = self._open(KERNELS[spec.get("kernels", "xnnpack")], delegates(module, spec))
        self._allocate()
        self.invoke = self._interpreter.invoke
        self.reset = self._interpreter.reset_all_variables

    def _open(self, resolver: str, delegates: Sequence = ()):
        return self._module.Interpreter(
            model_path=self._spec["path"],
            num_threads=self._spec["threads"],
            experimental_delegates=list(delegates) or None,
            experimental_op_resolver_type=getattr(self._module.OpResolverType, resolver),
        )

    def _allocate(self):
        self._interpreter.allocate_tensors()
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self.inputs, self.outputs = [tensor_of(each) for each in inputs], [tensor_of(each) for each in outputs]
        self._inputs, self._outputs = [each["index"] for each in inputs], [each["index"] for each in outputs]

    def resize(self, shapes: Sequence):
        """Give inputs of unknown size their shape, and allocate once more."""
        for index, shape in zip(self._inputs, shapes):
            self._interpreter.resize_tensor_input(index, shape, strict=True)
        self._allocate()

    def set(self, arrays: Any):
        """Place arrays at the inputs."""
        for index, array in zip(self._inputs, arrays):
            self._interpreter.set_tensor(index, array)

    def feeds(self, samples: Sequence):
        """Return `feed(i)`, which places sample i (modulo their number) as cheaply as the runtime allows."""
        set_tensor = self._interpreter.set_tensor
        calls = [list(zip(self._inputs, arrays)) for arrays in samples]

        def feed(i: int):
            for index, array in calls[i % len(calls)]:
                set_tensor(index, array)

        return feed

    def get(self, index: int):
        """Return an output of the last inference."""
        return self._interpreter.get_tensor(self._outputs[index])

    def profile(self, samples: Sequence):
        """Run `samples` in LiteRT's other interface, which times operators; return rows, and unprofiled inferences."""
        if self._spec.get("delegate"):
            raise Untold("LiteRT times operators without an external delegate only")
        if self._spec["runtime"] != "litert":
            raise Untold(f"{self._spec['runtime']} does not say how long operators take")
        feed = self.feeds(samples)
        run_timed(feed, self.invoke, SETTLE)
        nanoseconds = repeated(lambda i: run_timed(feed, self.invoke, 1)[0])
        order = [each["name"] for each in self.inputs]
        layers = self._layers(self._plain())
        try:
            profiler = CompiledModel(os.path.dirname(self._module.__file__), self._spec, order)
        except RuntimeError as error:
            keeping = sorted({layer["op"] for layer in layers if keeps_state(layer)})
            if not keeping:
                raise
            raise Untold(
                f"LiteRT tells the times of operators in its CompiledModel alone, which refuses the variable tensors "
                f"of {', '.join(keeping)} ({error}); the file as a whole is timed in its Interpreter"
            ) from error
        return named(middle(profiler.runs(samples)), layers), nanoseconds

    def _plain(self):
        """Open the graph as the file has it, so without the delegates that swallow operators."""
        interpreter = self._open(KERNELS["builtin"])
        interpreter.allocate_tensors()
        return interpreter

    def inspect(self):
        """Say what is in the graph, and how much of it delegates take."""
        interpreter = self._plain()
        operators, tensors, computed = parts_of(interpreter)
        layers = self._layers(interpreter)
        return {
            "layers": layers,
            "stateful": any(keeps_state(layer) for layer in layers),
            "partitions": len(self._interpreter._get_ops_details()) - len(operators),
            "delegated": self._delegated(len(operators)),
            "graph": graph_of(operators, tensors, computed),
        }

    def _layers(self, interpreter: Any):
        operators, tensors, computed = parts_of(interpreter)
        return [layer_of(interpreter, operator, tensors, computed) for operator in operators]

    def _delegated(self, operators: Any):
        """Return how many partitions the external delegate takes, alone with the file; None where there is none."""
        if not self._spec.get("delegate"):
            return None
        interpreter = self._open(KERNELS["builtin"], delegates(self._module, self._spec))
        interpreter.allocate_tensors()
        return len(interpreter._get_ops_details()) - operators


def delegates(module: Any, spec: Job):
    """Load the external delegate that a job wants. What is none is the device's fault, not the model's."""
    if not spec.get("delegate"):
        return []
    path = spec["delegate"]["path"]
    if not os.path.isfile(path):
        raise Unavailable(f"delegate {path}: no such file on the device")
    try:
        return [module.load_delegate(path, spec["delegate"]["options"])]
    except (ValueError, OSError, AttributeError, RuntimeError) as error:
        words = " ".join(str(error).split()).replace(f"{path}: ", "")
        raise Unavailable(f"delegate {path}: {words or 'it does not load'}") from error
