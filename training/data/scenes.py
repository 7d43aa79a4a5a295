"""Rendered scenes, of which the exact depth is known: things that stand on a plane under an open sky."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import BadInput
from .dataset import Dataset, Split
from .hha import hha
from .sets import Asked, dataset, present

FORMS = {("float32", 3): "image {}"}
COUNTS = {"train": 640, "validation": 80, "test": 160}
EYE = 1.5  # metres above the ground
FOCAL = 1.0  # in heights of the image
NEAREST = 1.0  # metres; inverse depth 1
SUN = np.array([0.5, -0.7, -0.5]) / np.linalg.norm([0.5, -0.7, -0.5])  # where it stands: right, up, behind the camera
THINGS = ("ball", "box", "pillar", "slab")
SIZES = {"box": (0.45, 0.45, 0.45), "pillar": (0.15, 0.9, 0.15), "slab": (0.8, 0.12, 0.6)}  # half a side, metres


@dataclass(frozen=True, kw_only=True)
class Thing:
    """What stands on the ground. middle: of it, right and ahead of the camera, metres; scale: of its size."""

    kind: str
    middle: tuple[float, float]
    scale: float
    turn: float
    colour: np.ndarray


# ---------------------------------------------------------------- the sets


@dataset(input_shape=(64, 64, 3), tasks=("inverse_depth",), floor=0.26)  # by the mean of each pixel: 0.27
def rendered_scenes(asked: Asked) -> Dataset:
    """Return scenes of up to four things, and the inverse depth of each pixel in 1/m; that of the sky is zero."""
    words = present(FORMS, "rendered_scenes", asked).format(asked.input_shape)
    size, random, splits = _size("rendered_scenes", asked.input_shape), np.random.default_rng(0), {}
    for part, count in COUNTS.items():
        x, depth = _rendered([[_thing(random, kind) for kind in random.choice(THINGS, random.integers(1, 5))]
                              for _ in range(count)], size, random)  # fmt: skip
        splits[part] = Split(x=x, y=(1 / depth)[..., None].astype(np.float32))
    return Dataset(name="rendered_scenes", task=asked.task, source=("rendered by Edgewright",), **splits,
                   preprocessing=f"rendered as {words}; targets 1 / depth in metres, 0 of the sky")  # fmt: skip


@dataset(input_shape={"image": (32, 32, 3), "hha": (32, 32, 3)}, tasks=("classification",))
def rendered_objects(asked: Asked) -> Dataset:
    """Return scenes of one thing, its kind, and beside the image its depth in the HHA encoding."""
    shape, encoded = asked.shapes("rendered_objects", "image", "hha")
    if shape != encoded:
        raise BadInput(f"data set 'rendered_objects' shows image and hha in one size, asked are {shape}, {encoded}")
    size, random = _size("rendered_objects", shape), np.random.default_rng(0)
    splits: dict[str, Any] = {}
    for part, count in COUNTS.items():
        kinds = random.permutation(np.arange(count) % len(THINGS))
        x, depth = _rendered([[_thing(random, THINGS[kind])] for kind in kinds], size, random)
        maps = np.stack([hha(each, FOCAL * size[0], NEAREST) for each in depth])
        splits[part] = Split(x={"image": x, "hha": maps}, y=kinds.astype(np.int32))
    return Dataset(name="rendered_objects", task=asked.task, classes=len(THINGS), labels=THINGS, **splits,
                   source=("rendered by Edgewright",),
                   preprocessing=f"rendered as {shape}; hha: nearness, height, angle with gravity")  # fmt: skip


def _size(name: str, shape: tuple[int, ...]) -> tuple[int, int]:
    if len(shape) != 3 or shape[-1] != 3:
        raise BadInput(f"data set {name!r} is in colour, asked is {shape}; give (height, width, 3)")
    return shape[0], shape[1]


def _thing(random: np.random.Generator, kind: str) -> Thing:
    ahead = random.uniform(2.2, 7.0)
    return Thing(kind=str(kind), middle=(random.uniform(-0.35, 0.35) * ahead, ahead), scale=random.uniform(0.7, 1.3),
                 turn=random.uniform(0, np.pi), colour=random.uniform(0.15, 0.95, 3))  # fmt: skip


# ---------------------------------------------------------------- the camera


def _rendered(
    scenes: list[list[Thing]], size: tuple[int, int], random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return images (N, H, W, 3) with the noise of a sensor, and depths (N, H, W)."""
    pairs = [render(things, size, ground=random.uniform(0.3, 0.7, 3)) for things in scenes]
    x = np.stack([image for image, _ in pairs])
    x = x + random.normal(0, 0.02, x.shape).astype(np.float32)
    return np.clip(x, 0, 1), np.stack([depth for _, depth in pairs])


