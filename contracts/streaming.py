"""The stream of a tier: text as it is written, in lines of JSON, and a last line that says how it ended.

A request with `"stream": true` is answered with any number of `{"delta": {"index": 0, "text": "..."}}` and one last
line: `{"answer": {...}}`, the answer as it would be without a stream, or `{"problem": {...}}`. The texts of an index,
joined, are the `generated_text` of that output. A stream that ends without a last line has failed.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from contracts.http_errors import (
    InvalidInput,
    ModelFailed,
    RequestProblem,
    ServingError,
    from_problem,
    problem_document,
)
from contracts.prediction import PredictRequest, TierAnswer, parse_request

NDJSON = "application/x-ndjson"
# The last line has all of the text once more, which buffered would be one response of Lambda: 6 MB.
MAX_LINE_BYTES = 8 * 1024 * 1024
STREAM = "stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """A further piece of the text that is written for the input at `index`; it is not empty."""

    index: int
    text: str


# Of the deltas comes none after the answer, which is the last.
Stream = Iterator[Delta | TierAnswer]


def parse_tier_request(document: object) -> PredictRequest:
    """Return the request that a tier received: that of `parse_request`, which may ask for a stream as well."""
    if not isinstance(document, dict) or STREAM not in document:
        return parse_request(document)
    stream = document[STREAM]
    if not isinstance(stream, bool):
        detail = "must be true or false"
        raise InvalidInput(
            f"/{STREAM}: {detail}", problems=[RequestProblem(pointer=f"/{STREAM}", detail=detail)]
        )
    rest = {key: value for key, value in document.items() if key != STREAM}
    return replace(parse_request(rest), stream=stream)


def line_of(item: Delta | TierAnswer | ServingError) -> bytes:
    """Return a line of a stream; the answer or the error is its last."""
    match item:
        case Delta():
            document: dict[str, Any] = {"delta": {"index": item.index, "text": item.text}}
        case TierAnswer():
            document = {"answer": item.to_wire()}
        case _:
            document = {"problem": problem_document(item)}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def read_stream(chunks: Iterable[bytes]) -> Stream:
    """Yield the deltas of a stream, and last its answer, as its bytes come, however they are cut.

    Raise the error that the tier sent, and ModelFailed for a stream that breaks off or is not one of the contract.
    """
    lines = _lines(chunks)
    for line in lines:
        item = _item(line)
        if isinstance(item, Delta):
            yield item
            continue
        if next(lines, None) is not None:
            raise ModelFailed("the tier's stream goes on after its last line")
        yield item
        return
    raise ModelFailed("the tier's stream broke off before its last line")


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines; what follows the last line end is one too, of which the JSON shows whether it is whole."""
    rest = bytearray()
    for chunk in chunks:
        # What was kept has no line end, so it is not searched again.
        *ended, last = chunk.split(b"\n")
        for part in ended:
            yield bytes(rest + part)
            rest.clear()
        rest += last
        if len(rest) > MAX_LINE_BYTES:
            raise ModelFailed(f"a line of the tier's stream has more than {MAX_LINE_BYTES} bytes")
    if rest:
        yield bytes(rest)


def _item(line: bytes) -> Delta | TierAnswer:
    try:
        document = json.loads(line)
    except ValueError:
        raise ModelFailed("the tier's stream broke off, or is not lines of JSON") from None
    match document:
        case {"delta": {"index": int(index), "text": str(text)}} if index >= 0:
            return Delta(index=index, text=text)
        case {"answer": answer}:
            return TierAnswer.from_wire(answer)
        case {"problem": Mapping() as problem}:
            raise from_problem(problem)
    raise ModelFailed("a line of the tier's stream is not one of the contract")
