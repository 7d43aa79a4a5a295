"""Where a network looks: maps of what its answer depends on, one value a pixel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import BadInput
from ..quantize.graph.nodes import Node, Tensor
from ..quantize.interpreter import Instead
from ..untyped import ops
from .net import Net, size_of
from .scores import of_channel, of_class

SEEDS, GROWN = 0.95, 0.7  # quantiles of a saliency map above which a segment begins, and is grown through


Rule = Callable[[Any, Any], Any]  # of a ReLU: whether it passed its input on, gradient from above -> gradient


def with_rule(rule: Rule) -> Instead:
    """Return what computes ReLUs, those that end at a value too, with a gradient by a rule."""

    def instead(node: Node) -> Callable[[Any], Any] | None:
        return _relu(rule, ceiling_of(node)) if is_relu(node) else None

    return instead


def is_relu(node: Node) -> bool:
    """Tell if a node passes on what is above 0."""
    plain = not (getattr(node.op, "negative_slope", 0.0) or getattr(node.op, "threshold", 0.0))
    return node.op_type in ("Relu", "Relu6") or (node.op_type == "ReLU" and plain)


def ceiling_of(node: Node) -> float:
    """Return where a ReLU ends, infinity for most."""
    most = 6.0 if node.op_type == "Relu6" else getattr(node.op, "max_value", None)
    return np.inf if most is None else float(most)


def _relu(rule: Rule, ceiling: float) -> Callable[[Any], Any]:
    @ops.custom_gradient
    def relu(x: Any) -> tuple[Any, Callable[..., Any]]:
        def gradient(*args: Any, upstream: Any = None) -> Any:
            passed = ops.logical_and(x > 0, x < ceiling)
            return rule(passed, ops.convert_to_tensor(args[0] if upstream is None else upstream))

        return ops.clip(x, 0.0, ceiling), gradient

    return relu


def saliency_rule(passed: Any, above: Any) -> Any:
    """Pass the gradient on where the input was positive: that of the ReLU itself.  Source: arXiv:1312.6034."""
    return ops.where(passed, above, 0.0)


def deconvnet_rule(passed: Any, above: Any) -> Any:
    """Pass the gradient on where it is positive.  Source: Zeiler and Fergus 2014, arXiv:1311.2901."""
    return ops.relu(above)


def guided_rule(passed: Any, above: Any) -> Any:
    """Pass the gradient on where both are positive.  Source: Springenberg 2015, arXiv:1412.6806."""
    return ops.where(passed, ops.relu(above), 0.0)


def saliency(net: Net, x: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return by how much each pixel changes the logit of a class of each sample: the largest of its channels.

    Shapes: (N, H, W, C), (N,) -> (N, H, W).  Source: Simonyan 2014, arXiv:1312.6034, section 3.1.
    """
    return np.abs(backward(net, x, classes)).max(-1)


def backward(net: Net, x: np.ndarray, classes: np.ndarray, rule: Rule = saliency_rule) -> np.ndarray:
    """Return the gradient of the logit of a class by the input, of ReLUs by a rule.  Shapes: those of `x`."""
    return net.slopes(x, of_class(classes), instead=with_rule(rule))[0]


def grad_cam(net: Net, x: np.ndarray, classes: np.ndarray, place: Tensor) -> np.ndarray:
    """Return where the feature maps of a place speak for a class: ReLU of their sum, weighted by their mean gradients.

    Shapes: (N, ...), (N,) -> (N, h, w).  Source: Selvaraju 2017, arXiv:1610.02391, eq. 1 and 2.
    """
    slopes, maps = net.slopes(x, of_class(classes), by=place)
    return np.maximum(np.einsum("nhwc,nc->nhw", maps, cam_weights(slopes)), 0)


def cam_weights(slopes: np.ndarray) -> np.ndarray:
    """Return the gradient of each map, averaged over its positions.  Shapes: (N, h, w, c) -> (N, c)."""
    return slopes.mean((1, 2))


def guided_grad_cam(net: Net, x: np.ndarray, classes: np.ndarray, place: Tensor) -> np.ndarray:
    """Return guided backpropagation, weighted by Grad-CAM brought to the size of the image.  Shapes: those of `x`."""
    where = enlarged(grad_cam(net, x, classes, place), x.shape[1:3])
    return backward(net, x, classes, guided_rule) * where[..., None]


def activation_gradient(net: Net, x: np.ndarray, place: Tensor, channel: int) -> np.ndarray:
    """Return by how much each pixel changes the largest value of one channel of a place.  Shapes: those of `x`.

    Raises: BadInput for a channel that is not there.
    """
    *_, channels = size_of(place)
    if not 0 <= channel < channels:
        raise BadInput(f"unit {channel}: {place.name} has units 0 to {channels - 1}")
    return net.slopes(x, of_channel(channel), of=place)[0]


def exciting(net: Net, x: np.ndarray, place: Tensor, channel: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the samples that excite a unit most, and in each the patch that it sees there: what it depends on.

    Shapes: (N, H, W, C) -> numbers of samples (count,), corners (count, 4): first row and column, last ones and one.
    """
    values = net.seen(x, place)[..., channel].reshape(len(x), -1).max(-1)
    order = np.argsort(-values, kind="stable")[:count]
    depends = np.abs(activation_gradient(net, x[order], place, channel)).max(-1) > 0
    return order, np.array([_box(each) for each in depends])


def _box(depends: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = (np.flatnonzero(depends.any(axis)) for axis in (1, 0))
    if not len(rows):  # a unit that is off depends on nothing
        return 0, 0, *depends.shape
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def saliency_mask(maps: np.ndarray) -> np.ndarray:
    """Return the object that a saliency map finds: grown from its highest values through high ones next to them.

    Shapes: (N, H, W) -> (N, H, W) bool.  Source: Simonyan 2014, arXiv:1312.6034, section 3.2, with region growing in
    the place of graph cuts.
    """
    from scipy.ndimage import binary_propagation, gaussian_filter

    found = []
    for each in maps:
        smooth = gaussian_filter(np.asarray(each, np.float64), 1.0)
        seeds, allowed = (smooth >= np.quantile(smooth, share) for share in (SEEDS, GROWN))
        found.append(binary_propagation(seeds, mask=allowed, structure=np.ones((3, 3))))
    return np.array(found)


def enlarged(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return maps (N, h, w) brought to a size, bilinear."""
    given: Any = ops.convert_to_tensor(np.asarray(maps, np.float32)[..., None])
    return ops.convert_to_numpy(ops.image.resize(given, size, data_format="channels_last"))[..., 0]
