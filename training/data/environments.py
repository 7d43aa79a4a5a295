"""Environments that a task plays: the grid world of Russell and Norvig, as it is and drawn, and some of gymnasium's.

An agent's data set holds the seeds of its episodes, a list for each split, as its targets; its samples are observations
of a player without a plan, which is what a network is calibrated on before there is a better one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from ...errors import BadInput
from .dataset import Dataset, Split
from .sets import Asked, dataset

COUNTS = {"train": 512, "validation": 100, "test": 200}  # episodes
SPACED = 100_000  # seeds of a split; below a million, so that they are exact as int32 and float32 alike

# ---------------------------------------------------------------- the grid world

MOVES = ((0, 1), (1, 0), (0, -1), (-1, 0))  # north, east, south, west as (columns, rows)
ACTIONS = ("north", "east", "south", "west")
STATES = tuple((column, row) for row in (1, 2, 3) for column in (1, 2, 3, 4) if (column, row) != (2, 2))
ENDS = {(4, 3): 1.0, (4, 2): -1.0}  # state -> its reward
START = (1, 1)
ASTRAY = 0.1  # the chance of a move to the left, and of one to the right
LIVING = -0.04  # the reward of every other state
LIMIT = 100  # moves until an episode is broken off


@dataclass(frozen=True, kw_only=True)
class World:
    """What planning is told of an environment.

    Shapes: transitions (states, actions, states), chances that sum to 1; rewards (states,); ends (states,) bool. An
    episode ends in an end, whose value is its reward.
    """

    transitions: np.ndarray
    rewards: np.ndarray
    ends: np.ndarray


def grid(living: float = LIVING, astray: float = ASTRAY) -> World:
    """Return the grid world: 4 columns, 3 rows, a wall at (2, 2); whoever bumps stays where he is."""
    transitions = np.zeros((len(STATES), len(MOVES), len(STATES)))
    for state, place in enumerate(STATES):
        for action in range(len(MOVES)):
            for turn, chance in ((-1, astray), (0, 1 - 2 * astray), (1, astray)):
                transitions[state, action, _moved(place, (action + turn) % len(MOVES))] += chance
    return World(
        transitions=transitions,
        rewards=np.array([ENDS.get(place, living) for place in STATES]),
        ends=np.array([place in ENDS for place in STATES]),
    )


def _moved(place: tuple[int, int], action: int) -> int:
    columns, rows = MOVES[action]
    to = (place[0] + columns, place[1] + rows)
    return STATES.index(to if to in STATES else place)


class GridWorld(gymnasium.Env):
    """The grid world as an environment: observations are one-hot states, actions those of `ACTIONS`.

    A state's reward is paid on leaving it, that of an end on entering it.
    """

    observation_space: spaces.Space[Any]

    def __init__(self, world: World | None = None):
        self.world = world or grid()
        self.observation_space = spaces.Box(0, 1, (len(STATES),), np.float32)
        self.action_space = spaces.Discrete(len(MOVES))
        self._state = STATES.index(START)
        self._moves = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        """Begin at `START`, or at the state `options["state"]`, a number."""
        super().reset(seed=seed)
        self._state, self._moves = (options or {}).get("state", STATES.index(START)), 0
        return self._observed(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        """Move, perhaps astray; broken off after `LIMIT` moves."""
        world, before = self.world, self._state
        self._state = int(self.np_random.choice(len(STATES), p=world.transitions[before, action]))
        self._moves += 1
        ended = bool(world.ends[self._state])
        reward = world.rewards[before] + (world.rewards[self._state] if ended else 0.0)
        return self._observed(), float(reward), ended, self._moves >= LIMIT and not ended, {}

    def _observed(self) -> np.ndarray:
        return np.eye(len(STATES), dtype=np.float32)[self._state]


class DrawnGridWorld(GridWorld):
    """The grid world seen as pixels: observations are the last frames drawn, (size, size, frames) of 0 and 1.

    The wall is a full square, the good end a ring, the bad end a cross, and the agent a disc; what lies on another is
    drawn inverted. size: a multiple of 12, so that squares of 4 columns and 3 rows are of whole pixels. Before the
    first move all frames are the first.
    """

    def __init__(self, size: int, frames: int):
        super().__init__()
        self.observation_space = spaces.Box(0, 1, (size, size, frames), np.uint8)
        self._pictures = [drawn(state, size) for state in range(len(STATES))]
        self._frames = frames
        self._seen: list[np.ndarray] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        """Begin anew, all frames being the first."""
        self._seen = []
        return super().reset(seed=seed, options=options)

    def _observed(self) -> np.ndarray:
        picture = self._pictures[self._state]
        self._seen = [*(self._seen or [picture] * self._frames), picture][-self._frames :]
        return np.stack(self._seen, axis=-1)


def drawn(state: int, size: int) -> np.ndarray:
    """Return a picture of the grid world with the agent in a state, (size, size) of 0 and 1, row 3 at the top."""
    rows, columns = max(row for _, row in STATES), max(column for column, _ in STATES)
    height, width = size // rows, size // columns
    y, x = ((np.arange(count) + 0.5) / count * 2 - 1 for count in (height, width))  # from -1 to 1 across a square
    far = np.maximum(abs(y)[:, None], abs(x))
    shapes = {
        (2, 2): far < np.inf,  # the wall
        (4, 3): far > 0.7,
        (4, 2): abs(abs(y)[:, None] - abs(x)) < 0.35,
    }
    picture = np.zeros((size, size), bool)
    for (column, row), shape in shapes.items():
        picture[_square(column, row, rows, height, width)] = shape
    picture[_square(*STATES[state], rows, height, width)] ^= y[:, None] ** 2 + x**2 < 0.6
    return picture.astype(np.uint8)


def _square(column: int, row: int, rows: int, height: int, width: int) -> tuple[slice, slice]:
    top, left = (rows - row) * height, (column - 1) * width
    return slice(top, top + height), slice(left, left + width)


# ---------------------------------------------------------------- the table

SCREEN, SEEN, SMALL_SCREEN = 84, 4, 12  # pixels and frames of Mnih 2015, and a screen of the fewest pixels
FROZEN = 16  # states of the lake
POLE = np.array([2.4, 3.0, 0.21, 3.0], np.float32)  # position, speed, angle in radians, its speed


def _cart_pole() -> gymnasium.Env:
    """Return the pole on its cart, observations divided by `POLE`: where an episode ends, and speeds like these."""
    pole = gymnasium.make("CartPole-v1", disable_env_checker=True)
    space = spaces.Box(-np.inf, np.inf, (len(POLE),), np.float32)
    return gymnasium.wrappers.TransformObservation(pole, lambda state: (state / POLE).astype(np.float32), space)


def _frozen_lake() -> gymnasium.Env:
    """Return the frozen lake of 4x4 squares, slippery, observations being one-hot states."""
    lake = gymnasium.make("FrozenLake-v1", disable_env_checker=True)
    space = spaces.Box(0, 1, (FROZEN,), np.float32)
    return gymnasium.wrappers.TransformObservation(lake, lambda state: np.eye(FROZEN, dtype=np.float32)[state], space)


@dataclass(frozen=True, kw_only=True)
class Environment:
    """An entry of the table. make: a new gymnasium.Env. discount: of rewards to come, gamma."""

    make: Callable[[], gymnasium.Env]
    discount: float


ENVIRONMENTS: Mapping[str, Environment] = {
    "grid_world": Environment(make=GridWorld, discount=1.0),
    "pixel_grid_world": Environment(make=partial(DrawnGridWorld, SCREEN, SEEN), discount=1.0),
    "small_pixel_grid_world": Environment(make=partial(DrawnGridWorld, SMALL_SCREEN, 1), discount=1.0),
    "frozen_lake": Environment(make=_frozen_lake, discount=0.99),
    "cart_pole": Environment(make=_cart_pole, discount=0.95),
}


def environment(name: str) -> Environment:
    """Return the environment that the data set `name` is of.  Raises: BadInput listing them."""
    if name not in ENVIRONMENTS:
        raise BadInput(f"no environment {name!r}; there are {', '.join(ENVIRONMENTS)}")
    return ENVIRONMENTS[name]


@dataset(input_shape=(len(STATES),), tasks=("episodic",))
def grid_world(asked: Asked) -> Dataset:
    """Return episodes of the grid world: from (1, 1) to (4, 3) and round (4, 2), a fifth of the moves going astray."""
    return _episodes("grid_world")


@dataset(input_shape=(SCREEN, SCREEN, SEEN), tasks=("episodic",))
def pixel_grid_world(asked: Asked) -> Dataset:
    """Return episodes of the grid world drawn as pixels, one frame a move, of which the last four are seen."""
    return _episodes("pixel_grid_world")


@dataset(input_shape=(SMALL_SCREEN, SMALL_SCREEN, 1), tasks=("episodic",))
def small_pixel_grid_world(asked: Asked) -> Dataset:
    """Return episodes of the grid world drawn as 12x12 pixels, of which the last frame is seen."""
    return _episodes("small_pixel_grid_world")


@dataset(input_shape=(FROZEN,), tasks=("episodic",))
def frozen_lake(asked: Asked) -> Dataset:
    """Return episodes of gymnasium's FrozenLake-v1, slippery: 1 for who comes over the ice, 0 for who falls in."""
    return _episodes("frozen_lake")


