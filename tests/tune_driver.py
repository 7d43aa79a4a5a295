"""A search whose jobs are small scripts, in a process of its own, which a test may kill.

    python tune_driver.py FOLDER TRIALS EXECUTOR

A job writes its key to FOLDER/log, sleeps, and writes what a run would have found: the more channels go the faster, the
fewer epochs the worse, and 8 bits are slower than float.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from edgewright.files import sha256
from edgewright.pipeline import tune as searching
from edgewright.pipeline.choice import Candidate
from edgewright.pipeline.recipe import Recipe
from edgewright.pipeline.tune import TuneConfig

WORK = """
import json, os, sys, time
key, log, out, document = sys.argv[1:]
with open(log, "a") as file: file.write(key + "\\n")
time.sleep(0.15)
for folder, name in (("models", "float.keras"), ("models", "float.keras.json"), ("steps", "bench.json")):
    os.makedirs(os.path.join(out, folder), exist_ok=True)
    with open(os.path.join(out, folder, name), "w") as file: file.write("{}")
with open(os.path.join(out, "results.json"), "w") as file: file.write(document)
"""
SPEED = {"float32": 1.0, "float16": 1.0, "w8": 1.0, "w8a8-ptq": 0.7, "w8a16-ptq": 0.3, "w8a8-qat": 0.7}
BYTES = {"float32": 100_000, "float16": 50_000, "w8": 25_000}


def found(recipe: Recipe, epochs: int | None) -> dict:
    """Return the results.json of a recipe after so many epochs."""
    cut = sum(step.options.macs for step in recipe.steps if step.kind == "channels")
    value = 0.95 - 0.02 * cut**2 - 0.02 * bool(recipe.steps) / (epochs or 10)
    rows, measured, verdicts = [], [], []
    for place, (format, precision) in enumerate([("tflite", "float32"), *recipe.made]):
        name = f"net{'-cut' if place and recipe.steps else ''}-{precision}.{format}"
        if name in [row["name"] for row in rows]:
            continue
        baseline, speed = place == 0, SPEED[precision] / (1 - cut)
        size = int(BYTES.get(precision, 26_000) * (1 if baseline else 1 - cut))
        digest = sha256(f"{name} {value}".encode())
        rows.append({"name": name, "format": format, "precision": precision, "sha256": digest, "bytes": size})
        measured.append({"artifact": name, "status": "ok", "metric": "accuracy", "value": 0.95 if baseline else value,
                         "latency_us": {"p50": 100.0 if baseline else 100.0 / speed}})  # fmt: skip
        if not baseline:
            verdicts.append({"artifact": name, "verdict": "pass", "speedup": speed, "metric_gain": value - 0.95,
                             "speedup_ci95": [0.999 * speed, 1.001 * speed]})  # fmt: skip
    return {"artifacts": rows, "measurements": measured, "verdicts": verdicts, "flags": []}


class Stubbed(searching.Search):
    """A search whose jobs are scripts, and whose judge on test data says what validation data said."""

    def _do(self, what):
        real = self.bench

        class Bench(type(real)):
            def job(self, name, recipe, epochs=None):
                job = real.job(name, recipe, epochs)
                document = json.dumps(found(recipe, epochs))
                return replace(job, keeps=("results.json", "models/*", "steps/*"), command=(
                    "{python}", "-c", WORK, job.key, str(self.folder / "log"), "{out}", document))  # fmt: skip

        self.bench = Bench(**real.__dict__)
        super()._do(what)
        self.bench = real

    def _judged(self, one: Candidate):
        return one, {"measurements": [{"n": 100}]}

    def _sentence(self, one, document):
        return f"ship {one.file} of trial {one.trial}"


def search(folder: Path, trials: int, executor: str = "local", **more) -> dict:
    """Search in `folder`; return tune.json."""
    config = TuneConfig(model="softmax_regression", data="digits", quick=True, trials=trials, executor=executor, **more)
    with patch.object(searching, "Search", Stubbed):
        return searching.tune(config, folder)


if __name__ == "__main__":
    print(json.dumps(search(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])))
