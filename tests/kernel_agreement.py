"""How a runtime's kernels round beside the fake-quantizers, each given the very inputs that it had on the runtime.

What is left between the two is the rounding of that one kernel, whatever went before it. A file is written that gives
away every integer tensor; the fake-quantized graph is executed with what came out of it in place of its own values.
"""

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from edgewright.export.lower import Program, lower
from edgewright.export.probe import probed
from edgewright.quantize.fake_quant import fake_quantize, steps
from edgewright.quantize.graph.nodes import Tensor
from edgewright.quantize.qat import QuantizedGraph

RUNTIMES = ("xnnpack", "built-in", "reference", "onnxruntime")
# LiteRT with XNNPACK, with its own kernels, with its reference kernels, and ONNX Runtime.
SERVER = """
import json, sys, numpy as np, onnxruntime
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from edgewright.devices.agent.agent import onnx_options
resolvers = {
    "xnnpack": OpResolverType.AUTO,
    "built-in": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    "reference": OpResolverType.BUILTIN_REF,
}
def litert(path, resolver):
    runner = Interpreter(model_path=path, num_threads=1, experimental_op_resolver_type=resolver)
    runner.allocate_tensors()
    source, target = runner.get_input_details()[0], runner.get_output_details()[0]
    def answer(sample):
        runner.reset_all_variables()
        runner.set_tensor(source["index"], sample[None])
        runner.invoke()
        return runner.get_tensor(target["index"])[0].copy()
    return answer
def ort(path):
    session = onnxruntime.InferenceSession(path, onnx_options(onnxruntime), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda sample: session.run(None, {name: sample[None]})[0][0]
for line in sys.stdin:
    path, runtime, given, made = json.loads(line)
    try:
        answer = ort(path) if runtime == "onnxruntime" else litert(path, resolvers[runtime])
        np.save(made, np.stack([answer(sample) for sample in np.load(given)]))
        print("done", flush=True)
    except Exception as error:
        print(" ".join(str(error).split()), flush=True)
"""


class Refused(Exception):
    """A runtime does not take a file, or died of it."""


class Server:
    """One process that runs file after file, a sample at a time; it is not the one that holds TensorFlow."""

    def __init__(self, folder: Path):
        self.folder = folder
        command = [sys.executable, "-c", SERVER]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, data: bytes, runtime: str, x: np.ndarray) -> np.ndarray:
        """Return the first output of the file `data` for each sample.  Shapes: (N, ...) -> (N, ...)."""
        path, given, made = (self.folder / name for name in ("model", "x.npy", "y.npy"))
        path.write_bytes(data)
        np.save(given, x)
        self.process.stdin.write(json.dumps([str(path), runtime, str(given), str(made)]) + "\n")
        self.process.stdin.flush()
        said = self.process.stdout.readline().strip()
        if said != "done":
            raise Refused(f"{runtime}: {said or 'the process died'}")
        path.unlink()  # not overwritten: a runtime may still map it
        return np.load(made)

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *error: object) -> None:
        self.process.stdin.close()
        self.process.wait()


INPUT = "input"  # the operator that makes integers of what enters a file
FARTHEST = 1  # step: no kernel is known to be further off, but LiteRT's reference SUM
SIGNED = 0.05  # of a step, on average
EQUAL = 0.999  # of the values of an operator
FEW = 2  # values of one kernel may be off besides: of 300 the share says little
# Read in the sources of TensorFlow Lite Micro, which share these kernels; `quantize/reference.py` imitates it.
TWICE = (
    "rounds products twice: to whole numbers, then by the shift (SaturatingRoundingDoublingHighMul and what follows)"
)


@dataclass(frozen=True)
class Bar:
    """What an operator is known to reach on a runtime that rounds otherwise than its table says, and why."""

    equal: float
    reason: str
    signed: float = SIGNED


