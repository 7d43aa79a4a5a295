"""The ways to look at a network: each makes figures and pictures of the float net and the quantized one side by side.

All look at the same samples, and ask both nets about the same class: the one that the float net names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..errors import BadInput
from ..quantize.graph.nodes import Tensor
from ..untyped import ops
from . import attacks, attention, features, maps
from .net import Net
from .scores import confidence, predicted

SURE = 0.99  # of a class, above which a net is said to be
SHOWN = 8  # pictures a row


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is looked at.

    layer: the place inside, by the name of a layer; None for the method's own choice. unit: the channel of it. epsilon:
    how far each pixel is moved, as a share of the range of the samples. target: the class to be reached; None for the
    next one. seed: of what is drawn.
    """

    layer: str | None = None
    unit: int | None = None
    epsilon: tuple[float, ...] = (0.05, 0.1, 0.25)
    target: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.epsilon or not all(0 < each <= 1 for each in self.epsilon):
            raise BadInput(f"epsilon {self.epsilon}: give numbers above 0, up to 1: shares of the range of the samples")


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Both nets, samples (N, H, W, C) and their classes (N,)."""

    nets: tuple[Net, Net]
    x: np.ndarray
    y: np.ndarray

    @cached_property
    def named(self) -> np.ndarray:
        """The class that the float net names, (N,)."""
        return predicted(self.nets[0].answers(self.x))

    @property
    def classes(self) -> int:
        """How many there are."""
        return max(2, self.nets[0].logits.shape[-1] or 2)

    @property
    def range(self) -> tuple[float, float]:
        """The least and the most that a pixel is: [0, 1] for samples that lie there."""
        low, high = float(self.x.min()), float(self.x.max())
        return (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)

    def places(self, asked: Asked) -> tuple[Tensor, Tensor]:
        """Return the place that is asked for in both nets; by default the last feature maps.

        Raises: BadInput for a network without.
        """
        if asked.layer is not None:
            first, second = (net.place(asked.layer) for net in self.nets)
        else:
            for net in self.nets:
                if not net.maps:
                    raise BadInput(f"net {net.name!r} has no feature maps; take a convolutional net, or another method")
            first, second = (net.places[net.maps[-1]] for net in self.nets)
        if len(first.shape) != 4 or len(second.shape) != 4:
            raise BadInput(f"layer {asked.layer!r}: gives {first.shape[1:]}, no feature maps (h, w, c); allowed: "
                           f"{', '.join(self.nets[0].maps)}")  # fmt: skip
        return first, second


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A row of pictures: (N, H, W), (N, H, W, 1 or 3) or points (N, 2).

    kind: "image"; "map", from 0; "signed", about 0; "points", in the colours of `labels`.
    """

    title: str
    values: np.ndarray
    kind: str = "map"
    labels: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class Look:
    """What was found: of each net a value a sample, by the name of the figure and then of the net; and of both, values
    that compare them, by name. unit of all: a sample.
    """

    each: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)
    both: Mapping[str, np.ndarray] = field(default_factory=dict)
    pictures: Sequence[Picture] = ()
    note: str = ""


Method = Callable[[Pair, Asked], Look]
METHODS: dict[str, Method] = {}


def method(look: Method) -> Method:
    """Enter a method under the name of its function."""
    METHODS[look.__name__] = look
    return look


