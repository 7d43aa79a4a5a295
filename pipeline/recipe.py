"""Recipes: steps over a model's trained float networks, as YAML holds them, refused by name before any work.

    steps:
    - train: {epochs: 20}
    - channels: {macs: 0.5, multiple_of: 8, teacher: float}
    - qat: {precision: w8a8}
    files: [tflite float32, tflite w8a8-qat]

A step is a kind with settings: those of its configuration, of its training (as `TrainConfig` has them) and of its
teacher. Which kinds there are is a table, to which every method of pruning adds itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

from ..errors import BadInput, EdgewrightError, nearest, refuse_unknown
from ..precision import of_format
from ..progress import say
from ..prune.methods import METHODS
from ..quantize import QatConfig
from ..training.config import TrainConfig
from ..training.distillation import Distillation
from ..training.tasks import Networks
from .clock import FLOAT as SLOW
from .clock import clocked_for
from .mixed import mixed_for
from .workload import Workload

FORMATS = ("tflite", "onnx")
MAX_DROP = 0.01  # of a step that chooses layers for more bits, where it says nothing else
TEACHING = tuple(each.name for each in fields(Distillation))
TRAINING = tuple(each.name for each in fields(TrainConfig) if each.name != "seed")  # which is the run's
_TRAIN, _REBUILDING, _KEEPING, _AWARE = range(4)  # when a kind of step has its turn
_WHY = {
    _TRAIN: "a recipe begins with it",
    _REBUILDING: "it builds the model again and trains all of its weights, of which nothing that came before would be "
    "left",
    _KEEPING: "quantizers are placed on the weights as they are at last",
    _AWARE: "a model is quantized once",
}


@dataclass(frozen=True, kw_only=True)
class MixedConfig:
    """What more than 8 bits must keep, before training: the metric within `max_drop`, 0.01 being one point, or outputs
    `keep_db` decibels above what rounding adds. Where neither is said, it is `MAX_DROP`.
    """

    max_drop: float | None = None
    keep_db: float | None = None

    def __post_init__(self) -> None:
        if self.max_drop is not None and self.keep_db is not None:
            raise BadInput(f"MixedConfig: max_drop={self.max_drop!r} and keep_db={self.keep_db!r}: give one of the two")
        for name in ("max_drop", "keep_db"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise BadInput(f"MixedConfig: {name}={value!r} must be a number")
        if self.max_drop is not None and not 0 < self.max_drop < 1:
            raise BadInput(f"MixedConfig: max_drop={self.max_drop!r} must lie between 0 and 1 (0.01 is one point)")
        if self.keep_db is not None and not 0 < self.keep_db < math.inf:
            raise BadInput(f"MixedConfig: keep_db={self.keep_db!r} must be decibels above 0, as 35")


@dataclass(frozen=True, kw_only=True)
class ClockConfig:
    """The device by whose clock what is slower in 8 bits is left in float."""

    device: str = "local"


def _mixed(networks: Networks, work: Workload, config: MixedConfig) -> QatConfig:
    max_drop = MAX_DROP if config.max_drop is None and config.keep_db is None else config.max_drop
    found = mixed_for(networks, work, max_drop, keep_db=config.keep_db)
    say(f"mixed: {found.line}")
    return found.config


def _by_clock(networks: Networks, work: Workload, config: ClockConfig) -> QatConfig:
    found, told = clocked_for(networks, work, config.device)
    if told.chosen == SLOW:
        raise EdgewrightError(f"clock: by the clock of {config.device} nothing is faster in 8 bits: leave the step out")
    return found


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of step. stage: whose work it is, and whose budget it trains by: "train", "prune" or "qat".

    config: what its settings make, None for none; called: setting -> field, where a recipe calls it otherwise. turn:
    after which others it comes. word: for it in the names of files. quantizing(networks, work, config): of a kind
    that quantizes, how. code: modules that do its work beside those of its stage (see `run.CODE`).
    """

    stage: str
    config: type | None = None
    called: Mapping[str, str] = field(default_factory=dict)
    turn: int = _KEEPING
    word: str = ""
    quantizing: Callable[[Networks, Workload, Any], QatConfig] | None = None
    code: tuple[str, ...] = ()

    def settings(self) -> dict[str, str]:
        """Return what it can be told beside training and teacher: name in a recipe -> field."""
        own = {each.name: each.name for each in fields(self.config)} if self.config else {}
        return {**{name: of for name, of in own.items() if of not in self.called.values()}, **self.called}


