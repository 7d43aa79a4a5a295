"""Pruning: the smallest weights of each kernel become zero, or whole channels, heads, units
and blocks leave the model."""

from .clustering import ClusterConfig, ClusteringModel, ClusterReport, cluster, prepare_cluster, strip_cluster
from .config import PruneConfig, PruneReport
from .low_rank import LowRankConfig, LowRankReport, factorize
from .magnitude import PruningModel, prepare_prune, prune, strip_prune
from .structured import BlockConfig, BlockReport, ChannelConfig, ChannelReport, prune_blocks, prune_channels

__all__ = [
    "BlockConfig",
    "BlockReport",
    "ChannelConfig",
    "ChannelReport",
    "ClusterConfig",
    "ClusterReport",
    "ClusteringModel",
    "LowRankConfig",
    "LowRankReport",
    "PruneConfig",
    "PruneReport",
    "PruningModel",
    "cluster",
    "factorize",
    "prepare_cluster",
    "prepare_prune",
    "prune",
    "prune_blocks",
    "prune_channels",
    "strip_cluster",
    "strip_prune",
]
