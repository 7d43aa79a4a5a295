"""Detectors: shapes and numbers of the papers, and that a training of few steps says something."""

import math
from dataclasses import replace
from functools import partial

import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.keras_internals import without_weights
from edgewright.models import registry
from edgewright.models.default_boxes import liu_scales, liu_sizes, on_maps
from edgewright.models.detection import Fusion, ScaledNorm
from edgewright.models.rcnn import RoiPool
from edgewright.training import learners, masks, tasks
from edgewright.training.config import TrainConfig
from edgewright.training.data.detection import inside
from edgewright.training.learners.proposing import losses_of, shown_of
from edgewright.training.runner import KerasRunner
from edgewright.training.state import RunDir


def paper(name, **options):
    with without_weights():
        networks = registry.networks(name, **options)
        count = sum(math.prod(weight.shape) for net in networks.values() for weight in net.trainable_weights)
    return networks, count


@pytest.mark.parametrize(
    ("name", "boxes", "classes"), [("ssd300", 8732, 21), ("ssd_mobilenet", 1917, 91), ("efficientdet", 49104, 90)]
)
def test_default_boxes_are_as_many_as_published(name, boxes, classes):
    """SSD300: 38^2 4 + 19^2 6 + 10^2 6 + 5^2 6 + 3^2 4 + 4; EfficientDet: nine on 64, 32, 16, 8 and 4 places a side."""
    networks, _ = paper(name)
    shapes = {tensor.shape[1:] for tensor in networks["detector"].outputs}
    assert shapes == {(boxes, 4), (boxes, classes)}
    assert networks["default_boxes"].weights[0].shape == (boxes, 4)


@pytest.mark.parametrize(
    ("name", "published", "within"),
    [("ssd_mobilenet", 6.8e6, 0.01), ("efficientdet", 3.9e6, 0.01), ("yolo_v3_tiny", 8_852_366, 0), ("ssd300",
     26_285_486, 0)],
)  # fmt: skip
def test_parameters_are_as_many_as_published(name, published, within):
    assert paper(name)[1] == pytest.approx(published, rel=within)


def test_grids_have_the_shapes_of_the_papers():
    """YOLO: 7x7x30. YOLOv3: of each anchor 5 numbers and 80 classes; PP-YOLO one more."""
    shapes = {name: [each.shape[1:] for each in paper(name)[0]["detector"].outputs]
              for name in ("yolo_v1", "yolo_v3_tiny", "pp_yolo")}  # fmt: skip
    assert shapes == {"yolo_v1": [(7, 7, 30)], "yolo_v3_tiny": [(13, 13, 255), (26, 26, 255)],
                      "pp_yolo": [(19, 19, 258), (38, 38, 258), (76, 76, 258)]}  # fmt: skip


def test_overfeat_answers_once_for_its_window():
    shapes = [each.shape[1:] for each in paper("overfeat")[0]["detector"].outputs]
    assert shapes == [(1, 4), (1, 1001)]


def test_default_boxes_by_hand():
    default = on_maps([(1, 2)], [liu_sizes(0.2, 0.8, 4)])
    np.testing.assert_allclose(default[[0, 4], :2], [(0.25, 0.5), (0.75, 0.5)])
    root = 2**0.5
    np.testing.assert_allclose(
        default[:4, 2:], [(0.2, 0.2), (0.2 * root, 0.2 / root), (0.2 / root, 0.2 * root), (0.4, 0.4)], rtol=1e-6
    )
    np.testing.assert_allclose(liu_scales(5), [0.2, 0.375, 0.55, 0.725, 0.9, 1.0])


def test_fusion_is_a_weighted_mean():
    """Of weights 1, 3 and -2: a quarter and three quarters, but for 0.0001."""
    layer = Fusion()
    maps = [np.full((1, 2, 2, 1), value, "float32") for value in (4.0, 8.0, 100.0)]
    layer.build([each.shape for each in maps])
    layer.set_weights([np.array([1.0, 3.0, -2.0])])
    np.testing.assert_allclose(layer(maps), np.full((1, 2, 2, 1), 7.0), rtol=1e-4)


