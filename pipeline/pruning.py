"""The stage that prunes: networks that go to a device grow sparse while their own learner goes on training all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras

from ..errors import BadInput
from ..progress import say
from ..prune import ChannelConfig, PruneConfig, strip_prune
from ..prune.methods import method_for
from ..training import learners
from ..training.config import TrainConfig
from ..training.data import Dataset
from ..training.distillation import Distillation
from ..training.learners.teacher import schooled
from ..training.state import Row
from ..training.tasks import Networks
from . import channels, teachers
from . import training as stage
from .workload import Workload

BY_HEART = 1.005  # times as large a loss of validation tells


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """What pruning came to. networks: all of the model, the step networks made anew; reports: by network pruned.

    held: outputs without targets that were held to what they answered before.
    """

    networks: dict[str, keras.Model]
    reports: Mapping[str, Any]
    history: list[Row]
    held: Sequence[str] = ()

    def rows(self) -> list[dict[str, Any]]:
        """Return every tensor of every report, as JSON has it; of several networks with the name of theirs."""
        several = len(self.reports) > 1
        return [
            {**row, "shape": list(row["shape"]), **({"network": name} if several else {})}
            for name, report in self.reports.items()
            for row in report.rows
        ]


def prune(
    networks: Networks,
    work: Workload,
    config: Any,
    training: TrainConfig,
    out: str | Path | None = None,
    *,
    teaching: Distillation | None = None,
) -> Pruned:
    """Prune what goes to a device while training goes on, or before it goes on. `networks` are untouched.

    config: of one of the ways in `prune.methods`. teaching: a teacher of what is pruned, such as what it was before;
    without one that holds outputs without targets (see `teachers.of_stage`).
    """
    work = work.tuned
    taught = teachers.resolve(teachers.of_stage(teaching, work, training), networks, work)
    held = teachers.held(taught, work)
    method = method_for(config)
    refuse(config, work)
    if isinstance(config, ChannelConfig):
        smaller, reports, history = channels.in_steps(networks, work, config, training, out, taught)
        return Pruned(networks=work.complete(smaller), reports=reports, history=history, held=held)
    if method.prepare is None or method.strip is None:
        made = {name: method.at_once(networks[name], config, work.samples(name)) for name in work.compressed}
        smaller = work.to_train(networks, {name: model for name, (model, _) in made.items()})
        result = stage.train(smaller, work, training, out, teaching=taught)
        return _pruned(work.complete(smaller), made, result.history, held)
    dataset = schooled(work.dataset, taught)
    plan = scheduled(config, training, dataset, work.learner) if isinstance(config, PruneConfig) else config
    made = {name: method.prepare(networks[name], plan) for name in work.compressed}
    pruning = work.to_train(networks, {name: model for name, (model, _) in made.items()})
    result = stage.train(pruning, while_pruning(work, method.strip), training, out, teaching=taught)
    if by_heart := learned_by_heart(result.history):
        names = ", ".join(model.name for name, model in networks.items() if name in made)
        say(f"{names}: {by_heart}; a lower learning rate, such as {training.learning_rate / 10:g}, may keep more")
    plain = {name: method.strip(model) if name in made else model for name, model in pruning.items()}
    return _pruned(work.complete(plain), made, result.history, held)


def learned_by_heart(history: Sequence[Row]) -> str:
    """Return how training loss fell and validation loss rose once all was pruned, "" where that is not so."""
    known = [row for row in history if {"loss", "val_loss"} <= row.keys()]
    if len(known) < 2:
        return ""
    first, last = known[len(known) // 2], known[-1]
    if last["loss"] >= first["loss"] or last["val_loss"] <= BY_HEART * first["val_loss"]:
        return ""
    fell, rose = (f"from {first[name]:.3g} to {last[name]:.3g}" for name in ("loss", "val_loss"))
    return f"pruned, it learned its training samples by heart: their loss fell {fell}, that of validation rose {rose}"


def _pruned(
    networks: dict[str, keras.Model], made: Mapping[str, tuple[Any, Any]], history: list[Row], held: Sequence[str] = ()
) -> Pruned:
    reports = {name: report for name, (_, report) in made.items()}
    return Pruned(networks=networks, reports=reports, history=history, held=held)


def refuse(config: Any, work: Workload) -> None:
    """Refuse a way of pruning that the model does not allow.  Raises: BadInput."""
    if method_for(config).rebuilds and work.derived:
        step, network = next(iter(work.derived.items()))
        raise BadInput(
            f"network {network!r} has a step network, {step!r}, that is built as it was, for other weights; "
            "prune weights instead (--sparsity)"
        )


def while_pruning(work: Workload, strip: Callable[[keras.Model], keras.Model] = strip_prune) -> Workload:
    """Return `work` as it is judged amid its pruning: steps are derived of what the networks will be."""
    return replace(work, derive=lambda step, model, states: work.derive(step, strip(model), states))


def cut(networks: Networks, config: Any, chosen: list[str]) -> Pruned:
    """Prune the `chosen` networks at once, without training. `networks` are untouched."""
    if isinstance(config, ChannelConfig):
        made = {name: channels.cut(networks[name], config) for name in chosen}
    else:
        made = {name: method_for(config).at_once(networks[name], config, None) for name in chosen}
    plain = {name: made[name][0] if name in made else model for name, model in networks.items()}
    return _pruned(plain, made, [])


def scheduled(config: PruneConfig, training: TrainConfig, dataset: Dataset, learner: str = "fit") -> PruneConfig:
    """Return `config` with its schedule laid over the training: the full sparsity after half of the learner's steps."""
    steps = learners.get(learner).steps(dataset, training)
    return replace(config, begin_step=0, end_step=max(1, steps // 2), frequency=max(1, steps // 40))
