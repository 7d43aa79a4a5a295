"""The stage that prunes: networks that go to a device grow sparse while their own learner goes on training all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras

from ..errors import BadInput
from ..prune import ChannelConfig, ChannelReport, PruneConfig, PruneReport, prepare_prune, prune_channels, strip_prune
from ..prune import prune as prune_at_once
from ..training import learners
from ..training.config import TrainConfig
from ..training.data import Dataset
from ..training.state import Row
from ..training.tasks import Networks
from . import training as stage
from .workload import Workload


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """What pruning came to. networks: all of the model, the step networks made anew; reports: by network pruned."""

    networks: dict[str, keras.Model]
    reports: Mapping[str, PruneReport | ChannelReport]
    history: list[Row]

    def rows(self) -> list[dict[str, Any]]:
        """Return every tensor of every report, as JSON has it; of several networks with the name of theirs."""
        several = len(self.reports) > 1
        return [
            {**row, "shape": list(row["shape"]), **({"network": name} if several else {})}
            for name, report in self.reports.items()
            for row in report.rows
        ]


def prune(
    networks: Networks, work: Workload, config: PruneConfig | ChannelConfig, training: TrainConfig,
    out: str | Path | None = None,
) -> Pruned:  # fmt: skip
    """Prune what goes to a device while training goes on, or before it goes on. `networks` are untouched."""
    if isinstance(config, ChannelConfig):
        return _without_channels(networks, work, config, training, out)
    plan = scheduled(config, training, work.dataset, work.learner)
    made = {name: prepare_prune(networks[name], plan) for name in work.compressed}
    pruning = work.to_train(networks, {name: model for name, (model, _) in made.items()})
    result = stage.train(pruning, while_pruning(work), training, out)
    sparse = {name: strip_prune(model) if name in made else model for name, model in pruning.items()}
    return Pruned(
        networks=work.complete(sparse),
        reports={name: report for name, (_, report) in made.items()},
        history=result.history,
    )


def _without_channels(
    networks: Networks, work: Workload, config: ChannelConfig, training: TrainConfig, out: str | Path | None
) -> Pruned:
    """Cut channels of what goes to a device, then train what is left."""
    if work.derived:
        step, network = next(iter(work.derived.items()))
        raise BadInput(
            f"network {network!r} has a step network, {step!r}, that is built as wide as it: channels cannot be cut; "
            "prune weights instead (--sparsity)"
        )
    made = {name: prune_channels(networks[name], config, samples=work.samples(name)) for name in work.compressed}
    smaller = work.to_train(networks, {name: model for name, (model, _) in made.items()})
    result = stage.train(smaller, work, training, out)
    reports = {name: report for name, (_, report) in made.items()}
    return Pruned(networks=work.complete(smaller), reports=reports, history=result.history)


def while_pruning(work: Workload) -> Workload:
    """Return `work` as it is judged amid its pruning: steps are derived of what the networks will be."""
    return replace(work, derive=lambda step, model, states: work.derive(step, strip_prune(model), states))


def cut(networks: Networks, config: PruneConfig | ChannelConfig, chosen: list[str]) -> Pruned:
    """Prune the `chosen` networks at once, without training. `networks` are untouched."""
    made = {name: _at_once(networks[name], config) for name in chosen}
    return Pruned(
        networks={name: made[name][0] if name in made else model for name, model in networks.items()},
        reports={name: report for name, (_, report) in made.items()},
        history=[],
    )


def _at_once(model: keras.Model, config: PruneConfig | ChannelConfig) -> tuple[keras.Model, Any]:
    return prune_channels(model, config) if isinstance(config, ChannelConfig) else prune_at_once(model, config)


def scheduled(config: PruneConfig, training: TrainConfig, dataset: Dataset, learner: str = "fit") -> PruneConfig:
    """Return `config` with its schedule laid over the training: the full sparsity after half of the learner's steps."""
    steps = learners.get(learner).steps(dataset, training)
    return replace(config, begin_step=0, end_step=max(1, steps // 2), frequency=max(1, steps // 40))
