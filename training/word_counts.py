"""What is counted of a text of word ids: how often words occur, alone and beside each other, and what follows from it.

A text is one array of ids, in which `BREAK` lies between sentences: no window reaches over it.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ..errors import BadInput

Array = np.ndarray
BREAK = -1
THRESHOLD = 1e-3  # share of a text from which on a word is left out now and then
FLATTENED = 0.75  # power of the counts by which negatives are drawn


def joined(sentences: Sequence[Sequence[int]]) -> Array:
    """Return sentences as one text, a break behind each.  Shapes: (N,) int32."""
    return np.array([word for sentence in sentences for word in (*sentence, BREAK)], np.int32)


def counts_of(text: Array, words: int) -> Array:
    """Return how often each word occurs, (words,)."""
    return np.bincount(text[text != BREAK], minlength=words)


def kept_shares(shares: Array, threshold: float = THRESHOLD) -> Array:
    """Return the chance that an occurrence of a word is kept, given its share of the text: (sqrt(z/t) + 1) t/z.

    Source: the implementation of Mikolov 2013, arXiv:1310.4546, whose section 2.3 has sqrt(t/z).
    """
    ratio = threshold / np.maximum(np.asarray(shares, np.float64), np.finfo(np.float64).tiny)
    return np.minimum(1.0, np.sqrt(ratio) + ratio)


def noise_shares(counts: Array, power: float = FLATTENED) -> Array:
    """Return the chance of each word to be drawn as a negative.  Source: arXiv:1310.4546, section 2.2."""
    flattened = np.where(counts > 0, np.asarray(counts, np.float64) ** power, 0.0)
    return flattened / flattened.sum()


@dataclass(frozen=True)
class Pairs:
    """Words, each with one in the window around it: ids (P,) and places of the first (P,), by distance."""

    centres: Array
    contexts: Array
    places: Array


def thinned(text: Array, random: np.random.Generator, threshold: float = THRESHOLD) -> Array:
    """Return a text without the occurrences that chance leaves out; windows then reach further. 0 leaves none out."""
    if not threshold:
        return text
    words = text != BREAK
    counts = np.bincount(text[words])
    chance = kept_shares(counts / counts.sum(), threshold)
    return text[~words | (random.random(len(text)) < np.where(words, chance[text], 1.0))]


def pairs(text: Array, window: int, random: np.random.Generator | None = None) -> Pairs:
    """Return each word with those of its window, whose reach is drawn from 1 to `window`; without `random` it is that.

    Source: Mikolov 2013, arXiv:1301.3781, section 3.2.
    """
    centres = np.flatnonzero(text != BREAK)
    reach = np.full(len(text), window) if random is None else random.integers(1, window + 1, len(text))
    sentence = np.cumsum(text == BREAK)
    found = []
    for distance in (*range(-window, 0), *range(1, window + 1)):
        inside = centres[(centres + distance >= 0) & (centres + distance < len(text))]
        other = inside + distance
        near = (np.abs(distance) <= reach[inside]) & (sentence[inside] == sentence[other]) & (text[other] != BREAK)
        found.append(np.stack([inside[near], other[near]]))
    places = np.concatenate(found, 1)
    return Pairs(text[places[0]], text[places[1]], places[0])


def bags(found: Pairs, window: int, filler: int) -> tuple[Array, Array]:
    """Return the words around each place as one row, and the word there.

    Shapes: contexts (N, 2 window), `filler` behind the last, centres (N,).
    """
    order = np.argsort(found.places, kind="stable")
    starts = np.flatnonzero(np.diff(found.places[order], prepend=-1))
    rows = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(order))))
    contexts = np.full((len(starts), 2 * window), filler, np.int32)
    contexts[rows, np.arange(len(rows)) - starts[rows]] = found.contexts[order]
    return contexts, found.centres[order[starts]]


@dataclass(frozen=True)
class Paths:
    """The way from the root of a binary tree to each word: inner nodes (V, L) and which way, (V, L) of 1 and -1.

    Behind a path's end both are 0. A tree of V words has V - 1 inner nodes.
    """

    nodes: Array
    turns: Array


def huffman(counts: Array) -> Paths:
    """Return the paths of the Huffman tree of words: frequent ones are near its root.

    Source: Huffman 1952; Morin and Bengio 2005; Mikolov 2013, arXiv:1310.4546, section 2.1.
    Raises: BadInput for fewer than two words.
    """
    words = len(counts)
    if words < 2:
        raise BadInput(f"a tree of {words} words has no turns; at least two are needed")
    heap = [(int(count), word) for word, count in enumerate(counts)]
    heapq.heapify(heap)
    parent, turn = np.zeros(2 * words - 1, int), np.zeros(2 * words - 1, int)
    for node in range(words, 2 * words - 1):
        rarer, rare = heapq.heappop(heap), heapq.heappop(heap)
        for child, way in ((rarer[1], 1), (rare[1], -1)):
            parent[child], turn[child] = node, way
        heapq.heappush(heap, (rarer[0] + rare[0], node))
    root, ways = 2 * words - 2, []
    for word in range(words):
        way, node = [], word
        while node != root:
            way.append((parent[node] - words, turn[node]))
            node = parent[node]
        ways.append(way[::-1])
    longest = max(map(len, ways))
    paths = Paths(np.zeros((words, longest), np.int32), np.zeros((words, longest), np.int32))
    for word, way in enumerate(ways):
        paths.nodes[word, : len(way)], paths.turns[word, : len(way)] = np.transpose(way)
    return paths


def cooccurrences(text: Array, words: int, window: int, *, weighted: bool = True) -> sparse.csr_matrix:
    """Return how often words are within a window of each other, (words, words); weighted: 1 / distance each.

    Source: Pennington 2014, GloVe, section 4.2; Lund and Burgess 1996.
    """
    total = sparse.csr_matrix((words, words))
    for distance in range(1, window + 1):
        first, second = text[:-distance], text[distance:]
        breaks = np.cumsum(np.append(0, text == BREAK))
        inside = breaks[distance + 1 :] == breaks[: -distance - 1]  # none between first and second, both included
        ones = np.full(int(inside.sum()), 1 / distance if weighted else 1.0)
        total += sparse.csr_matrix((ones, (first[inside], second[inside])), (words, words))
    return (total + total.T).tocsr()


def positive_information(counts: sparse.csr_matrix, smoothing: float = FLATTENED) -> sparse.csr_matrix:
    """Return positive pointwise mutual information, log p(w, c) / p(w) p(c), 0 where it is less.

    smoothing: power of the contexts' counts.  Source: Levy 2015, Improving distributional similarity with lessons
    learned from word embeddings, section 3.1.
    """
    pairs_ = counts.tocoo()
    rows = np.asarray(counts.sum(1)).ravel()
    columns = noise_shares(np.asarray(counts.sum(0)).ravel(), smoothing)
    values = np.log(pairs_.data / (rows[pairs_.row] * columns[pairs_.col]))
    kept = values > 0
    return sparse.csr_matrix((values[kept], (pairs_.row[kept], pairs_.col[kept])), counts.shape)


def cosine(first: Array, second: Array) -> float:
    """Return the cosine of two vectors.  Raises: BadInput for one of zeros, which has no direction."""
    lengths = [float(np.linalg.norm(np.asarray(vector, np.float64))) for vector in (first, second)]
    if not all(lengths):
        raise BadInput("a row of zeros has no cosine: the word occurs beside no other that is counted")
    return float(np.dot(first, second) / np.prod(lengths))
