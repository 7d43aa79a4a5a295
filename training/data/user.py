"""The user's own data: arrays, lists, frames, data sets of Keras or TensorFlow, or a function that returns such."""

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import BadInput
from ...forms import is_batches
from . import arrays, targets
from .arrays import Input
from .dataset import Dataset, Split, check, divide
from .targets import Head, Output

FORMATS = (
    "(x_train, y_train), (x_test, y_test), the same with validation in between, a dict of splits named train, "
    "validation and test, one keras.utils.PyDataset or tf.data.Dataset a split, or a Dataset"
)
PARTS = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}
HELD_OUT = {"validation": 0.1, "test": 0.2}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """How data is to be read: task and dtype, and what is known of the model that takes it (None: nothing).

    whole: a lone (x, y) is judged as it is; else a fifth of it is held out to test.
    """

    task: str | None = None
    dtype: str | None = None
    inputs: Sequence[Input] | None = None
    outputs: Sequence[Output] | None = None
    whole: bool = False


def resolve(spec: str) -> Callable[..., Any]:
    """Import `pkg.module:function`; the working directory can be imported from, as with `python -m`.

    Raises: BadInput if the module or the function is not there. What the module itself raises comes through.
    """
    module_name, _, function_name = spec.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name == error.name or module_name.startswith(error.name + ".")):
            raise  # the module is there, something it imports is not
        raise BadInput(
            f"{spec!r}: no module {error.name!r}; it is looked for in {here} and in the environment"
        ) from None
    function = getattr(module, function_name, None)
    if not callable(function):
        raise BadInput(f"{spec!r}: {module_name} ({module.__file__}) has no function {function_name!r}")
    return function


def from_function(spec: str, wanted: Wanted = Wanted()) -> Dataset:
    """Return what the function of `spec` gives, as a Dataset; a missing validation split is a tenth of training."""
    returned = resolve(spec)()
    if isinstance(returned, Dataset):
        return returned
    return from_splits(_parts(returned, repr(spec)), spec, wanted)


def from_values(value: Any, wanted: Wanted = Wanted(), name: str = "data") -> Dataset:
    """Return data in memory as a Dataset: splits in any of `FORMATS`, or one (x, y) that is divided here."""
    if not _are_splits(value, wanted) and (isinstance(value, Split) or is_batches(value) or _is_pair(value)):
        value = {"train": value} if not wanted.whole else {"test": value}
        return from_splits(value, name, wanted)
    return from_splits(_parts(value, name), name, wanted)


def from_splits(parts: Mapping[str, Any], name: str, wanted: Wanted) -> Dataset:
    """Return splits as the Dataset that `wanted` asks for; all are checked before any sample is held out.

    The task is found out where none is asked: integer or text targets mean classification, targets shaped as the
    samples reconstruction, several columns of 0 and 1 several labels, else regression (see targets.py).
    """
    read = {part: _read(value, f"{name} {part}", wanted) for part, value in parts.items()}
    lone = next(iter(read)) if "train" not in read else "train"
    heads, ys = _targets(read, name, wanted, lone)
    splits: dict[str, Split] = {
        part: Split(x=x, y=x if ys[part] is x else ys[part], group=getattr(parts[part], "group", None))
        for part, (x, _) in read.items()
    }
    single = heads[""] if list(heads) == [""] else None
    for part, split in splits.items():
        check(split, f"{name} {part}", classes=single.classes if single else 0, heads=heads)
    if lone != "train":  # only judged: nothing is trained or calibrated on it
        splits = dict.fromkeys(("train", "validation", "test"), splits[lone])
    for part in ("test", "validation"):
        if part not in splits:
            splits["train"], splits[part] = _hold_out(splits["train"], HELD_OUT[part], name)
    return Dataset(
        name=name,
        task=single.task if single else "+".join(head.task for head in heads.values()),
        train=splits["train"],
        validation=splits["validation"],
        test=splits["test"],
        classes=single.classes if single else 0,
        labels=single.labels if single else (),
        heads={} if single else heads,
        preprocessing=f"as {name} returns it",
        source=(name,),
    )


def adapted(dataset: Dataset, outputs: Sequence[Output] | None) -> Dataset:
    """Return `dataset` for a model of these outputs: one value or two for two classes, heads in the model's order.

    Raises: BadInput if the targets of several outputs are called otherwise than these.
    """
    if not outputs:
        return dataset
    if not dataset.heads:
        task = targets.adapt(dataset.task, dataset.classes, outputs[0])
        return dataset if task == dataset.task else replace(dataset, task=task)
    order = _ordered(list(dataset.heads), outputs, dataset.name)
    if order == list(dataset.heads):
        return dataset
    splits = {part: replace(split, y={name: split.y[name] for name in order}) for part, split in
              dataset.splits.items()}  # fmt: skip
    heads = {name: dataset.heads[name] for name in order}
    return replace(dataset, heads=heads, task="+".join(head.task for head in heads.values()), **splits)


def _ordered(names: list[str], outputs: Sequence[Output], what: str) -> list[str]:
    there = [output.name for output in outputs]
    unknown = [name for name in names if name not in there]
    if not unknown:
        return [name for name in there if name in names]
    if len(set(there)) == len(there) and set(unknown) != {f"output_{place}" for place in range(len(there))}:
        raise BadInput(
            f"{what}: targets for {', '.join(names)}, the model's outputs are {', '.join(there)}; name them so, or "
            "give a list in their order"
        )
    return names


