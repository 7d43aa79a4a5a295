"""What files answer, scored: against targets sample by sample, or by a task's own judge, bundle by bundle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import metrics
from ..errors import BadInput
from ..metrics import Metric, Scores
from ..progress import say
from ..runners import Arrays, Judge, Runner
from .model_file import ModelFile
from .roles import out_of_range
from .runner import DeviceRunner, tables_of
from .transports.transport import DeviceLost, JobFailed
from .verdict.results import Bundle, Run
from .workbench import CONVERSIONS, Workbench

SIGMOIDS = ("LOGISTIC", "SIGMOID")
# Operators that change no value.
_PASSED = ("IDENTITY", "RESHAPE", "CAST", "SQUEEZE", "FLATTEN", "TRANSPOSE", "UNSQUEEZE", "EXPAND_DIMS")
Heads = Mapping[str, np.ndarray]  # judged output -> its targets, (N, ...)


def judge_bundles(bench: Workbench, judge: Judge) -> None:
    """Let a task evaluate each bundle, run by an agent that stays on the device; those alone stand with their file.

    Raises: DeviceLost if the way to the device breaks meanwhile.
    """
    for name, bundle in bench.run.bundles.items():
        broken = [
            bench.run.measured[file] for file in bundle.files.values() if bench.run.measured[file]["status"] != "ok"
        ]
        if broken:
            bundle.status, bundle.reason = broken[0]["status"], broken[0]["reason"]
            continue
        say(f"judging {name} on {bench.transport.name}")
        try:
            files = _files(bench, bundle)
            networks, tables = _networks(bench, bundle), tables_of(files.values())
            with DeviceRunner(bench.session, bench.orders, networks, tables) as runner:
                heard = _Heard(runner)
                _enter_scores(bench.run, name, judge.evaluate(heard), judge.metric)
                beside = getattr(judge, "beside", None)
                bundle.beside = {} if beside is None else dict(beside(heard))
            bench.run.notes += heard.out_of_range(files)
            bundle.unasked = [] if len(files) == 1 else [network for network in files if not heard.asked(network)]
        except JobFailed as failure:
            bundle.status, bundle.reason = failure.outcome.status, failure.outcome.reason
        except DeviceLost as error:
            bundle.status, bundle.reason = "incomplete", str(error)
            _copy_to_file(bench.run, bundle)
            raise
        _copy_to_file(bench.run, bundle)


class _Heard:
    """A runner that keeps some of what each network is asked: ranges are held against that, not against what files are
    timed on, which may be made up. Left out are a step's states, and what it reads the first time only.
    """

    SAMPLES = 4096  # of a network, about

    def __init__(self, run: Runner):
        self._run = run
        self._asked: dict[str, list[Arrays]] = {}

    def __call__(self, network: str, inputs: Arrays) -> Arrays:
        """Run a batch, and keep it."""
        self._keep(network, inputs)
        return self._run(network, inputs)

    def unroll(self, network: str, given: Arrays, **how: Any) -> Arrays:
        """Run a step network, and keep what is given to each step and to all."""
        self._keep(network, {**given, **(how.get("held") or {})})
        return self._run.unroll(network, given, **how)

    def table(self, network: str) -> np.ndarray:
        """Return a table."""
        return self._run.table(network)

    def _keep(self, network: str, inputs: Arrays) -> None:
        kept = self._asked.setdefault(network, [])
        if sum(len(array) for each in kept for array in each.values()) < self.SAMPLES:
            kept.append({name: np.asarray(values) for name, values in inputs.items()})

    def asked(self, network: str) -> bool:
        """Tell if a network was asked anything."""
        return network in self._asked

    def out_of_range(self, files: Mapping[str, ModelFile]) -> Iterator[str]:
        """Yield a warning for each input whose values left the range of its calibration, or hardly used it.

        files: by network; one alone is whatever network was asked for.
        """
        for network, file in files.items():
            wanted = [network] if len(files) > 1 else [*self._asked]
            asked = [each for name in wanted for each in self._asked.get(name, ())]
            names = dict.fromkeys(name for each in asked for name in each)
            parts = {name: [each[name].ravel() for each in asked if name in each] for name in names}
            yield from out_of_range(file, {name: np.concatenate(arrays) for name, arrays in parts.items()})


def _networks(bench: Workbench, bundle: Bundle) -> dict[str, dict[str, Any]]:
    return {network: bench.models[file] for network, file in bundle.files.items()}


def _files(bench: Workbench, bundle: Bundle) -> dict[str, ModelFile]:
    by_name = {file.name: file for file in bench.files}
    return {network: by_name[name] for network, name in bundle.files.items()}


def _enter_scores(run: Run, name: str, scores: Scores, metric: Metric) -> None:
    """Record what a bundle scored.  Raises: BadInput for scores of which no interval can be told."""
    bundle, units = run.bundles[name], len(scores.units)
    if units < 2:
        raise BadInput(f"the task scored {units} unit; it must tell at least 2 apart (texts, episodes, nodes)")
    broken = int(np.sum(~np.isfinite(scores.rows).all(1)))
    if broken:
        bundle.status, bundle.reason = "rejected", f"{broken} of {len(scores.rows)} scores are NaN or infinity"
        return
    run.raw.scores[name], run.raw.units[name] = scores.rows, scores.unit
    bundle.value, bundle.n, bundle.rows = metric.reduce(scores.rows), units, len(scores.rows)


def _copy_to_file(run: Run, bundle: Bundle) -> None:
    """Tell of the file of a bundle of one what is told of the bundle."""
    if len(bundle.files) == 1:
        (file,) = bundle.files.values()
        told = {
            "status": bundle.status,
            "reason": bundle.reason,
            "metric": run.metric,
            "value": bundle.value,
            "n": bundle.n,
        }
        run.measured[file].update(told)


def judge_answers(bench: Workbench, heads: Heads, groups: np.ndarray | None = None) -> None:
    """Score what every file answered, and say how far it answers as its baseline does.

    groups: (N,) whom each sample is of.
    """
    run = bench.run
    run.metric = _fitting(str(run.metric), heads, run.answers)
    judged = _Judged(bench, metrics.get(run.metric), heads, groups)
    for name in run.answers:
        run.measured[name]["metric"] = run.metric
        if heads:
            judged.score(name)
    for name in run.answers:
        if run.baselines[name] in run.answers:
            judged.agree(name)


@dataclass
class _Judged:
    """The answers of all files, as the metric takes them."""

    bench: Workbench
    metric: Metric
    heads: Heads
    groups: np.ndarray | None = None

    def __post_init__(self) -> None:
        answers = self.bench.run.answers
        self._places = {name: self._places_of(name) for name in answers}
        self._given = {name: self._given_of(name) for name in answers}

    def _places_of(self, name: str) -> dict[str, int]:
        """Return which output of a file answers each head: by name, or where those were lost, in the same order."""
        names, heads = self.bench.names(name), self.heads
        if len(heads) > 1 and len(heads) > len(names):
            raise BadInput(
                f"targets for {', '.join(heads)}, but {name} has {len(names)} outputs: {', '.join(names)}; give one "
                f"each"
            )
        if len(set(names)) == len(names) and all(head in names for head in heads):
            return {head: names.index(head) for head in heads}
        return {head: place for place, head in enumerate(heads or [""])}

    def _given_of(self, name: str) -> list[np.ndarray]:
        run = self.bench.run
        base = run.baselines[name] if run.baselines[name] in run.answers else name
        return [
            metrics.centred(own, self._asked(name, head, place), self._in_probabilities(name, base, head))
            for own, (head, place) in zip(self.metric.each, self._places[name].items(), strict=True)
        ]

    def _asked(self, name: str, head: str, place: int) -> np.ndarray:
        """Return what is judged of an output: of one that tells of every step the last, unless all have targets."""
        outputs = self.bench.run.answers[name][place]
        stepped = {file.name for file in self.bench.files if file.states}
        if name not in stepped:
            return outputs
        if head in self.heads:
            targets = self.heads[head]
            each_step = targets.ndim > 1 and targets.shape[1] == outputs.shape[1]
        else:
            each_step = stepped >= self.bench.run.answers.keys()
        return outputs if each_step else outputs[:, -1]

    def _in_probabilities(self, name: str, base: str, head: str) -> bool:
        """Tell by the file's last operation, or else by what the baseline answers: one value alone does not tell."""
        run, stepped = self.bench.run, {file.name for file in self.bench.files if file.states}
        for file in (name, base):
            place, alone = self._places[file].get(head, 0), False if file in stepped else None
            told = ends_in_sigmoid(run.layers[file], self.bench.outputs[file], place, alone=alone)
            if told is not None:
                return told
        return metrics.are_probabilities(run.answers[base][self._places[base].get(head, 0)])

    def score(self, name: str) -> None:
        """Score a file against the targets."""
        run, given, truths = self.bench.run, self._given[name], list(self.heads.values())
        scores = _scores(self.metric, given, truths)
        if self.metric.grouped and self.groups is not None:
            scores = Scores(scores.rows, np.asarray(self.groups))
        run.raw.scores[name] = scores.rows
        if len(scores.rows) != len(scores.units):
            run.raw.units[name] = scores.unit
        measured = run.measured[name]
        measured["value"] = self.metric.reduce(scores.rows)
        run.raw.truth = [metrics.truth_of(own, truth) for own, truth in zip(self.metric.each, truths, strict=True)]
        run.raw.said[name] = [
            own.parts.said(outputs) if own.parts and truth is not None else None
            for own, outputs, truth in zip(self.metric.each, given, run.raw.truth, strict=True)
        ]
        measured.update(self._told(given, scores))

    def _told(self, given: Sequence[np.ndarray], scores: Scores) -> dict[str, Any]:
        """Return what there is to tell of a file beside its value."""
        figures = {
            head: metrics.figures(own, outputs, truth)
            for own, outputs, (head, truth) in zip(self.metric.each, given, self.heads.items(), strict=True)
        }
        if self.groups is not None:
            of = scores.unit if self.metric.grouped else np.asarray(self.groups)[scores.unit]
            for own, head, columns in zip(self.metric.each, self.heads, self.metric.columns, strict=True):
                figures[head]["groups"] = metrics.by_group(own, scores.rows[:, columns], of)
        heads = [
            {"head": head, "metric": own.name, "value": own.reduce(scores.rows[:, columns])}
            for head, own, columns in zip(self.heads, self.metric.each, self.metric.columns, strict=True)
        ]
        told = {"figures": figures if any(figures.values()) else None, "heads": heads if self.metric.heads else None}
        return {key: value for key, value in told.items() if value}

    def agree(self, name: str) -> None:
        """Say how far a file answers as its baseline does."""
        measured, base = self.bench.run.measured[name], self.bench.run.baselines[name]
        pairs = zip(self.metric.each, self._given[base], self._given[name], strict=True)
        each = [own.agreement(a, b) for own, a, b in pairs]
        for row, agreement in zip(measured.get("heads", ()), each, strict=False):
            row["agreement"] = agreement
        untold = self._untold(name, base)
        if untold:
            measured["untold"] = untold
        measured["agreement"] = min([*each, *untold.values()])

    def _untold(self, name: str, base: str) -> dict[str, float]:
        """Return how far each output without targets is the baseline's."""
        answers = self.bench.run.answers
        ours, theirs = (
            [place for place in range(len(answers[file])) if place not in self._places[file].values()]
            for file in (name, base)
        )
        untold = {}
        for place, other in zip(ours, theirs, strict=False):
            a, b = answers[base][other], answers[name][place]
            untold[self.bench.names(name)[place]] = metrics.fidelity(a, b) if a.shape == b.shape else 0.0
        return untold


