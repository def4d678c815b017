"""The peak memory of a build over the size of the model's weights in full precision, for models of random weights.

`python -m benchmarks.memory.builds NAME...`; the names are those of `MODELS`. Each is built by `turnout build`, and the
memory of all its processes is read as it runs: what they hold, without the pages of files, which the system may drop,
and with those that processes share divided among them. In `--folder`, models and builds are kept, so that one that was
cut off goes on; without, they are removed, as the largest take 40 GB. Candidates are not run on emulated processors,
which takes hours of the largest.

A build takes what memory there is. So each runs in a control group with 3 times its weights and what the libraries take
of any model, and is ended by the system where that is not enough.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.limited.control_group import group
from benchmarks.record import RESULTS, ROOT, Row, publish
from build.workspace.build_memory import LIBRARIES, PEAK_FACTOR

COMMAND, EVERY_S = "benchmarks.memory.builds", 0.2
LIBRARIES_MB = round(LIBRARIES / 2**20)
EXAMPLE = ROOT / "examples/sentence-embedding"
SENTENCES = (
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
)
# Of random weights, any answer passes: what is measured is the build.
GATES = {
    "feature-extraction": "{ min_cosine_mean = 0.1, min_cosine_p5 = 0.1 }",
    "text-generation": "{ max_perplexity_ratio = 2.0, min_token_agreement = 0.1, allow_uninformative_rows = true }",
    "language-model-scoring": "{ max_perplexity_ratio = 2.0, allow_uninformative_rows = true }",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model of random weights: its class in transformers, its sizes, and the number of its rows."""

    kind: str
    task: str
    sizes: Mapping[str, Any]
    rows: int

    @property
    def decodes(self) -> bool:
        return self.kind == "Llama"


def _encoder(width: int, layers: int, rows: int) -> Model:
    sizes = {
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": width // 64,
        "intermediate_size": 4 * width,
    }
    return Model(kind="Bert", task="feature-extraction", sizes=sizes, rows=rows)


def _decoder(
    width: int, layers: int, heads: tuple[int, int], inner: int, words: int, **named: Any
) -> Model:
    sizes = {
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads[0],
        "num_key_value_heads": heads[1],
        "intermediate_size": inner,
        "vocab_size": words,
        "max_position_embeddings": 512,
        "tie_word_embeddings": True,
    }
    return Model(kind="Llama", sizes=sizes, **{"task": "text-generation", **named})


# Those that write have the sizes of SmolLM2-135M, Qwen2.5-0.5B and Qwen2.5-1.5B.
MODELS: Mapping[str, Model] = {
    "encoder-110m": _encoder(768, 12, 30),
    "encoder-335m": _encoder(1024, 24, 30),
    "encoder-1.1b": _encoder(1536, 37, 20),
    "decoder-135m": _decoder(576, 30, (9, 3), 1536, 49_152, rows=10),
    "decoder-0.5b": _decoder(896, 24, (14, 2), 4864, 151_936, rows=6),
    "decoder-1.5b": _decoder(1536, 28, (12, 2), 8960, 151_936, rows=4),
    "scorer-135m": _decoder(576, 30, (9, 3), 1536, 49_152, rows=10, task="language-model-scoring"),
}

MAKE = """
import json, sys, torch, transformers
given, folder = json.loads(sys.argv[1]), sys.argv[2]
torch.manual_seed(0)
config = getattr(transformers, given["kind"] + "Config")(**given["sizes"])
class_ = getattr(transformers, {"Bert": "BertModel", "Llama": "LlamaForCausalLM"}[given["kind"]])
class_(config).save_pretrained(folder, max_shard_size="100GB")
"""
# A byte-level tokenizer as those of most models that write, trained on a few lines; its other words are in no text.
TOKENIZER = """
import json, sys
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast
tokenizer = Tokenizer(models.BPE())
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer.decoder = decoders.ByteLevel()
trainer = trainers.BpeTrainer(
    vocab_size=1000,
    special_tokens=["<pad>", "<s>", "</s>"],
    initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    show_progress=False,
)
tokenizer.train_from_iterator([json.loads(line)["text"] for line in open(sys.argv[1])], trainer)
said = json.loads(tokenizer.to_str())
words = said["model"]["vocab"]
words.update({f"unused {n}": n for n in range(len(words), int(sys.argv[3]))})
tokenizer = Tokenizer.from_str(json.dumps(said))
fast = PreTrainedTokenizerFast(
    tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", model_max_length=512
)
fast.save_pretrained(sys.argv[2])
"""


@dataclass(slots=True)
class Peaks:
    """The most MB that a build held at once, and in each of its stages."""

    held: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)

    def see(self, stage: str, held: float) -> None:
        """Take a reading into account."""
        self.held = max(self.held, held)
        self.stages[stage] = round(max(self.stages.get(stage, 0.0), held))


