"""Structured pruning: whole channels, heads, hidden and recurrent units leave a model, which is built again without."""

from .channels import prune_channels
from .config import ChannelConfig, ChannelReport, CutGroup

__all__ = ["ChannelConfig", "ChannelReport", "CutGroup", "prune_channels"]
