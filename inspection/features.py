"""How samples lie in what a network says of them before its answer, in two dimensions."""

from __future__ import annotations

import numpy as np

from ..errors import BadInput
from ..quantize.graph.nodes import Tensor
from .net import Net

PERPLEXITY = 30.0
NEIGHBOURS = 10


def before_answer(net: Net) -> Tensor:
    """Return the place that the answer is computed of.  Raises: BadInput where it is not one place (N, n)."""
    made = net.logits.producer
    given = [tensor for tensor in made.inputs if not tensor.is_constant] if made else []
    places = {id(tensor): tensor for tensor in net.places.values()}
    while given and id(given[0]) not in places and given[0].producer is not None:
        given = [tensor for tensor in given[0].producer.inputs if not tensor.is_constant]
    if len(given) != 1 or id(given[0]) not in places:
        raise BadInput(f"net {net.name!r}: its answer is not computed of one place; name the features by a layer")
    return given[0]


def flattened(features: np.ndarray) -> np.ndarray:
    """Return features as vectors; of maps the mean over positions.  Shapes: (N, ..., c) -> (N, c)."""
    return features.reshape(len(features), -1, features.shape[-1]).mean(1)


def maps(features: np.ndarray, seed: int = 0) -> dict[str, np.ndarray]:
    """Return principal components and t-SNE of features, begun from them.  Shapes: (N, n) -> (N, 2) each.

    Source: van der Maaten and Hinton 2008, Visualizing data using t-SNE.  Raises: BadInput where all are alike.
    """
    if not np.ptp(features, axis=0).any():
        raise BadInput("features: all samples have the same; there is nothing to draw, look at the net's training")
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    pca = PCA(2, random_state=seed).fit_transform(features)
    perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
    tsne = TSNE(perplexity=perplexity, init="pca", method="exact", random_state=seed).fit_transform(features)
    return {"PCA": pca, "t-SNE": tsne}


def common_neighbours(one: np.ndarray, other: np.ndarray, count: int = NEIGHBOURS) -> np.ndarray:
    """Return the share of a sample's nearest ones that are so in both spaces.  Shapes: (N, n), (N, m) -> (N,)."""
    from sklearn.neighbors import NearestNeighbors

    count = min(count, len(one) - 1)
    first, second = (
        NearestNeighbors(n_neighbors=count).fit(each).kneighbors(return_distance=False) for each in (one, other)
    )
    return np.array([len(set(here) & set(there)) / count for here, there in zip(first, second, strict=True)])
