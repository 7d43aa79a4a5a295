"""Hidden Markov models: counted where the states are told, then steps of EM as long as tags get no worse by them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import metrics
from ...errors import BadInput
from ...progress import tracked
from ..chains import viterbi
from ..chunks import counted
from ..config import TrainConfig
from ..data import Dataset
from ..markov import Markov
from ..runner import predict_all, table_of
from ..state import Row
from ..tasks.tagging import FILTER, TRANSITIONS, WORDS, counted_model, lengths_of
from .minimise import best_epoch
from .register import Networks
from .solved import solver

STEPS = 2  # of EM that are tried


def validate(networks: Networks, dataset: Dataset, task: Any, config: TrainConfig) -> Row:
    """Return the negative log-likelihood of a word of validation data, in nats, short of what its rows leave out."""
    rows = table_of(networks[WORDS])[np.asarray(dataset.validation.x)]
    _, scales = predict_all(networks[FILTER], rows)  # joint, log_scale
    lengths = lengths_of(dataset.validation)
    inside = np.arange(rows.shape[1]) < lengths[:, None]
    return {"val_loss": float(-scales[..., 0][inside].mean())}


@solver("hidden_markov", validate=validate, best_epoch=best_epoch)
def hidden_markov(networks: Networks, dataset: Dataset, task: Any, config: TrainConfig) -> list[Row]:
    """Assign the tables of the hidden Markov model whose states are the tags.

    It is counted first. EM goes on from there with words alone, and a step of it is kept where the best paths of
    validation sentences have no fewer right chunks: words alone may be likelier with states that are no tags
    (Merialdo 1994, Tagging English text with a probabilistic model).
    networks: "filter", "words", "transitions".  Raises: BadInput for other networks.
    """
    if set(networks) != {FILTER, WORDS, TRANSITIONS}:
        raise BadInput(f"learner 'hidden_markov' solves {FILTER}, {WORDS} and {TRANSITIONS}, got {', '.join(networks)}")
    model = counted_model(dataset)
    words, lengths = np.asarray(dataset.train.x), lengths_of(dataset.train)
    rows = [{"loss": -_likelihood(model, words, lengths), "val_f1": f1_of_paths(model, dataset)}]
    for _ in tracked("expectation maximisation", range(STEPS)):
        other, _ = model.reestimated(words, lengths)
        rows.append({"loss": -_likelihood(other, words, lengths), "val_f1": f1_of_paths(other, dataset)})
        if rows[-1]["val_f1"] < rows[-2]["val_f1"]:
            break
        model = other
    assign(networks, model)
    return rows


def _likelihood(model: Markov, words: np.ndarray, lengths: np.ndarray) -> float:
    return float(model.expected(words, lengths).likelihood.sum() / lengths.sum())


def f1_of_paths(model: Markov, dataset: Dataset) -> float:
    """Return the F1 of the chunks that the best paths of validation sentences tell."""
    split = dataset.validation
    with np.errstate(divide="ignore"):
        scores = np.maximum(np.log(model.emits[np.asarray(split.x)]), -99.0)
    said = viterbi(scores, lengths_of(split), model.table())
    return metrics.get("chunk_f1").reduce(counted(said, split.y, dataset.labels))


def assign(networks: Networks, model: Markov) -> None:
    """Give networks the tables of a model."""
    moves, start = networks[FILTER].weights
    moves.assign(model.moves.astype(np.float32))
    start.assign(model.start.astype(np.float32))
    networks[WORDS].weights[0].assign(model.rows())
    networks[TRANSITIONS].weights[0].assign(model.table())


__all__ = ["assign", "f1_of_paths", "hidden_markov", "validate"]
