"""The check of the reference for question answering, made once: rows, and the answers of transformers 4.57.6.

Run by itself, this file writes the model and the answers of that version's pipeline beside it: transformers 5 has none.
"""

import json
import random
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
POSITIONS, STRIDE, ROWS = 40, 20, 60
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PIECES = (
    *(
        "the",
        "The",
        "a",
        "film",
        "Film",
        "plot",
        "ending",
        "was",
        "is",
        "who",
        "what",
        "when",
        "Ada",
    ),
    *(
        "un",
        "re",
        "##like",
        "##ly",
        "##able",
        "##s",
        "made",
        "saw",
        ".",
        ",",
        "?",
        "-",
        "1",
        "##9",
        "##4",
    ),
)
WORDS = (
    *(
        "the",
        "The",
        "film",
        "Film",
        "films",
        "plot",
        "unlikely",
        "likeable",
        "Ada",
        "re-made",
        "made,",
    ),
    *("1994", "194.", "was", "is", "ending", "saw", "strange"),
)


def save_tokenizer() -> None:
    """Write a cased WordPiece tokenizer, which splits words into pieces and knows not all of them."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    ids = {piece: i for i, piece in enumerate((*SPECIAL, *PIECES, "like", "able"))}
    made = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])],
    )
    made.add_special_tokens(list(SPECIAL))
    made.save(str(HERE / "tokenizer.json"))
    names = dict(zip(("pad", "unk", "cls", "sep", "mask"), SPECIAL, strict=True))
    config: dict[str, Any] = {f"{name}_token": token for name, token in names.items()}
    config |= {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": POSITIONS}
    # The default of these differs between the versions.
    config |= {"model_input_names": ["input_ids", "token_type_ids", "attention_mask"]}
    (HERE / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n", "utf-8")


def save_model() -> None:
    """Write a model of random weights, large enough that its answers differ from row to row."""
    import torch
    import transformers

    torch.manual_seed(5)
    config = transformers.BertConfig(
        vocab_size=len(SPECIAL) + len(PIECES) + 2,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=POSITIONS,
    )
    model = transformers.BertForQuestionAnswering(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(9 if parameter.dim() > 1 else 1)
    model.save_pretrained(HERE)


def rows() -> list[dict[str, Any]]:
    """Return questions with contexts of one window and of several, and with each of the pipeline's parameters."""
    draw = random.Random(7)
    settings: list[dict[str, Any]] = [
        {},
        {"top_k": 3},
        {"max_answer_len": 2},
        {"handle_impossible_answer": True},
        {"top_k": 4, "handle_impossible_answer": True},
    ]
    found = []
    for i in range(ROWS):
        question = " ".join(draw.choices(WORDS, k=draw.randint(1, 3))) + "?"
        context = " ".join(draw.choices(WORDS, k=draw.randint(2, 50)))
        found.append({"question": question, "context": context, "parameters": settings[i % 5]})
    return found


def main() -> None:
    import transformers

    assert transformers.__version__ == "4.57.6"
    save_tokenizer()
    save_model()
    pipe = transformers.pipeline(
        "question-answering", model=str(HERE), tokenizer=str(HERE), device="cpu"
    )
    lines = []
    for row in rows():
        asked = {key: row[key] for key in ("question", "context")}
        answers = pipe(**asked, **row["parameters"], max_seq_len=POSITIONS, doc_stride=STRIDE)
        answers = answers if isinstance(answers, list) else [answers]
        lines.append(json.dumps({**row, "answers": answers}))
    (HERE / "answers.jsonl").write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
