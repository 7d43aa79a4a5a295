"""Word vectors from windows of a text: a network tells the words around a word, or the word in the middle.

Windows, negatives and which words are left out are drawn anew for each epoch. What is learned, unit rows along their
principal axes, becomes both tables that go to a device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import keras
import numpy as np

from ...errors import BadInput
from ...models.tables import LOOKUP, SCORER
from ...models.word2vec import CANDIDATES, CENTRE, CONTEXTS, NODES, OTHER, OTHERS, PIECES, TABLE, tells_around
from ...untyped import ops
from ..config import TrainConfig
from ..data import Dataset, Split
from ..data.analogies import Sentences
from ..data.pieces_of_words import pieces_of
from ..debiasing import debiased, unit_rows
from ..losses import of_tokens
from ..rows import assign, matrix_of, principal, rows_of
from ..state import RunDir
from ..tasks import Objective
from ..word_counts import (
    Paths,
    bags,
    cooccurrences,
    counts_of,
    huffman,
    noise_shares,
    pairs,
    positive_information,
    thinned,
)
from .batches import Batches
from .fitting import FitOverrides
from .minimise import minimise
from .register import Networks, steps_by_batches
from .solved import solver

WORDS = "words"  # all of them are scored
READS, TELLS = (CENTRE, CONTEXTS, PIECES), (WORDS, CANDIDATES, NODES, OTHER)
FREQUENT, POWER = 100.0, 0.75  # of GloVe: from which count on all weigh alike, and the power of it below
BUCKETS, LONGEST = 20_000, 24  # rows of n-grams, and how many of them a word has at most, itself among them
DRAWN, JUDGED, ORDER = 0, 1, 2  # seeds beside that of the run
MOST_JUDGED = 20_000  # samples by which the epoch is chosen
SMOOTHING = 1.0  # power of the singular values that word vectors are scaled by


@dataclass(frozen=True, kw_only=True)
class Windows:
    """What is learned of a text.

    reads: a word ("centre"), the mean of those around it ("contexts"), or the sum of its n-grams ("pieces"). tells:
    which of all words ("words"), which of some is no noise ("candidates"), which way it goes through a tree ("nodes"),
    or how often two occur together ("other"). window: words on either side, at most; how far is drawn from 1 to it.
    negatives: words of noise. threshold: share of the text from which on a word is left out now and then, 0 for never.
    debiased: 1 takes the direction of gender out of what is learned, see `debiasing`.
    Raises: BadInput for others.
    """

    reads: str = CENTRE
    tells: str = CANDIDATES
    window: int = 5
    negatives: int = 5
    threshold: float = 1e-3
    debiased: int = 0

    def __post_init__(self) -> None:
        if self.reads not in READS or self.tells not in TELLS:
            raise BadInput(f"reads={self.reads}, tells={self.tells}: allowed are reads={', '.join(READS)} and "
                           f"tells={', '.join(TELLS)}")  # fmt: skip
        if self.tells == OTHER and self.reads != CENTRE:
            raise BadInput(f"reads={self.reads}, tells={OTHER}: how often two words occur together is told of "
                           f"reads={CENTRE}")  # fmt: skip
        if min(self.window, self.negatives) < 1 or not 0 <= self.threshold < 1:
            raise BadInput(f"window={self.window}, negatives={self.negatives}, threshold={self.threshold}: allowed are "
                           "integers from 1 on, and a share in [0, 1)")  # fmt: skip


def of_turns(truth: Any, logits: Any) -> Any:
    """Return the cross-entropy of yes (1) and no (-1), summed over what is asked, 0 being not.  Shapes: (N, m) -> (N,).

    Source: Mikolov 2013, arXiv:1310.4546, equations 3 and 4.
    """
    return ops.sum(ops.abs(truth) * ops.softplus(-truth * logits), -1)


def of_counts(truth: Any, logits: Any) -> Any:
    """Return the weighted squared error of logarithms of counts.  Shapes: (N, 2), logarithm and weight; (N, 1) -> (N,).

    Source: Pennington 2014, GloVe, equation 8.
    """
    return truth[:, 1] * ops.square(logits[:, 0] - truth[:, 0])


LOSSES: Mapping[str, Any] = {WORDS: of_tokens(0.0), CANDIDATES: of_turns, NODES: of_turns, OTHER: of_counts}
OBJECTIVE = Objective(name="word_windows", loss=lambda smoothing: LOSSES[WORDS])


@dataclass(frozen=True)
class Reader:
    """Draws samples of a text of `words`, what ids stand for. counts: of these in the text that is learned."""

    options: Windows
    words: tuple[str, ...] = field(repr=False)
    counts: np.ndarray

    @cached_property
    def paths(self) -> Paths:
        """The ways through a tree of the words."""
        return huffman(self.counts)

    @cached_property
    def pieces(self) -> np.ndarray:
        """The rows of each word's n-grams, (V, LONGEST)."""
        return pieces_of(self.words, BUCKETS, LONGEST)

    def network(self, width: int) -> keras.Model:
        """Build what is trained."""
        options = self.options
        reads = {CENTRE: 1, CONTEXTS: 2 * options.window, PIECES: LONGEST}[options.reads]
        tells = {WORDS: lambda: 0, CANDIDATES: lambda: 1 + options.negatives, OTHER: lambda: 1,
                 NODES: lambda: self.paths.nodes.shape[1]}[options.tells]()  # fmt: skip
        more = BUCKETS if options.reads == PIECES else 0
        return tells_around(
            (options.reads, reads), (options.tells, tells), words=len(self.words), width=width, pieces=more
        )

    def draw(self, text: np.ndarray, random: np.random.Generator) -> Split:
        """Return samples of one pass over a text."""
        if self.options.tells == OTHER:
            return self._cells(text)
        found = pairs(thinned(text, random, self.options.threshold), self.options.window, random)
        if self.options.reads == CONTEXTS:
            read, asked = bags(found, self.options.window, 0)
        else:
            asked = found.contexts
            read = found.centres[:, None] if self.options.reads == CENTRE else self.pieces[found.centres]
        x = {self.options.reads: read}
        if self.options.tells == WORDS:
            return Split(x=x, y=asked)
        if self.options.tells == NODES:
            return Split(x={**x, NODES: self.paths.nodes[asked]}, y=self.paths.turns[asked].astype(np.float32))
        candidates, turns = self._among_noise(asked, random)
        return Split(x={**x, CANDIDATES: candidates}, y=turns)

    def _among_noise(self, asked: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return words with noise behind each, and which is which; noise that is the word itself is not asked."""
        chances = np.cumsum(noise_shares(self.counts))
        drawn = random.random((len(asked), self.options.negatives))
        noise = np.searchsorted(chances / chances[-1], drawn, side="right").astype(np.int32)
        turns = np.concatenate([np.ones((len(asked), 1)), np.where(noise == asked[:, None], 0, -1)], 1)
        return np.concatenate([asked[:, None], noise], 1), turns.astype(np.float32)

    def _cells(self, text: np.ndarray) -> Split:
        """Return all pairs of words that occur together, the logarithm of how often and the weight of that."""
        cells: Any = cooccurrences(text, len(self.words), self.options.window).tocoo()
        weights = np.minimum(1.0, (cells.data / FREQUENT) ** POWER)
        x = {CENTRE: cells.row[:, None].astype(np.int32), OTHER: cells.col[:, None].astype(np.int32)}
        return Split(x=x, y=np.stack([np.log(cells.data), weights], 1).astype(np.float32))

    def rows(self, network: keras.Model) -> np.ndarray:
        """Return the vector of each word as it was learned, (V, width): GloVe has the sum of both tables."""
        table, *others = (np.asarray(keras.ops.convert_to_numpy(network.get_layer(name).embeddings))
                          for name in (TABLE, OTHERS) if name == TABLE or self.options.tells == OTHER)  # fmt: skip
        if self.options.reads == PIECES:
            table = np.stack([table[pieces[pieces > 0]].sum(0) for pieces in self.pieces])
        learned = table + sum(others)
        return np.where(self.counts[:, None] > 0, learned, 0.0)  # what never occurred has no direction


class Drawn(Batches):
    """Batches of samples that are drawn for each epoch, `steps` of them whatever is drawn."""

    def __init__(self, draw: Callable[[int], Split], steps: int, seed: int):
        keras.utils.PyDataset.__init__(self)
        self._draw, self._steps, self._seed = draw, steps, seed
        first = draw(0)
        self.size = max(1, len(first) // steps)
        self._take(first, 0)

    def begin(self, epoch: int) -> None:
        """Draw the samples of `epoch`, in an order of its own."""
        self._take(self._draw(epoch), epoch)

    def _take(self, split: Split, epoch: int) -> None:
        order = np.random.default_rng([self._seed, ORDER, epoch]).permutation(len(split))
        self._order = np.resize(order, self._steps * self.size)
        self.parts = (split.x, split.y)

    def read(self) -> Any:
        """Return these batches: their samples are others in each epoch."""
        return self

    def __len__(self) -> int:
        return self._steps


@solver("word_windows", again=True, options=Windows)
def word_windows(
    networks: Networks, dataset: Dataset, task: Any, config: TrainConfig, *, run: RunDir, options: Windows,
    support: Mapping[int, np.ndarray],
) -> None:  # fmt: skip
    """Train a network on the text of `dataset`, as many steps as its questions make, and assign its vectors.

    Each epoch reads the text once, in steps of equal size. A pruned table gets the rows of the other once more.
    networks: "lookup", "scorer".  Raises: BadInput for data without a text.
    """
    if support:
        _cut(networks, support)
        return
    text = _text(dataset)
    reader = Reader(options, dataset.tokens, counts_of(text.train, len(dataset.tokens)))
    network = reader.network(matrix_of(networks[LOOKUP]).shape[1])
    epochs = config.epochs_for(1)
    steps = max(1, steps_by_batches(dataset, config) // epochs)
    # By what is learned itself: vectors go on getting better when words of another text are told no better.
    judged = reader.draw(text.train, np.random.default_rng([config.seed, JUDGED]))
    judged = judged.take(np.arange(0, len(judged), max(1, len(judged) // MOST_JUDGED)))

    def drawn(epoch: int) -> Split:
        return reader.draw(text.train, np.random.default_rng([config.seed, DRAWN, epoch]))

    overrides = FitOverrides(
        loss=LOSSES[options.tells],
        targets=lambda split: split.y,
        batches=lambda *given: Drawn(drawn, steps, config.seed),
    )  # fmt: skip
    settings = replace(config, epochs=epochs, patience=None, enough=None, class_weights=None, augment=False)
    data = replace(dataset, train=judged, validation=judged, test=judged)
    minimise(lambda *given: overrides, {network.name: network}, data, OBJECTIVE, settings, run.part(network.name))
    vectors = reader.rows(network)
    vectors = debiased(vectors, dataset.tokens) if options.debiased else unit_rows(vectors)
    assign(networks[LOOKUP], principal(vectors), networks[SCORER])


@solver("cooccurrence_components", again=True, options=Windows)
def cooccurrence_components(
    networks: Networks, dataset: Dataset, task: Any, config: TrainConfig, *, options: Windows,
    support: Mapping[int, np.ndarray],
) -> None:  # fmt: skip
    """Assign the first components of positive pointwise mutual information, by singular value decomposition.

    networks: "lookup", "scorer".  Source: Levy 2015.  Raises: BadInput for data without a text.
    """
    from scipy.sparse.linalg import svds

    if support:
        _cut(networks, support)
        return
    words, width = len(dataset.tokens), matrix_of(networks[LOOKUP]).shape[1]
    information: Any = positive_information(cooccurrences(_text(dataset).train, words, options.window))
    decompose: Any = svds  # its stubs do not know `random_state`
    components, sizes, _ = decompose(information, k=min(width, words - 1), random_state=config.seed)
    vectors = np.pad(components * sizes**SMOOTHING, [(0, 0), (0, width - len(sizes))])
    assign(networks[LOOKUP], unit_rows(vectors), networks[SCORER])


def _cut(networks: Networks, support: Mapping[int, np.ndarray]) -> None:
    """Assign what pruning leaves of the rows, of unit length again: else rows that lost much would score too low."""
    vectors = rows_of(networks[LOOKUP])
    left = support.get(id(matrix_of(networks[SCORER])), np.ones_like(vectors.T))
    assign(networks[LOOKUP], vectors, networks[SCORER], unit_rows(vectors * left.T))


def _text(dataset: Dataset) -> Sentences:
    if not isinstance(dataset.corpus, Sentences):
        raise BadInput(f"data {dataset.name!r} have no text that words are learned from; give questions with one, as "
                       "'made_up_analogies'")  # fmt: skip
    return dataset.corpus
