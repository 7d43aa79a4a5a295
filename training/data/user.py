"""The user's own data: a function that returns arrays, splits, keras.utils.PyDatasets or a Dataset."""

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import BadInput
from .dataset import Array, Dataset, Split, divide

FORMATS = (
    "(x_train, y_train), (x_test, y_test), the same with validation in between, a dict of splits named train, "
    "validation and test, one keras.utils.PyDataset a split, or a Dataset"
)
PARTS = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}


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


def from_function(spec: str, *, task: str | None, dtype: str | None) -> Dataset:
    """Return what the function of `spec` gives, as a Dataset; a missing validation split is a tenth of training data.

    task: if None, integer targets mean classification, targets shaped as the samples reconstruction, else regression.
    """
    returned = resolve(spec)()
    if isinstance(returned, Dataset):
        return returned
    splits: dict[str, Any] = {
        part: _split(value, f"{spec} {part}", dtype) for part, value in _parts(returned, spec).items()
    }
    task = task or _guess(splits["train"])
    if task == "classification":
        splits = {part: _labelled(split, f"{spec} {part}") for part, split in splits.items()}
    if "validation" not in splits:
        splits["train"], splits["validation"] = _hold_out(splits["train"], task, spec)
    classes = 1 + max(int(split.y.max(initial=0)) for split in splits.values()) if task == "classification" else 0
    return Dataset(
        name=spec, task=task, classes=classes, preprocessing=f"as {spec} returns it", source=(spec,), **splits
    )


def _parts(returned: Any, spec: str) -> dict[str, Any]:
    if isinstance(returned, Mapping) and {"train", "test"} <= returned.keys() <= PARTS.keys():
        return {PARTS[name]: value for name, value in returned.items()}
    names = {2: ("train", "test"), 3: ("train", "validation", "test")}
    if isinstance(returned, Sequence) and len(returned) in names and all(_is_split(value) for value in returned):
        return dict(zip(names[len(returned)], returned, strict=True))
    raise BadInput(f"{spec!r} returned {_describe(returned)}; it may return {FORMATS}")


def _describe(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"a dict with keys {', '.join(map(str, value))}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"a {type(value).__name__} of {', '.join(type(item).__name__ for item in value)}"
    return f"a {type(value).__name__}"


def _is_split(value: Any) -> bool:
    return isinstance(value, Split) or _is_batches(value) or (isinstance(value, Sequence) and len(value) == 2)


def _is_batches(value: Any) -> bool:
    """Tell a keras.utils.PyDataset by what it offers, without importing Keras for those who return arrays."""
    return hasattr(value, "__getitem__") and hasattr(value, "num_batches")


def _split(value: Any, what: str, dtype: str | None) -> Split:
    if isinstance(value, Split):
        return value
    if not _is_split(value):
        raise BadInput(f"{what}: a {type(value).__name__}; give a pair (x, y) or a keras.utils.PyDataset")
    x, y = _gather(value, what) if _is_batches(value) else value
    x = {name: _samples(part, what, dtype) for name, part in x.items()} if isinstance(x, Mapping) else (
        _samples(x, what, dtype)
    )  # fmt: skip
    return Split(x=x, y=_targets(y, what))


def _gather(batches: Any, what: str) -> tuple[Any, Array]:
    """Return all batches of a PyDataset as arrays; sample weights are refused, being of no meaning to the verdict."""
    pairs = [batches[k] for k in range(len(batches))]
    if any(len(pair) != 2 for pair in pairs):
        raise BadInput(f"{what}: batches of the PyDataset must be (x, y); sample weights are not supported")
    if not pairs:
        raise BadInput(f"{what}: the PyDataset has no batches")
    xs, ys = zip(*pairs, strict=True)
    if isinstance(xs[0], Mapping):
        return {name: np.concatenate([np.asarray(x[name]) for x in xs]) for name in xs[0]}, np.concatenate(ys)
    return np.concatenate([np.asarray(x) for x in xs]), np.concatenate([np.asarray(y) for y in ys])


def _samples(x: Any, what: str, dtype: str | None) -> Array:
    """Return samples as float32, or as int32 where integers are asked for; values are never scaled."""
    x = np.asarray(x)
    if x.dtype.kind not in "fiub":
        raise BadInput(f"{what}: samples have dtype {x.dtype}; numbers are wanted")
    if dtype == "int32":
        if x.dtype.kind == "f":
            raise BadInput(f"{what}: samples have dtype {x.dtype}, the model takes token ids; return integers")
        return x.astype(np.int32)
    tokens = dtype is None and x.dtype in (np.int32, np.int64)
    return x.astype(np.int32 if tokens else np.float32)


def _targets(y: Any, what: str) -> Array:
    y = np.asarray(y)
    if y.dtype.kind not in "fiub":
        raise BadInput(f"{what}: targets have dtype {y.dtype}; numbers are wanted")
    return y.astype(np.float32 if y.dtype.kind == "f" else np.int32)


def _guess(train: Split) -> str:
    if train.y.dtype == np.int32:
        return "classification"
    return "reconstruction" if isinstance(train.x, np.ndarray) and train.y.shape == train.x.shape else "regression"


def _labelled(split: Split, what: str) -> Split:
    """Return `split` with labels (N,), from (N, 1) too, which keras.datasets has; other floats are refused later."""
    if len(split) == 0:
        raise BadInput(f"{what}: empty; at least one sample is needed")
    return Split(x=split.x, y=split.y[:, 0]) if split.y.ndim == 2 and split.y.shape[1] == 1 else split


def _hold_out(train: Split, task: str, spec: str) -> tuple[Split, Split]:
    if len(train) < 2:
        raise BadInput(f"{spec} train: {len(train)} samples; at least 2 are needed to hold one out for validation")
    labels = train.y if task == "classification" and train.y.ndim == 1 else np.zeros(len(train), int)
    kept, held = divide(labels, 0.1)
    return train.take(kept), train.take(held)
