"""Faults in full: malformed model files, hostile Keras files, kills while writing. Every figure of docs/reliability.md.

    python benchmarks/torture.py [--mutants 2000] [--kills 100] [--seed 0]

Four models are exported first (int8 and float TFLite, float and QDQ ONNX). Each line is one JSON document; exit code 1
if any bar is missed.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import common
import numpy as np
import torture

SAMPLES = np.random.default_rng(0).normal(size=(4, 32, 32, 3)).astype(np.float32)


def emit(name: str, counts: Counter, wrong: list[str], n: int) -> bool:
    """Print how many ended in which way, and how many did what none may do: the bar is none."""
    more = {"counts": dict(sorted(counts.items())), "wrong": wrong[:5]}
    return common.emit(name, [float(len(wrong))] * 2, n, "<= 0", value=len(wrong), **more)


def models(folder: Path) -> dict[str, tuple[bytes, str]]:
    """Return resnet8 in four files: name -> (bytes, runtime). Exported by a child: this process will fork."""
    script = (
        "import sys, pathlib, edgewright as ew; from edgewright.pipeline.check import stand_ins\n"
        "net = ew.build('resnet8'); samples = stand_ins(net); out = pathlib.Path(sys.argv[1])\n"
        "for write, kind in ((ew.export_tflite, 'tflite'), (ew.export_onnx, 'onnx')):\n"
        "    write(net, precision='float32').save(out / f'float.{kind}')\n"
        "    write(net, precision='w8a8-ptq', calibration=samples).save(out / f'int8.{kind}')\n"
    )
    subprocess.run([sys.executable, "-c", script, str(folder)], check=True, stdout=subprocess.DEVNULL)
    runtimes = {".tflite": "litert", ".onnx": "onnxruntime"}
    files = [path for path in sorted(folder.iterdir()) if path.suffix in runtimes]
    return {path.name: (path.read_bytes(), runtimes[path.suffix]) for path in files}


def runtimes(files: dict[str, tuple[bytes, str]], mutants: int, seed: int, folder: Path) -> bool:
    import ai_edge_litert.interpreter  # noqa: F401  once, here: each mutant is opened in a fork
    import onnxruntime  # noqa: F401

    good, each = True, mutants // len(files)
    for place, (name, (data, runtime)) in enumerate(files.items()):
        other = next(content for key, (content, _) in files.items() if key != name and key.endswith(name[-4:]))
        first = seed + place * each
        counts, wrong = torture.storm(data, other, SAMPLES, runtime, range(first, first + each), folder)
        good &= emit(f"torture.{runtime}.{name}", counts, wrong, each)
    return good


def vela(files: dict[str, tuple[bytes, str]], mutants: int, seed: int, folder: Path, jobs: int) -> bool:
    """Let vela compile mutants of the two TFLite files, each as a process of its own."""
    from edgewright.devices.preflight.compile import compile_file
    from edgewright.devices.targets.target import load

    target = load("ethos-u55-128")
    sources = [(name, data) for name, (data, runtime) in files.items() if runtime == "litert"]
    each = mutants // len(files)

    def one(case: tuple[str, bytes, bytes, int]) -> tuple[str, str, float]:
        _, data, other, number = case
        path = folder / f"vela-{number}.tflite"
        path.write_bytes(torture.mutant(data, number, other))
        started = time.monotonic()
        found = compile_file(path, target, time_limit_s=torture.LIMIT_S)
        path.unlink()
        return found.status, found.reason, time.monotonic() - started

    good = True
    for place, (name, data) in enumerate(sources):
        other = sources[1 - place][1]
        cases = [(name, data, other, seed + place * each + i) for i in range(each)]
        with ThreadPoolExecutor(jobs) as pool:
            found = list(pool.map(one, cases))
        counts = Counter(status for status, _, _ in found)
        wrong = [f"{status}: {reason}" for status, reason, _ in found if status not in torture.CLASSES]
        wrong += [f"took {seconds:.1f} s" for _, _, seconds in found if seconds > 10 + 5]
        good &= emit(f"torture.vela.{name}", counts, wrong, each)
    return good


def keras_files(folder: Path) -> bool:
    from edgewright.errors import BadInput
    from edgewright.pipeline.saved import load_model

    made, place = folder / "hostile", folder / "cwd"
    made.mkdir()
    place.mkdir()
    cases = list(torture.keras_files(made))
    os.chdir(place)
    counts, wrong = Counter(), []
    for name, path in cases:
        try:
            load_model(path)
            wrong.append(f"{name}: loaded")
        except BadInput:
            counts["refused"] += 1
        left = [str(one) for one in folder.rglob("*pwned*")]
        wrong += [f"{name}: wrote {one}" for one in left]
    return emit("torture.keras_files", counts, wrong, len(cases))


def kills(times: int, seed: int, folder: Path) -> bool:
    from edgewright.devices.report import report
    from edgewright.export.artifact import Artifact
    from edgewright.files import write
    from report_sample import sample

    counts, wrong = Counter(), []
    contents = [np.random.default_rng(i).bytes(400_000 + i) for i in range(2)]
    artifacts = [Artifact(data, {"name": "m", "format": "tflite"}) for data in contents]
    pages = [report.html(sample(name)) for name in ("a", "b")]
    model, page = folder / "m.tflite", folder / "report.html"

    def work() -> None:
        for i in range(2):
            artifacts[i].save(model)
            write(page, pages[i])

    def check() -> None:
        for path, allowed in ((model, contents), (page, [one.encode() for one in pages])):
            state = "absent" if not path.exists() else "whole" if path.read_bytes() in allowed else "broken"
            counts[f"{path.suffix[1:]} {state}"] += 1
            if state == "broken":
                wrong.append(f"{path.name} is broken")

    torture.kill_while(work, times, seed, check, 0.05)
    return emit("torture.kills", counts, wrong, times)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "models").mkdir()
        files = models(folder / "models")
        # Runtimes first: a fork is safe only before anything here has started threads.
        good = runtimes(files, given.mutants, given.seed, folder / "mutants")
        good &= vela(files, given.mutants, given.seed, folder / "mutants", given.jobs)
        good &= kills(given.kills, given.seed, folder)
        good &= keras_files(folder)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
