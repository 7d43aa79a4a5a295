"""Hidden Markov models in plain NumPy: counted from told states, or re-estimated from what words alone say of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .data.tagging import HIDDEN

SMALL = 1e-3  # the least that one state's chance of a symbol is of another's: logarithms stay in a short range
LEAST = 1e-12  # the sum of probabilities that nothing is divided by less of


@dataclass(frozen=True)
class Expected:
    """What is expected of the states of sequences: the log-likelihood (N,) of each in nats, states (N, T, K) at each
    place, zero behind the end, and how often one follows another (K, K), summed over all sequences.
    """

    likelihood: np.ndarray
    states: np.ndarray
    moves: np.ndarray


@dataclass(frozen=True)
class Markov:
    """A hidden Markov model. start: (K,), of the first state; moves: (K, K), from row to column; emits: (V, K), of each
    symbol in each state. Probabilities: start, the rows of moves and the columns of emits add up to one.
    """

    start: np.ndarray
    moves: np.ndarray
    emits: np.ndarray

    @classmethod
    def counted(cls, symbols: np.ndarray, states: np.ndarray, kinds: int, size: int, prior: float = 0.1) -> Markov:
        """Return the likeliest model of states that are told, HIDDEN behind the end.

        kinds, size: of states and symbols. prior: counts that each chance has before anything is counted.
        Shapes: (N, T), (N, T).
        """
        told = np.eye(kinds + 1)[states][..., :kinds] * (states != HIDDEN)[..., None]  # (N, T, K)
        moves = np.einsum("nti,ntj->ij", told[:, :-1], told[:, 1:])
        return cls.likeliest(symbols, Expected(np.zeros(len(told)), told, moves), size, prior)

    @classmethod
    def likeliest(cls, symbols: np.ndarray, expected: Expected, size: int, prior: Any = 0.0) -> Markov:
        """Return the model that makes what is expected likeliest: the M step. States that never occur stay without."""
        states = expected.states
        emits = np.zeros((size, states.shape[-1]))
        np.add.at(emits, symbols, states)
        prior = prior * states.any((0, 1))  # (K,): what never occurs has no chance, and what leads there neither
        return cls(
            _shares(states[:, 0].sum(0) + prior),
            _shares((expected.moves + prior) * (prior[:, None] > 0) if prior.any() else expected.moves),
            _shares((emits + prior).T).T,
        )

    def expected(self, symbols: np.ndarray, lengths: np.ndarray) -> Expected:
        """Return what is expected of the states given the symbols: the E step, forwards and backwards.

        Shapes: symbols (N, T), lengths (N,).  Source: Rabiner 1989, A tutorial on hidden Markov models, section III.
        """
        given = self.emits[symbols]  # (N, T, K)
        inside = np.arange(symbols.shape[1]) < lengths[:, None]
        beliefs, scales = self._forwards(given, inside)
        behind = np.ones_like(given)  # what follows, given the state, over what it was scaled by
        moves = np.zeros_like(self.moves)
        for step in range(symbols.shape[1] - 2, -1, -1):
            after = given[:, step + 1] * behind[:, step + 1] / scales[:, step + 1, None]
            follows = inside[:, step + 1, None]
            behind[:, step] = np.where(follows, after @ self.moves.T, 1.0)
            moves += np.einsum("ni,nj->ij", beliefs[:, step] * follows, after) * self.moves
        states = beliefs * behind * inside[..., None]
        return Expected(np.where(inside, np.log(scales), 0).sum(1), states, moves)

    def _forwards(self, given: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the states' probabilities given the symbols so far, (N, T, K), and their sums before, (N, T)."""
        beliefs, scales = np.zeros_like(given), np.ones(inside.shape)
        predicted = np.broadcast_to(self.start, given[:, 0].shape)
        for step in range(given.shape[1]):
            joint = predicted * given[:, step]
            sums = np.maximum(joint.sum(-1), LEAST)
            scales[:, step] = np.where(inside[:, step], sums, 1.0)
            beliefs[:, step] = joint / sums[:, None]
            predicted = beliefs[:, step] @ self.moves
        return beliefs, scales

    def reestimated(self, symbols: np.ndarray, lengths: np.ndarray) -> tuple[Markov, float]:
        """Return the model after a step of EM, and the log-likelihood before it, in nats.

        Source: Baum 1970; Dempster 1977, Maximum likelihood from incomplete data via the EM algorithm.
        """
        expected = self.expected(symbols, lengths)
        return type(self).likeliest(symbols, expected, len(self.emits)), float(expected.likelihood.sum())

    def rows(self) -> np.ndarray:
        """Return how likely each symbol is in each state, logarithms less the largest: (V, K) float32, 0 of symbol 0.

        Symbol 0 is padding, which tells nothing.
        """
        rows = np.log(np.maximum(self.emits / np.maximum(self.emits.max(1, keepdims=True), LEAST), SMALL))
        rows[0] = 0
        return rows.astype(np.float32)

    def table(self) -> np.ndarray:
        """Return the scores of a chain, see `chains`: logarithms, (K + 2, K) float32."""
        logs = np.log(np.maximum([*self.moves, self.start], LEAST))
        return np.concatenate([logs, np.zeros((1, len(self.start)))]).astype(np.float32)


def _shares(counts: np.ndarray) -> np.ndarray:
    """Return counts over the sums of their rows."""
    return counts / np.maximum(counts.sum(-1, keepdims=True), LEAST)
