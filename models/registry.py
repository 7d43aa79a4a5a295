"""The zoo's register: one decorator a model, found by importing every module of this package.

A builder is a function whose name is the model's name. It takes symbolic `inputs` and returns an output tensor, or
(`networks=`) builds several networks: it takes `input_shape` instead, or nothing, and returns a dict of keras.Model,
step networks included. Either way an architecture is a dict of networks, some of which go to a device.
Importing this module imports no Keras; asking it for a name does.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from ..seeding import seeded

if TYPE_CHECKING:
    import keras

    Networks = Mapping[str, keras.Model]

Shape = tuple[int | None, ...]


@dataclass(frozen=True, kw_only=True)
class Deployable:
    """A network that becomes a file.

    derived_from: the network that was trained, of which a step network takes weights and ranges, by layer path.
    states: output -> the input that it becomes in the next call. A "*" stands for what both have in common, where how
    many there are depends on the preset: {"*_out": "*"}.
    tables: networks of one weight each, which stay with the host in float: the manifest of the file has their weights.
    """

    network: str
    derived_from: str | None = None
    states: Mapping[str, str] = field(default_factory=dict)
    tables: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Bars:
    """What `edgewright matrix` asks of a model; drop and gap as `Metric.gain` has them, 0.01 being one point.

    floor: of the float model's metric, None for the one of its data set, or else of the metric. drop: the most that
    pruning or QAT may lose. gap: the most between a model and its file. pruned: share of zeros among the weights that
    pruning takes. argmax, step: of an int8 file's outputs, the share that names the model's class, and the share within
    one step of its value.
    """

    floor: float | None = None
    drop: float = 0.03
    gap: float = 0.02
    pruned: float = 0.5
    argmax: float = 0.995
    step: float = 0.99


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A registry entry.

    task, learner: names in the tables of `training`. input_shape: of one sample, or a dict of named inputs; dtype
    likewise. classes: 0 where the task has none. params: trainable parameters of the `paper` preset, all networks'
    together. data: names of data sets, the first available wins and the last is offline. learning_rate: the peak of its
    training; training: other settings of it, as `TrainConfig` names them. wide: layers or operations whose activations
    8 bits hurt, named as in `QatConfig.by_name`: they get 16. presets: builder arguments by preset.
    variants: names of further entries of the same builder. networks: what is built, a lone network by the model's name;
    deploy: those of them that go to a device; on_request: those that go too where they are asked for by name;
    undeployed: why none does. bars: what the model is held to.
    """

    name: str
    family: str
    builder: Callable[..., Any]
    task: str
    learner: str = "fit"
    input_shape: Shape | Mapping[str, Shape]
    dtype: str | Mapping[str, str] = "float32"
    classes: int = 0
    params: int
    paper: str
    data: tuple[str, ...]
    learning_rate: float = 2e-3
    training: Mapping[str, Any] = field(default_factory=dict)
    wide: tuple[str, ...] = ()
    presets: Mapping[str, Mapping[str, Any]]
    variants: tuple[str, ...] = ()
    networks: tuple[str, ...]
    deploy: tuple[Deployable, ...]
    on_request: tuple[str, ...] = ()
    undeployed: str = ""
    bars: Bars = Bars()

    @property
    def alone(self) -> bool:
        """Tell if the builder returns the output of one network, rather than a dict of several."""
        return self.networks == (self.name,)

    @property
    def options(self) -> dict[str, Any]:
        """The builder's own arguments with their defaults, those the registry gives left out."""
        given = ("inputs", "input_shape", "classes")
        parameters = inspect.signature(self.builder).parameters.values()
        return {parameter.name: parameter.default for parameter in parameters if parameter.name not in given}

    def requested(self, also: Sequence[str]) -> tuple[Deployable, ...]:
        """Return the deployables of networks that are asked for by name.

        Raises: BadInput for one that does not go on request.
        """
        if refused := [name for name in also if name not in self.on_request]:
            known = ", ".join(self.on_request) or "none"
            raise BadInput(f"also {refused[0]!r}: of {self.name}, networks that go to a device on request: {known}")
        return tuple(Deployable(network=name) for name in dict.fromkeys(also))

    def arguments(self, preset: str = "paper", **overrides: Any) -> dict[str, Any]:
        """Return all builder arguments with `input_shape` and `classes`: defaults, then the preset's, then overrides.

        An override of None means as the preset has it.  Raises: BadInput for an unknown preset or argument.
        """
        if preset not in self.presets:
            raise BadInput(f"{self.name} has no preset {preset!r}; allowed: {', '.join(self.presets)}")
        known = {"input_shape": self.input_shape, "classes": self.classes, **self.options}
        given = {key: value for key, value in overrides.items() if value is not None}
        if unknown := [key for key in given if key not in known]:
            raise BadInput(f"{self.name} takes no argument {unknown[0]!r}; allowed: {', '.join(known)}")
        merged = {**known, **self.presets[preset], **given}
        if merged["classes"] and not self.classes:
            raise BadInput(f"classes={merged['classes']}: {self.name} has no classes, its task is {self.task}")
        if merged["classes"] < bool(self.classes):
            raise BadInput(f"classes={merged['classes']}: {self.name} needs at least 1")
        return merged


