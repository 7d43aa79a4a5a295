"""How far attention reaches: from a patch to those that it takes from, in pixels."""

from __future__ import annotations

import math

import numpy as np

from ..errors import BadInput
from ..quantize.graph.nodes import Tensor
from .net import Net


def attentions(net: Net) -> dict[str, Tensor]:
    """Return the places of attention among tokens, (N, heads, T, T), by name in order of execution.

    Raises: BadInput for a network without any.
    """
    found = {name: tensor for name, tensor in net.places.items()
             if tensor.producer is not None and tensor.producer.op_type == "Softmax" and len(tensor.shape) == 4
             and tensor.shape[2] == tensor.shape[3]}  # fmt: skip
    if not found:
        raise BadInput(f"net {net.name!r} has no attention among tokens; take a Transformer of images, as vit")
    return found


def distances(weights: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return how far each query looks on average: its distance to the keys, weighted by attention.

    size: of the image, in pixels, which the tokens divide into squares; a token before them, of no place, is left out.
    Shapes: (N, heads, T, T) -> (N, heads, patches) pixels.  Source: Dosovitskiy 2021, arXiv:2010.11929, appendix D.7.
    Raises: BadInput where the tokens are no such squares.
    """
    tokens = weights.shape[-1]
    extra = next((extra for extra in (0, 1) if _divides(tokens - extra, size)), None)
    if extra is None:
        raise BadInput(f"attention among {tokens} tokens: they do not divide {size[0]} x {size[1]} pixels into squares")
    side = _side(tokens - extra, size)
    places = np.stack(np.divmod(np.arange(tokens - extra), size[1] // side), -1) * side  # (patches, 2)
    apart = np.sqrt(((places[:, None] - places[None]) ** 2).sum(-1))
    kept = weights[..., extra:, extra:]
    return (kept * apart).sum(-1) / np.maximum(kept.sum(-1), 1e-12)


def _side(patches: int, size: tuple[int, int]) -> int:
    return round(math.sqrt(size[0] * size[1] / patches))


def _divides(patches: int, size: tuple[int, int]) -> bool:
    side = _side(patches, size) if patches else 0
    return side > 0 and not (size[0] % side or size[1] % side) and (size[0] // side) * (size[1] // side) == patches