OWN = ("built-in", "reference")  # LiteRT's kernels
BARS: dict[tuple[str, str], Bar] = {
    # read in XNNPACK's qs8-vcvt; RELU measured: it equals a product by 256ths, halves going up, on all values
    ("QUANTIZE", "xnnpack"): Bar(0.9, "multiplies by 256ths: ratios that are fixed or small are not met"),
    ("RELU", "xnnpack"): Bar(0.98, "is a change of scale by 256ths; of the model's inputs no ratio is chosen"),
    ("RELU6", "xnnpack"): Bar(0.98, "is a change of scale by 256ths, as RELU"),
    # read in TensorFlow Lite Micro's ResizeBilinearInteger
    **{("RESIZE_BILINEAR", kernels): Bar(0.9, "in 10 bits, halves away from 0") for kernels in OWN},
    # measured: of means of four, quarters become halves, and halves go away from 0
    **{("DEPTHWISE_CONV_2D", kernels): Bar(0.96, "an average is a convolution by ones; " + TWICE) for kernels in OWN},
    **{("MEAN", kernels): Bar(0.93, "has few bits of shift; " + TWICE, signed=0.08) for kernels in OWN},
    **{("QUANTIZE", kernels): Bar(0.9, TWICE, signed=0.08) for kernels in OWN},
    **{(operator, kernels): Bar(0.99, TWICE) for kernels in OWN for operator in
       ("BATCH_MATMUL", "CONV_2D", "FULLY_CONNECTED", "MUL", "TRANSPOSE_CONV")},
    # measured; its gates are not imitated
    **{("UNIDIRECTIONAL_SEQUENCE_LSTM", runtime): Bar(0.95, "has 16 bits inside, and each step feeds the next")
       for runtime in ("xnnpack", *OWN)},
}  # fmt: skip


@dataclass(frozen=True)
class Agreement:
    """What one kernel of one file does: how many values it makes, and of them in steps: how many are off, the sum of
    what they are off by, and the farthest.
    """

    operator: str
    place: str
    moves: bool
    values: int
    off: int
    sum_off: float
    farthest: float

    def __str__(self) -> str:
        return (
            f"{self.operator} at {self.place}: equal {1 - self.off / self.values:.4f} of {self.values}, "
            f"signed {self.sum_off / self.values:+.4f}, at most {self.farthest:.0f} steps off"
        )

    @property
    def fault(self) -> str:
        """What no kernel may do, in however small a case: move values and change them, be off by several steps."""
        if self.moves and self.off:
            return f"{self}; it only moves values"
        return f"{self}" if self.farthest > FARTHEST else ""

    def fault_on(self, runtime: str) -> str:
        """What this kernel may not do on `runtime`: where its operator is as in the table, hardly a value is off."""
        known = (self.operator, runtime) in BARS
        too_many = not known and self.off > FEW + (1 - EQUAL) * self.values
        said = self.fault or (str(self) if too_many else "")
        return said and f"{runtime}: {said}"


@dataclass
class Tally:
    """Agreements of one runtime, added up by operator over all the files it ran, and the bars that these are to reach
    where it is known to round otherwise.
    """

    runtime: str
    bars: Mapping[tuple[str, str], Bar] = field(default_factory=lambda: BARS)
    by_operator: dict[str, list[Agreement]] = field(default_factory=lambda: defaultdict(list))

    def add(self, agreements: Sequence[Agreement], file: str) -> None:
        for agreement in agreements:
            values = {**vars(agreement), "place": f"{file}:{agreement.place}"}
            self.by_operator[agreement.operator].append(Agreement(**values))

    def shortcoming(self, operator: str) -> str:
        """Say where `operator` stays below its bar, or nothing."""
        agreements = self.by_operator[operator]
        values = sum(each.values for each in agreements)
        equal = 1 - sum(each.off for each in agreements) / values
        signed = sum(each.sum_off for each in agreements) / values
        bar = self.bars.get((operator, self.runtime), Bar(EQUAL, ""))
        if equal >= bar.equal and abs(signed) < bar.signed:
            return ""
        worst = sorted(agreements, key=lambda each: each.off / each.values)[-3:]
        return (
            f"{operator} on {self.runtime}: equal {equal:.4f} (bar {bar.equal}), signed error {signed:+.4f} steps "
            f"(bar {bar.signed}) of {values} values; worst: {'; '.join(map(str, worst[::-1]))}"
        )


