"""What a model is known to need more than 8 bits for, put into a configuration."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatch
from typing import TYPE_CHECKING

from ..quantize import QatConfig

if TYPE_CHECKING:
    import keras

    from .workload import Workload


def suited(work: Workload, config: QatConfig | None = None, network: keras.Model | None = None) -> QatConfig:
    """Return a configuration that gives 16 bits, or what the work says instead, where 8 are known to be too few.

    network: the one to be quantized, which is not told what is named in others of the model. Names that `config` gives,
    and one that quantizes activations otherwise than to 8 bits, are left as they are.
    """
    config = config or QatConfig()
    if not str(config.default).endswith("a8"):
        return config
    finer = None if work.finer == "float32" else work.finer
    own = {name: finer for name in work.origin.wide if name not in config.by_name and _in(network, name)}
    return replace(config, by_name={**config.by_name, **own}) if own else config


def _in(network: keras.Model | None, name: str) -> bool:
    """Return whether a network has the layer or operation that a name begins with."""
    first = name.partition("/")[0]
    return network is None or any(fnmatch(each.name, first) for each in network.operations)