def rank_correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return Spearman's correlation of the maps of each sample, NaN where one is the same everywhere.

    Shapes: (N, ...) twice -> (N,).
    """
    from scipy.stats import rankdata

    ranks = [rankdata(maps.reshape(len(maps), -1), axis=1) for maps in (one, other)]
    first, second = (each - each.mean(1, keepdims=True) for each in ranks)
    length = np.sqrt((first**2).sum(1) * (second**2).sum(1))
    return np.where(length > 0, (first * second).sum(1) / np.where(length > 0, length, 1.0), np.nan)


def _compared(pair: Pair, found: Sequence[np.ndarray], kind: str = "map", note: str = "") -> Look:
    """Compare maps of both nets, and for the scale of it the float net's with those of the next sample."""
    agreement = rank_correlation(*found)
    chance = rank_correlation(found[0], np.roll(found[0], 1, axis=0))
    rows = [Picture(title=net.name, values=values[:SHOWN], kind=kind)
            for net, values in zip(pair.nets, found, strict=True)]  # fmt: skip
    return Look(
        both={"rank correlation of maps": agreement, "of maps of two samples, float": chance},
        pictures=[Picture(title="samples", values=pair.x[:SHOWN], kind="image"), *rows],
        note=note,
    )


@method
def saliency(pair: Pair, asked: Asked) -> Look:
    """How much each pixel changes the logit of the class."""
    return _compared(pair, [maps.saliency(net, pair.x, pair.named) for net in pair.nets])


@method
def deconvnet(pair: Pair, asked: Asked) -> Look:
    """The class brought back to the pixels, ReLUs passing what is positive on the way back."""
    return _backward(pair, maps.deconvnet_rule)


@method
def guided_backprop(pair: Pair, asked: Asked) -> Look:
    """The class brought back to the pixels, ReLUs passing what is positive on both ways."""
    return _backward(pair, maps.guided_rule)


def _backward(pair: Pair, rule: maps.Rule) -> Look:
    if not any(map(maps.is_relu, pair.nets[0].layer.plan.graph.nodes)):
        raise BadInput(f"net {pair.nets[0].name!r} has no ReLU, whose gradient this method changes; take saliency")
    found = [maps.backward(net, pair.x, pair.named, rule) for net in pair.nets]
    return _compared(pair, found, "signed")


@method
def grad_cam(pair: Pair, asked: Asked) -> Look:
    """Where feature maps speak for the class."""
    places = pair.places(asked)
    found = [maps.grad_cam(net, pair.x, pair.named, place) for net, place in zip(pair.nets, places, strict=True)]
    size = pair.x.shape[1:3]
    look = _compared(pair, found, note=f"of {places[0].name}")
    rows = [Picture(title=row.title, values=row.values if row.kind == "image" else maps.enlarged(row.values, size),
                    kind=row.kind) for row in look.pictures]  # fmt: skip
    return Look(both=look.both, pictures=rows, note=look.note)


@method
def guided_grad_cam(pair: Pair, asked: Asked) -> Look:
    """Guided backpropagation where Grad-CAM is high."""
    places = pair.places(asked)
    found = [maps.guided_grad_cam(net, pair.x, pair.named, place) for net, place in zip(pair.nets, places, strict=True)]
    return _compared(pair, found, "signed", f"of {places[0].name}")


@method
def saliency_mask(pair: Pair, asked: Asked) -> Look:
    """The object that a saliency map finds."""
    found = [maps.saliency_mask(maps.saliency(net, pair.x, pair.named)) for net in pair.nets]
    union = np.logical_or(*found).sum((1, 2))
    overlap = np.logical_and(*found).sum((1, 2)) / np.maximum(union, 1)
    look = _compared(pair, [each.astype(np.float32) for each in found])
    size = {net.name: each.mean((1, 2)) for net, each in zip(pair.nets, found, strict=True)}
    return Look(each={"share of the image": size}, both={"intersection over union": overlap}, pictures=look.pictures)


@method
def filter_maps(pair: Pair, asked: Asked) -> Look:
    """The kernels of the first convolution, and what its maps show; or the maps of a layer."""
    first = Asked(layer=asked.layer or pair.nets[0].maps[0]) if pair.nets[0].maps else asked
    places = pair.places(first)
    found = [net.seen(pair.x, place) for net, place in zip(pair.nets, places, strict=True)]
    kernels = [
        Picture(title=f"kernels, {net.name}", values=kernel, kind="signed")
        for net, place in zip(pair.nets, places, strict=True)
        if (kernel := _kernels(net, place)) is not None
    ]
    rows = [
        Picture(title=f"sample {number + 1}, {net.name}", values=np.moveaxis(values[number], -1, 0)[: 2 * SHOWN])
        for number in range(min(2, len(pair.x)))
        for net, values in zip(pair.nets, found, strict=True)
    ]
    samples = Picture(title="samples", values=pair.x[:2], kind="image")
    return Look(both={"rank correlation of maps": rank_correlation(*found)}, pictures=[samples, *kernels, *rows],
                note=f"of {places[0].name}")  # fmt: skip


