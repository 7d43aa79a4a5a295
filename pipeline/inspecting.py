"""What a float network and its quantized form look at, side by side: figures with intervals, and a page of pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ..devices.report import inspection as page
from ..devices.report.report import table
from ..devices.verdict import intervals
from ..errors import BadInput, nearest
from ..files import write, write_json
from ..inspection.methods import METHODS, Asked, Look, Pair
from ..inspection.net import Net
from ..progress import tracked
from ..quantize import find_quantized, prepare_qat
from ..quantize.qat import QuantizedGraph
from ..training.answers import outputs_of
from ..training.data import Dataset
from ..training.presented import ANSWER
from .workload import Workload

FLOAT, INTEGER = "float", "int8"
SAMPLES = 64


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What methods found, by name, of a model and so many test samples of data."""

    model: str
    data: str
    samples: int
    looks: Mapping[str, Look]

    def to_json(self) -> dict[str, Any]:
        """Return plain values: of each figure the mean, its 95% interval over samples, and how many there were."""
        found = {name: {"note": look.note, "figures": list(_figures(look))} for name, look in self.looks.items()}
        return {"schema": 1, "model": self.model, "data": self.data, "samples": self.samples, "methods": found}

    def __str__(self) -> str:
        parts = []
        for name, look in self.looks.items():
            rows = [[row["figure"], *map(_said, (row[FLOAT], row[INTEGER], row["both"]))] for row in _figures(look)]
            parts += [f"{name}{f', {look.note}' if look.note else ''}", table(("figure", *COLUMNS), rows)]
        return "\n".join(parts)

    def save(self, folder: Path) -> Path:
        """Write inspection.json and the page inspection.html; return the path of the page."""
        write_json(folder / "inspection.json", self.to_json())
        methods = [_shown(name, look) for name, look in self.looks.items()]
        title = f"{self.model} on {self.data}: what it looks at"
        html = page.html(title=title, samples=self.samples, columns=COLUMNS, methods=methods)
        return write(folder / "inspection.html", html)


COLUMNS = (FLOAT, INTEGER, "int8 less float, or both together")


def inspect(
    network: keras.Model, work: Workload, methods: Sequence[str], asked: Asked, *, samples: int = SAMPLES,
    against: keras.Model | None = None
) -> Inspection:  # fmt: skip
    """Look at a classifier of images and at its quantized form by each of `methods`, on the first test samples.

    A network without quantizers is calibrated on training data; of one with, the float form has the same weights,
    unless `against`, the float network that it was made of, is given.
    Raises: BadInput for a task, samples or a network that a method cannot look at.
    """
    for name in methods:
        if name not in METHODS:
            raise BadInput(f"method {name!r}: unknown; {nearest(name, METHODS)}")
    x, y = _images(work.dataset, samples)
    pair = Pair(nets=_both(network, work, against), x=x, y=y)
    looks = {name: METHODS[name](pair, asked) for name in tracked("inspect", dict.fromkeys(methods))}
    return Inspection(model=work.name, data=work.dataset.name, samples=len(x), looks=looks)


def _images(dataset: Dataset, samples: int) -> tuple[np.ndarray, np.ndarray]:
    x, y = dataset.test.x, dataset.test.y
    y = y.get(ANSWER) if isinstance(y, Mapping) else y
    if dataset.task not in ("classification", "binary_classification") or isinstance(x, Mapping) or y is None:
        raise BadInput(f"task {dataset.task!r} of data {dataset.name!r}: inspection looks at classifiers of images")
    if x.ndim != 4 or x.dtype.kind != "f":
        raise BadInput(f"data {dataset.name!r} are presented as {x.dtype} {x.shape[1:]}; inspection takes real images "
                       "(H, W, C)")  # fmt: skip
    return np.asarray(x[:samples], np.float32), np.asarray(y[:samples]).reshape(-1)


def _both(network: keras.Model, work: Workload, against: keras.Model | None) -> tuple[Net, Net]:
    if against is not None and find_quantized(network) is None:
        raise BadInput(f"--against: {network.name!r} is in float itself; give the quantization-aware model first")
    if against is not None and find_quantized(against) is not None:
        raise BadInput("--against: has quantizers; give the float model that the other was made of")
    layer = _graph(network, work)
    plain = layer if against is None else _graph(against, work)
    names = [output.name for output in outputs_of(network)]
    place = names.index(ANSWER) if ANSWER in names else 0
    return (Net(name=FLOAT, layer=plain, quantize=False, output=place),
            Net(name=INTEGER, layer=layer, quantize=True, output=place))  # fmt: skip


def _graph(network: keras.Model, work: Workload) -> QuantizedGraph:
    """Return the graph of a network, calibrated on training data where it has no quantizers yet."""
    if find_quantized(network) is None:
        network, _ = prepare_qat(network, calibration=work.samples(next(iter(work.networks))))
    layer = find_quantized(network)
    assert layer is not None
    return layer


def _figures(look: Look) -> Iterator[dict[str, Any]]:
    """Yield a row a figure: of either net, and of the two together, their difference where samples are paired."""
    for name, of in look.each.items():
        first, second = of[FLOAT], of[INTEGER]
        both = _estimated(second - first) if len(first) == len(second) else None
        yield {"figure": name, FLOAT: _estimated(first), INTEGER: _estimated(second), "both": both}
    for name, values in look.both.items():
        yield {"figure": name, FLOAT: None, INTEGER: None, "both": _estimated(values)}


def _estimated(values: np.ndarray) -> dict[str, Any]:
    kept = values[np.isfinite(values)]
    found = intervals.mean(kept)
    ends = found.ci95 if all(map(math.isfinite, found.ci95)) else None
    return {"value": found.value if len(kept) else None, "ci95": ends, "samples": len(kept)}


def _shown(name: str, look: Look) -> dict[str, Any]:
    """Return what the page shows of a method."""
    drawn = ((one.title, page.picture(one.values, one.kind, one.labels)) for one in look.pictures)
    return {
        "name": name,
        "does": (METHODS[name].__doc__ or "").strip(),
        "note": look.note,
        "rows": [{**row, **{key: _said(row[key]) for key in (FLOAT, INTEGER, "both")}} for row in _figures(look)],
        "pictures": [{"title": title, "png": png} for title, png in drawn if png],
    }


def _said(found: Mapping[str, Any] | None) -> str:
    if found is None or found["value"] is None:
        return "–"
    ends = "" if found["ci95"] is None else " [{:.3f}, {:.3f}]".format(*found["ci95"])
    return f"{found['value']:.3f}{ends}"
