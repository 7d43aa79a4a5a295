"""Does the suite notice? Faults are put into the operator table, placement, rounding, lowering and both writers.

    python benchmarks/mutations.py [--only TEXT]... [--jobs 2] [--no-baseline]

Each fault is a patch of one file: the text it replaces has to be there exactly once, else the check ends with "no
longer fits" and the fault is to be written anew. It is put into a copy of the tree in a temporary folder, where the
tests that cover it are run until the first fails. These are tests of `make test`, which pass there without the fault
(the baseline). A line tells of each fault which test caught it; the last line is JSON. Exit code 1 if fewer than 9 of
10 are caught, 2 if the check itself went wrong.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import common

ROOT = Path(__file__).parent.parent
BAR = 0.9
TIME_LIMIT_S = 3600
PASSED, FAILED = 0, 1  # exit codes of pytest; others say that tests did not run

TABLE, PLACEMENT, ROUNDING = "quantize/operators.py", "quantize/placement.py", "quantize/fake_quant.py"
KERNELS = "quantize/kernels.py"
CONSTANTS, TRANSLATE, LOWER = "export/constants.py", "export/translate.py", "export/lower.py"
TFLITE, TFLITE_FILE = "export/tflite_operators.py", "export/tflite_writer.py"
OPERATORS = "tests/export/test_operators.py"
ONNX, ONNX_GRAPH = "export/onnx_operators.py", "export/onnx_graph.py"


def cases(*names: str) -> tuple[str, ...]:
    """Return the tests of cases of `tests/operator_cases.py`: each kernel by itself, whole files, nearness to float."""
    whole = [f"test_kernels_round_as_training_did[{name}-xnnpack]" for name in names]
    each = [
        f"test_each_kernel_gives_the_integers_of_training[{name}-{runtime}]"
        for name in names
        for runtime in ("xnnpack", "onnxruntime")
        if runtime == "xnnpack" or "fused" not in name
    ]
    near = [f"test_quantized_is_near_to_float[{name}]" for name in names]
    return tuple(f"{OPERATORS}::{test}" for test in [*each, *whole, *near])


@dataclass(frozen=True)
class Fault:
    """`old`, which stands once in `file`, becomes `new`; `tests` are to notice."""

    what: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


FAULTS: tuple[Fault, ...] = (
    # the operator table
    Fault("softmax and sigmoid have a step of 1/255", TABLE,
          "_UNIT = FixedOutputScale(0.0, 255 / 256)", "_UNIT = FixedOutputScale(0.0, 1.0)",
          cases("softmax", "sigmoid")),
    Fault("tanh has a step of 2/255", TABLE,
          "_SIGNED = FixedOutputScale(-1.0, 127 / 128)", "_SIGNED = FixedOutputScale(-1.0, 1.0)",
          (f"{OPERATORS}::test_steps_are_those_of_the_specification",)),
    Fault("depthwise kernels have one scale for all channels of an image", KERNELS,
          "KernelForm(channels=(-2, -1)),", "KernelForm(channels=(-1,)),", cases("depthwise_conv2d")),
    Fault("transposed kernels are scaled by their inputs", KERNELS,
          "KernelForm(channels=(-2,), inputs=-1),", "KernelForm(channels=(-1,), inputs=-2),",
          cases("conv2d_transpose")),
    Fault("halves of a pool's means are rounded up", TABLE,
          'rounding="away from 0",', 'rounding="",', cases("average_pool2d_same")),
    Fault("what is masked has no margin", TABLE,
          "range_margin=8.0", "range_margin=0.0", (f"{OPERATORS}::test_what_is_masked_gets_nothing",)),
    Fault("what is concatenated has no common scale", TABLE,
          '_moves("Concatenate", "CONCATENATION", repairable=True,',
          'Rule(op_type="Concatenate", builtin_op="CONCATENATION", repairable=True,',
          cases("concatenate", "conv2d_clipped_beside_wide")),
    Fault("a second factor has a zero point", TABLE,
          'symmetric=(1,),\n        options=lambda node: {"transposed": False}',
          'symmetric=(),\n        options=lambda node: {"transposed": False}',
          cases("matmul", "attention", "dot_attention")),
    Fault("a fused clip at 6 is none", TABLE,
          'Rule(op_type="Relu6", builtin_op="RELU6"', 'Rule(op_type="Relu6", builtin_op="RELU"',
          cases("conv2d_dilated", "relu6", "conv2d_clipped_beside_wide")),
    Fault("an axis is off by one", TABLE,
          'return {"axis": node.op.axis % len(node.output.shape)}',
          'return {"axis": (node.op.axis - 1) % len(node.output.shape)}', cases("concatenate", "stack_unstack")),
    # placement
    Fault("a requantization is dropped", PLACEMENT,
          "if id(source) in prescribed or (_has_range(source)", "if (_has_range(source)", cases("concatenate")),
    Fault("cell states have 8 bits", PLACEMENT,
          "self.bits[id(out)] = 16 if index in rule.states else own", "self.bits[id(out)] = own",
          cases("lstm_fused")),
    Fault("a state and what it becomes have two scales", PLACEMENT,
          "groups.join(given, new)", "groups.join(given, given)", ("tests/quantize/test_streaming.py",)),
    Fault("what must be symmetric is not", PLACEMENT,
          "symmetric=any(key in self.symmetric for key in keys),", "symmetric=False,",
          cases("lstm_fused", "matmul")),
    # fake quantization
    Fault("kernels reach to -128", ROUNDING,
          "return ops.maximum(largest, least) / limits(bits)[1]",
          "return ops.maximum(largest, least) / -limits(bits)[0]", cases("conv2d", "dense")),
    Fault("a bias is rounded to the kernel's steps", ROUNDING,
          "ops.reshape(scale, (-1,)) * ((high - low) / steps(bits))", "ops.reshape(scale, (-1,))",
          cases("dense", "conv2d")),
    Fault("a zero point is rounded down", ROUNDING,
          "int(np.clip(round(-128 - low / float(scale)), -128, 127))",
          "int(np.clip(np.floor(-128 - low / float(scale)), -128, 127))", ("tests/quantize/test_fake_quant.py",)),
    Fault("halves of a pool's means are rounded towards 0", ROUNDING,
          "ops.sign(integers) * PUSH", "ops.sign(integers) * -PUSH", cases("average_pool2d_same")),
    Fault("a channel of zeros has a scale of its own", ROUNDING,
          "ops.maximum(ops.max(largest) * SMALLEST_CHANNEL, SMALLEST_RANGE)", "ops.max(largest) * 0 + SMALLEST_RANGE",
          ("tests/quantize/test_fake_quant.py", "tests/export/test_tflite.py")),
    Fault("no gradient passes a kernel's rounding", ROUNDING,
          "return kernel + ops.stop_gradient(ops.round(kernel / scale) * scale - kernel)",
          "return ops.round(kernel / scale) * scale", ("tests/quantize/test_fake_quant.py",)),
    # layers as operations
    Fault("batch normalization forgets its epsilon", "quantize/graph/layer_rules.py",
          "scale = ops.rsqrt(layer.moving_variance + layer.epsilon)", "scale = ops.rsqrt(layer.moving_variance)",
          ("tests/quantize/test_graph.py", "tests/quantize/test_canonicalize.py")),
    Fault("an LSTM's input and forget gates are swapped", "quantize/graph/operations.py",
          "i, f, g, o = (", "f, i, g, o = (", cases("lstm_fused")),
    # lowering
    Fault("a table is rounded down", TRANSLATE,
          "rounded(_defined(np.asarray(function(values))), target.steps[0]",
          "rounded(_defined(np.asarray(function(values))) - target.steps[0] / 2, target.steps[0]",
          cases("own_pointwise")),
    Fault("a bias has the kernel's scale", CONSTANTS,
          "scale = (data.steps.astype(np.float64) * weights.steps)", "scale = (np.ones(1) * weights.steps)",
          cases("dense")),
    Fault("the biases of 16-bit activations have 32 bits", CONSTANTS,
          'wide = np.int32 if data.dtype == "int8" else np.int64', "wide = np.int32",
          ("tests/export/test_precisions.py",)),
    Fault("kernels are cut, not rounded", CONSTANTS,
          "integers = np.round(kernel / scale).astype(np.int8)", "integers = (kernel / scale).astype(np.int8)",
          cases("conv2d")),
    Fault("an output has its input's scale", LOWER,
          "scale = self.plan.scale_of(tensor) if fused.is_quantized else None",
          "scale = self.plan.scale_of(fused.inputs[0]) if fused.is_quantized else None", cases("dense", "multiply")),
    Fault("what is masked becomes the highest score", TRANSLATE,
          "np.iinfo(scores.dtype).min", "np.iinfo(scores.dtype).max", cases("softmax_masked")),
    Fault("a slice backwards stops before the first", TRANSLATE,
          "end.append(-size - 1 if stop < 0 else stop)", "end.append(stop)", cases("flip")),
    Fault("an average divides by one side of its window", TRANSLATE,
          "np.float32(1 / np.prod(window))", "np.float32(1 / window[0])", cases("average_pool2d")),
    Fault("a constant below a step counts for nothing", TABLE,
          "NOTHING = 1024", "NOTHING = 1", cases("small_offset")),
    # the TFLite writer
    Fault("strides are swapped", TFLITE,
          '"strideH": strides[0], "strideW": strides[1]', '"strideH": strides[1], "strideW": strides[0]',
          cases("conv2d_uneven")),
    Fault("zero points are not written", TFLITE_FILE,
          "np.full(array.scale.shape, array.zero_point, np.int64)", "np.full(array.scale.shape, 0, np.int64)",
          cases("dense")),
    Fault("a dense kernel is not transposed", TFLITE,
          "ROWS = Layout(lambda kernel: kernel.T)", "ROWS = Layout(lambda kernel: kernel.reshape(kernel.shape[::-1]))",
          cases("dense")),
    Fault("a kernel lies with its sides swapped", TFLITE,
          "OUTPUTS_FIRST = Layout(lambda kernel: kernel.transpose(3, 0, 1, 2))",
          "OUTPUTS_FIRST = Layout(lambda kernel: kernel.transpose(3, 1, 0, 2))", cases("conv2d")),
    Fault("a table is read one place early", TFLITE,
          "data=np.array(128, np.int32)", "data=np.array(127, np.int32)", cases("own_pointwise")),
    Fault("a leak is 127/128 of itself", TFLITE,
          "np.array([abs(factor) / 127], np.float32)", "np.array([abs(factor) / 128], np.float32)",
          cases("relu_leaky")),
    Fault("images are resized by the corners of their pixels", TFLITE,
          "halfPixelCenters=True", "halfPixelCenters=False", cases("up_sampling_bilinear")),
    Fault("a fused activation is not written", TFLITE,
          'activation.upper() if activation else "NONE"', '"NONE"',
          cases("conv2d_same_stride", "conv2d_clipped_beside_wide")),
    # the ONNX writer
    Fault("the odd zero of padding stands in front", ONNX,
          "return [total // 2 for total in totals] + [total - total // 2 for total in totals]",
          "return [total - total // 2 for total in totals] + [total // 2 for total in totals]",
          cases("conv2d_same_stride")),
    Fault("halves of a pool's means go to the even step", ONNX,
          'if op.function == "average" and out.scale is not None:', "if False:", cases("average_pool2d_same")),
    Fault("integers are shifted by 127", ONNX_GRAPH,
          "(wide + 128).astype(np.uint8)", "(wide + 127).astype(np.uint8)", cases("dense", "relu")),
    Fault("maps are joined along the axis they have in Keras", ONNX,
          "axis = TO_FIRST.index(op.axis) if layout == FIRST else op.axis", "axis = op.axis",
          cases("conv2d_clipped_beside_wide")),
    Fault("maps are reduced along the axes they have in Keras", ONNX,
          "chosen = [TO_FIRST.index(axis) for axis in chosen]", "chosen = list(chosen)", cases("squeeze_and_excite")),
    Fault("a transposed convolution is cropped on the wrong side", ONNX,
          "before.append(max(excess, 0) // 2)", "before.append(max(excess, 0) - max(excess, 0) // 2)",
          cases("conv2d_transpose")),
    Fault("a clip at 6 is left out", ONNX_GRAPH,
          'return self.clip(source, 0.0, 6.0, name) if activation == "relu6" else source', "return source",
          cases("conv2d_dilated", "conv2d_clipped_beside_wide")),
    Fault("kernels are scaled along the wrong axis", ONNX,
          "kernel.values.transpose(3, 2, 0, 1), axis=1)", "kernel.values.transpose(3, 2, 0, 1), axis=0)",
          cases("conv2d_transpose")),
)  # fmt: skip


class Unfit(Exception):
    """The check itself went wrong: a fault no longer fits, tests did not run or fail without any fault."""


def check_fit(faults: Iterable[Fault], root: Path = ROOT) -> None:
    """Raise Unfit naming each fault whose text does not stand exactly once in its file."""
    wrong = []
    for fault in faults:
        path = root / fault.file
        count = path.read_text().count(fault.old) if path.is_file() else 0
        if count != 1:
            wrong.append(f"fault {fault.what!r} no longer fits: its text stands {count} times in {fault.file}")
    if wrong:
        raise Unfit("\n".join(wrong))


@contextmanager
def copied() -> Iterator[Path]:
    """Give a copy of the tree, as a folder named like the package."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
        root = Path(folder) / "edgewright"
        for name in filter(None, listed.stdout.split("\0")):
            if (ROOT / name).is_file():  # not deleted since
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, root / name)
        yield root


