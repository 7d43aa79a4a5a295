"""Data that tell something of every pixel, and the tasks that ask for it."""

import io
from dataclasses import replace

import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.models import registry
from edgewright.training import data, tasks
from edgewright.training.data import membranes, scenes, sources
from edgewright.training.data.hha import hha, normals, points, upwards
from edgewright.training.learners.wrapped import Augmented
from edgewright.training.moving import Turned
from edgewright.training.runner import KerasRunner
from edgewright.training.train import TrainConfig, train

R = np.random.default_rng(0)


# ---------------------------------------------------------------- membranes


def png(pixels):
    from PIL import Image

    written = io.BytesIO()
    Image.fromarray(pixels).save(written, format="PNG")
    return written.getvalue()


def test_a_grey_png_is_read_and_another_refused():
    pixels = R.integers(0, 256, (5, 7), np.uint8)
    np.testing.assert_array_equal(membranes.read_png(png(pixels), "a.png"), pixels)
    with pytest.raises(BadInput, match=r"a\.png has pixels uint8 of shape \(5, 7, 3\)"):
        membranes.read_png(png(np.stack([pixels] * 3, -1)), "a.png")
    for content in (b"GIF89a", png(pixels)[:40]):
        with pytest.raises(BadInput, match=r"a\.png is no PNG"):
            membranes.read_png(content, "a.png")


def test_tiles_cover_every_pixel_as_rarely_as_can_be():
    image = np.arange(64).reshape(1, 8, 8)
    cut = membranes.tiles(image, (4, 4))
    np.testing.assert_array_equal(cut[1], image[0, :4, 4:])
    assert sorted(cut.ravel()) == list(range(64))
    overlapping = membranes.tiles(image, (6, 8))
    assert overlapping.shape == (2, 6, 8) and set(overlapping.ravel()) == set(range(64))
    larger = membranes.tiles(image, (12, 8))
    np.testing.assert_array_equal(larger[0, :, 0], [8, 0, *range(0, 64, 8), 56, 48])


@pytest.mark.skipif(sources.find("isbi_membrane/train/image/0.png") is None, reason="isbi_membrane is not here")
def test_the_official_slices_are_split_by_stretches_of_the_stack():
    set_ = data.load("isbi_membrane", input_shape=(128, 128, 1))
    assert [len(split) for split in set_.splits.values()] == [336, 48, 96]
    assert [sorted(set(split.group)) for split in set_.splits.values()] == [
        list(range(21)), list(range(21, 24)), list(range(24, 30))]  # fmt: skip
    whole = sum((split.y == 0).sum() for split in set_.splits.values()) / (30 * 512 * 512)
    assert whole == pytest.approx(0.2196, abs=1e-3)  # as the set is described
    dark, light = (set_.train.x[..., 0][set_.train.y == kind].mean() for kind in (0, 1))
    assert dark < light


def test_drawn_cells_are_darker_than_what_is_around_them():
    x, y = membranes.draw(np.random.default_rng(3), (64, 64))
    assert x.dtype == np.float32 and set(np.unique(y)) == {0, 1}
    assert x[y == 1].mean() < x[y == 0].mean() - 0.05
    again, _ = membranes.draw(np.random.default_rng(3), (64, 64))
    np.testing.assert_array_equal(x, again)


# ---------------------------------------------------------------- the task


@pytest.fixture(scope="module")
def cells():
    return data.load("drawn_cells", input_shape=(32, 32, 1), limit=64, test_limit=12)


def sharing(network):
    """A model that answers two scores a pixel: that of a cell is how dark it is."""
    inputs = keras.Input((32, 32, 1))
    scores = keras.layers.Conv2D(2, 1, name="logits")
    model = keras.Model(inputs, scores(inputs), name=network)
    scores.kernel.assign(np.float32([0, -1]).reshape(1, 1, 1, 2))
    scores.bias.assign([0, 0.5])
    return model


def test_tiles_of_one_image_are_one_unit(cells):
    task, model = tasks.get("segmentation"), sharing("thresholded")
    tiled = replace(cells, test=replace(cells.test, group=np.repeat([3, 7, 8], 4)))
    dataset = task.present(tiled, {"thresholded": model})
    scores = task.evaluate(KerasRunner({"thresholded": model}), dataset)
    assert scores.units.tolist() == [3, 7, 8] and len(scores.rows) == 12
    said = (dataset.test.x[..., 0] < 0.5).astype(int)
    both, either = ((said == 1) & (dataset.test.y == 1)).sum(), ((said == 1) | (dataset.test.y == 1)).sum()
    assert scores.rows[:, [1, 3]].sum(0).tolist() == [both, either]
    pictures = task.pictures(KerasRunner({"thresholded": model}), dataset)
    np.testing.assert_array_equal(pictures["said"], said[:8])
    np.testing.assert_array_equal(pictures["truth"], dataset.test.y[:8])


@pytest.mark.parametrize("shape", [(6, 6, 2), (4, 6, 1)])
def test_what_is_answered_to_turned_images_is_turned_back(shape):
    x = R.random((200, *shape), np.float32)
    layer = Turned(0)
    turned, moves = layer(x)
    np.testing.assert_array_equal(layer.back(turned, moves), x)
    same = np.asarray(turned).reshape(200, -1) == x.reshape(200, -1)
    assert len({tuple(way) for way in np.asarray(moves).tolist()}) == 8 and not same.all(1).all()


