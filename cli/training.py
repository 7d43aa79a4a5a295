"""What a command line says of how networks are trained, as settings of `TrainConfig`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypedDict

from ..errors import BadInput
from ..training.config import AUGMENTATIONS, LOSSES, OPTIMIZERS, SCHEDULES, TrainConfig
from . import inputs

NO_CHANGE = "none"  # of --augment


class Training(TypedDict, total=False):
    """Options of `train` and `run`; what is left out is as the model or the stage has it."""

    optimizer: Annotated[Literal[OPTIMIZERS] | None, "what applies the gradients; default: adam"]  # pyright: ignore[reportInvalidTypeForm]
    momentum: Annotated[float | None, "of sgd (default 0.9) and rmsprop (0), in [0, 1)", inputs.share_of("momentum")]
    nesterov: Annotated[bool, "of sgd: the gradient of where the momentum leads"]
    weight_decay: Annotated[
        float | None, "share of each weight taken off at each update, times the rate; default: 0",
        inputs.share_of("decay"),
    ]  # fmt: skip
    l1: Annotated[float | None, "penalty of kernels in the loss, times the sizes of all weights", inputs.at_least(0)]
    l2: Annotated[float | None, "penalty of kernels in the loss, times the squares of all weights", inputs.at_least(0)]
    max_norm: Annotated[float | None, "largest norm of the weights into one unit", inputs.above(0)]
    weight_clip: Annotated[float | None, "largest size of each weight of a kernel", inputs.above(0)]
    clip_norm: Annotated[float | None, "largest norm of the gradient of all weights together", inputs.above(0)]
    clip_value: Annotated[float | None, "largest size of each value of a gradient", inputs.above(0)]
    schedule: Annotated[Literal[SCHEDULES] | None, "what becomes of the rate; default: cosine, down to zero"]  # pyright: ignore[reportInvalidTypeForm]
    rate_every: Annotated[
        int | None,
        "epochs: between steps (30), of the first cosine of restarts (10), until linear stays (all), plateau waits (5)",
        inputs.at_least(1),
    ]
    rate_factor: Annotated[
        float | None,
        "what step (0.1), exponential (0.95) and plateau (0.1) multiply the rate by, where linear ends (0.01), how much"
        " longer each restart is (1)",
        inputs.above(0),
    ]
    warmup: Annotated[int | None, "updates of rising to the peak rate; default: 50", inputs.at_least(0)]
    scale_rate: Annotated[bool, "the rate is that of batches of 32: larger ones take one in proportion"]
    label_smoothing: Annotated[
        float | None, "share of a target spread over all classes, in [0, 1); default: 0.1",
        inputs.share_of("label smoothing"),
    ]  # fmt: skip
    loss: Annotated[
        str | None, "in place of the task's: mse, mae, huber of values, focal of classes, as huber:0.5, focal:1",
        inputs.one_of(*LOSSES),
    ]  # fmt: skip
    augment: Annotated[
        list[str] | None,
        f"change training samples at random: {', '.join(AUGMENTATIONS)}, each alone or with how far, as shift:0.1; "
        "none for no change; default: as the data set has it",
        inputs.one_of(*AUGMENTATIONS, without=NO_CHANGE),
    ]
    oversample: Annotated[bool, "repeat training samples of rare classes until all have as many"]
    carry_states: Annotated[
        bool, "read a text window by window in its order, recurrences beginning where the window before ended"
    ]
    patience: Annotated[
        int | None, "epochs without a better validation score before stopping; default: go on", inputs.at_least(1)
    ]


class BackTranslation(TypedDict, total=False):
    """Text of the target language alone, and what translates it back; the two go together."""

    monolingual: Annotated[str | None, "text file of the target language, a sentence a line, to learn from too",
                           inputs.text_file]  # fmt: skip
    back_translate: Annotated[
        str | None, ".keras file of a model of the pairs turned round, which says the sources of --monolingual",
        inputs.keras_file,
    ]  # fmt: skip


def translated_of(options: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the reverse model and the text, None for neither.  Raises: BadInput for one without the other."""
    pairs = (("monolingual", "back_translate"), ("back_translate", "monolingual"))
    for name, other in pairs:
        if name in options and other not in options:
            raise BadInput(f"--{name.replace('_', '-')} {options[name]}: needs --{other.replace('_', '-')} beside it")
    return (options["back_translate"], options["monolingual"]) if options else None


def settings_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was said as settings.  Raises: BadInput for what does not go together, before any work."""
    given = dict(options)
    if given.get("augment") == [NO_CHANGE]:
        given["augment"] = False
    TrainConfig.read(given)
    return given
