"""Videos of moving digits: where what bounces is, what a frame shows, and what the splits share."""

import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.training import data
from edgewright.training.data.videos import bounced, videos


def test_what_bounces_comes_back_from_both_edges():
    path = np.array([[0.0], [3.0], [4.0], [5.0], [8.0], [-1.0], [-4.5]])
    assert bounced(path, np.array([4]))[:, 0] == pytest.approx([0, 3, 4, 3, 0, 1, 3.5])


def test_a_video_shows_its_picture_whole_in_each_frame_and_moves_it_by_whole_pixels():
    random = np.random.default_rng(0)
    pictures = random.random((5, 4, 4)).astype(np.float32) + 1
    shown = videos(pictures, 6, (10, 12), random)
    assert shown.shape == (5, 6, 10, 12, 1)
    for picture, video in zip(pictures, shown[..., 0], strict=True):
        corners = []
        for frame in video:
            rows, columns = np.nonzero(frame)
            corners.append((rows.min(), columns.min()))
            assert (frame[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] == picture).all()
        steps = np.abs(np.diff(corners, axis=0))
        assert steps.max() <= 2 and steps.sum() > 0


def test_the_set_is_the_same_each_time_and_serves_classes_and_the_videos_themselves():
    classes = data.load("moving_digits", input_shape=(3, 16, 16, 1), task="classification")
    again = data.load("moving_digits", input_shape=(3, 16, 16, 1), task="reconstruction")
    assert classes.classes == 10 and classes.train.x.shape == (2000, 3, 16, 16, 1)
    assert np.array_equal(classes.train.x, again.train.x) and again.train.y is again.train.x
    assert classes.train.x.min() >= 0 and classes.train.x.max() == 1


def test_other_shapes_are_refused():
    with pytest.raises(BadInput, match=r"\(frames, height, width, 1\)"):
        data.load("moving_digits", input_shape=(16, 16, 1), task="classification")
