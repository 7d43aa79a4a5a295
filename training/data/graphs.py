"""Graphs of which some nodes have a known class: Cora in its Planetoid files, digits by their nearest, a karate club.

One graph is one sample, and all splits hold the same: what differs is whose nodes' classes are told. In which form a
net reads the graph, the name of its input says: see `FORMS`.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

from ...errors import BadInput
from . import sources
from .dataset import Dataset, Split
from .sets import Asked, dataset

HIDDEN = -1  # the class of a node that belongs to another split
PARTS = ("x", "y", "tx", "ty", "allx", "ally", "graph", "test.index")
CORA = [f"cora/ind.cora.{part}" for part in PARTS]
VALIDATION = 500  # nodes behind the labelled ones, as Yang 2016 and Kipf 2017 split
NEIGHBOURS, LABELLED = 8, 20  # of `digits_graph`: edges that a node draws, and labelled nodes a class
TASKS = ("node_classification", "sampled_node_classification")
OWN = ("features", "adjacency")  # inputs, where nobody asks for others


@dataset(input_shape=(2708, 1433), tasks=TASKS, here=lambda: all(map(sources.find, CORA)))
def cora(asked: Asked) -> Dataset:
    """Return Cora: 2,708 papers by their words, 5,278 citations, 7 fields; 140 nodes labelled, 500 and 1,000 to judge.

    Source: Yang 2016, Revisiting semi-supervised learning with graph embeddings.
    """
    files = {part: sources.read(path) for part, path in zip(PARTS, CORA, strict=True)}
    features, labels, edges, tested = read_planetoid(files)
    labelled = len(plain(files["y"]))
    nodes = {
        "train": np.arange(labelled),
        "validation": np.arange(labelled, labelled + VALIDATION),
        "test": np.sort(tested),
    }
    source = sources.describe(CORA)
    return _graph(asked, "cora", by_row(features), edges, labels, nodes, said="rows sum to 1", source=source)


@dataset(input_shape=(1797, 64), tasks=TASKS)
def digits_graph(asked: Asked) -> Dataset:
    """Return the 1,797 digits of scikit-learn as a graph: an edge to each of the 8 nearest; 20 labelled a class."""
    import sklearn
    from sklearn.datasets import load_digits
    from sklearn.neighbors import kneighbors_graph

    pixels, labels = map(np.asarray, load_digits(return_X_y=True))
    order = np.random.default_rng(0).permutation(len(labels))
    rank = np.array([np.sum(labels[order[:place]] == labels[node]) for place, node in enumerate(order)])
    rest = order[rank >= LABELLED]
    nodes = {"train": order[rank < LABELLED], "validation": rest[:VALIDATION], "test": rest[VALIDATION:]}
    nearest = kneighbors_graph(pixels, NEIGHBOURS).toarray()
    said, source = f"pixels / 16, edges to the {NEIGHBOURS} nearest", (f"scikit-learn {sklearn.__version__}",)
    return _graph(asked, "digits_graph", pixels / 16, nearest, labels, nodes, said=said, source=source)


@dataset(input_shape=(34, 34), tasks=TASKS)
def karate(asked: Asked) -> Dataset:
    """Return Zachary's karate club: 34 members, 78 friendships, the two clubs it broke into; its two leaders labelled.

    Members have no features but who they are, one-hot.  Source: Zachary 1977, An information flow model for conflict
    and fission in small groups; the ties as networkx has them.
    """
    import networkx

    club = networkx.karate_club_graph()
    edges = (networkx.to_numpy_array(club) > 0).astype(float)  # how often two met is left out
    labels = np.array([club.nodes[node]["club"] != "Mr. Hi" for node in club], np.int64)
    leaders = np.array([0, len(labels) - 1])
    rest = np.random.default_rng(0).permutation(np.arange(1, len(labels) - 1))
    nodes = {"train": leaders, "validation": rest[:8], "test": np.sort(rest[8:])}
    said, source = "members one-hot", (f"networkx {networkx.__version__}",)
    return _graph(asked, "karate", np.eye(len(labels)), edges, labels, nodes, said=said, source=source)


def _graph(
    asked: Asked,
    name: str,
    features: np.ndarray,
    edges: np.ndarray,
    labels: np.ndarray,
    nodes: dict[str, np.ndarray],
    *,
    said: str,
    source: tuple[str, ...],
) -> Dataset:
    """Return one graph as a data set, in the forms that are asked for.

    Shapes: features (nodes, F), edges (nodes, nodes), labels (nodes,).  Raises: BadInput for an input of another name.
    """
    edges = np.maximum(edges, edges.T)
    wanted = {each.name: each.shape for each in asked.inputs} or dict.fromkeys(OWN, (None, None))
    if unknown := [each for each in wanted if each not in ("features", *FORMS)]:
        raise BadInput(f"data set {name!r} has no input {unknown[0]!r}; it has features, {', '.join(FORMS)}")
    x = {
        each: (features if each == "features" else FORMS[each](edges, shape))[None]
        for each, shape in wanted.items()
    }  # fmt: skip
    x = {each: array.astype(np.int32 if each == "edges" else np.float32) for each, array in x.items()}
    parts = {part: np.full((1, len(labels)), HIDDEN, np.int32) for part in nodes}
    for part, members in nodes.items():
        parts[part][0, members] = labels[members]
    return Dataset(
        name=name,
        task=TASKS[0],
        classes=int(labels.max()) + 1,
        train=Split(x=x, y=parts["train"]),
        validation=Split(x=x, y=parts["validation"]),
        test=Split(x=x, y=parts["test"]),
        preprocessing=f"{said}; graph as {', '.join(each for each in wanted if each in FORMS)}",
        source=source,
    )


def linked(edges: np.ndarray) -> np.ndarray:
    """Return the pairs that have an edge, each node with itself among them: (E, 2), sorted."""
    return np.argwhere(edges + np.eye(len(edges)) > 0)


def _weights(edges: np.ndarray) -> np.ndarray:
    return normalized(edges)[tuple(linked(edges).T)]


def basis(edges: np.ndarray, count: int | None = None) -> np.ndarray:
    """Return eigenvectors of I - D^-1/2 A D^-1/2, those of the least values first.  Shapes: (nodes, nodes or count).

    A sign is chosen that makes the largest value of each positive: eigenvectors have none of their own.
    """
    from scipy.linalg import eigh

    laplacian = np.eye(len(edges)) - normalized(edges, loops=False)
    most = len(edges) if count is None else min(count, len(edges))
    vectors = eigh(laplacian, subset_by_index=[0, most - 1])[1]
    return vectors * np.sign(vectors[np.abs(vectors).argmax(0), np.arange(most)])


# What an input of a name is given: (A (nodes, nodes), its shape as it is asked for) -> an array.
FORMS: dict[str, Callable[[np.ndarray, Any], np.ndarray]] = {
    "adjacency": lambda edges, shape: normalized(edges),
    "links": lambda edges, shape: edges,
    "neighbours": lambda edges, shape: edges + np.eye(len(edges)),
    "mean": lambda edges, shape: by_row(edges + np.eye(len(edges))),
    "basis": lambda edges, shape: basis(edges, shape[-1]),
    "edges": lambda edges, shape: linked(edges),
    "edge_weights": lambda edges, shape: _weights(edges),
}


def normalized(adjacency: np.ndarray, *, loops: bool = True) -> np.ndarray:
    """Return D^-1/2 (A + I) D^-1/2, D being the degrees of A + I; without `loops` the same of A alone.

    Shapes: (nodes, nodes).  Source: Kipf and Welling 2017, equation 2.
    """
    edges = adjacency + np.eye(len(adjacency)) if loops else np.asarray(adjacency, np.float64)
    scale = 1 / np.sqrt(np.maximum(edges.sum(1), 1))
    return scale[:, None] * edges * scale


def by_row(values: np.ndarray) -> np.ndarray:
    """Return rows divided by their sums; D^-1 A of an adjacency.  Shapes: (N, n)."""
    sums = values.sum(1, keepdims=True)
    return values / np.where(sums == 0, 1, sums)


# ---------------------------------------------------------------- Planetoid files


class Csr:
    """What a pickled scipy.sparse matrix holds: a dict of plain values."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def dense(self) -> np.ndarray:
        """Return the matrix, (n, m).  Raises: BadInput for indices outside it."""
        from scipy.sparse import csr_matrix

        matrix = csr_matrix((self.data, self.indices, self.indptr), shape=self._shape)  # pyright: ignore
        try:
            matrix.check_format(full_check=True)
        except ValueError as error:
            raise BadInput(f"a sparse matrix of the Planetoid files is damaged: {error}") from error
        return matrix.toarray()


