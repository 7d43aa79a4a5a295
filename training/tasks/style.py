"""Style: does a net tell it, and does one give it to images?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from ... import metrics
from ...ends import output_names
from ...metrics import Metric, Scores
from ...models.scoring import scored
from ...runners import Arrays, Judge, Runner
from ...seeding import seeded
from ...untyped import ops
from ..data import Dataset, Head, Shown, Split, calibration, load
from ..data.dataset import facts_of, subset
from ..feature_space import fit_classes
from ..losses import squared_error
from ..presented import takes
from ..runner import KerasRunner
from .objective import Objective
from .register import TASKS, Bound, Networks, enter
from .supervised import SHOWN, shown

LABEL, FEATURES, GRAM = "label", "features", "gram_"  # outputs of a scorer
REFERENCES = 500  # training images among which the nearest is looked for
WIDTHS, SCORER_SEED = (16, 32), 20_151_106  # of the fixed net of stylisation


@dataclass(frozen=True, kw_only=True)
class StyleScoring(Objective):
    """Images compared by style alone: how often is the nearest of some training images of the same class?

    Networks: one, image -> "label", logits, for which it is trained, and Grams, whose distance, each by its mean square
    in the training images, is that of styles. The unit is an image.
    """

    @property
    def metric(self) -> Metric:
        """The share of images whose nearest is of their class."""
        return metrics.get("accuracy")

    def present(self, data: Any, networks: Networks, *, rebuilt: bool = False, **asked: Any) -> Dataset:
        """Return images with their classes as targets of the output "label"."""
        ((name, network),) = networks.items()
        known = takes(network, rebuilt)
        dataset = load(data, input_shape=known["input_shape"], dtype="float32", task="classification", **asked)
        splits = {part: replace(split, y={LABEL: split.y}) for part, split in dataset.splits.items()}
        head = Head(task="classification", classes=dataset.classes, labels=dataset.labels)
        presented = Shown(network=name, inputs=known["inputs"], outputs=known["outputs"])
        return replace(dataset, task=self.name, heads={LABEL: head}, shown=presented, **splits)

    def samples(self, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return n training images."""
        return {shown(dataset).inputs[0].name: np.asarray(calibration(dataset, n, seed))}

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Score each test image by whether its nearest is of its class, (N, 1)."""
        known = subset(dataset.train, REFERENCES, 0, stratify=False)
        ours, theirs = (self.styles(run, dataset, split.x) for split in (dataset.test, known))
        scale = np.sqrt([(grams**2).mean() for grams in theirs])
        flat = [np.concatenate([grams / each for grams, each in zip(side, scale, strict=True)], 1)
                for side in (ours, theirs)]  # fmt: skip
        apart = (flat[0] ** 2).sum(1, keepdims=True) + (flat[1] ** 2).sum(1) - 2 * flat[0] @ flat[1].T
        named = np.asarray(known.y[LABEL])[apart.argmin(1)]
        return Scores.by_row((named == np.asarray(dataset.test.y[LABEL]))[:, None].astype(np.float64))

    def styles(self, run: Runner, dataset: Dataset, x: Any) -> list[np.ndarray]:
        """Return the Grams of images, flat and each over the root of its size, (N, C C)."""
        said = run(shown(dataset).network, {shown(dataset).inputs[0].name: np.asarray(x)})
        grams = [np.asarray(said[name], np.float64) for name in sorted(said) if name.startswith(GRAM)]
        return [gram.reshape(len(gram), -1) / gram[0].size ** 0.5 for gram in grams]

    def judge(self, dataset: Dataset) -> Judge:
        """Bind the task to its data."""
        return Bound(self, dataset)


@dataclass(frozen=True, kw_only=True)
class Styled(Dataset):
    """Images, the fixed net that scores them, and the Grams of the style that they shall have, by output."""

    scorer: keras.Model
    style: Mapping[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Stylisation:
    """Images given a style, judged by the sum of both losses of a fixed net: of their own content, and of the style.

    The net is a small classifier of the same data, trained as they are presented, by a seed of its own; the style is
    that of `stripes`. The unit is an image. Source: Johnson 2016, arXiv:1603.08155.
    """

    name: str = "stylisation"

    @property
    def metric(self) -> Metric:
        """The mean loss."""
        return metrics.get("perceptual_loss")

    def present(self, data: Any, networks: Networks, *, rebuilt: bool = False, **asked: Any) -> Dataset:
        """Return images in [0, 1], and the net that scores them, for which a classifier is trained."""
        ((name, network),) = networks.items()
        known = takes(network)
        loaded = load(data, input_shape=known["input_shape"], dtype="float32", task="classification", **asked)
        shape = np.asarray(loaded.train.x).shape[1:]
        scorer = _scorer(shape, loaded.classes)
        label = output_names(scorer, len(scorer.outputs)).index(LABEL)
        fit_classes(keras.Model(scorer.inputs, scorer.outputs[label]), loaded.train)
        images = {part: Split(x=split.x, y=split.x) for part, split in loaded.splits.items()}
        facts = facts_of(loaded)
        facts |= {"classes": 0, "augmentation": None, "task": self.name, **images}
        facts["shown"] = Shown(network=name, inputs=known["inputs"], outputs=known["outputs"])
        return Styled(**facts, scorer=scorer, style=style_of(scorer, stripes(shape)))

    def samples(self, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return n training images."""
        return {shown(dataset).inputs[0].name: np.asarray(calibration(dataset, n, seed))}

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Score each test image by the sum of both losses, (N, 1)."""
        return Scores.by_row(np.sum(self.losses(dataset, np.asarray(dataset.test.x), self.made(run, dataset)), 0))

    def losses(self, dataset: Dataset, images: np.ndarray, made: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the losses of content and of style of what was made of images, (N, 1) each."""
        assert isinstance(dataset, Styled)
        said, wanted = (said_by(dataset.scorer, each) for each in (made, images))
        both = content_loss(said, wanted[FEATURES]), style_loss(said, dataset.style)
        content, style = (np.asarray(keras.ops.convert_to_numpy(each), np.float64) for each in both)
        return content, style

    def made(self, run: Runner, dataset: Dataset, count: int | None = None) -> np.ndarray:
        """Return what is made of the test images."""
        (made,) = run(
            shown(dataset).network, {shown(dataset).inputs[0].name: np.asarray(dataset.test.x)[:count]}
        ).values()
        return np.asarray(made)

    def pictures(self, run: Runner, dataset: Dataset) -> Mapping[str, np.ndarray]:
        """Return test images, and what is made of them."""
        return {"images": np.asarray(dataset.test.x)[:SHOWN], "stylised": self.made(run, dataset, SHOWN)}

    def judge(self, dataset: Dataset) -> Judge:
        """Bind the task to its data."""
        return Bound(self, dataset)


