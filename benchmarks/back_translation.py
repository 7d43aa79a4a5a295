"""What sentences of the target language alone add to few pairs, in BLEU: back-translation (Sennrich 2016).

    python benchmarks/back_translation.py [--data number_words] [--pairs 300] [--updates 600] [--seeds 3] [--all]

transformer_base (edge sizes) learns numbers in words and their digits, or of `multi30k` captions in German and English.
`pairs` of the training pairs are known, of the others the target alone. `alone`: on the pairs. `back`: on these and on
the other targets with sources that a net of the pairs turned round said of them, about as many updates; --all: on all
true pairs too, which is what there would be to gain. Intervals resample the test sentences, the same of all seeds.
"""

import argparse
import json
import math
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import edgewright as ew
import keras
import numpy as np
from edgewright import metrics
from edgewright.pipeline import find, training
from edgewright.pipeline.back_translating import with_monolingual
from edgewright.pipeline.saved import save_networks
from edgewright.pipeline.stages import train_config
from edgewright.pipeline.workload import Workload
from edgewright.training.data.languages import turned
from edgewright.training.data.translation import text_of
from edgewright.training.runner import KerasRunner
from edgewright.training.tasks import Networks

NAME, RESAMPLES = "transformer_base", 2000
SHAPES = {"number_words": {"source": (12,), "target": (8,)}, "multi30k": {"source": (16,), "target": (16,)}}
BLEU = metrics.get("bleu")


def trained(work: Workload, networks: Networks, updates: int, seed: int) -> Networks:
    settings = train_config("train", work.dataset, seed=seed, epochs=10, **work.pace)
    passes = updates / (10 * math.ceil(len(work.dataset.train) / settings.batch_for(len(work.dataset.train))))
    if passes >= 1:
        settings = replace(settings, passes=round(passes))
    else:  # fewer epochs
        settings = replace(settings, epochs=max(1, round(10 * passes)))
    training.train(networks, work, settings)
    return work.complete(networks)


def built(shape: dict[str, tuple[int, ...]], seed: int) -> Networks:
    return ew.build(NAME, "edge", input_shape=shape, seed=seed)


def scored(data: str, pairs: int, updates: int, seed: int, folder: Path, *, whole_too: bool) -> dict[str, np.ndarray]:
    """Return what BLEU counts of each test sentence, by way (N, 10)."""
    shape = SHAPES[data]
    _, whole = find.of(built(shape, seed), data)
    few = np.random.default_rng(seed).permutation(len(whole.dataset.train))
    dataset = replace(whole.dataset, train=whole.dataset.train.take(few[:pairs]))
    lines = [text_of(row, dataset.labels) for row in whole.dataset.train.y[few[pairs:]]]
    (folder / "lines.txt").write_text("\n".join(lines), encoding="utf-8")

    back = built({"source": shape["target"], "target": shape["source"]}, seed)
    back, reverse = find.of(back, whole.task.present(turned(dataset), back))
    save_networks(trained(reverse, back, updates, seed), folder / "back.keras", reverse.facts)
    known = replace(whole, dataset=dataset)
    more = with_monolingual(known, str(folder / "back-sequence.keras"), str(folder / "lines.txt"))
    found = {}
    ways = {"alone": known, "back": more, **({"all": whole} if whole_too else {})}
    for way, work in ways.items():
        networks = trained(work, built(shape, seed), updates, seed)
        found[way] = work.task.evaluate(KerasRunner(networks, work.deploy), work.dataset).rows
    keras.utils.clear_session()
    return found


def gained(rows: list[dict[str, np.ndarray]], way: str) -> dict[str, object]:
    """Return how much better a way is than the pairs alone, a mean over seeds, and its 95% bootstrap interval."""
    each = [BLEU.reduce(row[way]) - BLEU.reduce(row["alone"]) for row in rows]
    random, count = np.random.default_rng(0), len(rows[0][way])
    resampled = []
    for _ in range(RESAMPLES):
        chosen = random.integers(0, count, count)
        resampled.append(np.mean([BLEU.reduce(row[way][chosen]) - BLEU.reduce(row["alone"][chosen]) for row in rows]))
    low, high = np.percentile(resampled, [2.5, 97.5])
    return {
        "name": f"back_translation {way} less alone",
        "value": float(np.mean(each)),
        "ci95": [float(low), float(high)],
        "n": count,
        "each": [round(float(value), 2) for value in each],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=sorted(SHAPES), default="number_words")
    parser.add_argument("--pairs", type=int, default=300)
    parser.add_argument("--updates", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--all", action="store_true")
    given = parser.parse_args()
    rows = []
    for seed in range(given.seeds):
        with tempfile.TemporaryDirectory() as folder:
            rows.append(scored(given.data, given.pairs, given.updates, seed, Path(folder), whole_too=given.all))
        told = {way: round(float(BLEU.reduce(values)), 2) for way, values in rows[-1].items()}
        print(f"seed {seed}: {told}", file=sys.stderr, flush=True)
    print(json.dumps({way: float(np.mean([BLEU.reduce(row[way]) for row in rows])) for way in rows[0]}), flush=True)
    for way in [way for way in rows[0] if way != "alone"]:
        print(json.dumps(gained(rows, way)), flush=True)


if __name__ == "__main__":
    main()
