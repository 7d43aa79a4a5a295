"""Recipes as the stages of a run: networks, each made by a step from others, and the files that are asked of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ..errors import BadInput
from ..training.config import TrainConfig
from ..training.distillation import HOLDING
from . import teachers
from .plan import FLOAT, Planned
from .recipe import KINDS, Recipe, Step
from .workload import Workload

_NAMES = {FLOAT: "train", "pruned": "prune"}  # of the steps that are not called as what they come to


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A step of a run: makes the networks called `role` from those called `source`, None for those of the workload.

    tag: what it adds to a file's name.
    """

    role: str
    source: str | None
    step: Step
    tag: str = ""

    @property
    def name(self) -> str:
        """What the step is called in the folder of the run."""
        return _NAMES.get(self.role, self.role)


def stages_of(recipes: Iterable[Recipe]) -> tuple[Stage, ...]:
    """Return the stages of recipes in their order; what several begin with is done once.

    Raises: BadInput for two that make differently what is called alike.
    """
    found: dict[str, Stage] = {}
    for recipe in recipes:
        for stage in _chain(recipe):
            if found.setdefault(stage.role, stage) != stage:
                raise BadInput(
                    f"recipe: {stage.step.words}: another recipe of the file makes {stage.role!r} otherwise; "
                    "run them apart"
                )
    return tuple(found.values())


def holding(stage: Stage, work: Workload, training: TrainConfig) -> Stage:
    """Return a stage that names no teacher with that which it has all the same, where it has one."""
    if stage.source is None or stage.step.teaching or teachers.of_stage(None, work, training) is None:
        return stage
    return replace(stage, step=replace(stage.step, teaching=HOLDING))


def _chain(recipe: Recipe) -> list[Stage]:
    steps = list(recipe.steps)
    first = steps.pop(0) if steps and steps[0].kind == "train" else Step(kind="train")
    chain, words = [Stage(role=FLOAT, source=None, step=first)], []
    for step in steps:
        kind = KINDS[step.kind]
        aware = kind.quantizing is not None
        tag = "".join(f"-{word}" for word in [*words, kind.word] if word)
        words += [kind.word]
        role = "-".join([*(_aware(step) if aware else ()), *filter(None, words)])
        chain.append(Stage(role=role, source=chain[-1].role, step=step, tag=tag))
    return chain


def _aware(step: Step) -> list[str]:
    """Return how a role of what quantizers were put into begins."""
    bits = getattr(step.options, "default", None)
    return ["qat", *([bits] if bits not in (None, "w8a8") else [])]


def end_of(recipe: Recipe) -> str:
    """Return the role that a recipe ends in."""
    return _chain(recipe)[-1].role


def files_of(recipes: Iterable[Recipe]) -> tuple[Planned, ...]:
    """Return what recipes make: the float files that others are judged against, then what each asks for."""
    asked: list[Planned] = []
    for recipe in recipes:
        chain = _chain(recipe)
        plain = [stage.role for stage in chain if KINDS[stage.step.kind].quantizing is None]
        asked += [(chain[-1].role if precision.endswith("-qat") else plain[-1], format, precision)
                  for format, precision in recipe.made]  # fmt: skip
    formats = dict.fromkeys(["tflite", *(format for _, format, _ in asked)])
    return tuple(dict.fromkeys([*((FLOAT, format, "float32") for format in formats), *asked]))


def needed(stages: Sequence[Stage], roles: Iterable[str]) -> list[Stage]:
    """Return the stages that networks of `roles`, and those that they are made from, need; the first in any case."""
    known: Mapping[str, Stage] = {stage.role: stage for stage in stages}
    wanted, waiting = {FLOAT}, list(roles)
    while waiting:
        role = waiting.pop()
        wanted.add(role)
        if (source := known[role].source) is not None:
            waiting.append(source)
    return [stage for stage in stages if stage.role in wanted]