@dataset(input_shape=(4,), tasks=("episodic",))
def cart_pole(asked: Asked) -> Dataset:
    """Return episodes of gymnasium's CartPole-v1: a reward of 1 for each of up to 500 moves that the pole stands.

    Observations are divided by `POLE`.
    """
    return _episodes("cart_pole")


def _episodes(name: str) -> Dataset:
    """Return the seeds of each split's episodes as targets, and an observation out of each as samples."""
    environment, splits = ENVIRONMENTS[name].make(), {}
    for part, count in COUNTS.items():
        seeds = np.arange(count, dtype=np.int32) + SPACED * len(splits)
        seen = [_glimpse(environment, int(seed)) for seed in seeds]
        splits[part] = Split(x=np.array(seen, np.float32), y=seeds)
    actions = environment.action_space
    assert isinstance(actions, spaces.Discrete)
    return Dataset(
        name=name,
        task="episodic",
        classes=int(actions.n),
        preprocessing="observations as they are; targets are the seeds of episodes",
        source=(f"gymnasium {gymnasium.__version__}",),
        **splits,
    )


def _glimpse(environment: gymnasium.Env, seed: int) -> np.ndarray:
    """Return an observation of one who moves at random, each move held for a while, at a random time of an episode."""
    random = np.random.default_rng(seed)
    observation, _ = environment.reset(seed=seed)
    seen = [observation]
    ended = False
    while not ended:
        action = random.integers(environment.action_space.n)  # pyright: ignore[reportAttributeAccessIssue]
        for _ in range(random.integers(1, 4)):
            observation, _, terminated, truncated, _ = environment.step(action)
            seen.append(observation)
            ended = terminated or truncated
            if ended:
                break
    return seen[random.integers(len(seen))]


