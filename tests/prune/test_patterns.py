"""Patterns on kernels: each group and block against brute force in NumPy, along the axes that the product sums over."""

import itertools

import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.layouts import Layout, layout_of
from edgewright.prune import PruneConfig, prepare_prune, prune, strip_prune
from edgewright.prune.grid import Grid, largest
from edgewright.prune.patterns import Pattern
from keras import layers


def kept_by_force(values, axes, pattern):
    """Return the mask that keeps the N largest of each M along `axes` (flattened), remainders kept; first ties go."""
    keeps, group = map(int, pattern.split(":"))
    moved = np.moveaxis(values, axes, range(values.ndim - len(axes), values.ndim))
    rows = moved.reshape(-1, int(np.prod(moved.shape[values.ndim - len(axes) :])))
    mask = np.ones(rows.shape, bool)
    for row, start in itertools.product(range(len(rows)), range(0, rows.shape[1] - group + 1, group)):
        order = sorted(range(group), key=lambda index: (abs(rows[row, start + index]), index))
        mask[row, [start + index for index in order[: group - keeps]]] = False
    return np.moveaxis(mask.reshape(moved.shape), range(values.ndim - len(axes), values.ndim), axes)


def products():
    """Return a model of products by name, and for each the axes of its kernel that it sums over in groups."""
    image = keras.Input((4, 4, 8), name="image")
    x = layers.Conv2D(6, 3, padding="same", name="conv")(image)
    x = layers.Conv2DTranspose(8, 3, padding="same", name="transposed")(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", name="depthwise")(x)
    x = layers.Reshape((16, 16), name="tokens")(x)
    x = layers.MultiHeadAttention(2, 6, name="attention")(x, x)
    x = layers.LSTM(9, name="lstm")(x)
    model = keras.Model(image, layers.Dense(5, name="dense")(x), name="products")
    return model, {
        "conv/kernel": [2], "transposed/kernel": [3], "depthwise/kernel": [0, 1],
        "attention/query/kernel": [0], "attention/key/kernel": [0], "attention/value/kernel": [0],
        "attention/attention_output/kernel": [0, 1], "lstm/lstm_cell/kernel": [0],
        "lstm/lstm_cell/recurrent_kernel": [0], "dense/kernel": [0],
    }  # fmt: skip


@pytest.fixture(scope="module")
def net():
    keras.utils.set_random_seed(4)
    model, axes = products()
    for weight in model.trainable_weights:  # with many ties
        weight.assign(np.round(np.asarray(weight) * 10))
        weight.assign(np.where(np.asarray(weight) == 0, 1, np.asarray(weight)))
    return model, axes


def kernels_of(model):
    return {weight.path: np.asarray(weight) for weight in model.trainable_weights if len(weight.shape) > 1}


@pytest.mark.parametrize("pattern", ["2:4", "1:4", "4:8", "3:5"])
def test_n_of_each_m_along_what_the_product_sums_over(net, pattern):
    model, axes = net
    config = PruneConfig(pattern=pattern, by_type={"DepthwiseConv2D": PruneConfig(pattern=pattern).sparsity})
    sparse, report = prune(model, config)
    before, after = kernels_of(model), kernels_of(sparse)
    for path, along in axes.items():
        np.testing.assert_array_equal(
            after[path], np.where(kept_by_force(before[path], along, pattern), before[path], 0)
        )
    for row in report.pruned:
        assert row["sparsity"] == pytest.approx((after[row["name"]] == 0).mean()) and row["pattern"] == pattern
    (row,) = (row for row in report.pruned if row["name"] == "depthwise/kernel")  # 9 places
    assert ("fill no whole group and stay" in row["reason"]) == (9 % int(pattern[2:]) > 0)


def test_what_is_no_group_long_is_left_with_its_reason():
    inputs = keras.Input((3,))
    model = keras.Model(inputs, layers.Dense(8, name="d")(inputs))
    same, report = prune(model, PruneConfig(pattern="2:4"))
    assert report.skipped[0]["reason"] == "it is too small for the pattern 2:4"
    np.testing.assert_array_equal(same.get_weights()[0], model.get_weights()[0])


@pytest.mark.parametrize(("rows", "columns"), [(1, 4), (4, 1), (2, 3), (8, 2)])
def test_whole_blocks_go_by_their_norm(net, rows, columns):
    model, _ = net
    sparse, report = prune(model, PruneConfig(pattern=f"block:{rows}x{columns}", sparsity=0.4))
    before, after = kernels_of(model), kernels_of(sparse)
    for path in ("dense/kernel", "conv/kernel", "lstm/lstm_cell/recurrent_kernel"):
        old, new = (each[path].reshape(-1, *each[path].shape[-2:]) for each in (before, after))
        down, across = old.shape[1] // rows, old.shape[2] // columns
        blocks = list(itertools.product(range(len(old)), range(down), range(across)))
        place = {(t, i, j): np.s_[t, i * rows : (i + 1) * rows, j * columns : (j + 1) * columns] for t, i, j in blocks}
        gone = [block for block in blocks if not new[place[block]].any()]
        kept = [block for block in blocks if block not in gone]
        assert len(gone) == round(0.4 * len(blocks))
        norm = {block: np.abs(old[place[block]]).sum() for block in blocks}
        assert max(norm[block] for block in gone) <= min(norm[block] for block in kept)
        for block in gone:
            old[place[block]] = 0
        np.testing.assert_array_equal(old, new)  # and nothing outside of whole blocks
    outside = {row["name"]: row["reason"] for row in report.pruned}["dense/kernel"]
    assert bool(outside) == bool(9 % rows or 5 % columns)


@pytest.mark.parametrize("pattern", ["unstructured", "2:4", "block:2x3", "row"])
def test_units_and_their_masks_lie_in_the_same_order(pattern):
    grid = Grid((2, 9, 7), Layout(apart=(0,), inputs=(2,), outputs=(1,)), Pattern.of(pattern), first=pattern == "row")
    chosen = np.random.default_rng(0).random((grid.groups, grid.size)) < 0.5
    mask = np.asarray(grid.spread(keras.ops.convert_to_tensor(chosen)))
    inside = ~np.asarray(grid.spread(keras.ops.zeros(chosen.shape, "bool")))
    sums = np.asarray(grid.units(keras.ops.convert_to_tensor((mask & inside).astype("float32"))))
    np.testing.assert_array_equal(sums, chosen * grid.unit)
    assert (~inside).sum() == grid.outside and mask[~inside].all()


def test_ties_are_cut_exactly_and_second_keys_decide():
    scores, sizes = np.array([[1.0, 0, 0, 0], [2, 2, 1, 1]]), np.array([[9.0, 3, 1, 2], [1, 0, 1, 0]])
    found = np.asarray(largest(*map(keras.ops.convert_to_tensor, (scores, np.int32(2), sizes))))
    np.testing.assert_array_equal(found, [[True, True, False, False], [True, True, False, False]])
    found = np.asarray(largest(keras.ops.convert_to_tensor(scores), 2))
    np.testing.assert_array_equal(found, [[True, False, False, True], [True, True, False, False]])


@pytest.mark.parametrize(
    ("equation", "shape", "expected"),
    [
        ("abc,cde->abde", (8, 2, 3), Layout(inputs=(0,), outputs=(1, 2))),
        ("abcd,cde->abe", (2, 3, 8), Layout(inputs=(0, 1), outputs=(2,))),
        ("...x,xy->...y", (8, 4), Layout(inputs=(0,), outputs=(1,))),
        ("bgx,gxy->bgy", (3, 8, 4), Layout(apart=(0,), inputs=(1,), outputs=(2,))),
    ],
)
def test_an_equation_says_what_is_summed_over(equation, shape, expected):
    layer = layers.EinsumDense(equation, (None,), bias_axes=None)
    assert layout_of(layer, keras.Variable(np.zeros(shape), name="kernel")) == expected


# ---------------------------------------------------------------- while training


def test_groups_fill_with_zeros_step_by_step():
    """With M - N = 3 zeros in the end: none, 1, 2, 3 by the cubic, and never a group with more or less than that."""
    inputs = keras.Input((9,))
    model = keras.Model(inputs, layers.Dense(4, use_bias=False, name="d")(inputs))
    pruning, _ = prepare_prune(model, PruneConfig(pattern="1:4", end_step=12, frequency=2))
    pruning.compile("sgd", "mse")
    random, seen = np.random.default_rng(0), []
    for _ in range(14):
        pruning.train_on_batch(random.normal(size=(4, 9)), random.normal(size=(4, 4)))
        (mask,) = pruning.masks
        zeros = (~np.asarray(mask.keep))[:8].reshape(2, 4, 4).sum(axis=1)
        assert len(np.unique(zeros)) == 1
        seen.append(int(zeros[0, 0]))
    assert seen == [0, 0, 1, 1, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3]  # 3(1 - (1 - t/12)^3): 0, 1.26, 2.11, 2.63, ...
    kernel = np.asarray(strip_prune(pruning).get_layer("d").kernel)
    assert (kernel[:8].reshape(2, 4, 4) != 0).sum(axis=1).max() == 1 and (kernel[8] != 0).all()


# ---------------------------------------------------------------- embeddings


def tied(mask_zero, layer=layers.ReversibleEmbedding):
    tokens = keras.Input((5,), dtype="int32", name="tokens")
    table = layer(10, 6, mask_zero=mask_zero, name="words")
    x = layers.Dense(6, activation="tanh", name="mix")(table(tokens))
    return keras.Model(tokens, table(x, reverse=True), name="tied")


@pytest.mark.parametrize("mask_zero", [False, True])
def test_rows_of_a_table_go_but_never_the_padding(mask_zero):
    model = tied(mask_zero)
    table = np.arange(1, 11)[:, None] * np.ones((10, 6), "float32")  # row 0 is the least
    model.get_layer("words").embeddings.assign(table)
    config = PruneConfig(sparsity=None, pattern="row", by_type={"ReversibleEmbedding": 0.3})
    sparse, report = prune(model, config)
    gone = np.flatnonzero(~np.asarray(sparse.get_layer("words").embeddings).any(axis=1))
    np.testing.assert_array_equal(gone, [1, 2, 3] if mask_zero else [0, 1, 2])
    (row,) = report.pruned
    assert ("row 0 is the padding and stays" in row["reason"]) == mask_zero
    assert "it is the output projection too" in row["reason"]
    assert row["sparsity"] == pytest.approx(0.3)


def test_a_tied_table_stays_one_variable_through_training(tmp_path):
    pruning, report = prepare_prune(
        tied(False), PruneConfig(schedule="constant", pattern="2:4", patterns={"words": "row"}, by_name={"words": 0.4})
    )
    assert [row["pattern"] for row in report.pruned] == ["row", "2:4"]
    pruning.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    random = np.random.default_rng(0)
    pruning.fit(random.integers(0, 10, (16, 5)), random.integers(0, 10, (16, 5)), verbose=0)
    plain = strip_prune(pruning)
    plain.save(tmp_path / "tied.keras")
    plain = keras.saving.load_model(tmp_path / "tied.keras")
    table = np.asarray(plain.get_layer("words").embeddings)
    assert sum("embeddings" in weight.path for weight in plain.weights) == 1
    assert (~table.any(axis=1)).sum() == 4
    logits = np.asarray(plain(random.integers(0, 10, (3, 5))))
    assert (logits[..., ~table.any(axis=1)] == 0).all() and (logits[..., table.any(axis=1)] != 0).any()


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"pattern": "row"}, {"words/embeddings": "", "mix/kernel": "'row' is a pattern of embeddings"}),
        (
            {"pattern": "block:1x2", "by_name": {"words": 0.5}},
            {"words/embeddings": "a table is looked up, not multiplied"},
        ),
    ],
)
def test_tables_and_products_each_have_their_patterns(config, reason):
    _, report = prune(tied(False), PruneConfig(**config))
    said = {row["name"]: row["reason"] for row in report.rows}
    assert all(said[name].startswith(text) for name, text in reason.items())


def test_refuses_a_contradiction_and_a_name_that_fits_nothing():
    with pytest.raises(BadInput, match=r"by_name\['mix'\]=0\.75 contradicts pattern '2:4', which keeps 2 of each 4"):
        prune(tied(False), PruneConfig(pattern="2:4", by_name={"mix": 0.75}))
    with pytest.raises(BadInput, match=r"patterns\['word'\] names no layer with weights .*did you mean words"):
        prune(tied(False), PruneConfig(patterns={"word": "row"}))
