"""What a run makes: networks, each by a step from others, and files of them, in which format and precision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import BadInput
from .recipe import KINDS, Recipe, Step

if TYPE_CHECKING:
    from .workload import Workload

FLOAT = "float"  # the role of the networks that everything is made from and judged against
_NAMES = {FLOAT: "train", "pruned": "prune"}  # of the steps that are not called as what they come to
Planned = tuple[str, str, str]  # role, format, precision


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


@dataclass(frozen=True, kw_only=True)
class File:
    """A file to be made. role: of the model that `network` is one of. bundle: what it is judged together with."""

    role: str
    format: str
    precision: str
    network: str
    label: str
    bundle: str

    @property
    def name(self) -> str:
        """The name of the file."""
        return f"{self.label}.{self.format}"

    @property
    def is_baseline(self) -> bool:
        """Whether other files of the format are judged against it."""
        return self.role == FLOAT and self.precision == "float32"


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


def _chain(recipe: Recipe) -> list[Stage]:
    steps = list(recipe.steps)
    first = steps.pop(0) if steps and steps[0].kind == "train" else Step(kind="train")
    chain, words = [Stage(role=FLOAT, source=None, step=first)], []
    for step in steps:
        kind = KINDS[step.kind]
        aware = kind.quantizing is not None
        tag = "".join(f"-{word}" for word in [*words, kind.word] if word)
        words += [kind.word]
        role = "-".join(filter(None, ["qat" * aware, *words]))
        chain.append(Stage(role=role, source=chain[-1].role, step=step, tag=tag))
    return chain


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


def planned(work: Workload, files: Sequence[Planned], stages: Sequence[Stage]) -> list[File]:
    """Return what is to be made: each of `files` of each network that goes to a device."""
    made, tags = [], {stage.role: stage.tag for stage in stages}
    for role, format, precision in files:
        whole = f"{work.name}{tags[role]}-{precision}"
        for each in work.deploy:
            label = f"{work.name}-{each.network}{tags[role]}-{precision}" if work.several else whole
            made.append(File(role=role, format=format, precision=precision, network=each.network, label=label,
                             bundle=f"{whole}.{format}"))  # fmt: skip
    return made
