"""How many blocks leave a model, by what, and what came of it: frozen records. Imports no Keras."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ...errors import BadInput, refuse_unknown

INFLUENCES = ("cosine", "angle", "norm")


@dataclass(frozen=True, kw_only=True)
class BlockConfig:
    """How many residual blocks a model loses, and which: y = x + f(x) becomes y = x.

    Exactly one budget: `blocks`, how many go, at least one; `share`, the share of all blocks that goes, in [0, 1).

    criterion: how much a block does, measured between what goes in and what comes out on samples, over the channels at
    each place; the least goes. "cosine": 1 - cos(x, y), the block influence of ShortGPT (Men et al. 2024,
    arXiv:2403.03853); "angle": arccos of it as a share of pi (Gromov et al. 2024, arXiv:2403.17887); "norm": the length
    of f(x) as a share of that of x. skip: names of layers or weights, with wildcards, whose blocks stay.
    """

    blocks: int | None = None
    share: float | None = None
    criterion: str = "cosine"
    skip: tuple[str, ...] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        object.__setattr__(self, "skip", tuple(self.skip))
        if (self.blocks is None) == (self.share is None):
            given = "no budget" if self.blocks is None else "blocks and share"
            raise BadInput(f"BlockConfig: {given} given; give one of blocks, share, for example blocks=2")
        if self.blocks is not None and (isinstance(self.blocks, bool) or not isinstance(self.blocks, int)
                                        or self.blocks < 1):  # fmt: skip
            raise BadInput(f"BlockConfig: blocks={self.blocks!r} must be a whole number of at least 1")
        if self.share is not None and not 0 <= self.share < 1:
            raise BadInput(
                f"BlockConfig: share={self.share!r} must lie in [0, 1): it is the share of the blocks that goes"
            )
        if self.criterion not in INFLUENCES:
            raise BadInput(f"BlockConfig: criterion={self.criterion!r} is unknown; allowed: {', '.join(INFLUENCES)}")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BlockConfig:
        """Build from a mapping, as read from YAML. Raises: BadInput naming an unknown key."""
        refuse_unknown("BlockConfig", values, [one.name for one in fields(cls)])
        return cls(**values)


@dataclass(frozen=True)
class CutBlock:
    """A block. name: of the layer that adds; weights: of what goes with it; influence: by the criterion asked for."""

    name: str
    weights: tuple[str, ...]
    parameters: int
    influence: float
    gone: bool
    reason: str = ""


@dataclass(frozen=True)
class BlockReport:
    """What was cut: blocks in the order of the model, multiply-adds of one sample, parameters."""

    blocks: tuple[CutBlock, ...]
    macs: tuple[int, int]  # before, after
    parameters: tuple[int, int]
    deviation: float  # of the rebuilt model from the one whose blocks add zeros, as a share of the largest output

    @property
    def rows(self) -> tuple[dict[str, Any], ...]:
        """One row for each block: name, shape (its parameters before and after), sparsity, reason."""
        return tuple(
            {
                "name": block.name,
                "shape": (block.parameters, 0 if block.gone else block.parameters),
                "sparsity": 1.0 if block.gone else None,
                "reason": block.reason,
            }
            for block in self.blocks
        )

    def __str__(self) -> str:
        gone = sum(block.gone for block in self.blocks)
        lines = [
            f"{gone} of {len(self.blocks)} blocks gone; multiply-adds {self.macs[0]:,} -> {self.macs[1]:,}, "
            f"parameters {self.parameters[0]:,} -> {self.parameters[1]:,}"
        ]
        lines += [
            f"  {'gone' if block.gone else 'kept'}  influence {block.influence:.4f}  {block.name}"
            f"{': ' * bool(block.reason)}{block.reason}"
            for block in self.blocks
        ]
        return "\n".join(lines)