KINDS: dict[str, Kind] = {
    "train": Kind(stage="train", turn=_TRAIN),
    **{
        method.name: Kind(
            stage="prune", config=method.config, turn=_REBUILDING if method.rebuilds else _KEEPING,
            word={"zeros": "pruned"}.get(method.name, method.name),
        )
        for method in METHODS
    },
    "qat": Kind(
        stage="qat", config=QatConfig, called={"precision": "default"}, turn=_AWARE,
        quantizing=lambda networks, work, config: config,
    ),
    "mixed": Kind(
        stage="qat", config=MixedConfig, turn=_AWARE, word="mixed", quantizing=_mixed, code=("pipeline.mixed",)
    ),
    "clock": Kind(
        stage="qat", config=ClockConfig, turn=_AWARE, word="clock", quantizing=_by_clock, code=("pipeline.clock",)
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step. options: the configuration of its kind; training: what replaces the budget's; teaching: its teacher."""

    kind: str
    options: Any = None
    training: Mapping[str, Any] = field(default_factory=dict)
    teaching: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise BadInput(f"recipe: unknown step {self.kind!r}; {nearest(self.kind, KINDS)}")
        TrainConfig.read(self.training)
        if self.teaching and "teacher" not in self.teaching and set(self.teaching) != {"untold"}:
            first = next(name for name in self.teaching if name != "untold")
            raise BadInput(f"recipe: {self.kind}: {first} is of a teacher and none is named; add teacher: float")
        _ = self.teacher  # refuses what cannot be one

    @classmethod
    def read(cls, entry: Any) -> Step:
        """Read a step as YAML holds it: {kind: {setting: value}}, or the kind alone."""
        named = {entry: None} if isinstance(entry, str) else entry
        if not isinstance(named, Mapping) or len(named) != 1:
            raise BadInput(f"recipe: step {entry!r}: write one kind with its settings, as channels: {{macs: 0.5}}")
        ((kind, given),) = named.items()
        if kind not in KINDS:
            raise BadInput(f"recipe: unknown step {kind!r}; {nearest(str(kind), KINDS)}")
        if not isinstance(given, Mapping | None):
            raise BadInput(f"recipe: {kind}: {given!r} are no settings; write {kind}: {{name: value}}")
        given = dict(given or {})
        own = KINDS[kind].settings()
        refuse_unknown(f"recipe: {kind}", given, dict.fromkeys((*own, *TRAINING, *TEACHING)))
        chosen = {own[name]: value for name, value in given.items() if name in own}
        config = KINDS[kind].config
        return cls(
            kind=kind,
            options=None if config is None else _made(kind, config, chosen),
            training={name: given[name] for name in TRAINING if name in given and name not in own},
            teaching={name: given[name] for name in TEACHING if name in given},
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the step as YAML holds it: what differs from the defaults."""
        own = {}
        for name, of in KINDS[self.kind].settings().items():
            value = getattr(self.options, of)
            if value != _default(self.options, of):
                own[name] = _plain(value)
        return {self.kind: {**own, **_plain(self.training), **_plain(self.teaching)}}

    @property
    def teacher(self) -> Distillation | None:
        """What is learned from besides, None for nothing."""
        return Distillation.read(self.teaching) if self.teaching else None

    @property
    def words(self) -> str:
        """The step in a few words, without its teacher: "channels macs=0.5"."""
        ((kind, settings),) = self.to_dict().items()
        return " ".join([kind, *(f"{name}={value}" for name, value in settings.items() if name not in TEACHING)])


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Steps in their order, and the files to make in the end, as (format, precision); by default what fits the steps.

    The float network is trained first, told or not, and its files are what the others are judged against. A file of a
    precision that ends in -qat is of the last step, one of another is of the last that is not quantization-aware.
    Raises: BadInput naming a step out of order, or a file that the steps do not come to.
    """

    steps: tuple[Step, ...] = ()
    files: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", tuple(self.steps))
        object.__setattr__(self, "files", tuple(map(tuple, self.files)))
        for before, step in zip(self.steps, self.steps[1:], strict=False):
            first, second = KINDS[before.kind], KINDS[step.kind]
            if second.turn < first.turn or second.turn == first.turn in (_TRAIN, _AWARE):
                raise BadInput(
                    f"recipe: {step.kind} after {before.kind}: {_WHY[second.turn]}; the order is "
                    f"{', '.join(sorted(KINDS, key=lambda kind: KINDS[kind].turn))}"
                )
        for file in self.files:
            self._check(file)

    def _check(self, file: tuple[str, ...]) -> None:
        shown = " ".join(map(str, file))
        if len(file) != 2 or file[0] not in FORMATS:
            raise BadInput(
                f"recipe: file {shown!r}: write FORMAT PRECISION, as tflite w8; formats: {', '.join(FORMATS)}"
            )
        allowed = [one for one in of_format(file[0]) if not one.endswith("-qat") or one == self.aware]
        if file[1] not in allowed:
            raise BadInput(f"recipe: file {shown!r}: not what these steps come to; {nearest(file[1], allowed)}")

    @classmethod
    def from_dict(cls, values: Any) -> Recipe:
        """Read a recipe as YAML holds it."""
        if not isinstance(values, Mapping):
            raise BadInput(f"recipe: {values!r} is none; write steps: [...], and files: [...] if you wish")
        refuse_unknown("recipe", values, ("steps", "files"))
        for name in ("steps", "files"):
            if not isinstance(values.get(name), list | None):
                raise BadInput(f"recipe: {name}: {values[name]!r} is no list")
        return cls(
            steps=tuple(map(Step.read, values.get("steps") or ())),
            files=tuple(tuple(str(file).split()) for file in values.get("files") or ()),  # pyright: ignore[reportArgumentType]
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as YAML holds it; `from_dict` reads it back."""
        files = {"files": [" ".join(file) for file in self.files]} if self.files else {}
        return {"steps": [step.to_dict() for step in self.steps], **files}

    @property
    def aware(self) -> str:
        """The precision that the last step trains for, as its files are called; "" for none."""
        if not self.steps or KINDS[self.steps[-1].kind].turn != _AWARE:
            return ""
        return f"{getattr(self.steps[-1].options, 'default', None) or 'w8a8'}-qat"

    @property
    def made(self) -> tuple[tuple[str, str], ...]:
        """The files to make, as (format, precision), beside those of the float network."""
        if self.files:
            return self.files
        if self.aware:
            return (("tflite", self.aware), ("onnx", self.aware))
        return (("tflite", "float32"), ("tflite", "float16"), ("tflite", "w8"), ("tflite", "w8a8-ptq"),
                ("onnx", "float32"))  # fmt: skip

    @property
    def words(self) -> str:
        """The recipe in a line."""
        return ", ".join(step.words for step in self.steps if step.kind != "train") or "as it is"


def read(path: str | Path) -> tuple[Recipe, ...]:
    """Read the recipes of a file: one, or several as YAML documents.

    Raises: BadInput naming the file, and what is wrong in it.
    """
    try:
        documents = list(yaml.safe_load_all(Path(path).read_text()))
        recipes = tuple(map(Recipe.from_dict, documents))
    except OSError as error:
        raise BadInput(f"--recipe {path}: {error.strerror or error}; give a YAML file") from error
    except yaml.YAMLError as error:
        raise BadInput(f"--recipe {path}: is not YAML: {error}") from error
    except BadInput as error:
        raise BadInput(f"--recipe {path}: {error}") from error
    if not recipes:
        raise BadInput(f"--recipe {path}: is empty; write steps: [...]")
    return recipes


def text(recipes: Sequence[Recipe]) -> str:
    """Return recipes as YAML, which `read` takes back."""
    return yaml.safe_dump_all(
        [recipe.to_dict() for recipe in recipes], sort_keys=False, default_flow_style=None, width=120
    )


def usual(sparsity: float, how: QatConfig | None = None) -> tuple[Recipe, ...]:
    """Return what a run may do that is told no recipe, as far as files are made of it.

    QAT, of 7-bit weights for processors without VNNI, and of what was pruned before.  how: to quantize.
    """
    how, zeros = how or QatConfig(), Step.read({"zeros": {"sparsity": sparsity}})
    qat, narrow = (Step(kind="qat", options=each) for each in (how, replace(how, default="w7a8")))
    return Recipe(steps=(qat,)), Recipe(steps=(narrow,)), Recipe(steps=(zeros, qat))


def _made(kind: str, config: type, chosen: Mapping[str, Any]) -> Any:
    try:
        return config(**chosen)
    except BadInput as error:
        raise BadInput(f"recipe: {kind}: {error}") from error
    except TypeError as error:  # a text where a number is compared
        raise BadInput(f"recipe: {kind}: {dict(chosen)!r}: {error}") from error


def _default(options: Any, name: str) -> Any:
    (own,) = (each for each in fields(options) if each.name == name)
    return own.default_factory() if own.default_factory is not MISSING else own.default


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, tuple | list) else value