def make(model: Model, folder: Path) -> None:
    """Write the model, its rows and its models.toml to the folder, unless they are there."""
    if (folder / "models.toml").exists():
        return
    place = folder / "model"
    if not (EXAMPLE / "model").exists():
        raise SystemExit("it takes the tokenizer of an example; run `python -m examples.weights`")
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    _python(MAKE, json.dumps({"kind": model.kind, "sizes": dict(model.sizes)}), str(place))
    if model.decodes:
        _python(TOKENIZER, str(EXAMPLE / "eval.jsonl"), str(place), str(model.sizes["vocab_size"]))
    else:
        for name in SENTENCES:
            shutil.copy(EXAMPLE / "model" / name, place)
        shutil.copytree(EXAMPLE / "model/1_Pooling", place / "1_Pooling")
        pooling = place / "1_Pooling/config.json"
        said = json.loads(pooling.read_text("utf-8"))
        said["word_embedding_dimension"] = model.sizes["hidden_size"]
        pooling.write_text(json.dumps(said), "utf-8")
    rows = (EXAMPLE / "eval.jsonl").read_text("utf-8").splitlines(keepends=True)[: model.rows]
    (folder / "eval.jsonl").write_text("".join(rows), "utf-8")
    settings = (
        f'[models.random]\nsource = "model"\ntask = "{model.task}"\neval = "eval.jsonl"\ngate = {GATES[model.task]}\n'
        "cpu = { memory_mb = 10240, max_tokens = 256, portable = false }\n"
    )
    (folder / "models.toml").write_text(settings, "utf-8")


def _python(program: str, *words: str) -> None:
    subprocess.run([sys.executable, "-c", program, *words], check=True, capture_output=True)


def build(folder: Path, log: Path, limit: int) -> Peaks:
    """Run `turnout build` in the folder with so many bytes, and return what it held; raise SystemExit if it fails."""
    with group("memory", {"memory.limit_in_bytes": str(limit)}) as members:
        return _build(folder, log, members)


def _build(folder: Path, log: Path, members: Path) -> Peaks:
    # A build that was cut off has its first stages behind it.
    found = folder / "peaks.json"
    peaks, last = Peaks(), ["start"]
    for stage, held in (json.loads(found.read_text("utf-8")) if found.exists() else {}).items():
        peaks.see(stage, held)
    join = f'echo $$ > {members}; exec "$@"'
    command = ["sh", "-euc", join, "sh", sys.executable, "-m", "turnout", "build"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    with (
        log.open("w", encoding="utf-8") as file,
        subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
    ):

        def read() -> None:
            assert process.stdout
            for line in process.stdout:
                file.write(line)
                file.flush()
                last[0] = stage_of(line) or last[0]

        reader = threading.Thread(target=read)
        reader.start()
        while process.poll() is None:
            peaks.see(last[0], sum(map(held_mb, tree(process.pid))))
            found.write_text(json.dumps(peaks.stages), "utf-8")
            time.sleep(EVERY_S)
        reader.join()
    if process.returncode:
        raise SystemExit(f"the build of {folder.name} failed, see {log}")
    return peaks


def stage_of(line: str) -> str:
    """Return the stage that a line of progress names, without the row that is at work; empty for other lines."""
    found = re.match(r" *\d+% [^:]+: (.+)", line)
    return re.sub(r": (row|round) .*|\d+ of \d+ rows ", "", found[1]) if found else ""


def tree(root: int) -> list[int]:
    """Return a process and those that it has started, directly or not."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text("utf-8").rsplit(")", 1)[1].split()[1])
        except (OSError, ValueError):
            continue  # it has ended
        children.setdefault(parent, []).append(int(path.parent.name))
    found = [root]
    for process in found:
        found += children.get(process, [])
    return found


def held_mb(process: int) -> float:
    """Return the process's share of memory that is no page of a file, in MB; 0 once it has ended.

    https://docs.kernel.org/filesystems/proc.html
    """
    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_text("utf-8")
    except OSError:
        return 0.0
    return sum(int(n) for n in re.findall(r"^Pss_(?:Anon|Shmem): +(\d+)", text, re.M)) / 1024


def measure(name: str, folder: Path) -> Row:
    """Return the row of one model."""
    make(MODELS[name], folder)
    before = sum(os.times()[2:4])
    weights = (folder / "model/model.safetensors").stat().st_size // 2**20
    limit = round(PEAK_FACTOR * (weights + 1)) + LIBRARIES_MB + 1  # both are rounded
    peaks = build(folder, folder / "build.log", limit * 2**20)
    seconds = sum(os.times()[2:4]) - before
    (found,) = (folder / "models.out").glob("*/evidence/cpu.json")
    evidence = json.loads(found.read_text("utf-8"))
    return {
        "model": name,
        "weights, MB": weights,
        "limit, MB": limit,
        "peak, MB": round(peaks.held),
        "times the weights, beside libraries": round((peaks.held - LIBRARIES_MB) / weights, 2),
        "highest in": max(peaks.stages, key=lambda one: peaks.stages[one]),
        "ships": evidence["recipe"],
        "MB": round(evidence["bytes_built"] / 2**20),
        "minutes of the processor": round(seconds / 60, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*MODELS, []], default=list(MODELS))
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    path = RESULTS / "build_memory.json"
    for name in given.names:
        with tempfile.TemporaryDirectory() as scratch:
            row = measure(name, (given.folder or Path(scratch)).resolve() / name)
        known = json.loads(path.read_text("utf-8"))["rows"] if path.exists() else []
        rows = {one["model"]: one for one in (*known, row)}
        publish("build_memory", [rows[each] for each in MODELS if each in rows], command=COMMAND)


if __name__ == "__main__":
    main()
