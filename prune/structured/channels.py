"""Structured pruning in one call: find what goes together, choose, and build the model again without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from ...backends import computed
from ...ends import input_names, symbolic_inputs
from ...errors import BadInput, EdgewrightError
from ...quantize.graph.nodes import Graph
from ...quantize.graph.tracing import trace_calls
from ...untyped import ops, tree
from ...vocabulary import vocabularies
from ..inside import refuse_unfinished
from .config import ChannelConfig, ChannelReport, CutGroup
from .cost import Cost, counted_by, peak_bytes
from .cut import Cut, Mask, run
from .importance import Batches, importance
from .parts import Part, parts_of
from .rebuild import Builder
from .selection import Plan, Selection, among
from .solve import Recipe, Solver
from .units import Anatomy, Group, place

SIZE = 16  # for what a model leaves open
MANY = 20_000_000  # values of a model beyond which one sample is enough to compare by
APART = 1e-3  # of the largest output: more than rounding, the model is another


def prune_channels(
    model: keras.Model, config: ChannelConfig | None = None, *, samples: Any = None, cost: Cost | None = None,
    batches: Batches | None = None, since: ChannelReport | None = None,
) -> tuple[keras.Model, ChannelReport]:  # fmt: skip
    """Return a smaller model without its least important channels, heads and units, and a report. `model` is untouched.

    What is returned is an ordinary Keras model with the same inputs, outputs and names of layers: it computes what
    `model` does with zeros in place of what is gone. A group that a layer cannot lose stays, and the report says why.
    samples: arrays as the model takes them, needed by the criteria "activation" and "taylor". batches: for "taylor",
    pairs of inputs and a function of the outputs that is the loss of these samples; without it the loss is half the
    outputs' mean square. cost: what the budgets `bytes` and `latency` count of a `Cut`. since: the report of earlier
    steps; shares are of what was there before them, and reports are merged.
    Raises: BadInput if the model cannot be traced or the budget cannot be met; WrongOrder if `model` is being pruned or
    is quantization-aware.
    """
    refuse(model, "prune_channels")
    config = config or ChannelConfig(channels=0.5)
    counted = counted_by(config, cost)
    given = None if samples is None else in_order(model, samples)
    for step in config.in_steps():
        model, since = _Surgery(model, step, given, counted, batches, since).operate()
    assert since is not None
    return model, since


class _Surgery:
    """One model under one configuration."""

    def __init__(
        self, model: keras.Model, config: ChannelConfig, samples: list[np.ndarray] | None, cost: Cost | None,
        batches: Batches | None, since: ChannelReport | None,
    ):  # fmt: skip
        self.model, self.config, self.since = model, config, since
        trace = trace_calls(model)
        self.anatomy = Anatomy(trace)
        self.parts = parts_of(model, trace)
        self.parts_of_class = self._index()
        scores = importance(self.anatomy, model, config, samples, batches)
        self.selection = Selection(self.anatomy, scores, config, cost=cost, since=since)
        self.inputs = few(model, samples, trace.graph.nodes)
        self._solver: Solver | None = None
        self.recipes: dict[tuple, Recipe | None] = {}

    @property
    def solver(self) -> Solver:
        """What solves for parts, with the values that go into them on a few samples."""
        if self._solver is None:
            wanted = {id(leaf) for part in self.parts.values() for leaf in part.inputs}
            values = run(self.anatomy.graph, self.inputs, kept=wanted)
            operations = [part.operation for part in self.parts.values()]
            self._solver = Solver(operations, values, self.anatomy.trace.weights)
        return self._solver

    def operate(self) -> tuple[keras.Model, ChannelReport]:
        """Choose, see what the layers can lose, choose again until all of it fits, and build."""
        while True:
            plan = self.selection.plan()
            cut = self.selection.cut(plan)
            failed = next((part for part in self._touched(cut) if self._solve(part, cut) is None), None)
            if failed is None:
                break
            self._adjust(failed, plan)
        recipes = {id(part.operation): self._solve(part, cut) for part in self._touched(cut)}
        known = {key: recipe for key, recipe in recipes.items() if recipe}
        made = Builder(known, lambda layer: self.solver.left_of(layer, cut)).build(self.model)
        return made, self._report(made, plan, cut)

    def _index(self) -> dict[int, list[Part]]:
        """Return the parts that have to do with each class."""
        index: dict[int, list[Part]] = {}
        for part in self.parts.values():
            axes = {id(axis): axis for leaf in part.tensors for axis in self.anatomy.table.of.get(id(leaf), ())
                    if axis is not None}  # fmt: skip
            if axes:
                classes = np.unique(np.concatenate([self.anatomy.class_of(axis) for axis in axes.values()]))
                for each in classes.tolist():
                    index.setdefault(each, []).append(part)
        return index

    def _touched(self, cut: Cut) -> list[Part]:
        touched = {id(part) for each in np.flatnonzero(cut.gone).tolist() for part in self.parts_of_class.get(each, ())}
        return [part for part in self.parts.values() if id(part) in touched]

    def _solve(self, part: Part, cut: Cut) -> Recipe | None:
        left = [leaf for tensor in part.tensors for leaf in cut.left(tensor)]
        key = (id(part), *(None if each is None else each.tobytes() for each in left))
        if key not in self.recipes:
            alone = [Cut(self.anatomy, [each]) for each in cut.chosen if self._has(part, each[0])]
            singly = (lambda: [self._solve(part, each) for each in alone]) if len(alone) > 1 else None
            self.recipes[key] = self.solver.solve(part, cut, singly=singly)
        return self.recipes[key]

    def _has(self, part: Part, group: Group) -> bool:
        return any(part in self.parts_of_class.get(each, ()) for each in group.units[0])

    def _adjust(self, part: Part, plan: Plan) -> None:
        """Let the groups that `part` cannot lose so lose as many as each other, or else nothing."""
        concerned = {number for number in plan if self._has(part, self.anatomy.groups[number])}
        able = {number for number in concerned if self._solves(part, among(plan, {number}))}
        for size in {len(self.anatomy.groups[number]) for number in concerned - able}:
            alike = {number for number in concerned if len(self.anatomy.groups[number]) == size}
            few = min(len(plan[number]) for number in alike)
            if len(alike) > 1 and self._solves(part, {number: plan[number][:few] for number in alike}):
                able |= alike
                if alike not in self.selection.alike:
                    self.selection.alike.append(alike)
                    return
        unable = concerned - able or concerned
        why = f"{part.title} cannot be built so that it computes the same without them"
        for other in self._like(part):
            roles = {self._role(number, part) for number in unable}
            unable |= {number for number in plan if self._role(number, other) in roles}
        self.selection.refused.update(dict.fromkeys(unable, why))

    def _like(self, part: Part) -> list[Part]:
        """Return the parts of the same class that are traced alike: what one of them cannot lose, none can."""
        kind, count = type(part.operation), len(part.tensors)
        return [other for other in self.parts.values() if type(other.operation) is kind and len(other.tensors) == count]

    def _role(self, number: int, part: Part) -> frozenset[tuple[int, int, int]]:
        """Return where in a part, and in how many units, a group lies; nothing tells apart groups that lie nowhere."""
        group = self.anatomy.groups[number]
        if not self._has(part, group):
            return frozenset({(-1, number, id(part))})
        return frozenset(
            (index, axis, len(group))
            for index, leaf in enumerate(part.tensors)
            for axis, classes in enumerate(self.anatomy.axes_of(leaf))
            if classes is not None and not group.classes.isdisjoint(classes.tolist())
        )

    def _solves(self, part: Part, plan: Plan) -> bool:
        return self._solve(part, self.selection.cut(plan)) is not None

    def _report(self, made: keras.Model, plan: Plan, cut: Cut) -> ChannelReport:
        groups = tuple(self._row(number, plan) for number in range(len(self.anatomy.groups)))
        left = tuple((row.name, row.size, row.reason) for row in self.anatomy.left())
        whole, since = Cut(self.anatomy), self.since
        peaks = [float(peak_bytes(each, self.config.precision)) for each in (whole, cut)]
        costs = {"memory": (peaks[0], peaks[1])}
        if self.selection.cost is not None and self.config.budget[0] not in ("macs", "parameters"):
            costs[self.config.budget[0]] = (self.selection.cost(whole), self.selection.cost(cut))
        if since is not None:
            costs = {name: (since.costs.get(name, pair)[0], pair[1]) for name, pair in costs.items()}
        return ChannelReport(
            groups=groups,
            left=left,
            macs=(whole.macs() if since is None else since.macs[0], cut.macs()),
            parameters=(self.model.count_params() if since is None else since.parameters[0], made.count_params()),
            deviation=apart(self.model, made, self.anatomy.graph, self.inputs, cut),
            share=self.selection.share,
            costs=costs,
        )

    def _row(self, number: int, plan: Plan) -> CutGroup:
        group, before = self.anatomy.groups[number], self.selection.sizes[number]
        left = len(group) - len(plan.get(number, ()))
        reason = self.selection.refused.get(number, "")
        if left == before and not reason and number not in self.selection.open_groups():
            reason = "another group goes through the same weights and is cut instead"
        weights = tuple(place(self.anatomy.tensors[tensor], axis) for tensor, axis in group.index)
        return CutGroup(group.name, before, left, weights, reason)


def apart(model: keras.Model, made: keras.Model, graph: Graph, inputs: list[np.ndarray], mask: Mask) -> float:
    """Return how far `made` is from the masked `model`, as a share of the largest output.

    Raises: EdgewrightError if it is another model.
    """
    values = run(graph, inputs, mask)
    given = tree.pack_sequence_as(symbolic_inputs(made), [ops.convert_to_tensor(each) for each in inputs])
    results = tree.flatten(computed(lambda: made(given, training=False)))
    furthest = 0.0
    for leaf, got in zip(graph.outputs, results, strict=True):
        want = values[id(leaf)].astype(np.float64)
        size = float(np.abs(want).max(initial=0.0)) or 1.0
        furthest = max(furthest, float(np.abs(np.asarray(ops.convert_to_numpy(got)) - want).max(initial=0.0)) / size)
    if not furthest <= APART:
        raise EdgewrightError(
            f"model {model.name!r} computes something else when built without what goes (by {furthest:.1e} of the "
            "largest output): let skip= of its config name the layers of your own, and report this"
        )
    return furthest


def in_order(model: keras.Model, samples: Any) -> list[np.ndarray]:
    """Return samples as arrays in the order of the model's inputs, of which a dict tells the names."""
    leaves = tree.flatten(symbolic_inputs(model))
    names = input_names(model)
    given = [samples[name] for name in names] if isinstance(samples, Mapping) else tree.flatten(samples)
    if len(given) != len(leaves):
        raise BadInput(f"samples: {len(given)} arrays for model {model.name!r} of {len(leaves)} inputs; give one each")
    return [np.asarray(each).astype(leaf.dtype) for each, leaf in zip(given, leaves, strict=True)]


