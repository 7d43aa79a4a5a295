"""What is known of a model besides its weights: where it comes from, and how it is trained.

A built model, one loaded with its sidecar, and what a stage makes of either carry it, so that a perceptron goes on
being trained as a perceptron. A model of the caller's own carries nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import wraps
from typing import Any
from weakref import WeakKeyDictionary

import keras

from ..models import registry
from ..models.registry import Deployable

_KNOWN: WeakKeyDictionary[keras.Model, Origin] = WeakKeyDictionary()


@dataclass(frozen=True, kw_only=True)
class Origin:
    """model, preset: what the zoo built, None for others. network: which of its networks. Else as in `Architecture`."""

    task: str
    learner: str = "fit"
    learning_rate: float = 2e-3
    training: Mapping[str, Any] = field(default_factory=dict)
    wide: Sequence[str] = ()
    model: str | None = None
    preset: str | None = None
    network: str | None = None

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
        return registry.get(self.model).deploy if self.model in registry.names() else ()

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


def carried(transform: Callable[..., Any]) -> Callable[..., Any]:
    """Let what `transform` makes of a model, alone or before a report, have the model's origin."""

    @wraps(transform)
    def transformed(model: keras.Model, *arguments: Any, **named: Any) -> Any:
        made = transform(model, *arguments, **named)
        remember(made[0] if isinstance(made, tuple) else made, of(model))
        return made

    return transformed
