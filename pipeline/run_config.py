"""What a run is told, and what it is to do: which steps, of which recipes, and which files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..devices.verdict.compare import Thresholds
from ..errors import BadInput
from ..quantize import QatConfig
from ..training.config import TrainConfig
from . import recipe as recipes
from .chain import files_of, stages_of
from .check import quantization_for
from .plan import Planned
from .recipe import Recipe

SPARSITY = 0.5  # of the pruned networks, where no recipe says otherwise
JUDGES = ("test", "validation")
FILES = (  # role, format, precision
    ("float", "tflite", "float32"),
    ("float", "tflite", "float16"),
    ("float", "tflite", "w8"),
    ("float", "tflite", "w8a8-ptq"),
    ("qat", "tflite", "w8a8-qat"),
    ("qat-pruned", "tflite", "w8a8-qat"),
    ("float", "onnx", "float32"),
    ("qat", "onnx", "w8a8-qat"),
)
# Without VNNI ONNX Runtime runs 8-bit weights exactly at a price, and other engines wrongly: 7-bit ones compete.
WITHOUT_VNNI = ("qat-w7a8", "onnx", "w7a8-qat")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What `edgewright run` is told; see its help.

    target: quantize as its kernels like it, see `check.quantization_for`. judge: the part of the data that files are
    judged on; "validation" where something is chosen by the outcome.
    training: settings of `TrainConfig` for every stage that trains. check: see
    `sanity.check`. shortlist: of `shortlisting.chosen`, for all files but those that the others are judged against.
    also: networks that go to a device on request.
    """

    model: str
    data: str | None = None
    preset: str = "edge"
    weights: str | None = None
    freeze: int = 0
    quick: bool = False
    sparsity: float = SPARSITY
    seed: int = 0
    epochs: int | None = None
    max_drop: float = 0.01
    min_speedup: float | None = None
    device: str = "local"
    target: str | None = None
    class_weights: str | None = None
    recipe: str | None = None
    judge: str = "test"
    training: Mapping[str, Any] = field(default_factory=dict)
    check: bool = False
    shortlist: str | None = None
    also: tuple[str, ...] = ()

    @property
    def quantization(self) -> QatConfig | None:
        """How the target wants it quantized, None for as usual."""
        return quantization_for(self.target) if self.target else None

    def __post_init__(self) -> None:
        if self.recipe is not None and self.sparsity != SPARSITY:
            raise BadInput(f"--sparsity {self.sparsity}: the recipe {self.recipe} decides; leave one of the two out")
        if self.recipe is not None and self.target is not None:
            raise BadInput(f"--target {self.target}: the recipe {self.recipe} decides; leave one of the two out")
        if self.judge not in JUDGES:
            raise BadInput(f"--judge {self.judge!r}: allowed: {', '.join(JUDGES)}")
        if not 0 < self.sparsity < 1:
            raise BadInput(f"--sparsity {self.sparsity}: must lie between 0 and 1 (0.5 zeroes half of the weights)")
        if self.epochs is not None and self.epochs < 1:
            raise BadInput(f"--epochs {self.epochs}: must be at least 1")
        if self.class_weights not in (None, "balanced"):
            raise BadInput(f"--class-weights {self.class_weights}: must be balanced, or be left out")
        TrainConfig.read(self.training)
        Thresholds(max_drop=self.max_drop, min_speedup=self.min_speedup)


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """How far a run goes.

    recipes: what is done; None for `recipe.usual`. files: what is exported, as (role of the model, format, precision);
    what no file comes from is not done.
    brief: the least training that tells a right implementation from a wrong one, short timings, no page. recovery: how
    the stages after training go on, of `budget.RECOVERIES`. timed: formats whose files are timed. apart: answers of the
    files are a step of their own, so that timing can wait for a quiet machine; with `timing` false it is left undone.
    """

    recipes: tuple[Recipe, ...] | None = None
    files: tuple[tuple[str, str, str], ...] = FILES
    brief: bool = False
    recovery: str = ""
    timed: tuple[str, ...] = ("tflite", "onnx")
    apart: bool = False
    timing: bool = True

    @property
    def roles(self) -> set[str]:
        """The models that files are made of."""
        return {role for role, _, _ in self.files}


def files_for(lacks: Sequence[str]) -> tuple[Planned, ...]:
    """Return what a run makes for a device whose processor lacks that, as `devices.asking.described` tells."""
    return (*FILES, WITHOUT_VNNI) if "VNNI" in lacks else FILES


def plan_for(config: RunConfig) -> RunPlan:
    """Return what a run is to do: its recipes, or what is usual.  Raises: BadInput for a recipe that cannot be done."""
    if config.recipe is None:
        return RunPlan()
    found = recipes.read(config.recipe)
    stages_of(found)
    return RunPlan(recipes=found, files=files_of(found))
