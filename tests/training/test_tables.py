"""The tables of scikit-learn and the truth tables."""

import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.training import data, tasks
from edgewright.training.data import sets
from edgewright.training.data.logic import corners_of


@pytest.mark.parametrize(
    ("name", "sizes", "features", "classes"),
    [("breast_cancer", 569, 30, 2), ("iris", 150, 4, 3), ("setosa", 150, 4, 2), ("diabetes", 442, 10, 0)],
)
def test_tables_are_whole_and_scaled_by_their_training_part(name, sizes, features, classes):
    table = data.load(name)
    assert sum(len(split) for split in table.splits.values()) == sizes
    assert table.input_shape == (features,) and table.classes == classes
    np.testing.assert_allclose(table.train.x.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(table.train.x.std(0), 1, atol=1e-5)
    assert np.abs(table.test.x.mean(0)).max() > 1e-3  # the test part scaled nothing
    rows = {part: {row.tobytes() for row in split.x} for part, split in table.splits.items()}
    if name not in {"iris", "setosa"}:  # Fisher's flowers hold equal rows
        assert not rows["train"] & rows["test"] and not rows["validation"] & rows["test"]


def test_a_plane_separates_setosa():
    table = data.load("setosa")
    petals = table.train.x[:, 2]
    assert petals[table.train.y == 1].max() < petals[table.train.y == 0].min()


def test_a_table_is_not_reshaped():
    with pytest.raises(BadInput, match="30 features"):
        data.load("breast_cancer", input_shape=(64,))


def test_truth_tables():
    np.testing.assert_array_equal(corners_of(2), [[0, 0], [0, 1], [1, 0], [1, 1]])
    for name, truth in (("logic_and", [0, 0, 0, 1]), ("logic_or", [0, 1, 1, 1]), ("logic_not", [1, 0])):
        gate = data.load(name)
        np.testing.assert_array_equal(gate.train.y, truth)
        np.testing.assert_array_equal(gate.test.x, gate.train.x)


def test_xor_is_noisy_and_its_splits_differ():
    xor = data.load("xor")
    for split in xor.splits.values():
        corner = np.rint(split.x).astype(int)
        np.testing.assert_array_equal(split.y[:, 0], corner[:, 0] ^ corner[:, 1])
    assert 0.04 < (xor.train.x - np.rint(xor.train.x)).std() < 0.06
    assert not {row.tobytes() for row in xor.train.x} & {row.tobytes() for row in xor.test.x}
    assert data.load("xor", task="classification").test.y.dtype == np.int32


def test_floors_are_the_data_sets_or_the_metrics():
    """What a wrong implementation would miss: far above chance on this data, below what a short training reaches."""
    floors = {name: source.floor for name, source in sets.sources().items() if source.floor is not None}
    ours = {"breast_cancer": 0.92, "cifar10": 0.4, "diabetes": 0.35, "digits": 0.65, "setosa": 0.95, "xor": 0.9}
    assert {name: floors[name] for name in ours} == ours
    for task in ("classification", "binary_classification", "multilabel", "regression", "anomaly_detection"):
        assert tasks.get(task).metric.floor in (0.5, 0.6)
