"""A real trigram model, the US English one that comes with pocketsphinx: built, and compared with pocketsphinx itself.

`python -m benchmarks.references.ngrams --data FOLDER` reads FOLDER/test.txt, text with sentences that end in " . ". The
model comes in pocketsphinx's own binary form, which is unpacked to ARPA here; it has no <unk>, which is added at 1e-7.
"""

import argparse
import json
import statistics
import struct
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.record import Row, publish
from build import api
from build.sources.arpa.parser import read_words
from contracts.prediction import PredictRequest
from contracts.specs import CpuSpec, Deployment, ModelSpec
from contracts.tasks import Task
from functions.inference.engine import Engine

HEADER = b"Trie Language Model"
BINS, UNKNOWN = 1 << 16, -7.0
SENTENCES, WORDS = 600, (3, 40)
MARKS = {",", "'", '"', ";", ":", "(", ")", "–", "—", "@-@"}
# Its numbers are whole logarithms to this base.
BASE = 1.0001


class Bits:
    """Numbers packed bit by bit in rows of equal width, the lowest bit of the lowest byte first."""

    def __init__(self, data: bytes, rows: int, width: int) -> None:
        # `take` may read beyond the last row.
        self.data = np.frombuffer(data + bytes(8), np.uint8)
        self.starts = np.arange(rows, dtype=np.int64) * width
        self.at = 0

    def take(self, bits: int) -> NDArray[np.int64]:
        """Return the next bits of every row, at most 32."""
        first = self.starts + self.at
        self.at += bits
        found = np.zeros(len(first), np.int64)
        # 32 bits that begin within a byte touch five.
        for byte in range(5):
            found |= self.data[(first >> 3) + byte].astype(np.int64) << (8 * byte)
        return (found >> (first & 7)) & ((1 << bits) - 1)


def unpack(path: Path, destination: Path) -> None:
    """Write pocketsphinx's trie of trigrams as ARPA. A trie goes from an n-gram's last word back to its first."""
    data = path.read_bytes()
    place = len(HEADER)
    assert data.startswith(HEADER)
    # 3 is the model's order; a model of another order has other tables.
    assert data[place] == 3
    one, two, three = struct.unpack_from("<3I", data, place + 1)
    place += 1 + 12 + 4
    books = np.frombuffer(data, "<f4", 3 * BINS, place).reshape(3, BINS)
    place += books.nbytes
    kind = np.dtype([("prob", "<f4"), ("weight", "<f4"), ("next", "<u4")])
    singles = np.frombuffer(data, kind, one + 1, place)
    place += singles.nbytes
    bits, next_bits = one.bit_length(), three.bit_length()
    width = bits + 32 + next_bits
    size = ((1 + two) * width + 7) // 8 + 8
    middle = Bits(data[place : place + size], two + 1, width)
    place += size
    second, weights, probs, following = (middle.take(n) for n in (bits, 16, 16, next_bits))
    two = int(singles["next"][-1])  # the header counts a few more than were put in
    following = following[: two + 1]
    size = ((1 + three) * (bits + 16) + 7) // 8 + 8
    last = Bits(data[place : place + size], int(following[-1]), bits + 16)
    place += size
    third, third_probs = last.take(bits), last.take(16)
    words = data[place + 4 :].split(b"\0")[:one]
    ends = np.repeat(np.arange(one), _steps(singles["next"]))
    middles = np.repeat(np.arange(two), _steps(following))
    scale = np.log10(BASE)
    tables = (
        (np.arange(one)[:, None], singles["prob"][:one], singles["weight"][:one]),
        (np.stack([second[:two], ends], 1), books[0][probs[:two]], books[1][weights[:two]]),
        (np.stack([third, second[middles], ends[middles]], 1), books[2][third_probs], None),
    )
    names = [word.decode() for word in words]
    with destination.open("w", encoding="utf-8") as file:
        file.write(f"\\data\\\nngram 1={one + 1}\nngram 2={two}\nngram 3={len(third)}\n")
        for n, (ids, prob, weight) in enumerate(tables, start=1):
            file.write(f"\n\\{n}-grams:\n")
            file.writelines([f"{UNKNOWN}\t<unk>\n"] if n == 1 else [])
            file.writelines(
                _lines(names, ids, prob * scale, weight if weight is None else weight * scale)
            )
        file.write("\n\\end\\\n")


