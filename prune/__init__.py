"""Pruning: the smallest weights of each kernel become zero, or whole channels, heads and units leave the model."""

from .config import PruneConfig, PruneReport
from .magnitude import PruningModel, prepare_prune, prune, strip_prune
from .structured import ChannelConfig, ChannelReport, prune_channels

__all__ = [
    "ChannelConfig",
    "ChannelReport",
    "PruneConfig",
    "PruneReport",
    "PruningModel",
    "prepare_prune",
    "prune",
    "prune_channels",
    "strip_prune",
]
