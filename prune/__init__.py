"""Pruning: the smallest weights of each kernel become zero, or whole channels, heads, units
and blocks leave the model."""

from .config import PruneConfig, PruneReport
from .magnitude import PruningModel, prepare_prune, prune, strip_prune
from .structured import BlockConfig, BlockReport, ChannelConfig, ChannelReport, prune_blocks, prune_channels

__all__ = [
    "BlockConfig",
    "BlockReport",
    "ChannelConfig",
    "ChannelReport",
    "PruneConfig",
    "PruneReport",
    "PruningModel",
    "prepare_prune",
    "prune",
    "prune_blocks",
    "prune_channels",
    "strip_prune",
]