class _PlanetoidUnpickler(pickle.Unpickler):
    """Reads what Planetoid's Python 2 wrote: arrays, sparse matrices, a dict of lists; all else is refused."""

    _ALLOWED = {  # noqa: RUF012
        ("numpy.core.multiarray", "_reconstruct"): ("numpy._core.multiarray", "_reconstruct"),
        ("numpy", "ndarray"): ("numpy", "ndarray"),
        ("numpy", "dtype"): ("numpy", "dtype"),
        ("collections", "defaultdict"): ("collections", "defaultdict"),
        ("__builtin__", "list"): ("builtins", "list"),
    }

    def find_class(self, module: str, name: str) -> Any:
        """Return one of the names that arrays and dicts need; a sparse matrix is read as its parts."""
        if (module, name) == ("scipy.sparse.csr", "csr_matrix"):
            return Csr
        if (module, name) not in self._ALLOWED:
            raise BadInput(f"the Planetoid file asks for {module}.{name}; only arrays, matrices and lists are read")
        return super().find_class(*self._ALLOWED[module, name])


def plain(content: bytes) -> Any:
    """Read an official Planetoid pickle: an array, a matrix as an array, or a dict of lists."""
    value = _PlanetoidUnpickler(io.BytesIO(content), fix_imports=False, encoding="latin1").load()
    return value.dense() if isinstance(value, Csr) else value


def read_planetoid(files: dict[str, bytes]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return features (N, F), labels (N,), adjacency (N, N) and the test nodes, which the files hold in another order.

    files: the official ones by `PARTS`.
    """
    tested = np.array(files["test.index"].split(), np.int64)
    features, answers = (
        np.concatenate([plain(files[known]), plain(files[test])]) for known, test in (("allx", "tx"), ("ally", "ty"))
    )
    features[tested], answers[tested] = features[np.sort(tested)], answers[np.sort(tested)]
    edges = np.zeros((len(features), len(features)))
    for node, neighbours in plain(files["graph"]).items():
        edges[node, neighbours] = 1
    np.fill_diagonal(edges, 0)
    return features, answers.argmax(1), edges, tested