def _steps(places: Any) -> NDArray[np.int64]:
    whole = np.asarray(places, np.int64)
    return whole[1:] - whole[:-1]


def _lines(names: Sequence[str], ids: Any, probs: Any, weights: Any) -> Iterator[str]:
    for i, row in enumerate(ids.tolist()):
        weight = "" if weights is None else f"\t{weights[i]:.6f}"
        yield f"{min(probs[i], 0.0):.6f}\t{' '.join(names[k] for k in row)}{weight}\n"


def sentences(folder: Path, words: set[str]) -> list[str]:
    """Return sentences of words in the model's vocabulary, without punctuation, which it lacks."""
    text = (folder / "test.txt").read_text("utf-8").lower().replace("\n", " ")
    found = [[word for word in part.split() if word not in MARKS] for part in text.split(" . ")]
    fitting = [
        " ".join(part)
        for part in found
        if WORDS[0] <= len(part) <= WORDS[1] and words.issuperset(part)
    ]
    return fitting[:: max(1, len(fitting) // SENTENCES)][:SENTENCES]


def built(
    source: Path, texts: Sequence[str], out: Path, **table: Any
) -> tuple[Engine, dict[str, Any]]:
    """Build the model for a CPU tier and return it with its evidence."""
    rows = out.with_suffix(".jsonl")
    rows.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), "utf-8")
    spec = ModelSpec(
        name="reference", source=source, task=Task.LANGUAGE_MODEL_SCORING, eval=rows, **table
    )
    api.run(api.plan(Deployment(models=(spec,)), out), out)
    evidence = json.loads((out / "reference/evidence/cpu.json").read_text("utf-8"))
    return Engine.load(out / "reference/cpu"), evidence


def candidates(evidence: dict[str, Any]) -> list[Row]:
    """Return all measurements of each candidate."""
    return [
        {
            "candidate": c["recipe"],
            "MB": round(c["bytes"] / 1e6, 2),
            "perplexity": round(c["perplexity_built"], 4),
            "ratio": c["ratio"],
            "largest difference, nats": c["difference_max"],
            "ms per row": c["expected_ms"],
            "load ms": c["load_ms"],
            "peak MB": c["peak_mb"],
            "ships": c["chosen"],
        }
        for c in evidence["candidates"]
    ]


def main() -> None:
    import pocketsphinx

    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--objective", default="accuracy")
    options = parser.parse_args()
    packed = Path(pocketsphinx.__file__).parent / "model/en-us/en-us.lm.bin"
    base = pocketsphinx.LogMath(BASE)
    theirs = pocketsphinx.NGramModel(pocketsphinx.Config(), base, str(packed))
    with tempfile.TemporaryDirectory() as scratch:
        arpa = Path(scratch) / "en-us.arpa"
        unpack(packed, arpa)
        texts = sentences(options.data, set(read_words(arpa)[0]) - {"<unk>"})
        start = time.perf_counter()
        engine, evidence = built(
            arpa,
            texts,
            Path(scratch) / "out",
            cpu=CpuSpec(objective=options.objective, portable=False),
        )
        took = time.perf_counter() - start
        apart, tokens = [], 0
        for text in texts:
            request = PredictRequest(inputs=(text,), parameters={"per_token": True})
            tokens_scored = engine.predict(request).outputs[0]["per_token"]
            context = ["<s>", *(entry["token"] for entry in tokens_scored)]
            for i, entry in enumerate(tokens_scored, start=1):
                gram = context[max(0, i - 2) : i + 1]
                if "<unk>" not in gram:
                    score = theirs.prob(gram[::-1]) * float(np.log(BASE))
                    apart.append(abs(score - entry["log_probability"]))
            tokens += len(tokens_scored)
        size = arpa.stat().st_size
    rows = candidates(evidence)
    facts = {
        "build_s": round(took, 1),
        "bytes_arpa": size,
        "bytes_packed": packed.stat().st_size,
        "texts": len(texts),
        "tokens": tokens,
        "tokens_compared_with_pocketsphinx": len(apart),
        "median_difference_from_pocketsphinx": round(statistics.median(apart), 6),
        "largest_difference_from_pocketsphinx": round(max(apart), 6),
        "perplexity_original": evidence["perplexity_original"],
    }
    publish("reference_ngrams", rows, command="benchmarks.references.ngrams", **facts)


if __name__ == "__main__":
    main()
