"""Style transfer: a net learns to give images a style, or the pixels of one image do, by the maps of a fixed net."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ...errors import BadInput
from ...untyped import ops
from ..config import TrainConfig
from ..data import Dataset
from ..state import Row, RunDir
from ..tasks.style import FEATURES, Styled, content_loss, said_by, style_loss, style_of
from .games import Epochs, Move, cost
from .register import Networks, best_by_metric, learner, validate_by_metric
from .wrapped import answered


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Options. style: weight of the style's loss, that of the content counting 1.  Raises: BadInput below 0."""

    style: float = 1.0

    def __post_init__(self) -> None:
        if self.style < 0:
            raise BadInput(f"style={self.style}: allowed is a number from 0")


@learner("perceptual", validate=validate_by_metric, options=Weights)
def perceptual(
    networks: Networks, dataset: Dataset, task: Any, config: TrainConfig, run: RunDir, *, options: Weights
) -> list[Row]:
    """Fit a net of images to what the data's scorer says of content and style; the epoch of the best metric is kept.

    Source: Johnson 2016, arXiv:1603.08155, section 3.2.  Raises: BadInput for several networks.
    """
    if len(networks) != 1 or not isinstance(dataset, Styled):
        raise BadInput(f"learner 'perceptual' trains one network, on data of a style, got {', '.join(networks)}")
    ((name, network),) = networks.items()
    x, batch = np.asarray(dataset.train.x), config.batch_for(len(dataset.train))
    updates = len(x) // batch * config.passes
    (given,) = network.inputs

    def paint(players: Networks, samples: Mapping[str, Any]) -> Any:
        (made,) = answered(players[name], {given.name: samples["images"]}).values()
        said, wanted = (scored(players["scorer"], each) for each in (made, samples["images"]))
        return content_loss(said, wanted[FEATURES]) + options.style * style_loss(said, dataset.style)

    players = {name: network, "scorer": dataset.scorer}
    move = Move("painting", players, [name], paint).prepare(cost, keras.optimizers.Adam(config.learning_rate), config)
    nothing = np.zeros((batch, 1), np.float32)

    def epoch(number: int) -> Row:
        random = np.random.default_rng([config.seed, number])
        losses = []
        for _ in range(config.passes):
            for chosen in random.permutation(len(x))[: len(x) // batch * batch].reshape(-1, batch):
                losses.append(move.make({"images": x[chosen]}, nothing))
        return {"loss": float(np.mean(losses))}

    game = Epochs(networks, {move.name: move.optimizer.variables}, config, run)
    return game.play(config.epochs_for(updates), epoch, dataset, task, validate_by_metric, best_by_metric)


def scored(scorer: keras.Model, images: Any) -> dict[str, Any]:
    """Return what a scorer says of images, which may depend on what learns."""
    (given,) = scorer.inputs
    return answered(scorer, {given.name: images}, training=False)


class Canvas(keras.layers.Layer):
    """An image that is a weight.  Shapes: anything (N, ...) -> the image (1, H, W, C)."""

    def __init__(self, start: np.ndarray, **kwargs: Any):
        super().__init__(**kwargs)
        self.start = start

    def build(self, input_shape: Any) -> None:
        """Make the weight."""
        self.image = self.add_weight(shape=self.start.shape, initializer="zeros", name="image")
        self.image.assign(self.start)

    def call(self, inputs: Any) -> Any:
        """Return the image."""
        return 0 * ops.mean(inputs) + self.image

    def compute_output_shape(self, input_shape: Any) -> tuple[int, ...]:
        """Return the image's shape."""
        return self.start.shape


def stylised(
    scorer: keras.Model, content: np.ndarray, style: np.ndarray, *, start: np.ndarray | None = None, steps: int = 100,
    weight: float = 1.0, rate: float = 0.02
) -> tuple[np.ndarray, list[tuple[float, float]]]:  # fmt: skip
    """Return an image of one's content and the other's style, and both losses before the descent and after it.

    It descends on pixels, from `start` or the mean of the two. scorer: images -> "features" and Grams, see
    `models.style_transfer`. weight: of the style's loss, that of the content counting 1.
    Shapes: images (1, H, W, C).  Source: Gatys 2016, section 2.
    """
    features = said_by(scorer, content)[FEATURES]
    grams = style_of(scorer, style)
    begun = np.asarray((content + style) / 2 if start is None else start, np.float32)
    given: Any = keras.Input((1,), name="nothing")
    canvas = Canvas(begun, name="canvas")
    networks = {"canvas": keras.Model(given, canvas(given), name="canvas"), "scorer": scorer}

    def paint(players: Mapping[str, keras.Model], batch: Mapping[str, Any]) -> Any:
        image = players["canvas"](batch["nothing"])
        said = scored(players["scorer"], image)
        return content_loss(said, features) + weight * style_loss(said, grams)

    def losses() -> tuple[float, float]:
        said = said_by(scorer, np.asarray(keras.ops.convert_to_numpy(canvas.image)))
        return float(np.asarray(content_loss(said, features)).item()), float(np.asarray(style_loss(said, grams)).item())

    move = Move("painting", networks, ["canvas"], paint)
    move.prepare(cost, keras.optimizers.Adam(rate), TrainConfig(jit_compile=False))
    nothing, found = np.zeros((1, 1), np.float32), [losses()]
    for _ in range(steps):
        move.make({"nothing": nothing}, nothing)
    return np.array(keras.ops.convert_to_numpy(canvas.image)), [*found, losses()]
