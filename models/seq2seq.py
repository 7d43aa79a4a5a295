"""Sequence to sequence by recurrent nets: an encoder reads a sentence, a decoder says another, a token a step.

"sequence" is trained on pairs (teacher forcing). A device runs "encoder" once for a sentence, and "step" once for each
token: it has the decoder's states as inputs and outputs, and what the encoder made as inputs that stay. Padding (id 0)
lies behind a sentence. Encoders that read forwards alone read the sentence reversed, so that padding comes first.
"""

from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras import KerasTensor, layers, ops

from .attending import Alignment, AttentiveRecurrence
from .registry import Deployable, register

FAMILY = "rnn"
Shapes = Mapping[str, tuple[int, ...]]
LENGTHS = {"source": (50,), "target": (50,)}
SHORT = {"source": (16,), "target": (16,)}
NETWORKS = ("sequence", "encoder", "step")
DEPLOYED = (
    Deployable(network="encoder", derived_from="sequence"),
    Deployable(network="step", derived_from="sequence", states={"*_out": "*"}),
)
EDGE = {"input_shape": SHORT, "classes": 2000, "source_vocabulary": None, "embedding": 48, "units": 64, "depth": 1}
LUONG = {"classes": 50_000, "source_vocabulary": 50_000, "edge": {"source_vocabulary": None, "classes": 2000}}


def stacked(depth: int) -> list[str]:
    """Return the names of the states of so many LSTM layers of a decoder."""
    return [f"decoder_{k}_{part}" for k in range(1, depth + 1) for part in ("hidden", "cell")]


@register(
    task="translation",
    input_shape=LENGTHS,
    dtype="int32",
    classes=80_000,
    params=384_112_000,
    paper="Sutskever 2014, Sequence to sequence learning with neural networks, arXiv:1409.3215",
    data=("multi30k", "number_words"),
    learning_rate=4e-3,
    training={"clip_norm": 1.0},
    edge=EDGE,
    networks=NETWORKS,
    deploy=DEPLOYED,
    variants={
        "luong_dot": {
            **LUONG,
            "score": "dot",
            "params": 216_082_000,
            "paper": "Luong 2015, Effective approaches to attention-based neural machine translation, arXiv:1508.04025",
        },
        "luong_general": {
            **LUONG,
            "score": "general",
            "params": 217_082_000,
            "paper": "Luong 2015, Effective approaches to attention-based neural machine translation, arXiv:1508.04025",
        },
        "luong_concat": {
            **LUONG,
            "score": "concat",
            "params": 218_083_000,
            "paper": "Luong 2015, Effective approaches to attention-based neural machine translation, arXiv:1508.04025",
        },
        "luong_input_feeding": {
            **LUONG,
            "score": "general",
            "feeding": True,
            "params": 221_082_000,
            "paper": "Luong 2015, Effective approaches to attention-based neural machine translation, arXiv:1508.04025",
        },
        "neural_conversation": {
            "params": 78_245_408,
            "depth": 1,
            "units": 1024,
            "embedding": 1024,
            "classes": 20_000,
            "source_vocabulary": None,
            "data": ("shakespeare_answers", "number_words"),
            "edge": {"embedding": 48, "units": 64, "classes": 2000},
            "paper": "Vinyals and Le 2015, A neural conversational model, arXiv:1506.05869, the net of the help desk",
        },
    },
)  # fmt: skip
def encoder_decoder(
    input_shape: Shapes, classes: int, *, source_vocabulary: int | None = 160_000, embedding: int = 1000,
    units: int = 1000, depth: int = 4, score: str | None = None, feeding: bool = False
):  # fmt: skip
    """Build LSTM layers that read a sentence backwards, and as many that go on from their states and say another.

    score: of the attention behind the decoder, "dot", "general" or "concat"; None for none. feeding: what attention led
    to enters the next step.
    Shapes: sequence: source (N, S), target (N, T) -> logits (N, T, classes); encoder: source -> memory (N, S, units),
    keys, states (N, units); step: token (N, 1), source, memory, keys, states -> logits (N, 1, classes), states.
    """

    def encoder(source: KerasTensor) -> dict[str, Any]:
        read = layers.Embedding(source_vocabulary or classes, embedding, name="source_embedding")(
            ops.flip(source, axis=1)
        )
        made: dict[str, Any] = {}
        for k in range(1, depth + 1):
            last = "memory" if k == depth and score else f"encoder_{k}"
            layer = layers.LSTM(units, return_sequences=True, return_state=True, name=last)
            read, made[f"decoder_{k}_hidden"], made[f"decoder_{k}_cell"] = layer(read)
        return {**made, **_memory(read, units, score)}

    def decoder(tokens: KerasTensor, source: KerasTensor, made: Mapping[str, Any], states: Mapping[str, Any]):
        x = layers.Embedding(classes, embedding, name="target_embedding")(tokens)
        there = ops.not_equal(ops.flip(source, axis=1), 0) if score else None
        if feeding:
            recurrence = AttentiveRecurrence("input_feeding", units, depth, score == "concat", name="decoder")
            x, *new = recurrence(x, list(states.values()), *_seen(made), there)
            new = dict(zip(states, new, strict=True))
        else:
            new = {}
            for k in range(1, depth + 1):
                names = [f"decoder_{k}_{part}" for part in ("hidden", "cell")]
                layer = layers.LSTM(units, return_sequences=True, return_state=True, name=f"decoder_{k}")
                x, *after = layer(x, initial_state=[states[name] for name in names])
                new |= dict(zip(names, after, strict=True))
            if score:
                context = Alignment(score == "concat", name="alignment")(x, *_seen(made), there)
                x = layers.Concatenate(name="context")([context, x])
                x = layers.Dense(units, activation="tanh", use_bias=False, name="said")(x)
        return layers.Dense(classes, name="logits")(x), new

    names = (["said"] if feeding else []) + stacked(depth)
    return networks_of(input_shape, encoder, decoder, dict.fromkeys(names, (units,)), attends=bool(score))


