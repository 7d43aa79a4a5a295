"""Structured pruning: whole channels, heads, hidden and recurrent units, or whole
blocks, leave a model, which is built again without."""

from .block_config import BlockConfig, BlockReport, CutBlock
from .blocks import prune_blocks
from .channels import prune_channels
from .config import ChannelConfig, ChannelReport, CutGroup

__all__ = [
    "BlockConfig",
    "BlockReport",
    "ChannelConfig",
    "ChannelReport",
    "CutBlock",
    "CutGroup",
    "prune_blocks",
    "prune_channels",
]
