"""A model as transformers loads it, with every weight from its files.

transformers fills missing weights with random numbers and drops surplus ones; of both it only warns.
"""

import re
from pathlib import Path
from typing import Any

from build.errors import SourceError, some_of
from build.workspace.quiet import quiet
from contracts.problems import Code, Problem

# Names of weights that a message shows.
MAX_NAMES = 3
# The number of a layer within a weight's name.
LAYER = re.compile(r"\.\d+\.")


def load(auto: Any, folder: Path, *, unused: tuple[str, ...] = ()) -> Any:
    """Return the folder's model of the class `auto`, in full precision.

    Raise SourceError with the names of missing and surplus weights; those that begin with one of `unused` may be
    missing, as nothing reads them.
    """
    with quiet():
        model, info = auto.from_pretrained(folder, local_files_only=True, output_loading_info=True)
    missing = [name for name in sorted(info["missing_keys"]) if not name.startswith(unused)]
    surplus = _layer_weights(sorted(info["unexpected_keys"]), model)
    problems = []
    if missing:
        message = (
            f"its weights lack {some_of(missing, MAX_NAMES)}, which {type(model).__name__} has; save the model again, "
            "or correct `architectures` in config.json"
        )
        problems.append(_incomplete(folder, message))
    if surplus:
        message = (
            f"its weights have {some_of(surplus, MAX_NAMES)}, which config.json has no place for; correct its "
            "number of layers, or save the model again"
        )
        problems.append(_incomplete(folder, message))
    if problems:
        raise SourceError(problems)
    return model.eval().float()


def _incomplete(folder: Path, message: str) -> Problem:
    return Problem(code=Code.WEIGHTS_INCOMPLETE, where=str(folder), message=message)


def _layer_weights(names: list[str], model: Any) -> list[str]:
    """Return the names that belong to layers like the model's own.

    A head of another task may be left over, but a layer is not: config.json then states fewer than there are.
    """
    known = tuple({LAYER.sub(".N.", name) for name in model.state_dict() if LAYER.search(name)})
    return [name for name in names if LAYER.sub(".N.", name).endswith(known)]
