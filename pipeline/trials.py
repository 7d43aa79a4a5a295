"""The trials of `tune`: what there is to choose from, as recipes, and each as a job whose result is kept.

A trial is a network: its channels, zeros, clusters, and what it was trained to be quantized to. Files of one network in
several precisions cost no training: they are made and measured all together.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..files import sha256, write
from .code import digest_of_code
from .jobs import Job
from .recipe import KINDS, Recipe, Step, text
from .steps import versions

KEPT = ("results.json", "bench/*", "summary.md", "report.html", "config.yaml", "recipe.yaml", "models/**/*",
        "artifacts/*", "steps/*")  # fmt: skip
_CODE = ("pipeline.run", "cli.commands")  # what a job runs, by way of the command line
FREE = ("float32", "float16", "w8", "w8a8-ptq", "w8a16-ptq")  # precisions that need no training
UNTRAINED = ""  # the choice of no quantization in training


@dataclass(frozen=True, kw_only=True)
class Dimension:
    """Something to choose. kind: of the step that it adds; values: the first adds none; settings: value -> the step's.

    first: values to begin the search with.
    """

    kind: str
    values: tuple[Any, ...]
    settings: Callable[[Any], Mapping[str, Any]]
    first: tuple[Any, ...] = ()


DIMENSIONS = (
    Dimension(kind="channels", values=(0.0, 0.3, 0.5, 0.7), first=(0.5, 0.7, 0.3),
              settings=lambda value: {"macs": value, "multiple_of": 2}),
    Dimension(kind="zeros", values=(0.0, 0.5, 0.8), settings=lambda value: {"sparsity": value}),
    Dimension(kind="clusters", values=(0, 16), settings=lambda value: {"clusters": value}),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Quantization:
    """What a network can be trained to be quantized to: by a step of `kind` with `settings`.

    like: the free precision that is as fast; it is worth training where that is, or with `otherwise` where it is not.
    """

    kind: str
    like: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    otherwise: bool = False

    def is_worth(self, free: Collection[str]) -> bool:
        """Tell if it may win where these precisions are not slower than float."""
        return (self.like in free) != self.otherwise


TRAINED: dict[str, Quantization] = {
    "w8a8": Quantization(kind="qat", settings={"precision": "w8a8"}, like="w8a8-ptq"),
    "w8a16": Quantization(kind="qat", settings={"precision": "w8a16"}, like="w8a16-ptq"),
    "mixed": Quantization(kind="mixed", like="w8a8-ptq"),
    "clock": Quantization(kind="clock", like="w8a8-ptq", otherwise=True),  # the parts that 8 bits are faster in
}


@dataclass(frozen=True, kw_only=True)
class Space:
    """What there is to choose from. free: precisions of files that cost no training; trained: names in TRAINED.

    max_drop: what mixed precision is to keep. taught: whether the float network teaches what is made of it. device: by
    whose clock parts are left in float.
    """

    free: tuple[str, ...] = FREE
    trained: tuple[str, ...] = tuple(TRAINED)
    max_drop: float = 0.01
    taught: bool = False
    device: str = "local"

    @property
    def choices(self) -> dict[str, tuple[Any, ...]]:
        """Return what may be chosen for each thing that is: for each kind of step, and "trained"."""
        known = {one.kind: one.values for one in DIMENSIONS if one.kind in KINDS}
        return {**known, "trained": (UNTRAINED, *self.trained)}

    @property
    def beginning(self) -> list[dict[str, Any]]:
        """Return the choices to begin with: each budget of what pays on a clock, all else left as it is."""
        plain = {kind: values[0] for kind, values in self.choices.items()}
        best = next((name for name in self.trained if not TRAINED[name].otherwise), UNTRAINED)
        alone = [{**plain, "trained": name} for name in self.trained[:1]]
        return [{**plain, one.kind: value, "trained": best} for one in DIMENSIONS for value in one.first] + alone

    def recipe(self, chosen: Mapping[str, Any]) -> Recipe:
        """Return the recipe of a choice: its steps in their order, its files."""
        teacher = {"teacher": "float"} if self.taught else {}
        steps = [
            Step.read({one.kind: {**one.settings(chosen[one.kind]), **teacher}})
            for one in DIMENSIONS
            if one.kind in chosen and chosen[one.kind] != one.values[0]
        ]
        files = [("tflite", precision) for precision in self.free]
        if chosen["trained"] != UNTRAINED:
            how = TRAINED[chosen["trained"]]
            known = {"max_drop": self.max_drop or None, "device": self.device}
            more = {name: known[name] for name in KINDS[how.kind].settings() if known.get(name)}
            steps.append(Step.read({how.kind: {**how.settings, **more, **teacher}}))
            files.append(("tflite", Recipe(steps=tuple(steps)).aware))
        return Recipe(steps=tuple(steps), files=tuple(files))


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What all trials have in common: the options of `edgewright run`, and where its recipes and results are kept."""

    folder: Path
    model: str
    data: str
    device: str = "local"
    quick: bool = False
    seed: int = 0
    max_drop: float = 0.01
    preset: str = "edge"
    weights: str | None = None
    imports: tuple[str, ...] = ()

    @property
    def store(self) -> Path:
        """Where finished jobs are."""
        return self.folder / "jobs"

    def job(self, name: str, recipe: Recipe, epochs: int | None = None) -> Job:
        """Return the job of a recipe whose steps train for at most `epochs`; the recipe is written for it."""
        written = text([recipe])
        made_from = sha256(Path(self.model)) if self.model.endswith(".keras") else self.model
        options = {"data": self.data, "preset": self.preset, "weights": self.weights, "device": self.device,
                   "seed": self.seed, "max-drop": self.max_drop, "judge": "validation", "epochs": epochs}  # fmt: skip
        told = [part for name, value in options.items() if value is not None for part in (f"--{name}", str(value))]
        told += ["--quick"] * self.quick + [part for module in self.imports for part in ("--import", module)]
        facts = [told, made_from, written, digest_of_code(_CODE), versions()]
        key = sha256(json.dumps(facts, sort_keys=True).encode())[:32]
        path = write(self.folder / "recipes" / f"{key}.yaml", written)
        command = ("{python}", "-m", "edgewright", "run", self.model, "--recipe", str(path), "--out", "{out}", *told)
        return Job(key=key, name=name, command=command, keeps=KEPT, device=self.device, ok_codes=(0, 1))


def rungs(epochs: int, most: int, factor: int = 3) -> Sequence[tuple[int, int]]:
    """Return the rungs of successive halving, as (resource, epochs): at most `most`, the last has all epochs.

    Each has a `factor` of the epochs of the one before, as its resource has: 1, 3, 9 for 2, 6, 18 epochs.
    """
    count = 1
    while count < most and epochs // factor**count >= 1:
        count += 1
    return [(factor**place, max(1, epochs // factor ** (count - 1 - place))) for place in range(count)]


__all__ = ["DIMENSIONS", "FREE", "TRAINED", "UNTRAINED", "Bench", "Dimension", "Space", "rungs"]
