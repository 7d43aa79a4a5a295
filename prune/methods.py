"""The ways to make a model sparser or smaller, each known by its config: at once, or while training goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from .config import PruneConfig
from .magnitude import prepare_prune, prune, strip_prune
from .structured import ChannelConfig, prune_channels

Made = tuple[keras.Model, Any]  # the model and the report


@dataclass(frozen=True, kw_only=True)
class Method:
    """One way. name: of its step in a recipe. at_once(model, config, samples) needs no training; samples may be None.

    prepare(model, config) gives a model to be trained, strip(model) the plain one afterwards; None where the model is
    changed at once and trained then. rebuilds: the result has layers of other sizes, or other layers, so that nothing
    built like the model can take its weights.
    """

    name: str
    config: type
    at_once: Callable[[keras.Model, Any, Any], Made]
    prepare: Callable[[keras.Model, Any], Made] | None = None
    strip: Callable[[keras.Model], keras.Model] | None = None
    rebuilds: bool = False


METHODS = (
    Method(
        name="zeros",
        config=PruneConfig,
        at_once=lambda model, config, samples: prune(model, config),
        prepare=prepare_prune,
        strip=strip_prune,
    ),
    Method(
        name="channels",
        config=ChannelConfig,
        at_once=lambda model, config, samples: prune_channels(model, config, samples=samples),
        rebuilds=True,
    ),
)


def method_for(config: Any) -> Method:
    """Return the way that `config` asks for."""
    return next(method for method in METHODS if isinstance(config, method.config))