# ---------------------------------------------------------------- playing

Kept = Mapping[str, np.ndarray]  # what a policy remembers of each episode, (n, ...) by name
Policy = Callable[..., Any]  # observations (n, ...) -> actions (n,), or observations, kept -> actions, kept


def play(name: str, seeds: Sequence[int] | np.ndarray, policy: Policy, kept: Kept | None = None) -> np.ndarray:
    """Play an episode a seed, all in lockstep, and return the sum of rewards of each, (E,).

    The policy is asked once a move for all episodes that still run, so that a device answers a batch a call.
    kept: what it remembers as they begin, (E, ...); then it is given what it remembers of those that run, and returns
    that too.
    """
    worlds = [environment(name).make() for _ in seeds]
    observations = [world.reset(seed=int(seed))[0] for world, seed in zip(worlds, seeds, strict=True)]
    returns, running = np.zeros(len(worlds)), list(range(len(worlds)))
    while running:
        seen = np.array([observations[index] for index in running], np.float32)
        actions, kept = (policy(seen), None) if kept is None else policy(seen, kept)
        goes_on = np.zeros(len(running), bool)
        for place, (index, action) in enumerate(zip(running, actions, strict=True)):
            observations[index], reward, terminated, truncated, _ = worlds[index].step(int(action))
            returns[index] += float(reward)
            goes_on[place] = not (terminated or truncated)
        running = [index for index, on in zip(running, goes_on, strict=True) if on]
        kept = None if kept is None else {name: values[goes_on] for name, values in kept.items()}
    return returns
