"""What a step network says, token by token: greedy, by beam search, or drawn. Plain Python over a runner.

A `Speaker` holds the runner and what the step reads beside tokens; greedy decoding feeds the likeliest token back where
the network runs, the others ask it once a token.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from ..errors import BadInput
from ..runners import Arrays, Runner
from .data.marks import BOS, EOS, PAD

TOKEN, LOGITS = "token", "logits"  # of a step network


@dataclass(frozen=True, kw_only=True)
class Speaker:
    """A step network about to say `count` sentences of at most `length` tokens.

    first: its states at the beginning, all of them; held: what it reads at every step; input -> (count, ...). states:
    output -> the input that it becomes. position: the input that is told how many tokens came before, if there is one.
    begin: the first token it reads, or one a sentence (count,); end: the one that ends a sentence.
    """

    run: Runner
    network: str
    count: int
    length: int
    first: Arrays = field(default_factory=dict)
    held: Arrays = field(default_factory=dict)
    states: Mapping[str, str] = field(default_factory=dict)
    position: str | None = None
    begin: int | np.ndarray = BOS
    end: int = EOS

    def __post_init__(self):
        if missing := sorted(set(self.states.values()) - self.first.keys()):
            raise BadInput(f"first: no {missing[0]!r}; give every state, zeros where it begins at zero")
        asked = getattr(self.run, "shortlist", None)  # of files alone
        kept = asked(self.network) if asked else None
        if kept is not None and self.end not in kept.ids:
            raise BadInput(f"network {self.network!r}: its shortlist of {len(kept.ids)} tokens lacks {self.end}, which "
                           "ends a sentence; export it again with it")  # fmt: skip

    def tokens(self, count: int) -> np.ndarray:
        """Return what is read first, as often for each sentence as makes `count`: (count, 1) int32."""
        each = np.broadcast_to(self.begin, (self.count,))
        return np.repeat(each, count // self.count)[:, None].astype(np.int32)

    def answers(self, tokens: np.ndarray, states: Arrays, held: Arrays, step: int) -> tuple[Arrays, Arrays]:
        """Return what the network answers to tokens (N, 1), and the new states."""
        at = {self.position: np.full((len(tokens), 1), step, np.int32)} if self.position else {}
        answers = self.run(self.network, {TOKEN: tokens.astype(np.int32), **at, **states, **held})
        return answers, {into: answers[output] for output, into in self.states.items()}

    def step(self, tokens: np.ndarray, states: Arrays, held: Arrays, step: int) -> tuple[np.ndarray, Arrays]:
        """Return the logarithms of the next tokens' chances, and the new states.  Shapes: (N, 1) -> (N, K)."""
        answers, new = self.answers(tokens, states, held, step)
        return logarithms(answers[LOGITS].reshape(len(tokens), -1).astype(np.float64)), new


def logarithms(logits: np.ndarray) -> np.ndarray:
    """Return log softmax of the last axis."""
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def ended(ids: np.ndarray, end: int = EOS) -> np.ndarray:
    """Return ids (N, T) with padding behind the first end of each sentence."""
    before = np.cumsum(ids == end, axis=1) - (ids == end)
    return np.where(before > 0, PAD, ids).astype(np.int32)


def greedy(speaker: Speaker) -> np.ndarray:
    """Return the likeliest token after the likeliest, ids (N, T): fed back on the device, all T steps in one call."""
    return greedy_with_answers(speaker)[0]


def greedy_with_answers(speaker: Speaker) -> tuple[np.ndarray, Arrays]:
    """Return what `greedy` does, and what the network answered at each step, by output (N, T, ...)."""
    count, length = speaker.count, speaker.length
    steps = np.tile(np.arange(length, dtype=np.int32)[None, :, None], (count, 1, 1))
    answers = speaker.run.unroll(
        speaker.network,
        {speaker.position: steps} if speaker.position else {},
        first={TOKEN: speaker.tokens(count), **speaker.first},
        steps=length,
        feed={LOGITS: TOKEN},
        held=speaker.held,
    )
    ids = np.asarray(answers[LOGITS]).reshape(count, length, -1).argmax(-1)
    return ended(ids, speaker.end), answers


def spelled(words: Speaker, spell: Callable[[Arrays], Speaker], longest: int) -> np.ndarray:
    """Return sentences of words that are spelled one after the other, ids (N, T, C); one of no letters is the last.

    words: the step network of words, which reads the letters (N, 1, C) of the word before, C being `longest`.
    spell(answers): what spells, greedily, the word that these answers of it are about.
    """
    said = np.full((words.count, words.length, longest), PAD, np.int32)
    letters, states = np.full((words.count, 1, longest), PAD, np.int32), words.first
    letters[..., 0] = words.begin
    going = np.ones(words.count, bool)
    for step in range(words.length):
        answers, states = words.answers(letters, states, words.held, step)
        word = greedy(spell(answers))
        said[going, step] = word[going]
        going &= word[:, 0] != words.end
        if not going.any():
            break
        letters = word[:, None]
    return said


# ---------------------------------------------------------------- beam search


