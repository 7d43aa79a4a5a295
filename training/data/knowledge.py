"""Graphs of facts, (head, relation, tail): WordNet's, and those of a made-up family and of a made-up world.

A fact asks twice: who is the head where the tail is told, by its relation, and who the tail where the head is, by the
relation turned round, which has a number of its own behind the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from . import sources
from .dataset import Split
from .queries import RETRIEVALS, Queries, known_of
from .sets import Asked, dataset

WORDNET = {"train": "wn18rr/train.txt", "validation": "wn18rr/valid.txt", "test": "wn18rr/test.txt"}
Fact = tuple[str, str, str]
HELD_OUT = 0.1  # of made-up facts that may be, for validation, and as many to test


@dataset(input_shape=(2,), dtype="int32", tasks=RETRIEVALS, here=lambda: all(map(sources.find, WORDNET.values())),
         floor=0.05)  # fmt: skip
def wn18rr(asked: Asked) -> Queries:
    """Return WordNet's relations of 40,943 senses, 86,835 / 3,034 / 3,134 facts, each asked both ways.

    Source: Dettmers 2018, Convolutional 2D knowledge graph embeddings, arXiv:1707.01476.
    """
    parts = {part: [_fact(line) for line in sources.read(path).decode("ascii").splitlines()]
             for part, path in WORDNET.items()}  # fmt: skip
    return of_facts("wn18rr", parts, asked, sources.describe(list(WORDNET.values())))


def _fact(line: str) -> Fact:
    head, relation, tail = line.split("\t")
    return head, relation, tail


@dataset(input_shape=(2,), dtype="int32", tasks=RETRIEVALS, floor=0.1)
def family_tree(asked: Asked) -> Queries:
    """Return who is whose parent, spouse, sibling, grandparent, uncle or aunt in 12 made-up families that marry."""
    return of_facts("family_tree", divided(family(0).facts(), seed=1), asked, ("generated",))


@dataset(input_shape=(2,), dtype="int32", tasks=RETRIEVALS, floor=0.15)
def made_up_world(asked: Asked) -> Queries:
    """Return who lives where, befriends whom, likes which page, watches which video, and what these are about."""
    return of_facts("made_up_world", divided(world(0), seed=1, kept=("about", "shows", "lives in")), asked,
                    ("generated",))  # fmt: skip


def of_facts(name: str, parts: Mapping[str, Sequence[Fact]], asked: Asked, source: tuple[str, ...]) -> Queries:
    """Return facts as queries (2 N, 2), the row that is told and the relation, and as y (2 N,) the row that answers."""
    facts = [fact for part in parts.values() for fact in part]
    rows = _numbers(end for head, _, tail in facts for end in (head, tail))
    relations = _numbers(relation for _, relation, _ in facts)
    splits = {part: _asked(np.array([(rows[h], relations[r], rows[t]) for h, r, t in each], np.int32), len(relations))
              for part, each in parts.items()}  # fmt: skip
    return Queries(
        name=name,
        task=asked.task,
        classes=len(rows),
        labels=tuple(rows),
        sizes={"relations": 2 * len(relations)},
        further=("relation",),
        known=known_of(*((np.asarray(split.x), split.y) for split in splits.values())),
        preprocessing=f"rows and relations by name; relations {', '.join(relations)}, then each turned round",
        source=source,
        train=splits["train"],
        validation=splits["validation"],
        test=splits["test"],
    )


def _numbers(names: object) -> dict[str, int]:
    return {name: number for number, name in enumerate(sorted(set(names)))}  # pyright: ignore[reportArgumentType]


def _asked(facts: np.ndarray, relations: int) -> Split:
    """Return facts (N, 3) both ways."""
    heads, kinds, tails = facts.T
    x = np.concatenate([np.stack([tails, kinds], 1), np.stack([heads, kinds + relations], 1)])
    return Split(x=x.astype(np.int32), y=np.concatenate([heads, tails]).astype(np.int32))


def divided(facts: Sequence[Fact], *, seed: int, kept: Sequence[str] = ()) -> dict[str, list[Fact]]:
    """Return facts in three parts; those of relations in `kept`, and the first of anybody, are learned from."""
    order = np.random.default_rng(seed).permutation(len(facts))
    met: set[str] = set()
    sure, open_ = [], []
    for fact in (facts[place] for place in order):
        new = {fact[0], fact[2]} - met
        met |= new
        (sure if new or fact[1] in kept else open_).append(fact)
    count = round(HELD_OUT * len(facts))
    return {"train": sure + open_[2 * count :], "validation": open_[:count], "test": open_[count : 2 * count]}


# ---------------------------------------------------------------- a family

FAMILIES, GENERATIONS = 12, 4
SYLLABLES = [first + second for first in "bdfgklmnprstv" for second in "aeiou"]


@dataclass(frozen=True, kw_only=True)
class Family:
    """People by name: their parents, and whom they married."""

    parents: Mapping[str, tuple[str, ...]]
    spouses: Mapping[str, str]

    def facts(self) -> list[Fact]:
        """Return all facts, in the order of names: (a, "parent", b) where a is a parent of b."""
        found: list[Fact] = []
        for relation, of in RELATIONS.items():
            found += [(other, relation, name) for name in sorted(self.parents) for other in sorted(of(self, name))]
        return found

    def siblings(self, name: str) -> set[str]:
        """Return who has the same parents."""
        own = self.parents[name]
        return {other for other, theirs in self.parents.items() if own and theirs == own and other != name}


def _grandparents(family: Family, name: str) -> set[str]:
    return {grand for parent in family.parents[name] for grand in family.parents[parent]}


def _uncles(family: Family, name: str) -> set[str]:
    return {other for parent in family.parents[name] for other in family.siblings(parent)}


RELATIONS: dict[str, Callable[[Family, str], set[str]]] = {
    "parent": lambda family, name: set(family.parents[name]),
    "spouse": lambda family, name: {family.spouses[name]} if name in family.spouses else set(),
    "sibling": Family.siblings,
    "grandparent": _grandparents,
    "uncle or aunt": _uncles,
}


def family(seed: int) -> Family:
    """Return families of some generations whose children marry into other families, two or three to a couple."""
    random = np.random.default_rng(seed)
    names = iter(random.permutation([a + b for a in SYLLABLES for b in SYLLABLES]).tolist())
    parents: dict[str, tuple[str, ...]] = {}
    spouses: dict[str, str] = {}
    couples = [(next(names), next(names)) for _ in range(FAMILIES)]
    parents.update({name: () for couple in couples for name in couple})
    for generation in range(GENERATIONS):
        spouses |= {a: b for couple in couples for a, b in (couple, couple[::-1])}
        if generation == GENERATIONS - 1:
            break
        children: list[list[str]] = []
        for couple in couples:
            children.append([next(names) for _ in range(random.integers(2, 4))])
            parents.update(dict.fromkeys(children[-1], couple))
        couples = [(children[k][0], children[(k + 1 + generation) % len(children)][1]) for k in range(len(children))]
    return Family(parents=parents, spouses=spouses)


# ---------------------------------------------------------------- a world

USERS, PAGES, TAGS, COUNTRIES = 160, 60, 12, 4  # and as many videos as pages
EACH = 7  # pages that a user likes, and videos that are watched


def world(seed: int) -> list[Fact]:
    """Return facts of users with two interests each: what they like, watch and whom they know goes by these."""
    random = np.random.default_rng(seed)
    interests = [random.permutation(TAGS)[:2] for _ in range(USERS)]
    homes = random.integers(0, COUNTRIES, USERS)
    facts: set[Fact] = set()
    for kind, of, verb in (("page", "about", "likes"), ("video", "shows", "watches")):
        about = np.arange(PAGES) % TAGS
        facts |= {(f"{kind} {k}", of, f"tag {about[k]}") for k in range(PAGES)}
        for user in range(USERS):
            liked = np.where(np.isin(about, interests[user]), 8.0, 0.2) / (1 + np.arange(PAGES) // TAGS)
            chosen = random.choice(PAGES, EACH, replace=False, p=liked / liked.sum())
            facts |= {(f"user {user}", verb, f"{kind} {k}") for k in chosen}
    for user in range(USERS):
        facts.add((f"user {user}", "lives in", f"country {homes[user]}"))
        near = np.array([len(np.intersect1d(interests[user], each)) for each in interests]) + (homes == homes[user])
        near[user] = 0
        shares = np.exp(2.0 * near)
        shares[user] = 0
        for other in random.choice(USERS, 4, replace=False, p=shares / shares.sum()):
            facts.add((f"user {user}", "knows", f"user {other}"))
    return sorted(facts)
