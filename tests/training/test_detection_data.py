"""Pictures with boxes: PASCAL VOC's form, the shapes that are drawn, and what is proposed of them."""

import io
import tarfile

import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.training import masks, proposals
from edgewright.training.boxes import corners, iou, there
from edgewright.training.data import Split, available, detection
from edgewright.training.data.sets import Asked, source
from PIL import Image

OBJECT = "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"


def annotation(*objects):
    inside = "".join(OBJECT.format(*each) for each in objects)
    return f"<annotation><size><width>8</width><height>4</height></size>{inside}</annotation>".encode()


def test_an_annotation_is_read():
    found = detection.annotated(annotation(("WBC", 2, 1, 4, 3), ("RBC", 5, 5, 5, 5)), "a.xml")
    np.testing.assert_allclose(found, [(1, 0.25, 0.25, 0.5, 0.75)])  # without area is no box


@pytest.mark.parametrize(
    "content",
    [
        b"<annotation>",
        b'<!DOCTYPE a [<!ENTITY b "c">]><annotation/>',
        annotation(("cat", 1, 1, 2, 2)),
        annotation(("RBC", "x", 1, 2, 2)),
        b"<annotation>" + b" " * detection.MOST_TEXT + b"</annotation>",
    ],
)
def test_other_annotations_are_refused(content):
    with pytest.raises(BadInput, match=r"a\.xml"):
        detection.annotated(content, "a.xml")


def test_an_archive_of_voc_is_read():
    files = {}
    for stem, part in (("a", "train"), ("b", "val"), ("c", "test")):
        written = io.BytesIO()
        Image.new("RGB", (8, 4), (255, 0, 0)).save(written, "JPEG")
        files |= {f"BCCD/JPEGImages/{stem}.jpg": written.getvalue(),
                  f"BCCD/Annotations/{stem}.xml": annotation(("RBC", 0, 0, 4, 4)),
                  f"BCCD/ImageSets/Main/{part}.txt": f"{stem}\n".encode()}  # fmt: skip
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    arrays = detection._read(packed.getvalue(), (2, 4, 3))
    assert arrays["train x"].shape == (1, 2, 4, 3) and arrays["train x"][..., 0].min() > 0.98
    np.testing.assert_allclose(arrays["test y"], [[(0, 0, 0, 0.5, 1)]])
    with pytest.raises(BadInput, match="no picture"):
        detection._picture(b"no JPEG", "a.jpg", (2, 4, 3))


def test_mirrored_pictures_have_mirrored_boxes():
    x = np.zeros((1, 4, 4, 1), np.float32)
    x[0, 0, 1] = 1
    split = detection.mirrored(Split(x=x, y=np.array([[(0, 0.25, 0, 0.5, 0.25), (-1, 0, 0, 0, 0)]], np.float32)))
    assert len(split) == 4
    for image, boxes in zip(split.x, split.y, strict=True):
        (_, left, top, right, bottom), padding = boxes
        assert image[int(top * 4) : int(bottom * 4), int(left * 4) : int(right * 4)].all() and image.sum() == 1
        assert list(padding) == [-1, 0, 0, 0, 0]


@pytest.fixture(scope="module")
def shapes():
    asked = Asked(input_shape=(48, 64, 3), dtype="float32", task="detection")
    return source("drawn_shapes").load(asked)


def test_shapes_fill_their_boxes(shapes):
    assert [len(split) for split in shapes.splits.values()] == [800, 160, 200]
    assert set(np.unique(shapes.test.y[..., 0])) == {-1, 0, 1, 2}
    assert shapes.train.x.min() >= 0 and shapes.train.x.max() <= 1
    for image, truth in zip(shapes.test.x[:20], shapes.test.y[:20], strict=True):
        for label, *box in there(truth):
            left, top, right, bottom = np.rint(np.array(box) * (64, 48, 64, 48)).astype(int)
            assert (bottom - top) == pytest.approx(right - left, abs=1)
            middle = image[(2 * top + bottom) // 3 + 1, (left + right) // 2]
            assert label in (0, 1, 2) and middle.shape == (3,)


def test_masks_are_the_pixels_that_are_drawn(shapes):
    """Where one thing is in a picture, its mask has its colour, and only noise is around it."""
    alone = [place for place, truth in enumerate(shapes.test.y) if (truth[:, 0] >= 0).sum() == 1]
    assert len(alone) > 5
    for place in alone:
        (mask,) = masks.of_picture(shapes.inside, (48, 64), shapes.test.y[place][:1])
        image = shapes.test.x[place]
        assert np.ptp(image[mask], axis=0).max() == 0 and np.ptp(image[~mask], axis=0).min() > 0.1


def test_edges_propose_most_of_what_is_there(shapes):
    places = (np.arange(16) + 0.5) / 16
    x, y, side = np.meshgrid(places, places, (0.2, 0.3, 0.4))
    windows = np.stack([x, y, side * 0.75, side], -1).reshape(-1, 4)
    scores = proposals.scored(shapes.test.x[:40], windows)
    found = [iou(there(truth)[:, 1:], proposals.best(corners(windows), each, 24)).max(1) >= 0.5
             for truth, each in zip(shapes.test.y[:40], scores, strict=True)]  # fmt: skip
    assert np.concatenate(found).mean() > 0.6


def test_crops_are_what_lies_in_boxes():
    image = np.zeros((8, 8, 1), np.float32)
    image[2:4, 4:8] = 1
    crops = proposals.cropped(image, np.array([(0.5, 0.25, 1, 0.5), (0, 0, 1, 1)]), (2, 4))
    np.testing.assert_allclose(crops[0], 1)
    np.testing.assert_allclose(crops[1, :, :, 0].sum(), 1.0, atol=1)


def test_blood_cells_have_their_published_counts():
    if not available("bccd"):
        pytest.skip("bccd is not in $EDGEWRIGHT_DATA")
    data = source("bccd").load(Asked(input_shape=(12, 16, 3), dtype="float32", task="detection"))
    assert [len(split) for split in data.splits.values()] == [4 * 205, 87, 72]
    labels = np.concatenate([data.train.y[:205, :, 0].ravel(), *(data.splits[part].y[..., 0].ravel()
                                                                 for part in ("validation", "test"))])  # fmt: skip
    assert [int((labels == label).sum()) for label in range(3)] == [4_155 - 2, 372, 361]  # two have no area
