"""Folds: each sample tested once, classes with their shares, nothing later in training than in the test."""

from dataclasses import replace

import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.pipeline import find, validating
from edgewright.training.config import TrainConfig
from edgewright.training.data import Dataset, Split
from edgewright.training.data.dataset import oversampled
from edgewright.training.data.folds import folds


def numbered(count, task="regression", **more):
    """Return a data set whose samples are their own numbers; the last ten are for validation."""
    x = np.arange(count, dtype=np.float32)[:, None]
    part = {"train": slice(0, count - 10), "validation": slice(count - 10, count), "test": slice(0, 1)}
    y = more.pop("y", x)
    return Dataset(name="numbers", task=task, **{name: Split(x=x[own], y=y[own]) for name, own in part.items()}, **more)


@pytest.mark.parametrize("count", [2, 5, 40])
def test_each_sample_is_tested_once_and_never_learned_meanwhile(count):
    tested = []
    for dataset in folds(numbered(40), count, seed=3):
        parts = [set(split.x[:, 0]) for split in dataset.splits.values()]
        assert sum(map(len, parts)) == len(set.union(*parts)) == 40
        tested += sorted(parts[2])
    assert sorted(tested) == list(range(40))


def test_classes_keep_their_shares():
    labels = np.repeat([0, 1], [30, 10]).astype(np.int32)[np.random.default_rng(0).permutation(40)]
    dataset = numbered(40, "classification", y=labels, classes=2)
    assert [np.bincount(part.test.y).tolist() for part in folds(dataset, 5)] == [[6, 2]] * 5
    with pytest.raises(BadInput, match="rarest class has 10"):
        list(folds(dataset, 11))


def test_nothing_later_is_learned():
    for dataset in folds(numbered(40), 4, order="time"):
        ends = [(split.x.min(), split.x.max()) for split in dataset.splits.values()]
        assert ends[0][1] < ends[1][0] and ends[1][1] < ends[2][0]


def by_speaker(labels=None):
    """Return 40 samples of five speakers, eight each, by turns."""
    more = {} if labels is None else {"y": labels, "classes": 2, "task": "classification"}
    dataset = numbered(40, **more)
    parts = {name: replace(split, group=np.array(list("abcde"))[split.x[:, 0].astype(int) % 5])
             for name, split in dataset.splits.items()}  # fmt: skip
    return replace(dataset, **parts)


@pytest.mark.parametrize("labels", [None, (np.arange(40) // 5 % 2).astype(np.int32)])
def test_no_group_is_on_both_sides(labels):
    tested = []
    for dataset in folds(by_speaker(labels), 5, order="group", seed=1):
        sides = [set(split.group) for split in dataset.splits.values()]
        assert sum(map(len, sides)) == len(set.union(*sides)) == 5 and len(sides[2]) == 1
        tested += dataset.test.x[:, 0].tolist()
    assert sorted(tested) == list(range(40))
    with pytest.raises(BadInput, match="folds 6: allowed is 2 to 5, of 5 groups"):
        folds(by_speaker(labels), 6, order="group")
    with pytest.raises(BadInput, match="nobody says whom the samples of 'numbers' are of"):
        folds(numbered(40), 2, order="group")


def test_a_metric_is_told_by_group_of_keras_networks_and_files_alike():
    from types import SimpleNamespace

    from edgewright.devices.judging import _Judged
    from edgewright.metrics import METRICS, Scores
    from edgewright.training import tasks

    split = by_speaker((np.arange(40) // 5 % 2).astype(np.int32)).train
    said = np.eye(2, dtype=np.float32)[np.where(split.group == "c", 1 - split.y, split.y)]
    judged = tasks.get("classification").judged([said], split, [SimpleNamespace(ending=None, name="out")], "net")
    groups = judged.figures[""]["groups"]
    assert {name: row["value"] for name, row in groups.items()} == {"a": 1, "b": 1, "c": 0, "d": 1, "e": 1}
    of_files = _Judged.__new__(_Judged)
    of_files.metric, of_files.heads, of_files.groups = METRICS["accuracy"], {"": split.y}, split.group
    assert of_files._told([said], Scores.by_row(judged.scores))["figures"][""]["groups"] == groups


def test_rare_classes_are_repeated_in_training_alone():
    """Of 90, 9 and 1 samples each class has 90, each sample of it as often as another."""
    labels = np.repeat([0, 1, 2], [90, 9, 1]).astype(np.int32)
    x = np.arange(100, dtype=np.float32)[:, None]
    split = Split(x=x, y=labels)
    dataset = Dataset(name="rare", task="classification", classes=3, train=split, validation=split, test=split)
    more = oversampled(dataset, 0)
    assert np.bincount(more.train.y).tolist() == [90, 90, 90] and more.test is split and more.validation is split
    times = np.unique(more.train.x[:, 0], return_counts=True)[1]
    assert times.tolist() == [1] * 90 + [10] * 9 + [90]
    np.testing.assert_array_equal(more.train.y, labels[more.train.x[:, 0].astype(int)])
    with pytest.raises(BadInput, match="oversample is True: class_weights 'balanced'"):
        TrainConfig(oversample=True, class_weights="balanced")
    with pytest.raises(BadInput, match="no single class"):
        oversampled(numbered(40), 0)


def test_samples_of_several_arrays_and_targets_that_are_the_samples():
    several = numbered(40)
    named = [replace(split, x={"a": split.x, "b": -split.x}) for split in several.splits.values()]
    (first, *_) = folds(replace(several, train=named[0], validation=named[1], test=named[2]), 4)
    np.testing.assert_array_equal(first.test.x["a"], -first.test.x["b"])
    same = [replace(split, y=split.x) for split in several.splits.values()]
    (first, *_) = folds(replace(several, train=same[0], validation=same[1], test=same[2]), 4)
    assert first.train.y is first.train.x


@pytest.mark.parametrize(("count", "order"), [(1, "chance"), (41, "chance"), (40, "time")])
def test_too_few_or_too_many_are_refused(count, order):
    with pytest.raises(BadInput, match=f"folds {count}: allowed is 2 to"):
        list(folds(numbered(40), count, order=order))


def test_a_training_judged_across_folds():
    work = find.find("softmax_regression", "digits")
    found = validating.across(work, TrainConfig(epochs=2, learning_rate=0.02), 3)
    assert len(found.values) == 3 and 0.8 < found.mean < 1 and "3 folds: accuracy" in str(found)
    assert found.deviation == pytest.approx(np.std(found.values) * np.sqrt(3 / 2))
