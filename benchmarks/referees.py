"""QDQ files in two compilers that share no kernel with any runtime of ours: TVM and IREE. Steps off LiteRT.

    python benchmarks/referees.py [--only NET] [--samples 16]

Nets are untrained and quantized after training. The packages are installed into an environment of the benchmark's own,
in the cache; each file is compiled and run by a process there. One JSON line a net and referee; exit code 1 if fewer
than three quarters of a net's answers are within 2 steps. Part of `make torture`: a compilation takes half a minute.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import common
import edgewright as ew
import numpy as np
from edgewright.devices.measure import ModelFile, answers
from edgewright.devices.runtimes import environments, packaged
from edgewright.devices.transports.locks import held
from edgewright.pipeline.check import stand_ins

NAME = "referees"
PACKAGES = ("iree-base-compiler[onnx]==3.13.0", "iree-base-runtime==3.13.0", "apache-tvm==0.27.0.post1", "onnx==1.23.2")
NETS = ("lenet5", "ds_cnn", "anomaly_detector", "resnet8", "lstm", "transformer_classifier")
MOST_STEPS = 2
SHARE = 0.75  # of answers: one step at one operator may be enlarged on its way through an untrained net
LIMIT_S = 1800
TVM = """
import sys
import numpy as np, onnx, tvm
from tvm import relax
from tvm.relax.frontend.onnx import from_onnx
path, inputs, outputs = sys.argv[1:]
module = from_onnx(onnx.load(path), keep_params_in_input=False)
machine = relax.VirtualMachine(tvm.compile(module, target="llvm"), tvm.cpu())
answers = []
for sample in np.load(inputs):
    found = machine["main"](tvm.runtime.tensor(sample[None]))
    answers.append((found if hasattr(found, "numpy") else found[0]).numpy()[0])
np.save(outputs, np.stack(answers))
"""
IREE = """
import subprocess, sys
from pathlib import Path
import numpy as np, onnx
import iree.runtime
path, inputs, outputs = sys.argv[1:]
programs, imported, compiled = Path(sys.executable).parent, path + ".mlir", path + ".vmfb"
subprocess.run([programs / "iree-import-onnx", path, "-o", imported], check=True)
flags = ["--iree-hal-target-device=local", "--iree-hal-local-target-device-backends=llvm-cpu",
         "--iree-llvmcpu-target-cpu=host"]
subprocess.run([programs / "iree-compile", imported, *flags, "-o", compiled], check=True)
module = iree.runtime.load_vm_flatbuffer_file(compiled, driver="local-task")
run = module[onnx.load(path, load_external_data=False).graph.name]
# What to_host returns is a view of memory that goes with the call.
np.save(outputs, np.stack([run(sample[None]).to_host()[0].copy() for sample in np.load(inputs)]))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=NETS, action="append")
    parser.add_argument("--samples", type=int, default=16)
    given = parser.parse_args()
    python, good = environment(), True
    for net in given.only or NETS:
        with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
            good &= refereed(net, given.samples, Path(folder), python)
    return 0 if good else 1


def environment() -> Path:
    """Return the Python of the referees' environment, which is made where it is not there yet."""
    folder = environments.folder(NAME)
    with held(f"setup-{NAME}"):
        if not (folder / "complete").exists():
            packaged.make(folder, PACKAGES)
            (folder / "complete").touch()
    return packaged.python_in(folder)


def refereed(net: str, samples: int, folder: Path, python: Path) -> bool:
    """Let both referees run a net; print how far they are from LiteRT."""
    model = ew.build(net, "edge")
    given = np.asarray(stand_ins(model))[:samples]
    files = [write(model, precision="w8a8-ptq", calibration=given).save(folder / f"{net}.{kind}")
             for write, kind in ((ew.export_tflite, "tflite"), (ew.export_onnx, "onnx"))]  # fmt: skip
    expected, scale = answers(files[0], given), ModelFile.read(files[0]).manifest["outputs"][0]["scale"]
    np.save(folder / "inputs.npy", given)
    good = True
    for referee, script in (("tvm", TVM), ("iree", IREE)):
        command = [python, "-c", script, files[1], folder / "inputs.npy", folder / f"{referee}.npy"]
        good &= judged(net, referee, command, expected, scale)
    return good


def judged(net: str, referee: str, command: list[str | Path], expected: np.ndarray, scale: float) -> bool:
    """Let a referee run a net; print how many of its answers are as good as LiteRT's, and how far the worst is."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    near, worst = 0.0, None
    if done.returncode:
        print((done.stderr.strip().splitlines() or ["no message"])[-1], file=sys.stderr)
    else:
        steps = np.rint(np.abs(np.load(command[-1]).reshape(expected.shape) - expected) / scale)
        near, worst = float(np.mean(steps <= MOST_STEPS)), int(steps.max())
    return common.emit(f"referee.{referee}.{net}", [near] * 2, len(expected), f">= {SHARE}", value=near, worst=worst)


if __name__ == "__main__":
    sys.exit(main())
