"""Task metrics in NumPy: a per-sample score first, then one number over the samples.

Keeping the scores is what makes paired intervals possible: the same units (images, sentences, nodes, episodes) are
resampled for the float model and for the compressed one. A metric says which way is better and what one point of it is.
A model with several outputs is judged by one metric each, their names joined by "+": `get` composes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.stats import rankdata

from . import bleu, edits, per_pixel, ranking
from .average_precision import mean_average_precision
from .calibration import calibration, top
from .recalled import share_recalled

FROM_CLASSES = 10  # on, five answers say something
MANY_CLASSES = 100  # beyond it a confusion matrix is no longer read
MANY_VALUES = 32  # beyond it a regression's target is a picture or a signal, whose values are not judged one by one
ROWS_AT_ONCE = 4096  # of logits in double precision
MOST_NATS = 700.0  # of which the exponential is a number still
FAITHFUL = 0.9  # an output without targets that agrees less with the baseline's is not passed,
RUINED = 0.5  # and below this it fails


@dataclass(frozen=True, kw_only=True)
class Metric:
    """How a task's outputs become a number.

    scores: (outputs (N, ...), targets (N, ...)) -> (N, width) float64, one row a sample.
    reduce: (n, width) scores -> float, for any resample of the rows.
    agreement: (outputs_a, outputs_b) -> float in [0, 1], how far two models say the same.
    higher_is_better: perplexity, errors and distances are not. point: how large a difference is one point of
    `--max-drop 0.01`: 0.01 of accuracy; with `relative`, a share of the baseline's value, as 1% of a return.
    floor: what a wrong implementation would miss where its data set knows no better: far above chance, below what a
    short training reaches; None where that depends on the data alone.
    unit: what differences are told in: points (hundredths), or the metric's own unit, "" where it has none.
    centred: outputs are taken less the threshold that decides: 0.5 of a probability, 0 of a logit (see `centred`).
    grouped: samples of one group, as tiles of an image, are one unit.
    parts: what the number is a mean over and may hide; None where there is nothing to tell apart.
    heads: the metrics of several outputs; outputs and targets are then sequences.
    """

    name: str
    scores: Callable[[Any, Any], np.ndarray]
    reduce: Callable[[np.ndarray], float]
    agreement: Callable[[Any, Any], float]
    width: int = 1
    higher_is_better: bool = True
    point: float = 0.01
    relative: bool = False
    floor: float | None = None
    unit: str = "points"
    centred: bool = False
    grouped: bool = False
    parts: Parts | None = None
    heads: tuple[Metric, ...] = ()

    def gain(self, value: float | np.ndarray, baseline: float | np.ndarray) -> Any:
        """Return how much better `value` is than `baseline`, on the scale where 0.01 is one point; elementwise."""
        difference = np.subtract(value, baseline) * (1 if self.higher_is_better else -1)
        size = np.abs(baseline) if self.relative else 1.0
        return difference / np.maximum(size, np.finfo(np.float64).tiny) * (0.01 / self.point)

    def allowance(self, max_drop: float, baseline: float) -> float:
        """Return how large a difference from `baseline` a drop of `max_drop` is, in the metric's own units."""
        return max_drop / 0.01 * self.point * (abs(baseline) if self.relative else 1.0)

    @property
    def plain(self) -> bool:
        """Whether a gain is the difference itself."""
        return self.higher_is_better and not self.relative and self.point == 0.01

    @property
    def each(self) -> tuple[Metric, ...]:
        """The metrics of the outputs, one or several."""
        return self.heads or (self,)

    @property
    def columns(self) -> list[slice]:
        """The columns of the scores that belong to each of `each`: to a lone one all."""
        if not self.heads:
            return [slice(None)]
        ends = np.cumsum([0, *(head.width for head in self.each)])
        return [slice(int(a), int(b)) for a, b in pairwise(ends)]


