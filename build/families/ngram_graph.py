"""N-gram models with backoff as an ONNX graph of our own: the log-probabilities of all tokens of a text at once.

With h the words before w, a model has either a log-probability of hw, or that of w after h without its first word,
plus the weight of backing off from h, which is 0 where h is not known (Katz 1987). The graph goes through the orders
from 1 up. For every token it finds the place of the n-gram that ends there in the table of its order, from the place
of the n-gram that ends one token before in the table of the order below, and the token itself. Those two make one
number, so a key is exact: no n-gram is ever taken for another, stored or not.

A table is sorted by its hashed keys, and `starts` says where each bucket begins. The hash is a product with an odd
number modulo a power of two, which is a bijection (Knuth, The Art of Computer Programming, 6.4): its high bits are the
bucket, and its low bits alone, the `rests`, tell the keys of a bucket apart. Nothing behind a bucket's end counts.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from build.errors import ExportFailed
from build.graph.edit import add_constant, constants, prune, replace_node
from build.graph.file import MOST_BYTES
from build.sources.arpa.parser import END, START, UNKNOWN, Ngrams, Order

OPSET = 18
# Entries of a bucket on average, where the rests need no more bits for it than numbers of 16.
LOAD, SMALL_BITS = 4, 16
# Of so many multipliers the one whose fullest bucket is the least full is taken.
TRIES, SEED = 8, 0
# A product of a key and a multiplier stays below 2**63.
MOST_BITS, MULTIPLIER_BITS = 52, 31
NATS = np.log(10)
# How many values a byte tells apart; how often the length of an interval is halved until it is found.
CODES, HALVINGS = 256, 40
SCORE, WEIGHT = "score_", "weight_"
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One order's n-grams by their hashed keys; `order` is where each stood before, `slots` the most in one bucket."""

    multiplier: int
    bits: int
    rest_bits: int
    slots: int
    starts: NDArray[np.int32]
    rests: NDArray[Any]
    order: Integers


def hashed(keys: Integers, most: int) -> Table:
    """The table of those keys, all of them below `most`; raises ExportFailed where they are too large."""
    bits = max(int(most - 1).bit_length(), 1)
    if bits > MOST_BITS:
        raise ExportFailed("the model has too many words and n-grams for one table; prune it")
    rest_bits = _rest_bits(len(keys), bits)
    random = np.random.default_rng(SEED)
    width = min(62 - bits, MULTIPLIER_BITS)
    found: tuple[int, int] | None = None
    for _ in range(TRIES):
        multiplier = int(random.integers(1 << (width - 1), 1 << width)) | 1
        counts = np.bincount((keys * multiplier % (1 << bits)) >> rest_bits)
        slots = int(counts.max(initial=1))
        found = min(found or (slots, multiplier), (slots, multiplier))
    assert found
    slots, multiplier = found
    hashes = keys * multiplier % (1 << bits)
    order = np.argsort(hashes, kind="stable")
    buckets = 1 << (bits - rest_bits)
    starts = np.searchsorted(hashes[order], np.arange(buckets + 1) << rest_bits)
    kind: Any = np.uint16 if rest_bits <= SMALL_BITS else np.int32 if rest_bits < 32 else np.int64
    rests = np.zeros(len(keys) + slots, kind)  # a bucket at the end is looked at beyond it
    rests[: len(keys)] = hashes[order] & ((1 << rest_bits) - 1)
    return Table(
        multiplier=multiplier,
        bits=bits,
        rest_bits=rest_bits,
        slots=slots,
        starts=starts.astype(np.int32),
        rests=rests,
        order=order,
    )


