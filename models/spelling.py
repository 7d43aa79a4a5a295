"""Sequence to sequence on two levels: words, made up of letters.

"sequence" is trained on pairs (teacher forcing). A device runs "encoder" once for a sentence, "step" once for a word,
and "spelling" once for a letter of a word: its first state is what the step made of the word to be said. Padding (id 0)
lies behind sentences and words. What reads forwards alone reads backwards, so that padding comes first.
"""

from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras import KerasTensor, layers, ops

from .attending import Alignment
from .registry import Deployable, register
from .seq2seq import stacked, wide_table

FAMILY = "rnn"
Shapes = Mapping[str, tuple[int, ...]]
UNKNOWN = 3  # the id of words that the vocabulary has not
NETWORKS = ("sequence", "encoder", "step", "spelling")
DEPLOYED = (
    Deployable(network="encoder", derived_from="sequence"),
    Deployable(network="step", derived_from="sequence", states={"*_out": "*"}),
    Deployable(network="spelling", derived_from="sequence", states={"*_out": "*"}),
)
Parts = Callable[..., Any]  # (symbolic tensors) -> symbolic tensors


@register(
    task="spelled_translation",
    input_shape={"source": (50, 24), "target": (50, 24), "target_letters": (50, 24)},
    dtype="int32",
    classes=300,
    params=72_665_700,
    paper="Ling 2015, Character-based neural machine translation, arXiv:1511.04586, on the word net of Luong 2015; "
    "sizes of the character nets are ours",
    data=("multi30k", "numbers_in_spanish"),
    learning_rate=4e-3,
    training={"clip_norm": 1.0},
    edge={
        "input_shape": {"source": (8, 14), "target": (10, 14), "target_letters": (10, 14)},
        "classes": 64, "letter": 16, "letters": 32, "embedding": 48, "units": 64, "depth": 1,
    },
    networks=NETWORKS,
    deploy=DEPLOYED,
)  # fmt: skip
def char_hierarchical_seq2seq(
    input_shape: Shapes, classes: int, *, letter: int = 50, letters: int = 150, embedding: int = 1000,
    units: int = 1000, depth: int = 4
):  # fmt: skip
    """Build a net that makes words of their letters, reads and says sentences of them, and spells what it says.

    An LSTM in both directions makes a word of its letters, for the encoder as for the decoder, whose step reads the
    word before. LSTM layers read the sentence backwards, as many attend and say what the next word is, and one more
    spells it from there. letter: width of a letter's vector. letters: units of what reads words.
    Shapes: sequence: source (N, S, C), target (N, T, C), target_letters (N, T, C) -> logits (N, T, C, classes);
    encoder: source -> memory, keys (N, S, units), states (N, units); step: token (N, 1, C), source, memory, keys,
    states -> word (N, 1, units), new states; spelling: token (N, 1), word, cell (N, units) -> logits (N, 1, classes),
    new states.
    """

    def composed(words: Any, side: str) -> Any:
        """Return words (N, L, C) as vectors (N, L, embedding)."""
        flat = ops.reshape(words, (-1, words.shape[-1]))
        x = wide_table(classes, letter, f"{side}_letter_table")(flat)
        x = layers.Bidirectional(layers.LSTM(letters, name="lstm"), name=f"{side}_letters_read")(x)
        x = layers.Dense(embedding, name=f"{side}_words")(x)
        return ops.reshape(x, (-1, words.shape[1], embedding))

    def encoder(source: KerasTensor) -> dict[str, Any]:
        return _encoded(composed(ops.flip(source, axis=1), "source"), units, depth)

    def decoder(words: KerasTensor, source: KerasTensor, made: Mapping[str, Any], states: Mapping[str, Any]):
        x, new = _decoded(composed(words, "target"), source[:, :, 0], made, states)
        return {"word": layers.Dense(units, activation="tanh", use_bias=False, name="word")(x)}, new

    def speller(read: KerasTensor, states: list[Any]):
        x = wide_table(classes, letter, "spelled_letter_table")(read)
        x, *new = layers.LSTM(units, return_sequences=True, return_state=True, name="spelled")(x, initial_state=states)
        return layers.Dense(classes, name="spelled_logits")(x), new

    return spelling_networks(input_shape, encoder, decoder, speller, stacked(depth), units)


