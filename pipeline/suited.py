"""What a model is known to need 16 bits for, put into a configuration."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatch
from typing import TYPE_CHECKING

import keras

from ..keras_internals import layers_in
from ..quantize import QatConfig

if TYPE_CHECKING:
    from .workload import Workload


def suited(work: Workload, config: QatConfig | None = None, network: keras.Model | None = None) -> QatConfig:
    """Return a configuration that gives 16 bits to activations that the model is known to need them for.

    network: which of its networks it is for, whose layers alone are named then; all where left out. Names that `config`
    gives, and one that quantizes activations otherwise than to 8 bits, are left as they are.
    """
    config = config or QatConfig()
    if not str(config.default).endswith("a8"):
        return config
    layers = [layer.name for layer in layers_in(network)] if network is not None else None
    own = {name: "w8a16" for name in work.origin.wide
           if name not in config.by_name
           and (layers is None or any(fnmatch(layer, name.partition("/")[0]) for layer in layers))}  # fmt: skip
    return replace(config, by_name={**config.by_name, **own}) if own else config