def beam(speaker: Speaker, width: int = 4, penalty: float = 0.6) -> np.ndarray:
    """Return the best sentence found with `width` beginnings kept at each step, ids (N, T).

    A sentence is judged by its log chance over ((5 + length) / 6)^penalty, so that long ones are not shunned. All
    beginnings of all sentences are one batch.  Raises: BadInput.  Source: Wu 2016, arXiv:1609.08144, eq. 14.
    """
    if width < 1:
        raise BadInput(f"width={width}: at least 1 beginning must be kept; 4 to 6 are usual")
    count, length = speaker.count, speaker.length
    held, states = ({name: np.repeat(np.asarray(array), width, axis=0) for name, array in arrays.items()}
                    for arrays in (speaker.held, speaker.first))  # fmt: skip
    chances = np.full((count, width), -np.inf)  # log, of the beginnings
    chances[:, 0] = 0.0
    said = np.full((count, width, length), PAD, np.int32)
    best, judged = np.full((count, length), PAD, np.int32), np.full(count, -np.inf)
    tokens = speaker.tokens(count * width)
    for step in range(length):
        likely, states = speaker.step(tokens, states, held, step)
        kinds = likely.shape[-1]
        every = (chances[..., None] + likely.reshape(count, width, kinds)).reshape(count, -1)  # (N, width K)
        order = np.argsort(-every, axis=1, kind="stable")[:, :width]
        parents, chosen = order // kinds, order % kinds
        chances = np.take_along_axis(every, order, 1)
        if chosen.shape[1] < width:  # there are not as many tokens yet
            gap = width - chosen.shape[1]
            parents, chosen = (np.pad(each, ((0, 0), (0, gap))) for each in (parents, chosen))
            chances = np.pad(chances, ((0, 0), (0, gap)), constant_values=-np.inf)
        said = np.take_along_axis(said, parents[..., None], 1)
        said[:, :, step] = chosen
        values = chances / ((5 + step + 1) / 6) ** penalty
        closed = np.where((chosen == speaker.end) | (step == length - 1), values, -np.inf)
        place = closed.argmax(1)
        better = closed[np.arange(count), place] > judged
        best[better], judged[better] = (said[better, place[better]], closed[better, place[better]])
        chances = np.where(chosen == speaker.end, -np.inf, chances)
        if np.isneginf(chances).all():
            break
        rows = (np.arange(count)[:, None] * width + parents).ravel()
        states = {name: np.asarray(array)[rows] for name, array in states.items()}
        tokens = chosen.reshape(-1, 1)
    return ended(best, speaker.end)


# ---------------------------------------------------------------- sampling


def chances(
    logits: np.ndarray, temperature: float = 1.0, top_k: int | None = None, nucleus: float | None = None
) -> np.ndarray:
    """Return what tokens are drawn by, (..., K): softmax of logits / temperature, of the likeliest alone if asked.

    top_k: so many of them (Fan 2018, arXiv:1805.04833). nucleus: the fewest whose chances add up to that (Holtzman
    2020, arXiv:1904.09751).  Raises: BadInput.
    """
    _check(temperature, top_k, nucleus)
    drawn = np.exp(logarithms(np.asarray(logits, np.float64) / temperature))
    order = np.argsort(-drawn, axis=-1, kind="stable")
    ranked = np.take_along_axis(drawn, order, -1)
    kept = np.ones(ranked.shape, bool)
    if top_k is not None:
        kept[..., top_k:] = False
    if nucleus is not None:
        kept &= np.cumsum(ranked, -1) - ranked < nucleus  # the one that reaches it is the last
    ranked = np.where(kept, ranked, 0.0)
    np.put_along_axis(drawn, order, ranked / ranked.sum(-1, keepdims=True), -1)
    return drawn


def _check(temperature: float, top_k: int | None, nucleus: float | None) -> None:
    if not temperature > 0:
        raise BadInput(f"temperature={temperature}: must be above 0; greedy decoding is what it tends to at 0")
    if top_k is not None and top_k < 1:
        raise BadInput(f"top_k={top_k}: at least 1 token must be left to draw; None keeps all")
    if nucleus is not None and not 0 < nucleus <= 1:
        raise BadInput(f"nucleus={nucleus}: must be in (0, 1]; None keeps all tokens")


def sample(
    speaker: Speaker, temperature: float = 1.0, top_k: int | None = None, nucleus: float | None = None, seed: int = 0
) -> np.ndarray:
    """Return sentences drawn token by token, ids (N, T), a function of the seed; see `chances`."""
    _check(temperature, top_k, nucleus)
    random = np.random.default_rng(seed)
    states, tokens, said = speaker.first, speaker.tokens(speaker.count), []
    for step in range(speaker.length):
        likely, states = speaker.step(tokens, states, speaker.held, step)
        tokens = picked(chances(likely, temperature, top_k, nucleus), random)
        said.append(tokens)
    return ended(np.concatenate(said, axis=1), speaker.end)


def picked(chances: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return one of K tokens each, drawn by its chance.  Shapes: (N, K) -> (N, 1) int32."""
    reached = chances.cumsum(-1)
    return (random.random((len(reached), 1)) * reached[:, -1:] >= reached).sum(-1, keepdims=True).astype(np.int32)
