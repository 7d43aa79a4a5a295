"""How much is cut, by what, and what came of it: frozen records. Imports no Keras."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from ...errors import BadInput, refuse_unknown
from ...precision import PRECISIONS

CRITERIA = ("l1", "l2", "bn_scale", "taylor", "activation", "random")
SCOPES = ("global", "group")
BUDGETS = ("channels", "macs", "parameters", "memory", "bytes", "latency", "max_drop")
# What a value of an activation takes, in bytes, by the precision of the file
ACTIVATION_BYTES = {"float32": 4} | {name: each.activations // 8 for name, each in PRECISIONS.items()}


@dataclass(frozen=True, kw_only=True)
class ChannelConfig:
    """How many channels, heads and units a model loses, and which.

    Exactly one budget. `channels`: the share of the units of all groups that go; `macs`, `parameters`: the share of the
    multiply-adds or of the weights that go at least; `memory`: of the most bytes of activations that are alive at once;
    `bytes`: of the float32 TFLite file; `latency`: of the time of an inference on `device`, by a table of layers that
    are timed there. All lie in [0, 1). `max_drop`: as many as may go while the metric on validation data loses at most
    so much (0.01 is one point), each candidate after `trial_epochs` epochs of training. `bytes`, `latency` and
    `max_drop` need files, a device or data: `edgewright.prune` has them.

    criterion: what says that a unit matters little. "l1", "l2": the norm of its weights; "bn_scale": that of its scales
    after normalization (Liu et al. 2017, arXiv:1708.06519); "taylor": the change of the loss to first order were its
    weights zero (Molchanov et al. 2019, arXiv:1906.10771); "activation": how large its values are on samples; "random".
    scope: "global" ranks the units of all groups together, by their share of their group's mean; "group" takes the same
    share of each group. multiple_of: what counts are rounded up to, where kernels like it; None for what those of
    `target` like, or 1. most: how large a share of one group may go. skip: names of weights or layers, with wildcards,
    whose groups are left whole. steps: in how many equal shares of what is left units go, with importance taken anew
    each time and training between where there are data. precision: of the file whose memory or latency is meant.
    """

    channels: float | None = None
    macs: float | None = None
    parameters: float | None = None
    memory: float | None = None
    bytes: float | None = None
    latency: float | None = None
    max_drop: float | None = None
    criterion: str = "l1"
    scope: str = "group"
    multiple_of: int | None = None
    target: str | None = None
    most: float = 0.9
    skip: tuple[str, ...] = field(default_factory=tuple)
    steps: int = 1
    device: str = "local"
    precision: str = "float32"
    trial_epochs: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "skip", tuple(self.skip))
        given = {name: getattr(self, name) for name in BUDGETS if getattr(self, name) is not None}
        if len(given) != 1:
            raise BadInput(
                f"ChannelConfig: {' and '.join(given) or 'no budget'} given; give one of {', '.join(BUDGETS)}, for "
                "example channels=0.5"
            )
        drop = given.pop("max_drop", 0.0)
        if not drop >= 0:
            raise BadInput(f"ChannelConfig: max_drop={drop!r} must be at least 0: 0.01 is one point of the metric")
        for name, value in [*given.items(), ("most", self.most)]:
            if not 0 <= value < 1:
                raise BadInput(f"ChannelConfig: {name}={value!r} must lie in [0, 1): it is the share that goes")
        for name, allowed in _ALLOWED.items():
            if (value := getattr(self, name)) not in allowed:
                raise BadInput(f"ChannelConfig: {name}={value!r} is unknown; allowed: {', '.join(allowed)}")
        for name, value, least in (("multiple_of", self.multiple_of, 1), ("steps", self.steps, 1),
                                   ("trial_epochs", self.trial_epochs, 0)):  # fmt: skip
            if value is not None and value < least:
                raise BadInput(f"ChannelConfig: {name}={value} must be at least {least}")

    @property
    def budget(self) -> tuple[str, float]:
        """The name of the budget that was given, and the share that goes."""
        return next((name, getattr(self, name)) for name in BUDGETS if getattr(self, name) is not None)

    def in_steps(self) -> list[ChannelConfig]:
        """Return a configuration for each step: what goes of the model as it was before the first, 1 - (1 - s)^(i/n).

        Each step takes the same share of what is left.
        """
        name, share = self.budget
        if self.steps == 1:
            return [self]
        return [
            replace(self, steps=1, **{name: share if step == self.steps else 1 - (1 - share) ** (step / self.steps)})
            for step in range(1, self.steps + 1)
        ]

    def instead(self, name: str, share: float) -> ChannelConfig:
        """Return the configuration with another budget in place of its own."""
        return replace(self, **{self.budget[0]: None, name: share})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ChannelConfig:
        """Build from a mapping, as read from YAML. Raises: BadInput naming an unknown key."""
        refuse_unknown("ChannelConfig", values, [one.name for one in fields(cls)])
        return cls(**values)


_ALLOWED = {"criterion": CRITERIA, "scope": SCOPES, "precision": tuple(ACTIVATION_BYTES)}


# What reports count beside multiply-adds and parameters
COSTS = {
    "memory": "bytes of activations alive at once",
    "bytes": "bytes of the float32 TFLite file",
    "latency": "latency by the table of layers, us",
    "measured": "latency measured, us",
}


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
    """What was cut: groups, multiply-adds of one sample, parameters; `left` are axes that nothing can be cut from.

    share: of the channels, by which the budget was met. costs: what else was counted, predicted or measured, by the
    names in `COSTS`: before, after. Where channels went in several steps, before is before the first.
    """

    groups: tuple[CutGroup, ...]
    left: tuple[tuple[str, int, str], ...]
    macs: tuple[int, int]  # before, after
    parameters: tuple[int, int]
    deviation: float  # of the rebuilt model from the masked one, as a share of the largest output
    share: float = 0.0
    costs: Mapping[str, tuple[float, float]] = field(default_factory=dict)

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

    def before(self, name: str) -> float:
        """Return what the budget `name` counted before anything went."""
        return {"macs": self.macs, "parameters": self.parameters, **self.costs}[name][0]

    def __str__(self) -> str:
        cut = sum(group.after < group.before for group in self.groups)
        lines = [
            f"{cut} of {len(self.groups)} groups cut; multiply-adds {self.macs[0]:,} -> {self.macs[1]:,}, "
            f"parameters {self.parameters[0]:,} -> {self.parameters[1]:,}"
        ]
        lines += [f"{COSTS.get(name, name)} {before:,.6g} -> {after:,.6g} ({after / (before or 1):.2f}x)"
                  for name, (before, after) in self.costs.items()]  # fmt: skip
        lines += [
            f"  {group.before:5} -> {group.after:<5} {group.name}{': ' * bool(group.reason)}{group.reason}"
            for group in self.groups
        ]
        return "\n".join(lines)