class Runner:
    """A process that runs the tests of one copy after another, see `mutation_tests`; each thread has its own."""

    _own = threading.local()

    def __init__(self) -> None:
        command = [sys.executable, Path(__file__).parent / "mutation_tests.py"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    @classmethod
    def of_this_thread(cls) -> "Runner":
        """Return the one that this thread asks."""
        if not hasattr(cls._own, "runner"):
            cls._own.runner = cls()
        return cls._own.runner

    def run(self, root: Path, arguments: Sequence[str]) -> tuple[int, str]:
        """Return pytest's exit code and what it wrote."""
        said = root.parent / "said.txt"
        order = {"root": str(root), "arguments": list(arguments), "said": str(said), "seconds": TIME_LIMIT_S}
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps(order), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise Unfit("the process that runs the tests died")
        return int(answer), said.read_text(errors="replace")


def run_tests(root: Path, tests: Sequence[str], *options: str) -> tuple[int, str]:
    """Run tests of the tree at `root` upon its own package; return pytest's exit code and what it wrote."""
    arguments = ["-q", "-rfE", "--tb=line", "-p", "no:cacheprovider", *options, *tests]
    return Runner.of_this_thread().run(root, arguments)


def check_baseline(faults: Iterable[Fault], jobs: int) -> None:
    """Raise Unfit if a test fails where there is no fault."""
    tests = list(dict.fromkeys(test for fault in faults for test in fault.tests))

    def run(part: list[str]) -> tuple[int, str]:
        with copied() as root:
            return run_tests(root, part)

    with ThreadPoolExecutor(jobs) as pool:
        for code, said in pool.map(run, filter(None, (tests[start::jobs] for start in range(jobs)))):
            if code != PASSED:
                raise Unfit(f"tests fail without a fault (pytest ended with {code}):\n{said[-3000:]}")


def caught_by(fault: Fault) -> str:
    """Return the test that notices the fault, or nothing."""
    with copied() as root:
        path = root / fault.file
        path.write_text(path.read_text().replace(fault.old, fault.new))
        code, said = run_tests(root, fault.tests, "-x")
    if code == PASSED:
        return ""
    first = re.search(r"^(?:FAILED|ERROR) (\S+)", said, re.MULTILINE)
    if code != FAILED or first is None:
        raise Unfit(f"fault {fault.what!r}: its tests did not run (pytest ended with {code}):\n{said[-3000:]}")
    return first[1]


def judge(fault: Fault) -> bool:
    """Try a fault, tell of it in a line, and return whether it was caught."""
    started = time.monotonic()
    test = caught_by(fault)
    verdict = f"caught by {test}" if test else "MISSED"
    print(f"{fault.file}: {fault.what}: {verdict} ({time.monotonic() - started:.0f} s)", flush=True)
    return bool(test)


def main() -> int:
    """Check all faults, or those asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", action="append", default=[], help="faults that have this in their name or file")
    parser.add_argument("--jobs", type=int, default=2, help="faults at once")
    parser.add_argument("--no-baseline", action="store_true", help="do not run the tests without a fault first")
    arguments = parser.parse_args()
    wanted = [
        fault
        for fault in FAULTS
        if not arguments.only or any(text in f"{fault.file}: {fault.what}" for text in arguments.only)
    ]
    try:
        check_fit(wanted)
        if not arguments.no_baseline:
            check_baseline(wanted, arguments.jobs)
        with ThreadPoolExecutor(arguments.jobs) as pool:
            caught = list(pool.map(judge, wanted))
    except Unfit as error:
        print(error, file=sys.stderr)
        return 2
    missed = [fault.what for fault, noticed in zip(wanted, caught, strict=True) if not noticed]
    value = sum(caught) / max(1, len(caught))
    return int(not common.emit("mutations", [value] * 2, len(caught), f">= {BAR}", value=value, missed=missed))


if __name__ == "__main__":
    sys.exit(main())