def test_scaled_norm_has_the_length_of_its_scale():
    vectors = np.random.default_rng(0).normal(size=(1, 2, 2, 8)).astype("float32")
    lengths = np.linalg.norm(ScaledNorm()(vectors), axis=-1)
    np.testing.assert_allclose(lengths, 20, rtol=0.01)


def test_a_roi_is_pooled_to_cells():
    """4 x 3 are 12 cells; of a ramp each holds what its last sample sees: the middle of its last quarter."""
    ramp = np.arange(24, dtype="float32")[None, :, None, None] * np.ones((1, 1, 12, 2), "float32")
    rois = np.array([[(0, 0, 1, 1), (0, 0, 1, 0.5)]], "float32")
    pooled = np.asarray(RoiPool(4, 3)([ramp, rois]))
    assert pooled.shape == (1, 2, 12 * 2)
    cells = pooled.reshape(2, 3, 4, 2)  # columns before rows
    np.testing.assert_allclose(cells[0, 0, :, 0], [4, 10, 16, 22], atol=1e-4)  # 24 (k + .75) / 4 - .5
    np.testing.assert_allclose(cells[1, 2, :, 1], [1.75, 4.75, 7.75, 10.75], atol=1e-4)


def test_proposals_have_two_scores_and_four_offsets_each():
    """k = 9 boxes a place, 18 scores and 36 offsets from 256 numbers (Ren 2015, figure 3)."""
    networks, _ = paper("faster_rcnn", rpn=256)
    assert networks["proposer"].get_layer("rpn_scores_map").kernel.shape == (1, 1, 256, 18)
    assert networks["proposer"].get_layer("rpn_boxes_map").kernel.shape == (1, 1, 256, 36)


def test_true_boxes_are_among_those_shown():
    truth = np.array([(1, 0.1, 0.1, 0.5, 0.5)])
    shown = shown_of(np.tile(np.float32([0.6, 0.6, 0.9, 0.9]), (8, 1)), truth, 2, np.random.default_rng(0))
    assert list(shown["labels"]) == [0] * 6 + [2] * 2
    assert shown["offsets"][6, 1, 4] == 1 and shown["offsets"][..., 4].sum() == 2


def test_masks_are_shown_with_their_class():
    """A square in the left half of the picture fills the left half of the cells of the whole picture."""
    truth, whole = np.array([(1, 0, 0, 0.5, 1)]), np.float32([[0, 0, 1, 1]])
    given = partial(masks.in_cells, inside, (2, 4))
    shown = shown_of(whole, truth, 3, np.random.default_rng(0), given)["masks"]
    assert shown.shape == (1, 1 + 8) and shown[0, 0] == 2  # the true box, moved a little, is shown in place of it
    assert given(truth, whole).tolist() == [[[1, 1, 0, 0]] * 2]
    assert not shown_of(whole, truth[:0], 3, np.random.default_rng(0), given)["masks"][:, 0].any()


@pytest.mark.parametrize(("preset", "shape"), [("paper", (128, 28, 28, 80)), ("edge", (24, 14, 14, 3))])
def test_masks_have_twice_the_side_of_their_cells(preset, shape):
    """14 x 14 cells and masks of 28 x 28, one for each class (He 2017, figure 4)."""
    with without_weights():
        head = registry.networks("mask_rcnn", preset)["mask_head"]
    assert [each.shape[1:] for each in head.outputs] == [shape]


