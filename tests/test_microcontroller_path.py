"""A user's way to a microcontroller, step by step as the how-to page says: their own model, a C array, and what a
program that holds that array computes, by the interpreter of microcontrollers and nothing of ours.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from edgewright.cli import commands as cli
from edgewright.devices.runtimes import environments
from edgewright.devices.runtimes.packaged import python_in

EXAMPLES = Path(__file__).parents[1] / "examples"
PRINTED = """
#include <cstdio>
#include "{symbol}.h"
int main() {{ fwrite({symbol}_data, 1, {symbol}_size, stdout); }}
"""
# What a user's own program does on the device: integers in, integers out, in the arena that the header names; here
# records hold pointers of 8 bytes instead of 4, hence twice the arena.
PROGRAM = """
import sys, numpy as np
from tflite_micro.python.tflite_micro import runtime
model, inputs, outputs, arena = sys.argv[1:]
interpreter = runtime.Interpreter.from_bytes(open(model, "rb").read(), arena_size=2 * int(arena))
answers = []
for sample in np.load(inputs):
    interpreter.set_input(sample[None], 0)
    interpreter.invoke()
    answers.append(interpreter.get_output(0)[0].copy())
np.save(outputs, np.stack(answers))
"""

pytestmark = [
    pytest.mark.skipif(not environments.ready("tflite-micro"), reason="edgewright devices setup tflite-micro"),
    pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ on this machine"),
]


@pytest.fixture(scope="module")
def firmware(tmp_path_factory):
    """Do the steps; return the folder, the file in it and the report."""
    folder = tmp_path_factory.mktemp("firmware")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(str(EXAMPLES))
        for step in (
            "train own_model:build --data own_data:load --quick --out net.keras",
            "export net.keras --out float.tflite",
            "export net.keras --target cortex-m --data own_data:load --out firmware",
        ):
            assert cli.main(step.split()) == 0, step
        (file,) = Path("firmware").glob("*.tflite")
        judged = "--baseline float.tflite --data own_data:load --device tflite-micro --out report --max-drop 1"
        assert cli.main(["bench", str(file), *judged.split()]) == 0
    return folder, file, json.loads((folder / "report" / "results.json").read_text())


def constants(header):
    """Return the numbers of a header by name, without the model's."""
    found = re.findall(r"constexpr \w+ \w+?_((?:arena|input|output)\w*)(?:\[\])? = (.+);", header)
    return {name: json.loads(value.rstrip("f").replace("{", "[").replace("}", "]")) for name, value in found}


def compiled(folder, symbol):
    """Compile the array into a program of its own; return the bytes that it holds."""
    (folder / "main.cc").write_text(PRINTED.format(symbol=symbol))
    subprocess.run(["g++", "-I.", "-o", "main", "main.cc", f"{symbol}.cc"], cwd=folder, check=True, timeout=120)
    return subprocess.run([folder / "main"], capture_output=True, check=True, timeout=10).stdout


def test_the_program_with_the_array_answers_as_the_report_says(firmware):
    folder, file, report = firmware
    (header,) = (folder / "firmware").glob("*.h")
    data = compiled(folder / "firmware", header.stem)
    assert data == (folder / file).read_bytes()

    told = constants(header.read_text())
    (folder / "array.bin").write_bytes(data)
    sys.path.insert(0, str(EXAMPLES))
    try:
        from own_data import load
    finally:
        sys.path.remove(str(EXAMPLES))
    _, (x, y) = load()
    scale, zero_point = told["input_0_scale"], told["input_0_zero_point"]
    assert told["input_0_shape"] == [1, *x.shape[1:]]
    integers = np.clip(np.rint(x / np.float32(scale)) + zero_point, -128, 127).astype(np.int8)
    np.save(folder / "inputs.npy", integers)
    python = python_in(environments.require("tflite-micro"))
    words = ["array.bin", "inputs.npy", "outputs.npy", str(told["arena_bytes"])]
    subprocess.run([python, "-c", PROGRAM, *words], cwd=folder, check=True, timeout=120)
    outputs = np.load(folder / "outputs.npy")
    assert outputs.dtype == np.int8 and told["output_0_shape"] == [1, *outputs.shape[1:]]

    row = next(row for row in report["measurements"] if row["artifact"] == file.name)
    assert row["simulated"] and row["runtime"] == "tflite-micro" and row["n"] == len(y)
    confusion = np.zeros((3, 3), int)
    np.add.at(confusion, (np.asarray(y).ravel(), outputs.argmax(-1)), 1)
    assert row["value"] == pytest.approx(confusion.trace() / len(y)) and row["value"] > 0.8
    (figures,) = row["figures"].values()
    assert figures["confusion"] == confusion.tolist()


def test_the_header_names_no_smaller_arena_than_the_interpreter_needs(firmware):
    folder, file, report = firmware
    (header,) = (folder / "firmware").glob("*.h")
    needed = next(row for row in report["measurements"] if row["artifact"] == file.name)["arena_bytes"]
    written = constants(header.read_text())["arena_bytes"]
    # Here records are larger than on 32 bits, by no more than twice.
    assert needed / 2 <= written
