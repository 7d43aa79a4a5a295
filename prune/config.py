"""What to prune and when: a frozen, validated record. Imports no Keras."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from fnmatch import fnmatch
from typing import Any

from ..errors import BadInput, refuse_unknown
from .patterns import Pattern

SCHEDULES = ("polynomial", "linear", "constant")
CRITERIA = ("magnitude", "movement", "gradient")
REGROWTHS = ("gradient", "random")
USUAL = 0.5  # the sparsity where neither the user nor the pattern says one
OF_PATTERN: Any = "pattern"
AS_SAID = 0.005  # 0.33 and 0.667 are meant to be thirds


@dataclass(frozen=True, kw_only=True)
class PruneConfig:
    """How sparse each kernel becomes: by `by_name`, else by `by_type` (layer class), else by `sparsity`.

    Names are those of layers or paths such as "encoder_1_attention/query", with shell wildcards; the first that matches
    wins. Sparsities lie in [0, 1); None leaves a layer alone. What `sparsity` spares (the table in selection.py) can be
    asked for by name or type.

    pattern: what goes together; `patterns` says otherwise by name or layer class. "unstructured": single weights.
    "N:M": of each M weights in a row along the inputs N stay, so 2:4 is 2 nonzero of 4 and a sparsity of 1 - N/M, which
    a `sparsity` beside it may repeat and not contradict. "block:RxC": blocks of the matrix (inputs, outputs), by their
    L1 norm. "row": rows of embeddings, by their L1 norm, never the row of the padding. Inputs are the axes that the
    product sums over: the first of a Dense, recurrent or embedding kernel; the input channels of a convolution, at each
    of its places; all places of a depthwise one; what the equation of an EinsumDense sums over. What does not fill a
    group or a block is kept.

    criterion: what says that a weight matters. "magnitude": |w|, what is zero once stays so. "movement": the running
    sum of -w dL/dw (Sanh et al. 2020, arXiv:2005.07683, section 4, hard masks): weights that shrink go, and may come
    back. "gradient": the running mean of |w dL/dw|, the first order of what its loss costs (Molchanov et al. 2017,
    arXiv:1611.06440). The last two look at training by a Keras optimizer; magnitude decides until there was a step.

    regrow: with "magnitude" only. Each `frequency` steps until `end_step` a share of the weights that are left goes,
    and as many zeros grow, from zero: those of the largest |dL/dw| in the step before ("gradient", RigL: Evci et al.
    2020, arXiv:1911.11134) or any ("random", SET: Mocanu et al. 2018, arXiv:1707.04780), by `seed`. The share falls by
    a cosine from `regrow_share` to zero.

    schedule: "polynomial" rises from zero after `begin_step` training steps to the full sparsity after `end_step`, in
    strides of `frequency` steps, by the cubic of Zhu and Gupta (2017, arXiv:1710.01878, eq. 1), "linear" evenly.
    "constant" asks for all of it after `begin_step`, and has no use for the other two unless weights come back.
    """

    sparsity: float | None = OF_PATTERN
    pattern: str = "unstructured"
    criterion: str = "magnitude"
    regrow: str | None = None
    regrow_share: float = 0.3
    schedule: str = "polynomial"
    begin_step: int = 0
    end_step: int = 1000
    frequency: int = 50
    seed: int = 0
    by_name: dict[str, float | None] = field(default_factory=dict)
    by_type: dict[str, float | None] = field(default_factory=dict)
    patterns: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.sparsity == OF_PATTERN:
            said = Pattern.of(self.pattern).sparsity
            object.__setattr__(self, "sparsity", USUAL if said is None else said)
        for name, value in [("sparsity", self.sparsity), *self.by_name.items(), *self.by_type.items()]:
            if value is not None and not 0 <= value < 1:
                raise BadInput(f"PruneConfig: {name}={value!r} must lie in [0, 1), or be None to leave the layer alone")
        object.__setattr__(self, "sparsity", agreed("sparsity", self.sparsity, Pattern.of(self.pattern)))
        for pattern in self.patterns.values():
            Pattern.of(pattern)
        for name, value, allowed in (("schedule", self.schedule, SCHEDULES), ("criterion", self.criterion, CRITERIA),
                                     ("regrow", self.regrow, (None, *REGROWTHS))):  # fmt: skip
            if value not in allowed:
                raise BadInput(f"PruneConfig: {name}={value!r} is unknown; allowed: {', '.join(map(str, allowed))}")
        if self.regrow and self.criterion != "magnitude":
            raise BadInput(
                f"PruneConfig: regrow={self.regrow!r} goes with criterion='magnitude': weights come back by themselves "
                f"under {self.criterion!r}; leave one of them out"
            )
        if not 0 < self.regrow_share < 1:
            raise BadInput(f"PruneConfig: regrow_share={self.regrow_share!r} must lie between 0 and 1")
        if not 0 <= self.begin_step <= self.end_step:
            raise BadInput(f"PruneConfig: begin_step={self.begin_step} must lie between 0 and end_step={self.end_step}")
        if self.frequency < 1:
            raise BadInput(f"PruneConfig: frequency={self.frequency} must be at least 1")
        if self.seed < 0:
            raise BadInput(f"PruneConfig: seed={self.seed} must be at least 0")

    @property
    def looks_at_training(self) -> str | None:
        """What of the configuration has no meaning without training, None if all of it can be done at once."""
        if self.criterion != "magnitude":
            return f"criterion={self.criterion!r}"
        return f"regrow={self.regrow!r}" if self.regrow else None

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

    def pattern_for(self, path: str, kind: str) -> Pattern:
        """Return the pattern for a weight's path and its layer's class."""
        named = (pattern for name, pattern in self.patterns.items() if matches(path, name))
        return Pattern.of(next(named, self.patterns.get(kind, self.pattern)))


def agreed(name: str, sparsity: float | None, pattern: Pattern) -> float | None:
    """Return the sparsity under `pattern`, exactly.  Raises: BadInput if `sparsity` says another than the pattern."""
    said = pattern.sparsity
    if said is None or sparsity is None:
        return sparsity
    if abs(sparsity - said) > AS_SAID:
        raise BadInput(
            f"PruneConfig: {name}={sparsity!r} contradicts pattern {pattern.name!r}, which keeps {pattern.keeps} of "
            f"each {pattern.group} weights, a sparsity of {said:g}: leave {name} out, or choose another pattern"
        )
    return said


def matches(path: str, pattern: str) -> bool:
    """Tell if `pattern` names the weight at `path` (a/b/kernel), a layer around it or its own layer (b)."""
    layers = path.split("/")[:-1]
    names = {path, *layers[-1:], *("/".join(layers[:end]) for end in range(1, len(layers) + 1))}
    return any(fnmatch(name, pattern) for name in names)


# What to expect of zeros, said wherever they are reported.
NO_TIME = (
    "today's kernels of LiteRT and ONNX Runtime multiply zeros like any number: expect a smaller packed file, and no "
    "time saved (fewer channels save time)"
)


@dataclass(frozen=True)
class PruneReport:
    """What happens to each trainable weight: rows of `{name, shape, sparsity, reason, pattern}`.

    sparsity is the final one, None where the weight is skipped; `reason` then says why, and else what of it is kept
    whatever the criterion says.
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
        lines += [f"  {row['sparsity']:.0%}  {row['name']}{_said(row)}" for row in self.pruned]
        lines += [f"  kept  {row['name']}: {row['reason']}" for row in self.skipped]
        return "\n".join([*lines, *([NO_TIME] if self.pruned else [])])


def _said(row: Mapping[str, Any]) -> str:
    pattern = row.get("pattern", "unstructured")
    return ("" if pattern == "unstructured" else f" {pattern}") + (f": {row['reason']}" if row["reason"] else "")
