"""Magnitude pruning: the smallest weights of each kernel become and stay zero."""

from .config import PruneConfig, PruneReport
from .magnitude import PruningModel, prepare_prune, prune, strip_prune

__all__ = ["PruneConfig", "PruneReport", "PruningModel", "prepare_prune", "prune", "strip_prune"]
