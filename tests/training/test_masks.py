"""Masks: cells of boxes, pixels of pictures, and how they overlap, by hand."""

import numpy as np
import pytest
from edgewright.training import masks
from edgewright.training.data.detection import inside

BOX = (0.25, 0.25, 0.75, 0.75)


@pytest.mark.parametrize(
    ("label", "rows"),
    [
        (0, [".##.", "####", "####", ".##."]),  # the middles of the corner cells are .53 from the box's, others .4
        (1, ["####"] * 4),
        (2, ["....", ".##.", ".##.", "####"]),  # half its width is v / 2: .06, .19, .31, .44 to the .125 and .375
    ],
)
def test_mask_of_a_box_by_hand(label, rows):
    """Disc, square and triangle in 4 x 4 cells of their own box."""
    told = masks.in_cells(inside, (4, 4), np.array([(label, *BOX)]), np.array([BOX]))[0]
    assert ["".join(".#"[int(cell)] for cell in row) for row in told] == rows


def test_cells_outside_the_thing_are_empty():
    """A box of twice the width, to the right: its right half holds nothing."""
    told = masks.in_cells(inside, (2, 4), np.array([(1, *BOX)]), np.array([(0.25, 0.25, 1.25, 0.75)]))
    assert told.tolist() == [[[1, 1, 0, 0]] * 2]


def test_masks_are_pasted_where_their_box_is():
    """Of a picture of 8 x 8 the box is the middle 4 x 4; chances 1 and 0 meet half way between the cells."""
    chances = np.array([[(1.0, 0.0), (1.0, 0.0)]])
    told = masks.pasted(chances, np.array([BOX]), (8, 8))
    expected = np.zeros((8, 8), bool)
    expected[2:6, 2:4] = True
    np.testing.assert_array_equal(told, [expected])
    assert masks.pasted(chances[:0], np.zeros((0, 4)), (8, 8)).shape == (0, 8, 8)


def test_overlap_of_masks_by_hand():
    """Two pixels and three share one: 1 / 4; with nothing, nothing."""
    a = np.array([[(1, 1, 0, 0)], [(0, 0, 0, 0)]], bool)
    b = np.array([[(0, 1, 1, 1)]], bool)
    assert masks.overlaps(a, b).tolist() == [[0.25], [0.0]]
    assert masks.overlaps(a[:0], b).shape == (0, 1) and masks.overlaps(a, b[:0]).shape == (2, 0)
