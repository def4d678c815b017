"""A real recurrent network, textgenrnn 2.0.0: its weights in torch, as TorchScript, built, and compared with torch.

    pip install h5py; pip download --no-deps --no-binary :all: textgenrnn==2.0.0   # and unpack the archive
    python -m benchmarks.references.lm --weights textgenrnn-2.0.0/textgenrnn --data FOLDER

It reads characters: two LSTMs over the last 40, and an average of all that these answer, weighted by attention. Its
weights lie as CuDNN has them, which Keras would turn when it loads them. FOLDER/test.txt has sentences as text.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import publish
from benchmarks.references.ngrams import built, candidates
from build.workspace.quiet import quiet
from contracts.specs import CpuSpec, SourceOptions

# What its authors trained it with.
WINDOW, UNITS, TINY = 40, 128, 1e-7
MARK, UNKNOWN = "<s>", "<pad>"
SENTENCES, MAX_TOKENS = 60, 128


def network(weights: Path) -> Any:
    """Return the module: characters [batch, tokens] -> logits [batch, tokens, vocabulary], each from its last 40."""
    import torch

    values = _weights(weights)

    class Network(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            embeddings, attention = values["embeddings"], values["attention_W"]
            self.embedding = torch.nn.Embedding(*embeddings.shape)
            self.embedding.weight.data = torch.from_numpy(embeddings)
            self.first = _lstm(values["rnn_1"])
            self.second = _lstm(values["rnn_2"])
            self.attention = torch.nn.Parameter(torch.from_numpy(attention))
            self.head = torch.nn.Linear(*values["kernel"].shape)
            self.head.weight.data = torch.from_numpy(np.ascontiguousarray(values["kernel"].T))
            self.head.bias.data = torch.from_numpy(values["bias"])

        def forward(self, input_ids: Any) -> Any:
            batch, tokens = input_ids.shape
            # With 0, which is the id of the padding.
            padded = torch.nn.functional.pad(input_ids, (WINDOW - 1, 0))
            places = torch.arange(tokens)[:, None] + torch.arange(WINDOW)[None]
            embedded = self.embedding(padded[:, places].reshape(-1, WINDOW))
            first, _ = self.first(embedded)
            second, _ = self.second(first)
            every = torch.cat([embedded, first, second], -1)
            scores = every @ self.attention
            powers = torch.exp(scores - scores.amax(1, keepdim=True))
            found = (every * (powers / (powers.sum(1, keepdim=True) + TINY))).sum(1)
            return self.head(found).reshape(batch, tokens, -1)

    return Network().eval()


def _weights(folder: Path) -> dict[str, Any]:
    import h5py

    with h5py.File(folder / "textgenrnn_weights.hdf5") as file:
        layers = {
            name: {k.split(":")[0].rsplit("/", 1)[-1]: np.array(v) for k, v in _leaves(file[name])}
            for name in ("embedding", "rnn_1", "rnn_2", "attention", "output")
        }
    plain = {**layers["embedding"], **layers["attention"], **layers["output"]}
    return {**plain, "rnn_1": layers["rnn_1"], "rnn_2": layers["rnn_2"]}


def _leaves(group: Any) -> list[tuple[str, Any]]:
    import h5py

    found: list[tuple[str, Any]] = []
    group.visititems(lambda n, o: found.append((n, o[()])) if isinstance(o, h5py.Dataset) else None)
    return found


def _lstm(values: dict[str, Any]) -> Any:
    """Load an LSTM. Gates are in torch's order; kernels are column-major, recurrent kernels transposed."""
    import torch

    kernel, recurrent = values["kernel"], values["recurrent_kernel"]
    layer = torch.nn.LSTM(len(kernel), UNITS, batch_first=True)
    gates = [gate.T.reshape(gate.shape, order="F") for gate in np.split(kernel, 4, axis=1)]
    turned = [gate.T for gate in np.split(recurrent, 4, axis=1)]
    inner, outer = np.split(values["bias"], 2)
    with torch.no_grad():
        layer.weight_ih_l0.copy_(torch.from_numpy(np.concatenate(gates, 1).T.copy()))
        layer.weight_hh_l0.copy_(torch.from_numpy(np.concatenate(turned, 1).T.copy()))
        layer.bias_ih_l0.copy_(torch.from_numpy(inner))
        layer.bias_hh_l0.copy_(torch.from_numpy(outer))
    return layer


def tokenizer(weights: Path, destination: Path) -> Path:
    """Return a tokenizer of one token per character between two marks, as textgenrnn trains."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors

    numbers = json.loads((weights / "textgenrnn_vocab.json").read_text("utf-8"))
    made = Tokenizer(models.WordLevel({UNKNOWN: 0, **numbers}, unk_token=UNKNOWN))
    made.pre_tokenizer = pre_tokenizers.Split(Regex("(?m:.)"), "isolated")
    made.post_processor = processors.TemplateProcessing(
        single=f"{MARK} $A {MARK}", special_tokens=[(MARK, numbers[MARK])]
    )
    made.save(str(destination))
    return destination


def texts(folder: Path) -> list[str]:
    text = (folder / "test.txt").read_text("utf-8").replace(" @-@ ", "-").replace("\n", " ")
    found = [" ".join(part.split()).replace(" ,", ",") + "." for part in text.split(" . ")]
    fitting = [t for t in found if "<unk>" not in t and 20 <= len(t) <= MAX_TOKENS - 2]
    return fitting[:: max(1, len(fitting) // SENTENCES)][:SENTENCES]


def main() -> None:
    import torch

    parser = argparse.ArgumentParser()
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, quiet():
        script = Path(scratch) / "textgenrnn.pt"
        example = torch.ones((1, 8), dtype=torch.int64)
        torch.jit.trace(network(options.weights), example, check_trace=False).save(str(script))
        rows = texts(options.data)
        _, evidence = built(
            script,
            rows,
            Path(scratch) / "out",
            cpu=CpuSpec(max_tokens=MAX_TOKENS, portable=False),
            source_options=SourceOptions(
                tokenizer=tokenizer(options.weights, Path(scratch) / "tokenizer.json"),
                inputs=("input_ids",),
            ),
        )
    facts = {
        "texts": len(rows),
        "tokens": evidence["tokens"],
        "perplexity_torch": evidence["perplexity_original"],
        "bytes_torchscript": evidence["bytes_original"],
        "build_s": round(sum(evidence["seconds"].values()), 1),
    }
    publish("reference_lm", candidates(evidence), command="benchmarks.references.lm", **facts)


if __name__ == "__main__":
    main()
