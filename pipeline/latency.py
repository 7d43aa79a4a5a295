"""The latency that a model has of which channels are gone, by a table of layers that are timed on the device.

Each operator of the traced graph is made a model of its own, at a few widths, exported and timed there; between the
widths its time is taken to be linear in each. The sum over the graph is scaled to the time of the whole file, measured
in the same way. Times are kept in the cache folder by what they depend on, so that a table is made once for a device
and goes on where it was stopped.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ..devices.turns import described, timed_in_turns
from ..errors import EdgewrightError
from ..export import Artifact, export_tflite
from ..files import sha256, write_json
from ..progress import say, track
from ..prune.structured.config import ChannelConfig
from ..prune.structured.cost import flow_of
from ..prune.structured.cut import Cut
from ..prune.structured.flow import Flow, Operator
from ..prune.structured.units import Anatomy
from ..quantize.graph.nodes import Node, Tensor
from ..training.data import sources
from ..untyped import tree

Sizes = tuple[int, ...]  # of the dimensions of an operator that lose channels
WIDTHS = {0: (1.0,), 1: (0.125, 0.25, 0.5, 0.75, 1.0), 2: (0.25, 0.5, 0.75, 1.0)}  # shares, by number of dimensions
FEW_WIDTHS, MOST_DIMENSIONS = (0.5, 1.0), 4
BATCH = 16  # files in one job
SAMPLES = 4
NOTHING = "nothing"  # the file that does next to nothing: what an inference costs besides

Clock = Callable[[Mapping[str, tuple[Path, Any]]], Mapping[str, np.ndarray]]


class LayerTimes:
    """The table of one device: microseconds by layer, read from and written to the cache folder.

    facts: what times there depend on. clock: files and samples by name -> microseconds of rounds.
    """

    def __init__(self, facts: Mapping[str, Any], clock: Clock, precision: str = "float32"):
        self.facts, self.clock, self.precision = dict(facts), clock, precision
        digest = sha256(json.dumps(self.facts, sort_keys=True).encode())[:16]
        self.path = sources.cache() / "layer-times" / f"{digest}.json"
        self.untimed: dict[str, str] = {}

    def of(self, layers: Mapping[str, Callable[[], keras.Model]]) -> dict[str, float]:
        """Return the times of layers by their keys, with what is not known yet measured and kept."""
        known = self._read()
        missing = [key for key in layers if key not in known and key not in self.untimed]
        if missing:
            say(f"timing {len(missing)} layers on {self.facts.get('device')}; {len(layers) - len(missing)} known")
        with track("layers timed", len(missing)) as advance:
            for start in range(0, len(missing), BATCH):
                keys = missing[start : start + BATCH]
                known = self._kept(self._measured({key: layers[key] for key in keys}))
                advance(len(keys))
        if self.untimed:
            say(f"{len(self.untimed)} layers cannot be timed alone; their share of the whole is laid on the others: "
                f"{next(iter(self.untimed.values()))}")  # fmt: skip
        return {key: known[key] for key in layers if key in known}

    def _measured(self, layers: Mapping[str, Callable[[], keras.Model]]) -> dict[str, float]:
        with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
            files = {}
            for number, (key, make) in enumerate(layers.items()):
                try:
                    artifact = exported(make(), self.precision)
                except Exception as error:  # whatever a lone operator is refused for: the net has it, and scales it in
                    self.untimed[key] = " ".join(str(error).split())[:200]
                    continue
                files[key] = (artifact.save(Path(folder, f"layer-{number}.tflite")), made_up(artifact))
            times = self.clock(files) if files else {}
        return {key: float(np.median(rounds)) for key, rounds in times.items()}

    def _read(self) -> dict[str, float]:
        return json.loads(self.path.read_text())["us"] if self.path.is_file() else {}

    def _kept(self, found: Mapping[str, float]) -> dict[str, float]:
        from filelock import FileLock

        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{self.path}.lock"):
            known = {**self._read(), **found}
            write_json(self.path, {"device": self.facts, "us": known})
        return known


class Latency:
    """What an inference takes, in microseconds, of which units are gone: a cost for `prune_channels`.

    whole_us: of the file of the whole model, measured. explained: the share of it that the layers alone come to.
    """

    def __init__(self, times: LayerTimes, whole_us: float, multiple_of: int | None = None):
        self.times, self.whole_us, self.multiple = times, whole_us, multiple_of or 1
        self._of: dict[int, list[_Timed]] = {}
        self._scale: dict[int, float] = {}
        self._anatomies: list[Anatomy] = []
        self.explained = 0.0

    def __call__(self, cut: Cut) -> float:
        """Return the predicted microseconds."""
        anatomy = cut.anatomy
        if id(anatomy) not in self._of:
            self._anatomies.append(anatomy)  # held, so that no other one gets its id
            self._of[id(anatomy)] = self._prepared(anatomy)
            alone = self._sum(Cut(anatomy))
            if not alone > 0:
                raise EdgewrightError("no layer of the model could be timed alone: give another budget than latency")
            if not self._scale:  # the first is the model whose time was measured
                self._scale[0] = self.whole_us / alone
                self.explained = alone / self.whole_us
        return self._scale[0] * self._sum(cut)

    def _prepared(self, anatomy: Anatomy) -> list[_Timed]:
        flow = flow_of(anatomy.graph)
        free = frozenset().union(*(group.classes for group in anatomy.groups)) if anatomy.groups else frozenset()
        widths = [Widths(operator, flow, anatomy, free, self.multiple) for operator in flow.operators]
        layers: dict[str, Callable[[], keras.Model]] = {_key(NOTHING, self.times.precision): _nothing}
        for each in widths:
            for sizes in each.grid():
                layers.setdefault(each.key(sizes, self.times.precision), each.maker(sizes))
        known = self.times.of(layers)
        overhead = known.get(_key(NOTHING, self.times.precision), 0.0)
        return [timed for each in widths if (timed := _timed(each, known, overhead, self.times.precision)) is not None]

    def _sum(self, cut: Cut) -> float:
        return sum(timed(cut) for timed in self._of[id(cut.anatomy)])


class Widths:
    """An operator with its dimensions that lose channels, and the models of it alone."""

    def __init__(self, operator: Operator, flow: Flow, anatomy: Anatomy, free: frozenset[int], multiple: int):
        self.operator, self.flow, self.anatomy, self.multiple = operator, flow, anatomy, multiple
        self.axes: dict[bytes, np.ndarray] = {}
        self.shapes: dict[int, tuple[int | bytes, ...]] = {}
        for leaf in (*operator.node.inputs, *operator.node.outputs):
            self.shapes[id(leaf)] = tuple(self._sizes(leaf, free))

    def _sizes(self, leaf: Tensor, free: frozenset[int]) -> Iterator[int | bytes]:
        axes = self.anatomy.table.of.get(id(leaf)) or [None] * len(leaf.shape)
        for size, axis in zip(leaf.shape, axes, strict=True):
            classes = None if axis is None else self.anatomy.class_of(axis)
            if axis is None or classes is None or free.isdisjoint(classes.tolist()) or self._many(classes):
                yield size or 1
                continue
            self.axes.setdefault(classes.tobytes(), axis)
            yield classes.tobytes()

    def _many(self, classes: np.ndarray) -> bool:
        """Tell whether a further dimension would make the grid too large: it stays as it is."""
        return classes.tobytes() not in self.axes and len(self.axes) >= MOST_DIMENSIONS

    def points(self) -> list[list[int]]:
        """Return the widths at which each dimension is timed."""
        shares = WIDTHS.get(len(self.axes), FEW_WIDTHS)
        return [
            sorted({min(len(axis), self.multiple * math.ceil(share * len(axis) / self.multiple)) for share in shares})
            for axis in self.axes.values()
        ]

    def grid(self) -> list[Sizes]:
        """Return the combinations of widths that are timed."""
        return list(product(*self.points()))

    def sizes(self, cut: Cut) -> Sizes:
        """Return the widths that are left."""
        left = [cut.left_of(axis) for axis in self.axes.values()]
        return tuple(len(axis) if kept is None else len(kept)
                     for axis, kept in zip(self.axes.values(), left, strict=True))  # fmt: skip

    def shape(self, leaf: Tensor, sizes: Sizes) -> tuple[int, ...]:
        """Return the shape that a tensor has at such widths."""
        of = dict(zip(self.axes, sizes, strict=True))
        return tuple(of[size] if isinstance(size, bytes) else size for size in self.shapes[id(leaf)])

    def key(self, sizes: Sizes, precision: str) -> str:
        """Return what tells a layer from others: kind, precision, what is static of it, shapes; weights in brackets."""
        node = self.operator.node
        shapes = []
        for leaf in node.inputs:
            shape = "x".join(map(str, self.shape(leaf, sizes)))
            shapes.append(f"{leaf.dtype} {shape}" if self.flow.is_computed(leaf) else f"[{leaf.dtype} {shape}]")
        results = ["x".join(map(str, self.shape(leaf, sizes))) for leaf in node.outputs]
        return _key(f"{node.op_type} {_static(node)} {', '.join(shapes)} > {', '.join(results)}", precision)

    def maker(self, sizes: Sizes) -> Callable[[], keras.Model]:
        """Return what makes a model of the operator alone."""
        return lambda: self.model(sizes)

    def model(self, sizes: Sizes) -> keras.Model:
        """Return the operator alone, with made-up weights, for one sample."""
        node = self.operator.node
        layer = _Alone(node, {id(leaf): self.shape(leaf, sizes) for leaf in node.inputs}, self.operator.reads)
        inputs = [keras.Input(batch_shape=self.shape(leaf, sizes), dtype=leaf.dtype) for leaf in self.operator.reads]
        return keras.Model(inputs if len(inputs) > 1 else inputs[0], layer(inputs), name="layer")


class _Alone(keras.layers.Layer):
    """One operation of a traced graph, on weights of its own."""

    def __init__(self, node: Node, shapes: Mapping[int, tuple[int, ...]], reads: Sequence[Tensor]):
        super().__init__()
        self.node, self.reads = node, list(reads)
        computed = {id(leaf) for leaf in reads}
        self.own: dict[int, Any] = {}
        for leaf in dict.fromkeys(node.inputs):
            if id(leaf) not in computed:
                self.own[id(leaf)] = self._weight(leaf, shapes[id(leaf)])

    def _weight(self, leaf: Tensor, shape: tuple[int, ...]) -> Any:
        if not leaf.dtype.startswith("float"):  # where to read, how much to pad: what it says counts
            return leaf.value
        return self.add_weight(shape=shape, dtype=leaf.dtype, initializer=keras.initializers.RandomNormal(0, 0.1, 0))

    def call(self, inputs: Any) -> Any:
        """Run the operation."""
        values = {**self.own, **{id(leaf): value for leaf, value in zip(self.reads, inputs, strict=True)}}
        if not any(isinstance(value, keras.KerasTensor) for value in inputs):
            made = self.node.run(lambda leaf: values[id(leaf)], batch=1)
            return made if len(made) > 1 else made[0]
        args, kwargs = tree.map_structure(
            lambda leaf: values[id(leaf)] if isinstance(leaf, Tensor) else leaf, (self.node.args, self.node.kwargs)
        )
        return self.node.op(*args, **kwargs)


@dataclass(eq=False)
class _Timed:
    """An operator whose times are known at a grid of widths."""

    widths: Widths
    between: Callable[[Sizes], float]
    least: float
    known: dict[Sizes, float] = field(default_factory=dict)

    def __call__(self, cut: Cut) -> float:
        sizes = self.widths.sizes(cut)
        if sizes not in self.known:
            self.known[sizes] = max(self.least, self.between(sizes))
        return self.known[sizes]


def _timed(widths: Widths, known: Mapping[str, float], overhead: float, precision: str) -> _Timed | None:
    """Return the times of an operator, None where it cannot be timed alone."""
    values = [known.get(widths.key(sizes, precision)) for sizes in widths.grid()]
    if None in values:
        return None
    points = widths.points()
    times = np.maximum(np.array(values, float) - overhead, 0).reshape([len(each) for each in points])
    return _Timed(widths, interpolated(points, times), 0.1 * float(times.min()))


def interpolated(points: Sequence[Sequence[int]], times: np.ndarray) -> Callable[[Sizes], float]:
    """Return a function of widths that is linear in each between the points, and goes on so beyond them."""
    from scipy.interpolate import RegularGridInterpolator

    several = [axis for axis, each in enumerate(points) if len(each) > 1]
    if not several:
        alone = float(times.ravel()[0])
        return lambda sizes: alone
    grid = times.reshape([len(points[axis]) for axis in several])
    inside = RegularGridInterpolator([points[axis] for axis in several], grid, bounds_error=False, fill_value=None)  # pyright: ignore[reportArgumentType]
    return lambda sizes: float(inside([sizes[axis] for axis in several])[0])


def latency_of(model: keras.Model, config: ChannelConfig) -> Latency:
    """Return the cost of a budget of latency: the table of `config.device`, and the measured time of `model` there."""
    with saved({"whole": exported(model, config.precision)}) as files:
        facts = described(files["whole"][0], device=config.device)
        whole = timed_in_turns(files, device=config.device)["whole"]
    times = LayerTimes(facts, lambda given: timed_in_turns(given, device=config.device), config.precision)
    return Latency(times, float(np.median(whole)), config.multiple_of)


def measured(before: keras.Model, after: keras.Model, config: ChannelConfig) -> tuple[float, float]:
    """Return the microseconds of two models on the device, timed in turns."""
    artifacts = {"before": exported(before, config.precision), "after": exported(after, config.precision)}
    with saved(artifacts) as files:
        times = timed_in_turns(files, device=config.device)
    return float(np.median(times["before"])), float(np.median(times["after"]))


@contextmanager
def saved(artifacts: Mapping[str, Artifact]) -> Iterator[dict[str, tuple[Path, Any]]]:
    """Yield the paths of files, for as long, with samples that they take."""
    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
        yield {name: (artifact.save(Path(folder, f"{name}.tflite")), made_up(artifact))
               for name, artifact in artifacts.items()}  # fmt: skip


def exported(model: keras.Model, precision: str) -> Artifact:
    """Return the TFLite file of a model, calibrated on made-up samples: times do not depend on them."""
    if precision == "float32":
        return export_tflite(model, precision="float32")
    random = np.random.default_rng(0)
    samples = [_numbers(random, (SAMPLES if leaf.shape[0] is None else leaf.shape[0], *leaf.shape[1:]), leaf.dtype)
               for leaf in keras.tree.flatten(model.inputs)]  # fmt: skip
    calibration: Any = samples[0] if len(samples) == 1 else samples
    return export_tflite(model, precision=f"{precision}-ptq", calibration=calibration, integer_io="int8")


def made_up(artifact: Artifact) -> Any:
    """Return samples for a file: an array, or of several inputs a dict by name."""
    random = np.random.default_rng(0)
    inputs = {entry["name"]: _numbers(random, (SAMPLES, *entry["shape"][1:]), str(entry["dtype"]))
              for entry in artifact.manifest["inputs"]}  # fmt: skip
    return next(iter(inputs.values())) if len(inputs) == 1 else inputs


def _numbers(random: np.random.Generator, shape: Sequence[int | None], dtype: str) -> np.ndarray:
    sizes = [size or 1 for size in shape]
    if dtype.startswith(("float", "int8", "int16", "uint8")):
        return random.normal(size=sizes).astype(np.float32)
    return np.zeros(sizes, dtype)


def _nothing() -> keras.Model:
    given = keras.Input(batch_shape=(1, 1))
    return keras.Model(given, keras.layers.ReLU()(given), name="nothing")


def _key(what: str, precision: str) -> str:
    return f"{precision} {what}"


def _static(node: Node) -> str:
    """Return what of an operation is no tensor, in words."""
    own = {name: value for name, value in sorted(vars(node.op).items())
           if not name.startswith("_") and name not in ("name", "dtype", "built")
           and isinstance(value, (str, int, float, bool, tuple, list, type(None)))}  # fmt: skip
    args = keras.tree.map_structure(lambda leaf: "." if isinstance(leaf, Tensor) else leaf, (node.args, node.kwargs))
    return f"{own} {args}"


__all__ = ["Latency", "LayerTimes", "latency_of", "measured"]
