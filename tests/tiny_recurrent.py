"""Recurrent language models, but tiny: an embedding, recurrent layers and a head, with weights from a seed."""

import string
from pathlib import Path
from typing import Any

from build.workspace.quiet import quiet

CHARACTERS = ("<s>", "<unk>", *string.ascii_lowercase, " ", ".")
TEXTS = (
    "the train is late again.",
    "a signal",
    "on the night of the long delay the station slept.",
    "QUITE loud",
    "x",
    "again and again and again and again",
)


def recurrent(kind: str = "LSTM", *, state: bool = True) -> Any:
    """The module: tokens [batch, tokens] -> logits [batch, tokens, vocabulary], and its state where it tells it."""
    import torch

    class Recurrent(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.embedding = torch.nn.Embedding(len(CHARACTERS), 32)
            self.layers = getattr(torch.nn, kind)(32, 64, 2, batch_first=True)
            self.head = torch.nn.Linear(64, len(CHARACTERS))

        def forward(self, input_ids: Any) -> Any:
            found, last = self.layers(self.embedding(input_ids))
            return (self.head(found), last) if state else self.head(found)

    torch.manual_seed(11)
    module = Recurrent().eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(3)  # weights as small as it starts with tell no two texts apart
    return module


def torchscript(path: Path, module: Any) -> Path:
    import torch

    with torch.no_grad(), quiet():
        traced = torch.jit.trace(module, torch.ones((1, 5), dtype=torch.int64), check_trace=False)
    traced.save(str(path))
    return path


def tokenizer(path: Path) -> Path:
    """One token for each character, after a mark that begins every text."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors

    made = Tokenizer(models.WordLevel({c: i for i, c in enumerate(CHARACTERS)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Split(Regex("(?m:.)"), "isolated")
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 0)]
    )
    made.save(str(path))
    return path
