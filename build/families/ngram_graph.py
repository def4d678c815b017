"""N-gram models with backoff as an ONNX graph: the log-probabilities of all tokens of a text in one run.

With h the words before w, the log-probability of w is that of the n-gram hw if the model has it; otherwise that of w
after h without its first word, plus the backoff weight of h, which is 0 if h is unknown (Katz 1987). The graph goes
through the orders from 1 up. For every token it finds the place of the n-gram that ends there in the table of its
order. The key is one integer made of the token and of the place of the n-gram that ends one token before, in the table
of the order below; so keys are exact, and no n-gram is ever taken for another.

A table is sorted by its hashed keys; `starts` has the place where each bucket begins. The hash is a product with an odd
number modulo a power of two, which is a bijection (Knuth, The Art of Computer Programming, 6.4): its high bits are the
bucket, so its low bits, the `rests`, are enough to distinguish the keys of a bucket.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from build.errors import ExportFailed
from build.graph.edit import add_constant, constants, prune, replace_node
from build.graph.file import MAX_BYTES
from build.graph.opset import IR_VERSION, OPSET
from build.sources.arpa.parser import END, START, UNKNOWN, Ngrams, Order

# Mean number of entries in a bucket, unless another lets the rests fit 16 bits.
LOAD, SMALL_BITS = 4, 16
# Try TRIES multipliers; keep the one with the smallest largest bucket, since every search takes as many steps.
TRIES, SEED = 8, 0
# A product of a key and a multiplier stays below 2**63, as ONNX has no wider integers.
MAX_BITS, MULTIPLIER_BITS = 52, 31
NATS = np.log(10)
# Values that a byte distinguishes; steps of the bisection for the length of an interval.
CODEBOOK_SIZE, HALVINGS = 256, 40
# Prefixes of the names of constants, by which `use_codebooks` finds them.
SCORE, WEIGHT = "score_", "weight_"
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One order's n-grams, sorted by hashed keys.

    `order` has the places where they were before, `slots` is the size of the largest bucket.
    """

    multiplier: int
    bits: int
    rest_bits: int
    slots: int
    starts: NDArray[np.int32]
    rests: NDArray[Any]
    order: Integers