def _fitting(metric: str, heads: Heads, answers: Mapping[str, Sequence[np.ndarray]]) -> str:
    """Return the metric for these outputs: whether one value says yes is no matter of the largest of several."""
    if metric != "accuracy" or len(heads) != 1:
        return metric
    (targets,) = heads.values()
    ones = [outputs[0].size == len(outputs[0]) for outputs in answers.values()]
    if ones and all(ones) and targets.size == len(targets) and np.isin(targets, (0, 1)).all():
        return "binary_accuracy"
    return metric


def _scores(metric: Metric, outputs: list[np.ndarray], targets: list[np.ndarray]) -> Scores:
    """Score outputs; a sample is a unit, with a row each or one a time step."""
    try:
        rows = metric.scores(outputs, targets) if metric.heads else metric.scores(outputs[0], targets[0])
        return Scores.of_samples(rows, len(targets[0]))
    except ValueError as error:
        shapes = [", ".join(str(each.shape) for each in some) for some in (outputs, targets)]
        raise BadInput(
            f"metric={metric.name!r} cannot judge outputs of shape {shapes[0]} by targets of shape {shapes[1]}"
        ) from error


def ends_in_sigmoid(
    layers: Sequence[Mapping[str, Any]], outputs: Sequence[Mapping[str, Any]], place: int, *, alone: bool | None = None
) -> bool | None:
    """Tell if an output comes from a sigmoid, None where the layers do not tell. alone: it is the file's only one."""
    told = [each for each in layers if each["op"].upper() not in (*CONVERSIONS, *_PASSED)]
    named = [each for each in told if place < len(outputs) and each.get("name") == outputs[place]["name"]]
    last = named[:1] or (told[-1:] if (len(outputs) == 1 if alone is None else alone) else [])
    return last[0]["op"].upper() in SIGMOIDS if last else None