def test_a_network_that_sees_places_answers_as_if_nothing_had_been_turned():
    inputs = keras.Input((6, 6, 1))
    model = Augmented(keras.Model(inputs, keras.layers.Activation("linear")(inputs)), [Turned(0)])
    x = R.random((20, 6, 6, 1), np.float32)
    np.testing.assert_array_equal(model(x, training=True), x)
    blurred = keras.Model(inputs, keras.layers.ZeroPadding2D(((0, 1), (0, 0)))(inputs)[:, 1:])  # all one row up
    moved = np.asarray(Augmented(blurred, [Turned(0)])(x, training=True))
    ways = [np.roll(x, -1, 1), np.roll(x, 1, 1), np.roll(x, -1, 2), np.roll(x, 1, 2)]
    inner = (slice(1, -1), slice(1, -1))
    for place in range(20):
        assert any(np.array_equal(moved[place][inner], way[place][inner]) for way in ways)


def test_a_small_net_learns_where_cells_are(cells):
    model = sharing("learning")
    config = TrainConfig(epochs=3, label_smoothing=0.0, learning_rate=0.05, jit_compile=False)
    history = train(model, cells, config).history
    assert history[-1]["val_loss"] < history[0]["val_loss"]


# ---------------------------------------------------------------- scenes


def test_the_ground_is_as_far_as_a_level_camera_sees_it():
    _, depth = scenes.render([], (64, 64), np.full(3, 0.5))
    below = (np.arange(32, 64) + 0.5 - 32) / 64  # of a focal length
    np.testing.assert_allclose(depth[32:], np.repeat(1.5 / below[:, None], 64, 1))
    assert np.isinf(depth[:32]).all()


def test_a_ball_and_a_block_are_where_they_stand():
    def nearest(kind, **more):
        thing = scenes.Thing(kind=kind, middle=(0.0, 4.0), scale=1.0, turn=0.0, colour=np.ones(3), **more)
        return scenes.render([thing], (101, 101), np.full(3, 0.5))[1]

    ball, block = nearest("ball"), nearest("slab")
    row = 50 + round(101 * 1.0 / 3.6)  # of its middle, 1 m below the eye
    assert ball[row - 3 : row + 4, 50].min() == pytest.approx(3.53, abs=0.05)
    assert block[:, 50].min() <= 3.4 + 1e-9  # its front face, 0.6 m before its middle
    assert np.isclose(block[:, 50], 3.4).sum() > 4


def test_hha_of_the_ground_and_a_wall_by_hand():
    focal, eye = 64.0, 1.5
    rays = scenes.pixel_rays((64, 64), focal)
    wall = 5.0
    with np.errstate(divide="ignore"):
        depth = np.minimum(np.where(rays[..., 1] > 0, eye / rays[..., 1], np.inf), wall)
    encoded = hha(depth, focal, nearest=1.0)
    np.testing.assert_allclose(encoded[..., 0], 1 / depth, atol=1e-6)
    assert encoded[-1, 32] == pytest.approx([1 / depth[-1, 32], 0, 0], abs=0.01)  # the ground: at no height, facing up
    row = 20  # of the wall: 1.5 m + 5 (11.5 / 64) m above the ground, at a right angle with gravity
    assert encoded[row, 32] == pytest.approx([0.2, (1.5 + 5 * 11.5 / 64) / 3, 0.5], abs=0.01)
    depth[:5] = np.inf
    assert not hha(depth, focal, 1.0)[:5].any()


def test_gravity_is_found_for_a_camera_that_looks_down():
    tilt = np.radians(10)
    turn = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    facing = np.array([[0, -1, 0]] * 50 + [[0, 0, -1]] * 30 + [[1, 0, 0]] * 20) @ turn.T
    np.testing.assert_allclose(upwards(facing), turn @ [0, -1, 0], atol=1e-6)


def test_a_plane_has_one_normal_towards_the_camera():
    rays = scenes.pixel_rays((8, 8), 8.0)
    normal = np.array([0.3, -0.8, -0.52])
    normal /= np.linalg.norm(normal)
    depth = -4 / (rays @ normal)
    np.testing.assert_allclose(normals(points(depth, 8.0)), np.broadcast_to(normal, (8, 8, 3)), atol=1e-6)


def test_scenes_go_to_nets_of_colour_alone():
    with pytest.raises(BadInput, match="in colour"):
        data.load("rendered_scenes", input_shape=(32, 32, 1))
    with pytest.raises(BadInput, match="inputs image, hha"):
        data.load("rendered_objects", input_shape={"image": (32, 32, 3), "depth": (32, 32, 1)})


def test_a_depth_is_drawn_beside_its_truth():
    task = tasks.get("inverse_depth")
    networks = registry.networks("depth_net", "edge", input_shape=(32, 32, 3), maps=(4,), windows=(3,))
    dataset = task.present("rendered_scenes", networks, limit=8, test_limit=4)
    pictures = task.pictures(KerasRunner(networks), dataset)
    assert pictures["truth"].max() == 1 and pictures["said"].shape == (4, 32, 32, 1)
