"""Pictures drawn of other pictures: of what they shall be like, or of what of them is left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ... import metrics
from ...errors import BadInput
from ...metrics import Metric, Scores
from ...runners import Arrays, Judge, Recording, Runner
from ..data import Dataset, load
from ..data.dataset import Split, facts_of, subset
from ..presented import takes
from .generative import MASK, REAL, SOURCE, Drawn, signed, unsigned
from .register import Bound, Networks, enter
from .supervised import SHOWN

THERE, BACK = "_there", "_back"  # what the names of two generators end in
HOLE = 2  # the side of a hole is that of the image divided by it
HOLES_SEED = 20_160_425


@dataclass(frozen=True, kw_only=True)
class Pairs(Drawn):
    """Sources, in the splits' x, and what shall be drawn of them, in y; with holes x is a dict of source and mask.

    both: there are generators both ways, which see sources and targets that do not belong together.
    """

    both: bool

    def pools(self) -> tuple[dict[str, np.ndarray], ...]:
        """Return training pairs, or for both ways targets and sources by themselves."""
        given, real = _given(self.train), np.asarray(self.train.y)
        return ({REAL + THERE: real}, {REAL + BACK: given[SOURCE]}) if self.both else ({REAL: real, **given},)


@dataclass(frozen=True, kw_only=True)
class ImageTranslation:
    """Pictures drawn of others, judged by their distance from the true ones: the peak signal-to-noise ratio in dB.

    Networks: "generator", source -> sample, or two, whose names end in "_there" and "_back"; and discriminators, which
    are for training alone. Of two, the mean is taken over both ways. The unit is a pair of pictures.
    """

    name: str = "image_translation"

    @property
    def metric(self) -> Metric:
        """The ratio of the range of values, squared, and the mean squared error."""
        return metrics.get("psnr")

    def present(self, data: Any, networks: Networks, *, rebuilt: bool = False, **asked: Any) -> Dataset:
        """Return pairs in the shape that the generator takes, [0, 1] becoming [-1, 1].

        Raises: BadInput if there is no generator, or for values outside [0, 1].
        """
        ways = [name for name in networks if name.startswith("generator")]
        if not ways or (len(ways) > 1 and set(ways) != {"generator" + way for way in (THERE, BACK)}):
            raise BadInput(f"task {self.name!r} needs a network 'generator', or two that end in {THERE} and {BACK}, "
                           f"got {', '.join(networks)}")  # fmt: skip
        latent = takes(networks[ways[0]])["inputs"]
        told = [name for name in networks if name.startswith("discriminator")]
        judged = takes(networks[told[0]])["inputs"] if told else ()
        shape = next(each.shape for each in latent if each.name == SOURCE)
        loaded = self.loaded(data, shape, **asked)
        facts = facts_of(loaded)
        words = f"{loaded.preprocessing}; [0, 1] to [-1, 1]"
        return Pairs(**{**facts, "task": self.name, "preprocessing": words}, latent=latent, judged=judged,
                     both=len(ways) > 1)  # fmt: skip

    def loaded(self, data: Any, shape: Any, **asked: Any) -> Dataset:
        """Return pairs of values in [-1, 1]."""
        found = load(data, input_shape=shape, dtype="float32", task="image_translation", **asked)
        splits = {
            part: Split(x=signed(np.asarray(split.x), f"{found.name} {part}"),
                        y=signed(np.asarray(split.y), f"{found.name} {part}, targets"))
            for part, split in found.splits.items()
        }  # fmt: skip
        return replace(found, **splits)

    def samples(self, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return what n training pictures are to a generator, or to a discriminator."""
        assert isinstance(dataset, Pairs)
        chosen = subset(dataset.train, n, seed, stratify=False)
        given, target = _given(chosen), np.asarray(chosen.y)
        if network.endswith(BACK):
            given, target = {SOURCE: target}, given[SOURCE]
        if network.startswith("discriminator"):
            return {each.name: given[SOURCE] if each.name == SOURCE else target for each in dataset.judged}
        return given

    def observed(self, run: Runner, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return the same, but what a network judges, or of two draws of, half drawn by a generator of `run`."""
        assert isinstance(dataset, Pairs)
        if network.startswith("discriminator"):
            return self._judged(run, dataset, network, n, seed)
        if not dataset.both:
            return self.samples(dataset, network, n, seed)
        seen, part = Recording(run, network), subset(dataset.train, n, seed, stratify=False)
        for way, back, given in ((THERE, BACK, part.x), (BACK, THERE, part.y)):
            seen(f"generator{back}", {SOURCE: _drawn(seen, f"generator{way}", {SOURCE: np.asarray(given)})})
        return seen.chosen(n, seed)

    def _judged(self, run: Runner, dataset: Pairs, network: str, n: int, seed: int) -> Arrays:
        """Return what a discriminator sees: of the first half the targets, of the others what is drawn."""
        real, generator = self.samples(dataset, network, n, seed), network.replace("discriminator", "generator")
        late = {name: values[n // 2 :] for name, values in self.samples(dataset, generator, n, seed).items()}
        made = _pasted(_drawn(run, generator, late), late)
        return {name: values if name == SOURCE else np.concatenate([values[: n // 2], made])
                for name, values in real.items()}  # fmt: skip

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Score each test pair by its mean squared error, a row a way."""
        assert isinstance(dataset, Pairs)
        given, target = _given(dataset.test), np.asarray(dataset.test.y)
        if not dataset.both:
            made = _drawn(run, "generator", given)
            return Scores.by_row(self.errors(made, target, given.get(MASK)))
        rows = [self.errors(_drawn(run, f"generator{THERE}", given), target),
                self.errors(_drawn(run, f"generator{BACK}", {SOURCE: target}), given[SOURCE])]  # fmt: skip
        return Scores(np.concatenate(rows), np.tile(np.arange(len(target)), 2))

    def errors(self, made: np.ndarray, target: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """Return mean squared errors in grey levels of [0, 1], where the mask is 1.  Shapes: (N, H, W, C) -> (N, 1)"""
        apart = (unsigned(made).astype(np.float64) - unsigned(target)) ** 2
        weights = np.broadcast_to(1.0 if mask is None else mask, apart.shape)
        return np.average(apart.reshape(len(apart), -1), 1, weights.reshape(len(apart), -1))[:, None]

    def beside(self, run: Runner, dataset: Dataset) -> Mapping[str, float]:
        """Return, of two generators, how far test pictures of both kinds come back from where they were sent.

        The mean absolute difference in grey levels of [0, 1]: Zhu 2017, arXiv:1703.10593, equation 2, by value.
        """
        assert isinstance(dataset, Pairs)
        if not dataset.both:
            return {}
        far = []
        for way, back, given in ((THERE, BACK, dataset.test.x), (BACK, THERE, dataset.test.y)):
            sent = np.asarray(given)
            again = _drawn(run, f"generator{back}", {SOURCE: _drawn(run, f"generator{way}", {SOURCE: sent})})
            far.append(np.abs(unsigned(again).astype(np.float64) - unsigned(sent)).mean())
        return {"cycle_error": float(np.mean(far))}

    def pictures(self, run: Runner, dataset: Dataset) -> Mapping[str, np.ndarray]:
        """Return sources, what they shall become, and what is drawn; of both ways what comes back too."""
        assert isinstance(dataset, Pairs)
        few = dataset.test.take(np.arange(min(SHOWN, len(dataset.test))))
        given, target = _given(few), np.asarray(few.y)
        shown = {"sources": given[SOURCE], "targets": target}
        if dataset.both:
            shown["drawn"] = _drawn(run, f"generator{THERE}", given)
            shown["there and back"] = _drawn(run, f"generator{BACK}", {SOURCE: shown["drawn"]})
        else:
            shown["drawn"] = _pasted(_drawn(run, "generator", given), given)
        return {name: unsigned(values) for name, values in shown.items()}

    def judge(self, dataset: Dataset) -> Judge:
        """Bind the task to its data."""
        return Bound(self, dataset)


@dataclass(frozen=True, kw_only=True)
class Inpainting(ImageTranslation):
    """What was cut out of pictures drawn anew, judged in the hole alone.

    The holes are squares of half the side, anywhere, one a picture, by a seed. The host pastes what is drawn into the
    hole. The unit is a picture.
    """

    name: str = "inpainting"

    def loaded(self, data: Any, shape: Any, **asked: Any) -> Dataset:
        """Return pictures with a hole, of grey, and whole ones."""
        found = load(data, input_shape=shape, dtype="float32", task="reconstruction", **asked)
        splits = {}
        for place, (part, split) in enumerate(found.splits.items()):
            whole = signed(np.asarray(split.x), f"{found.name} {part}")
            mask = holes(len(whole), whole.shape[1:3], np.random.default_rng([HOLES_SEED, place]))
            splits[part] = Split(x={SOURCE: whole * (1 - mask), MASK: mask}, y=whole)
        return replace(found, **splits)


def holes(count: int, sides: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    """Return masks that are 1 in a square of half the shorter side, anywhere.  Shape: (count, H, W, 1) float32"""
    hole = min(sides) // HOLE
    inside = []
    for side in sides:
        first = random.integers(0, side - hole + 1, (count, 1))
        places = np.arange(side)
        inside.append((places >= first) & (places < first + hole))  # (count, side)
    rows, columns = inside
    return (rows[:, :, None, None] & columns[:, None, :, None]).astype(np.float32)


def _given(split: Split) -> dict[str, np.ndarray]:
    if isinstance(split.x, Mapping):
        return {name: np.asarray(values) for name, values in split.x.items()}
    return {SOURCE: np.asarray(split.x)}


def _pasted(made: np.ndarray, given: Arrays) -> np.ndarray:
    """Return what is drawn, and outside a mask, where there is one, the source."""
    return made if MASK not in given else np.where(given[MASK] > 0, made, given[SOURCE])


def _drawn(run: Runner, network: str, given: Arrays) -> np.ndarray:
    (made,) = run(network, given).values()
    return np.asarray(made)


enter(ImageTranslation())
enter(Inpainting())
