"""Problems of settings, sources, rows and artefacts, as `turnout` reports them: never the body of an HTTP answer.

Each has a stable code, the place where it is, and a sentence that ends with the next step. Errors of requests, and the
problem documents that they are answered with, are in `contracts/http_errors.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from contracts.errors import TurnoutError


class Code(StrEnum):
    """The kinds of problems, each with when it is found; `docs/errors.md` has the same table, and the next steps."""

    meaning: str

    # StrEnum's own `__new__` would take the meaning for an encoding.
    def __new__(cls, value: str, meaning: str) -> Self:
        member = str.__new__(cls, value)
        member._value_, member.meaning = value, meaning
        return member

    SETTING_MISSING = (
        "setting_missing",
        "a key that `models.toml`, or config.json for `turnout fit`, needs is not in it",
    )
    SETTING_UNKNOWN = "setting_unknown", "`models.toml` has a key that there is not"
    SETTING_UNSUPPORTED = (
        "setting_unsupported",
        "a file of the model has a setting that changes answers and is not served",
    )
    SETTING_INVALID = "setting_invalid", "a setting has a value that it cannot have"
    MODEL_UNKNOWN = "model_unknown", "`models.toml` has no model of the name that was given"
    FILE_MISSING = "file_missing", "a file or folder that is named or needed is not there"
    FILE_DAMAGED = "file_damaged", "a file is cut short, unreadable, or contradicts itself"
    FILE_OUTSIDE = "file_outside", "a file names another one outside of its own folder"
    FORMAT_UNKNOWN = "format_unknown", "a source is in no format that can be built"
    FORMAT_AMBIGUOUS = "format_ambiguous", "a source holds more than one model"
    FORMAT_UNSUPPORTED = (
        "format_unsupported",
        "a format is known, but not in this version or variant",
    )
    ARCHITECTURE_UNSUPPORTED = (
        "architecture_unsupported",
        "an architecture, or a part of it, cannot be built",
    )
    TASK_UNSUPPORTED = "task_unsupported", "a source of this kind cannot serve the task"
    OPERATOR_UNSUPPORTED = "operator_unsupported", "a graph has operators that cannot be run"
    INPUTS_UNSUPPORTED = "inputs_unsupported", "a graph's inputs cannot be filled with texts"
    OUTPUTS_UNSUPPORTED = "outputs_unsupported", "a graph's outputs are not those of the task"
    POOLING_UNSUPPORTED = (
        "pooling_unsupported",
        "a text's vector is made in a way that is not known",
    )
    TOKENIZER_MISSING = "tokenizer_missing", "no tokenizer is with the model or named"
    TOKENIZER_MISMATCH = "tokenizer_mismatch", "the tokenizer is not the one of the model"
    TOKENIZER_UNSUPPORTED = "tokenizer_unsupported", "the tokenizer is of a kind that is not known"
    LABELS_MISSING = "labels_missing", "nothing says what a classifier's outputs are called"
    LABELS_MISMATCH = "labels_mismatch", "labels do not fit the model, the task or the rows"
    LENGTH_MISSING = "length_missing", "nothing says how many tokens the model reads"
    LENGTH_INVALID = "length_invalid", "`max_tokens` is more or less than the model can read"
    WEIGHTS_INCOMPLETE = "weights_incomplete", "weights are missing, or there are too many"
    WEIGHTS_NOT_FINITE = "weights_not_finite", "weights or outputs have NaN or infinity"
    CODE_REFUSED = (
        "code_refused",
        "a file would have a library run code that comes with the model, or fetch something",
    )
    PICKLE_REFUSED = "pickle_refused", "weights are in a pickle, which can run code when loaded"
    MEMORY_SHORT = "memory_short", "a step of a build takes more memory than there is"
    REFERENCE_FAILED = "reference_failed", "the model's own library cannot load or run it"
    CONVERTER_MISSING = (
        "converter_missing",
        "TensorFlow, which converts the source, is not installed",
    )
    NOT_FETCHED = "not_fetched", "a remote source is not on this machine yet"
    FETCH_FAILED = "fetch_failed", "a remote source cannot be downloaded"
    ROWS_MISSING = "rows_missing", "there are no rows under `eval`"
    ROWS_UNINFORMATIVE = (
        "rows_uninformative",
        "the reference's answers on the rows are no better than a trivial one",
    )
    ROWS_INVALID = "rows_invalid", "rows are not in the form of the task"
    ROWS_SEEN = "rows_seen", "rows of a calibration are among those that the models or the gate saw"
    BOUND_UNPROVEN = "bound_unproven", "no threshold keeps the bound of a cascade on the rows"
    CALIBRATION_BROKEN = (
        "calibration_broken",
        "a calibration does not hold what its digest says",
    )
    ARTEFACT_MISSING = "artefact_missing", "no artefact has been built where one is needed"
    ARTEFACT_BROKEN = "artefact_broken", "an artefact does not hold what its manifest says"
    ARTEFACT_OUTDATED = (
        "artefact_outdated",
        "an artefact was sealed in another version of the format",
    )
    KEY_INVALID = "key_invalid", "a key or a certificate cannot be used for signatures"
    SIGNATURE_MISSING = (
        "signature_missing",
        "a source or an artefact has no signature, and `trusted_keys` wants one",
    )
    SIGNATURE_UNTRUSTED = "signature_untrusted", "a signature is by a key that is not trusted"
    SIGNATURE_INVALID = "signature_invalid", "a signature is cut short, or was changed"
    SIGNATURE_DIFFERS = (
        "signature_differs",
        "a folder does not hold the files that were signed",
    )
    LAYER_INVALID = "layer_invalid", "a file cannot be put into an image at its path"
    DEPENDENCY_REFUSED = (
        "dependency_refused",
        "a package of a lock cannot be put into an image",
    )
    BASE_UNAVAILABLE = "base_unavailable", "a base image cannot be had on this machine"
    IMAGE_DAMAGED = "image_damaged", "an image does not have the bytes that its digests name"
    IMAGE_UNPROVEN = "image_unproven", "nothing proves that a slimmed image answers as a whole one"
    IMAGE_MANIFEST = "image_manifest", "an image is an index of several, or has attestations"
    IMAGE_MEDIA_TYPE = "image_media_type", "a part of an image has a type that Lambda does not take"
    IMAGE_PLATFORM = "image_platform", "an image is for another system or architecture"
    IMAGE_PATH = "image_path", "a layer lacks a folder, or has a path that leads out of the image"
    IMAGE_MODE = "image_mode", "a file of an image cannot be read by the user of the function"
    IMAGE_TOO_LARGE = "image_too_large", "an image is larger than Lambda takes"
    IMAGE_STALE = "image_stale", "an image was made before a part of it changed"
    IMAGE_ELSEWHERE = (
        "image_elsewhere",
        "an image was pushed to a registry from where AWS does not run it",
    )
    INIT_TOO_LONG = "init_too_long", "a function takes longer to start than Lambda lets it"
    TIMEOUT_TOO_LONG = "timeout_too_long", "a function's start and time do not fit into a request"
    IMAGE_START = "image_start", "an image names no program that Lambda can start"
    IMAGE_PROBE = (
        "image_probe",
        "the function of an image does not start, or answers unlike its model when it was built",
    )
    ISOLATION_UNAVAILABLE = (
        "isolation_unavailable",
        "neither an engine nor the kernel runs an image apart from this machine",
    )
    REGISTRY_DENIED = (
        "registry_denied",
        "a registry does not take the credentials, or there are none",
    )
    REGISTRY_REFUSED = "registry_refused", "a registry does not take a part of an image"
    REGISTRY_UNREACHABLE = (
        "registry_unreachable",
        "a registry gives no answer, or none that can be used",
    )
    WEIGHTS_DIFFER = (
        "weights_differ",
        "bytes of weights are read, or arrive, otherwise than their digest says",
    )
    WEIGHTS_DENIED = (
        "weights_denied",
        "the bucket of a deployment's weights cannot be made, or is not open",
    )
    WEIGHTS_NOT_PUSHED = (
        "weights_not_pushed",
        "vLLM is to serve a model whose weights were not pushed, or our server one whose were",
    )
    REPOSITORY_MISSING = "repository_missing", "a registry has no repository of that name"
    ENGINE_MISSING = "engine_missing", "no container engine on this machine answers"
    ENGINE_FAILED = "engine_failed", "a container engine starts no container, or takes no image"
    CLOUD_DOWN = "cloud_down", "no local cloud is up that containers can reach"
    SAM_MISSING = "sam_missing", "AWS's SAM command line is not installed"
    IMAGE_MISSING = "image_missing", "an image has not been made where one is needed"
    INSTANCE_UNKNOWN = "instance_unknown", "the price table does not have the instance type"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that a user can mend. `where` is a key, a file or a line; empty until a caller knows it."""

    code: Code
    message: str
    where: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message

    def within(self, place: object) -> Self:
        """Return the same problem with the place put in front of where it is."""
        return replace(self, where=f"{place}: {self.where}" if self.where else str(place))


class ProblemsFound(TurnoutError):
    """Several problems at once, so that a user mends all of them before the next try."""

    code = "problems_found"

    def __init__(self, where: object, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        noun = "problem" if len(self.problems) == 1 else "problems"
        # The code stands behind each line, where mypy and ruff have it: the sentence is read first.
        lines = [f"  {problem} [{problem.code}]" for problem in self.problems]
        super().__init__("\n".join([f"{where}: {len(self.problems)} {noun}", *lines]))