def _rest_bits(count: int, bits: int) -> int:
    """As many as leave LOAD entries in a bucket; SMALL_BITS where that leaves one of them at least."""
    wanted = bits - max(count // LOAD, 1).bit_length() + 1
    fits = SMALL_BITS < wanted and count >> (bits - SMALL_BITS) >= 1
    return min(SMALL_BITS, bits) if fits else max(wanted, 0)


def graph_of(model: Ngrams) -> Any:
    """The ONNX model: `input_ids` [1, tokens] -> `log_probabilities` [1, tokens - 1], in nats."""
    graph = _Graph()
    words = len(model.words)
    graph.constant("one", np.array([1], np.int64))
    graph.constant("words", np.array(words, np.int64))
    graph.add("Reshape", ["input_ids", graph.constant("flat", np.array([-1], np.int64))], "tokens")
    place, missing = "tokens", words
    score, weight = graph.values(1, model.orders[0], place)
    moved = np.arange(words, dtype=np.int64)
    for n, order in enumerate(model.orders[1:], start=2):
        keys = moved[order.keys // words] * words + order.keys % words
        table = hashed(keys, (missing + 1) * words)
        moved = np.empty(len(keys), np.int64)
        moved[table.order] = np.arange(len(keys))
        before = graph.before(place, missing, n)
        key = graph.add("Add", [graph.add("Mul", [before, "words"]), "tokens"])
        place, missing = graph.look_up(n, table, key), len(keys)
        known = graph.add("Less", [place, graph.constant(f"count_{n}", np.array(missing))])
        backed = graph.add("Add", [graph.before(weight, 0.0, n), score])
        own, weight = graph.values(n, _sorted(order, table.order), place)
        score = graph.add("Where", [known, own, backed])
    return graph.finish(score)


def _sorted(order: Order, by: Integers) -> Order:
    return Order(keys=order.keys[by], log10=order.log10[by], backoff=order.backoff[by])


class _Graph:
    """Nodes and constants while they are put together."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, NDArray[Any]] = {}

    def constant(self, name: str, array: NDArray[Any]) -> str:
        self.constants[name] = array
        return name

    def add(self, operator: str, inputs: list[str], name: str = "", **attributes: Any) -> str:
        name = name or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def before(self, name: str, first: float, n: int) -> str:
        """For each token what was found for the one before it, and `first` for the first."""
        kind = np.int64 if isinstance(first, int) else np.float32
        zero = self.constant("zero", np.array([0], np.int64))
        last = self.constant("last", np.array([-1], np.int64))
        nothing = self.constant(f"{name}_nothing", np.array([first], kind))
        return self.add("Concat", [nothing, self.add("Slice", [name, zero, last])], axis=0)

    def look_up(self, n: int, table: Table, key: str) -> str:
        """The place of each key in the table; the number of its entries where it is not there."""
        number = {
            "multiplier": table.multiplier,
            "modulus": 1 << table.bits,
            "rest": 1 << table.rest_bits,
            "count": len(table.order),
        }
        names = {k: self.constant(f"{k}_{n}", np.array(v, np.int64)) for k, v in number.items()}
        starts = self.constant(f"starts_{n}", table.starts)
        rests = self.constant(f"rests_{n}", table.rests)
        slots = self.constant(f"slots_{n}", np.arange(table.slots, dtype=np.int64))
        product = self.add("Mul", [key, names["multiplier"]])
        hashes = self.add("Mod", [product, names["modulus"]])
        bucket = self.add("Div", [hashes, names["rest"]])
        rest = self.add("Unsqueeze", [self.add("Mod", [hashes, names["rest"]]), "one"])
        start = self._row(starts, bucket)
        end = self._row(starts, self.add("Add", [bucket, "one"]))
        places = self.add("Add", [start, slots])
        kept = self.add("Cast", [self.add("Gather", [rests, places])], to=TensorProto.INT64)
        same = self.add("Equal", [kept, rest])
        inside = self.add("Less", [places, end])
        hit = self.add("And", [same, inside])
        found = self.add("Where", [hit, places, names["count"]])
        return self.add("ReduceMin", [found, "one"], keepdims=0)

    def _row(self, table: str, places: str) -> str:
        """What the table has there, one row for each."""
        found = self.add("Cast", [self.add("Gather", [table, places])], to=TensorProto.INT64)
        return self.add("Unsqueeze", [found, "one"])

    def values(self, n: int, order: Order, place: str) -> tuple[str, str]:
        """Log-probability and weight of backing off, in nats, of what stands at the places; 0 where nothing does."""
        return self._value(f"{SCORE}{n}", order.log10, place), self._value(
            f"{WEIGHT}{n}", order.backoff, place
        )

    def _value(self, name: str, log10: NDArray[np.float64], place: str) -> str:
        nats = np.append(log10, 0.0) * NATS  # the last place stands for what is not there
        return self.add("Gather", [self.constant(name, nats.astype(np.float32)), place])

    def finish(self, score: str) -> Any:
        """The model, which answers for every token but the first; raises ExportFailed where it is too large."""
        size = sum(array.nbytes for array in self.constants.values())
        if size > MOST_BYTES:
            raise ExportFailed(
                f"its tables take {size / 1e9:.1f} GB, and one ONNX file holds 2 GB; prune the model"
            )
        after = self.constant("after", np.array([(1 << 63) - 1], np.int64))
        scored = self.add("Slice", [score, "one", after])
        self.add("Unsqueeze", [scored, self.constant("zero", np.array([0]))], "log_probabilities")
        shape = [("input_ids", TensorProto.INT64, ["batch", "tokens"])]
        graph = helper.make_graph(
            self.nodes,
            "ngrams",
            [helper.make_tensor_value_info(*each) for each in shape],
            [helper.make_tensor_value_info("log_probabilities", TensorProto.FLOAT, [1, "scored"])],
            [numpy_helper.from_array(array, name) for name, array in self.constants.items()],
        )
        opsets = [helper.make_opsetid("", OPSET)]
        prune(graph)  # the weights of the highest order
        return helper.make_model(
            graph, opset_imports=opsets, ir_version=10, producer_name="turnout"
        )


def in_codes(graph: Any) -> None:
    """Put the values of such a graph into bytes, in place: codes for 256 values in each order."""
    for node in [n for n in graph.node if n.input[0].startswith((SCORE, WEIGHT))]:
        table = constants(graph)[node.input[0]]
        book, codes = coded(numpy_helper.to_array(table))
        name, (values, place) = node.output[0], node.input
        inputs = [add_constant(graph, f"{values}_codes", codes), place]
        nodes = [
            helper.make_node("Gather", inputs, [f"{name}_byte"]),
            helper.make_node("Cast", [f"{name}_byte"], [f"{name}_code"], to=TensorProto.INT32),
            helper.make_node(
                "Gather", [add_constant(graph, f"{values}_book", book), f"{name}_code"], [name]
            ),
        ]
        replace_node(graph, node, nodes)
    prune(graph)


def coded(values: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """256 values and which of them stands for each: the values themselves where they are so few.

    Otherwise they are 0, which most weights are, and the means within 255 intervals, the shortest of equal length that
    cover all others. So no value is far from its own, however rare it is; parts of equal size, as KenLM has them,
    would put the probability of words that are not known among those of rare words.
    """
    different = np.unique(values)
    if len(different) > CODES:
        ordered = np.sort(values[values != 0]).astype(np.float64)
        ends = _cover(np.unique(ordered), CODES - 1)
        parts = np.split(ordered, np.searchsorted(ordered, ends[1:]))
        different = np.unique(np.append([part.mean() for part in parts], 0.0))
    middles = (different[1:] + different[:-1]) / 2
    codes = np.searchsorted(middles, values, side="right")
    return different.astype(np.float32), codes.astype(np.uint8)


def _cover(ordered: NDArray[np.float64], most: int) -> list[float]:
    """Where the fewest intervals of the shortest length begin that cover the values with no more than `most`."""
    low, high = 0.0, float(ordered[-1] - ordered[0]) / most
    found = _begins(ordered, high)
    for _ in range(HALVINGS):
        length = (low + high) / 2
        begins = _begins(ordered, length)
        if len(begins) <= most:
            high, found = length, begins
        else:
            low = length
    return found


def _begins(ordered: NDArray[np.float64], length: float) -> list[float]:
    begins, place = [], 0
    while place < len(ordered):
        begins.append(float(ordered[place]))
        place = int(np.searchsorted(ordered, ordered[place] + length, side="right"))
    return begins


def tokenizer_of(words: tuple[str, ...]) -> Any:
    """What makes of a text the model's words, split at blanks as ARPA tools do, between the marks of start and end."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    numbers = {word: i for i, word in enumerate(words)}
    unknown = next(name for name in UNKNOWN if name in numbers)
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token=unknown))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}", special_tokens=[(mark, numbers[mark]) for mark in (START, END)]
    )
    return tokenizer
