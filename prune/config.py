"""What to prune and when: a frozen, validated record. Imports no Keras."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from fnmatch import fnmatch
from typing import Any

from ..errors import BadInput

SCHEDULES = ("polynomial", "constant")


@dataclass(frozen=True, kw_only=True)
class PruneConfig:
    """How sparse each kernel becomes. Precedence: `by_name` (layer name, shell wildcards), then `by_type`, then `sparsity`.

    Sparsities lie in [0, 1); None leaves a layer alone. schedule: "polynomial" rises from zero at `begin_step` to the full
    sparsity at `end_step` by the cubic of Zhu and Gupta (2017, arXiv:1710.01878, eq. 1), "constant" asks for all of it from
    `begin_step` on. The mask is chosen anew every `frequency` steps until `end_step`.
    """

    sparsity: float | None = 0.5
    schedule: str = "polynomial"
    begin_step: int = 0
    end_step: int = 1000
    frequency: int = 50
    by_name: dict[str, float | None] = field(default_factory=dict)
    by_type: dict[str, float | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in [("sparsity", self.sparsity), *self.by_name.items(), *self.by_type.items()]:
            if value is not None and not 0 <= value < 1:
                raise BadInput(f"PruneConfig: {name}={value!r} must lie in [0, 1), or be None to leave the layer alone")
        if self.schedule not in SCHEDULES:
            raise BadInput(f"PruneConfig: schedule={self.schedule!r} is unknown; allowed: {', '.join(SCHEDULES)}")
        if not 0 <= self.begin_step <= self.end_step:
            raise BadInput(f"PruneConfig: begin_step={self.begin_step} must lie between 0 and end_step={self.end_step}")
        if self.frequency < 1:
            raise BadInput(f"PruneConfig: frequency={self.frequency} must be at least 1")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PruneConfig:
        """Build from a mapping, as read from YAML. Raises: BadInput naming an unknown key."""
        known = [one.name for one in fields(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise BadInput(f"PruneConfig: unknown key {unknown[0]!r}; allowed: {', '.join(known)}")
        return cls(**values)

    def sparsity_for(self, name: str, kind: str) -> float | None:
        """Return the final sparsity of the layer `name` of class `kind`, None to leave it alone."""
        for pattern, value in self.by_name.items():
            if fnmatch(name, pattern):
                return value
        return self.by_type.get(kind, self.sparsity)


@dataclass(frozen=True)
class PruneReport:
    """What happened to each weight: rows of `{name, shape, sparsity, reason}`; sparsity is None where it was skipped."""

    rows: tuple[dict[str, Any], ...]

    @property
    def pruned(self) -> tuple[dict[str, Any], ...]:
        return tuple(row for row in self.rows if row["sparsity"] is not None)

    def __str__(self) -> str:
        lines = [f"{len(self.pruned)} of {len(self.rows)} weights pruned"]
        lines += [
            f"  {row['sparsity']:.0%}  {row['name']}" if row["sparsity"] is not None else f"  kept  {row['name']}: {row['reason']}"
            for row in self.rows
        ]  # fmt: skip
        return "\n".join(lines)