def _kernels(net: Net, place: Tensor) -> np.ndarray | None:
    """Return the kernels of a convolution as pictures (maps, h, w) summed over what they read, as the net uses them."""
    fused = next((each for each in net.layer.plan.operators if place in each.outputs), None)
    if fused is None or fused.kernel is None or len(fused.kernel.shape) != 4:
        return None
    kernel = net.layer.weight(fused.kernel)
    if net.quantize and fused.form is not None and fused.rule is not None:
        bits = fused.precision.weights
        kernel = fused.form.fake_quantize(kernel, bits, net.layer.kernel_scale(fused, kernel, bits))
    return np.moveaxis(ops.convert_to_numpy(kernel).sum(2), -1, 0)[: 2 * SHOWN]


@method
def activation_gradient(pair: Pair, asked: Asked) -> Look:
    """What changes one inner unit, and the patches that excite it most."""
    places = pair.places(asked)
    values = pair.nets[0].seen(pair.x, places[0])
    unit = int(values.mean((0, 1, 2)).argmax()) if asked.unit is None else asked.unit
    found = [maps.activation_gradient(net, pair.x, place, unit) for net, place in zip(pair.nets, places, strict=True)]
    look = _compared(pair, found, "signed", f"unit {unit} of {places[0].name}")
    tops, rows = [], []
    for net, place in zip(pair.nets, places, strict=True):
        order, boxes = maps.exciting(net, pair.x, place, unit, SHOWN)
        tops.append(set(order.tolist()))
        rows.append(Picture(title=f"patches that excite it most, {net.name}", values=_framed(pair.x[order], boxes),
                            kind="image"))  # fmt: skip
    common = np.array([float(number in tops[1]) for number in sorted(tops[0])])
    return Look(both={**look.both, "most exciting samples in common": common}, pictures=[*look.pictures, *rows],
                note=look.note)  # fmt: skip