def hash_table(keys: Integers, limit: int) -> Table:
    """Return the table of keys that are all below the limit; raises ExportFailed if that is too large."""
    bits = max(int(limit - 1).bit_length(), 1)
    if bits > MAX_BITS:
        raise ExportFailed("the model has too many words and n-grams for one table; prune it")
    rest_bits = _rest_bits(len(keys), bits)
    random = np.random.default_rng(SEED)
    width = min(62 - bits, MULTIPLIER_BITS)
    tried: list[tuple[int, int]] = []
    for _ in range(TRIES):
        # Odd: only then is the product a bijection.
        multiplier = int(random.integers(1 << (width - 1), 1 << width)) | 1
        counts = np.bincount((keys * multiplier % (1 << bits)) >> rest_bits)
        tried.append((int(counts.max(initial=1)), multiplier))
    slots, multiplier = min(tried)
    hashes = keys * multiplier % (1 << bits)
    order = np.argsort(hashes, kind="stable")
    buckets = 1 << (bits - rest_bits)
    starts = np.searchsorted(hashes[order], np.arange(buckets + 1) << rest_bits)
    kind: Any = np.uint16 if rest_bits <= SMALL_BITS else np.int32 if rest_bits < 32 else np.int64
    rests = np.zeros(len(keys) + slots, kind)  # the last bucket is searched beyond its end
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
    """Return the bits that leave LOAD entries in a bucket, or SMALL_BITS if these leave one at least."""
    wanted = bits - max(count // LOAD, 1).bit_length() + 1
    small = SMALL_BITS < wanted and count >> (bits - SMALL_BITS) >= 1
    return min(SMALL_BITS, bits) if small else max(wanted, 0)


def ngram_graph(model: Ngrams) -> Any:
    """Return the ONNX model: `input_ids` [1, tokens] -> `log_probabilities` [1, tokens - 1], in nats.

    Raises ExportFailed for a model that is too large for one table or one file.
    """
    graph = _GraphBuilder()
    words = len(model.words)
    graph.constant("one", np.array([1], np.int64))
    graph.constant("words", np.array(words, np.int64))
    graph.add("Reshape", ["input_ids", graph.constant("flat", np.array([-1], np.int64))], "tokens")
    place, missing = "tokens", words
    score, weight = graph.values(1, model.orders[0], place)
    # Sorting moves n-grams, so keys are made anew from the places that the order below has now.
    moved = np.arange(words, dtype=np.int64)
    for n, order in enumerate(model.orders[1:], start=2):
        keys = moved[order.keys // words] * words + order.keys % words
        table = hash_table(keys, (missing + 1) * words)
        moved = np.empty(len(keys), np.int64)
        moved[table.order] = np.arange(len(keys))
        before = graph.shifted(place, missing, n)
        key = graph.add("Add", [graph.add("Mul", [before, "words"]), "tokens"])
        place, missing = graph.look_up(n, table, key), len(keys)
        known = graph.add("Less", [place, graph.constant(f"count_{n}", np.array(missing))])
        backed = graph.add("Add", [graph.shifted(weight, 0.0, n), score])
        own, weight = graph.values(n, _sorted(order, table.order), place)
        score = graph.add("Where", [known, own, backed])
    return graph.finish(score)


def _sorted(order: Order, by: Integers) -> Order:
    return Order(keys=order.keys[by], log10=order.log10[by], backoff=order.backoff[by])


class _GraphBuilder:
    """Nodes and constants of a graph in the making; every method returns the name of a tensor."""

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

    def shifted(self, name: str, first: float, n: int) -> str:
        """Move the values of tokens to the tokens that follow; the first token gets `first`."""
        kind = np.int64 if isinstance(first, int) else np.float32
        zero = self.constant("zero", np.array([0], np.int64))
        last = self.constant("last", np.array([-1], np.int64))
        nothing = self.constant(f"{name}_nothing", np.array([first], kind))
        return self.add("Concat", [nothing, self.add("Slice", [name, zero, last])], axis=0)

    def look_up(self, n: int, table: Table, key: str) -> str:
        """Find the place of each key in the table; a key that is not there gets the number of entries."""
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
        """Read the table at those places, as a column."""
        found = self.add("Cast", [self.add("Gather", [table, places])], to=TensorProto.INT64)
        return self.add("Unsqueeze", [found, "one"])

    def values(self, n: int, order: Order, place: str) -> tuple[str, str]:
        """Read the log-probabilities and backoff weights at those places, in nats; the place behind the last has 0."""
        return self._value(f"{SCORE}{n}", order.log10, place), self._value(
            f"{WEIGHT}{n}", order.backoff, place
        )

    def _value(self, name: str, log10: NDArray[np.float64], place: str) -> str:
        nats = np.append(log10, 0.0) * NATS  # the place of n-grams that are not in the table
        return self.add("Gather", [self.constant(name, nats.astype(np.float32)), place])

    def finish(self, score: str) -> Any:
        """Return the model, with an output for every token but the first; raises ExportFailed if it is too large."""
        size = sum(array.nbytes for array in self.constants.values())
        if size > MAX_BYTES:
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
        prune(graph)  # drops the highest order's weights, which nothing reads
        opsets = [helper.make_opsetid("", OPSET)]
        return helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="turnout"
        )


def use_codebooks(graph: Any) -> None:
    """Replace the values of an n-gram graph by bytes, in place: places in a codebook of 256 values for each order."""
    for node in [n for n in graph.node if n.input[0].startswith((SCORE, WEIGHT))]:
        table = constants(graph)[node.input[0]]
        book, codes = codebook(numpy_helper.to_array(table))
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


def codebook(values: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return 256 values at most and, for each given value, the place of the nearest: exact if no more are distinct.

    Otherwise they are 0, as most weights are, and the means within 255 intervals, the shortest of equal length that
    cover all others. So every value is close to its code, however rare it is. KenLM's bins of equal population would
    merge the probability of unknown words with those of rare ones.
    """
    distinct = np.unique(values)
    if len(distinct) > CODEBOOK_SIZE:
        ordered = np.sort(values[values != 0]).astype(np.float64)
        starts = _cover(np.unique(ordered), CODEBOOK_SIZE - 1)
        parts = np.split(ordered, np.searchsorted(ordered, starts[1:]))
        distinct = np.unique(np.append([part.mean() for part in parts], 0.0))
    middles = (distinct[1:] + distinct[:-1]) / 2
    codes = np.searchsorted(middles, values, side="right")
    return distinct.astype(np.float32), codes.astype(np.uint8)


def _cover(ordered: NDArray[np.float64], count: int) -> list[float]:
    """Return the starts of `count` intervals at most, of the shortest equal length with which they cover the values."""
    low, high = 0.0, float(ordered[-1] - ordered[0]) / count
    cover = _interval_starts(ordered, high)
    for _ in range(HALVINGS):
        length = (low + high) / 2
        starts = _interval_starts(ordered, length)
        if len(starts) <= count:
            high, cover = length, starts
        else:
            low = length
    return cover


def _interval_starts(ordered: NDArray[np.float64], length: float) -> list[float]:
    """Return the starts of the fewest intervals of that length that cover the values."""
    starts, place = [], 0
    while place < len(ordered):
        starts.append(float(ordered[place]))
        place = int(np.searchsorted(ordered, ordered[place] + length, side="right"))
    return starts


def tokenizer_of(words: tuple[str, ...]) -> Any:
    """Return a tokenizer that splits texts at whitespace, as ARPA tools do, and adds the marks of start and end."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    numbers = {word: i for i, word in enumerate(words)}
    unknown = next(name for name in UNKNOWN if name in numbers)
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token=unknown))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}", special_tokens=[(mark, numbers[mark]) for mark in (START, END)]
    )
    return tokenizer
