"""Chunk F1 of the taggers on the full CoNLL-2000 test set, beside what was published of nets with random word vectors.

    python benchmarks/chunking.py [--model crf]... [--preset paper] [--steps 4000] [--quick]

One line a tagger: F1 in percent, its interval over sentences, the published figure. With both in the run, the tagger
with a chain over both directions must not be worse than the one without. Words alone are read, no parts of speech,
which the published taggers were given too (Huang 2015, arXiv:1508.01991, table 5). --quick: 100 steps.
"""

import argparse
import json
import sys
import time

import edgewright as ew
import numpy as np
from common import clears
from edgewright import metrics
from edgewright.models import registry
from edgewright.pipeline.find import find
from edgewright.training import learners, tasks
from edgewright.training.runner import KerasRunner
from edgewright.training.state import RunDir

PUBLISHED = {"window_tagger": 90.33, "conv_crf": 90.33, "lstm_tagger": 92.88, "bilstm_tagger": 93.64, "crf": 93.69,
             "lstm_crf": 93.80, "bilstm_crf": 94.13, "hidden_markov_model": None}  # fmt: skip
BATCH = 32


def scored(name: str, preset: str, steps: int) -> tuple[np.ndarray, float]:
    """Train a tagger; return the chunks of each test sentence, right, said and true, (N, 3), and the seconds."""
    work = find(name, "conll2000", preset=preset)
    networks, start = work.make(), time.monotonic()
    updates = -(-len(work.dataset.train) // BATCH)
    config = ew.TrainConfig(epochs=max(1, steps // updates), batch_size=BATCH, learning_rate=work.learning_rate,
                            **registry.get(name).training)  # fmt: skip
    learners.get(work.learner)(work.learned(networks), work.dataset, work.task, config, RunDir(None))
    scores = tasks.of(work.dataset).evaluate(KerasRunner(work.complete(networks), work.deploy), work.dataset)
    return scores.rows[: len(work.dataset.test)], time.monotonic() - start


def interval(rows: np.ndarray, others: np.ndarray | None = None) -> list[float]:
    """Return the 95% interval of F1, or of what it gains over others', in percent; sentences are resampled."""
    reduce, random = metrics.get("chunk_f1").reduce, np.random.default_rng(0)
    drawn = [random.integers(0, len(rows), len(rows)) for _ in range(1000)]
    values = [reduce(rows[these]) - (0.0 if others is None else reduce(others[these])) for these in drawn]
    return [round(100 * float(each), 2) for each in np.quantile(values, (0.025, 0.975))]


def main(arguments: list[str]) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", choices=list(PUBLISHED))
    parser.add_argument("--preset", default="paper", choices=("paper", "edge"))
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args(arguments)
    found: dict[str, np.ndarray] = {}
    for name in asked.model or PUBLISHED:
        found[name], seconds = scored(name, asked.preset, 100 if asked.quick else asked.steps)
        value = 100 * metrics.get("chunk_f1").reduce(found[name])
        line = {"name": name, "value": round(value, 2), "ci95": interval(found[name]), "n": len(found[name]),
                "published": PUBLISHED[name], "preset": asked.preset, "seconds": round(seconds)}  # fmt: skip
        print(json.dumps(line), flush=True)
    if not {"bilstm_crf", "bilstm_tagger"} <= found.keys():
        return 0
    gain = interval(found["bilstm_crf"], found["bilstm_tagger"])
    print(
        json.dumps({"name": "bilstm_crf over bilstm_tagger", "ci95": gain, "bar": ">= 0", "ok": clears(gain, ">= 0")})
    )
    return 0 if clears(gain, ">= 0") else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
