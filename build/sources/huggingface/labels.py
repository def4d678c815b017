"""The labels of a classifier: `id2label` of its config.json, or `labels` of models.toml where that names none."""

from collections.abc import Mapping, Sequence
from typing import Any

from build.sources.huggingface.config import whole
from build.sources.source import Unusable
from contracts.problems import Code

# The outputs that transformers gives a model whose config.json states none (`PreTrainedConfig.num_labels`).
DEFAULT_OUTPUTS = 2
# More outputs than any classifier has: their names would fill the memory.
MAX_OUTPUTS = 1_000_000


def read_labels(
    config: Mapping[str, Any], minimum: int, given: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return the labels in the order of the outputs; those `given` where the config names none of them itself.

    Outputs without names are LABEL_0, LABEL_1, ... as in transformers. Raise Unusable where there are fewer than
    `minimum`, where one is missing, and where `given` contradicts the config.
    """
    names = _names(config)
    complete = len(names) >= minimum and all(names) and len(set(names)) == len(names)
    if not given:
        if not complete:
            raise Unusable(
                Code.LABELS_MISSING,
                "config.json has no complete `id2label`; name every label once, from 0 up, there or as `labels` in "
                "its table",
            )
        return names
    if len(given) != len(names):
        raise Unusable(
            Code.LABELS_MISMATCH,
            f"has {len(names)} outputs by its config.json, but `labels` names {len(given)}; name each of them once, "
            "in their order",
        )
    if complete and names not in (tuple(given), _unnamed(len(names))):
        raise Unusable(
            Code.LABELS_MISMATCH,
            f"config.json names the outputs {', '.join(names)}, but `labels` says {', '.join(given)}; remove `labels`, "
            "which is for outputs without names",
        )
    return tuple(given)


def _names(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the name of each output, "" for one that is left out; none at all for an `id2label` that is no object."""
    named = config.get("id2label")
    if named is None:
        if config.get("num_labels") is None:
            return _unnamed(DEFAULT_OUTPUTS)
        return _unnamed(min(whole(config, "num_labels", minimum=0), MAX_OUTPUTS))
    if not isinstance(named, dict):
        return ()
    # Keys of a JSON object are texts, so the ids of labels are texts here.
    return tuple(str(named.get(str(i), "")) for i in range(len(named)))


def _unnamed(count: int) -> tuple[str, ...]:
    return tuple(f"LABEL_{i}" for i in range(count))