def _memory(memory: KerasTensor, units: int, score: str | None) -> dict[str, Any]:
    """Return what a decoder attends to: the memory, and its keys where these are something else."""
    if not score:
        return {}
    if score == "dot":
        return {"memory": memory}
    return {"memory": memory, "keys": layers.Dense(units, use_bias=False, name="keys")(memory)}


def _seen(made: Mapping[str, Any]) -> tuple[Any, Any]:
    return made["memory"], made.get("keys", made["memory"])


Parts = Callable[..., Any]  # (symbolic tensors) -> symbolic tensors


def networks_of(
    input_shape: Shapes, encoder: Parts, decoder: Parts, states: Mapping[str, tuple[int, ...]], *,
    attends: bool, counts: bool = False, pictures: bool = False, noise: Shapes | None = None,
) -> dict[str, keras.Model]:  # fmt: skip
    """Return the three networks of an encoder and a decoder.

    encoder: (source) -> what it makes, by name: states, and what stays at each step. decoder: (tokens, source, made,
    states) -> (logits, new states). states: their names and shapes, those that the encoder does not make begin at zero.
    attends: whether the step reads the source, to know what of it is padding. counts: whether it reads the position of
    its token; the decoder is then given it too. pictures: sources are no tokens. noise: what chance adds to choices of
    the decoder while it is trained, by name: the sequence net reads it, and answers all that the decoder does; else it
    answers logits alone, of a decoder that has more to say, by name, too.
    """
    kind = "float32" if pictures else "int32"
    source = keras.Input(tuple(input_shape["source"]), dtype=kind, name="source")
    target = keras.Input(tuple(input_shape["target"]), dtype="int32", name="target")
    chance = {name: keras.Input(shape, name=name) for name, shape in (noise or {}).items()}
    made = encoder(source)
    begun = {name: made[name] if name in made else _zeros(source, shape) for name, shape in states.items()}
    said, _ = decoder(target, source, made, begun, **chance)
    if isinstance(said, Mapping) and not noise:
        said = said["logits"]
    sequence = keras.Model({"source": source, "target": target, **chance}, said, name="sequence")

    source = keras.Input(tuple(input_shape["source"]), dtype=kind, name="source")
    made = encoder(source)
    reader = keras.Model(source, made, name="encoder")

    token = keras.Input((1,), dtype="int32", name="token")
    kept = {name: keras.Input(tuple(made[name].shape[1:]), name=name) for name in made if name not in states}
    given = {name: keras.Input(shape, name=name) for name, shape in states.items()}
    at = {"position": keras.Input((1,), dtype="int32", name="position")} if counts else {}
    if attends:
        kept["source"] = keras.Input(tuple(input_shape["source"]), dtype="int32", name="source")
    said, new = decoder(token, kept.get("source"), kept, given, **at)
    outputs = {f"{name}_out": value for name, value in new.items()}
    said = said if isinstance(said, Mapping) else {"logits": said}
    step = keras.Model({"token": token, **at, **kept, **given}, {**said, **outputs}, name="step")
    return {"sequence": sequence, "encoder": reader, "step": step}


def _zeros(source: Any, shape: tuple[int, ...]) -> Any:
    """Return states of zero, one for each sentence."""
    first: Any = ops.reshape(ops.cast(source[:, :1], "float32"), (-1, *[1] * len(shape)))
    return ops.zeros_like(ops.tile(first, (1, *shape)))


