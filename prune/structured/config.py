"""How much is cut, by what, and what came of it: frozen records. Imports no Keras."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ...errors import BadInput, refuse_unknown

CRITERIA = ("l1", "l2", "bn_scale", "taylor", "activation", "random")
SCOPES = ("global", "group")
BUDGETS = ("channels", "macs", "parameters")


@dataclass(frozen=True, kw_only=True)
class ChannelConfig:
    """How many channels, heads and units a model loses, and which.

    Exactly one budget: `channels`, the share of the units of all groups that go; `macs` or `parameters`, the share of
    the multiply-adds or of the weights that go at least. All lie in [0, 1).

    criterion: what says that a unit matters little. "l1", "l2": the norm of its weights; "bn_scale": that of its scales
    after normalization (Liu et al. 2017, arXiv:1708.06519); "taylor": the change of the loss to first order were its
    weights zero (Molchanov et al. 2019, arXiv:1906.10771); "activation": how large its values are on samples; "random".
    scope: "global" ranks the units of all groups together, by their share of their group's mean; "group" takes the same
    share of each group. multiple_of: what counts are rounded up to, where kernels like it. most: how large a share of
    one group may go. skip: names of weights or layers, with wildcards, whose groups are left whole.
    """

    channels: float | None = None
    macs: float | None = None
    parameters: float | None = None
    criterion: str = "l1"
    scope: str = "group"
    multiple_of: int = 1
    most: float = 0.9
    skip: tuple[str, ...] = field(default_factory=tuple)
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "skip", tuple(self.skip))
        given = {name: getattr(self, name) for name in BUDGETS if getattr(self, name) is not None}
        if len(given) != 1:
            raise BadInput(
                f"ChannelConfig: {' and '.join(given) or 'no budget'} given; give one of {', '.join(BUDGETS)}, for "
                "example channels=0.5"
            )
        for name, value in [*given.items(), ("most", self.most)]:
            if not 0 <= value < 1:
                raise BadInput(f"ChannelConfig: {name}={value!r} must lie in [0, 1): it is the share that goes")
        for name, value, allowed in (("criterion", self.criterion, CRITERIA), ("scope", self.scope, SCOPES)):
            if value not in allowed:
                raise BadInput(f"ChannelConfig: {name}={value!r} is unknown; allowed: {', '.join(allowed)}")
        if self.multiple_of < 1:
            raise BadInput(f"ChannelConfig: multiple_of={self.multiple_of} must be at least 1")

    @property
    def budget(self) -> tuple[str, float]:
        """The name of the budget that was given, and the share that goes."""
        return next((name, getattr(self, name)) for name in BUDGETS if getattr(self, name) is not None)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ChannelConfig:
        """Build from a mapping, as read from YAML. Raises: BadInput naming an unknown key."""
        refuse_unknown("ChannelConfig", values, [one.name for one in fields(cls)])
        return cls(**values)


@dataclass(frozen=True)
class CutGroup:
    """How many units a group had and has. weights: the axes they lie along; reason: why none went."""

    name: str
    before: int
    after: int
    weights: tuple[str, ...]
    reason: str = ""


@dataclass(frozen=True)
class ChannelReport:
    """What was cut: groups, multiply-adds of one sample, parameters; `left` are axes that nothing can be cut from."""

    groups: tuple[CutGroup, ...]
    left: tuple[tuple[str, int, str], ...]
    macs: tuple[int, int]  # before, after
    parameters: tuple[int, int]
    deviation: float  # of the rebuilt model from the masked one, as a share of the largest output

    @property
    def rows(self) -> tuple[dict[str, Any], ...]:
        """One row for each group: name, shape (units before and after), sparsity (the share that went), reason."""
        return tuple(
            {
                "name": group.name,
                "shape": (group.before, group.after),
                "sparsity": None if group.after == group.before else 1 - group.after / group.before,
                "reason": group.reason,
            }
            for group in self.groups
        )

    def __str__(self) -> str:
        cut = sum(group.after < group.before for group in self.groups)
        lines = [
            f"{cut} of {len(self.groups)} groups cut; multiply-adds {self.macs[0]:,} -> {self.macs[1]:,}, "
            f"parameters {self.parameters[0]:,} -> {self.parameters[1]:,}"
        ]
        lines += [
            f"  {group.before:5} -> {group.after:<5} {group.name}{': ' * bool(group.reason)}{group.reason}"
            for group in self.groups
        ]
        return "\n".join(lines)