def _framed(x: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return samples with all dimmed that lies outside a box."""
    shown = np.array(x) * np.float32(0.25)
    for image, sample, (top, left, bottom, right) in zip(shown, x, boxes, strict=True):
        image[top:bottom, left:right] = sample[top:bottom, left:right]
    return shown


@method
def activation_maximisation(pair: Pair, asked: Asked) -> Look:
    """Pictures made for a class, and what either net says of the other's."""
    classes = np.arange(pair.classes)[:SHOWN]
    made = [attacks.maximised(net, classes, pair.x.shape[1:], seed=asked.seed) for net in pair.nets]
    sure = {
        f"confidence in pictures made for {owner.name}": {
            net.name: confidence(net.answers(pictures), classes) for net in pair.nets
        }
        for owner, pictures in zip(pair.nets, made, strict=True)
    }
    rows = [Picture(title=net.name, values=pictures, kind="image")
            for net, pictures in zip(pair.nets, made, strict=True)]  # fmt: skip
    return Look(each=sure, both={"rank correlation of pictures": rank_correlation(*made)}, pictures=rows,
                note=f"classes 0 to {classes[-1]}")  # fmt: skip


@method
def adversarial_fgsm(pair: Pair, asked: Asked) -> Look:
    """How often a net that was right is so no more once each pixel moved by epsilon, each net by its own gradient."""
    low, high = pair.range
    each: dict[str, dict[str, np.ndarray]] = {"accuracy": {net.name: _right(net, pair.x, pair.y) for net in pair.nets}}
    rows = [Picture(title="samples", values=pair.x[:SHOWN], kind="image")]
    for share in asked.epsilon:
        here, changed = each.setdefault(f"accuracy, epsilon {share:g}", {}), {}
        for net in pair.nets:
            moved = attacks.fgsm(net, pair.x, pair.y, share * (high - low), low, high)
            here[net.name] = _right(net, moved, pair.y)
            was = each["accuracy"][net.name] == 1
            changed[net.name] = 1 - here[net.name][was]
            if share == max(asked.epsilon):
                rows.append(Picture(title=f"moved by {share:g}, {net.name}", values=moved[:SHOWN], kind="image"))
        each[f"changed of those that were right, epsilon {share:g}"] = changed
    return Look(each=each, pictures=rows)


def _right(net: Net, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (predicted(net.answers(x)) == y).astype(float)


@method
def targeted_attack(pair: Pair, asked: Asked) -> Look:
    """How often a chosen wrong class is reached while no pixel moves further than 0.3 of the range."""
    low, high = pair.range
    if asked.target is not None and not 0 <= asked.target < pair.classes:
        raise BadInput(f"target {asked.target}: the net has classes 0 to {pair.classes - 1}")
    x, y = (pair.x, pair.y) if asked.target is None else _without(pair, asked.target)
    chosen = (y + 1) % pair.classes if asked.target is None else np.full(len(y), asked.target)
    each: dict[str, dict[str, np.ndarray]] = {}
    rows = [Picture(title="samples", values=x[:SHOWN], kind="image")]
    for net in pair.nets:
        wide = high - low
        moved = attacks.targeted(net, x, chosen, far=attacks.FAR * wide, rate=attacks.RATE * wide, low=low, high=high)
        said = net.answers(moved)
        found = {"reach the chosen class": predicted(said) == chosen,
                 f"with {SURE:.0%} confidence": confidence(said, chosen) >= SURE,
                 "mean change of a pixel": np.abs(moved - x).mean(tuple(range(1, x.ndim))) / wide}  # fmt: skip
        for name, values in found.items():
            each.setdefault(name, {})[net.name] = values.astype(float)
        rows.append(Picture(title=f"towards the class, {net.name}", values=moved[:SHOWN], kind="image"))
    return Look(each=each, pictures=rows)


def _without(pair: Pair, target: int) -> tuple[np.ndarray, np.ndarray]:
    others = pair.y != target
    if not others.any():
        raise BadInput(f"target {target}: all samples are of that class; choose another, or more samples")
    return pair.x[others], pair.y[others]


@method
def attention_distance(pair: Pair, asked: Asked) -> Look:
    """How far each layer of a Transformer looks, in pixels, over heads and queries."""
    size, each = pair.x.shape[1:3], {}
    for net in pair.nets:
        for number, place in enumerate(attention.attentions(net).values(), 1):
            far = attention.distances(net.seen(pair.x, place), size).mean(-1)  # (N, heads)
            for head in range(far.shape[1]):
                each.setdefault(f"layer {number}, head {head + 1}", {})[net.name] = far[:, head]
    return Look(each=each, note="pixels")


@method
def tsne_features(pair: Pair, asked: Asked) -> Look:
    """How samples lie in what is said of them before the answer, or at a layer."""
    places = [net.place(asked.layer) if asked.layer else features.before_answer(net) for net in pair.nets]
    found = [features.flattened(net.seen(pair.x, place)) for net, place in zip(pair.nets, places, strict=True)]
    rows = [
        Picture(title=f"{name}, {net.name}", values=points, kind="points", labels=pair.y)
        for net, values in zip(pair.nets, found, strict=True)
        for name, points in features.maps(values, asked.seed).items()
    ]
    common = features.common_neighbours(found[0], found[1])
    return Look(both={f"of {features.NEIGHBOURS} nearest neighbours, the same": common}, pictures=rows,
                note=f"of {places[0].name}")  # fmt: skip
