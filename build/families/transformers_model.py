"""A model as transformers loads it, with every weight from its files and none that was made up.

transformers fills what is missing with random numbers and leaves what it has no place for; of both it only warns.
"""

import re
from pathlib import Path
from typing import Any

from build.errors import SourceError, some_of
from build.workspace.quiet import quiet
from contracts.problems import Code, Problem

# Names that are told of many.
TOLD = 3
LAYER = re.compile(r"\.\d+\.")


def load(auto: Any, folder: Path, *, unused: tuple[str, ...] = ()) -> Any:
    """The folder's model in full precision, by one of transformers' classes; raises SourceError.

    `unused` begin the names of weights that nothing that is asked reads, so that they may be missing.
    """
    with quiet():
        model, seen = auto.from_pretrained(folder, local_files_only=True, output_loading_info=True)
    missing = [name for name in sorted(seen["missing_keys"]) if not name.startswith(unused)]
    surplus = _of_layers(sorted(seen["unexpected_keys"]), model)
    problems = []
    if missing:
        message = (
            f"its weights lack {some_of(missing, TOLD)}, which {type(model).__name__} has; save the model again, or "
            "correct `architectures` in config.json"
        )
        problems.append(_incomplete(folder, message))
    if surplus:
        message = (
            f"its weights have {some_of(surplus, TOLD)}, which config.json leaves no place for; correct its number of "
            "layers, or save the model again"
        )
        problems.append(_incomplete(folder, message))
    if problems:
        raise SourceError(problems)
    return model.eval().float()


def _incomplete(folder: Path, message: str) -> Problem:
    return Problem(code=Code.WEIGHTS_INCOMPLETE, where=str(folder), message=message)


def _of_layers(names: list[str], model: Any) -> list[str]:
    """Those that are of layers like the model's own; heads of other tasks may be left."""
    known = tuple({LAYER.sub(".N.", name) for name in model.state_dict() if LAYER.search(name)})
    return [name for name in names if LAYER.sub(".N.", name).endswith(known)]
