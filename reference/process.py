"""The loop of the process: a model is opened, its rows are answered one by one, and it is closed again.

Each message and each answer is a line of JSON. `{"open": {"task", **Asked}}` loads a model,
`{"row": {"inputs", "parameters", "target"}}` runs it on a row as the user wrote it, and `{"close": true}` frees it. An
answer is `{"error"}` where the library raised one, `{"not_finite"}` for numbers that are not, and `{"problem"}` for
weights that do not fit the model.
"""

import gc
import json
import logging
import os
import resource
import sys
import warnings
from collections.abc import Iterator
from typing import Any, TextIO

from reference.messages import Asked, Message, Open, Run, WeightsIncomplete

# Tasks that are answered in `generation.py`, and those that sentence-transformers answers.
GENERATED = ("text-generation", "text2text-generation", "language-model-scoring", "tokens")
SENTENCES = ("feature-extraction", "text-ranking")


def main() -> None:
    """Answer until the input ends. What libraries print goes to standard error."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    import transformers

    transformers.logging.disable_progress_bar()
    loop(sys.stdin, answers)


def loop(messages: TextIO, answers: TextIO) -> None:
    """Answer each message with a line."""
    for answer in answered(messages):
        try:
            line = json.dumps(answer, allow_nan=False)
        except ValueError:
            line = json.dumps({"not_finite": True})
        answers.write(line + "\n")
        answers.flush()


def answered(messages: TextIO) -> Iterator[Message]:
    """Yield the answer to each message."""
    run: Run | None = None
    for line in messages:
        message = json.loads(line)
        try:
            if "open" in message:
                run = None  # the one before is freed first
                run = opened(**message["open"])
                yield {"libraries": libraries(message["open"]["task"])}
            elif "row" in message:
                assert run
                yield {"answers": run(message["row"])}
            else:
                run = None
                gc.collect()
                # Linux reports kibibytes.
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
                yield {"peak_mb": round(peak)}
        except WeightsIncomplete as error:
            yield {"problem": str(error)}
        except (KeyboardInterrupt, SystemExit):
            raise
        # Libraries raise anything; a panic of tokenizers is no Exception.
        except BaseException as error:
            yield {"error": one_line(error)}


def opened(task: str, **asked: Any) -> Run:
    """Return what answers the rows of a task."""
    return tasks_like(task)[task](Asked(**asked))


def tasks_like(task: str) -> dict[str, Open]:
    """Return how models are opened for a task, and for those that the same library answers."""
    # Imported here: sentence-transformers alone takes seconds, and most tasks do without.
    if task in SENTENCES:
        from reference.sentences import TASKS
    elif task in GENERATED:
        from reference.generation import TASKS
    elif task == "question-answering":
        from reference.question_answering import TASKS
    else:
        from reference.classification import TASKS
    return TASKS


def libraries(task: str) -> dict[str, str]:
    """Return the versions of the libraries that answer a task, without a build mark such as +cpu."""
    first = ("sentence_transformers",) if task in SENTENCES else ()
    return {
        name.replace("_", "-"): str(sys.modules[name].__version__).split("+")[0]
        for name in (*first, "transformers", "torch")
    }


def one_line(error: BaseException) -> str:
    """Return an error's type and the first line of its message."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first[:300]}" if first else type(error).__name__