@dataclass(frozen=True)
class Probe:
    """A program that gives away, flattened one after another, the values of `tensors`, whose shapes in it these are."""

    program: Program
    tensors: list[Tensor]

    def parts(self, flat: np.ndarray) -> dict[int, np.ndarray]:
        """Return the values of each tensor by id.  Shapes: (N, sum of sizes) -> (N, ...) each."""
        values, start = {}, 0
        for tensor in self.tensors:
            shape = self.program.arrays[id(tensor)].shape
            stop = start + int(np.prod(shape))
            values[id(tensor)] = _side_by_side(list(flat[:, start:stop].reshape(len(flat), *shape)), tensor)
            start = stop
        return values


def probe(layer: QuantizedGraph, name: str) -> Probe:
    """Return the program of a quantized graph that gives away every integer tensor."""
    tensors = list({id(leaf): leaf for _, leaf, _ in _kernels(layer)}.values())
    return Probe(probed(lower(layer, name), tensors), tensors)


def agreements(
    layer: QuantizedGraph, x: np.ndarray, values: Mapping[str, Mapping[int, np.ndarray]]
) -> dict[str, list[Agreement]]:
    """Return by runtime how far the kernels that made `values` of `x` are from the fake-quantizers, each by its own
    inputs.
    """
    kernels, alone = _kernels(layer), {}
    given = {id(leaf): _side_by_side([made[id(leaf)] for made in values.values()], leaf) for _, leaf, _ in kernels}

    def from_the_runtimes(leaf, value):
        alone[id(leaf)] = np.asarray(value)
        if id(leaf) not in given:
            return value
        scale = layer.plan.scale_of(leaf)
        return fake_quantize(given[id(leaf)], *layer.range(scale), scale.bits)  # a dequantizer may be an ulp off

    layer.execute([np.concatenate([x] * len(values))], after=from_the_runtimes)
    rows: dict[str, list[Agreement]] = {runtime: [] for runtime in values}
    for operator, leaf, moves in kernels:
        axis = _batch_axis(leaf)
        expected = np.split(alone[id(leaf)], len(values), axis) if axis is not None else [alone[id(leaf)]] * len(values)
        for (runtime, made), own in zip(values.items(), expected, strict=True):
            off = np.round((made[id(leaf)] - own.astype(np.float64)) / step_of(layer, leaf))
            counts = off.size, int(np.count_nonzero(off)), float(off.sum()), float(np.abs(off).max())
            rows[runtime].append(Agreement(operator, leaf.name, moves, *counts))
    return rows


def step_of(layer: QuantizedGraph, leaf: Tensor) -> float:
    """Return the real value of one quantization step of `leaf`."""
    scale = layer.plan.scale_of(leaf)
    low, high = (float(end) for end in layer.range(scale))
    return (high - low) / steps(scale.bits)


def _kernels(layer):
    """Return operator, output and whether values are only moved, of every kernel whose integers a file gives away."""
    made = [(INPUT, leaf, False) for leaf in layer.plan.graph.inputs]
    made += [
        (step.rule.builtin_op, step.outputs[0], step.rule.passthrough)  # a fused LSTM keeps its second to itself
        for step in layer.plan.operators
        if step.rule is not None and step.rule.builtin_op
    ]
    return [each for each in made if _is_comparable(layer, each[1])]


def _is_comparable(layer, leaf):
    """Tell whether `leaf` has integers (masks and numbers have none) that a file makes of one sample after another."""
    return layer.plan.scale_of(leaf) is not None and sum(size is None for size in leaf.shape) <= 1


def _batch_axis(leaf):
    return next((axis for axis, size in enumerate(leaf.shape) if size is None), None)


def _side_by_side(batches, leaf):
    """Join batches along the axis where they have their samples; of weights alone all of them have the same."""
    axis = _batch_axis(leaf)
    return batches[0] if axis is None else np.concatenate(batches, axis)