def render(things: list[Thing], size: tuple[int, int], ground: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Draw a scene by one ray a pixel from a level camera; x is right, y is down, z is ahead.

    Depth is that along z, in metres, infinite in the sky. The ground is chequered; light is that of Lambert's law and a
    sky as bright as half of it.  Shapes: (H, W, 3) float32 in [0, 1], (H, W).
    """
    rays = pixel_rays(size, FOCAL * size[0])
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = np.where(rays[..., 1] > 0, EYE / rays[..., 1], np.inf)
    chequers = np.floor(_finite(depth)[..., None] * rays[..., [0, 2]]).sum(-1) % 2
    colour = ground * (0.75 + 0.25 * chequers[..., None])
    normal = np.broadcast_to([0.0, -1.0, 0.0], rays.shape)
    for thing in things:
        far, facing = (_ball if thing.kind == "ball" else _block)(thing, rays)
        nearer = (far < depth)[..., None]
        depth, normal = np.minimum(far, depth), np.where(nearer, facing, normal)
        colour = np.where(nearer, thing.colour, colour)
    light = 0.5 + 0.5 * np.maximum(normal @ SUN, 0)
    sky = np.array([0.6, 0.75, 0.95]) * (1 + rays[..., 1:2])
    return np.where(np.isinf(depth)[..., None], sky, colour * light[..., None]).astype(np.float32), depth


def pixel_rays(size: tuple[int, int], focal: float) -> np.ndarray:
    """Return the direction in which each pixel looks, 1 m ahead, (H, W, 3); focal: length in pixels."""
    down, right = (np.arange(side) + 0.5 - side / 2 for side in size)
    y, x = np.meshgrid(down / focal, right / focal, indexing="ij")
    return np.stack([x, y, np.ones_like(x)], -1)


def _finite(depth: np.ndarray) -> np.ndarray:
    return np.where(np.isinf(depth), 0, depth)


def _ball(thing: Thing, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how far along z rays (H, W, 3) meet a ball on the ground, else infinity, and its normal there."""
    radius = 0.5 * thing.scale
    middle = np.array([thing.middle[0], EYE - radius, thing.middle[1]])
    square, along = (rays**2).sum(-1), rays @ middle
    under = along**2 - square * (middle @ middle - radius**2)
    far = np.where(under > 0, (along - np.sqrt(np.maximum(under, 0))) / square, np.inf)
    return far, (_finite(far)[..., None] * rays - middle) / radius


def _block(thing: Thing, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the same of a block, turned about the vertical: the last of its three pairs of planes that is entered."""
    half = thing.scale * np.array(SIZES[thing.kind])
    cosine, sine = np.cos(thing.turn), np.sin(thing.turn)
    axes = np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])  # of the block
    eye = -axes @ np.array([thing.middle[0], EYE - half[1], thing.middle[1]])
    way = rays @ axes.T
    with np.errstate(divide="ignore", invalid="ignore"):
        borders = np.stack([(-half - eye) / way, (half - eye) / way])
    enters, leaves = borders.min(0), borders.max(0)
    side, far = enters.argmax(-1), enters.max(-1)
    hit = (far < leaves.min(-1)) & (far > 0)
    signs = -np.sign(np.take_along_axis(way, side[..., None], -1))
    return np.where(hit, far, np.inf), signs * axes[side]