def _parts(returned: Any, what: str) -> dict[str, Any]:
    if isinstance(returned, Mapping) and {"train", "test"} <= returned.keys() <= PARTS.keys():
        return {PARTS[name]: value for name, value in returned.items()}
    names = {2: ("train", "test"), 3: ("train", "validation", "test")}
    if isinstance(returned, Sequence) and len(returned) in names and all(_is_split(value) for value in returned):
        return dict(zip(names[len(returned)], returned, strict=True))
    raise BadInput(f"{what} returned {_describe(returned)}; it may return {FORMATS}")


def _describe(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"a dict with keys {', '.join(map(str, value))}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"a {type(value).__name__} of {', '.join(type(item).__name__ for item in value)}"
    return f"a {type(value).__name__}"


def _is_pair(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and len(value) == 2


def _is_split(value: Any) -> bool:
    return isinstance(value, Split) or is_batches(value) or _is_pair(value)


def _are_splits(value: Any, wanted: Wanted) -> bool:
    """Tell several splits from one pair whose x and y are lists of two: the inputs and outputs of a model have both."""
    if isinstance(value, Mapping):
        return True
    if not isinstance(value, (tuple, list)) or not value or not all(map(_is_split, value)):
        return False
    if not all(map(_is_pair, value)):
        return True
    lone = any(len(ends or ()) == 1 for ends in (wanted.inputs, wanted.outputs))
    if lone or any(isinstance(x, Mapping) for x, _ in value):
        return True  # a dict holds the inputs of a split, and one output has no list of targets
    counts = {arrays.length(member) for pair in value for member in pair}
    return not (wanted.inputs and len(counts) == 1)


def _read(value: Any, what: str, wanted: Wanted) -> tuple[Any, Any]:
    """Return samples and targets of a split as arrays, as many of the one as of the other."""
    if isinstance(value, Split):
        value = (value.x, value.y)
    if not _is_split(value):
        raise BadInput(
            f"{what}: a {type(value).__name__}; give a pair (x, y), a keras.utils.PyDataset or a tf.data.Dataset"
        )
    given, answers = arrays.gather(value, what, wanted.inputs) if is_batches(value) else value
    x = arrays.samples(given, what, wanted.dtype, wanted.inputs)
    y = x if answers is given and isinstance(x, np.ndarray) else arrays.targets(answers, len(wanted.outputs or ()) > 1)
    counts = (
        {f"input {name!r}": len(array) for name, array in x.items()} if isinstance(x, Mapping) else {"samples": len(x)}
    )
    several = y.items() if isinstance(y, Mapping) else enumerate(y) if isinstance(y, list) else []
    counts |= {f"targets {name!r}": len(array) for name, array in several} or {"targets": _count(y)}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{count} {name}" for name, count in counts.items())
        raise BadInput(f"{what}: {told}; give one target a sample")
    return x, y


def _count(y: Any) -> int:
    return len(y) if np.ndim(y) else 1


def _targets(
    read: Mapping[str, tuple[Any, Any]], name: str, wanted: Wanted, lone: str
) -> tuple[dict[str, Head], dict[str, Any]]:
    """Return the heads by name (one: "") and, by split, the targets as they take them."""
    outputs, inputs = wanted.outputs, read[lone][0]
    given = {part: y for part, (_, y) in read.items()}
    first = given[lone]
    if not isinstance(first, (Mapping, list)):
        parts = {"train": first, **given}
        head, ys = targets.read(parts, name, wanted.task, outputs[0] if outputs else None, inputs)
        same = {part: read[part][0] if read[part][0] is y else ys[part] for part, y in given.items()}
        return {"": head}, same
    if outputs is not None and len(first) > len(outputs):
        raise BadInput(
            f"{name}: targets of {len(first)} outputs, the model has {len(outputs)}; give one target an output"
        )
    names = _head_names(first, outputs, name)
    known = {output.name: output for output in outputs or ()}
    by_place = dict(zip(names, outputs, strict=False)) if outputs and isinstance(first, list) else {}
    asked = (wanted.task or "").split("+") if wanted.task and "+" in wanted.task else [None] * len(names)
    heads: dict[str, Head] = {}
    ys: dict[str, Any] = {part: {} for part in given}
    for place, head_name in enumerate(names):
        key = place if isinstance(first, list) else head_name
        parts = {part: y[key] for part, y in {"train": first, **given}.items()}
        output = known.get(head_name) or by_place.get(head_name)
        heads[head_name], answers = targets.read(parts, f"{name}, output {head_name!r}", asked[place], output, inputs)
        for part in given:
            ys[part][head_name] = answers[part]
    if len(names) == 1 and not (outputs and len(outputs) > 1):
        return {"": heads[names[0]]}, {part: targets_by_head[names[0]] for part, targets_by_head in ys.items()}
    return heads, ys


def _head_names(first: Any, outputs: Sequence[Output] | None, what: str) -> list[str]:
    if isinstance(first, Mapping):
        return _ordered(list(first), outputs, what) if outputs else list(first)
    there = [output.name for output in outputs or ()]
    if len(set(there)) == len(there) >= len(first):
        return there[: len(first)]
    return [f"output_{place}" for place in range(len(first))]


def _hold_out(train: Split, share: float, name: str) -> tuple[Split, Split]:
    if len(train) < 2:
        raise BadInput(f"{name} train: {len(train)} samples; at least 2 are needed to hold one out for validation")
    labelled = isinstance(train.y, np.ndarray) and train.y.ndim == 1 and train.y.dtype == np.int32
    kept, held = divide(train.y if labelled else np.zeros(len(train), int), share)
    return train.take(kept), train.take(held)


__all__ = ["Input", "Output", "Wanted", "adapted", "from_function", "from_values", "resolve"]
