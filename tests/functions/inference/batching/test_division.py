"""Texts are divided into batches with little padding, and evenly among cores."""

import itertools
import random
from typing import Any

import pytest

from functions.inference.batching.division import COSTS, Costs, batches
from functions.inference.batching.side_by_side import shared_first
from functions.inference.token_batches import BATCH_TOKENS

# Of a graph whose layers leave padding out.
CHEAP = Costs(padded=0.1)
# Of what the best batches of few texts take, where a pass costs as much as a text.
LIMIT = 1.25


def of(lengths: list[int]) -> Any:
    """Return texts of so many tokens, of which nothing but their length is read."""
    return [range(length) for length in lengths]


def drawn(seed: int, count: int, kinds: tuple[int, ...] = (6, 12, 40, 250)) -> list[int]:
    chance = random.Random(seed)
    return [chance.choice(kinds) + chance.randint(0, 9) for _ in range(count)]


def costs_of(lengths: list[int], found: list[list[int]], costs: Costs = COSTS) -> list[float]:
    return [costs.of_batch(batch, lengths) for batch in found]


def takes(lengths: list[int], found: list[list[int]], cores: int, costs: Costs) -> float:
    """Return how long so many cores take, in tokens of all of them."""
    each = sorted(costs_of(lengths, found, costs), reverse=True)
    return sum(each) * (1 - shared_first(each, cores)[1])


def test_a_text_is_padded_as_long_as_that_costs_less_than_a_pass_of_its_own() -> None:
    lengths = [9, 3, 40, 3, 4, 10]

    def packed(costs: Costs) -> list[list[int]]:
        found = batches(of(lengths), together=True, costs=costs)
        return [[lengths[i] for i in batch] for batch in found]

    assert packed(Costs(run=0)) == [[3, 3], [4], [9], [10], [40]]
    assert packed(Costs(run=2)) == [[3, 3, 4], [9, 10], [40]]
    assert packed(Costs(run=1000)) == [[3, 3, 4, 9, 10, 40]]
    # Of padding, 21 places and 171 with the longest.
    assert packed(Costs(run=2, padded=0.09)) == [[3, 3, 4, 9, 10], [40]]
    assert packed(Costs(run=2, padded=0.01)) == [[3, 3, 4, 9, 10, 40]]


def test_a_batch_costs_its_pass_its_tokens_and_its_padding() -> None:
    assert Costs(run=5, padded=0.5).of_batch([0, 2], [10, 99, 4]) == 5 + 14 + 3


@pytest.mark.parametrize("lengths", [[0], [0, 50], [0, 0, 0]])
def test_texts_without_tokens_are_batched_for_several_cores_as_well(lengths: list[int]) -> None:
    found = batches(of(lengths), together=True, costs=Costs(run=0), cores=2)
    assert sorted(itertools.chain.from_iterable(found)) == list(range(len(lengths)))


@pytest.mark.parametrize("costs", [COSTS, CHEAP], ids=["padded", "left out"])
@pytest.mark.parametrize("seed", range(10))
def test_batches_for_several_cores_keep_them_busy(seed: int, costs: Costs) -> None:
    lengths = drawn(seed, 300)
    for cores in (1, 2, 6):
        found = batches(of(lengths), together=True, costs=costs, cores=cores)
        assert sorted(itertools.chain(*found)) == list(range(300))
        assert all(
            len(batch) * max(lengths[i] for i in batch) <= BATCH_TOKENS / cores for batch in found
        )
        each = costs_of(lengths, found, costs)
        fewest = sum(costs_of(lengths, batches(of(lengths), together=True, costs=costs), costs))
        first, _ = shared_first(sorted(each, reverse=True), cores)
        if cores > 1:
            assert first < cores
            # Smaller batches cost more passes, and no more than a twelfth.
            assert sum(each) <= fewest * 13 / 12


@pytest.mark.parametrize("costs", [COSTS, CHEAP], ids=["padded", "left out"])
@pytest.mark.parametrize("cores", [2, 3])
@pytest.mark.parametrize("seed", range(15))
def test_few_texts_take_hardly_longer_than_in_the_best_batches(
    seed: int, cores: int, costs: Costs
) -> None:
    lengths = drawn(seed, 9)
    order = sorted(range(9), key=lengths.__getitem__)
    # Every way to cut the sorted texts into batches.
    cuts = itertools.chain.from_iterable(
        itertools.combinations(range(1, 9), count) for count in range(9)
    )
    ways = [[order[a:b] for a, b in itertools.pairwise((0, *cut, 9))] for cut in cuts]
    best = min(takes(lengths, way, cores, costs) for way in ways)
    found = batches(of(lengths), together=True, costs=costs, cores=cores)
    assert takes(lengths, found, cores, costs) <= LIMIT * best


def test_two_cores_get_batches_of_about_equal_cost() -> None:
    lengths = drawn(3, 16, (8, 12))
    found = batches(of(lengths), together=True, costs=CHEAP, cores=2)
    one, other = costs_of(lengths, found, CHEAP)
    assert abs(one - other) <= max(lengths)


def test_a_small_batch_is_not_divided() -> None:
    assert batches(of([4] * 4), together=True, cores=2) == [[0, 1, 2, 3]]


def test_texts_that_may_not_run_together_do_not() -> None:
    assert batches(of([5, 5]), together=False, cores=2) == [[0], [1]]
