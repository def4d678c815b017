"""Text-to-text generation: the text that an encoder-decoder makes of another, such as a translation."""

from build.evaluation.rows import RowFormat
from build.tasks.description import FamilyName, TaskDescription, TransformersModel
from build.tasks.text_generation import COMPARISON, parse_row, too_long
from contracts.tasks import Task

DESCRIPTION = TaskDescription(
    name=Task.TEXT2TEXT_GENERATION,
    family=FamilyName.SEQ2SEQ,
    rows=RowFormat(
        parse=parse_row,
        example='{"text": "..."} or {"text": "...", "target": "the right answer"}',
        answer="target",
        unfit=too_long,
    ),
    comparison=COMPARISON,
    transformers=TransformersModel(architectures=("ForConditionalGeneration", "MTModel")),
)
