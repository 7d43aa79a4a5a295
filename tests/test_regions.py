"""The cheapest regions in float: by hand, and against every assignment of small graphs."""

from itertools import chain, combinations

import numpy as np
import pytest
from edgewright.pipeline.regions import Border, cheapest, converted, cost


def chain_of(us: float, count: int = 3) -> list[Border]:
    """Return the tensors of operators in a row, from the caller and back to it."""
    return [
        Border(maker=number - 1 if number else None, readers=(number if number < count else None,), us=us)
        for number in range(count + 1)
    ]


@pytest.mark.parametrize(
    ("gains", "border_us", "floats"),
    [
        ([-5, 3, -5], 1.0, {1}),  # saves 3, two conversions cost 2
        ([-5, 3, -5], 2.0, set()),  # saves 3, costs 4
        ([3, -5, -5], 2.0, {0}),  # at the rim the conversion is there anyway: it moves
        ([3, -1, 3], 2.0, {0, 1, 2}),  # in float throughout no conversion is left
        ([-1, -1, -1], 2.0, {0, 1, 2}),  # 8 bits save 3 and cost 4 at the ends
        ([-1, -1, -2], 2.0, set()),  # 8 bits save 4 and cost 4: alike, and fewest floats are taken
    ],
)
def test_regions_of_a_chain_by_hand(gains, border_us, floats):
    assert cheapest(gains, chain_of(border_us)) == floats


def test_a_tensor_is_converted_once_for_all_that_read_it():
    """One maker in 8 bits, three readers that gain 1 each in float, one conversion of 2: worth it together."""
    borders = [Border(maker=0, readers=(1, 2, 3), us=2.0)]
    assert cheapest([-10, 1, 1, 1], borders) == {1, 2, 3}
    assert cost([-10, 1, 1, 1], borders, {1, 2, 3}) == -1 and cost([-10, 1, 1, 1], borders, {1}) == 1
    assert len(list(converted(borders, {1, 2}))) == 1


def test_what_is_fixed_stays_float_and_what_is_tied_goes_together():
    assert cheapest([-5, -5, -5], chain_of(0.1), fixed=[1]) == {1}
    assert cheapest([-5, 3, -5], chain_of(0.1), tied=[(0, 1)]) == set()
    assert cheapest([-5, 3, -1], chain_of(0.1), tied=[(1, 2)]) == {1, 2}


@pytest.mark.parametrize("seed", range(60))
def test_no_assignment_of_a_small_graph_is_cheaper(seed):
    random = np.random.default_rng(seed)
    count = int(random.integers(1, 10))
    gains = random.normal(size=count).round(2).tolist()
    borders = []
    for maker in [None, *range(count)]:
        later = [one for one in range(count) if maker is None or one > maker] + [None]
        readers = tuple(later[place] for place in random.choice(len(later), random.integers(1, len(later) + 1), False))
        borders.append(Border(maker=maker, readers=readers, us=float(random.uniform(0, 1.5).__round__(2))))
    fixed = [one for one in range(count) if random.random() < 0.1]
    tied = [(0, count - 1)] if random.random() < 0.3 else []

    def allowed(choice):
        return set(fixed) <= choice and all((a in choice) == (b in choice) for a, b in tied)

    every = map(set, chain.from_iterable(combinations(range(count), size) for size in range(count + 1)))
    best = min(cost(gains, borders, choice) for choice in every if allowed(choice))
    found = cheapest(gains, borders, fixed=fixed, tied=tied)
    assert allowed(found) and cost(gains, borders, found) == pytest.approx(best, abs=1e-6)


def test_a_graph_of_hundreds_of_operators_is_cut_at_once():
    random = np.random.default_rng(0)
    gains = random.normal(size=1000).tolist()
    found = cheapest(gains, chain_of(0.3, 1000))
    assert cost(gains, chain_of(0.3, 1000), found) < min(0.0, cost(gains, chain_of(0.3, 1000), range(1000)))
