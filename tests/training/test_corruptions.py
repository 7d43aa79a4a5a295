"""Test samples made worse: strength 0 leaves them, what is asked is what is done, and all files are judged on it."""

from dataclasses import replace

import numpy as np
import pytest
from edgewright.devices import measure
from edgewright.errors import BadInput
from edgewright.pipeline import stages
from edgewright.training import corruptions, data, views
from edgewright.training.config import CORRUPTIONS
from edgewright.training.corruptions import corrupted
from edgewright.training.data import Dataset, Split


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", input_shape=(16, 16, 1))


def test_strength_0_leaves_samples_as_they_are(digits):
    assert set(corruptions.KINDS) == set(CORRUPTIONS)
    same = corrupted(digits, [f"{name}:0" for name in CORRUPTIONS])
    np.testing.assert_array_equal(same.test.x, digits.test.x)
    assert corrupted(digits, []) is digits


def test_each_kind_by_hand(digits):
    x = np.full((20, 16, 16, 1), 0.5, np.float32)
    x[:, 8, 8], x[:, 0, 0] = 1.0, 0.0
    grey = replace(digits, test=replace(digits.test, x=x, y=digits.test.y[:20]))
    noise, blur, contrast = (corrupted(grey, [text]).test.x for text in ("noise:0.1", "blur:1", "contrast:0.5"))
    assert (noise - x)[:, 1:8].std() == pytest.approx(0.1, rel=0.03) and noise.max() <= 1 and noise.min() >= 0
    assert blur[0, 8, 8, 0] - 0.5 == pytest.approx(0.5 / (2 * np.pi), rel=0.01)  # of a Gaussian of deviation 1
    np.testing.assert_allclose(contrast - x.mean((1, 2), keepdims=True), 0.5 * (x - x.mean((1, 2), keepdims=True)),
                               atol=1e-6)  # fmt: skip
    np.testing.assert_array_equal(noise, corrupted(grey, ["noise"]).test.x)
    assert corrupted(grey, ["noise:0.1"]).name == "digits (noise:0.1)"


def test_every_file_is_measured_on_the_same_changed_samples(digits, tmp_path, monkeypatch):
    given = {}
    monkeypatch.setattr(measure, "bench", lambda files, **known: given.update(known))
    (tmp_path / "net.tflite").write_bytes(b"TFL3")
    stages._measured([tmp_path / "net.tflite"], digits, "local", measure.BenchConfig(), ["blur"])
    np.testing.assert_array_equal(given["inputs"], corrupted(digits, ["blur"]).test.x)
    assert given["data"] == "digits (blur)"


def test_what_cannot_be_made_worse_is_refused():
    table = data.load("digits", input_shape=(64,))
    assert not np.array_equal(corrupted(table, ["noise"]).test.x, table.test.x)
    for dataset, text in ((table, "blur"), (data.load("digits", input_shape=(64,), dtype="int32"), "noise")):
        with pytest.raises(BadInput, match=f"--corrupt {text}: samples of 'digits' are not"):
            corrupted(dataset, [text])
    with pytest.raises(BadInput, match="--corrupt fog: allowed are noise, blur, contrast"):
        corrupted(table, ["fog"])


def test_ten_views_are_averaged_by_hand():
    """An image whose dot only one view in ten shows where a net looks is judged by all of them."""
    x = np.arange(2 * 16 * 16, dtype=np.float32).reshape(2, 16, 16, 1)
    seen = views.views(x)
    assert len(seen) == 10 and all(view.shape == x.shape for view in seen)
    np.testing.assert_array_equal(seen[0], x)
    np.testing.assert_array_equal(seen[1], x[:, :, ::-1])
    np.testing.assert_array_equal(seen[2][:, 1:, 1:], x[:, :-1, :-1])  # towards the lower right
    assert not seen[2][:, 0].any() and not seen[8][:, -1].any()
    split = Split(x=x, y=np.array([0, 1], np.int32))
    dataset = Dataset(name="two", task="classification", classes=2, train=split, validation=split, test=split)

    def run(network, given):
        (image,) = given.values()
        first = 0.9 if np.array_equal(image, x) else 0.4  # sure of class 0 once, a little of class 1 nine times
        return {"out": np.tile(np.float32([first, 1 - first]), (len(image), 1))}

    scores = views.ByViews(dataset, "image").evaluate(run)
    assert scores.rows[:, 0].tolist() == [0.0, 1.0]  # mean chances .45 and .55
    assert len(views.ByViews(dataset, "image", 1).evaluate(run).rows) == 1
    with pytest.raises(BadInput, match="--views: samples of 'digits' are not images"):
        views.ByViews(data.load("digits", input_shape=(64,)), "image")
