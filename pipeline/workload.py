"""What the stages work for: a model of one network or several, and the data that it is trained and judged on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras

from ..copies import copy_model
from ..models import registry
from ..models.registry import Deployable
from ..runners import Arrays
from ..training import learners, tasks
from ..training.data import Dataset
from ..training.runner import KerasRunner
from ..training.tasks import Networks, Supervised, Task
from .facts import facts as facts_of_data
from .origins import Origin

Derive = Callable[[keras.Model, keras.Model, "Mapping[str, str] | None"], keras.Model]
CALIBRATION = 256  # samples


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A model's data, how it is trained, and which of its networks go to a device.

    name: of the model, as its files are called. origin: task, learner and peak learning rate. networks: all names,
    step networks too. finer: precision of what the model is known to need more than 8 bits for.
    make() builds them anew, seeded; identity is a digest of what they are made from; trained tells that the weights
    are the user's, to be kept. derive(step network, trained network, states) gives the one what the other learned.
    """

    name: str
    dataset: Dataset
    origin: Origin
    networks: tuple[str, ...]
    deploy: tuple[Deployable, ...]
    make: Callable[[], dict[str, keras.Model]]
    derive: Derive
    identity: str = ""
    trained: bool = False
    finer: str = "w8a16"

    @property
    def task(self) -> Task:
        """The task of the data, which decides loss and metric."""
        return tasks.of(self.dataset)

    @property
    def learner(self) -> str:
        """The name of what trains the networks."""
        return self.origin.learner

    @property
    def tuned(self) -> Workload:
        """The same work for what has been trained: its learner may leave what is pruned or quantized to another."""
        tuner = learners.get(self.learner).tuner
        return replace(self, origin=replace(self.origin, learner=tuner)) if tuner else self

    @property
    def learning_rate(self) -> float:
        """The peak of the training."""
        return self.origin.learning_rate

    @property
    def pace(self) -> dict[str, Any]:
        """What `train_config` is told of how the model learns."""
        return {"peak": self.learning_rate, "learner": self.learner, "own": self.origin.training}

    @property
    def several(self) -> bool:
        """Tell if there are several networks, whose files are told apart by name."""
        return len(self.networks) > 1

    @property
    def sampled(self) -> bool:
        """Tell if the model is one network that is judged by its answers to samples."""
        return isinstance(self.task, Supervised) and not self.several

    @property
    def derived(self) -> dict[str, str]:
        """The step networks, and which network each takes weights and ranges from."""
        return {each.network: each.derived_from for each in self.deploy if each.derived_from}

    @property
    def compressed(self) -> list[str]:
        """The networks that pruning and quantization change: what is deployed, itself or by a step."""
        return list(dict.fromkeys(each.derived_from or each.network for each in self.deploy))

    def learned(self, networks: Networks) -> dict[str, keras.Model]:
        """Return the networks that the learner trains."""
        return registry.trained(networks, self.deploy)

    def samples(self, network: str, count: int = CALIBRATION, networks: Networks | None = None) -> Any:
        """Return samples that a network is calibrated on: an array, or of several inputs a dict by name."""
        arrays = self.arrays(network, count, networks)
        return dict(arrays) if len(arrays) > 1 else next(iter(arrays.values()))

    def arrays(self, network: str, count: int, networks: Networks | None = None) -> Arrays:
        """Return samples by input name.

        networks: the whole model; where what one reads is made by others, its task observes it in their work.
        """
        observed = getattr(self.task, "observed", None)
        if observed is None or networks is None or network not in {*self.compressed, *self.derived}:
            return self.task.samples(self.dataset, network, count)
        return observed(KerasRunner(networks, self.deploy), self.dataset, network, count)

    def to_train(self, networks: Networks, made: Networks) -> dict[str, keras.Model]:
        """Return networks that may be trained in place: those `made` for it, and copies of the others."""
        return {
            name: made[name] if name in made else model if name in self.derived else copy_model(model)
            for name, model in networks.items()
        }

    def complete(self, networks: Networks) -> dict[str, keras.Model]:
        """Return the networks with each step network made anew from the one that was trained."""
        steps = {step: self.step(step, networks) for step in self.derived}
        return {**networks, **steps}

    def step(self, name: str, networks: Networks) -> keras.Model:
        """Return a step network with the weights, and the quantizers, of the one that was trained."""
        return self.derive(networks[name], networks[self.derived[name]], self.states(name) or None)

    def facts(self, network: str) -> dict[str, Any]:
        """Return what travels beside the file of a network: what it was trained on and how, and where it belongs."""
        states = self.states(network)
        known = {**facts_of_data(self.dataset), **self.origin.facts(), "network": network}
        return {**known, "states": states} if states else known

    def states(self, network: str) -> dict[str, str]:
        """Return what a network that goes to a device gives back: output -> input."""
        return next((dict(each.states) for each in self.deploy if each.network == network), {})