def few(model: keras.Model, samples: list[np.ndarray] | None, nodes: Sequence[Any]) -> list[np.ndarray]:
    """Return a few samples to compare by, made up if none are given."""
    size = sum(np.prod([each or 1 for each in out.shape]) for node in nodes for out in node.outputs)
    count = 1 if size > MANY else 2
    leaves = tree.flatten(symbolic_inputs(model))
    if samples is not None:
        return [each[:count] for each in samples]
    random = np.random.default_rng(0)
    tables = list(vocabularies(model, guess=True).values())
    return [_made_up(leaf, table, count, random) for leaf, table in zip(leaves, tables, strict=True)]


def _made_up(leaf: Any, table: int | None, count: int, random: np.random.Generator) -> np.ndarray:
    shape = (count, *(size or SIZE for size in leaf.shape[1:]))
    if keras.backend.is_float_dtype(leaf.dtype) and table is None:
        return random.normal(size=shape).astype(leaf.dtype)
    return random.integers(0, table or 2, shape).astype(leaf.dtype)


def refuse(model: keras.Model, verb: str) -> None:
    refuse_unfinished(model, verb, "prepare_qat(smaller, calibration=samples)")
    if not getattr(model, "built", True):
        raise BadInput(f"model {model.name!r} has no weights yet: call it once")


__all__ = ["apart", "few", "in_order", "prune_channels", "refuse"]
