"""The real files: counts as their authors publish them, statistics, a flipped byte."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.training import data

pytestmark = pytest.mark.data


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    """A cache of this module's own, so that everything is read from the official files once."""
    if not os.environ.get("EDGEWRIGHT_DATA"):
        pytest.skip("EDGEWRIGHT_DATA names no folder with the official data files")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEWRIGHT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


SIZES = {
    "mnist": (55_000, 5_000, 10_000),
    "fashion_mnist": (55_000, 5_000, 10_000),
    "fsdd": (2_400, 300, 300),
    "rt_polarity": (8_530, 1_066, 1_066),
}


@pytest.mark.parametrize("name", SIZES)
def test_counts(name):
    if not data.available(name):
        pytest.skip(f"{name} is not in $EDGEWRIGHT_DATA")
    loaded = data.load(name)
    assert [len(split) for split in loaded.splits.values()] == pytest.approx(SIZES[name], abs=2)
    assert set(np.unique(loaded.test.y)) == set(range(loaded.classes))


def test_mnist_has_its_published_class_counts():
    if not data.available("mnist"):
        pytest.skip("mnist is not in $EDGEWRIGHT_DATA")
    mnist = data.load("mnist")
    published = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(np.concatenate([mnist.train.y, mnist.validation.y])).tolist() == published
    assert np.bincount(mnist.test.y).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_cifar10_in_whatever_part_is_here():
    if not data.available("cifar10"):
        pytest.skip("cifar10 is not in $EDGEWRIGHT_DATA")
    cifar = data.load("cifar10")
    assert np.bincount(cifar.test.y).tolist() == [1000] * 10
    assert (len(cifar.train) + len(cifar.validation)) % 10_000 == 0
    assert cifar.test.x[0].shape == (32, 32, 3)
    assert np.array_equal(data.load("cifar10").train.x, cifar.train.x)


def test_fsdd_is_standardised_by_training_frames_only():
    if not data.available("fsdd"):
        pytest.skip("fsdd is not in $EDGEWRIGHT_DATA")
    fsdd = data.load("fsdd", input_shape=(49, 10))
    assert np.allclose(fsdd.train.x.mean((0, 1), dtype=np.float64), 0, atol=1e-4)
    assert np.allclose(fsdd.train.x.std((0, 1), dtype=np.float64), 1, atol=1e-4)
    assert np.abs(fsdd.test.x.mean((0, 1))).max() > 1e-3
    assert np.bincount(fsdd.test.y).tolist() == [30] * 10


def test_nab_trains_on_normal_windows_and_tests_on_both():
    if not data.available("nab"):
        pytest.skip("nab is not in $EDGEWRIGHT_DATA")
    nab = data.load("nab")
    assert nab.input_shape == (640,)
    assert nab.train.y is nab.train.x
    assert 0.1 < nab.test.y[:, -1].mean() < 0.5
    train, test = ({row.tobytes() for row in split.x} for split in (nab.train, nab.test))
    assert not train & test


def test_the_treebank_has_its_published_counts():
    if not data.available("ptb"):
        pytest.skip("ptb is not in $EDGEWRIGHT_DATA")
    sizes = {"train": 929_589, "validation": 73_760, "test": 82_430}  # tokens, the ends of sentences among them
    whole = data.load("ptb", task="next_token", input_shape=(2,))
    assert {part: len(split) + 2 for part, split in whole.splits.items()} == sizes
    assert len(whole.labels) == 10_001 and whole.labels[:4] == ("<pad>", "<unk>", "the", "<eos>")
    sentences = {part: (split.y == 3).sum() for part, split in whole.splits.items()}
    assert sentences == {"train": 42_068, "validation": 3_370, "test": 3_761}
    small = data.load("ptb", classes=1_000)
    assert small.classes == 1_000 and small.train.x.max() == 999 and small.train.x.min() == 1
    assert small.labels == whole.labels[:1_000]


@pytest.mark.parametrize(
    "path",
    [
        "mnist/t10k-labels-idx1-ubyte.gz",
        "rt_polarity/rt-polarity.pos",
        "ptb/ptb.valid.txt",
        "nab/data/realKnownCause/nyc_taxi.csv",
        "fsdd/free-spoken-digit-dataset.tar.xz",
    ],
)
def test_a_flipped_byte_is_refused(path, tmp_path, monkeypatch):
    name = path.split("/")[0]
    if not data.available(name):
        pytest.skip(f"{name} is not in $EDGEWRIGHT_DATA")
    source = Path(os.environ["EDGEWRIGHT_DATA"]) / name
    shutil.copytree(source, tmp_path / name, copy_function=shutil.copyfile)
    damaged = tmp_path / path
    content = bytearray(damaged.read_bytes())
    content[len(content) // 3] ^= 0x10
    damaged.write_bytes(content)
    monkeypatch.setenv("EDGEWRIGHT_DATA", str(tmp_path))
    with pytest.raises(BadInput, match=r"is not the official file|cannot be read"):
        data.load(name)
