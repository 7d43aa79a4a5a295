"""Recurrences with a memory beside their units: neural Turing machines and what came of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import layers

from .memory_cells import DNCCell, MANNCell, NTMCell
from .registry import Bars, register
from .streams import Recur, sequence_and_step, step_with

FAMILY = "rnn"

CELLS = {"ntm": NTMCell, "dnc": DNCCell, "mann": MANNCell}


@register(
    task="streaming_recall",
    input_shape=(41, 9),
    params=62_260,
    paper="Graves 2014, Neural Turing machines, arXiv:1410.5401; one head that reads and one that writes",
    data=("copy_task",),
    learning_rate=0.01,
    training={"clip_norm": 1.0},
    wide=("memory/cell",),  # weights of rows are multiplied step by step, and errors of 8 bits add up
    # LiteRT's 16-bit softmax, tanh and reciprocal root look up, and are off by some of 65536 steps, which states keep:
    # 95% of outputs are within one here, 93% of dnc, 88% of mann. The right bits differ by 0.1 points at most.
    bars=Bars(step=0.85),
    edge={"input_shape": (7, 9), "units": 32, "rows": 8, "width": 12},
    networks=("sequence", "step"),
    deploy=(step_with(memory=6),),
    variants={
        "dnc": {
            "params": 659_679,
            "paper": "Graves 2016, Hybrid computing using a neural network with dynamic external memory",
            "cell": "dnc",
            "units": 256,
            "rows": 256,
            "width": 64,
            "heads": 4,
            "deploy": (step_with(memory=9),),
            "edge": {"units": 32, "rows": 8, "width": 12, "heads": 1},
        },
        "mann": {
            "params": 332_656,
            "paper": "Santoro 2016, One-shot learning with memory-augmented neural networks, arXiv:1605.06065",
            "cell": "mann",
            "units": 200,
            "rows": 128,
            "width": 40,
            "heads": 4,
            "deploy": (step_with(memory=6),),
            "edge": {"units": 32, "rows": 8, "width": 12, "heads": 1},
        },
    },
)
def neural_turing_machine(
    input_shape: Sequence[int], units: int = 100, outputs: int = 8, *, cell: str = "ntm", rows: int = 128,
    width: int = 20, heads: int = 1
):  # fmt: skip
    """Build an LSTM with a memory, and a linear layer on its state and what it read.

    cell: how the memory is accessed, see `memory_cells`. The states are flat: hidden and cell of the LSTM, memory, what
    was read, and what the access keeps.
    Shapes: sequence: frames (N, T, F) -> logits (N, T, outputs); step: frame (N, 1, F), memory_state_k (N, ...) ->
    logits (N, 1, outputs) and the new states.
    """

    def body(x: Any, recur: Recur):
        memory = CELLS[cell](units, rows, width, heads=heads, name="cell")
        return layers.Dense(outputs, name="logits")(recur(x, layers.RNN, memory, name="memory"))

    return sequence_and_step(input_shape, body)
