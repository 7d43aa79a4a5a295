"""A depth map as three channels: nearness, height above the ground, angle with gravity.

The host encodes a depth map, a network reads it like an image.
Source: Gupta 2014, Learning rich features from RGB-D images for object detection and segmentation, arXiv:1407.5736,
section 2.1; gravity by Gupta 2013, Perceptual organization and recognition of indoor scenes, section 3.1.
"""

from __future__ import annotations

import numpy as np

HEIGHT = 3.0  # metres that fill the second channel
WITHIN = ((45.0, 5), (15.0, 5))  # degrees that a normal may lie off a wall or the ground, and rounds with them
STRAIGHT_UP = np.array([0.0, -1.0, 0.0])  # of a level camera: x is right, y is down, z is ahead


def hha(depth: np.ndarray, focal: float, nearest: float) -> np.ndarray:
    """Encode a depth map.  Shapes: (H, W) metres along z, infinite where nothing is -> (H, W, 3) float32 in [0, 1].

    nearest / depth is what disparity is in proportion to; height is that above the lowest point, a hundredth of them
    left out; of the angle between the surface's normal and up 0 is a floor, 1/2 a wall, 1 a ceiling. focal: length in
    pixels. Where nothing is seen all three are zero.
    """
    seen = np.isfinite(depth)
    found = points(np.where(seen, depth, 0), focal)
    facing = normals(found)
    known = seen & np.isfinite(facing).all(-1)
    facing[~known] = STRAIGHT_UP
    up = upwards(facing[known])
    height = found @ up
    ground = np.percentile(height[seen], 1) if seen.any() else 0.0
    angle = np.arccos(np.clip(facing @ up, -1, 1))
    channels = [nearest / np.where(seen, depth, np.inf), (height - ground) / HEIGHT, angle / np.pi]
    return np.clip(np.where(seen[..., None], np.stack(channels, -1), 0), 0, 1).astype(np.float32)


def points(depth: np.ndarray, focal: float) -> np.ndarray:
    """Return where each pixel's surface is, metres from the camera.  Shapes: (H, W) -> (H, W, 3)."""
    rows, columns = (np.arange(side) + 0.5 - side / 2 for side in depth.shape)
    return np.stack([depth * columns / focal, depth * rows[:, None] / focal, depth], -1)


def normals(found: np.ndarray) -> np.ndarray:
    """Return the unit normals of a surface, towards the camera, by differences of its points; NaN where it is none.

    Shapes: (H, W, 3) -> the same.
    """
    down, right = np.gradient(found, axis=(0, 1))
    normal = np.cross(down, right)
    with np.errstate(divide="ignore", invalid="ignore"):
        normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    return np.where((normal * found).sum(-1, keepdims=True) > 0, -normal, normal)


def upwards(facing: np.ndarray) -> np.ndarray:
    """Return the direction that most normals (n, 3) are along or across, beginning with a level camera's; (3,)."""
    up = STRAIGHT_UP
    for degrees, rounds in WITHIN:
        for _ in range(rounds):
            along = np.abs(facing @ up)
            level = facing[along > np.cos(np.radians(degrees))]
            upright = facing[along < np.sin(np.radians(degrees))]
            if not len(level) + len(upright):
                return up
            _, vectors = np.linalg.eigh(upright.T @ upright - level.T @ level)
            up = vectors[:, 0] * np.sign(vectors[:, 0] @ up or 1)  # of the least value: across walls, along the ground
    return up
