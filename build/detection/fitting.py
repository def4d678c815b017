"""The tasks that fit a model, by the rules of `RULES` in their order: the first that knows one decides.

A rule reads what says most of a model's purpose before what says less: its format, the modules of
sentence-transformers, the head of its architecture, and for a bare graph its outputs.
"""

from collections.abc import Callable

from build.detection.described import Described
from build.sources import formats
from build.tasks.description import FamilyName, TaskDescription
from build.tasks.registry import TASKS
from build.tasks.token_scores import is_causal
from contracts.tasks import Task

Tasks = tuple[Task, ...]
Rule = Callable[[Described], Tasks]

# The Hub's tags of models of our tasks, where it has other names for them.
# https://huggingface.co/docs/hub/models-tasks
TAGS = {
    "sentence-similarity": Task.FEATURE_EXTRACTION,
    "summarization": Task.TEXT2TEXT_GENERATION,
    "translation": Task.TEXT2TEXT_GENERATION,
}
# The families that a format of files holds; a Hugging Face folder holds all but tables.
ENCODERS_AND_SCORERS = (FamilyName.ENCODER, FamilyName.SCORER)
FAMILIES = {
    formats.HUGGING_FACE: (*ENCODERS_AND_SCORERS, FamilyName.CAUSAL, FamilyName.SEQ2SEQ),
    formats.ONNX: ENCODERS_AND_SCORERS,
    formats.TORCHSCRIPT: ENCODERS_AND_SCORERS,
    formats.TENSORFLOW: (FamilyName.ENCODER,),
}
ONE_TASK = {
    formats.WORD_VECTORS: Task.WORD_VECTORS,
    formats.ARPA: Task.LANGUAGE_MODEL_SCORING,
    # It could score texts as well; whoever wants that says so.
    formats.GGUF: Task.TEXT_GENERATION,
}
# More outputs than this are tokens of a vocabulary, and fewer are labels.
MAX_LABELS = 1000


def fitting_tasks(model: Described) -> Tasks:
    """Return the tasks that fit a model, the likeliest first; none where its files say nothing of its purpose."""
    return next((tasks for rule in RULES if (tasks := rule(model))), ())


def by_format(model: Described) -> Tasks:
    """Return the task of a format that has one."""
    return tuple(task for format_, task in ONE_TASK.items() if format_ == model.format_)


def by_modules(model: Described) -> Tasks:
    """Return the task of a model that sentence-transformers saved: its own settings say what it is for."""
    causal = is_causal(model.config)
    if model.cross_encoder and (causal or Task.TEXT_RANKING in by_head(model)):
        return (Task.TEXT_RANKING,)
    return (Task.FEATURE_EXTRACTION,) if "Pooling" in model.modules else ()


def by_head(model: Described) -> Tasks:
    """Return the tasks of the head that config.json names; the card's tag decides where several fit."""
    named = [task for task in _buildable(model) if _has_head(model, TASKS[task])]
    # A head without, say, the labels that a task needs is no model of that task; if it is of no other, the check of the
    # first reports what it lacks.
    whole = [task for task in named if not _lacks(model, TASKS[task])] or named[:1]
    if Task.TEXT_GENERATION in whole and _tagged(model) not in whole:
        return (Task.TEXT_GENERATION,)
    return _by_tag(model, tuple(whole))


def by_base(model: Described) -> Tasks:
    """Return feature extraction for a model without a head: all that it has are vectors."""
    headless = model.architecture.endswith("Model")
    return (Task.FEATURE_EXTRACTION,) if headless else ()


def by_outputs(model: Described) -> Tasks:
    """Return the tasks of a bare graph's outputs, by their names and axes."""
    bare = [task for task in _buildable(model) if TASKS[task].graph.bare]
    if model.labelled:
        bare = [task for task in bare if TASKS[task].min_labels and not TASKS[task].default_labels]
    # A Hugging Face folder is no graph, and lacks its config if nothing was found before.
    if model.architecture or model.format_ == formats.HUGGING_FACE:
        return ()
    names = " ".join(output.name.lower() for output in model.outputs)
    if "start" in names and "end" in names:
        return _of(bare, Task.QUESTION_ANSWERING)
    if any(part in names for part in ("embedding", "hidden_state", "pooler")):
        return _of(bare, Task.FEATURE_EXTRACTION)
    shape = model.outputs[0].shape if model.outputs else None
    return _of(bare, *(bare if shape is None else _by_shape(shape, names)))


def _by_shape(shape: tuple[int, ...], names: str) -> Tasks:
    width = shape[-1] if shape else 0
    if len(shape) == 3:
        if width:
            labels = width <= MAX_LABELS
            return (Task.TOKEN_CLASSIFICATION if labels else Task.LANGUAGE_MODEL_SCORING,)
        return Task.TOKEN_CLASSIFICATION, Task.LANGUAGE_MODEL_SCORING
    if width == 1:
        return Task.TEXT_RANKING, Task.TEXT_CLASSIFICATION
    # "logits" are of labels, while a vector may be called anything.
    vectors = () if "logit" in names else (Task.FEATURE_EXTRACTION,)
    return Task.TEXT_CLASSIFICATION, *vectors


def _of(bare: list[Task], *wanted: Task) -> Tasks:
    return tuple(task for task in wanted if task in bare)


def _buildable(model: Described) -> list[Task]:
    families = FAMILIES.get(model.format_, ())
    return [task for task, description in TASKS.items() if description.family in families]


def _has_head(model: Described, task: TaskDescription) -> bool:
    # Feature extraction names no head, since it takes a model with any.
    heads = tuple(head for head in task.transformers.architectures if head)
    # A model that was trained to give numbers of its own gives no score to rank by.
    if task.name == Task.TEXT_RANKING and model.config.get("problem_type") == "regression":
        return False
    return bool(heads) and model.architecture.endswith(heads)


def _lacks(model: Described, task: TaskDescription) -> bool:
    """Return whether a model lacks something that the task needs of it."""
    if model.facts is None:
        return False
    # transformers leaves `id2label` out of a config with two labels.
    labels = len(model.facts.labels) or 2
    return labels < task.min_labels or bool(task.transformers.problems(model.facts))


def _by_tag(model: Described, tasks: Tasks) -> Tasks:
    tagged = _tagged(model)
    return (tagged,) if tagged in tasks else tasks


def _tagged(model: Described) -> Task | None:
    tag = model.card.pipeline_tag
    return TAGS.get(tag) or (Task(tag) if tag in set(Task) else None)


RULES: tuple[Rule, ...] = (by_format, by_modules, by_head, by_base, by_outputs)
