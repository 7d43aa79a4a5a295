"""What a model is known to need 16 bits for, put into a configuration."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..quantize import QatConfig

if TYPE_CHECKING:
    from .workload import Workload


def suited(work: Workload, config: QatConfig | None = None) -> QatConfig:
    """Return a configuration that gives 16 bits to activations that the model is known to need them for.

    Names that `config` gives, and one that quantizes activations otherwise than to 8 bits, are left as they are.
    """
    config = config or QatConfig()
    if not str(config.default).endswith("a8"):
        return config
    own = {name: "w8a16" for name in work.origin.wide if name not in config.by_name}
    return replace(config, by_name={**config.by_name, **own}) if own else config