@register(
    task="translation",
    input_shape=LENGTHS,
    dtype="int32",
    classes=30_000,
    params=80_422_000,
    paper="Bahdanau 2015, Neural machine translation by jointly learning to align and translate, arXiv:1409.0473",
    data=("multi30k", "number_words"),
    learning_rate=4e-3,
    training={"clip_norm": 1.0},
    edge={"input_shape": SHORT, "classes": 2000, "embedding": 48, "units": 64, "maxout": 32},
    networks=NETWORKS,
    deploy=DEPLOYED,
    variants={
        "subword_seq2seq": {
            "classes": 90_000,
            "params": 184_822_000,
            "edge": {"classes": 2000},
            "paper": "Sennrich 2016, Neural machine translation of rare words with subword units, arXiv:1508.07909",
        },
    },
)
def bahdanau_attention(input_shape: Shapes, classes: int, embedding: int = 620, units: int = 1000, maxout: int = 500):
    """Build RNNsearch: GRUs that read in both directions, a GRU that attends before each token, a maxout readout.

    Shapes: sequence: source (N, S), target (N, T) -> logits (N, T, classes); encoder: source -> memory (N, S, 2 units),
    keys (N, S, units), decoder_state (N, units); step: token (N, 1), source, memory, keys, decoder_state -> logits
    (N, 1, classes), the new state.
    """

    def encoder(source: KerasTensor) -> dict[str, Any]:
        read = layers.Embedding(classes, embedding, name="source_embedding")(source)
        gru = layers.GRU(units, return_sequences=True, return_state=True, name="gru")
        memory, _, backward = layers.Bidirectional(gru, name="memory")(read)
        return {
            "memory": memory,
            "keys": layers.Dense(units, name="keys")(memory),
            "decoder_state": layers.Dense(units, activation="tanh", name="decoder_state")(backward),
        }

    def decoder(tokens: KerasTensor, source: KerasTensor, made: Mapping[str, Any], states: Mapping[str, Any]):
        x = layers.Embedding(classes, embedding, name="target_embedding")(tokens)
        recurrence = AttentiveRecurrence("search", units, additive=True, name="decoder")
        x, new = recurrence(x, list(states.values()), *_seen(made), ops.not_equal(source, 0))
        x = layers.Dense(2 * maxout, name="readout")(x)
        x = ops.max(layers.Reshape((-1, maxout, 2), name="pairs")(x), axis=-1)  # (N, T, maxout)
        return layers.Dense(classes, use_bias=False, name="logits")(x), {"decoder_state": new}

    return networks_of(input_shape, encoder, decoder, {"decoder_state": (units,)}, attends=True)


@register(
    task="translation",
    input_shape=LENGTHS,
    dtype="int32",
    classes=32_000,
    params=276_664_576,
    paper="Wu 2016, Google's neural machine translation system, arXiv:1609.08144",
    data=("multi30k", "number_words"),
    learning_rate=1e-2,
    training={"clip_norm": 1.0},
    edge={"input_shape": SHORT, "classes": 2000, "embedding": 48, "units": 48, "depth": 3},
    networks=NETWORKS,
    deploy=DEPLOYED,
)
def gnmt(input_shape: Shapes, classes: int, *, embedding: int = 1024, units: int = 1024, depth: int = 8):
    """Build 8 + 8 LSTM layers with residual sums from the third on; the first of the encoder reads in both directions.

    The lowest layer of the decoder asks by its state of the step before, and all layers above it read the answer.
    Shapes: sequence: source (N, S), target (N, T) -> logits (N, T, classes); encoder: source -> memory, keys (N, S,
    units); step: token (N, 1), source, memory, keys, states (N, units) -> logits (N, 1, classes), new states.
    """

    def encoder(source: KerasTensor) -> dict[str, Any]:
        x = wide_table(classes, embedding, "source_embedding")(source)
        x = layers.Bidirectional(layers.LSTM(units, return_sequences=True, name="lstm"), name="encoder_1")(x)
        for k in range(2, depth + 1):
            above = layers.LSTM(units, return_sequences=True, name=f"encoder_{k}")(x)
            last = "memory" if k == depth else f"encoder_{k}_add"
            x = layers.Add(name=last)([above, x]) if k > 2 else above
        return {"memory": x, "keys": layers.Dense(units, use_bias=False, name="keys")(x)}

    def decoder(tokens: KerasTensor, source: KerasTensor, made: Mapping[str, Any], states: Mapping[str, Any]):
        x = wide_table(classes, embedding, "target_embedding")(tokens)
        context, new = None, {}
        for k in range(1, depth + 1):
            names = [f"decoder_{k}_{part}" for part in ("hidden", "cell")]
            layer = layers.LSTM(units, return_sequences=True, return_state=True, name=f"decoder_{k}")
            read = x if context is None else layers.Concatenate(name=f"decoder_{k}_reads")([x, context])
            above, *after = layer(read, initial_state=[states[name] for name in names])
            x = layers.Add(name=f"decoder_{k}_add")([above, x]) if k > 2 else above
            new |= dict(zip(names, after, strict=True))
            if context is None:
                before = ops.expand_dims(states["decoder_1_hidden"], 1)
                asked = layers.Concatenate(axis=1, name="asked")([before, above])[:, :-1]  # (N, T, units), a step late
                alignment = Alignment(additive=True, name="alignment")
                context = alignment(asked, *_seen(made), ops.not_equal(source, 0))
        return layers.Dense(classes, name="logits")(x), new

    return networks_of(input_shape, encoder, decoder, dict.fromkeys(stacked(depth), (units,)), attends=True)


def wide_table(rows: int, width: int, name: str) -> layers.Embedding:
    """Return a table for a stack of LSTM layers, begun at +-1 in place of Keras' +-0.05.

    Each layer leaves a small part of a small input, and six leave nothing to learn by.
    """
    start: Any = keras.initializers.RandomUniform(-1.0, 1.0)
    return layers.Embedding(rows, width, embeddings_initializer=start, name=name)