@dataclass(frozen=True)
class Scores:
    """What a model's answers scored. rows: (M, width) float64, see `Metric.scores`. unit: (M,) whose row it is.

    Rows of one unit (the words of a sentence, the steps of an episode) are not independent: intervals resample units.
    """

    rows: np.ndarray
    unit: np.ndarray

    @classmethod
    def by_row(cls, rows: np.ndarray) -> Scores:
        """Return scores of which each row is a unit by itself."""
        return cls(rows, np.arange(len(rows)))

    @classmethod
    def of_samples(cls, rows: np.ndarray, samples: int) -> Scores:
        """Return scores of `samples` units with as many rows each, in their order: a row, or one a time step.

        Raises: ValueError where the rows are no multiple of the samples.
        """
        each, left = divmod(len(rows), samples)
        if left or not each:
            raise ValueError(f"{len(rows)} rows are not as many for each of {samples} samples")
        return cls(rows, np.repeat(np.arange(samples), each))

    @property
    def units(self) -> np.ndarray:
        """The units that occur, in order.  Shape (n,)."""
        return np.unique(self.unit)

    def of(self, columns: slice) -> Scores:
        """Return some columns of the scores: those of one output."""
        return Scores(self.rows[:, columns], self.unit)


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts of a metric: classes, labels or values.

    figure: what a part is judged by. said: outputs -> what the model says (N, ...), small enough to keep; targets hold
    the truth in the same form. unit: what a part is called.
    """

    figure: str
    unit: str
    said: Callable[[np.ndarray], np.ndarray]


def _correct(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    if outputs.ndim < 2 or outputs.shape[-1] < 2:
        raise ValueError("the largest of one value judges nothing; binary_accuracy takes one output")
    return (outputs.argmax(-1) == targets).reshape(len(targets), -1).mean(-1, keepdims=True).astype(np.float64)


def _same_class(a: np.ndarray, b: np.ndarray) -> float:
    return float((a.argmax(-1) == b.argmax(-1)).mean())


def _right_side(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Score yes-or-no answers: yes above the threshold, which is 0 here. Shapes: (N, ...) and as many targets."""
    said = (outputs > 0).reshape(len(outputs), -1)
    return (said == (targets.reshape(said.shape) > 0.5)).mean(-1, keepdims=True).astype(np.float64)


def _same_side(a: np.ndarray, b: np.ndarray) -> float:
    return float(((a > 0) == (b > 0)).mean())


