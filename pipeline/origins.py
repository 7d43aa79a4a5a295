"""What is known of a model besides its weights: where it comes from, and how it is trained.

A built model, one loaded with its sidecar, and what a stage makes of either carry it, so that a perceptron goes on
being trained as a perceptron. A model of the caller's own carries nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import wraps
from typing import Any
from weakref import WeakKeyDictionary

import keras

from ..errors import BadInput
from ..models import registry
from ..models.registry import Deployable

_KNOWN: WeakKeyDictionary[keras.Model, Origin] = WeakKeyDictionary()


@dataclass(frozen=True, kw_only=True)
class Origin:
    """model, preset: what the zoo built, None for others. network: which of its networks. also: those asked for.

    Else as in `Architecture`.
    """

    task: str
    learner: str = "fit"
    learning_rate: float = 2e-3
    training: Mapping[str, Any] = field(default_factory=dict)
    wide: Sequence[str] = ()
    model: str | None = None
    preset: str | None = None
    network: str | None = None
    also: Sequence[str] = ()

    @classmethod
    def of_zoo(cls, model: str, preset: str, network: str) -> Origin:
        """Return the origin of a network of the zoo."""
        entry = registry.get(model)
        return cls(task=entry.task, learner=entry.learner, learning_rate=entry.learning_rate, training=entry.training,
                   wide=entry.wide, model=model, preset=preset, network=network)  # fmt: skip

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> Origin | None:
        """Return the origin that a sidecar tells, or None where it tells of no training."""
        known = {name: facts[name] for name in cls.__dataclass_fields__ if facts.get(name) is not None}
        return cls(**known) if "learner" in known and "task" in known else None

    @property
    def deploy(self) -> tuple[Deployable, ...]:
        """Which networks go to a device; none told for a model that is not of the zoo."""
        if self.model not in registry.names():
            return ()
        entry = registry.get(self.model)
        return (*entry.deploy, *entry.requested(self.also))

    def asking(self, also: Sequence[str]) -> Origin:
        """Return the same with networks asked for that go to a device on request.  Raises: BadInput for others."""
        if self.model not in registry.names():
            raise BadInput(f"also {also[0]!r}: the model is not of the zoo, which says what goes on request")
        registry.get(self.model).requested(also)
        return replace(self, also=tuple(dict.fromkeys((*self.also, *also))))

    def facts(self) -> dict[str, Any]:
        """Return what is known, as a sidecar holds it."""
        return {name: value for name, value in asdict(self).items() if value not in (None, {}, ())}


def of(model: keras.Model) -> Origin | None:
    """Return where `model` comes from, or None."""
    return _KNOWN.get(model)


def remember(model: keras.Model, origin: Origin | None) -> keras.Model:
    """Note where `model` comes from, and return it."""
    if origin is not None:
        _KNOWN[model] = origin
    return model


def request(networks: Mapping[str, keras.Model], also: Sequence[str]) -> None:
    """Ask for networks that go to a device on request, by what is known of all of a model's.

    Raises: BadInput for one that does not, or a model of unknown make.
    """
    for network in networks.values() if also else ():
        origin = of(network)
        if origin is None:
            raise BadInput(f"also {also[0]!r}: nothing is known of {network.name}; leave it out, or build it by name")
        remember(network, origin.asking(also))


def carried(transform: Callable[..., Any]) -> Callable[..., Any]:
    """Let what `transform` makes of a model, alone or before a report, have the model's origin."""

    @wraps(transform)
    def transformed(model: keras.Model, *arguments: Any, **named: Any) -> Any:
        made = transform(model, *arguments, **named)
        remember(made[0] if isinstance(made, tuple) else made, of(model))
        return made

    return transformed
