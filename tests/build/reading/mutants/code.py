"""The mutants of code: faults in tokenizing, running and post-processing, each an edit of one place in the source."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import cache_from_source
from pathlib import Path

from build.sources.huggingface.settings.table import POOLING
from contracts.tasks import Task
from tests.build.reading.mutants.case import Case, settled
from tests.build.reading.mutants.of_config import multi_label
from tests.build.reading.mutants.of_generation import GENERATION
from tests.build.reading.mutants.of_sentences import cross_encoder, with_layer
from tests.build.reading.mutants.of_tokenizer import CASES as TOKENIZERS
from tests.build.reading.mutants.of_tokenizer import LONG, PAIRS
from tests.fixtures.models.tiny_bert import classifier, encoder, headed, texts
from tests.fixtures.models.tiny_decoders import PROMPTS, gpt2, llama, t5

HEADS, TASKS = "functions/inference/tasks", "functions/inference"
POOLED, READERS = "build/export/pooling.py", "build/sources/huggingface"
BATCHES = f"{TASKS}/token_batches.py"
TEXTS = [{"text": text} for text in texts(12)]
WORDS = " ".join(texts(40))
TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
NLI = ("contradiction", "neutral", "entailment")


def tagger(folder: Path) -> Path:
    return headed(folder, "BertForTokenClassification", labels=TAGS)


def inferring(folder: Path) -> Path:
    return headed(folder, "BertForSequenceClassification", labels=NLI)


# By name, the models and rows that faults of code show on; most show several.
SUBJECTS: Mapping[str, Case] = {
    "classifier": Case(
        task=Task.TEXT_CLASSIFICATION, make=classifier, rows=[*TEXTS, *PAIRS, *LONG]
    ),
    "classifier of many labels": Case(task=Task.TEXT_CLASSIFICATION, make=multi_label, rows=TEXTS),
    "classifier of byte pairs": TOKENIZERS["tokenizer_config.json"]["add_prefix_space"],
    "tagger": Case(task=Task.TOKEN_CLASSIFICATION, make=tagger, rows=[*TEXTS, *LONG]),
    "answerer": Case(
        task=Task.QUESTION_ANSWERING,
        make=partial(headed, architecture="BertForQuestionAnswering"),
        rows=[
            {"question": one["text"], "context": two["text"]}
            for one, two in zip(TEXTS, [*LONG, *LONG], strict=True)
        ],
    ),
    "filler of masks": Case(
        task=Task.FILL_MASK,
        make=partial(headed, architecture="BertForMaskedLM"),
        rows=[{"text": f"[MASK] {text} [MASK]"} for text in texts(12)],
    ),
    "zero-shot classifier": Case(
        task=Task.ZERO_SHOT_CLASSIFICATION,
        make=inferring,
        rows=[
            *({"text": text, "candidate_labels": ["film", "great old music"]} for text in texts(8)),
            # A hypothesis of more than half of the tokens that are read.
            {"text": WORDS, "candidate_labels": ["film", " ".join(WORDS.split()[:20])]},
        ],
    ),
    "ranker": Case(
        task=Task.TEXT_RANKING,
        make=cross_encoder,
        # In no order of their lengths.
        rows=[{"query": "great film", "texts": [*texts(6)[3:], *texts(6)[:3]]}],
    ),
    "embedder": Case(task=Task.FEATURE_EXTRACTION, make=encoder, rows=TEXTS),
    "embedder by the last token": Case(
        task=Task.FEATURE_EXTRACTION,
        make=settled(encoder, POOLING, pooling_mode="lasttoken"),
        rows=TEXTS,
    ),
    "embedder with a layer": Case(task=Task.FEATURE_EXTRACTION, make=with_layer, rows=TEXTS),
    "generator": Case(
        task=Task.TEXT_GENERATION,
        make=settled(
            llama,
            GENERATION,
            repetition_penalty=1.8,
            # Behind a fourth of the tokens a text ends, and behind its end other tokens would follow.
            sequence_bias=[[[token, 1], 50.0] for token in range(60, 320, 4)],
        ),
        rows=[{"text": text} for text in (*PROMPTS, " ".join(PROMPTS))],
    ),
    "generator that repeats less": Case(
        task=Task.TEXT_GENERATION,
        make=settled(llama, GENERATION, repetition_penalty=1.8),
        rows=[{"text": text} for text in PROMPTS],
    ),
    "translator": Case(
        task=Task.TEXT2TEXT_GENERATION, make=t5, rows=[{"text": text} for text in PROMPTS]
    ),
    "scorer": Case(
        task=Task.LANGUAGE_MODEL_SCORING,
        make=gpt2,
        rows=[{"text": text} for text in (*PROMPTS, " ".join(PROMPTS))],
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """An edit: `text`, which is in `file` once, becomes `wrong`; the model `shown_by` answers otherwise then."""

    file: str
    text: str
    wrong: str
    shown_by: str

    @contextmanager
    def within(self, tree: Path) -> Iterator[None]:
        """Edit a copy of the tree within the block."""
        path = tree / self.file
        source = path.read_text("utf-8")
        assert source.count(self.text) == 1, f"{self.file} has {self.text!r} not once"
        # Byte code counts as current where the times and the lengths of both versions are the same.
        compiled = Path(cache_from_source(str(path)))
        try:
            compiled.unlink(missing_ok=True)
            path.write_text(source.replace(self.text, self.wrong), "utf-8")
            yield
        finally:
            compiled.unlink(missing_ok=True)
            path.write_text(source, "utf-8")


def fault(file: str, text: str, wrong: str, shown_by: str) -> Fault:
    return Fault(file=file, text=text, wrong=wrong, shown_by=shown_by)


# By what goes wrong.
FAULTS: Mapping[str, Fault] = {
    "the label before the best one": fault(
        f"{HEADS}/text_classification.py", '{"label": names[best]', '{"label": names[best - 1]', "classifier"
    ),
    "labels in the opposite order": fault(
        f"{READERS}/labels.py", 'for i in range(len(named)))', 'for i in reversed(range(len(named))))', "classifier"
    ),
    "a softmax in place of each label's sigmoid": fault(
        f"{HEADS}/text_classification.py",
        "[sigmoid(logit) for logit in results[0]] if multi",
        "softmax(results[0]) if multi",
        "classifier of many labels",
    ),
    "the second text of a pair first": fault(
        f"{HEADS}/head.py", '(value["text"], value["text_pair"])', '(value["text_pair"], value["text"])', "classifier"
    ),
    "no token types": fault(
        BATCHES, 'if name == TYPES and not details.get("token_types", True):', "if name == TYPES:", "classifier"
    ),
    "one token less of a long text": fault(
        BATCHES, "max_length=max_tokens, stride", "max_length=max_tokens - 1, stride", "classifier"
    ),
    "a long text cut on the left": fault(BATCHES, "direction=side", 'direction="left"', "classifier"),
    "no special tokens around a text": fault(
        BATCHES, "method(list(texts), add_special_tokens=special)", "method(list(texts), add_special_tokens=False)",
        "classifier",
    ),
    "padding on the left": fault(BATCHES, '"pad_left" in details', "True", "ranker"),
    "padding that is attended to": fault(BATCHES, '"attention_mask": 0', '"attention_mask": 1', "ranker"),
    "answers of a batch in the order of their lengths": fault(
        f"{TASKS}/encoder.py", "row in zip(texts, rows", "row in zip(sorted(texts), rows", "ranker"
    ),
    "no space in front of the first word": fault(
        f"{READERS}/tokenizer_parts/pre_tokenizers.py",
        "byte_level(begins_with_space(given, default=False))",
        "byte_level(False)",
        "classifier of byte pairs",
    ),
    "entities that end a character later": fault(
        f"{HEADS}/token_classification.py", "group[-1].end,", "group[-1].end + 1,", "tagger"
    ),
    "special tokens taken for words": fault(
        f"{HEADS}/token_classification.py", "if not special:", "if True:", "tagger"
    ),
    "a B- that begins no entity of its own": fault(
        f"{HEADS}/token_classification.py", 'not tag.startswith("B-") and', "", "tagger"
    ),
    "the likeliest token's score for an entity": fault(
        f"{HEADS}/token_classification.py", "np.mean([piece.score", "np.max([piece.score", "tagger"
    ),
    "spans that may end in the question": fault(
        f"{HEADS}/question_answering.py", "part == 1 for", "part is not None for", "answerer"
    ),
    "spans that end a token earlier": fault(
        f"{HEADS}/question_answering.py", "int(k) % len(ends))", "max(int(k) % len(ends) - 1, 0))", "answerer"
    ),
    "a score of the start alone": fault(
        f"{HEADS}/question_answering.py", "float(starts[i] * ends[j])", "float(starts[i])", "answerer"
    ),
    "the least likely token for a mask": fault(
        f"{HEADS}/fill_mask.py", "np.argsort(-scores", "np.argsort(scores", "filler of masks"
    ),
    "contradiction in place of entailment": fault(
        f"{HEADS}/zero_shot_classification.py", 'details["entailment"]', 'details["contradiction"]',
        "zero-shot classifier",
    ),
    "a hypothesis that is cut with its text": fault(
        f"{HEADS}/zero_shot_classification.py", 'truncation="only_first"', 'truncation="longest_first"',
        "zero-shot classifier",
    ),
    "a text before its query": fault(
        f"{HEADS}/text_ranking.py", "[(prompt + query, str(value))]", "[(str(value), prompt + query)]", "ranker"
    ),
    "a logit without its activation": fault(
        f"{HEADS}/text_ranking.py", '{"score": activation(logit)}', '{"score": logit}', "ranker"
    ),
    "the first token in place of the mean": fault(POOLED, '"mean": _mean,', '"mean": _cls,', "embedder"),
    "the first token in place of the last": fault(
        POOLED, '_node("Sub", [f"{output}_count", "pool_one"]', '_node("Sub", [f"{output}_count", f"{output}_count"]',
        "embedder by the last token",
    ),
    "vectors that are not of length 1": fault(
        POOLED, "_normalized(last) if pooling.normalize else", "_normalized(last) if False else", "embedder"
    ),
    "a layer without its bias": fault(POOLED, 'if "linear.bias" in weights:', "if False:", "embedder with a layer"),
    "an end token that ends nothing": fault(
        f"{TASKS}/writing/steps.py",
        "token = sampler.choose(logits)\n        if token in criteria.tokens:",
        "token = sampler.choose(logits)\n        if False:",
        "generator",
    ),
    "the padding for the end of a text": fault(
        f"{READERS}/generation_config.py", 'generation.get("eos_token_id", [])', 'generation.get("pad_token_id", [])',
        "generator",
    ),
    "a penalty that rewards likely tokens": fault(
        f"{TASKS}/logits_processors.py", "of_seen * penalty, of_seen / penalty", "of_seen * penalty, of_seen * penalty",
        "generator that repeats less",
    ),
    "the beginning of a long prompt in place of its end": fault(
        f"{TASKS}/prompt/tokens.py", "ids[len(ids) - max_tokens + lead :]", "ids[lead:max_tokens]", "generator"
    ),
    "halves of characters": fault(
        f"{TASKS}/detokenizer.py", "len(decoded.rstrip(REPLACEMENT))", "len(decoded)", "generator that repeats less"
    ),
    "a text without its last token": fault(
        f"{TASKS}/seq2seq.py", "read = encoding.ids or start", "read = encoding.ids[:-1] or start", "translator"
    ),
    "windows that begin a token later": fault(
        f"{TASKS}/scoring.py", "start = end - max_tokens // 2", "start = end - max_tokens // 2 + 1", "scorer"
    ),
    "scores of the tokens before": fault(
        f"{TASKS}/scoring.py", "zip(rows[1:], scores, strict=True)", "zip(rows[:-1], scores, strict=True)", "scorer"
    ),
}  # fmt: skip