def _residuals(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    flat = targets.reshape(len(targets), -1).astype(np.float64)
    error = ((outputs.reshape(flat.shape) - flat) ** 2).sum(-1)
    spread = ((flat - flat.mean(0)) ** 2).sum(-1)
    return np.stack([error, spread], -1)


def _explained(scores: np.ndarray) -> float:
    error, spread = scores.sum(0)
    return float(1 - error / spread) if spread else 0.0


def _explained_by(a: np.ndarray, b: np.ndarray) -> float:
    return max(0.0, _explained(_residuals(b, a)))


def _anomaly(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Score a sample by its reconstruction error. Targets hold the sample and, last, its label (1: anomalous)."""
    flat = targets.reshape(len(targets), -1)
    error = ((outputs.reshape(len(outputs), -1) - flat[:, :-1]) ** 2).mean(-1)
    return np.stack([error, flat[:, -1]], -1).astype(np.float64)


def _auc(scores: np.ndarray) -> float:
    """Area under the ROC curve by the rank sum (Mann and Whitney 1947); 0.5 where only one class is present."""
    anomalous = scores[:, 1] > 0.5
    positives = int(anomalous.sum())
    negatives = len(scores) - positives
    if not positives or not negatives:
        return 0.5
    ranks = rankdata(scores[:, 0])
    return float((ranks[anomalous].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def _surprise(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Score logits by the negative log-likelihood of what came, in nats. Shapes: (..., K), (...) -> (M, 1)."""
    rows, came = outputs.reshape(-1, outputs.shape[-1]), targets.reshape(-1, 1).astype(np.int64)
    scores = np.empty(came.shape)
    for start in range(0, len(rows), ROWS_AT_ONCE):  # of a large vocabulary all of them fill the memory
        part = slice(start, start + ROWS_AT_ONCE)
        logits = rows[part].astype(np.float64)
        logits -= logits.max(-1, keepdims=True)
        said = np.take_along_axis(logits, came[part], -1)
        scores[part] = np.log(np.exp(logits).sum(-1, keepdims=True)) - said
    return scores


def _perplexity(scores: np.ndarray) -> float:
    return float(np.exp(min(scores.mean(), MOST_NATS)))


def _totals(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Score what needs no targets, as the reward of each step of an episode, by its sum over a sample."""
    return outputs.reshape(len(outputs), -1).sum(-1, keepdims=True).astype(np.float64)


def _counts(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Score what is counted already, as the chunks of a sentence: right, said, true.  Shapes: (N, 3) -> the same."""
    return np.asarray(outputs, np.float64)


def _f1(scores: np.ndarray) -> float:
    """Return the harmonic mean of precision and recall over all that was counted, 0 where nothing was."""
    right, said, true = scores.sum(0)
    return float(2 * right / (said + true)) if said + true else 0.0


def _features(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return np.concatenate([each.reshape(len(each), -1) for each in (outputs, targets)], 1).astype(np.float64)


def _frechet(scores: np.ndarray) -> float:
    made, real = np.split(scores, 2, axis=1)  # (N, k) each
    ours, theirs = (np.atleast_2d(np.cov(features, rowvar=False, bias=True)) for features in (made, real))
    shared = np.sqrt(np.maximum(np.linalg.eigvals(ours @ theirs).real, 0)).sum()  # trace of the root of the product
    return float(((made.mean(0) - real.mean(0)) ** 2).sum() + np.trace(ours) + np.trace(theirs) - 2 * shared)


def _decibels(scores: np.ndarray) -> float:
    """Return the peak signal-to-noise ratio of mean squared errors of values in [0, 1]; 100 dB at most."""
    return float(-10 * np.log10(max(scores.mean(), 1e-10)))


def _same_sentence(a: Sequence[str], b: Sequence[str]) -> float:
    return float(np.mean([one == other for one, other in zip(a, b, strict=True)]))


def _mean(scores: np.ndarray) -> float:
    return float(scores.mean())


def _class(outputs: np.ndarray) -> np.ndarray:
    return outputs.argmax(-1).astype(np.int32)


def _side(outputs: np.ndarray) -> np.ndarray:
    return (outputs > 0).reshape(len(outputs), -1)[:, 0].astype(np.int32)


def _sides(outputs: np.ndarray) -> np.ndarray:
    return (outputs > 0).reshape(len(outputs), -1).astype(np.int8)


def _values(outputs: np.ndarray) -> np.ndarray:
    return outputs.reshape(len(outputs), -1).astype(np.float32)


METRICS = {
    metric.name: metric
    for metric in (
        Metric(name="accuracy", scores=_correct, reduce=_mean, agreement=_same_class, floor=0.6,
               parts=Parts(figure="recall", unit="class", said=_class)),
        Metric(name="binary_accuracy", scores=_right_side, reduce=_mean, agreement=_same_side, centred=True,
               floor=0.6, parts=Parts(figure="recall", unit="class", said=_side)),
        Metric(name="label_accuracy", scores=_right_side, reduce=_mean, agreement=_same_side, centred=True,
               floor=0.6, parts=Parts(figure="recall", unit="label", said=_sides)),
        Metric(name="bits", scores=share_recalled, reduce=_mean, agreement=_same_side, centred=True, floor=0.7),
        Metric(name="explained_variance", scores=_residuals, reduce=_explained, agreement=_explained_by, width=2,
               floor=0.5, parts=Parts(figure="explained variance", unit="value", said=_values)),
        Metric(name="auc", scores=_anomaly, reduce=_auc, agreement=_explained_by, width=2, floor=0.6),
        # Rows are the nats of a token; a unit is a text.
        Metric(name="perplexity", scores=_surprise, reduce=_perplexity, agreement=_same_class, unit="",
               higher_is_better=False, relative=True),
        # Rows are the chunks of a sentence, which the task counts: right, said, true. Tjong Kim Sang and Buchholz 2000.
        Metric(name="chunk_f1", scores=_counts, reduce=_f1, agreement=_same_class, width=3),
        # Rows are detections and, apart, true boxes: class, score, hit, how many. A unit is a picture.
        Metric(name="mean_average_precision", scores=_counts, reduce=mean_average_precision, agreement=_explained_by,
               width=4),
        # Rows are counts of a sentence, of which BLEU is made after they are summed. Sentences, not logits, are scored.
        Metric(name="bleu", scores=bleu.matches, reduce=bleu.bleu, agreement=_same_sentence, width=10, point=1.0,
               unit="BLEU"),
        # Rows are edits and symbols of a recording.
        Metric(name="symbol_error_rate", scores=edits.counts, reduce=edits.share, agreement=edits.same,
               width=2, higher_is_better=False),
        # Rows are ranks of true answers; a unit is a query.
        Metric(name="mrr", scores=ranking.reciprocal, reduce=_mean, agreement=_explained_by),
        Metric(name="hits@1", scores=ranking.hits(1), reduce=_mean, agreement=_explained_by),
        Metric(name="hits@10", scores=ranking.hits(10), reduce=_mean, agreement=_explained_by),
        # Rows are returns; a unit is an episode.
        Metric(name="mean_return", scores=_totals, reduce=_mean, agreement=_explained_by, relative=True, unit=""),
        # 0.01 nats are 1% of a likelihood, as 1% of a perplexity is. Not a share of the value: the log of a density
        # has no zero of its own, other units of the data move it. What has many values is divided by their number.
        Metric(name="log_likelihood", scores=_totals, reduce=_mean, agreement=_explained_by, unit="nats"),
        # Rows are lower bounds of it, of a sample.
        Metric(name="elbo", scores=_totals, reduce=_mean, agreement=_explained_by, unit="nats"),
        # Rows are trials: is the factor named that two samples share?
        Metric(name="disentanglement", scores=_totals, reduce=_mean, agreement=_explained_by),
        # Rows are pixels of each class, where both say so and where either does; a unit is an image, perhaps of tiles.
        Metric(name="mean_iou", scores=per_pixel.counts, reduce=per_pixel.mean_iou, agreement=_same_class, grouped=True,
               floor=0.5),
        Metric(name="binary_mean_iou", scores=per_pixel.counts, reduce=per_pixel.mean_iou, agreement=_same_side,
               grouped=True, floor=0.5, centred=True),
        # Rows are squares, of an image. Eigen 2014, arXiv:1406.2283, section 4.
        Metric(name="log_depth_rmse", scores=per_pixel.log_depth_errors, reduce=per_pixel.root_mean,
               agreement=_explained_by, unit="", higher_is_better=False, floor=0.4),
        # Rows are features, those of a made sample and those of a real one: (N, 2k). Dowson and Landau 1982; for
        # generators Heusel 2017, arXiv:1706.08500.
        Metric(name="frechet_distance", scores=_features, reduce=_frechet, agreement=_explained_by, unit="",
               higher_is_better=False, relative=True),
        # Rows are mean squared errors of images, of values in [0, 1].
        Metric(name="psnr", scores=_totals, reduce=_decibels, agreement=_explained_by, point=0.1, unit="dB"),
        # Rows are losses of images by the features of a net: shares of what was to be reached.
        Metric(name="perceptual_loss", scores=_totals, reduce=_mean, agreement=_explained_by, unit="",
               higher_is_better=False, relative=True),
    )
}  # fmt: skip


def gap_closed(new: float, old: float, best: float) -> float:
    """Return what share of the way from `old` to `best` `new` has gone: 1 where it is the best.

    Source: Wu 2016, arXiv:1609.08144, section 8.7, of people's scores of translations by machine and by people.
    """
    return (new - old) / (best - old)


def get(name: str) -> Metric:
    """Return the metric `name`, or that of several outputs, "a+b": the mean of theirs.  Raises: KeyError."""
    if name in METRICS:
        return METRICS[name]
    heads = tuple(METRICS[each] for each in name.split("+"))
    columns = Metric(name="", scores=_correct, reduce=_mean, agreement=_same_class, heads=heads).columns

    def scores(outputs: Sequence[np.ndarray], targets: Sequence[np.ndarray]) -> np.ndarray:
        return np.concatenate([m.scores(o, t) for m, o, t in zip(heads, outputs, targets, strict=True)], axis=1)

    def reduce(rows: np.ndarray) -> float:
        return float(np.mean([m.reduce(rows[:, own]) for m, own in zip(heads, columns, strict=True)]))

    def agreement(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> float:
        return min(m.agreement(x, y) for m, x, y in zip(heads, a, b, strict=True))

    width = sum(head.width for head in heads)
    return Metric(name=name, scores=scores, reduce=reduce, agreement=agreement, width=width, heads=heads)


def known(name: str) -> bool:
    """Tell if `get` has this metric."""
    return all(each in METRICS for each in name.split("+"))


def centred(metric: Metric, outputs: np.ndarray, probabilities: bool) -> np.ndarray:
    """Return outputs as the metric takes them: of yes-or-no answers less the threshold that Keras decides by too."""
    return outputs - np.float32(0.5) if metric.centred and probabilities else outputs


def are_probabilities(outputs: np.ndarray) -> bool:
    """Tell if values may all be probabilities; what a model ends in tells it better, where that is known."""
    return bool(np.all((outputs >= 0) & (outputs <= 1)))


def fidelity(reference: np.ndarray, outputs: np.ndarray) -> float:
    """Return how far outputs without targets are the baseline's, in [0, 1]: by value, or by their largest entry."""
    same = _same_class(reference, outputs) if reference.ndim > 1 and reference.shape[-1] > 1 else 0.0
    return max(same, _explained_by(reference, outputs), float(np.array_equal(reference, outputs)))


def truth_of(metric: Metric, targets: np.ndarray) -> np.ndarray | None:
    """Return targets in the form of `Parts.said`, or None where the metric has no parts to judge."""
    if metric.parts is None:
        return None
    if metric.parts.unit == "value":
        flat = targets.reshape(len(targets), -1)
        return flat.astype(np.float32) if 1 < flat.shape[1] <= MANY_VALUES else None
    if metric.parts.unit == "label":
        return targets.reshape(len(targets), -1).astype(np.int8)
    return targets.astype(np.int32).reshape(len(targets)) if metric.centred else targets.astype(np.int32)


def right(unit: str, truth: np.ndarray, said: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each class that occurs, or each label that is ever set, and where it does, whether it was said: (n,)."""
    if unit == "label":
        for label in range(truth.shape[1]):
            occurs = truth[:, label] == 1
            if occurs.any():
                yield label, said[occurs, label] == 1
        return
    for kind in np.unique(truth):
        yield int(kind), said[truth == kind] == kind


def figures(metric: Metric, outputs: np.ndarray, targets: np.ndarray) -> dict[str, Any]:
    """Return what accuracy alone does not tell, by scikit-learn: plain values for JSON; empty for other metrics.

    Of each class from 0 on, or label: precision, recall, f1, specificity, npv (negative predictive value), support;
    macro and micro means of the first three; confusion (rows true) up to 100 classes; roc_auc, of several classes the
    mean of one against the rest, None where only one occurs. Of logits or probabilities of classes besides how far they
    can be believed (see `calibration`), and from 10 classes on top_5. Of values mae and rmse; of masks see
    `per_pixel.figures`. outputs: as the metric takes them.
    """
    if metric.name in ("explained_variance", "log_depth_rmse"):
        return _errors(outputs, targets)
    if metric.name in ("mean_iou", "binary_mean_iou"):
        return per_pixel.figures(outputs, targets)
    truth = truth_of(metric, targets)
    if truth is None or metric.parts is None or metric.parts.unit == "value":
        return {}
    from sklearn.metrics import confusion_matrix, multilabel_confusion_matrix, precision_recall_fscore_support

    said = metric.parts.said(outputs)
    known: dict[str, Any] = {"labels": None} if metric.parts.unit == "label" else {}
    if not known:
        truth, said = truth.ravel(), said.ravel()
        count = 2 if metric.centred else max(outputs.shape[-1], int(truth.max()) + 1)
        known = {"labels": list(range(count))}
    counted: Any = partial(precision_recall_fscore_support, truth, said, zero_division=0, **known)
    each = counted()
    tables = multilabel_confusion_matrix(truth, said, **known)  # (K, 2, 2): [[tn, fp], [fn, tp]]
    tn, fp, fn = tables[:, 0, 0], tables[:, 0, 1], tables[:, 1, 0]
    found: dict[str, Any] = {
        **{name: [float(one) for one in values]
           for name, values in zip(("precision", "recall", "f1"), each, strict=False)},
        "specificity": (tn / np.maximum(tn + fp, 1)).tolist(),
        "npv": (tn / np.maximum(tn + fn, 1)).tolist(),
        "support": [int(one) for one in each[3]],
    }  # fmt: skip
    for mean in ("macro", "micro"):
        means = counted(average=mean)
        found[mean] = dict(zip(("precision", "recall", "f1"), map(float, means[:3]), strict=True))
    if metric.parts.unit == "class" and len(known["labels"]) <= MANY_CLASSES:
        found["confusion"] = confusion_matrix(truth, said, **known).tolist()
    found["roc_auc"] = _roc_auc(metric, outputs, targets)
    if metric.name == "accuracy" and outputs.ndim == 2 and truth.max() < outputs.shape[-1]:
        found |= calibration(outputs, targets)
        found |= {"top_5": top(outputs, targets, 5)} if outputs.shape[-1] >= FROM_CLASSES else {}
    return found


def by_group(metric: Metric, rows: np.ndarray, groups: np.ndarray) -> dict[str, dict[str, Any]]:
    """Return the metric of each group by its name: value and n, the number of its rows; plain values for JSON.

    Shapes: rows of scores (N, k), groups (N,).
    """
    of = np.asarray(groups).astype(str)
    return {
        str(name): {"value": metric.reduce(rows[of == name]), "n": int((of == name).sum())} for name in np.unique(of)
    }


def _errors(outputs: np.ndarray, targets: np.ndarray) -> dict[str, Any]:
    """Return mean absolute and root mean squared error over all values, in the unit of the targets."""
    error = outputs.reshape(len(outputs), -1).astype(np.float64) - targets.reshape(len(targets), -1)
    return {"mae": float(np.abs(error).mean()), "rmse": float(np.sqrt((error**2).mean()))}


def _roc_auc(metric: Metric, outputs: np.ndarray, targets: np.ndarray) -> float | None:
    from scipy.special import softmax
    from sklearn.metrics import roc_auc_score

    if metric.centred:
        scores = outputs.reshape(len(outputs), -1)
        truth = targets.reshape(scores.shape) > 0.5
    elif outputs.ndim == 2 and outputs.shape[-1] <= MANY_CLASSES:
        shares = np.allclose(outputs.sum(-1), 1, atol=0.5) and are_probabilities(outputs)
        scores = outputs if shares else softmax(outputs, -1)
        truth = targets[:, None] == np.arange(outputs.shape[-1])
        if outputs.shape[-1] == 2:
            scores, truth = scores[:, 1:], truth[:, 1:]
    else:
        return None
    both = truth.any(0) & ~truth.all(0)
    return float(roc_auc_score(truth[:, both], scores[:, both])) if both.any() else None
