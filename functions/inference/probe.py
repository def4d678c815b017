"""The probe of an artefact: texts of the project's own, sealed with what the artefact answered when it was built.

A tier that answers them otherwise must not serve: its processor, its packages or its image compute something else than
what was proved. On another processor the last digits of a number differ, so numbers are compared with a tolerance, and
an answer may differ only where numbers within it could have tipped it.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.http_errors import ProbeFailed, ServingError
from contracts.manifest import BrokenArtefact
from contracts.prediction import PredictRequest
from functions.inference.engine import Engine
from functions.inference.model import Model, Outputs

PROBE = "probe.json"
# The difference of a score, and the relative one of a number above 1. Vectors are compared by their cosine. MiniLM's
# under an emulated Haswell are up to 0.006 from those with AVX-512; another model's are 0.3 and more away.
TOLERANCE, MIN_COSINE = 0.05, 0.95
# Scores of labels that exclude each other sum to 1, so one above half cannot lose to another by rounding alone.
HALF = 0.5
# Lists of alternatives, each with its score, of which the best comes first.
ALTERNATIVES = ("top", "entities")
# The values of an output that follow from its alternatives, or from a comparison with those of other inputs.
DERIVED = ("answer", "end", "label", "labels", "score", "start", "token")
COMPARED_WITH_OTHERS = ("rank",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One request of the probe and its sealed outputs; a generator is run along the tokens `along`."""

    request: PredictRequest
    along: tuple[int, ...]
    outputs: Outputs

    def to_json(self) -> dict[str, Any]:
        wire = self.request.to_wire()
        return {**wire, "along": list(self.along), "outputs": list(self.outputs)}


def check_probe(engine: Engine, folder: Path) -> None:
    """Answer the probe of the artefact in that folder; raise ProbeFailed if an answer is not the sealed one.

    Raise BrokenArtefact if the artefact has no probe.
    """
    manifest = engine.manifest
    for sample in read_probe(folder):
        problem = _problem(engine.model, sample)
        if problem:
            raise ProbeFailed(
                f"{manifest.model} {manifest.version} on {manifest.tier}: {problem}; run `turnout verify "
                f"{manifest.model}` where it was built, and deploy it again if it holds there"
            )


def read_probe(folder: Path) -> list[Sample]:
    """Return the samples of a probe; raise BrokenArtefact where there are none."""
    path = folder / PROBE
    try:
        found = [
            Sample(
                request=PredictRequest(
                    inputs=tuple(one["inputs"]), parameters=one.get("parameters", {})
                ),
                along=tuple(one["along"]),
                outputs=one["outputs"],
            )
            for one in json.loads(path.read_text("utf-8"))
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BrokenArtefact(f"{path} is missing or no probe; build the model again") from error
    if not found:
        raise BrokenArtefact(f"{path} has no samples; build the model again")
    return found


def answers(model: Model, request: PredictRequest, along: Sequence[int]) -> Outputs:
    """Return the model's outputs, whatever limits its tier has; a generator's log-probabilities of the tokens."""
    if not along:
        return model.outputs(request)
    # Only a probe of a generator has tokens, so this model has the method.
    generator: Any = model
    return [{"log_probabilities": generator.teacher_forced(str(request.inputs[0]), along)[1]}]


def _problem(model: Model, sample: Sample) -> str:
    """Return the problem of the answer to a sample; empty if there is none."""
    named = json.dumps(sample.request.inputs, ensure_ascii=False)
    try:
        found = answers(model, sample.request, sample.along)
    except ServingError as error:
        return f"the probe {named} is not answered: {error}"
    except Exception as error:  # ONNX Runtime's errors have no base class of their own
        first = "".join(str(error).splitlines()[:1])
        return f"the probe {named} is not answered: {type(error).__name__}: {first}"
    if near(found, sample.outputs):
        return ""
    return f"the probe {named} is answered otherwise than when the model was built"


def near(now: Any, sealed: Any) -> bool:
    """Return whether a value of an answer is the sealed one, but for what rounding may have changed."""
    match now, sealed:
        case dict(), dict():
            ignored = COMPARED_WITH_OTHERS + (DERIVED if "top" in sealed else ())
            return now.keys() == sealed.keys() and all(
                _near_part(key, now[key], sealed[key]) for key in sealed if key not in ignored
            )
        case (list() | tuple(), list() | tuple()):
            return len(now) == len(sealed) and all(map(near, now, sealed))
        case (float(), float() | int()) | (int(), float()):
            # A comparison with NaN is false.
            return bool(abs(now - sealed) <= TOLERANCE * max(1.0, abs(sealed)))
    return bool(now == sealed)


def _near_part(key: str, now: Any, sealed: Any) -> bool:
    if key in ALTERNATIVES:
        return _near_alternatives(_scores(now), _scores(sealed))
    if key == "embedding":
        return _cosine(now, sealed) >= MIN_COSINE
    return near(now, sealed)


def _scores(alternatives: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the score of each alternative by everything else of it."""
    return {
        json.dumps({k: v for k, v in one.items() if k != "score"}, sort_keys=True): one["score"]
        for one in alternatives
    }


def _near_alternatives(now: Mapping[str, float], sealed: Mapping[str, float]) -> bool:
    """Return whether those in both have near scores, and those in one alone could have lost to another."""
    alone = {**now, **sealed}.keys() - (now.keys() & sealed.keys())
    return all(near(now[key], sealed[key]) for key in now.keys() & sealed.keys()) and all(
        ({**now, **sealed})[key] <= HALF + TOLERANCE for key in alone
    )


def _cosine(now: Sequence[float], sealed: Sequence[float]) -> float:
    """Return the cosine of two vectors: 1 for two that are zero, 0 for one, or for others of another length."""
    if len(now) != len(sealed):
        return 0.0
    lengths = math.hypot(*now), math.hypot(*sealed)
    if not any(lengths):
        return 1.0
    product = math.fsum(a * b for a, b in zip(now, sealed, strict=True))
    return product / (lengths[0] * lengths[1]) if all(lengths) else 0.0