def _scorer(shape: tuple[int, ...], classes: int) -> keras.Model:
    images: Any = keras.Input(shape, name="images")
    with seeded(SCORER_SEED):
        return keras.Model(images, scored(images, classes, WIDTHS), name="scorer")


def content_loss(said: Mapping[str, Any], content: Any) -> Any:
    """Return the mean squared difference of features from those of the content, over their mean square, (N, 1)."""
    return _mean_square(said[FEATURES] - content) / ops.mean(ops.square(content))


def style_loss(said: Mapping[str, Any], style: Mapping[str, Any]) -> Any:
    """Return the mean squared difference of Grams from those of the style, each over its mean square, (N, 1)."""
    return sum(_mean_square(said[name] - gram) / ops.mean(ops.square(gram)) for name, gram in style.items())


def _mean_square(x: Any) -> Any:
    return ops.mean(ops.square(ops.reshape(x, (ops.shape(x)[0], -1))), axis=-1, keepdims=True)


def style_of(scorer: keras.Model, image: np.ndarray) -> dict[str, np.ndarray]:
    """Return the Grams of an image (1, H, W, C), by output."""
    return {name: values for name, values in said_by(scorer, image).items() if name.startswith(GRAM)}


def said_by(scorer: keras.Model, images: np.ndarray) -> Mapping[str, np.ndarray]:
    """Return what a scorer says of images, by output."""
    (given,) = scorer.inputs
    return KerasRunner({"scorer": scorer})("scorer", {given.name: images})


def stripes(shape: tuple[int, ...], period: float = 4.0) -> np.ndarray:
    """Return an image in a style of its own, slanting stripes whose colours are out of step.  Shape: (1, H, W, C)"""
    height, width, channels = shape
    rows, columns, colours = np.meshgrid(np.arange(height), np.arange(width), np.arange(channels), indexing="ij")
    waves = np.sin(2 * np.pi * (rows + columns) / period + colours)
    return ((waves + 1) / 2).astype(np.float32)[None]


enter(StyleScoring(name="style_scoring", loss=squared_error, heads={LABEL: TASKS["classification"]}))
enter(Stylisation())