_ENTRIES: dict[str, Architecture] = {}


# What a variant may have of its own; every other word it gives is an argument of the builder.
OVERRIDABLE = {each.name for each in fields(Architecture)} - {"name", "builder", "presets", "variants"}


def register(
    *,
    task: str,
    input_shape: Shape | Mapping[str, Shape],
    params: int,
    paper: str,
    data: tuple[str, ...],
    dtype: str | Mapping[str, str] = "float32",
    classes: int = 0,
    family: str | None = None,
    learner: str = "fit",
    learning_rate: float = 2e-3,
    training: Mapping[str, Any] | None = None,
    wide: tuple[str, ...] = (),
    edge: Mapping[str, Any] | None = None,
    variants: Mapping[str, Mapping[str, Any]] | None = None,
    networks: tuple[str, ...] = (),
    deploy: tuple[str | Deployable, ...] | str = (),
    on_request: tuple[str, ...] = (),
    bars: Bars = Bars(),
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the decorated builder under its own name. The fields are those of `Architecture`.

    edge: arguments of the preset that trains in about a minute on two cores. variants: further names for the same
    builder, each with its `params`, the fields that differ (task, learner, data, dtype, paper, ...), the arguments that
    it fixes in both presets, and its own `edge` if it has one. networks: what a builder of several returns. deploy: a
    name stands for Deployable(network=name); left out, all networks go; "none: REASON" where none can.
    The family is what is given, or the module's `FAMILY`, or else the module's name.
    Raises: ValueError for a name that is taken or arguments the builder does not have.
    """

    def enter(builder: Callable[..., Any]) -> Callable[..., Any]:
        name, module = builder.__name__, sys.modules[builder.__module__]
        entry = Architecture(
            name=name,
            family=family or getattr(module, "FAMILY", builder.__module__.rpartition(".")[2]),
            builder=builder,
            task=task,
            learner=learner,
            input_shape=input_shape,
            dtype=dtype,
            classes=classes,
            params=params,
            paper=paper,
            data=data,
            learning_rate=learning_rate,
            training=training or {},
            wide=wide,
            presets={"paper": {}, "edge": edge or {}},
            variants=tuple(variants or ()),
            networks=networks or (name,),
            **_deployed(deploy or networks or (name,)),
            on_request=on_request,
            bars=bars,
        )
        _enter(entry)
        for other, given in (variants or {}).items():
            _enter(_variant(entry, other, **given))
        return builder

    return enter


def _deployed(deploy: tuple[str | Deployable, ...] | str) -> dict[str, Any]:
    """Return the fields `deploy` and `undeployed`."""
    if isinstance(deploy, str):
        none, _, reason = deploy.partition(": ")
        if none != "none" or not reason:
            raise ValueError(f"deploy={deploy!r}: give networks, or 'none: REASON'")
        return {"deploy": (), "undeployed": reason}
    named = (each if isinstance(each, Deployable) else Deployable(network=each) for each in deploy)
    return {"deploy": tuple(named), "undeployed": ""}


def _variant(entry: Architecture, name: str, *, edge: Mapping[str, Any] | None = None, **given: Any) -> Architecture:
    """Return `entry` under another name: fields replaced, the other words fixed as arguments of every preset."""
    own = {field: given.pop(field) for field in sorted(OVERRIDABLE & given.keys())}
    kept = {
        preset: {argument: value for argument, value in arguments.items() if argument not in own} | given
        for preset, arguments in entry.presets.items()
    }
    alone = {"networks": (name,), "deploy": (name,)} if entry.alone else {}
    own = alone | own
    if "deploy" in own:
        own |= _deployed(own["deploy"])
    return replace(entry, name=name, presets={**kept, "edge": {**kept["edge"], **(edge or {})}}, variants=(), **own)


def _enter(entry: Architecture) -> None:
    if entry.name in _ENTRIES:
        modules = " and ".join(each.builder.__module__ for each in (_ENTRIES[entry.name], entry))
        raise ValueError(f"model {entry.name!r} is registered twice: in {modules}")
    allowed = {"input_shape", "classes", *inspect.signature(entry.builder).parameters}
    for arguments in entry.presets.values():
        if unknown := set(arguments) - allowed:
            raise ValueError(f"model {entry.name!r}: builder has no argument {', '.join(sorted(unknown))}")
    named = {name for each in entry.deploy for name in (each.network, each.derived_from, *each.tables) if name}
    if unknown := (named | set(entry.on_request)) - set(entry.networks):
        raise ValueError(f"model {entry.name!r}: deploy names {', '.join(sorted(unknown))}, not among networks")
    if twice := named & set(entry.on_request):
        raise ValueError(f"model {entry.name!r}: {', '.join(sorted(twice))} is deployed, and on request too")
    _ENTRIES[entry.name] = entry


def _discover() -> Mapping[str, Architecture]:
    package = importlib.import_module(__package__ or "")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f".{module.name}", __package__)
    return _ENTRIES


def names() -> list[str]:
    """Return the names of all models, variants included."""
    return sorted(_discover())


def get(name: str) -> Architecture:
    """Return the entry of `name`.  Raises: BadInput that suggests neighbours."""
    known = _discover()
    if name not in known:
        near = ", ".join(difflib.get_close_matches(name, known, n=3, cutoff=0.5) or sorted(known))
        raise BadInput(f"no model {name!r}; did you mean {near}? Own models: pkg.module:function or a .keras file")
    return known[name]


def describe() -> list[dict[str, Any]]:
    """Return one row a model, as `edgewright models --json` prints it."""
    fields = ("name", "family", "variants", "task", "params", "paper", "data", "on_request")
    entries = (get(model) for model in names())
    rows = ({name: getattr(entry, name) for name in fields} for entry in entries)
    return [{key: list(value) if isinstance(value, tuple) else value for key, value in row.items()} for row in rows]


def networks(
    name: str,
    preset: str = "paper",
    *,
    input_shape: Shape | Mapping[str, Shape] | None = None,
    classes: int | None = None,
    seed: int = 0,
    **overrides: Any,
) -> dict[str, keras.Model]:
    """Build the networks of a model by name, with fresh weights; a lone one is called as the model.

    What is left None is the preset's; `overrides` are arguments of the builder. The weights are a function of `seed`
    (and of the backend); no global random state is changed.
    Raises: BadInput for an unknown name, preset or argument, and for an input too small for the architecture.
    """
    architecture = get(name)
    arguments = architecture.arguments(preset, input_shape=input_shape, classes=classes, **overrides)
    with seeded(seed):
        if architecture.alone:
            return {name: _single(architecture, arguments)}
        return _several(architecture, arguments)


def build(name: str, preset: str = "paper", **options: Any) -> keras.Model | dict[str, keras.Model]:
    """Build a model with fresh weights, or a dict of models for an architecture of several; see `networks`."""
    built = networks(name, preset, **options)
    return built[name] if get(name).alone else built


def trained(networks: Networks, deploy: Sequence[Deployable]) -> dict[str, keras.Model]:
    """Return the networks that a learner trains: all but those that take their weights from another."""
    derived = {each.network for each in deploy if each.derived_from}
    return {name: network for name, network in networks.items() if name not in derived}


def _single(architecture: Architecture, arguments: dict[str, Any]) -> keras.Model:
    import keras

    shape = arguments.pop("input_shape")
    inputs = _inputs(shape, architecture.dtype)
    try:
        outputs = architecture.builder(inputs, **_accepted(architecture, arguments))
    except ValueError as error:  # Keras' word for a shape that became empty or does not fit
        raise BadInput(f"{architecture.name} cannot be built on input_shape={shape}: {error}") from error
    return keras.Model(inputs, outputs, name=architecture.name)


def _several(architecture: Architecture, arguments: dict[str, Any]) -> dict[str, keras.Model]:
    networks = architecture.builder(**_accepted(architecture, arguments))
    if set(networks) != set(architecture.networks):
        registered = ", ".join(architecture.networks)
        raise ValueError(f"model {architecture.name!r} returned {', '.join(networks)}; its networks are {registered}")
    return networks


def _accepted(architecture: Architecture, arguments: dict[str, Any]) -> dict[str, Any]:
    """Leave out `classes` and `input_shape` where the builder has no use for them."""
    parameters = inspect.signature(architecture.builder).parameters
    return {key: value for key, value in arguments.items() if key in parameters}


def _inputs(shape: Any, dtype: Any) -> Any:
    import keras

    if not isinstance(shape, Mapping):
        return keras.Input(tuple(shape), dtype=dtype, name="inputs")
    of = dtype if isinstance(dtype, Mapping) else dict.fromkeys(shape, dtype)
    return {name: keras.Input(tuple(sizes), dtype=of[name], name=name) for name, sizes in shape.items()}


def with_states(deploy: Sequence[Deployable], networks: Networks) -> tuple[Deployable, ...]:
    """Return `deploy` with the names of the states that a "*" stands for, as `networks` have them."""
    return tuple(
        replace(each, states=_named(each.states, networks[each.network])) if "*" in "".join(each.states) else each
        for each in deploy
    )


def _named(states: Mapping[str, str], network: keras.Model) -> dict[str, str]:
    from ..ends import input_names, output_names

    inputs, named = input_names(network), {}
    for output in output_names(network, len(network.outputs)):
        for pattern, given in states.items():
            found = re.fullmatch(re.escape(pattern).replace(r"\*", "(.+)"), output)
            if found and (name := given.replace("*", "".join(found.groups()))) in inputs:
                named[output] = name
    return named


def deployables(name: str, networks: Networks) -> dict[str, keras.Model]:
    """Return the networks of architecture `name` that go to a device, by name."""
    return {each.network: networks[each.network] for each in get(name).deploy}