@register(
    task="mixed_translation",
    input_shape={"source": (50,), "source_letters": (50, 24), "target": (50,), "target_letters": (50, 24)},
    dtype="int32",
    classes=10_000,
    params=120_514_520,
    paper="Luong and Manning 2016, Achieving open vocabulary neural machine translation with hybrid word-character "
    "models, arXiv:1604.00788; one layer of letters is ours",
    data=("multi30k", "numbers_in_spanish"),
    learning_rate=4e-3,
    training={"clip_norm": 1.0},
    edge={
        "input_shape": {"source": (8,), "source_letters": (8, 14), "target": (10,), "target_letters": (10, 14)},
        "classes": 2000, "letters": 64, "letter": 16, "units": 64, "depth": 1,
    },
    networks=NETWORKS,
    deploy=DEPLOYED,
)  # fmt: skip
def hybrid_nmt(
    input_shape: Shapes, classes: int, *, letters: int = 200, letter: int = 1024, units: int = 1024, depth: int = 4
):
    """Build LSTM layers that read and say words, and character nets for words that are not in the vocabulary.

    Of an unknown word of the source an LSTM over its letters makes the vector. Where the decoder says that a word is
    unknown, another spells it, from a state of its own beside the one that words are chosen by (the separate path).
    letters: how many are told apart; letter: width of their vectors.
    Shapes: sequence: source (N, S), source_letters (N, S, C), target (N, T), target_letters (N, T, C) -> logits
    (N, T, classes), letters (N, T, C, letters); encoder: source, source_letters -> memory, keys (N, S, units), states
    (N, units); step: token (N, 1), source, memory, keys, states -> logits (N, 1, classes), word (N, 1, units), new
    states; spelling: token (N, 1), word, cell (N, units) -> logits (N, 1, letters), new states.
    """

    def encoder(source: KerasTensor, spelled: KerasTensor) -> dict[str, Any]:
        rare = ops.reshape(ops.flip(spelled, axis=-1), (-1, spelled.shape[-1]))
        rare = layers.Embedding(letters, letter, name="source_letter_table")(rare)
        rare = ops.reshape(layers.LSTM(units, name="source_letters_read")(rare), (-1, spelled.shape[1], units))
        known = layers.Embedding(classes, units, name="source_embedding")(source)
        is_rare = ops.expand_dims(ops.equal(source, UNKNOWN), -1)
        read = ops.flip(ops.where(is_rare, rare, known), axis=1)
        return _encoded(read, units, depth)

    def decoder(tokens: KerasTensor, source: KerasTensor, made: Mapping[str, Any], states: Mapping[str, Any]):
        x = layers.Embedding(classes, units, name="target_embedding")(tokens)
        x, new = _decoded(x, source, made, states)
        said = layers.Dense(units, activation="tanh", use_bias=False, name="said")(x)
        word = layers.Dense(units, activation="tanh", use_bias=False, name="word")(x)
        return {"logits": layers.Dense(classes, name="logits")(said), "word": word}, new

    def speller(read: KerasTensor, states: list[Any]):
        x = layers.Embedding(letters, letter, name="spelled_letter_table")(read)
        x, *new = layers.LSTM(units, return_sequences=True, return_state=True, name="spelled")(x, initial_state=states)
        return layers.Dense(letters, name="spelled_logits")(x), new

    return spelling_networks(input_shape, encoder, decoder, speller, stacked(depth), units)


