"""Export of a Hugging Face folder by torch.onnx: `python -m build.export.torch_onnx.main FOLDER DESTINATION TASK`.

An error is the last line of standard error.
"""

import sys
from pathlib import Path

from build.errors import one_line
from build.export.torch_onnx.encoder import export
from build.workspace.quiet import quiet


def main() -> None:
    """Export the model; leave with the type and the message of any error."""
    folder, destination, task = sys.argv[1:]
    try:
        with quiet():
            export(Path(folder), Path(destination), task)
    except Exception as error:  # of torch, transformers and model code alike, so of any type
        sys.exit(one_line(error))


if __name__ == "__main__":
    main()
