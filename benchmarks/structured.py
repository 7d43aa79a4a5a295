"""What smaller nets keep and save: trained, cut by a recipe while the float net teaches, quantized, run here.

python benchmarks/structured.py [NAME...] --out FOLDER   (recipes: benchmarks/recipes; finished steps are kept)

Of each net the float file (`structured`: latency over the dense net's; `realised`: speed-up over the reduction in
multiply-adds, of which Torch-Pruning's ResNet-50 realises 0.57) and the int8 file (`combined`), all beside the dense
float file in one run, with the points of accuracy that each lost. --trained NAME=FILE.keras takes a dense net as it is.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import edgewright as ew
import keras
from common import emit
from edgewright.devices.agent.machine import lacks_vnni
from edgewright.pipeline.run import RunConfig, execute
from edgewright.prune.structured.cut import Cut
from edgewright.prune.structured.units import Anatomy
from edgewright.quantize.graph.tracing import trace_calls

RECIPES = Path(__file__).parent / "recipes"
NETS = {  # name -> the model as a run takes it, its data
    "resnet8": ("resnet8", "fashion_mnist"),
    "ds_cnn": ("ds_cnn", "fsdd"),
    "mobilenet_v1": (f"{Path(__file__).stem}:mobilenet", "cifar10"),
    "lstm": ("lstm", "fsdd"),
}
SHARE, MULTIPLE = 0.5, 8  # of channels, where a peer does the same


def mobilenet() -> keras.Model:
    """Build MobileNet v1 at a quarter of its width, for 96 pixels and ten classes."""
    return keras.applications.MobileNet((96, 96, 3), alpha=0.25, weights=None, classes=10, classifier_activation=None)


def networks() -> dict[str, Callable[[], keras.Model]]:
    """Return how each net that a peer has too is built, untrained."""
    return {"resnet8": lambda: ew.build("resnet8", preset="paper"), "mobilenet_v1": mobilenet}


def main() -> int:
    """Print the figures of each net; 0 if every bar is cleared."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="*", help="nets; default: all")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--trained", action="append", default=[], help="NAME=FILE.keras")
    arguments = parser.parse_args()
    given = dict(one.split("=", 1) for one in arguments.trained)
    cleared = True
    for name in arguments.name or NETS:
        model, data = NETS[name]
        preset = "edge" if ":" in model or name in given else "paper"
        config = RunConfig(model=given.get(name, model), data=data, preset=preset, recipe=str(RECIPES / f"{name}.yaml"))
        results, folder = execute(config, arguments.out / name)
        cleared &= told(name, results, folder)
    return 0 if cleared else 1


def told(name: str, results: dict, folder: Path) -> bool:
    """Print what a run came to; return whether every bar is cleared."""
    bytes_of = {row["name"]: row["bytes"] for row in results["artifacts"]}
    cleared = True
    for verdict in results["verdicts"]:
        int8 = "w8a8" in verdict["artifact"]
        what = f"{'combined' if int8 else 'structured'}/{name}"
        known = {"n": results["measurements"][0]["n"], "artifact": verdict["artifact"]}
        low, high = verdict["speedup_ci95"]
        bar = 0.6 if not int8 else 0.5 if lacks_vnni() else 0.3
        cleared &= emit(f"{what}/latency", [1 / high, 1 / low], bar=f"<= {bar}", ratio=1 / verdict["speedup"], **known)
        ends = [-100 * end for end in verdict["metric_gain_ci95"][::-1]]
        points = -100 * verdict["metric_gain"]
        cleared &= emit(f"{what}/points", ends, bar="<= 0.3" if int8 else "<= 0.5", value=points, **known)
        if int8:
            size = bytes_of[verdict["artifact"]] / bytes_of[verdict["baseline"]]
            cleared &= emit(f"{what}/size", [size, size], bar="<= 0.15", ratio=size, **known)
        else:
            reduction = reduced(folder)
            ends = [low / reduction, high / reduction]
            cleared &= emit(f"realised/{name}", ends, bar=">= 0.8", ratio=verdict["speedup"] / reduction, **known)
    return cleared


def reduced(folder: Path) -> float:
    """Return how many times fewer multiply-adds the smallest float net of a run has than its first."""
    paths = [path for path in (folder / "models").glob("*.keras") if not path.stem.startswith("qat")]
    counts = [Cut(Anatomy(trace_calls(ew.load_model(path)))).macs() for path in paths]
    return max(counts) / min(counts)


if __name__ == "__main__":
    sys.exit(main())
