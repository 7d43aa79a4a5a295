"""Digits in every form the zoo takes, by hand-worked numbers; splits that do not overlap; subsets; refusals."""

import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.training import data
from edgewright.training.data import dataset as dataset_module
from edgewright.training.data import images
from edgewright.training.data.dataset import Split

FORMS = [
    ({"input_shape": (8, 8, 1)}, np.float32, "classification"),
    ({"input_shape": (32, 32, 1)}, np.float32, "classification"),
    ({"input_shape": (32, 32, 3)}, np.float32, "classification"),
    ({"input_shape": (49, 10, 1)}, np.float32, "classification"),
    ({"input_shape": (64,)}, np.float32, "classification"),
    ({"input_shape": (784,), "task": "reconstruction"}, np.float32, "reconstruction"),
    ({"input_shape": (640,), "task": "anomaly_detection"}, np.float32, "anomaly_detection"),
    ({"input_shape": (8, 8)}, np.float32, "classification"),
    ({"input_shape": (49, 40)}, np.float32, "classification"),
    ({"input_shape": (64,), "dtype": "int32"}, np.int32, "classification"),
]


@pytest.mark.parametrize(("asked", "dtype", "task"), FORMS, ids=str)
def test_digits_come_as_the_model_takes_them(asked, dtype, task):
    digits = data.load("digits", **asked)
    for split in digits.splits.values():
        assert split.x.shape[1:] == asked["input_shape"]
        assert split.x.dtype == dtype
        assert split.x.min() == 0
        assert 0.9 * (16 if dtype == np.int32 else 1) < split.x.max() <= (16 if dtype == np.int32 else 1)
    assert digits.task == task
    assert digits.input_shape == asked["input_shape"]
    assert digits.classes == (10 if task == "classification" else 0)
    assert digits.source[0].startswith("scikit-learn ")
    assert str(asked["input_shape"]) in digits.preprocessing


def test_digit_tokens_are_the_raw_grey_levels():
    from sklearn.datasets import load_digits

    tokens = data.load("digits", input_shape=(64,), dtype="int32")
    raw = {tuple(row) for row in load_digits(return_X_y=True)[0].astype(int)}
    assert {tuple(row) for row in tokens.test.x.tolist()} <= raw
    assert tokens.vocabulary == 17


def test_splits_do_not_overlap_and_cover_the_set():
    digits = data.load("digits")
    rows = [{sample.tobytes() for sample in split.x} for split in digits.splits.values()]
    assert sum(len(split) for split in digits.splits.values()) == 1797
    assert not (rows[0] & rows[1] or rows[0] & rows[2] or rows[1] & rows[2])
    assert len(digits.test) == 359
    shares = np.bincount(digits.test.y) / np.bincount(np.concatenate([s.y for s in digits.splits.values()]))
    assert np.allclose(shares, 0.2, atol=0.003)


def test_anomalies_are_only_in_the_test_split_and_last_in_its_targets():
    held_out = data.load("digits", task="anomaly_detection", input_shape=(64,))
    labelled = data.load("digits", input_shape=(64,))
    assert len(held_out.train) == (labelled.train.y != images.ANOMALOUS).sum()
    assert held_out.train.y is held_out.train.x
    assert np.array_equal(held_out.test.y[:, :-1], held_out.test.x)
    assert np.array_equal(held_out.test.y[:, -1] == 1, labelled.test.y == images.ANOMALOUS)


def test_bilinear_weights_of_two_to_four_and_four_to_two():
    assert np.allclose(images._bilinear(2, 4), [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]])
    # centres at 0.5 and 2.5, triangles two wide: weights 3:3:1 of pixels 0 1 2, and mirrored
    assert np.allclose(images._bilinear(4, 2), [[3 / 7, 3 / 7, 1 / 7, 0], [0, 1 / 7, 3 / 7, 3 / 7]])


def test_resizing_keeps_a_flat_image_flat():
    flat = np.full((2, 8, 8, 3), 0.3, np.float32)
    assert np.allclose(images.resize(flat, (49, 10)), 0.3)


def test_28_pixels_become_32_by_a_margin_of_2():
    x = np.random.default_rng(0).random((1, 28, 28, 1), np.float32)
    shown = images.as_image(x, (32, 32, 1))
    assert np.array_equal(shown[:, 2:30, 2:30], x)
    assert shown.sum() == pytest.approx(x.sum())


def test_8_pixels_become_24_in_the_middle_of_32():
    shown = images.as_image(np.ones((1, 8, 8, 1), np.float32), (32, 32, 1))
    assert np.allclose(shown[:, 4:28, 4:28], 1)
    assert shown.sum() == pytest.approx(24 * 24)


def test_rgb_becomes_its_luma_and_grey_three_times_itself():
    rgb = np.array([[[[1.0, 0.5, 0.25]]]], np.float32)
    assert images.to_channels(rgb, 1).item() == pytest.approx(0.299 + 0.587 / 2 + 0.114 / 4)
    assert images.to_channels(np.full((1, 1, 1, 1), 0.5), 3).tolist() == [[[[0.5, 0.5, 0.5]]]]


