"""The division of texts into batches: which of them run in one forward pass."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tokenizers import Encoding

from functions.inference.batching.side_by_side import shared_first
from functions.inference.token_batches import BATCH_TOKENS

# What a forward pass costs besides its tokens, in tokens: 3.7 ms where a token takes 0.33 ms (BERT-base in full
# precision, AMD EPYC, 2026-11-26). A GPU's pass costs more of its tokens, which the container measures at its start.
PASS_TOKENS = 12
# A batch is divided for the sake of other cores down to so many times what a pass costs, 6 % of it then.
PASSES = 16
# Even batches are sought to this share of their cost.
EVEN = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """The costs of a forward pass, in tokens: `run` besides its tokens, and `padded` of each place of padding."""

    run: float = PASS_TOKENS
    padded: float = 1.0

    def of(self, texts: int, tokens: int, longest: int) -> float:
        """Return the cost of a batch of texts that have so many tokens together."""
        return self.run + tokens + self.padding(texts, tokens, longest)

    def padding(self, texts: int, tokens: int, longest: int) -> float:
        """Return the part of it that padding costs."""
        return self.padded * (texts * longest - tokens)

    def of_batch(self, batch: Sequence[int], lengths: Sequence[int]) -> float:
        """Return the cost of the batch of those texts."""
        own = [lengths[i] for i in batch]
        return self.of(len(own), sum(own), max(own))


COSTS = Costs()


def batches(
    encodings: Sequence[Encoding], *, together: bool, costs: Costs = COSTS, cores: int = 1
) -> list[list[int]]:
    """Return the indices of the texts of each batch.

    Dynamic quantization takes the range of activations over the whole batch, so an answer would depend on its
    neighbours: such models run text by text (`together` is false). Others run in batches of similar lengths, whose
    padding costs no more than a pass of its own would. Where so many `cores` may each run one, those are divided
    further, or others of even cost take their place, whichever takes the cores less time.
    """
    if not together:
        return [[i] for i in range(len(encodings))]
    lengths = [len(encoding) for encoding in encodings]
    # Sorted by length, so the text that is added is the longest of its batch, to which the others are padded.
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    found = _of_like_lengths(order, lengths, BATCH_TOKENS // cores, costs)
    if cores == 1:
        return found
    ways = [list(_shared_out(found, lengths, cores, costs))]
    if len(order) > 1:
        ways.append(_of_like_costs(order, lengths, cores, costs))
    return min(ways, key=lambda way: _takes(way, lengths, cores, costs))


# Whether a batch with one text more would be too large, by its texts, their tokens and the longest of them.
Full = Callable[[int, int, int], bool]


def _filled(order: Sequence[int], lengths: Sequence[int], full: Full) -> list[list[int]]:
    """Return batches that are filled one after the other."""
    found: list[list[int]] = []
    batch: list[int] = []
    tokens = 0
    for i in order:
        tokens += lengths[i]
        if batch and full(len(batch) + 1, tokens, lengths[i]):
            found.append(batch)
            batch, tokens = [], lengths[i]
        batch.append(i)
    return [*found, batch] if batch else found


def _of_like_lengths(
    order: Sequence[int], lengths: Sequence[int], most_tokens: int, costs: Costs
) -> list[list[int]]:
    """Return batches whose padding costs no more than a pass.

    On the lengths of five data sets the padding and the passes cost 0 to 2.4 % more than in the best batches of all,
    which dynamic programming finds.
    """

    def full(texts: int, tokens: int, longest: int) -> bool:
        return texts * longest > most_tokens or costs.padding(texts, tokens, longest) > costs.run

    return _filled(order, lengths, full)


def _of_like_costs(
    order: Sequence[int], lengths: Sequence[int], cores: int, costs: Costs
) -> list[list[int]]:
    """Return batches of which each core gets as many, as few as memory allows and of nearly the same cost."""
    most_tokens = BATCH_TOKENS // cores

    def filled(most: float) -> list[list[int]]:
        return _filled(
            order,
            lengths,
            lambda texts, tokens, longest: (
                texts * longest > most_tokens or costs.of(texts, tokens, longest) > most
            ),
        )

    high = costs.of_batch(order, lengths)
    found = filled(high)
    count = cores * math.ceil(len(found) / cores)
    low = sum(lengths) / count
    # Each turn halves what the cost of the dearest batch may still lie between.
    while high - low > EVEN * high:
        middle = (low + high) / 2
        tried = filled(middle)
        if len(tried) <= count:
            found, high = tried, middle
        else:
            low = middle
    return found


def _shared_out(
    found: Sequence[list[int]], lengths: Sequence[int], cores: int, costs: Costs
) -> Iterator[list[int]]:
    """Yield the batches, the large ones in equal parts: two for each core if a part is worth its pass."""
    sizes = [costs.of_batch(batch, lengths) - costs.run for batch in found]
    # A text may have no tokens, and a pass may cost none.
    most = max(sum(sizes) / (2 * cores), PASSES * costs.run, 1)
    for batch, size in zip(found, sizes, strict=True):
        step = math.ceil(len(batch) / max(math.ceil(size / most), 1))
        yield from (batch[i : i + step] for i in range(0, len(batch), step))


def _takes(way: Sequence[Sequence[int]], lengths: Sequence[int], cores: int, costs: Costs) -> float:
    """Return how long the cores take for the batches, in tokens of all of them."""
    each = sorted((costs.of_batch(batch, lengths) for batch in way), reverse=True)
    _, saved = shared_first(each, cores)
    return sum(each) * (1 - saved)