def _encoded(words: Any, units: int, depth: int) -> dict[str, Any]:
    """Return what LSTM layers make of words (N, S, E), the last first: a memory, its keys, first states."""
    made: dict[str, Any] = {}
    for k in range(1, depth + 1):
        name = "memory" if k == depth else f"encoder_{k}"
        layer = layers.LSTM(units, return_sequences=True, return_state=True, name=name)
        words, made[f"decoder_{k}_hidden"], made[f"decoder_{k}_cell"] = layer(words)
    return {**made, "memory": words, "keys": layers.Dense(units, use_bias=False, name="keys")(words)}


def _decoded(x: Any, source: Any, made: Mapping[str, Any], states: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return LSTM layers' outputs for words (N, T, E) beside what each attends to, (N, T, 2 units), and new states.

    source: (N, S) tokens of its words, 0 where there is none.  Source: Luong 2015, bilinear ("general") attention.
    """
    new: dict[str, Any] = {}
    for k in range(1, len(states) // 2 + 1):
        names = [f"decoder_{k}_{part}" for part in ("hidden", "cell")]
        units = states[names[0]].shape[-1]
        layer = layers.LSTM(units, return_sequences=True, return_state=True, name=f"decoder_{k}")
        x, *after = layer(x, initial_state=[states[name] for name in names])
        new |= dict(zip(names, after, strict=True))
    there = ops.not_equal(ops.flip(source, axis=1), 0)
    context = Alignment(name="alignment")(x, made["memory"], made["keys"], there)
    return layers.Concatenate(name="context")([context, x]), new


def spelling_networks(
    input_shape: Shapes, encoder: Parts, decoder: Parts, speller: Parts, states: list[str], units: int
) -> dict[str, keras.Model]:
    """Return the four networks of an encoder, a decoder of words and a speller.

    encoder: (sources) -> what it makes, by name: the first states, and what stays at each step. decoder: (words before,
    source, made, states) -> what it says, "word" (N, T, units) among it, and new states. speller: (letters before
    (M, C), hidden state and cell (M, units)) -> logits (M, C, K), new states. states: the names of the decoder's.
    """
    sources = [name for name in input_shape if name.startswith("source")]
    given = _inputs(input_shape, *input_shape)
    made = encoder(*(given[name] for name in sources))
    said, _ = decoder(given["target"], given["source"], made, {name: made[name] for name in states})
    length, longest = input_shape["target_letters"]
    word = ops.reshape(said.pop("word"), (-1, units))
    letters = ops.reshape(given["target_letters"], (-1, longest))
    logits, _ = speller(letters, [word, ops.zeros_like(word)])
    said["letters"] = layers.Reshape((length, longest, logits.shape[-1]), name="letters")(
        ops.reshape(logits, (-1, length * longest * logits.shape[-1]))
    )
    sequence = keras.Model(given, said if len(said) > 1 else said["letters"], name="sequence")

    given = _inputs(input_shape, *sources)
    made = encoder(*given.values())
    reader = keras.Model(given if len(given) > 1 else given["source"], made, name="encoder")

    token = keras.Input((1, *input_shape["target"][1:]), dtype="int32", name="token")
    held = {name: keras.Input(tuple(value.shape[1:]), name=name) for name, value in made.items()}
    source = _inputs(input_shape, "source")
    said, new = decoder(token, source["source"], held, {name: held[name] for name in states})
    after = {f"{name}_out": value for name, value in new.items()}
    step = keras.Model({"token": token, **source, **held}, {**said, **after}, name="step")

    token = keras.Input((1,), dtype="int32", name="token")
    begun = {name: keras.Input((units,), name=name) for name in ("word", "cell")}
    logits, new = speller(token, list(begun.values()))
    after = {f"{name}_out": value for name, value in zip(begun, new, strict=True)}
    spelling = keras.Model({"token": token, **begun}, {"logits": logits, **after}, name="spelling")
    return {"sequence": sequence, "encoder": reader, "step": step, "spelling": spelling}


def _inputs(input_shape: Shapes, *names: str) -> dict[str, Any]:
    return {name: keras.Input(tuple(input_shape[name]), dtype="int32", name=name) for name in names}
