"""What to prune and when: a frozen, validated record. Imports no Keras."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from fnmatch import fnmatch
from typing import Any

from ..errors import BadInput, refuse_unknown

SCHEDULES = ("polynomial", "constant")


@dataclass(frozen=True, kw_only=True)
class PruneConfig:
    """How sparse each kernel becomes: by `by_name`, else by `by_type` (layer class), else by `sparsity`.

    Names are those of layers or paths such as "encoder_1_attention/query", with shell wildcards; the first that matches
    wins. Sparsities lie in [0, 1); None leaves a layer alone. What `sparsity` spares (the table in selection.py) can be
    asked for by name or type.

    schedule: "polynomial" rises from zero after `begin_step` training steps to the full sparsity after `end_step`, in
    strides of `frequency` steps, by the cubic of Zhu and Gupta (2017, arXiv:1710.01878, eq. 1). "constant" asks for all
    of it after `begin_step` and has no use for the other two.
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
        refuse_unknown("PruneConfig", values, [one.name for one in fields(cls)])
        return cls(**values)

    def asked_for(self, path: str, kind: str) -> tuple[float | None, str | None]:
        """Return the sparsity for a weight's path and its layer's class, and the entry that says so (None: default)."""
        for pattern, value in self.by_name.items():
            if matches(path, pattern):
                return value, f"by_name[{pattern!r}]"
        if kind in self.by_type:
            return self.by_type[kind], f"by_type[{kind!r}]"
        return self.sparsity, None


def matches(path: str, pattern: str) -> bool:
    """Tell if `pattern` names the weight at `path` (a/b/kernel), a layer around it or its own layer (b)."""
    layers = path.split("/")[:-1]
    names = {path, *layers[-1:], *("/".join(layers[:end]) for end in range(1, len(layers) + 1))}
    return any(fnmatch(name, pattern) for name in names)


@dataclass(frozen=True)
class PruneReport:
    """What happens to each trainable weight: rows of `{name, shape, sparsity, reason}`.

    sparsity is the final one, None where the weight is skipped; `reason` then says why.
    """

    rows: tuple[dict[str, Any], ...]

    @property
    def pruned(self) -> tuple[dict[str, Any], ...]:
        """The rows of the weights that are pruned."""
        return tuple(row for row in self.rows if row["sparsity"] is not None)

    @property
    def skipped(self) -> tuple[dict[str, Any], ...]:
        """The rows of the weights that are left alone."""
        return tuple(row for row in self.rows if row["sparsity"] is None)

    def __str__(self) -> str:
        lines = [f"{len(self.pruned)} of {len(self.rows)} weights pruned"]
        lines += [f"  {row['sparsity']:.0%}  {row['name']}" for row in self.pruned]
        lines += [f"  kept  {row['name']}: {row['reason']}" for row in self.skipped]
        return "\n".join(lines)