def test_vector_of_640_is_20_rows_of_32():
    x = np.zeros((1, 10, 16, 1), np.float32)
    x[0, 5:] = 1
    vector = images.as_vector(x, (640,)).reshape(20, 32)
    assert np.allclose(vector[:9], 0)
    assert np.allclose(vector[11:], 1)


@pytest.mark.parametrize(
    ("name", "asked", "message"),
    [
        ("digitz", {}, "did you mean digits"),
        ("digits", {"input_shape": (8, 8, 2)}, "2; 1 and 3 can"),
        ("digits", {"input_shape": (4, 4, 4, 1)}, "cannot be shown as float32"),
        ("digits", {"task": "regression"}, "it serves classification, reconstruction, anomaly_detection"),
        ("digits", {"limit": 0}, "limit 0"),
    ],
)
def test_what_cannot_be_shown_is_refused_by_name(name, asked, message):
    with pytest.raises(BadInput, match=message):
        data.load(name, **asked)


def test_limit_takes_training_samples_only_with_equal_shares_by_seed():
    asked = ({}, {"limit": 100}, {"limit": 100}, {"limit": 100, "seed": 1})
    whole, few, again, other = (data.load("digits", **limits) for limits in asked)
    assert (len(few.train), len(few.validation), len(few.test)) == (100, 25, len(whole.test))
    assert np.bincount(few.train.y, minlength=10).tolist() == pytest.approx([10] * 10, abs=1)
    assert np.array_equal(few.train.x, again.train.x)
    assert not np.array_equal(few.train.x, other.train.x)
    assert np.array_equal(whole.test.x, other.test.x)
    assert len(data.load("digits", test_limit=50).test) == 50


def test_calibration_samples_are_training_samples():
    digits = data.load("digits")
    training = {sample.tobytes() for sample in digits.train.x}
    samples = data.calibration(digits, n=64)
    assert len(samples) == 64
    assert all(sample.tobytes() in training for sample in samples)


def test_choose_takes_the_first_that_is_here(monkeypatch, tmp_path):
    monkeypatch.setenv("EDGEWRIGHT_DATA", str(tmp_path))
    monkeypatch.setenv("EDGEWRIGHT_CACHE", str(tmp_path))
    assert data.choose(["mnist", "fsdd", "digits"]) == "digits"
    assert not data.available("cifar10")
    with pytest.raises(BadInput, match="none of the data sets mnist, nab"):
        data.choose(["mnist", "nab"])


def _split(**changes):
    return Split(**{"x": np.ones((5, 2, 3), np.float32), "y": np.arange(5, dtype=np.int32), **changes})


def _with(value, *index, dtype=np.float32):
    x = np.ones((5, 2, 3), dtype)
    x[index] = value
    return x


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (_split(x=_with(np.nan, 3, 1, 2)), r"sample 3, feature \(1, 2\) is nan"),
        (_split(x=_with(np.inf, 0, 0, 1)), r"sample 0, feature \(0, 1\) is inf"),
        (_split(x=_with(-2e6, 4, 0, 0)), r"sample 4, feature \(0, 0\) is -2000000"),
        (_split(x=np.ones((5, 2, 3))), "dtype float64"),
        (_split(x=np.ones((5, 3), np.float32)), r"shape \(3,\), the model takes \(2, 3\)"),
        (_split(x=np.ones((0, 2, 3), np.float32)), "empty"),
        (_split(y=np.arange(4)), "5 samples but 4 targets"),
        (_split(y=np.array([0, 1, 2, 3, 5])), r"label of sample 4 is 5, outside \[0, 5\)"),
        (_split(y=np.array([0, -1, 2, 3, 4])), r"label of sample 1 is -1"),
        (_split(y=np.ones(5, np.float32)), "labels have dtype float32"),
        (_split(x={"a": _with(np.nan, 1, 0, 0)}), r"input 'a': sample 1, feature \(0, 0\)"),
    ],
)
def test_bad_splits_are_refused_naming_sample_and_feature(split, message):
    shape = {"a": (2, 3)} if isinstance(split.x, dict) else (2, 3)
    with pytest.raises(BadInput, match=f"toy.*{message}"):
        data.check(split, "toy", input_shape=shape, classes=5)


def test_token_ids_outside_the_vocabulary_are_refused():
    split = Split(x=np.array([[0, 1], [2, 7]], np.int32), y=np.zeros(2, np.int32))
    data.check(split, "toy", classes=1, vocabulary=8)
    with pytest.raises(BadInput, match=r"token id of sample 1, feature \(1,\) is 7, outside \[0, 7\)"):
        data.check(split, "toy", classes=1, vocabulary=7)


def test_a_good_split_passes():
    data.check(_split(), "toy", input_shape=(2, 3), classes=5)
    data.check(_split(x=_with(dataset_module.LARGEST, 0, 0, 0)), "toy", classes=5)


def test_every_prefix_of_a_stratified_order_keeps_shares():
    labels = np.repeat([0, 1], [80, 20])
    split = Split(x=np.arange(100, dtype=np.float32)[:, None], y=labels)
    for count in (10, 25, 50):
        taken = dataset_module.subset(split, count, 3, stratify=True).y
        assert abs((taken == 1).mean() - 0.2) <= 1 / count
