"""The process of torch.onnx: `python -m build.export.torch_onnx.main`, which answers in lines of JSON.

Each line is `{"folder", "destination", "task"}`, and each answer `{"error"}`, which is "" for an export that succeeded.
Libraries, which take seconds to import, are imported once. Each export is made by a copy of this process (fork): what
torch holds of a model while it is traced goes with the copy, and a crash in native code ends the copy alone.
"""

import json
import os
import signal
import sys
from pathlib import Path

from build.errors import one_line
from build.export.torch_onnx import decoder, encoder, seq2seq
from build.workspace.quiet import quiet

# By optimum's names of what graphs compute; those of encoders are in `HEADS`.
WITH_CACHE = {
    "text-generation-with-past": decoder.export,
    "text2text-generation-with-past": seq2seq.export,
}


def export(folder: Path, destination: Path, task: str) -> None:
    """Write the folder's graphs for the task; raise what torch, transformers and the model raise, or Differs."""
    if task in WITH_CACHE:
        WITH_CACHE[task](folder, destination)
    else:
        encoder.export(folder, destination, task)


def main() -> None:
    """Answer until the input ends. What libraries print goes to standard error."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with quiet():
        # What every export imports, and would import anew in each copy.
        import onnxruntime  # noqa: F401
        import torch.onnx.utils  # noqa: F401
        import transformers.models.auto.modeling_auto
        import transformers.models.bert.modeling_bert  # noqa: F401
    for line in sys.stdin:
        answers.write(json.dumps({"error": exported(**json.loads(line))}) + "\n")
        answers.flush()


def exported(folder: str, destination: str, task: str) -> str:
    """Export the model in a copy of this process; return the type and the message of an error, "" if there is none."""
    reading, writing = os.pipe()
    copy = os.fork()
    if not copy:
        try:
            with quiet():
                export(Path(folder), Path(destination), task)
        except (
            BaseException
        ) as error:  # of torch, transformers and model code alike, so of any type
            os.write(writing, one_line(error).encode())
        finally:
            os._exit(0)  # what this process would do at its end is left to itself
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8", errors="replace") as pipe:
        problem = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1])
    return problem or (f"ended by {signal.Signals(-status).name}" if status < 0 else "")


if __name__ == "__main__":
    main()
