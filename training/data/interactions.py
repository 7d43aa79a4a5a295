"""Samples of which the answer is a row of a table: posts and their tags, users and pages, what is watched next.

Made up by seed, but for `rt_polarity_tags`. Ids from 1 on, 0 fills up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...errors import BadInput
from .dataset import Split
from .knowledge import Fact, family
from .queries import RETRIEVALS, Queries, known_of
from .sets import Asked, dataset, source
from .tokens import encode
from .tokens import vocabulary as numbered

SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}


@dataset(input_shape=(64,), dtype="int32", tasks=RETRIEVALS, here=lambda: source("rt_polarity").here(),
         floor=0.75)  # fmt: skip
def rt_polarity_tags(asked: Asked) -> Queries:
    """Return sentences of reviews, their verdict being the tag: 8,530 / 1,066 / 1,066 (Pang and Lee 2005)."""
    entry = source("rt_polarity")
    told = Asked(input_shape=asked.input_shape, dtype="int32", task="classification", vocabulary=asked.vocabulary)
    reviews = entry.load(told)
    return Queries(
        name="rt_polarity_tags",
        task=asked.task,
        classes=reviews.classes,
        labels=reviews.labels,
        vocabulary=reviews.vocabulary,
        signs=(),
        preprocessing=reviews.preprocessing,
        source=reviews.source,
        train=reviews.train,
        validation=reviews.validation,
        test=reviews.test,
    )


TOPICS, TOPIC_WORDS, FILLERS = 24, 12, 120
POSTS = 3200


@dataset(input_shape=(16,), dtype="int32", tasks=RETRIEVALS, floor=0.5)
def made_up_posts(asked: Asked) -> Queries:
    """Return posts of 8 to 16 words, and one of the two tags of their topic; some topics are far more common."""
    random = np.random.default_rng(0)
    (length,) = asked.input_shape
    common = _falling(TOPICS)
    posts, y = [], np.zeros(POSTS, np.int32)
    for post in range(POSTS):
        topic = random.choice(TOPICS, p=common)
        own = random.random(random.integers(8, 17)) < 0.35
        words = np.where(own, FILLERS + topic * TOPIC_WORDS + random.integers(0, TOPIC_WORDS, len(own)),
                         random.choice(FILLERS, len(own), p=_falling(FILLERS)))  # fmt: skip
        posts.append([f"w{word}" for word in words])
        y[post] = 2 * topic + (random.random() < 0.3)
    splits = _parts(POSTS)
    ids = numbered([posts[k] for k in splits["train"]], asked.vocabulary or 8000)
    x = encode(posts, ids, length)
    return _queries(asked, "made_up_posts", Split(x=x, y=y), splits, classes=2 * TOPICS, vocabulary=len(ids) + 2)


GROUPS, GROUP_PAGES = 10, 20
READERS, GIVEN, ASKED = 1500, 8, 3


@dataset(input_shape=(GIVEN,), dtype="int32", tasks=RETRIEVALS, floor=0.1)
def liked_pages(asked: Asked) -> Queries:
    """Return eight pages that a user likes, as ids from 1 on, and three more, a sample each; users have two interests.

    Some pages are far more common. A page that was given is no answer.
    """
    random, pages = np.random.default_rng(0), GROUPS * GROUP_PAGES
    if asked.input_shape != (GIVEN,):
        raise BadInput(f"data set 'liked_pages' has {GIVEN} pages of a user, asked is {asked.input_shape}")
    common = np.tile(_falling(GROUP_PAGES), GROUPS)
    group = np.repeat(np.arange(GROUPS), GROUP_PAGES)
    x, y = np.zeros((READERS * ASKED, GIVEN), np.int32), np.zeros(READERS * ASKED, np.int32)
    for reader in range(READERS):
        liking = common * np.where(np.isin(group, random.permutation(GROUPS)[:2]), 1.0, 0.02)
        chosen = random.choice(pages, GIVEN + ASKED, replace=False, p=liking / liking.sum())
        own = slice(reader * ASKED, (reader + 1) * ASKED)
        x[own], y[own] = 1 + np.sort(chosen[:GIVEN]), chosen[GIVEN:]
    splits = {part: np.concatenate([ASKED * each + k for k in range(ASKED)]) for part, each in _parts(READERS).items()}
    given = [(x, column - 1) for column in x.T]
    return _queries(asked, "liked_pages", Split(x=x, y=y), splits, given, classes=pages, vocabulary=pages + 1)


SERIES, EPISODES, LANDS = 30, 6, 4
SESSIONS = 3600


@dataset(input_shape=(6,), dtype="int32", tasks=RETRIEVALS, floor=0.4)
def watched_videos(asked: Asked) -> Queries:
    """Return country, age, hour and the last three videos of a session (ids from 1 on), and the video behind them.

    A session goes on with the next episode, or with a series that suits country, age and hour.
    """
    random, videos = np.random.default_rng(0), SERIES * EPISODES
    kinds = (np.arange(LANDS), (20, 40, 60), (8, 20))
    lands, ages, hours = (random.permutation(np.resize(each, SERIES)) for each in kinds)
    x, y = np.zeros((SESSIONS, 6), np.int32), np.zeros(SESSIONS, np.int32)
    for session in range(SESSIONS):
        land, age, hour = random.integers(LANDS), random.integers(12, 75), random.integers(24)
        suits = np.exp(2.0 * (lands == land) - abs(ages - age) / 10 - (abs(hours - hour) > 6)) * _falling(SERIES)
        seen: list[int] = []
        while len(seen) < 4:
            follows = seen and seen[-1] % EPISODES < EPISODES - 1 and random.random() < 0.7
            fresh = EPISODES * random.choice(SERIES, p=suits / suits.sum())
            seen.append(seen[-1] + 1 if follows else int(fresh))
        x[session], y[session] = [land, age, hour, *(1 + video for video in seen[:3])], seen[3]
    return _queries(asked, "watched_videos", Split(x=x, y=y), _apart(x), classes=videos)


QUESTIONS = {
    "parent": ("who is a parent of {}", "name the mother or father of {}", "whose child is {}"),
    "spouse": ("who is married to {}", "name the husband or wife of {}", "whom did {} marry"),
    "sibling": ("who is a brother or sister of {}", "name a sibling of {}", "who grew up with {}"),
    "grandparent": ("who is a grandparent of {}", "name a grandmother or grandfather of {}", "whose grandchild is {}"),
    "uncle or aunt": (
        "who is an uncle or aunt of {}",
        "name a brother or sister of a parent of {}",
        "whose nephew or niece is {}",
    ),
}


@dataset(input_shape=(12,), dtype="int32", tasks=RETRIEVALS, floor=0.3)
def family_questions(asked: Asked) -> Queries:
    """Return questions about the people of `family_tree` in words, and who is the answer.

    Each fact is asked in three ways, of which those that are judged by were not learned from; a way is met of others.
    """
    facts = family(0).facts()
    (length,) = asked.input_shape
    asking: list[Fact] = [(head, relation, QUESTIONS[relation][way].format(tail))
                          for head, relation, tail in facts for way in range(3)]  # fmt: skip
    people = sorted({name for head, _, tail in facts for name in (head, tail)})
    rows = {name: row for row, name in enumerate(people)}
    words = [text.split() for _, _, text in asking]
    ids = numbered(words, asked.vocabulary or 8000)
    x, y = encode(words, ids, length), np.array([rows[head] for head, _, _ in asking], np.int32)
    return _queries(asked, "family_questions", Split(x=x, y=y), _apart(x), classes=len(people), vocabulary=len(ids) + 2)


def _falling(count: int) -> np.ndarray:
    """Return shares that fall as 1 / place."""
    shares = 1 / np.arange(1, count + 1)
    return shares / shares.sum()


def _parts(count: int) -> dict[str, np.ndarray]:
    """Return indices of the three parts of `count` samples, drawn by a seed."""
    order = np.random.default_rng(1).permutation(count)
    ends = [round(end * count) for end in np.cumsum(list(SHARES.values()))]
    return dict(zip(SHARES, np.split(order, ends[:-1]), strict=True))


def _apart(x: np.ndarray) -> dict[str, np.ndarray]:
    """Return indices of the three parts of queries (N, columns): all answers to one are of one part."""
    queries, query = np.unique(x, axis=0, return_inverse=True)
    return {part: np.flatnonzero(np.isin(query.ravel(), chosen)) for part, chosen in _parts(len(queries)).items()}


def _queries(
    asked: Asked, name: str, samples: Split, parts: Mapping[str, np.ndarray],
    more: Sequence[tuple[np.ndarray, np.ndarray]] = (), *, classes: int, vocabulary: int = 0
) -> Queries:  # fmt: skip
    """Return samples as queries, in parts. more: queries and rows that do not count."""
    return Queries(
        name=name,
        task=asked.task,
        classes=classes,
        vocabulary=vocabulary,
        signs=(),
        known=known_of((np.asarray(samples.x), samples.y), *more),
        source=("generated",),
        train=samples.take(parts["train"]),
        validation=samples.take(parts["validation"]),
        test=samples.take(parts["test"]),
    )
