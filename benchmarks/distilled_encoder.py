"""What the learner of a distilled encoder adds: a student with its teacher against the same student with labels alone.

    python benchmarks/distilled_encoder.py [--labels 400] [--seeds 5]

tiny_bert (edge sizes) learns what opinion the sentences of `opinions` have, made up by a grammar. `distilled`: its own
learner, where a BERT twice as deep and wide is pre-trained on the 4,000 sentences of the training texts, learns the
labels, and is followed by the student in embeddings, attention, hidden states and logits, on these sentences too.
`labels`: the student alone, as many updates. `untrained`: neither. `opinions` has 4,000 labels, of which few are used.
Figures are points of accuracy over the 1,500 test sentences, which intervals resample.
"""

import argparse
import json
import sys
from dataclasses import replace

import keras
import numpy as np
from common import told_of_seeds
from edgewright.models import registry
from edgewright.pipeline import find, training
from edgewright.pipeline.stages import train_config
from edgewright.training import tasks
from edgewright.training.runner import predict

NAME, DATA = "tiny_bert", "opinions"


def right(way: str, seed: int, labels: int) -> np.ndarray:
    """Return which test sentences a student is right about, times 100."""
    student = registry.networks(NAME, "edge", seed=seed)
    dataset = tasks.get("classification").present(DATA, student, limit=labels, seed=seed)
    if way != "untrained":
        learner = "distilled_encoder" if way == "distilled" else "fit"
        networks, work = find.of(student, dataset, learner=learner, seed=seed)
        settings = train_config("train", dataset, quick=True, seed=seed, peak=1e-3, own={"clip_norm": 1.0})
        if way == "labels":  # with the teacher come as many sentences without a label
            settings = replace(settings, passes=2 * settings.passes)
        training.train(networks, work, settings)
    answers = predict(student[NAME], dataset.test.x)
    keras.utils.clear_session()
    return 100.0 * (answers.argmax(-1) == np.asarray(dataset.test.y).reshape(-1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    found: dict[str, list[np.ndarray]] = {"distilled": [], "labels": [], "untrained": []}
    for seed in range(given.seeds):
        for way, rows in found.items():
            rows.append(right(way, seed, given.labels))
        print(
            f"seed {seed}: " + ", ".join(f"{way} {rows[-1].mean():.2f}" for way, rows in found.items()), file=sys.stderr
        )
    print(json.dumps({way: float(np.mean(rows)) for way, rows in found.items()}), flush=True)
    distilled = np.stack(found["distilled"])
    for way in ("labels", "untrained"):
        told_of_seeds(f"distilled_encoder less {way}", distilled - np.stack(found[way]))


if __name__ == "__main__":
    main()
