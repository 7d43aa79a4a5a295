"""A step network that takes over what a sequence network learned: its weights, and its quantizers with their ranges.

Both are models of their own; what is alike in them has the same path of layer names. A recurrence and its cell are one
place: the step may call the cell, by the name of the layer that runs it over sequences.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import keras

from ..copies import copy_model, copy_state
from ..ends import input_names, output_names
from ..errors import BadInput, nearest
from ..keras_internals import layers_in
from ..untyped import tree
from .config import QatConfig
from .conversions import Conversion
from .graph.nodes import Graph, Node, Tensor
from .graph.tracing import symbolic_inputs
from .layer import QuantizedGraph, Unsaved
from .operators import rule_for
from .placement import REQUANTIZE, Plan, Scale
from .planning import make_plan
from .prepare import as_model, find_quantized, source_of

States = Sequence[tuple[int, int]]  # numbers of inputs, and of the outputs that become them in the next call


class UnlikeLayer(BadInput):
    """A layer of the step that the sequence network has not, or has with other weights."""

    def __init__(self, layer: str, message: str):
        super().__init__(message)
        self.layer = layer


def derive(step: keras.Model, trained: keras.Model, states: Mapping[str, str] | None = None) -> keras.Model:
    """Return a copy of `step`, a network of one time step, with the weights of `trained` by layer path.

    If `trained` is quantization-aware so is the copy: with its configuration, masks, clusters and ranges. states: the
    outputs of the step by name, and the inputs that they become in the next call; by default the inputs that `trained`
    has not, which come last, as its last outputs do. Any other input is one of `trained` of the same name, or what its
    layer of that name makes.
    Raises: BadInput naming the layer, and both shapes, where the two do not match.
    """
    layer = find_quantized(trained)
    if layer is None:
        list(counterparts(step, trained))  # refuses what does not match
        made = copy_model(step)
        take_weights(made, trained)
        return made
    if layer.config.recurrence != "unrolled":
        raise BadInput(
            f"model {trained.name!r} keeps its states inside fused operators: prepare it with recurrence='unrolled'"
        )
    source = source_model(layer)
    list(counterparts(step, source))  # refuses what does not match
    carried = _carried(step, states, len(layer.plan.graph.inputs))
    return as_model(_quantized(layer, source, step, carried), step, symbolic_inputs(step))


def source_model(layer: QuantizedGraph) -> keras.Model:
    """Return the float model that was prepared, without what it learned.

    Raises: BadInput if it has no configuration to be built from.
    """
    if isinstance(layer.source, Unsaved):
        raise BadInput(
            f"model {layer.name!r} cannot be taken to steps: {layer.source.reason} Give each layer of your own a "
            "get_config() that returns what its __init__ takes"
        )
    return keras.saving.deserialize_keras_object(copy.deepcopy(layer.source))


# ---------------------------------------------------------------- weights


def take_weights(step: keras.Model, sequence: keras.Model) -> None:
    """Give `step` the weights of `sequence` by layer path, in place.  Raises: BadInput as `derive` does."""
    for theirs, ours in counterparts(step, sequence):
        copy_state(theirs, ours)


def counterparts(step: keras.Model, sequence: keras.Model) -> Iterator[tuple[keras.Layer, keras.Layer]]:
    """Yield the layers with weights of `sequence` and of `step` that have the same path.

    Raises: BadInput as `derive` does.
    """
    theirs = {layer.name: layer for layer in sequence.layers}
    for layer in step.layers:
        if not layer.weights:
            continue
        other = theirs.get(layer.name)
        if other is None:
            raise UnlikeLayer(
                layer.name,
                f"layer {layer.name!r} of step {step.name!r}, with weights of shapes {_shapes(layer)}, is no layer of "
                f"model {sequence.name!r}: name the layers of both alike; {nearest(layer.name, sorted(theirs))}",
            )
        if isinstance(layer, keras.Model) and isinstance(other, keras.Model):
            yield from counterparts(layer, other)
            continue
        ours, other = _cells(layer, other)
        if _shapes(ours) != _shapes(other):
            raise UnlikeLayer(
                layer.name,
                f"layer {layer.name!r} of step {step.name!r} has weights of shapes {_shapes(ours)}, that of model "
                f"{sequence.name!r} {_shapes(other)}: build both with the same arguments",
            )
        yield other, ours


def _cells(ours: Any, theirs: Any) -> tuple[Any, Any]:
    """Return the cells of recurrences where one of the two is called as a cell, or another recurrence runs it."""
    if type(ours) is type(theirs):
        return ours, theirs
    ours, theirs = (layer.cell if isinstance(layer, keras.layers.RNN) else layer for layer in (ours, theirs))
    return ours, theirs


def _shapes(layer: keras.Layer) -> str:
    return ", ".join(f"{weight.name} {tuple(weight.shape)}" for weight in layer.weights)


# ---------------------------------------------------------------- quantizers


def _carried(step: keras.Model, states: Mapping[str, str] | None, own: int) -> list[tuple[int, int]]:
    """Return the states as numbers of inputs and outputs.  own: how many inputs the sequence network has."""
    inputs = tree.flatten(symbolic_inputs(step))
    outputs = step.outputs
    if states is not None:
        names = input_names(step), output_names(step, len(outputs))
        for given, known, what in ((states.values(), names[0], "input"), (states, names[1], "output")):
            if missing := [name for name in given if name not in known]:
                raise BadInput(
                    f"states: {missing[0]!r} is no {what} of step {step.name!r}; it has {', '.join(map(repr, known))}"
                )
        pairs = [(names[0].index(given), names[1].index(new)) for new, given in states.items()]
    else:
        count = len(inputs) - own
        pairs = [(own + index, len(outputs) - count + index) for index in range(max(0, count))]
    for given, new in pairs:
        if new < 0 or tuple(inputs[given].shape) != tuple(outputs[new].shape):
            made = "nothing" if new < 0 else f"an output of shape {tuple(outputs[new].shape)}"
            raise BadInput(
                f"states: input {inputs[given].name!r} of step {step.name!r}, of shape {tuple(inputs[given].shape)}, "
                f"would become {made} in the next call: give states={{output: input}} by name"
            )
    return pairs


class _Places:
    """Where things are, in words that a step and its sequence share: paths without the cells of recurrences."""

    def __init__(self, model: keras.Model, graph: Graph, carried: States = ()):
        self.graph = graph
        self._short: dict[str, str] = {}
        self._shorten(model, "", "")
        states = {given for given, _ in carried}
        self._made_by = {id(graph.inputs[given]): graph.outputs[new].producer for given, new in carried}
        self.inputs = [leaf for index, leaf in enumerate(graph.inputs) if index not in states]

    def _shorten(self, holder: keras.Layer, path: str, short: str) -> None:
        for layer in layers_in(holder, itself=False, deep=False):
            inner = f"{path}/{layer.name}".lstrip("/")
            place = short if isinstance(holder, keras.layers.RNN) else f"{short}/{layer.name}".lstrip("/")
            self._short[inner] = place
            self._shorten(layer, inner, place)

    def of(self, node: Node) -> str:
        """Return the place of a node."""
        parts = node.origin.split("/")
        for count in range(len(parts) - 1, 0, -1):
            layer = "/".join(parts[:count])
            if layer in self._short:
                return "/".join([self._short[layer], *parts[count:]])
        return node.origin

    def way(self, node: Node) -> Iterator[Node]:
        """Yield a node, and while one only passes values on, what it has them from: of a state, the call before.

        What only changes their bits is passed over.
        """
        seen: set[int] = set()
        following: Node | None = node
        while following is not None and id(following) not in seen:
            seen.add(id(following))
            if following.op_type != REQUANTIZE.op_type:
                yield following
            given = following.inputs[0] if _passes_on(following) else None
            following = given and (given.producer or self._made_by.get(id(given)))

    def constants(self) -> dict[tuple[str, int], str]:
        """Map where constants are read to their names, which depend on the building."""
        return {
            (self.of(node), position): leaf.name
            for node in self.graph.nodes
            for position, leaf in enumerate(node.inputs)
            if leaf.is_constant
        }

    def origins(self, scale: Scale) -> list[tuple[str, int | str]]:
        """Return where the tensors of a scale come from."""
        inputs = {id(leaf): index for index, leaf in enumerate(self.inputs)}
        places: list[tuple[str, int | str]] = []
        for leaf in scale.tensors:
            if leaf.producer is not None:
                places.append((self.of(leaf.producer), leaf.producer.outputs.index(leaf)))
            elif id(leaf) in inputs:
                places += [("input", leaf.name), ("made", leaf.name), ("input", inputs[id(leaf)])]
        return places

    def converted(self, scale: Scale) -> Iterator[tuple[str, int]]:
        """Yield where else values that only change their bits may be known: those of a state are what became it."""
        for node in (leaf.producer for leaf in scale.tensors):
            if node is None or node.op_type != REQUANTIZE.op_type:
                continue
            conversion, makers = Conversion.read(node.origin), [self.of(each) for each in self.way(node)]
            alike = [str(conversion.after(maker)) for maker in makers] if conversion.bits else []
            yield from ((place, 0) for place in (*alike, *makers))

    def made(self) -> dict[tuple[str, int | str], Tensor]:
        """Return what each layer of the model makes: the last of its tensors."""
        return {("made", self.of(node).partition("/")[0]): node.output for node in self.graph.nodes}


def _quantized(trained: QuantizedGraph, source: keras.Model, step: keras.Model, carried: States) -> QuantizedGraph:
    """Return the quantized graph of `step`, with the weights, masks and ranges of `trained`."""
    config = _config_for(trained, source, step, carried)
    plan = make_plan(step, config, carried)
    ours, theirs = _Places(step, plan.graph, carried), _Places(source, trained.plan.graph)
    names = _named_alike(ours, theirs)
    layer = QuantizedGraph(
        source=source_of(step),
        config=asdict(config),
        masked=[own for own, name in names.items() if name in trained.masked],
        clustered={own: trained.clustered[name] for own, name in names.items() if name in trained.clustered},
        carried=carried,
        symmetric=_symmetric_there(plan, trained, names),
        plan=plan,
        name=f"{step.name}_int8",
    )
    numbers = {leaf.name for leaf in plan.graph.constants if not leaf.trainable}
    numbers -= {weight.path.replace("/", ".") for weight in step.weights}
    for kind in ("weight_of", "mask_of", "cluster_of", "factor_of"):
        for own, variable in getattr(layer, kind).items():
            if names[own] is not None or own not in numbers:  # positions to compare with are the step's own
                _assign(variable, getattr(trained, kind), names[own], own)
    _take_ranges(layer, ours, trained, theirs)
    return layer


def _named_alike(ours: _Places, theirs: _Places) -> dict[str, str | None]:
    """Return the names of the constants of a step, and what each is called in the sequence; None where it is in none.

    A constant is known by where it is read, or else a weight by its path: a table of positions is added as a whole by a
    sequence, and looked up by a step.
    """
    known, shapes = theirs.constants(), {leaf.name: leaf.shape for leaf in theirs.graph.constants}
    own = {leaf.name: leaf for leaf in ours.graph.constants}
    names: dict[str, str | None] = {}
    for use, name in ours.constants().items():
        by_path = name if own[name].trainable and shapes.get(name) == own[name].shape else None
        by_use = known.get(use)
        if by_use is not None and not own[name].trainable and shapes[by_use] != own[name].shape:
            by_use = None
        names[name] = names.get(name) or by_use or by_path
    return names


def _symmetric_there(plan: Plan, trained: QuantizedGraph, names: Mapping[str, str | None]) -> list[str]:
    """Return the scales of constants that lie around zero in the sequence, where something asks for that that the step
    has not: an output layer, of a table that it only looks up.
    """
    scales = trained.plan.distinct_scales
    there = {leaf.name for scale in scales if scale.symmetric for leaf in scale.tensors if leaf.is_constant}
    return [
        scale.name
        for scale in plan.distinct_scales
        if scale.source == "values" and any(names.get(leaf.name) in there for leaf in scale.tensors if leaf.is_constant)
    ]


def _config_for(trained: QuantizedGraph, source: keras.Model, step: keras.Model, carried: States) -> QatConfig:
    """Return the configuration that gives each operation of `step` the precision of its like in `trained`.

    Names and types of layers may mean others here, and so may the places that were kept in float. What `trained` has
    no like of, as the reshaping of a state that comes in, is done as precisely as what made its values.
    """
    config = replace(trained.config, kept={})
    graph = make_plan(step, config).graph
    ours, theirs = _Places(step, graph, carried), _Places(source, trained.plan.graph)
    chosen, choose = trained.config.chooser(source, trained.plan.graph), config.chooser(step, graph)
    likes = {theirs.of(node): node for node in trained.plan.graph.nodes}
    kept, by_name = {}, {}
    for node in (each for each in graph.nodes if each.op_type != REQUANTIZE.op_type):
        known = (likes.get(ours.of(each)) for each in ours.way(node))
        like = next(filter(None, known), None)
        if like is None or (wanted := chosen(like))[0] == choose(node)[0]:
            continue
        if wanted[0] is None:
            kept[node.scope] = wanted[1]
        else:
            by_name[node.scope] = wanted[0]
    return replace(config, kept=kept, by_name={**by_name, **config.by_name})


def _passes_on(node: Node) -> bool:
    rule = rule_for(node)
    return node.op_type == REQUANTIZE.op_type or (rule is not None and rule.passthrough)


def _take_ranges(layer: QuantizedGraph, ours: _Places, trained: QuantizedGraph, theirs: _Places) -> None:
    known = {
        bits: _names_of_ranges(trained, theirs, bits) for bits in {each.bits for each in layer.plan.distinct_scales}
    }
    prescribed = {scale.name: scale.fixed.range(scale.bits) for scale in trained.plan.distinct_scales if scale.fixed}
    for scale in layer.plan.distinct_scales:
        names, alone = known[scale.bits]
        origins = [*ours.origins(scale), *ours.converted(scale)]
        name = next((names[origin] for origin in origins if origin in names), None)
        name = name or next((alone[origin] for origin in map(_any_call, origins) if origin in alone), None)
        if name in prescribed and scale.name in layer.range_of:  # by the operator that makes a first state, say
            layer.range_of[scale.name].assign(prescribed[name])
            continue
        for kind in ("range_of", "width_of"):
            if scale.name in getattr(layer, kind):
                _assign(getattr(layer, kind)[scale.name], getattr(trained, kind), name, scale.name)


def _names_of_ranges(
    trained: QuantizedGraph, theirs: _Places, bits: int
) -> tuple[dict[tuple[str, int | str], str], dict[tuple[str, int | str], str]]:
    """Return the scales of `trained` by what they are of, and by that without the number of a call.

    Of a place that has two scales, as where the first step of a recurrence is another operator, that of `bits`.
    """
    scales = sorted(trained.plan.distinct_scales, key=lambda scale: scale.bits == bits)
    names = {origin: scale.name for scale in scales for origin in theirs.origins(scale)}
    # An input of the step that the sequence makes itself, as a decoder's memory, is called as the layer that makes it.
    made = {origin: trained.plan.scale_of(tensor) for origin, tensor in theirs.made().items()}
    names |= {origin: scale.name for origin, scale in made.items() if scale is not None}
    return names, _of_one_call(names)


def _any_call(origin: tuple[str, int | str]) -> tuple[str, int | str]:
    """Return the place of an operation without the number of the call of its layer."""
    return re.sub(r"#\d+", "", origin[0]), origin[1]


def _of_one_call(names: Mapping[tuple[str, int | str], str]) -> dict[tuple[str, int | str], str]:
    """Return the scales of what one call of a layer computes and no other: a step calls a layer less often."""
    calls: dict[tuple[str, int | str], set[str]] = {}
    for origin, name in names.items():
        calls.setdefault(_any_call(origin), set()).add(name)
    return {origin: next(iter(called)) for origin, called in calls.items() if len(called) == 1}


def _assign(variable: Any, theirs: Mapping[str, Any], name: str | None, own: str) -> None:
    if name is None or name not in theirs:
        raise BadInput(f"{own} of the step has no counterpart in the sequence that was trained: it cannot be streamed")
    variable.assign(theirs[name])


__all__ = ["UnlikeLayer", "derive", "source_model", "take_weights"]