def test_a_map_is_aligned_with_its_box():
    """Of x + 100 y, in pixels, each cell is what lies at its middle; rows stay rows."""
    y, x = np.mgrid[:8, :8]
    maps = (x + 100 * y).astype("float32")[None, :, :, None]
    layer = RoiPool(2, 3, samples=1, flat=False)
    cells = np.asarray(layer([maps, np.array([[(0.25, 0.5, 1, 1), (0, 0, 0.75, 0.5)]], "float32")]))
    assert cells.shape == (2, 2, 3, 1) and RoiPool.from_config(layer.get_config()).samples == 1
    expected = [[[x + 100 * y for x in across] for y in down]
                for across, down in (([2.5, 4.5, 6.5], [4.5, 6.5]), ([0.5, 2.5, 4.5], [0.5, 2.5]))]  # fmt: skip
    np.testing.assert_allclose(cells[..., 0], expected, rtol=1e-4)


@pytest.mark.parametrize(("name", "more"), [("faster_rcnn", []), ("mask_rcnn", ["masks_loss"])])
def test_losses_are_four_and_five_with_masks(name, more):
    networks = registry.networks(name, "edge", count=4)
    random = np.random.default_rng(0)
    boxes = len(networks["default_boxes"].get_weights()[0])
    given = {"pictures": random.uniform(size=(2, 64, 64, 3)), "rois": np.tile([0.1, 0.1, 0.5, 0.5], (2, 4, 1)),
             "labels": np.ones((2, 4)), "offsets": np.zeros((2, 4, 3, 5)), "rpn_labels": np.zeros((2, boxes)),
             "rpn_offsets": np.zeros((2, boxes, 5)), "masks": np.ones((2, 4, 1 + 14 * 14))}  # fmt: skip
    tensors = {name: keras.ops.convert_to_tensor(each.astype("float32")) for name, each in given.items()}
    losses = losses_of(networks, tensors)
    assert sorted(losses) == sorted(["boxes_loss", "rpn_boxes_loss", "rpn_scores_loss", "scores_loss", *more])
    assert all(each.shape == (2,) and np.isfinite(each).all() for each in losses.values())


@pytest.mark.parametrize("name", ["overfeat", "faster_rcnn", "mask_rcnn"])
def test_a_training_of_few_steps(name):
    """One stage, two, and two with masks: all is computed, and the same from the same seed."""
    entry = registry.get(name)
    task, said = tasks.get(entry.task), []
    for _ in range(2):
        networks = registry.networks(name, "edge")
        data = task.present("drawn_shapes", networks, limit=16, test_limit=4)
        config = TrainConfig(epochs=1, batch_size=8, learning_rate=1e-3, jit_compile=False)
        (row,) = learners.get(entry.learner)(networks, data, task, config, RunDir(None))
        scores = task.evaluate(KerasRunner(networks), data)
        assert list(scores.units) == [0, 1, 2, 3] and 0 <= task.metric.reduce(scores.rows) <= 1
        said.append((row["loss"], networks[entry.networks[0]].get_weights()[0]))
    assert said[0][0] == said[1][0]
    np.testing.assert_array_equal(said[0][1], said[1][1])
    pictures = task.pictures(KerasRunner(networks), data)
    assert {each.shape for each in pictures.values()} == {(4, 64, 64, 3)}


def test_other_tasks_and_data_are_refused():
    networks = registry.networks("overfeat", "edge")
    with pytest.raises(BadInput, match="no boxes"):
        tasks.get("detection").present("digits", networks)
    with pytest.raises(BadInput, match="classifier"):
        tasks.get("proposed_detection").present("drawn_shapes", networks)
    with pytest.raises(BadInput, match="proposer"):
        tasks.get("masked_detection").present("drawn_shapes", networks)


def test_data_without_masks_are_refused():
    networks = registry.networks("mask_rcnn", "edge")
    drawn = tasks.get("detection").present("drawn_shapes", {"proposer": networks["proposer"]}, limit=8, test_limit=8)
    with pytest.raises(BadInput, match="boxes but no masks"):
        tasks.get("masked_detection").present(replace(drawn, inside=None), networks)
