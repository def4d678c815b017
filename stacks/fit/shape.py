"""The shape of a causal language model: the matrices of its layers, and how tensor parallelism splits them."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto


class Split(Enum):
    """The split of a matrix over the GPUs of tensor parallelism.

    `ROWS` are its outputs, `COLUMNS` its inputs, `HEADS` its outputs by heads of keys and values, which are repeated
    where there are more GPUs than heads; `WHOLE` is a matrix that each GPU has.
    """

    ROWS = auto()
    COLUMNS = auto()
    HEADS = auto()
    WHOLE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """A weight of `rows` outputs and `columns` inputs, `copies` times in its layer.

    `linear` says that quantized checkpoints store it quantized; `joined` that the checkpoint holds it in one matrix
    with the one before it.
    """

    rows: int
    columns: int
    split: Split
    copies: int = 1
    bias: bool = False
    heads: int = 1
    linear: bool = True
    joined: bool = False

    def shape_at(self, gpus: int) -> tuple[int, int]:
        """Return the rows and columns that one of so many GPUs has."""
        match self.split:
            case Split.ROWS:
                return self.rows // gpus, self.columns
            case Split.COLUMNS:
                return self.rows, self.columns // gpus
            case Split.HEADS:
                return self.rows // self.heads * kv_heads_at(self.heads, gpus), self.columns
            case Split.WHOLE:
                return self.rows, self.columns

    def elements_at(self, gpus: int) -> int:
        """Return the weights on one GPU, without the bias."""
        rows, columns = self.shape_at(gpus)
        return rows * columns * self.copies

    def bias_at(self, gpus: int) -> int:
        """Return the elements of the bias on one GPU."""
        return self.shape_at(gpus)[0] * self.copies if self.bias else 0


def kv_heads_at(heads: int, gpus: int) -> int:
    """Return the heads of keys and values on one GPU: a head is never cut, so each GPU has at least one."""
    return max(1, heads // gpus)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """Attention with heads of queries that share fewer heads of keys and values (GQA, MQA), or have one each."""

    heads: int
    kv_heads: int
    head_dim: int
    qkv_bias: bool = False
    out_bias: bool = False
    joined: bool = False

    def matrices(self, hidden: int) -> Iterator[Matrix]:
        """Yield the projections to queries, keys, values, and back."""
        queries = self.heads * self.head_dim
        yield Matrix(rows=queries, columns=hidden, split=Split.ROWS, bias=self.qkv_bias)
        for _ in range(2):
            yield Matrix(
                rows=self.kv_heads * self.head_dim,
                columns=hidden,
                split=Split.HEADS,
                bias=self.qkv_bias,
                heads=self.kv_heads,
                joined=self.joined,
            )
        yield Matrix(rows=hidden, columns=queries, split=Split.COLUMNS, bias=self.out_bias)

    def kv_elements_at(self, gpus: int) -> int:
        """Return the elements of a token's keys and values in one layer on one GPU."""
        return 2 * kv_heads_at(self.kv_heads, gpus) * self.head_dim

    def splits(self, gpus: int) -> bool:
        """Return whether the heads can be split over so many GPUs."""
        few, many = sorted((self.kv_heads, gpus))
        return self.heads % gpus == 0 and many % few == 0

    @property
    def absorbed(self) -> int:
        """Return the elements that vLLM makes of weights besides them: none."""
        return 0

    @property
    def width(self) -> int:
        """Return the elements of a token's queries, keys and values."""
        return (self.heads + 2 * self.kv_heads) * self.head_dim


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentAttention:
    """Multi-head latent attention (MLA): a token's keys and values are one latent vector and one rotated key."""

    heads: int
    query_rank: int
    kv_rank: int
    nope_dim: int
    rope_dim: int
    value_dim: int
    bias: bool = False

    def matrices(self, hidden: int) -> Iterator[Matrix]:
        """Yield the projections; those to the latent vectors are whole on each GPU."""
        queries = self.heads * (self.nope_dim + self.rope_dim)
        if self.query_rank:
            yield Matrix(rows=self.query_rank, columns=hidden, split=Split.WHOLE, bias=self.bias)
        yield Matrix(rows=queries, columns=self.query_rank or hidden, split=Split.ROWS)
        latent = self.kv_rank + self.rope_dim
        yield Matrix(rows=latent, columns=hidden, split=Split.WHOLE, bias=self.bias)
        yield Matrix(rows=self._expanded, columns=self.kv_rank, split=Split.ROWS)
        values = self.heads * self.value_dim
        yield Matrix(rows=hidden, columns=values, split=Split.COLUMNS, bias=self.bias)

    def kv_elements_at(self, gpus: int) -> int:
        """Return the elements of a token's latent vector in one layer, which every GPU has whole."""
        del gpus
        return self.kv_rank + self.rope_dim

    def splits(self, gpus: int) -> bool:
        """Return whether the heads can be split over so many GPUs."""
        return self.heads % gpus == 0

    @property
    def absorbed(self) -> int:
        """Return the elements that vLLM makes of the latent vectors' projection, which it keeps besides them."""
        return self._expanded * self.kv_rank

    @property
    def width(self) -> int:
        """Return the elements of a token's queries, keys and values."""
        return self.heads * (self.nope_dim + self.rope_dim) + self._expanded

    @property
    def _expanded(self) -> int:
        return self.heads * (self.nope_dim + self.value_dim)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedForward:
    """The feed-forward part of a layer: one, or `experts` of which a router chooses `chosen` for each token.

    `shared` is the width of the expert that every token passes besides, and `shared_gate` the weight of that. With
    `router_bias` the router has a bias for each expert, by which it evens out their loads.
    """

    width: int
    gated: bool = True
    bias: bool = False
    joined: bool = False
    experts: int = 0
    chosen: int = 0
    shared: int = 0
    shared_gate: bool = False
    router_bias: bool = False

    def matrices(self, hidden: int) -> Iterator[Matrix]:
        """Yield the matrices of the experts, of the shared one, and of the router."""
        yield from self._one(hidden, self.width, max(1, self.experts))
        if self.shared:
            yield from self._one(hidden, self.shared, 1)
        if self.experts:
            yield Matrix(
                rows=self.experts,
                columns=hidden,
                split=Split.WHOLE,
                bias=self.router_bias,
                linear=False,
            )
        if self.shared_gate:
            yield Matrix(rows=1, columns=hidden, split=Split.WHOLE, linear=False)

    def splits(self, gpus: int) -> bool:
        """Return whether the width can be split over so many GPUs."""
        return self.width % gpus == 0 and self.shared % gpus == 0

    @property
    def active_width(self) -> int:
        """Return the elements that a token has between the matrices."""
        return self.width * max(1, self.chosen) + self.shared

    def _one(self, hidden: int, width: int, copies: int) -> Iterator[Matrix]:
        for part in range(2 if self.gated else 1):
            yield Matrix(
                rows=width,
                columns=hidden,
                split=Split.ROWS,
                copies=copies,
                bias=self.bias,
                joined=self.joined and part > 0,
            )
        yield Matrix(rows=hidden, columns=width, split=Split.COLUMNS, copies=copies, bias=self.bias)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer. `vectors` are the elements of its norms; `window` the tokens that a sliding one attends to."""

    attention: Attention | LatentAttention
    feed_forward: FeedForward
    vectors: int
    window: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A model: its kinds of layers, each with how many there are of it.

    `vectors` are the elements of norms outside of layers, `positions` the rows of learned positions. `context` is the
    most tokens that a request may have, prompt and answer together.
    """

    hidden: int
    vocabulary: int
    layers: tuple[tuple[Layer, int], ...]
    vectors: int
    context: int
    tied: bool = False
    positions: int = 0
    head_bias: bool = False

    def splits(self, gpus: int) -> bool:
        """Return whether vLLM can split the model over so many GPUs."""
        return all(
            layer.attention.splits(gpus) and layer.feed_forward.splits(gpus)
            for layer, _ in self.layers
        )

    @property
    def depth(self) -> int:
        """Return the number of layers."""
        return sum(count for _, count in self.layers)
