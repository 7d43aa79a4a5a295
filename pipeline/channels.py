"""Budgets of channels that need more than the graph: files, a device, a target, data; and cutting in several steps."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras

from ..devices.targets import target as targets
from ..devices.turns import check_timed
from ..ends import symbolic_inputs
from ..errors import BadInput
from ..export import export_tflite
from ..files import write_json
from ..progress import say
from ..prune import ChannelConfig, ChannelReport, prune_channels
from ..prune.structured.cost import file_bytes
from ..prune.structured.cut import Cut
from ..training.answers import in_order
from ..training.config import TrainConfig
from ..training.data.dataset import CLASSES, Split, subset
from ..training.distillation import Distillation
from ..training.learners.fitting import FitOverrides, resolved
from ..training.learners.register import steps_by_batches
from ..training.state import Row
from ..training.tasks import Networks, Objective
from . import training as stage
from .latency import latency_of, measured
from .workload import Workload

Made = tuple[keras.Model, ChannelReport]
ELSEWHERE = ("bytes", "latency", "max_drop")  # budgets that the graph does not tell
SETTLED = "channels.json"  # what a budget came to, so that a resumed training meets the same model
TRIALS = 6  # halvings in search of what `max_drop` allows
CORRECTIONS = 4  # of a file that came out larger than its budget
LABELLED, LABELLED_BATCH = 256, 32  # samples whose loss "taylor" looks at


def for_target(config: ChannelConfig) -> ChannelConfig:
    """Return the configuration with what the kernels of its target like.  Raises: BadInput for an unknown target."""
    if config.target is None:
        return config
    liked = targets.load(config.target).channel_multiple
    return replace(config, target=None, multiple_of=config.multiple_of or liked)


def check(config: ChannelConfig, *, data: bool, training: TrainConfig | None = None) -> None:
    """Refuse what cannot be done, before any work.  Raises: BadInput."""
    for_target(config)
    if config.latency is not None:
        check_timed(config.device)
    if config.max_drop is not None and not data:
        raise BadInput(f"max_drop={config.max_drop} is judged on validation data: give data, or another budget")
    if training is not None and training.epochs is not None and training.epochs < config.steps:
        raise BadInput(
            f"steps={config.steps}, but {training.epochs} epochs are trained: each step takes one at least; raise the "
            "epochs or take fewer steps"
        )


def cut(model: keras.Model, config: ChannelConfig, **known: Any) -> Made:
    """Return a model without channels, and a report that tells file or time too where that was the budget.

    known: as `prune_channels` takes it.
    """
    check(config, data=False)
    plain = for_target(config)
    if plain.steps > 1 and plain.budget[0] in ELSEWHERE:
        plain = _as_share(plain, cut(model, replace(plain, steps=1), **known)[1].share)
    if plain.bytes is not None:
        return _by_file(model, plain, known)
    cost = latency_of(model, plain) if plain.latency is not None else None
    made, report = prune_channels(model, plain, cost=cost, **known)
    return made, confirmed(report, model, made, config)


def confirmed(report: ChannelReport, model: keras.Model, made: keras.Model, config: ChannelConfig) -> ChannelReport:
    """Return the report with the time or the file of both models, where that is the budget."""
    if config.latency is not None:
        return replace(report, costs={**report.costs, "measured": measured(model, made, config)})
    if config.bytes is not None:
        sizes = (len(export_tflite(model).data), len(export_tflite(made).data))
        return replace(report, costs={**report.costs, "bytes": sizes})
    return report


class _FileBytes:
    """The size of a file by its weights: the rest of it is taken to stay, but for `more`, seen of files written."""

    def __init__(self, size: int):
        self.size, self.more = size, 0.0
        self._rest: int | None = None

    def __call__(self, cut: Cut) -> float:
        if self._rest is None:
            self._rest = self.size - file_bytes(Cut(cut.anatomy))
        return file_bytes(cut) + self._rest + (self.more if cut.gone.any() else 0)


def _by_file(model: keras.Model, config: ChannelConfig, known: Mapping[str, Any]) -> Made:
    """Cut until the file, which is written to see, is as small as it shall be."""
    cost = _FileBytes(len(export_tflite(model).data))
    aim = (1 - (config.bytes or 0)) * cost.size
    became = 0.0
    for _ in range(CORRECTIONS):
        made, report = prune_channels(model, config, cost=cost, **known)
        predicted, report = report.costs["bytes"][1], confirmed(report, model, made, config)
        became = report.costs["bytes"][1]
        if became <= aim:
            return made, report
        cost.more += became - predicted
    raise BadInput(f"bytes={config.bytes}: the file came out at {became:,.0f} bytes, not {aim:,.0f}; ask for less")


def in_steps(
    networks: Networks, work: Workload, config: ChannelConfig, training: TrainConfig, out: str | Path | None,
    teaching: Distillation | None = None,
) -> tuple[dict[str, keras.Model], dict[str, ChannelReport], list[Row]]:  # fmt: skip
    """Cut channels and train on, as often as `config.steps` says, the epochs shared out among the steps.

    Returns all networks, the report of each that was cut, and the rows of all epochs. `networks` are untouched. Each
    step trains in a folder of its own, and which channels go follows from the weights before it: so it resumes exactly.
    """
    check(config, data=True, training=training)
    folder = None if out is None else Path(out)
    plain = for_target(config)
    settled = _settled(networks, work, plain, training, folder)
    steps = {name: settled.config(name).in_steps() for name in work.compressed}
    current, reports, history = dict(networks), {}, []
    epochs = training.epochs_for(steps_by_batches(work.dataset, replace(training, epochs=1)))
    for step in range(config.steps):
        made = {
            name: prune_channels(current[name], each[step], since=reports.get(name), **_looked_at(current, work, plain,
                                                                                                  name))
            for name, each in steps.items()
        }  # fmt: skip
        reports = {name: report for name, (_, report) in made.items()}
        current = work.to_train(current, {name: model for name, (model, _) in made.items()})
        result = stage.train(current, work, *_share_of(training, epochs, step, config.steps, folder), teaching=teaching)
        history += result.history
    told = {name: confirmed(settled.told(name, report), networks[name], current[name], plain)
            for name, report in reports.items()}  # fmt: skip
    return current, told, history


def _share_of(
    training: TrainConfig, epochs: int, step: int, steps: int, folder: Path | None
) -> tuple[TrainConfig, Path | None]:
    """Return how one step trains, and in which folder; the last one takes the epochs that are left over."""
    if steps == 1:
        return training, folder
    share = epochs // steps + (epochs % steps if step == steps - 1 else 0)
    return replace(training, epochs=max(1, share)), None if folder is None else folder / f"step-{step + 1}"


@dataclass(frozen=True)
class _Settled:
    """What the budget of each network comes to. networks: name -> {share of the channels, costs that were predicted}.

    Empty where the graph tells.
    """

    asked: ChannelConfig
    networks: Mapping[str, Mapping[str, Any]]

    def config(self, name: str) -> ChannelConfig:
        """Return the configuration of a network by what the graph tells."""
        return _as_share(self.asked, self.networks[name]["share"]) if self.networks else self.asked

    def told(self, name: str, report: ChannelReport) -> ChannelReport:
        """Return a report with the costs that were predicted."""
        costs = self.networks[name]["costs"] if self.networks else {}
        return replace(report, costs={**report.costs, **{cost: (pair[0], pair[1]) for cost, pair in costs.items()}})


def _settled(
    networks: Networks, work: Workload, config: ChannelConfig, training: TrainConfig, folder: Path | None
) -> _Settled:
    """Return what the budget comes to.

    What files, a device or data said is written to the folder, and read there when the training is resumed.
    """
    if config.budget[0] not in ELSEWHERE:
        return _Settled(config, {})
    asked = json.loads(json.dumps(asdict(config)))
    path = None if folder is None else folder / SETTLED
    before = json.loads(path.read_text()) if path is not None and path.is_file() else {}
    if before.get("config") != asked:
        before = {"config": asked, "networks": _shares(networks, work, config, training)}
        if path is not None:
            write_json(path, before)
    return _Settled(config, before["networks"])


def _shares(networks: Networks, work: Workload, config: ChannelConfig, training: TrainConfig) -> dict[str, Any]:
    if config.max_drop is not None:
        share = _within(config.max_drop, networks, work, config, training)
        return {name: {"share": share, "costs": {}} for name in work.compressed}
    alone, found = replace(config, steps=1), {}
    for name in work.compressed:
        _, report = cut(networks[name], alone, **_looked_at(networks, work, config, name))
        costs = {cost: pair for cost, pair in report.costs.items() if cost == config.budget[0]}
        found[name] = {"share": report.share, "costs": costs}
    return found


def _as_share(config: ChannelConfig, share: float) -> ChannelConfig:
    return config.instead("channels", min(share, 1 - 1e-9))


def _within(drop: float, networks: Networks, work: Workload, config: ChannelConfig, training: TrainConfig) -> float:
    """Return the largest share of the channels that goes while the metric on validation data loses at most `drop`."""
    metric, whole = work.task.metric, _validated(networks, work)

    tried: dict[tuple, bool] = {}  # by the counts that are left, which are rounded

    def keeps(share: float) -> bool:
        asked = replace(_as_share(config, share), steps=1)
        made = {name: prune_channels(networks[name], asked, **_looked_at(networks, work, config, name))
                for name in work.compressed}  # fmt: skip
        left = tuple(group.after for _, report in made.values() for group in report.groups)
        if left not in tried:
            tried[left] = allowed(share, {name: model for name, (model, _) in made.items()})
        return tried[left]

    def allowed(share: float, made: Networks) -> bool:
        smaller = work.to_train(networks, made)
        if config.trial_epochs:
            stage.train(smaller, work, replace(training, epochs=config.trial_epochs))
        value = _validated(smaller, work)
        say(f"without {share:.0%} of the channels: validation {metric.name} {value:.4f}, whole {whole:.4f}")
        return metric.gain(value, whole) >= -drop

    low, high = 0.0, config.most
    if keeps(high):
        return high
    for _ in range(TRIALS):
        middle = (low + high) / 2
        low, high = (middle, high) if keeps(middle) else (low, middle)
    if not low:
        say(f"max_drop={drop}: no channels can go")
    return low


def _validated(networks: Networks, work: Workload) -> float:
    """Return the metric of networks on validation data.  Raises: BadInput where these cannot tell it."""
    if work.dataset.task == "anomaly_detection":
        raise BadInput("max_drop is judged on validation data, which holds no anomalies: give another budget")
    return stage.evaluated(networks, replace(work, dataset=replace(work.dataset, test=work.dataset.validation))).value


def _looked_at(networks: Networks, work: Workload, config: ChannelConfig, name: str) -> dict[str, Any]:
    """Return what importance is told by: samples, and the loss of labelled ones where the task has one."""
    batches = _labelled(networks[name], work) if config.criterion == "taylor" and not work.several else None
    return {"samples": work.samples(name), "batches": batches}


def _labelled(model: keras.Model, work: Workload) -> list[tuple[Any, Callable[[Any], Any]]] | None:
    """Return batches of training samples and their loss by the task, None where it has none."""
    if not isinstance(work.task, Objective):
        return None
    plain = TrainConfig(label_smoothing=0.0)
    fitting = resolved(lambda *known: FitOverrides(), {model.name: model}, work.dataset, work.task, plain)
    chosen = subset(work.dataset.train, LABELLED, 0, stratify=work.dataset.task in CLASSES)
    numbers = range(0, len(chosen), LABELLED_BATCH)
    parts = [chosen.take(_slice(start, len(chosen))) for start in numbers]
    return [(_given(model, part), _loss(fitting, fitting.targets(part))) for part in parts]


def _slice(start: int, count: int) -> Any:
    return list(range(start, min(count, start + LABELLED_BATCH)))


def _given(model: keras.Model, part: Split) -> Any:
    return keras.tree.pack_sequence_as(symbolic_inputs(model), in_order(model, part.x))


def _loss(fitting: Any, targets: Any) -> Callable[[Any], Any]:
    def loss(outputs: Any) -> Any:
        answers = keras.tree.flatten(outputs)
        if not isinstance(fitting.loss, Mapping):
            return fitting.loss(targets, answers[0])
        weights, places = fitting.loss_weights or {}, fitting.network.places
        return sum(weights.get(head, 1.0) * each(targets[head], answers[places[head]])
                   for head, each in fitting.loss.items())  # fmt: skip

    return loss


__all__ = ["check", "confirmed", "cut", "for_target", "in_steps"]
