"""What `edgewright prune` is told: one way of making a model smaller, and nothing that would do nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import BadInput

# What says that something matters little, by the way; those of LOOK look at data, or at training on them.
CRITERIA = {
    "channels": ("l1", "l2", "bn_scale", "taylor", "activation", "random"),
    "zeros": ("magnitude", "movement", "gradient"),
}
LOOK = ("taylor", "activation", "movement", "gradient")
OF_TRAINING = ("epochs", "class_weights", "teacher", "untold", "schedule")
NEED_DATA = ("blocks", "max_drop", "regrow", *OF_TRAINING)


@dataclass(frozen=True, kw_only=True)
class Way:
    """A way: the options that ask for it, of which one is given, and those that say more of it.

    what: it prunes, in words. called: option -> field of its configuration, where that has another name. narrow: option
    -> the options that ask for it without which it has nothing to do.
    """

    what: str
    asked_by: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    called: Mapping[str, str] = field(default_factory=dict)
    narrow: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


WAYS = {
    "channels": Way(
        what="channels",
        asked_by=("channels", "macs", "parameters", "memory", "bytes", "latency", "max_drop"),
        options=("criterion", "scope", "steps", "multiple_of", "target", "device", "precision"),
        narrow={"device": ("latency",), "precision": ("memory", "latency")},
    ),
    "blocks": Way(what="whole blocks", asked_by=("blocks",)),
    "clusters": Way(what="values", asked_by=("clusters",)),
    "low_rank": Way(what="thin kernels", asked_by=("low_rank",), called={"low_rank": "share"}),
    "zeros": Way(what="single weights", options=("sparsity", "pattern", "criterion", "regrow", "schedule")),
}


def way_of(engine: str, data: str | None, training: Mapping[str, Any], **options: Any) -> tuple[str, dict[str, Any]]:
    """Return the way that is asked for and the fields of its configuration; zeros where nothing asks for another.

    options, training: those of ways and those of fine-tuning, None for what was not given.
    Raises: BadInput for two ways, for an option of another way, and for what needs data without any.
    """
    given = {name: value for name, value in options.items() if value is not None}
    asked = [(kind, name) for kind, way in WAYS.items() for name in way.asked_by if name in given]
    if len(asked) > 1:
        same = len({kind for kind, _ in asked}) == 1
        remedy = "leave all but one out" if same else "give the file that one writes to the other"
        raise BadInput(f"{' and '.join(flag(name) for _, name in asked)}: one at a time; {remedy}")
    kind, by = asked[0] if asked else ("zeros", "")
    _refuse_idle(kind, by, given)
    if engine == "tfmot" and (kind != "zeros" or given.keys() - {"sparsity", "schedule"}):
        name = by or next(iter(given.keys() - {"sparsity", "schedule"}))
        raise BadInput(f"{flag(name)} {given[name]}: engine tfmot prunes single weights by magnitude; leave it out")
    if data is None:
        _refuse_without_data({**given, **{name: value for name, value in training.items() if value is not None}})
    called = WAYS[kind].called
    return kind, {called.get(name, name): value for name, value in given.items()}


def flag(name: str) -> str:
    """Return an option as it is written."""
    return f"--{name.replace('_', '-')}"


def _refuse_idle(kind: str, by: str, given: Mapping[str, Any]) -> None:
    """Refuse options that have nothing to do with the way, or with what asks for it, and criteria of another."""
    own = WAYS[kind]
    for name, value in given.items():
        if name not in (*own.asked_by, *own.options):
            others = [way for way in WAYS.values() if name in way.options]
            missing = [flag(each) for way in others for each in way.asked_by]
            remedy = f"give {' or '.join(missing)}" if missing and not by else "leave one of the two out"
            beside = f" beside {flag(by)}" if by else ""
            what = ", ".join(way.what for way in others)
            raise BadInput(f"{flag(name)} {value}{beside}: is of {what}; {remedy}")
        if name in own.narrow and by not in own.narrow[name]:
            wanted = " or ".join(map(flag, own.narrow[name]))
            raise BadInput(f"{flag(name)} {value}: is of {wanted}; leave it out, or give that")
    criterion = given.get("criterion")
    if criterion is not None and criterion not in CRITERIA[kind]:
        other = next(each for each, names in CRITERIA.items() if criterion in names)
        budgets = f", of which {' or '.join(map(flag, WAYS[other].asked_by))} asks" if WAYS[other].asked_by else ""
        raise BadInput(
            f"--criterion {criterion}: is of {WAYS[other].what}{budgets}; of {own.what}: {', '.join(CRITERIA[kind])}"
        )


def _refuse_without_data(given: Mapping[str, Any]) -> None:
    """Refuse what has nothing to look at or to train on."""
    for name, value in given.items():
        if name in NEED_DATA or (name == "criterion" and value in LOOK):
            what = "is of fine-tuning" if name in OF_TRAINING else "looks at it"
            remedy = "name a data set or pkg.module:function, or leave it out"
            raise BadInput(f"--data is missing: {flag(name)} {value} {what}; {remedy}")
